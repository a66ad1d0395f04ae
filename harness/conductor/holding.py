"""The life of one fault: ledger line → inject → wait until in force → hold → heal → wait until nothing of it is left → ledger line.

Whatever happens in between, the heal is tried; if the harness dies, the reaper does it. On nodes that outlive this machine a timer is set before
inject and stopped after heal (`harness.undo.deadman`), so that they mend themselves when they hear of us no more.
"""

from __future__ import annotations

import contextvars
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.conductor import readiness
from harness.core import pace, parameters, stops
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import Expired, FaultFailed, HarnessError, in_words
from harness.core.protocols import Awaiting, Careful
from harness.core.threads import CertainThread
from harness.core.traits import to_history
from harness.core.values import Stage
from harness.faults import common
from harness.history.events import FaultStage, Note
from harness.nodes.this_machine import node_of
from harness.nodes.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.conductor.options import Options
    from harness.core.clock import Deadline
    from harness.core.protocols import Cluster, Fault, Node
    from harness.core.values import Json
    from harness.history.recorder import Recorder
    from harness.undo.deadman import DeadMan
    from harness.undo.ledger import Ledger

IN_FORCE_SECONDS = 10.0
"""How long a fault may take to be in force on all its targets."""
HEAL_TRIES = 3
STILL_SECONDS = 0.5
"""How long beyond the hold its last look is waited for. It is begun some seconds before the end, so that it needs none of them."""


