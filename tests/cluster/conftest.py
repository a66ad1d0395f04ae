"""Real machines for tests: three nodes as they come, with no orchestrator on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from harness.core.protocols import Cluster, Streaming
from harness.core.values import NodeSpec
from harness.providers import PROVIDERS
from harness.testing.bare import BareMode
from tests.cluster.knocking import LISTEN

VICTIM = "whalefall-victim.service"
"""A service of the tests' own on every node, so that killing it hurts nobody; the process `victim` of the mode."""
_UNIT = b"[Service]\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=100ms\n\n[Install]\nWantedBy=multi-user.target\n"

NEEDS = frozenset({"cluster", "noise", "vm", "vagrant"})


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse a test that says of nothing that it needs it: the unit tests do not look in here, and it would never be run."""
    if NEEDS.isdisjoint(mark.name for mark in item.iter_markers()):
        raise pytest.UsageError(f"{item.nodeid} has none of the marks {', '.join(sorted(NEEDS))}: it belongs into tests/unit")


@pytest.fixture(scope="session")
def machines(lend: Callable[..., AbstractContextManager[Cluster]]) -> Iterator[Cluster]:
    """Lend three bare nodes with disks that can be slowed, one set for each worker. Whoever breaks one mends it."""
    specs = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}", faultable_disk=True) for number in (1, 2, 3)]
    with lend(PROVIDERS["nspawn"](), "bare", specs, BareMode({"victim": VICTIM})) as cluster:
        for node in cluster.nodes:
            script = 'cat >"/etc/systemd/system/$1" && systemctl daemon-reload && systemctl enable --now "$1"'
            done = node.run("/bin/sh", "-c", script, "sh", VICTIM, stdin=_UNIT)
            assert done.ok, done.err
            done = node.run("systemctl", "start", "docker.service", timeout=60.0)  # returns when it is ready
            assert done.ok, done.err
        yield cluster


@pytest.fixture
def listening(machines: Cluster) -> Iterator[Cluster]:
    """Have every node take TCP connections on the ports of `tests.cluster.knocking`."""
    streams = []
    try:
        for node in machines.nodes:
            assert isinstance(node, Streaming)
            stream = node.stream("python3", "-c", LISTEN)
            streams.append(stream)
            assert next(stream.lines()) == b"ready"
        yield machines
    finally:
        for stream in streams:
            stream.close()
