"""What a command says, heard to its end and never beyond what is kept: one that talks without an end fills no memory, and its time is kept."""

from __future__ import annotations

import errno
import math
import os
import selectors
import subprocess
from contextlib import suppress
from typing import IO

from harness.core import stops
from harness.core.clock import SystemClock

MOST_SAID = 64 << 20
"""Bytes that one command may say. What is cut off would be no answer: whoever reads a list would take it for the whole."""
LONGEST_LINE = 1 << 20
"""Bytes of one line of a command that is read line by line."""
_PIECE = 1 << 16
_AT_ONCE = 3600.0
"""Seconds that are waited without a look at how long it has been: no longer time fits into what the kernel is asked."""


TOO_MUCH = f"it said more than {MOST_SAID >> 20} MiB, which nobody keeps"


class SaidTooMuch(OSError):
    """A command says more than anybody keeps."""

    def __init__(self) -> None:
        super().__init__(errno.EMSGSIZE, TOO_MUCH)


def heard(child: subprocess.Popen[bytes], seconds: float | None, told: bytes = b"") -> tuple[bytes, bytes]:
    """Feed a command what it is `told`, and return what it said (output, errors) when it is over, which it is then.

    Raises `subprocess.TimeoutExpired` after `seconds` (None: whenever it ends), `SaidTooMuch`, and what `stops.go_on` raises; the command is left as
    it is then, for the caller to end.
    """
    said: dict[IO[bytes], bytearray] = {pipe: bytearray() for pipe in (child.stdout, child.stderr) if pipe is not None}
    left = memoryview(told)
    with selectors.PollSelector() as ready:
        for pipe, words in said.items():
            ready.register(pipe, selectors.EVENT_READ, words)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            ready.register(child.stdin, selectors.EVENT_WRITE)
        for wait in stops.slices(math.inf if seconds is None else seconds, SystemClock()):
            if not ready.get_map():
                with suppress(subprocess.TimeoutExpired):
                    child.wait(min(wait, _AT_ONCE))
                    break
            for key, _ in ready.select(min(wait, _AT_ONCE)) if ready.get_map() else ():
                if key.data is None:
                    left = left[_fed(key.fd, left) :]
                    over = not left
                else:
                    piece = os.read(key.fd, _PIECE)
                    key.data.extend(piece)
                    over = not piece
                if sum(map(len, said.values())) > MOST_SAID:
                    raise SaidTooMuch
                if over:
                    ready.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr] # each is a pipe of its
        out, err = (b"" if pipe is None else bytes(said[pipe]) for pipe in (child.stdout, child.stderr))
    if child.returncode is None:
        raise subprocess.TimeoutExpired(child.args, seconds or 0.0, out, err)
    return out, err


def _fed(fd: int, left: memoryview) -> int:
    """Write what a command takes now, and return how much that was: all, where it does not read any more."""
    try:
        return os.write(fd, left)
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(left)
