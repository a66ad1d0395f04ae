"""Commands on one connection: started in two steps, ended by the guard, and never more at once than the other side allows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress

from harness.core import stops
from harness.core.clock import Clock, Deadline
from harness.core.errors import HarnessError
from harness.host import talk
from harness.nodes.ssh import words
from harness.nodes.ssh.losing import Lost
from harness.nodes.ssh.wire import Bell, Link, Wire

SESSIONS = 9
"""Commands at once on one connection. sshd's MaxSessions is 10, and the guard is one; one more makes another connection."""
GONE_SECONDS = 1.0
"""How long a killed command is waited for: one that waits for a stalled disk cannot die."""
_LONGEST_NOISE = 64 * 1024


class GuardedLink:
    """A connection with its guard, and room for so many commands. What has not started a command by the time it is lost can be tried on another."""

    def __init__(self, link: Link, clock: Clock, *, sudo: bool, deadline: Deadline) -> None:
        """Start the guard. Raises `Lost`, `Refused`, or `HarnessError` where sudo or the login shell is of no use."""
        self.link = link
        self._clock = clock
        self._sudo = sudo
        self._lock = threading.Lock()
        self._used = 0
        self._room = SESSIONS
        self._retired = False
        self._guard = link.session(deadline)
        bell = Bell()
        self._guard.ring(bell)
        self._guard.start(words.guard(sudo=sudo))
        hello = memoryview(words.HELLO)
        out, err = bytearray(), bytearray()
        while words.ENTERED.search(out) is None:
            bell.hush()
            over = self._guard.closed
            hello = hello[self._guard.push(hello) :]  # sshd takes nothing before it has started the shell
            more, error = self._guard.pull()
            out += more
            err += error
            _bounded_noise(out, err)
            if (more or error) and not deadline.expired:
                continue
            if over:
                raise _shell_trouble(link, bytes(err or out), sudo=sudo)
            if not clock.wait(bell, deadline.left()) and deadline.expired:
                raise Lost("its shell gives no answer")

    @property
    def alive(self) -> bool:
        """Whether commands can be started: the connection and the guard are there."""
        return self.link.is_active() and not self._guard.closed

    def take(self) -> int:
        """Take one of the places for commands. Returns how many are taken then, 0 if there was none."""
        with self._lock:
            if self._used >= self._room or self._retired:
                return 0
            self._used += 1
            return self._used

    def give(self) -> None:
        """Give a place back."""
        with self._lock:
            self._used -= 1
            last = self._retired and self._used <= 0
        if last:
            self.link.drop()

    def full(self, taken: int) -> bool:
        """Note that the other side refused a command when so many places were taken, or more by now. False if it was the only one.

        How many are left when that is handled says nothing: those that were in its way may be over.
        """
        with self._lock:
            self._room = max(taken, self._used) - 1
            return self._room > 0

    def retire(self) -> None:
        """Start nothing more; close once the last command is done."""
        with self._lock:
            self._retired = True
            idle = self._used <= 0
        if idle:
            self.link.drop()

    def tell(self, word: bytes) -> None:
        """Tell the guard something. Raises `Lost` when it is gone."""
        if self._guard.closed or self._guard.push(memoryview(word)) < len(word):
            raise Lost("the guard on the node was ended")

    def start(self, argv: Sequence[str], deadline: Deadline, *, quiet: bool = False) -> RunningCommand:
        """Bring a command to the point at which one word starts it. Holds one of the places, which must have been taken.

        Raises `Lost` (nothing was started), `Refused`, or `HarnessError`.
        """
        line = words.command(argv, sudo=self._sudo, quiet=quiet)
        wire = self.link.session(deadline)
        try:
            return RunningCommand(self, wire, line, deadline, self._clock)
        except BaseException:
            wire.drop()
            raise


