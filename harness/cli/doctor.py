"""What this machine has and lacks for real nodes, and how each fault would be made here.

Looks, and changes nothing: what has to be tried is tried in namespaces that are thrown away. The nspawn provider asks for itself before it touches
anything; this is for people.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from harness.core.errors import HarnessError, in_words
from harness.core.plain import in_line
from harness.core.values import Rung
from harness.host import processes, pulling, state, surroundings
from harness.host.image import NEEDED_BYTES
from harness.host.layers import GO_MINIMUM, GO_PLACES, go_minimum
from harness.providers import room
from harness.providers.nspawn import capacity
from harness.providers.nspawn.nspawn_preflight import MB_PER_NODE, TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.core.protocols import Provider
    from harness.providers.nspawn.capacity import Limit

FEW = 50
"""A limit that is not enough for so many nodes is told with what lifts it."""

NODES = 3
"""The cluster that memory is counted for: what most scenarios ask for."""

PROBE_SECONDS = 20.0

BUILD_TOOLS = {"mmdebstrap": "mmdebstrap", "setpriv": "util-linux"}
"""Program → Debian package, for what only the build of a node image needs."""

VM_TOOLS = {
    "vagrant": "vagrant",
    "libvirtd": "libvirt-daemon-system",
    "virsh": "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
}
"""Program → Debian package, for what only virtual machines need and is worth a line of its own."""

PLUGIN = ("/usr/share/vagrant-plugins/plugins.d/vagrant-libvirt.json", "/opt/vagrant/embedded/gems")
"""Signs that vagrant-libvirt is installed: by Debian, or with a Vagrant that has its own Ruby."""

VERSION_FLAGS = {"ip": "-V", "mkfs.ext4": "-V", "go": "version"}
"""Where it is not ``--version``."""

_OVERLAY = (
    "mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir lower upper work all && "
    "mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/all"
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at. `ok` is None for what is worth knowing and stops nothing."""

    name: str
    ok: bool | None
    saw: str
    remedy: str = ""  # what to do, or what it means
    part: str = "machine"  # machine, tools, image, vms, leftovers, plug-ins, faults


class ThisMachine:
    """This machine, as far as the checks ask it. A double of it has the same methods."""

    def root(self) -> bool:
        """Whether we are root."""
        return os.geteuid() == 0

    def run(self, *argv: str) -> tuple[int, str]:
        """Run a command and return its exit status and all that it printed; status 127 where it is missing or gives no answer."""
        try:
            done = processes.run_bounded(argv, seconds=PROBE_SECONDS, stderr=subprocess.STDOUT)
        except (OSError, subprocess.TimeoutExpired) as error:
            return 127, str(error)
        return done.returncode, done.stdout.decode(errors="replace").strip()

    def which(self, tool: str) -> str | None:
        """Return where a program is, as a run would find it."""
        return surroundings.which(tool)

    def read(self, path: str) -> str | None:
        """Return the text of a file of the system, or None where there is none."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return Path(path).exists()

    def free(self, folder: Path) -> int:
        """Return the free bytes of the file system that a folder lies, or would lie, on."""
        return room.free_bytes(folder)

    def limits(self) -> list[Limit]:
        """Return what this machine carries of nodes, the tightest limit first."""
        return capacity.limits()

    def library(self, name: str) -> str | None:
        """Return the file name of a shared library."""
        return ctypes.util.find_library(name)


def checks(machine: ThisMachine | None = None) -> list[Diagnosis]:
    """Look at everything. Takes a second or two; changes nothing; needs no root, but sees less without."""
    here = machine or ThisMachine()
    images = _image_checks()
    cached = all(each.ok for each in images)
    found = [*_machine(here), *_tools(here, cached=cached), *_space(here, cached=cached), *images]
    return [*found, *_virtual_machines(here), *_leftovers(), *_plug_ins(), *_faults(here)]


def ready(found: Sequence[Diagnosis]) -> bool:
    """Whether the embedded default can run here."""
    return not any(check.ok is False for check in found)


_OWN_WORDS: Mapping[str, Mapping[bool | None, Text]] = {
    "faults": {True: Text("can", "green")},
    "plug-ins": {False: Text("BAD", "bold red")},
}
"""Parts whose findings have words of their own."""


def table(found: Sequence[Diagnosis]) -> Table:
    """Return what was found as a table: a word for each, then what was seen and what to do."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), caption=_conclusion(found), caption_justify="left", caption_style="")
    for column in ("", "what", "what was seen, and what to do"):
        shown.add_column(column, overflow="fold", no_wrap=not column)  # in narrow terminals the names make room
    usual = {True: Text("ok", "green"), False: Text("MISSING", "bold red"), None: Text("note", "yellow")}
    part = ""
    for check in found:
        if part and check.part != part:
            shown.add_section()
        part = check.part
        words = {**usual, **_OWN_WORDS.get(check.part, {})}
        saw = Text(in_line(check.saw))
        if check.remedy:
            saw.append(f"\n{in_line(check.remedy)}", "dim" if check.ok is True else "bold")
        shown.add_row(words[check.ok], in_line(check.name), saw)
    return shown


