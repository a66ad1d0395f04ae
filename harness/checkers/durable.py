"""Whether an app still has every write that it acknowledged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.judging import SHOWN
from harness.checkers.writes import read_back
from harness.core.instances import app_of, number_of
from harness.core.values import About, CallStream
from harness.history.calls import ops
from harness.history.intervals import node_spans

if TYPE_CHECKING:
    from harness.core.values import Finding
    from harness.history.events import History


@dataclass(frozen=True, slots=True)
class Durable:
    """Every write that an app acknowledged, such as a Redis, is read back at the end with its value, and was never read as absent after.

    It is judged as `writes` judges the mode's quorum. What it shows of disks hangs on the nodes: where a power cut leaves the machine under them
    running, what was written and not synced is still in that machine's memory, and not lost. Where more than one instance of the app ran nobody knows
    which of them answered: what one does not have another may, and nothing convicts.
    """

    name: ClassVar[str] = "durable"
    about: ClassVar[About] = About(CallStream.STORE)
    whole: ClassVar[str] = "what was acknowledged must be there at the end of the run, whenever that was"

    app: str

    def check(self, history: History) -> Finding:
        """Return held, broken (the lost writes are listed), or unknown where nothing was acknowledged or a last read failed, or came too early."""
        ran = {name for pieces in node_spans(history).values() for span in pieces for name in span.instances if app_of(name) == self.app}
        others = sorted(name for name in ran if number_of(name) not in {None, 1})
        which = f"{' and '.join(others[:SHOWN])} ran, too, and which of {self.app} answered is not known" if others else ""
        return read_back(self.name, history, [op for op in ops(history, CallStream.STORE) if app_of(op.call.key) == self.app], which)
