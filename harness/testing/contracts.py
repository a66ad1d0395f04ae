"""What every implementation of a protocol must do, as plain functions that any test runner can call.

Each raises `ContractBroken` with what was seen and what was promised, and returns None when the promise is kept. They need no test framework. The
tables at the end of each part name them, to be used as the parameters of one test::

    @pytest.mark.parametrize("promise", NODE.values(), ids=NODE)
    def test_node(promise, node):
        promise(node)
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import BadInput, CommandFailed, Expired, HarnessError, NoSuchRun, Unreachable
from harness.core.figures import given
from harness.core.protocols import (
    Cluster,
    Disks,
    DockerAccess,
    Fault,
    Here,
    Laddered,
    Links,
    Node,
    Pausing,
    Power,
    Provider,
    Snapshots,
    Streaming,
)
from harness.core.stops import Stopped, deaf, listening
from harness.core.values import Latency, NodeSpec, Rung
from harness.faults.common import live, remedies, unavailable
from harness.undo.fingerprint import differences, fingerprint, undeclared

T = TypeVar("T")

IN_FORCE_SECONDS = 5.0
"""How long after inject a fault may take to be in force, and after heal to be gone: a signal arrives a moment after it was sent."""
REMEDY_SECONDS = 60.0
"""How long a remedy may take: starting a service is the longest."""
ENDING_SECONDS = 10.0
"""How long a stream that was closed may take to end, with all that it ran; how long a Docker daemon may take to answer."""
DYING_SECONDS = 20.0
"""How long the death of a node may go unnoticed: a machine without power says no goodbye."""
HEARD_AFTER = 2
"""Questions after which the end of a run is heard in a contract."""
STOPPED_SECONDS = 20.0
"""How long a command may take that must be ended before."""
HUNG_SECONDS = 0.3
"""How long a command that never ends is waited for."""


class ContractBroken(HarnessError):
    """An implementation does not do what its protocol promises."""


def require(kept: bool, promised: str, saw: object = "the opposite") -> None:
    """Raise `ContractBroken` unless a promise was kept."""
    if not kept:
        raise ContractBroken(f"promised: {promised}; saw: {saw}")


def same(saw: T, expected: T, what: str) -> None:
    """Raise `ContractBroken` unless two values are equal."""
    require(saw == expected, f"{what} is {expected!r}", repr(saw))


@contextmanager
def raising(kind: type[BaseException], what: str) -> Iterator[None]:
    """Raise `ContractBroken` unless the block raises an error of this kind."""
    try:
        yield
    except kind:
        return
    raise ContractBroken(f"promised: {what} raises {kind.__name__}; saw: nothing was raised")


# ---------------------------------------------------------------- nodes


def exit_statuses_are_results(node: Node) -> None:
    """Any exit status is an answer, never an exception."""
    same(node.run("true").exit, 0, "the status of true")
    same(node.run("false").exit, 1, "the status of false")
    same(node.run("/bin/sh", "-c", "exit 42").exit, 42, "the status of exit 42")


def an_unknown_command_is_status_127(node: Node) -> None:
    """A command that is not there is an answer, too."""
    same(node.run("whalefall-no-such-command").exit, 127, "the status of a command that is not there")


def a_signal_is_128_and_its_number(node: Node) -> None:
    """A command that dies of a signal has a status that says so."""
    same(node.run("/bin/sh", "-c", "kill -9 $$").exit, 137, "the status of a command killed by SIGKILL")


def arguments_arrive_as_they_are(node: Node) -> None:
    """No argument passes through a shell."""
    args = ("; rm -rf /nowhere", "a b", "line 1\nline 2", "", "$HOME `id` $(id)", "'\"\\", "*", "größer", "-n")
    out = node.run("printf", "%s\\0", *args).out
    same(out, b"".join(each.encode() + b"\0" for each in args), "what printf got")


def stdin_arrives_whole_and_binary_comes_back(node: Node) -> None:
    """Bytes go in and come out unchanged, also more than a pipe holds."""
    body = bytes(range(256)) * 1024
    result = node.run("cat", stdin=body)
    require(result.out == body, "cat gives back 256 KiB of every byte", f"{len(result.out)} bytes, status {result.exit}")


def stderr_is_kept_apart(node: Node) -> None:
    """What goes to stderr is not in the output."""
    result = node.run("/bin/sh", "-c", "cat >&2", stdin=b"trouble")
    same((result.out, result.err), (b"", b"trouble"), "output and stderr")


def without_stdin_there_is_an_end_of_file(node: Node) -> None:
    """A command that reads gets nothing, rather than waiting for ever."""
    same(node.run("cat", timeout=10.0).out, b"", "what cat read")


def a_timeout_is_unreachable_and_leaves_nothing(node: Node) -> None:
    """A command that takes too long is "no answer", and does not go on behind our back."""
    with raising(Unreachable, "a command slower than its timeout"):
        node.run("sleep", "97.125", timeout=HUNG_SECONDS)
    same(node.run("pgrep", "-f", "^sleep 97[.]125").exit, 1, "the status of a search for what timed out")


def a_command_ends_with_its_run(node: Node) -> None:
    """Whoever listens to what ends a run is not kept by a command that goes on, and the command does not go on; one that is deaf is not cut short."""
    asked: list[int] = []

    def ear() -> HarnessError | None:
        asked.append(1)
        return Stopped("the run was stopped") if len(asked) > HEARD_AFTER else None

    with listening(ear):
        with raising(Stopped, "a command of a run that is stopped"):
            node.run("sleep", "98.375", timeout=STOPPED_SECONDS)
        with raising(Stopped, "the next command of it"):
            node.run("true")
        with deaf():
            same(node.run("pgrep", "-f", "^sleep 98[.]375").exit, 1, "the status of a search for what was stopped")


def files_make_the_round_trip(node: Node) -> None:
    """A file put and got is the same, folders are made, and its mode bits are kept."""
    there = PurePosixPath("/run/whalefall-contract/new folder/a file")
    body = b"#!/bin/sh\n\x00\xff\n"
    with tempfile.TemporaryDirectory() as folder:
        source, back = Path(folder, "source"), Path(folder, "back")
        source.write_bytes(body)
        try:
            for mode in (0o750, 0o644):  # the second overwrites the first
                source.chmod(mode)
                node.put(source, there)
                same(node.run("stat", "-c", "%a", str(there)).text.strip(), f"{mode:o}", "the mode on the node")
            node.get(there, back)
            same(back.read_bytes(), body, "the file got")
        finally:
            node.run("rm", "-rf", str(there.parent.parent), str(there))


def only_an_ordinary_file_is_copied(node: Node) -> None:
    """A pipe that nobody writes to hangs nobody, a device without an end fills no memory, and no file is written through a link."""
    there = PurePosixPath("/run/whalefall-contract/odd")
    with tempfile.TemporaryDirectory() as folder:
        pipe, precious, link = Path(folder, "pipe"), Path(folder, "precious"), Path(folder, "link")
        os.mkfifo(pipe)
        precious.write_bytes(b"mine")
        link.symlink_to(precious)
        for source in (pipe, Path("/dev/zero"), Path(folder), Path(folder, "missing")):
            with raising(BadInput, f"a put of {source}"):
                node.put(source, there)
        try:
            node.put(link, there)
            link.unlink()
            link.symlink_to(precious)
            precious.write_bytes(b"not to be touched")
            node.get(there, link)
        finally:
            node.run("rm", "-rf", str(there.parent))
        same((precious.read_bytes(), link.read_bytes()), (b"not to be touched", b"mine"), "what the link named, and the file got")


def a_missing_file_is_a_failed_command(node: Node) -> None:
    """A file that is not there is the node's refusal, not silence."""
    with tempfile.TemporaryDirectory() as folder, raising(CommandFailed, "get of a missing file"):
        node.get(PurePosixPath("/run/whalefall-contract/missing"), Path(folder, "missing"))


