"""Where nodes come from: one module or folder a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.core import families

if TYPE_CHECKING:
    from harness.core.protocols import Provider

PROVIDERS: Mapping[str, type[Provider]] = families.found(__name__, __path__, "create", "a provider", data=False)
"""Every provider by name."""
