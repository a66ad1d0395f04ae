"""What was found of a control plane that somebody else runs, and what of ours was put on it, noted beside the provider's record of the run.

So another process knows it, too: only what a note names is ever withdrawn from a cluster that is not ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from harness.core.errors import HarnessError
from harness.host import private
from harness.providers import clusters

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

FILE = "control-plane.json"
"""The note, in the run's folder."""


def write(run_id: str, body: Mapping[str, object]) -> None:
    """Note it down, on disk when this returns. Without a folder of the run (a rehearsal) there is nothing to note it for. Raises `HarnessError`."""
    path = _path(run_id)
    if path.parent.is_dir():
        try:
            clusters.write(path, body)
        except OSError as error:
            raise HarnessError(f"cannot note down the control plane in {path}: {error}; is the disk full?") from error


def read(run_id: str, parse: Callable[[dict[str, Any]], T]) -> T | None:
    """Return what was noted for a run; None where nothing was. Raises `HarnessError` for a note that cannot be read."""
    path = _path(run_id)
    try:
        return parse(private.record(path))
    except FileNotFoundError:
        return None
    except (OSError, HarnessError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(f"the note {path} cannot be read: {type(error).__name__}: {error}") from error


def _path(run_id: str) -> Path:
    return clusters.folder(run_id) / FILE
