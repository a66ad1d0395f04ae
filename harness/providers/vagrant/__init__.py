"""Virtual machines with kernels of their own, through Vagrant and libvirt.

Vagrant makes and boots them; power, pause, disks and snapshots are libvirt's; commands go over SSH. By default every run has a libvirt of its own, in
namespaces of its own (`harness.providers.vagrant.own_libvirt`), which ends with the run. ``WHALEFALL_LIBVIRT_URI`` names one that somebody else runs
instead: there everything is named by the run and removed by name, and this machine must be able to reach the cluster's addresses.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from harness.core import pace, stops
from harness.core.clock import Clock, SystemClock, wait_until
from harness.core.errors import CommandFailed, Expired, HarnessError, NoSuchRun, Unreachable, Unreadable, Unsupported
from harness.core.figures import lasted
from harness.core.plain import as_path, command
from harness.core.protocols import Node
from harness.core.values import Json, Latency, NodeSpec, Term, Unavailable
from harness.host import box, private, state
from harness.host.marks import marked
from harness.host.processes import collect, kill_all
from harness.nodes.links import NftLinks
from harness.nodes.ssh import Access, SshNode, import_now
from harness.nodes.together import together
from harness.providers import clusters
from harness.providers.room import ailing
from harness.providers.story import Narrator
from harness.providers.vagrant import hypervisor, layout, lifecycle, own_libvirt, vagrant_preflight, vagrant_records
from harness.providers.vagrant.vagrant_records import VirtualMachine, VmCluster
from harness.providers.vagrant.virsh import ON, SLOW_SECONDS, Virsh

GONE_SECONDS = 60.0
"""How long all of a cluster may take to be gone. By hand: 0.1 s; a machine that waits for its disk takes as long as that does."""
SLOWNESS = Term("software emulation", 60.0, "a container's end and start took 31 s on 3 machines and 2 busy cores; twice that")
"""What budgets are lengthened by where qemu translates every instruction. Measured: `docker rm -f` 10 s, `docker run` 21 s, from a cached image."""
STALL_SECONDS = 3.0
"""How long an emulated machine may stand still while a neighbour boots or starts a daemon. Measured on 3 machines and 2 busy cores: up to 3 s."""
UP_SECONDS, UP_MORE_SECONDS = 14.0, 5.0
"""From nothing to the first answer under software emulation on 2 cores of their own: one machine, and each more beside it. Measured: 13 to 15.5 s,
and 23 to 25 s for three."""
PATIENCE_SECONDS = 30.0
"""How long a node waits for a word from us before it mends itself."""
DATA = "vdb"
"""The disk under /data, as libvirt and the guest call it."""


CLOCK_SECONDS = 0.1
"""How far off a guest's clock is left alone: about what it can be measured to under software emulation."""
_KNOCK_SECONDS = 0.3  # for a look in between at who is up; one that takes longer is not, yet
_SHIFT = "import sys, time as t; t.clock_settime(t.CLOCK_REALTIME, t.clock_gettime(t.CLOCK_REALTIME) + float(sys.argv[1]))"
CONNECT_SECONDS = 60.0
"""How long a connection may take, within the time of what is asked. Measured: 1 s; more than 15 s just after a boot on 2 busy cores."""
REACH_SECONDS = 10.0
"""How long a node's own address may take to take a connection."""


