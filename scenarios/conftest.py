"""What a full run of this repository takes of its scenarios: all of them in each mode, and each control in one mode."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses among the modes of controls."""
    parser.addoption(
        "--controls-once",
        action="store_true",
        help="of several modes, run each control in one, chosen by the run's seed: another one in another run",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave each control in one of its modes where that is asked for.

    A control shows that a promise can be found broken. That is a matter of its checker far more than of the mode, and takes minutes for each.
    """
    if not config.getoption("--controls-once"):
        return
    controls: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("control") is not None:
            controls[item.path].append(item)
    kept = {_drawn(path, each) for path, each in controls.items()}
    left = [item for each in controls.values() for item in each if item not in kept]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)


def _drawn(path: Path, several: list[pytest.Item]) -> pytest.Item:
    """Return one of a control's items, the same one in each worker of pytest-xdist: the plans hold the run's seed."""
    seeds = [getattr(each, "plan").seed for each in several]  # noqa: B009 - an attribute of this project's own items
    return random.Random(f"{path.stem} {seeds[0]}").choice(several)  # noqa: S311 - a choice that can be repeated
