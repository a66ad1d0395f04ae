"""What is broken right now and how to mend it, on disk before anything is broken.

``ledger.jsonl`` holds a line when a fault is decided and one when it is mended. A line needs nothing beside itself and the provider's own records:
`whalefall heal` in another process can mend what it says. A line that cannot be written whole is taken back, and the fault is not made; one that
cannot be read is told, and the others are read all the same.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import registry
from harness.core import pace, parameters, stops
from harness.core.clock import SystemClock
from harness.core.errors import Expired, FaultFailed, HarnessError, gist, in_words
from harness.core.values import HERE
from harness.host import locks, marks, private, untrusted
from harness.host.processes import Process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.core.clock import Clock
    from harness.core.protocols import Fault
    from harness.core.values import Json


_KIND = "fault on this machine"
LARGEST = 16 << 20
"""Largest ledger that is read, in bytes: a line has some hundred, and a run some faults."""


LOCK_SECONDS = 10.0
"""How long a heal in another process may keep us from writing a line. It takes milliseconds."""


MOST_TOLD = 20
"""Lines that cannot be read are told one by one up to here."""


LONGEST_NAME = 255
"""Letters of a node's, a run's or a fault's name: the longest that a host may have, and a folder."""


MOST_OPEN = 200
"""Faults that a run may have open at once: some for each node. To look at one takes some 13 ms, and those of other runs wait meanwhile."""


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One fault that was decided."""

    run_id: str
    provider: str
    mode: str
    number: int  # of the fault in its run, from 1
    name: str
    parameters: Mapping[str, Json]
    targets: tuple[str, ...]  # node names
    wall: float  # seconds since the epoch
    conductor: tuple[int, int] = (0, 0)  # pid and start of the process that will heal it while it lives
    seal: str = ""  # of a fault on this machine: proves that a run of this machine wrote the line

    @property
    def here(self) -> bool:
        """Whether it was made on this machine, which goes on when the cluster is gone."""
        return HERE in self.targets

    @property
    def proven(self) -> bool:
        """Whether it may be acted by: a line whose commands are for this machine only where a run of this machine has sealed it.

        All others are acted by on nodes that the provider's own records know. But results are handed around, and what a ledger from elsewhere says
        must not be run here. The seal can be told for as long as this machine has a run (`harness.host.marks`).
        """
        return not self.here or marks.proves(self.seal, self.run_id, self._sealed())

    def _sealed(self) -> str:
        """Return what the seal is of: all that mending goes by."""
        return json.dumps([_KIND, self.provider, self.mode, self.number, self.name, dict(self.parameters), self.targets], sort_keys=True)

    def with_seal(self) -> LedgerLine:
        """Return it sealed. Raises `HarnessError` where this machine has no key."""
        seal = marks.proof(self.run_id, self._sealed())
        if not seal:
            raise HarnessError(
                f"{self.name} on this machine is not made: nobody could prove later that this machine wrote how to mend it, since its register has "
                "no key for the run"
            )
        return dataclasses.replace(self, seal=seal)

    @property
    def attended(self) -> bool:
        """Whether the process that made the fault still lives, and so will mend it itself."""
        return Process(*self.conductor).alive

    @property
    def fault(self) -> Fault:
        """The fault itself, ready to heal. Raises `FaultFailed` for one that neither this version nor a plug-in knows."""
        try:
            fault: Fault = parameters.build(registry.usable().known.faults[self.name], self.parameters)
        except (KeyError, ValueError, TypeError) as error:
            raise FaultFailed(
                f"the ledger names {self.name} with {gist(str(dict(self.parameters)))}, which neither this version nor a plug-in here knows: "
                f"{gist(str(error))}"
            ) from error
        return fault


@dataclass(frozen=True, slots=True)
class OpenFaults:
    """What a ledger says, as far as it can be read."""

    lines: tuple[LedgerLine, ...]  # faults that were opened and not closed, the newest first
    bad: tuple[str, ...]  # what cannot be read, a sentence each with file and line: what it says may be broken still
    there: bool = True  # whether there is a ledger at all

    @property
    def settled(self) -> bool:
        """Whether all that was opened was closed, as far as can be told; no where a line, or all of it, cannot be read, or where it is gone."""
        return self.there and not (self.lines or self.bad)


class Ledger:
    """Writes lines, each whole on disk (fsync) before `open` or `close` returns."""

    def __init__(self, path: Path, run_id: str, provider: str, mode: str, clock: Clock) -> None:
        """Make the file. Raises `HarnessError` where that cannot be done."""
        self.path = path
        self._run_id = run_id
        self._provider = provider
        self._mode = mode
        self.clock = clock
        try:
            private.opened(path, "ab").close()  # root acts by what stands there
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)  # the file's name, too
            finally:
                os.close(folder)
        except OSError as error:
            raise HarnessError(f"the ledger {path} cannot be made: {error.strerror}; nothing was created; {_remedy(error)}") from error

    def open(self, number: int, fault: Fault, targets: Sequence[str]) -> LedgerLine:
        """Note that a fault is about to be made. Raises `HarnessError` where that is not on disk: then the fault must not be made."""
        try:
            values = parameters.read(fault)
        except (ValueError, TypeError) as error:
            raise HarnessError(
                f"{fault.name} on {', '.join(targets)} is not made: its parameters cannot be written down: {error}"
            ) from error
        mine = Process.of(os.getpid())
        conductor = (mine.pid, mine.started) if mine else (0, 0)
        line = LedgerLine(
            self._run_id, self._provider, self._mode, number, fault.name, values, tuple(targets), self.clock.wall(), conductor
        )
        if line.here:
            line = line.with_seal()
        body = {"state": "open", **dataclasses.asdict(line)}
        try:
            again: Any = untrusted.loads(_raw(body))
            _line(again)  # whoever mends it after us must be able to read it
            _append(self.path, body)
        except (ValueError, TypeError, RecursionError) as error:
            raise HarnessError(
                f"{fault.name} on {', '.join(targets)} is not made: nobody could mend it after us, since {dict(values)} cannot be written down: "
                f"{error}"
            ) from error
        except OSError as error:
            raise HarnessError(
                f"{fault.name} on {', '.join(targets)} is not made: nobody could mend it after us, since its line cannot be written to "
                f"{self.path}: {error.strerror}; {_remedy(error)}"
            ) from error
        return line

    def close(self, number: int, by: str = "conductor") -> None:
        """Note that nothing is left of a fault. Raises `HarnessError` where that cannot be noted: it is mended all the same."""
        try:
            settle(self.path, [number], by, self.clock)
        except OSError as error:
            raise HarnessError(
                f"fault {number} is mended, but that cannot be written to {self.path}: {error.strerror}; {_remedy(error)}"
            ) from error


def settle(path: Path, numbers: Sequence[int], by: str, clock: Clock) -> None:
    """Close lines, also from another process. Raises `OSError`."""
    with stops.deaf():
        for number in numbers:
            _append(path, {"state": "closed", "number": number, "by": by, "wall": clock.wall()})


def unsettled(path: Path) -> list[LedgerLine]:
    """Return the faults that were opened and not closed, the newest first, as far as the ledger can be read; see `read`."""
    return list(read(path).lines)


def all_settled(path: Path) -> bool:
    """Whether all that was opened was closed; see `OpenFaults.settled`."""
    return read(path).settled


def read(path: Path, *, to_act: bool = False) -> OpenFaults:
    """Read a ledger. Never raises: what cannot be read is told beside what can.

    A torn last line was never acted on: the fault came after it. Nor was anything where there is no ledger. `to_act`: it is to be acted by. Lines
    hold commands for root to run on nodes, so nothing is taken from a file that somebody else wrote, or may have: a results folder may be anybody's.
    """
    try:
        lines = _content(path, ours=to_act).split(b"\n")[:-1]
    except FileNotFoundError:
        return OpenFaults((), (), there=False)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return OpenFaults((), (f"the ledger {path} cannot be read: {reason}; what it says may be broken still",))
    found: dict[int, LedgerLine] = {}
    bad: list[str] = []
    for place, raw in enumerate(lines, start=1):
        try:
            body: Any = untrusted.loads(raw)
            if _state(body) == "open":
                line = _line(body)
                found[line.number] = line
            else:
                found.pop(_number(body), None)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one line, the others are read: it is what a heal goes by
            if len(bad) >= MOST_TOLD:
                bad[MOST_TOLD - 1] = (
                    f"{path}: {MOST_TOLD} lines and more are no lines of a ledger; skipped; what they say may be broken still"
                )
                continue
            shown = raw[:60].decode(errors="replace")
            bad.append(f"{path}:{place} is no line of a ledger ({in_words(error)}): {shown!r}; skipped; it may be broken still")
    newest = sorted(found.values(), key=lambda line: -line.number)
    if len(newest) > MOST_OPEN:
        bad.append(
            f"{path}: {len(newest)} faults are open, which no run has; the newest {MOST_OPEN} are looked at, and the others may be broken still"
        )
    return OpenFaults(tuple(newest[:MOST_OPEN]), tuple(bad))


def _content(path: Path, *, ours: bool) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        if ours and found.st_uid not in {0, os.geteuid()}:
            raise ValueError(f"it belongs to user {found.st_uid}, and what it says would be done as another")
        if ours and found.st_mode & private.OTHERS_MAY_WRITE:
            raise ValueError(f"others may write it (mode {stat.S_IMODE(found.st_mode):o}), and what it says would be done")
        if found.st_size > LARGEST:
            raise ValueError(f"it has {found.st_size} bytes; a ledger has {LARGEST} at most")
        return file.read(LARGEST)


def _state(body: Any) -> str:
    if not isinstance(body, dict) or body.get("state") not in {"open", "closed"}:
        raise ValueError("neither opened nor closed")
    return str(body["state"])


def _is_name(said: Any) -> bool:
    return isinstance(said, str) and len(said) <= LONGEST_NAME


def _number(body: dict[str, Any]) -> int:
    number = body["number"]
    if type(number) is not int:
        raise TypeError("its number is none")
    return number


def _wall(body: dict[str, Any]) -> float:
    wall = body["wall"]
    if type(wall) not in {int, float}:
        raise TypeError("its time is none")
    return float(wall)  # finite: `untrusted.loads` refuses what no field holds


def _line(body: dict[str, Any]) -> LedgerLine:
    """Make a line of what was read. Raises `ValueError`, `TypeError` or `LookupError` for what no ledger wrote."""
    targets, conductor, given = body["targets"], body["conductor"], body["parameters"]
    if not isinstance(targets, list) or not all(_is_name(each) for each in targets):
        raise TypeError("its targets are no names")
    if not isinstance(conductor, list) or [type(each) for each in conductor] != [int, int] or not all(each >= 0 for each in conductor):
        raise TypeError("its conductor is no process")
    if not isinstance(given, dict):
        raise TypeError("its parameters are none")
    words = {**{name: body[name] for name in ("run_id", "provider", "mode", "name")}, "seal": body.get("seal", "")}
    if not all(_is_name(each) for each in words.values()):
        raise TypeError("its run, provider, mode, fault or seal is no name")
    return LedgerLine(
        number=_number(body),
        parameters=given,
        targets=tuple(targets),
        wall=_wall(body),
        conductor=(conductor[0], conductor[1]),
        **words,
    )


def _raw(body: Mapping[str, object]) -> bytes:
    """Spell a line. Raises `ValueError` for what is no JSON."""
    return json.dumps(body, allow_nan=False).encode() + b"\n"


def _append(path: Path, body: Mapping[str, object]) -> None:
    """Put one line on disk, whole, or raise `OSError` and leave the file as it was. The file must be there, and be no link."""
    raw = _raw(body)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        _lock(file, path)  # a heal in another process may write, too
        end = os.lseek(file, 0, os.SEEK_END)
        if end and os.pread(file, 1, end - 1) != b"\n":
            raw = b"\n" + raw  # after somebody who died in the middle of a line
        try:
            _write_whole(file, raw)
            os.fsync(file)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(file, end)
            raise
    finally:
        os.close(file)


def _lock(file: int, path: Path) -> None:
    """Be the only one that writes. Raises `OSError` that says who else does, where that one does not come to an end."""
    try:
        locks.awaited(
            lambda: locks.taken(file), path, what="its turn to write", seconds=pace.limit(LOCK_SECONDS), clock=SystemClock(), every=0.01
        )
    except (locks.HeldUp, Expired) as error:
        raise OSError(errno.EAGAIN, str(error), str(path)) from error


def _write_whole(file: int, raw: bytes) -> None:
    """Write all of it: a disk that is nearly full takes a part, and says so only by how much it took."""
    left = memoryview(raw)
    while left:
        written = os.write(file, left)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        left = left[written:]


def _remedy(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "was the run's folder removed while it ran?"
    if error.errno == errno.EAGAIN:
        return "then try again"
    if error.errno == errno.EFBIG:
        return "raise the limit on the size of files (ulimit -f)"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "make room, or choose another folder for results"
    return "choose another folder for results"
