"""What a full run of this repository takes of its scenarios: each in one mode, the main one in all, and half of the controls."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import pytest

MAIN = "node-kill"
"""The scenario that is run in each mode, whatever is drawn for the others."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that draws what is run."""
    parser.addoption(
        "--drawn",
        action="store_true",
        help="run each scenario in one of several modes, and half of the controls, drawn from the run's seed: others in another run",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave each scenario in one of its modes, and half of the controls, where that is asked for.

    Each takes a minute or two, and half a minute of processor time. What all modes share, which is most, is tried by any of them; their own parts are
    tried by the tests of each mode, by the main scenario, and by the next run. What a control shows of its checker, histories show as well.
    """
    if not config.getoption("--drawn"):
        return
    scenarios: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if getattr(item, "plan", None) is not None and item.path.stem != MAIN:
            scenarios[item.path].append(item)
    if not scenarios:
        return
    # The same draw in each worker of pytest-xdist: the plans hold the run's seed.
    seed = min(getattr(item, "plan").seed for each in scenarios.values() for item in each)  # noqa: B009 - an attribute of this project's own items
    rng = random.Random(seed)  # noqa: S311 - a choice that can be repeated
    kept = {rng.choice(sorted(scenarios[path], key=lambda item: item.nodeid)) for path in sorted(scenarios)}
    controls = sorted(path for path in scenarios if path.parent.name == "controls")
    spared = {*rng.sample(controls, len(controls) // 2)}
    left = [item for path, each in scenarios.items() for item in each if item not in kept or path in spared]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)
