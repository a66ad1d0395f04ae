"""How clusters are orchestrated: one module or folder a mode."""

from __future__ import annotations

from collections.abc import Mapping

from harness.modes.fleet import Fleet

MODES: Mapping[str, type[Fleet]] = {Fleet.name: Fleet}
"""Every mode by name."""
