"""Virtual machines that the harness did not make: a fleet on them is found, broken and judged, and they mend themselves when everybody is dead."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.conductor import Options, conduct
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import Unreachable
from harness.core.protocols import Cluster, Slower, Viewing
from harness.core.values import NodeSpec, Verdict
from harness.host import state
from harness.modes.fleet import Fleet
from harness.nodes.links import dropping_tables
from harness.plan import plan
from harness.providers import PROVIDERS
from harness.providers.inventory.claims import ALLOWED, CLAIM
from harness.providers.inventory.formats import VARIABLE
from harness.providers.vagrant import VmNode, vagrant_records
from harness.scenario import load
from harness.undo.reaper import undo
from tests.cluster.running import read_until, reaper_of, run_argv

pytestmark = [pytest.mark.vagrant, pytest.mark.slow, pytest.mark.xdist_group("vagrant")]

REPO = Path(__file__).resolve().parents[2]
SCENARIO = """
scenario: somebody-elses-machines
why: A machine that runs work dies; on virtual machines that somebody else runs.
cluster: {{mode: fleet, provider: inventory, nodes: 3, profile: default}}
apps: [{{name: web, instances: 2}}]
workloads: [{{http: {{app: web, rate: 20/s, deadline: 1s}}}}, {{register: {{rate: 10/s, deadline: 2s}}}}]
steps: [{{wait: 2s}}, {fault}]
settle: 90s
promises: {promises}
"""
KILL = "{fault: node.kill, on: hosting(web) & any, hold: {until: recovered, at most: 60s}}"
CUT = "{fault: net.partition, with: {shape: halves}, on: minority, hold: 10m}"


@dataclass
class Theirs:
    """Machines with a fleet, and the inventory of whoever runs them."""

    cluster: Cluster
    inventory: Path


@pytest.fixture(scope="module")
def theirs(lend: Callable[..., AbstractContextManager[Cluster]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    """Form a fleet on virtual machines and write its inventory, with libvirt as the power switch; inside their network while the tests last."""
    provider, mode = PROVIDERS["vagrant"](), Fleet.from_timers("default", {})
    specs = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]
    with lend(provider, "theirs", specs, mode) as cluster:
        slow = provider.allowance() if isinstance(provider, Slower) else None
        if slow is not None:
            mode.unhurried(slow.seconds)
        mode.form(cluster)
        lines = ["[whalefall]"]
        for node in cluster.nodes:
            assert isinstance(node, VmNode)
            assert node.run("touch", ALLOWED).ok
            virsh = f"virsh -c {vagrant_records.read_cluster(cluster.run_id).uri}"
            domain = vagrant_records.machine(cluster.run_id, node.name).domain
            power = f'whalefall_power_off="{virsh} destroy {domain}" whalefall_power_on="{virsh} start {domain}" '
            power += f'whalefall_power_status="{virsh} domstate {domain}"'
            access = node.access
            lines.append(
                f"{node.name}.example ansible_host={access.host} whalefall_address={node.address} ansible_user={access.user} "
                f'ansible_ssh_private_key_file={access.key} whalefall_host_key="{access.host_keys[0]}" {power}'
            )
        lines += ["[whalefall:vars]", f"whalefall_slower={slow.seconds if slow else 0:g}s"]
        inventory = tmp_path_factory.mktemp("theirs") / "hosts.ini"
        inventory.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with cluster.network(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(REPO))
            patch.setenv(VARIABLE, str(inventory))
            yield Theirs(cluster, inventory)


def test_a_node_kill_on_machines_that_the_harness_did_not_make(theirs: Theirs, tmp_path: Path) -> None:
    """Found, judged, and left: no unit, no claim, every machine on."""
    path = tmp_path / "kill.yaml"
    path.write_text(
        SCENARIO.format(fault=KILL, promises="[{rescheduled: {app: web}}, conflicts, {quorum: {writes: go on}}, writes]"), encoding="utf-8"
    )
    scenario = load(path)
    made = plan(scenario, mode=Fleet.from_timers(scenario.profile, {}), provider="inventory", seed=3)
    run = conduct(made, Options(results=tmp_path / "results"))
    assert run.verdict is Verdict.HELD, [(each.checker, each.summary) for each in run.findings]
    cluster = theirs.cluster
    assert cluster.can(Viewing).view(cluster, cluster.nodes[0]).placements == ()
    assert not any(node.run("test", "-e", CLAIM).ok for node in cluster.nodes)


def test_hosts_mend_themselves_when_harness_and_reaper_are_killed(theirs: Theirs, tmp_path: Path) -> None:
    """SIGKILL to both in the middle of a cut: within its patience every host has taken the cut away, with nobody to tell it to."""
    path = tmp_path / "cut.yaml"
    path.write_text(SCENARIO.format(fault=CUT, promises="[conflicts]"), encoding="utf-8")
    argv = run_argv(path, tmp_path / "results", seed=3)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path) as child:
        said: list[str] = []
        read_until(child, "is in force", said)
        nodes = theirs.cluster.nodes
        assert any(dropping_tables(node) for node in nodes), "".join(said)
        os.kill(reaper_of(child), signal.SIGKILL)
        child.kill()
    run_id = (tmp_path / "results" / "latest").resolve().name

    def mended() -> bool:
        try:
            return not any(dropping_tables(node) for node in nodes)
        except Unreachable:
            return False

    try:
        wait_until(mended, awaited="the hosts to mend themselves", seconds=90.0, clock=SystemClock(), every=1.0)
    finally:
        undone = undo(run_id, (tmp_path / "results" / "latest").resolve() / "ledger.jsonl", "inventory", keep=False)
    assert not state.run_folder(run_id).exists(), undone
    assert not any(node.run("test", "-e", CLAIM).ok for node in nodes)
