"""What people write in place of what is meant: each is told with what they meant, where that is certain."""

from __future__ import annotations

import pytest

from harness.core.errors import BadInput
from harness.scenario import loads

GOOD = """\
scenario: mine
why: a node with work is lost
cluster: {nodes: 3, profile: fast}
apps:
  - {name: web, instances: 2}
workloads:
  - http: {app: web, rate: 20/s, deadline: 1s}
steps:
  - wait: 4s
  - fault: node.kill
    on: hosting(web) & any
    hold: {until: recovered, at most: 45s}
checks:
  - {service: docker, is_running: true}
promises:
  - rescheduled: {app: web}
  - availability: {app: web, share: 50%, gap: 60s}
"""
MEANT = {
    "a text with a colon in it": (
        "why: a node",
        "why: note: a node",
        "2:10: a second ': ' in 'why: note: a node",
        "text with a ': ' in it stands in quotes",
    ),
    "a merge": ("{nodes: 3,", "{<<: {nodes: 3},", "3:11: an unknown key '<<'", "nothing is merged here: write out what it would bring"),
    "a share in hundredths": ("50%", "50", "17:37: 50; expected a share", "did you mean '50%'?"),
    "hours and minutes": ("wait: 4s", "wait: 1h30m", "9:11: '1h30m'; expected a duration", "did you mean '90m'?"),
    "minutes and seconds": ("wait: 4s", "wait: 1m 30s", "9:11: '1m 30s'; expected a duration", "did you mean '90s'?"),
    "a whole number with a point": ("instances: 2", "instances: 2.0", "5:28: 2.0; expected a whole number", "did you mean 2?"),
    "a yes in quotes": (
        "is_running: true",
        'is_running: "true"',
        "14:35: 'true'; expected true or false",
        "without quotes around it: in them it is text",
    ),
    "an app without brackets": ("hosting(web)", "hosting web", "11:9: 'hosting web", "did you mean 'hosting(web)'?"),
}


@pytest.mark.parametrize("kind", MEANT)
def test_what_is_meant_is_told_where_it_is_certain(kind: str) -> None:
    """One problem, at its place."""
    old, new, begins, ends = MEANT[kind]
    assert old in GOOD
    with pytest.raises(BadInput) as caught:
        loads(GOOD.replace(old, new, 1), "s.yaml")
    (said,) = map(str, caught.value.problems)
    assert said.startswith(f"s.yaml:{begins}")
    assert said.endswith(f"; {ends}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("50%", "150%"),
        ("50%", "500"),
        ("wait: 4s", "wait: 1h30"),
        ("wait: 4s", "wait: 30s1m"),
        ("instances: 2", "instances: 2.5"),
        ("hosting(web)", "hosting()"),
    ],
)
def test_nothing_is_guessed_where_it_is_not(old: str, new: str) -> None:
    """What was found and expected is enough."""
    with pytest.raises(BadInput) as caught:
        loads(GOOD.replace(old, new, 1), "s.yaml")
    assert not any("did you mean" in str(each) for each in caught.value.problems)
