"""The embedded default: real machines without a hypervisor, each a systemd-nspawn container with its own systemd, dockerd and disk.

Design, section 7, says how it works and what was measured. `NspawnProvider` is the way in; the other modules are its parts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from harness.core import pace, stops
from harness.core.clock import Deadline, SystemClock, wait_until
from harness.core.errors import CommandFailed, HarnessError, Unsupported
from harness.core.figures import given
from harness.core.protocols import Node
from harness.core.values import Json, Latency, NodeSpec, Unavailable
from harness.disk import client as slow_disk
from harness.disk import fuse_connection
from harness.host import image, marks, private, state
from harness.host.locks import HeldUp
from harness.host.processes import Process, collect, kill_all
from harness.nodes import links, namespaced
from harness.nodes.links import NftLinks
from harness.nodes.namespaced import NspawnNode
from harness.providers import clusters
from harness.providers.nspawn import bridge, capacity, cgroups, machine, nspawn_preflight, nspawn_records
from harness.providers.room import ailing
from harness.providers.story import Narrator

UNWIND_SECONDS = 3.0
"""How long launchers may take to unmount at tear-down before they are killed too."""


class NspawnProvider(NftLinks):
    """Nodes as nspawn machines of this host; see `harness.core.protocols.Provider`, `Power`, `Pausing`, `Links` and `Disks`."""

    name: ClassVar[str] = "nspawn"

    def __init__(self) -> None:
        self._story = Narrator()
        self._layer: Path | None = None
        self._before: capacity.Suffered | None = None  # what had come before there were nodes; see `ailment`

    def furnish(self, layer: Path | None) -> None:
        """Have a mode's layer below every node; see `harness.core.protocols.Furnishing.furnish`."""
        self._layer = layer

    def narrate(self, progress: Callable[[str], None], folder: Path) -> None:
        """Tell who is up; see `harness.core.protocols.Narrating`."""
        self._story.begin(progress, folder)

    # -- Provider

    def prepare(self, progress: Callable[[str], None], specs: Sequence[NodeSpec] = ()) -> Mapping[str, Json]:
        """Build the node image if it is not cached; see `harness.core.protocols.Preparing.prepare`."""
        problems = nspawn_preflight.problems(specs)
        if problems:
            raise Unsupported("this machine cannot run nspawn nodes:\n  " + "\n  ".join(problems))
        base = image.ensure(progress, layer=self._layer)
        return {"image": base.key, "driver": "systemd-nspawn", "disk": "FUSE" if machine.fuse_works() else "blk-throttle"}

    def create(self, run_id: str, specs: Sequence[NodeSpec]) -> Sequence[Node]:
        """Create and boot all nodes at once; see `harness.core.protocols.Provider.create`."""
        problems = nspawn_preflight.problems(specs)
        if problems:
            raise Unsupported("this machine cannot run nspawn nodes:\n  " + "\n  ".join(problems))
        taken = [
            *(f"network namespace {each}" for each in bridge.named(run_id)),
            *(f"control group {each}" for each in cgroups.named(run_id)),
        ]
        if taken:
            raise HarnessError(
                f"somebody has what {run_id} would make: {', '.join(taken)}; run it again, or remove that first (`whalefall sweep` says whose it is)"
            )
        base = image.ensure(lambda _: None, layer=self._layer)
        nspawn_records.open_cluster(run_id, base.paths, specs)
        try:
            bridge.create(run_id, specs)
            self._before = capacity.suffered(run_id)
            waited = {spec.name for spec in specs}

            def boot(spec: NodeSpec) -> None:
                self._boot(run_id, spec, specs)
                waited.discard(spec.name)
                self._story.tell(f"{spec.name} is up" + (f"; waiting for {', '.join(sorted(waited))}" if waited else ""))

            for each in stops.spread(specs, boot, "boot", leave=False):
                each.result()
        except BaseException as error:
            self._story.keep(_consoles(run_id, specs))
            with stops.deaf():
                self.destroy(run_id)
                damage = image.damage(base) if isinstance(error, HarnessError) else ""
            if damage:
                raise HarnessError(f"{damage} ({error})") from error
            raise
        return self.adopt(run_id)

    def _boot(self, run_id: str, spec: NodeSpec, specs: Sequence[NodeSpec]) -> None:
        with machine.disk_errors(run_id, spec.name):
            machine.lay_out(run_id, spec, specs)
            machine.booted(machine.start(run_id, spec), run_id, spec.name)

    def room(self) -> tuple[int, str]:
        """Say how many more nodes fit; see `harness.core.protocols.Sized.room`."""
        return nspawn_preflight.room()

    def keep_consoles(self, run_id: str, folder: Path) -> None:
        """Keep what the machines said; see `harness.core.protocols.Consoles`."""
        self._story.keep(_consoles(run_id, nspawn_records.read_cluster(run_id).nodes), folder)

    def ailment(self, run_id: str) -> str:
        """Say that the disk under all nodes failed or is full, or memory or processes were short; see `harness.core.protocols.Housed.ailment`."""
        short = capacity.suffered(run_id).since(self._before) if self._before is not None else ""
        return short or ailing(clusters.folder(run_id))

    def adopt(self, run_id: str) -> Sequence[Node]:
        """Return the nodes of a run from its records; see `harness.core.protocols.Provider.adopt`."""
        return [self._node(run_id, spec) for spec in nspawn_records.read_cluster(run_id).nodes]

    def _node(self, run_id: str, spec: NodeSpec) -> NspawnNode:
        folder = nspawn_records.node_folder(run_id, spec.name)

        def leader() -> Process | None:
            record = nspawn_records.machine_in(folder)
            return record.leader if record else None

        return NspawnNode(run_id, spec.name, spec.address, leader)

    def destroy(self, run_id: str) -> None:
        """Remove all of a run; see `harness.core.protocols.Provider.destroy`. Also finds what no record names, by what proves it."""
        folder = clusters.folder(run_id)
        ours = clusters.recorded(run_id)  # else what lies there is only called so
        troubles: list[str] = []

        def tried(step: Callable[[], object]) -> None:
            """Do one step. One that fails must not keep the others from being done: what is left is looked for in the end."""
            try:
                step()
            except HeldUp:  # what is left then waits for somebody: the next sweep goes on
                raise
            except (HarnessError, OSError) as error:
                troubles.append(str(error))

        names = _names(folder) if ours else []
        for name in names:
            disk = folder / "nodes" / name / "disk.sock"
            if disk.exists():
                tried(partial(slow_disk.set_latency, disk, Latency()))  # a stalled disk would hold up the end of its machine
            tried(partial(cgroups.freeze, run_id, name, frozen=False))  # the frozen cannot die

        tried(lambda: _cut_power(run_id, names))  # whoever is left after that is killed

        def gone() -> bool:
            troubles.clear()
            # Before all that may wait for a disk: what waits for one whose daemon is dead cannot be killed.
            tried(lambda: _break_off(run_id))
            tried(lambda: kill_all(_processes(run_id), 5.0))
            tried(collect)
            tried(lambda: bridge.destroy(run_id))
            tried(lambda: cgroups.remove(run_id))
            return not _left(run_id)

        try:
            wait_until(
                gone,
                awaited=f"all of {run_id} to be gone",
                seconds=30.0,
                clock=SystemClock(),
                every=0.1,
                saw=lambda: "; ".join([*_left(run_id), *troubles]),
            )
        finally:
            if ours and not _disks(run_id):  # the next sweep needs the notes
                clusters.remove_folder(run_id)
        if ours and folder.exists():
            raise HarnessError(f"all of {run_id} is gone but its folder {folder}, which cannot be removed; look at it, and sweep again")
        clusters.unregister(run_id)
        if not clusters.registered():
            machine.remove_traces()

    def leftovers(self, run_id: str) -> list[str]:
        """Say what is called as a run's on this machine, its folder left out; empty when it is clean."""
        return _told(run_id, bridge.named(run_id), cgroups.named(run_id))

    def runs(self) -> dict[str, bool]:
        """Return every run that has anything on this machine, and whether its owner still lives or it was to be kept.

        What another provider has made is left out; what nobody can tell of any more is counted as ours.
        """
        found = clusters.registered() | bridge.runs() | cgroups.runs() | marks.runs()
        ours = [each for each in sorted(found) if state.is_run_id(each) and clusters.provider_of(each) in {None, self.name}]
        return {run_id: clusters.is_wanted(run_id) for run_id in ours}

    def strangers(self) -> list[str]:
        """Say what is only called as ours; see `harness.core.protocols.Discerning.strangers`."""
        return [*bridge.strangers(), *cgroups.strangers()]

    def keep(self, run_id: str, *, over: bool = False) -> None:
        """Note that a cluster is to outlive its run."""
        clusters.keep(run_id, over=over)

    def is_kept(self, run_id: str) -> bool:
        """Whether a cluster is to outlive its run."""
        return clusters.is_kept(run_id)

    def reap(self, run_id: str) -> tuple[str, ...]:
        """End what harnesses that are gone had begun on a run's nodes; see `harness.core.protocols.Reaping.reap`."""
        ended = {*namespaced.reap(run_id)}
        records = {name: nspawn_records.read_machine(run_id, name) for name in _names(clusters.folder(run_id))} if ended else {}
        return tuple(name for name, record in records.items() if record is not None and record.leader.pid in ended)

    def network(self, run_id: str) -> AbstractContextManager[None]:
        """Put the calling thread where its sockets reach the nodes; see `harness.core.protocols.Provider.network`."""
        return bridge.inside(run_id)

    # -- Power

    def off(self, node: Node) -> None:
        """Cut the power; see `harness.core.protocols.Power.off`. What slows the disk is put back by `on`."""
        run_id = _run_of(node)
        with suppress(HarnessError):  # a disk that does not answer slows nothing that could be told
            if (added := self.latency(node)) != Latency():
                with private.opened(_slowed_note(node), "w") as note:
                    json.dump([added.fsync, added.write, added.read], note)
        bridge.unplug(run_id, node.name)
        cgroups.freeze(run_id, node.name, frozen=False)
        # A slow disk would hold up the end of its machine, which no power cut waits for.
        machine.cut_power(run_id, node.name, lambda: _quicken(node))
        bridge.forget(run_id, node.name)

    def on(self, node: Node) -> None:
        """Start the machine; see `harness.core.protocols.Power.on`. What somebody who was killed had begun to start is ended first."""
        run_id = _run_of(node)
        spec = next(each for each in nspawn_records.read_cluster(run_id).nodes if each.name == node.name)
        with machine.disk_errors(run_id, node.name), machine.switching(run_id, node.name):
            if self.is_on(node):
                bridge.plug(run_id, node.name)  # someone died between unplugging it and cutting its power
                return
            record = nspawn_records.read_machine(run_id, node.name)
            if record is not None and not record.launcher.wait(pace.limit(machine.OFF_SECONDS)):
                raise HarnessError(f"{node.name}: its last machine still holds its disk after {given(pace.limit(machine.OFF_SECONDS))}")
            collect()  # that last one, if another process has cut its power
            machine.end_start(run_id, node.name)
            bridge.plug(run_id, node.name)
            machine.booted(machine.start(run_id, spec), run_id, node.name)
            note = _slowed_note(node)
            with suppress(FileNotFoundError):
                self.slow(node, Latency(*private.numbers(note)))
                note.unlink()

    def reboot(self, node: Node) -> None:
        """Reset the machine; see `harness.core.protocols.Power.reboot`."""
        self.off(node)
        self.on(node)

    def is_on(self, node: Node) -> bool:
        """Whether the machine's PID 1 lives; see `harness.core.protocols.Power.is_on`."""
        record = nspawn_records.read_machine(_run_of(node), node.name)
        return record is not None and record.leader.alive

    # -- Pausing

    def pause(self, node: Node) -> None:
        """Freeze the node and drop its packets; see `harness.core.protocols.Pausing.pause`.

        The kernel of a frozen node would still complete TCP handshakes, which a paused virtual machine does not.
        """
        links.silence(node)
        cgroups.freeze(_run_of(node), node.name, frozen=True)

    def resume(self, node: Node) -> None:
        """Undo `pause`; see `harness.core.protocols.Pausing.resume`."""
        cgroups.freeze(_run_of(node), node.name, frozen=False)
        if self.is_on(node):
            links.unsilence(node)

    def is_paused(self, node: Node) -> bool:
        """Whether the kernel has the node frozen."""
        return cgroups.frozen(_run_of(node), node.name)

    # -- Disks

    def slow(self, node: Node, latency: Latency) -> None:
        """Slow the node's disk; see `harness.core.protocols.Disks.slow`."""
        control = _disk_of(node)
        if control.exists():
            slow_disk.set_latency(control, latency)
            return
        if (why := self.why_not(node, latency)) is not None:  # else it would be in force, and slow nothing
            raise Unsupported(why.of("a slow disk", node.name))
        run_id = _run_of(node)
        cgroups.throttle(run_id, node.name, _device_of(node), _iops(latency))
        with private.opened(_throttle_note(node), "w") as note:
            json.dump([latency.fsync, latency.write, latency.read], note)

    def mend(self, node: Node) -> None:
        """Undo `slow`; see `harness.core.protocols.Disks.mend`."""
        if not self.is_on(node):
            _slowed_note(node).unlink(missing_ok=True)
            return  # a machine that is off has no daemon and no throttle: both are made anew at power-on
        control = _disk_of(node)
        if control.exists():
            slow_disk.set_latency(control, Latency())
            return
        if _throttle_note(node).exists():
            cgroups.throttle(_run_of(node), node.name, _device_of(node), None)
            _throttle_note(node).unlink(missing_ok=True)

    def latency(self, node: Node) -> Latency:
        """Return what is added now, asked of the disk or of the kernel; see `harness.core.protocols.Disks.latency`.

        Of a machine that is off it is what will be added once it is on.
        """
        if not self.is_on(node):
            with suppress(OSError, HarnessError, ValueError, TypeError):
                return Latency(*private.numbers(_slowed_note(node)))
            return Latency()
        control = _disk_of(node)
        if control.exists():
            return slow_disk.get_latency(control)
        try:
            asked = Latency(*private.numbers(_throttle_note(node)))
        except (OSError, HarnessError, ValueError, TypeError):
            return Latency()
        limit = cgroups.throttled(_run_of(node), node.name, _device_of(node))
        return asked if limit == _iops(asked) else Latency()

    def why_not(self, node: Node, latency: Latency) -> Unavailable | None:
        """Say why this disk cannot be slowed so; see `harness.core.protocols.Disks.why_not`."""
        spec = next(each for each in nspawn_records.read_cluster(_run_of(node)).nodes if each.name == node.name)
        if machine.fuse_works() and spec.faultable_disk:
            return None
        if machine.fuse_works():
            return Unavailable(
                f"{node.name} was not planned with a faultable disk", "a plan with a disk.* fault, or `slow_disks=True` of a test's marker"
            )
        if latency.read or latency.write:
            return Unavailable("without FUSE only fsync can be slowed (by a limit on operations)", "/dev/fuse and fusermount3")
        return None


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("nodes/*"))


