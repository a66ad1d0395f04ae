"""A host that has only the unified hierarchy of control groups, as newer distributions do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.providers.nspawn import cgroups
from tests.cluster.running import FAST, environ, run_argv

# In a mount namespace of its own this host looks like one with pure v2: nothing of the real hierarchies is touched. Controllers stay with v1, so
# what a node gets of them is not shown here; layout, delegation, freezing and node truth are.
_ONLY_V2 = 'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(cgroups.pure_v2(), reason="this host is pure v2: every other test shows it")]


def test_a_node_kill_holds_on_a_pure_v2_host(tmp_path: Path) -> None:
    """Nodes boot, run containers, are seen, killed and removed with one hierarchy only."""
    results = tmp_path / "results"
    run = run_argv("node-kill.yaml", results, *FAST, seed=3)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ONLY_V2, "sh", *run],
        capture_output=True,
        text=True,
        check=False,
        env=environ(),
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    (run_id,) = [each.name for each in results.iterdir() if not each.is_symlink()]
    assert cgroups.left(run_id) == []
