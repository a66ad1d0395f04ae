"""Control groups on a host that systemd runs: such a host is played by a machine of ours, entered with this machine's own programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.protocols import Cluster
from harness.providers.nspawn import nspawn_records

REPO = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("bare-scope")]

# The machine's processes and its tree of control groups, its systemd within reach; all else is this machine's.
_ENTERED = """\
mount -t proc proc /proc
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmpfs /run
ln -s /proc/1/root/run/systemd /run/systemd
exec "$@"
"""

_PROGRAM = """
import json, subprocess, sys
from pathlib import Path
from harness.core.clock import SystemClock, wait_until
from harness.host import state
from harness.host.processes import Process, collect, kill_all
from harness.providers import clusters
from harness.providers.nspawn import cgroups, controllers, scope

def above():
    root = cgroups.ROOT
    files = [root / "cgroup.subtree_control", root / scope.SLICE / "cgroup.subtree_control"]
    return [file.read_text().split() for file in files] + [sorted(each.name for each in root.iterdir() if each.is_dir())]

clusters.register("inner-1", Process(1, 1), "nspawn")
before = above()
(made,) = cgroups.make("inner-1", "n1")
cgroups.make("inner-1", "n1")
sleeper = subprocess.Popen(["sleep", "100"])
(made / "below").mkdir()
(made / "below" / "cgroup.procs").write_text(str(sleeper.pid))
cgroups.freeze("inner-1", "n1", frozen=True)
frozen = cgroups.frozen("inner-1", "n1")
cgroups.freeze("inner-1", "n1", frozen=False)
theirs = subprocess.Popen(["systemd-run", "--scope", "--quiet", "--collect", "--unit=whalefall-lab.scope", "--slice=system.slice", "sleep", "300"])
lab = scope.folder(cgroups.ROOT, "lab")
procs = lab / "cgroup.procs"
wait_until(lambda: procs.is_file() and procs.read_text(), awaited="a stranger's scope", seconds=30.0, clock=SystemClock())
(state.REGISTRY / "inner-1.json").unlink()
shown = subprocess.run(["systemctl", "show", "--property=Delegate,ActiveState", "whalefall-inner-1.scope"], capture_output=True, text=True)
found = {
    "pure": cgroups.pure_v2(), "made": str(made), "frozen": frozen, "unit": shown.stdout.split(), "runs": sorted(cgroups.runs()),
    "processes": len(cgroups.processes("inner-1")), "while": above(), "before": before, "noted": controllers.note().exists(),
}

def gone():
    kill_all(cgroups.processes("inner-1"), 5.0)
    sleeper.poll()
    collect()
    cgroups.remove("inner-1")
    return not cgroups.left("inner-1")

wait_until(gone, awaited="nothing to be left", seconds=30.0, clock=SystemClock())

def unit():
    argv = ["systemctl", "show", "--property=LoadState,ActiveState,SubState", "whalefall-inner-1.scope"]
    done = subprocess.run(argv, capture_output=True, text=True)
    return done.stdout + done.stderr

cgroups.remove("lab")
found["theirs"] = [lab.is_dir(), theirs.poll(), cgroups.strangers(), len(cgroups.processes("lab"))]
subprocess.run(["systemctl", "stop", "whalefall-lab.scope"], check=True)
theirs.wait()
wait_until(lambda: "not-found" in unit(), awaited="systemd to forget the scope", seconds=60.0, clock=SystemClock(), saw=unit)
found["after"] = above()
print(json.dumps(found))
"""


def test_a_run_has_a_scope_of_its_own_and_nothing_above_it_changes(machines: Cluster) -> None:
    """Delegated, and gone with the run; systemd forgets it by itself."""
    record = nspawn_records.read_machine(machines.run_id, "n1")
    assert record is not None
    enter = ["nsenter", f"--target={record.leader.pid}", "--pid", "--cgroup", "unshare", "--mount", "--propagation", "private"]
    done = subprocess.run(
        [*enter, "sh", "-euc", _ENTERED, "sh", sys.executable, "-c", _PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPO), "SYSTEMD_IGNORE_CHROOT": "1"},  # our root is not that of its PID 1
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["pure"] is True
    assert found["made"] == "/sys/fs/cgroup/system.slice/whalefall-inner-1.scope/n1"
    assert found["unit"] == ["ActiveState=active", "Delegate=yes"] or found["unit"] == ["Delegate=yes", "ActiveState=active"]
    assert found["runs"] == ["inner-1"], "known by its word alone, for its record is gone"
    there, ended, (said,), counted = found["theirs"]
    assert (there, ended, counted) == (True, None, 0), "somebody's own scope of a like name stays, and so does who runs in it"
    assert "whalefall-lab.scope: left alone" in said
    assert "`systemctl stop whalefall-lab.scope` removes it" in said
    assert found["processes"] == 2, "the one that holds the scope, and the node's"
    assert found["frozen"] is True
    assert found["noted"] is False
    assert found["while"][2] == found["before"][2] == found["after"][2], "no group beside systemd's own"
    assert found["after"] == found["before"]
