"""What a step is, and the one registry of its kinds: nobody else asks of which kind a step is.

A step is a frozen dataclass in a module of its own. It reads itself from a file and from a saved plan, says in words what it does, how long it takes
at most and what an editor may complete, and does it in a run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from harness.core import parameters
from harness.core.errors import HarnessError
from harness.core.naming import close, shown, unspaced

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pydantic import BaseModel, TypeAdapter

    from harness.core.errors import Problem
    from harness.core.protocols import Action, Fault
    from harness.core.values import App, Json, Outcome
    from harness.document import Document, Place
    from harness.registry import Known
    from harness.steps.held import Hold
    from harness.steps.misfit import Misfit

P = TypeVar("P", bound="BaseModel")
S = TypeVar("S", bound="type[Step]")


class NoFurther(HarnessError):
    """A step could not be taken, and with it none that comes after: the run goes to its end, and its verdict says why."""


class Reading(Protocol):
    """A scenario file while it is read; see `harness.scenario.parsing.Draft`."""

    doc: Document
    known: Known
    problems: list[Problem]
    apps: list[App]
    unread: list[str]  # names of apps of which no more could be read
    apps_read: bool  # whether the names of all apps are known
    scaled: dict[str, int]  # app → how many instances of it the steps that were read ask for at most, where that is more than it has
    mode: Any

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names; none where they are not known."""

    @property
    def node_range(self) -> str:
        """The nodes' names in few words."""

    def add(self, place: Place, found: str, expected: str, hint: str = "", *, key: bool = False) -> None:
        """Note a problem with the value, or the key, at a place."""

    def misfits(self, found: Sequence[Misfit]) -> None:
        """Note what the mode lacks."""

    def ports(self, app: App, place: Place) -> bool:
        """Note at a place which of an app's ports somebody else has. Returns whether any is."""

    def image(self, app: App, place: Place) -> bool:
        """Note at a place what keeps the nodes from having an app's image. Returns whether anything does."""

    def unlike(self, app: App) -> Sequence[tuple[str, str, str, str]]:
        """Return what an app says that its image does not bear, as far as is known: the key of a file, what was found, what is expected, a hint."""

    def part(
        self,
        model: type[P],
        value: Json,
        place: Place,
        *,
        under: Mapping[str, str] | None = None,
        beside: Sequence[str] = (),
        instead: Sequence[str] = (),
    ) -> P | None:
        """Read a mapping, or note everything that is wrong with it.

        `under` are keys that have their place under one of the mapping's, `beside` those that have it beside the mapping; those that would make
        something else of it (`instead`) are told as valid, too.
        """

    def built(self, cls: Any, given: Json, place: Place, name: str, step: Place, *, beside: Sequence[str] = ()) -> Any:
        """Read parameters as an instance of a class, or note everything that is wrong; `beside` are keys that stand beside the parameters."""

    def checked(self, adapter: TypeAdapter[Any], value: Json, place: Place, expected: str) -> Any:
        """Read a single value, or note that it is not what was expected."""


