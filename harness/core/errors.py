"""What can go wrong with the harness itself.

A cluster's misbehaviour is never an exception: it is a `harness.core.values.Finding`. A command that exits with a
non-zero status is never an exception: it is a `harness.core.values.Result`. What is left is here, and every message
names the node or file, what was seen, what was expected, and what to do next.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.figures import given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


LONGEST_COMMAND = 80
"""Characters of a command that a message repeats."""
LONGEST_SAID = 1000
"""Characters that a message repeats of what a command said."""


_SCRIPT = re.compile(r" -[A-Za-z]*c ")
"""What stands before a script that is handed over as an argument."""


def brief(command: str | Sequence[str]) -> str:
    """Name a command in a message: its first line, shortened. A script of ours that is handed to a shell or to Python tells nobody anything."""
    whole = (command if isinstance(command, str) else " ".join(command)).strip()
    first = whole.partition("\n")[0].rstrip()
    if first != whole and (script := _SCRIPT.search(f"{first} ")):
        return f"{first[: script.end() - 1]} …"
    if len(first) > LONGEST_COMMAND:
        first = first[: LONGEST_COMMAND - 2].rstrip()
    return first if first == whole else f"{first} …"


def gist(said: str) -> str:
    """Repeat in a message what a command said: of something long the end, where the cause mostly is."""
    whole = said.strip()
    return whole if len(whole) <= LONGEST_SAID else f"… {whole[-LONGEST_SAID:].lstrip()}"


def clipped(said: str) -> str:
    """Repeat in a message what may be of any length: of something long both ends."""
    half = LONGEST_SAID // 2
    return said if len(said) <= LONGEST_SAID else f"{said[:half]} … {said[-half:]}"


def in_words(error: BaseException) -> str:
    """Say what went wrong: an error of ours says it itself, any other needs its kind beside."""
    said = words_of(error)
    return said if isinstance(error, HarnessError) else f"{type(error).__name__}: {said}"


def of_node(name: str, error: BaseException) -> str:
    """Say what went wrong on a node, with its name once: most errors of ours begin with it."""
    said = words_of(error)
    return said if said.startswith(f"{name}: ") else f"{name}: {said}"


def words_of(error: BaseException) -> str:
    """Return what an error says. Never raises: that of somebody else's code may fail where it is to say it."""
    try:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - whatever its code does
        return "(it cannot be put into words)"


NO_MORE = (
    "this user, or the control group that this stands in, has as many processes and threads as it may; end other programs, or raise the limit "
    "(ulimit -u, or pids.max of the container or service)"
)
"""Why the kernel starts no process and no thread, and what to do."""


def unstarted(error: OSError, missing: str = "") -> str:
    """Say why a program could not be started, and what to do; `missing` where that is not known to be something else."""
    hint = NO_MORE if error.errno == errno.EAGAIN else "free some memory" if error.errno == errno.ENOMEM else missing
    said = error.strerror or words_of(error)
    return f"{said}; {hint}" if hint else said


class HarnessError(Exception):
    """The harness could not do its work (exit status 4). Anything below is a kind of this."""


class Unreachable(HarnessError):
    """A node gave no answer: it is off, gone, or slower than the deadline.

    Never to be read as "no": a node that cannot be asked has said nothing.
    """

    def __init__(self, node: str, asked: str, saw: str) -> None:
        super().__init__(f"{node}: no answer to {brief(asked)}: {gist(saw)}")
        self.node = node
        self.asked = asked
        self.saw = saw


class CommandFailed(HarnessError):
    """A command that the harness itself depends on exited with a non-zero status."""

    def __init__(self, where: str, argv: Sequence[str], status: int, err: str, hint: str = "") -> None:
        text = f"{where}: {brief(argv)!r} exited with status {status}: {gist(err) or '(nothing on stderr)'}"
        super().__init__(f"{text}; {hint}" if hint else text)
        self.where = where
        self.argv = tuple(argv)
        self.status = status
        self.err = err


_OURS = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EADDRNOTAVAIL,  # no port is left
        errno.ENETDOWN,
        errno.ENETUNREACH,  # this machine knows no way there; a host that is gone is EHOSTUNREACH
        errno.EPERM,  # its own rules let nothing out
    }
)


def is_ours(error: BaseException) -> bool:
    """Whether a call failed since this machine could not make it, by the errors behind an error: that says nothing of whom it called."""
    numbers = [each.errno for each in behind(error) if isinstance(each, OSError) and each.errno is not None]
    return any(each in _OURS or each < 0 for each in numbers)  # below 0: a name found no address


def behind(error: BaseException) -> list[BaseException]:
    """Return an error with all those behind it: its causes, and those that HTTP clients put into its arguments or its `reason`."""
    seen: list[BaseException] = []
    todo: list[BaseException] = [error]
    while todo:
        each = todo.pop()
        seen.append(each)
        inner = [*each.args, each.__cause__, each.__context__, getattr(each, "reason", None)]
        todo += [other for other in inner if isinstance(other, BaseException) and other not in seen]
    return seen


class NoGoodAnswer(HarnessError):
    """A member of a quorum gave no good answer to a read or a write. A checker must know which of the two kinds it was."""


class NotDone(NoGoodAnswer):
    """What was asked has not been done and never will be: no connection, or the member refused it."""


class InDoubt(NoGoodAnswer):
    """Nobody can tell whether it was done: no answer in time, a reset, a torn body, or an error after which it may still be done."""


class Expired(HarnessError):
    """A wait ran out of time. Says what was awaited, for how long, and what was last seen."""

    def __init__(self, awaited: str, seconds: float, saw: str) -> None:
        super().__init__(f"waited {given(seconds)} for {awaited}; last seen: {gist(saw)}")
        self.awaited = awaited
        self.seconds = seconds
        self.saw = saw


class Unsupported(HarnessError):
    """This provider, mode or machine cannot do what was asked (a skip, never a pass)."""


class HalfDone(HarnessError):
    """Something was begun and ended badly: it may have been done, or a part of it."""


class FaultFailed(HarnessError):
    """A fault could not be brought into force, or not be mended; where it is known on whom, with the error of each node."""

    def __init__(self, text: str, on: Mapping[str, HarnessError] | None = None) -> None:
        super().__init__(text)
        self.on: Mapping[str, HarnessError] = dict(on or {})


class NoSuchRun(HarnessError):
    """No results, or no provider records, are kept under that run id."""


class Unreadable(HarnessError):
    """A record that is there, or was, cannot be read: nobody can tell what it says. Never to be read as "there is none"."""


class UnknownRun(NoSuchRun):
    """The user named a run that is not there (exit status 2, as any other mistake on a command line)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with what the user gave us, with all that is needed to mend it. What it says of something long is cut."""

    file: str
    line: int  # from 1; 0 where the problem is the whole file
    column: int  # from 1; 0 as above
    found: str
    expected: str  # empty where what was found says it already
    hint: str = ""

    def __post_init__(self) -> None:
        """Cut what may repeat what was read: no file of anybody's fills a terminal by what is wrong with it."""
        object.__setattr__(self, "found", clipped(self.found))
        object.__setattr__(self, "hint", clipped(self.hint))

    def __str__(self) -> str:
        """Give the problem as ``file:line:column: found …; expected …; hint``."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{where}: {self.found}" + (f"; expected {self.expected}" if self.expected else "")
        return f"{text}; {self.hint}" if self.hint else text


class BadInput(HarnessError):
    """The user's input cannot be used (exit status 2). Holds every problem, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class BadPlugIns(HarnessError):
    """Plug-ins of this environment are not what they say (exit status 4: no file is at fault). Holds every problem, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
