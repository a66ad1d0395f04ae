"""Any node as a testinfra host: `host(node).service("docker").is_running`, and a dead node is an error, never a "no".

testinfra's own backends cannot tell "no" from "no answer" (a stopped container answers that a file does not exist), and report a command that failed
as an `AssertionError`, as if the cluster had. Here the first is `Unreachable`, the second `CommandFailed`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

try:
    from testinfra.backend.base import BaseBackend, CommandResult
    from testinfra.host import Host
    from testinfra.modules.docker import Docker
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error}: hosts of testinfra come with the extra: pip install 'whalefall[testinfra]'", name=error.name
    ) from error

from harness.core import pace
from harness.core.errors import CommandFailed, Unreachable
from harness.host import untrusted

if TYPE_CHECKING:
    from harness.core.protocols import Node

SECONDS = 10.0
"""How long one command may take before the node counts as unreachable."""

_NOBODY_ANSWERED = (b"Failed to connect to bus", b"Connection timed out")
"""What systemctl says (exit status 1, as for "no") where the node's systemd could not be asked."""


class NodeBackend(BaseBackend):
    """Runs testinfra's commands on a `Node`, through its shell: testinfra quotes what it puts into them."""

    NAME = "whalefall"

    def __init__(self, node: Node, seconds: float | None = None) -> None:
        super().__init__(node.name)
        self.node = node
        self.seconds = pace.limit(SECONDS) if seconds is None else seconds
        self._encoding = "utf-8"  # known, so that no node is asked for it

    def run(self, command: str, *args: str, **_kwargs: Any) -> CommandResult:
        """Run a command line with `args` quoted into it. Any exit status is a result; no answer raises `Unreachable`."""
        line = self.get_command(command, *args)
        result = self.node.run("/bin/sh", "-c", line, timeout=self.seconds)
        if not result.ok and any(words in result.err for words in _NOBODY_ANSWERED):
            raise Unreachable(self.node.name, line, result.err.decode(errors="replace").strip())
        return self.result(result.exit, line.encode(), result.out, result.err)

    def decode(self, data: bytes) -> str:
        """Return text, undecodable bytes replaced: a node's rubbish is shown, not raised."""
        return data.decode(errors="replace")


class NodeHost(Host):
    """A testinfra host whose errors are the harness's own."""

    def run_expect(self, expected: list[int], command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Run a command that must end with one of these exit statuses. Raises `CommandFailed` for any other, `Unreachable` for no answer."""
        result = self.run(command, *args, **kwargs)
        if result.rc not in expected:
            wanted = " or ".join(str(each) for each in expected)
            line = self.backend.get_command(command, *args)
            raise CommandFailed(self.backend.get_hostname(), [line], result.rc, result.stderr, f"expected status {wanted}")
        return result

    def check_output(self, command: str, *args: str, **kwargs: Any) -> str:
        """Return what a command prints, without the newline at the end. Raises as `run_expect`, for any exit status but 0."""
        return self.run_expect([0], command, *args, **kwargs).stdout.rstrip("\r\n")


class _Docker(Docker):
    """A container, and nothing else of its name: an image or a volume has no state to be asked for."""

    def inspect(self) -> Any:
        """Return what Docker knows of the container.

        Raises `CommandFailed` where there is none, and where Docker cannot be asked, and `Unreachable` for an answer that is none.
        """
        said: str = self.check_output("docker inspect --type container -- %s", self._name)  # type: ignore[no-untyped-call]
        found: Any = None
        with contextlib.suppress(ValueError, TypeError):
            answer: Any = untrusted.loads(said.encode(errors=untrusted.ENCODING_ERRORS))
            (found,) = answer
        if not isinstance(found, dict):
            node = self._host.backend.get_hostname()
            raise Unreachable(node, f"docker inspect {self._name}", f"an answer that is none: {said[:200]!r}")
        return found


def host(node: Node, seconds: float | None = None) -> NodeHost:
    """Return a node as a new testinfra host; each of its commands is given `seconds` to end, or `SECONDS` at this machine's pace.

    testinfra remembers in a host what it found out about the system (its init, its tools), so take a new one for a node that was rebuilt.
    """
    backend = NodeBackend(node, seconds)
    found = NodeHost(backend)
    backend.set_host(found)
    found.__dict__["docker"] = _Docker.get_module(found)  # where testinfra keeps a module once it was asked for
    return found
