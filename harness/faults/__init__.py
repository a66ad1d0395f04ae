"""What can be broken, one module a family. A new fault is one new module here, with one class: nothing else names it.

How to write one is in CONTRIBUTING.md, and what it must keep in `harness.core.protocols.Fault` and `harness.testing.contracts`.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.core.protocols import Fault


def _found() -> Mapping[str, type[Fault]]:
    """Return the faults of all modules here by name. Raises `HarnessError` where two have one."""
    found: dict[str, type[Fault]] = {}
    for module in sorted(each.name for each in pkgutil.iter_modules(__path__)):
        for cls in _faults_of(importlib.import_module(f"{__name__}.{module}")):
            if cls.name in found:
                raise HarnessError(
                    f"{cls.__module__} and {found[cls.name].__module__} both have a fault {cls.name!r}; a name stands for one"
                )
            found[cls.name] = cls
    return found


def _faults_of(module: Any) -> Iterator[type[Fault]]:
    """Yield what a module itself defines: dataclasses with a name that can be injected. That they are frozen, and whole, tests see to."""
    for each in vars(module).values():
        ours = isinstance(each, type) and each.__module__ == module.__name__ and dataclasses.is_dataclass(each)
        if ours and isinstance(getattr(each, "name", None), str) and hasattr(each, "inject"):
            yield each


FAULTS: Mapping[str, type[Fault]] = _found()
"""Every fault by name."""
