"""Histories that no run would tell: made of every kind of event by its fields' types, in any order, with names and figures as they come.

For contracts of whoever reads a history. A seed makes the same history each time; a new kind of event is told without a word here.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Hashable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from harness.core.traits import to_history
from harness.core.values import CallStream, Phase, Traits
from harness.faults import FAULTS
from harness.history.awaits import ELSES, GOALS
from harness.history.events import KINDS, Closed, Event, History, Note, Opened, PhaseBegan

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = (
    "\x1b[2J\x1b]0;x\x07",
    "<script>alert(1)</script>",
    "[bold]&amp;[/bold]",
    "a\nheld: all is well",
    "\u202edlrow",
    "é" * 300,
    "'; rm -rf /",
    "%s{0}",
)
"""Text that somebody else may have sent: what a terminal obeys, markup of all sorts, a line that looks like one of ours, and much of it."""
NODES = ("n1", "n2", "n3")
INSTANCES = ("web@1", "web@2", "db@1")
POOLS: Mapping[str, Sequence[Any]] = {
    "app": ("web", "db", ""),
    "action": ("create", "start", "die", "destroy"),
    "at": (-1.0, 0.0, 12.5, 90.0, 1e9),
    "by": (*NODES, None),
    "check": ("service docker is_running",),
    "fault": (1, 2, 3),
    "function": ("get", "read", "write"),
    "goal": (*GOALS, "dinner"),
    "instance": (*INSTANCES, "web", "", "@", "web@x"),
    "key": (*INSTANCES, "k1", "k2", ""),
    "leader": (*NODES, None, "nobody"),
    "name": tuple(FAULTS),
    "node": (*NODES, ""),
    "number": (1, 2, 3),
    "observer": ("host", "docker", "placement", "membership", "nobody"),
    "op": (1, 2, 3, 4, 5, 6),
    "otherwise": ELSES,
    "value": ("v1", "v2", None, ""),
    "when": ("before", "during", "after", "whenever"),
    "who": ("harness", "machine", *NODES),
    "workload": (CallStream.APP.value, CallStream.QUORUM.value, CallStream.STORE.value, "nobody"),
}
"""Values of fields that go by these names, so that what is told is about the same few things. All others go by their types."""
COUNTS = (-1, 0, 1, 3, 10**9)
FIGURES = (-1.0, 0.0, 0.5, 3.0, 30.0, 1e9, 1e300, -1e300)
ODD = 0.1
"""Share of texts that are hostile, whatever their field is called."""
DEPTH = 3
HALF = 0.5


def history(seed: int, events: int = 60) -> History:
    """Return a strange history of so many events: always the same for a seed."""
    rng = Random(seed)  # noqa: S311 - not a secret
    kinds = told_kinds()
    every: list[tuple[float, Event]] = [
        (rng.choice((round(rng.uniform(0.0, 90.0), 6), 10.0)), _made(rng, rng.choice(kinds))) for _ in range(events)
    ]
    if rng.random() < HALF:
        every.append((91.0, PhaseBegan(Phase.DONE)))
    return History.of_events(*every)


def told_kinds() -> list[type[Event]]:
    """Return the kinds of events of which these histories are made: all but the lines that open and close a file."""
    return [kind for kind in KINDS.values() if kind not in {Opened, Closed}]


def silent() -> Iterator[tuple[str, History]]:
    """Yield histories that say nothing of a cluster, each with what it is: silence is not a pass, and convicts nobody."""
    phases = [(float(at), PhaseBegan(phase)) for at, phase in enumerate(Phase)]
    yield "an empty history", History([])
    yield "a history of remarks", History.of_events(*((float(at), Note("a remark")) for at in range(20)))
    yield "a run in which nobody saw anything", History.of_events(*phases)
    yield "a run that ended before it began", History.of_events((0.0, PhaseBegan(Phase.DONE)))


def _made(rng: Random, kind: type[Any]) -> Any:
    hints = _hints(typing.cast("Hashable", kind))
    return kind(**{each.name: _value(rng, hints[each.name], each.name) for each in dataclasses.fields(kind)})


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(typing.cast("type[Any]", kind), localns={"Mapping": Mapping})


def _value(rng: Random, hint: Any, name: str = "") -> Any:
    """Return a value of a type: by its field's name where that is one of `POOLS`, else anything."""
    if hint is str and rng.random() < ODD:
        return rng.choice(HOSTILE)
    known = [each for each in POOLS.get(name, ()) if type(each) in (typing.get_args(hint) or (hint,))]
    if known:
        return rng.choice(known)
    if typing.get_origin(hint) is not None:
        return _of_parts(rng, hint, name)
    return _made(rng, typing.cast("type[Any]", hint)) if dataclasses.is_dataclass(hint) else _plain(rng, hint)


def _of_parts(rng: Random, hint: Any, name: str) -> Any:
    """Return a value of a type that is made of others: an optional one, a tuple, or a mapping of what JSON can hold."""
    args = typing.get_args(hint)
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        some = [each for each in args if each is not type(None)]
        return _value(rng, rng.choice(some), name) if rng.random() > 2 * ODD else None
    few = range(rng.choice((0, 0, 1, 2, 3)))
    if typing.get_origin(hint) is tuple:
        return tuple(sorted(_value(rng, str, "node") for _ in few) if args[0] is str else (_value(rng, args[0]) for _ in few))
    if name == "traits" and rng.random() > ODD:
        made = _made(rng, Traits)
        return to_history(made, [rng.choice(NODES) for _ in few])
    if args[1] is int:
        return {rng.choice(("web", "db", *HOSTILE)): _value(rng, int) for _ in few}
    return {rng.choice((*NODES, *HOSTILE)): _json(rng) for _ in few}


def _plain(rng: Random, hint: type[Any]) -> Any:
    if issubclass(hint, enum.Enum):
        return rng.choice(list(hint))
    if hint is str:
        return rng.choice(("", "a word", *NODES))
    if hint is bool:
        return rng.random() < HALF
    return rng.choice(COUNTS if hint is int else FIGURES)


def _json(rng: Random, depth: int = DEPTH) -> Any:
    """Return something that JSON can hold."""
    if not depth or rng.random() < HALF:
        return rng.choice([None, True, 0, -1, 2.5, "", "a word", *HOSTILE])
    if rng.random() < HALF:
        return [_json(rng, depth - 1) for _ in range(rng.choice((0, 1, 3)))]
    return {rng.choice(("a", "b", *NODES)): _json(rng, depth - 1) for _ in range(rng.choice((0, 2)))}
