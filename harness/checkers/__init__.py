"""Checkers: each reads a history and says held, broken or unknown. They look at nothing else.

Their fields are their parameters in a scenario's ``promises:``; `CHECKERS` has all that modules of this folder define.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkers.answers import Checks
from harness.checkers.assumptions import Assumptions
from harness.checkers.availability import Availability
from harness.checkers.awaited import CameInTime
from harness.checkers.bystanders import Bystanders
from harness.checkers.clean import Clean
from harness.checkers.conflicts import Conflicts
from harness.checkers.durable import Durable
from harness.checkers.elections import Elections
from harness.checkers.loaded import LoadServed
from harness.checkers.manual import Manual
from harness.checkers.measured import Synced
from harness.checkers.never_twice import Single
from harness.checkers.probed import Probed
from harness.checkers.prompt import Prompt
from harness.checkers.quorum import QuorumSurvived
from harness.checkers.rescheduled import Rescheduled
from harness.checkers.scaled import Scaled
from harness.checkers.settled import Settled
from harness.checkers.writes import Writes
from harness.core import families
from harness.history.recovery import recovery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.history.interfaces import Checker

CHECKERS: Mapping[str, type[Checker]] = families.found(__name__, __path__, "check", "a checker")
"""Every checker by the name that a scenario calls it by."""

__all__ = [
    "CHECKERS",
    "Assumptions",
    "Availability",
    "Bystanders",
    "CameInTime",
    "Checks",
    "Clean",
    "Conflicts",
    "Durable",
    "Elections",
    "LoadServed",
    "Manual",
    "Probed",
    "Prompt",
    "QuorumSurvived",
    "Rescheduled",
    "Scaled",
    "Settled",
    "Single",
    "Synced",
    "Writes",
    "recovery",
]
