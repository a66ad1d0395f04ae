"""Hosts that somebody else runs: who may be broken, who says so, how a host is switched, and who has it just now."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path, PurePosixPath

import pytest

from harness.actions.own_command import RunCommand
from harness.core import aim, targets
from harness.core.errors import BadInput, HarnessError, NoSuchRun, Unreachable
from harness.core.protocols import Claiming
from harness.core.values import NodeSpec, Result
from harness.faults.hang import Hang
from harness.faults.power import NodeKill
from harness.host.processes import Process
from harness.modes.fleet.fleet_adoption import read_timers, seconds_of
from harness.modes.fleet.fleet_timers import PROFILES, FleetTimers
from harness.providers.inventory import InventoryProvider, checking, claims, inventory_records, switches
from harness.providers.inventory.formats import VARIABLE
from harness.providers.inventory.hosts import Host, Inventory, Switch

TODAY = date(2026, 6, 1)
SOUND = "uid 0\nkernel 6.1\nos Debian 12\nhas 10.0.0.1 eth1\n"


class LocalNode:
    """A node that is this machine, as whoever runs the tests."""

    name, address = "n1", "10.0.0.1"

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Run it here."""
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False)
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Do nothing."""

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Do nothing."""


# -- marks


def looked(more: str, run_id: str | None = None) -> claims.Look:
    """Read what a sound host would print, and more."""
    return claims.parsed(f"{SOUND}{more}", run_id, TODAY)


def test_an_empty_mark_of_roots_allows_everything() -> None:
    """And tells the host's kernel, system and addresses."""
    found = looked("marked 0 644 regular empty file\n")
    assert found.problems == ()
    assert found.limits == claims.Limits()
    assert (found.kernel, found.os, found.devices) == ("6.1", "Debian 12", {"10.0.0.1": "eth1"})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "it is not marked as one that may be broken; whoever runs it may do so: touch /etc/whalefall-allowed"),
        ("marked 1000 644 regular file\n", "could have been written by others than root"),
        ("marked 0 664 regular file\n", "could have been written by others than root"),
        ("marked 0 602 regular file\n", "could have been written by others than root"),
        ("marked 0 755 directory\n", "is a directory, not a file"),
        ("marked 0 zz regular file\n", "could have been written by others than root"),
        ("marked 0 644 regular file\ncut 5000\n", "has 5000 bytes; 4096 at most are read"),
        ("marked 0 644 regular file\ncut \n", "cannot be read, so nobody can tell what it allows"),
        ("marked 0 644 regular file\nallows until: 2027-01-01\nallows until: 2026-07-01\n", "says 'until' twice"),
        ("marked 0 644 regular file\nallows faults: node.kill\nallows faults: node.kill\n", "says 'faults' twice"),
        ("marked 0 644 regular file\nallows # on one page\x0cuntil: 2020-01-01\n", "which is not plain text"),
        ("marked 0 644 regular file\nallows # on one line\u2028until: 2020-01-01\n", "which is not plain text"),
        ("marked\n", "not a file"),
        ("marked 0 644 regular file\nallows until: 2026-05-31\n", "allowed it until 2026-05-31, which is over"),
        ("marked 0 644 regular file\nallows until: soon\n", "says until 'soon', which is no date"),
        ("marked 0 644 regular file\nallows nodes: 1\n", "says 'nodes: 1'; only `until: DATE` and `faults: NAME, NAME` are understood"),
        ("marked 0 644 regular file\nlacks nft\nlacks docker\n", "it has no nft, docker (Debian: nftables, docker.io)"),
    ],
)
def test_a_host_that_may_not_be_broken_says_why(more: str, said: str) -> None:
    """One problem each, without the host's name, which is put before it."""
    (problem,) = looked(more).problems
    assert said in problem


