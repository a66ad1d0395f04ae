"""Actions on the mode's own daemons, by the nodes' systemd, as whoever runs them would do it: they end in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from harness.core import pace
from harness.core.errors import CommandFailed, HalfDone, HarnessError
from harness.core.naming import close
from harness.core.protocols import Cluster, Mode, Node, Services
from harness.core.traits import daemon
from harness.core.values import Effect
from harness.faults.common import command, together

LONGEST = 120.0
"""Seconds: systemd itself gives a daemon 90 s to stop, and as many to start."""
_NO_UNIT = 3  # how the script ends where there is nothing to stop or start; nothing was touched then
_UNIT = re.compile(r"[A-Za-z0-9:_.@-]+\.service")

# $1 is what to do, $2 the unit. What would start it again when somebody asks (a socket, a path, a timer) is stopped before it, and started before it.
_SCRIPT = r"""
set -eu
todo=$1 unit=$2
triggers=$(systemctl show --property=TriggeredBy --value "$unit")
active() { [ "$(systemctl show --property=ActiveState --value "$unit")" = active ]; }
[ "$(systemctl show --property=LoadState --value "$unit")" = loaded ] || { echo "there is no $unit" >&2; exit 3; }
case $todo in
stop)
    systemctl stop $triggers "$unit"
    if active; then echo "$unit is active after it was stopped" >&2; exit 4; fi ;;
start | restart)
    for each in $triggers; do systemctl start "$each" || true; done
    systemctl reset-failed "$unit" 2>/dev/null || true  # systemd counts how often it was started, and refuses it in the end
    systemctl "$todo" "$unit"
    active || { echo "$unit is $(systemctl show --property=ActiveState --value "$unit") after its $todo" >&2; exit 4; } ;;
esac
"""


def _misfit(service: str, mode: Mode) -> tuple[str, str, str] | None:
    """Say that the mode runs no such daemon as a unit; see `harness.core.protocols.Choosy`."""
    if isinstance(mode, Services) and mode.unit(service) is not None:
        return None
    there = mode.processes() if isinstance(mode, Services) else ()
    which = f", such as {', '.join(there)}" if there else ", and it runs none"
    near = close(service, there)
    return (
        "service",
        f"the service {service!r}",
        f"a daemon that the {mode.name} mode runs as a systemd unit{which}{f'; {near}' if near else ''}",
    )


def _everywhere(cluster: Cluster, targets: Sequence[Node], todo: str, service: str) -> str:
    """Do it on all targets at once. Raises `HarnessError` that names each on which it was not done, `Unreachable` where that is not known."""
    unit = cluster.can(Services).unit(service)
    if unit is None or not _UNIT.fullmatch(unit):
        raise HarnessError(f"the {cluster.mode.name} mode gives {unit!r} as the unit of {service}; expected the name of a .service")

    def one(node: Node) -> None:
        result = node.run(*command(_SCRIPT, todo, unit), timeout=pace.limit(LONGEST))
        if not result.ok:
            error = CommandFailed(node.name, ("systemctl", todo, unit), result.exit, result.err.decode(errors="replace"))
            raise error if result.exit == _NO_UNIT else HalfDone(str(error)) from error

    together(targets, one, f"{todo} of {service}")
    return unit


@dataclass(frozen=True, slots=True)
class _OnDaemon:
    """What all of these share: which daemon it is about, and who has it."""

    service: Annotated[str, Field(description="the name of a daemon that the mode runs as a systemd unit")]

    aims: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("Services",)
    longest: ClassVar[float] = LONGEST

    @property
    def parts(self) -> tuple[str, ...]:
        """The daemon, as effects name it."""
        return daemon(self.service, in_place=False).parts

    def misfit(self, mode: Mode) -> tuple[str, str, str] | None:
        """Say that the mode has no such daemon."""
        return _misfit(self.service, mode)


@dataclass(frozen=True, slots=True)
class ServiceStop(_OnDaemon):
    """One of the mode's daemons is stopped in order on all targets, and stays so until a step starts it. `service` is a name that the mode knows."""

    name: ClassVar[str] = "service.stop"

    @property
    def effect(self) -> Effect:
        """It runs there no more."""
        return Effect(stops=self.parts)

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Stop it, and return when it has ended."""
        return _everywhere(cluster, targets, "stop", self.service)


@dataclass(frozen=True, slots=True)
class ServiceStart(_OnDaemon):
    """One of the mode's daemons is started on all targets. `service` is a name that the mode knows."""

    name: ClassVar[str] = "service.start"

    @property
    def effect(self) -> Effect:
        """It runs there."""
        return Effect(starts=self.parts)

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Start it, and return when systemd says that it is up; where it runs already, do nothing."""
        return _everywhere(cluster, targets, "start", self.service)


@dataclass(frozen=True, slots=True)
class ServiceRestart(_OnDaemon):
    """One of the mode's daemons is stopped in order and started again on all targets at once. `service` is a name that the mode knows."""

    name: ClassVar[str] = "service.restart"

    @property
    def effect(self) -> Effect:
        """It runs there once it is done, and did not in between: where it was cut off, it may be left stopped."""
        return Effect(stops=self.parts, starts=self.parts)

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Restart it, and return when systemd says that it is up."""
        return _everywhere(cluster, targets, "restart", self.service)
