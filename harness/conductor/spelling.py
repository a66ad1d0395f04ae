"""What a scenario in Python asks for, told at once where it can never be: a scenario file is told as much before its run."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness import registry
from harness.core import parameters, targets, units
from harness.core.errors import BadInput, Problem
from harness.core.naming import close, shown
from harness.core.protocols import Needing
from harness.core.values import App, Volume
from harness.history.awaits import ELSES, GOALS
from harness.history.awaits import RECOVERED as AWAITED_APP
from harness.host import app_images, contexts
from harness.registry import fitness
from harness.scenario import models, probes, problems
from harness.scenario.apps import a_second, to_nowhere
from harness.scenario.containers import command_slips, environment_slips, health_slips, limits_slips, restart_slips
from harness.scenario.fits import taken_misfits
from harness.scenario.labels import wrong_labels
from harness.scenario.ports import wrong_ports
from harness.scenario.promises import unpaced, wanting, windows_of, wrong_window
from harness.scenario.volumes import not_there, wrong_volumes
from harness.steps import ALL, LEADER_MOVED, NAME, NAMED, RECOVERED, STAYS_SECONDS, Break, Do, Hold
from harness.steps.acting import fewer, there_or_not
from harness.steps.misfit import refused_of
from harness.steps.named_app import named_apps
from harness.steps.part import descriptions
from harness.steps.targeting import slips

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from harness.core.protocols import Cluster, Workload
    from harness.history.interfaces import Checker
    from harness.steps import Step
    from harness.steps.targeting import Around

MARKER = "@pytest.mark.whalefall"

WHOM = "whom to hit"
"""What stands before what is wrong with a target, where a file's name and line would stand."""


def must_be_promises(
    promises: Sequence[Checker],
    apps: Collection[str],
    workloads: Sequence[Workload] | None = None,
    mode: Any = None,
    named: Sequence[str] | None = None,
) -> None:
    """Raise `BadInput` with all that is no promise of a scenario file.

    And, where there is none of that, for one of an app that is not there, with a value that no file could give, that nothing among `workloads`,
    where they are given, makes calls for, that the mode, where it is known, lacks something for, or that is about the time of a fault that is not
    among those `named` before, where they are given.
    """
    among = registry.known().checkers
    valid = ", ".join(sorted(f"{kind.__name__} ({name})" for name, kind in among.items()))
    _told(
        [
            Problem("the promises", 0, 0, _named(each), f"an instance of one of {valid}")
            for each in promises
            if among.get(str(getattr(each, "name", ""))) is not type(each)
        ]
    )
    found = [*_misfits("promise", promises), *_unknown_apps("promise", promises, apps)]
    if workloads is not None:
        sound = [each for each in promises if parameters.fits(each)]
        able = registry.known().workloads
        found += [Problem(f"the promise {each.name}", 0, 0, *said) for each in sound for said in wanting(workloads, each, able)]
    if named is not None:
        sound = [each for each in promises if parameters.fits(each)]
        asked = [(each, key, name) for each in sound for key, names in windows_of(each).items() for name in names]
        slips = [(each, said) for each, key, name in asked for said in wrong_window(each, key, name, named)]
        found += [Problem(f"the promise {each.name}", 0, 0, *said) for each, said in slips]
    _told([*found, *_by_mode("promise", promises, mode)])


def must_be_workloads(workloads: Sequence[Workload], apps: Collection[str], nodes: Sequence[str] = (), mode: Any = None) -> None:
    """Raise `BadInput` with every workload that calls an app which is not there, or has a value that no file could give.

    And with every probe, or command, that is for none of `nodes`, where those are known, or has the name of another one; with each by whose figures
    no calls could be made; and with each that the mode lacks something for, where it is known.
    """
    wrong = [*_misfits("workload", workloads), *_unknown_apps("workload", workloads, apps), *_by_mode("workload", workloads, mode)]
    sound: list[Any] = [each for each in workloads if parameters.fits(each)]
    _told(
        [
            *wrong,
            *(
                Problem(f"the {sound[each.number].name} {sound[each.number].called}", 0, 0, *each[2:5])
                for each in probes.slips(sound, nodes)
            ),
            *(Problem(f"the workload {each.name}", 0, 0, *said) for each in sound for _, *said in unpaced(each)),
        ]
    )


def _by_mode(what: str, asked: Sequence[Any], mode: Any) -> list[Problem]:
    """Return what a mode lacks for promises or workloads. Of no mode (None) nothing is known."""
    named = [(each.name, lack) for each in asked for lack in taken_misfits(each, (), mode)] if mode is not None else []
    return [Problem(f"the {what} {name}", 0, 0, lack.found, lack.expected) for name, lack in named]


