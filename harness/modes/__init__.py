"""How clusters are orchestrated: one folder a mode. A new mode is one new folder here, with one class in its ``__init__``: nothing else names it.

What a mode must keep is in `harness.core.protocols.Mode`, `harness.testing.mode_contract` and `harness.testing.formed_contract`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core import families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.protocols import Mode

MODES: Mapping[str, type[Mode]] = families.found(__name__, __path__, "form", "a mode", data=False)
"""Every mode by name."""
