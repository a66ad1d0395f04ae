"""The action of whoever wants to know what a disk can do, before or while it is asked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from harness.core import parameters
from harness.core.protocols import Cluster, Node
from harness.core.syncs import MEASURE
from harness.core.units import Duration
from harness.core.values import Effect
from harness.nodes import fio
from harness.nodes.together import together

_Within = Annotated[Duration, Field(gt=0, le=fio.LONGEST, description="how long each of two jobs goes on: a duration above 0, 60s at most")]


@dataclass(frozen=True, slots=True)
class Measure:
    """The disk under a folder of each target is measured with fio: small writes with an fdatasync each, as etcd's log has them, and random ones.

    Each job ends after so many `seconds`, or after 22 MB. What it found is kept, and promises of `fdatasync` go by it. It loads the disk meanwhile.
    """

    folder: Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f]{0,999}$", description="the whole path of a folder on its disk")] = fio.FOLDER
    seconds: _Within = fio.SECONDS

    name: ClassVar[str] = MEASURE
    aims: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for what is no whole path."""
        if parameters.fits(self) and not self.folder.startswith("/"):
            raise ValueError(f"found folder {self.folder!r}, expected the whole path of a folder, such as {fio.FOLDER}")

    @property
    def longest(self) -> float:
        """What both jobs may take, with a last write that is back late."""
        return fio.longest(self.seconds)

    @property
    def effect(self) -> Effect:
        """Whoever needs the same disk waits longer meanwhile."""
        return Effect(disturbs=True)

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it needs no more than the nodes
        """Measure all targets at once, and return what was found in words. Raises `HarnessError` where one cannot be measured."""
        return "; ".join(
            together(targets, lambda node: fio.measure(node, self.folder, self.seconds).words(node.name), "measuring the disk")
        )
