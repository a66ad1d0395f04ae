"""The testinfra backend and the checks of a scenario: an answer is an answer, and none is never a "no"."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from harness.core.errors import CommandFailed, Unreachable
from harness.core.values import Result
from harness.nodes import testinfra_backend
from harness.testing.memory_node import MemoryNode


def host(what: MemoryNode | HereNode) -> Any:
    """Return a node as a testinfra host. Its modules are found by name as they are asked for, which no type knows."""
    return testinfra_backend.host(what)


LINUX = {
    "uname -s": (0, "Linux\n", ""),
    "uname -m": (0, "x86_64\n", ""),
    "cat /etc/os-release": (0, "ID=debian\nVERSION_ID=12\n", ""),
    "test -d /run/systemd/system/": (0, "", ""),
    "command -v ": (0, "/bin/thing\n", ""),
    "realpath /bin/ps": (0, "/bin/ps\n", ""),
    "test -e /bin/busybox": (1, "", ""),
}


def speaking(answers: Mapping[str, tuple[int, str, str]]) -> MemoryNode:
    """Return a Linux node whose shell gives these answers (status, stdout, stderr), chosen by how the command line begins."""
    known = {**LINUX, **answers}

    def shell(argv: tuple[str, ...], _stdin: bytes) -> Result:
        line = argv[-1]
        status, out, err = next((known[begin] for begin in sorted(known, key=len, reverse=True) if line.startswith(begin)), (127, "", "?"))
        return Result(argv, status, out.encode(), err.encode())

    return MemoryNode("n1", "10.77.0.11", programs={"sh": shell})


@dataclass
class HereNode:
    """This machine as a node, for questions that touch only files of the test's own."""

    name: str = "here"
    address: str = "127.0.0.1"

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Run a command here."""
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False)
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Not needed here."""

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Not needed here."""


# -- the backend


@pytest.mark.parametrize(("status", "running"), [(0, True), (3, False), (4, False)])
def test_a_service_is_running_or_not(status: int, running: bool) -> None:
    """The exit statuses of systemctl are answers."""
    assert host(speaking({"systemctl is-active docker": (status, "", "")})).service("docker").is_running is running


def test_a_dead_node_is_an_error_and_never_a_no() -> None:
    """Every question to a node that is off raises, also those whose answer on a living node would be no."""
    dead = speaking({})
    dead.on = False
    with pytest.raises(Unreachable, match="n1: no answer"):
        _ = host(dead).service("docker").is_running
    with pytest.raises(Unreachable, match="n1: no answer"):
        _ = host(dead).file("/data/split-brain").exists


def test_a_node_that_dies_between_two_questions_is_an_error() -> None:
    """What testinfra remembers of a node's system does not answer for it."""
    dying = speaking({"systemctl is-active docker": (0, "active\n", "")})
    asking = host(dying)
    assert asking.service("docker").is_running
    dying.on = False
    with pytest.raises(Unreachable):
        _ = asking.service("docker").is_running


def test_a_systemd_that_does_not_answer_is_not_a_no() -> None:
    """Systemctl's exit status is the same as for a dead service then; its words are not."""
    deaf = speaking({"systemctl is-active docker": (1, "", "Failed to connect to bus: Connection refused\n")})
    with pytest.raises(Unreachable, match="Failed to connect to bus"):
        _ = host(deaf).service("docker").is_running


def test_a_command_that_failed_is_the_harness_own_error() -> None:
    """No AssertionError, which would look like a broken promise."""
    with pytest.raises(CommandFailed, match="n1: 'cat /x' exited with status 1: no such file; expected status 0"):
        host(speaking({"cat /x": (1, "", "no such file\n")})).check_output("cat %s", "/x")


def test_arguments_are_quoted_into_the_command_line(tmp_path: Path) -> None:
    """Nothing in a name is run."""
    trap = tmp_path / "trap"
    assert host(HereNode()).check_output("printf %%s %s", f"a b; touch {trap} $(touch {trap})").startswith("a b; touch")
    assert not trap.exists()


def test_rubbish_is_shown_and_not_raised() -> None:
    """Bytes that are no text become replacement characters, without asking the node for its encoding."""
    assert host(HereNode()).check_output("printf '\\377x'") == "\N{REPLACEMENT CHARACTER}x"


def test_a_container_is_asked_for_as_a_container() -> None:
    """An image of the name is none."""
    line = "docker inspect --type container -- web-1"
    there = speaking({line: (0, '[{"Id": "ab", "Name": "/web-1", "State": {"Running": true}}]', "")})
    assert host(there).docker("web-1").is_running
    with pytest.raises(CommandFailed, match="No such container"):
        _ = host(speaking({line: (1, "[]", "Error: No such container: web-1\n")})).docker("web-1").is_running


@pytest.mark.parametrize("said", ["", "null", "5", '"x"', "{}", "[]", "[5]", "[null]", "[{}, {}]", "[" * 100_000])
def test_a_container_of_which_docker_says_nothing_of_sense_was_not_asked(said: str) -> None:
    """Neither that it runs, nor that it does not."""
    with pytest.raises(Unreachable, match="an answer that is none"):
        host(speaking({"docker inspect --type container -- web-1": (0, said, "")})).docker("web-1").inspect()
