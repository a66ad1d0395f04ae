"""A command of whoever wrote a scenario: what may stand in it, and how it is run on a node, with its words bounded and its secret hidden.

Nothing of its text is part of a script of ours: it reaches a shell as an argument, on a node, or on this machine only where the scenario says `here`
(`harness.nodes.this_machine`).
"""

from __future__ import annotations

import enum
import os
import secrets
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import AfterValidator, Field

from harness.core.errors import HarnessError, Unreachable, gist
from harness.core.naming import shown
from harness.core.protocols import Streaming
from harness.core.values import HERE
from harness.host import state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.core.protocols import Node, Stream

LONGEST_TEXT = 4096
"""Characters of a command. What is longer belongs into a file on the nodes."""
SAID_BYTES = 16384
"""Of the end of what a command says, at most: one that talks without an end fills neither our memory nor the way to its node."""
FAULT = "WHALEFALL_FAULT"
"""The variable by which the commands of a fault know which one they are of: the same in all of them, and another one in every other fault."""

# $file is where the process that breaks stands, $fault which fault it is of. It is ended with all that it started and waits for: where whoever made
# it has died, or stands still, it may go on, and break after it was mended what nobody mends again. The number is its own where the process that
# has it began when that one did: its environment, which tells too, a program may change.
_END_WHAT_BREAKS = r"""
if read -r pid start 2>/dev/null <"$file" && [ "$pid" -gt 1 ] 2>/dev/null && [ -n "$start" ] &&
    [ "$(told=$(cat "/proc/$pid/stat" 2>/dev/null); set -- ${told##*\) }; echo "${20}")" = "$start" ]; then
    all=
    next=$pid
    while [ -n "$next" ]; do
        now=$next
        next=
        for one in $now; do
            kill -s STOP "$one" 2>/dev/null
            all="$all $one"
            for child in $(cat "/proc/$one/task/"*/children 2>/dev/null); do next="$next $child"; done
        done
    done
    kill -s KILL $all 2>/dev/null
fi
rm -f "$file"
"""
# Nothing is begun that nobody could end: not where the note cannot be made. $2 is its file; a process keeps its number and when it began whatever it
# becomes.
_NOTE = r'(told=$(cat "/proc/$$/stat"); set -- ${told##*\) }; echo "$$ ${20}") >"$2" || exit 125;'
# $1 is the command, $2 SAID_BYTES, $3 the secret's name, if there is one: then its value is the first line of what is read, which no list of
# processes shows. $4 is which fault it is of, if it is of one; $5 "breaks" or "mends", and $6 where the process that breaks stands while it goes on,
# if it is one of these. Ends with the command's own status, which its words, on their way through a pipe, would hide.
_BOUNDED = rf"""
fault=$4
file=$6
if [ "$5" = mends ]; then {_END_WHAT_BREAKS} fi
if [ -n "$4" ]; then export {FAULT}="$4"; fi
if [ -n "$3" ]; then IFS= read -r "$3"; export "$3"; fi
began() {{ if [ "$1" = breaks ]; then exec /bin/sh -c '{_NOTE} exec /bin/sh -c "$1"' sh "$2" "$3"; fi; exec /bin/sh -c "$2"; }}
exec 3>&1
exit "$({{ {{ (began "$5" "$1" "$6") 2>&1 3>&- 4>&-; echo $? >&4; [ "$5" != breaks ] || rm -f "$6"; }} | tail -c "$2" >&3; }} 4>&1)"
"""
# $1 is the command, $2 a word that nobody else says, and $3 the secret's name, as above. The last line is the word with the command's status. A shell
# that is asked to end waits for the command, which is asked as well.
_GOES_ON = r"""
if [ -n "$3" ]; then IFS= read -r "$3"; export "$3"; fi
trap : INT TERM HUP
/bin/sh -c "$1" 2>&1 </dev/null
printf '\n%s %s\n' "$2" "$?"
"""
# $1 is the command, $2 after how many seconds it is ended, $3 which fault it is of, $4 where the process that breaks stands. For a node that does it
# with nobody beside it.
_ALONE = rf"""
fault=$3
file=$4
{_END_WHAT_BREAKS}
export {FAULT}="$3"
if command -v timeout >/dev/null; then exec timeout --kill-after=5 "$2" /bin/sh -c "$1"; fi
exec /bin/sh -c "$1"
"""

KEPT = frozenset(
    {"BASHOPTS", "EUID", "IFS", "LINENO", "OLDPWD", "OPTIND", "PATH", "PPID", "PWD", "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "UID", "_"}
)
"""Variables that a shell has for itself: a command would have another value of such a secret, or none."""
HIDDEN = b"***"
"""What is kept of a secret that a command prints as it is."""
_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,127}"


class SecretValue(bytes):
    """A secret's value. It is never shown: whoever prints what a call holds, as pytest's ``--showlocals`` does, prints stars."""

    def __repr__(self) -> str:
        """Give what is shown of any secret."""
        return HIDDEN.decode()

    __str__ = __repr__


class Purpose(enum.StrEnum):
    """Which of a fault's commands one is."""

    BREAKS = "breaks"
    MENDS = "mends"


LINE = f"a command for a shell, of {LONGEST_TEXT} characters at most"


