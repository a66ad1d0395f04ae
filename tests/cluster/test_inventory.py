"""Hosts that somebody else runs: machines with a fleet on them that the harness did not make, broken over their own sshd and left as found."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness.conductor import Options, conduct
from harness.conductor.rehearsal import rehearse
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError, Unsupported
from harness.core.protocols import Cluster, Links, Node, Power, Viewing
from harness.core.values import App, Loss, NodeSpec, Stage, Traits, Verdict, Who
from harness.faults.hang import Hang
from harness.faults.partition import Partition
from harness.history.events import FaultStage
from harness.host import state
from harness.modes.etcd import Etcd
from harness.modes.fleet import Fleet
from harness.plan import Plan, plan
from harness.providers import PROVIDERS
from harness.providers.inventory.claims import ALLOWED, CLAIM
from harness.providers.inventory.formats import VARIABLE
from harness.scenario import load
from harness.undo.fingerprint import differences, fingerprint
from harness.undo.reaper import sweep
from tests.cluster.running import read_until, reaper_of, run_argv
from tests.cluster.somebody_elses import Hosts, left_as_found, lent

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("inventory")]

SCENARIO = """
scenario: somebody-elses
why: A machine that runs work dies; on hosts that somebody else runs.
cluster: {mode: fleet, provider: inventory, nodes: 3, profile: default}
apps: [{name: web, instances: 2}]
workloads: [{http: {app: web, rate: 20/s, deadline: 1s}}, {register: {rate: 10/s, deadline: 2s}}]
steps: [{wait: 2s}, {fault: node.kill, on: hosting(web) & any, hold: {until: recovered, at most: 60s}}]
settle: 60s
promises: [{rescheduled: {app: web}}, conflicts, {quorum: {writes: go on}}, writes]
"""


@pytest.fixture(scope="module")
def hosts(lend: Callable[..., contextlib.AbstractContextManager[Cluster]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Form a fleet on machines, make them reachable and mark them; inside their network for as long as the tests last."""
    with lent(lend, Fleet.from_timers("fast", {}), "etcd", tmp_path_factory.mktemp("theirs")) as found:
        yield found


