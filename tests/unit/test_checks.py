"""Checks ask typed questions: what is so, what is not, and what could not be asked are three things, for every property of every kind of thing."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from harness.conductor import questions
from harness.core.errors import BadInput
from harness.core.looks import LOOKS, Address, address
from harness.core.values import Json, Outcome, Result
from harness.scenario import PROPERTIES, loads
from harness.steps import Check
from harness.testing.memory_node import MemoryNode


@dataclass
class HereNode:
    """This machine as a node, for questions that touch only what is the test's own. `broken` is a program that fails, with its words."""

    name: str = "here"
    address: str = "127.0.0.1"
    broken: str = ""

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Run a command here."""
        if self.broken and self.broken in argv:
            return Result(argv, 5, b"", b"Input/output error")
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False)
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Not needed here."""

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Not needed here."""


def saying(status: int, out: str, err: str = "", /, **programs: tuple[int, str, str]) -> MemoryNode:
    """Return a node whose every program gives this answer, but for some."""

    def answer(status: int, out: str, err: str) -> object:
        return lambda argv, _: Result(argv, status, out.encode(), err.encode())

    names = (
        "systemctl",
        "docker",
        "sh",
        "cat",
        "env",
        "grep",
        "readlink",
        "head",
        "md5sum",
        "sha256sum",
        "getent",
        "python3",
        "systemd-analyze",
    )
    known = {name: answer(*programs.get(name.replace("-", "_"), (status, out, err))) for name in names}
    return MemoryNode("n1", "10.77.0.11", programs=known)  # type: ignore[arg-type]


def asked(what: MemoryNode | HereNode, subject: str, thing: str, /, **expect: Json) -> tuple[Outcome, str]:
    """Ask one check of a node."""
    return questions.ask(what, Check(subject, thing, expect, "all", ("before",)))


def _thing(subject: str) -> str:
    return {"socket": "tcp://2379", "peer": "tcp://10.77.0.11:6379", "file": "/etc/thing"}.get(subject, "thing")


def _every() -> list[tuple[str, str]]:
    return [(subject, name) for subject, names in PROPERTIES.items() for name in names]


def unit(load: str = "loaded", active: str = "active", enabled: str = "enabled") -> str:
    """Return what systemctl shows of a unit."""
    return f"LoadState={load}\nActiveState={active}\nUnitFileState={enabled}\n"


def status_of(pid: int, name: str, state: str = "S (sleeping)", uid: int = 0) -> str:
    """Return what the kernel tells of a process, as grep gives it."""
    at = f"/proc/{pid}/status:"
    return f"{at}Name:\t{name}\n{at}State:\t{state}\n{at}Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n{at}Gid:\t{uid}\t{uid}\t{uid}\t{uid}\n"


INIT = status_of(1, "systemd")
PASSWD: Mapping[str, tuple[int, str, str]] = {"getent": (0, "root:x:0:0::/root:/bin/sh\nroot:x:0:\n", "")}


@pytest.mark.parametrize(("said", "reachable"), [("open", True), ("closed", False), ("silent", False)])
@pytest.mark.parametrize("expected", [True, False])
def test_a_peer_is_reachable_where_it_takes_a_connection(said: str, reachable: bool, expected: bool) -> None:
    """One that refuses, or drops, is not, and whoever could not try has not said so (see below)."""
    outcome, _ = asked(saying(0, f"{said}\n"), "peer", "tcp://10.77.0.11:6379", is_reachable=expected)
    assert outcome is (Outcome.OK if reachable is expected else Outcome.FAIL)


# -- every property of every kind


def test_everything_that_a_scenario_may_name_has_somebody_who_looks_at_it() -> None:
    """Each kind, and each of its properties."""
    assert set(PROPERTIES) == set(LOOKS)
    node = saying(
        0,
        unit() + INIT,
        docker=(0, '[{"Id": "thing", "Name": "/thing", "State": {}}]', ""),
        env=(0, "regular file/root/0/root/0/644/5", ""),
    )
    node.files = {f"/proc/net/{each}": (b"  sl  local_address rem_address   st\n", 0o444) for each in ("tcp", "tcp6")}
    for subject, names in PROPERTIES.items():
        assert set(names) <= set(LOOKS[subject](node, _thing(subject), {"contains": "x"})), subject


NO_ANSWERS = (
    (1, "", "Failed to connect to bus: Connection refused"),
    (1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
    (5, "", "Input/output error"),
    (127, "", "not found"),
    (126, "", "Permission denied"),
    (0, "", ""),
    (0, "rubbish", ""),
    (0, "[" * 100_000, ""),
    *((0, shape, "") for shape in ("null", "5", '"x"', "{}", '{"a": 1}', "[]", "[5]", "[null]", '["x"]', "[[]]", "[{}, {}]")),
    *((0, shape, "") for shape in ('[{"Id": "thing", "RepoTags": 5}]', "regular file/root/0/root/0/644", "/////4/rw/x")),
)
"""What a tool ends with and says where it has not answered: its status, its output and its error output."""


@pytest.mark.parametrize(("subject", "name"), _every())
@pytest.mark.parametrize("expected", [True, False])
def test_what_could_not_be_asked_is_neither_yes_nor_no(subject: str, name: str, expected: bool) -> None:
    """A tool that is missing, that fails, or that says nothing of sense has not answered, whatever was expected."""
    for status, out, err in NO_ANSWERS:
        outcome, saw = asked(saying(status, out, err), subject, _thing(subject), **{name: expected})
        assert outcome is Outcome.UNKNOWN, (status, out[:80], err, saw)
        assert not re.search(r"\b\w+Error\b", saw), f"it is told as what was said, and not as an error of ours: {saw}"


@pytest.mark.parametrize(
    "state", ["null", "5", '"running"', "[]", "{}", '{"Running": null}', '{"Running": "false", "Restarting": "no"}', '{"Running": 0}']
)
@pytest.mark.parametrize("name", ["is_running", "is_restarting"])
@pytest.mark.parametrize("expected", [True, False])
def test_a_container_whose_state_is_of_another_shape_was_not_seen(state: str, name: str, expected: bool) -> None:
    """What is no yes is no "no" either."""
    node = saying(0, f'[{{"Name": "/thing", "State": {state}}}]')
    outcome, saw = asked(node, "container", "thing", **{name: expected})
    assert (outcome, "an answer that is none" in saw) == (Outcome.UNKNOWN, True)


@pytest.mark.parametrize(("subject", "name"), _every())
def test_a_node_that_gives_no_answer_is_neither_yes_nor_no(subject: str, name: str) -> None:
    """Off, or hung."""
    dead, slow = MemoryNode("n1", "10.77.0.11", on=False), saying(0, "")
    slow.delay = 60.0
    for node in (dead, slow):
        for expected in (True, False):
            assert asked(node, subject, _thing(subject), **{name: expected})[0] is Outcome.UNKNOWN


ABSENT = {
    "service": saying(0, unit("not-found", "inactive", "")),
    "process": saying(0, INIT),
    "file": saying(1, "", "stat: cannot statx '/etc/thing': No such file or directory"),
    **{kind: saying(1, "[]", f"Error: No such {kind}: thing") for kind in ("container", "image", "network", "volume")},
}


@pytest.mark.parametrize(("subject", "name"), [each for each in _every() if each[0] in ABSENT])
def test_what_is_not_there_is_a_no_that_says_so(subject: str, name: str) -> None:
    """It has no property: true, a number or a text are not so, and false is."""
    outcome, saw = asked(ABSENT[subject], subject, "/etc/thing" if subject == "file" else "thing", **{name: True})
    assert outcome is Outcome.FAIL
    if name not in {"exists", "count", "is_symlink"} and (subject, name) != ("process", "is_running"):
        assert "does not exist" in saw
    text = "x" if name not in {"count", "uid", "gid", "mode", "size"} else 7
    assert asked(ABSENT[subject], subject, "/etc/thing" if subject == "file" else "thing", **{name: text})[0] is Outcome.FAIL


# -- services


@pytest.mark.parametrize(
    ("shown", "so"),
    [
        (unit(), {"exists": True, "is_running": True, "is_enabled": True, "is_masked": False}),
        (unit(active="reloading"), {"is_running": True}),
        (unit(active="activating"), {"is_running": False}),
        (unit(active="failed", enabled="disabled"), {"exists": True, "is_running": False, "is_enabled": False}),
        (unit(enabled="static"), {"is_enabled": True}),
        (unit("masked", "inactive", "masked"), {"exists": True, "is_running": False, "is_enabled": False, "is_masked": True}),
        (unit("not-found", "inactive", ""), {"exists": False, "is_running": False, "is_enabled": False, "is_masked": False}),
    ],
)
def test_a_service_is_as_systemd_knows_it(shown: str, so: Mapping[str, bool]) -> None:
    """One question, and each property by its own field."""
    for name, value in so.items():
        assert asked(saying(0, shown), "service", "docker", **{name: value})[0] is Outcome.OK, name
        assert asked(saying(0, shown), "service", "docker", **{name: not value})[0] is Outcome.FAIL, name


def test_a_name_without_a_suffix_is_a_service() -> None:
    """And no socket or timer of that name; with one it is what it says."""
    node = saying(0, unit())
    asked(node, "service", "docker", is_running=True)
    asked(node, "service", "docker.socket", is_running=True)
    assert [call[-1] for call in node.calls] == ["docker.service", "docker.socket"]


def test_one_no_outweighs_what_could_not_be_asked() -> None:
    """A known no is a no, whatever else is not known."""
    node = saying(0, unit(active="failed"), systemd_analyze=(127, "", "not found"))
    outcome, saw = asked(node, "service", "docker", is_valid=True, is_running=True)
    assert outcome is Outcome.FAIL
    assert "is_valid could not be asked" in saw
    assert "is_running: false" in saw


# -- processes


def test_processes_are_found_by_the_name_that_the_kernel_keeps() -> None:
    """A name longer than 15 characters is cut off there; one that is only the start of another is not it."""
    node = saying(0, INIT + status_of(7, "containerd-shim") + status_of(8, "etcd", uid=4242), **PASSWD)
    assert asked(node, "process", "containerd-shim-runc-v2", is_running=True, count=1, user="root")[0] is Outcome.OK
    assert asked(node, "process", "etc", is_running=True, count=1)[0] is Outcome.FAIL
    assert asked(node, "process", "etcd", user="4242")[0] is Outcome.OK


def test_a_zombie_is_not_running() -> None:
    """Its name still stands in the process table, and nothing of it runs."""
    node = saying(2, INIT + status_of(7, "etcd", "Z (zombie)"), "grep: /proc/9/status: No such file or directory")
    assert asked(node, "process", "etcd", is_running=False, count=0)[0] is Outcome.OK


@pytest.mark.parametrize("name", ["überwachungsdienst", "ein-langer-näme", "back\\slash", "a-fifteen-byte-name"])
def test_a_name_is_cut_where_the_kernel_cuts_it(name: str) -> None:
    """At 15 bytes, also in the middle of a letter; what would end its line is an escape in the kernel's table."""
    renamed = "import sys; open('/proc/self/comm', 'wb').write(sys.argv[1].encode()); print('there', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", renamed, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        assert asked(HereNode(), "process", name, is_running=True)[0] is Outcome.OK
        child.communicate()


