"""What a full run draws of what needs clusters: the same in each worker, and nothing is left out for ever."""

from __future__ import annotations

import importlib.util
import random
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Item:
    """A test; a scenario in a mode if it has a plan."""

    path: Path
    name: str
    plan: Any = field(default=None, hash=False)
    marks: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def nodeid(self) -> str:
        """Return its name."""
        return f"{self.path}::{self.name}"

    def get_closest_marker(self, name: str) -> Any:
        """Return a mark, as pytest's own items do."""
        return next((SimpleNamespace(args=args) for each, args in self.marks if each == name), None)


def _all() -> list[Any]:
    paths = [Path("scenarios", f"{name}.yaml") for name in ("node-kill", "a", "b", "c", "slow")]
    paths += [Path("scenarios", "controls", f"{name}.yaml") for name in ("d", "e", "f", "g")]
    items = [
        Item(path, mode, None if (path.stem, mode) == ("slow", "swarm") else SimpleNamespace(mode=mode), (("scenario", ()),))
        for path in paths
        for mode in ("fleet", "swarm", "mesos")
    ]
    cluster = ("cluster", ())
    items += [Item(Path("tests", "one.py"), str(each), marks=(cluster, ("xdist_group", ("shared",)))) for each in range(4)]
    items += [Item(Path("tests", "two.py"), str(each), marks=(cluster, ("xdist_group", ("shared",)))) for each in range(4)]
    items += [Item(Path("tests", "alone.py"), "only", marks=(cluster,))]
    items += [Item(Path("tests", "busy.py"), "noise", marks=(cluster, ("noise", ())))]
    items += [Item(Path("tests", "cheap.py"), str(each)) for each in range(3)]
    return items


def _drawn(seed: int, shuffled: int = 1) -> set[str]:
    """Return the names of what is left of all, in some order."""
    spec = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    items = _all()
    random.Random(shuffled).shuffle(items)  # noqa: S311 - an order that can be repeated
    return {item.nodeid for item in module.drawn(items, seed)}


def test_an_eighth_of_the_scenarios_and_controls_are_drawn_each_in_one_mode_and_the_main_one_is_run_in_all() -> None:
    """One that is for a single mode counts as one, and is not skipped in the others."""
    counts: list[tuple[int, int]] = []
    modes: set[str] = set()
    for seed in range(60):
        kept = [name for name in _drawn(seed) if name.startswith("scenarios/")]
        assert sum("node-kill" in name for name in kept) == 3
        assert "scenarios/slow.yaml::swarm" not in kept
        controls = [name for name in kept if "/controls/" in name]
        modes |= {name.split("::")[1] for name in kept if "node-kill" not in name}
        others = [name for name in kept if name not in controls and "node-kill" not in name]
        counts.append((len(controls), len(others)))
        assert len({name.split("::")[0] for name in [*controls, *others]}) == sum(counts[-1])
    assert {each for each, _ in counts} == {each for _, each in counts} == {0, 1}  # four of each
    assert modes == {"fleet", "swarm", "mesos"}


def test_an_eighth_of_the_tests_that_share_a_cluster_are_drawn_and_all_that_need_none_are_run() -> None:
    """From whatever file; noise has a run of its own, which takes all of it."""
    for seed in range(20):
        kept = _drawn(seed)
        assert sum(name.startswith(("tests/one.py", "tests/two.py")) for name in kept) in {1, 2}
        assert sum(name.startswith(("tests/cheap.py", "tests/busy.py")) for name in kept) == 4


def test_a_seed_draws_the_same_in_every_worker() -> None:
    """Whatever order they come in."""
    assert len({frozenset(_drawn(7, order)) for order in range(10)}) == 1


def test_nothing_is_left_out_for_ever() -> None:
    """Scenarios in each mode, controls, and a test that has a cluster to itself."""
    not_for_swarm = {"scenarios/slow.yaml::swarm"}
    assert set[str]().union(*(_drawn(seed) for seed in range(200))) == {item.nodeid for item in _all()} - not_for_swarm
