"""What a full run draws of this repository's scenarios: the same in each worker, and nothing is left out for ever."""

from __future__ import annotations

import importlib.util
import random
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"


@dataclass(frozen=True)
class Item:
    """A scenario in a mode; without a plan where it is skipped there."""

    path: Path
    mode: str
    plan: Any = field(default=None, hash=False)

    @property
    def nodeid(self) -> str:
        """Return its name."""
        return f"{self.path.stem}[{self.mode}]"


def _drawn(seed: int, shuffled: int) -> set[str]:
    """Return what is left of every scenario in two modes, in some order; `slow` is for one of them alone."""
    spec = importlib.util.spec_from_file_location("scenarios_conftest", SCENARIOS / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    paths = [Path("scenarios", f"{name}.yaml") for name in (module.MAIN, "a", "b", "c", "slow")]
    paths += [Path("scenarios", "controls", f"{name}.yaml") for name in ("d", "e", "f", "g")]
    plan = SimpleNamespace(seed=seed)
    every: list[Any] = [
        Item(path, mode, None if (path.stem, mode) == ("slow", "swarm") else plan) for path in paths for mode in ("fleet", "swarm")
    ]
    random.Random(shuffled).shuffle(every)  # noqa: S311 - an order that can be repeated
    left: list[Any] = []
    hook = SimpleNamespace(pytest_deselected=lambda *, items: left.extend(items))
    kept = [*every]
    module.pytest_collection_modifyitems(SimpleNamespace(getoption=lambda _: True, hook=hook), kept)
    assert {*kept} | {*left} == {*every}
    return {each.nodeid for each in kept}


def test_each_scenario_is_drawn_in_one_mode_the_main_one_in_both_and_half_of_the_controls() -> None:
    """One that is for a single mode is run in that one, and its skip is told."""
    kept = _drawn(7, 1)
    assert {"node-kill[fleet]", "node-kill[swarm]", "slow[fleet]", "slow[swarm]"} <= kept
    assert [sum(f"{name}[{mode}]" in kept for mode in ("fleet", "swarm")) for name in "abc"] == [1, 1, 1]
    assert sum(f"{name}[{mode}]" in kept for name in "defg" for mode in ("fleet", "swarm")) == 2


def test_a_seed_draws_the_same_in_every_worker() -> None:
    """Whatever order they come in."""
    assert len({frozenset(_drawn(7, order)) for order in range(10)}) == 1


def test_no_scenario_is_left_out_for_ever() -> None:
    """In either mode, controls included."""
    assert len(set[str]().union(*(_drawn(seed, 1) for seed in range(60)))) == 18