LISTS: Mapping[str, str] = {
    "apps": 'a list of apps, e.g. [App("web", 2)]',
    "workloads": 'a list of workloads, e.g. [Http("web")]',
    "promises": 'a list of promises, e.g. [Rescheduled("web")]',
}
"""What the marker of a Python test is given in lists."""


def _named(value: Any) -> str:
    """Name a value as Python has it, shortened."""
    if value is None or isinstance(value, str | int | float | list | dict):
        return shown(value)
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


LONGEST = 80
"""Letters of a value that are repeated."""


def must_be_keywords(asked: Collection[str], valid: Collection[str]) -> None:
    """Raise `BadInput` with every keyword that the marker of a Python test does not have."""
    _told(
        [
            Problem(MARKER, 0, 0, f"an unknown keyword {shown(each)}", f"one of {', '.join(valid)}", close(each, valid))
            for each in asked
            if each not in valid
        ]
    )


def must_be_wishes(wish: Mapping[str, Any], positional: Sequence[Any] = ()) -> None:
    """Raise `BadInput` for all that is of another kind than the marker of a Python test takes, before anything asks what is in it."""
    found = [Problem(MARKER, 0, 0, _named(each), "keywords alone, e.g. whalefall(nodes=3)") for each in positional]
    for name, expected in LISTS.items():
        if not isinstance(wish[name], list | tuple):
            found.append(Problem(f"{name} of {MARKER}", 0, 0, _named(wish[name]), expected))
    kinds = registry.known().workloads
    for each in wish["workloads"] if isinstance(wish["workloads"], list | tuple) else ():
        if type(each) not in kinds.values():
            valid = ", ".join(sorted(kind.__name__ for kind in kinds.values()))
            found.append(Problem(f"workloads of {MARKER}", 0, 0, _named(each), f"an instance of one of {valid}"))
    if not isinstance(wish["slow_disks"], bool):
        found.append(Problem(f"slow_disks of {MARKER}", 0, 0, _named(wish["slow_disks"]), "True or False"))
    plain = [name for name in ("mode", "provider", "profile") if not isinstance(wish[name], str)]
    found += [Problem(f"{name} of {MARKER}", 0, 0, _named(wish[name]), "text") for name in plain]
    among = registry.known()
    for name, there in (("mode", among.modes), ("provider", among.providers)):
        if name not in plain and wish[name] not in there:
            hint = close(wish[name], there)
            found.append(Problem(f"{name} of {MARKER}", 0, 0, shown(wish[name]), f"one of {', '.join(sorted(there))}", hint))
    if not isinstance(wish["timers"], Mapping) or not all(isinstance(each, str) for each in wish["timers"]):
        found.append(Problem(f"timers of {MARKER}", 0, 0, _named(wish["timers"]), "timers by their names, e.g. {'agent_ttl': '5s'}"))
    else:
        found += [problem for name, value in wish["timers"].items() for problem in _timer(name, value)[1]]
    _told(found)


def timers_of(wish: Mapping[str, Any]) -> dict[str, float]:
    """Return the timers that a marker asks for, in seconds: numbers, or text as in a scenario file. For what `must_be_wishes` has let through."""
    return {name: _timer(name, value)[0] for name, value in wish["timers"].items()}


def _timer(name: str, value: Any) -> tuple[float, list[Problem]]:
    try:
        return units.duration(value), []
    except ValueError as error:
        return 0.0, [Problem(f"the timer {shown(name)} of {MARKER}", 0, 0, *problems.parts(str(error)))]


_KEYS = {"port": "host port", "inner": "port"}
"""What a scenario file calls the fields of an app that have another name there."""