def test_a_mark_sets_limits() -> None:
    """The last day counts, comments do not; no fault at all is a limit, too."""
    mark = "marked 0 644 regular file\n"
    found = looked(f"{mark}allows # ours\nallows until: 2026-06-01  # the last day\nallows faults: node.kill, net.partition daemon.hang\n")
    assert found.problems == ()
    assert found.limits == claims.Limits(date(2026, 6, 1), frozenset({"node.kill", "net.partition", "daemon.hang"}))
    assert looked(f"{mark}allows faults:\n").limits.faults == frozenset()


LIMITED = claims.Limits(date(2026, 7, 1), frozenset({"node.kill"}))
MARKS: dict[str, bytes] = {
    "ends of lines of another system": b"# ours\runtil: 2026-07-01\rfaults: node.kill\r",
    "ends of lines of yet another": b"# ours\r\nuntil: 2026-07-01\r\nfaults: node.kill\r\n",
    "no end of the last line": b"until: 2026-07-01\nfaults: node.kill",
    "a long comment before": b"# " + b"x" * 4000 + b"\nuntil: 2026-07-01\nfaults: node.kill\n",
    "empty lines and backslashes": b"\n\n# \\n \\\nuntil: 2026-07-01\n\n\nfaults: node.kill\n\n\n",
    "blanks around": b"\t until :  2026-07-01\t\n  faults:\tnode.kill  \n",
}


@pytest.mark.parametrize("form", MARKS)
def test_the_limits_of_a_mark_are_read_whatever_its_form(here: Path, form: str) -> None:
    """By the very program that asks a host: a limit that is lost allows everything."""
    (here / "allowed").write_bytes(MARKS[form])
    assert claims.look(LocalNode(), None, TODAY).limits == LIMITED


@pytest.mark.parametrize("more", [b"", b"faults: node.kill\n"])
@pytest.mark.parametrize("before", [b"# " + b"x" * 5000 + b"\n", b"#\n" * 3000, b"\0" * 5000, b"\n" * 5000])
def test_a_mark_of_which_something_would_be_left_out_is_a_problem(here: Path, before: bytes, more: bytes) -> None:
    """Nobody can tell what stands there, and nothing of it counts as allowed."""
    (here / "allowed").write_bytes(before + more)
    found = claims.look(LocalNode(), None, TODAY)
    assert any(
        f"has {len(before + more)} bytes; 4096 at most are read, so nobody can tell what it allows" in each for each in found.problems
    )


def test_commands_that_do_not_run_as_root_are_a_problem() -> None:
    """Nothing can be broken, and nothing mended."""
    (problem,) = claims.parsed("uid 1000\nmarked 0 644 regular file\n", None, TODAY).problems
    assert "commands do not run as root" in problem


# -- claims


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the host's two files be in a folder of the test's."""
    monkeypatch.setattr(claims, "ALLOWED", str(tmp_path / "allowed"))
    monkeypatch.setattr(claims, "CLAIM", str(tmp_path / "claim"))
    return tmp_path


def test_a_claim_is_taken_once_told_of_and_released_by_its_own_run_only(here: Path) -> None:
    """In real files, by the scripts that a host is given."""
    node = LocalNode()
    claims.take(node, "first")
    with pytest.raises(
        HarnessError, match=rf"n1: it is claimed by run first of .* which goes on on this machine \(process {os.getpid()}\)"
    ):
        claims.take(node, "second")
    assert [each for each in claims.look(node, "second", TODAY).problems if "claimed" in each]
    assert not [each for each in claims.look(node, "first", TODAY).problems if "claimed" in each]
    claims.release(node, "second")
    assert (here / "claim").exists()
    claims.release(node, "first")
    claims.release(node, "first")
    assert list(here.iterdir()) == []
    claims.take(node, "second")


def test_what_a_claim_that_was_cut_short_left_goes_with_its_run(here: Path) -> None:
    """The harness was killed between writing and linking."""
    (here / "claim.123").write_text("run: first\n")
    (here / "claim.124").write_text("run: second\n")
    claims.release(LocalNode(), "first")
    assert [each.name for each in here.iterdir()] == ["claim.124"]


def test_a_claim_that_cannot_be_written_is_an_error_and_no_claim(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not there stands for a full disk."""
    monkeypatch.setattr(claims, "CLAIM", str(here / "nowhere" / "claim"))
    with pytest.raises(HarnessError, match="is its disk full"):
        claims.take(LocalNode(), "first")