NODE: Mapping[str, Callable[[Node], None]] = {
    each.__name__: each
    for each in (
        exit_statuses_are_results,
        an_unknown_command_is_status_127,
        a_signal_is_128_and_its_number,
        arguments_arrive_as_they_are,
        stdin_arrives_whole_and_binary_comes_back,
        stderr_is_kept_apart,
        without_stdin_there_is_an_end_of_file,
        a_timeout_is_unreachable_and_leaves_nothing,
        a_command_ends_with_its_run,
        files_make_the_round_trip,
        only_an_ordinary_file_is_copied,
        a_missing_file_is_a_failed_command,
    )
}
"""What every node must do."""


def a_stream_gives_lines_as_they_come(node: Node) -> None:
    """Not only at its end; it is fed its input, and ends with the command, its last line without a newline included."""
    go = "/run/whalefall-contract-go"
    stream = _streaming(node).stream(
        "/bin/sh", "-c", f"cat; echo two; until [ -e {go} ]; do sleep 0.05; done; printf three", stdin=b"one\n"
    )
    try:
        lines = stream.lines()
        same([next(lines), next(lines)], [b"one", b"two"], "the first lines, while the command runs")
        node.run("touch", go)
        same(list(lines), [b"three"], "what was left")
    finally:
        stream.close()
        node.run("rm", "-f", go)


