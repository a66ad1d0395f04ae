"""What a full run of this repository takes of its scenarios: each in one mode, and the main one in all."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import pytest

MAIN = "node-kill"
"""The scenario that is run in each mode, whatever is drawn for the others."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that draws a mode for each scenario."""
    parser.addoption(
        "--modes-drawn",
        action="store_true",
        help="of several modes, run each scenario in one, drawn from the run's seed: another one in another run",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave each scenario in one of its modes where that is asked for.

    Each takes a minute or two, and half a minute of processor time. What all modes share, which is most, is tried by any of them; their own parts are
    tried by the tests of each mode, by the main scenario, and by the run after this one.
    """
    if not config.getoption("--modes-drawn"):
        return
    scenarios: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if getattr(item, "plan", None) is not None and item.path.stem != MAIN:
            scenarios[item.path].append(item)
    kept = {_drawn(path, each) for path, each in scenarios.items()}
    left = [item for each in scenarios.values() for item in each if item not in kept]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)


def _drawn(path: Path, several: list[pytest.Item]) -> pytest.Item:
    """Return one of a scenario's items, the same one in each worker of pytest-xdist: the plans hold the run's seed."""
    seeds = [getattr(each, "plan").seed for each in several]  # noqa: B009 - an attribute of this project's own items
    return random.Random(f"{path.stem} {seeds[0]}").choice(several)  # noqa: S311 - a choice that can be repeated
