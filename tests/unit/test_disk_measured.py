"""What is measured of a disk, in words and back; what it foretells; what fio says; and the promise, action and command that go by it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import types
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner
from hypothesis import given as drawn
from hypothesis import strategies as st

from harness import cli, registry
from harness.actions.measuring import Measure
from harness.checkers import Synced
from harness.checkers.expected import Expected
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import BadInput, HarnessError, Unreachable
from harness.core.protocols import Committing, Seen
from harness.core.stops import Stopped, listening
from harness.core.syncs import DiskFigures, SyncTimes, foretold, longer, read
from harness.core.values import Committed, Outcome, Phase, Result, Unavailable, Verdict
from harness.host.processes import Process
from harness.nodes import fio
from harness.nodes.this_machine import LocalMachine
from harness.providers.inventory import InventoryProvider, formats
from harness.scenario import loads
from harness.testing.histories import Story

ETCD = Committed("etcd", 0.01, "etcd's FAQ", 0.1, 1.0, ("beat", "election"))
RAFT = Committed("raft", 0.0, "nobody says", 1.0, 10.0)
ZOOKEEPER = Committed("ZooKeeper", 1.0, "its guide", 0.5, 2.5, speaks_on=True)
GOOD = SyncTimes(2000, 0.001, 0.004, 0.02)
SCATTERED = SyncTimes(100, 0.002, 0.01, 0.02)


def _figures(p99: float, *, writes: int = 500, longest: float | None = None) -> DiskFigures:
    return DiskFigures(SyncTimes(writes, p99 / 2, p99, longest or p99), SCATTERED)


# -- words


@drawn(st.floats(1e-6, 500.0), st.integers(1, 10**8), st.floats(1e-6, 500.0))
def test_what_is_said_is_read_back(p99: float, writes: int, longest: float) -> None:
    """Each node's own figure, to six digits: one that is rounded more is on the other side of a limit."""
    figures = DiskFigures(SyncTimes(writes, p99, p99, longest), SCATTERED)
    said = "; ".join(figures.words(node) for node in ("n1", "db-2.example"))
    found = read(said)
    assert list(found) == ["n1", "db-2.example"]
    assert found["n1"] == found["db-2.example"]
    assert found["n1"][0] == pytest.approx(p99, rel=1e-5)
    assert found["n1"][1] == writes


@pytest.mark.parametrize(
    "text", ["", "n1: nothing", "n1: p99 of fdatasync x ms (3 writes", "p99 of fdatasync 1 ms", "n1: p99 of fdatasync 1 h"]
)
def test_other_words_say_nothing_of_a_disk(text: str) -> None:
    """What some other action came to is no measurement."""
    assert read(text) == {}


# -- what follows


@pytest.mark.parametrize(
    ("asked", "times", "verdict", "word"),
    [
        (ETCD, GOOD, Verdict.HELD, "no election is to be expected"),
        (ETCD, SyncTimes(2000, 0.01, 0.03, 0.2), Verdict.BROKEN, "slower than etcd asks for: a p99 of 30 ms"),
        (ETCD, SyncTimes(200, 0.01, 0.3, 0.4), Verdict.BROKEN, "heartbeats, one each 0.1 s, come late"),
        (ETCD, SyncTimes(2000, 0.001, 0.004, 1.2), Verdict.BROKEN, "elections are to be expected: a write took 1.2 s"),
        (ETCD, SyncTimes(3, 0.001, 0.004, 0.005), Verdict.UNKNOWN, "only 3 writes"),
        (ETCD, SyncTimes(1, 4.0, 4.0, 4.0), Verdict.BROKEN, "elections are to be expected"),
        (RAFT, SyncTimes(200, 0.01, 0.3, 0.4), Verdict.HELD, "below a heartbeat (1 s)"),
        (RAFT, SyncTimes(200, 0.01, 1.5, 2.0), Verdict.BROKEN, "heartbeats, one each 1 s, come late: a p99 of 1.5 s"),
        (ZOOKEEPER, SyncTimes(200, 0.01, 0.7, 0.8), Verdict.HELD, "a p99 of 700 ms is below 1.0 s, and no write took 2.5 s"),
        (ZOOKEEPER, SyncTimes(200, 0.01, 1.5, 2.0), Verdict.BROKEN, "a p99 of 1.5 s, and not below 1.0 s"),
        (ZOOKEEPER, SyncTimes(200, 0.01, 1.5, 3.0), Verdict.BROKEN, "members are to be expected to drop out: a write took 3.0 s"),
    ],
)
def test_what_a_disk_foretells(asked: Committed, times: SyncTimes, verdict: Verdict, word: str) -> None:
    """By what upstream asks for, and by the timers in force; too few writes acquit nobody, and a single one that is too long convicts."""
    found, said = foretold(asked, times)
    assert (found, word in said) == (verdict, True), said