def test_a_claim_of_a_dead_harness_says_how_to_release_it(here: Path) -> None:
    """Of this machine: sweep. Of another one: there, or by hand."""
    node = LocalNode()
    claims.take(node, "first")
    mine = Process.of(os.getpid())
    assert mine is not None
    text = (here / "claim").read_text()
    (here / "claim").write_text(text.replace(f"process: {mine.pid} {mine.started}", f"process: {mine.pid} 1"))
    assert "is dead: `whalefall sweep` here releases it" in claims.look(node, None, TODAY).problems[-1]
    (here / "claim").write_text("run: first\nby: ann@elsewhere\nboot: another\nsince: today\n")
    said = claims.look(node, None, TODAY).problems[-1]
    assert said.startswith(
        "it is claimed by run first of ann@elsewhere since today; if that run is over, `whalefall sweep` where it was started"
    )
    (here / "claim").write_text("")
    assert "it is claimed by run (unknown) of somebody" in claims.look(node, None, TODAY).problems[-1]


# -- power


def switched(folder: Path, *, off: str = "", on: str = "", status: str = "", sysrq: bool = False) -> Host:
    """Return a host whose power is a file: commands are shell scripts with the file as $1."""
    state = str(folder / "power")
    commands = {
        name: ("sh", "-c", script, "sh", state) if script else () for name, script in (("off", off), ("on", on), ("status", status))
    }
    return Host("db1", "db1", address="10.0.0.1", switch=Switch(**commands, sysrq=sysrq))


STATUS = 'if [ -e "$1" ]; then echo Chassis Power is on; else echo Chassis Power is off; fi'


def test_power_is_what_the_status_command_says(tmp_path: Path) -> None:
    """Off and on twice are fine, also where the command itself refuses the second time, as virsh does."""
    host = switched(tmp_path, off='rm "$1"', on='ln -s x "$1" 2>/dev/null; : >"$1"; mkdir "$1.d"', status=STATUS)
    (tmp_path / "power").touch()
    node = LocalNode()
    assert switches.is_on(host)
    switches.off(node, host)
    switches.off(node, host)
    assert not switches.is_on(host)
    switches.on(node, host)
    switches.on(node, host)
    assert switches.is_on(host)


@pytest.mark.parametrize(
    ("script", "is_on"),
    [
        ("echo running", True),
        ("echo paused", True),
        ("echo shut off", False),
        ("echo in shutdown", True),
        ("echo crashed", False),
        ("true", True),
        ("exit 1", False),
        ("echo on; exit 0", True),
    ],
)
def test_a_status_is_words_or_an_exit_status(tmp_path: Path, script: str, is_on: bool) -> None:
    """As virsh, ipmitool and a script of one's own say it."""
    assert switches.is_on(switched(tmp_path, status=script)) is is_on


@pytest.mark.parametrize("script", ["exit 2", "echo off; exit 1", "echo off or on", "exit 127"])
def test_a_status_that_is_not_clear_is_never_off(tmp_path: Path, script: str) -> None:
    """Could not ask is never no."""
    with pytest.raises(Unreachable, match=r"db1: no answer to whalefall_power_status: exit status \d+"):
        switches.is_on(switched(tmp_path, status=script))


def test_a_host_without_a_status_is_never_said_to_be_off() -> None:
    """Nobody could know."""
    assert switches.is_on(Host("db1", "db1"))


def test_a_command_that_fails_is_told_without_its_words(tmp_path: Path) -> None:
    """It may hold a password."""
    host = switched(tmp_path, off="echo no route >&2; exit 3 # secret", on="true", status="echo on")
    with pytest.raises(HarnessError, match=r"db1: whalefall_power_off \(sh …\) exited with status 3: no route") as e:
        switches.off(LocalNode(), host)
    assert "secret" not in str(e.value)
    lost = replace(host, switch=replace(host.switch, off=("/no/such", "secret")))
    with pytest.raises(HarnessError, match="whalefall_power_off cannot be run here: /no/such: No such file") as e:
        switches.off(LocalNode(), lost)
    assert "secret" not in str(e.value)


