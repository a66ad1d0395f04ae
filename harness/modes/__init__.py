"""How clusters are orchestrated: one module or folder a mode."""

from __future__ import annotations

from collections.abc import Mapping

from harness.modes.fleet import Fleet
from harness.modes.swarm import Swarm

MODES: Mapping[str, type[Fleet | Swarm]] = {Fleet.name: Fleet, Swarm.name: Swarm}
"""Every mode by name."""
