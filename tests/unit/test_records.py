"""The provider's own records: what another process needs to reach, mend and remove a cluster."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError, NoSuchRun, Unreadable
from harness.core.values import NodeSpec
from harness.host import state
from harness.host.processes import Process
from harness.providers import clusters
from harness.providers.nspawn import nspawn_records
from harness.providers.nspawn.nspawn_records import MachineRecord

RUN = "cut-1"
SPECS = (NodeSpec("n1", "10.77.0.11", faultable_disk=True, disk_mb=512), NodeSpec("n2", "10.77.0.12"))
MACHINE = MachineRecord(Process(10, 1000), Process(11, 1001))


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep all state in a folder of the test's own, and return the run's."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    return state.run_folder(RUN)


# -- clusters


def test_a_cluster_is_read_as_it_was_noted(folder: Path) -> None:
    """With who made it: this process, which lives."""
    nspawn_records.open_cluster(RUN, [Path("/images/top"), Path("/images/a b")], SPECS)
    record = nspawn_records.read_cluster(RUN)
    assert (record.run_id, record.layers, record.nodes) == (RUN, ("/images/top", "/images/a b"), SPECS)
    assert record.owner == Process.of(os.getpid())
    assert record.owner.alive
    assert [each.name for each in folder.iterdir()] == ["cluster.json"]


def test_a_cluster_is_noted_anew(folder: Path) -> None:
    """The later note counts, as a whole."""
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS)
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS[1:])
    assert nspawn_records.read_cluster(RUN).nodes == SPECS[1:]


def test_a_cluster_without_a_record_was_never_made_or_is_gone() -> None:
    """Also where another's id begins alike."""
    nspawn_records.open_cluster(f"{RUN}0", [Path("/image")], SPECS)
    with pytest.raises(NoSuchRun, match=r"no cluster of cut-1 is there: .* it was destroyed, or never created"):
        nspawn_records.read_cluster(RUN)


def test_an_owner_that_has_ended_does_not_live(folder: Path) -> None:
    """Its pid may be in use again, by another process."""
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS)
    body = json.loads((folder / "cluster.json").read_text())
    body["owner"]["started"] -= 1
    (folder / "cluster.json").write_text(json.dumps(body))
    assert not nspawn_records.read_cluster(RUN).owner.alive


GOOD: dict[str, Any] = {"run_id": RUN, "image": "/image", "nodes": [], "owner": {"pid": 1, "started": 1}}
DAMAGED = {
    "empty": b"",
    "half": b'{"run_id": "cut-1", "ima',
    "no text": b"\xff\xfe",
    "a list": b"[]",
    "nothing": b"null",
    "a key less": json.dumps({key: value for key, value in GOOD.items() if key != "image"}).encode(),
    "no owner": json.dumps({**GOOD, "owner": None}).encode(),
    "a node of another version": json.dumps({**GOOD, "nodes": [{"name": "n1", "address": "10.77.0.11", "mood": 1}]}).encode(),
    "a node without an address": json.dumps({**GOOD, "nodes": [{"name": "n1"}]}).encode(),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_record_is_not_read_as_none(folder: Path, case: str) -> None:
    """Its file is named, with what removes the rest: there may be a cluster, of which nobody can tell."""
    folder.mkdir(parents=True)
    (folder / "cluster.json").write_bytes(DAMAGED[case])
    with pytest.raises(Unreadable, match=r"cluster\.json cannot be read: .*`whalefall sweep` removes what is left"):
        nspawn_records.read_cluster(RUN)


@pytest.mark.parametrize("run_id", ["", "..", "../cut-1", "A"])
def test_an_id_that_is_none_of_ours_reaches_no_file(tmp_path: Path, run_id: str) -> None:
    """Neither to read nor to write."""
    with pytest.raises(HarnessError, match="is no run id"):
        nspawn_records.open_cluster(run_id, [Path("/image")], SPECS)
    with pytest.raises(HarnessError, match="is no run id"):
        nspawn_records.read_cluster(run_id)
    assert list(tmp_path.iterdir()) == []


# -- machines


def test_a_machine_is_read_as_it_was_noted(folder: Path) -> None:
    """For its own node only; what was started last counts."""
    (folder / "nodes" / "n1").mkdir(parents=True)
    nspawn_records.write_machine(RUN, "n1", MachineRecord(Process(1, 2), Process(3, 4)))
    nspawn_records.write_machine(RUN, "n1", MACHINE)
    assert nspawn_records.read_machine(RUN, "n1") == MACHINE
    assert nspawn_records.read_machine(RUN, "n2") is None
    assert [each.name for each in nspawn_records.node_folder(RUN, "n1").iterdir()] == ["machine.json"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b"null", b'{"launcher": {"pid": 1, "started": 2}}', b'{"launcher": 1, "leader": 2}']
)
def test_a_damaged_note_is_none(folder: Path, body: bytes) -> None:
    """Nothing is known to have been started; the cgroups know the rest."""
    (folder / "nodes" / "n1").mkdir(parents=True)
    (folder / "nodes" / "n1" / "machine.json").write_bytes(body)
    assert nspawn_records.read_machine(RUN, "n1") is None


# -- files


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """A write that fails half-way leaves what was there."""
    file = tmp_path / "a.json"
    clusters.write(file, {"good": 1})
    with pytest.raises(TypeError):
        clusters.write(file, {"good": 2, "bad": object()})
    assert json.loads(file.read_text()) == {"good": 1}
    clusters.write(file, {"good": 3})
    assert json.loads(file.read_text()) == {"good": 3}
