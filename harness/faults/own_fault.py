"""A fault of whoever wrote the scenario: three commands of theirs, on nodes, or on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from harness.core import parameters
from harness.core.errors import BadInput, CommandFailed, FaultFailed, HarnessError, Problem, Unreachable
from harness.core.protocols import Cluster, Here, Mode, Node, Services
from harness.core.traits import EVERYBODY, RUNTIME, blinded, known_as
from harness.core.units import Duration
from harness.core.values import HERE, NO_PROGRAM, Loss, Rung, Traits, Unavailable
from harness.faults.common import digest, live, together
from harness.faults.partition import Partition
from harness.nodes import users_command
from harness.nodes.users_command import LINE, Line, Purpose, Secret

LONGEST = 600.0
"""Seconds that a command which breaks or mends may take at most. Nobody can hear a stop while something is mended."""
ASKED = 10.0
"""Seconds that the question may take at most: as long as a fault may take to be in force."""
MOST_PARTS = 8
"""Names under `takes`, at most."""
LEAVES = ("containers", "disk", "dropins", "marks", "mounts", "nft_tables", "qdiscs", "stopped", "timers", "triggers")
"""What may be found of it while it is in force: whatever there is to be found (`harness.history.differing.ASPECTS`)."""

_BITES, _DOES_NOT = 0, 1

_Breaking: TypeAlias = Annotated[Line, Field(alias="inject", description=f"what breaks a target: {LINE}")]
_Mending: TypeAlias = Annotated[Line, Field(alias="heal", description=f"what mends it, again and again if need be: {LINE}")]
_Asking: TypeAlias = Annotated[Line, Field(alias="in_force", description=f"what ends with 0 where it bites and with 1 where not: {LINE}")]
_Within: TypeAlias = Annotated[Duration, Field(gt=0, le=LONGEST, description="how long it may take: a duration above 0, 10m at most")]
_Soon: TypeAlias = Annotated[Duration, Field(gt=0, le=ASKED, description="how long it may take: a duration above 0, 10s at most")]
_Part: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9@._-]{0,63}$")]
_Takes: TypeAlias = Annotated[
    tuple[_Part, ...],
    Field(max_length=MOST_PARTS, description="a list of names: daemons, or what else of a node one fault alone can have"),
]
_Blinds: TypeAlias = Annotated[
    tuple[Literal["docker", "host", "membership", "placement"], ...] | None,
    Field(description=f"a list of observers: {', '.join(EVERYBODY)}"),
]


@dataclass(frozen=True, slots=True)
class OwnFault:
    """Commands of your own break the targets and mend them, as root, by `sh -c`; a third says whether it bites: yes by status 0, no by 1.

    By any other nobody knows. What mends must do so after half of what breaks, after none of it, and twice, with nobody beside it: a node that lost
    us runs it by itself. It has no secret. What breaks must end with the machine (rules, processes, /run): one that is off when it is to be mended is
    taken for whole. What the cluster loses to it only you can say: of what you do not, nothing is excused.

    `on: here` is this machine: there they are run as whoever runs the harness, in the cluster's network, and what mends is run by another process
    where the harness is gone, and perhaps the cluster. Nobody is lost to it.
    """

    breaking: _Breaking
    mending: _Mending
    asking: _Asking
    inject_within: _Within = 30.0
    heal_within: _Within = 60.0
    in_force_within: _Soon = 10.0
    secret: Secret = ""
    loses: Literal["nothing", "process", "node", "link"] = "nothing"
    takes: _Takes = ()
    in_place: bool = False
    blinds: _Blinds = None

    name: ClassVar[str] = "command"

    def __post_init__(self) -> None:
        """Raise `ValueError` for losses that do not go together."""
        if not parameters.fits(self):
            return
        if self.loses == "process" and not self.takes:
            raise ValueError("found nothing that it takes, expected the daemons that are lost, e.g. `takes: [docker]`")
        if self.loses in {"node", "link"} and self.takes:
            raise ValueError(f"takes is for a daemon, or a part of a node; who loses a {self.loses} has all of that")
        if self.in_place and self.loses not in {"node", "process"}:
            raise ValueError("in_place is for a node or a daemon that comes back while the fault is in force")

    @property
    def traits(self) -> Traits:
        """Whatever its scenario says, and nothing else."""
        loses, parts = Loss(self.loses), tuple(dict.fromkeys(known_as(each) for each in self.takes))
        blinds = blinded(loses, parts) if self.blinds is None else tuple(sorted(set(self.blinds)))
        return Traits(loses, parts, in_place=self.in_place, blinds=blinds, apart=loses is Loss.LINK, leaves=LEAVES)

    @classmethod
    def rung(cls, here: Here) -> Rung:  # noqa: ARG003 - it takes nothing of this machine
        """Need nothing here."""
        return Rung(can=True, how="commands of the scenario's own, by each target's own shell")

    def misfit(self, mode: Mode) -> tuple[str, str, str] | None:
        """Say that a daemon is no loss to the mode: nothing of it stands on one of that name."""
        if self.loses != "process":
            return None
        there = (*(mode.processes() if isinstance(mode, Services) else ()), *sorted(RUNTIME))
        known = {known_as(each) for each in there}
        lost = next((each for each in self.takes if known_as(each) not in known), None)
        if lost is None:
            return None
        expected = (
            f"a daemon that the {mode.name} mode stands on: {', '.join(dict.fromkeys(there))}; without any other nothing of it is lost"
        )
        return "takes", f"the loss of the process {lost!r}", expected

    def not_here(self) -> tuple[str, str, str] | None:
        """Say that a node is lost, or a daemon of one: this machine is none. See `harness.core.protocols.Local`."""
        if self.loses == "nothing":
            return None
        return "loses", f"the loss of a {self.loses}, on this machine", "nothing: this machine is no node, and the cluster loses none to it"

    def lack(self) -> str:
        """Say that the secret of what breaks is not there; see `harness.core.protocols.Needing`."""
        return users_command.lack(self.secret)

    def look_before(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Raise `FaultFailed` where it bites already: then it would show nothing, and the command that mends would take away what is not ours."""
        if why := self.lack():
            raise HarnessError(why)
        there = together(targets, lambda node: self._bites(cluster, node), "asking whether it is in force already")
        if before := [node.name for node, bites in zip(targets, there, strict=True) if bites]:
            raise FaultFailed(f"in_force says that it is in force on {', '.join(before)} before anything was done: then it shows nothing")

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Run the command on all targets at once, and return what it said. Raises `FaultFailed` where it ends badly."""
        return self._everywhere(cluster, targets, self.breaking, self.inject_within, Purpose.BREAKS)

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Run the command that mends on all targets that are on, at once, and return what it said."""
        return self._everywhere(cluster, live(cluster, targets), self.mending, self.heal_within, Purpose.MENDS)

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether it bites, by the command that says so. On a node that is off nothing does. Raises `Unreachable` where it says neither."""
        return bool(live(cluster, [target])) and self._bites(cluster, target)

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Need nothing: every node has a shell. Raises `BadInput` where the question cannot be asked there, as where it has a slip in it.

        What it answers counts only when the fault is made, and so does that it gives no answer: no app may run yet.
        """
        try:
            status, said = self._asked(cluster, target)
        except Unreachable:
            return None
        if status not in NO_PROGRAM:
            return None
        found = f"in_force ended with status {status} on {target.name}: {said or '(it said nothing)'}"
        raise BadInput([Problem(f"the fault {self.name}", 0, 0, found, "what the node can run: status 0 where it bites, and 1 where not")])

    def lost(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[str]:
        """Return who is lost: nobody, the targets, or, of links, who reaches no majority when each target reaches nobody else."""
        if self.loses == "nothing":
            return ()
        return Partition("isolate").lost(cluster, targets) if self.loses == "link" else [node.name for node in targets]

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:  # noqa: ARG002 - nobody else is touched
        """Return the targets, but for this machine: it ends with us, and is mended by the reaper."""
        return [node for node in targets if node.name != HERE]

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:  # noqa: ARG002 - the same for every node
        """Return the command that mends, for the node to run alone."""
        return users_command.alone(self.mending, self.heal_within, _which(cluster))

    def _everywhere(self, cluster: Cluster, nodes: Sequence[Node], text: str, seconds: float, purpose: Purpose) -> str:
        breaks = purpose is Purpose.BREAKS

        def one(node: Node) -> str:
            status, said = users_command.ran(node, text, seconds, secret=self.secret, handed=breaks, fault=_which(cluster), purpose=purpose)
            if status:
                raise CommandFailed(node.name, ("sh", "-c", text), status, said)
            return f"{node.name}: {said}" if said else ""

        return "; ".join(filter(None, together(nodes, one, f"the command {'inject' if breaks else 'heal'}")))

    def _asked(self, cluster: Cluster, node: Node) -> tuple[int, str]:
        return users_command.ran(node, self.asking, self.in_force_within, secret=self.secret, handed=False, fault=_which(cluster))

    def _bites(self, cluster: Cluster, node: Node) -> bool:
        status, said = self._asked(cluster, node)
        if status not in {_BITES, _DOES_NOT}:
            saw = f"status {status}, which is neither 0 (it bites) nor 1 (it does not): {said or '(it said nothing)'}"
            raise Unreachable(node.name, f"in_force, {self.asking}", saw)
        return status == _BITES


def _which(cluster: Cluster) -> str:
    """Return what tells a fault from all others, on nodes and in every process: by its run, and its number there."""
    return f"{digest(cluster.run_id)}-{cluster.fault}"