def _processes(run_id: str) -> set[Process]:
    """Return everything of a run that lives: what is in its groups, and helpers that carry its mark."""
    return cgroups.processes(run_id) | set(marks.marked(run_id))


def _left(run_id: str) -> list[str]:
    """Say what of a run is left and proven to be its own."""
    return _told(run_id, bridge.namespaces(run_id), cgroups.left(run_id))


def _cut_power(run_id: str, names: Sequence[str]) -> None:
    """Kill the machines of all these nodes as a power cut does, and let each launcher let go of its mounts in order."""
    started = [record for record in (nspawn_records.read_machine(run_id, name) for name in names) if record]
    kill_all([record.leader for record in started], 5.0)
    patience = Deadline(SystemClock(), UNWIND_SECONDS)
    for record in started:
        record.launcher.wait(patience.left())


def _told(run_id: str, namespaces: Sequence[str], groups: Sequence[Path]) -> list[str]:
    found = [f"network namespace {each}" for each in namespaces]
    found += [f"control group {each}" for each in groups]
    found += [f"process {each.pid}" for each in _processes(run_id)]
    return found + _disks(run_id)


def _notes(run_id: str) -> list[tuple[Path, Path]]:
    """Return where each slow disk of a run notes down its connection, with where it is mounted."""
    if not clusters.recorded(run_id):
        return []
    folder = clusters.folder(run_id)
    return [
        ((folder / "nodes" / name / "disk.sock").with_suffix(fuse_connection.SUFFIX), (folder / "nodes" / name / "fuse").resolve())
        for name in _names(folder)
    ]