def test_this_process_is_found_here() -> None:
    """The kernel's own files are read as they are."""
    name = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    assert asked(HereNode(), "process", name, is_running=True)[0] is Outcome.OK
    assert asked(HereNode(), "process", "nobody-has-this", is_running=False, count=0)[0] is Outcome.OK


def test_true_is_not_one() -> None:
    """YAML's true and 1 are different things to expect."""
    assert asked(saying(0, INIT), "process", "etcd", count=False)[0] is Outcome.FAIL
    assert asked(saying(0, INIT), "process", "etcd", count=0)[0] is Outcome.OK


# -- sockets


def test_a_socket_that_listens_is_found_and_no_other() -> None:
    """By its address, or by one that takes all; a port that is only connected from does not listen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            mine = client.getsockname()[1]
            assert asked(HereNode(), "socket", f"tcp://127.0.0.1:{port}", is_listening=True)[0] is Outcome.OK
            assert asked(HereNode(), "socket", f"tcp://127.0.0.2:{port}", is_listening=True)[0] is Outcome.FAIL
            assert asked(HereNode(), "socket", f"tcp://{port}", is_listening=True)[0] is Outcome.FAIL
            assert asked(HereNode(), "socket", f"udp://127.0.0.1:{port}", is_listening=False)[0] is Outcome.OK
            assert asked(HereNode(), "socket", f"tcp://127.0.0.1:{mine}", is_listening=False)[0] is Outcome.OK


def test_ipv4_in_the_clothes_of_ipv6_is_ipv4() -> None:
    """As programs in Java listen: who calls the one reaches the other, and the kernel has it in its table of IPv6 alone."""
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::ffff:127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        for name in (f"tcp://127.0.0.1:{port}", f"tcp://[::ffff:127.0.0.1]:{port}", f"tcp://[::ffff:7f00:1]:{port}"):
            assert asked(HereNode(), "socket", name, is_listening=True)[0] is Outcome.OK
        assert asked(HereNode(), "socket", f"tcp://127.0.0.2:{port}", is_listening=False)[0] is Outcome.OK


@pytest.mark.parametrize("broken", ["/proc/net/tcp", "/proc/net/tcp6", "/proc/net/unix"])
@pytest.mark.parametrize("text", [b"", b"Segmentation fault\n"])
def test_a_table_of_sockets_that_is_none_has_not_said_no(broken: str, text: bytes) -> None:
    """The kernel's own has a head, also where nothing listens."""
    node = MemoryNode("n1", "10.77.0.11")
    node.files = {f"/proc/net/{each}": (b"  sl  local_address rem_address   st\n", 0o444) for each in ("tcp", "tcp6")}
    node.files["/proc/net/unix"] = (b"Num       RefCount Protocol Flags    Type St Inode Path\n", 0o444)
    name = "unix:///run/x" if broken.endswith("unix") else "tcp://22"
    assert asked(node, "socket", name, is_listening=False)[0] is Outcome.OK
    node.files[broken] = (text, 0o444)
    assert asked(node, "socket", name, is_listening=False)[0] is Outcome.UNKNOWN


