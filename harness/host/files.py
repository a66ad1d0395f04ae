"""Where the files that clusters are made of lie: in a checkout beside the package, in an installed wheel inside it."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import HarnessError


def fixtures() -> Path:
    """Return the folder with ``node/``, ``layer/`` and ``images/``. Read it, never write to it. Raises `HarnessError` where it is missing."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_fixtures", package.parent / "fixtures"):
        if (folder / "node" / "packages").is_file():
            return folder
    raise HarnessError(f"the fixtures are neither in {package} nor beside it; install whalefall again, or work in a whole checkout")
