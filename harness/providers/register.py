"""The machine's register of clusters: which there are, which provider made each, who owns it, and where its folder is.

One file a cluster in `harness.state.REGISTRY`, written before anything of the cluster is made and removed after all of it is gone. A provider
asks it which runs are its own, so that `whalefall sweep` never lets one provider remove what another has made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import state
from harness.errors import HarnessError
from harness.processes import Process


def write(path: Path, body: object) -> None:
    """Write a file so that a reader finds the old one or the new one, never half of it. For root's eyes only, as a cluster's folder is.

    Raises `OSError`.
    """
    fresh = path.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(body, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def open_cluster(run_id: str, provider: str, record: Mapping[str, object]) -> None:
    """Note that a cluster is about to be made by this process: in the register, and as ``cluster.json`` in the cluster's own folder.

    `record` is what the provider itself wants to read there again. Raises `HarnessError` where it cannot be written down; nothing is left then.
    """
    mine = Process.of(os.getpid())
    if mine is None:
        raise HarnessError("this process is not in /proc: nodes need a mounted /proc")
    body = {"run_id": run_id, "provider": provider, **record, "owner": asdict(mine)}
    try:
        register(run_id, mine, provider)
        where = state.run_folder(run_id)
        where.mkdir(parents=True, exist_ok=True)
        write(where / "cluster.json", body)
    except OSError as error:
        unregister(run_id)
        raise HarnessError(f"cannot note down the cluster {run_id}: {error}; is the disk full, or WHALEFALL_STATE not writable?") from error


def register(run_id: str, owner: Process, provider: str) -> None:
    """Tell everybody on this machine that a cluster is about to be made, by which provider, for whom, and where its folder will be."""
    entry = _entry(run_id)
    state.REGISTRY.mkdir(parents=True, exist_ok=True)
    write(entry, {"folder": str(state.run_folder(run_id)), "provider": provider, "owner": asdict(owner)})


def unregister(run_id: str) -> None:
    """Undo `register`, when all of the cluster is gone. Twice is fine."""
    _entry(run_id).unlink(missing_ok=True)
    with suppress(OSError):
        state.REGISTRY.rmdir()  # only when it is empty


def registered() -> set[str]:
    """Return the ids of all clusters that are registered or have a folder under this process's own state folder."""
    found: set[str] = set()
    with suppress(OSError):
        found |= {each.stem for each in state.REGISTRY.glob("*.json")}
    with suppress(OSError):
        found |= {each.name for each in state.runs().iterdir() if each.is_dir()}
    return found


def provider_of(run_id: str) -> str | None:
    """Return which provider made a cluster, by the register or else by the cluster's own record; None where neither tells."""
    for path in (_entry(run_id), folder(run_id) / "cluster.json"):
        said = _read(path).get("provider")
        if isinstance(said, str):
            return said
    return None


def owner(run_id: str) -> Process | None:
    """Return the process that created a cluster, by the register or else by the cluster's own record; None where neither tells."""
    for path in (_entry(run_id), folder(run_id) / "cluster.json"):
        with suppress(KeyError, TypeError):
            return Process(**_read(path)["owner"])
    return None


def folder(run_id: str) -> Path:
    """Return a cluster's folder: where the register says, or else where this process would put it."""
    said = _read(_entry(run_id)).get("folder")
    return Path(said) if isinstance(said, str) else state.run_folder(run_id)


def is_kept(run_id: str) -> bool:
    """Whether a cluster is to outlive its run."""
    return (folder(run_id) / "kept").exists()


def keep(run_id: str) -> None:
    """Note that a cluster is to outlive its run."""
    (folder(run_id) / "kept").touch()


def is_wanted(run_id: str) -> bool:
    """Whether a cluster is still wanted: whoever made it lives, or it is to be kept."""
    made = owner(run_id)
    return is_kept(run_id) or (made is not None and made.alive)


def _entry(run_id: str) -> Path:
    state.run_folder(run_id)  # refuses an id that is none of ours
    return state.REGISTRY / f"{run_id}.json"


def _read(path: Path) -> dict[str, Any]:
    """Return what a record holds; nothing where it is not there or damaged."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
