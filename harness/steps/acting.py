"""Steps that do something which nobody undoes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from harness.core import parameters, targets
from harness.core.aim import ImpossibleTarget
from harness.core.aim import most as most_hit
from harness.core.figures import given
from harness.core.naming import close
from harness.core.protocols import CAPABILITIES, Altering, Choosy, Local, NamingNodes, Scaling
from harness.core.units import Duration, counted
from harness.core.values import AFTER, BEFORE, Outcome
from harness.history.lines import typed
from harness.steps.expectations import Check, parameters_words, programs
from harness.steps.misfit import Misfit, refused_of, target_misfits
from harness.steps.named_app import named_apps, note_apps
from harness.steps.part import Part, beside_with, keys, meant, model_schema
from harness.steps.step import NoFurther, Step, flat, kind_of_step
from harness.steps.targeting import note_not_here, read_target

if TYPE_CHECKING:
    from harness.core.protocols import Action
    from harness.core.values import App, Json
    from harness.document import Place
    from harness.registry import Known
    from harness.steps.step import Reading, UnderWay

AT_MOST = "how long it may take: a duration above 0, such as 30s or 2m"
MAY_FAIL = "true (the run goes on, and is judged, if it is not done) or false"


class DoPart(Part):
    """A step that is an action."""

    do: str = Field(description="the name of an action")
    given: Any = Field(default_factory=dict, alias="with", description="the action's parameters")
    on: str = Field("", description="a target expression, where it is done to nodes")
    at_most: Duration = Field(1.0, alias="at most", gt=0, description=AT_MOST)
    may_fail: bool = Field(default=False, alias="may fail", description=MAY_FAIL)


@kind_of_step
@dataclass(frozen=True, slots=True)
class Do(Step):
    """Something is done: the action, to whom (a target expression; empty for one that is done to no node), and how long that may take.

    Where it is not done the run cannot be judged, and no further step is taken; but where it `may_fail`.
    """

    action: Action
    targets: str
    at_most: float  # seconds
    may_fail: bool = False

    key: ClassVar[str] = "do"
    example: ClassVar[str] = "a mapping with do"

    @classmethod
    def read(cls, reading: Reading, item: Mapping[str, Json], place: Place) -> Self | None:
        """Read the action with its parameters, and to whom it is done; see `Step.read`."""
        name = item["do"]
        known = reading.known.actions.get(name) if isinstance(name, str) else None
        under = {} if known is None else beside_with(DoPart, known, item)
        part = reading.part(DoPart, dict(item), place, under=under)
        aimless = known is not None and not known.aims
        expression = read_target(reading, item["on"], (*place, "on"), known or Local) if "on" in item and not aimless else None
        action = None
        if known is not None:
            if not under and "with" not in meant(DoPart, item):
                action = reading.built(known, item.get("with"), (*place, "with"), str(name), place, beside=keys(DoPart))
            if known.aims and "on" not in item and "on" not in meant(DoPart, item, ["on"]):
                reading.add(place, "'on' is missing", f"a target expression: {name} is done to nodes")
            elif aimless and "on" in item:
                reading.add((*place, "on"), f"a target of {name}", "none: it is done to no node")
        elif isinstance(name, str):
            names = ", ".join(sorted(reading.known.actions))
            reading.add((*place, "do"), f"an unknown action {name!r}", f"one of {names}", close(name, reading.known.actions))
        sound = known is None or note_apps(reading, known, action, item.get("with"), (*place, "with"))
        sound = action is not None and _note_ports(reading, action, place) and sound
        sound = action is not None and note_not_here(reading, action, part.on if part else "", place) and sound
        sound = action is not None and _note_nodes(reading, action, place) and sound
        sound = action is not None and _note_images(reading, action, place) and sound
        sound = action is not None and _note_refused(reading, action, item.get("with"), (*place, "with")) and sound
        sound = action is not None and _note_definitions(reading, action, place) and sound
        if action is not None and reading.mode:
            reading.misfits(_misfits(action, place, reading.mode))  # also where its target is wrong
        if part is None or action is None or not sound or (expression is not None) is not bool(action.aims) or (aimless and "on" in item):
            return None
        if expression is not None and reading.mode:
            reading.misfits(target_misfits(part.on, (*place, "on"), reading.mode))
        return cls(action, part.on, part.at_most if "at most" in item else action.longest, part.may_fail)

    @classmethod
    def schemas(cls, known: Known, target: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return one for each action, with its parameters; see `Step.schemas`."""
        return [_schema(name, known.actions[name], target) for name in sorted(known.actions)]

    @classmethod
    def from_json(cls, body: Mapping[str, Any], among: Known) -> Self:
        """Read it back; see `Step.from_json`."""
        on = typed(str, body["on"])
        if on:
            targets.parse(on)
        action = parameters.build(among.actions[body["do"]], body["with"])
        if action.aims is not bool(on):
            raise ValueError(f"{action.name} on {on!r}")
        return cls(action, on, typed(float, body["at most"]), typed(bool, body["may fail"]))

    def to_json(self) -> dict[str, Json]:
        """Return all of it."""
        return {
            "do": self.action.name,
            "with": parameters.read(self.action),
            "on": self.targets,
            "at most": self.at_most,
            "may fail": self.may_fail,
        }

    @property
    def longest(self) -> float:
        """All of the time that it may take."""
        return self.at_most

    def words(self, nodes: Sequence[str]) -> list[str]:
        """Say what is done, to whom, and how long that may take."""
        named = f"{self.action.name} {parameters_words(self.action)}".rstrip()
        whom = f" on {targets.in_words(targets.parse(self.targets), nodes=nodes)}" if self.targets else ""
        fine = ", which may fail" if self.may_fail else ""
        return [f"do {named}{whom}, {given(self.at_most)} at most{fine}", *programs(self.action)]

    def run(self, run: UnderWay) -> None:
        """Do it. Raises `NoFurther` where it was not done, or nobody can tell, and it may not fail."""
        try:
            outcome = run.act(self.action, self.targets, at_most=self.at_most, may_fail=self.may_fail)
        except ImpossibleTarget as error:
            if not self.may_fail:
                raise NoFurther(f"{self.action.name} was done to nobody") from error
            return
        if outcome is not Outcome.OK and not self.may_fail:
            raise NoFurther(f"{self.action.name} failed")

    def misfits(self, place: Place, mode: Any) -> list[Misfit]:
        """Return what the action and its target ask for."""
        found = target_misfits(self.targets, (*place, "on"), mode) if self.targets else []
        return [*found, *_misfits(self.action, place, mode)]

    def slowed(self, seconds: float) -> Self:
        """Return it with so much more time."""
        return dataclasses.replace(self, at_most=self.at_most + seconds)


