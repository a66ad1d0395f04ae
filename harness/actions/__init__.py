"""What can be done to a cluster in the middle of a run, one module a family. A new action is one new module here: nothing else names it.

What an action must keep is in `harness.core.protocols.Action` and `harness.testing.action_contract`.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.core.protocols import Action


def _found() -> Mapping[str, type[Action]]:
    """Return the actions of all modules here by name. Raises `HarnessError` where two have one."""
    found: dict[str, type[Action]] = {}
    for module in sorted(each.name for each in pkgutil.iter_modules(__path__)):
        for cls in _actions_of(importlib.import_module(f"{__name__}.{module}")):
            if cls.name in found:
                raise HarnessError(
                    f"{cls.__module__} and {found[cls.name].__module__} both have an action {cls.name!r}; a name stands for one"
                )
            found[cls.name] = cls
    return found


def _actions_of(module: Any) -> Iterator[type[Action]]:
    """Yield what a module itself defines: frozen dataclasses with a name that can be done."""
    for each in vars(module).values():
        ours = isinstance(each, type) and each.__module__ == module.__name__ and dataclasses.is_dataclass(each)
        if ours and isinstance(getattr(each, "name", None), str) and hasattr(each, "act"):
            yield each


ACTIONS: Mapping[str, type[Action]] = _found()
"""Every action by name."""
