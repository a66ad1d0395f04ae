"""Scenario files: their schema, and loading them with every problem at once.

A problem has its place in the file, what was found, what was expected, and the nearest valid name. Everything that can be known without a cluster is
found here: names, types, target expressions that can never hit anybody, promises that nothing can keep. No input raises anything but `BadInput`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from harness import document, parameters, targets
from harness.errors import BadInput, Problem, Unsupported
from harness.plan import AFTER, BEFORE, DURING, LEADER_MOVED, RECOVERED, Break, Check, Control, Hold, Step, Wait, longest
from harness.protocols import Quorum, Services
from harness.topology import SHAPES
from harness.units import DURATION, Duration, spelled
from harness.values import App, Json, Verdict

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from harness.document import Document, Place
    from harness.parameters import Known
    from harness.protocols import Checker, Workload

P = TypeVar("P", bound=BaseModel)

MOST_NODES: Final = 50
LONGEST_RUN: Final = 7200.0
"""Seconds that steps and settling may take together."""

SETTLE: Final = 90.0
"""Seconds to settle, where a scenario does not say. After a lost majority fleet needs some 33 s until all machines are listed again."""

_TAKEN_PORTS: Final[Mapping[int, str]] = {2379: "etcd", 2380: "etcd", 49153: "fleet", 2377: "swarm", 7946: "swarm"}
"""Ports of a node that some mode's own daemons listen on. The same in every mode: a file that runs in one is not to fail in another by a number."""

ALWAYS: Final = ("assumptions", "checks", "clean")
"""Checkers that judge a run although no scenario promises them."""

PROPERTIES: Final[Mapping[str, tuple[str, ...]]] = {
    "service": ("exists", "is_running", "is_enabled", "is_valid", "is_masked"),
    "process": ("is_running", "count", "user", "group"),
    "socket": ("is_listening",),
    "file": (
        *("exists", "is_file", "is_directory", "is_executable", "is_pipe", "is_socket", "is_symlink", "linked_to"),
        *("user", "uid", "group", "gid", "mode", "size", "contains", "content_string", "md5sum", "sha256sum"),
    ),
    "container": ("exists", "is_running", "is_restarting", "name"),
}
"""What can be checked, and the testinfra properties of each that take no arguments (`contains` takes the expected text)."""

_TARGET = f"whom: nodes by name, {', '.join((*targets.SETS, *targets.CHOOSERS))}, hosting(APP), joined by & (and), ! for not"
_NODES = f"a whole number from 1 to {MOST_NODES}"
_WHY_FIFTY = "a node takes 60 MB of memory and most of a second of a core to boot; more of them test this machine, not the cluster"
_NAME = r"^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$"
_APP = r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"
_IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,199}$"


class _Part(BaseModel):
    """A mapping of the file. Keys are strict: nothing is guessed, nothing ignored. A field's description is what an error says was expected."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Cluster(_Part):
    """What the scenario runs on. `--mode`, `--provider` and `--profile` take precedence."""

    mode: str = Field("fleet", description="the name of a mode")
    provider: str = Field("nspawn", description="the name of a provider")
    nodes: int = Field(3, ge=1, le=MOST_NODES, description=_NODES)
    profile: str = Field("default", description="the name of a profile of the mode's timers")
    timers: dict[str, Duration] = Field(default_factory=dict, description="a mapping from timers of the mode to durations")


class _App(_Part):
    name: str = Field(pattern=_APP, description="a name of lower-case letters, digits and dashes, 32 at most, a letter first")
    instances: int = Field(ge=1, le=100, description="a whole number from 1 to 100")
    image: str = Field("web", pattern=_IMAGE, description="the name of a container image")
    port: int = Field(8000, ge=1024, le=65000, description="a port from 1024 to 65000; instance K answers on port + K")
    conflicts: bool = Field(default=True, description="true (never two instances on one node) or false")
    pin: str | None = Field(None, description="the name of a node")


class _Control(_Part):
    verdict: Literal["broken", "unknown"] = Field(description="broken or unknown: a control must be convicted")
    because: str = Field(description="the name of the checker that must convict")
    match: str = Field("", description="text that the finding's summary must hold")


class _Document(_Part):
    scenario: str = Field(pattern=_NAME, description="a name of lower-case letters, digits and dashes, 48 at most")
    why: str = Field(min_length=1, description="a sentence or two on what this scenario shows")
    cluster: Any = Field(default_factory=dict, description="what the scenario runs on")
    apps: Any = Field(default_factory=list, description="a list of apps")
    workloads: Any = Field(default_factory=list, description="a list of workloads")
    steps: Any = Field(description="a list of steps, at least one of them a fault")
    settle: Duration = Field(SETTLE, description=DURATION)
    checks: Any = Field(default_factory=list, description="a list of checks")
    promises: Any = Field(description="a list of promises, at least one")
    control: Any = Field(None, description="how a control must come out")
    but: Any = Field(default_factory=dict, description="a mapping from modes to what differs there")


class _But(_Part):
    """What differs in one mode. What stands here replaces what the file says under the same key."""

    because: str = Field(pattern=r"\S", description="a sentence or two on why this differs in that mode")
    skip: Any = Field(None, description="true: this scenario is not for that mode")
    cluster: Any = Field(None, description="profile and timers of that mode")
    apps: Any = None
    workloads: Any = None
    steps: Any = None
    settle: Any = None
    checks: Any = None
    promises: Any = None
    control: Any = None


class _ButCluster(_Part):
    """The mode's own timers. Those of the file are of the file's mode, and mean nothing to another."""

    profile: str = Field("default", description="the name of a profile of the mode's timers")
    timers: dict[str, Duration] = Field(default_factory=dict, description="a mapping from timers of the mode to durations")


class _Wait(_Part):
    wait: Duration = Field(description=DURATION)


class _Break(_Part):
    fault: str = Field(description="the name of a fault")
    on: str = Field(description="a target expression, such as leader or hosting(web) & any")
    given: Any = Field(default_factory=dict, alias="with", description="the fault's parameters")
    hold: Any = Field(description="how long: a duration, or {until: recovered, at most: 60s}")


class _Hold(_Part):
    until: Literal["recovered", "leader-moved"] = Field(description="recovered or leader-moved")
    at_most: Duration = Field(alias="at most", description=DURATION)


_When: TypeAlias = Literal["before", "during", "after"]
_WHEN: Final[tuple[_When, ...]] = ("before", "after")


class _Check(_Part):
    on: str = Field("all", description="a target expression, such as all or !leader")
    when: list[_When] = Field(default_factory=lambda: list(_WHEN), min_length=1, description="a list of before, during and after")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file that was read, with everything in its final form but for what a plan decides."""

    name: str
    why: str
    file: str
    cluster: Cluster
    apps: tuple[App, ...]
    workloads: tuple[Workload, ...]
    steps: tuple[Step, ...]
    settle: float
    checks: tuple[Check, ...]
    promises: tuple[Checker, ...]
    control: Control | None
    because: str = ""
    """Why this differs from what the file says for its own mode; empty where it does not."""

    @property
    def node_names(self) -> tuple[str, ...]:
        """The nodes' names: n1 to nN."""
        return tuple(f"n{number}" for number in range(1, self.cluster.nodes + 1))

    @property
    def profile(self) -> str:
        """The profile of the mode's timers."""
        return self.cluster.profile


