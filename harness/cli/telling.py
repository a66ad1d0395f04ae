"""What is told to whoever called the command: every error in words, and the exit status that belongs to it."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import signal
import stat
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import __version__
from harness.cli.stopping import interrupted_by_sigterm
from harness.core.errors import BadInput, BadPlugIns, HarnessError, Problem, UnknownRun, in_words
from harness.core.plain import below, in_line, plain
from harness.core.values import Verdict
from harness.host import surroundings, untrusted
from harness.reports.console import Console
from harness.runs.run import EXIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BAD_INPUT = 2
HARNESS_FAILED = 4
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
WORST_FIRST = (BAD_INPUT, HARNESS_FAILED, EXIT[Verdict.BROKEN], EXIT[Verdict.UNKNOWN], EXIT[Verdict.HELD])
"""Of several runs the worst counts, in this order."""

MOST_LINKS = 40
"""Links that lead to each other are followed so far, as the kernel does."""

LOG_WIDTH = 100
"""Columns where there is no terminal that has a width."""


def say(text: object, *, err: bool = False) -> None:
    """Print a sentence, or several lines, with nothing in it that a terminal would obey."""
    click.echo(plain(text), err=err)


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    """Let click tell what is wrong with a command line without repeating what a terminal would obey."""
    try:
        yield
    except click.ClickException as error:
        said = error.format_message()
        # Who gives a command nothing is shown its help: that is click's own text, of many lines.
        if in_line(said) == said or isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            raise
        raise click.UsageError(in_line(said), ctx=getattr(error, "ctx", None)) from error


def output_problems(output: Path | None) -> list[Problem]:
    """Say now, and not after what may take hours, that what was asked for could not be written to a file.

    No file takes the place of a device or a pipe; links are followed.
    """
    if output is None:
        return []
    expected = "a file that may be written"
    try:
        real = _followed(output)
        if stat.S_ISREG((kind := real.stat()).st_mode):
            return []
    except (FileNotFoundError, NotADirectoryError):
        there = Path(os.path.realpath(output)).parent.is_dir()
        return [] if there else [Problem("--output", 0, 0, f"{str(output)!r}, whose folder is not there", "a file in a folder that is")]
    except OSError as error:
        return [Problem("--output", 0, 0, f"{str(output)[:80]!r}, which cannot be written ({error.strerror})", expected)]
    hint = "" if stat.S_ISDIR(kind.st_mode) else "without --output it goes to standard output"
    what = "the folder" if stat.S_ISDIR(kind.st_mode) else "what is no ordinary file,"
    return [Problem("--output", 0, 0, f"{what} {str(output)!r}", expected, hint)]


def write_output(output: Path, text: str) -> None:
    """Write a whole file, or leave what is there, and say so. Raises `HarnessError`."""
    try:
        real = _followed(output)
        untrusted.write(real.parent, real.name, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise HarnessError(f"cannot write {output}: {error.strerror or error}") from error
    say(f"written to {in_line(output)}")


def _followed(output: Path) -> Path:
    """Return where a path leads: a link stays one when what it leads to is written. What has the name that is returned is not to be followed.

    Raises `PermissionError` for a link that somebody else put into a folder for all, such as /tmp, as the kernel does where it is told to
    (fs.protected_symlinks): root would write where they like. Other `OSError` where it leads nowhere.
    """
    for _ in range(MOST_LINKS):
        real = Path(os.path.realpath(output.parent)) / output.name
        if not real.is_symlink():
            return real
        link, folder = real.lstat(), real.parent.stat()
        for_all = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
        if for_all and link.st_uid not in {os.geteuid(), folder.st_uid}:
            raise PermissionError(errno.EACCES, f"user {link.st_uid} put a link there", str(output))
        output = real.parent / real.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(output))


def worst(statuses: Iterable[int]) -> int:
    """Return the worst of some exit statuses of runs; of none, that of a harness that failed."""
    return min(statuses, key=WORST_FIRST.index, default=HARNESS_FAILED)


class CommandGroup(click.Group):
    """The group of all commands: turns every error into one clear message and the exit status that belongs to it."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Keep outside what was inherited, before anything else is done; and end with a status of ours, whatever can still be told."""
        surroundings.let_nobody_write()
        surroundings.keep_outside()
        surroundings.speak_utf8()
        alone = kwargs.pop("standalone_mode", True)
        plainly: Callable[[], Any] = functools.partial(super().main, *args, standalone_mode=False, **kwargs)
        if not alone:
            return plainly()
        with interrupted_by_sigterm() as heard:
            status = self._status(plainly)
        sys.exit(TERMINATED if heard and status == INTERRUPTED else status)

    def _status(self, plainly: Callable[[], Any]) -> int:
        """Do what was asked and return the exit status. Where nothing can be printed any more, that of a harness that failed: 1 would be *broken*."""
        try:
            try:
                return int(plainly() or 0)
            except click.ClickException as error:
                error.show()
                return error.exit_code
            except click.Abort:
                return INTERRUPTED
        except (OSError, SystemExit):  # the second is what click makes of a pipe that nobody reads
            _be_silent()
            return HARNESS_FAILED

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before the command's name."""
        with _harmless():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a log in ASCII gets what it cannot hold spelled out, and no error
                stream.reconfigure(errors="backslashreplace")
        try:
            surroundings.must_stand_somewhere()
            with _harmless():
                return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
            raise
        except BadInput as error:
            ctx.exit(tell(error))
        except KeyboardInterrupt:
            say("stopped", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - the last place where an error can still become a message
            ctx.exit(tell(error))


def _be_silent() -> None:
    """Print nothing any more: what is still to be written out at the end of Python would end it with a status of its own."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # one that is no file, or was closed
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def tell(error: Exception, folder: Path | None = None) -> int:
    """Print what went wrong, in words, and return the exit status. `folder` is the run's, if there is one, for the details of a crash."""
    if os.environ.get("WHALEFALL_DEBUG") == "1":
        say(below("".join(traceback.format_exception(error)).rstrip()), err=True)
    if isinstance(error, BadInput):
        for problem in error.problems:
            say(in_line(problem), err=True)
        count = len(error.problems)
        say(f"{count} problem{'' if count == 1 else 's'}; nothing was done", err=True)
        return BAD_INPUT
    if isinstance(error, BadPlugIns):
        for problem in error.problems:
            say(f"whalefall failed: {in_line(problem)}", err=True)
        return HARNESS_FAILED
    if isinstance(error, UnknownRun):
        say(in_line(error), err=True)
        return BAD_INPUT
    if isinstance(error, HarnessError):
        say(f"whalefall failed: {below(error)}", err=True)
        return HARNESS_FAILED
    from harness.reports import trouble  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    of_environment = trouble(error, folder)
    if of_environment:
        say(f"whalefall failed: {in_line(of_environment)}", err=True)
        return HARNESS_FAILED
    place = _crash_file(error, folder)
    said = below(in_words(error))
    say(f"whalefall failed unexpectedly: {said}; please report this as a bug, with {in_line(place)}", err=True)
    return HARNESS_FAILED


def _crash_file(error: Exception, folder: Path | None) -> str:
    """Write the details of a crash and say where they are."""
    text = plain("".join([f"whalefall {__version__}, Python {sys.version}\n\n", *traceback.format_exception(error)]))
    try:
        if folder is not None and folder.is_dir():
            untrusted.write(folder, "crash.txt", text.encode(errors="backslashreplace"))
            return str(folder / "crash.txt")
        with tempfile.NamedTemporaryFile("w", prefix="whalefall-crash-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(text)
            return file.name
    except (OSError, BadInput) as failure:
        return f"what WHALEFALL_DEBUG=1 shows (the details could not be written: {failure})"


def console() -> Console:
    """Return the console of this moment's standard output, as wide as a log where it has no width of its own."""
    usual = Console()
    if usual.is_terminal or os.environ.get("COLUMNS"):
        return usual
    return Console(width=LOG_WIDTH)
