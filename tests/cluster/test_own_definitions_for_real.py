"""An app of a user's own unit file, or stack file, on real machines: submitted, followed, changed and withdrawn by its own names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.core.clock import wait_until
from harness.core.errors import Unreachable
from harness.core.protocols import Cluster, OwnApp
from harness.core.values import App, NodeSpec
from harness.modes.fleet import Fleet
from harness.modes.swarm import Swarm
from harness.modes.swarm.swarm_api import Daemon
from harness.observers.node_truth import agent_of
from harness.providers import PROVIDERS
from harness.undo.fingerprint import differences, fingerprint

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("own-definitions")]

FIXTURES = Path(__file__).parents[2] / "fixtures" / "native"
SPECS = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]


@dataclass
class Own:
    """A cluster with nothing on it, and an app of its user's own."""

    cluster: Cluster
    mode: Fleet | Swarm
    app: App

    def seen(self) -> dict[str, str]:
        """Return where each instance runs, by the nodes' own process tables: what the observers' agent says first."""
        found = {}
        for node in self.cluster.nodes:
            said = node.run("timeout", "1", *agent_of(*self.cluster.tasks), timeout=10.0)
            found.update({name: node.name for _, name in json.loads(said.text.splitlines()[-1])["containers"] if name})
        return found

    def told(self) -> dict[str, str]:
        """Return the same by the orchestrator's word."""
        with self.cluster.network():
            try:
                view = self.mode.view(self.cluster, self.cluster.nodes[0])
            except Unreachable:
                return {}
        return {each.instance: each.node or "" for each in view.placements if each.running}

    def until(self, instances: int) -> None:
        """Wait until so many run, by both alike."""
        names = {f"hello@{number}" for number in range(1, instances + 1)}
        wait_until(
            lambda: set(told := self.told()) == names and self.seen() == told,
            awaited=f"{instances} instances by nodes and orchestrator alike",
            seconds=90.0,
            clock=self.cluster.clock,
            saw=lambda: f"nodes {self.seen()}, orchestrator {self.told()}",
        )


@pytest.fixture(params=["fleet", "swarm"])
def own(request: pytest.FixtureRequest, lend: Callable[..., AbstractContextManager[Cluster]]) -> Iterator[Own]:
    """Lend three nodes of either mode."""
    mode = Fleet.from_timers("fast", {}) if request.param == "fleet" else Swarm()
    path = FIXTURES / ("hello@.service" if request.param == "fleet" else "hello.yml")
    app = mode.define(OwnApp("hello", str(path), path.read_text(encoding="utf-8"), 2))
    with lend(PROVIDERS["nspawn"](), f"own-{request.param}", SPECS, mode, apps=(app,)) as cluster:
        mode.form(cluster)
        yield Own(cluster, mode, app)


def test_an_app_of_its_own_file_is_followed_changed_and_withdrawn(own: Own) -> None:
    """Nodes and orchestrator say the same of its instances all along, and nothing of it is left."""
    before = {node.name: fingerprint(node, tasks=own.cluster.tasks) for node in own.cluster.nodes}
    own.mode.deploy(own.cluster, own.app)
    own.until(2)
    assert [fingerprint(node, tasks=own.cluster.tasks)["containers"] for node in own.cluster.nodes] == [[], [], []]
    own.mode.scale(own.cluster, own.app, 3)
    more = replace(own.app, instances=3)
    own.cluster.apps = (more,)
    own.until(3)
    own.mode.restart(own.cluster, more)
    own.until(3)
    own.mode.remove(own.cluster, more)
    own.until(0)
    own.mode.launch(own.cluster, more)
    own.until(3)
    own.mode.withdraw(own.cluster, more)
    assert own.seen() == {}
    if isinstance(own.mode, Swarm):
        daemon = Daemon(own.cluster.nodes[0], 10.0)
        assert daemon.of_stack("services", "hello") == daemon.of_stack("networks", "hello") == {}
    left = [each for node in own.cluster.nodes for each in differences(before[node.name], fingerprint(node, tasks=own.cluster.tasks))]
    assert left == []
