"""How instances of apps are called, ``web@1``, and by which Docker labels their containers are followed."""

from __future__ import annotations

from typing import Final

APP_LABEL: Final = "whalefall.app"
"""Label of each container of an app of ours: the app's name."""
INSTANCE_LABEL: Final = "whalefall.instance"
"""Label of one that has a label of its own: the instance's name."""
RUN_LABEL: Final = "whalefall.run"
"""Label of what a run has made: its id."""

_DIGITS: Final = 10
"""No app has as many instances as a number of so many digits says."""


def app_of(instance: str) -> str:
    """Return the app's name of an instance, e.g. ``web`` of ``web@1``."""
    return instance.partition("@")[0]


def number_of(instance: str) -> int | None:
    """Return the number of an instance, e.g. 1 of ``web@1``; None for a name that no instance of ours has."""
    number = instance.rpartition("@")[2]
    return int(number) if "@" in instance and number.isascii() and number.isdecimal() and len(number) < _DIGITS else None
