"""One document while it is read: what is known of it so far, and its pieces, each turned into a value or into problems at its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from harness.core import parameters
from harness.core.errors import Problem
from harness.core.naming import range_of, shown, stands_for, unspaced
from harness.host import app_images, contexts
from harness.scenario import models
from harness.scenario.ports import note_ports
from harness.scenario.problems import wrong
from harness.steps.part import descriptions, keys

if TYPE_CHECKING:
    from harness.core.values import App, Json
    from harness.document import Document, Place
    from harness.registry import Known
    from harness.steps.misfit import Misfit

P = TypeVar("P", bound=BaseModel)


class Draft:
    """A document that is being read. It goes from section to section, cluster and apps first: the others ask it for nodes, apps and the mode."""

    def __init__(
        self, doc: Document, known: Known, overrides: Mapping[str, str | None], *, lenient: bool = False, block: str | None = None
    ) -> None:
        self.doc = doc
        self.known = known
        self.overrides = overrides
        self.lenient = lenient  # read only to see whether it is right: the command line's profile counts where the mode has it
        self.block = block  # the mode whose block was laid over the document
        self.problems: list[Problem] = []
        self.cluster: models.ClusterPart | None = None
        self.nodes_read = False  # whether it is known how many nodes there are: else no node's name is known to be wrong
        self.apps: list[App] = []
        self.unread: list[str] = []  # names of apps of which no more could be read
        self.apps_read = True  # whether the names of all apps are known: else an unknown one may be that of another
        self.scaled: dict[str, int] = {}
        self.mode: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names; none where the cluster could not be read."""
        return self.cluster.node_names if self.cluster and self.nodes_read else ()

    @property
    def node_range(self) -> str:
        """The nodes' names in few words."""
        return range_of(self.names or ("n1",))

    def add(self, place: Place, found: str, expected: str, hint: str = "", *, key: bool = False) -> None:
        """Note a problem with the value, or the key, at a place."""
        self.problems.append(self.doc.problem(place, found, expected, hint, key=key))

    def misfits(self, found: Sequence[Misfit]) -> None:
        """Note what the mode lacks, and by whose word the file is read for that mode where it is not the file's own."""
        hint = ""
        if found and self.block is not None:
            hint = f"read for {self.block}, by `but` in line {self.doc.keys['but', self.block].line}"
        elif found and self.overrides.get("mode") is not None:
            hint = f"`but: {self.overrides['mode']}:` in the file can say what differs there"
        for each in found:
            self.add(each.place, each.found, each.expected, hint)

    def ports(self, app: App, place: Place) -> bool:
        """Note which of an app's ports somebody else has; see `harness.scenario.ports`."""
        return note_ports(self, app, place)

    def unlike(self, app: App) -> Sequence[tuple[str, str, str, str]]:
        """Return what an app says that the folder of its image does not bear, where nodes build it; see `harness.host.contexts.unlike`."""
        builds = self.cluster is not None and contexts.builds_here(self.known.providers.get(self.cluster.provider))
        return contexts.unlike(app, self.doc.file) if builds else ()

    def image(self, app: App, place: Place) -> bool:
        """Note what keeps the nodes from having an app's image, which would be found out minutes later. Returns whether anything does."""
        if self.cluster is None:
            return False
        builds = contexts.builds_here(self.known.providers.get(self.cluster.provider))
        wrong = list(app_images.problems(app.image, self.doc.file, builds=builds, native=app.native is not None))
        for each in wrong:
            if not isinstance(each, Problem):
                self.add(place, *each)
            elif each not in self.problems:
                self.problems.append(each)
        return bool(wrong)

    def listed(self, body: dict[str, Json], name: str) -> list[tuple[Json, Place]]:
        """Return the items of a list with their places; a list that is left out is empty."""
        value = body.get(name, [])
        if not isinstance(value, list):
            self.add((name,), shown(value), str(models.WholeFile.model_fields[name].description))
            self.apps_read = self.apps_read and name != "apps"
            return []
        return [(item, (name, number)) for number, item in enumerate(value)]

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
        valid = (*keys(model), *instead)
        if not isinstance(value, dict):
            self.add(place, shown(value), "a mapping with " + ", ".join(valid))
            return None
        try:
            return model.model_validate(value)
        except ValidationError as error:
            self._note(error, value, place, valid, descriptions(model), under or {}, beside)
            return None

    def built(self, cls: Any, given: Json, place: Place, name: str, step: Place, *, beside: Sequence[str] = ()) -> Any:
        """Read parameters as an instance of a fault's, workload's or checker's class; `beside` are keys that stand beside the parameters."""
        valid = parameters.names(cls)
        if given is None:
            given = {}
        if not isinstance(given, dict):
            self.add(place, shown(given), f"the parameters of {name}: " + (", ".join(valid) or "it has none"))
            return None
        try:
            return parameters.build(cls, given)
        except ValidationError as error:
            where = place if place in self.doc.values else step
            self._note(error, given, where, valid, parameters.wanted(cls), {}, beside)
        except ValueError as error:
            # The class says itself what it wants, and mostly of which parameter.
            named = [key for key in given if re.search(rf"\b{re.escape(key)}\b", str(error))] or list(given)
            where = (*place, named[0]) if len(named) == 1 else place
            self.add(where, f"{name}: {error}", "")
        return None

    def checked(self, adapter: TypeAdapter[Any], value: Json, place: Place, expected: str) -> Any:
        """Read a single value, or note that it is not what was expected."""
        try:
            return adapter.validate_python(value, strict=True)
        except ValidationError as error:
            self.add(place, *wrong(error.errors(include_url=False)[0], expected))
            return None

    def _note(
        self,
        error: ValidationError,
        given: Mapping[str, Json],
        place: Place,
        keys: Sequence[str],
        described: Mapping[str, str],
        under: Mapping[str, str],
        beside: Sequence[str] = (),
    ) -> None:
        """Turn pydantic's errors into problems at their places in the file."""
        told: set[Place] = set()
        found = error.errors(include_url=False, include_context=True)
        # A key with a slip of the pen in it is told once: that the right one is missing only follows from it.
        missed = [(each["loc"][:-1], str(each["loc"][-1])) for each in found if each["type"] == "missing"]
        stand = {
            each["loc"]: stands_for(str(each["loc"][-1]), keys, [name for where, name in missed if where == each["loc"][:-1]])
            for each in found
            if each["type"] in _UNKNOWN and not {str(each["loc"][-1])} & {*under, *beside, "<<"}
        }
        meant = {(loc[:-1], name) for loc, name in stand.items()}
        for each in found:
            if each["type"] == "missing" and (each["loc"][:-1], str(each["loc"][-1])) in meant:
                continue
            at = place
            for step in each["loc"]:
                if (*at, step) not in self.doc.values:
                    break
                at = (*at, step)
            if each["type"] == "missing":
                short = isinstance(each["loc"][-1], int)  # what is missing is the rest of a list
                name = str(each["loc"][0 if short else -1])
                if not (short and at in told):
                    self.add(at, shown(given[name]) if short else f"{name!r} is missing", described.get(name, ""))
                told.add(at)
            elif each["type"] in _UNKNOWN:
                name = str(each["loc"][-1])
                expected = f"one of {', '.join(keys)}" if keys else "no parameters: there are none"
                near = stand.get(each["loc"], "")
                inside = _its_place(name, str(place[-1]) if place else "", under, () if near else beside)
                spaced = unspaced(name, keys) or (f"did you mean {near!r}?" if near else "")
                merged = "nothing is merged here: write out what it would bring" if name == "<<" else ""
                self.add(at, f"an unknown key {name!r}", expected, inside or merged or spaced, key=True)
            elif at not in told and each["type"] != "none_required":
                told.add(at)
                name = str(each["loc"][0]) if each["loc"] else ""
                # A description is that of a whole mapping: of one value in it only its type is told.
                saw, *more = wrong(each, "" if each["loc"][1:] and isinstance(given.get(name), dict) else described.get(name, ""))
                # What a unit was read of is told as it stands there: `1s`, and not 1.0.
                read = each["type"] in _BOUNDS and len(each["loc"]) == 1 and name in given
                self.add(at, shown(given[name]) if read else saw, *more)


def _its_place(name: str, part: str, under: Mapping[str, str], beside: Sequence[str]) -> str:
    """Say where a key belongs that stands in the wrong place; nothing of one that belongs nowhere."""
    if near := name if name in beside else stands_for(name, beside, beside):
        return f"{'' if near == name else f'did you mean {near!r}? '}put it beside {part}, with as many blanks before it"
    return f"put it under {under[name]}: `{under[name]}: {{{name}: …}}`" if name in under else ""


_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""Pydantic's words for a key that nobody knows."""
_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
"""Pydantic's words for a number that is out of its bounds."""
