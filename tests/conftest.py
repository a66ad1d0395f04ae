"""What all tests share: pytest's own tester, for tests of the plugin, a way to have machines, and a look at whether groups hold."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest

from harness.core.errors import Unsupported
from harness.core.protocols import Cluster, Mode, Provider
from harness.core.values import App, NodeSpec

pytest_plugins = ["pytester"]


def pytest_configure(config: pytest.Config) -> None:
    """Stop a run whose workers would share what only one of them may have: pytest-xdist 3.8 marks groups where pytest 9.2 does not look."""
    if getattr(config.option, "dist", "no") == "loadgroup" and "_nodeid" not in getattr(pytest.Item.__mro__[1], "__slots__", ()):
        raise pytest.UsageError(
            f"with pytest {pytest.__version__} groups of tests do not hold, and tests would share clusters; run ./setup again"
        )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest begin first, in its random order: at the end of a run nobody then waits for one worker's last minutes."""
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in ("scenario", "slow")))


@pytest.fixture(scope="session")
def lend() -> Callable[..., AbstractContextManager[Cluster]]:
    """Return `_lent`: a fixture, since test folders are no packages that it could be imported from."""
    return _lent


@contextmanager
def _lent(provider: Provider, name: str, specs: Sequence[NodeSpec], mode: Mode, *, apps: Sequence[App] = ()) -> Iterator[Cluster]:
    """Create nodes, lend them as a cluster, and destroy them however the block ends. Skips where this machine cannot have them.

    Nothing is formed or deployed. `name` is what the run's id begins with.
    """
    run_id = f"{name}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    try:
        nodes = provider.create(run_id, specs)
    except Unsupported as e:
        pytest.skip(str(e))
    try:
        yield Cluster(run_id, nodes, provider, mode, apps=apps)
    finally:
        provider.destroy(run_id)
