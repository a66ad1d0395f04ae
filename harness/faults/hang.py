"""Faults of the container runtime's daemons, which leave the containers running."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.core.protocols import Cluster, Fault, Here, Mode, Node
from harness.core.traits import WITH_DOCKER
from harness.core.values import Loss, Rung, Traits, Unavailable
from harness.faults.common import command, live, shell, shell_everywhere

UNITS = {
    "docker": ("docker.service=dockerd",),
    "containerd": ("containerd.service=containerd",),
    "both": ("docker.service=dockerd", "containerd.service=containerd"),
}
"""For each choice, systemd unit and name of the main process."""

# Only main processes: docker-proxy and containerd's shims carry the containers, and those must go on.
# $1 is what to do; the rest are unit=process pairs. Anything that cannot be asked ends the script with an error.
_SCRIPT = r"""
set -eu
todo=$1; shift
main() { systemctl show --property=MainPID --value "$1"; }
# The state is the first field after the name, and the name may hold anything: it ends at the last bracket.
state() { sed -n 's/.*) \(.\) .*/\1/p' "/proc/$1/stat" 2>/dev/null || true; }
for pair in "$@"; do
    unit=${pair%%=*} process=${pair#*=}
    pid=$(main "$unit")
    case $todo in
    known) [ "$(systemctl show --property=LoadState --value "$unit")" = loaded ] || echo "$unit" ;;
    there) [ "$pid" -gt 0 ] || echo "$unit" ;;
    hang)
        [ "$pid" -gt 0 ] || { echo "$unit has no main process to stop; is it running?" >&2; exit 3; }
        kill -STOP "$pid" ;;
    mend)
        # Also one that was main when it was stopped and has been replaced since.
        for each in "$pid" $(pgrep --exact "$process" || true); do
            if [ "$(state "$each")" = T ]; then kill -CONT "$each"; fi
        done ;;
    state) if [ "$pid" -gt 0 ]; then state "$pid"; else echo none; fi ;;
    esac
done
"""


@dataclass(frozen=True, slots=True)
class Hang:
    """The daemon stops doing anything (SIGSTOP), with its sockets open and its containers running."""

    daemon: Literal["docker", "containerd", "both"] = "docker"

    name: ClassVar[str] = "daemon.hang"

    @property
    def traits(self) -> Traits:
        """The daemon is lost for as long as it hangs."""
        parts = ("docker", "containerd") if self.daemon == "both" else (self.daemon,)
        stops = tuple(each.partition("=")[2] for each in UNITS[self.daemon])
        return Traits(Loss.PROCESS, parts, blinds=WITH_DOCKER, leaves=("stopped",), stops=stops)

    @classmethod
    def rung(cls, here: Here) -> Rung:  # noqa: ARG003 - it takes nothing of this machine
        """Need nothing here."""
        return Rung(can=True, how="SIGSTOP to the daemon; its containers go on")

    @classmethod
    def variants(cls, mode: Mode) -> Sequence[Fault]:  # noqa: ARG003 - every mode stands on Docker
        """Return one for each of the daemons."""
        return cls("docker"), cls("containerd")

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:  # noqa: ARG002 - only the nodes are needed
        """Stop the daemon's main process."""
        shell_everywhere(targets, _SCRIPT, "hang", *UNITS[self.daemon], doing=f"hanging {self.daemon}")

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Let the main process go on, and any stopped process of its name."""
        shell_everywhere(live(cluster, targets), _SCRIPT, "mend", *UNITS[self.daemon], doing=f"waking {self.daemon}")

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether the node's kernel says that every such daemon is stopped. On a node that is off nothing is."""
        if not live(cluster, [target]):
            return False
        return set(shell(target, _SCRIPT, "state", *UNITS[self.daemon]).split()) == {"T"}

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:  # noqa: ARG002 - only the node is needed
        """Need the daemon as a systemd unit on the node."""
        unknown = shell(target, _SCRIPT, "known", *UNITS[self.daemon]).split()
        return (
            Unavailable(f"{target.name} has no {' and no '.join(unknown)}", "Docker from Debian's docker.io, under systemd")
            if unknown
            else None
        )

    def awaits(self, cluster: Cluster, target: Node) -> str:  # noqa: ARG002 - only the node is needed
        """Say which daemon has no main process yet."""
        return " and ".join(shell(target, _SCRIPT, "there", *UNITS[self.daemon]).split())

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:  # noqa: ARG002 - the same for every node
        """Return the very script that `heal` runs."""
        return command(_SCRIPT, "mend", *UNITS[self.daemon])

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:  # noqa: ARG002 - nobody else is touched
        """Return the targets."""
        return targets
