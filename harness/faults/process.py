"""Faults of one of the mode's own daemons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from harness.core import pace
from harness.core.clock import wait_until
from harness.core.errors import HarnessError
from harness.core.protocols import Cluster, Fault, Here, Mode, Node, Services
from harness.core.traits import daemon
from harness.core.values import Rung, Traits, Unavailable
from harness.faults.common import command, live, shell, shell_everywhere, together

BACK_SECONDS = 30.0
"""How long heal waits for the process to be there again."""
RUN = "/run"
"""The node's /run: a memory file system, so what is put there ends with the machine."""

_UNIT = re.compile(r"[A-Za-z0-9:_.@-]+\.service")

# $1 is the node's /run, $2 what to do, $3 the unit, $4 whether systemd may start it again (yes or no).
# The marker names what was killed by pid and start time: a later process of the same pid is another one. Its second line are the units that start the
# killed one when something happens (sockets, paths, timers) and that were active: systemd knows them, they are not known here by name.
_SCRIPT = r"""
set -eu
run=$1 todo=$2 unit=$3 restart=$4
dropin=$run/systemd/system/$unit.d/whalefall.conf
marker=$run/whalefall/killed-$unit
show() { systemctl show --property="$1" --value "${2:-$unit}"; }
# Field 22, or nothing for a zombie. The name ends at the last bracket; the state, cut off with it, is the third field.
started() { sed -n 's/.*) [^ZX] //p' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 19; }
triggers() {
    for each in $(show TriggeredBy); do
        if [ "$(show ActiveState "$each")" = active ]; then printf '%s ' "$each"; fi
    done
}
# Nothing may start it while the assertion fails, whoever asks: a socket, a path, a timer, another unit, D-Bus, an operator, a restart that is due.
hold() {
    mkdir -p "${dropin%/*}"
    printf '[Unit]\nAssertPathExists=!%s\nFailureAction=none\n[Service]\nRestart=no\nRestartForceExitStatus=\n' "$marker" >"$dropin"
    systemctl daemon-reload
}
mend() {
    rm -f "$marker.new"
    if ! [ -e "$marker" ] && ! [ -e "$dropin" ]; then echo whole; return; fi
    if [ -e "${dropin%/*}" ]; then
        rm -f "$dropin"
        rmdir "${dropin%/*}" 2>/dev/null || true
        systemctl daemon-reload
    fi
    systemctl reset-failed "$unit" 2>/dev/null || true
    # Before the unit, and sockets before what may start it at once: a socket whose service runs already is refused.
    held=$(sed -n 2p "$marker" 2>/dev/null | tr ' ' '\n')
    for each in $(echo "$held" | grep '[.]socket$' || true) $(echo "$held" | grep -v '[.]socket$' || true); do
        if [ "$(show ActiveState "$each")" = active ]; then continue; fi
        systemctl reset-failed "$each" 2>/dev/null || true
        systemctl start "$each"
    done
    # Not waited for here: etcd says that it is ready only when it has a quorum, which may take others being mended, too.
    systemctl start --no-block "$unit"
    echo mending
}
forget() {
    rm -f "$marker"
    rmdir "$run/whalefall" 2>/dev/null || true
}
case $todo in
known) show LoadState ;;
kill)
    pid=$(show MainPID)
    [ "$pid" -gt 0 ] || { echo "$unit has no main process to kill; is it running?" >&2; exit 3; }
    mkdir -p "$run/whalefall"
    held=
    if [ "$restart" = no ]; then held=$(triggers); fi
    printf '%s\n%s\n' "$pid $(started "$pid") $restart" "$held" >"$marker.new"
    mv "$marker.new" "$marker"
    if [ "$restart" = no ]; then hold; fi
    systemctl kill --signal=KILL --kill-who=main "$unit"
    # After the kill: then heal finds a socket without its service, and may start both. What else stands on the socket is left alone.
    if [ -n "$held" ]; then systemctl stop --job-mode=ignore-dependencies $held; fi ;;
state)
    if ! [ -e "$marker" ]; then echo whole; exit; fi
    read -r pid start restart <"$marker" || true
    if [ "$(started "$pid")" = "$start" ]; then echo whole; exit; fi
    if [ "$restart" = no ]; then
        now=$(show MainPID)
        if [ "$now" -gt 0 ] && [ -n "$(started "$now")" ]; then echo whole; exit; fi
        # A unit may live on without a main process, and one that was brought up behind our back is not down.
        if [ "$(show ActiveState)" = active ]; then echo whole; exit; fi
    fi
    echo killed ;;
mend) mend ;;
alive) if [ "$(show MainPID)" -gt 0 ]; then echo yes; else show ActiveState; fi ;;
forget) forget ;;
remedy)
    # All of heal on the node alone. With no process after so long it fails, and is to be run again.
    said=$(mend)
    [ "$said" = mending ] || exit 0
    tries=0
    until [ "$(show MainPID)" -gt 0 ]; do
        tries=$((tries + 1))
        [ "$tries" -le 300 ] || { echo "$unit has no main process 30 s after it was started" >&2; exit 4; }
        sleep 0.1
    done
    forget ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Kill:
    """The main process of a daemon dies of SIGKILL. `restart` says whether systemd may then do as its unit tells it, or must leave it dead.

    Dead means dead: whatever would start it again (its own policy, a socket, a path, a timer, another unit, D-Bus, a command) is held down for as
    long, and put back as it was. What systemd stops because the daemon died is the system's own doing, and is left to the system.
    `process` is a name that the mode knows (`harness.core.protocols.Services`).
    """

    process: Annotated[str, Field(description="the name of a daemon that the mode runs as a systemd unit")] = "etcd"
    restart: bool = True

    name: ClassVar[str] = "process.kill"

    @property
    def traits(self) -> Traits:
        """The process is lost; another may take its place at once if systemd may start it."""
        leaves = ("marks",) if self.restart else ("marks", "dropins", "triggers")
        return daemon(self.process, in_place=self.restart, takes=("Services",), leaves=leaves)

    @classmethod
    def rung(cls, here: Here) -> Rung:  # noqa: ARG003 - it takes nothing of this machine
        """Need nothing here."""
        return Rung(can=True, how="SIGKILL to the unit's main process; coming back is systemd's doing")

    @classmethod
    def variants(cls, mode: Mode) -> Sequence[Fault]:
        """Return one for each daemon of the mode, kept dead."""
        return [cls(name, restart=False) for name in mode.processes()] if isinstance(mode, Services) else []

    def misfit(self, mode: Mode) -> tuple[str, str, str] | None:
        """Say that the mode runs no such process as a unit."""
        if isinstance(mode, Services) and mode.unit(self.process) is not None:
            return None
        there = mode.processes() if isinstance(mode, Services) else ()
        which = f", such as {', '.join(there)}" if there else ", and it runs none"
        return "process", f"the process {self.process!r}", f"a process that the {mode.name} mode runs as a systemd unit{which}"

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Kill the process on all targets at once. Raises `FaultFailed` where it does not run."""
        shell_everywhere(targets, _SCRIPT, *self._args(cluster, "kill"), doing=f"killing {self.process}")

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Let systemd restart it as before, and see to it that the process is there again; where nothing was killed, touch nothing.

        Ends when there is a process, which may be before it is ready to serve. The marker goes last, so that a heal cut short can be done again.
        """
        up = live(cluster, targets)
        said = shell_everywhere(up, _SCRIPT, *self._args(cluster, "mend"), doing=f"mending {self.process}")
        mending = [node for node, word in zip(up, said, strict=True) if word == "mending"]
        together(mending, lambda node: self._back(cluster, node), f"starting {self.process}")
        shell_everywhere(mending, _SCRIPT, *self._args(cluster, "forget"), doing=f"mending {self.process}")

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether what was killed is gone (restart) or the unit is down (no restart). On a node that is off nothing is in force."""
        return bool(live(cluster, [target])) and shell(target, _SCRIPT, *self._args(cluster, "state")) == "killed"

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Need a mode that runs this process as a systemd unit, and the unit on the node."""
        unit = cluster.can(Services).unit(self.process)
        if unit is None:
            return Unavailable(self._unknown(cluster), "another process, or another mode")
        if shell(target, _SCRIPT, *self._args(cluster, "known")) != "loaded":
            return Unavailable(f"{target.name} has no {unit}", f"a node that runs {self.process}")
        return None

    def awaits(self, cluster: Cluster, target: Node) -> str:
        """Name the unit where it has no main process yet."""
        return "" if shell(target, _SCRIPT, *self._args(cluster, "alive")) == "yes" else self._args(cluster, "alive")[2]

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:  # noqa: ARG002 - the same for every node
        """Return the script of `heal`, all of its steps in one."""
        return command(_SCRIPT, *self._args(cluster, "remedy"))

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:  # noqa: ARG002 - nobody else is touched
        """Return the targets."""
        return targets

    def _args(self, cluster: Cluster, todo: str) -> tuple[str, ...]:
        unit = cluster.can(Services).unit(self.process)
        if unit is None:
            raise HarnessError(self._unknown(cluster))
        if not _UNIT.fullmatch(unit):
            raise HarnessError(
                f"the {cluster.mode.name} mode gives {unit!r} as the unit of {self.process}; expected the name of a .service"
            )
        return RUN, todo, unit, "yes" if self.restart else "no"

    def _unknown(self, cluster: Cluster) -> str:
        there = ", ".join(cluster.can(Services).processes())
        return f"the {cluster.mode.name} mode has no process {self.process!r}; it has {there or 'none'}"

    def _back(self, cluster: Cluster, node: Node) -> None:
        seen = "nothing yet"

        def there() -> bool:
            nonlocal seen
            seen = shell(node, _SCRIPT, *self._args(cluster, "alive"))
            return seen == "yes"

        wait_until(
            there,
            awaited=f"a process of {self.process} on {node.name}",
            seconds=pace.limit(BACK_SECONDS),
            clock=cluster.clock,
            every=0.1,
            saw=lambda: f"its unit is {seen}; see journalctl -u there",
        )
