"""Changes of what a swarm was told before: how many tasks a service has, and whether a node may have any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness.core import pace
from harness.core.clock import wait_until
from harness.core.errors import HarnessError, Unreachable
from harness.modes.swarm import services
from harness.modes.swarm.swarm_api import WORK_SECONDS, Daemon, first, refused
from harness.web import NoAnswer, NotSent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.core.clock import Clock
    from harness.core.protocols import Node
    from harness.modes.swarm.swarm_api import KnownSpec

_REFUSED, _GONE = 400, 404


def scale(managers: Sequence[Node], app: str, run_id: str, instances: int, seconds: float, clock: Clock) -> None:
    """Have so many tasks of a run's own service. Raises `HarnessError` where swarm has none, or refuses, and `Expired` where no manager took it."""

    def changed(known: KnownSpec) -> Mapping[str, Any] | None:
        if dict(known.spec.get("Labels") or {}).get(services.RUN_LABEL) != run_id:
            raise HarnessError(f"the service {app} is none of this run's; it is left as it is")
        now = known.spec["Mode"]["Replicated"]["Replicas"]
        return None if now == instances else {**known.spec, "Mode": {"Replicated": {"Replicas": instances}}}

    _change(managers, f"/services/{quote(app)}", f"{instances} tasks of {app}", changed, seconds, clock)


def availability(managers: Sequence[Node], node_id: str, name: str, wanted: str, seconds: float, clock: Clock) -> None:
    """Say whether a node may have work: ``active`` or ``drain``. Raises as `scale`."""

    def changed(known: KnownSpec) -> Mapping[str, Any] | None:
        return None if known.spec.get("Availability") == wanted else {**known.spec, "Availability": wanted}

    _change(managers, f"/nodes/{quote(node_id)}", f"the availability {wanted} of {name}", changed, seconds, clock)


def _change(
    managers: Sequence[Node], path: str, what: str, changed: Callable[[KnownSpec], Mapping[str, Any] | None], seconds: float, clock: Clock
) -> None:
    """Change what swarm knows, through the first manager that takes it; what somebody else changed meanwhile is read again."""
    last = "not asked yet"

    def change(daemon: Daemon) -> None:
        known = daemon.known_spec(path)
        if known is None:
            raise HarnessError(f"{daemon.node.name}: swarm knows nothing of {path}, so {what} cannot be had")
        if (spec := changed(known)) is None:
            return
        where = f"{path.rpartition('/')[0]}/{known.id}/update?version={known.version}"
        try:
            answer = daemon.ask("POST", where, spec)
        except (NotSent, NoAnswer) as e:
            raise Unreachable(daemon.node.name, f"Docker's POST {path}", e.words) from e
        if answer.status in {_REFUSED, _GONE}:
            raise refused(answer, daemon.node, what)
        if not answer.ok:  # e.g. that somebody else was quicker: the version has changed
            raise Unreachable(daemon.node.name, f"Docker's POST {path}", answer.words)

    def taken() -> bool:
        nonlocal last
        try:
            first(list(managers), pace.limit(WORK_SECONDS), change)
        except Unreachable as e:
            last = str(e)
            return False
        return True

    wait_until(taken, awaited=f"swarm to take {what}", seconds=seconds, clock=clock, every=0.2, saw=lambda: last)
