"""A command of whoever wrote a scenario: what may stand in it, and how it is run on a node, with its words bounded and its secret hidden.

Nothing of its text is ever run on this machine, or is part of a script of ours: it reaches a node's own shell as an argument.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import AfterValidator, Field

from harness.core.errors import Unreachable, gist
from harness.core.naming import shown

if TYPE_CHECKING:
    from harness.core.protocols import Node

LONGEST_TEXT = 4096
"""Characters of a command. What is longer belongs into a file on the nodes."""
SAID_BYTES = 16384
"""Of the end of what a command says, at most: one that talks without an end fills neither our memory nor the way to its node."""
FAULT = "WHALEFALL_FAULT"
"""The variable by which the commands of a fault know which one they are of: the same in all of them, and another one in every other fault."""

# $1 is the command, $2 SAID_BYTES, $3 the secret's name, if there is one: then its value is the first line of what is read, which no list of
# processes shows. $4 is which fault it is of, if it is of one. Ends with the command's own status, which its words, on their way through a pipe,
# would hide.
_HANDED = f'if [ -n "$4" ]; then export {FAULT}="$4"; fi; if [ -n "$3" ]; then IFS= read -r "$3"; export "$3"; fi; '
_BOUNDED = _HANDED + 'exec 3>&1; exit "$({ { /bin/sh -c "$1" 2>&1 3>&- 4>&-; echo $? >&4; } | tail -c "$2" >&3; } 4>&1)"'
# $1 is the command, $2 after how many seconds it is ended, $3 which fault it is of. For a node that does it with nobody beside it.
_ALONE = f'export {FAULT}="$3"; if command -v timeout >/dev/null; then exec timeout --kill-after=5 "$2" /bin/sh -c "$1"; fi; exec /bin/sh -c "$1"'

KEPT = frozenset(
    {"BASHOPTS", "EUID", "IFS", "LINENO", "OLDPWD", "OPTIND", "PATH", "PPID", "PWD", "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "UID", "_"}
)
"""Variables that a shell has for itself: a command would have another value of such a secret, or none."""
HIDDEN = b"***"
"""What is kept of a secret that a command prints as it is."""
_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,127}"

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


def ran(node: Node, text: str, seconds: float, *, secret: str = "", handed: bool = True, fault: str = "") -> tuple[int, str]:
    """Run a command as root by a node's shell, and return its status and the end of what it said, on both its outputs.

    `secret` names the variable that it has in its environment where it is `handed`; wherever its value is printed as it is, it is hidden. `fault` is
    which one it is of, for `FAULT`. Raises `Unreachable` where there is no answer in so many seconds.
    """
    value = os.fsencode(os.environ.get(secret, "")) if secret else b""
    given = secret if handed else ""
    try:
        result = node.run(
            "sh", "-c", _BOUNDED, "sh", text, str(SAID_BYTES), given, fault, timeout=seconds, stdin=value + b"\n" if given else b""
        )
    except Unreachable as error:
        raise Unreachable(node.name, text, error.saw) from error
    return result.exit, gist(_hidden(result.out + result.err, value).decode(errors="replace"))


def alone(text: str, seconds: float, fault: str) -> tuple[str, ...]:
    """Return the command (no shell) by which a node runs it with nobody to ask, and ends it after so many seconds."""
    return "/bin/sh", "-c", _ALONE, "whalefall", text, f"{seconds:g}", fault


def _hidden(said: bytes, secret: bytes) -> bytes:
    """Return what a command said without its secret, also where only the end of one is left of what was cut off before."""
    if not secret:
        return said
    cut = (
        next((length for length in range(len(secret) - 1, 0, -1) if said.startswith(secret[-length:])), 0) if len(said) >= SAID_BYTES else 0
    )
    return (HIDDEN if cut else b"") + said[cut:].replace(secret, HIDDEN)
