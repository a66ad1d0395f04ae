"""What can be broken, one module a family. A new fault is one new module here, with one class: nothing else names it.

How to write one is in CONTRIBUTING.md, and what it must keep in `harness.core.protocols.Fault` and `harness.testing.fault_contract`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core import families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.protocols import Fault

FAULTS: Mapping[str, type[Fault]] = families.found(__name__, __path__, "inject", "a fault")
"""Every fault by name."""