@dataclass(slots=True, kw_only=True)
class Holding:
    """One fault of a run, by its number, on the nodes that it hits."""

    number: int
    fault: Fault
    hit: tuple[str, ...]
    lost: tuple[str, ...]  # who is lost to it while it is in force; see `harness.faults.common.lost`
    options: Options
    cluster: Cluster
    recorder: Recorder
    ledger: Ledger
    dead_man: DeadMan | None  # None where the nodes end with this machine
    patience: Deadline  # until when it waits for what it breaks; see `harness.conductor.readiness`
    name: str = ""  # by which it is healed, if it goes on; see `harness.steps.Break`
    _nodes: list[Node] = field(init=False)
    _values: Mapping[str, Json] = field(init=False)
    _look: _Look | None = field(default=None, init=False)
    _over: bool = field(default=False, init=False)
    _failed: str = field(default="", init=False)  # why it is not in force, where it was to be

    def __post_init__(self) -> None:
        self.cluster = self.cluster.of(self.number)
        self._nodes = [node_of(self.cluster, name) for name in self.hit]
        self._values = parameters.read(self.fault)

    def live(self, expression: str, hold: Callable[[], None]) -> None:
        """Take the fault through its life. `hold` returns when it was held for long enough, and is not called if it never was in force.

        A fault that could not be made, or was undone by something else, is told in the history, for the checkers to judge. Raises what `hold` raises,
        after the heal, and `FaultFailed` if something of the fault is left.
        """
        if not self.begin(expression):
            return
        try:
            hold()
            self.still_in_force(STILL_SECONDS)
        finally:
            self.finish()

    def begin(self, expression: str) -> bool:
        """Make the fault, and say whether it is in force. One that is not, or could not be made, is mended; that it failed is in the history.

        Whatever this raises, it has mended first. One that is in force goes on until `finish`.
        """
        self._await_target()
        why = "not made, since nobody could mend it"
        try:
            common.remedies(self.fault, self.cluster, self._nodes)
            if isinstance(self.fault, Careful):
                why = "not made"
                self.fault.look_before(self.cluster, self._nodes)
        except BaseException as error:
            # Nothing was done, so nothing is to be mended, nor to be written into the ledger: what is there is not ours. Nor does it count as
            # decided: with no heal to come, it would be taken for one that lasts until the end of the run.
            self._over = True
            if not isinstance(error, HarnessError):
                raise
            self._tell(Stage.FAILED, f"{why}: {error}")
            stops.go_on()
            return False
        self.ledger.open(self.number, self.fault, self.hit)
        self._tell(Stage.DECIDED, expression)
        made = False
        try:
            try:
                if self.dead_man is not None:
                    self.dead_man.arm(self.number, self.fault, self._nodes)
                said = self.fault.inject(self.cluster, self._nodes)
                self._tell(Stage.INJECTED, _words(said))
                self._await_force()
            except HarnessError as error:
                self._failed = str(error)
                self._tell(Stage.FAILED, self._failed)
                stops.go_on()
            else:
                self._tell(Stage.IN_FORCE)
                made = True
        finally:
            if not made:
                self.finish()
        return made

    def finish(self) -> None:
        """Mend it, and note that nothing of it is left; once. Raises `FaultFailed` if something of it is."""
        if self._over:
            return
        self._over = True
        with stops.deaf():
            self._mend()
        self.ledger.close(self.number)

    def _tell(self, stage: Stage, detail: str = "") -> None:
        kind = to_history(self.fault.traits, self.lost)
        self.recorder.record(FaultStage(self.number, self.fault.name, self.hit, stage, self._values, detail, kind))

    def _await_target(self) -> None:
        """Wait until there is what the fault breaks, where it says that. What does not come is left to `inject`, which says what it lacks."""
        fault = self.fault
        if isinstance(fault, Awaiting):
            readiness.awaited(
                self.cluster,
                self._nodes,
                lambda node: [said] if (said := fault.awaits(self.cluster, node)) else [],
                who=f"fault {self.number} ({fault.name})",
                left=self.patience,
                recorder=self.recorder,
            )

    def _missing(self) -> list[str]:
        """Return the nodes on which the fault is not in force, by their own word."""
        said = together(self._nodes, lambda node: self.fault.in_force(self.cluster, node), f"asking whether {self.fault.name} is in force")
        return [node.name for node, there in zip(self._nodes, said, strict=True) if not there]

    def _await_force(self) -> None:
        missing: list[str] = []

        def in_force() -> bool:
            missing[:] = self._missing()
            return not missing

        try:
            wait_until(
                in_force,
                awaited=f"{self.fault.name} to be in force",
                seconds=pace.limit(IN_FORCE_SECONDS),
                clock=self.options.clock,
                every=0.02,
                saw=lambda: f"not in force on {', '.join(missing)}",
            )
        except Expired as error:
            raise FaultFailed(str(error)) from error

    def look_again(self) -> None:
        """Begin to ask whether the fault is still in force, beside the hold and shortly before its end: what was undone by then was not held."""
        self._look = _Look(self._undone)

    def still_in_force(self, seconds: float) -> None:
        """Tell what the last look saw. It may cost the hold so many seconds; without an answer by then, nobody knows."""
        gone = (self._look or _Look(self._undone)).answer(seconds)
        if gone:
            self._tell(Stage.FAILED, gone)

    def _undone(self) -> str:
        """Say what something else has undone; nothing where all is in force."""
        # Also of nodes that are no targets, as at the other end of a cut.
        mended = self.dead_man.lost(self.number) if self.dead_man is not None else []
        if mended:
            return f"not held to the end: {'; '.join(mended)}"
        try:
            gone = self._missing()
        except HarnessError as error:
            return f"cannot be asked whether it is still in force when it was to be mended: {error}"
        return f"no longer in force on {', '.join(gone)} when it was to be mended: something else undid it" if gone else ""

    def _mend(self) -> None:
        """Heal, and only then stop the nodes' own timers: while anything may be left they are the last resort."""
        try:
            self._heal()
        except BaseException:
            if self.dead_man is not None:
                self.dead_man.let_go(self.number)
            raise
        if self.dead_man is not None and self.dead_man.disarm(self.number, self.fault, self._nodes):
            self._mend_again()

    def _mend_again(self) -> None:
        """See that it is still mended after a node's own remedy was at work beside our heal, and mend it once more where it is not."""
        try:
            if len(self._missing()) == len(self._nodes):
                return
            self.fault.heal(self.cluster, self._nodes)
            self._await_gone()
        except HarnessError as error:
            names = ", ".join(self.hit)
            raise FaultFailed(
                f"{self.fault.name} on {names} may be in force again, after a node's own remedy was at work beside our heal: {error}"
            ) from error
        self.recorder.record(Note(f"fault {self.number}: it was mended once more, since a node's own remedy was at work beside our heal"))

    def _await_gone(self) -> None:
        """Wait until nothing of it is in force. Raises `Expired`, or what asking raises."""
        wait_until(
            lambda: len(self._missing()) == len(self._nodes),
            awaited=f"nothing of {self.fault.name} to be left",
            seconds=pace.limit(IN_FORCE_SECONDS),
            clock=self.options.clock,
            every=0.02,
        )

    def _heal(self) -> None:
        """Mend, and see that it is mended. Tried again when it fails; if it stays, that is a failure of the harness and said so loudly."""
        self._tell(Stage.HEALING)
        last: HarnessError | None = None
        for _ in range(HEAL_TRIES):
            try:
                said = self.fault.heal(self.cluster, self._nodes)
                self._await_gone()
            except HarnessError as error:
                last = error
            else:
                self._tell(Stage.HEALED, _words(said))
                return
        self._tell(Stage.FAILED, f"could not be healed: {last}")
        first = f": {self._failed}; and then it" if self._failed else ""
        raise FaultFailed(f"{self.fault.name} on {', '.join(self.hit)}{first} could not be healed in {HEAL_TRIES} tries: {last}") from last


def _words(said: object) -> str:
    """Return what a fault said, where it said anything: a fault of somebody else's may return whatever it likes."""
    return said if isinstance(said, str) else ""


class _Look:
    """A question asked beside the hold, in a thread of its own."""

    def __init__(self, ask: Callable[[], str]) -> None:
        self._said: list[str] = []
        self._over = False
        self._thread = CertainThread(target=contextvars.copy_context().run, args=(self._work, ask), name="still-in-force")
        self._thread.start()

    def _work(self, ask: Callable[[], str]) -> None:
        with stops.listening(lambda: stops.CutOff("the fault is being healed") if self._over else None):
            try:
                self._said.append(ask())
            except Exception as error:  # noqa: BLE001 - what cannot be asked is not known, whatever kept the answer from us
                self._said.append(f"cannot be asked whether it is still in force: {in_words(error)}")

    def answer(self, seconds: float) -> str:
        """Return what it said, within so many seconds. Raises what `stops.go_on` raises where they are more than `STILL_SECONDS`."""
        if seconds <= STILL_SECONDS:
            self._thread.wait(seconds)
        else:
            any(self._thread.wait(each) for each in stops.slices(seconds, SystemClock()))
        self._over = True
        return self._said[0] if self._said else "cannot be asked whether it is still in force when it was to be mended: no answer yet"
