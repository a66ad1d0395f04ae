"""A command of whoever wrote the scenario, done on nodes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from harness.core import pace, parameters
from harness.core.errors import CommandFailed, HalfDone, HarnessError, gist
from harness.core.protocols import Cluster, Node
from harness.core.values import Effect
from harness.nodes.together import together

LONGEST = 7200.0
"""Seconds: as long as a run may take. A step says how long its own may, and cuts it off then."""
LONGEST_TEXT = 4096
"""Characters of a command. What is longer belongs into a file on the nodes."""
SAID_BYTES = 16384
"""Of the end of what a command says, at most: one that talks without an end fills neither our memory nor the way to its node."""

# $1 is the command, $2 SAID_BYTES, $3 the secret's name, if there is one: then its value is the first line of what is read, which no list of
# processes shows. Ends with the command's own status, which its words, on their way through a pipe, would hide.
_HANDED = 'if [ -n "$3" ]; then IFS= read -r "$3"; export "$3"; fi; '
_BOUNDED = _HANDED + 'exec 3>&1; exit "$({ { sh -c "$1" 2>&1 3>&- 4>&-; echo $? >&4; } | tail -c "$2" >&3; } 4>&1)"'


KEPT = frozenset(
    {"BASHOPTS", "EUID", "IFS", "LINENO", "OLDPWD", "OPTIND", "PATH", "PPID", "PWD", "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "UID", "_"}
)
"""Variables that a shell has for itself: a command would have another value of such a secret, or none."""
HIDDEN = b"***"
"""What is kept of a secret that a command prints as it is."""
_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,127}"


@dataclass(frozen=True, slots=True)
class RunCommand:
    """A command of your own is run on all targets at once, as root, by `sh -c`. It is done where it ends with status 0, and its words are kept.

    With another status it may have been done in part. The command and the last of its words stand in the run's results, and are shown: of a variable
    of the harness's own environment that `secret` names, which the command has as well, only the name does. What it does to the cluster nobody else
    can know. `disturbs: false` says that it does nothing that others promise: without that it is allowed for, and refused on hosts that are not ours.
    """

    run: str
    disturbs: bool = True
    secret: Annotated[
        str, Field(pattern=rf"^({_NAME})?$", description="the name of a variable of the environment, such as DB_PASSWORD")
    ] = ""

    name: ClassVar[str] = "command"
    aims: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ()
    longest: ClassVar[float] = 60.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for what is no command."""
        if not parameters.fits(self):
            return
        if not self.run.strip() or "\0" in self.run:
            raise ValueError("a command is a line of text for a shell, and not empty")
        if len(self.run) > LONGEST_TEXT:
            raise ValueError(f"a command has {LONGEST_TEXT} characters at most, not {len(self.run)}; put it into a file on the nodes")
        if self.secret in KEPT:
            raise ValueError(f"a shell has {self.secret} for itself: give the secret a variable of another name")

    @property
    def effect(self) -> Effect:
        """Whatever it does."""
        return Effect(disturbs=self.disturbs)

    def lack(self) -> str:
        """Say that its secret is not there; see `harness.core.protocols.Needing`."""
        value = os.environ.get(self.secret, "")
        if not self.secret or (value and "\n" not in value):
            return ""
        return f"the variable {self.secret} of the environment, the secret of a command, is {'more than one line' if value else 'not set, or empty'}"

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it needs no more than the nodes
        """Run it, and return what it said on each. Raises `HalfDone` where it ends with another status, `Unreachable` where nobody knows."""
        if why := self.lack():
            raise HarnessError(why)
        secret = os.fsencode(os.environ[self.secret]) if self.secret else b""

        def one(node: Node) -> str:
            argv = ("sh", "-c", _BOUNDED, "sh", self.run, str(SAID_BYTES), self.secret)
            result = node.run(*argv, timeout=pace.limit(LONGEST), stdin=secret + b"\n" if secret else b"")
            said = gist(_hidden(result.out + result.err, secret).decode(errors="replace"))
            if not result.ok:
                raise HalfDone(str(CommandFailed(node.name, ("sh", "-c", self.run), result.exit, said)))
            return f"{node.name}: {said or '(nothing)'}"

        return "; ".join(together(targets, one, "the command"))


def _hidden(said: bytes, secret: bytes) -> bytes:
    """Return what a command said without its secret, also where only the end of one is left of what was cut off before."""
    if not secret:
        return said
    cut = (
        next((length for length in range(len(secret) - 1, 0, -1) if said.startswith(secret[-length:])), 0) if len(said) >= SAID_BYTES else 0
    )
    return (HIDDEN if cut else b"") + said[cut:].replace(secret, HIDDEN)