def must_be_cluster(nodes: Any, apps: Sequence[Any], provider: str = "", file: str = "", mode: Any = None) -> None:
    """Raise `BadInput` for a number of nodes, and for apps, that no scenario file could ask for, nor nodes of this provider have the image of.

    And with all that the mode cannot give an app, where it is known. `file` is what asks for them: paths are relative to its folder.
    """
    found = _parts("the cluster", models.ClusterPart, {"nodes": nodes})
    names = [] if found else [f"n{number}" for number in range(1, nodes + 1)]
    read: list[App] = []
    builds = contexts.builds_here(registry.known().providers.get(provider))
    for each in apps:
        if not isinstance(each, App):
            found.append(Problem("the apps", 0, 0, _named(each), 'an App, e.g. App("web", 2)'))
            continue
        given = {_KEYS.get(name, name): value for name, value in dataclasses.asdict(each).items() if name != "native"}
        given["volumes"] = []  # they are looked at below
        pairs = {name: dict(getattr(each, name)) if _paired(getattr(each, name)) else {} for name in _IN_PAIRS}
        given |= pairs
        alien = [Problem(f"the app {each.name}", 0, 0, *said) for said in _only_in_python(each)]
        if wrong := _parts(f"the app {each.name}", models.AppPart, given):
            found += [*alien, *wrong]
            continue
        found += [*alien, *_beside(each, read, names), *_image(each, provider, file)]
        told: list[tuple[Any, ...]] = [
            *wrong_labels(pairs["labels"]),
            *environment_slips(pairs["environment"]),
            *command_slips(each.command),
            *health_slips(each.health),
            *limits_slips(each.limits),
            *restart_slips(each.restart),
            *_volumes(each.volumes, provider, builds=builds),
        ]
        if not told and not alien:
            told += [*refused_of(each, mode), *(contexts.unlike(each, file) if builds else ())]
        found += [Problem(f"the app {each.name}", 0, 0, *said) for _, *said in told]
        read.append(each)
    _told(found)


_IN_PAIRS = ("labels", "environment")
"""Fields of an app that are mappings in a file, and pairs in Python, which can be compared and hashed."""


def _paired(given: Any) -> bool:
    """Whether these are pairs of a name and its value."""
    return isinstance(given, tuple | list) and all(
        isinstance(each, tuple | list) and len(each) == 2 and isinstance(each[0], str)  # noqa: PLR2004 - as many as a pair has
        for each in given
    )


def _only_in_python(app: App) -> Iterator[tuple[str, str]]:
    """Yield what an app in Python has that no file could give it: what was found, and what was expected. No value is repeated."""
    for name in _IN_PAIRS:
        if isinstance(given := getattr(app, name), Mapping):
            yield f"{name} in a mapping", f"pairs of a name and its value: App(…, {name}=tuple(MAPPING.items()))"
        elif not _paired(given):
            yield f"{name} not in pairs", f'pairs of a name and its value, e.g. App(…, {name}=(("tier", "front"),))'
    if app.native is not None:
        yield "a definition of its own", "none: only a scenario file can name one (`native`)"


def _volumes(volumes: Any, provider: str, *, builds: bool) -> Iterator[tuple[int | None, str, str, str]]:
    """Yield what is wrong with the volumes of an app in Python."""
    if not isinstance(volumes, tuple | list) or not all(isinstance(each, Volume) and parameters.fits(each) for each in volumes):
        yield None, f"volumes that are {_named(volumes)}", 'a list of Volume, e.g. [Volume("data", "/var/lib/data")]', ""
        return
    yield from wrong_volumes(volumes)
    if volumes and (refused := not_there(provider, builds=builds)):
        yield None, *refused


def _beside(app: App, others: Sequence[App], names: Sequence[str]) -> list[Problem]:
    """Return what keeps an app from being beside those before it, on nodes of these names."""
    place = f"the app {app.name}"
    if any(other.name == app.name for other in others):
        return [Problem("the apps", 0, 0, *a_second(app.name))]
    return [Problem(place, 0, 0, *said) for said in (*wrong_ports(app, others), to_nowhere(app, names)) if said]


def _image(app: App, provider: str, file: str) -> list[Problem]:
    """Return what keeps nodes of a provider from having an app's image, as far as that can be seen here."""
    found = app_images.problems(app.image, file, builds=contexts.builds_here(registry.known().providers.get(provider)))
    return [each if isinstance(each, Problem) else Problem(f"the app {app.name}", 0, 0, *each) for each in found]


def must_be_break(fault: Any, whom: Any, hold: Any, around: Around, name: Any = "", going: Collection[str] = ()) -> None:
    """Raise `BadInput` with all that keeps this from being a step of a scenario.

    That is: whom it can never hit, in the words in which a file is told of a target; what keeps something from being a fault, e.g. that it has no
    remedy, or a value that no file could give; a hold that would never end, or never begin; and a name, where it has one, as `must_be_start`.
    """
    _told([*_whom(fault, whom, around), *_fault(fault, around), *_hold(hold), *(_name(name, going) if name != "" else ())])


def must_be_start(fault: Any, whom: Any, name: Any, around: Around, going: Collection[str]) -> None:
    """Raise `BadInput` as `must_be_break`, and for a name that no file could give a fault that goes on, or by which one does already."""
    _told([*_whom(fault, whom, around), *_fault(fault, around), *_name(name, going)])


