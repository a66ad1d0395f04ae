"""The probes of a scenario, and the commands among its workloads: their names, and the nodes that they are asked of, or run on."""

from __future__ import annotations

from types import SimpleNamespace
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
    """Note `slips` at their places, also of what could not be made. The probes under `workloads` come first."""
    outlines: list[Any] = []
    places: list[Place] = []
    for section in ("workloads", "probes"):
        items = body.get(section)
        for number, item in enumerate(items if isinstance(items, list) else []):
            inside = isinstance(item, dict) and section == "workloads"
            kind, given = next(iter(item.items()), ("", None)) if isinstance(item, dict) and inside else (Probe.name, item)
            places.append((section, number, *([kind] if inside else [])))
            made = workloads[len(outlines)]
            outlines.append(_outline(reading.known.workloads.get(kind), given) if made is None else made)
    told = {(each.line, each.column) for each in reading.problems}
    for slip in slips(outlines, reading.names):
        place = (*places[slip.number], slip.key)
        if tuple(reading.doc.values[reading.doc.nearest(place)]) in told:  # no such name can be: that is told
            continue
        hint = slip.hint if slip.other is None else f"the first is in line {reading.doc.values[places[slip.other]].line}"
        reading.add(place, slip.found, slip.expected, hint)


def _outline(cls: Any, given: Json) -> Any:
    """Return the name of a probe, or a command, that could not be made, and its node; None where not even a name can be read."""
    name, on = (given.get("name"), given.get("on")) if isinstance(given, dict) else (None, None)
    if cls is None or not isinstance(name, str):
        return None
    return SimpleNamespace(name=cls.name, stream=stream(cls), called=name, on=on if isinstance(on, str) else HERE)