def a_stream_is_closed_by_another_thread(node: Node) -> None:
    """Whoever reads comes to the end, the command and what it has in the background are gone, and closing twice is fine."""
    stream = _streaming(node).stream("/bin/sh", "-c", "echo up; sleep 97.375 & sleep 97.375")
    lines = stream.lines()
    same(next(lines), b"up", "the first line")
    rest = _read_on(lines)
    stream.close()
    stream.close()
    require(rest.wait(ENDING_SECONDS), "a closed stream ends", f"it goes on after {given(ENDING_SECONDS)}")

    def gone() -> bool:
        return node.run("pgrep", "-f", "^sleep 97[.]375").exit == 1

    try:
        wait_until(gone, awaited="what the stream ran to be gone", seconds=ENDING_SECONDS, clock=SystemClock())
    except Expired as e:
        raise ContractBroken(f"promised: nothing goes on when a stream is closed; saw: {e}") from e


def docker_is_asked_over_the_management_path(node: Node) -> None:
    """A client answers for its own node, as often as it is asked; closing one leaves the others and the node alone."""
    require(isinstance(node, DockerAccess), "the node gives access to its Docker daemon", type(node).__name__)
    first, second = (cast("DockerAccess", node).docker(ENDING_SECONDS) for _ in range(2))
    try:
        same([client.info()["Name"] for client in (first, second, first)], [node.name] * 3, "whose daemon answers")
        first.close()
        same(second.info()["Name"], node.name, "whose daemon answers after the other client was closed")
    finally:
        first.close()
        second.close()
    same(node.run("true").exit, 0, "the status of true after all clients were closed")


REAL_NODE: Mapping[str, Callable[[Node], None]] = {
    each.__name__: each
    for each in (a_stream_gives_lines_as_they_come, a_stream_is_closed_by_another_thread, docker_is_asked_over_the_management_path)
}
"""What every node with `Streaming` and `DockerAccess` must do, beyond `NODE`: real machines."""


def a_death_is_noticed_and_outlived(node: Node, off: Callable[[], None], on: Callable[[], None]) -> None:
    """A stream ends when its node dies, a command has no answer then, and the same object answers again when the node is back."""
    stream = _streaming(node).stream("/bin/sh", "-c", "echo up; exec sleep 97.25")
    lines = stream.lines()
    same(next(lines), b"up", "the first line")
    rest = _read_on(lines)
    try:
        off()
        require(rest.wait(DYING_SECONDS), "a stream ends when its node dies", f"it goes on after {given(DYING_SECONDS)}")
        with raising(Unreachable, "a command on a node that is off"):
            node.run("true", timeout=HUNG_SECONDS)
    finally:
        stream.close()
        on()
    same(node.run("true").exit, 0, "the status of true after the node came back")


def _streaming(node: Node) -> Streaming:
    require(isinstance(node, Streaming), "the node can run a command whose output is read as it comes", type(node).__name__)
    return cast("Streaming", node)


def _read_on(lines: Iterator[bytes]) -> threading.Event:
    """Read to the end in another thread; the event is set there."""
    over = threading.Event()

    def read() -> None:
        for _ in lines:
            pass
        over.set()

    threading.Thread(target=read, daemon=True).start()
    return over


# ---------------------------------------------------------------- providers


@dataclass(frozen=True, slots=True)
class Maker:
    """How to get the same provider twice, as two processes would have it, and run ids that nobody else uses."""

    provider: Callable[[], Provider]
    run_id: Callable[[], str]

    def specs(self, count: int) -> list[NodeSpec]:
        """Return specs of nodes n1 … with the addresses of a cluster."""
        return [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in range(1, count + 1)]