def _conclusion(found: Sequence[Diagnosis]) -> Text:
    missing = [in_line(check.name) for check in found if check.ok is False]
    if missing:
        return Text(f"nspawn nodes cannot run here: {', '.join(dict.fromkeys(missing))}", "bold red")
    return Text("nspawn nodes can run here", "bold green")


def _machine(here: ThisMachine) -> Iterator[Diagnosis]:
    root = here.root()
    yield Diagnosis("root", root, "root" if root else "not root", "" if root else "nodes are real machines: run it with sudo")
    release = here.read("/etc/os-release") or ""
    name = re.search(r'^PRETTY_NAME="?([^"\n]*)', release, re.MULTILINE)
    known = {match[1] for match in re.finditer(r'^(?:ID|VERSION_ID)="?([^"\n]*)', release, re.MULTILINE)} in (
        {"debian", "12"},
        {"ubuntu", "24.04"},
    )
    yield Diagnosis(
        "system", True if known else None, name[1] if name else "unknown", "" if known else "tried on Debian 12 and Ubuntu 24.04 only"
    )
    yield Diagnosis("kernel", ok=True, saw=(here.read("/proc/sys/kernel/osrelease") or "unknown").strip())
    first = (here.read("/proc/1/comm") or "unknown").strip()
    yield Diagnosis("PID 1", ok=True, saw=first, remedy="" if first == "systemd" else "nodes do not need the host's systemd")
    yield _cgroups(here)
    yield _overlay(here)
    yield _nftables(here)
    loop = here.exists("/dev/loop-control")
    yield Diagnosis(
        "loop devices",
        loop,
        "/dev/loop-control" if loop else "no /dev/loop-control",
        "" if loop else "every node's disk is one: modprobe loop",
    )


def _cgroups(here: ThisMachine) -> Diagnosis:
    if here.exists("/sys/fs/cgroup/cgroup.controllers"):
        return Diagnosis("control groups", ok=True, saw="version 2 alone")
    groups = [name for name in ("unified", "systemd", "freezer", "blkio") if here.exists(f"/sys/fs/cgroup/{name}/cgroup.procs")]
    if "unified" not in groups:
        saw = f"version 1: {', '.join(groups)}" if groups else "none mounted on /sys/fs/cgroup"
        return Diagnosis("control groups", ok=False, saw=saw, remedy="nodes need the unified hierarchy, alone or at /sys/fs/cgroup/unified")
    return Diagnosis("control groups", ok=True, saw=f"version 1 with {', '.join(groups)}")


def _overlay(here: ThisMachine) -> Diagnosis:
    known = "overlay" in (here.read("/proc/filesystems") or "")
    if not here.root():
        return Diagnosis(
            "overlayfs", known or None, "known to the kernel" if known else "not loaded", "" if known else "modprobe overlay, as root"
        )
    status, said = here.run("unshare", "--mount", "sh", "-c", _OVERLAY)
    if status == 0:
        return Diagnosis("overlayfs", ok=True, saw="mounts in a mount namespace of its own")
    return Diagnosis("overlayfs", ok=False, saw=_last(said), remedy="every node's root is one: modprobe overlay")


def _nftables(here: ThisMachine) -> Diagnosis:
    if not here.root():
        return Diagnosis("nf_tables", ok=None, saw="not tried: not root", remedy="partitions need it")
    status, said = here.run("unshare", "--net", "nft", "list", "tables")
    if status == 0:
        return Diagnosis("nf_tables", ok=True, saw="answers in a network namespace of its own")
    return Diagnosis("nf_tables", ok=False, saw=_last(said), remedy="partitions and Docker on the nodes need it: modprobe nf_tables")


def _tools(here: ThisMachine, *, cached: bool) -> Iterator[Diagnosis]:
    for tool, package in TOOLS.items():
        yield _tool(here, tool, package, needed=True)
    for tool, package in BUILD_TOOLS.items():
        yield _tool(here, tool, package, needed=not cached)
    yield _go(here, needed=not cached)
    yield _skopeo(here)


