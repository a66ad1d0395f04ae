"""A cluster whose calls go through a fuse: an injection that is interrupted at any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, cast

from harness.core.protocols import Cluster, Node, Provider

T = TypeVar("T")


@dataclass
class Fuse:
    """Raises `error` before (early) or after the n-th call that goes through it, from 1; once."""

    step: int
    error: type[BaseException]
    early: bool
    blown: bool = False
    _calls: int = field(default=0, repr=False)

    def call(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Make the call, or blow."""
        self._calls += 1
        mine = self._calls == self.step
        if mine and self.early:
            self._blow()
        result = work(*args, **kwargs)
        if mine:
            self._blow()
        return result

    def _blow(self) -> None:
        self.blown = True
        raise self.error(f"interrupted at call {self.step}")


class _FusedNode:
    """A node whose commands go through a fuse."""

    def __init__(self, inner: Node, fuse: Fuse) -> None:
        self.inner, self.fuse = inner, fuse
        self.name, self.address = inner.name, inner.address

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Any:
        return self.fuse.call(self.inner.run, *argv, timeout=timeout, stdin=stdin)

    def put(self, source: Path, target: PurePosixPath) -> None:
        self.fuse.call(self.inner.put, source, target)

    def get(self, source: PurePosixPath, target: Path) -> None:
        self.fuse.call(self.inner.get, source, target)


def fused(whole: Cluster, targets: Sequence[Node], fuse: Fuse) -> tuple[Cluster, list[Node]]:
    """Return the cluster, and these of its nodes, with every node and provider call through the fuse.

    The provider is handed its own nodes, not our wrappers.
    """
    nodes: list[Node] = [_FusedNode(node, fuse) for node in whole.nodes]
    own = whole.provider

    def unwrap(value: Any) -> Any:
        if isinstance(value, _FusedNode):
            return value.inner
        return [unwrap(each) for each in value] if isinstance(value, list | tuple) else value

    def fused(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda _self, *args: fuse.call(method, *(unwrap(each) for each in args))

    # A class with exactly the provider's methods, so that it has the same capabilities and no others.
    methods = {each: fused(getattr(own, each)) for each in dir(own) if not each.startswith("_") and callable(getattr(own, each))}
    provider = cast("Provider", type("FusedProvider", (), {"name": own.name, **methods})())
    cluster = replace(whole, nodes=nodes, provider=provider)
    return cluster, [cluster.node(node.name) for node in targets]