def actions(steps: Sequence[Step]) -> tuple[Do, ...]:
    """Return every action that steps do, in order: the first is number 1."""
    return tuple(step for step, _ in flat(steps) if isinstance(step, Do))


def apart(steps: Sequence[Step]) -> list[Do]:
    """Return what is done to whom, each once however often it is done. Compared, and not hashed: a parameter of others may be a list."""
    found: list[Do] = []
    for step in actions(steps):
        if not any((step.action, step.targets) == (other.action, other.targets) for other in found):
            found.append(step)
    return found


def most(app: App, steps: Sequence[Step]) -> int:
    """Return how many instances of an app are to run at most, whatever its actions are done."""
    return max([app.instances, *(each.action.effect.runs.get(app.name, 0) for each in actions(steps))])


def note_numbers(reading: Reading, steps: Sequence[Step]) -> None:
    """Say which steps are about an app that was removed before, or is yet to come, and which actions deploy one that is there.

    And which would have fewer instances of one where the mode itself chooses which of them stop; that none are left is fine.
    """
    mode: Any = reading.mode
    now = {app.name: app for app in reading.apps}
    for step, place in flat(steps):
        action = step.action if isinstance(step, Do) else None
        runs: Mapping[str, int] = action.effect.runs if action is not None else {}
        for _, found, expected in there_or_not(step, now.values()):
            reading.add((*place, "with", "app") if action is not None else (*place, step.key), found, expected)
        if (gone := gone_from(getattr(step, "targets", ""), reading.names, now.values())) is not None:
            reading.add((*place, "on"), *gone)
        if mode is not None and action is not None:
            reading.misfits([Misfit((*place, "with", "instances"), *said) for said in fewer(action, now.values(), mode)])
        now |= {name: dataclasses.replace(app, instances=runs[name]) for name, app in now.items() if name in runs}


