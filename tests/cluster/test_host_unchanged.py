"""This machine is after a run what it was before, whole or killed.

Other clusters may come and go on it meanwhile: only what none of them changes is looked at, and what bears this run's name.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.host import state
from harness.providers.nspawn import NspawnProvider, cgroups, machine
from tests.cluster.running import FAST, environ, run_argv

VOLATILE = {"kernel/ns_last_pid"}
"""Settings that the kernel itself changes all the time."""

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("host-unchanged")]


def _told(*argv: str) -> list[str]:
    """Return what a command says of this machine's network, without counters and dates."""
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    said = re.sub(r"\[\d+:\d+\]|^#.*$", "", done.stdout, flags=re.MULTILINE)
    return [line.rstrip() for line in said.splitlines() if line.strip()]


def _settings() -> dict[str, str]:
    """Return every setting of the kernel that can be written."""
    top, found = Path("/proc/sys"), {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = Path(folder, name)
            key = str(path.relative_to(top))
            try:
                if path.stat().st_mode & 0o222 and path.stat().st_mode & 0o444 and key not in VOLATILE:
                    found[key] = path.read_text(errors="replace")
            except OSError:  # it cannot be read at the moment (an empty key), or its device went
                continue
    return found


def _host() -> dict[str, object]:
    """Return this machine's own state."""
    mounts = [line.split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    files = [each / "cgroup.subtree_control" for each in (cgroups.ROOT, cgroups.ROOT / "unified")]
    return {
        "links": [line.split(":")[1] for line in _told("ip", "-oneline", "link", "show")],
        "addresses": [" ".join(line.split("valid_lft")[0].split()) for line in _told("ip", "-oneline", "address", "show")],
        "routes": [*_told("ip", "-4", "route", "show", "table", "all"), *_told("ip", "-6", "route", "show", "table", "all")],
        "rules": [*_told("ip", "-4", "rule", "show"), *_told("ip", "-6", "rule", "show")],
        "nftables": _told("nft", "--stateless", "list", "ruleset"),
        "iptables": [line for tool in ("iptables-save", "ip6tables-save") if _there(tool) for line in _told(tool)],
        "mounts": sorted((words[4], words[words.index("-") + 1]) for words in mounts if not words[4].startswith("/run/netns")),
        "controllers": [file.read_text().split() for file in files if file.is_file()],
    }


def _there(tool: str) -> bool:
    return subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True, check=False).returncode == 0


def _ours(run_id: str, folder: Path) -> list[str]:
    """Return what there is on this machine that bears a run's name, or lies in its folder."""
    names = {machine.machine_name(run_id, f"n{number}") for number in range(1, 10)}
    places = [*state.REGISTRY.glob("*"), *machine.TRACES.glob("*/*")]
    for top in ("/run", "/var/lib", "/var/tmp", "/var/cache", "/dev/shm", "/etc"):
        places += [*Path(top).glob("*"), *Path(top).glob("*/*"), *Path(top).glob("*/*/*")]
    places += [*Path("/tmp").glob("*"), *(Path(top, name) for top, inside, _ in os.walk(cgroups.ROOT) for name in inside)]
    found = [str(each) for each in {*places} if run_id in each.name or each.name in names]
    for loop in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found += [f"{loop.parts[3]} on {loop.read_text().strip()}"] if str(folder) in loop.read_text() else []
        except OSError:  # it went meanwhile
            continue
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if run_id in line or str(folder) in line]
    return found + NspawnProvider().leftovers(run_id)


@pytest.fixture
def short() -> Iterator[Path]:
    """Lend a folder with a short name: a node's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="wfh", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("end", ["whole", "killed"])
def test_a_run_leaves_this_machine_as_it_was(short: Path, end: str) -> None:
    """Addresses, routes, rules, packet filters, mounts, controllers and settings; and nothing bears its name."""
    NspawnProvider().prepare(lambda _: None)
    results, folder = short / "results", short / "state"
    before, settings = _host(), _settings()
    with subprocess.Popen(
        run_argv("slow-disk-leader.yaml", results, *FAST, seed=11),
        env=environ(WHALEFALL_STATE=str(folder)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        try:

            def machines() -> bool:
                assert child.poll() is None, "the run has ended before it had machines"
                return len([*folder.glob("runs/*/nodes/*/machine.json")]) > 1

            wait_until(machines, awaited="machines", seconds=120.0, clock=SystemClock(), every=0.01)
            (run_id,) = [each.name for each in folder.glob("runs/*")]
            there = _ours(run_id, folder)
            if end == "whole":
                assert child.wait(300) in {0, 1, 3}, "the harness failed: nothing is proven"
        finally:
            child.send_signal(signal.SIGKILL)
    assert len(there) > 5, f"too little to prove anything by its being gone: {there}"
    wait_until(
        lambda: not _ours(run_id, folder),
        awaited="nothing to be left",
        seconds=60.0,
        clock=SystemClock(),
        saw=lambda: "; ".join(_ours(run_id, folder)),
    )
    assert _host() == before
    after = _settings()
    assert {key: (value, after[key]) for key, value in settings.items() if key in after and after[key] != value} == {}
    assert list(folder.glob("runs/*")) == []