def test_host_and_address_are_filled_into_commands_as_single_words(tmp_path: Path) -> None:
    """No shell is asked."""
    seen = tmp_path / "seen"
    host = Host(
        "a b;c", "x", address="10.0.0.1", switch=Switch(status=("sh", "-c", f'echo "$1|$2" >{seen}', "sh", "{host}", "at={address}"))
    )
    assert switches.is_on(host)
    assert seen.read_text() == "a b;c|at=10.0.0.1\n"


@pytest.mark.parametrize(
    ("switch", "needs"),
    [
        (Switch(), "whalefall_power_off (or whalefall_sysrq: true) and whalefall_power_on"),
        (Switch(off=("x",), status=("x",)), "whalefall_power_on, without which it would stay off"),
        (Switch(sysrq=True, status=("x",)), "whalefall_power_on, without which it would stay off"),
        (Switch(off=("x",), on=("x",)), "whalefall_power_status, without which nobody can tell that it is off"),
    ],
)
def test_a_host_that_could_not_be_given_its_power_back_is_not_killed(switch: Switch, needs: str) -> None:
    """The reason names the variables that are missing."""
    host = Host("db1", "db1", switch=switch)
    why = switches.why_not(host)
    assert why is not None
    assert needs in why.needs
    with pytest.raises(HarnessError, match="the inventory gives no way to switch db1"):
        switches.off(LocalNode(), host)


def test_sysrq_will_do_for_off_where_somebody_can_turn_it_on() -> None:
    """With a command for on and one for the status."""
    assert switches.why_not(Host("db1", "db1", switch=Switch(on=("x",), status=("x",), sysrq=True))) is None


# -- choosing and checking


def test_hosts_are_nodes_in_the_inventorys_order() -> None:
    """More hosts than nodes are left out from the end; fewer are an error."""
    inventory = Inventory("hosts.ini", (Host("b", "b"), Host("a", "a"), Host("c", "c")))
    assert {name: host.name for name, host in checking.chosen(inventory, ["n1", "n2"]).items()} == {"n1": "b", "n2": "a"}
    with pytest.raises(BadInput, match=r"hosts\.ini: 3 hosts \(b, a, c\); expected 4: the plan needs 4 nodes"):
        checking.chosen(inventory, ["n1", "n2", "n3", "n4"])


def test_a_host_is_reached_as_the_inventory_says(tmp_path: Path) -> None:
    """An OpenSSH config speaks for itself; a pinned key counts before what it says."""
    found = checking.access(Host("db1", "192.0.2.1", 2222, "ops", "~/k", "me@jump", "ssh-ed25519 AAAA"))
    assert (found.host, found.port, found.user, found.jump, found.host_keys) == ("192.0.2.1", 2222, "ops", "me@jump", ("ssh-ed25519 AAAA",))
    assert found.key == Path("~/k").expanduser()
    config = tmp_path / "config"
    config.write_text("Host db1\n HostName 192.0.2.9\n User other\n")
    found = checking.access(Host("db1", "192.0.2.9", config=str(config), host_key="ssh-ed25519 AAAA"))
    assert (found.host, found.user, found.host_keys) == ("192.0.2.9", "other", ("ssh-ed25519 AAAA",))


