"""Calls made at a steady rate while things break, from a place that is never broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.workloads.http import Http
from harness.workloads.probe import Probe
from harness.workloads.register import Register

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.protocols import Workload

WORKLOADS: Mapping[str, type[Workload]] = {workload.name: workload for workload in (Http, Probe, Register)}
"""Every workload that a scenario can name. Their fields are the parameters."""