def test_nobody_is_said_to_speak_late_whose_words_wait_for_no_disk() -> None:
    """ZooKeeper's leader is heard whatever its disk does: neither its heartbeats nor its place hang on that."""
    for took in (0.1, 0.7, 1.5, 3.0):
        said = foretold(ZOOKEEPER, SyncTimes(200, 0.01, took, took))[1]
        assert "heartbeat" not in said
        assert "elects another" not in said


def test_timers_that_would_stand_it() -> None:
    """As etcd's tuning guide has it, ten heartbeats an election; nothing where those in force do, or where nobody can set them."""
    assert longer(ETCD, GOOD) == {}
    assert longer(RAFT, SyncTimes(200, 1.0, 3.0, 20.0)) == {}
    assert longer(ETCD, SyncTimes(200, 0.1, 0.3, 1.2)) == {"beat": pytest.approx(0.3, abs=0.01), "election": pytest.approx(3.0, abs=0.01)}


@pytest.mark.parametrize("name", sorted(registry.known().modes))
def test_modes_say_what_their_logs_ask_for(name: str) -> None:
    """By the timers in force, and with a source; an election comes after several heartbeats."""
    cls = registry.known().modes[name]
    for profile in cls.TIMERS:
        mode: Any = cls.from_timers(profile, {})
        if isinstance(mode, Committing):
            asked = mode.commits()
            assert 0 < asked.heartbeat < asked.election
            assert asked.source
            assert set(asked.timers) <= set(cls.TIMERS[profile])
    assert issubclass(cls, Committing) is (name != "ansible")


# -- fio


def _said(**over: Any) -> bytes:
    table = {"N": 911, "mean": 1481710.9, "max": 17798469, "percentile": {"99.000000": 11993088}}
    jobs = [
        {"jobname": "appended", "sync": {"lat_ns": over.get("appended", table)}, "write": {"clat_ns": {}}},
        {"jobname": "scattered", "sync": {"lat_ns": {}}, "write": {"clat_ns": table}},
    ]
    return json.dumps({"fio version": "fio-3.33", "jobs": over.get("jobs", jobs)}).encode()


def test_figures_of_fio() -> None:
    """The syncs have a table of its own, in nanoseconds."""
    found = fio.figures(_said()).appended
    assert found.writes == 911
    assert [found.p99, found.longest] == pytest.approx([0.011993088, 0.017798469])


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"fio: nothing",
        b'{"jobs": 7}',
        _said(jobs=[]),
        _said(jobs=[None, {"jobname": ["appended"]}]),
        _said(appended={"N": 0, "mean": 0.0, "max": 0, "percentile": {"99.000000": 0}}),
        _said(appended={"N": True, "mean": 1, "max": 1, "percentile": {"99.000000": 1}}),
        _said(appended={"N": 5, "mean": 1, "max": 1e999, "percentile": {"99.000000": 1}}),
        _said(appended={"N": 5, "mean": 1, "max": 1, "percentile": []}),
    ],
)
def test_what_says_nothing_of_a_disk_is_no_figure(said: bytes) -> None:
    """A job that wrote nothing, or an answer of something else."""
    with pytest.raises(ValueError, match=r"."):
        fio.figures(said)


