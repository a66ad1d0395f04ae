"""What a class must have to be a fault, an action, a workload, a checker, a mode, a provider or a report: what protocols say, and what files need."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.core import parameters
from harness.core.errors import in_words
from harness.core.naming import article, close
from harness.core.protocols import CAPABILITIES, Action, Cutting, Fault, Mode, Provider, Workload
from harness.core.values import About, CallStream, Effect, Loss, TaskNames, Traits
from harness.history.interfaces import Checker, RunReport
from harness.host import layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Lack: TypeAlias = tuple[str, str, str]
"""What was found, what was expected, and a hint, which may be empty."""

NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
"""What a name looks like: it stands in scenario files, on command lines and in reports."""
_NAMED = "the names of capabilities of modes and providers (harness.core.protocols.CAPABILITIES)"
LONGEST = 40
"""Characters of a name at most: a table has room for that."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is asked of every class of a kind."""

    word: str  # for people
    promises: tuple[type[Any], ...]  # the protocols that it must have all members of
    data: bool  # whether it is a frozen dataclass, whose fields are its parameters


KINDS: Mapping[str, Kind] = {
    "faults": Kind("fault", (Fault,), data=True),
    "actions": Kind("action", (Action,), data=True),
    "workloads": Kind("workload", (Workload,), data=True),
    "checkers": Kind("checker", (Checker,), data=True),
    "modes": Kind("mode", (Mode,), data=False),
    "providers": Kind("provider", (Provider,), data=False),
    "reports": Kind("report", (RunReport,), data=False),
}
"""Every kind by the name of its group of entry points."""


def lacks(kind: str, name: str, cls: Any) -> Iterator[Lack]:
    """Say all that keeps a class from being used under a name. Raises what the class's own code raises where it is looked at."""
    what = KINDS[kind]
    if not isinstance(cls, type):
        yield f"{cls!r}, which is no class", f"the class of {article(what.word)}", ""
        return
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        yield f"the name {name!r}", f"small letters and digits with dots or dashes between them, {LONGEST} at most", ""
    own = getattr(cls, "name", None)
    if own != name:
        yield f"a class whose name is {own!r}", f"`name: ClassVar[str] = {name!r}`", "an entry point is named as its class is"
    yield from _members(what, cls)
    if what.data:
        yield from _data(what, cls)
    elif kind == "modes":
        yield from _stated(cls)
    elif not _takes(cls, 0):
        yield f"a class that {cls.__name__}() makes no instance of", "one that is made without arguments", ""


