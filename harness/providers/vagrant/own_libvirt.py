"""A libvirtd of a run's own, in namespaces of its own: nothing of it touches this machine's network, rules, D-Bus or its own libvirt.

It stands in a network namespace (bridges, taps, dnsmasq, libvirt's firewall chains), a mount namespace (fresh ``/run`` and ``/sys``, libvirt's
folders bound from the run's folder) and a pid namespace, whose first process ends everything in it when it dies, however that happens. So clusters
run side by side with the same names and addresses, and removing one is a SIGKILL, ``ip netns delete`` and removing a folder. Its socket lies in the
run's folder and is reached from outside by a URI.

Every process in there is found without any record: ``/run`` is a tmpfs whose source is the mark of the run (`harness.host.marks`), which
`processes` reads in ``/proc/PID/mountinfo``. libvirt starts qemu and dnsmasq with environments of their own, so that the mark in an environment
finds only those who started it.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from harness.core import pace
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError
from harness.host import marks, state, surroundings
from harness.host.processes import PROC, Process, leave, pids, run_tool
from harness.providers import clusters, netns
from harness.providers.netns import entered, proven, unproven

FOLDER = Path("/run/netns")
PREFIX = "wfv-"
"""How the names of the namespaces of virtual clusters begin. Not as the nspawn provider's (``wf-``): each sweeps its own."""
START_SECONDS = 60.0
"""How long libvirtd may take to its first answer. By hand: 0.4 s on an idle machine."""

_SCRIPT = Path(__file__).with_name("libvirtd.sh")
_SUN_PATH = 107
"""Longest path of a unix socket, in bytes (sun_path, without its end)."""
_MOUNT = re.compile(r" / /run [^\n]* - tmpfs whalefall\.([a-z0-9-]+\.[0-9a-f]+) ")
_CONFIG: Mapping[str, str] = {
    "libvirtd.conf": (
        'auth_unix_rw = "none"\n'  # root only, as its folder is
        'unix_sock_rw_perms = "0700"\n'
        'unix_sock_dir = "{sock}"\n'
        'log_outputs = "3:stderr"\n'  # warnings and errors
    ),
    "qemu.conf": (
        'stdio_handler = "file"\n'  # no virtlogd: serial consoles are written by qemu itself
        'user = "root"\n'
        'group = "root"\n'
        "dynamic_ownership = 0\n"
        "remember_owner = 0\n"  # no extended attributes: a file system may have none
        'security_driver = "none"\n'
        "cgroup_controllers = [ ]\n"
        "namespaces = [ ]\n"
        "max_core = 0\n"
    ),
}


def name_of(run_id: str) -> str:
    """Return the name of a cluster's network namespace."""
    return f"{PREFIX}{run_id}"


def path_of(run_id: str) -> Path:
    """Return the file that holds a cluster's network namespace."""
    return FOLDER / name_of(run_id)


def home(folder: Path) -> Path:
    """Return where the libvirtd of a run keeps its files, under the run's folder."""
    return folder / "lv"


def uri(folder: Path) -> str:
    """Return how this libvirtd is reached from outside. Raises `HarnessError` where its socket's name would be too long for the kernel."""
    longest = home(folder) / "libvirt-admin-sock"
    if len(os.fsencode(longest)) > _SUN_PATH:
        raise HarnessError(f"{longest} is too long for a socket ({_SUN_PATH} bytes); set WHALEFALL_STATE to a shorter folder")
    return f"qemu:///system?socket={home(folder) / 'libvirt-sock'}"


def log(folder: Path) -> Path:
    """Return the file with all that libvirtd and what starts it say."""
    return home(folder) / "libvirtd.log"


