"""What can be broken, one module a family. A new fault is a frozen dataclass with `name` and four methods, and a line below.

How to write one: do the work over capabilities (`Cluster.can`) or with one short sh script (`common.shell_everywhere`), leave on the node all
that `heal` and `in_force` need, say how the node undoes it with nobody to ask (`harness.core.protocols.Remedied`; empty where nothing is left on a
node), and add it to the tables of ``tests/contract/test_contracts.py``, ``tests/cluster/test_faults_bite.py`` and
``tests/cluster/test_deadman.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.faults.hang import Hang
from harness.faults.nothing import Nothing
from harness.faults.partition import Partition
from harness.faults.power import NodeKill
from harness.faults.process import Kill
from harness.faults.slow_disk import Slow

if TYPE_CHECKING:
    from harness.core.protocols import Fault

FAULTS: Mapping[str, type[Fault]] = {each.name: each for each in (NodeKill, Partition, Hang, Slow, Kill, Nothing)}
"""Every fault by name."""