def _skopeo(here: ThisMachine) -> Diagnosis:
    """Say whether images can be pulled from registries. Nothing else needs it: a note, no more."""
    if here.which(pulling.TOOL) is None:
        remedy = f"{pulling.REMEDY}, or run ./setup (only for apps whose image comes from a registry)"
        return Diagnosis(pulling.TOOL, None, "not found", remedy, "tools")
    return _tool(here, pulling.TOOL, pulling.TOOL, needed=False)


def _tool(here: ThisMachine, tool: str, package: str, *, needed: bool) -> Diagnosis:
    path = here.which(tool)
    if path is None:
        remedy = f"apt-get install {package}, or run ./setup" + ("" if needed else " (only to build an image)")
        return Diagnosis(tool, False if needed else None, "not found", remedy, "tools")
    return Diagnosis(tool, ok=True, saw=f"{path}, {_version(here, path, tool)}", part="tools")


def _version(here: ThisMachine, path: str, tool: str) -> str:
    """Return the version as the tool itself says it."""
    said = here.run(path, VERSION_FLAGS.get(tool, "--version"))[1]
    found = re.search(r"(?<!\d)\d+(?:\.\d+)+|(?<=systemd )\d+|(?<=iproute2-)\S+", said)
    return found[0] if found else _first(said)


def _go(here: ThisMachine, *, needed: bool) -> Diagnosis:
    from harness import registry  # noqa: PLC0415 - it loads much; the rest of this module is of use without

    minimum, asks = GO_MINIMUM, ""
    with contextlib.suppress(HarnessError):  # what is wrong with a folder is told by whoever builds it
        minimum, asks = go_minimum(registry.layers().values())
    wanted = f"{'.'.join(map(str, minimum))} or later{f', which {asks} asks for' if asks else ''}"
    seen = []
    for place in (here.which("go"), *GO_PLACES):
        if place is None or not here.exists(place):
            continue
        said = here.run(place, "version")[1]
        found = re.search(r"\bgo(\d+)\.(\d+)\S*", said)
        if found and (int(found[1]), int(found[2])) >= minimum:
            return Diagnosis("go", ok=True, saw=f"{place}, {found[0].removeprefix('go')}", part="tools")
        seen.append(f"{place}, {found[0].removeprefix('go') if found else _first(said)}")
    remedy = f"the node image is built with Go {wanted}: run ./setup" + ("" if needed else " (only to build an image)")
    return Diagnosis("go", False if needed else None, "; ".join(dict.fromkeys(seen)) or "not found", remedy, "tools")


def _space(here: ThisMachine, *, cached: bool) -> Iterator[Diagnosis]:
    need = MB_PER_NODE * NODES
    free = _memory_free(here)
    yield Diagnosis("memory", free >= need, f"{free} MB free", f"{NODES} nodes need about {need} MB")
    bytes_free = here.free(state.cache())
    for limit in here.limits():
        yield Diagnosis(limit.what, limit.fits >= NODES, str(limit), "" if limit.fits > FEW else f"for more: {limit.lifted(2 * FEW)}")
    enough = cached or bytes_free >= NEEDED_BYTES
    meaning = "" if cached else f"a node image needs {NEEDED_BYTES / 1024**3:.0f} GiB to be built; WHALEFALL_CACHE moves it"
    yield Diagnosis("disk", enough, f"{bytes_free / 1024**3:.1f} GiB free for {state.cache()}", meaning)


