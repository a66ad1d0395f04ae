"""A round of checks: everything that a scenario wants to have asked at one moment, asked at once.

Each question has a thread of its own, so that a node that hangs keeps nobody else from being asked, and nothing waits for an answer but who wants to.
"""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING

from harness.conductor import questions
from harness.core import stops
from harness.core.clock import Deadline, SystemClock
from harness.core.errors import HarnessError
from harness.core.figures import given
from harness.core.threads import CertainThread
from harness.core.values import Outcome
from harness.history.events import Checked
from harness.plan import ASK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.core.protocols import Node
    from harness.history.recorder import Recorder
    from harness.steps import Check

TOO_LATE = "was not answered before the fault was healed"
STARTING = "but what was mended there had not started by then, on a slow machine"


class Round:
    """Questions under way. Each gets one `Checked` in the history, whatever becomes of it.

    A no of a node that is `starting` what was mended there is unknown: it may only be slow.
    """

    def __init__(self, questions: Sequence[tuple[Check, Node]], when: str, recorder: Recorder, starting: Collection[str] = ()) -> None:
        self._questions = list(questions)
        self._when = when
        self._recorder = recorder
        self._starting = starting
        self._lock = threading.Lock()
        self._open = set(range(len(self._questions)))
        self._over = False
        self._answered = threading.Event()
        if not self._open:
            self._answered.set()

    def begin(self) -> None:
        """Ask, and return at once; `cut` ends it. Called inside `cluster.network()`."""

        def ear() -> HarnessError | None:
            return stops.CutOff(TOO_LATE) if self._over else None

        for number in range(len(self._questions)):
            run = contextvars.copy_context().run
            CertainThread(target=run, args=(self._ask, number, ear), name=f"check-{number}").start()

    def wait(self, seconds: float) -> None:
        """Wait until all is answered, and for so many seconds at most. Raises what `stops.go_on` raises."""
        any(self._answered.wait(each) for each in stops.slices(seconds, SystemClock()))

    def cut(self) -> None:
        """Want no more answers: what was not answered is unknown, and whatever asks it on a node is ended there. Twice is fine."""
        with self._lock:
            self._over = True
            for number in sorted(self._open):
                self._tell(number, Outcome.UNKNOWN, TOO_LATE)
            self._open.clear()

    def ask(self, slack: float) -> None:
        """Ask, and return when all is answered, or is unknown after `ASK_SECONDS` and `slack`. Raises what `stops.go_on` raises."""
        deadline = Deadline(self._recorder.clock, ASK_SECONDS + slack)

        def ear() -> HarnessError | None:
            return stops.CutOff(f"was not answered within {given(deadline.seconds)}") if deadline.expired else None

        for done in stops.spread(list(range(len(self._questions))), lambda number: self._ask(number, ear), "check"):
            done.result()

    def _ask(self, number: int, ear: stops.Ear) -> None:
        check, node = self._questions[number]
        with stops.listening(ear):
            try:
                outcome, saw = questions.ask(node, check)
            except HarnessError as error:
                outcome, saw = Outcome.UNKNOWN, str(error)
        if outcome is Outcome.FAIL and node.name in self._starting:
            outcome, saw = Outcome.UNKNOWN, f"{saw}; {STARTING}"
        with self._lock:
            if number in self._open:
                self._open.discard(number)
                self._tell(number, outcome, saw)
            if not self._open:
                self._answered.set()

    def _tell(self, number: int, outcome: Outcome, saw: str) -> None:
        check, node = self._questions[number]
        self._recorder.record(Checked(str(check), node.name, self._when, outcome, saw))