class Shell:
    """A node that is this machine, with a fio of our own in front of all others."""

    name, address = "n1", "127.0.0.1"

    def __init__(self, programs: Path) -> None:
        self.path = f"{programs}:/usr/bin:/bin"

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Run it here."""
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False, env={"PATH": self.path})
        return Result(argv, done.returncode, done.stdout, done.stderr)


def _shell(folder: Path, body: str) -> Any:
    programs = folder / "programs"
    programs.mkdir()
    if body:
        (programs / "fio").write_text(f"#!/bin/sh\n{body}\n")
        (programs / "fio").chmod(0o755)
    return Shell(programs)


def test_a_disk_is_measured_and_nothing_is_left(tmp_path: Path) -> None:
    """The jobs end in bytes and in seconds, and what they wrote is gone."""
    (tmp_path / "said").write_bytes(_said())
    disk = tmp_path / "a disk; $(x)"
    disk.mkdir()
    node = _shell(
        tmp_path, f'echo "$@" >{tmp_path}/asked\nfor each; do case $each in --output=*) cp {tmp_path}/said "${{each#*=}}" ;; esac; done'
    )
    assert fio.measure(node, str(disk), 2.5).appended.writes == 911
    asked = (tmp_path / "asked").read_text()
    assert "--size=22m --runtime=3" in asked
    assert "--bs=2300 --fdatasync=1" in asked
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize(("body", "error"), [("exit 1", "status 1"), ("true", "status 1"), ("echo x >&2; exit 9", "status 9")])
def test_a_fio_that_fails_leaves_nothing(tmp_path: Path, body: str, error: str) -> None:
    """Nor does it count as an answer where it says nothing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with pytest.raises(HarnessError, match=error):
        fio.measure(_shell(tmp_path, body), str(disk), 1.0)
    assert list(disk.iterdir()) == []


