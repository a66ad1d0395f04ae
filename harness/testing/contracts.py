"""What every implementation of a protocol must do, as plain functions that any test runner can call: what their modules share.

Each raises `ContractBroken` with what was seen and what was promised, and returns None when the promise is kept. They need no test framework. The
tables at the end of each module (`harness.testing.node_contract`, `harness.testing.provider_contract`, `harness.testing.fault_contract` …) name
them, to be used as the parameters of one test::

    @pytest.mark.parametrize("promise", NODE.values(), ids=NODE)
    def test_node(promise, node):
        promise(node)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from harness.core.errors import HarnessError

T = TypeVar("T")


class ContractBroken(HarnessError):
    """An implementation does not do what its protocol promises."""


def require(kept: bool, promised: str, saw: object = "the opposite") -> None:
    """Raise `ContractBroken` unless a promise was kept."""
    if not kept:
        raise ContractBroken(f"promised: {promised}; saw: {saw}")


def same(saw: T, expected: T, what: str) -> None:
    """Raise `ContractBroken` unless two values are equal."""
    require(saw == expected, f"{what} is {expected!r}", repr(saw))


@contextmanager
def raising(kind: type[BaseException], what: str) -> Iterator[None]:
    """Raise `ContractBroken` unless the block raises an error of this kind."""
    try:
        yield
    except kind:
        return
    raise ContractBroken(f"promised: {what} raises {kind.__name__}; saw: nothing was raised")
