"""What a scenario file says of other modes: what is laid over it, what it is not for, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import registry
from harness.core import parameters
from harness.core.errors import BadInput, Unsupported
from harness.core.values import App, Budget, Traits, Who
from harness.document import parse
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import NotForMode, json_schema, load, loads
from harness.steps import Break, Hold, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.scenario import Scenario

GOOD = """\
scenario: sample
why: It shows how a mode differs.
cluster:
  mode: fleet
  timers: {agent_ttl: 10s}
apps: [{name: web, instances: 2}]
workloads: [{http: {app: web}}]
steps:
  - wait: 5s
  - fault: process.kill
    with: {process: etcd, restart: false}
    on: leader
    hold: 20s
checks: [{service: fleet, is_running: true}]
promises:
  - rescheduled: {app: web}
but:
  herd:
    because: herd has no etcd,
      and no leader.
    cluster: {profile: quick, timers: {beat: 2s}}
    steps:
      - fault: node.kill
        on: any
        hold: 7s
    checks: []
    promises: [conflicts]
"""
CONTROL = """\
    control:
      verdict: broken
      because: conflicts
"""


class Herd:
    """A mode without quorum and without daemons of its own."""

    name: ClassVar[str] = "herd"
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {"default": {"beat": 5.0}, "quick": {"beat": 1.0}}

    def __init__(self, timers: Mapping[str, float]) -> None:
        self.timers = timers

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Herd:
        """Return the mode with a profile's timers."""
        return cls({**cls.TIMERS[profile], **overrides})

    def budget(self, lost: Traits, who: Who) -> Budget:
        """Promise nothing."""
        return Budget(())


def known() -> registry.Known:
    """Give the registries with one more mode."""
    real = registry.known()
    return registry.Known(real.faults, real.workloads, real.checkers, {**real.modes, "herd": Herd}, real.providers)


def loaded(folder: Path, text: str, mode: str | None = None, profile: str | None = None) -> Scenario:
    """Load a file of this text for a mode."""
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, mode=mode, profile=profile, among=known())


def planned(folder: Path, text: str, mode: str) -> Plan:
    """Plan a file of this text for a mode."""
    scenario = loaded(folder, text, mode)
    made = known().modes[mode].from_timers(scenario.profile, scenario.cluster.timers)
    return plan(scenario, mode=made, provider="memory", seed=1, among=known())


def problems(folder: Path, text: str, mode: str | None = None, profile: str | None = None) -> list[str]:
    """Load what cannot be loaded, and give the problems as they are printed, without the folder."""
    with pytest.raises(BadInput) as caught:
        loaded(folder, text, mode, profile)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def changed(old: str, new: str) -> str:
    """Give the good file with one thing changed."""
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def test_a_block_replaces_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    """Keys are replaced whole; apps, workloads, settling and nodes are the file's; timers are the mode's own."""
    found = loaded(tmp_path, GOOD, "herd")
    assert (found.cluster.mode, found.cluster.nodes, found.profile, found.cluster.timers) == ("herd", 3, "quick", {"beat": 2.0})
    assert found.apps == (App("web", 2),)
    assert found.steps == (Break(parameters.build(known().faults["node.kill"], {}), "any", Hold(7.0)),)
    assert (found.checks, [each.name for each in found.promises], len(found.workloads)) == ((), ["conflicts"], 1)
    assert found.because == "herd has no etcd, and no leader."


def test_the_files_own_mode_does_not_see_the_blocks(tmp_path: Path) -> None:
    """Whether it is chosen by the file or on the command line."""
    for mode in (None, "fleet"):
        found = loaded(tmp_path, GOOD, mode)
        assert (found.because, found.cluster.timers, found.steps[0]) == ("", {"agent_ttl": 10.0}, Wait(5.0))


def test_timers_of_the_file_mean_nothing_to_another_mode(tmp_path: Path) -> None:
    """A block that says nothing of them gets the mode's own."""
    found = loaded(tmp_path, changed("    cluster: {profile: quick, timers: {beat: 2s}}\n", ""), "herd")
    assert (found.profile, found.cluster.timers) == ("default", {})


def test_the_command_lines_profile_counts_where_the_mode_has_it(tmp_path: Path) -> None:
    """It is for the mode that was chosen; the other one is only looked at."""
    assert loaded(tmp_path, GOOD, "herd", "default").profile == "default"
    assert loaded(tmp_path, GOOD, "fleet", "fast").profile == "fast"
    found = problems(tmp_path, GOOD, "herd", "fast")
    assert found == ["--profile: an unknown profile 'fast'; expected one of default, quick"]


def test_a_scenario_that_is_not_for_a_mode_says_why(tmp_path: Path) -> None:
    """It is a skip, not a failure, and only for that mode."""
    text = GOOD[: GOOD.index("    because")] + "    because: herd has no etcd\n    skip: true\n"
    with pytest.raises(NotForMode, match=r"s\.yaml: not for herd: herd has no etcd$") as caught:
        loaded(tmp_path, text, "herd")
    assert isinstance(caught.value, Unsupported)
    assert (caught.value.scenario, caught.value.mode, caught.value.because) == ("sample", "herd", "herd has no etcd")
    assert caught.value.reason == "not for herd: herd has no etcd"
    assert loaded(tmp_path, text).name == "sample"


