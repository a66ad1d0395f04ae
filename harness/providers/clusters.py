"""The machine's register of clusters: which there are, which provider made each, who owns it, and where its folder is.

One file a cluster in `harness.host.state.REGISTRY`, written before anything of the cluster is made and removed after all of it is gone. A provider
asks it which runs are its own, so that `whalefall sweep` never lets one provider remove what another has made.

What it names is removed by root. So an entry is believed only if root wrote it and nobody else can have, and if the folder that it names is one of
ours; see `doubts`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError
from harness.host import marks, private, state
from harness.host.processes import Process


def write(path: Path, body: object) -> None:
    """Write a file so that a reader finds the old one or the new one, never half of it. For root's eyes only, as a cluster's folder is.

    Raises `OSError`.
    """
    fresh = _fresh(path)
    try:
        with private.opened(fresh, "w") as file:
            json.dump(body, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise


def _fresh(path: Path) -> Path:
    """Return where a file is written before it is renamed into its place."""
    return path.with_suffix(".new")


def open_cluster(run_id: str, provider: str, record: Mapping[str, object]) -> None:
    """Note that a cluster is about to be made by this process: in the register, and as ``cluster.json`` in the cluster's own folder.

    `record` is what the provider itself wants to read there again. Raises `HarnessError` where it cannot be written down; nothing is left then.
    """
    mine = Process.of(os.getpid())
    if mine is None:
        raise HarnessError("this process is not in /proc: nodes need a mounted /proc")
    body = {"run_id": run_id, "provider": provider, **record, "owner": asdict(mine)}
    where = state.run_folder(run_id)
    there = where.exists()
    try:
        state.close_state()
        if doubt := private.doubt(where.parent.resolve() / where.name):
            raise HarnessError(
                f"cannot keep the cluster {run_id} in {where}: {doubt}, so that nobody could believe later that it is ours to remove; "
                "let WHALEFALL_STATE name a folder that only this user may change, down from the root"
            )
        register(run_id, mine, provider)
        write(private.folder(where) / "cluster.json", body)
    except BaseException as error:
        if not there:
            shutil.rmtree(where, ignore_errors=True)
        unregister(run_id)
        if isinstance(error, OSError):
            raise HarnessError(
                f"cannot note down the cluster {run_id}: {error}; is the disk full, or WHALEFALL_STATE not writable?"
            ) from error
        raise


def register(run_id: str, owner: Process, provider: str) -> None:
    """Tell everybody on this machine that a cluster is about to be made, by which provider, for whom, and where its folder will be."""
    entry = _entry(run_id)
    private.folder(state.REGISTRY)
    where = state.run_folder(run_id).resolve()
    write(entry, {"folder": str(where), "provider": provider, "owner": asdict(owner), marks.FIELD: marks.secret()})


def unregister(run_id: str) -> None:
    """Undo `register`, when all of the cluster is gone. Twice is fine."""
    entry = _entry(run_id)
    _fresh(entry).unlink(missing_ok=True)  # of somebody who was killed between the two
    entry.unlink(missing_ok=True)
    with suppress(OSError):
        state.REGISTRY.rmdir()  # only when it is empty


def registered() -> set[str]:
    """Return the ids of all clusters that are registered or have a folder under this process's own state folder."""
    found = {each.stem for each in _entries() if not _doubt(each)}
    with suppress(OSError):
        found |= {each.name for each in state.runs().iterdir() if state.is_run_id(each.name) and each.is_dir() and not each.is_symlink()}
    return found


def doubts() -> list[str]:
    """Say of each entry of the register that is not believed why, a sentence each. Nothing that such an entry names is touched."""
    return [f"{path} is not believed and nothing that it names is touched: {doubt}" for path in _entries() if (doubt := _doubt(path))]


def provider_of(run_id: str) -> str | None:
    """Return which provider made a cluster, by the register or else by the cluster's own record; None where neither tells."""
    for path in _records(run_id):
        said = _read(path).get("provider")
        if isinstance(said, str):
            return said
    return None


def owner(run_id: str) -> Process | None:
    """Return the process that created a cluster, by the register or else by the cluster's own record; None where neither tells."""
    for path in _records(run_id):
        with suppress(KeyError, TypeError):
            said: dict[str, Any] = _read(path)["owner"]
            return Process(**said)
    return None


def folder(run_id: str) -> Path:
    """Return a cluster's folder: where the register says, or else where this process would put it."""
    entry = _entry(run_id)
    said = "" if _doubt(entry) else _read(entry).get("folder")
    return Path(said) if said else state.run_folder(run_id)


def is_kept(run_id: str) -> bool:
    """Whether a cluster is to outlive its run."""
    return (folder(run_id) / "kept").exists()


def keep(run_id: str) -> None:
    """Note that a cluster is to outlive its run."""
    private.opened(folder(run_id) / "kept", "ab").close()


def is_wanted(run_id: str) -> bool:
    """Whether a cluster is still wanted: whoever made it lives, or it is to be kept."""
    made = owner(run_id)
    return is_kept(run_id) or (made is not None and made.alive)


def _entry(run_id: str) -> Path:
    state.run_folder(run_id)  # refuses an id that is none of ours
    return state.REGISTRY / f"{run_id}.json"


def _records(run_id: str) -> list[Path]:
    """Return what may tell of a cluster, by rank: its entry, if that is believed, and its own record."""
    entry = _entry(run_id)
    return [*([] if _doubt(entry) else [entry]), folder(run_id) / "cluster.json"]


def _entries() -> list[Path]:
    try:
        return sorted(state.REGISTRY.glob("*.json"))
    except OSError:
        return []


def _doubt(entry: Path) -> str:
    """Say why an entry of the register is not to be believed; empty where it is, or where there is none."""
    if not os.path.lexists(entry):
        return ""
    if not state.is_run_id(entry.stem):
        return "its name is no run's id"
    try:
        said = private.record(entry).get("folder")
    except (OSError, HarnessError, ValueError, RecursionError) as error:
        return str(error)
    if not isinstance(said, str) or not said:
        return "it names no folder"
    where = Path(said)
    if where.parts[-2:] != ("runs", entry.stem):
        return f"{said!r} is no run's folder; expected one that ends in runs/{entry.stem}"
    return private.doubt(where)


def _read(path: Path) -> dict[str, Any]:
    """Return what a record holds; nothing where it is not there, damaged, or could be somebody else's."""
    try:
        return private.record(path)
    except (OSError, HarnessError, ValueError, RecursionError):
        return {}