def note_asked(reading: Reading, checks: Sequence[Check | None], steps: Sequence[Step]) -> None:
    """Say which checks ask nodes that run an app, before the faults or after them, when none of it is to run: they could not but fail."""
    last = {app.name: app.instances for app in reading.apps}
    for each in actions(steps):
        last |= {name: number for name, number in each.action.effect.runs.items() if name in last}
    times = {BEFORE: reading.apps, AFTER: [dataclasses.replace(app, instances=last[app.name]) for app in reading.apps]}
    ever = [dataclasses.replace(app, instances=most(app, steps)) for app in reading.apps]
    for number, check in enumerate(checks):
        if check is None or gone_from(check.on, reading.names, ever) is not None:  # the latter is told where it was read
            continue
        for when, apps in times.items():
            if when in check.when and (gone := gone_from(check.on, reading.names, apps)) is not None:
                found, expected, hint = gone
                later = f"ask only later: `when: {AFTER}`" if when == BEFORE else hint
                reading.add(("checks", number, "on"), f"{found} {when} the faults", expected, later)


def gone_from(text: str, nodes: Sequence[str], apps: Iterable[App]) -> tuple[str, str, str] | None:
    """Say that a target can hit nobody where these apps run as they do by then: what was found, expected, and a hint; None where it can."""
    now = {app.name: app.instances for app in apps}
    expression = targets.parse(text) if text and nodes else None
    asked = targets.apps(expression) if expression is not None else ()
    gone = {each.app for each in asked if now.get(each.app) == 0}
    now |= {each.instance: 0 for each in asked if isinstance(each, targets.HostOf) and each.app in gone}
    if expression is None or not gone or most_hit(expression, nodes=nodes, instances=now):
        return None
    hint = f"of {' and '.join(sorted(gone))} none is to run by then; app.deploy brings it"
    return f"the target {text!r}", "one that can hit a node by then", hint


def there_or_not(step: Step, apps: Iterable[App]) -> Iterator[tuple[str, str, str]]:
    """Say which of these apps, as they run now, a step is about although it is not there, or deploys although it is: each name, and why not."""
    action = step.action if isinstance(step, Do) else None
    now = {app.name: app.instances for app in apps}
    for name in named_apps(action or step):
        there = now.get(name)
        deploys = action is not None and "Removing" in action.takes and action.effect.runs.get(name, 0) > 0
        if deploys and there:
            expected = "an app that is not there: with `instances: 0`, or removed before; app.scale changes how many instances there are"
            yield name, f"{name}, which is there, with {counted(there, 'instance')}", expected
        elif not deploys and there == 0:
            yield name, f"{name}, of which none is to run by then", "an app that is there; app.deploy brings it"


def fewer(action: Action, apps: Iterable[App], mode: Any) -> Iterator[tuple[str, str]]:
    """Say of which of these apps, as they run now, an action would have fewer, and any, where the mode itself chooses which of them stop."""
    for app in apps if isinstance(mode, Scaling) and not mode.shrinks else ():
        if 0 < action.effect.runs.get(app.name, app.instances) < app.instances:
            found = f"fewer instances of {app.name} than the {app.instances} before, with the {mode.name} mode"
            yield found, "as many or more: it chooses itself which of them stop"


