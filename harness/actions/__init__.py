"""What can be done to a cluster in the middle of a run, one module a family. A new action is one new module here: nothing else names it.

What an action must keep is in `harness.core.protocols.Action` and `harness.testing.action_contract`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core import families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.protocols import Action

ACTIONS: Mapping[str, type[Action]] = families.found(__name__, __path__, "act", "an action")
"""Every action by name."""
