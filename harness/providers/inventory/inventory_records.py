"""What another process needs to reach a run's hosts, mend them and let them go: noted on this machine before a host is claimed.

``<state>/runs/<run-id>/hosts.json``, for its owner's eyes only: power commands may hold passwords.
"""

from __future__ import annotations

import dataclasses
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError, NoSuchRun, Unreadable
from harness.host import private
from harness.providers import clusters
from harness.providers.inventory.hosts import Host, Switch

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "hosts.json"
RESULTS = "results.json"
_BY_HAND = "mend that, or look at the hosts and remove what is left on them by hand"


@dataclass(frozen=True, slots=True)
class Record:
    """A run's hosts, by the names of their nodes, and what whoever runs them allows."""

    run_id: str
    hosts: Mapping[str, Host]  # n1 … in order
    at_once: int
    only: Mapping[str, tuple[str, ...]]  # node → the only faults that its own mark allows; a node that is left out allows all


def open_record(provider: str, record: Record) -> None:
    """Note a run down, on disk when this returns. Raises `HarnessError` where that cannot be done; nothing is left then."""
    clusters.open_cluster(record.run_id, provider, {"nodes": list(record.hosts)})
    body = {
        "hosts": {name: dataclasses.asdict(host) for name, host in record.hosts.items()},
        "at_once": record.at_once,
        "only": {name: list(faults) for name, faults in record.only.items()},
    }
    path = _path(record.run_id)
    try:
        clusters.write(path, body)
    except OSError as error:
        forget(record.run_id)
        raise HarnessError(f"cannot note down the hosts of {record.run_id} in {path}: {error}; is the disk full?") from error


def read(run_id: str) -> Record:
    """Read a run's hosts. Raises `NoSuchRun` where none were noted, and `Unreadable` where they were and nobody can tell which."""
    path = _path(run_id)
    try:
        body: dict[str, Any] = private.record(path)
        return Record(
            run_id,
            {name: _host(each) for name, each in body["hosts"].items()},
            int(body["at_once"]),
            {name: tuple(faults) for name, faults in body["only"].items()},
        )
    except FileNotFoundError as error:
        if _was_there(run_id):
            raise Unreadable(f"the record {path} of its hosts is gone, though they were not let go; {_BY_HAND}") from error
        raise NoSuchRun(f"no hosts of {run_id} are noted here: {path} does not exist; they were let go, or never claimed") from error
    except OSError as error:
        raise Unreadable(f"the record {path} cannot be read ({error.strerror}); {_BY_HAND}") from error
    except (HarnessError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Of another's error not its own words: they may hold a part of a command.
        why = str(error) if isinstance(error, HarnessError) else f"{path} is damaged ({type(error).__name__})"
        raise Unreadable(f"the record of its hosts cannot be read: {why}; {_BY_HAND}") from error


def _was_there(run_id: str) -> bool:
    """Whether hosts were noted and not let go, where they are not noted now; see the order in which `forget` removes what tells of them."""
    where = clusters.folder(run_id)
    return os.path.lexists(where / RESULTS) or (run_id in clusters.registered() and not where.exists())


def note_results(run_id: str, folder: Path) -> None:
    """Note in which folder the run's ledger and plan are, on disk when this returns. Raises `HarnessError` where that cannot be done."""
    path = clusters.folder(run_id) / RESULTS
    try:
        clusters.write(path, {"folder": str(folder)})
    except OSError as error:
        raise HarnessError(f"cannot note down in {path} where the results of {run_id} are: {error}; is the disk full?") from error


def results(run_id: str) -> Path | None:
    """Return what `note_results` noted; None where nothing was. Raises `HarnessError` for a note that cannot be read."""
    path = clusters.folder(run_id) / RESULTS
    try:
        return Path(str(private.record(path)["folder"]))
    except FileNotFoundError:
        return None
    except (OSError, HarnessError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"the note {path} cannot be read: {type(error).__name__}: {error}") from error


def forget(run_id: str) -> None:
    """Remove all that is noted of a run here. Twice is fine.

    In such an order that whoever is killed in its middle leaves a run that has its record, or one that says that nothing of it was noted.
    """
    if not clusters.recorded(run_id):
        clusters.unregister(run_id)
        return
    where = clusters.folder(run_id)
    for name in (RESULTS, FILE):
        with suppress(OSError):
            (where / name).unlink()
    clusters.forget(run_id)


def _path(run_id: str) -> Path:
    return clusters.folder(run_id) / FILE


def _host(body: dict[str, Any]) -> Host:
    switch = body.pop("switch")
    commands = {name: tuple(switch[name]) for name in ("off", "on", "status")}
    return Host(**body, switch=Switch(sysrq=bool(switch["sysrq"]), **commands))
