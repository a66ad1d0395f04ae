"""What is sent to nodes of every kind: pieces of the small Python programs that run there, and files.

The programs are sent as text, and find nothing there but python3-minimal.
"""

from __future__ import annotations

import ast
import threading
from typing import TYPE_CHECKING, Any

from harness.core import pace
from harness.core.errors import CommandFailed
from harness.host import untrusted

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

    from harness.core.protocols import Node

READ = """
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""
"""
"""Defines `read`: a file's text, or nothing where it cannot be read."""

_ONE_AT_A_TIME = threading.Lock()

RUN_SECONDS = 30.0
"""How long a command may take for which nobody says it."""
TRANSFER_SECONDS = 60.0
"""How long a file may be on its way, and a second more for each MiB."""

_MIB = 1024 * 1024
# The size is looked at before the file takes its place: a connection that is lost in the middle, or a machine that goes off, looks to `cat` like the
# end of the file.
_PUT = 'mkdir -p "$(dirname "$1")" && cat >"$1.new" && [ "$(wc -c <"$1.new")" -eq "$3" ] && chmod "$2" "$1.new" && mv -f "$1.new" "$1"'


def literal(text: str) -> Any:
    """Read the plain values of which such a program has printed the repr: python3-minimal has no JSON. Raises `ValueError` for anything else.

    By one thread at a time. The parser of Python 3.11 counts its depth for all threads together, and raises `SystemError` where a second one comes in
    between, as while the first collects garbage (python/cpython#106905).
    """
    with _ONE_AT_A_TIME:
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise ValueError(f"no plain value: {error}") from error


def put(node: Node, source: Path, target: PurePosixPath) -> None:
    """Copy a file to a node by commands alone; see `harness.core.protocols.Node.put`."""
    body, mode = untrusted.sent(source)
    argv = ("/bin/sh", "-c", _PUT, "sh", str(target), f"{mode:o}", str(len(body)))
    result = node.run(*argv, timeout=pace.limit(TRANSFER_SECONDS) + len(body) / _MIB, stdin=body)
    if not result.ok:
        raise CommandFailed(node.name, ("put", str(source), str(target)), result.exit, result.err.decode(errors="replace"))


def get(node: Node, source: PurePosixPath, target: Path) -> None:
    """Copy a file from a node by a command alone; see `harness.core.protocols.Node.get`."""
    result = node.run("cat", "--", str(source), timeout=pace.limit(TRANSFER_SECONDS))
    if not result.ok:
        raise CommandFailed(node.name, ("get", str(source), str(target)), result.exit, result.err.decode(errors="replace"))
    untrusted.write(target.parent, target.name, result.out)