class RunningCommand:
    """One command: waiting for its start, then running, then over."""

    def __init__(self, line: GuardedLink, wire: Wire, command: bytes, deadline: Deadline, clock: Clock) -> None:
        self.wire = wire
        self._line = line
        self._clock = clock
        self._bell = Bell()
        self._out, self._err = bytearray(), bytearray()
        self._lock = threading.Lock()
        self._over = False
        self.started = False
        self.first: float | None = None  # when its first output came
        wire.ring(self._bell)
        wire.start(command)
        while (entered := words.ENTERED.search(self._out)) is None:
            self._bell.hush()
            _bounded_noise(self._out, self._err)
            if self._look() and not deadline.expired:
                continue
            if wire.closed:
                raise Lost(self._line.link.why if not self._line.link.is_active() else _said(bytes(self._err)))
            if not clock.wait(self._bell, deadline.left()) and deadline.expired:
                raise Lost("its shell gives no answer")
        self._groups = [int(each) for each in entered.groups() if each]
        del self._out[: entered.end()]
        line.tell(words.begun(self._groups))

    def go(self) -> None:
        """Start the command. Raises `Lost`, after which it may or may not have been started."""
        self.started = True
        if self.wire.push(memoryview(words.GO)) < len(words.GO):
            raise Lost("it was gone before the command began")

    def exchange(self, stdin: bytes, deadline: Deadline) -> bool:
        """Feed the command and gather what it says until it is over; False when time is up before that.

        Raises `Lost`, also where it says more than anybody keeps, and what `stops.go_on` raises.
        """
        pending = memoryview(stdin)
        open_end = True
        while True:
            self._bell.hush()
            over = self.wire.closed
            if pending:
                pending = pending[self.wire.push(pending) :]
            if not pending and open_end and not over:
                self.wire.finish()
                open_end = False
            came = self._look()
            if len(self._out) + len(self._err) > talk.MOST_SAID:
                raise Lost(talk.TOO_MUCH)
            if over and not came:
                return True
            if deadline.expired:
                return False
            if came:
                stops.go_on()
            else:
                self._clock.wait(self._bell, deadline.left())

    def feed(self, stdin: bytes, deadline: Deadline) -> bool:
        """Feed the command all of its input, without looking at what it says; False when time is up before that. Raises `Lost`."""
        pending = memoryview(stdin)
        while pending and not self.wire.closed:
            self._bell.hush()
            pending = pending[self.wire.push(pending) :]
            if pending and not self.wire.closed and not self._clock.wait(self._bell, deadline.left()) and deadline.expired:
                return False
        if not self.wire.closed:
            self.wire.finish()
        return True

    @property
    def out(self) -> bytes:
        """What it has said on its output."""
        return bytes(self._out)

    @property
    def err(self) -> bytes:
        """What it has said on its error output."""
        return bytes(self._err)

    @property
    def status(self) -> int | None:
        """Its exit status; None where it has none: the connection was lost, or its shell was killed."""
        return None if self.wire.exit_status < 0 else self.wire.exit_status

    @property
    def why(self) -> str:
        """Why there is no status, in words."""
        return "its shell was killed on the node" if self._line.link.is_active() else self._line.link.why

    def done(self) -> None:
        """Let go of a command that is over. Twice is fine, also from several threads."""
        if self._first_to_end():
            with suppress(Lost):
                self._line.tell(words.ended(self._groups))
            self.wire.drop()
            self._line.give()

    def kill(self, seconds: float = GONE_SECONDS) -> None:
        """End a command that runs, all of its session, and wait `seconds` at most for its end. Twice is fine, also from several threads.

        One that was not started never is.
        """
        if not self._first_to_end():
            return
        try:
            if self.started and not self.wire.closed:
                with suppress(Lost), stops.deaf():
                    self._line.tell(words.end(self._groups))
                    gone = Deadline(self._clock, seconds)
                    while not self.wire.closed and not gone.expired:
                        self._bell.hush()
                        if not any(self.wire.pull()) and not self.wire.closed:  # what it says by now nobody wants
                            self._clock.wait(self._bell, gone.left())
            with suppress(Lost):
                self._line.tell(words.ended(self._groups))
        finally:
            self.wire.drop()
            self._line.give()

    def _first_to_end(self) -> bool:
        with self._lock:
            first, self._over = not self._over, True
        return first

    def _look(self) -> bool:
        """Take in what has come; whether that was anything."""
        out, err = self.wire.pull()
        if out and self.first is None and self.started:
            self.first = self._clock.now()
        self._out += out
        self._err += err
        return bool(out or err)


def _bounded_noise(out: bytes | bytearray, err: bytes | bytearray) -> None:
    """Raise `HarnessError` where a login shell has more to say, before what it is to run, than any has."""
    if (said := len(out) + len(err)) > _LONGEST_NOISE:
        raise HarnessError(f"its login shell prints {said} bytes and more before a command begins; make its profile quiet")


def _said(err: bytes) -> str:
    text = err.decode(errors="replace").strip()
    return f"its shell ended before the command began{': ' + text if text else ''}"


def _shell_trouble(link: Link, said: bytes, *, sudo: bool) -> Exception:
    if not link.is_active():
        return Lost(link.why)
    text = said.decode(errors="replace").strip()[:500] or "nothing"
    if sudo and "sudo" in text:
        return HarnessError(f"sudo does not make us root: it said {text!r}; allow this user NOPASSWD: ALL, without requiretty")
    # A machine that is booting says so here, and will let us in later: no error for good.
    return Lost(f"its shell ended at once, and said {text!r}; expected a login shell that understands POSIX's sh")