class NotForMode(Unsupported):
    """A scenario file says that it is not for a mode, and why."""

    def __init__(self, file: str, scenario: str, mode: str, because: str) -> None:
        super().__init__(f"{file}: not for {mode}: {because}")
        self.file = file
        self.scenario = scenario
        self.mode = mode
        self.because = because

    @property
    def reason(self) -> str:
        """The reason, without the file."""
        return f"not for {self.mode}: {self.because}"


def load(
    path: Path | str, *, mode: str | None = None, provider: str | None = None, profile: str | None = None, among: Known | None = None
) -> Scenario:
    """Read and check a scenario file. Mode, provider and profile that are given here take the place of the file's.

    The mode is chosen first; then what the file says in `but` for that mode is laid over it. All of the file is checked, whatever was chosen.
    Raises `BadInput` with everything that is wrong, in the order of the file, and `NotForMode` where the file says that it is not for the mode.
    """
    return _checked(document.read(Path(path)), among, mode=mode, provider=provider, profile=profile)


def loads(text: str, file: str = "scenario", *, among: Known | None = None) -> Scenario:
    """Like `load`, of text that came from `file`."""
    return _checked(document.parse(text, file), among)


def misfits(scenario: Scenario, mode: Any) -> list[Problem]:
    """Return what a mode lacks for a scenario that was loaded for another one. `load` has asked this for its own mode, with places in the file."""
    found: list[_Misfit] = []
    for number, step in enumerate(scenario.steps):
        if isinstance(step, Break):
            found += _step_misfits(step, ("steps", number), mode)
    for number, check in enumerate(scenario.checks):
        found += _target_misfits(check.on, ("checks", number, "on"), mode)
    for name in (*(each.name for each in scenario.workloads), *(each.name for each in scenario.promises)):
        found += _name_misfits(name, (), mode)
    return [Problem(scenario.file, 0, 0, each.found, each.expected) for each in found]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of scenario files, with every parameter of everything that can be named, for editors.

    An editor with YAML support uses it after ``# yaml-language-server: $schema=…`` on a file's first line.
    """
    known = parameters.known()
    body = _model_schema(_Document)
    properties = body["properties"]
    cluster = _model_schema(Cluster)
    cluster["properties"]["mode"]["enum"] = sorted(known.modes)
    cluster["properties"]["provider"]["enum"] = sorted(known.providers)
    targets_text = {"type": "string", "maxLength": targets.LONGEST, "description": _TARGET}
    properties["cluster"] = cluster
    properties["apps"] = {"type": "array", "items": _model_schema(_App)}
    properties["workloads"] = {"type": "array", "items": {"oneOf": _named_schemas(known.workloads)}}
    properties["steps"] = {
        "type": "array",
        "minItems": 1,
        "items": {
            "oneOf": [_model_schema(_Wait), *(_fault_schema(name, known.faults[name], targets_text) for name in sorted(known.faults))]
        },
    }
    properties["checks"] = {"type": "array", "items": {"oneOf": [_check_schema(subject, targets_text) for subject in PROPERTIES]}}
    properties["promises"] = {"type": "array", "minItems": 1, "items": {"oneOf": _named_schemas(known.checkers)}}
    properties["control"] = _model_schema(_Control)
    properties["but"] = _but_schema(sorted(known.modes))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Whalefall scenario", **body}


_REPLACED: Final = ("apps", "workloads", "steps", "settle", "checks", "promises", "control")
"""Keys of a file that a block in `but` may replace whole, beside the cluster's profile and timers."""


