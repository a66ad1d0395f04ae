"""The agent on a real node's kernel: told of groups that come and go, and of a last process's end, with no daemon to ask and no look in between."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from harness.core.protocols import Cluster
from harness.nodes.namespaced import NspawnNode
from harness.observers.node_truth import AGENT

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("bare-agent-on-nspawn")]

SECONDS = 10.0
ID = "0123456789abcdef" * 4
RESCAN = "RESCAN_SECONDS = 5.0"
_BEGIN = 'mkdir "$1" && { setsid sleep 3600 >/dev/null 2>&1 <&- & echo $! >"$1/cgroup.procs"; }'
_GROUP = f"/sys/fs/cgroup/system.slice/docker-{ID}.scope"


class Told:
    """An agent on a node that looks by itself once an hour, and what it says."""

    def __init__(self, node: NspawnNode) -> None:
        source = AGENT.read_text(encoding="utf-8")
        assert source.count(RESCAN) == 1
        self._stream = node.stream("python3", "-I", "-c", source.replace(RESCAN, "RESCAN_SECONDS = 3600.0"))
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def until_running(self, *containers: str) -> None:
        """Wait until it says that exactly these run. Fails where it has a remark: there is nothing to remark on."""
        found = None
        while found != [*containers]:
            line = self._said.get(timeout=SECONDS)
            assert "note" not in line
            found = [each[0] for each in line["containers"]]

    def close(self) -> None:
        """End it."""
        self._stream.close()
        self._thread.join()

    def _read(self) -> None:
        for line in self._stream.lines():
            self._said.put(json.loads(line))


@pytest.fixture
def node(machines: Cluster) -> Iterator[NspawnNode]:
    """A node whose Docker is hung, with no group of ours on it at the end."""
    node = machines.node("n1")
    assert isinstance(node, NspawnNode)
    assert node.run("systemctl", "kill", "--signal=STOP", "docker.service").ok
    yield node
    node.run("/bin/sh", "-c", 'echo 1 >"$1/cgroup.kill"; while ! rmdir "$1"; do sleep 0.01; done', "sh", _GROUP, timeout=SECONDS)
    assert node.run("systemctl", "kill", "--signal=CONT", "docker.service").ok


def test_the_kernel_tells_of_a_container_from_its_first_process_to_its_last(node: NspawnNode) -> None:
    """Also while dockerd hangs, and also where its group stays behind."""
    told = Told(node)
    try:
        told.until_running()
        assert node.run("/bin/sh", "-c", _BEGIN, "sh", _GROUP).ok
        told.until_running(ID)
        assert node.run("/bin/sh", "-c", 'echo 1 >"$1/cgroup.kill"', "sh", _GROUP).ok
        told.until_running()
        assert node.run("/bin/sh", "-c", 'setsid sleep 3600 >/dev/null 2>&1 <&- & echo $! >"$1/cgroup.procs"', "sh", _GROUP).ok
        told.until_running(ID)
    finally:
        told.close()
