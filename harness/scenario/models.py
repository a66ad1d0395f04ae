"""The parts of a scenario file: which keys each of them has, and what is expected there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, WithJsonSchema

from harness.core.units import DURATION, Duration
from harness.core.values import LISTENS, MOST_INSTANCES, RESTARTS
from harness.host import origins
from harness.steps.part import Part

MOST_NODES: Final = 50
HOST_PORT: Final = "a port of the nodes from 1024 to 65000; instance K answers on it + K, where the mode gives each a port of its own"
"""What is expected where a file says on which ports of nodes an app answers."""

SETTLE: Final = 90.0
"""Seconds to settle, where a scenario does not say. After a lost majority fleet needs some 33 s until all machines are listed again."""

PROPERTIES: Final[Mapping[str, tuple[str, ...]]] = {
    "service": ("exists", "is_running", "is_enabled", "is_valid", "is_masked"),
    "process": ("is_running", "count", "user", "group"),
    "socket": ("is_listening",),
    "peer": ("is_reachable",),
    "file": (
        *("exists", "is_file", "is_directory", "is_executable", "is_pipe", "is_socket", "is_symlink", "linked_to"),
        *("user", "uid", "group", "gid", "mode", "size", "contains", "content_string", "md5sum", "sha256sum"),
    ),
    "container": ("exists", "is_running", "is_restarting", "name"),
    "image": ("exists",),
    "network": ("exists", "driver"),
    "volume": ("exists", "driver"),
}
"""What can be checked, and the properties of each, named as testinfra names them."""

NUMBERS: Final = frozenset({"count", "uid", "gid", "mode", "size"})
TEXTS: Final = frozenset({"user", "group", "name", "driver", "linked_to", "contains", "content_string", "md5sum", "sha256sum"})
"""Properties that are whole numbers, and those that are text; all others are true or false."""
DIGESTS: Final[Mapping[str, int]] = {"md5sum": 32, "sha256sum": 64}
"""Properties that are checksums, each with how many digits it has."""

REPLACED: Final = ("apps", "workloads", "probes", "steps", "settle", "checks", "promises", "control")
"""Keys of a file that a block in `but` may replace whole, beside the cluster's profile and timers."""

NODES: Final = f"a whole number from 1 to {MOST_NODES}"
"""What is expected where a file says how many nodes."""

_NAME = r"^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$"
APP: Final = r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"
"""How an app is called, as a regular expression."""
_INSTANCES = f"a whole number from 0 to {MOST_INSTANCES}; 0: it comes only with app.deploy"
LONGEST_LINE: Final = 1000
"""Characters of a command for a container's shell at most."""
WORDS: Final = "a list of words, or text that is split into words as a shell does it"
"""What is expected where a file says with what a container is started."""
_LISTED: Final = {"type": "array", "minItems": 1, "items": {"type": ["string", "number"]}}
_Words: TypeAlias = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, _LISTED]})]
HEALTHY: Final = "text for the container's shell, or a list of words that is run without one"
"""What is expected where a file says by which command a container is healthy."""
_Line: TypeAlias = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": LONGEST_LINE}, _LISTED]})]
_Volume: TypeAlias = Annotated[Any, WithJsonSchema({"type": "string", "pattern": "^[^:]+:/[^:]+(:ro)?$"})]
RESTART: Final = f"one of {', '.join(RESTARTS)}"
_Restart: TypeAlias = Annotated[Any, WithJsonSchema({"enum": [*RESTARTS, False]})]  # YAML reads false for no
_Value: TypeAlias = Annotated[Any, WithJsonSchema({"type": ["string", "number"]})]


_IMAGE: Final = {"type": "string", "minLength": 1, "maxLength": origins.LONGEST, "pattern": rf"^(?:{origins.WRITTEN})$"}
"""For editors: what no image is is told by `harness.host.origins.origin`, which knows what was meant."""


class ClusterPart(Part):
    """What the scenario runs on. `--mode`, `--provider` and `--profile` take precedence."""

    mode: str = Field("fleet", description="the name of a mode")
    provider: str = Field("nspawn", description="the name of a provider")
    nodes: int = Field(3, ge=1, le=MOST_NODES, description=NODES)
    profile: str = Field("default", description="the name of a profile of the mode's timers")
    timers: dict[str, Duration] = Field(default_factory=dict, description="a mapping from timers of the mode to durations")
    distribution: Literal["", "images"] = Field(
        "", description="images: the mode's daemons come from `images`; left out: as the mode has them"
    )
    images: dict[str, str] = Field(default_factory=dict, description="a mapping from daemons of the mode to the images that they come from")

    @property
    def node_names(self) -> tuple[str, ...]:
        """The nodes' names: n1 to nN."""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))


class AppPart(Part):
    """An item of `apps`."""

    name: str = Field(pattern=APP, description="a name of lower-case letters, digits and dashes, 32 at most, a letter first")
    instances: int = Field(ge=0, le=MOST_INSTANCES, description=_INSTANCES)
    image: Annotated[str, WithJsonSchema(_IMAGE)] = Field("web", description=origins.EXPECTED)
    port: int = Field(LISTENS, ge=1, le=65535, description="the port from 1 to 65535 on which a container of it answers")
    host_port: int = Field(8000, alias="host port", ge=1024, le=65000, description=HOST_PORT)
    conflicts: bool = Field(default=True, description="true (never two instances on one node) or false")
    pin: str | None = Field(None, description="the name of a node")
    labels: dict[str, str] = Field(default_factory=dict, description="a mapping from labels that its containers have to text")
    environment: dict[str, _Value] = Field(
        default_factory=dict, description="a mapping from variables of its containers to text or numbers"
    )
    command: _Words = Field(None, description=WORDS)
    volumes: list[_Volume] = Field(default_factory=list, description="a list of SOURCE:TARGET or SOURCE:TARGET:ro")
    restart: _Restart = Field(None, description=RESTART)
    health: Any = Field(None, description="how Docker finds out whether what is in a container works")
    limits: Any = Field(None, description="what a container may take of its node at most")