def _break_off(run_id: str) -> None:
    """Break off the connections of a run's slow disks: those that were noted, and those that its helpers say that they serve."""
    said = fuse_connection.served_by(each.pid for each in marks.marked(run_id))
    fuse_connection.abort(_notes(run_id), said, clusters.folder(run_id).resolve())


def _disks(run_id: str) -> list[str]:
    """Say which slow disks the kernel still has."""
    try:
        return [
            f"FUSE connection {number} of {path.parent.name}'s disk" for path, number in fuse_connection.open_ones(_notes(run_id)).items()
        ]
    except HarnessError as error:
        return [f"perhaps a FUSE connection: {error}"]


def _run_of(node: Node) -> str:
    if not isinstance(node, NspawnNode):
        raise HarnessError(f"{node.name} is no nspawn node; each provider breaks only its own nodes")
    return node.run_id


def _disk_of(node: Node) -> Path:
    return nspawn_records.node_folder(_run_of(node), node.name) / "disk.sock"


def _quicken(node: Node) -> None:
    """Let a disk that is slowed by its daemon be as quick as it is. One that does not answer is ended with its machine."""
    if _disk_of(node).exists():
        with suppress(HarnessError):
            slow_disk.set_latency(_disk_of(node), Latency())


def _slowed_note(node: Node) -> Path:
    return nspawn_records.node_folder(_run_of(node), node.name) / "slowed.json"


def _throttle_note(node: Node) -> Path:
    return nspawn_records.node_folder(_run_of(node), node.name) / "throttle.json"


def _device_of(node: Node) -> str:
    """Return major:minor of the loop device under the node's /data."""
    result = node.run("stat", "--format=%d", "/data")
    try:
        number = int(result.text)
    except ValueError as error:
        raise CommandFailed(node.name, result.argv, result.exit, result.err.decode(errors="replace"), "/data should be a disk") from error
    return f"{os.major(number)}:{os.minor(number)}"


def _iops(latency: Latency) -> int:
    """Operations a second that make an fsync take about this long.

    An fsync on ext4 is about three writes: measured at 4 a second, fdatasync took 772 ms. Below 1 a second the kernel knows no limit.
    """
    return max(1, round(3 / max(latency.fsync, latency.write, 0.001)))


def _consoles(run_id: str, specs: Sequence[NodeSpec]) -> dict[str, Path]:
    """Return where each node's console is written."""
    return {spec.name: nspawn_records.node_folder(run_id, spec.name) / "console.log" for spec in specs}