def test_a_bad_file_is_bad_for_the_mode_that_it_is_not_for(tmp_path: Path) -> None:
    """What is wrong comes before what is left out."""
    text = GOOD[: GOOD.index("    because")] + "    because: herd has no etcd\n    skip: true\n"
    assert len(problems(tmp_path, text.replace("hold: 20s", "hold: soon"), "herd")) == 1


# Each row: a file, and for every problem that it has, in order, place and parts of its text.
BAD: dict[str, tuple[str, list[list[str]]]] = {
    "no blocks": (GOOD[: GOOD.index("but:")] + "but: {}\n", [["s.yaml:17:6: an empty mapping", "from the name of a mode"]]),
    "blocks as text": (GOOD[: GOOD.index("but:")] + "but: herd\n", [["s.yaml:17:6: 'herd'", "from the name of a mode"]]),
    "an unknown mode": (
        changed("  herd:\n", "  hred:\n"),
        [["s.yaml:18:3: an unknown mode 'hred'", "expected one of ansible, herd", "did you mean 'herd'?"]],
    ),
    "the file's own mode": (
        changed("  herd:\n", "  fleet:\n"),
        [["s.yaml:18:3: a block for fleet, the file's own mode", "expected one of ansible, herd", "write it into the file itself"]],
    ),
    "an empty block": (
        GOOD[: GOOD.index("    because")] + "    {}\n",
        [["s.yaml:19:5: an empty mapping", "because, and skip: true"]],
    ),
    "a block as text": (
        GOOD[: GOOD.index("    because")] + "    no\n",
        [["s.yaml:19:5: no, which YAML reads as false", "because, and skip: true"]],
    ),
    "no reason": (
        changed("    because: herd has no etcd,\n      and no leader.\n", ""),
        [["s.yaml:19:5: 'because' is missing", "a sentence or two on why"]],
    ),
    "a reason of no words": (
        changed("because: herd has no etcd,\n      and no leader.", "because: ' '"),
        [["s.yaml:19:14: ' '", "a sentence or two on why"]],
    ),
    "a reason for nothing": (
        GOOD[: GOOD.index("    cluster: {profile: quick")],
        [["s.yaml:18:3: a block that changes nothing", "skip: true, or one of cluster, apps"]],
    ),
    "skip with something else": (
        changed("    checks: []\n", "    skip: true\n"),
        [["s.yaml:26:11: skip with steps, promises, cluster", "skip: true alone"]],
    ),
    "skip: false": (
        GOOD[: GOOD.index("    cluster: {profile: quick")] + "    skip: false\n",
        [["s.yaml:21:11: false", "true"]],
    ),
    "skip of nothing": (
        GOOD[: GOOD.index("    cluster: {profile: quick")] + "    skip:\n",
        [["s.yaml:21:10: nothing", "true: this scenario"]],
    ),
    "an unknown key": (changed("    checks: []\n", "    cheks: []\n"), [["s.yaml:26:5: an unknown key 'cheks'", "did you mean 'checks'?"]]),
    "a key that no mode may change": (
        changed("    checks: []\n", "    why: because\n"),
        [["s.yaml:26:5: an unknown key 'why'", "one of because, skip, cluster, apps"]],
    ),
    "nodes of a mode": (
        changed("cluster: {profile: quick, timers", "cluster: {nodes: 5, timers"),
        [["s.yaml:21:15: an unknown key 'nodes'", "one of profile, timers"]],
    ),
    "a timer of another mode": (
        changed("timers: {beat: 2s}", "timers: {agent_ttl: 2s}"),
        [["s.yaml:21:40: a timer 'agent_ttl'", "a timer of the herd mode"]],
    ),
    "a profile of another mode": (
        changed("profile: quick", "profile: fast"),
        [["s.yaml:21:24: an unknown profile 'fast'", "one of default, quick"]],
    ),
    "what is wrong in a block and before it, in the order of the file": (
        changed("hold: 20s", "hold: soon").replace("node.kill", "node.kil").replace("[conflicts]", "[conflict]"),
        [
            ["s.yaml:13:11: 'soon'"],
            ["s.yaml:23:16: an unknown fault 'node.kil'", "did you mean 'node.kill'?"],
            ["s.yaml:27:16: an unknown promise 'conflict'", "did you mean 'conflicts'?"],
        ],
    ),
    "a target in a block": (changed("on: any", "on: any &"), [["s.yaml:24:18", "in the target 'any &'"]]),
    "a promise of nothing": (changed("[conflicts]", "[]"), [["s.yaml:27:15: no promise", "at least one"]]),
    "what the block leaves and the mode lacks": (
        changed("    steps:\n      - fault: node.kill\n        on: any\n        hold: 7s\n", ""),
        [
            ["s.yaml:11:21: the process 'etcd'", "that the herd mode runs", "read for herd, by `but` in line 18"],
            ["s.yaml:12:9: 'leader', with the herd mode", "a mode with a quorum", "read for herd, by `but` in line 18"],
        ],
    ),
    "a control of somebody who does not judge": (GOOD + CONTROL.replace("conflicts", "writes"), [["s.yaml:30:16: the checker 'writes'"]]),
    "a block twice": (GOOD + "  herd: {because: so, skip: true}\n", [["s.yaml:28:3: the key 'herd' a second time", "in line 18"]]),
}


