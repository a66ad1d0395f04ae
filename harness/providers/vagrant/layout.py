"""The files of a run: keys, seeds, the storage pool, Vagrant's home, and the settings that the Vagrantfile reads.

All of it lies in the run's folder, so removing that folder removes it. A box is neither added nor uploaded (0.7 GB each time): Vagrant's home
links to it in the cache, and the pool has an empty overlay over its disk, under the name that vagrant-libvirt looks for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import harness
from harness.core.errors import CommandFailed, HarnessError
from harness.core.values import Json
from harness.host import box, marks, surroundings
from harness.host.processes import run_tool
from harness.providers import clusters
from harness.providers.netns import GATEWAY
from harness.providers.vagrant import vagrant_records
from harness.providers.vagrant.vagrant_records import VirtualMachine, VmCluster
from harness.providers.vagrant.virsh import Virsh

TB_CACHE_MB = 512
"""Translation cache of a machine under software emulation; by default qemu takes 1 GB for it.

Measured: Docker, started and used once, is translated into some 480 MB. With 128 MB all of it was thrown away ten times meanwhile, and the same work
took a fifth longer; with 512 MB once.
"""


def pool(folder: Path) -> Path:
    """Return the folder of the storage pool of a libvirt of our own."""
    return folder / "pool"


def version(image: box.Box) -> str:
    """Return the box's version for Vagrant: a number that follows from its key, so that a libvirt that lives on tells boxes apart."""
    return f"1.{int(image.key[:8], 16)}"


def lay_out(record: VmCluster, image: box.Box, identities: Mapping[str, box.Seed]) -> Path:
    """Make everything but the machines, and return the settings file. Raises `HarnessError`."""
    folder = clusters.folder(record.run_id)
    machines = vagrant_records.machines(record.run_id, record.nodes)
    virsh = Virsh(record.uri, record.run_id)
    for each in (pool(folder), folder / "console", folder / "seeds"):
        each.mkdir(parents=True, exist_ok=True)
    seeds = pool(folder) if record.private else folder / "seeds"
    for machine in machines:
        box.write_seed(seeds / machine.seed, identities[machine.name])
    kernel, initrd = str(image.kernel), str(image.initrd)
    if record.private:
        _overlay(record.run_id, image, pool(folder) / _volume(image))
        virsh.ask("pool-create-as", record.pool, "dir", "--target", str(pool(folder)))
    else:
        for machine in machines:
            virsh.upload(record.pool, machine.seed, seeds / machine.seed)
        kernel, initrd = (_uploaded(virsh, record.pool, image, each) for each in (image.kernel, image.initrd))
    _link_box(folder, image)
    virsh.create_network(network_xml(vagrant_records.network(record.run_id), GATEWAY, ()))
    virsh.create_network(network_xml(vagrant_records.management(record.run_id), f"{vagrant_records.MANAGEMENT}.1", machines))
    settings = folder / "settings.json"
    body = json.dumps(settings_of(record, image, machines, kernel=kernel, initrd=initrd), indent=1)
    settings.write_text(body + "\n", encoding="utf-8")
    return settings


def settings_of(record: VmCluster, image: box.Box, machines: Sequence[VirtualMachine], *, kernel: str, initrd: str) -> dict[str, Json]:
    """Return what the Vagrantfile is told."""
    folder = clusters.folder(record.run_id)
    return {
        "prefix": vagrant_records.prefix(record.run_id),
        "uri": record.uri,
        "pool": record.pool,
        "box": box.NAME,
        "box_version": version(image),
        "ours": True,
        "kernel": kernel,
        "initrd": initrd,
        "driver": record.driver,
        "memory": memory_mb(),
        "cpus": 2,  # one alone is held up by whatever starts, for longer than etcd's heartbeats bear
        "disk": f"{max(spec.disk_mb for spec in record.nodes)}M",
        "tb_cache": TB_CACHE_MB,
        "network": vagrant_records.network(record.run_id),
        "netmask": "255.255.255.0",
        "management": {"name": vagrant_records.management(record.run_id), "address": f"{vagrant_records.MANAGEMENT}.0/24"},
        "ssh": {"user": "root", "key": str(key(folder))},
        # A file of this machine: a libvirt elsewhere could not write it.
        "console": str(folder / "console") if record.private else None,
        "nodes": [
            {"name": each.name, "address": each.address, "mac": each.mac, "management_mac": each.management_mac, "seed": each.seed}
            for each in machines
        ],
    }


LONGEST_NUMBER = 9
"""Digits of a number of megabytes at most."""