@pytest.fixture
def use(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Lend the hosts with the plain inventory, and see afterwards that no claim and no record of this test is left."""
    monkeypatch.setenv(VARIABLE, str(hosts.inventory()))
    with left_as_found(hosts):
        yield hosts


def _only(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a sweep see one run: what others have on this machine is none of a test's."""
    for each in ("nspawn", "vagrant"):
        monkeypatch.delitem(PROVIDERS, each)
    provider = PROVIDERS["inventory"]
    every = provider.runs  # type: ignore[attr-defined]
    monkeypatch.setattr(provider, "runs", lambda self: {each: wanted for each, wanted in every(self).items() if each == run_id})


def _of(run_id: str, said: Sequence[str]) -> list[str]:
    return [each for each in said if each.startswith(f"{run_id}: ")]


def _plan(folder: Path, text: str = SCENARIO) -> Plan:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    scenario = load(path)
    return plan(scenario, mode=Fleet.from_timers(scenario.profile, {}), provider="inventory", seed=7)


def _create(count: int = 3) -> tuple[str, list[Node]]:
    run_id = f"inv-{uuid.uuid4().hex[:6]}"
    specs = [NodeSpec(f"n{number}", f"192.0.2.{number}") for number in range(1, count + 1)]
    return run_id, list(PROVIDERS["inventory"]().create(run_id, specs))


@contextlib.contextmanager
def _created(count: int = 3) -> Iterator[Cluster]:
    run_id, nodes = _create(count)
    provider = PROVIDERS["inventory"]()
    try:
        yield Cluster(run_id, nodes, provider, Fleet())
    finally:
        provider.destroy(run_id)


# -- the whole of it


def test_a_node_kill_on_hosts_that_somebody_else_runs_is_judged_and_they_are_left_as_found(
    use: Hosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The cluster is found and not formed, budgets are those of its own timers, and nothing of ours is on it afterwards."""
    monkeypatch.setenv(VARIABLE, str(use.powered(n3="whalefall_protected=true")))
    before = {node.name: fingerprint(node) for node in use.theirs.nodes}
    images = {node.name: node.run("docker", "image", "ls", "--quiet").text for node in use.theirs.nodes}

    run = conduct(_plan(tmp_path), Options(results=tmp_path / "results"))

    assert run.verdict is Verdict.HELD, [(each.checker, each.summary) for each in run.findings]
    assert run.plan.timers["agent_ttl"] == 5.0, "the profile says 30 s, the cluster's own fleet.conf 5 s"
    hit = {target for _, event in run.history.each(FaultStage) if event.stage is Stage.IN_FORCE for target in event.targets}
    assert hit
    assert "n3" not in hit, "a protected host was hit"
    assert run.environment["hosts"] == {"n1": "db1", "n2": "db2", "n3": "db3"}
    for node in use.theirs.nodes:
        assert node.run("fleetctl", "list-units", "--no-legend").text.strip() == ""
        assert node.run("docker", "ps", "--all", "--quiet").text.strip() == ""
        assert node.run("docker", "image", "ls", "--quiet").text == images[node.name]
        assert differences(before[node.name], fingerprint(node)) == []
        with Etcd(node.address, 5.0) as etcd:
            assert etcd.prefix("whalefall/") == {}


def test_a_rehearsal_says_all_and_changes_nothing(use: Hosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hosts, caps, protected ones and the cluster's own budget, without a claim."""
    monkeypatch.setenv(VARIABLE, str(use.powered(n1="whalefall_protected=true")))
    told = rehearse(_plan(tmp_path))
    assert "n1 is db1, 10.77.0.11 on eth0, Debian GNU/Linux 12 (bookworm)" in told
    assert "protected: never broken" in told
    assert "at most 1 may be broken at the same time" in told
    assert "1 at most of n2, n3, decided when it fires" in told
    assert "agent_ttl 5 +" in told


def test_a_rehearsal_says_why_a_run_would_not_begin(use: Hosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two at once where one is allowed, on hosts without a power switch: both are said."""
    with pytest.raises(HarnessError) as e:
        rehearse(_plan(tmp_path, SCENARIO.replace("hosting(web) & any", "majority")))
    assert "'majority' may break 2 at once, and 1 is allowed" in str(e.value)
    assert "node.kill cannot be made on n1: the inventory gives no way to switch db1" in str(e.value)
    monkeypatch.setenv(VARIABLE, str(use.powered(n1="whalefall_protected=true")))
    with pytest.raises(HarnessError, match="the run would not begin: no target for 'n1': n1 is protected"):
        rehearse(_plan(tmp_path, SCENARIO.replace("hosting(web) & any", "n1")))


@pytest.mark.parametrize("reaper_too", [False, True], ids=["harness", "harness and reaper"])
def test_hosts_are_let_go_when_the_harness_is_killed_in_the_middle(
    use: Hosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, reaper_too: bool
) -> None:
    """SIGKILL while a host is off: the reaper turns it on, takes the app away and removes the claims, with nothing but what was noted.

    If the reaper dies as well, a sweep does.
    """
    monkeypatch.setenv(VARIABLE, str(use.powered()))
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    argv = run_argv(scenario, tmp_path / "results")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path) as child:
        said: list[str] = []
        read_until(child, "in force", said)
        assert not all(use.theirs.can(Power).is_on(node) for node in use.theirs.nodes), "".join(said)
        if reaper_too:
            os.kill(reaper_of(child), signal.SIGKILL)
        child.kill()
    run_id = (tmp_path / "results" / "latest").resolve().name
    if reaper_too:
        _only(run_id, monkeypatch)
        swept = sweep()
        assert run_id not in swept.failed, swept.said
        assert f"{run_id}: its hosts were let go" in swept.said

    def let_go() -> bool:
        return not state.run_folder(run_id).exists()

    log = (tmp_path / "results" / "latest").resolve() / "reaper.log"
    wait_until(let_go, awaited="the reaper", seconds=90.0, clock=SystemClock(), every=0.2, saw=log.read_text)
    assert all(use.theirs.can(Power).is_on(node) for node in use.theirs.nodes), log.read_text()
    for node in use.theirs.nodes:
        assert node.run("docker", "ps", "--all", "--quiet").text.strip() == "", log.read_text()
    assert use.theirs.nodes[0].run("fleetctl", "list-units", "--no-legend").text.strip() == ""


def test_what_was_to_be_kept_stays_until_it_is_swept_and_so_does_what_could_not_be_removed(
    use: Hosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Apps and claims outlive the run. While an app cannot be removed its hosts are not let go: the record is all that tells where it is."""
    text = SCENARIO.replace(
        "fault: node.kill, on: hosting(web) & any, hold: {until: recovered, at most: 60s}", "fault: none, on: any, hold: 1s"
    )
    conduct(
        _plan(tmp_path, text.replace("promises: [{rescheduled: {app: web}}, ", "promises: [")), Options(tmp_path / "results", keep=True)
    )
    run_id = (tmp_path / "results" / "latest").resolve().name
    _only(run_id, monkeypatch)
    try:
        assert _of(run_id, sweep().said) == [f"{run_id}: left alone, it was to be kept"]
        assert use.files(CLAIM) == ["n1", "n2", "n3"]
        view = use.theirs.can(Viewing).view(use.theirs, use.theirs.nodes[0])
        assert sorted(each.instance for each in view.placements if each.running) == ["web@1", "web@2"]

        def stuck(mode: Fleet, cluster: Cluster, app: App) -> None:
            raise HarnessError("fleet does not answer")

        with monkeypatch.context() as patch:
            patch.setattr(Fleet, "withdraw", stuck)
            swept = sweep(kept=True)
        assert run_id in swept.failed
        assert f"{run_id}: web could NOT be removed from the cluster: fleet does not answer" in swept.said
        assert use.files(CLAIM) == ["n1", "n2", "n3"]
    finally:
        swept = sweep(kept=True)
    assert (run_id in swept.failed, _of(run_id, swept.said)[-1]) == (False, f"{run_id}: its hosts were let go")
    assert use.theirs.can(Viewing).view(use.theirs, use.theirs.nodes[0]).placements == ()


# -- the control plane


def test_the_members_are_those_that_etcd_tells_of_also_in_another_process(use: Hosts) -> None:
    """Noted when the cluster was taken over; another process has its own mode object."""
    with _created() as cluster:
        cluster.mode.adopt(cluster)  # type: ignore[attr-defined]
        other = Cluster(cluster.run_id, PROVIDERS["inventory"]().adopt(cluster.run_id), PROVIDERS["inventory"](), Fleet())
        assert other.mode.members(other) == ("n1", "n2", "n3")  # type: ignore[attr-defined]
        assert (
            cluster.mode.budget(Traits(Loss.NODE), Who.LEADER).seconds
            == Fleet.from_timers("fast", {}).budget(Traits(Loss.NODE), Who.LEADER).seconds
        )
        assert cluster.mode.remarks == ()  # type: ignore[attr-defined]


def test_a_cluster_of_more_machines_than_nodes_is_not_taken_over(use: Hosts) -> None:
    """Work may go to a machine that nobody watches."""
    with _created(2) as cluster, pytest.raises(HarnessError, match=r"machines that are none of our nodes: 10\.77\.0\.13"):
        cluster.mode.adopt(cluster)  # type: ignore[attr-defined]


def test_an_app_that_is_there_already_is_neither_deployed_nor_withdrawn(use: Hosts) -> None:
    """It is somebody's own work: the error names it, and it goes on."""
    app = App("web", 1)
    theirs = use.theirs
    theirs.mode.deploy(theirs, app)
    try:
        with _created() as cluster:
            cluster.apps = (app,)
            with pytest.raises(HarnessError, match=r"units of the app web are there already and are not ours: web@1\.service"):
                cluster.mode.adopt(cluster)  # type: ignore[attr-defined]
            cluster.mode.withdraw(cluster, app)  # type: ignore[attr-defined]
            view = theirs.can(Viewing).view(theirs, theirs.nodes[0])
            assert [each.instance for each in view.placements if each.running] == ["web@1"]
    finally:
        theirs.mode.withdraw(theirs, app)  # type: ignore[attr-defined]
    assert theirs.can(Viewing).view(theirs, theirs.nodes[0]).placements == ()


# -- hosts that may not be broken


def test_every_host_that_cannot_be_used_is_named_at_once_and_none_is_touched(use: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without a mark, one with another host key, one claimed by somebody else."""
    n1, _, n3 = use.theirs.nodes
    use.pins, pins = {**use.pins, "n2": use.pins["n1"]}, use.pins
    monkeypatch.setenv(VARIABLE, str(use.inventory("bad.ini")))
    assert n1.run("rm", ALLOWED).ok
    assert n3.run("sh", "-c", f"printf 'run: theirs\\nby: ann@elsewhere\\nsince: today\\n' >{CLAIM}").ok
    try:
        with pytest.raises(HarnessError) as e:
            _create()
    finally:
        use.pins = pins
        n1.run("touch", ALLOWED)
        n3.run("rm", CLAIM)
    said = str(e.value)
    assert "3 of 3 hosts cannot be used; nothing was changed on any" in said
    assert f"n1 db1 (10.77.0.11): it is not marked as one that may be broken; whoever runs it may do so: touch {ALLOWED}" in said
    assert "n2 db2 (10.77.0.12): " in said
    assert "n3 db3 (10.77.0.13): it is claimed by run theirs of ann@elsewhere since today" in said


def test_a_host_that_gives_no_answer_is_named(use: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is off: nothing is known of it, and nothing done to the others."""
    power = use.theirs.can(Power)
    power.off(use.theirs.node("n2"))
    try:
        with pytest.raises(HarnessError, match=r"1 of 3 hosts cannot be used.*\n  n2 db2 \(10\.77\.0\.12\): gives no answer"):
            _create()
    finally:
        power.on(use.theirs.node("n2"))


def test_a_run_whose_fault_a_mark_forbids_does_not_begin(use: Hosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before anything is deployed or broken, in one line; also where only one of the hosts says so."""
    monkeypatch.setenv(VARIABLE, str(use.powered()))
    node = use.theirs.node("n2")
    assert node.run("sh", "-c", f"echo 'faults: net.partition' >{ALLOWED}").ok
    said: list[str] = []
    try:
        with pytest.raises(Unsupported) as e:
            conduct(_plan(tmp_path), Options(results=tmp_path / "results", listener=lambda progress: said.append(progress.part)))
    finally:
        node.run("sh", "-c", f": >{ALLOWED}")
    told = f"node.kill cannot be made on n2: {ALLOWED} on db2 allows only net.partition; it needs node.kill among its `faults:`"
    assert str(e.value) == told
    assert "deploy" not in said
    assert use.files(CLAIM) == []
    assert use.theirs.nodes[0].run("fleetctl", "list-units", "--no-legend").text.strip() == ""


def test_a_mark_that_others_could_have_written_or_that_is_over_is_none(use: Hosts) -> None:
    """Its limits are kept, and what is not understood may be one."""
    node = use.theirs.node("n1")
    try:
        for text, said in (
            ("until: 2020-01-01", "which is over"),
            ("only on mondays", "only `until: DATE` and `faults: NAME, NAME` are understood"),
        ):
            assert node.run("sh", "-c", f"echo '{text}' >{ALLOWED}").ok
            with pytest.raises(HarnessError, match=said):
                _create()
        assert node.run("sh", "-c", f"echo 'faults: net.partition' >{ALLOWED}; chmod 666 {ALLOWED}").ok
        with pytest.raises(HarnessError, match="could have been written by others than root"):
            _create()
        assert node.run("chmod", "644", ALLOWED).ok
        with _created() as cluster:
            assert cluster.provider.refusal(cluster.run_id, "n1", Partition("isolate")) is None  # type: ignore[attr-defined]
            why = cluster.provider.refusal(cluster.run_id, "n1", Hang("docker"))  # type: ignore[attr-defined]
            assert why is not None
            assert "db1 allows only net.partition" in why.reason
    finally:
        node.run("sh", "-c", f": >{ALLOWED}")


def test_two_harnesses_cannot_have_one_host(use: Hosts) -> None:
    """The second is told who has it, and lets go what it had got of the others; the first one's claims stay."""
    with _created(2) as first:
        with pytest.raises(HarnessError, match=rf"n1 db1 .*: it is claimed by run {first.run_id} of .* which goes on on this machine"):
            _create(3)
        assert use.files(CLAIM) == ["n1", "n2"]


def test_too_few_hosts_are_an_error(use: Hosts) -> None:
    """With the hosts there are."""
    with pytest.raises(HarnessError, match=r"3 hosts \(db1, db2, db3\); expected 4: the plan needs 4 nodes"):
        _create(4)


def test_a_record_of_the_run_is_for_its_owner_only_and_gone_afterwards(use: Hosts) -> None:
    """Power commands may hold passwords."""
    with _created(1) as cluster:
        folder = state.run_folder(cluster.run_id)
        assert (folder / "hosts.json").stat().st_mode & 0o077 == 0
    assert not folder.exists()
    PROVIDERS["inventory"]().destroy(cluster.run_id)


# -- faults


def test_a_cut_between_hosts_leaves_the_way_of_the_harness_alone(use: Hosts) -> None:
    """Management and cluster address are one: only what comes from the other nodes is dropped, and we come from none of them."""
    with _created() as cluster:
        links, nodes = cluster.can(Links), cluster.nodes
        everyone = [node.name for node in nodes]
        links.cut(nodes, {name: frozenset(everyone) - {name} for name in everyone}, "all")
        try:
            for node, other in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
                assert node.run("true").ok
                assert links.is_cut(node, "all")
                assert not node.run("timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{other.address}/22").ok
            fresh = PROVIDERS["inventory"]().adopt(cluster.run_id)
            assert all(node.run("true").ok for node in fresh), "a new connection comes through, too"
        finally:
            links.restore(nodes, "all")
        assert nodes[0].run("timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{nodes[1].address}/22").ok


def test_a_switch_cuts_the_power_and_gives_it_back(use: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off and on twice are fine, and off is what the status command says."""
    monkeypatch.setenv(VARIABLE, str(use.powered()))
    with _created() as cluster:
        power, node = cluster.can(Power), cluster.node("n3")
        power.off(node)
        power.off(node)
        assert not power.is_on(node)
        power.on(node)
        power.on(node)
        assert power.is_on(node)
        assert node.run("true").ok


def test_a_protected_node_is_never_a_target(use: Hosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A step that names one is refused before anything is deployed; nothing is broken, and nothing left."""
    monkeypatch.setenv(VARIABLE, str(use.powered(n1="whalefall_protected=true")))
    text = SCENARIO.replace("hosting(web) & any", "n1")
    with pytest.raises(Unsupported, match=r"node\.kill is refused: no target for 'n1': n1 is protected and must not be broken"):
        conduct(_plan(tmp_path, text), Options(results=tmp_path / "results"))
    assert all(use.theirs.can(Power).is_on(node) for node in use.theirs.nodes)
