"""Where nodes come from: one module or folder a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.providers.nspawn import NspawnProvider

if TYPE_CHECKING:
    from harness.protocols import Provider

PROVIDERS: Mapping[str, type[Provider]] = {NspawnProvider.name: NspawnProvider}
"""Every provider by name."""
