"""A node that is nothing but memory, and that misbehaves when told to: for tests of whatever speaks to nodes.

It knows a handful of commands well enough to pass the node contract, and answers 127 to all others; `MemoryNode.programs` adds more.
"""

from __future__ import annotations

import fnmatch
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from harness.core import stops
from harness.core.clock import SystemClock
from harness.core.errors import CommandFailed, Unreachable
from harness.core.figures import given
from harness.core.values import Latency, Result
from harness.history import differing
from harness.host import untrusted
from harness.undo import fingerprint

Program: TypeAlias = Callable[[tuple[str, ...], bytes], Result]
"""What runs under a name: gets the whole argv and stdin. May raise what a real call may raise."""


@dataclass(eq=False)
class MemoryNode:
    """One machine in memory; see `harness.core.protocols.Node`. All attributes may be set by tests at any time.

    Its misbehaviour, each off by default: `delay` (seconds that every answer takes; from the caller's timeout on, no answer; no real time goes
    by), `hanging` (programs that end only when they are killed, in real time: by the timeout, or because the run ends), `rubbish` (bytes that
    every command prints in place of its own output), `refused` (program → exit status that it ends with, the thing undone), `raises` (number of a
    call, from 1 → what that call raises before anything is done).
    """

    name: str
    address: str
    on: bool = True
    paused: bool = False
    delay: float = 0.0
    hanging: set[str] = field(default_factory=set)
    rubbish: bytes | None = None
    refused: dict[str, int] = field(default_factory=dict)
    raises: dict[int, BaseException] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)
    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)  # path → content, mode bits
    processes: list[str] = field(default_factory=list)  # command lines of what goes on running
    cuts: dict[str, frozenset[str]] = field(default_factory=dict)  # tag → addresses whose packets are dropped
    latency: Latency = field(default_factory=Latency)
    calls: list[tuple[str, ...]] = field(default_factory=list)  # every command asked for, also those without an answer, and `put`, `get`
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Run one of the commands it knows; see `harness.core.protocols.Node.run`."""
        stops.go_on()
        asked = " ".join(argv)
        with self._lock:
            self.calls.append(argv)
            error = self.raises.get(len(self.calls))
        if error is not None:
            raise error
        self._answering(asked, timeout)
        program = PurePosixPath(argv[0]).name
        if program in self.hanging or (program == "sleep" and float(argv[1]) >= timeout and stops.listens()):
            SystemClock().wait(threading.Event(), timeout)
            raise Unreachable(self.name, asked, f"no end of it after {given(timeout)}; it was killed")
        if program in self.refused:
            return Result(argv, self.refused[program], b"", f"{program}: refused\n".encode())
        if program == "sleep" and float(argv[1]) >= timeout:
            raise Unreachable(self.name, asked, f"no end of it after {given(timeout)}; it was killed")
        known: Mapping[str, Program] = {
            **_BUILT_IN,
            "stat": self._stat,
            "rm": self._rm,
            "pgrep": self._pgrep,
            "python3": self._python3,
            **self.programs,
        }
        if program not in known:
            return Result(argv, 127, b"", f"{program}: not found\n".encode())
        result = known[program](argv, stdin)
        if program == "cat" and len(argv) > 1:
            result = self._cat(argv)
        return result if self.rubbish is None else Result(argv, result.exit, self.rubbish, result.err)

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Copy a file into memory; see `harness.core.protocols.Node.put`."""
        self._answering(f"put {target}", 30.0)
        if "put" in self.refused:
            raise CommandFailed(self.name, ("put", str(source), str(target)), self.refused["put"], "refused")
        self.files[str(target)] = untrusted.sent(source)

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Copy a file out of memory; see `harness.core.protocols.Node.get`."""
        self._answering(f"get {source}", 30.0)
        if str(source) not in self.files:
            raise CommandFailed(self.name, ("get", str(source), str(target)), 1, f"{source}: no such file")
        untrusted.write(target.parent, target.name, self.files[str(source)][0])

    def lose_power(self) -> None:
        """Forget what a machine forgets without power: processes, rules, and files under /run. Disk files stay, and what slows the disk."""
        self.on = self.paused = False
        self.processes.clear()
        self.cuts.clear()
        for path in [each for each in self.files if each.startswith("/run/")]:
            del self.files[path]

    def _answering(self, asked: str, timeout: float) -> None:
        if not self.on:
            raise Unreachable(self.name, asked, "the machine is off")
        if self.delay >= timeout:
            raise Unreachable(self.name, asked, f"no end of it after {given(timeout)}; it was killed")

    def _cat(self, argv: tuple[str, ...]) -> Result:
        names = [each for each in argv[1:] if each != "--"]
        missing = [each for each in names if each not in self.files]
        if missing:
            return Result(argv, 1, b"", f"cat: {missing[0]}: No such file or directory\n".encode())
        return Result(argv, 0, b"".join(self.files[each][0] for each in names), b"")

    def _stat(self, argv: tuple[str, ...], stdin: bytes) -> Result:  # noqa: ARG002 - the shape of a program
        path = argv[-1]
        if path not in self.files:
            return Result(argv, 1, b"", f"stat: cannot stat {path!r}\n".encode())
        return Result(argv, 0, f"{self.files[path][1]:o}\n".encode(), b"")

    def _rm(self, argv: tuple[str, ...], stdin: bytes) -> Result:  # noqa: ARG002 - the shape of a program
        for path in argv[1:]:
            with suppress(KeyError):
                del self.files[path]
        return Result(argv, 0, b"", b"")

    def _pgrep(self, argv: tuple[str, ...], stdin: bytes) -> Result:  # noqa: ARG002 - the shape of a program
        found = [number for number, line in enumerate(self.processes, 1) if re.search(argv[-1], line)]
        return Result(argv, 0 if found else 1, "".join(f"{each}\n" for each in found).encode(), b"")

    def _python3(self, argv: tuple[str, ...], stdin: bytes) -> Result:  # noqa: ARG002 - the shape of a program
        """Know one program, that of the fingerprint: see `harness.undo.fingerprint`."""
        if fingerprint.PROGRAM not in argv:
            return Result(argv, 127, b"", b"python3: only the fingerprint's program is known here\n")
        body: dict[str, Sequence[str]] = {aspect: [] for aspect in differing.ASPECTS if aspect != "disk"}
        body["nft_tables"] = [f"whalefall_{tag}" for tag in self.cuts]
        body["marks"] = fnmatch.filter(self.files, "/run/whalefall/*")
        return Result(argv, 0, repr(body).encode(), b"")


def _printf(argv: tuple[str, ...], stdin: bytes) -> Result:  # noqa: ARG001 - the shape of a program
    """Know one format: every argument followed by a zero byte."""
    return Result(argv, 0, b"".join(each.encode() + b"\0" for each in argv[2:]), b"")


def _sh(argv: tuple[str, ...], stdin: bytes) -> Result:
    """Know ``exit N``, ``cat >&2`` and ``kill -N $$``."""
    script = argv[2] if len(argv) > 2 else ""  # noqa: PLR2004 - sh -c SCRIPT
    if match := re.fullmatch(r"exit (\d+)", script):
        return Result(argv, int(match[1]) & 0xFF, b"", b"")
    if match := re.fullmatch(r"kill -(\d+) \$\$", script):
        return Result(argv, 128 + int(match[1]), b"", b"")
    if script == "cat >&2":
        return Result(argv, 0, b"", stdin)
    return Result(argv, 127, b"", f"sh: {script}: not found\n".encode())


_BUILT_IN: Mapping[str, Program] = {
    "true": lambda argv, _: Result(argv, 0, b"", b""),
    "false": lambda argv, _: Result(argv, 1, b"", b""),
    "echo": lambda argv, _: Result(argv, 0, " ".join(argv[1:]).encode() + b"\n", b""),
    "cat": lambda argv, stdin: Result(argv, 0, stdin, b""),
    "sleep": lambda argv, _: Result(argv, 0, b"", b""),
    "printf": _printf,
    "sh": _sh,
}