def _members(what: Kind, cls: type[Any]) -> Iterator[Lack]:
    """Say which members of its protocols a class lacks, and which cannot be called as the protocol says."""
    fields = {each.name for each in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set[str]()
    for protocol in what.promises:
        wanted = members(protocol)
        missing = [name for name in wanted if name != "name" and not hasattr(cls, name) and name not in fields]
        if missing:
            yield (
                f"a class without {', '.join(missing)}",
                f"{', '.join(name for name in wanted)} ({protocol.__module__}.{protocol.__name__})",
                "",
            )
        for name, promised in wanted.items():
            if inspect.isfunction(promised) and name not in missing and not _fits(cls, name, promised):
                yield f"{name} that cannot be called so", f"{name}{inspect.signature(promised)}", ""
    if inspect.isabstract(cls):
        yield f"an abstract class (of {', '.join(sorted(cls.__abstractmethods__))})", "one of which an instance can be made", ""


def members(protocol: type[Any]) -> dict[str, Any]:
    """Return the public members that a protocol asks for; for an attribute that is only annotated, None."""
    return {name: vars(protocol).get(name) for name in (*inspect.get_annotations(protocol), *vars(protocol)) if not name.startswith("_")}


def _fits(cls: type[Any], name: str, promised: Any) -> bool:
    """Whether a method can be called with the arguments that the protocol gives it by position."""
    method = getattr(cls, name)
    bound = isinstance(inspect.getattr_static(cls, name), staticmethod | classmethod)
    positional = [each for each in inspect.signature(promised).parameters.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
    return callable(method) and _takes(method, len(positional) - bound)


def _takes(called: Any, arguments: int) -> bool:
    """Whether something can be called with so many arguments by position; True where it does not say."""
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(arguments))
    except TypeError:
        return False
    return True


def _data(what: Kind, cls: type[Any]) -> Iterator[Lack]:
    """Say what keeps a class from being what a file says by a name and its parameters."""
    if not dataclasses.is_dataclass(cls) or "__dataclass_params__" not in vars(cls):
        yield (
            "a class that is no dataclass",
            "a frozen dataclass, whose fields are its parameters",
            f"@dataclass(frozen=True) above the {what.word}",
        )
        return
    if not vars(cls)["__dataclass_params__"].frozen:
        yield "a dataclass that can be changed", "a frozen one", "@dataclass(frozen=True)"
    unset = [each for each in dataclasses.fields(cls) if each.init and _required(each)]
    if ours := [each.name for each in unset if each.name in parameters.OURS]:
        yield f"{', '.join(ours)} without a default", "a default for what a plan fills in itself", ""
        return
    try:
        parameters.schema(cls)
    except Exception as error:  # noqa: BLE001 - whatever its annotations are, it is told
        yield (
            f"parameters that no file can give ({in_words(error)})",
            "fields of plain types, or of those in harness.core.units",
            "import their types where they can be found when it runs",
        )
        return
    if what is KINDS["actions"]:
        yield from _aims(cls)
    elif what is KINDS["workloads"]:
        yield from (*_streams(cls), *_takes_of_modes(cls))
    elif what is KINDS["checkers"]:
        yield from (*_abouts(cls), *_takes_of_modes(cls))
    if not unset:
        yield from _as_it_comes(what, cls)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _as_it_comes(what: Kind, cls: type[Any]) -> Iterator[Lack]:
    """Say what is wrong with an instance that has its defaults."""
    try:
        made = parameters.build(cls, {})
    except ValueError:
        return  # it wants something to be chosen, and says so in a scenario file's line
    except Exception as error:  # noqa: BLE001 - whatever its code does, it is told
        yield f"an error where it is made with its defaults ({in_words(error)})", "a `ValueError` for what cannot be", ""
        return
    try:
        same = parameters.build(cls, parameters.read(made)) == made
        why = "they come back as others"
    except Exception as error:  # noqa: BLE001 - same
        same, why = False, in_words(error)
    if not same:
        yield f"defaults that cannot be written down and read again ({why})", "defaults of their fields' own types", ""
    if what is KINDS["faults"] and hasattr(cls, "traits"):
        yield from _traits(made)
    if what is KINDS["actions"] and hasattr(cls, "effect") and not isinstance(made.effect, Effect):
        yield f"an effect that is none ({made.effect!r})", "an instance of harness.core.values.Effect", ""
    elif what is KINDS["actions"] and getattr(cls, "aims", None) is False and made.effect.of_targets:
        yield (
            "an effect on its targets, of an action that has none",
            "aims = True, or Effect(disturbs=True) for what upsets a cluster anywhere",
            "",
        )


def _aims(cls: Any) -> Iterator[Lack]:
    """Say what is wrong with what a class of actions says of itself."""
    takes = getattr(cls, "takes", ())
    if not isinstance(getattr(cls, "aims", True), bool):
        yield f"aims that is {cls.aims!r}", "true (it is done to nodes) or false", ""
    if not isinstance(takes, tuple):
        yield f"takes that is {takes!r}", "the names of capabilities in harness.core.protocols, e.g. ('Scaling',)", ""
    elif unknown := _no_capabilities(takes):
        yield f"takes {', '.join(unknown)}", f"{_NAMED}, e.g. 'Scaling'", close(unknown[0], CAPABILITIES)


def _streams(cls: Any) -> Iterator[Lack]:
    """Say what is wrong with what a class of workloads says of its calls."""
    of = getattr(cls, "stream", None)
    if of is not None and not isinstance(of, CallStream):
        yield f"a stream that is {of!r}", f"one of {_STREAMS}, or none at all", ""
    elif of is not None:
        yield from _without(cls, f"calls of {of.name}", of.parameter)


def _abouts(cls: Any) -> Iterator[Lack]:
    """Say what is wrong with what a class of checkers says that it is about."""
    said = getattr(cls, "about", None)
    if said is not None and not isinstance(said, About):
        yield f"about that is {said!r}", "an instance of harness.core.values.About, or none at all", ""
    elif said is not None and said.calls is not None and not isinstance(said.calls, CallStream):
        yield f"about calls of {said.calls!r}", f"one of {_STREAMS}, or None", ""
    elif said is not None:
        yield from _without(cls, "a promise by calls", "" if said.calls is None else said.calls.parameter, said.asked)
        yield from _without(cls, "a promise of a scale", *(("app", "to", "within") if said.scale else ()))
        yield from _without(cls, "a promise that work runs again", *(("app",) if said.returns else ()))
        yield from _without(cls, "a promise that work comes back by hand", *(("app",) if said.by_hand else ()))


_STREAMS = ", ".join(f"CallStream.{each.name}" for each in CallStream)


def _without(cls: Any, what: str, *wanted: str) -> Iterator[Lack]:
    """Say which parameters a class lacks that what it says of itself stands on; an empty name stands for none."""
    missing = [name for name in wanted if name and name not in parameters.fields(cls).values()]
    if missing:
        yield f"{what} without {', '.join(missing)}", f"the parameters {', '.join(name for name in wanted if name)}", ""


def _takes_of_modes(cls: Any) -> Iterator[Lack]:
    """Say what is wrong with what a class of workloads or checkers takes: it is asked of modes alone."""
    takes = getattr(cls, "takes", ())
    modes = [name for name, each in CAPABILITIES.items() if each.of_mode]
    if not isinstance(takes, tuple):
        yield f"takes that is {takes!r}", "the names of capabilities of modes in harness.core.protocols, e.g. ('Quorum',)", ""
    elif unknown := [str(name) for name in takes if name not in modes]:
        yield f"takes {', '.join(unknown)}", f"{_NAMED.replace(' and providers', '')}, e.g. 'Quorum'", close(unknown[0], modes)


def _made(cls: type[Any]) -> str:
    """Say how an instance of a class is made: with what it needs, where it needs anything."""
    needed = [each.name for each in dataclasses.fields(cls) if each.init and _required(each)] if dataclasses.is_dataclass(cls) else []
    return f"{cls.__name__}({', '.join(needed)})"


def of_action(action: Any) -> Iterator[Lack]:
    """Say all that keeps an object from being done: what a scenario in Python hands over need not have been looked at before."""
    cls = type(action)
    if isinstance(action, type):
        yield f"the class {action.__name__}", f"an instance of it: {_made(action)}", ""
        return
    if not hasattr(action, "act"):
        yield "what nobody can do", 'an action, e.g. Scale("web", 3)', ""
        return
    found = [*_members(KINDS["actions"], cls), *_aims(cls)]
    yield from found
    if not (dataclasses.is_dataclass(cls) and isinstance(getattr(cls, "name", None), str)):
        yield "no frozen dataclass with a name", "a frozen dataclass, whose fields are its parameters", ""


def of_fault(fault: Any) -> Iterator[Lack]:
    """Say all that keeps an object from being broken with: what a scenario in Python hands over need not have been looked at before."""
    cls = type(fault)
    if isinstance(fault, type):
        yield f"the class {fault.__name__}", f"an instance of it: {_made(fault)}", ""
        return
    if not hasattr(fault, "inject"):
        yield "what breaks nothing", "a fault, e.g. NodeKill()", ""
        return
    found = list(_members(KINDS["faults"], cls))
    yield from found
    if not (dataclasses.is_dataclass(cls) and isinstance(getattr(cls, "name", None), str)):
        yield "no frozen dataclass with a name", "a frozen dataclass, whose fields are its parameters", ""
    elif not found:
        yield from _traits(fault)


def _traits(fault: Any) -> Iterator[Lack]:
    """Say what is wrong with what a fault says of itself."""
    try:
        declared = fault.traits
    except Exception as error:  # noqa: BLE001 - whatever its code does, it is told
        declared = in_words(error)
    if not isinstance(declared, Traits):
        yield f"traits that are none ({declared!r})", "an instance of harness.core.values.Traits", ""
        return
    if declared.loses is Loss.LINK and not isinstance(fault, Cutting):
        yield (
            "a fault of links without lost",
            "lost(self, cluster, targets), which says who is lost to it (harness.core.protocols.Cutting)",
            "",
        )
    if unknown := _no_capabilities(declared.takes):
        yield f"traits that take {', '.join(unknown)}", f"{_NAMED}, e.g. 'Power'", close(unknown[0], CAPABILITIES)


def _no_capabilities(names: Iterable[Any]) -> list[str]:
    """Return what is no capability of a mode or of a provider: what is none of anybody, or is asked of a fault, a node or this machine."""
    return [str(name) for name in names if not isinstance(name, str) or name not in CAPABILITIES]


def _stated(cls: type[Any]) -> Iterator[Lack]:
    """Say what is wrong with what a mode says of itself; what it does not say at all is told as a missing member."""
    timers = getattr(cls, "TIMERS", {"default": {}})
    if not isinstance(timers, Mapping) or not all(isinstance(each, Mapping) for each in timers.values()) or "default" not in timers:
        yield "a mode without timers", "TIMERS: profile → timer → seconds, with the profile `default`", ""
    made = getattr(cls, "from_timers", None)
    if made is None or not callable(made) or not _takes(made, 2):
        yield "a mode that cannot be made of a profile", "a class method from_timers(profile, overrides)", ""
    ports = getattr(cls, "PORTS", {})
    if not isinstance(ports, Mapping) or not all(
        port in range(1, 65536) and isinstance(whose, str) and whose for port, whose in ports.items()
    ):
        yield f"PORTS that are {ports!r}", "PORTS: number of a port → the name of the daemon that listens there", ""
    tasks = getattr(cls, "TASKS", None)
    if tasks is not None and not _tells_apart(tasks):
        yield (
            f"TASKS that are {tasks!r}",
            "None, or a label and a pattern with the groups app and number (harness.core.values.TaskNames)",
            "",
        )
    layer = getattr(cls, "LAYER", None)
    if layer is not None and not (isinstance(layer, Path) and layer.is_absolute()):
        yield f"a LAYER that is {layer!r}", "None, or the whole path of a folder", "Path(__file__).parent / 'node'"
    elif layer is not None:
        yield from ((f"{each.file}: {each.found}", each.expected, each.hint) for each in layers.problems(layer))
    for name, capability in CAPABILITIES.items():
        wanted = members(capability.protocol) if capability.of_mode else {}
        there = [each for each in wanted if hasattr(cls, each)]
        if there and len(there) < len(wanted):
            missing = ", ".join(each for each in wanted if each not in there)
            yield f"{', '.join(there)} without {missing}", f"all of {capability.protocol.__module__}.{name}, or none of it", ""


_LABEL = re.compile(r"\$?[A-Za-z0-9._/-]+")


def _tells_apart(tasks: object) -> bool:
    """Whether containers can be told apart by this."""
    if not isinstance(tasks, TaskNames) or not _LABEL.fullmatch(tasks.label):
        return False
    try:
        return {"app", "number"} <= {*re.compile(tasks.pattern).groupindex}
    except re.error:
        return False
