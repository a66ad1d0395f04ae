"""A cluster's network: one namespace with a bridge for the cluster, one for every node, joined by veth pairs.

Nothing touches the host's own addresses, routes or rules, so clusters run side by side with the same addresses. The namespaces are made before
the machines and joined by them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from harness.core.errors import HarnessError, brief, gist
from harness.core.values import NodeSpec
from harness.host import marks, state
from harness.host.processes import run_tool
from harness.providers import clusters
from harness.providers.netns import GATEWAY, entered, marking, proven, remove, unproven

FOLDER = Path("/run/netns")
PREFIX = "wf-"
BITS = 24


def name_of(run_id: str, node: str | None = None) -> str:
    """Return the name of the cluster's namespace, or of a node's."""
    return f"{PREFIX}{run_id}.{node}" if node else f"{PREFIX}{run_id}"


def path_of(run_id: str, node: str | None = None) -> Path:
    """Return the file that holds a namespace."""
    return FOLDER / name_of(run_id, node)


def _ip(run_id: str, *argv: str, stdin: str = "") -> str:
    # The umask is for /run/netns, which it makes, and which is this machine's.
    done = run_tool(["ip", *argv], environ=marks.environ(run_id), told=stdin, umask=0o022)
    if done.returncode:
        raise HarnessError(f"{brief(('ip', *argv))} failed with status {done.returncode}: {gist(done.stderr)}; needs root and iproute2")
    return done.stdout


def create(run_id: str, specs: Sequence[NodeSpec]) -> None:
    """Make all namespaces, the bridge and the links. What is half made on an error is removed by `destroy`."""
    cluster = name_of(run_id)
    _ip(run_id, "netns", "add", cluster)
    for spec in specs:
        _ip(run_id, "netns", "add", name_of(run_id, spec.name))
    lines = [
        marking(run_id),
        "link set lo up",
        # No spanning tree, no learning delay: a link is there at once, as a cable on a switch that is up.
        "link add name br0 type bridge stp_state 0 forward_delay 0",
        "link set br0 addrgenmode none",
        f"addr add {GATEWAY}/{BITS} dev br0",
        "link set br0 up",
    ]
    for spec in specs:
        lines += [
            f"link add {spec.name} type veth peer name eth0 netns {name_of(run_id, spec.name)}",
            f"link set {spec.name} addrgenmode none",
            f"link set {spec.name} master br0 up",
        ]
    _ip(run_id, "-n", cluster, "-batch", "-", stdin="\n".join(lines) + "\n")
    for spec in specs:
        inside = [
            marking(run_id),
            "link set lo up",
            "link set eth0 addrgenmode none",
            f"addr add {spec.address}/{BITS} dev eth0",
            "link set eth0 up",
        ]
        _ip(run_id, "-n", name_of(run_id, spec.name), "-batch", "-", stdin="\n".join(inside) + "\n")


def unplug(run_id: str, node: str) -> None:
    """Pull a node's cable at the bridge, before its power is cut: the kernel would end its connections politely, which a dead machine does not."""
    if path_of(run_id).exists():
        _ip(run_id, "-n", name_of(run_id), "link", "set", node, "down")


def plug(run_id: str, node: str) -> None:
    """Undo `unplug`. Without one it does nothing."""
    _ip(run_id, "-n", name_of(run_id), "link", "set", node, "up")


def forget(run_id: str, node: str) -> None:
    """Empty a dead machine's namespace of what was only in its memory: firewall rules, and every link but its cable.

    The namespace outlives the machine. So may those of its containers, for as long as a half-closed connection holds one: the old end of a
    container's link would stay on the new machine's bridge and answer for an address that a new container has by then.

    Raises `HarnessError`. Nothing is done where the namespace is gone.
    """
    if not path_of(run_id, node).exists():
        return
    name = name_of(run_id, node)
    _ip(run_id, "netns", "exec", name, "nft", "flush", "ruleset")
    for link in json.loads(_ip(run_id, "-n", name, "-json", "link", "show") or "[]"):
        if link["ifname"] not in {"lo", "eth0"}:
            with suppress(HarnessError):  # the other end of a pair that is gone already
                _ip(run_id, "-n", name, "link", "delete", link["ifname"])


def named(run_id: str) -> list[str]:
    """Return the names of all namespaces that are called as a run's, whoever made them."""
    exact, start = name_of(run_id), f"{name_of(run_id)}."
    return sorted(each for each in _listed() if each == exact or each.startswith(start))


def namespaces(run_id: str) -> list[str]:
    """Return the names of the namespaces that a run has now: those that are marked as its own, and those that its record names.

    Those are its own before they are marked: nothing had such a name when it was written.
    """
    nodes = clusters.nodes(run_id)
    recorded = {name_of(run_id), *(name_of(run_id, each) for each in nodes)} if nodes is not None else set()
    return [each for each in named(run_id) if each in recorded or proven(FOLDER / each, run_id)]


def runs() -> set[str]:
    """Return the ids of all runs that have a namespace on this machine."""
    return {each for each in _named_runs() if namespaces(each)}


def strangers() -> list[str]:
    """Say which namespaces are called as ours but are not proven to be, a sentence each."""
    found = sorted(each for each in _listed() if each.startswith(PREFIX))
    ours = {each for run_id in _named_runs() for each in namespaces(run_id)}
    return [unproven(FOLDER / each) for each in found if each not in ours]


def _named_runs() -> set[str]:
    names = {each[len(PREFIX) :].partition(".")[0] for each in _listed() if each.startswith(PREFIX)}
    return {each for each in names if state.is_run_id(each)}


def _listed() -> list[str]:
    with suppress(OSError):
        return [each.name for each in FOLDER.iterdir()]
    return []


def destroy(run_id: str) -> None:
    """Remove a run's namespaces. Twice is fine. The links go with them, and the kernel drops them once no process is inside."""
    for name in namespaces(run_id):
        remove(FOLDER / name)


def inside(run_id: str) -> AbstractContextManager[None]:
    """Put the calling thread into the cluster's namespace: its new sockets, and those of threads that it starts, reach the nodes."""
    return entered(path_of(run_id), run_id)