def test_a_fio_that_is_killed_with_all_that_began_it_leaves_nothing(tmp_path: Path) -> None:
    """As where somebody stops a measurement: nobody of it is left to clear up, and fio does not go on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    os.mkfifo(tmp_path / "told")
    _shell(tmp_path, f"echo $$ >{tmp_path}/told; exec sleep 60")
    node = LocalMachine("run-1")
    script = f'PATH={tmp_path}/programs:$PATH; export PATH; exec "$@"'

    class Beside:
        """This machine, with that fio."""

        name = "n1"

        def run(self, *argv: str, timeout: float) -> Result:
            return node.run("/bin/sh", "-c", script, "sh", *argv, timeout=timeout)

    def measured() -> None:
        with listening(lambda: Stopped("it was stopped") if began.is_set() else None), contextlib.suppress(Stopped):
            fio.measure(cast("Any", Beside()), str(disk), 1.0)

    began = threading.Event()
    work = threading.Thread(target=measured)
    work.start()
    running = Process.of(int((tmp_path / "told").read_text()))
    assert running is not None
    assert [each.name[:14] for each in disk.iterdir()] == [".whalefall-fio"]
    began.set()
    work.join(20)
    assert running.wait(20)
    wait_until(lambda: not [*disk.iterdir()], awaited="nothing to be left", seconds=20, clock=SystemClock())


def test_a_disk_that_cannot_have_what_a_measurement_needs_is_left_as_it_was(tmp_path: Path) -> None:
    """As a file system of a host that is shared, which has no FIFOs."""
    disk = tmp_path / "disk"
    disk.mkdir()
    node = _shell(tmp_path, "true")
    (tmp_path / "programs" / "mkfifo").write_text("#!/bin/sh\necho Operation not permitted >&2\nexit 1\n")
    (tmp_path / "programs" / "mkfifo").chmod(0o755)
    with pytest.raises(HarnessError, match="Operation not permitted"):
        fio.measure(node, str(disk), 1.0)
    assert list(disk.iterdir()) == []


def test_why_a_disk_cannot_be_measured(tmp_path: Path) -> None:
    """Each in words that say what to do."""
    node = _shell(tmp_path, "")
    node.path = str(tmp_path / "programs")
    (tmp_path / "programs" / "sh").symlink_to("/bin/sh")
    with pytest.raises(HarnessError, match="fio is not there; Debian and Ubuntu have it as the package fio"):
        fio.measure(node, str(tmp_path), 1.0)
    with pytest.raises(HarnessError, match="there is no such folder"):
        fio.measure(_with_fio(tmp_path), str(tmp_path / "none"), 1.0)
    with pytest.raises(HarnessError, match="less than 44 MB of room"):
        fio.measure(_with_fio(tmp_path), "/proc", 1.0)


def _with_fio(folder: Path) -> Any:
    (folder / "programs" / "fio").write_text("#!/bin/sh\n")
    (folder / "programs" / "fio").chmod(0o755)
    return Shell(folder / "programs")


def test_an_answer_that_is_none_is_no_figure() -> None:
    """It is unknown then what the disk takes."""

    class Silent(Shell):
        def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
            return Result(argv, 0, b"{}", b"")

    silent: Any = Silent(Path("/none"))
    with pytest.raises(Unreachable):
        fio.measure(silent)


# -- the action


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("folder: data", "folder"),
        ("seconds: 0", "a duration above 0, 60s at most"),
        ("seconds: 2m", "a duration above 0, 60s at most"),
        ('folder: "/a\\nb"', "folder"),
    ],
)
def test_a_measurement_that_cannot_be(given: str, said: str) -> None:
    """Each is told at its place."""
    with pytest.raises(BadInput, match=said):
        loads(
            "scenario: x\nwhy: y\nsteps:\n"
            f"  - {{do: disk.measure, with: {{{given}}}, on: n1}}\n  - {{fault: node.kill, on: n1, hold: 5s}}\npromises: [conflicts]\n"
        )


def test_the_action_tells_of_each_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once; and one that cannot be measured is named."""
    nodes: list[Any] = [Shell(Path("/none")), Shell(Path("/none"))]
    nodes[1].name = "n2"
    monkeypatch.setattr(fio, "measure", lambda node, folder, seconds: _figures(0.01 if node.name == "n1" else 0.02))
    cluster: Any = None
    assert read(Measure().act(cluster, nodes)) == {"n1": (0.01, 500), "n2": (0.02, 500)}
    assert Measure(seconds=3.0).longest == fio.longest(3.0) == 126.0
    assert Measure().effect.disturbs


# -- the promise


def _story() -> Story:
    story = Story().phase(0.5, Phase.STEADY).whole(1, "before").phase(29, Phase.FAULTS).phase(60, Phase.SETTLING)
    for node in ("n1", "n2", "n3"):
        story.node(0, node)
    return story.watched(89, "n1 n2 n3").fault("disk.slow", "n1", decided=29.9, in_force=30, healing=50, healed=50.2)


def _measured(
    story: Story, begun: float, p99: float, *, number: int = 1, outcome: Outcome = Outcome.OK, ended: float | None = None
) -> Story:
    words = _figures(p99).words("n1")
    return story.action(begun, ended or begun + 5, "disk.measure", "n1", number=number, outcome=outcome, detail=words)


def _judged(story: Story, **given: Any) -> Any:
    expected = Expected(("n1", "n2", "n3"), named=(("slow", (1,)),))
    return Synced(**given, expected=expected).check(story.copy().done(90).history())


