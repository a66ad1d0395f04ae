"""An action on nodes in memory that does as it is told: well, or in one of the ways in which an action can misbehave."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from harness.core.errors import HarnessError
from harness.core.protocols import Cluster, Node
from harness.core.stops import deaf
from harness.core.values import Effect

MARK = "/run/whalefall-acted"
"""The file that it makes on each target: so anybody can see whether it was done."""


@dataclass(frozen=True, slots=True)
class MemoryAction:
    """Makes a file on each target.

    `manner` says how: as promised (empty), or it says so and does nothing (``lies``), does it on everybody (``spreads``), fails the second time
    (``once``), says that it was done where a node gave no answer (``hushes``), goes on when the run ends (``deaf``), has no end (``endless``), or
    lacks something whatever there is (``wanting``).
    """

    manner: Literal["", "lies", "spreads", "once", "hushes", "deaf", "endless", "wanting"] = ""

    name: ClassVar[str] = "memory.act"
    aims: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ()
    effect: ClassVar[Effect] = Effect()

    @property
    def longest(self) -> float:
        """Ten seconds, but for one that has no end."""
        return float("inf") if self.manner == "endless" else 10.0

    def lack(self) -> str:
        """Say that something is not there, in that manner; see `harness.core.protocols.Needing`."""
        return "what nobody has" if self.manner == "wanting" else ""

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Make the file on each target, in its manner."""
        for node in cluster.nodes if self.manner == "spreads" else targets:
            try:
                self._mark(node)
            except HarnessError:
                if self.manner != "hushes":
                    raise
        return "marked"

    def _mark(self, node: Node) -> None:
        if self.manner == "lies":
            return
        with deaf() if self.manner == "deaf" else contextlib.nullcontext():
            there = node.run("stat", "-c", "%a", MARK).ok
            if self.manner == "once" and there:
                raise HarnessError(f"{node.name}: {MARK} is there already")
            with tempfile.NamedTemporaryFile() as mark:
                node.put(Path(mark.name), PurePosixPath(MARK))
