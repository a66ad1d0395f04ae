"""What kind of fault a fault is (`harness.core.values.Traits`): those of daemons, as they stand in a history, and the key of a budget. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.core.values import Budget, Loss, Traits, Who

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import Json

EVERYBODY = ("docker", "host", "membership", "placement")
"""All observers: nobody can ask a machine that is off."""
ORCHESTRATOR = ("membership", "placement")
"""The observers that ask the orchestrator on a node, which may be stuck there under any fault of it."""
WITH_DOCKER = ("docker", *ORCHESTRATOR)
"""Those, and the one that listens to Docker."""
RUNTIME = frozenset({"docker", "containerd"})
"""The daemons whose silence is Docker's."""

POWER = "power"
"""What of a node is taken with the whole of it."""
DISK = "disk"
"""The part of a node that a fault of its disk is about."""

_FIGURES: Mapping[str, frozenset[str]] = {DISK: frozenset({"io"}), "memory": frozenset({"memory", "io"})}
"""What a fault is about → which of this machine's figures (fields of `harness.history.events.Pressure`) its own victims move.

Those that wait for a node's slow disk, or for memory of a node that has none, are counted by the kernel of the machine that the nodes share, and
nobody else waits with them. Processors are shared: what burns those slows everybody, whoever does it.
"""

_SAME = {"dockerd": "docker"}
_WORDS = {Who.LEADER: "of the leader", Who.FOLLOWER: "of a follower", Who.OTHER: "of no member"}


def daemon(name: str, *, in_place: bool, takes: tuple[str, ...] = (), leaves: tuple[str, ...] = (), stops: tuple[str, ...] = ()) -> Traits:
    """Return the traits of a fault that takes away one daemon, by any of the names that a mode knows it by."""
    part = known_as(name)
    return Traits(Loss.PROCESS, (part,), in_place=in_place, blinds=blinded(Loss.PROCESS, (part,)), takes=takes, leaves=leaves, stops=stops)


def known_as(name: str) -> str:
    """Return by which name a daemon stands among `Traits.parts`, whichever one a mode or a user knows it by."""
    return _SAME.get(name, name)


def blinded(loses: Loss, parts: Sequence[str] = ()) -> tuple[str, ...]:
    """Return which observers cannot ask where this is lost; of a fault that takes nothing away, none."""
    if loses is Loss.NODE:
        return EVERYBODY
    if loses is Loss.NOTHING:
        return ()
    return WITH_DOCKER if RUNTIME & set(parts) else ORCHESTRATOR


def taken(of: Traits) -> frozenset[str]:
    """Return what of a node a fault takes that no other can take meanwhile: its power, a daemon, its disk. Links can be cut any number of times."""
    return frozenset({POWER}) if of.loses is Loss.NODE else frozenset(of.parts)


def moved(of: Traits) -> frozenset[str]:
    """Return which of this machine's figures say nothing of it while a fault is there, for the fault itself moves them."""
    return frozenset().union(*(_FIGURES.get(part, frozenset()) for part in of.parts))


def to_history(of: Traits, nodes: Sequence[str]) -> dict[str, Json]:
    """Give traits, and who is lost, as they stand in a history."""
    return {
        "loses": str(of.loses),
        "parts": [*of.parts],
        "in_place": of.in_place,
        "blinds": [*of.blinds],
        "apart": of.apart,
        "idle": of.idle,
        "takes": [*of.takes],
        "leaves": [*of.leaves],
        "stops": [*of.stops],
        "lost": [*nodes],
    }


def from_history(body: Mapping[str, Json]) -> tuple[Traits, tuple[str, ...]] | None:
    """Return traits, and who was lost, as a history has them; None where it does not say, or says what no run of ours would."""
    try:
        loses = Loss(str(body["loses"]))
    except (KeyError, ValueError):
        return None
    read = Traits(
        loses,
        _names(body.get("parts")),
        in_place=body.get("in_place") is True,
        blinds=_names(body.get("blinds")),
        apart=body.get("apart") is True,
        idle=body.get("idle") is True,
        takes=_names(body.get("takes")),
        leaves=_names(body.get("leaves")),
        stops=_names(body.get("stops")),
    )
    return read, _names(body.get("lost"))


def budget_key(name: str, of: Traits, who: Who | None = None, *, apart: bool = False) -> str:
    """Return under which name a fault's budget stands in a plan.

    Its own, for a daemon which one, and, where it hangs on that, who is lost: e.g. ``process.kill docker of a follower``. Without `who` it is the one
    for whoever may be lost. With `apart` it says all of what is lost, so that two faults of one name which lose several things have two.
    """
    parts = " and ".join(of.parts)
    key = f"{name} {parts}" if of.loses is Loss.PROCESS else name
    if apart and of.loses is not Loss.PROCESS:
        key = f"{name} ({' of '.join(filter(None, (f'a {of.loses}' if of.loses is not Loss.NOTHING else str(of.loses), parts)))})"
    return key if who is None else f"{key} {_WORDS[who]}"


def budget_among(budgets: Mapping[str, Budget], name: str, of: Traits, who: Who | None = None) -> Budget | None:
    """Return a fault's budget: for who is lost, or else for whoever may be. Plans from before the traits have it by the fault's name alone."""
    keys = (*budget_keys(name, of, who), name)
    return next((budgets[key] for key in keys if key in budgets), None)


def for_work(budget: Budget, of: Traits) -> Budget:
    """Return what a fault's budget allows work to take until it is back: of one that takes no work away nothing is promised, whatever its terms."""
    return budget if of.loses is not Loss.NOTHING else Budget(())


def budget_keys(name: str, of: Traits, who: Who | None = None) -> tuple[str, ...]:
    """Return the keys under which a fault's budget may stand in a plan, in the order in which they count."""
    return tuple(budget_key(name, of, each, apart=apart) for apart in (True, False) for each in dict.fromkeys((who, None)))


def _names(value: Json) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list | tuple) else ()