def start(run_id: str, folder: Path) -> str:
    """Make the namespaces, start a libvirtd in them, and return its URI when it answers. What is half made on an error is removed by `end`."""
    where = uri(folder)
    here = home(folder)
    for each in ("etc", "lib", "log"):
        (here / each).mkdir(parents=True, exist_ok=True)
    for name, text in _CONFIG.items():
        (here / "etc" / name).write_text(text.format(sock=here), encoding="utf-8")
    cache = state.close_cache("libvirt")  # qemu is asked only once what it can do (1–3 s)
    environ = {
        **_environ(run_id),
        "WF_MARK": marks.mark(run_id),
        "WF_PROOF": netns.word_of(run_id),
        "WF_DIR": str(here),
        "WF_CACHE": str(cache),
    }
    # The umask is for /run/netns, which it makes, and which is this machine's.
    done = run_tool(["ip", "netns", "add", name_of(run_id)], environ=_environ(run_id), umask=0o022)
    if done.returncode:
        raise HarnessError(
            f"ip netns add {name_of(run_id)} failed with status {done.returncode}: {done.stderr.strip()}; needs root and iproute2"
        )
    namespaces = ["--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    with log(folder).open("ab") as file:
        child = subprocess.Popen(
            ["nsenter", f"--net={path_of(run_id)}", "unshare", *namespaces, "sh", str(_SCRIPT)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environ,
            cwd="/",
            umask=0o022,
            start_new_session=True,  # a Ctrl-C at the terminal is for the harness, not for the machines
        )

    def answers() -> bool:
        if child.poll() is not None:
            raise HarnessError(f"libvirtd ended with status {child.returncode} while starting; {tail(folder)}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
            knock.settimeout(1.0)
            try:
                knock.connect(str(here / "libvirt-sock"))
            except OSError:
                return False
            return True

    try:
        wait_until(
            answers,
            awaited="a libvirtd of its own to answer",
            seconds=pace.limit(START_SECONDS),
            clock=SystemClock(),
            every=0.02,
            saw=lambda: tail(folder),
        )
    finally:
        leave(child)
    return where


def tail(folder: Path) -> str:
    """Return the last words of libvirtd, for an error."""
    try:
        lines = log(folder).read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return "its log ends: " + (" | ".join(lines[-5:]) or "(nothing)")


def inside(run_id: str) -> AbstractContextManager[None]:
    """Put the calling thread where its sockets reach the nodes."""
    return entered(path_of(run_id), run_id)


def within(run_id: str, argv: list[str]) -> list[str]:
    """Return a command that runs `argv` in all of the run's namespaces, where it ends with them. Raises `HarnessError` if they are gone."""
    first = next((each for each in processes(run_id) if _is_first(each)), None)
    if first is None:
        raise HarnessError(f"the libvirtd of {run_id} is gone; was the cluster destroyed?")
    return ["nsenter", "--target", str(first.pid), "--net", "--mount", "--pid", "--wdns=/", "--", *argv]


def processes(run_id: str) -> set[Process]:
    """Return every process in a run's namespaces: libvirtd, qemu, dnsmasq, vagrant, and what they started."""
    return {process for process, run in _insiders() if run == run_id}


def runs() -> set[str]:
    """Return the ids of all runs that have a namespace or a process of this kind on this machine."""
    return {run for _, run in _insiders()} | {each for each in _named_runs() if _is_ours(each)}


def strangers() -> list[str]:
    """Say which namespaces are called as ours but are not proven to be, a sentence each."""
    return [unproven(path_of(each)) for each in sorted(_named_runs()) if not _is_ours(each)]


def _named_runs() -> set[str]:
    with suppress(OSError):
        found = {each.name.removeprefix(PREFIX) for each in FOLDER.iterdir() if each.name.startswith(PREFIX)}
        return {each for each in found if state.is_run_id(each)}
    return set()


def _is_ours(run_id: str) -> bool:
    """Whether the namespace that is called as a run's is its own: by its record, before which nothing was called so, or else by its mark."""
    return clusters.recorded(run_id) or proven(path_of(run_id), run_id)


def left(run_id: str) -> list[str]:
    """Say what of a run's namespaces is still there."""
    found = [f"network namespace {name_of(run_id)}"] if path_of(run_id).exists() and _is_ours(run_id) else []
    return found + [f"process {each.pid}" for each in sorted(processes(run_id), key=lambda each: each.pid)]


def remove(run_id: str) -> None:
    """Remove the network namespace, when nothing lives in it any more; one that is only called so stays. Twice is fine."""
    if not _is_ours(run_id):
        return
    netns.remove(path_of(run_id))


def _environ(run_id: str) -> dict[str, str]:
    return {"PATH": surroundings.path(), "LC_ALL": "C.UTF-8", **marks.environ(run_id)}


def _insiders() -> Iterator[tuple[Process, str]]:
    """Yield every process in a mount namespace whose /run names a run, with the run's id."""
    known: dict[str, str | None] = {}
    for pid in pids():
        try:
            namespace = str((PROC / str(pid) / "ns" / "mnt").readlink())
            if namespace not in known:
                match = _MOUNT.search((PROC / str(pid) / "mountinfo").read_text(encoding="utf-8", errors="replace"))
                known[namespace] = (marks.run_of(match[1]) or None) if match else None
        except OSError:  # it has ended, or is not ours to look at
            continue
        run = known[namespace]
        process = Process.of(pid) if run is not None else None
        if run is not None and process is not None:
            yield process, run


def _is_first(process: Process) -> bool:
    """Whether a process is number 1 of its own pid namespace."""
    try:
        status = (PROC / str(process.pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(line.startswith("NSpid:") and len(line.split()) > 2 and line.split()[-1] == "1" for line in status.splitlines())  # noqa: PLR2004 - one of ours, and its own


def which(name: str) -> bool:
    """Whether a program is there, also where only root's PATH has it."""
    return surroundings.which(name) is not None