def test_a_disk_as_quick_and_as_slow_as_supposed() -> None:
    """Before anything was broken counts, too; each time has its own bound."""
    story = _measured(_measured(_story(), 10, 0.012), 35, 2.0, number=2)
    held = _judged(story, most=0.25, outside=("slow",))
    assert held.verdict is Verdict.HELD
    assert "p99 of fdatasync on n1 was 12 ms (500 writes) at 10.0 s" in held.summary
    assert "2.0 s" not in held.summary
    assert _judged(story, least=1.0, during=("slow",)).verdict is Verdict.HELD


def test_a_disk_that_is_too_slow_convicts() -> None:
    """And one that is quicker than it was to be."""
    story = _measured(_measured(_story(), 10, 0.3), 35, 0.5, number=2)
    assert _judged(story, most=0.25).verdict is Verdict.BROKEN
    found = _judged(story, least=1.0, during=("slow",))
    assert found.verdict is Verdict.BROKEN
    assert "at least" in found.summary


def test_what_was_slow_on_a_slow_machine_convicts_nobody() -> None:
    """A writer that waits for a processor is late as well; but nothing makes a disk quicker."""
    slow = _measured(_story(), 10, 0.3).pressed(5, 20, 30)
    assert _judged(slow, most=0.25).verdict is Verdict.UNKNOWN
    still = _measured(_story(), 10, 0.3).stalled(11, 12)
    assert _judged(still, most=0.25).verdict is Verdict.UNKNOWN
    alone = _measured(_story(), 10, 0.3).endures(beats="n1 n2 n3").stalled(11, 13, "n1")
    assert _judged(alone, most=0.25).verdict is Verdict.UNKNOWN
    assert _judged(_measured(_story(), 10, 0.3).off(11, "n1").node(13, "n1"), most=0.25).verdict is Verdict.UNKNOWN
    assert _judged(slow, least=1.0).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    "story",
    [
        _story(),
        _measured(_story(), 10, 0.01, outcome=Outcome.UNKNOWN),
        _measured(_story(), 10, 0.01, outcome=Outcome.FAIL),
        _measured(_story(), 10, 0.01),
        _measured(_story(), 48, 2.0),
    ],
    ids=["nothing", "in doubt", "failed", "before", "longer than the fault"],
)
def test_nothing_measured_in_a_time_is_unknown(story: Story) -> None:
    """What nobody knows acquits no disk, and neither does what was measured at another time."""
    found = _judged(story, most=0.25, during=("slow",))
    assert found.verdict is Verdict.UNKNOWN
    assert "no disk was measured" in found.summary


@pytest.mark.parametrize(("p99", "bound"), [(1.049, 1.0), (5.74, 5.7), (0.010049, 0.01), (0.25049, 0.25)])
def test_a_bound_is_kept_by_what_was_measured_and_not_by_what_is_told_of_it(p99: float, bound: float) -> None:
    """Whatever both are rounded to."""
    story = _measured(_story(), 10, p99)
    assert _judged(story, most=bound).verdict is Verdict.BROKEN
    assert _judged(story, least=p99).verdict is Verdict.HELD


def test_only_a_measurement_says_anything_of_a_disk() -> None:
    """What a command prints may be anything."""
    said = _figures(0.001).words("n1")
    found = _judged(_story().action(10, 15, "command", "n1", detail=said), most=0.25)
    assert found.verdict is Verdict.UNKNOWN
    assert "no disk was measured" in found.summary


@pytest.mark.parametrize("given", ["{}", "{most: 1ms, least: 1s}", "{most: x}"])
def test_a_promise_of_nothing(given: str) -> None:
    """It is told where it stands."""
    with pytest.raises(BadInput, match=r"neither most nor least|least 1 s above|a duration"):
        loads(f"scenario: x\nwhy: y\nsteps: [{{fault: node.kill, on: n1, hold: 5s}}]\npromises: [{{fdatasync: {given}}}]\n")


# -- the command


