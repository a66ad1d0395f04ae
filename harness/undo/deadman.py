"""Dead-man timers: nodes that outlive this machine, or the way to them, mend themselves when they have not heard of us for a while.

Before a fault is injected, every node that it will touch gets a transient systemd timer that holds the fault's remedy
(`harness.core.protocols.Fault.remedy`). While the harness lives it starts the timers anew, three times as often as it must. When it dies, is stopped,
or cannot reach a node any more, the timer there runs out and the node undoes by itself what was done to it. After our own heal the timers are
stopped. So the order of a fault's life is: ledger line → arm → inject → … → heal → disarm → ledger line.

What a node cannot do for itself is not promised here: one whose power was cut, or whose disk is slowed by its host, holds nothing that could help.
A fault of that kind says that it touches no node, and is mended from this machine, by the harness or, when it is dead, by the reaper.

The timers are the last resort. They count the node's CLOCK_MONOTONIC: a machine that sleeps does not count. One that reboots loses its timer, and
with it all that a remedy would undo, since that is kept in memory and under /run only.
"""

from __future__ import annotations

import base64
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.core import pace, stops
from harness.core.errors import CommandFailed, FaultFailed, HarnessError
from harness.core.figures import given, lasted
from harness.core.protocols import Cluster, Fault, Lasting, Node
from harness.core.threads import CertainThread
from harness.faults.common import digest, live, remedies, shell, together

SECONDS = 20.0
"""How long setting one timer may take at most; with less than twice this patience, half the patience. It takes some 30 ms."""
TRIES = 3
"""How often a timer that cannot be stopped is tried to be stopped."""
SLACK = 5.0
"""How long after its time a remedy may still be at work, beside what its fault says: a second at most, the rest is for a machine under load."""
AGAIN_SECONDS, AGAIN_MOST = 5, 60
"""A remedy that fails is tried again so many seconds later, and so many times in an hour: the node is not worn out by one that never works."""

_GONE = 5
"""Exit status of `systemctl restart` where no such unit is loaded (systemctl(1), and LSB before it)."""

_AT_WORK = "at work"
# $1 is the unit's name without suffix, $2 for how many twentieths of a second a remedy that has begun is waited for: whoever ends one in its middle
# leaves the node half mended. Between two tries of one that fails nothing is at work. Stopping what is not there is no error, but what is still
# there afterwards is; what a remedy has started for good may live on in its service, which is over all the same.
_STOP = rf"""
set -u
systemctl stop "$1.timer" 2>/dev/null
tries=0
while states=$(systemctl show --property=LoadState,ActiveState,SubState,Job "$1.timer" "$1.service"); do
    case $states in
    *LoadState*) ;;
    *) break ;;
    esac
    case $states in
    *SubState=auto-restart*) systemctl stop "$1.service" 2>/dev/null ;;
    *Job=[1-9]* | *ActiveState=activating* | *ActiveState=active* | *ActiveState=deactivating*)
        [ "$tries" -gt 0 ] || echo {_AT_WORK}
        ;;
    *)
        systemctl reset-failed "$1.timer" "$1.service" 2>/dev/null
        exit 0
        ;;
    esac
    tries=$((tries + 1))
    [ "$tries" -lt "$2" ] || break
    sleep 0.05
done
echo "$1 is not over:" $states >&2
exit 1
"""


def unit(run_id: str, number: int) -> str:
    """Return the name, without suffix, of the timer and the service for one fault of a run: the same on all nodes and in every process."""
    return f"whalefall-deadman-{digest(run_id)}-{number}"


def command(name: str, patience: float, remedy: Sequence[str]) -> tuple[str, ...]:
    """Return the command that sets a timer on a node: `patience` seconds later it runs `remedy` (a command, no shell), and is gone.

    A remedy that fails is tried again (`AGAIN_SECONDS`). Timer and service leave nothing behind but lines in the node's journal.
    """
    # systemd (252) writes a transient unit's command to a file, and reads every $ in it back wrongly when somebody reloads units before the timer
    # runs out: so the command is handed over in letters that nobody changes. Quoted by shlex, in one line that is read whole before it begins.
    # The timer is stopped at the end, in case that it was started anew while the remedy was at work: one that has fired must be gone.
    text = f"{{ {shlex.join(remedy)} </dev/null; status=$?; systemctl stop --no-block {name}.timer; exit $status; }}\n"
    code = base64.b64encode(text.encode()).decode()
    return (
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={name}",
        "--description=Whalefall mends this node if the harness is gone",
        f"--on-active={patience:.3f}s",
        "--timer-property=AccuracySec=100ms",
        "--timer-property=StartLimitIntervalSec=0",  # it is started anew again and again
        "--property=Restart=on-failure",
        f"--property=RestartSec={AGAIN_SECONDS}s",
        "--property=StartLimitIntervalSec=1h",
        f"--property=StartLimitBurst={AGAIN_MOST}",
        "--property=TimeoutStopSec=5s",
        "--property=KillMode=process",  # what a remedy starts for good stays, as it does when we mend
        "/bin/sh",
        "-c",
        f"echo {code} | base64 -d | /bin/sh",
    )


