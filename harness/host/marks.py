"""The mark that every helper process of a run carries, so that it is found when the harness that started it is dead.

It is the run's id and a secret of that run, in the environment. The secret lies in the run's entry in the machine's register
(`harness.host.state.REGISTRY`), for root's eyes only: who carries it was started by us. A variable of that name with anything else in it proves
nothing. It may be somebody's own, or that of a whalefall in a container, whose register is another one: such a process is told, and left alone.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.plain import in_line
from harness.host import private, state
from harness.host.processes import PROC, Process, pids

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "WHALEFALL_HELPER_OF"
FIELD = "mark"
"""What the secret is called in an entry of the register."""
_LONGEST = 80
"""Characters of a mark that is not ours, and pids with one, that are told."""
_PIDS = 5


def secret() -> str:
    """Return a new run's secret."""
    return secrets.token_hex(16)


def environ(run_id: str) -> dict[str, str]:
    """Return what a helper of a run has in its environment. Nothing for a run that is not registered: nobody could tell whose it is."""
    mark = _mark(run_id)
    return {VARIABLE: mark} if mark else {}


def marked(run_id: str) -> list[Process]:
    """Return this machine's helper processes of a run, the calling one left out."""
    mark = _mark(run_id)
    return [process for process, said in _carriers() if said == mark] if mark else []


def suspected() -> list[str]:
    """Say which processes of this user's carry a mark that the register does not know, a sentence for each such mark. They are nobody's to end."""
    found: dict[str, list[int]] = {}
    for process, said in _carriers():
        if (not said or said != _mark(said.partition(".")[0])) and process.alive:
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


def _mark(run_id: str) -> str:
    """Return what the helpers of a run carry, by its entry in the register; empty where that does not tell, or could be somebody else's."""
    if not state.is_run_id(run_id):
        return ""
    try:
        kept = private.record(state.REGISTRY / f"{run_id}.json").get(FIELD)
    except (OSError, HarnessError, ValueError, RecursionError):
        return ""
    return f"{run_id}.{kept}" if isinstance(kept, str) and kept else ""


def _carriers() -> Iterator[tuple[Process, str]]:
    """Yield every process of this user's that carries a mark, with what it says, the calling process left out."""
    key = f"{VARIABLE}=".encode()
    for pid in pids():
        if pid == os.getpid():
            continue
        try:
            if (PROC / str(pid)).stat().st_uid != os.geteuid():
                continue
            pairs = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for pair in pairs:
            if pair.startswith(key):
                process = Process.of(pid)
                if process is not None:
                    yield process, pair[len(key) :].decode(errors="replace")
