"""What this machine must have before a single nspawn node is made, asked before anything is touched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from harness.core.values import NodeSpec
from harness.host import state, surroundings
from harness.providers.nspawn import capacity, cgroups
from harness.providers.room import free_bytes, free_memory, short_of_disk, short_of_memory

TOOLS = {
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
}
"""Program → Debian package."""
MB_PER_NODE = capacity.MEMORY_PER_NODE
"""Memory to have free for a node."""
DISK_MB_PER_NODE = 300
"""Disk to have free for a node: etcd's preallocated log files (128 MB), Docker's layers, logs; measured: some 220 MB after a run."""


def problems(specs: Sequence[NodeSpec]) -> list[str]:
    """Return one line for everything that is missing; empty when nodes can be made."""
    found = []
    if os.geteuid() != 0:
        found.append("not root: nodes are real machines; run it with sudo")
    found += [
        f"{tool} is missing: install the package {package}, or run ./setup"
        for tool, package in TOOLS.items()
        if not surroundings.which(tool)
    ]
    if not Path("/dev/loop-control").exists():
        found.append("/dev/loop-control is missing: the kernel has no loop devices; every node's disk is one")
    if "overlay" not in Path("/proc/filesystems").read_text(encoding="utf-8", errors="replace"):
        found.append("the kernel has no overlayfs; every node's root is one (try: modprobe overlay)")
    if not cgroups.hierarchies():
        found.append("no control groups are mounted on /sys/fs/cgroup; expected the unified hierarchy, alone or beside v1")
    found += [
        f"{folder} has a ':' in its name, by which overlayfs and systemd-nspawn tell folders apart: let {variable} name another folder"
        for variable, folder in (("WHALEFALL_STATE", state.runs().parent), ("WHALEFALL_CACHE", state.cache()))
        if ":" in str(folder)
    ]
    nodes = f"{len(specs)} nodes"
    return (
        found
        + surroundings.problems(len(specs))
        + capacity.problems(len(specs))
        + short_of_memory(nodes, MB_PER_NODE * len(specs), MB_PER_NODE)
        + short_of_disk(nodes, DISK_MB_PER_NODE * len(specs), DISK_MB_PER_NODE)
    )


def room() -> tuple[int, str]:
    """Return how many more nodes fit on this machine now, and what there is least of."""
    found = [(limit.fits, f"{limit.what}: {limit}") for limit in capacity.limits()]
    memory, disk = free_memory(), free_bytes(state.runs()) >> 20
    found.append((max(0, memory - capacity.OWN_MEMORY) // MB_PER_NODE, f"{memory} MB of memory are free, {MB_PER_NODE} MB a node"))
    found.append((disk // DISK_MB_PER_NODE, f"{disk} MB of disk are free, {DISK_MB_PER_NODE} MB a node"))
    return min(found)