class UnderWay(Protocol):
    """A run, as far as a step needs it; see `harness.conductor.session.Session`."""

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises what ends the run."""

    def break_(self, fault: Fault, expression: str, hold: Hold, name: str = "") -> tuple[str, ...]:
        """Break something, hold it, mend it; by its name it is spoken of later.

        Raises `harness.core.aim.ImpossibleTarget` where there is nobody to hit, and what ends the run.
        """

    def start(self, fault: Fault, expression: str, name: str) -> tuple[str, ...]:
        """Break something that goes on until it is healed by its name. Raises as `break_`."""

    def heal(self, name: str) -> None:
        """Mend what goes on by that name, or all of it (`harness.steps.breaking.ALL`). Raises what ends the run."""

    def await_(self, goal: str, app: str = "", *, at_most: float, otherwise: str) -> Outcome:
        """Wait until something is so, as `harness.history.awaits` has it, and say whether it came. Raises what ends the run."""

    def act(self, action: Action, expression: str, *, at_most: float, may_fail: bool) -> Outcome:
        """Do something, and say whether it was done. Raises `harness.core.aim.ImpossibleTarget` where there is nobody, and what ends the run."""

    def round(self, number: int, times: int) -> AbstractContextManager[None]:
        """Note that the steps inside it are done for the `number`th of so many times: what they leave open is drawn for each round by itself."""


class Step(ABC):
    """One thing that a run does. Kinds are frozen dataclasses, each with a word in files and in plans, which stands in no other kind's mapping."""

    __slots__ = ()

    key: ClassVar[str]
    example: ClassVar[str]  # for whoever wrote a step that is none

    @classmethod
    @abstractmethod
    def read(cls, reading: Reading, item: Mapping[str, Json], place: Place) -> Self | None:
        """Read an item of `steps` that has the kind's word, or note everything that is wrong with it and return None."""

    @classmethod
    @abstractmethod
    def schemas(cls, known: Known, target: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the JSON Schemas of what such an item may be; `target` is that of a target expression."""

    @classmethod
    @abstractmethod
    def from_json(cls, body: Mapping[str, Any], among: Known) -> Self:
        """Undo `to_json`. Raises `KeyError`, `TypeError` or `ValueError` for what no step of this kind wrote."""

    @abstractmethod
    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in a saved plan."""

    @property
    @abstractmethod
    def longest(self) -> float:
        """Seconds that it takes at most, without making and mending."""

    @abstractmethod
    def words(self, nodes: Sequence[str]) -> list[str]:
        """Say what it does, in a line or more."""

    @abstractmethod
    def run(self, run: UnderWay) -> None:
        """Do it. Raises `NoFurther` where no further step can be taken, and what ends the run."""

    def flat(self, place: Place) -> Iterator[tuple[Step, Place]]:
        """Yield what is done one after the other: itself, or the steps that it is made of, each with its place."""
        yield self, place

    def misfits(self, place: Place, mode: Any) -> list[Misfit]:  # noqa: ARG002 - for kinds that ask for something
        """Return what it asks for and the mode lacks."""
        return []

    def slowed(self, seconds: float) -> Step:  # noqa: ARG002 - for kinds that wait for something
        """Return the step for machines that may take so much longer: what waits for something waits longer."""
        return self


STEPS: dict[str, type[Step]] = {}
"""Every kind of step by its word."""


def kind_of_step(kind: S) -> S:
    """Add a kind to the registry."""
    STEPS[kind.key] = kind
    return kind


def kind_of(item: Mapping[str, Json]) -> str:
    """Return the word of the kind that a mapping is a step of: the first in it that is one's; empty where none is."""
    return next((key for key in item if key in STEPS), "")


def read_step(reading: Reading, item: Json, place: Place) -> Step | None:
    """Read an item of `steps`, of whatever kind it is."""
    if isinstance(item, dict) and (word := kind_of(item)):
        things = [*reading.known.faults.values(), *reading.known.actions.values()]
        own = {name for each in things for name in parameters.names(each)}  # a parameter beside `with` may be called as a kind of step
        if second := next((key for key in item if key in STEPS and key != word and key not in own), ""):
            reading.add((*place, second), f"{word} and {second} in one step", "one of them: each step is an item of its own", key=True)
            return None
        return STEPS[word].read(reading, item, place)
    keys = list(item) if isinstance(item, dict) else []
    hint = next((near for key in keys if (near := unspaced(key, STEPS) or close(key, STEPS))), "")
    hint = unspaced(item, STEPS) if isinstance(item, str) else hint
    *others, last = [kind.example for kind in STEPS.values()]
    reading.add(place, shown(item), f"a step: {', '.join(others)}, or {last}", hint)
    return None


def step_from_json(body: Mapping[str, Any], among: Known) -> Step:
    """Read a step back. Raises `KeyError`, `TypeError` or `ValueError` for what no step wrote."""
    word = kind_of(body)
    if not word:
        raise ValueError(f"a step with {', '.join(map(str, body)) or 'nothing'}")
    return STEPS[word].from_json(body, among)


def flat(steps: Sequence[Step]) -> Iterator[tuple[Step, Place]]:
    """Yield what a run does one after the other, each with its place in the file."""
    for number, step in enumerate(steps):
        yield from step.flat(("steps", number))


def longest(steps: Sequence[Step], settle: float) -> float:
    """Seconds that steps and settling take at most. A hold that ends when something is seen goes on for a while then."""
    return settle + sum(step.longest for step in steps)
