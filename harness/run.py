"""One run as it lies on disk, and the folder that all runs lie in.

``results/<run-id>/`` holds ``plan.json``, ``history.jsonl``, ``ledger.jsonl``, ``environment.json``, ``verdict.json`` and, for any verdict but
held, ``logs/<node>/…``. ``results/latest`` points to the newest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UnknownRun
from harness.values import Finding, Json, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.history import History
    from harness.plan import Plan

EXIT = {Verdict.HELD: 0, Verdict.BROKEN: 1, Verdict.UNKNOWN: 3}
"""Exit status of a verdict. 2 is bad usage or a bad scenario, 4 a failure of the harness."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was judged."""

    run_id: str
    folder: Path
    plan: Plan
    history: History
    findings: Sequence[Finding]
    recovery: Mapping[str, Json] = field(default_factory=dict)
    environment: Mapping[str, Json] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The worst finding."""
        return Verdict.worst(finding.verdict for finding in self.findings)

    def finding(self, checker: str) -> Finding | None:
        """Return the finding of one checker, or None."""
        return next((finding for finding in self.findings if finding.checker == checker), None)


def folders(results: Path) -> list[Path]:
    """Return the folders of all runs, oldest first."""
    if not results.is_dir():
        return []
    found = [each for each in results.iterdir() if (each / "plan.json").is_file() and not each.is_symlink()]
    return sorted(found, key=lambda each: (each / "plan.json").stat().st_mtime)


def environment_of(folder: Path) -> Mapping[str, Json]:
    """Return what a run noted of the world around it; empty where it noted nothing that can be read."""
    try:
        found = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def cluster_of(folder: Path) -> str:
    """Return the id of the run that the cluster of this one was made for: an earlier one where it was used again, else its own."""
    return str(environment_of(folder).get("made_for", folder.name))


def find(results: Path, name: str) -> Path:
    """Return the folder of a run given by its path, by id, by the start of an id, or as ``latest``. Raises `UnknownRun` with the ids there are."""
    path = Path(name)
    if len(path.parts) > 1 or name.startswith("."):
        if not (path / "plan.json").exists():
            raise UnknownRun(f"no run in {name!r}: there is no plan.json; give the folder of a run, or its id")
        return path.resolve() if path.is_symlink() or name.startswith(".") else path
    every = folders(results)
    if name == "latest" and every:
        return every[-1]
    matches = [each for each in every if each.name == name] or [each for each in every if each.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UnknownRun(f"{name!r} is the start of {len(matches)} runs: {', '.join(each.name for each in matches)}; give more of it")
    known = ", ".join(each.name for each in every[-5:]) or "none yet"
    raise UnknownRun(f"no run {name!r} in {results}; the newest there are: {known}")


def save_verdict(run: Run) -> None:
    """Write ``verdict.json``."""
    body = {
        "verdict": str(run.verdict),
        "findings": [
            {
                "checker": finding.checker,
                "verdict": str(finding.verdict),
                "summary": finding.summary,
                "details": dict(finding.details),
                "evidence": list(finding.evidence),
            }
            for finding in run.findings
        ],
        "recovery": dict(run.recovery),
    }
    fresh = run.folder / ".verdict.json"
    fresh.write_text(json.dumps(body, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8", errors="backslashreplace")
    fresh.replace(run.folder / "verdict.json")  # a reader finds the old one or the new one, never half of it
