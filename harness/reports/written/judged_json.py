"""What was judged, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.runs.run import Run


class JudgedJson:
    """A list with plan, verdict, findings and recovery of each run, as `show --json` has them, as JSON."""

    name: ClassVar[str] = "json"

    def text(self, runs: Sequence[Run]) -> str:
        """Return the list."""
        from harness.core.plain import json_text  # noqa: PLC0415 - see the package
        from harness.runs.run import as_json, verdict_body  # noqa: PLC0415 - same

        return json_text([{"run": run.run_id, "plan": as_json(run.plan.to_json()), **verdict_body(run)} for run in runs])
