"""An app as Marathon's JSON, and what Marathon cannot give one. Pure."""

from __future__ import annotations

import math
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from harness.core.errors import HarnessError
from harness.core.instances import APP_LABEL, RUN_LABEL
from harness.core.values import ALWAYS
from harness.host import untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.core.values import App, ContainerLimits, Health, Json
    from harness.document import Place

STOP_SECONDS: Final = 2
"""How long a container may take to stop by itself."""
_CPUS, _MEMORY = 0.1, 64
"""What our own apps are given: a share of a processor, and MiB. The apps of scenarios need next to nothing, and thirty of them must find room."""
_LEAST_MEMORY: Final = 32
"""MiB that Mesos gives a container at least, whatever its app says."""
_PERIOD: Final = 100_000
"""Docker's own --cpu-period, in microseconds, of which a quota is so many."""
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SMALL: Final = 10_000
"""Parts of one in which a share of instances is told, rounded down: rounded up it could ask for an instance more."""


def path(app: App) -> str:
    """Return what Marathon calls an app: ``/web``, where its user's own definition does not say otherwise."""
    return app.native.called if app.native is not None else f"/{app.name}"


def services(app: App) -> frozenset[int]:
    """Return the ports on which HAProxy listens for an app; of one of its user's own, those that its definition names."""
    if app.native is None:
        return frozenset({app.port})
    container = _parsed(app.native.body).get("container")  # it has been read before
    _, mapped = mappings(container if isinstance(container, dict) else {})
    said = (each.get("servicePort") for each in mapped if isinstance(each, dict))
    return frozenset(each for each in said if type(each) is int and each)


def mappings(container: Mapping[str, Any]) -> tuple[Place, Sequence[Any]]:
    """Return what of a container's ports is mapped, and where that stands."""
    docker = container.get("docker")
    listed = container.get("portMappings") or (docker.get("portMappings") if isinstance(docker, dict) else None)
    at = ("container", "portMappings") if container.get("portMappings") else ("container", "docker", "portMappings")
    return at, listed if isinstance(listed, list) else []


def definition(app: App, run_id: str, pinned: str | None = None) -> dict[str, Json]:
    """Return the body of Marathon's ``/v2/apps``: that of our own, or its user's own as it stands.

    `pinned` is what Mesos calls the host of the only node that may run it, where that is another name than ours.
    Each instance has a port of its host that Mesos chooses, and the whole app one service port, `App.port`, on which HAProxy answers for it.
    Raises `HarnessError` for a name that Marathon would not take.
    """
    if app.native is not None:
        body: dict[str, Json] = _parsed(app.native.body)
        return body if body.get("instances", 1) == app.instances else body | {"instances": app.instances}
    if not _NAME.fullmatch(app.name):
        raise HarnessError(f"app {app.name!r} cannot name an app of Marathon's; expected small letters, digits and '-' only, at most 63")
    constraints: list[Json] = []
    if app.conflicts:
        constraints.append(["hostname", "UNIQUE"])
    if app.pin is not None:
        constraints.append(["hostname", "CLUSTER", pinned or app.pin])
    port: Json = {"containerPort": app.inner, "hostPort": 0, "servicePort": app.port, "protocol": "tcp"}
    labels: dict[str, Json] = {RUN_LABEL: run_id}
    return {
        "id": path(app),
        "instances": app.instances,
        "cpus": (app.limits and app.limits.cpu) or _CPUS,
        "mem": (app.limits and app.limits.memory) or _MEMORY,
        **({"args": [*app.command]} if app.command else {}),
        "env": dict(app.environment),
        "labels": labels,
        "networks": [{"mode": "container/bridge"}],
        "container": {
            "type": "DOCKER",
            "docker": {"image": app.image, "forcePullImage": False, "parameters": [*_parameters(app)]},
            "portMappings": [port],
            "volumes": [
                {"containerPath": each.target, "hostPath": each.source, "mode": "RO" if each.read_only else "RW"}
                for each in app.volumes
                if each.of_node
            ],
        },
        "constraints": constraints,
        "healthChecks": [_healthy(app.health)] if app.health and (app.health.http or app.health.line or app.health.words) else [],
        "upgradeStrategy": {"minimumHealthCapacity": _kept(app.instances), "maximumOverCapacity": 0.0},
        "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        "taskKillGracePeriodSeconds": STOP_SECONDS,
    }


def _parsed(body: str) -> dict[str, Json]:
    """Return a definition that was read when the scenario was."""
    found = untrusted.loads(body.encode())
    if not isinstance(found, dict):
        raise HarnessError("an app's own definition is no object of JSON")
    return found


def _kept(instances: int) -> float:
    """Return the share of an app's instances that runs at every moment of a change: all but one."""
    return math.floor((instances - 1) / instances * _SMALL) / _SMALL if instances > 1 else 0.0


def _parameters(app: App) -> Iterator[Json]:
    """Yield what `docker run` is told beside all that Marathon has a word for."""
    labels = {APP_LABEL: app.name, **dict(app.labels)}
    for name, value in labels.items():
        yield {"key": "label", "value": f"{name}={value}"}
    for option, most in (_limited(app.limits) if app.limits else {}).items():
        yield {"key": option, "value": str(most)}
    for each in app.volumes:
        if not each.of_node:
            yield {"key": "volume", "value": str(each)}


def _limited(limits: ContainerLimits) -> dict[str, int]:
    """Return what Mesos has no resource for; memory it gives Docker itself, but for swap beside it, and of processors only a share."""
    swap = max(limits.memory, _LEAST_MEMORY) << 20 if limits.memory else 0
    given = {"pids-limit": limits.pids, "cpu-quota": round(limits.cpu * _PERIOD), "memory-swap": swap, "blkio-weight": limits.io}
    return {name: value for name, value in given.items() if value}


def _healthy(health: Health) -> dict[str, Json]:
    """Return a health check of Marathon's; what is not given is as Marathon has it. It counts whole seconds, so parts of one are one."""
    given = {"intervalSeconds": health.every, "timeoutSeconds": health.timeout, "gracePeriodSeconds": health.start_period}
    said: dict[str, Json] = {name: math.ceil(seconds) for name, seconds in given.items() if seconds}
    if health.retries:
        said["maxConsecutiveFailures"] = health.retries
    if health.http:
        return {"protocol": "HTTP", "path": health.http, "portIndex": 0, **said}
    return {"protocol": "COMMAND", "command": {"value": health.line or shlex.join(health.words)}, **said}


def refused(app: App) -> Iterator[tuple[str, str, str, str]]:
    """Yield what Marathon cannot give an app; see `harness.core.protocols.Selective.refused`."""
    if app.restart not in {"", ALWAYS}:
        hint = "Marathon starts another instance whenever one ended, with whatever status"
        yield "restart", f"{app.restart}, with the mesos mode", ALWAYS, hint
    if app.native is None and not _NAME.fullmatch(app.name):
        yield "name", f"the name {app.name!r}, with the mesos mode", "small letters, digits and - only, 63 at most", ""