def _call(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.main, ["preflight", *args])
    return done.exit_code, done.output


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Have every disk measured as the list's first element says, or fail by it."""
    found: list[Any] = []

    def measure(*_: Any) -> DiskFigures:
        if isinstance(found[0], Exception):
            raise found[0]
        result: DiskFigures = found[0]
        return result

    monkeypatch.setattr(fio, "measure", measure)
    return found


@pytest.mark.parametrize(
    ("result", "status", "word"),
    [
        (_figures(0.004), 0, "fleet, profile default: held: no election is to be expected"),
        (_figures(0.02), 1, "fleet, profile default: broken: slower than etcd asks for"),
        (_figures(2.0), 1, "would stand it: timers: {etcd_heartbeat_interval: 2"),
        (_figures(0.004, writes=3), 3, "too few for a 99th percentile"),
        (HarnessError("here: /x cannot be measured: fio is not there"), 3, "unknown: /x cannot be measured: fio is not there"),
    ],
)
def test_preflight(disk: list[Any], result: Any, status: int, word: str) -> None:
    """Its status is a verdict's; what could not be measured is unknown."""
    disk.append(result)
    code, said = _call("--mode", "fleet", "--folder", "/x")
    assert (code, word in said) == (status, True), said
    code, said = _call("--mode", "fleet", "--folder", "/x", "--json")
    assert code == status
    assert json.loads(said)["verdict"] == {0: "held", 1: "broken", 3: "unknown"}[status]


def test_preflight_of_a_scenario_goes_by_its_timers(disk: list[Any], tmp_path: Path) -> None:
    """Also where they are longer than any profile's."""
    disk.append(_figures(0.004, longest=1.5))
    file = tmp_path / "s.yaml"
    text = "scenario: x\nwhy: y\ncluster: {timers: {etcd_election_timeout: 5s}}\nsteps: [{fault: node.kill, on: n1, hold: 5s}]\npromises: [clean]\n"
    file.write_text(text.replace("[clean]", "[conflicts]"))
    assert _call(str(file))[0] == 0
    file.write_text(text.replace("5s}}", "1s}}").replace("[clean]", "[conflicts]"))
    assert _call(str(file))[0] == 1
    assert _call("--mode", "ansible")[1].endswith("nothing follows\n")


def test_preflight_of_hosts_does_nothing_to_those_that_do_not_allow_it(disk: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the inventory has, each by its own name; what is not measured is unknown."""
    nodes: list[Any] = []

    def rehearse(_: Any, specs: Any) -> Seen:
        nodes[:] = [Shell(Path("/none")) for _ in specs]
        for node, spec in zip(nodes, specs, strict=True):
            node.name = spec.name
        refused = Unavailable("the mark allows only node.kill", "disk.measure among its `faults:`")
        return Seen(nodes, (), frozenset({"n2"}), 1, lambda name, _: refused if name == "n3" else None)

    monkeypatch.setattr(InventoryProvider, "rehearse", rehearse)
    monkeypatch.setattr(formats, "load", lambda *_: types.SimpleNamespace(hosts=[1, 2, 3]))
    disk.append(_figures(0.004))
    code, said = _call("--mode", "fleet", "--inventory", "hosts.ini")
    assert code == 3
    assert "n1, /var/lib: 2300 bytes and an fdatasync: p99 4 ms" in said
    assert "n2, /var/lib: unknown: it is protected" in said
    assert "n3, /var/lib: unknown" in said
    assert "disk.measure among its" in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--mode", "swam", "--profile", "x"), ["an unknown mode 'swam'"]),
        (("--profile", "quick"), ["an unknown profile 'quick'"]),
        (("--folder", "data"), ["the folder 'data'"]),
        (("--seconds", "0"), ["seconds"]),
        (("no.yaml",), ["no.yaml"]),
    ],
)
def test_bad_usage_of_preflight(args: tuple[str, ...], words: list[str]) -> None:
    """Nothing is measured then."""
    code, said = _call(*args)
    assert code == 2
    assert all(word in said for word in words)
