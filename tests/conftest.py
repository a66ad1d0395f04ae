"""What all tests share: pytest's own tester, for tests of the plugin, a way to have machines, and a look at whether groups hold."""

from __future__ import annotations

import gc
import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from random import Random

import pytest

from harness.core.errors import Unsupported
from harness.core.protocols import Cluster, Furnishing, Mode, Provider
from harness.core.values import App, NodeSpec
from harness.pytest_plugin import run_seed

pytest_plugins = ["pytester"]
pytest.register_assert_rewrite("mesos_contract")  # the body of tests, though no module of tests
_LONG = 200
_GZIP = b"\x1f\x8b\x08"


def pytest_configure(config: pytest.Config) -> None:
    """Stop a run whose workers would share what only one of them may have: pytest-xdist 3.8 marks groups where pytest 9.2 does not look."""
    if getattr(config.option, "dist", "no") == "loadgroup" and "_nodeid" not in getattr(pytest.Item.__mro__[1], "__slots__", ()):
        raise pytest.UsageError(
            f"with pytest {pytest.__version__} groups of tests do not hold, and tests would share clusters; run ./setup again"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Look for no rings of garbage while tests are collected: a million objects are made that all stay."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for them from now on, but rarely, and never again among what collecting has made: that would be half of what some tests take."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # a history alone is ten thousand objects, and no ring
    gc.enable()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a test by the beginning of a long text: names of a hundred thousand letters are sent to and fro between workers for every test.

    Raises `ValueError` for what holds the time at which it was packed: workers that collect a second apart would know a test by different names.
    """
    if isinstance(val, bytes) and val.startswith(_GZIP) and any(val[4:8]):
        raise ValueError("packed with the time of day in it; give gzip.compress mtime=0")
    return f"{ascii(val[:_LONG])[1:-1]} ({len(val)})" if isinstance(val, str | bytes) and len(val) > _LONG else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest begin first, in its random order else: at the end of a run nobody then waits for one worker's last minutes.

    What shares a cluster, one after the other in one worker, counts as one.
    """
    together: dict[str, float] = defaultdict(float)
    for item in items:
        together[_shared(item)] += _seconds(item)
    items.sort(key=lambda item: -together[_shared(item)])


def _shared(item: pytest.Item) -> str:
    """Name what a test shares with others; its own name where it shares nothing."""
    group = item.get_closest_marker("xdist_group")
    return str(group.args[0]) if group is not None else item.nodeid


def _seconds(item: pytest.Item) -> float:
    """Return about how long a test of a cluster takes: a run mostly takes a sixth of its plan's limit. All others are alike."""
    plan = getattr(item, "plan", None)
    if plan is not None:
        return float(plan.limit) / 6
    if item.get_closest_marker("vm") is not None:
        return 60.0
    if item.get_closest_marker("slow") is not None and item.get_closest_marker("xdist_group") is None:
        return 30.0
    return 3.0 if item.get_closest_marker("cluster") is not None else 0.0


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> Random:
    """Return what a test draws by from more than it could try: `--wf-seed` repeats what is drawn, and each run draws something else."""
    return Random(f"{run_seed(request.config)} {request.node.nodeid}")  # noqa: S311 - choices that can be repeated, no secrets


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
    if isinstance(provider, Furnishing):
        provider.furnish(mode.LAYER)
    try:
        nodes = provider.create(run_id, specs)
    except Unsupported as e:
        pytest.skip(str(e))
    try:
        yield Cluster(run_id, nodes, provider, mode, apps=apps)
    finally:
        provider.destroy(run_id)