def _name(name: Any, going: Collection[str]) -> list[Problem]:
    """Return what is wrong with a fault's name."""
    if not isinstance(name, str) or not re.fullmatch(NAME, name) or name == ALL:
        return [Problem("the fault's name", 0, 0, shown(name), NAMED)]
    if name in going:
        return [
            Problem("the fault's name", 0, 0, shown(name), "one that no fault in force has", f"in force: {', '.join(filter(None, going))}")
        ]
    return []


def _whom(fault: Any, whom: Any, around: Around) -> list[Problem]:
    """Return all that can be known to be wrong with a target expression, in the words in which a file is told."""
    if not isinstance(whom, str):
        return [Problem(WHOM, 0, 0, shown(whom), "a target expression, such as leader, hosting(web) & any, or !(!n1 & !n2) for n1 and n2")]
    return [Problem(WHOM, 0, 0, each.found, each.expected, each.hint) for each in slips(whom, _sound(fault), around)]


def _sound(fault: Any) -> Any:
    """Return what can be asked how many it needs; None in place of what has values that no file could give: that is told, and by itself."""
    return fault if dataclasses.is_dataclass(fault) and not isinstance(fault, type) and parameters.fits(fault) else None


def _fault(fault: Any, around: Around) -> list[Problem]:
    """Return the values that no file could give, or else all that keeps it from being a fault: what it says of itself may hang on its values.

    Or else the apps that it names and that are not there, and what it needs of this process and has not.
    """
    wrong = _misfits("fault", [fault]) if dataclasses.is_dataclass(fault) and not isinstance(fault, type) else []
    wrong = wrong or [Problem(f"the fault {fault!r}", 0, 0, f"found {saw}", *more) for saw, *more in fitness.of_fault(fault)]
    return wrong or [*_unknown_apps("fault", [fault], [app.name for app in around.apps]), *_lacking(f"the fault {fault.name}", fault)]


def _lacking(where: str, made: Any) -> list[Problem]:
    """Return what a fault, or an action, needs of this process and has not."""
    why = made.lack() if isinstance(made, Needing) else ""
    return [Problem(where, 0, 0, why, "")] if why else []


def _hold(hold: Any) -> list[Problem]:
    if not isinstance(hold, Hold):
        return [Problem("the hold", 0, 0, _named(hold), "a Hold, e.g. Hold(5)")]
    found = []
    kinds = (RECOVERED, LEADER_MOVED)
    if not isinstance(hold.until, str) or (hold.until and hold.until not in kinds):
        what = f"until {shown(hold.until)}"
        found.append(Problem("the hold", 0, 0, what, f"one of {', '.join(kinds)}, or no until", close(str(hold.until), kinds)))
    return [*found, *_seconds("the hold", hold.seconds)]


def _seconds(where: str, value: Any, words: str = "above 0, ", least: float = 0.0, *, may_be_least: bool = False) -> list[Problem]:
    """Return what is wrong with a number of seconds: text is for files."""
    try:
        if isinstance(value, str) or (seconds := units.duration(value)) < least or (seconds == least and not may_be_least):
            raise ValueError
    except ValueError:
        return [Problem(where, 0, 0, f"{shown(value)} seconds", f"a number of seconds {words}and of a month at most")]
    return []


def must_be_pause(seconds: Any) -> None:
    """Raise `BadInput` for what is no time that could pass."""
    _told(_seconds("the pause", seconds, "0 or more, ", may_be_least=True))


def must_fit(step: Step, cluster: Cluster, unsure: Collection[str] = ()) -> None:
    """Raise `BadInput` with all that a step asks for and the mode of a cluster lacks.

    Also for apps that it would have more of than there are ports, or fewer of, where the mode chooses itself which of them stop; and for one that was
    removed before, or that it deploys and that is there, but where nobody knows that of an app (`unsure`).
    """
    where = "the await"
    if isinstance(step, Break | Do):
        where = f"the fault {step.fault.name}" if isinstance(step, Break) else f"the action {step.action.name}"
    found = [Problem(WHOM if each.place == ("on",) else where, 0, 0, each.found, each.expected) for each in step.misfits((), cluster.mode)]
    found += [Problem(where, 0, 0, *said) for name, *said in there_or_not(step, cluster.apps) if name not in unsure]
    if isinstance(step, Do):
        runs = step.action.effect.runs
        scaled = [dataclasses.replace(app, instances=runs[app.name]) for app in cluster.apps if app.name in runs]
        found += [Problem(where, 0, 0, *said) for said in fewer(step.action, cluster.apps, cluster.mode)]
        found += [Problem(where, 0, 0, *said) for app in scaled for said in wrong_ports(app, cluster.apps)]
    _told(found)


