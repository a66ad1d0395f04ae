"""Apps that a part of a scenario names: one rule for steps, promises and workloads, ours and those of plug-ins."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from harness.core import parameters
from harness.core.naming import close

if TYPE_CHECKING:
    from collections.abc import Collection

    from harness.core.values import Json
    from harness.document import Place
    from harness.steps.step import Reading

EXPECTED = parameters.APP
_NAME = re.compile(r"[a-z][a-z0-9-]*")


def named_apps(what: Any) -> tuple[str, ...]:
    """Return the apps that a fault, an action, a checker or a workload names: by its parameter ``app``, and by the effect that it has.

    A default that no app could be called, as an empty one, names none: it stands for any app, or for all of them.
    """
    by_name = None if _stands_for_any(what) else getattr(what, "app", None)
    effect = getattr(what, "effect", None)
    of_effect = [app for each in ("runs", "renews", "alters") for app in getattr(effect, each, ())]
    return tuple(dict.fromkeys([*([by_name] if isinstance(by_name, str) else []), *of_effect]))


def _stands_for_any(what: Any) -> bool:
    """Whether the parameter ``app`` has its default, and that is no name of an app."""
    defaults = [each.default for each in dataclasses.fields(what) if each.name == "app"] if dataclasses.is_dataclass(what) else []
    return any(isinstance(each, str) and what.app == each and not _NAME.fullmatch(each) for each in defaults)


def one_of_apps(name: str, apps: Collection[str]) -> str:
    """Return a hint: the app that is meant, or those that there are."""
    return close(name, apps) or (f"there is {', '.join(apps)}" if apps else "there is no app")


def note_app(reading: Reading, name: Json, place: Place) -> bool:
    """Note at a place that there is no app of this name. Returns whether there is one, as far as is known; what is no text, others tell."""
    names = [*(each.name for each in reading.apps), *reading.unread]
    if not reading.apps_read or not isinstance(name, str) or name in names:
        return True
    reading.add(place, f"an unknown app {name!r}", EXPECTED, one_of_apps(name, names))
    return False


def note_apps(reading: Reading, cls: Any, what: Any, given: Json, place: Place) -> bool:
    """Note which apps something of a class names that are not there; of what could not be made (None) the one given. Returns whether all are."""
    by_name = given.get("app") if isinstance(given, dict) and "app" in parameters.names(cls) else None
    named = (by_name,) if what is None else named_apps(what)
    known = [note_app(reading, each, (*place, "app")) for each in named]  # each is told
    return all(known)
