"""Whom a target may hit where some nodes are spared and only so many may be broken at once."""

from __future__ import annotations

import pytest

from harness.conductor.permission import reach

NAMES = ("n1", "n2", "n3")
APPS = {"web": 2, "one": 1}


@pytest.mark.parametrize(
    ("expression", "spared", "said"),
    [
        ("n1", {"n1"}, "no target for 'n1': n1 is protected and must not be broken"),
        ("all", {"n2"}, "n2 is protected and must not be broken; the expression says n1, n2, n3"),
        ("majority", {"n1", "n3"}, "n1, n3 are protected and must not be broken"),
        ("leader & n1", {"n1"}, "n1 is protected and must not be broken; of the others it can hit 0 at most, and needs 1"),
        (
            "hosting(web) & majority",
            {"n1", "n3"},
            "n1, n3 are protected and must not be broken; of the others it can hit 1 at most, and needs 2",
        ),
    ],
)
def test_what_can_hit_nobody_without_a_spared_node_is_refused(expression: str, spared: set[str], said: str) -> None:
    """Whoever will lead, and wherever the apps will run: it is known now, in one line."""
    (refused,) = reach(expression, NAMES, APPS, spared).refused
    assert said in refused
    assert "\n" not in refused


@pytest.mark.parametrize(
    "expression", ["any", "n2", "minority", "majority", "!n1", "leader", "hosting(web)", "hosting(web) & any", "follower"]
)
def test_what_may_hit_others_is_not_refused(expression: str) -> None:
    """What the leader or an app's home will be is decided when the fault fires, and refused then if it must be."""
    found = reach(expression, NAMES, APPS, {"n1"})
    assert found.refused == ()
    assert found.could == ("n2", "n3")


def test_more_than_is_allowed_at_once_is_refused() -> None:
    """With the figures; a chooser takes no more than it says, and one instance runs on one node."""
    assert reach("majority", NAMES, APPS, at_once=1).refused == (
        "'majority' may break 2 at once, and 1 is allowed; raise whalefall_at_once, or hit fewer",
    )
    assert reach("hosting(web)", NAMES, APPS, at_once=1).refused
    for fewer in ("any", "hosting(web) & any", "hosting(one)", "leader", "n3"):
        assert (reach(fewer, NAMES, APPS, at_once=1).most, reach(fewer, NAMES, APPS, at_once=1).refused) == (1, ())


def test_nodes_of_our_own_have_no_limits() -> None:
    """Nobody is spared, and any number may be broken."""
    assert reach("all", NAMES, APPS).refused == ()