def must_go_on(name: Any, going: Collection[str]) -> None:
    """Raise `BadInput` for the name of a fault by which none goes on."""
    if not isinstance(name, str) or name not in {ALL, *going}:
        hint = f"in force: {', '.join(going)}" if going else "nothing is in force"
        _told([Problem("the fault's name", 0, 0, shown(name), "the name of a fault in force, or all", hint)])


def must_be_action(action: Any, whom: Any, at_most: Any, around: Around, may_fail: Any = False) -> None:  # noqa: FBT002 - whatever it is
    """Raise `BadInput` with all that keeps something from being done: no action, a value that no file could give, a target where there is none."""
    wrong = _misfits("action", [action]) if dataclasses.is_dataclass(action) and not isinstance(action, type) else []
    _told(wrong or [Problem(f"the action {action!r}", 0, 0, f"found {saw}", *more) for saw, *more in fitness.of_action(action)])
    where, found = f"the action {action.name}", []
    if action.aims and not isinstance(whom, str):
        found += _whom(None, whom, around)
    elif not isinstance(whom, str):
        found.append(Problem(where, 0, 0, f"the target {shown(whom)}", "none: it is done to no node"))
    elif action.aims and not whom:
        found.append(Problem(where, 0, 0, "no target", "a target expression: it is done to nodes"))
    elif action.aims:
        found += _whom(action, whom, around)
    elif whom:
        found.append(Problem(where, 0, 0, f"the target {whom!r}", "none: it is done to no node"))
    found += [*_unknown_apps("action", [action], [app.name for app in around.apps]), *_lacking(where, action)]
    found += [] if at_most is None else _seconds(f"{where}, at most", at_most)
    if not isinstance(may_fail, bool):
        found.append(Problem(f"{where}, may fail", 0, 0, shown(may_fail), "True or False"))
    _told(found)


def must_be_await(goal: Any, app: Any, at_most: Any, otherwise: Any, apps: Collection[str]) -> None:
    """Raise `BadInput` with all that keeps something from being awaited: no such goal, no such app, no time in which it could come."""
    where = "the await"
    found = [
        Problem(where, 0, 0, shown(value), f"one of {', '.join(valid)}", close(str(value), valid))
        for value, valid in ((goal, GOALS), (otherwise, ELSES))
        if value not in valid
    ]
    if not isinstance(app, str):
        found.append(Problem(where, 0, 0, f"the app {shown(app)}", "the name of an app, where one is awaited"))
    elif goal == AWAITED_APP and app not in apps:
        found.append(_unknown(where, f"an unknown app {app!r}", str(app), apps, "the name of an app"))
    elif goal in GOALS and goal != AWAITED_APP and app:
        found.append(Problem(where, 0, 0, f"the app {app!r}", f"none: {goal} is not about an app"))
    _told([*found, *_seconds(where, at_most, f"above {units.spelled(STAYS_SECONDS)}, for which it must have been so, ", STAYS_SECONDS)])


def _told(found: Sequence[Problem]) -> None:
    if found:
        raise BadInput(found)


def _misfits(what: str, asked: Sequence[Any]) -> list[Problem]:
    """Return all values of these instances that no file could give."""
    found = []
    for each in asked:
        where = f"the {what} {getattr(each, 'name', each)}"
        try:
            parameters.must_fit(each)
        except ValidationError as error:
            found += _in_words(where, error, parameters.wanted(type(each)))
        except ValueError as error:
            found.append(Problem(where, 0, 0, *problems.parts(str(error))))
    return found


def _parts(where: str, part: Any, given: Mapping[str, Any]) -> list[Problem]:
    """Return what a part of a scenario file has against these values."""
    try:
        part.model_validate(given)
    except ValidationError as error:
        return _in_words(where, error, descriptions(part))
    return []


def _in_words(where: str, error: ValidationError, described: Mapping[str, str]) -> list[Problem]:
    found = []
    for each in error.errors(include_url=False, include_context=True):
        name = ".".join(map(str, each["loc"])) or "value"
        saw, expected, hint = problems.wrong(each, described.get(name, ""))
        found.append(Problem(where, 0, 0, f"{name} {saw}", expected, hint))
    return found


def _unknown_apps(what: str, asked: Sequence[Any], apps: Collection[str]) -> list[Problem]:
    """Return everything of a kind that names an app which is not there."""
    unknown = [(each.name, app) for each in asked for app in named_apps(each) if app not in apps]
    return [_unknown(f"the {what} {name}", f"an unknown app {app!r}", app, apps, "the name of an app") for name, app in unknown]


def _unknown(where: str, found: str, name: str, valid: Collection[str], expected: str) -> Problem:
    return Problem(where, 0, 0, found, expected, targets.nearest(name, valid) or "there is none")