def memory_mb() -> int:
    """Return the memory of one machine: ``WHALEFALL_VM_MEMORY``, or 640 MB. Raises `HarnessError` for what is no number from 256."""
    said = os.environ.get("WHALEFALL_VM_MEMORY") or "640"
    if not said.isdecimal() or len(said) > LONGEST_NUMBER or int(said) < 256:  # noqa: PLR2004 - the smallest that was seen to boot
        raise HarnessError(f"WHALEFALL_VM_MEMORY is {said[:40]!r}; expected megabytes, 256 or more")
    return int(said)


def kernel_release(kernel: Path) -> str:
    """Return the release that a Linux kernel image names in its header, e.g. ``6.1.0-50-cloud-amd64``; ``unknown`` where it names none."""
    try:
        head = kernel.read_bytes()[: 1 << 16]
        at = int.from_bytes(head[0x20E:0x210], "little") + 0x200  # Documentation/arch/x86/boot.rst: kernel_version
        words = head[at:].partition(b"\0")[0].decode("ascii").split()
    except (OSError, ValueError):
        return "unknown"
    return words[0] if head[0x202:0x206] == b"HdrS" and words else "unknown"


def key(folder: Path) -> Path:
    """Return the file with the key that opens this run's machines, and no others."""
    return folder / "keys" / "id_ed25519"


def vagrant_environ(run_id: str, settings: Path) -> dict[str, str]:
    """Return the environment for Vagrant: its home, its state and its settings are the run's own, and it calls nobody."""
    folder = clusters.folder(run_id)
    return {
        **surroundings.for_tools(),
        **marks.environ(run_id),
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder / "home"),
        "VAGRANT_HOME": str(folder / "home"),
        "VAGRANT_DOTFILE_PATH": str(folder / "dot"),
        "VAGRANT_CWD": str(vagrantfile_folder()),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_DEFAULT_PROVIDER": "libvirt",
        "LIBVIRT_DEFAULT_URI": vagrant_records.read_cluster(run_id).uri,
        "WHALEFALL_VAGRANT": str(settings),
    }


def vagrantfile_folder() -> Path:
    """Return the folder with the Vagrantfile: in a checkout beside the package, in an installed wheel inside it. Raises `HarnessError`."""
    package = Path(harness.__file__).resolve().parent
    for folder in (package / "_vagrant", package.parent / "vagrant"):
        if (folder / "Vagrantfile").is_file():
            return folder
    raise HarnessError(f"the Vagrantfile is neither in {package} nor beside it; install whalefall again, or work in a whole checkout")


def network_xml(name: str, gateway: str, machines: Sequence[VirtualMachine]) -> str:
    """Return a network of its own bridge, with no way out; with a fixed address by card for each of `machines`, if there are any.

    No spanning tree and no delay: a link is there at once, as a cable on a switch that is up. No name service: nodes have nobody to ask.
    """
    hosts = "".join(f"<host mac='{each.management_mac}' name='{each.name}' ip='{each.management}'/>" for each in machines)
    dhcp = f"<dhcp>{hosts}</dhcp>" if hosts else ""
    return (
        f"<network><name>{name}</name><bridge stp='off' delay='0'/><dns enable='no'/>"
        f"<ip address='{gateway}' netmask='255.255.255.0'>{dhcp}</ip></network>\n"
    )


def _volume(image: box.Box) -> str:
    """Return what vagrant-libvirt 0.11 calls the box's disk in a pool."""
    return f"{box.NAME}_vagrant_box_image_{version(image)}_box.img"


def _overlay(run_id: str, image: box.Box, target: Path) -> None:
    """Put an empty overlay over the box's disk into the pool: nothing is copied, and the cache's file is never written to."""
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image.disk), str(target)]
    done = run_tool(argv, environ=marks.environ(run_id))
    if done.returncode:
        raise CommandFailed("this machine", argv, done.returncode, done.stderr, "is the box whole? `whalefall image build --box` builds it")


def _link_box(folder: Path, image: box.Box) -> None:
    place = folder / "home" / "boxes" / box.NAME / version(image)
    place.mkdir(parents=True, exist_ok=True)
    (place / "libvirt").symlink_to(image.path)
    (folder / "home" / "setup_version").write_text("1.5", encoding="ascii")  # else Vagrant looks for older things to migrate


def _uploaded(virsh: Virsh, pool_name: str, image: box.Box, file: Path) -> str:
    """Return where a libvirt elsewhere has a file of the box, uploaded if it is not there yet. It stays: the next run uses it, too."""
    volume = f"{box.NAME}-{image.key}-{file.name}"
    if volume not in virsh.volumes(pool_name, volume):
        virsh.upload(pool_name, volume, file)
    return virsh.ask("vol-path", volume, "--pool", pool_name).strip()
