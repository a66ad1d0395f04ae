"""What runs have shown of the guide's claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.runs.run import Run


class ClaimsMarkdown:
    """The guide's ten claims, each with the runs about it, as `claims` prints them, as Markdown."""

    name: ClassVar[str] = "claims"

    def text(self, runs: Sequence[Run]) -> str:
        """Return the claims."""
        from harness.reports.ten_claims import markdown  # noqa: PLC0415 - see the package

        return markdown(runs)
