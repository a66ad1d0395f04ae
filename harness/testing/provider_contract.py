"""What every provider must do, and each of what it can do beyond that, as plain functions; see `harness.testing.contracts` for how they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from harness.core.errors import CommandFailed, HarnessError, NoSuchRun, Unreachable
from harness.core.protocols import Disks, Links, Node, Pausing, Power, Provider, Snapshots
from harness.core.values import Latency, NodeSpec
from harness.testing.contracts import raising, require, same


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
