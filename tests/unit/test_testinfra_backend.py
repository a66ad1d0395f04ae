"""The testinfra backend and the checks of a scenario: an answer is an answer, and none is never a "no"."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from harness import checks
from harness.errors import CommandFailed, Unreachable
from harness.nodes import testinfra_backend
from harness.nodes.memory import MemoryNode
from harness.plan import Check
from harness.scenario import PROPERTIES
from harness.values import Json, Outcome, Result


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


def ps_line(comm: str, args: str) -> str:
    """Return one line of ps in the columns that testinfra asks for."""
    columns = (comm, "0.0", "77", "0.1", "Tue Nov 24 09:00:00 2026")
    return "".join(each.ljust(51) for each in columns) + args + "\n"


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


def asked(what: MemoryNode | HereNode, subject: str, thing: str, /, **expect: Json) -> tuple[Outcome, str]:
    """Ask one check of a node."""
    return checks.ask(what, Check(subject, thing, expect, "all", ("before",)))


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


# -- checks of a scenario


def test_every_property_that_a_scenario_may_name_is_one_of_testinfra_or_of_ours() -> None:
    """None of them is unknown because nobody knows how to ask it: on a node that answers everything, each is looked at."""
    for subject, names in PROPERTIES.items():
        for name in names:
            thing = "tcp://2379" if subject == "socket" else "/x" if subject == "file" else "etcd"
            outcome, saw = asked(
                speaking({"ps ": (0, "header\n" + ps_line("etcd", "etcd --enable-v2"), "")}), subject, thing, **{name: True}
            )
            assert "AttributeError" not in saw, (subject, name, outcome, saw)


def test_a_check_that_is_so_is_ok_and_one_that_is_not_fails() -> None:
    """Each says what was seen."""
    running = speaking({"systemctl is-active docker": (0, "", ""), "systemctl is-enabled docker": (0, "enabled\n", "")})
    assert asked(running, "service", "docker", is_running=True, is_enabled=True) == (Outcome.OK, "is_running: true; is_enabled: true")
    stopped = speaking({"systemctl is-active docker": (3, "inactive\n", "")})
    assert asked(stopped, "service", "docker", is_running=True) == (Outcome.FAIL, "is_running: false")
    assert asked(stopped, "service", "docker", is_running=False) == (Outcome.OK, "is_running: false")


def test_a_dead_node_is_unknown_whatever_was_expected() -> None:
    """Neither true nor false is so there."""
    dead = speaking({})
    dead.on = False
    for expected in (True, False):
        outcome, saw = asked(dead, "service", "docker", is_running=expected)
        assert outcome is Outcome.UNKNOWN
        assert "the machine is off" in saw


def test_a_hung_docker_is_unknown() -> None:
    """The question to a stopped dockerd does not end; its containers may well run."""
    slow = speaking({"docker inspect": (0, "[]", "")})
    slow.delay = 60.0
    assert asked(slow, "container", "web-1", is_running=True)[0] is Outcome.UNKNOWN


def test_a_docker_that_is_down_is_unknown_and_a_missing_container_is_a_no() -> None:
    """Both end with status 1: the words tell them apart."""
    down = speaking({"docker inspect web-1": (1, "[]", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n")})
    assert asked(down, "container", "web-1", is_running=True)[0] is Outcome.UNKNOWN
    gone = speaking({"docker inspect web-1": (1, "[]\n", "Error: No such object: web-1\n")})
    assert asked(gone, "container", "web-1", exists=False, is_running=False) == (Outcome.OK, "exists: false; is_running: false")
    there = speaking({"docker inspect web-1": (0, '[{"Id": "ab", "Name": "/web-1", "State": {"Running": true}}]', "")})
    assert asked(there, "container", "web-1", exists=True, is_running=True, name="web-1")[0] is Outcome.OK


def test_one_no_outweighs_what_could_not_be_asked() -> None:
    """A known no is a no, whatever else is not known."""
    half = speaking({"systemctl is-active docker": (3, "", ""), "systemctl is-enabled docker": (99, "", "?")})
    outcome, saw = asked(half, "service", "docker", is_enabled=True, is_running=True)
    assert outcome is Outcome.FAIL
    assert "is_enabled could not be asked" in saw
    assert "is_running: false" in saw


def test_processes_are_found_by_the_name_that_the_kernel_keeps() -> None:
    """A name longer than 15 characters is cut off there."""
    shown = speaking({"ps ": (0, "header\n" + ps_line("containerd-shim", "containerd-shim-runc-v2 -id x"), "")})
    assert asked(shown, "process", "containerd-shim-runc-v2", is_running=True, count=1)[0] is Outcome.OK
    assert asked(shown, "process", "etcd", is_running=True)[0] is Outcome.FAIL
    assert asked(shown, "process", "etcd", user="root") == (Outcome.FAIL, "user: absent")


def test_a_zombie_is_not_running() -> None:
    """Its name still stands in the process table, and nothing of it runs."""
    shown = speaking({"ps ": (0, "header\n" + ps_line("etcd <defunct>", "[etcd] <defunct>"), "")})
    assert asked(shown, "process", "etcd", is_running=False, count=0)[0] is Outcome.OK


def test_files_are_looked_at_as_they_are(tmp_path: Path) -> None:
    """Existence, content, size and mode."""
    file = tmp_path / "unit file"
    file.write_text("Conflicts=web@*.service\n", encoding="utf-8")
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    here = HereNode()
    assert asked(here, "file", str(file), exists=True, is_file=True, size=24, mode=0o600, contains="^Conflicts=")[0] is Outcome.OK
    assert asked(here, "file", str(file), mode=0o644) == (Outcome.FAIL, "mode: 0o600")
    assert asked(here, "file", str(file), contains="Requires") == (Outcome.FAIL, "contains: \"no line that matches 'Requires'\"")


def test_a_file_that_is_not_there_is_a_no_and_not_an_error(tmp_path: Path) -> None:
    """Its owner and content are absent, which is never as expected."""
    gone = str(tmp_path / "gone")
    assert asked(HereNode(), "file", gone, exists=False)[0] is Outcome.OK
    assert asked(HereNode(), "file", gone, size=0, content_string="") == (Outcome.FAIL, "size: absent; content_string: absent")


def test_true_is_not_one() -> None:
    """YAML's true and 1 are different things to expect."""
    shown = speaking({"ps ": (0, "header\n", "")})
    assert asked(shown, "process", "etcd", count=False)[0] is Outcome.FAIL
    assert asked(shown, "process", "etcd", count=0)[0] is Outcome.OK