def test_without_ipv6_all_of_ipv4_is_all() -> None:
    """Where there is no such table, nothing else could be listened on."""
    row = b"  sl  local_address rem_address   st\n   0: 00000000:0016 00000000:0000 0A 0 0 0\n"
    node = MemoryNode("n1", "10.77.0.11", files={"/proc/net/tcp": (row, 0o444)})
    assert asked(node, "socket", "tcp://22", is_listening=True)[0] is Outcome.OK
    node.files["/proc/net/tcp6"] = (b"  sl  local_address rem_address   st\n", 0o444)
    assert asked(node, "socket", "tcp://22", is_listening=True)[0] is Outcome.FAIL


def test_a_socket_file_without_a_listener_does_not_listen(tmp_path: Path) -> None:
    """The file stays when its server is gone."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert asked(HereNode(), "socket", f"unix://{path}", is_listening=True)[0] is Outcome.FAIL
        server.listen()
        assert asked(HereNode(), "socket", f"unix://{path}", is_listening=True)[0] is Outcome.OK
    assert path.is_socket()
    assert asked(HereNode(), "socket", f"unix://{path}", is_listening=True)[0] is Outcome.FAIL


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("tcp://22", Address("tcp", "", 22)),
        ("tcp://10.77.0.11:80", Address("tcp", "10.77.0.11", 80)),
        ("tcp://:::80", Address("tcp", "::", 80)),
        ("udp://[::1]:53", Address("udp", "::1", 53)),
        ("unix:///run/docker.sock", Address("unix", path="/run/docker.sock")),
    ],
)
def test_the_name_of_a_socket_is_read(text: str, read: Address) -> None:
    """As testinfra writes it."""
    assert address(text) == read


@pytest.mark.parametrize("text", ["22", "tcp://", "tcp://x:22", "tcp://0", "tcp://70000", "sctp://22", "unix://run/x", "tcp://1.2.3.4"])
def test_what_is_no_name_of_a_socket_is_refused(text: str) -> None:
    """Before the run, not in it."""
    with pytest.raises(ValueError, match=r"is no name of a socket|does not appear to be"):
        address(text)


# -- files


def test_files_are_looked_at_as_they_are(tmp_path: Path) -> None:
    """Existence, content, size and mode."""
    file = tmp_path / "unit file"
    file.write_text("Conflicts=web@*.service\n", encoding="utf-8")
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    here = HereNode()
    assert asked(here, "file", str(file), exists=True, is_file=True, size=24, mode=0o600, contains="^Conflicts=")[0] is Outcome.OK
    assert asked(here, "file", str(file), uid=os.getuid(), is_executable=False, is_symlink=False, is_directory=False)[0] is Outcome.OK
    assert asked(here, "file", str(file), content_string="Conflicts=web@*.service\n")[0] is Outcome.OK
    assert asked(here, "file", str(file), mode=0o644) == (Outcome.FAIL, "mode: 0600")
    assert asked(here, "file", str(file), contains="Requires") == (Outcome.FAIL, "contains: \"no line that matches 'Requires'\"")


def test_a_folder_is_no_file_and_has_no_content(tmp_path: Path) -> None:
    """What only a file has, a folder has not; that is a no, and not what could not be asked."""
    here = HereNode()
    assert asked(here, "file", str(tmp_path), exists=True, is_directory=True, is_file=False, is_executable=False)[0] is Outcome.OK
    for name in ("contains", "content_string", "md5sum", "sha256sum"):
        assert asked(here, "file", str(tmp_path), **{name: "x"}) == (Outcome.FAIL, f"{name}: it is a directory, and no file")


def test_a_link_is_followed_and_one_to_nothing_does_not_exist(tmp_path: Path) -> None:
    """A dangling link is a link, and nothing else."""
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert asked(HereNode(), "file", str(tmp_path / "link"), is_symlink=True, exists=False)[0] is Outcome.OK
    (tmp_path / "gone").write_text("x", encoding="utf-8")
    here = str((tmp_path / "gone").resolve())
    assert asked(HereNode(), "file", str(tmp_path / "link"), is_symlink=True, exists=True, linked_to=here)[0] is Outcome.OK


@pytest.mark.parametrize(
    ("program", "name"), [("stat", "exists"), ("grep", "contains"), ("sha256sum", "sha256sum"), ("head", "content_string")]
)
def test_a_disk_that_gives_an_error_has_not_said_no(tmp_path: Path, program: str, name: str) -> None:
    """Only "no such file" says that there is none."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    outcome, saw = asked(HereNode(broken=program), "file", str(tmp_path / "file"), **{name: "y"})
    assert outcome is Outcome.UNKNOWN
    assert "Input/output error" in saw