class VmNode(SshNode):
    """One virtual machine, over its management network; see `harness.nodes.ssh.SshNode`."""

    def __init__(self, run_id: str, name: str, address: str, access: Access, network: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__(name, address, access, network=network, connect_seconds=CONNECT_SECONDS)
        self.run_id = run_id

    def offset_now(self) -> float:
        """Return the node's clock minus ours, measured now whatever was measured before: the clock was set, or has stood still."""
        self.forget_offset()
        return self.offset()

    def forget_offset(self) -> None:
        """Have it measured anew when it is asked for next."""
        with self._offset_lock:
            self._offset = None


class VagrantProvider(NftLinks):
    """Nodes as virtual machines.

    See `harness.core.protocols.Provider`, `Disposable`, `Furnishing`, `Preparing`, `Power`, `Pausing`, `Links`, `Disks`, `Snapshots`, `Outliving` and
    `Slower`.
    """

    name: ClassVar[str] = vagrant_records.NAME

    def __init__(self, clock: Clock | None = None) -> None:
        import_now()
        self._clock = clock or SystemClock()
        self._story = Narrator()
        self._layer: Path | None = None

    # -- Furnishing, Preparing, Slower, Outliving

    def furnish(self, layer: Path | None) -> None:
        """Make machines of the box that has a mode's layer; see `harness.core.protocols.Furnishing.furnish`."""
        self._layer = layer

    def prepare(self, progress: Callable[[str], None], specs: Sequence[NodeSpec] = ()) -> Mapping[str, Json]:
        """Build the box if it is not cached, and find out how fast machines are; see `harness.core.protocols.Preparing.prepare`."""
        self._must_be_possible(specs)
        image = box.ensure(progress, layer=self._layer)
        return {
            "box": image.key,
            "driver": _driver(),
            "guest_kernel": layout.kernel_release(image.kernel),
            "libvirt": vagrant_preflight.foreign() or "of its own",
            "memory": layout.memory_mb(),
            "disk": "blkdeviotune",
        }

    def narrate(self, progress: Callable[[str], None], folder: Path) -> None:
        """Tell who is up; see `harness.core.protocols.Narrating`."""
        self._story.begin(progress, folder)

    def allowance(self) -> Term | None:
        """Return what every budget is lengthened by under software emulation; see `harness.core.protocols.Slower.allowance`."""
        if _driver() != "qemu":
            return None
        seconds = round(pace.limit(SLOWNESS.seconds))
        return dataclasses.replace(SLOWNESS, seconds=float(seconds), source=f"{SLOWNESS.source}; {pace.current()}")

    def stall(self) -> float:
        """Return how long an emulated machine may stand still by itself; see `harness.core.protocols.Slower.stall`."""
        return pace.limit(STALL_SECONDS) if _driver() == "qemu" else 0.0

    def patience(self) -> float:
        """Return how long a node waits for a word from us; see `harness.core.protocols.Outliving.patience`."""
        return PATIENCE_SECONDS

    # -- Provider

    def create(self, run_id: str, specs: Sequence[NodeSpec]) -> Sequence[Node]:
        """Create and boot all nodes at once; see `harness.core.protocols.Provider.create`."""
        self._must_be_possible(specs)
        if own_libvirt.path_of(run_id).exists():
            raise HarnessError(
                f"somebody has what {run_id} would make: network namespace {own_libvirt.name_of(run_id)}; run it again, or remove that first "
                "(`whalefall sweep` says whose it is)"
            )
        image = box.ensure(lambda _: None, layer=self._layer)
        uri, folder = vagrant_preflight.foreign(), clusters.folder(run_id)
        record = VmCluster(
            run_id=run_id,
            image=str(image.path),
            nodes=tuple(specs),
            uri=uri or own_libvirt.uri(folder),
            private=uri is None,
            pool=vagrant_preflight.foreign_pool() if uri else vagrant_records.POOL,
            driver=_driver(),
        )
        if uri and (taken := _taken(run_id, uri, record.pool)):
            raise HarnessError(f"somebody has what {run_id} would make at {uri}: {', '.join(taken)}; run it again, or remove that first")
        vagrant_records.open_cluster(record)
        try:
            if record.private:
                own_libvirt.start(run_id, folder)
            machines = vagrant_records.machines(run_id, specs)
            settings = layout.lay_out(record, image, self._identities(record, machines))
            began = self._clock.now()
            lifecycle.up(record, settings, machines, tell=self._story.tell, up=functools.partial(self._is_up, run_id))
            self._story.tell(f"all {len(machines)} are up; waiting for each to answer")
            nodes = self.adopt(run_id)
            self._booted(nodes)
            if record.driver == "qemu":
                usual = UP_SECONDS + UP_MORE_SECONDS * (len(machines) - 1)
                pace.saw(f"making {len(machines)} emulated machines", self._clock.now() - began, usual)
            if not record.private:
                _must_reach(nodes)
        except BaseException:
            logs = {"vagrant": lifecycle.log(folder), "libvirtd": own_libvirt.log(folder)}
            self._story.keep({each.name: each.console for each in vagrant_records.machines(run_id, specs)} | logs)
            with stops.deaf():
                self.destroy(run_id)
            raise
        return nodes

    def ailment(self, run_id: str) -> str:
        """Say that the disk under all machines is full, where it is this machine's; see `harness.core.protocols.Housed.ailment`."""
        return ailing(clusters.folder(run_id)) if vagrant_preflight.foreign() is None else ""

    def keep_consoles(self, run_id: str, folder: Path) -> None:
        """Keep what the machines said; see `harness.core.protocols.Consoles`."""
        self._story.keep(
            {each.name: each.console for each in vagrant_records.machines(run_id, vagrant_records.read_cluster(run_id).nodes)}, folder
        )

    def adopt(self, run_id: str) -> Sequence[Node]:
        """Return the nodes of a run from its records; see `harness.core.protocols.Provider.adopt`."""
        return [self._node(run_id, machine) for machine in vagrant_records.machines(run_id, vagrant_records.read_cluster(run_id).nodes)]

    def destroy(self, run_id: str) -> None:
        """Remove all of a run; see `harness.core.protocols.Provider.destroy`. Asks neither Vagrant nor a libvirt of our own: both may hang."""
        ours = clusters.recorded(run_id)  # else what lies in its folder is only called so

        def gone() -> bool:
            kill_all({*own_libvirt.processes(run_id), *marked(run_id)}, 5.0)
            collect()
            if own_libvirt.processes(run_id) or marked(run_id):
                return False
            own_libvirt.remove(run_id)
            return not own_libvirt.left(run_id)

        wait_until(
            gone,
            awaited=f"all of {run_id} to be gone",
            seconds=pace.limit(GONE_SECONDS),
            clock=self._clock,
            every=0.1,
            saw=lambda: "; ".join(own_libvirt.left(run_id)),
        )
        elsewhere = _elsewhere(run_id)
        if elsewhere is not None:
            _remove_elsewhere(run_id, *elsewhere)  # raises where that libvirt does not answer: the records stay, for the next try
        if ours:
            clusters.remove_folder(run_id)
        clusters.unregister(run_id)

    def network(self, run_id: str) -> AbstractContextManager[None]:
        """Put the calling thread where its sockets reach the nodes; see `harness.core.protocols.Provider.network`."""
        if own_libvirt.path_of(run_id).exists() or vagrant_records.read_cluster(run_id).private:
            return own_libvirt.inside(run_id)
        return nullcontext()

    # -- Disposable

    def runs(self) -> dict[str, bool]:
        """Return every run of ours that has anything on this machine, and whether it is still wanted.

        See `harness.core.protocols.Disposable.runs`.
        """
        ours = {each for each in clusters.registered() if clusters.provider_of(each) == self.name}
        ours |= {each for each in own_libvirt.runs() if state.is_run_id(each) and clusters.provider_of(each) in {None, self.name}}
        return {run_id: clusters.is_wanted(run_id) for run_id in sorted(ours)}

    def leftovers(self, run_id: str) -> list[str]:
        """Say what of a run is still there, its folder left out; empty when it is clean."""
        found = own_libvirt.left(run_id)
        known = {*own_libvirt.processes(run_id)}
        found += [f"process {each.pid}" for each in marked(run_id) if each not in known]
        elsewhere = _elsewhere(run_id)
        if elsewhere is not None:
            found += [f"{what} {name} at {elsewhere[0].uri}" for what, names in _things(run_id, *elsewhere).items() for name in names]
        return found

    def strangers(self) -> list[str]:
        """Say what is only called as ours; see `harness.core.protocols.Discerning.strangers`."""
        return own_libvirt.strangers()

    def keep(self, run_id: str, *, over: bool = False) -> None:
        """Note that a cluster is to outlive its run."""
        clusters.keep(run_id, over=over)

    def is_kept(self, run_id: str) -> bool:
        """Whether a cluster is to outlive its run."""
        return clusters.is_kept(run_id)

    # -- Power

    def off(self, node: Node) -> None:
        """Cut the power; see `harness.core.protocols.Power.off`.

        Qemu is killed: the guest learns nothing, and neither does anybody that it talked to. What slows the disk is put back by `on`.
        """
        virsh, machine = self._of(node)
        if virsh.state(machine.domain) in ON:
            try:
                virsh.ask("destroy", machine.domain)
            except CommandFailed:
                if virsh.state(machine.domain) in ON:  # else it went off by itself meanwhile
                    raise

    def on(self, node: Node) -> None:
        """Start the machine; see `harness.core.protocols.Power.on`."""
        virsh, machine = self._of(node)
        if virsh.state(machine.domain) not in ON:
            virsh.ask("start", machine.domain)
            if (asked := _noted(machine)) != Latency():
                self.slow(node, asked)  # a limit ends with its qemu
            self._booted([node])

    def reboot(self, node: Node) -> None:
        """Reset the machine; see `harness.core.protocols.Power.reboot`."""
        self.off(node)
        self.on(node)

    def is_on(self, node: Node) -> bool:
        """Whether the machine runs, as libvirt says; see `harness.core.protocols.Power.is_on`."""
        virsh, machine = self._of(node)
        return virsh.state(machine.domain) in ON

    # -- Pausing

    def pause(self, node: Node) -> None:
        """Freeze the machine; see `harness.core.protocols.Pausing.pause`. A frozen machine takes no packets: there is nothing to drop."""
        virsh, machine = self._of(node)
        if virsh.state(machine.domain) != "paused":
            virsh.ask("suspend", machine.domain)

    def resume(self, node: Node) -> None:
        """Undo `pause`; see `harness.core.protocols.Pausing.resume`. The guest's clock, which stood still, is set."""
        virsh, machine = self._of(node)
        if virsh.state(machine.domain) == "paused":
            virsh.ask("resume", machine.domain)
            self._booted([node])
            self._set_clock(node)

    def is_paused(self, node: Node) -> bool:
        """Whether libvirt has the machine frozen."""
        virsh, machine = self._of(node)
        return virsh.state(machine.domain) == "paused"

    # -- Disks

    def slow(self, node: Node, latency: Latency) -> None:
        """Slow the node's disk by a limit on its operations; see `harness.core.protocols.Disks.slow`."""
        virsh, machine = self._of(node)
        virsh.ask("blkdeviotune", machine.domain, DATA, "--live", "--total-iops-sec", str(iops(latency)))
        machine.folder.mkdir(parents=True, exist_ok=True)
        with private.opened(_note(machine), "w") as note:
            json.dump([latency.fsync, latency.write, latency.read], note)

    def mend(self, node: Node) -> None:
        """Undo `slow`; see `harness.core.protocols.Disks.mend`."""
        virsh, machine = self._of(node)
        if virsh.state(machine.domain) in ON and virsh.iops(machine.domain, DATA):
            virsh.ask("blkdeviotune", machine.domain, DATA, "--live", "--total-iops-sec", "0")
        _note(machine).unlink(missing_ok=True)

    def latency(self, node: Node) -> Latency:
        """Return what is added now, asked of libvirt; see `harness.core.protocols.Disks.latency`.

        Of a machine that is off it is what will be added once it is on.
        """
        virsh, machine = self._of(node)
        asked = _noted(machine)
        if virsh.state(machine.domain) not in ON:
            return asked
        limit = virsh.iops(machine.domain, DATA)
        if not limit:
            return Latency()
        return asked if limit == iops(asked) else Latency(fsync=_WRITES / limit)

    def why_not(self, node: Node, latency: Latency) -> Unavailable | None:
        """Say why this disk cannot be slowed so; see `harness.core.protocols.Disks.why_not`."""
        self._of(node)
        if latency.read or latency.write:
            return Unavailable(
                "a limit on operations slows all of them alike: only fsync can be asked for", "a provider with a disk of its own"
            )
        return None

    # -- Snapshots

    def save(self, run_id: str, name: str) -> None:
        """Keep the state of all machines, memory and disks; see `harness.core.protocols.Snapshots.save`."""
        virsh = self._virsh(run_id)

        def work(node: Node) -> None:
            domain = vagrant_records.machine(run_id, node.name).domain
            if name in virsh.lines("snapshot-list", domain, "--name"):
                virsh.ask("snapshot-delete", domain, name, seconds=SLOW_SECONDS)
            virsh.ask("snapshot-create-as", domain, name, seconds=SLOW_SECONDS)

        nodes = self.adopt(run_id)
        together(nodes, work, f"saving {name}")
        together(nodes, self._set_clock, f"setting clocks after saving {name}")  # they stood still while their memory was written

    def revert(self, run_id: str, name: str) -> None:
        """Go back to a kept state, all nodes at once, and set their clocks; see `harness.core.protocols.Snapshots.revert`."""
        virsh = self._virsh(run_id)
        nodes = self.adopt(run_id)
        without = [
            node.name
            for node in nodes
            if name not in virsh.lines("snapshot-list", vagrant_records.machine(run_id, node.name).domain, "--name")
        ]
        if without:
            raise NoSuchRun(f"{run_id}: no state {name!r} was kept of {', '.join(without)}; `save` comes first")

        def work(node: Node) -> None:
            virsh.ask("snapshot-revert", vagrant_records.machine(run_id, node.name).domain, name, "--running", seconds=SLOW_SECONDS)
            _note(vagrant_records.machine(run_id, node.name)).unlink(missing_ok=True)  # going back starts qemu without a limit

        together(nodes, work, f"going back to {name}")
        self._booted(nodes)
        together(nodes, self._set_clock, f"setting clocks after going back to {name}")

    # -- parts

    def _must_be_possible(self, specs: Sequence[NodeSpec]) -> None:
        problems = vagrant_preflight.problems(specs, layout.memory_mb())
        if problems:
            raise Unsupported("this machine cannot run virtual machines:\n  " + "\n  ".join(problems))

    def _identities(self, record: VmCluster, machines: Sequence[VirtualMachine]) -> dict[str, box.Seed]:
        """Make the run's keys: one that opens the machines, and one for each machine to show who it is."""
        from harness.nodes.ssh.keys import HOST_KEY, make_host_key, make_user_key  # noqa: PLC0415 - see `harness.nodes.ssh.import_now`

        ours = make_user_key(layout.key(clusters.folder(record.run_id)).parent)
        hosts = "127.0.0.1 localhost\n::1 localhost\n" + "".join(f"{each.address} {each.name}\n" for each in machines)
        seeds = {}
        for machine in machines:
            make_host_key(machine.folder)
            private_key = (machine.folder / HOST_KEY).read_text(encoding="ascii")
            seeds[machine.name] = box.Seed(host_key=private_key, authorized_keys=f"{ours}\n", hosts=hosts)
        return seeds

    def _node(self, run_id: str, machine: VirtualMachine) -> VmNode:
        from harness.nodes.ssh.keys import HOST_KEY  # noqa: PLC0415 - same

        record = vagrant_records.read_cluster(run_id)
        try:
            pinned = private.read(machine.folder / f"{HOST_KEY}.pub").decode("ascii").strip()
        except FileNotFoundError as error:
            raise Unreadable(f"{run_id}: {machine.name} has no host key: {error}; its cluster was only half made") from error
        except (OSError, HarnessError, UnicodeDecodeError) as error:
            raise Unreadable(
                f"{run_id}: the host key of {machine.name} cannot be read: {error}; `whalefall sweep` removes that run"
            ) from error
        access = Access(
            host=machine.management,
            user="root",
            key=layout.key(clusters.folder(run_id)),
            host_keys=(pinned,),
            jump=_jump(record.uri),
        )
        return VmNode(run_id, machine.name, machine.address, access, lambda: self._way(run_id, machine.name))

    def _way(self, run_id: str, name: str) -> AbstractContextManager[None]:
        """Return the way to a node. Raises `Unreachable` where its cluster is gone: a node that was destroyed gives no answer."""
        try:
            return self.network(run_id)
        except NoSuchRun as error:
            raise Unreachable(name, "SSH", f"its cluster is gone: {error}") from error
        except Unreadable as error:
            raise Unreachable(name, "SSH", str(error)) from error

    def _booted(self, nodes: Sequence[Node]) -> None:
        """Wait until all answer `run`. Raises `Expired` with what a machine's console said last."""

        def work(node: Node) -> None:
            said = ["nothing yet"]

            def answers() -> bool:
                try:
                    return node.run("true", timeout=pace.limit(20.0)).ok
                except Unreachable as error:
                    said[0] = error.saw
                    return False

            try:
                wait_until(
                    answers,
                    awaited=f"{node.name} to answer",
                    seconds=lifecycle.up_seconds(len(nodes)),
                    clock=self._clock,
                    every=0.25,
                    saw=lambda: said[0],
                )
            except Expired as error:
                virsh, machine = self._of(node)
                self._story.keep({machine.name: machine.console})
                raise HarnessError(f"{error}; {lifecycle.trouble(virsh, machine) or lifecycle.console(machine)}") from error

        together(nodes, work, "waiting for an answer")

    def _is_up(self, run_id: str, machine: VirtualMachine) -> bool:
        """Whether a machine takes connections."""
        try:
            with self.network(run_id):
                socket.create_connection((machine.management, 22), timeout=_KNOCK_SECONDS).close()
        except (OSError, NoSuchRun, Unreadable):
            return False
        return True

    def _set_clock(self, node: Node) -> None:
        """Set a guest's clock to ours: it stood still while the machine did.

        By a difference, added on the node itself: a command takes up to a second to be started under software emulation, whatever time it is told.
        """
        if not isinstance(node, VmNode):
            raise HarnessError(f"{node.name} is no virtual machine of ours; each provider breaks only its own nodes")
        off = node.offset_now()
        if abs(off) > CLOCK_SECONDS:
            result = node.run("python3", "-ISc", _SHIFT, f"{-off:.6f}")
            if not result.ok:
                raise CommandFailed(
                    node.name,
                    result.argv,
                    result.exit,
                    result.err.decode(errors="replace"),
                    f"its clock is {lasted(abs(off))} {'ahead' if off > 0 else 'behind'}",
                )
            node.forget_offset()

    def _virsh(self, run_id: str) -> Virsh:
        return Virsh(vagrant_records.read_cluster(run_id).uri, run_id)

    def _of(self, node: Node) -> tuple[Virsh, VirtualMachine]:
        if not isinstance(node, VmNode):
            raise HarnessError(f"{node.name} is no virtual machine of ours; each provider breaks only its own nodes")
        return self._virsh(node.run_id), vagrant_records.machine(node.run_id, node.name)


def _driver() -> str:
    """Return what machines run on: what ``WHALEFALL_DRIVER`` says, or what was found out here, or what a libvirt on another machine offers."""
    said = os.environ.get("WHALEFALL_DRIVER", "")
    if said:
        if said not in {"kvm", "qemu"}:
            raise HarnessError(f"WHALEFALL_DRIVER is {said!r}; expected kvm or qemu")
        return said
    uri = vagrant_preflight.foreign()
    if uri is None or not urlsplit(uri).hostname:
        return hypervisor.driver()
    with suppress(CommandFailed):  # it has none
        Virsh(uri, "driver").ask("domcapabilities", "--virttype", "kvm")
        return "kvm"
    return "qemu"


def _jump(uri: str) -> str | None:
    """Return the host between us and the machines of a libvirt that is reached over SSH."""
    parts = urlsplit(uri)
    if not parts.scheme.endswith("+ssh") or not parts.hostname:
        return None
    return f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname


def _must_reach(nodes: Sequence[Node]) -> None:
    """Raise one `HarnessError` unless this machine reaches the cluster's own addresses: workloads and orchestrators are asked there."""
    silent = []
    for node in nodes:
        try:
            socket.create_connection((node.address, 22), timeout=pace.limit(REACH_SECONDS)).close()
        except ConnectionRefusedError:
            continue  # it was reached
        except OSError as error:
            silent.append(f"{node.name} at {node.address} ({error})")
    if silent:
        raise HarnessError(
            f"the machines run, but this machine does not reach them on the cluster's network: {', '.join(silent)}; give it a route there"
            f" (e.g. `ip route add {nodes[0].address.rpartition('.')[0]}.0/24 via HOST`), or run the harness on the host of that libvirt"
        )


def _elsewhere(run_id: str) -> tuple[Virsh, str] | None:
    """Return the libvirt of somebody else, and its pool, where things of a run are, by its record. Without one nothing there is proven its own.

    Raises `Unreadable` for a run of ours whose record cannot be read, unless a libvirtd of its own was made for it: then it has nothing there.
    """
    try:
        record = vagrant_records.read_cluster(run_id)
    except NoSuchRun:
        return None
    except Unreadable as error:
        folder = clusters.folder(run_id)
        if own_libvirt.home(folder).is_dir() or not clusters.recorded(run_id):
            return None
        by_hand = command("rm", "-r", as_path(folder))
        raise Unreadable(f"{error}; machines of it may be in another libvirt: look there, then `{by_hand}`") from error
    return None if record.private else (Virsh(record.uri, run_id), record.pool)


def _things(run_id: str, virsh: Virsh, pool: str) -> dict[str, list[str]]:
    """Return what of a recorded run is in a libvirt that lives on: exactly what its record names, before which nothing there was called so.

    A run's id may begin as another's, so that a prefix is nobody's proof.
    """
    start = vagrant_records.prefix(run_id)
    domains = {each.domain for each in vagrant_records.machines(run_id, vagrant_records.read_cluster(run_id).nodes)}
    networks = {vagrant_records.network(run_id), vagrant_records.management(run_id)}
    disks = tuple(f"{domain}{mark}" for domain in domains for mark in ".-")
    return {
        "machine": [each for each in virsh.domains(start) if each in domains],
        "network": [each for each in virsh.networks(start) if each in networks],
        "volume": [each for each in virsh.volumes(pool, start) if each.startswith(disks)],
    }


def _remove_elsewhere(run_id: str, virsh: Virsh, pool: str) -> None:
    """Remove a run's machines, networks and volumes from a libvirt that lives on. What is gone already is no trouble. Raises `HarnessError`."""
    there = _things(run_id, virsh, pool)
    for domain in there["machine"]:
        with suppress(CommandFailed):  # it is off
            virsh.ask("destroy", domain)
        virsh.ask("undefine", domain, "--snapshots-metadata", "--managed-save", "--nvram")
    for network in there["network"]:
        with suppress(CommandFailed):  # it is not active
            virsh.ask("net-destroy", network)
        with suppress(CommandFailed):  # one that was not defined is gone by now
            virsh.ask("net-undefine", network)
    for volume in there["volume"]:
        virsh.ask("vol-delete", volume, "--pool", pool)


def _taken(run_id: str, uri: str, pool: str) -> list[str]:
    """Say what of somebody's is in a libvirt that lives on under names that a run would use."""
    virsh, start = Virsh(uri, run_id), vagrant_records.prefix(run_id)
    return [*virsh.domains(start), *virsh.networks(start), *virsh.volumes(pool, start)]


def _note(machine: VirtualMachine) -> Path:
    """Return the file that says what a disk's limit stands for."""
    return machine.folder / "throttle.json"


def _noted(machine: VirtualMachine) -> Latency:
    """Return what a disk's limit stands for; none where no note says so."""
    try:
        return Latency(*private.numbers(_note(machine)))
    except (OSError, HarnessError, ValueError, TypeError):
        return Latency()


_WRITES = 3
"""Writes that an fsync on ext4 is about: data, journal, commit."""


def iops(latency: Latency) -> int:
    """Return how many operations a second make an fsync take about this long. Below 1 a second there is no limit."""
    return max(1, round(_WRITES / max(latency.fsync, latency.write, 0.001)))
