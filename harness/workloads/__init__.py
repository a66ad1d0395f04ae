"""Calls made at a steady rate while things break, from a place that is never broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core import families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.protocols import Workload

WORKLOADS: Mapping[str, type[Workload]] = families.found(__name__, __path__, "calls", "a workload")
"""Every workload that a scenario can name. Their fields are the parameters."""
