"""A scenario in Python, as the README has it, on a real cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.cluster


def test_the_example_of_the_readme_is_held_and_can_be_judged_again(tmp_path: Path) -> None:
    """It passes because its promise was kept, and its folder is a run: judged anew, without a cluster, it comes to the same."""
    text = (REPO / "README.md").read_text(encoding="utf-8")
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "cluster.promise" in block]
    (tmp_path / "test_example.py").write_text(example, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(REPO), "WHALEFALL_RESULTS": str(tmp_path / "results")}
    options = ["-p", "no:cacheprovider", "-p", "no:randomly", "-p", "harness.pytest_plugin"]
    if "harness.pytest_plugin" in sys.modules:  # it is installed, and loads itself
        options = options[:-2]
    argv = [sys.executable, "-m", "pytest", *options, "-q", "test_example.py"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300.0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    judge = [sys.executable, "-m", "harness", "judge", "latest", "--results", str(tmp_path / "results")]
    again = subprocess.run(judge, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120.0)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "rescheduled" in again.stdout
