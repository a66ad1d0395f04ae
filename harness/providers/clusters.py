"""The machine's register of clusters: which there are, which provider made each, who owns it, and where its folder is.

One file a cluster in `harness.host.state.REGISTRY`, written before anything of the cluster is made and removed after all of it is gone. A provider
asks it which runs are its own, so that `whalefall sweep` never lets one provider remove what another has made.

What it names is removed by root. So an entry is believed only if root wrote it and nobody else can have, if nothing in it was changed since (it is
sealed with the register's key), and if the folder that it names is one of ours; see `doubts`. A folder that no entry names is a cluster's by its own
record alone.
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

from harness.core import stops
from harness.core.errors import HarnessError
from harness.core.plain import as_path, command, in_line
from harness.host import marks, private, processes, state
from harness.host.alone import alone
from harness.host.processes import Process

RECORD = "cluster.json"
"""What a cluster's own record is called in its folder."""
_SEAL = "seal"
_FRESH = ".new"
"""What a file's name ends in while it is written."""


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
    return path.with_suffix(_FRESH)


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
    if there and not _is_clusters(where) and any(where.iterdir()):
        raise HarnessError(
            f"{where} is there already, and not of a cluster of ours; move it away, or let WHALEFALL_STATE name another folder"
        )
    try:
        state.close_state()
        if doubt := private.doubt(where.parent.resolve() / where.name):
            raise HarnessError(
                f"cannot keep the cluster {run_id} in {where}: {doubt}, so that nobody could believe later that it is ours to remove; "
                "let WHALEFALL_STATE name a folder that only this user may change, down from the root"
            )
        register(run_id, mine, provider)
        write(private.folder(where) / RECORD, body)
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
    where = state.run_folder(run_id).resolve()
    with alone():
        _tidy()
        marks.have_key()
        write(entry, sealed(run_id, {"folder": str(where), "provider": provider, "owner": asdict(owner)}))


def unregister(run_id: str) -> None:
    """Undo `register`, when all of the cluster is gone. Twice is fine."""
    entry = _entry(run_id)
    if not os.path.lexists(state.REGISTRY):
        return
    with stops.deaf(), alone():
        entry.unlink(missing_ok=True)
        _tidy()


def tidy() -> None:
    """Remove from the register what somebody was writing there when they were killed, and its key where no run is left."""
    if os.path.lexists(state.REGISTRY):
        with stops.deaf(), alone():
            _tidy()


def _tidy() -> None:
    """Do so, for whoever is alone with the register: nobody else is writing there then."""
    for each in state.REGISTRY.glob(f"*{_FRESH}"):
        with suppress(OSError):
            each.unlink()
    if not _entries() and not marks.runs():  # else somebody removed an entry by hand: a sweep still needs the key
        marks.forget_key()


def remove_folder(run_id: str) -> None:
    """Remove a cluster's folder, its record last: it says whose the rest is, for whoever goes on if we are killed. What cannot be removed stays."""
    _remove_folder(folder(run_id))


def forget(run_id: str) -> None:
    """Do `unregister`, and then `remove_folder`: where a cluster is registered its folder was there, and whoever removed that was not us."""
    where = folder(run_id)
    unregister(run_id)
    _remove_folder(where)