def _but_schema(modes: Sequence[str]) -> dict[str, Any]:
    """Describe what differs in other modes. What is replaced looks as it does at the top of the file."""
    described = _model_schema(_But)["properties"]
    because = {**described["because"], "type": "string"}
    replaced = {"cluster": _model_schema(_ButCluster), **{name: {"$ref": f"#/properties/{name}"} for name in _REPLACED}}
    skipped = {"type": "object", "properties": {"because": because, "skip": {"const": True}}, "required": ["because", "skip"]}
    changed = {"type": "object", "properties": {"because": because, **replaced}, "required": ["because"], "minProperties": 2}
    block = {"oneOf": [{**each, "additionalProperties": False} for each in (skipped, changed)]}
    return {
        "type": "object",
        "description": str(_Document.model_fields["but"].description),
        "properties": dict.fromkeys(modes, block),
        "minProperties": 1,
        "additionalProperties": False,
    }


def _model_schema(model: type[BaseModel]) -> dict[str, Any]:
    found = model.model_json_schema(by_alias=True)
    found.pop("title", None)
    if (model.__doc__ or "") == (_Part.__doc__ or "") or not model.__doc__:
        found.pop("description", None)
    for each in found["properties"].values():
        each.pop("title", None)
    return found


def _named_schemas(classes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Describe items of a list that are a name, or a name with parameters."""
    every = [(name, parameters.schema(classes[name])) for name in sorted(classes)]
    bare = [name for name, schema in every if not schema.get("required")]
    named = [{"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False} for name, schema in every]
    return [{"enum": bare}, *named] if bare else named


def _fault_schema(name: str, cls: Any, targets_text: dict[str, Any]) -> dict[str, Any]:
    schema = parameters.schema(cls)
    duration = TypeAdapter(Duration).json_schema()
    return {
        "type": "object",
        "description": schema.get("description", ""),
        "properties": {
            "fault": {"const": name},
            "on": targets_text,
            "with": schema,
            "hold": {"anyOf": [*duration["anyOf"], _model_schema(_Hold)]},
        },
        "required": ["fault", "on", "hold", *(["with"] if schema.get("required") else [])],
        "additionalProperties": False,
    }


def _check_schema(subject: str, targets_text: dict[str, Any]) -> dict[str, Any]:
    rest = _model_schema(_Check)["properties"]
    return {
        "type": "object",
        "properties": {
            subject: {"type": "string"},
            **{name: {"type": ["boolean", "integer", "number", "string"]} for name in PROPERTIES[subject]},
            "on": targets_text,
            "when": {"anyOf": [rest["when"], {"enum": [BEFORE, DURING, AFTER]}]},
        },
        "required": [subject],
        "minProperties": 2,
        "additionalProperties": False,
    }


# -- what a mode must have


@dataclass(frozen=True, slots=True)
class _Misfit:
    """Something that a scenario asks for and its mode lacks."""

    place: Place
    found: str
    expected: str


_ON_QUORUM: Final = frozenset({"quorum", "register"})
"""Promises and workloads that need members and a leader."""


def _step_misfits(step: Break, place: Place, mode: Any) -> list[_Misfit]:
    found = _target_misfits(step.targets, (*place, "on"), mode)
    if step.hold.until == LEADER_MOVED and not isinstance(mode, Quorum):
        found.append(_no_quorum((*place, "hold", "until"), "`until: leader-moved`", mode))
    process = getattr(step.fault, "process", None)
    if process is not None and (not isinstance(mode, Services) or mode.unit(process) is None):
        found.append(
            _Misfit((*place, "with", "process"), f"the process {process!r}", f"a process that the {mode.name} mode runs as a systemd unit")
        )
    return found


def _target_misfits(text: str, place: Place, mode: Any) -> list[_Misfit]:
    if not isinstance(mode, Quorum) and targets.parse(text).needs_leader:
        return [_no_quorum(place, f"{text!r}", mode)]
    return []


def _name_misfits(name: str, place: Place, mode: Any) -> list[_Misfit]:
    return [_no_quorum(place, f"{name!r}", mode)] if name in _ON_QUORUM and not isinstance(mode, Quorum) else []


def _no_quorum(place: Place, what: str, mode: Any) -> _Misfit:
    return _Misfit(place, f"{what}, with the {mode.name} mode", "a mode with a quorum and a leader")


# -- reading


_MOST_BLOCKS: Final = 12
"""Blocks in `but` at most: more than there will be modes."""


def _checked(doc: Document, among: Known | None, **overrides: str | None) -> Scenario:
    known = among or parameters.known()
    own = _own_mode(doc)
    chosen = overrides.get("mode") or own
    blocks = {name: block for name, block in _blocks(doc).items() if name != own}
    laid = [name for name, block in blocks.items() if "skip" not in block and not block.keys().isdisjoint(("cluster", *_REPLACED))]
    # Whatever was chosen, the file is read as for its own mode, unless it is to run as it stands in another one.
    plain = {**overrides, "mode": None} if chosen in blocks else overrides
    base = _Reader(doc, known, plain, lenient=chosen in blocks)
    scenario = base.scenario()
    base.but(own)
    problems = list(base.problems)
    for name in laid:
        reader = _Reader(_laid(doc, name, blocks[name]), known, {**overrides, "mode": name}, lenient=name != chosen, block=name)
        found = reader.scenario()
        problems += reader.problems
        if name == chosen and found is not None:
            scenario = dataclasses.replace(found, because=_sentence(blocks[name]))
    # Where the value itself could not be read, what stands in its place is not wrong as well.
    unread = {(each.line, each.column) for each in doc.problems} - {tuple(doc.values[()])}
    rest = [each for each in problems if (each.line, each.column) not in unread]
    problems = list(dict.fromkeys([*doc.problems, *rest]))  # the same thing is said once
    if problems or scenario is None:
        raise BadInput(sorted(problems, key=lambda each: (each.line, each.column)))
    if chosen in blocks and chosen not in laid:
        raise NotForMode(doc.file, scenario.name, chosen, _sentence(blocks[chosen]))
    return scenario


def _own_mode(doc: Document) -> str:
    """Return the mode that the file is written for, as far as that can be read."""
    cluster = doc.value.get("cluster") if isinstance(doc.value, dict) else None
    mode = cluster.get("mode") if isinstance(cluster, dict) else None
    return mode if isinstance(mode, str) else str(Cluster.model_fields["mode"].default)


def _blocks(doc: Document) -> dict[str, dict[str, Json]]:
    """Return what the file says of other modes; of one of which nothing can be read, nothing."""
    but = doc.value.get("but") if isinstance(doc.value, dict) else None
    every = list(but.items())[:_MOST_BLOCKS] if isinstance(but, dict) else []
    return {name: block if isinstance(block, dict) else {} for name, block in every}


def _sentence(block: Mapping[str, Json]) -> str:
    return " ".join(str(block.get("because", "")).split())


def _laid(doc: Document, mode: str, block: Mapping[str, Json]) -> Document:
    """Return the document with a mode's block laid over it. Timers of the file are its own mode's: they are not taken over."""
    place: Place = ("but", mode)
    moves: dict[Place, Place] = {(name,): (*place, name) for name in _REPLACED if name in block}
    cluster = block.get("cluster")
    inner = [name for name in ("profile", "timers") if isinstance(cluster, dict) and name in cluster]
    moves |= {("cluster", name): (*place, "cluster", name) for name in inner}
    return doc.overlaid(moves, without=[("cluster", "timers")])


class _Reader:
    """Reads one document, part by part: what is wrong in one part does not hide what is wrong in another."""

    def __init__(
        self, doc: Document, known: Known, overrides: Mapping[str, str | None], *, lenient: bool = False, block: str | None = None
    ) -> None:
        self.doc = doc
        self.known = known
        self.overrides = overrides
        self.lenient = lenient  # read only to see whether it is right: the command line's profile counts where the mode has it
        self.block = block  # the mode whose block was laid over the document
        self.problems: list[Problem] = []
        self.cluster: Cluster | None = None
        self.apps: list[App] = []
        self.apps_read = True  # whether `apps` are all there: else an unknown name may be one that could not be read
        self.mode: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"n{number}" for number in range(1, self.cluster.nodes + 1)) if self.cluster else ()

    def scenario(self) -> Scenario | None:
        body = self.doc.value
        if not isinstance(body, dict):
            self.add((), _shown(body), "a scenario: a mapping with scenario, why, steps and promises")
            return None
        top = self.part(_Document, body, ())
        self.cluster = self.part(Cluster, body.get("cluster", {}), ("cluster",))
        self._read_mode()
        self._read_apps(body)
        workloads = [self._named(item, place, self.known.workloads, "workload") for item, place in self.listed(body, "workloads")]
        steps = [self._step(item, place) for item, place in self.listed(body, "steps")]
        checks = [self._check(item, place) for item, place in self.listed(body, "checks")]
        promises = [self._named(item, place, self.known.checkers, "promise") for item, place in self.listed(body, "promises")]
        control = self._control(body, promises)
        self._whole(body, steps, promises)
        self._wanted(workloads, promises)
        settle = top.settle if top else SETTLE
        if (total := longest([step for step in steps if step], settle)) > LONGEST_RUN:
            self.add(("steps",), f"steps and settling of {spelled(total)} together", f"{spelled(LONGEST_RUN)} at most")
        if top is None or self.cluster is None or self.problems:
            return None
        return Scenario(
            name=top.scenario,
            why=" ".join(top.why.split()),
            file=self.doc.file,
            cluster=self.cluster,
            apps=tuple(self.apps),
            workloads=tuple(each for each in workloads if each),
            steps=tuple(each for each in steps if each),
            settle=settle,
            checks=tuple(each for each in checks if each),
            promises=tuple(each for each in promises if each),
            control=control,
        )

    def but(self, own: str) -> None:
        """Say what is wrong with the blocks for other modes themselves. What they put in place of the file's is read with the rest of it."""
        body = self.doc.value
        if not isinstance(body, dict) or "but" not in body:
            return
        value = body["but"]
        if not isinstance(value, dict) or not value:
            self.add(("but",), _shown(value), "a mapping from the name of a mode to what differs there")
            return
        if len(value) > _MOST_BLOCKS:
            self.add(("but",), f"{len(value)} blocks", f"one for each mode that differs, {_MOST_BLOCKS} at most")
        for name, block in list(value.items())[:_MOST_BLOCKS]:
            self._block(name, block, own)

    def _block(self, name: str, block: Json, own: str) -> None:
        place: Place = ("but", name)
        others = sorted(set(self.known.modes) - {own})
        if name == own:
            what = f"a block for {name}, the file's own mode"
            self.add(place, what, f"one of {', '.join(others) or 'no other mode'}", "write it into the file itself", key=True)
        elif name not in self.known.modes:
            self.add(place, f"an unknown mode {name!r}", f"one of {', '.join(others) or 'no other mode'}", _close(name, others), key=True)
        if not isinstance(block, dict) or not block:
            self.add(place, _shown(block), "because, and skip: true or what replaces the file's")
            return
        self.part(_But, block, place)
        if "skip" in block and block["skip"] is not True:
            self.add((*place, "skip"), _shown(block["skip"]), str(_But.model_fields["skip"].description))
        if "cluster" in block:
            self.part(_ButCluster, block["cluster"], (*place, "cluster"))
        told = [each for each in (*_REPLACED, "cluster") if each in block]
        if "skip" in block and told:
            self.add((*place, "skip"), f"skip with {', '.join(told)}", "skip: true alone, or only what differs")
        elif set(block) == {"because"}:
            self.add(place, "a block that changes nothing", f"skip: true, or one of cluster, {', '.join(_REPLACED)}", key=True)

    def in_file(self, name: str, otherwise: str) -> str:
        """Return what the file says of its cluster, or else another text."""
        cluster = self.doc.value.get("cluster") if isinstance(self.doc.value, dict) else None
        found = cluster.get(name) if isinstance(cluster, dict) else None
        return found if isinstance(found, str) else otherwise

    # -- sections

    def _read_mode(self) -> None:
        """Settle mode, provider, profile and timers, and make the mode, so that it can be asked what it has."""
        if self.cluster is None:
            return
        chosen = {name: value for name, value in self.overrides.items() if value is not None}
        self.cluster = self.cluster.model_copy(update=chosen)
        if self.block is not None and self.block not in self.known.modes:
            return  # said where the block begins: what it holds is read as far as that needs no mode
        there: Any = self.known.modes.get(self.cluster.mode)
        if self.lenient and there is not None and self.cluster.profile not in there.TIMERS:
            self.cluster = self.cluster.model_copy(update={"profile": self.in_file("profile", "default")})
        self._known("provider", self.cluster.provider, self.known.providers)
        if not self._known("mode", self.cluster.mode, self.known.modes):
            return
        cls: Any = self.known.modes[self.cluster.mode]
        profiles: Mapping[str, Mapping[str, float]] = cls.TIMERS
        timers = dict(self.cluster.timers)
        usable = self._known("profile", self.cluster.profile, profiles)
        profile = self.cluster.profile if usable else next(iter(profiles))
        for name in list(timers):
            if name not in profiles[profile]:
                del timers[name]
                hint = targets.nearest(name, profiles[profile])
                self.add(("cluster", "timers", name), f"a timer {name!r}", f"a timer of the {self.cluster.mode} mode", hint, key=True)
        try:
            self.mode = cls.from_timers(profile, timers)
        except BadInput as error:
            self.problems += [self.doc.problem(("cluster", "timers"), each.found, each.expected, each.hint) for each in error.problems]
            self.mode = cls.from_timers(profile, {})

    def _known(self, what: str, name: str, valid: Mapping[str, Any]) -> bool:
        if name in valid:
            return True
        found, expected = f"an unknown {what} {name!r}", f"one of {', '.join(sorted(valid))}"
        if self.overrides.get(what) is not None:
            self.problems.append(Problem(f"--{what}", 0, 0, found, expected, _close(name, valid)))
        else:
            self.add(("cluster", what), found, expected, _close(name, valid))
        return False

    def _read_apps(self, body: dict[str, Json]) -> None:
        places: dict[str, Place] = {}
        for item, place in self.listed(body, "apps"):
            read = self.part(_App, item, place)
            if read is None:
                self.apps_read = False
                continue
            app = App(read.name, read.instances, read.image, read.port, read.conflicts, read.pin)
            if app.name in places:
                line = self.doc.values[places[app.name]].line
                self.add(
                    (*place, "name"), f"a second app named {app.name!r}", "a name of its own for each app", f"the first is in line {line}"
                )
                continue
            places[app.name] = place
            self._ports(app, place)
            if app.pin is not None and self.cluster and app.pin not in self.names:
                self.add((*place, "pin"), f"a pin to {app.pin!r}", f"a node's name, {self._range()}", _close(app.pin, self.names))
            self.apps.append(app)

    def _ports(self, app: App, place: Place) -> None:
        ports = range(app.port + 1, app.port + app.instances + 1)
        text = f"ports {ports.start} to {ports.stop - 1} for {app.name}"
        if ports.stop > 65536:  # noqa: PLR2004 - the number of ports there are
            self.add((*place, "port"), text, "ports up to 65535")
        for taken, whose in _TAKEN_PORTS.items():
            if taken in ports:
                self.add((*place, "port"), text, "ports that the node does not use itself", f"{taken} is taken by {whose}")
        for other in self.apps:
            theirs = range(other.port + 1, other.port + other.instances + 1)
            if ports.start < theirs.stop and theirs.start < ports.stop:
                hint = f"{other.name} has {theirs.start} to {theirs.stop - 1}; give one of them another `port`"
                self.add((*place, "port"), text, "ports that no other app has", hint)

    def _step(self, item: Json, place: Place) -> Step | None:
        if isinstance(item, dict) and "wait" in item and "fault" not in item:
            wait = self.part(_Wait, item, place)
            return Wait(wait.wait) if wait else None
        if not isinstance(item, dict) or "fault" not in item:
            keys = list(item) if isinstance(item, dict) else []
            hint = next((near for key in keys if (near := _close(key, ("wait", "fault")))), "")
            self.add(place, _shown(item), "a step: `wait: 5s`, or a mapping with fault, on and hold", hint)
            return None
        part = self.part(_Break, item, place)
        expression = self._target(item.get("on"), (*place, "on"))
        hold = self._hold(item["hold"], (*place, "hold")) if "hold" in item else None
        name = item["fault"]
        fault = None
        if isinstance(name, str):
            if name in self.known.faults:
                fault = self._built(self.known.faults[name], item.get("with"), (*place, "with"), name, place)
            else:
                self.add((*place, "fault"), f"an unknown fault {name!r}", "the name of a fault", targets.nearest(name, self.known.faults))
        if fault is not None and expression is not None:
            self._shape(fault, expression, place)
        if part is None or fault is None or hold is None or expression is None:
            return None
        step = Break(fault, part.on, hold)
        self._misfits(_step_misfits(step, place, self.mode) if self.mode else [])
        return step

    def _hold(self, value: Json, place: Place) -> Hold | None:
        if isinstance(value, dict):
            part = self.part(_Hold, value, place)
            if part is None:
                return None
            if part.until == RECOVERED and self.apps_read and not self.apps:
                self.add((*place, "until"), "`until: recovered` with no app", "an app whose recovery can be seen")
            hold, place = Hold(part.at_most, part.until), (*place, "at most")
        else:
            seconds = self._checked(_duration(), value, place, DURATION)
            if seconds is None:
                return None
            hold = Hold(seconds)
        if hold.seconds <= 0:
            self.add(place, "a hold of no time", "a duration above 0")
            return None
        return hold

    def _target(self, text: Json, place: Place) -> targets.Expression | None:
        """Read a target expression and say what can be known to be wrong with it before the run."""
        if not isinstance(text, str):
            return None  # said by the part that it stands in
        try:
            expression = targets.parse(text)
        except targets.BadTarget as bad:
            self.problems.append(
                self.doc.problem(place, f"{bad.found} in the target {text[:80]!r}", bad.expected, bad.hint, offset=bad.position)
            )
            return None
        sound = True
        for app in targets.apps(expression):
            if self.apps_read and app.app not in {each.name for each in self.apps}:
                sound = False
                self._add_inside(
                    place, app.position, f"hosting({app.app})", "the name of an app", app.app, [each.name for each in self.apps]
                )
        if not self.cluster:
            return expression if sound else None
        for name in targets.names(expression):
            if name.word not in self.names:
                sound = False
                valid = [*self.names, *targets.SETS, *targets.CHOOSERS, targets.HOSTING]
                self._add_inside(
                    place, name.position, f"the target {name.word!r}", f"a node's name, {self._range()}, or a word", name.word, valid
                )
        if sound and self.apps_read:
            self._possible(expression, text, place)
        return expression if sound else None

    def _possible(self, expression: targets.Expression, text: str, place: Place) -> None:
        total = len(self.names)
        most = targets.most(expression, nodes=self.names, instances={app.name: app.instances for app in self.apps})
        wanted = expression.wanted(total)
        if wanted == 0:
            self.add(
                place, f"the target {text!r} on {total} nodes", "a cluster that can lose a node", "a minority of one or two nodes is none"
            )
        elif most == 0:
            self.add(place, f"the target {text!r}", "one that can hit a node", "no node can ever be all of that")
        elif wanted is not None and wanted > most:
            self.add(place, f"the target {text!r}", f"{wanted} nodes to choose from", f"there can never be more than {most}")

    def _shape(self, fault: Any, expression: targets.Expression, place: Place) -> None:
        """Say so where a partition of this shape would cut nothing, as far as only the number of targets decides it."""
        shape = SHAPES.get(getattr(fault, "shape", ""))
        count = expression.wanted(len(self.names))
        if count is None and str(expression) in {"all", *targets.SETS[:1], *self.names}:
            count = len(self.names) if str(expression) == "all" else 1
        if shape is None or not count or count > len(self.names):
            return
        try:
            cut, why = shape(self.names, self.names[:count]), "choose other targets, another shape or more nodes"
        except ValueError as error:
            cut, why = {}, str(error)
        if not cut:
            self.add(
                (*place, "with", "shape"), f"{fault.shape} of {count} of {len(self.names)} nodes, which cuts nothing", "a partition", why
            )

    def _check(self, item: Json, place: Place) -> Check | None:
        subjects = [name for name in PROPERTIES if isinstance(item, dict) and name in item]
        if not isinstance(item, dict) or len(subjects) != 1:
            valid = ", ".join(PROPERTIES)
            hint = next((near for key in (item if isinstance(item, dict) else ()) if (near := _close(key, PROPERTIES))), "")
            self.add(place, " and ".join(subjects) or _shown(item), f"a check of exactly one {valid}", hint)
            return None
        (subject,) = subjects
        rest = {name: value for name, value in item.items() if name in {"on", "when"}}
        if isinstance(rest.get("when"), str):
            rest["when"] = [rest["when"]]
        part = self.part(_Check, rest, place)
        name = self._checked(_text_type(), item[subject], (*place, subject), f"the name of a {subject}")
        expect = {key: value for key, value in item.items() if key not in {"on", "when", subject}}
        valid_names = PROPERTIES[subject]
        for key, value in expect.items():
            if key not in valid_names:
                found = f"an unknown property {key!r} of a {subject}"
                self.add((*place, key), found, f"one of {', '.join(valid_names)}", _close(key, [*valid_names, "on", "when"]), key=True)
            elif isinstance(value, dict | list) or value is None:
                self.add((*place, key), _shown(value), "the value that the property must have")
        if not expect:
            self.add(place, f"a check of {subject} without a property", f"one of {', '.join(valid_names)}, with its value")
        target = self._target(rest.get("on", "all"), (*place, "on"))
        if part is None or name is None or target is None:
            return None
        self._misfits(_target_misfits(part.on, (*place, "on"), self.mode) if self.mode else [])
        return Check(subject, name, expect, part.on, tuple(part.when))

    def _named(self, item: Json, place: Place, classes: Mapping[str, Any], what: str) -> Any:
        """Read a name, or a name with parameters, as an instance of its class."""
        name, given = (
            (item, {}) if isinstance(item, str) else next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else ("", {})
        )
        if not name:
            self.add(place, _shown(item), f"a {what}: a name, or one name with its parameters")
            return None
        inner = place if isinstance(item, str) else (*place, name)
        if name not in classes:
            self.add(inner, f"an unknown {what} {name!r}", f"the name of a {what}", targets.nearest(name, classes), key=True)
            return None
        built = self._built(classes[name], given, inner, name, place)
        app = getattr(built, "app", None)
        if built is not None and isinstance(app, str) and self.apps_read and app not in {each.name for each in self.apps}:
            hint = targets.nearest(app, [each.name for each in self.apps]) or "there is no app"
            self.add((*inner, "app"), f"an unknown app {app!r}", "the name of an app", hint)
        self._misfits(_name_misfits(name, place, self.mode) if self.mode else [])
        return built

    def _control(self, body: dict[str, Json], promises: Sequence[Any]) -> Control | None:
        value = body.get("control")
        if value is None:
            if "control" in body:
                self.add(("control",), "nothing", "how the control must come out: verdict, because, match")
            return None
        part = self.part(_Control, value, ("control",))
        if part is None:
            return None
        judging = [*(each.name for each in promises if each), *ALWAYS, "settled"]
        if part.because not in judging and all(promises):
            found = f"because of {part.because!r}"
            self.add(("control", "because"), found, "a checker that judges this scenario", targets.nearest(part.because, judging))
        return Control(Verdict(part.verdict), part.because, part.match)

    def _whole(self, body: dict[str, Json], steps: Sequence[Step | None], promises: Sequence[Any]) -> None:
        """Say what only the whole of a list can lack."""
        if isinstance(body.get("steps"), list) and all(steps) and not any(isinstance(step, Break) for step in steps):
            self.add(("steps",), "no fault", "at least one", "`fault: none` breaks nothing, for a control")
        if isinstance(body.get("promises"), list) and not promises:
            self.add(("promises",), "no promise", "at least one", "a run that promises nothing shows nothing")
        seen: list[Any] = []
        for number, promise in enumerate(promises):
            if promise is not None and promise in seen:
                self.add(("promises", number), f"the promise {promise.name!r} a second time", "each promise once")
            seen.append(promise)

    def _wanted(self, workloads: Sequence[Any], promises: Sequence[Any]) -> None:
        """Say which promise has nothing to be judged by: no calls of the kind that it looks at."""
        if not all(workloads):
            return
        kinds = {each.name for each in workloads}
        called = {each.app for each in workloads if each.name == "http"}
        for number, promise in enumerate(promises):
            place = ("promises", number)
            if promise is None:
                continue
            writes = promise.name == "writes" or (promise.name == "quorum" and getattr(promise, "writes", ""))
            if writes and "register" not in kinds:
                self.add(place, f"a promise of {promise.name} with nothing that writes", "the workload register")
            if promise.name == "availability" and promise.app not in called:
                self.add(
                    place, f"a promise of availability of {promise.app} that nobody calls", f"the workload http with `app: {promise.app}`"
                )

    # -- pieces

    def listed(self, body: dict[str, Json], name: str) -> list[tuple[Json, Place]]:
        """Return the items of a list with their places; a list that is left out is empty."""
        value = body.get(name, [])
        if not isinstance(value, list):
            self.add((name,), _shown(value), str(_Document.model_fields[name].description))
            self.apps_read = self.apps_read and name != "apps"
            return []
        return [(item, (name, number)) for number, item in enumerate(value)]

    def part(self, model: type[P], value: Json, place: Place) -> P | None:
        """Read a mapping, or note everything that is wrong with it."""
        if not isinstance(value, dict):
            self.add(place, _shown(value), "a mapping with " + ", ".join(_keys(model)))
            return None
        try:
            return model.model_validate(value)
        except ValidationError as error:
            self._note(error, place, _keys(model), _descriptions(model))
            return None

    def _built(self, cls: Any, given: Json, place: Place, name: str, step: Place) -> Any:
        """Read parameters as an instance of a fault's, workload's or checker's class."""
        valid = parameters.names(cls)
        if given is None:
            given = {}
        if not isinstance(given, dict):
            self.add(place, _shown(given), f"the parameters of {name}: " + (", ".join(valid) or "it has none"))
            return None
        try:
            return parameters.build(cls, given)
        except ValidationError as error:
            where = place if place in self.doc.values else step
            self._note(error, where, valid, {})
        except ValueError as error:
            self.add(place, f"{name} with {_shown(given) if given else 'no parameters'}", "parameters that fit together", str(error))
        return None

    def _checked(self, adapter: TypeAdapter[Any], value: Json, place: Place, expected: str) -> Any:
        try:
            return adapter.validate_python(value, strict=True)
        except ValidationError:
            self.add(place, _shown(value), expected)
            return None

    def _note(self, error: ValidationError, place: Place, keys: Sequence[str], described: Mapping[str, str]) -> None:
        """Turn pydantic's errors into problems at their places in the file."""
        told: set[Place] = set()
        for each in error.errors(include_url=False, include_context=True):
            at = place
            for step in each["loc"]:
                if (*at, step) not in self.doc.values:
                    break
                at = (*at, step)
            if each["type"] == "missing":
                missing = str(each["loc"][-1])
                self.add(at, f"no {missing!r}", f"{missing}: {described.get(missing, 'it cannot be left out')}")
            elif each["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
                name = str(each["loc"][-1])
                expected = f"one of {', '.join(keys)}" if keys else "no parameters: there are none"
                self.add(at, f"an unknown key {name!r}", expected, _close(name, keys), key=True)
            elif at not in told and each["type"] != "none_required":
                told.add(at)
                name = str(each["loc"][0]) if each["loc"] else ""
                self.add(at, *_wrong(each, described.get(name, "")))

    def _misfits(self, found: Sequence[_Misfit]) -> None:
        hint = ""
        if found and self.block is not None:
            hint = f"read for {self.block}, by `but` in line {self.doc.keys['but', self.block].line}"
        elif found and self.overrides.get("mode") is not None:
            hint = f"`but: {self.overrides['mode']}:` in the file can say what differs there"
        for each in found:
            self.add(each.place, each.found, each.expected, hint)

    def _add_inside(self, place: Place, position: int, found: str, expected: str, word: str, valid: Sequence[str]) -> None:
        hint = _close(word, valid) or ("" if valid else "there is none")
        self.problems.append(self.doc.problem(place, found, expected, hint, offset=position))

    def _range(self) -> str:
        return f"n1 to n{len(self.names)}" if len(self.names) > 1 else "n1"

    def add(self, place: Place, found: str, expected: str, hint: str = "", *, key: bool = False) -> None:
        """Note a problem with the value, or the key, at a place."""
        self.problems.append(self.doc.problem(place, found, expected, hint, key=key))


def _wrong(error: ErrorDetails, described: str) -> tuple[str, str, str]:
    """Return found, expected and a hint for a value that does not fit."""
    value: Any = error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    kind = error["type"]
    found = _shown(value)
    if kind == "value_error":
        said = str(context.get("error", ""))
        if said.startswith("found ") and ", expected " in said:
            found, _, expected = said.removeprefix("found ").partition(", expected ")
            return found, expected, ""
        return found, said or described, ""
    if kind == "literal_error":
        expected = str(context.get("expected", ""))
        valid = [each for each in expected.replace(" or ", ", ").replace("'", "").split(", ") if each]
        return found, f"one of {', '.join(valid)}", _close(str(value), valid)
    hint = _WHY_FIFTY if kind == "less_than_equal" and described == _NODES else ""
    expected = _PLAIN.get(kind, str(error["msg"]).removeprefix("Input should be "))
    return found, described or expected, hint


_PLAIN: Final[Mapping[str, str]] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a mapping",
    "list_type": "a list",
}
"""Pydantic's errors in plain words."""


def _close(word: str, valid: Any) -> str:
    """Return a hint only where a valid name is near."""
    hint = targets.nearest(word, list(valid))
    return hint if hint.startswith("did you mean") else ""


@functools.cache
def _keys(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(each.alias or name for name, each in model.model_fields.items())


@functools.cache
def _descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    return {each.alias or name: each.description or "" for name, each in model.model_fields.items()}


@functools.cache
def _duration() -> TypeAdapter[float]:
    return TypeAdapter(Duration)


@functools.cache
def _text_type() -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, Field(min_length=1, max_length=500)])


def _shown(value: Json) -> str:
    """Name a value without repeating all of it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        keys = ", ".join(str(key)[:24] for key in list(value)[:4])
        return f"a mapping with {keys}{', …' if len(value) > 4 else ''}" if value else "an empty mapping"  # noqa: PLR2004 - as just shown
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004 - as much as a line bears
