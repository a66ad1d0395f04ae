"""The real command in a process of its own, interrupted, killed and kept: what it says, how it ends, and that nothing is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.protocols import Cluster
from tests.cluster.running import environ, read_until, reaper_of, run_argv

SCENARIO = """
scenario: real-cli
why: The smallest cluster there is, with a hung dockerd, to stop, kill and keep the command at.
cluster: {nodes: 1, profile: fast}
apps: [{name: web, instances: 1}]
steps: [{wait: 0s}, {fault: daemon.hang, on: n1, hold: 60s}]
settle: 20s
promises: [conflicts]
"""
SECONDS = 10.0
"""Within which everything must be gone after the command has ended, however it ended."""

pytestmark = pytest.mark.cluster


@dataclass
class Command:
    """A folder with a scenario, results and a state of its own, and the command in it."""

    folder: Path
    said: list[str] = field(default_factory=list)
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of the command."""
        return environ(WHALEFALL_STATE=str(self.folder / "state"))

    def start(self, *args: str, until: str, results: Path = Path("results")) -> subprocess.Popen[str]:
        """Start `whalefall run` and return once it has said `until` (a regular expression)."""
        argv = run_argv(Path("scenario.yaml"), results, *args)
        child = subprocess.Popen(
            argv, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.children.append(child)
        read_until(child, until, self.said)
        return child

    def end(self, child: subprocess.Popen[str]) -> int:
        """Read what it still says, and return its exit status."""
        assert child.stdout is not None
        self.said += child.stdout.readlines()
        return child.wait(30.0)

    def call(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run another command of whalefall to its end."""
        argv = [sys.executable, "-m", "harness", *args]
        return subprocess.run(argv, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=60.0)

    @property
    def run(self) -> Path:
        """Return the folder of the one run there is."""
        return (self.folder / "results" / "latest").resolve()

    def in_force(self) -> bool:
        """Ask the kept node's own kernel whether its dockerd is stopped. In a process of its own, which has the state folder."""
        script = (
            "import sys; from harness.core.protocols import Cluster; from harness.providers import PROVIDERS; from harness.modes import MODES;"
            "from harness.faults import FAULTS; provider = PROVIDERS['nspawn'](); nodes = provider.adopt(sys.argv[1]);"
            "cluster = Cluster(sys.argv[1], nodes, provider, MODES['fleet'].from_timers('fast', {}));"
            "assert provider.is_on(nodes[0]), 'the machine is gone'; print(FAULTS['daemon.hang']().in_force(cluster, nodes[0]))"
        )
        argv = [sys.executable, "-c", script, self.run.name]
        done = subprocess.run(argv, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=True, timeout=30.0)
        return done.stdout.strip() == "True"

    def left(self) -> list[str]:
        """Say what of this folder's runs is still on this machine: namespaces, groups, processes, mounts, loop devices, records."""
        found: list[str] = []
        for each in (self.folder / "results").glob("*/plan.json"):
            run_id = each.parent.name
            found += [str(path) for path in Path("/run/netns").glob(f"wf-{run_id}*")]
            found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/whalefall/{run_id}")]
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                seen = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                mounts = (entry / "mountinfo").read_bytes()
            except OSError:
                continue
            # Mounts of machines lie below the state folder; what a test itself mounts beside it is its own.
            if f"{self.folder}/".encode() in seen or f"{self.folder}/state/".encode() in mounts:
                found.append(f"process {entry.name}")
        loops = subprocess.run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], capture_output=True, text=True, check=True)
        found += [f"loop device over {line}" for line in loops.stdout.split() if line.startswith(f"{self.folder}/")]
        return found + [str(each) for each in (self.folder / "state" / "runs").glob("*")]

    def must_be_gone(self) -> None:
        """Wait until nothing is left."""
        wait_until(
            lambda: not self.left(),
            awaited="nothing to be left",
            seconds=SECONDS,
            clock=SystemClock(),
            every=0.2,
            saw=lambda: "; ".join(self.left()),
        )

    def destroy(self) -> None:
        """Remove every cluster of this folder, from another process, as the reaper would."""
        script = "import sys; from harness.providers import PROVIDERS; [PROVIDERS['nspawn']().destroy(each) for each in sys.argv[1:]]"
        runs = [each.name for each in (self.folder / "state" / "runs").glob("*")]
        subprocess.run([sys.executable, "-c", script, *runs], cwd=self.folder, env=self.environ, check=True, timeout=60.0)