def at_work(fault: Fault) -> float:
    """Return for how many seconds a node's own remedy of a fault may be at work."""
    return SLACK + (fault.heal_within if isinstance(fault, Lasting) else 0.0)


def disarm(cluster: Cluster, number: int, nodes: Sequence[Node] | None = None, *, work: float = SLACK) -> list[str]:
    """Stop a fault's timers on `nodes` (all of the cluster by default) that are on, and see that they are gone. Without timers it does nothing.

    A remedy that has begun is waited for, `work` seconds at most (`at_work`). Returns the names of the nodes on which one was: what was asked of
    them before may be so no more. Needs nothing but the run's id and the fault's number, so any process can do it. Raises `FaultFailed` naming each
    node that could not be asked, or on which the remedy goes on.
    """
    with stops.deaf():
        asked = live(cluster, cluster.nodes if nodes is None else nodes)
        tries = str(max(1, round(work / 0.05)))

        def stop(node: Node) -> str:
            return shell(node, _STOP, unit(cluster.run_id, number), tries, more=work)

        said = together(asked, stop, f"stopping the dead-man timers of fault {number}")
    return [node.name for node, words in zip(asked, said, strict=True) if _AT_WORK in words]


@dataclass
class _Timer:
    """What we know of the timer on one node. The lock is held while it is asked for, so that two threads do not tell the same."""

    node: Node
    renewed: float  # clock when the last renewal that came through was begun
    trouble: str = ""  # why renewals fail just now
    overdue: bool = False  # it was told that the node has probably mended itself
    gone: str = ""  # why there is no timer any more, as a sentence
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class _Guard:
    """The timers of one fault."""

    number: int
    timers: list[_Timer]
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[CertainThread] = field(default_factory=list)


