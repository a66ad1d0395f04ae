"""Raft's terms, as the members of a quorum tell them: one leader each, and none that goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkers.judging import Point, broken, unknown
from harness.core.figures import at
from harness.history.events import MemberSeen

if TYPE_CHECKING:
    from harness.history.events import History


def broken_terms(history: History) -> list[Point]:
    """Return what members told of terms that no raft allows, whoever of them leads or follows. Term 0 is that of one that knows of none yet.

    So a member that was in a term and then says 0 convicts nobody: it is read as not knowing, not as having forgotten. If that is its last word it
    may have forgotten, which is unknown.
    """
    return [*_leaders(history), *_went_back(history), *_forgot(history)]


def _leaders(history: History) -> list[Point]:
    """Two leaders in one term: by their own word, or by that of those who follow them."""
    named: dict[int, dict[str, dict[str, int]]] = {}  # term → leader → who said so → where
    for entry, event in history.each(MemberSeen):
        if not event.error and event.leader is not None and event.term > 0:
            named.setdefault(event.term, {}).setdefault(event.leader, {}).setdefault(event.node, entry.index)
    points = []
    for term, leaders in sorted(named.items()):
        if len(leaders) < 2:  # noqa: PLR2004 - two are one too many
            continue
        evidence = [index for said in leaders.values() for index in said.values()]
        if all(leader in said for leader, said in leaders.items()):
            text = f"{' and '.join(sorted(leaders))} each called themselves leader in term {term}"
        else:
            each = (f"{' and '.join(sorted(said))} named {leader}" for leader, said in sorted(leaders.items()))
            text = f"two leaders in term {term}: {', '.join(each)}"
        points.append(broken(text, *sorted(evidence)))
    return points


def _went_back(history: History) -> list[Point]:
    """A member that was in a later term before: it forgot, so it may vote a second time. A disk that is kept keeps the term."""
    highest: dict[str, tuple[int, float, int]] = {}
    gone: set[str] = set()
    points: list[Point] = []
    for entry, event in history.each(MemberSeen):
        if event.error or event.term <= 0:
            continue
        term, time, index = highest.get(event.node, (0, 0.0, -1))
        if event.term >= term:
            highest[event.node] = (event.term, entry.time, entry.index)
        elif event.node not in gone:
            gone.add(event.node)
            points.append(
                broken(
                    f"{event.node} was in term {event.term} at {at(entry.time)}, after term {term} at {at(time)}: "
                    "it forgot what it had voted for, and can vote again",
                    index,
                    entry.index,
                )
            )
    return points


def _forgot(history: History) -> list[Point]:
    """A member that was in a term once, and at the end knows of none."""
    highest: dict[str, int] = {}
    last: dict[str, tuple[int, float, int]] = {}
    for entry, event in history.each(MemberSeen):
        if not event.error:
            highest[event.node] = max(highest.get(event.node, 0), event.term)
            last[event.node] = (event.term, entry.time, entry.index)
    return [
        unknown(
            f"{node} was in term {highest[node]} once and knew of no term from {at(time)} on: it may have forgotten what it had voted for",
            index,
        )
        for node, (term, time, index) in sorted(last.items())
        if term <= 0 < highest[node]
    ]
