"""A shell for nodes in memory that runs a fault's scripts as they are, so that its contract can be run with no root and no machine.

It is this machine's own shell, with nothing in its PATH but tools that only read and print, and stand-ins: for `nft`, which keeps the names of
tables, and for `rm`, which removes what is the node's own. What a script is handed as a path below ``/run`` is one of the node's own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.values import Result
from harness.nodes.links import PREFIX

if TYPE_CHECKING:
    from harness.testing.memory_node import MemoryNode, Program

TOOLS = ("cat", "cut", "echo", "false", "grep", "head", "printf", "sed", "sort", "tail", "test", "tr", "true", "uniq", "wc")
"""What scripts find beside `nft`: nothing that could change this machine."""
SECONDS = 20.0
"""How long a script may take. It takes some 10 ms; the rest is for a machine under load."""

# It imports next to nothing: a script calls it many times, and Python starts twice as fast so.
_NFT = r"""#!{python} -IS
import sys

with open({tables!r}) as file:
    tables = file.read().split()
text = sys.stdin.read() if sys.argv[1:] in (["-f", "-"], ["--file", "-"]) else " ".join(sys.argv[1:])
while "{{" in text:  # what stands in a chain or a set is not looked at
    end = text.find("}}")
    start = text.rfind("{{", 0, max(end, 0))
    if start < 0:
        sys.exit("Error: syntax error, unexpected {{")
    text = text[:start] + text[end + 1 :]
for line in filter(None, map(str.strip, text.replace(";", "\n").split("\n"))):
    match line.split():
        case ["add" | "create", "table", "inet", name] | ["table", "inet", name]:
            if name in tables and line.startswith("create"):
                sys.exit("Error: Could not process rule: File exists")
            tables.append(name)
        case ["delete" | "list" as verb, "table", "inet", name]:
            if name not in tables:
                sys.exit("Error: No such file or directory")
            if verb == "delete":
                tables = [each for each in tables if each != name]
            else:
                print("table inet", name, "{{}}")
        case ["list", "tables"] | ["list", "tables", "inet"]:
            for name in sorted(set(tables)):
                print("table inet", name)
        case ["add" | "insert", "chain" | "rule" | "set" | "element", "inet", name, *_]:
            if name not in tables:
                sys.exit("Error: No such file or directory")
        case _:
            sys.exit("Error: the stand-in does not know: " + line)
# All or nothing, as the kernel takes it.
with open({tables!r}, "w") as file:
    file.write("\n".join(sorted(set(tables))))
"""

_RM = r"""#!{python} -IS
import os, sys

for path in sys.argv[1:]:
    if path.startswith({own!r}) and ".." not in path and os.path.lexists(path):
        os.unlink(path)
"""
_RUN = "/run/"


def shell(node: MemoryNode, folder: Path) -> Program:
    """Return a program for `MemoryNode.programs` under the name ``sh``. `folder` is empty, or not there yet, and the node's own.

    The node's tables are its `cuts`: those that begin as ours do, without that. Others cannot be made.
    """
    tools = folder / "bin"
    tools.mkdir(parents=True)
    nft, kept = tools / "nft", folder / "tables"
    nft.write_text(_NFT.format(python=sys.executable, tables=str(kept)), encoding="utf-8")
    nft.chmod(0o755)
    own = f"{folder}{_RUN}"
    Path(own).mkdir()
    (tools / "rm").write_text(_RM.format(python=sys.executable, own=own), encoding="utf-8")
    (tools / "rm").chmod(0o755)
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    environment = {"PATH": str(tools), "LC_ALL": "C"}

    def sh(argv: tuple[str, ...], stdin: bytes) -> Result:
        kept.write_text("\n".join(f"{PREFIX}{tag}" for tag in node.cuts), encoding="utf-8")
        words = [own + each.removeprefix(_RUN) if each.startswith(_RUN) else each for each in argv[1:]]
        done = subprocess.run(
            ("/bin/sh", *words), input=stdin, capture_output=True, env=environment, cwd=folder, timeout=SECONDS, check=False
        )
        _put_back(node, kept.read_text(encoding="utf-8").split())
        return Result(argv, done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr)

    return sh


def _put_back(node: MemoryNode, tables: list[str]) -> None:
    """Let a node have these tables. One whose name does not begin as ours do is refused."""
    strange = [name for name in tables if not name.startswith(PREFIX)]
    if strange:
        raise HarnessError(f"{node.name}: the tables {', '.join(strange)} are not ours: the name of each begins with {PREFIX}")
    tags = {name.removeprefix(PREFIX) for name in tables}
    cuts: Mapping[str, frozenset[str]] = dict(node.cuts)
    node.cuts = {tag: cuts.get(tag, frozenset()) for tag in sorted(tags)}