def test_each_host_that_cannot_be_used_is_told_once_by_each_of_its_names() -> None:
    """With what may be a slip in the file below: it may be why nobody answers."""
    hosts = {
        "n1": Host("n1", "127.0.0.1", port=1, key="/nowhere", address="10.255.0.1", host_key="ssh-ed25519 AAAA"),
        "n2": Host("127.0.0.1", "127.0.0.1", port=1, key="/nowhere", address="10.255.0.2"),
        "n3": Host("c", "127.0.0.1", port=1, key="/nowhere"),
    }
    with pytest.raises(HarnessError) as e:
        checking.check(hosts, "run", ["hosts.ini:1:1: a slip"])
    assert not isinstance(e.value, BadInput)
    said = str(e.value)
    assert said.startswith("3 of 3 hosts cannot be used; nothing was changed on any:\n  n1 (127.0.0.1): ")
    assert "\n  n2 127.0.0.1: " in said
    assert "\n  n3 c (127.0.0.1): no name service says now which address '127.0.0.1' has; say it in whalefall_address\n" in said
    assert said.endswith("\nand there may be slips in the inventory:\n  hosts.ini:1:1: a slip")


def test_without_an_inventory_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to name one."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(BadInput, match="--inventory: no inventory; expected FILE or FILE:GROUP; or set WHALEFALL_INVENTORY"):
        InventoryProvider().create("run", [NodeSpec("n1", "10.77.0.11")])


# -- records


def test_a_record_is_for_its_owner_only_and_reads_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process needs nothing else: who is protected, how many may be broken, which faults each host allows."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    monkeypatch.setattr("harness.host.state.REGISTRY", tmp_path / "register")
    switch = Switch(("off", "secret"), ("on",), ("status",), sysrq=True)
    hosts = {"n1": Host("a", "a", address="10.0.0.1", protected=True), "n2": Host("b", "b", address="10.0.0.2", switch=switch)}
    record = inventory_records.Record("run", hosts, 1, {"n2": ("net.partition", "node.kill")})
    inventory_records.open_record("inventory", record)
    assert (tmp_path / "runs" / "run" / "hosts.json").stat().st_mode & 0o777 == 0o600
    assert inventory_records.read("run") == record
    provider = InventoryProvider()
    assert [(node.name, node.address) for node in provider.adopt("run")] == [("n1", "10.0.0.1"), ("n2", "10.0.0.2")]
    assert provider.spared("run") == {"n1"}
    assert provider.at_once("run") == 1
    assert provider.runs() == {"run": True}
    assert provider.refusal("run", "n2", NodeKill()) is None
    why = provider.refusal("run", "n2", Hang())
    assert why is not None
    assert why.reason == "/etc/whalefall-allowed on b allows only net.partition, node.kill"
    why = provider.refusal("run", "n2", RunCommand("true", disturbs=False))
    assert why is not None
    assert why.needs == "command among its `faults:`"
    assert provider.refusal("run", "n1", RunCommand("true")) is None
    assert provider.results("run") is None
    provider.note_results("run", tmp_path / "results" / "run")
    assert provider.results("run") == tmp_path / "results" / "run"
    assert not provider.is_kept("run")
    provider.keep("run")
    assert provider.is_kept("run")
    assert isinstance(provider, Claiming)
    inventory_records.forget("run")
    inventory_records.forget("run")
    with pytest.raises(NoSuchRun):
        inventory_records.read("run")
    assert provider.runs() == {}


# -- protected nodes


def hit(expression: str, spared: Sequence[str], seed: int = 1) -> tuple[str, ...]:
    """Resolve a target on three nodes, all of which run web; n1 leads."""
    return aim.resolve(
        targets.parse(expression),
        nodes=("n1", "n2", "n3"),
        leader="n1",
        members=("n1", "n2", "n3"),
        hosting={"web": ("n1", "n2")},
        rng=random.Random(seed),  # noqa: S311 - choices that can be repeated, not secrets
        spared=spared,
    )


