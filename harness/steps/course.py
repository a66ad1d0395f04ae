"""What goes on when: the faults of a list of steps, each with those that it overlaps with, and what is wrong with that."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core import aim, targets
from harness.core.naming import close
from harness.core.traits import DISK, POWER, taken
from harness.core.values import HERE
from harness.steps.acting import Do
from harness.steps.breaking import ALL, Break, breaks
from harness.steps.healing import Heal
from harness.steps.repeating import Repeat
from harness.steps.step import flat, kind_of
from harness.steps.targeting import GOES_ON, by_no_fault, note, unreadable

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.steps.step import Reading, Step


@dataclass(frozen=True, slots=True)
class Made:
    """A fault that steps make."""

    number: int  # from 1, as in the history
    step: Break
    place: Place
    beside: tuple[Made, ...]  # those that go on when it is decided, in order
    named: tuple[Made, ...]  # those before it that have a name, in order


def faults_made(steps: Sequence[Step]) -> tuple[Made, ...]:
    """Return every fault that steps make, in order, with those that go on when it is decided."""
    made: list[Made] = []
    going: list[Made] = []
    for step, place in flat(steps):
        if isinstance(step, Break):
            made.append(Made(len(made) + 1, step, place, tuple(going), tuple(each for each in made if each.step.name)))
            going += [made[-1]] if step.hold is None else []
        elif isinstance(step, Heal):
            going = [each for each in going if step.name not in {ALL, each.step.name}]
    return tuple(made)


def left_going(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the names of the faults that go on when the last step is over, the newest first: so they are mended then."""
    going: list[str] = []
    for step, _ in flat(steps):
        if isinstance(step, Break) and step.hold is None:
            going.insert(0, step.name)
        elif isinstance(step, Heal):
            going = [] if step.name == ALL else [each for each in going if each != step.name]
    return tuple(going)


def part_words(part: str, nodes: Sequence[str]) -> str:
    """Say what of which nodes a fault takes, e.g. ``the power of n1``."""
    whose = ", ".join(nodes)
    return f"the {part} of {whose}" if part in {POWER, DISK} else f"{part} on {whose}"


def note_names(reading: Reading, items: Sequence[Json]) -> None:
    """Say what is wrong with the names of faults that go on: one twice, and heals of nothing. `items` are a file's steps as they stand there.

    What is repeated is looked at as it is done, twice over: a name that a round gives must be free again when the next one begins.
    """
    begun: dict[str, Place] = {}
    going: list[str] = []
    over: dict[str, int] = {}  # name → line in which it was healed
    held: dict[str, int] = {}  # name → line in which a fault of that name is held
    wrong: set[Place] = set()  # heals of nothing
    for item, place in itertools.takewhile(lambda each: not _without_end(each[0]), _named(items, ("steps",))):
        line = reading.doc.values[reading.doc.nearest(place)].line
        kind = kind_of(item)
        if kind in {Break.key, Do.key}:
            whom = item.get("on")
            if isinstance(whom, str) and unreadable(whom) is None:  # else it is said where it was read
                note(reading, (*place, "on"), by_no_fault(targets.parse(whom), list(begun), going=bool(going)))
        if kind == Break.key and isinstance(name := item.get("as"), str):
            if begun.get(name, place) != place:
                first = reading.doc.values[reading.doc.nearest(begun[name])].line
                reading.add((*place, "as"), f"a second fault named {name!r}", "a name of its own", f"the first is in line {first}")
            elif name in going:
                found = f"{name!r}, which is still in force from the round before"
                reading.add((*place, "as"), found, "a fault that is healed in each round", f"`heal: {name}` as a later step of the round")
            begun.setdefault(name, place)
            held |= {name: line} if "hold" in item else {}
            going = [*(each for each in going if each != name), *([] if "hold" in item else [name])]
        elif kind == Heal.key and isinstance(name := item.get("heal"), str):
            gone = list(going) if name == ALL else [name]
            if name == ALL and not going and place not in wrong:
                wrong.add(place)
                hint = GOES_ON if not over else "all were healed before"
                reading.add((*place, "heal"), "heal of nothing: no fault is in force here", "a step while a fault is in force", hint)
            elif name != ALL and name not in going and place not in wrong:
                wrong.add(place)
                hint = _ended(name, over, held) or close(name, going) or _there(going)
                reading.add((*place, "heal"), f"heal of {name!r}, which is not in force here", "the name of a fault in force", hint)
            over |= dict.fromkeys(gone, line)
            going = [each for each in going if each not in gone]


