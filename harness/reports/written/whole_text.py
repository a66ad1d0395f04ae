"""All that `whalefall show` prints, as text for a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.runs.run import Run

WIDTH = 100
"""Columns."""


class WholeText:
    """Verdict, findings, recovery and timeline, as `show` prints them, without colours."""

    name: ClassVar[str] = "text"

    def text(self, runs: Sequence[Run]) -> str:
        """Return one run below the other."""
        from harness.reports.console import text_of  # noqa: PLC0415 - see the package
        from harness.reports.verdict_table import report  # noqa: PLC0415 - same

        return "\n\n".join(text_of(report(run), WIDTH) for run in runs)
