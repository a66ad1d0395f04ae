"""The probes of a scenario, and the commands among its workloads: their names, and the nodes that they are asked of, or run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core.naming import close, range_of
from harness.core.values import HERE
from harness.history.calls import stream
from harness.workloads.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.core.values import Json
    from harness.document import Place
    from harness.scenario.parsing import Draft


class ProbeSlip(NamedTuple):
    """What is wrong with one probe, or command, among workloads, by its place there, and the place of another one that it goes by."""

    number: int
    key: str
    found: str
    expected: str
    hint: str = ""
    other: int | None = None


def read_probe(reading: Draft, item: Json, place: Place) -> Any:
    """Read an item of `probes`."""
    return reading.built(reading.known.workloads[Probe.name], item, place, Probe.name, place)


def slips(workloads: Sequence[Any], names: Sequence[str]) -> Iterator[ProbeSlip]:
    """Say which probe, or command, is for none of these nodes, and which has the name of another one."""
    seen: dict[tuple[str, str], int] = {}
    for number, each in enumerate(workloads):
        if (kind := stream(each)) is None or not kind.own:
            continue
        if names and each.on not in {*names, HERE}:
            expected = f"a node's name, {range_of(names)}, or {HERE}"
            yield ProbeSlip(number, "on", f"the node {each.on!r}", expected, close(each.on, [*names, HERE]))
        named = (each.name, each.called)
        if named in seen:
            found = f"a second {each.name} named {each.called!r}"
            yield ProbeSlip(number, "name", found, f"a name of its own for each {each.name}", other=seen[named])
        seen.setdefault(named, number)


def note_probes(reading: Draft, body: dict[str, Json], workloads: Sequence[Any]) -> None:
    """Note `slips` at their places. The probes under `workloads` come first."""
    listed = {name: body.get(name) for name in ("workloads", "probes")}
    places: list[Place] = [
        (name, number, *(item if name == "workloads" and isinstance(item, dict) else ()))
        for name, items in listed.items()
        for number, item in enumerate(items if isinstance(items, list) else [])
    ]
    for slip in slips(workloads, reading.names):
        hint = slip.hint if slip.other is None else f"the first is in line {reading.doc.values[places[slip.other]].line}"
        reading.add((*places[slip.number], slip.key), slip.found, slip.expected, hint)