def a_run_lives_and_ends(make: Maker) -> None:
    """Nodes are made as specified, found again by another process, destroyed by a third, and gone after that; destroying twice is fine."""
    run_id, specs = make.run_id(), make.specs(2)
    made = make.provider().create(run_id, specs)
    try:
        expected = [(spec.name, spec.address) for spec in specs]
        same([(node.name, node.address) for node in made], expected, "what was created")
        found = make.provider().adopt(run_id)
        same([(node.name, node.address) for node in found], expected, "what another process adopts")
        for node in (*made, *found):
            same(node.run("true").exit, 0, f"the status of true on {node.name}")
        with make.provider().network(run_id), make.provider().network(run_id):
            pass  # it may be entered twice
    finally:
        make.provider().destroy(run_id)
    make.provider().destroy(run_id)
    with raising(NoSuchRun, "adopting a run that was destroyed"):
        make.provider().adopt(run_id)
    with raising(Unreachable, "a command on a node that was destroyed"):
        made[0].run("true")
    with raising(HarnessError, "the network of a run that was destroyed"), make.provider().network(run_id):
        pass


def an_unknown_run_is_no_trouble_to_destroy(make: Maker) -> None:
    """Destroying what was never there does nothing; adopting it is an error that says so."""
    run_id = make.run_id()
    make.provider().destroy(run_id)
    with raising(NoSuchRun, "adopting a run that never was"):
        make.provider().adopt(run_id)


PROVIDER: Mapping[str, Callable[[Maker], None]] = {
    each.__name__: each for each in (a_run_lives_and_ends, an_unknown_run_is_no_trouble_to_destroy)
}
"""What every provider must do."""


# ---------------------------------------------------------------- capabilities


@runtime_checkable
class Snapshotting(Provider, Power, Snapshots, Protocol):
    """A provider whose machines can be set back, and lose their power."""


Reaches = Callable[[Node, Node], bool]
"""Whether a packet from the first node gets an answer, or at least arrives, at the second. Measured from the nodes themselves."""


def power_goes_and_comes_back(provider: Power, node: Node) -> None:
    """Off is off for everybody, on answers when it returns, and both may be said twice."""
    require(provider.is_on(node), "a node that was just made is on", "off")
    try:
        for _ in range(2):
            provider.off(node)
            require(not provider.is_on(node), "is_on is False after off")
        with raising(Unreachable, "a command on a node that is off"):
            node.run("true")
    finally:
        provider.on(node)
    provider.on(node)
    require(provider.is_on(node), "is_on is True after on")
    same(node.run("true").exit, 0, "the status of true after on")
    provider.reboot(node)
    require(provider.is_on(node), "is_on is True after reboot")
    same(node.run("true").exit, 0, "the status of true after reboot")


def pausing_freezes_and_lets_go(provider: Pausing, nodes: Sequence[Node], reaches: Reaches) -> None:
    """A paused node is out of reach of the others; resuming undoes it; both may be said twice, and resume without a pause."""
    node, other = nodes[0], nodes[1]
    provider.resume(node)
    require(reaches(other, node), "nodes reach each other at first")
    try:
        for _ in range(2):
            provider.pause(node)
            require(provider.is_paused(node), "is_paused is True after pause")
        require(not provider.is_paused(other), "is_paused is False for another node")
        require(not reaches(other, node), "a paused node is out of reach", "it was reached")
    finally:
        provider.resume(node)
    require(not provider.is_paused(node), "is_paused is False after resume")
    require(reaches(other, node), "a resumed node is within reach")


def machines_go_back_to_what_was_kept(provider: Snapshotting, run_id: str, folder: Path) -> None:
    """What came after `save` is gone after `revert`, on disks and of power, also the second time; the last state kept under a name counts."""
    source, fetched = folder / "kept.txt", folder / "fetched.txt"

    def write(name: str, text: str) -> None:
        source.write_text(text, encoding="ascii")
        provider.adopt(run_id)[0].put(source, PurePosixPath("/root") / name)

    def read(name: str) -> str:
        try:
            provider.adopt(run_id)[0].get(PurePosixPath("/root") / name, fetched)
        except CommandFailed:
            return "not there"
        return fetched.read_text(encoding="ascii")

    with raising(NoSuchRun, "revert to a state that was never kept"):
        provider.revert(run_id, "never")
    write("contract-before", "first")
    provider.save(run_id, "contract")
    write("contract-before", "second")
    provider.save(run_id, "contract")
    for _ in range(2):
        write("contract-before", "third")
        write("contract-after", "later")
        provider.off(provider.adopt(run_id)[1])
        provider.revert(run_id, "contract")
        same((read("contract-before"), read("contract-after")), ("second", "not there"), "the files after revert")
        for node in provider.adopt(run_id):
            require(provider.is_on(node), f"{node.name} is on after revert", "off")
            same(node.run("true").exit, 0, f"the status of true on {node.name} after revert")