# -- what Docker has


def test_an_answer_of_any_size_is_not_taken_apart() -> None:
    """Some bytes of it are made into a hundred times as much memory."""
    said = json.dumps([{"Name": "/web", "Id": "f" * 64, "State": {"Running": True}, "more": [[]] * 300_000}])
    outcome, saw = asked(saying(0, said, ""), "container", "web", is_running=True)
    assert outcome is Outcome.UNKNOWN
    assert "an answer of" in saw


@pytest.mark.parametrize("kind", ["container", "image", "network", "volume"])
def test_a_name_is_asked_for_among_its_own_kind_alone(kind: str) -> None:
    """An image, a network or a volume of the name is no container, nor any other way round."""
    node = saying(1, "[]", f"Error: No such {kind}: web")
    assert asked(node, kind, "web", exists=True)[0] is Outcome.FAIL
    assert node.calls == [("docker", "inspect", "--type", kind, "--", "web")]


def test_a_container_is_as_docker_knows_it() -> None:
    """By its whole name; the start of somebody's id is not one."""
    body = {"Id": "web1" + "0" * 60, "Name": "/web-1", "State": {"Running": True, "Restarting": False}}
    node = saying(0, json.dumps([body]))
    assert asked(node, "container", "web-1", exists=True, is_running=True, is_restarting=False, name="web-1")[0] is Outcome.OK
    assert asked(node, "container", "web1", exists=True)[0] is Outcome.FAIL
    assert asked(node, "container", "web100000000", exists=True)[0] is Outcome.OK


