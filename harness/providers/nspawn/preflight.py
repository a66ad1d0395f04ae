"""What this machine must have before a single nspawn node is made, asked before anything is touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import state
from harness.providers.nspawn import cgroups
from harness.values import NodeSpec

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
MB_PER_NODE = 150
"""Memory to have free for a node: 60 MB measured for systemd, dockerd, etcd and fleetd, and some for apps."""
DISK_MB_PER_NODE = 300
"""Disk to have free for a node: etcd's preallocated log files (128 MB), Docker's layers, logs; measured: some 220 MB after a run."""


def problems(specs: Sequence[NodeSpec]) -> list[str]:
    """Return one line for everything that is missing; empty when nodes can be made."""
    found = []
    if os.geteuid() != 0:
        found.append("not root: nodes are real machines; run it with sudo")
    found += [
        f"{tool} is missing: install the package {package}, or run ./setup" for tool, package in TOOLS.items() if not shutil.which(tool)
    ]
    if not Path("/dev/loop-control").exists():
        found.append("/dev/loop-control is missing: the kernel has no loop devices; every node's disk is one")
    if "overlay" not in Path("/proc/filesystems").read_text():
        found.append("the kernel has no overlayfs; every node's root is one (try: modprobe overlay)")
    if not cgroups.hierarchies():
        found.append("no control groups are mounted on /sys/fs/cgroup; expected the unified hierarchy, alone or beside v1")
    need = MB_PER_NODE * len(specs)
    free = next(int(line.split()[1]) // 1024 for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    if free < need:
        found.append(f"{free} MB of memory are free; {len(specs)} nodes need about {need} MB")
    folder = state.runs()
    while not folder.exists():
        folder = folder.parent
    room = shutil.disk_usage(folder).free >> 20
    if room < DISK_MB_PER_NODE * len(specs):
        found.append(f"{room} MB of disk are free for {folder}; {len(specs)} nodes need about {DISK_MB_PER_NODE * len(specs)} MB")
    return found