def links_are_cut_one_way_and_restored(provider: Links, nodes: Sequence[Node], reaches: Reaches) -> None:
    """Only those drop who are told to, only what they are told to; cuts are told apart by tag; everything may be said twice."""
    a, b, c = nodes[:3]
    tag, other = "contract_1", "contract_2"
    provider.restore(nodes, tag)
    pairs = [(x, y) for x in (a, b, c) for y in (a, b, c) if x is not y]

    def reached() -> set[tuple[str, str]]:
        return {(x.name, y.name) for x, y in pairs if reaches(x, y)}

    everyone = {(x.name, y.name) for x, y in pairs}
    same(reached(), everyone, "who reaches whom at first")
    try:
        for _ in range(2):
            provider.cut(nodes, {b.name: frozenset({a.name})}, tag)
        same([provider.is_cut(node, tag) for node in (a, b, c)], [False, True, False], "is_cut of the three")
        require(provider.is_cut(b, "contract"), "a cut is found by the start of its tag, up to an underscore")
        require(not provider.is_cut(b, "contra"), "a cut is not found by other letters that its tag begins with")
        require(not provider.is_cut(b, other), "a cut is told apart by its tag")
        require((a.name, b.name) not in reached(), f"{b.name} drops what comes from {a.name}", "it arrives")
        require({(a.name, c.name), (b.name, c.name)} <= reached(), f"{c.name} hears everybody", reached())
        provider.cut(nodes, {b.name: frozenset({c.name})}, other)
        provider.restore(nodes, tag)
        same([provider.is_cut(b, each) for each in (tag, other)], [False, True], "is_cut after one of two cuts was restored")
        require((a.name, b.name) in reached(), f"{b.name} hears {a.name} again", reached())
        require((c.name, b.name) not in reached(), f"{b.name} still drops what comes from {c.name}", reached())
    finally:
        provider.restore(nodes, tag)
        provider.restore(nodes, other)
    provider.restore(nodes, other)
    same(reached(), everyone, "who reaches whom after restore")
    with raising(HarnessError, "a cut that names a stranger"):
        provider.cut(nodes, {b.name: frozenset({"stranger"})}, tag)


def disks_are_slowed_and_mended(provider: Disks, nodes: Sequence[Node]) -> None:
    """A disk says what is added to it, the last word counts, nobody else's is slowed, and mending may be said without slowing."""
    node, other = nodes[0], nodes[1]
    provider.mend(node)
    same(provider.latency(node), Latency(), "the latency at first")
    asked = Latency(fsync=0.2)
    why = provider.why_not(node, asked)
    require(why is None, "this disk can be slowed", why)
    try:
        provider.slow(node, Latency(fsync=0.1))
        provider.slow(node, asked)
        same(provider.latency(node), asked, "the latency after slow, twice")
        same(provider.latency(other), Latency(), "the latency of another node")
    finally:
        provider.mend(node)
    provider.mend(node)
    same(provider.latency(node), Latency(), "the latency after mend")


def a_disk_is_slow_until_it_is_mended(provider: Disks, power: Power, node: Node) -> None:
    """Whatever becomes of the machine's power meanwhile; on one that is off as well it can be asked, and mended."""
    asked = Latency(fsync=0.2)
    try:
        provider.slow(node, asked)
        power.off(node)
        same(provider.latency(node), asked, "the latency of a machine that is off, as it will be")
        power.on(node)
        same(provider.latency(node), asked, "the latency after the power came back")
        power.off(node)
        provider.mend(node)
        same(provider.latency(node), Latency(), "the latency after mend, of a machine that is off")
        power.on(node)
        same(provider.latency(node), Latency(), "the latency after mend and power")
    finally:
        power.on(node)
        provider.mend(node)


# ---------------------------------------------------------------- faults


