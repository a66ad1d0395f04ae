"""One run as it lies on disk, and the folder that all runs lie in.

``results/<run-id>/`` holds ``plan.json``, ``history.jsonl``, ``ledger.jsonl``, ``environment.json``, ``verdict.json`` and, for any verdict but
held, ``logs/<node>/…``. ``results/latest`` points to the newest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import BadInput, Problem, UnknownRun
from harness.core.figures import DIGITS
from harness.core.plain import in_line
from harness.core.values import Finding, Json, Phase, Verdict
from harness.history.events import Closed, History, Note, PhaseBegan
from harness.history.lines import typed
from harness.host import untrusted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history.events import Event
    from harness.plan import Plan

EXIT = {Verdict.HELD: 0, Verdict.BROKEN: 1, Verdict.UNKNOWN: 3}
"""Exit status of a verdict. 2 is bad usage or a bad scenario, 4 a failure of the harness."""

MOST_BYTES = 1 << 24
"""Bytes of a plan, a verdict, or what a run noted beside them, at most. They have some ten thousand."""


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

    def found_by(self, checker: str) -> list[Finding]:
        """Return the findings of one checker, the worst first: it may have been promised more than once."""
        order = [Verdict.BROKEN, Verdict.UNKNOWN, Verdict.HELD]
        return sorted((each for each in self.findings if each.checker == checker), key=lambda each: order.index(each.verdict))


def folders(results: Path) -> list[Path]:
    """Return the folders of all runs, oldest first. Links are left out: ``latest`` is one. What is in them may be anything."""
    found: list[tuple[float, Path]] = []
    for each in inside(results):
        with suppress(OSError):
            found.append((_begun(each), each))
    return [folder for _, folder in sorted(found)]


def _begun(folder: Path) -> float:
    """Return when a run began by its own word, which copies keep; where it has none, when its plan was written. Raises `OSError` without a plan."""
    written = (folder / "plan.json").lstat().st_mtime
    try:
        return datetime.fromisoformat(str(environment_of(folder).get("started"))).timestamp()
    except (BadInput, OSError, ValueError, OverflowError):
        return written


def inside(results: Path) -> list[Path]:
    """Return all folders in the folder of runs, by name, links left out; none without it. Raises `BadInput` where it cannot be read."""
    try:
        return sorted(each for each in results.iterdir() if not each.is_symlink() and each.is_dir()) if results.is_dir() else []
    except OSError as error:
        problem = Problem(str(results), 0, 0, f"a folder that cannot be read ({error.strerror})", "a folder that runs are kept in")
        raise BadInput([problem]) from error


def plan_of(folder: Path) -> Mapping[str, Json]:
    """Return the plan of a run as JSON. Raises `FileNotFoundError`, or `BadInput` where it cannot be used."""
    named = {"scenario": str, "mode": str, "provider": str, "seed": int}
    return _checked(untrusted.object_in(folder, "plan.json", MOST_BYTES), named, folder / "plan.json")


def verdict_of(folder: Path) -> Mapping[str, Json]:
    """Return what ``verdict.json`` holds; empty for a run that was not judged. Raises `BadInput` where it cannot be used."""
    try:
        found = untrusted.object_in(folder, "verdict.json", MOST_BYTES)
    except FileNotFoundError:
        return {}
    return _checked(
        found, {"verdict": Verdict, "findings": tuple[Mapping[str, Any], ...], "recovery": Mapping[str, Any]}, folder / "verdict.json"
    )


def environment_of(folder: Path) -> Mapping[str, Json]:
    """Return what a run noted of the world around it; empty where it noted nothing. Raises `BadInput` where that cannot be used."""
    try:
        found = untrusted.object_in(folder, "environment.json", MOST_BYTES)
    except FileNotFoundError:
        return {}
    return _checked(found, _ENVIRONMENT, folder / "environment.json")


_ENVIRONMENT: Mapping[str, Any] = {
    "driver": str,
    "hosts": Mapping[str, str],
    "kernels": Mapping[str, str],
    "made_for": str,
    "started": str,
}
"""What is read of it, with its type; the rest is for people."""


def _checked(body: Mapping[str, Json], types: Mapping[str, Any], file: Path) -> Mapping[str, Json]:
    """Return a JSON object whose values of these names are of these types, where they are there. Raises `BadInput` with all that are not."""
    problems = []
    for name, hint in types.items():
        try:
            if name in body:
                typed(hint, body[name])
        except ValueError as error:
            problems.append(
                Problem(str(file), 0, 0, f"{name!r} with {error}", "what the harness wrote", "it is damaged, or from another version")
            )
    if problems:
        raise BadInput(problems)
    return body


def length_of(folder: Path) -> float | None:
    """Return `History.length` as a history's last lines have it, without reading the rest; None where they have none. Raises `BadInput`."""
    every = _last_lines(folder)
    done = [each for each in every if (each.get("kind"), each.get("phase")) == (PhaseBegan.kind, Phase.DONE)]
    for last in (*done[:1], *reversed(every)):
        time = last.get("t")
        if last.get("kind") != Closed.kind and isinstance(time, int | float) and not isinstance(time, bool):
            return float(time)
    return None


