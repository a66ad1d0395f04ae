"""What a full run of this repository takes of what needs clusters: the main scenario in each mode, and an eighth of all else; others each time."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pytest

from harness.pytest_plugin import run_seed

MAIN = "node-kill"
"""The scenario that is run in each mode, whatever is drawn of the others."""
SHARE = 8
"""One of so many of the others is run."""
SHARES = {"upstream": 30}
"""Folders of scenarios of which fewer are: there are many, each about one thing that happened once."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that draws what is run."""
    parser.addoption(
        "--drawn",
        action="store_true",
        help=f"run {MAIN} in every mode, and of the other scenarios, each in one mode, and of the tests of clusters an eighth, by the seed",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what is drawn, where that is asked for.

    A scenario takes a minute or two, and half a minute of processor time; the tests of clusters take together as long as all scenarios. What modes,
    nodes and faults share, which is most, is tried by any of them, and the rest by the next run.
    """
    if not config.getoption("--drawn"):
        return
    kept = drawn(items, run_seed(config))
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def drawn(items: Sequence[pytest.Item], seed: int) -> set[pytest.Item]:
    """Return what is left of the tests: the same for a seed, in whatever order they come.

    All that need no cluster are, and the main scenario in every mode. A scenario is run in a mode that it is for, so none is skipped
    here. Of the other scenarios, each in one of the modes that it is for, of the controls, and of the tests that share a cluster, an eighth of each,
    and of some folders fewer (`SHARES`).
    """
    rng = random.Random(seed)  # noqa: S311 - a choice that can be repeated
    kept = {item for item in items if _lot(item) == "" and (_planned(item) or item.get_closest_marker("scenario") is None)}
    lots: dict[str, dict[str, list[pytest.Item]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if lot := _lot(item):
            lots[lot][str(item.path) if _planned(item) else item.nodeid].append(item)
    for each, named in sorted(lots.items()):
        kept |= {rng.choice(sorted(named[name], key=lambda item: item.nodeid)) for name in _some(rng, named, SHARES.get(each, SHARE))}
    return kept


def _planned(item: pytest.Item) -> bool:
    """Say whether this is a scenario that can be run in its mode."""
    return getattr(item, "plan", None) is not None


def _lot(item: pytest.Item) -> str:
    """Name what a share is drawn of; nothing for what is always run."""
    if _planned(item):
        return "" if item.path.stem == MAIN else item.path.parent.name
    if item.get_closest_marker("cluster") is None or item.get_closest_marker("noise") is not None:
        return ""
    group = item.get_closest_marker("xdist_group")
    return str(group.args[0] if group is not None else item.path)


def _some(rng: random.Random, lot: Mapping[str, object], share: int) -> list[str]:
    """Return one of so many of the names; what does not divide is rounded up as often as makes it so in the long run."""
    names = sorted(lot)
    return rng.sample(names, (len(names) + rng.randrange(share)) // share)
