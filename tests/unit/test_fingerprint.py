"""Fingerprints: the same for a sound node, different for anything that a fault could leave."""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.core.errors import CommandFailed, Unreachable
from harness.core.values import Json, Latency, Result, TaskNames, Traits
from harness.faults.hang import UNITS
from harness.history.differing import ASPECTS
from harness.nodes.programs import literal
from harness.nodes.together import together
from harness.testing.bare import BareMode
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from harness.undo.fingerprint import PROGRAM, differences, fingerprint, theirs, undeclared


def node() -> MemoryNode:
    """Return a sound node."""
    return MemoryNode("n1", "10.77.0.11")


def test_a_sound_node_looks_the_same_twice() -> None:
    """Every aspect is there, and two looks do not differ."""
    one = node()
    before = fingerprint(one, MemoryProvider())
    assert {*before} == {*ASPECTS}
    assert differences(before, fingerprint(one, MemoryProvider())) == []


def test_what_nodes_print_is_read_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fingerprints of all nodes are taken at once, and Python's parser is not made for that: `SystemError`, in the middle of a run."""
    read, inside, most = ast.literal_eval, 0, 0

    def counted(text: str) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0)  # lets others come in
        found = read(text)
        inside -= 1
        return found

    monkeypatch.setattr(ast, "literal_eval", counted)
    nodes = [node() for _ in range(8)]
    together(nodes, lambda each: [fingerprint(each, MemoryProvider()) for _ in range(5)], "looking")
    assert most == 1


@pytest.mark.parametrize("text", ["", "print()", "[1", "{[]: 1}", "\0", "x" * 9999, "(" * 9999], ids=lambda each: each[:9])
def test_what_is_no_plain_value_is_told(text: str) -> None:
    """As one kind of error, whatever the parser says of it."""
    with pytest.raises(ValueError, match="no plain value"):
        literal(text)


def test_what_is_left_is_named_in_a_sentence() -> None:
    """A rule, a marker and a slowed disk are each seen, with the words for them."""
    one = node()
    before = fingerprint(one, MemoryProvider())
    one.cuts["ab_cd"] = frozenset({"10.77.0.12"})
    one.files["/run/whalefall/killed-etcd.service"] = (b"", 0o644)
    one.latency = Latency(fsync=0.5)
    assert differences(before, fingerprint(one, MemoryProvider())) == [
        "added disk latency 'fsync +0.5 s' is there and was not before",
        "file of a fault in /run/whalefall '/run/whalefall/killed-etcd.service' is there and was not before",
        "nftables table 'whalefall_ab_cd' is there and was not before",
    ]


def test_what_is_gone_is_a_difference_too() -> None:
    """Taking away is no better than leaving behind; one of two equal things is noticed."""
    assert differences({"mounts": ["/data", "/data"]}, {"mounts": ["/data"]}) == ["mount '/data' was there before and is gone"]


def test_an_aspect_that_only_one_look_has_is_said_so() -> None:
    """Nothing is concluded from what was not asked."""
    assert differences({"disk": []}, {}) == ["added disk latency: only known before, so nothing can be said"]


def test_without_disks_nothing_is_said_about_latency() -> None:
    """Only what was asked is in it."""
    assert "disk" not in fingerprint(node())


def test_a_node_that_gives_no_answer_has_no_fingerprint() -> None:
    """Off, or rubbish: "could not ask", not "nothing there"."""
    off, mad = node(), node()
    off.on = False
    mad.rubbish = b"{"
    with pytest.raises(Unreachable):
        fingerprint(off)
    with pytest.raises(Unreachable, match="an answer that is none"):
        fingerprint(mad)


