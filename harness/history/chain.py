"""The chain that holds the lines of a history together: a history is evidence, so it must be whole.

Every line ends with a running digest of all lines before it and of its own bytes. Nobody who knows the format is kept from writing another
history; but what was cut out, doubled, swapped, edited, glued on or lost on the way to us is missed, and where.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

from harness.core.figures import at, quick

BYTES = 8
"""Length of a digest. Far more than chance needs; against intent no digest without a secret would help."""

LONGEST = 1e8
"""Seconds after which a time cannot be one of a run (three years)."""

_KEY = b',"h":"'
_TAIL = len(_KEY) + 2 * BYTES + len(b'"}\n')


class Chain:
    """The digest of what was written until now."""

    def __init__(self) -> None:
        self._last = b""

    def link(self, body: bytes) -> bytes:
        """Return a line of a JSON object (not an empty one) with its digest as the last key and an end of line, and go on from there."""
        self._last = self._digest(body)
        return b"".join((body[:-1], _KEY, self._last, b'"}\n'))

    def holds(self, line: bytes) -> bool:
        """Whether a line is the one that `link` made at this place; if it is, go on from there."""
        body, key, digest, end = line[:-_TAIL] + b"}", line[-_TAIL : 6 - _TAIL], line[6 - _TAIL : -3], line[-3:]
        if key != _KEY or end != b'"}\n' or digest != self._digest(body):
            return False
        self._last = digest
        return True

    def _digest(self, body: bytes) -> bytes:
        return blake2b(self._last + body, digest_size=BYTES).hexdigest().encode()


@dataclass(frozen=True, slots=True)
class Breach:
    """Where a history ceases to be one whole: the line at which it breaks, and why. Nothing from there on is evidence."""

    line: int  # from 1
    index: int  # that the line should have
    time: float  # seconds of the last line that is whole; 0 if there is none
    why: str

    def __str__(self) -> str:
        return f"the history breaks at line {self.line} (index {self.index}, after {at(self.time)}): {self.why}"


class Order:
    """What the next line of a history must be. One run: opened once, first; closed once, last; indices without gaps; times that only go on."""

    def __init__(self, run: str = "") -> None:
        self._expected = run  # the run that it must be of; empty for any
        self._chain = Chain()
        self._index = 0
        self._time = 0.0
        self.closed = False
        self.run = ""

    def takes(self, line: bytes, index: int, time: float, *, opens: str | None, closes: int | None) -> str:
        """Take the next line and return an empty text, or return why it cannot be the next.

        `opens` is the run that it opens, None if it opens none; `closes` the number of lines that it says there were, None if it closes nothing.
        """
        why = _without_digest(line) or self._out_of_place(index, opens) or self._out_of_time(time) or self._foreign(opens, closes)
        if not why and not self._chain.holds(line):
            why = "its digest does not fit: this line, or one before it, is not what was recorded"
        if not why:
            self._index, self._time = index + 1, time
            self.run = self.run if opens is None else opens
            self.closed = closes is not None
        return why

    def breach(self, number: int, why: str) -> Breach:
        """Return where it breaks, for the line of that number."""
        return Breach(number, self._index, self._time, why)

    def _out_of_place(self, index: int, opens: str | None) -> str:
        if self._index and opens is not None:
            return f"another history begins here, of {_named(opens)}"
        if self.closed:
            return "something stands after the end of the history"
        if index > self._index:
            missing = index - self._index
            return f"its index is {index}: {'one line' if missing == 1 else f'{missing} lines'} before it {_are(missing)} missing"
        if index < self._index:
            return f"its index is {index}, which was there before"
        if not self._index and opens is None:
            return "no run is opened by it, so the history does not begin here"
        return ""

    def _out_of_time(self, time: float) -> str:
        if not math.isfinite(time) or time > LONGEST:
            return f"its time is {time}, which is no time of a run"
        if time < self._time:
            return f"its time is {quick(self._time - time)} before that of the line before it ({at(self._time)}): time goes back"
        return ""

    def _foreign(self, opens: str | None, closes: int | None) -> str:
        if opens is not None and self._expected and opens != self._expected:
            return f"it is the history of {_named(opens)}, not of {_named(self._expected)}"
        if closes is not None and closes != self._index:
            return f"it says that {closes} lines stand before it, and there are {self._index}"
        return ""


def _without_digest(line: bytes) -> str:
    tail = line.rstrip(b"\r\n")
    if tail[-(_TAIL - 1) : 7 - _TAIL] != _KEY:
        return "it has no digest: it was written by hand, by another program, or by an older version"
    return "it ends with CRLF: another program wrote the file anew" if line.endswith(b"\r\n") else ""


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _named(run: str) -> str:
    return f"the run {run}" if run else "a run without a name"
