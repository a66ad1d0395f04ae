"""A real run from the worst place to start one: a cron job's PATH, no descriptors, low limits, no locale, an ignored SIGCHLD, odd paths."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.core.values import NodeSpec
from harness.host import image
from harness.providers.nspawn import NspawnProvider, cgroups
from tests.cluster.running import FAST, REPO, environ, run_argv

HOSTILE = """
import os, resource, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])
for limit, soft in ((resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_FSIZE, 1 << 20)):
    resource.setrlimit(limit, (soft, resource.getrlimit(limit)[1]))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for number in range(3):
    os.close(number)
os.execv(sys.argv[1], sys.argv[1:])
"""
CRON = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TMPDIR": "/nonexistent", "SHELL": "/bin/sh"}

pytestmark = pytest.mark.cluster


def test_a_run_is_the_same_wherever_it_is_started(tmp_path: Path) -> None:
    """It is judged and held, its plan is whole, and nothing of what it was given reaches a node."""
    home = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    home.mkdir()
    scenario = home / "node-kill.yaml"
    shutil.copyfile(REPO / "scenarios" / "node-kill.yaml", scenario)
    run = run_argv(scenario, home / "results", *FAST, seed=3)
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, *run],
        check=False,
        cwd=home,
        env={**CRON, "PYTHONPATH": str(REPO), **{name: value for name, value in os.environ.items() if name.startswith("WHALEFALL_")}},
        timeout=300,
    )
    (folder,) = [each for each in (home / "results").iterdir() if not each.is_symlink()]
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    assert (done.returncode, verdict["verdict"]) == (0, "held"), verdict
    assert json.loads((folder / "plan.json").read_text(encoding="utf-8"))["file"] == str(scenario)


def test_a_hard_limit_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    """With what it takes and what lifts it; where we may raise it ourselves, the run is made."""
    run = run_argv("node-kill.yaml", tmp_path / "results", *FAST, seed=3)
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *run],
        capture_output=True,
        text=True,
        check=False,
        env=environ(),
    )
    if done.returncode == 4:
        assert re.search(r"this process may open 64 files \(hard limit 64\); 3 nodes need (\d+): ulimit -n \1$", done.stderr, re.MULTILINE)
        assert not (tmp_path / "results").exists()
    else:
        assert done.returncode == 0, done.stdout


@pytest.fixture
def group() -> Iterator[Path]:
    """Lend a control group in which hardly more can run than a command."""
    top = cgroups.ROOT / "pids" if (cgroups.ROOT / "pids").is_dir() else cgroups.ROOT
    path = top / f"wf-test-{os.getpid()}"
    path.mkdir()
    try:
        if not (path / "pids.max").is_file():
            pytest.skip(f"{top} hands no pids controller down")
        (path / "pids.max").write_text("50")
        yield path
    finally:
        path.rmdir()


def test_a_control_group_that_gives_too_little_is_said_before_anything_is_touched(tmp_path: Path, group: Path) -> None:
    """As a CI job or a container has one: with what it takes, and what lifts it."""
    run = [sys.executable, "-m", "harness", "run", str(REPO / "scenarios" / "node-kill.yaml"), "--results", str(tmp_path / "results")]
    done = subprocess.run(
        ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(group), *run, "--plain"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPO), "WHALEFALL_STATE": str(tmp_path / "state")},
        timeout=120,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"processes; {group}/pids.max is 50, " in done.stderr
    assert f" would fit; echo 512 >{group}/pids.max" in done.stderr or f" would fit; echo 1024 >{group}/pids.max" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_image_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not come up because its image lacks a part says which image, and what to do."""
    for layer in image.ensure(lambda _: None).layers:
        broken = tmp_path / "images" / layer.key
        broken.mkdir(parents=True)
        shutil.copy(layer.path.parent / "image.json", broken)
        subprocess.run(["cp", "--archive", "--link", str(layer.path), str(broken / "root")], check=True)
        for each in (broken / "root" / "usr" / "lib" / "systemd").glob("systemd"):
            each.unlink()
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path))
    run_id = f"damaged-{os.getpid()}"
    with pytest.raises(HarnessError, match=r"the node image .* is damaged: .*`whalefall image prune --all` removes it") as told:
        NspawnProvider().create(run_id, [NodeSpec("n1", "10.77.0.11")])
    assert "its console ends: " in str(told.value)
    assert NspawnProvider().leftovers(run_id) == []