@pytest.fixture
def command() -> Iterator[Command]:
    """Lend a command, and remove whatever it left behind."""
    with tempfile.TemporaryDirectory(prefix="wfc", dir="/tmp") as folder:
        made = Command(Path(folder))
        (made.folder / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
        try:
            yield made
        finally:
            for child in made.children:
                if child.poll() is None:
                    child.kill()
                child.wait()
                if child.stdout is not None:
                    child.stdout.close()
            made.destroy()


def test_ctrl_c_mends_removes_and_says_so(command: Command) -> None:
    """SIGINT to the whole group, as a terminal sends it, while a fault is in force: exit 130, the ledger closed, nothing left at exit."""
    child = command.start(until="is in force")
    os.killpg(child.pid, signal.SIGINT)
    assert command.end(child) == 130
    assert command.said[-3] == "stopped: what was broken is mended, and the cluster is gone\n"
    assert command.said[-2].startswith("kept in ")
    assert command.said[-1].startswith("evidence: whalefall show ")
    assert [json.loads(line)["state"] for line in (command.run / "ledger.jsonl").read_text().splitlines()] == ["open", "closed"]
    assert command.left() == []
    shown = command.call("judge")
    assert shown.returncode == 3
    assert "it was asked to end early" in " ".join(shown.stdout.split())


def test_a_kept_run_without_harness_and_reaper_can_be_read_and_mended(command: Command) -> None:
    """The reaper is killed first, then the harness: list, show, judge and heal still do their work, each from a process of its own."""
    child = command.start("--keep", until="is in force")
    os.kill(reaper_of(child), signal.SIGKILL)
    child.kill()
    assert command.end(child) == -signal.SIGKILL
    assert command.in_force()
    assert "killed" in command.call("list").stdout
    assert command.call("show").returncode == 0
    assert command.call("judge").returncode == 3
    healed = command.call("heal", command.run.name)
    assert healed.returncode == 0
    assert healed.stdout == f"{command.run.name}: daemon.hang on n1 was healed\n"
    assert not command.in_force()
    assert command.call("heal").stdout == "nothing is broken\n"
    command.destroy()
    command.must_be_gone()


def test_the_reaper_mends_a_kept_cluster_also_where_results_is_a_relative_path(command: Command) -> None:
    """`--results` is relative by default; after SIGKILL the cluster stays, and nothing on it stays broken."""
    child = command.start("--keep", until="is in force")
    child.kill()
    command.end(child)
    wait_until(lambda: not command.in_force(), awaited="the reaper to wake dockerd", seconds=SECONDS, clock=SystemClock(), every=0.5)


HERE = """
scenario: real-here
why: Something broken on this machine, and something that goes on here, when the harness is killed.
cluster: {{nodes: 1, profile: fast}}
apps: [{{name: web, instances: 1}}]
probes:
  - {{name: front, on: here, command: bash -c "exec 3<>/dev/tcp/$WHALEFALL_ADDRESSES/8001", every: 200ms}}
workloads:
  - command: {{name: load, run: "sleep 300.25 & while sleep 0.2; do echo '{{\\"ok\\": 1}}'; done"}}
  - command: {{name: inside, on: n1, run: "while sleep 0.2; do echo '{{\\"ok\\": 1}}'; done"}}
steps:
  - {{fault: command, on: here, as: mine, with: {{inject: touch {0}/mark, heal: 'rm -f {0}/mark; echo mended', in_force: test -e {0}/mark}}}}
  - {{do: command, on: here, at most: 60s, with: {{run: 'echo $$ >{0}/pid; sleep 300.5 & sleep 300.5'}}}}
settle: 20s
promises: [conflicts, probe: {{name: front, share: 99%, gap: 5s}}]
"""


def test_what_is_done_here_is_ended_and_mended_where_the_harness_was_killed(command: Command) -> None:
    """By the reaper, before the cluster goes; and a probe here reached the node all the while."""
    (command.folder / "scenario.yaml").write_text(HERE.format(command.folder), encoding="utf-8")
    child = command.start(until=r"action 1 \(command.* on here\) begins")
    began = command.folder / "pid"
    wait_until(lambda: began.exists() and began.read_text() != "", awaited="the command to run", seconds=SECONDS, clock=SystemClock())
    assert (command.folder / "mark").exists()
    child.kill()
    assert command.end(child) == -signal.SIGKILL
    command.must_be_gone()
    assert not (command.folder / "mark").exists()
    assert subprocess.run(["pgrep", "-f", "^sleep 300[.](5|25)"], check=False, capture_output=True).stdout == b""
    noted = (command.run / "reaper.log").read_text()
    # The action; the load, unless it ended when nobody heard it any more; and a probe may have been under way.
    assert re.search(r"what its harness had begun on this machine was ended \([1-3] commands?\)", noted)
    assert "command on here was healed; it said: here: mended" in noted
    answers = [json.loads(line) for line in (command.run / "history.jsonl").read_text().splitlines() if '"answered"' in line]
    assert {each["outcome"] for each in answers if each["workload"] == "probe"} == {"ok"}
    said = [each for each in answers if each["workload"] == "command"]
    assert said
    assert all(json.loads(each["value"])["ok"] > 0 for each in said)
    kept = [command.run / "commands" / f"{name}.log" for name in ("load", "inside")]
    assert all(each.read_text().startswith('{"ok": 1}\n') for each in kept)


def test_a_full_results_folder_ends_in_one_error_and_nothing_left(command: Command) -> None:
    """Exit 4, no traceback, the cluster gone, though not a byte more can be written."""
    results = command.folder / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "wf-full", str(results)], check=True)
    try:
        child = command.start(until="phase: deploying")
        filler = subprocess.run(["dd", "if=/dev/zero", f"of={results / 'full'}", "bs=4k"], capture_output=True, check=False)
        assert b"No space left" in filler.stderr
        assert command.end(child) == 4
        assert "Traceback" not in "".join(command.said)
        command.must_be_gone()
    finally:
        for child in command.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        command.destroy()
        subprocess.run(["umount", "--lazy", str(results)], check=True)


def test_sweep_leaves_a_live_cluster_of_another_state_folder_alone(machines: Cluster, tmp_path: Path) -> None:
    """Two people on one machine, or one with WHALEFALL_STATE set: whose state it is not must not be removed. Only asked here, never swept."""
    script = "import sys; from harness.providers import PROVIDERS; print(PROVIDERS['nspawn']().runs().get(sys.argv[1], True))"
    env = environ(WHALEFALL_STATE=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script, machines.run_id], env=env, capture_output=True, text=True, check=True, timeout=30.0
    )
    assert done.stdout == "True\n"