@dataclass(frozen=True)
class Case:
    """One fault with a cluster to try it on. `spreads`: the fault is in force on others than its targets, too, as a cut has two ends."""

    fault: Fault
    cluster: Cluster
    targets: Sequence[Node]
    spreads: bool = False

    @property
    def others(self) -> list[Node]:
        """The nodes that are no targets."""
        hit = {node.name for node in self.targets}
        return [node for node in self.cluster.nodes if node.name not in hit]

    def look(self) -> dict[str, Mapping[str, Any]]:
        """Return every node's fingerprint."""
        return {node.name: fingerprint(node, self.cluster.provider) for node in self.cluster.nodes}

    def in_force(self) -> list[str]:
        """Return the names of the nodes on which it is in force."""
        return [node.name for node in self.cluster.nodes if self.fault.in_force(self.cluster, node)]

    def awaited(self, condition: Callable[[list[str]], bool], what: str) -> list[str]:
        """Return the nodes on which it is in force as soon as they fulfil a condition. Raises `ContractBroken`."""
        hit: list[str] = []

        def fulfilled() -> bool:
            hit[:] = self.in_force()
            return condition(hit)

        try:
            wait_until(fulfilled, awaited=what, seconds=IN_FORCE_SECONDS, clock=self.cluster.clock)
        except Expired as e:
            raise ContractBroken(f"promised: {what}; saw: it is in force on {', '.join(hit) or 'no node'}") from e
        return hit

    def whole(self, before: Mapping[str, Mapping[str, Any]], when: str) -> None:
        """Raise `ContractBroken` if anything is left of the fault."""
        self.awaited(lambda hit: not hit, f"it is in force nowhere {when}")
        after = self.look()
        left = [f"{name}: {said}" for name in after for said in differences(before[name], after[name])]
        require(not left, f"nothing is left {when}", "; ".join(left))


def heal_without_inject_does_nothing(case: Case) -> None:
    """Healing what was never broken changes nothing."""
    before = case.look()
    case.fault.heal(case.cluster, case.targets)
    case.whole(before, "after heal without inject")


def inject_breaks_the_targets_and_heal_mends_them(case: Case) -> None:
    """It is in force on all targets and nobody else from inject to heal, it leaves there what its traits say, and healing twice is fine."""
    before = case.look()
    for node in case.targets:
        why = unavailable(case.fault, case.cluster, node)
        require(why is None, f"{case.fault.name} can be made on {node.name}", why)
    case.whole(before, "before inject")
    try:
        case.fault.inject(case.cluster, case.targets)
        names = {node.name for node in case.targets}
        hit = case.awaited(lambda hit: names <= {*hit}, f"it is in force on {', '.join(sorted(names))} after inject")
        strangers = [node.name for node in case.others if node.name in hit]
        require(case.spreads or not strangers, "it is in force on nobody else", f"on {', '.join(strangers)}")
        for node in live(case.cluster, case.cluster.nodes):
            more = undeclared(before[node.name], fingerprint(node, case.cluster.provider), case.fault.traits)
            require(not more, f"on {node.name} is of it what its traits say", "; ".join(more))
    finally:
        case.fault.heal(case.cluster, case.targets)
    case.whole(before, "after heal")
    case.fault.heal(case.cluster, case.targets)
    case.whole(before, "after heal, twice")


def heal_needs_no_memory_of_inject(case: Case) -> None:
    """Another process, with nothing but the fault's parameters, heals as well: an equal fault, another cluster object."""
    before = case.look()
    elsewhere = replace(case.cluster)
    again = cast("Fault", replace(cast("Any", case.fault)))
    try:
        case.fault.inject(case.cluster, case.targets)
        names = {node.name for node in case.targets}
        replace(case, fault=again, cluster=elsewhere).awaited(lambda hit: names <= {*hit}, "another process sees it in force")
    finally:
        again.heal(elsewhere, list(reversed(case.targets)))
    case.whole(before, "after heal by another process")


def heal_while_a_target_is_off(case: Case) -> None:
    """A target that lost its power in the meantime is no trouble to heal, and comes back whole. Only for providers with `Power`."""
    if not isinstance(case.cluster.provider, Power):
        return
    before = case.look()
    node = case.targets[0]
    try:
        case.fault.inject(case.cluster, case.targets)
        case.cluster.provider.off(node)
    finally:
        try:
            case.fault.heal(case.cluster, case.targets)
        finally:
            case.cluster.provider.on(node)
    case.whole(before, "after heal of a target that was off, and is on again")


