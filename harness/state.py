"""Where the harness keeps things on this machine, and the only place that names those folders.

``WHALEFALL_CACHE`` and ``WHALEFALL_STATE`` move them; the defaults are ``/var/cache/whalefall`` and ``/var/lib/whalefall``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.errors import HarnessError


def cache() -> Path:
    """Return the folder of what can be built again: node images."""
    return Path(os.environ.get("WHALEFALL_CACHE", "/var/cache/whalefall"))


def runs() -> Path:
    """Return the folder of what exists now: a folder for every cluster that was created and not yet destroyed."""
    return Path(os.environ.get("WHALEFALL_STATE", "/var/lib/whalefall")) / "runs"


REGISTRY = Path("/run/whalefall")
"""One file for every cluster on this machine, whatever ``WHALEFALL_STATE`` its harness had: who owns it, and where its folder is.

Written before anything of the cluster is made and removed after all of it is gone, so that `whalefall sweep` knows the living from the dead.
"""

_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def run_folder(run_id: str) -> Path:
    """Return the folder of one cluster. Raises `HarnessError` for an id that is none of ours: it becomes part of paths and names."""
    if not _RUN_ID.fullmatch(run_id):
        raise HarnessError(f"{run_id!r} is no run id; expected lower-case letters, digits and dashes, at most 63")
    return runs() / run_id