IMAGE = {"Id": "sha256:beef" + "0" * 60, "RepoTags": ["web:latest", "host:5000/a/b:1"], "RepoDigests": ["host:5000/a/b@sha256:cafe"]}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        *(
            (name, True)
            for name in ("web", "web:latest", "library/web", "docker.io/web", "docker.io/library/web:latest", "index.docker.io/web")
        ),
        *((name, True) for name in ("host:5000/a/b:1", "host:5000/a/b@sha256:cafe", "host:5000/a/b:1@sha256:cafe", "sha256:beef00000000")),
        *((name, False) for name in ("beef", "be", "sha256:beef", "web:2", "a/web", "host:5000/a/b", "localhost/web", "b:1")),
    ],
)
def test_an_image_is_as_docker_knows_it(name: str, there: bool) -> None:
    """By its whole name; one whose id begins with a word that looks like a number is not called so."""
    assert asked(saying(0, json.dumps([IMAGE])), "image", name, exists=there)[0] is Outcome.OK


def test_a_process_is_called_by_its_whole_name() -> None:
    """A name may have blanks in it: it is not that of a process that is called by its first word, nor the other way round."""
    node = saying(0, INIT + status_of(7, "web content"))
    assert asked(node, "process", "web content", is_running=True, count=1)[0] is Outcome.OK
    assert asked(node, "process", "web", is_running=False, count=0)[0] is Outcome.OK


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("network", "Error response from daemon: network web not found"),
        ("volume", "Error response from daemon: get web: no such volume"),
        ("container", "Error response from daemon: No such container: web"),
        ("container", "Error: No such object: web"),
    ],
)
def test_each_dockers_own_words_for_nothing_there_are_known(kind: str, words: str) -> None:
    """They differ by version and by kind."""
    assert asked(saying(1, "[]", words), kind, "web", exists=False)[0] is Outcome.OK