def ended_early(folder: Path) -> str:
    """Say whether a run was ``stopped`` or ``failed``, by the last lines of its history; nothing where they tell neither. Raises `BadInput`."""
    events: list[Event] = []
    for each in _last_lines(folder):
        if each.get("kind") == Note.kind:
            events.append(Note(str(each.get("text", ""))))
        elif each.get("kind") == PhaseBegan.kind and each.get("phase") == Phase.DONE:
            events.append(PhaseBegan(Phase.DONE))
    history = History.of_events(*((0.0, event) for event in events))
    return "stopped" if history.stopped else "failed" if history.failure else ""


def cut_off(folder: Path) -> bool:
    """Whether the history of a run ends in its middle, by its last lines: nobody could note its end. Raises `BadInput`."""
    every = _last_lines(folder)
    ends = (each.get("kind") == Closed.kind or (each.get("kind"), each.get("phase")) == (PhaseBegan.kind, Phase.DONE) for each in every)
    return bool(every) and not any(ends)


def _last_lines(folder: Path) -> list[Mapping[str, Json]]:
    """Return the last whole lines of a history that are objects: of what was torn, or is something else, nothing is told here."""
    found: list[Mapping[str, Json]] = []
    with suppress(FileNotFoundError):
        for line in untrusted.tail(folder, "history.jsonl", 1 << 16).split(b"\n")[:-1]:
            with suppress(ValueError):
                body = untrusted.loads(line)
                if isinstance(body, dict):
                    found.append(body)
    return found


def cluster_of(folder: Path) -> str:
    """Return the id of the run that the cluster of this one was made for: an earlier one where it was used again, else its own."""
    return str(environment_of(folder).get("made_for", folder.name))


def find(results: Path, name: str) -> Path:
    """Return the folder of a run given by its path, by id, by the start of an id, or as ``latest``. Raises `UnknownRun` with the ids there are."""
    if not name.strip():
        raise UnknownRun("no run has no name: give its id, the start of one, its folder, or latest")
    path = Path(name)
    is_path = len(path.parts) > 1 or name.startswith(".") or name.endswith("/")
    if is_path and _has_plan(path):
        return path.resolve() if path.is_symlink() or name.startswith(".") else path
    if is_path and len(path.parts) != 1:
        raise UnknownRun(f"no run in {name!r}: there is no plan.json; give the folder of a run, or its id")
    name = path.name or name  # an id with the slash that a shell adds to the name of a folder
    every = folders(results)
    if name == "latest" and every:
        return every[-1]
    matches = [each for each in every if each.name == name] or [each for each in every if each.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if not matches and name and _has_plan(path):  # the name of a folder, in the folder that it lies in
        return path.resolve()
    if matches:
        raise UnknownRun(
            f"{name!r} is the start of {len(matches)} runs: {', '.join(in_line(each.name) for each in matches)}; give more of it"
        )
    known = ", ".join(in_line(each.name) for each in every[-5:]) or "none yet"
    raise UnknownRun(f"no run {name!r} in {in_line(results)}; the newest there are: {known}")


def _has_plan(path: Path) -> bool:
    """Whether there is a folder of a run, as far as anybody may see. Raises `UnknownRun` where nobody may, or for what can be no path."""
    try:
        (path / "plan.json").lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UnknownRun(f"no run in {str(path)[:200]!r}: {why}") from error
    return True


def save_verdict(run: Run) -> None:
    """Write ``verdict.json``."""
    text = json.dumps(verdict_body(run), indent=2, ensure_ascii=False) + "\n"
    untrusted.write(run.folder, "verdict.json", text.encode(errors="backslashreplace"))


def verdict_body(run: Run) -> dict[str, Any]:
    """Return what was judged of a run as JSON: its verdict, the findings, the recoveries, and its length in seconds."""
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
        "seconds": round(run.history.length, DIGITS),
    }
    found: dict[str, Any] = as_json(body)
    return found


def as_json(value: Any) -> Any:
    """Return a value as JSON knows it: a number without an end, as a budget may be, is null, and what it has no kind of is its text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return value if value is None or isinstance(value, str | int) else str(value)
