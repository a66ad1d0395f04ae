"""Real machines for tests: three nodes as they come, with no orchestrator on them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from harness.cluster import Cluster
from harness.errors import Unsupported
from harness.providers import PROVIDERS
from harness.testing.bare import BareMode
from harness.values import NodeSpec

VICTIM = "whalefall-victim.service"
"""A service of the tests' own on every node, so that killing it hurts nobody; the process `victim` of the mode."""
_UNIT = b"[Service]\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=100ms\n\n[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture(scope="session")
def machines() -> Iterator[Cluster]:
    """Lend three bare nodes with disks that can be slowed, one set for each worker. Whoever breaks one mends it."""
    provider, run_id = PROVIDERS["nspawn"](), f"bare-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    specs = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}", faultable_disk=True) for number in (1, 2, 3)]
    try:
        nodes = provider.create(run_id, specs)
    except Unsupported as e:
        pytest.skip(str(e))
    try:
        for node in nodes:
            script = 'cat >"/etc/systemd/system/$1" && systemctl daemon-reload && systemctl enable --now "$1"'
            done = node.run("/bin/sh", "-c", script, "sh", VICTIM, stdin=_UNIT)
            assert done.ok, done.err
            done = node.run("systemctl", "start", "docker.service", timeout=60.0)  # returns when it is ready
            assert done.ok, done.err
        yield Cluster(run_id, nodes, provider, BareMode({"victim": VICTIM}))
    finally:
        provider.destroy(run_id)