# -- in a file

_SCENARIO = """
scenario: typed
why: What a property cannot be is told before the run.
apps: [{{name: web, instances: 1}}]
steps: [{{wait: 0s}}, {{fault: node.kill, on: n1, hold: 5s}}]
promises: [conflicts]
checks:
  - {check}
"""


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("{service: docker, is_running: 'yes'}", "'yes'; expected true or false, as is_running of a service is"),
        ("{process: etcd, count: true}", "true; expected a whole number from 0, as count of a process is"),
        ("{file: /x, size: 1.5}", "1.5; expected a whole number"),
        ("{file: /x, user: 0}", "0; expected text, as user of a file is"),
        ("{file: etc/x, exists: true}", "'etc/x'; expected the whole path of a file, from / on"),
        ("{file: /x, size: -1}", "-1; expected a whole number from 0"),
        ("{file: /x, mode: 644}", "the mode 644; expected three or four octal digits with a 0 in front and no quotes, such as 0644"),
        (
            "{file: /x, mode: 0o644}",
            "'0o644'; expected three or four octal digits with a 0 in front and no quotes, such as 0644; did you mean 0644?",
        ),
        ("{file: /x, mode: '0600'}", "such as 0644; did you mean 0600?"),
        ("{file: /x, mode: 09}", "'09'; expected three or four octal digits with a 0 in front"),
        ("{service: 'dock*', is_running: true}", "'dock*'; expected the name of one unit"),
        ("{service: 'docker containerd', is_running: true}", "'docker containerd'; expected the name of one unit"),
        ("{socket: '2379', is_listening: true}", "'2379'; expected unix:///PATH, tcp://PORT"),
    ],
)
def test_what_no_answer_could_ever_be_is_bad_input(check: str, told: str) -> None:
    """A question that could only be answered with no is a mistake of whoever asks."""
    with pytest.raises(BadInput) as error:
        loads(_SCENARIO.format(check=check), "s.yaml")
    assert told in str(error.value)


def test_networks_and_volumes_can_be_asked_for() -> None:
    """As containers can."""
    for check in ("{network: web, exists: true}", "{volume: web, exists: false, driver: local}", "{image: web, exists: true}"):
        assert loads(_SCENARIO.format(check=check), "s.yaml") is not None


def test_a_mode_is_told_as_a_file_says_it() -> None:
    """Octal, with its 0, in a plan, in the history and in a verdict; what was seen as well."""
    check = Check("file", "/etc/shadow", {"mode": 0o640, "exists": True}, "all", ("before",))
    assert str(check) == "file /etc/shadow mode: 0640, exists"
    assert str(Check("file", "/x", {"mode": 0o4755}, "all", ("before",))) == "file /x mode: 04755"
    assert str(Check("file", "/x", {"mode": 0o4}, "all", ("before",))) == "file /x mode: 0004"  # a file refuses 04