def _misfits(action: Action, place: Place, mode: Any) -> list[Misfit]:
    """Return what an action itself asks for that the mode lacks."""
    # What a provider offers is asked of it when there is one.
    takes = {name: CAPABILITIES[name] for name in action.takes}
    lacking = [name for name, each in takes.items() if each.of_mode and not isinstance(mode, each.protocol)]
    if lacking:
        return [Misfit((*place, "do"), f"{action.name}, with the {mode.name} mode", f"a mode that offers {' and '.join(lacking)}")]
    if isinstance(action, Choosy) and (lack := action.misfit(mode)):
        parameter, asked, expected = lack
        return [Misfit((*place, "with", parameter), asked, expected)]
    return []


def _note_nodes(reading: Reading, action: Action, place: Place) -> bool:
    """Say which nodes an action names that are not there. Returns whether all are, as far as is known."""
    named = action.nodes_named() if isinstance(action, NamingNodes) and reading.names else {}
    strange = {at: name for at, name in named.items() if name not in reading.names}
    for at, name in strange.items():
        reading.add((*place, "with", *at), f"an unknown node {name!r}", f"one of {', '.join(reading.names)}", close(name, reading.names))
    return not strange


def _note_ports(reading: Reading, action: Action, place: Place) -> bool:
    """Say which apps of an action would have ports that somebody else has. Returns whether all is well."""
    sound = True
    for name, instances in action.effect.runs.items() if reading.apps_read else ():
        app = next((each for each in reading.apps if each.name == name), None)
        if app is not None:
            sound = not reading.ports(dataclasses.replace(app, instances=instances), (*place, "with", "instances")) and sound
            reading.scaled[name] = max(instances, reading.scaled.get(name, app.instances))
    return sound


def _note_images(reading: Reading, action: Action, place: Place) -> bool:
    """Say what keeps the nodes from having the image that an action gives an app. Returns whether all is well."""
    if not isinstance(action, Altering):
        return True
    given = [new for app in reading.apps if (new := action.altered(app)).image != app.image]
    at = (*place, "with", "image")
    unlike = [said for new in given for _, *said in reading.unlike(new)]
    for said in unlike:
        reading.add(at, *said)
    return not any([*(reading.image(new, at) for new in given), *unlike])


def _note_refused(reading: Reading, action: Action, given: Json, place: Place) -> bool:
    """Say what the mode cannot give an app that an action makes another one. Returns whether all is well."""
    if not isinstance(action, Altering):
        return True
    wrong = [said for app in reading.apps if (new := action.altered(app)) != app for said in refused_of(new, reading.mode)]
    for key, *said in wrong:
        reading.add((*place, key) if isinstance(given, dict) and key in given else place, *said)
    return not wrong


def _note_definitions(reading: Reading, action: Action, place: Place) -> bool:
    """Say what an action asks of an app that the app's own definition does not allow. Returns whether all is well."""
    sound = True
    for app in reading.apps:
        if app.native is None:
            continue
        many = action.effect.runs.get(app.name, 0)
        if many > app.native.most:
            what = f"{counted(many, 'instance')} of {app.name}, whose definition makes {app.native.most}"
            reading.add((*place, "with", "instances"), what, f"{app.native.most} at most")
            sound = False
        if isinstance(action, Altering) and app.name in action.effect.alters:
            what = f"{action.name} of {app.name}, whose definition is a file of its own"
            hint = "a file that was changed is deployed by the next run"
            reading.add((*place, "with", "app"), what, "an app whose image the scenario names", hint)
            sound = False
    return sound


def _schema(name: str, cls: Any, target: Mapping[str, Any]) -> dict[str, Any]:
    schema = parameters.schema(cls)
    shared = model_schema(DoPart)["properties"]
    whom = {"on": target} if cls.aims else {}
    return {
        "type": "object",
        "description": schema.get("description", ""),
        "properties": {
            "do": {"const": name},
            "with": schema,
            **whom,
            "at most": {key: value for key, value in shared["at most"].items() if key != "default"},
            "may fail": {"type": "boolean", "description": MAY_FAIL},
        },
        "required": ["do", *(["with"] if schema.get("required") else []), *whom],
        "additionalProperties": False,
    }
