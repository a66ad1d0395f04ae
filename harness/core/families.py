"""Families of classes that a folder of modules defines: a new one is one new module, and nothing else names it."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable


def found(package: str, path: Iterable[str], does: str, what: str, *, data: bool = True) -> dict[str, Any]:
    """Return the classes of all modules of a package by name: those with a name that a module defines itself, and that have the method `does`.

    Where they are `data` they are dataclasses. That those are frozen, and all are whole, tests see to.

    Raises `HarnessError` where two have one name; `what` is such a class with its article.
    """
    named: dict[str, Any] = {}
    for module in sorted(each.name for each in pkgutil.iter_modules(path)):
        for cls in vars(importlib.import_module(f"{package}.{module}")).values():
            ours = isinstance(cls, type) and cls.__module__ == f"{package}.{module}" and (dataclasses.is_dataclass(cls) or not data)
            if not ours or not isinstance(getattr(cls, "name", None), str) or not hasattr(cls, does):
                continue
            if cls.name in named:
                raise HarnessError(
                    f"{cls.__module__} and {named[cls.name].__module__} both have {what} {cls.name!r}; a name stands for one"
                )
            named[cls.name] = cls
    return named
