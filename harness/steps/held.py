"""How long a fault is held. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.figures import given

RECOVERED = "recovered"
LEADER_MOVED = "leader-moved"

STAYS_SECONDS = 2.0
"""How long what a fault is held for must be seen until `LINGER_SECONDS` begin: what crashes over and over runs now and then."""
LINGER_SECONDS = 3.0
"""How long a fault is held on after what it was held for was seen: what goes wrong often goes wrong just after. For as long before its end a hold
has its last look: whether the fault is still in force, and what the scenario wants to know of it then."""


@dataclass(frozen=True, slots=True)
class Hold:
    """How long a fault is kept in force, in seconds.

    With `until` empty, for the whole time. With `RECOVERED` or `LEADER_MOVED`, until that is seen, and `seconds` at most.
    """

    seconds: float
    until: str = ""

    def __str__(self) -> str:
        """Give the hold in words."""
        if not self.until:
            return f"for {given(self.seconds)}"
        what = {RECOVERED: "the work has recovered", LEADER_MOVED: "leadership has moved"}[self.until]
        return f"until {what}, {given(self.seconds)} at most"
