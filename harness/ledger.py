"""What is broken right now and how to mend it, on disk before anything is broken.

``ledger.jsonl`` holds a line when a fault is decided and one when it is mended. A line needs nothing beside itself and the provider's own records:
`whalefall heal` in another process can mend what it says.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import parameters
from harness.errors import FaultFailed
from harness.faults import FAULTS
from harness.processes import Process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.clock import Clock
    from harness.protocols import Fault
    from harness.values import Json


@dataclass(frozen=True, slots=True)
class Line:
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

    @property
    def attended(self) -> bool:
        """Whether the process that made the fault still lives, and so will mend it itself."""
        return Process(*self.conductor).alive

    @property
    def fault(self) -> Fault:
        """The fault itself, ready to heal. Raises `FaultFailed` for one that this version does not know."""
        try:
            fault: Fault = parameters.build(FAULTS[self.name], self.parameters)
        except (KeyError, ValueError) as error:
            raise FaultFailed(
                f"the ledger names {self.name} with {dict(self.parameters)}, which this version does not know: {error}"
            ) from error
        return fault


class Ledger:
    """Writes lines, each on disk (fsync) before `open` or `close` returns."""

    def __init__(self, path: Path, run_id: str, provider: str, mode: str, clock: Clock) -> None:
        self.path = path
        self._run_id = run_id
        self._provider = provider
        self._mode = mode
        self._clock = clock
        path.touch()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the file's name, too
        finally:
            os.close(folder)

    def open(self, number: int, fault: Fault, targets: Sequence[str]) -> Line:
        """Note that a fault is about to be made."""
        values = parameters.read(fault)
        mine = Process.of(os.getpid())
        conductor = (mine.pid, mine.started) if mine else (0, 0)
        line = Line(self._run_id, self._provider, self._mode, number, fault.name, values, tuple(targets), self._clock.wall(), conductor)
        _append(self.path, {"state": "open", **dataclasses.asdict(line)})
        return line

    def close(self, number: int, by: str = "conductor") -> None:
        """Note that nothing is left of a fault."""
        _append(self.path, {"state": "closed", "number": number, "by": by, "wall": self._clock.wall()})


def _append(path: Path, body: Mapping[str, object]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(file, json.dumps(body).encode() + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def settle(path: Path, numbers: Sequence[int], by: str, clock: Clock) -> None:
    """Close lines from another process."""
    for number in numbers:
        _append(path, {"state": "closed", "number": number, "by": by, "wall": clock.wall()})


def unsettled(path: Path) -> list[Line]:
    """Return the faults that were opened and not closed, the newest first. A torn last line was never acted on: the fault came after it."""
    found: dict[int, Line] = {}
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    for raw in lines:
        body = json.loads(raw)
        if body.pop("state") == "open":
            body["targets"] = tuple(body["targets"])
            body["conductor"] = tuple(body["conductor"])
            line = Line(**body)
            found[line.number] = line
        else:
            found.pop(body["number"], None)
    return sorted(found.values(), key=lambda line: -line.number)