def a_remedy_alone_mends_the_nodes(case: Case) -> None:
    """Every node that inject touches is mended by its own remedy, without heal; run when there is nothing to mend, or twice, it does no harm.

    Nodes that the fault does not name hold nothing that had to be undone there.
    """
    before = case.look()
    undo = _remedies(case)
    _apply(case, undo)
    case.whole(before, "after the remedies without inject")
    try:
        case.fault.inject(case.cluster, case.targets)
        names = {node.name for node in case.targets}
        case.awaited(lambda hit: names <= {*hit}, f"it is in force on {', '.join(sorted(names))} after inject")
        # A node that is off holds nothing, and what slows a disk is not asked of the node but of the provider: it is at the node's host.
        left = []
        for node in live(case.cluster, case.cluster.nodes):
            if node.name not in undo:
                now = fingerprint(node)
                left += [f"{node.name}: {said}" for said in differences({each: before[node.name][each] for each in now}, now)]
        require(not left, "nodes without a remedy hold nothing of the fault", "; ".join(left))
        if undo:
            _apply(case, undo)
            case.whole(before, "after the remedies, without heal")
            _apply(case, undo)
            case.whole(before, "after the remedies, twice")
    finally:
        case.fault.heal(case.cluster, case.targets)
    _apply(case, undo)
    case.whole(before, "after the remedies of what was healed")


def a_remedy_mends_after_half_an_inject(case: Case) -> None:
    """Wherever inject is interrupted, the remedies that were decided before it leave nothing."""
    undo = _remedies(case)
    if not undo:
        return
    try:
        _after_half_an_inject(case, KeyboardInterrupt, lambda: _apply(case, undo), "the remedies")
    finally:
        case.fault.heal(case.cluster, case.targets)


def _remedies(case: Case) -> Mapping[str, Sequence[str]]:
    """Return the remedy of every node that the fault says it will touch: node → command. Raises `ContractBroken` where one has none."""
    try:
        return remedies(case.fault, case.cluster, case.targets)
    except HarnessError as e:
        raise ContractBroken(f"promised: a remedy for every node that is touched; saw: {e}") from e


def _apply(case: Case, undo: Mapping[str, Sequence[str]]) -> None:
    for name, remedy in undo.items():
        result = case.cluster.node(name).run(*remedy, timeout=REMEDY_SECONDS)
        require(result.ok, f"the remedy on {name} ends well", f"status {result.exit}: {result.err.decode(errors='replace').strip()}")


def heal_after_half_an_inject(case: Case, error: type[BaseException]) -> None:
    """Wherever inject is interrupted (before or after any of its calls to nodes or provider), healing leaves nothing."""
    _after_half_an_inject(case, error, lambda: case.fault.heal(case.cluster, case.targets), "heal")


def _after_half_an_inject(case: Case, error: type[BaseException], mend: Callable[[], None], what: str) -> None:
    before = case.look()
    step = 0
    interrupted = True
    while interrupted:
        step += 1
        for early in (True, False):
            fuse = Fuse(step, error, early=early)
            cluster, targets = _fused(case, fuse)
            try:
                case.fault.inject(cluster, targets)
            except error:
                pass
            except HarnessError as e:
                # An interrupt may come out as it is, and nothing may hide it.
                raise ContractBroken(f"promised: {error.__name__} out of inject; saw: {type(e).__name__}: {e}") from e
            finally:
                mend()
            case.whole(before, f"after {what} of an inject that was interrupted {'before' if early else 'after'} its call {step}")
            interrupted = fuse.blown


FAULT: Mapping[str, Callable[[Case], None]] = {
    **{
        each.__name__: each
        for each in (
            heal_without_inject_does_nothing,
            inject_breaks_the_targets_and_heal_mends_them,
            heal_needs_no_memory_of_inject,
            heal_while_a_target_is_off,
            a_remedy_alone_mends_the_nodes,
            a_remedy_mends_after_half_an_inject,
        )
    },
    "heal_after_value_error_in_inject": lambda case: heal_after_half_an_inject(case, ValueError),
    "heal_after_keyboard_interrupt_in_inject": lambda case: heal_after_half_an_inject(case, KeyboardInterrupt),
}
"""What every fault must do."""


