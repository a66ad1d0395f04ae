"""Where nodes come from: one module or folder a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.providers.inventory import InventoryProvider
from harness.providers.nspawn import NspawnProvider
from harness.providers.vagrant import VagrantProvider

if TYPE_CHECKING:
    from harness.core.protocols import Provider

PROVIDERS: Mapping[str, type[Provider]] = {each.name: each for each in (NspawnProvider, VagrantProvider, InventoryProvider)}
"""Every provider by name."""