class DeadMan:
    """Holds the timers of a run. `tell` gets a sentence for whatever is worth one; it is called from several threads.

    Threads are started by `arm`, so `arm` is called inside `cluster.network()`. Nothing here is a daemon of its own: a harness that is killed or
    frozen renews nothing.
    """

    def __init__(self, cluster: Cluster, patience: float, tell: Callable[[str], object]) -> None:
        if patience <= 0:
            raise HarnessError(f"a patience of {given(patience)} is none; a node would mend itself before it is broken")
        self._cluster = cluster
        self._clock = cluster.clock
        self._patience = patience
        self._tell = tell
        self._guards: dict[int, _Guard] = {}

    def arm(self, number: int, fault: Fault, targets: Sequence[Node]) -> tuple[str, ...]:
        """Set a timer on every node that this fault will touch, and begin to renew them. Returns the nodes' names; none where none is needed.

        Nodes that are off are left out. Raises `FaultFailed` where a timer cannot be set, and has then stopped those that were, and `HarnessError`
        for a fault without a remedy for a node that it touches: do not inject.
        """
        undo = remedies(fault, self._cluster.of(number), targets)
        nodes = self._touched(fault, targets)
        if not nodes:
            return ()
        name, begun = unit(self._cluster.run_id, number), self._clock.now()

        def work(node: Node) -> None:
            argv = command(name, self._patience, undo[node.name])
            result = node.run(*argv, timeout=min(pace.limit(SECONDS), self._patience / 2))
            if not result.ok:
                err = result.err.decode(errors="replace")
                raise CommandFailed(node.name, (*argv[:4], "…"), result.exit, err, "the node needs systemd 236 or newer as its PID 1")

        try:
            together(nodes, work, f"setting the dead-man timers of fault {number}")
            took = self._clock.now() - begun
            if took > self._patience / 2:
                raise FaultFailed(
                    f"setting the dead-man timers of fault {number} took {lasted(took)}, which leaves too little of {given(self._patience)}; "
                    "give the nodes more patience"
                )
        except BaseException:
            self._drop(number, nodes)
            raise
        guard = _Guard(number, [_Timer(node, begun) for node in nodes])
        guard.threads += [
            CertainThread(target=self._renewing, args=(guard, timer), name=f"deadman-{timer.node.name}") for timer in guard.timers
        ]
        self._guards[number] = guard
        for thread in guard.threads:
            thread.start()
        names = tuple(node.name for node in nodes)
        self._tell(f"fault {number}: dead-man timers are set on {', '.join(names)} ({given(self._patience)})")
        return names

    def lost(self, number: int) -> list[str]:
        """Ask for every timer now, and say in a sentence each which nodes have mended themselves, or may have. None: the fault was held everywhere.

        A node that cannot be asked counts from the moment on at which its timer may have run out.
        """
        guard = self._guards.get(number)
        if guard is None:
            return []
        together([timer.node for timer in guard.timers], lambda node: self._renew(guard, _of(guard, node)), "renewing")
        now = self._clock.now()
        said = []
        for timer in guard.timers:
            if timer.gone:
                said.append(timer.gone)
            elif now - timer.renewed >= self._patience:
                said.append(self._overdue(timer, now))
        return said

    def disarm(self, number: int, fault: Fault, targets: Sequence[Node]) -> list[str]:
        """Stop renewing, and stop the timers: after the heal, or when nothing was injected. Without `arm`, or after half of one, it is fine, too.

        Where a node cannot be asked, waits until its timer must have run out: one that fires later could undo the next fault. Never raises for it.
        Returns the names of the nodes whose remedy was at work meanwhile, or may have been: whether they are whole is to be asked again.
        """
        self._rest(number)
        nodes = self._touched(fault, targets)
        if not nodes:
            return []
        for _ in range(TRIES):
            try:
                return disarm(self._cluster, number, nodes, work=at_work(fault))
            except HarnessError as error:
                last = error
        longest = self._patience + at_work(fault)
        self._tell(f"{last}; waited {given(longest)}, after which they have run out by themselves")
        self._clock.wait(threading.Event(), longest)
        return [node.name for node in nodes]

    def let_go(self, number: int) -> None:
        """Stop renewing and leave the timers: what could not be mended from here the nodes mend themselves, when their patience ends."""
        if self._rest(number):
            self._tell(f"fault {number}: its dead-man timers are no longer renewed; nodes mend themselves within {given(self._patience)}")

    # -- renewing

    def _renewing(self, guard: _Guard, timer: _Timer) -> None:
        """Be the thread of one node: a node that gives no answer keeps nobody else's timer from being renewed."""
        while not timer.gone:
            pause = self._patience / 12 if timer.trouble else timer.renewed + self._patience / 3 - self._clock.now()
            if self._clock.wait(guard.stop, pause):
                return
            self._renew(guard, timer)

    def _renew(self, guard: _Guard, timer: _Timer) -> None:
        """Let a timer count anew. One job of the node's systemd stops and starts it, whatever becomes of us: it is never without one."""
        name = f"{unit(self._cluster.run_id, guard.number)}.timer"
        with timer.lock:
            if timer.gone:
                return
            asked = self._clock.now()
            try:
                result = timer.node.run("systemctl", "restart", name, timeout=self._patience / 4)
            except (stops.CutOff, stops.Stopped):
                return  # nobody waits for this answer any more: it says nothing of the timer
            except HarnessError as error:
                self._failed(guard, timer, str(error))
                return
            since = asked - timer.renewed
            if result.exit == _GONE:
                why = "it has mended itself" if since > self._patience / 2 else "it was restarted, or somebody stopped the timer"
                timer.gone = f"{timer.node.name} has no dead-man timer any more, {lasted(since)} after it was last renewed: {why}"
                if not guard.stop.is_set():
                    self._tell(f"fault {guard.number}: {timer.gone}")
            elif not result.ok:
                err = result.err.decode(errors="replace").strip()
                self._failed(guard, timer, f"{timer.node.name}: systemctl restart exited with status {result.exit}: {err}")
            else:
                if timer.trouble:
                    self._tell(
                        f"fault {guard.number}: the dead-man timer of {timer.node.name} was not renewed for {lasted(since)}: {timer.trouble}"
                    )
                timer.renewed, timer.trouble, timer.overdue = asked, "", False

    def _failed(self, guard: _Guard, timer: _Timer, why: str) -> None:
        now = self._clock.now()
        timer.trouble = why
        if not timer.overdue and now - timer.renewed >= self._patience:
            timer.overdue = True
            self._tell(f"fault {guard.number}: {self._overdue(timer, now)}")

    def _overdue(self, timer: _Timer, now: float) -> str:
        return f"{timer.node.name} could not be told for {lasted(now - timer.renewed)} that we live, and has probably mended itself: {timer.trouble}"

    def _rest(self, number: int) -> bool:
        """Stop a fault's threads. Returns whether there were any."""
        guard = self._guards.pop(number, None)
        if guard is None:
            return False
        guard.stop.set()
        for thread in guard.threads:
            thread.wait(self._patience)  # a renewal takes less; one that hangs for longer does no harm
        for timer in guard.timers:
            if timer.trouble and not timer.overdue:
                since = self._clock.now() - timer.renewed
                self._tell(f"fault {number}: the dead-man timer of {timer.node.name} was not renewed for {lasted(since)}: {timer.trouble}")
        return True

    # -- who

    def _touched(self, fault: Fault, targets: Sequence[Node]) -> list[Node]:
        return live(self._cluster, fault.touched(self._cluster, targets))

    def _drop(self, number: int, nodes: Sequence[Node]) -> None:
        """Stop the timers of an `arm` that failed. One that cannot be stopped does no harm: nothing was injected."""
        try:
            disarm(self._cluster, number, nodes)
        except HarnessError as error:
            self._tell(f"{error}; they run out by themselves within {given(self._patience)} and find nothing to mend")


def _of(guard: _Guard, node: Node) -> _Timer:
    return next(timer for timer in guard.timers if timer.node.name == node.name)
