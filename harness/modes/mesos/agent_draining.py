"""Take all work from an agent, and let it have work again, by the operator API of the leading master."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.clock import wait_until
from harness.core.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.clock import Clock
    from harness.modes.mesos.marathon_api import Rest


def drain(leading: Callable[[], Rest], host: str, seconds: float, clock: Clock) -> None:
    """Have the leading master drain the agent of a host: it kills its tasks, which Marathon starts elsewhere, and offers it no more.

    Returns when that is taken; one that is drained, or being drained, is left so. `leading` gives the REST of the node whose master leads, and raises
    `Unreachable` where none does. Raises `HarnessError` where that knows no such agent, `Expired` where nobody took it in time.
    """

    def taken(rest: Rest) -> bool:
        agent = rest.agent_of(host)
        if not agent.drain:
            rest.operate("DRAIN_AGENT", agent.id)
        return True

    _until(taken, leading, f"the leading master to drain the agent of {host}", seconds, clock)


def undrain(leading: Callable[[], Rest], host: str, seconds: float, clock: Clock) -> None:
    """Have it offer the agent again. One that is still being drained is waited for: a master refuses to end that half-way. Raises as `drain`."""

    def taken(rest: Rest) -> bool:
        agent = rest.agent_of(host)
        if agent.drain == "DRAINING":
            raise Unreachable(rest.node, "REACTIVATE_AGENT", f"the agent of {host} is still being drained")
        if agent.deactivated or agent.drain:
            rest.operate("REACTIVATE_AGENT", agent.id)
        return True

    _until(taken, leading, f"the leading master to offer the agent of {host} again", seconds, clock)


def _until(taken: Callable[[Rest], bool], leading: Callable[[], Rest], awaited: str, seconds: float, clock: Clock) -> None:
    last = "not asked yet"

    def look() -> bool:
        nonlocal last
        try:
            return taken(leading())
        except Unreachable as error:
            last = str(error)
            return False

    wait_until(look, awaited=awaited, seconds=seconds, clock=clock, every=0.2, saw=lambda: last)
