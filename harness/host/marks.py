"""What proves that something of this machine was made by a run of ours: a word that only whoever reads the register's key can make.

The key lies in the register (`harness.host.state.REGISTRY`) for root's eyes only, from the first run on until the last is gone. Its word for a run is
in the environment of the run's helpers; its network namespaces, its control groups and its entry of the register have one of their own each, since
whatever runs on a node can read that of its namespace. So a run is proven also when its entry is gone. A name alone proves nothing: it may be
somebody's own, or that of a whalefall in a container, whose register is another one. What only bears such a name is told, and left alone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.plain import in_line
from harness.host import private, state
from harness.host.processes import PROC, Process, pids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARIABLE = "WHALEFALL_HELPER_OF"
BEGUN_BY = "WHALEFALL_BEGUN_BY"
"""The process without which a helper is of no use, by its pid and its start; those that are to outlive who began them have none."""
KEY = "key"
"""What the key's file is called in the register's folder."""
_KEY_BYTES = 32
_LONGEST = 80
"""Characters of a mark that is not ours, and pids with one, that are told."""
_PIDS = 5


def have_key() -> None:
    """Make the register's key, unless it has one that can be used. For whoever is alone with the register. Raises `OSError`."""
    if not _key():
        fresh = state.REGISTRY / f"{KEY}.new"
        with private.opened(fresh, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(state.REGISTRY / KEY)


def forget_key() -> None:
    """Remove the key, when no run is left. For whoever is alone with the register. Twice is fine."""
    for name in (KEY, f"{KEY}.new"):
        (state.REGISTRY / name).unlink(missing_ok=True)


def proof(run_id: str, of: str = "run") -> str:
    """Return the word that proves something to be of a run: 32 letters and digits. Empty where the register has no key, or the id is none of ours."""
    key = _key()
    if not key or not state.is_run_id(run_id):
        return ""
    return hmac.new(key, f"{of}\0{run_id}".encode(), hashlib.sha256).hexdigest()[:32]


def proves(said: object, run_id: str, of: str = "run") -> bool:
    """Whether what somebody shows is the word of a run."""
    mine = proof(run_id, of)
    return bool(mine) and isinstance(said, str) and hmac.compare_digest(said.encode(errors="backslashreplace"), mine.encode())


def mark(run_id: str) -> str:
    """Return a run's id with its word behind it. Empty as `proof` is."""
    word = proof(run_id)
    return f"{run_id}.{word}" if word else ""


def run_of(said: str) -> str:
    """Return the run whose `mark` this is; empty where it is none."""
    run_id = said.partition(".")[0]
    return run_id if said and said == mark(run_id) else ""


def environ(run_id: str) -> dict[str, str]:
    """Return what a helper of a run has in its environment. Nothing where there is no key: nobody could tell whose it is."""
    mine = mark(run_id)
    return {VARIABLE: mine} if mine else {}


def environ_for_us(run_id: str) -> dict[str, str]:
    """Return what a helper has in its environment that is of no use once this process has ended: `orphans` finds it then."""
    mine = Process.of(os.getpid())
    return {**environ(run_id), **({BEGUN_BY: f"{mine.pid}.{mine.started}"} if mine else {})}


def marked(run_id: str) -> list[Process]:
    """Return this machine's helper processes of a run, the calling one left out."""
    mine = mark(run_id)
    return [process for process, said, _ in _carriers() if said == mine] if mine else []


def orphans(run_id: str) -> list[Process]:
    """Return those helper processes of a run that are of no use any more: who began them has ended."""
    mine = mark(run_id)
    return [process for process, said, by in _carriers() if mine and said == mine and by is not None and not by.alive]


def runs() -> set[str]:
    """Return the ids of all runs that have helper processes on this machine, the calling one left out."""
    return {run_id for process, said, _ in _carriers() if (run_id := run_of(said)) and process.alive}


def suspected() -> list[str]:
    """Say which processes of this user's carry a mark that is none of ours, a sentence for each such mark. They are nobody's to end."""
    found: dict[str, list[int]] = {}
    for process, said, _ in _carriers():
        if not run_of(said) and process.alive:
            found.setdefault(said.partition(".")[0][:_LONGEST], []).append(process.pid)
    told = []
    for run, numbers in sorted(found.items()):
        more = f" and {len(numbers) - _PIDS} more" if len(numbers) > _PIDS else ""
        who = f"process{'' if len(numbers) == 1 else 'es'} {', '.join(str(each) for each in sorted(numbers)[:_PIDS])}{more}"
        told.append(
            in_line(
                f"{who}: left alone, {VARIABLE} names the run {run!r} there, but this machine's register does not say that they are of it"
            )
        )
    return told


def _key() -> bytes:
    """Return the register's key; nothing where there is none, or it could be somebody else's."""
    try:
        found = private.read(state.REGISTRY / KEY)
    except (OSError, HarnessError):
        return b""
    return found if len(found) == _KEY_BYTES else b""


def _carriers() -> Iterator[tuple[Process, str, Process | None]]:
    """Yield every process of this user's that carries a mark, with what it says and by whom it was begun, the calling process left out."""
    for pid in pids():
        if pid == os.getpid():
            continue
        try:
            if (PROC / str(pid)).stat().st_uid != os.geteuid():
                continue
            pairs = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        said = _first(pairs, VARIABLE)
        process = Process.of(pid) if said is not None else None
        if said is not None and process is not None:
            yield process, said, _begun_by(_first(pairs, BEGUN_BY) or "")


def _first(pairs: Sequence[bytes], name: str) -> str | None:
    """Return what an environment says under a name, or None."""
    start = f"{name}=".encode()
    return next((each[len(start) :].decode(errors="replace") for each in pairs if each.startswith(start)), None)


def _begun_by(said: str) -> Process | None:
    """Return the process that `BEGUN_BY` names, or None."""
    pid, _, started = said[:_LONGEST].partition(".")
    return Process(int(pid), int(started)) if pid.isdecimal() and started.isdecimal() else None
