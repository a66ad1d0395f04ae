"""Which instance a task of Marathon's is.

Marathon knows no first and no second instance of an app: each has an id of its own, and one that takes the place of another is told by nothing.
What follows an instance through a run needs a number, so each id is given one when it is first listed, and keeps it: the lowest that no other
listed instance has. What Marathon has given up (an unreachable task) has none to keep from others, so whoever takes its place takes its number; in
a rolling change, where old and new stand beside each other, the new one takes that of an old one. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.modes.mesos.marathon_api import MarathonTask

UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TASK = rf"(?P<app>.+)\.(?:instance-|marathon-)?(?P<number>{UUID})(?:\..*)?"
"""A task's id: its app's path with underscores for slashes, and its instance's id. What comes after that counts the instance's incarnations."""
_TASK = re.compile(TASK)


def instance_id(task: str) -> str | None:
    """Return the id of a task's instance; None for what is no task of Marathon's."""
    found = _TASK.fullmatch(task)
    return found["number"] if found else None


def begun(path: str) -> str:
    """Return what the ids of an app's tasks begin with: its path, with underscores for slashes."""
    return path.strip("/").replace("/", "_")


def app_of(task: str) -> str | None:
    """Return what a task's id begins with (see `begun`); None for what is no task of Marathon's."""
    found = _TASK.fullmatch(task)
    return found["app"] if found else None


class Numbers:
    """The numbers of one app's instances, by their ids. For one thread at a time."""

    def __init__(self) -> None:
        self._of: dict[str, int] = {}

    def of(self, instance: str) -> int | None:
        """Return the number of an instance; None of one that was never listed."""
        return self._of.get(instance)

    def note(self, listed: Iterable[MarathonTask], wanted: int) -> None:
        """Give each instance of all that are listed a number that has none yet; `wanted` is how many instances there should be."""
        tasks = sorted(listed, key=lambda each: (each.staged, each.id))
        there = {each.id: number for each in tasks if not each.gone and (number := self._number(each)) is not None}
        taken = set(there.values())
        newest = max((each.version for each in tasks), default="")
        old = {number for each in tasks if (number := there.get(each.id)) is not None and each.version != newest}
        followed = {number for each in tasks if (number := there.get(each.id)) is not None and each.version == newest}
        for each in tasks:
            name = instance_id(each.id)
            if name is None or name in self._of:
                continue
            free = next(number for number in range(1, len(taken) + 2) if number not in taken)
            if free > wanted and each.version == newest and (rest := sorted(old - followed)):
                free = rest[0]
            self._of[name] = free
            if not each.gone:
                taken.add(free)
                if each.version == newest:
                    followed.add(free)

    def _number(self, task: MarathonTask) -> int | None:
        name = instance_id(task.id)
        return self._of.get(name) if name is not None else None