@pytest.mark.parametrize("mode", [None, "herd"])
@pytest.mark.parametrize("case", BAD)
def test_bad_blocks_are_told_in_full_whatever_mode_was_chosen(tmp_path: Path, case: str, mode: str | None) -> None:
    """Every problem is there with its place in the block, and none besides."""
    text, expected = BAD[case]
    found = problems(tmp_path, text, mode if f"  {mode}:" in text else None)
    assert len(found) == len(expected), "\n".join(found)
    for line, fragments in zip(found, expected, strict=True):
        for fragment in fragments:
            assert fragment in line


def test_a_mode_without_a_block_that_lacks_something_is_told_of_blocks(tmp_path: Path) -> None:
    """The one who meets it is the one who can write the block."""
    text = GOOD[: GOOD.index("but:")].replace("  timers: {agent_ttl: 10s}\n", "")
    found = problems(tmp_path, text, "herd")
    assert [line.rpartition("; ")[2] for line in found] == ["`but: herd:` in the file can say what differs there"] * 2


def test_too_many_blocks_are_not_read(tmp_path: Path) -> None:
    """A file with a thousand modes costs no more than one with a dozen."""
    text = GOOD + "".join(f"  mode{number}: {{because: so, settle: 1s}}\n" for number in range(1000))
    found = problems(tmp_path, text)
    assert len(found) == 12
    assert "s.yaml:18:3: 1001 blocks; expected one for each mode that differs, 12 at most" in found


def survives(text: str) -> None:
    """Load anything: it is a scenario, or a `BadInput` of which every problem has a place inside the text."""
    try:
        loads(text, "s.yaml", among=known())
    except BadInput as bad:
        found = bad.problems
    else:
        return
    assert found
    assert all(0 <= problem.line <= text.count("\n") + 2 and problem.found and problem.expected for problem in found)


@given(start=st.integers(GOOD.index("but:"), len(GOOD)), length=st.integers(0, 40), new=st.text(alphabet="ab:-[]{} \n~0'", max_size=10))
@settings(max_examples=150, deadline=None)
def test_a_damaged_block_is_bad_input(start: int, length: int, new: str) -> None:
    """A piece that is lost or overwritten never brings the loader down."""
    survives(GOOD[:start] + new + GOOD[start + length :])


@pytest.mark.parametrize(
    "base", ["cluster: web", "cluster: []", "apps: {}", "steps: 7", "promises: {conflicts: 1}", "cluster: {timers: 3}", "but: 3"]
)
def test_a_block_over_something_else_is_bad_input(base: str) -> None:
    """What a block is laid over may be anything; the block is read all the same."""
    key = base.partition(":")[0]
    body = yaml.load(GOOD, Loader=yaml.BaseLoader)  # noqa: S506 - our own text, and BaseLoader makes strings only
    body[key] = yaml.safe_load(base)[key]
    survives(yaml.safe_dump(body, sort_keys=False))


def test_a_plan_keeps_why_it_differs_and_tells_it(tmp_path: Path) -> None:
    """In its file, and in words."""
    found = planned(tmp_path, GOOD, "herd")
    assert found.because == "herd has no etcd, and no leader."
    assert Plan.from_json(found.to_json(), among=known()).because == found.because
    assert "  but in herd: herd has no etcd, and no leader." in describe(found).splitlines()


def test_the_schema_knows_blocks() -> None:
    """Editors complete modes and what may differ there, and underline skip beside anything else."""
    schema = json_schema()
    but = schema["properties"]["but"]
    assert set(but["properties"]) == set(registry.known().modes)
    skipped, replaced = next(iter(but["properties"].values()))["oneOf"]
    assert (set(skipped["properties"]), skipped["required"]) == ({"because", "skip"}, ["because", "skip"])
    assert set(replaced["properties"]) == {
        *("because", "cluster", "apps", "workloads", "probes", "steps", "settle", "checks", "promises", "control"),
    }
    for each in replaced["properties"].values():
        reference = each.get("$ref", "#/properties/scenario").removeprefix("#/properties/")
        assert reference in schema["properties"]


def test_a_document_that_is_laid_over_keeps_every_place() -> None:
    """What was moved points to where it was written; what was there before points nowhere."""
    doc = parse("a: {b: [1, x]}\nc: 2\nd:\n  a: {e: 3}\n", "f")
    laid = doc.overlaid({("a",): ("d", "a"), ("c", "new"): ("d", "a", "e")}, without=[("gone", "for", "good")])
    assert laid.value == {"a": {"e": 3}, "c": 2, "d": {"a": {"e": 3}}}
    assert laid.values["a", "e"] == doc.values["d", "a", "e"] == (4, 10)
    assert laid.keys["a", "e"] == (4, 7)
    assert ("a", "b") not in laid.values
