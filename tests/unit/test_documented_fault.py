"""CONTRIBUTING's fault, copied word for word into one new file, is a fault of this house: nothing else has to name it.

That it keeps the contract on real machines, over SSH and with the dead-man timer is in tests/cluster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.core.protocols import Cluster, Laddered
from harness.core.values import NodeSpec
from harness.registry import fitness
from harness.testing import fault_contract, memory_shell
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from tests import documented


@pytest.fixture
def port(tmp_path: Path) -> Any:
    """Return the fault's class."""
    return documented.fault(tmp_path)


def in_memory(folder: Path) -> Cluster:
    """Return three nodes in memory whose shells run scripts."""
    provider = MemoryProvider()
    nodes = provider.create("r1", [NodeSpec(f"n{number}", f"10.77.0.1{number}") for number in (1, 2, 3)])
    for node in nodes:
        assert isinstance(node, MemoryNode)
        own = folder / node.name
        own.mkdir()
        node.programs["sh"] = memory_shell.shell(node, own)
    return Cluster("r1", nodes, provider, BareMode(), FakeClock(moves_itself=True))


@pytest.mark.parametrize("names", ["n1", "n2 n3"])
@pytest.mark.parametrize("promise", fault_contract.FAULT.values(), ids=fault_contract.FAULT)
def test_it_keeps_every_promise_of_a_fault(port: Any, promise: Callable[[fault_contract.Case], None], names: str, tmp_path: Path) -> None:
    """In memory, by its own scripts."""
    cluster = in_memory(tmp_path)
    promise(fault_contract.Case(port(8001), cluster, [cluster.node(name) for name in names.split()]))


@pytest.mark.parametrize("promise", fault_contract.LADDERED.values(), ids=fault_contract.LADDERED)
def test_it_says_on_what_it_stands(port: Any, promise: Callable[[type[Laddered]], None]) -> None:
    """As every fault that doctor asks."""
    promise(port)


def test_it_is_fit_to_be_a_plug_in(port: Any) -> None:
    """Nothing is found wrong with it."""
    assert list(fitness.lacks("faults", "net.port", port)) == []


@pytest.mark.parametrize("number", [0, 22, 65536])
def test_what_is_no_port_to_be_cut_is_refused(port: Any, number: int) -> None:
    """Nor is the way to the nodes."""
    with pytest.raises(ValueError, match="cannot be cut"):
        port(number)


PARTS = ("harness", "tests", "docs", "scenarios", "fixtures", "vagrant", "bench", ".ci", "results")
ASKED = (
    "tests/unit/test_house.py",
    "tests/unit/test_imports.py",
    "tests/unit/test_traits.py",
    "tests/unit/test_faults.py::test_every_fault_is_a_frozen_dataclass_named_as_in_its_table",
    "tests/unit/test_doctor.py::test_a_whole_machine_is_ready_and_every_fault_has_its_rung",
    "tests/unit/test_plug_ins.py::test_ours_also_pass_what_is_asked_of_others",
    "tests/unit/test_slips.py::test_of_each_parameter_it_is_told_what_it_is",
    "tests/unit/test_cli_modes.py",
    "tests/unit/test_scenario.py::test_the_schema_names_everything_there_is",
    "tests/contract/test_contracts.py",
)
"""Whatever asks something of every fault, and needs no machine."""
CHOSEN = "(memory-Port or net.port or not test_contracts) and not workload and not scenario_says and not written and not unfinished"
"""Of what is asked of each fault in turn only what is asked of the new one, and nothing that is about no fault: all that is asked elsewhere."""


def _runs(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name != "README.md"] if Path(folder) == documented.REPO / "results" else []


@pytest.mark.slow
def test_one_new_file_is_all_that_it_takes(tmp_path: Path) -> None:
    """In a copy of the tree every test that goes through all faults passes with the file there, and has tried it; the command knows it as ours."""
    for part in PARTS:
        # Also what Python has made of the modules: it looks whether that is still so. No runs: they may be many, and come and go meanwhile.
        shutil.copytree(documented.REPO / part, tmp_path / part, ignore=_runs)
    for each in documented.REPO.iterdir():
        if each.is_file() and not each.is_symlink():
            shutil.copy(each, tmp_path)
    (tmp_path / f"{documented.MODULE.replace('.', '/')}.py").write_text(documented.code(), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": ""}
    argv = [sys.executable, "-m", "pytest", "-m", "not cluster", "-p", "no:cacheprovider", "-q", "-rA", "-k", CHOSEN, *ASKED]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    tried = [line for line in done.stdout.splitlines() if line.startswith("PASSED") and "Port(port=2379)" in line]
    assert len(tried) == 2 * len(fault_contract.FAULT), tried
    argv = [sys.executable, "-m", "harness", "modes"]
    said = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "net.port" in said.stdout