def test_something_that_could_not_be_asked_is_an_error() -> None:
    """A tool that fails on the node fails the look, with what it said."""
    one = node()
    one.programs["python3"] = lambda argv, _: Result(argv, 1, b"", b"nft list tables: Operation not permitted")
    with pytest.raises(CommandFailed, match="nft list tables: Operation not permitted"):
        fingerprint(one)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.77.0.11", ["on eth1"]), ("10.77.0.1", ["no link has the address 10.77.0.1"])],
)
def test_the_link_is_the_one_that_has_the_nodes_address(tmp_path: Path, address: str, expected: list[str]) -> None:
    """Whatever it is called; one that has lost its address is told apart from one with nothing on it."""
    shown = "1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0    inet 192.0.2.5/24 scope global eth0\n3: eth1    inet 10.77.0.11/24 scope global eth1"
    for name, script in (("ip", f"cat <<'EOF'\n{shown}\nEOF"), ("tc", 'echo "on $4"')):
        (tmp_path / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        (tmp_path / name).chmod(0o755)
    asked = subprocess.run(
        [sys.executable, "-c", PROGRAM, address, "ours", "5"], capture_output=True, check=True, env={"PATH": str(tmp_path)}
    )
    assert ast.literal_eval(asked.stdout.decode())["qdiscs"] == expected


def test_containers_of_an_apps_own_definition_come_and_go() -> None:
    """As those with our label do: the program is handed their names, and a label that they have."""
    one = node()
    tasks = [TaskNames("com.shop.number", "[0-9]+", "shop"), TaskNames("", "web-[0-9]+", "web"), TaskNames("of.the.mode", ".*")]
    tasks.append(TaskNames("$TASK", "front[.][0-9]+", "front"))
    fingerprint(one, tasks=tasks)
    assert one.calls[-1][6:] == ("com.shop.number", "[0-9]+", "", "web-[0-9]+", "$TASK", "front[.][0-9]+")
    followed: dict[str, Any] = {"re": re, "sys": argparse.Namespace(argv=["-c", "10.77.0.11", "ours", "5", *one.calls[-1][6:]])}
    exec("def followed" + PROGRAM.partition("def followed")[2].partition("\n\n")[0], followed)  # noqa: S102 - a part of the program itself
    configs = {
        '{"Labels":{"com.shop.number":"7"},"Name":"/x"}': True,
        '{"Labels":{},"Name":"/web-1"}': True,
        '{"Labels":{"Name":"/web-1"},"Name":"/x"}': False,
        '{"Env":["A=1","TASK=front.7"],"Cmd":["x"],"Labels":{},"Name":"/x"}': True,
        '{"Env":[],"Cmd":["x","TASK=front.7"],"Labels":{},"Name":"/x"}': False,
    }
    assert {each: followed["followed"](each) for each in configs} == configs


@contextlib.contextmanager
def _sleeping(program: Path) -> Iterator[int]:
    """Run something of that name which does nothing, and yield its pid."""
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([str(program), "3600"]) as child:
        try:
            yield child.pid
        finally:
            child.kill()


def test_a_process_that_was_stopped_is_told_from_one_that_sleeps(tmp_path: Path) -> None:
    """As the kernel says it, by its name, whatever the name holds."""

    def stopped() -> list[str]:
        argv = [sys.executable, "-c", PROGRAM, "10.77.0.11", "ours", "5"]
        asked = subprocess.run(argv, capture_output=True, check=True, env={"PATH": str(tmp_path / "nothing")})
        return [each for each in ast.literal_eval(asked.stdout.decode())["stopped"] if each == "wf (T) here"]

    with _sleeping(tmp_path / "wf (T) here") as pid:
        assert stopped() == []
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        assert stopped() == ["wf (T) here"]


BOOTING = """#!/bin/sh
PATH=/usr/bin:/bin
case $1 in
is-system-running) echo x >>"$STATE"; if [ "$(wc -l <"$STATE")" -gt "$LOOKS" ]; then echo degraded; exit 1; else echo starting; fi ;;
list-jobs) echo "12 docker.socket start waiting" ;;
list-units) [ "$(wc -l <"$STATE")" -le "$LOOKS" ] || echo "docker.socket loaded active listening Docker" ;;
esac
"""


@pytest.mark.parametrize(
    ("looks", "whose", "seconds", "units"),
    [
        (3, "ours", "30", ["docker.socket"]),  # it is waited for
        (3, "theirs", "0", []),  # nobody asks what is active there, so nobody waits
        (10**6, "ours", "0", None),  # it never ends its boot: cannot be said
    ],
)
def test_what_is_active_is_asked_once_a_node_has_booted(
    tmp_path: Path, looks: int, whose: str, seconds: str, units: list[str] | None
) -> None:
    """While it boots a list of active units is short of what has not been started yet: that would look like a leak."""
    (tmp_path / "systemctl").write_text(BOOTING)
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "state").touch()
    environ = {"PATH": str(tmp_path), "STATE": str(tmp_path / "state"), "LOOKS": str(looks)}
    asked = subprocess.run([sys.executable, "-c", PROGRAM, "10.77.0.11", whose, seconds], capture_output=True, check=False, env=environ)
    if units is None:
        assert asked.returncode == 1
        assert b"still booting after 0 s: 12 docker.socket start waiting" in asked.stderr
    else:
        assert ast.literal_eval(asked.stdout.decode())["triggers"] == units


