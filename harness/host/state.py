"""Where the harness keeps things on this machine, and the only place that names those folders.

``WHALEFALL_CACHE`` and ``WHALEFALL_STATE`` move them; the defaults are ``/var/cache/whalefall`` and ``/var/lib/whalefall``. One that is set to
nothing moves nothing. A path is always given whole, and as it is without links: machines and the reaper stand in other folders than whoever named
it, and who uses what is kept there is found by it, however another process spells it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.core.errors import BadInput, HarnessError, Problem
from harness.host import private


def cache() -> Path:
    """Return the folder of what can be built, or pulled, again: node images, and what they load."""
    return _named("WHALEFALL_CACHE", "/var/cache/whalefall")


def runs() -> Path:
    """Return the folder of what exists now: a folder for every cluster that was created and not yet destroyed."""
    return _named("WHALEFALL_STATE", "/var/lib/whalefall") / "runs"


def _named(variable: str, usual: str) -> Path:
    """Return a folder. Raises `BadInput` for one that nothing could be mounted from, as a node's root is of layers in the cache."""
    path = Path(os.path.realpath(os.environ.get(variable) or usual))
    if odd := "".join(sorted(set(str(path)) & set(UNMOUNTABLE))):
        raise BadInput(
            [Problem(variable, 0, 0, repr(str(path)), f"a folder without any of {odd} in its path: they mean something to mount")]
        )
    return path


REGISTRY = Path("/run/whalefall")
"""One file for every cluster on this machine, whatever ``WHALEFALL_STATE`` its harness had: who owns it, and where its folder is.

Written before anything of the cluster is made and removed after all of it is gone, so that `whalefall sweep` knows the living from the dead.
"""

CACHED = ("images", "boxes", "app-images", "libvirt", "hypervisor")
"""What the cache holds, a folder each."""

UNMOUNTABLE = ',"\\'
"""Characters by which the options of a mount are told apart, or quoted."""
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def is_run_id(text: str) -> bool:
    """Whether a text can be a run's id: it becomes part of paths and names."""
    return _RUN_ID.fullmatch(text) is not None


def run_folder(run_id: str) -> Path:
    """Return the folder of one cluster. Raises `HarnessError` for an id that is none of ours: it becomes part of paths and names."""
    if not is_run_id(run_id):
        raise HarnessError(f"{run_id!r} is no run id; expected lower-case letters, digits and dashes, at most 63")
    return runs() / run_id


def close_state() -> None:
    """Have the folders of runs and of the register, for root's eyes only, also where an older version left them open. See `harness.host.private`."""
    private.shared_folder(runs().parent, ("runs",))
    private.folder(runs())
    private.folder(REGISTRY)


def close_cache(part: str) -> Path:
    """Have a part of the cache (one of `CACHED`), for root's eyes only as `close_state` does, and return its folder."""
    private.shared_folder(cache(), CACHED)
    return private.folder(cache() / part)