def names_given(items: Sequence[Json]) -> tuple[str, ...]:
    """Return the names that faults are given by a file's steps, as they stand there, in order."""
    named = (item.get("as") for item, _ in _named(items, ()) if "fault" in item)
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


def faults_by_name(steps: Sequence[Step], made: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the numbers of all faults that have a name (`as`), by that: of one in a repeat, those of all rounds.

    `made` are the kinds of all faults of the run, in order, of which steps in Python may not hold every one.
    """
    left = enumerate(made, 1)
    found: dict[str, list[int]] = {}
    for step in breaks(steps):
        number = next((number for number, kind in left if kind == step.fault.name), None)
        if step.name and number is not None:
            found.setdefault(step.name, []).append(number)
    return {name: tuple(numbers) for name, numbers in found.items()}


def note_twice(reading: Reading, steps: Sequence[Step]) -> None:
    """Say which faults would surely take of a node what another one that goes on has already. What hangs on the run is refused there.

    Of a step that is done several times it is said once, with the numbers of the first two that meet.
    """
    told: set[tuple[Place, Place]] = set()
    for made in faults_made(steps):
        for other in made.beside:
            parts = sorted(taken(made.step.fault.traits) & taken(other.step.fault.traits))
            again = made.place == other.place  # told already: it is still in force from the round before
            if again or (made.place, other.place) in told or not parts or not (nodes := _both(reading, made, other)):
                continue
            told.add((made.place, other.place))
            line = reading.doc.values[reading.doc.nearest(other.place)].line
            has = f"fault {other.number} ({other.step.fault.name} in line {line}) has {part_words(' and '.join(parts), nodes)}"
            reading.add(
                (*made.place, "on"),
                f"fault {made.number} ({made.step.fault.name}) where {has}",
                "a node that still has it",
                f"heal {other.step.name} first",
            )


def _both(reading: Reading, one: Made, other: Made) -> tuple[str, ...]:
    """Return the nodes that two faults hit whatever happens; ``a node``, where it is only sure that there is one."""
    nodes = reading.names
    first, second = targets.parse(one.step.targets), targets.parse(other.step.targets)
    if str(first) == str(second) == HERE:
        return (HERE,)
    if any(isinstance(part, targets.Same) and part.name == other.step.name for part in first.sets):
        return ("a node",)
    if common := sorted({*aim.fixed(first, nodes)} & {*aim.fixed(second, nodes)}):
        return tuple(common)
    fewest = [each.wanted(len(nodes)) or len(aim.fixed(each, nodes)) for each in (first, second)]
    return ("a node",) if all(fewest) and sum(fewest) > len(nodes) else ()


def _named(items: Sequence[Json], place: Place) -> Iterator[tuple[dict[str, Json], Place]]:
    """Yield the mappings in a list of steps, each with its place, in the order in which they are done; what is repeated twice over."""
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            continue
        yield item, (*place, number)
        if Repeat.key in item and isinstance(inner := item.get("steps"), list):
            for _ in range(2):
                yield from _named(inner, (*place, number, "steps"))


def _without_end(item: Mapping[str, Json]) -> bool:
    """Whether a step is a fault with neither a hold nor a name, which is told: what goes on after it, and by which name, nobody knows."""
    return kind_of(item) == Break.key and item.keys().isdisjoint(("hold", "as"))


def _ended(name: str, healed: Mapping[str, int], held: Mapping[str, int]) -> str:
    """Say in which line a fault was healed, or in which one it is held; nothing of one that is neither."""
    if name in held:
        return f"it is mended when its hold in line {held[name]} is over"
    return f"it was healed in line {healed[name]}" if name in healed else ""


def _there(going: Sequence[str]) -> str:
    return f"in force here: {', '.join(going)}" if going else "nothing is in force here"