def no_command(text: str) -> str:
    """Say why a text is no command; empty where it is one."""
    if not text.strip() or "\0" in text:
        return "a command is a line of text for a shell, and not empty"
    if len(text) > LONGEST_TEXT:
        return f"a command has {LONGEST_TEXT} characters at most, not {len(text)}; put it into a file on the nodes"
    return ""


def no_secret(name: str) -> str:
    """Say why a variable cannot be handed to a command; empty where it can."""
    return f"a shell has {name} for itself: give the secret a variable of another name" if name in {*KEPT, FAULT} else ""


def _line(text: str) -> str:
    if no_command(text):
        raise ValueError(f"found {shown(text)}, expected {LINE}, and not empty; what is longer belongs into a file on the nodes")
    return text


def _secret(name: str) -> str:
    if why := no_secret(name):
        raise ValueError(f"found {shown(name)}, expected the name of a variable of the environment, such as DB_PASSWORD; {why}")
    return name


Line: TypeAlias = Annotated[str, AfterValidator(_line), Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_TEXT})]
"""A command, as a parameter."""
Secret: TypeAlias = Annotated[
    str,
    Field(pattern=rf"^({_NAME})?$", description="the name of a variable of the environment, such as DB_PASSWORD"),
    AfterValidator(_secret),
]
"""The name of the variable in which this process has a command's secret, as a parameter; empty for none."""


def lack(secret: str) -> str:
    """Say that a secret is not there; empty where it is, or none is asked for. See `harness.core.protocols.Needing`."""
    value = os.environ.get(secret, "")
    if not secret or (value and "\n" not in value):
        return ""
    return f"the variable {secret} of the environment, the secret of a command, is {'more than one line' if value else 'not set, or empty'}"


def ran(
    node: Node, text: str, seconds: float, *, secret: str = "", handed: bool = True, fault: str = "", purpose: Purpose | None = None
) -> tuple[int, str]:
    """Run a command as root by a node's shell, and return its status and the end of what it said, on both its outputs.

    `secret` names the variable that it has in its environment where it is `handed`; wherever its value is printed as it is, it is hidden. `fault` is
    which one it is of, for `FAULT`, and `purpose` whether it breaks or mends: what mends ends first what still breaks. Raises `Unreachable` where
    there is no answer in so many seconds.
    """
    value = _value_of(secret)
    given = secret if handed else ""
    try:
        result = node.run(
            "sh",
            "-c",
            _BOUNDED,
            "sh",
            text,
            str(SAID_BYTES),
            given,
            fault,
            purpose or "",
            _noted(fault, node),
            timeout=seconds,
            stdin=SecretValue(value + b"\n" if given else b""),
        )
    except Unreachable as error:
        raise Unreachable(node.name, text, error.saw) from error
    return result.exit, gist(_hidden(result.out + result.err, value).decode(errors="replace"))


def _value_of(secret: str) -> SecretValue:
    """Return the value of a secret; empty where none is asked for."""
    return SecretValue(os.fsencode(os.environ.get(secret, "")) if secret else b"")


class Begun:
    """A command that goes on, as `begun` returns it. `status` is what it ended with, where that was seen."""

    def __init__(self, stream: Stream, word: bytes, secret: bytes) -> None:
        self._stream = stream
        self._word = word + b" "
        self._secret = secret
        self.status: int | None = None

    def lines(self) -> Iterator[bytes]:
        """Yield what it says, on both its outputs, line by line, without its secret. Ends with it, with its node, or when it is closed."""
        for line in self._stream.lines():
            if line.startswith(self._word) and line[len(self._word) :].isdigit():
                self.status = int(line[len(self._word) :])
            elif line:
                yield line.replace(self._secret, HIDDEN) if self._secret else line

    def close(self) -> None:
        """End it. Twice is fine."""
        self._stream.close()


def begun(node: Node, text: str, *, secret: str = "") -> Begun:
    """Begin a command that goes on, as root by a node's shell. Raises `Unreachable`, and `HarnessError` for a node that runs none."""
    if not isinstance(node, Streaming):
        raise HarnessError(f"{node.name} runs no command that goes on")
    value, word = _value_of(secret), secrets.token_hex(16)
    stream = node.stream("sh", "-c", _GOES_ON, "sh", text, word, secret, stdin=SecretValue(value + b"\n" if secret else b""))
    return Begun(stream, word.encode(), value)


def alone(text: str, seconds: float, fault: str) -> tuple[str, ...]:
    """Return the command (no shell) by which a node runs it with nobody to ask, and ends it after so many seconds."""
    return "/bin/sh", "-c", _ALONE, "whalefall", text, f"{seconds:g}", fault, _noted(fault)


def _noted(fault: str, node: Node | None = None) -> str:
    """Return where the process of a fault that breaks a node stands there while it goes on; on this machine, where its user may write."""
    theirs = node is not None and node.name == HERE and os.geteuid() != 0
    return f"{state.runs().parent}/breaks-{fault}" if theirs else f"/run/whalefall-breaks-{fault}"


def _hidden(said: bytes, secret: bytes) -> bytes:
    """Return what a command said without its secret, also where only the end of one is left of what was cut off before."""
    if not secret:
        return said
    cut = (
        next((length for length in range(len(secret) - 1, 0, -1) if said.startswith(secret[-length:])), 0) if len(said) >= SAID_BYTES else 0
    )
    return (HIDDEN if cut else b"") + said[cut:].replace(secret, HIDDEN)