HANGS = registry.stopped(BareMode())


class Theirs(MemoryProvider):
    """A provider of hosts that somebody else runs."""

    def spared(self, run_id: str) -> frozenset[str]:
        """Return nobody."""
        return frozenset()

    def at_once(self, run_id: str) -> int:
        """Return one."""
        return 1


def _marks(**more: list[str]) -> dict[str, Json]:
    return {aspect: [*more.get(aspect, [])] for aspect in ASPECTS}


def test_what_comes_and_goes_on_somebody_elses_host_is_no_leak() -> None:
    """Their containers, mounts, transient timers and suspended jobs are none of our doing."""
    after = _marks(containers=["0123456789ab"], mounts=["/backup"], timers=["run-r1.timer"], stopped=["vim"])
    assert differences(theirs(_marks(), HANGS), theirs(after, HANGS)) == []
    assert len(differences(_marks(), after)) == 4, "on a node of ours each of them would be one"


@pytest.mark.parametrize(
    ("aspect", "left"),
    [
        ("nft_tables", "whalefall_ab"),
        ("qdiscs", "qdisc netem 8001: root"),
        ("stopped", "dockerd"),
        ("timers", "whalefall-ab.timer"),
        ("dropins", "/run/systemd/system/etcd.service.d/whalefall.conf"),
        ("marks", "/run/whalefall/killed-etcd.service"),
        ("disk", "fsync +0.5 s"),
    ],
)
def test_what_a_fault_leaves_on_somebody_elses_host_is_a_leak(aspect: str, left: str) -> None:
    """All that a fault of ours makes on a node stays in the fingerprint."""
    (said,) = differences(theirs(_marks(), HANGS), theirs(_marks(**{aspect: [left]}), HANGS))
    assert repr(left) in said


def test_a_fingerprint_on_somebody_elses_host_is_of_what_is_ours() -> None:
    """The provider says whose hosts they are."""
    assert {*ASPECTS} - {*fingerprint(node(), Theirs())} == {"containers", "mounts", "triggers"}


def test_the_processes_that_a_fault_stops_are_looked_for_everywhere() -> None:
    """By the names that the fault itself uses."""
    assert {pair.partition("=")[2] for pairs in UNITS.values() for pair in pairs} == HANGS


@pytest.mark.parametrize(
    ("more", "of", "said"),
    [
        ({"nft_tables": ["whalefall_x"]}, Traits(leaves=("nft_tables",)), []),
        (
            {"nft_tables": ["whalefall_x"]},
            Traits(leaves=("marks",)),
            ["nftables table 'whalefall_x', and 'nft_tables' is not among `leaves`"],
        ),
        ({"stopped": ["etcd"]}, Traits(leaves=("stopped",), stops=("etcd",)), []),
        ({"stopped": ["etcd"]}, Traits(leaves=("stopped",)), ["a stopped process 'etcd' that is not among `stops`"]),
        ({"stopped": ["etcd"]}, Traits(stops=("etcd",)), ["stopped process 'etcd', and 'stopped' is not among `leaves`"]),
    ],
)
def test_what_a_fault_does_not_say_that_it_leaves_is_told(more: dict[str, list[str]], of: Traits, said: list[str]) -> None:
    """By its traits alone."""
    assert undeclared(_marks(), _marks(**more), of) == said
