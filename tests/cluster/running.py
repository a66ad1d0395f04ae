"""`whalefall run` in a process of its own: its command and its environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
FAST = ("--profile", "fast")


def run_argv(scenario: Path | str, results: Path, *more: str, seed: int = 7) -> list[str]:
    """Return the command that runs a scenario file, in plain lines that come as they are said; a name alone is one of ours."""
    path = scenario if isinstance(scenario, Path) else REPO / "scenarios" / scenario
    return [sys.executable, "-u", "-m", "harness", "run", str(path), "--seed", str(seed), "--plain", "--results", str(results), *more]


def environ(**more: str) -> dict[str, str]:
    """Return this process's environment, in which a process finds this package from any folder."""
    return {**os.environ, "PYTHONPATH": str(REPO), **more}


def read_until(child: subprocess.Popen[str], pattern: str, said: list[str]) -> None:
    """Add to `said` what a process says, up to the first line that has the pattern (a regular expression) in it."""
    assert child.stdout is not None
    for line in child.stdout:
        said.append(line)
        if re.search(pattern, line):
            return
    raise AssertionError(f"the command ended with {child.wait()} before it said {pattern!r}: {''.join(said)}")


def reaper_of(child: subprocess.Popen[str]) -> int:
    """Return the process that removes everything once the command is gone."""
    found = subprocess.run(
        ["pgrep", "--parent", str(child.pid), "--full", "harness.undo.reaper"], capture_output=True, text=True, check=True
    )
    return int(found.stdout)
