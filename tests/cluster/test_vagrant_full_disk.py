"""A virtual machine whose host's disk fills up while it boots: one clear error within seconds, and nothing left."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from harness import state
from harness.errors import HarnessError, Unsupported
from harness.providers.vagrant import VagrantProvider, lifecycle
from harness.providers.vagrant.records import ClusterRecord, Machine
from harness.values import NodeSpec

pytestmark = [pytest.mark.slow, pytest.mark.vm, pytest.mark.xdist_group("vagrant")]

SPECS = [NodeSpec("n1", "10.77.0.11")]
ROOM_MB, LEFT_MB = 1100, 4
"""What the disk has: enough by what is asked for before a machine is made; and what is left when it starts, of which a boot writes more."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Have runs on a small disk of their own."""
    disk = tmp_path / "s"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_MB}m", "whalefall-test", str(disk)], check=True)
    try:
        monkeypatch.setenv("WHALEFALL_STATE", str(disk))
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_disk_that_fills_up_while_a_machine_boots(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Qemu stops the machine, which would be waited for until the end of its time: the error comes before that, and names the disk."""
    up = lifecycle.up

    def filled(record: ClusterRecord, settings: Path, machines: Sequence[Machine]) -> None:
        with (small / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small).free - (LEFT_MB << 20))
        up(record, settings, machines)

    provider = VagrantProvider()
    try:
        facts: Mapping[str, object] = provider.prepare(lambda _: None)
    except Unsupported as e:
        if "CI" in os.environ:
            raise  # there it must run
        pytest.skip(str(e))
    assert facts
    monkeypatch.setattr(lifecycle, "up", filled)
    with pytest.raises(HarnessError, match="the disk is full; make room, or set WHALEFALL_STATE to a folder on a bigger disk") as caught:
        provider.create("vm-full-disk", SPECS)
    assert "had not ended after" not in str(caught.value)
    assert provider.leftovers("vm-full-disk") == []
    assert "vm-full-disk" not in provider.runs()
    assert not state.run_folder("vm-full-disk").exists()
    (small / "ballast").unlink()
    assert shutil.disk_usage(small).used < 1 << 20