class _All:
    """A machine that has whatever it is asked for."""

    def which(self, tool: str) -> str | None:
        return f"/usr/bin/{tool}"

    def exists(self, path: str) -> bool:
        return bool(path)

    def library(self, name: str) -> str | None:
        return f"lib{name}.so"


class _None:
    """A machine that has nothing."""

    def which(self, tool: str) -> str | None:  # noqa: ARG002 - none is there
        return None

    def exists(self, path: str) -> bool:  # noqa: ARG002 - same
        return False

    def library(self, name: str) -> str | None:  # noqa: ARG002 - same
        return None


def a_rung_is_said_of_every_machine(fault: type[Laddered]) -> None:
    """Whatever a machine has or lacks, in one line of words, the same whenever it is asked, and nothing is raised."""
    for what, here in (("that has all", _All()), ("that has nothing", _None())):
        said = _rung(fault, here, what)
        require(isinstance(said, Rung), f"a Rung of a machine {what}", repr(said))
        require(said.can in {True, False, None}, f"whether it can be made on a machine {what}: True, False or None", repr(said.can))
        words = said.how
        plain = isinstance(words, str) and bool(words.strip()) and words.isprintable()
        require(plain, f"how it is made on a machine {what}, in one printable line", repr(words))
        same(_rung(fault, here, what), said, f"what is said of a machine {what}, asked again")


def a_machine_that_lacks_nothing_can_make_it(fault: type[Laddered]) -> None:
    """The best rung is one that somebody can stand on."""
    said = _rung(fault, _All(), "that has all")
    require(said.can is True, "it can be made on a machine that has all", repr(said))


def _rung(fault: type[Laddered], here: Here, what: str) -> Rung:
    try:
        return fault.rung(here)
    except Exception as e:
        raise ContractBroken(f"promised: a rung of a machine {what}; saw: {type(e).__name__}: {e}") from e


LADDERED: Mapping[str, Callable[[type[Laddered]], None]] = {
    each.__name__: each for each in (a_rung_is_said_of_every_machine, a_machine_that_lacks_nothing_can_make_it)
}
"""What every fault that says its rung must do; by its class, since `whalefall doctor` has no parameters."""


@dataclass
class Fuse:
    """Raises `error` before (early) or after the n-th call that goes through it, from 1; once."""

    step: int
    error: type[BaseException]
    early: bool
    blown: bool = False
    _calls: int = field(default=0, repr=False)

    def call(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Make the call, or blow."""
        self._calls += 1
        mine = self._calls == self.step
        if mine and self.early:
            self._blow()
        result = work(*args, **kwargs)
        if mine:
            self._blow()
        return result

    def _blow(self) -> None:
        self.blown = True
        raise self.error(f"interrupted at call {self.step}")


class _FusedNode:
    """A node whose commands go through a fuse."""

    def __init__(self, inner: Node, fuse: Fuse) -> None:
        self.inner, self.fuse = inner, fuse
        self.name, self.address = inner.name, inner.address

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Any:
        return self.fuse.call(self.inner.run, *argv, timeout=timeout, stdin=stdin)

    def put(self, source: Path, target: PurePosixPath) -> None:
        self.fuse.call(self.inner.put, source, target)

    def get(self, source: PurePosixPath, target: Path) -> None:
        self.fuse.call(self.inner.get, source, target)


def _fused(case: Case, fuse: Fuse) -> tuple[Cluster, list[Node]]:
    """Return the cluster with every node and provider call through the fuse. The provider is handed its own nodes, not our wrappers."""
    nodes: list[Node] = [_FusedNode(node, fuse) for node in case.cluster.nodes]
    own = case.cluster.provider

    def unwrap(value: Any) -> Any:
        if isinstance(value, _FusedNode):
            return value.inner
        return [unwrap(each) for each in value] if isinstance(value, list | tuple) else value

    def fused(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda _self, *args: fuse.call(method, *(unwrap(each) for each in args))

    # A class with exactly the provider's methods, so that it has the same capabilities and no others.
    methods = {each: fused(getattr(own, each)) for each in dir(own) if not each.startswith("_") and callable(getattr(own, each))}
    provider = cast("Provider", type("FusedProvider", (), {"name": own.name, **methods})())
    cluster = replace(case.cluster, nodes=nodes, provider=provider)
    return cluster, [cluster.node(node.name) for node in case.targets]