def _memory_free(here: ThisMachine) -> int:
    """Return the memory that could be had now, MB."""
    found = re.search(r"^MemAvailable:\s+(\d+)", here.read("/proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) // 1024 if found else 0


def _image_checks() -> list[Diagnosis]:
    """Say of each mode whether the image of its nodes is built."""
    from harness import registry  # noqa: PLC0415 - it loads much; the rest of this module is of use without
    from harness.host import image  # noqa: PLC0415 - asked at the time of the check, so that a test can put another cache in its place

    said = []
    for mode, layer in registry.layers().items():
        name = f"{mode}'s image"
        try:
            found = image.find(layer)
        except (HarnessError, OSError) as error:
            said.append(Diagnosis(name, ok=False, saw=str(error), part="image"))
            continue
        if found is None:
            said.append(Diagnosis(name, None, "not built yet", "the first run builds it, in about a minute", "image"))
        else:
            said.append(Diagnosis(name, ok=True, saw=f"{found.key}, {found.size / 1e6:.0f} MB", part="image"))
    return said


def _virtual_machines(here: ThisMachine) -> Iterator[Diagnosis]:
    """Say what the vagrant provider has and lacks. Nothing of it stops those who never use it: notes, no more."""
    from harness.providers.vagrant import vagrant_preflight  # noqa: PLC0415 - loads much; the rest of this module is of use without

    lacks = [tool for tool in (*vagrant_preflight.ALWAYS, *vagrant_preflight.OURS) if here.which(tool) is None]
    plugin = any(here.exists(path) for path in PLUGIN)
    driver, reason = _accelerator(here)
    absent = _absent_for_vms(here, [*lacks, *([] if plugin else ["vagrant-libvirt"])])
    what = {"kvm": ", on KVM", "qemu": ", by software emulation (driver qemu)"}.get(driver or "", f"; {reason}")
    said = f"cannot be made here: {', '.join(absent)} missing" if absent else f"can be made here{what}"
    remedy = f"only the vagrant provider needs them: {'; '.join(dict.fromkeys(absent.values()))}" if absent else ""
    yield Diagnosis("virtual machines", None if absent else True, said, remedy, "vms")
    yield Diagnosis("accelerator", True if driver else None, f"{driver or 'not known'}: {reason}", "", "vms")
    for tool, package in VM_TOOLS.items():
        path = here.which(tool)
        if path is None:
            yield Diagnosis(tool, None, "not found", f"apt-get install {package}, or run ./setup --vms", "vms")
        else:
            yield Diagnosis(tool, ok=True, saw=f"{path}, {_version(here, path, tool)}", part="vms")
    rest = sorted(set(lacks) - set(VM_TOOLS))
    if rest:
        yield Diagnosis("other tools", None, f"not found: {', '.join(rest)}", "./setup --vms", "vms")
    yield Diagnosis(
        "vagrant-libvirt",
        plugin or None,
        "installed" if plugin else "not found",
        "" if plugin else "apt-get install vagrant-libvirt",
        "vms",
    )
    yield from _room_for_vms(here)


def _absent_for_vms(here: ThisMachine, packaged: Sequence[str]) -> dict[str, str]:
    """Return what virtual machines lack here, and what brings each: packages are the only thing that ./setup can bring."""
    absent = dict.fromkeys(packaged, "./setup --vms")
    if not here.root():
        absent["root"] = "run it with sudo"
    if not here.exists("/dev/net/tun"):
        absent["/dev/net/tun"] = "modprobe tun"
    return absent


def _accelerator(here: ThisMachine) -> tuple[str | None, str]:
    """Return what machines would run on, None where that is not known, and why."""
    from harness.providers.vagrant import hypervisor  # noqa: PLC0415 - with the provider

    if here.which(hypervisor.QEMU) is None:
        return None, f"there is no {hypervisor.QEMU}"
    if not here.exists(str(hypervisor.DEVICE)):
        return "qemu", f"there is no {hypervisor.DEVICE}"
    try:
        tried = hypervisor.kernel()
        if tried is None:
            return None, f"{hypervisor.DEVICE} is there; whether a kernel runs on it is tried once a box is built"
        found = hypervisor.accelerator(tried)
    except (HarnessError, OSError) as error:
        return None, str(error)
    return found.name, found.reason


def _room_for_vms(here: ThisMachine) -> Iterator[Diagnosis]:
    from harness import registry  # noqa: PLC0415 - it loads much; the rest of this module is of use without
    from harness.host import box as boxes  # noqa: PLC0415 - asked at the time of the check, so that a test can put another cache in its place
    from harness.providers.vagrant import layout, vagrant_preflight  # noqa: PLC0415 - with the provider

    try:
        built = {mode: boxes.find(layer) for mode, layer in registry.layers().items()}
        each = layout.memory_mb() + vagrant_preflight.EXTRA_MB
    except HarnessError as error:
        yield Diagnosis("box", None, str(error), part="vms")
        return
    for mode, found in built.items():
        if found is None:
            yield Diagnosis(
                f"{mode}'s box", None, "not built yet", "`whalefall image build --box` builds it, in about half a minute", "vms"
            )
        else:
            yield Diagnosis(f"{mode}'s box", ok=True, saw=f"{found.key}, {found.size / 1e6:.0f} MB", part="vms")
    need, free = each * NODES, _memory_free(here)
    words = f"{free} MB free; {NODES} machines need about {need} MB, {each} MB each"
    yield Diagnosis(
        "memory for them", True if free >= need else None, words, "" if free >= need else "WHALEFALL_VM_MEMORY makes them smaller", "vms"
    )
    disk = (vagrant_preflight.DISK_MB_PER_NODE * NODES << 20) + (0 if any(built.values()) else boxes.NEEDED_BYTES)
    room = here.free(state.runs())
    words = f"{room / 1024**3:.1f} GiB free; {NODES} machines need about {disk / 1024**3:.0f} GiB" + ("" if found else ", with the box")
    yield Diagnosis("disk for them", True if room >= disk else None, words, "" if room >= disk else "WHALEFALL_STATE moves them", "vms")


def _leftovers() -> Iterator[Diagnosis]:
    from harness.providers import clusters  # noqa: PLC0415 - the registry loads much; the rest of this module is of use without

    try:
        clusters.must_be_readable()
    except HarnessError as error:
        yield Diagnosis("leftovers", None, f"could not look: {error}", "", "leftovers")
    else:
        yield from _left_of_runs()


def _left_of_runs() -> Iterator[Diagnosis]:
    from harness.core.protocols import Claiming, Discerning, Disposable  # noqa: PLC0415 - same
    from harness.providers import clusters  # noqa: PLC0415 - same
    from harness.registry import usable  # noqa: PLC0415 - the registry loads much; the rest of this module is of use without

    dead: list[str] = []
    strangers = clusters.strangers()
    alive = 0
    for cls in usable().known.providers.values():
        provider: Provider = cls()
        if not isinstance(provider, Disposable | Claiming):
            continue
        try:
            if isinstance(provider, Discerning):
                strangers += provider.strangers()
            for run_id, wanted in provider.runs().items():
                alive += wanted
                if not wanted:
                    what = "claims on hosts" if isinstance(provider, Claiming) else ", ".join(provider.leftovers(run_id)) or "records"
                    dead.append(f"{run_id} ({what})")
        except (HarnessError, OSError) as error:
            yield Diagnosis("leftovers", None, f"could not look: {error}", "", "leftovers")
    for doubt in clusters.doubts():
        yield Diagnosis("register", None, doubt, "look who wrote it, and remove it", "leftovers")
    for each in strangers:
        yield Diagnosis("a like name", None, each, "", "leftovers")
    going = f"{alive} run{'' if alive == 1 else 's'} under way or kept" if alive else "nothing"
    if dead:
        yield Diagnosis("leftovers", None, f"of dead runs: {'; '.join(dead)}", "`whalefall sweep` removes them", "leftovers")
    else:
        yield Diagnosis("leftovers", ok=True, saw=going, part="leftovers")


def _faults(here: ThisMachine) -> Iterator[Diagnosis]:
    """Say for each fault on which rung of its ladder it stands on this machine."""
    from harness.registry import installed, usable  # noqa: PLC0415 - the registry loads much; the rest of this module is of use without

    plugged = installed()
    for name, cls in sorted(usable().known.faults.items()):
        source = plugged.source("faults", name)
        rung = _rung(here, cls)
        yield Diagnosis(name, rung.can, f"{rung.how}; a fault of {source}" if source else rung.how, "", "faults")


def _rung(here: ThisMachine, cls: Any) -> Rung:
    """Return on what a fault stands here, by its own word. One that cannot be made keeps nobody's machine from being ready."""
    from harness.core.protocols import Laddered  # noqa: PLC0415 - with the faults

    if not isinstance(cls, Laddered):
        return Rung(None, "it does not say how it would be made here")
    try:
        said = cls.rung(here)
        return Rung(True if said.can is True else None, in_line(said.how))
    except Exception as error:  # noqa: BLE001 - a plug-in's own code: whatever it does, the others are told
        return Rung(None, f"its rung cannot be told: {in_words(error)}")


def _plug_ins() -> Iterator[Diagnosis]:
    """Say what other distributions add, and what is wrong with it: with any of that no scenario is planned."""
    from harness.registry import installed  # noqa: PLC0415 - the registry loads much; the rest of this module is of use without
    from harness.registry.fitness import KINDS  # noqa: PLC0415 - same

    plugged = installed()
    for source in sorted({each.source for each in plugged.good}):
        adds = ", ".join(f"the {KINDS[each.kind].word} {each.name}" for each in plugged.good if each.source == source)
        yield Diagnosis("plug-in", ok=True, saw=f"{source} adds {adds}", part="plug-ins")
    for problem in plugged.problems:
        yield Diagnosis("plug-in", ok=False, saw=str(problem), part="plug-ins")


def _first(said: str) -> str:
    return said.partition("\n")[0] or "no version"


def _last(said: str) -> str:
    return said.rpartition("\n")[2] or "no reason given"
