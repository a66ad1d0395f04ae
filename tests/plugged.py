"""An environment of its own with the example plug-in in it: this one's packages are visible there, and nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
EXAMPLE = REPO / "fixtures" / "plugin"
SCENARIO = EXAMPLE / "closed-port.yaml"


def environment(folder: Path) -> Path:
    """Make the environment in a folder, install the plug-in into it, and return its Python."""
    where = folder / "venv"
    venv.create(where, symlinks=True, with_pip=False)
    python = where / "bin" / "python"
    scheme = {"base": str(where), "platbase": str(where)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *(each for each in site.getsitepackages() if Path(each).is_dir())}
    # Not as plain lines: what was installed to be edited is found by files of the same kind, which are read only in folders that are added so.
    added = "".join(f"import site; site.addsitedir({each!r})\n" for each in sorted(ours))
    (packages / "parent.pth").write_text(added, encoding="utf-8")
    source = folder / "plugin"
    shutil.copytree(EXAMPLE, source)  # a build leaves files beside it
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    argv = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(source)]
    done = subprocess.run(argv, env=clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return python


def clean(**more: str) -> dict[str, str]:
    """Return this process's environment without what would lead a Python to other packages, and without pip's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, **more}


def whalefall(python: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command there, to its end. It stands outside the checkout, so that what it finds is installed."""
    argv = [str(python), "-m", "harness", *args]
    return subprocess.run(argv, cwd=python.parent, env=clean(**more), capture_output=True, text=True, check=False)
