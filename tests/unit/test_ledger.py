"""The ledger: on disk before a fault, enough to mend it by, and honest about what is open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import FaultFailed
from harness.faults.disk import Slow
from harness.faults.network import Partition
from harness.faults.power import NodeKill
from harness.ledger import Ledger, settle, unsettled
from harness.testing.clock import FakeClock


def _ledger(path: Path) -> Ledger:
    return Ledger(path, "run-1", "nspawn", "fleet", FakeClock(wall=5.0))


def test_an_open_line_holds_all_that_a_heal_needs(tmp_path: Path) -> None:
    """Fault, parameters, targets, provider and mode come back as they were."""
    ledger = _ledger(tmp_path / "ledger.jsonl")
    ledger.open(1, Partition(shape="ring"), ("n1", "n3"))
    (line,) = unsettled(tmp_path / "ledger.jsonl")
    assert (line.run_id, line.provider, line.mode, line.number) == ("run-1", "nspawn", "fleet", 1)
    assert line.targets == ("n1", "n3")
    assert line.fault == Partition(shape="ring")


def test_a_closed_line_is_no_longer_open(tmp_path: Path) -> None:
    """Only what was not closed is left, the newest first."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    ledger.open(1, NodeKill(), ("n1",))
    ledger.open(2, Slow(fsync=2.0), ("n2",))
    ledger.open(3, NodeKill(), ("n3",))
    ledger.close(2)
    assert [line.number for line in unsettled(path)] == [3, 1]


def test_another_process_can_close_a_line(tmp_path: Path) -> None:
    """The reaper settles what the conductor left open."""
    path = tmp_path / "ledger.jsonl"
    _ledger(path).open(1, NodeKill(), ("n1",))
    settle(path, [1], "reaper", FakeClock())
    assert unsettled(path) == []
    assert json.loads(path.read_bytes().splitlines()[-1])["by"] == "reaper"


def test_a_torn_last_line_was_never_acted_on(tmp_path: Path) -> None:
    """A harness that dies while it writes a line has not yet made the fault."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    ledger.open(1, NodeKill(), ("n1",))
    with path.open("ab") as file:
        file.write(b'{"state": "open", "number": 2, "na')
    assert [line.number for line in unsettled(path)] == [1]


def test_no_ledger_means_nothing_was_broken(tmp_path: Path) -> None:
    """A run that died before its ledger was made has nothing to mend."""
    assert unsettled(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(("name", "parameters"), [("node.vanish", {}), ("disk.slow", {"depth": 3}), ("net.partition", {"shape": "star"})])
def test_a_line_of_another_version_is_an_error_in_words(tmp_path: Path, name: str, parameters: dict[str, object]) -> None:
    """A fault or a parameter that this version does not know cannot be healed by it, and it says so."""
    path = tmp_path / "ledger.jsonl"
    _ledger(path).open(1, NodeKill(), ("n1",))
    body = json.loads(path.read_bytes())
    path.write_bytes(json.dumps({**body, "name": name, "parameters": parameters}).encode() + b"\n")
    (line,) = unsettled(path)
    with pytest.raises(FaultFailed, match=name):
        _ = line.fault


def test_a_fault_is_attended_while_its_harness_lives(tmp_path: Path) -> None:
    """`whalefall heal` must not mend what a live run has broken on purpose, and must mend what a dead one has."""
    path = tmp_path / "ledger.jsonl"
    _ledger(path).open(1, NodeKill(), ("n1",))
    (line,) = unsettled(path)
    assert line.attended
    body = json.loads(path.read_bytes())
    path.write_bytes(json.dumps({**body, "conductor": [body["conductor"][0], 1]}).encode() + b"\n")
    (line,) = unsettled(path)
    assert not line.attended