def test_choosers_choose_among_those_who_are_not_protected() -> None:
    """Whatever chance says."""
    assert {hit("any", ("n1", "n3"), seed) for seed in range(30)} == {("n2",)}
    assert {hit("hosting(web) & any", ("n1",), seed) for seed in range(30)} == {("n2",)}
    assert hit("majority", ("n2",)) == ("n1", "n3")
    assert hit("n2", ("n1",)) == ("n2",)
    assert hit("!n1", ("n1",)) == ("n2", "n3")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("n1", "n1 is protected and must not be broken; the expression says n1; leave the protected out"),
        ("leader", "n1 is protected and must not be broken"),
        ("all", "n1 is protected and must not be broken; the expression says n1, n2, n3"),
        ("leader & any", "n1 is protected and must not be broken; of n1 that leaves no node, and 1 are needed"),
        ("hosting(web) & majority", "n1 is protected and must not be broken; of n1, n2 that leaves n2, and 2 are needed"),
    ],
)
def test_a_target_that_needs_a_protected_node_hits_nobody(expression: str, said: str) -> None:
    """The error names the node that stands in the way."""
    with pytest.raises(aim.ImpossibleTarget, match=said):
        hit(expression, ("n1",))


# -- timers of a cluster that runs already

FAST = (
    "{'fleetd': {'flags': {}, 'environ': {}, 'config': '/etc/fleet/fleet.conf',"
    " 'file': {'agent_ttl': '\"5s\"', 'engine_reconcile_interval': '1', 'etcd_request_timeout': '1'}},"
    " 'etcd': {'flags': {}, 'environ': {'ETCD_HEARTBEAT_INTERVAL': '100', 'ETCD_ELECTION_TIMEOUT': '1000'}, 'config': '', 'file': {}}}"
)
AGENT_ONLY = "{'fleetd': {'flags': {}, 'environ': {'FLEET_AGENT_TTL': '1m30s'}, 'config': '', 'file': {}}}"
BY_FLAGS = (
    "{'fleetd': {'flags': {}, 'environ': {}, 'config': '', 'file': {}}, 'etcd': {'flags': {'election-timeout': '2500'},"
    " 'environ': {'ETCD_ELECTION_TIMEOUT': '9000', 'ETCD_HEARTBEAT_INTERVAL': '250'}, 'config': '', 'file': {}}}"
)
BY_FILE = "{'fleetd': {'flags': {}, 'environ': {}, 'config': '', 'file': {}}, 'etcd': {'flags': {'election-timeout': '2500'}, 'environ': {}, 'config': '/etcd.yml', 'file': {'heartbeat-interval': '300'}}}"  # fmt: skip  # noqa: E501 - what a node prints is one line


def test_timers_are_those_that_the_daemons_were_started_with() -> None:
    """Files, environment and flags, each in its own order of precedence; upstream's own where nobody says anything."""
    assert read_timers([FAST], ["n1"], FleetTimers()) == (PROFILES["fast"], [])
    made, _ = read_timers([BY_FLAGS], ["n1"], PROFILES["fast"])
    assert made == FleetTimers(etcd_heartbeat_interval=0.25, etcd_election_timeout=2.5)
    made, _ = read_timers([BY_FILE], ["n1"], PROFILES["fast"])
    assert made == FleetTimers(etcd_heartbeat_interval=0.3, etcd_election_timeout=1.0)


def test_where_nodes_differ_the_longest_counts_and_a_remark_says_so() -> None:
    """A budget is what recovery may take at most."""
    made, remarks = read_timers([FAST, AGENT_ONLY], ["n1", "n2"], FleetTimers())
    assert made.agent_ttl == 90.0
    assert "agent_ttl is not the same everywhere (n1 5 s, n2 90 s); the longest counts" in remarks


def test_what_cannot_be_read_is_the_profiles_and_a_remark_says_so() -> None:
    """Never a figure out of nowhere."""
    made, remarks = read_timers(["{}", "not a dict"], ["n1", "n2"], PROFILES["fast"])
    assert made == PROFILES["fast"]
    assert remarks[0] == "no process fleetd was seen on n1, so its timers are not known"
    assert remarks[1].startswith("the timers of n2 could not be read")
    assert remarks[2].endswith("could not be read on any node; the profile's own are used")


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30.0), ('"1m30s"', 90.0), ("500ms", 0.5), ("2", 2.0), ("1.5h", 5400.0)])
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    """With or without quotes, and plain numbers are seconds."""
    assert seconds_of(text) == seconds