def _remove_folder(where: Path) -> None:
    with suppress(OSError):
        for each in where.iterdir():
            if each.name != RECORD:
                _remove(each)
    shutil.rmtree(where, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def must_be_readable() -> None:
    """Raise `HarnessError` where the register, or the folder of clusters, cannot be read: whoever cannot see it can tell nobody's things apart."""
    for folder in (state.REGISTRY, state.runs()):
        try:
            os.scandir(folder).close()
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise HarnessError(f"{folder}, where this machine's clusters are noted, is for root's eyes only; run it with sudo") from error
        except OSError as error:
            raise HarnessError(f"{folder}, where this machine's clusters are noted, cannot be read: {error.strerror}") from error


def registered() -> set[str]:
    """Return the ids of all clusters that are registered or have a folder under this process's own state folder."""
    return {each.stem for each in _entries() if not _doubt(each)} | {each.name for each in _folders() if _is_clusters(each)}


def recorded(run_id: str) -> bool:
    """Whether a record that only we can have written says that there is such a cluster: then what bears its name is its own.

    Whoever makes one sees to it that nobody else has anything of that name; see `harness.providers.nspawn.NspawnProvider.create`.
    """
    entry = _entry(run_id)
    return (os.path.lexists(entry) and not _doubt(entry)) or _is_clusters(state.run_folder(run_id))


def nodes(run_id: str) -> tuple[str, ...] | None:
    """Return the names of a cluster's nodes; nothing where its record does not tell them, None where there is no such cluster."""
    if not recorded(run_id):
        return None
    said = _read(folder(run_id) / RECORD).get("nodes")
    return tuple(str(each["name"]) for each in said if isinstance(each, dict) and "name" in each) if isinstance(said, list) else ()


def strangers() -> list[str]:
    """Say which folders lie where those of clusters do, but no record says that they are one's, a sentence each. They are nobody's to remove."""
    return [
        in_line(
            f"{each}: left alone, it lies where clusters' folders do, but {_unrecorded(each)}; if it is not yours, "
            f"`{command('rm', '-r', as_path(each))}` removes it"
        )
        for each in sorted(_folders())
        if not _is_clusters(each) and not recorded(each.name)
    ]


def _unrecorded(folder: Path) -> str:
    """Say why a folder is not taken for a cluster's."""
    try:
        said = private.record(folder / RECORD).get("run_id")
    except FileNotFoundError:
        return "has no record of one"
    except (OSError, HarnessError, ValueError, RecursionError) as error:
        return f"its record cannot be believed ({error}): where it is one of yours, mend that, and sweep again"
    return f"its record is that of {said}"


def _folders() -> list[Path]:
    """Return the folders under this process's own state folder that are called as a cluster's."""
    with suppress(OSError):
        return [each for each in state.runs().iterdir() if state.is_run_id(each.name) and each.is_dir() and not each.is_symlink()]
    return []


def _is_clusters(where: Path) -> bool:
    """Whether a folder's own record, which nobody but this user can have written, says that it is that cluster's."""
    return _read(where / RECORD).get("run_id") == where.name


def sealed(run_id: str, entry: Mapping[str, object]) -> dict[str, object]:
    """Return what an entry of a run says, with the seal that proves that it says what we wrote."""
    body = {key: value for key, value in entry.items() if key != _SEAL}
    return {**body, _SEAL: marks.proof(run_id, json.dumps(body, sort_keys=True))}


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


def keep(run_id: str, *, over: bool = False) -> None:
    """Note that a cluster is to outlive its run; and, where that is so, that the run is over."""
    private.opened(folder(run_id) / "kept", "ab").close()
    if over:
        private.opened(folder(run_id) / "over", "ab").close()


def is_wanted(run_id: str) -> bool:
    """Whether a cluster is still wanted: whoever made it lives (where no record tells: the reaper of its run), or it is to be kept."""
    return is_used(run_id) or is_kept(run_id)


def is_used(run_id: str) -> bool:
    """Whether a run goes on with a cluster: whoever made it lives, and has not said that the run is over; where no record tells, its reaper lives."""
    if (folder(run_id) / "over").exists():
        return False
    made = owner(run_id)
    return made.alive if made is not None else run_id in processes.watched()


def _entry(run_id: str) -> Path:
    state.run_folder(run_id)  # refuses an id that is none of ours
    return state.REGISTRY / f"{run_id}.json"


def _records(run_id: str) -> list[Path]:
    """Return what may tell of a cluster, by rank: its entry, if that is believed, and its own record."""
    entry = _entry(run_id)
    return [*([] if _doubt(entry) else [entry]), folder(run_id) / RECORD]


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
        body = private.record(entry)
    except (OSError, HarnessError, ValueError, RecursionError) as error:
        return str(error)
    if not body.get(_SEAL) or body != sealed(entry.stem, body):
        return "it is not sealed with this register's key: it was changed, or written by somebody else"
    return _no_folder(body.get("folder"), entry.stem)


def _no_folder(said: object, run_id: str) -> str:
    """Say why what an entry names is no cluster's folder; empty where it is one."""
    if not isinstance(said, str) or not said:
        return "it names no folder"
    where = Path(said)
    if where.parts[-2:] != ("runs", run_id):
        return f"{said!r} is no run's folder; expected one that ends in runs/{run_id}"
    return private.doubt(where)


def _read(path: Path) -> dict[str, Any]:
    """Return what a record holds; nothing where it is not there, damaged, or could be somebody else's."""
    try:
        return private.record(path)
    except (OSError, HarnessError, ValueError, RecursionError):
        return {}
