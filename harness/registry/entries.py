"""Plug-ins: what other distributions of this environment add, found by their entry points, each looked at before it is used.

An entry point stands in a group of `GROUPS`, is named as its class is, and leads to that class. Loading one runs its distribution's code, which
whoever installed it here lets run as root anyway. What is said of a plug-in is its own text: nothing of it is obeyed by a terminal or begins a line.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.errors import Problem, gist, in_words
from harness.core.figures import given
from harness.core.naming import article
from harness.core.plain import command, in_line, sentence
from harness.core.targets import nearest
from harness.core.threads import CertainThread, NoThread
from harness.registry import fitness
from harness.registry.fitness import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from importlib.metadata import Distribution, EntryPoint

    from harness.registry.fitness import Lack

PREFIX = "whalefall."
"""How the names of our groups begin."""
GROUPS = {f"{PREFIX}{kind}": kind for kind in KINDS}
"""Group of entry points → kind of what it adds."""

LOAD_SECONDS = 15.0
"""How long one plug-in may take to be imported and looked at. A large one takes some seconds on a slow machine."""


@dataclass(frozen=True, slots=True)
class PlugIn:
    """One class that a distribution adds."""

    kind: str  # one of `harness.registry.fitness.KINDS`
    name: str
    cls: Any
    source: str  # the distribution and its version, for people


@dataclass(frozen=True, slots=True)
class PlugIns:
    """What the distributions of an environment add."""

    good: tuple[PlugIn, ...]
    problems: tuple[Problem, ...]  # of all others

    def of(self, kind: str) -> dict[str, Any]:
        """Return the classes of a kind by name."""
        return {each.name: each.cls for each in self.good if each.kind == kind}

    def source(self, kind: str, name: str) -> str | None:
        """Return which distribution adds a name; None for one that none adds."""
        return next((each.source for each in self.good if (each.kind, each.name) == (kind, name)), None)


def found() -> list[EntryPoint]:
    """Return the entry points of this environment whose group begins as ours do."""
    every = importlib.metadata.entry_points()
    return [each for group in sorted(every.groups) if group.startswith(PREFIX) for each in every.select(group=group)]


def unreadable(error: Exception) -> tuple[Problem, ...]:
    """Say whose entry points cannot be read, after `found` has raised this."""
    damaged = list(_damaged())
    expected, hint = "entry points as the packaging guide has them", "install it again, or remove it"
    if not damaged:
        return (Problem("the installed distributions", 0, 0, f"found {sentence(in_words(error))}", expected, ""),)
    return tuple(
        Problem(f"the distribution {who}", 0, 0, f"found an entry_points.txt that cannot be read ({sentence(why)})", expected, hint)
        for who, why in damaged
    )


def _damaged() -> Iterator[tuple[str, str]]:
    for each in importlib.metadata.distributions():
        try:
            _ = each.entry_points
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is asked for
            yield " ".join(_of(each)), in_words(error)


def read(found: Iterable[EntryPoint], ours: Mapping[str, Collection[str]]) -> PlugIns:
    """Load entry points, and tell all that is wrong with them; `ours` are the names of each kind that we have ourselves. Never raises."""
    every = sorted(found, key=lambda each: (each.group, each.name, _source(each), each.value))
    good: list[PlugIn] = []
    problems: list[Problem] = []
    for entry in every:
        kind = GROUPS.get(entry.group)
        if kind is None:
            problems.append(_problem(entry, _no_group(entry.group)))
            continue
        others = [each for each in every if each is not entry and (each.group, each.name) == (entry.group, entry.name)]
        cls, lacks = _loaded(kind, entry)
        lacks = [*_taken(entry.name, ours[kind], others), *lacks]
        problems += [_problem(entry, lack) for lack in lacks]
        if not lacks:
            good.append(PlugIn(kind, entry.name, cls, _source(entry)))
    return PlugIns(tuple(good), tuple(problems))


def _no_group(group: str) -> Lack:
    """Say that nobody looks into a group: what stands there would be missed without a word."""
    return f"the group {group!r}, which this version does not know", f"one of {', '.join(GROUPS)}", nearest(group, list(GROUPS))


def _taken(name: str, ours: Collection[str], others: Iterable[EntryPoint]) -> Iterator[Lack]:
    if name in ours:
        yield "a name that Whalefall has itself", "a name of its own", "names with the distribution's own first word stay free"
    for other in others:
        yield f"a name that {_source(other)} has, too", "a name of its own", "uninstall one of them"


def _loaded(kind: str, entry: EntryPoint) -> tuple[Any, list[Lack]]:
    """Return what an entry point leads to, and what keeps it from being used: also that its code does not come to an end.

    Nobody who mends may wait for that. It is left behind in a thread of its own, which ends with this process.
    """
    said: list[tuple[Any, list[Lack]] | KeyboardInterrupt] = []

    def look() -> None:
        try:
            said.append(_looked_at(kind, entry))
        except KeyboardInterrupt as interrupt:
            said.append(interrupt)

    thread = CertainThread(target=look, name=f"the plug-in {_source(entry)}")
    try:
        thread.start()
    except NoThread:
        return _looked_at(kind, entry)
    thread.wait(LOAD_SECONDS)
    if not said:
        return None, [
            (f"nothing that can be imported (it was not done after {given(LOAD_SECONDS)})", "code that ends when it is imported", "")
        ]
    if isinstance(said[0], KeyboardInterrupt):
        raise said[0]
    return said[0]


def _looked_at(kind: str, entry: EntryPoint) -> tuple[Any, list[Lack]]:
    """Return what an entry point leads to, and what keeps it from being used."""
    try:
        cls = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever its code does when it is imported, it is told and the others are loaded
        return None, [(f"nothing that can be imported ({in_words(error)})", f"module:Class of {article(KINDS[kind].word)}", "")]
    try:
        return cls, list(fitness.lacks(kind, entry.name, cls))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - its own code answers some of the questions, and may crash in any of them
        return None, [(f"a class that cannot be looked at ({in_words(error)})", f"the class of {article(KINDS[kind].word)}", "")]


def _problem(entry: EntryPoint, lack: Lack) -> Problem:
    found, expected, hint = lack
    where = f"the plug-in {_source(entry)}, {sentence(entry.group)} {sentence(entry.name)!r} ({sentence(entry.value)})"
    return Problem(where, 0, 0, f"found {gist(sentence(found))}", sentence(expected), sentence(hint) or _remedy(entry))


def _remedy(entry: EntryPoint) -> str:
    return f"mend it, or remove it: `{command('pip', 'uninstall', _words(entry)[0])}`"


def _source(entry: EntryPoint) -> str:
    return " ".join(_words(entry))


def _words(entry: EntryPoint) -> tuple[str, str]:
    """Return the name and the version of an entry's distribution, as far as its metadata say them."""
    return _of(entry.dist)


def _of(distribution: Distribution | None) -> tuple[str, str]:
    try:
        name, version = (distribution.name, distribution.version) if distribution else (None, None)
    except Exception:  # noqa: BLE001 - metadata that are damaged: the plug-in is told by what is left
        name, version = None, None
    return in_line(name or "without a name"), in_line(version or "without a version")
