"""Checkers: each reads a history and says held, broken or unknown. They look at nothing else.

Their fields are their parameters in a scenario's ``promises:``; `CHECKERS` names them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkers.assumptions import Assumptions
from harness.checkers.availability import Availability
from harness.checkers.checks import Checks
from harness.checkers.clean import Clean
from harness.checkers.conflicts import Conflicts
from harness.checkers.quorum import Quorum
from harness.checkers.recovery import recovery
from harness.checkers.rescheduled import Rescheduled
from harness.checkers.settled import Settled
from harness.checkers.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.protocols import Checker

CHECKERS: Mapping[str, type[Checker]] = {
    checker.name: checker for checker in (Assumptions, Availability, Checks, Clean, Conflicts, Quorum, Rescheduled, Settled, Writes)
}
"""Every checker by the name that a scenario calls it by."""

__all__ = [
    "CHECKERS",
    "Assumptions",
    "Availability",
    "Checks",
    "Clean",
    "Conflicts",
    "Quorum",
    "Rescheduled",
    "Settled",
    "Writes",
    "recovery",
]