class LimitsPart(Part):
    """What a container may take of its node at most; what is left out is not limited."""

    pids: int = Field(0, ge=1, le=100_000, description="a whole number of processes and threads from 1 to 100000")
    cpu: float = Field(0.0, ge=0.01, le=1024, description="a number of processors from 0.01 to 1024, such as 0.5")
    memory: int = Field(0, ge=6, le=1 << 24, description="a whole number of MiB from 6, the least that Docker takes")
    io: int = Field(0, ge=10, le=1000, description="a weight from 10 to 1000 among those who want the same disk; without one it is 500")


class HealthPart(Part):
    """How Docker finds out whether what is in a container works; what is left out is as the image says, or as Docker has it by itself."""

    command: _Line = Field(None, description=HEALTHY)
    http: str = Field(
        "", max_length=200, pattern=r"^(/[A-Za-z0-9/._~?=&%+:@,-]*)?$", description="a path that begins with /, such as /health"
    )
    every: Duration = Field(0.0, ge=0.001, description="a duration of 1ms or more, such as 5s")
    timeout: Duration = Field(0.0, ge=0.001, description="a duration of 1ms or more, such as 5s")
    retries: int = Field(0, ge=1, le=1000, description="a whole number from 1 to 1000")
    start_period: Duration = Field(0.0, alias="start period", ge=0.001, description="a duration of 1ms or more, such as 5s")


OWN_FILE: Final = r"^[^/\x00][^\x00]{0,999}$"
"""How the path of an app's own definition is written, as a regular expression."""


class OwnAppPart(Part):
    """An item of `apps` that has a definition of its own."""

    name: str = Field(pattern=APP, description="a name of lower-case letters, digits and dashes, 32 at most, a letter first")
    native: Any = Field(description="the app's own definition in the mode's words: the path of its file, or a mapping with file")
    instances: int | None = Field(None, ge=0, le=MOST_INSTANCES, description=_INSTANCES)


class NativePart(Part):
    """An app's own definition, and what it does not tell itself."""

    file: str = Field(min_length=1, max_length=1000, pattern=OWN_FILE, description="a path from the scenario file's folder on")
    container: str = Field("", max_length=128, description="what its containers are called, where that cannot be told from the file")
    image: str = Field(
        "", pattern=rf"^(?:{origins.CALLED})?$", description="the name of a container image, where that cannot be told from the file"
    )
    port: str | int = Field("", description="the port on which an instance answers, where that cannot be told from the file")


class ControlPart(Part):
    """How a control must come out."""

    verdict: Literal["broken", "unknown"] = Field(description="broken or unknown: a control must be convicted")
    because: str = Field(description="the name of the checker that must convict")
    match: str = Field("", description="text that the finding's summary must hold")


class WholeFile(Part):
    """The whole file. Its sections are read each by itself, so that what is wrong in one does not hide what is wrong in another."""

    scenario: str = Field(pattern=_NAME, description="a name of lower-case letters, digits and dashes, 48 at most")
    why: str = Field(min_length=1, description="a sentence or two on what this scenario shows")
    cluster: Any = Field(default_factory=dict, description="what the scenario runs on")
    apps: Any = Field(default_factory=list, description="a list of apps")
    workloads: Any = Field(default_factory=list, description="a list of workloads")
    probes: Any = Field(default_factory=list, description="a list of probes")
    steps: Any = Field(description="a list of steps, at least one of them a fault")
    settle: Duration = Field(SETTLE, description=DURATION)
    checks: Any = Field(default_factory=list, description="a list of checks")
    promises: Any = Field(description="a list of promises, at least one")
    control: Any = Field(None, description="how a control must come out")
    but: Any = Field(default_factory=dict, description="a mapping from modes to what differs there")


class ButPart(Part):
    """What differs in one mode. What stands here replaces what the file says under the same key."""

    because: str = Field(pattern=r"\S", description="a sentence or two on why this differs in that mode")
    skip: Any = Field(None, description="true: this scenario is not for that mode")
    cluster: Any = Field(None, description="profile and timers of that mode")
    apps: Any = None
    workloads: Any = None
    probes: Any = None
    steps: Any = None
    settle: Any = None
    checks: Any = None
    promises: Any = None
    control: Any = None


class ButClusterPart(Part):
    """The mode's own timers. Those of the file are of the file's mode, and mean nothing to another."""

    profile: str = Field("default", description="the name of a profile of the mode's timers")
    timers: dict[str, Duration] = Field(default_factory=dict, description="a mapping from timers of the mode to durations")


_When: TypeAlias = Literal["before", "during", "after"]
_WHEN: Final[tuple[_When, ...]] = ("before", "after")


class CheckPart(Part):
    """What every check has, whatever it is that it checks."""

    on: str = Field("all", description="a target expression, such as all or !leader")
    when: list[_When] = Field(default_factory=lambda: list(_WHEN), min_length=1, description="a list of before, during and after")
