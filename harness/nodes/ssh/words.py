"""What is sent to a node's shell: SSH carries one string, which the user's login shell takes apart again. Pure.

Every command goes in two steps. The shell that is to become it says its process id and waits for a word on its stdin; only then does it start the
command. By that time the node's guard (a shell of ours, one a connection) knows the id. So nothing starts on a node that nobody could end again:
the guard ends a command when it is told to, and all that are left when its own connection is gone, for whatever reason.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from harness.core.errors import HarnessError, brief

LONGEST = 128 * 1024 - 1
"""Bytes of one command line: the kernel's MAX_ARG_STRLEN, since the login shell gets all of it as one argument."""
GO = b"go\n"
"""What the waiting shell must read before it starts the command."""
HELLO = b"hi\n"
"""What the guard answers with `ENTERED`."""

_MARK = "whalefall-entered"
ENTERED = re.compile(rb"whalefall-entered ([0-9]+)(?: ([0-9]+))?\n")
"""What a shell of ours says of itself: its process group, or sudo's and its own. What a login shell's profile printed stands before it."""

_SETTING = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8"
# The command runs in a child of the shell, so that its death by a signal is a status (128 + N) and not the shell's own death, of which SSH tells
# only some signals by number. What the shell itself would say of that death goes nowhere.
_LOUD = "exec 3>&2 2>/dev/null; (exec {} 2>&3 3>&-); exit $?"
_QUIET = "exec 2>/dev/null; (exec {}); exit $?"
# Kills process groups by the number of their leader, and then what of its session (field 6 of /proc/PID/stat) is in other groups, as `timeout` is:
# where that shell is no leader, nothing is hit. Forgets them when told that they ended. zsh splits no words by itself, and has `end` for itself.
_GUARD = (
    '[ -z "${ZSH_VERSION-}" ] || emulate sh; '
    'finish() { for p; do kill -s KILL -- "-$p"; done; these=" $* "; for f in /proc/[0-9]*/stat; do '
    'l=; read -r l <"$f"; set -- ${l##*) }; case $these in *" ${4:-none} "*) kill -s KILL "${l%% *}";; esac; done; } 2>/dev/null; '
    "all=; while read -r what p q; do case $what in "
    f"hi) echo {_MARK} $$;; "
    '+) for p in $p $q; do all="$all $p "; done;; '
    '-) for p in $p $q; do case $all in *" $p "*) all="${all%%" $p "*}${all#*" $p "}";; esac; done;; '
    "k) finish $p $q;; "
    "esac; done; finish $all"
)


def command(argv: Sequence[str], *, sudo: bool, quiet: bool) -> bytes:
    """Return what runs a command as root in ``/``, in two steps; `quiet`: its stderr goes nowhere. Raises `HarnessError` where that cannot be."""
    if not argv or any("\0" in each for each in argv):
        raise HarnessError(f"{brief(argv)!r} is no command: it needs a program, and no argument can hold a zero byte")
    # A shell's exec would take a program's name that begins with a dash for an option.
    args = ["env", "--", *argv] if argv[0].startswith("-") else [*argv]
    body = _QUIET if quiet else _LOUD
    if sudo:
        script = f"echo {_MARK} $0 $$ && read -r go || exit 1; cd / || exit 1; {_SETTING}; {body.format(chr(34) + '$@' + chr(34))}"
        line = f"exec sudo -n -- /bin/sh -c {shlex.quote(script)} $$ {shlex.join(args)}"
    else:
        line = f"echo {_MARK} $$ && read -r go || exit 1; cd / || exit 1; {_SETTING}; {body.format(shlex.join(args))}"
    encoded = line.encode("utf-8", "surrogateescape")
    if len(encoded) > LONGEST:
        raise HarnessError(
            f"the command {argv[0]!r} is {len(encoded)} bytes long; SSH carries {LONGEST} at most; put it into a file, or on stdin"
        )
    return encoded


def guard(*, sudo: bool) -> bytes:
    """Return what runs the guard."""
    return (f"exec sudo -n -- /bin/sh -c {shlex.quote(_GUARD)}" if sudo else _GUARD).encode()


def begun(groups: Sequence[int]) -> bytes:
    """Return what tells the guard of a command that is about to start."""
    return b"+ %s\n" % b" ".join(b"%d" % each for each in groups)


def ended(groups: Sequence[int]) -> bytes:
    """Return what tells the guard that a command has ended by itself: its number may be somebody else's from now on."""
    return b"- %s\n" % b" ".join(b"%d" % each for each in groups)


def end(groups: Sequence[int]) -> bytes:
    """Return what makes the guard kill a command and all of its session."""
    return b"k %s\n" % b" ".join(b"%d" % each for each in groups)
