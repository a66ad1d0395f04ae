"""An app as a swarm service. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.instances import APP_LABEL, RUN_LABEL
from harness.core.values import ALWAYS, NEVER, ON_FAILURE
from harness.modes.swarm.swarm_api import NANO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.core.values import App, ContainerLimits, Health, Json, Volume

STOP_SECONDS = 2
"""How long a container may take to stop by itself."""
LACKED_LABEL = "whalefall.lacked"
"""Label of a service: the nodes that had no image of it before, with commas between."""
_CONDITIONS: Mapping[str, str] = {"": "any", ALWAYS: "any", ON_FAILURE: "on-failure"}
_BRACES = '{{"{{"}}'  # two braces, as swarm expands them
_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?")


def spec(app: App, run_id: str, restart_delay: float, *, pin: str | None = None, lacked: Sequence[str] = ()) -> Mapping[str, Json]:
    """Return the body of Docker's ``/services/create``: one replicated service, instance ``web@K`` being the task in slot K.

    `restart_delay` in seconds; `pin` is swarm's id of the only node that may run it; `lacked` are the nodes that had no image before. Instances that
    must not meet share one host port and are allowed once a node; others each get a port of Docker's choosing. Raises `HarnessError` for a name that
    Docker would not take.
    """
    if not _NAME.fullmatch(app.name):
        raise HarnessError(f"app {app.name!r} cannot name a service; expected letters, digits, '_' and '-' only, at most 63")
    placement: dict[str, Json] = {}
    if app.conflicts:
        placement["MaxReplicas"] = 1
    if pin is not None:
        placement["Constraints"] = [f"node.id=={pin}"]
    labels: dict[str, Json] = {APP_LABEL: app.name, RUN_LABEL: run_id}
    return {
        "Name": app.name,
        "Labels": {**labels, LACKED_LABEL: ",".join(lacked)},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": app.image,
                **({"Args": [*app.command]} if app.command else {}),
                **({"Mounts": [_mount(each) for each in app.volumes]} if app.volumes else {}),
                **({"HealthCheck": _healthy(app.health, app.inner)} if app.health else {}),
                "Labels": {**dict(app.labels), **labels},
                "Env": [*environment(app)],
                "StopGracePeriod": STOP_SECONDS * NANO,
            },
            "RestartPolicy": {"Condition": _CONDITIONS[app.restart], "Delay": round(restart_delay * NANO), "MaxAttempts": 0},
            "Placement": placement,
            **({"Resources": {"Limits": _limited(app.limits)}} if app.limits else {}),
        },
        "Mode": {"Replicated": {"Replicas": app.instances}},
        "EndpointSpec": {
            # No virtual address: callers come by the nodes' own.
            "Mode": "dnsrr",
            "Ports": [
                {"Protocol": "tcp", "TargetPort": app.inner, "PublishedPort": app.port if app.conflicts else 0, "PublishMode": "host"},
            ],
        },
    }


def _healthy(health: Health, port: int) -> dict[str, Json]:
    """Return how Docker finds out whether a container works; what is not given is as the image says, or as Docker has it."""
    line = health.shell(port)
    test: list[Json] = ["CMD", *health.words] if health.words else ["CMD-SHELL", line] if line else []
    given = {"Interval": health.every, "Timeout": health.timeout, "StartPeriod": health.start_period}
    said: dict[str, Json] = {name: round(seconds * NANO) for name, seconds in given.items() if seconds}
    return {**({"Test": test} if test else {}), **said, **({"Retries": health.retries} if health.retries else {})}


def _limited(limits: ContainerLimits) -> dict[str, Json]:
    """Return what a task may take, as Docker's API has it from version 1.41 on."""
    given = {"NanoCPUs": round(limits.cpu * NANO), "MemoryBytes": limits.memory << 20, "Pids": limits.pids}
    return {name: value for name, value in given.items() if value}


def _mount(volume: Volume) -> dict[str, Json]:
    """Return a volume as Docker's API has it."""
    kind = "bind" if volume.of_node else "volume"
    return {"Type": kind, "Source": volume.source, "Target": volume.target, "ReadOnly": volume.read_only}


def refused(app: App) -> Iterator[tuple[str, str, str, str]]:
    """Yield what swarm cannot give an app; see `harness.core.protocols.Selective.refused`."""
    if app.restart == NEVER:
        hint = "swarm goes by the same rule for a task that ended and one whose node is lost: nothing lost would ever come back"
        yield "restart", "no, with the swarm mode", f"{ON_FAILURE} or {ALWAYS}", hint
    if app.limits is not None and app.limits.io:
        yield "limits", "io, with the swarm mode", "pids, cpu and memory", "a service of swarm's has no limit on disks"


def called(app: App) -> str:
    """Return what swarm calls an app's service: as the app, where its user's own stack file does not say otherwise."""
    return app.native.called if app.native is not None else app.name


def inner(app: App) -> int:
    """Return the container's own port behind the one on which an app's instances answer; 0 where nobody asks for any."""
    return app.native.inner if app.native is not None else app.inner


def environment(app: App) -> list[str]:
    """Return what an app's containers have in their environment: who they are, and the app's own variables as they stand, with nothing expanded."""
    own = [f"{name}={value.replace('{{', _BRACES)}" for name, value in app.environment]
    return ["WHALEFALL_INSTANCE={{.Service.Name}}@{{.Task.Slot}}", "WHALEFALL_HOST={{.Node.Hostname}}", *own]
