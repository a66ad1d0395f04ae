"""What this machine must have before a single virtual machine is made, asked before anything is touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.values import NodeSpec
from harness.host import surroundings
from harness.host.processes import run_here
from harness.providers.room import short_of_disk, short_of_memory
from harness.providers.vagrant import own_libvirt, vagrant_records
from harness.providers.vagrant.virsh import Virsh

URI_VARIABLE = "WHALEFALL_LIBVIRT_URI"
"""Environment variable that names a libvirt that somebody else runs, in place of one of our own, e.g. ``qemu+ssh://big/system``."""
POOL_VARIABLE = "WHALEFALL_LIBVIRT_POOL"
"""Environment variable with the storage pool to use there; ``default`` if it is not set."""

ALWAYS = {"vagrant": "vagrant", "virsh": "libvirt-clients", "qemu-img": "qemu-utils"}
"""Program → Debian package, needed with any libvirt."""
OURS = {
    "libvirtd": "libvirt-daemon-system",
    "qemu-system-x86_64": "qemu-system-x86",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "iptables": "iptables",
}
"""Program → Debian package, needed for a libvirt of our own."""
PLUGINS = (
    Path("/usr/share/rubygems-integration/all/gems"),
    Path("/usr/share/vagrant-plugins"),
    Path("/opt/vagrant/embedded/gems"),
    Path("~/.vagrant.d/gems"),
)
"""Where vagrant-libvirt lies when it is installed: by Debian, by other packages, by ``vagrant plugin install``."""

EXTRA_MB = 704
"""Memory of the host that a machine takes beside its own: qemu itself, and a translation cache of 512 MB under software emulation.

Measured: a 640 MB guest with fleet and two apps took 1,334 MB.
"""
DISK_MB_PER_NODE = 1024
"""Disk to have free for a node: what it writes over its box, and one snapshot of its memory (206 MB for a 512 MB guest)."""


def foreign() -> str | None:
    """Return the URI of somebody else's libvirt that is to be used, or None for one of our own."""
    return os.environ.get(URI_VARIABLE) or None


def foreign_pool() -> str:
    """Return the storage pool to use there."""
    return os.environ.get(POOL_VARIABLE) or "default"


def problems(specs: Sequence[NodeSpec], memory_mb: int) -> list[str]:
    """Return one line for everything that is missing; empty when machines of `memory_mb` MB each can be made."""
    uri = foreign()
    found = surroundings.problems(len(specs))
    tools = ALWAYS if uri else ALWAYS | OURS
    found += [
        f"{tool} is missing: install the package {package}, or run ./setup --vms"
        for tool, package in tools.items()
        if not own_libvirt.which(tool)
    ]
    if own_libvirt.which("vagrant") and not _plugin():
        found.append("vagrant has no libvirt provider: install the package vagrant-libvirt, or `vagrant plugin install vagrant-libvirt`")
    if uri:
        return found + (_foreign_problems(uri, specs) if own_libvirt.which("virsh") else [])
    if os.geteuid() != 0:
        found.append(f"not root: a libvirt of our own needs namespaces; run it with sudo, or set {URI_VARIABLE}")
    if not Path("/dev/net/tun").exists():
        found.append("/dev/net/tun is missing: virtual machines have no network without it (try: modprobe tun)")
    found += [
        f"{each} is missing: install the package libvirt-daemon-system"
        for each in ("/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")
        if not Path(each).is_dir() and own_libvirt.which("libvirtd")
    ]
    count = max(1, len(specs))
    found += short_of_memory(f"{count} machines of {memory_mb} MB", (memory_mb + EXTRA_MB) * count)
    return found + short_of_disk(f"{count} machines", DISK_MB_PER_NODE * count)


def _plugin() -> bool:
    """Whether vagrant-libvirt lies anywhere that Vagrant looks (asking Vagrant itself takes 2 s)."""
    if any(next(each.expanduser().glob("**/vagrant-libvirt*"), None) for each in PLUGINS):
        return True
    try:
        done = run_here(["vagrant", "plugin", "list"], seconds=60.0)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "vagrant-libvirt" in done.stdout


def _foreign_problems(uri: str, specs: Sequence[NodeSpec]) -> list[str]:
    """Return what stands in the way at somebody else's libvirt."""
    virsh = Virsh(uri, "preflight")
    try:
        virsh.ask("version")
    except HarnessError as error:
        return [f"{URI_VARIABLE}={uri} cannot be used: {error}"]
    found = []
    try:
        virsh.ask("pool-info", foreign_pool())
    except HarnessError as error:
        found.append(f"the storage pool {foreign_pool()} of {uri} cannot be used: {error}; set {POOL_VARIABLE}")
    wanted = {f"{each.address.rpartition('.')[0]}.1" for each in specs} | {f"{vagrant_records.MANAGEMENT}.1"}
    for name in virsh.lines("net-list", "--all", "--name"):
        taken = sorted(address for address in wanted if f"'{address}'" in virsh.ask("net-dumpxml", name))
        if taken:
            found.append(
                f"the network {name} of {uri} has {', '.join(taken)} already: one cluster at a time there; `whalefall sweep` removes dead ones"
            )
    return found
