"""A node over SSH, against a server in this process: it answers as any node does, and every trouble is an error of its own, in time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core import stops
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import CommandFailed, HarnessError, Unreachable
from harness.core.protocols import DockerAccess, OwnClock, Streaming
from harness.host import talk
from harness.host.processes import Process
from harness.nodes.ssh import Access, SshNode, access_from_ssh_config, keys, remote, wire, words
from harness.nodes.ssh.connection import _knock
from harness.nodes.ssh.keys import make_host_key, make_user_key
from harness.nodes.testinfra_backend import host
from harness.testing import node_contract
from harness.testing.servers import Request
from harness.testing.sshd import SshServer, SshTrouble

BLOCKED = 20.0
"""How long a test waits for what must happen soon."""


@dataclass
class Place:
    """A server, our key, and how to make nodes that reach it."""

    server: SshServer
    folder: Path
    made: list[SshNode]

    def access(self, **changes: Any) -> Access:
        """Say how the server is reached."""
        plain = Access("127.0.0.1", self.server.port, key=self.folder / keys.USER_KEY, host_keys=(self.server.line,))
        return replace(plain, **changes)

    def node(self, connect_seconds: float = BLOCKED, **changes: Any) -> SshNode:
        """Return a node that is closed at the end."""
        self.made.append(SshNode("n1", "10.77.0.11", self.access(**changes), connect_seconds=connect_seconds))
        return self.made[-1]


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Place]:
    """Lend a server."""
    with SshServer(tmp_path / "host", make_user_key(tmp_path)) as server:
        place = Place(server, tmp_path, [])
        yield place
        for node in place.made:
            node.close()


def within(what: str, condition: Callable[[], object]) -> None:
    """Wait for something that gives no event."""
    wait_until(lambda: bool(condition()), awaited=what, seconds=BLOCKED, clock=SystemClock())


# -- as any node


OF_ROOT = {"files_make_the_round_trip", "a_missing_file_is_a_failed_command"}
"""Promises whose files only root may write."""


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("promise", node_contract.NODE.values(), ids=node_contract.NODE)
def test_it_is_a_node(at: Place, promise: Callable[..., None], shell: str) -> None:
    """Every promise of nodes is kept, whichever of the two is the login shell."""
    if promise.__name__ in OF_ROOT and os.geteuid():
        pytest.skip("needs root: writes below /run")
    if not Path(shell).exists():
        pytest.skip(f"needs {shell}")
    at.server.shell = shell
    promise(at.node())


def test_it_has_the_capabilities_and_touches_nothing_before_its_first_use(at: Place) -> None:
    """Found with isinstance; making one connects to nobody."""
    node = at.node()
    assert isinstance(node, Streaming)
    assert isinstance(node, DockerAccess)
    assert isinstance(node, OwnClock)
    assert (node.name, node.address) == ("n1", "10.77.0.11")
    assert at.server.connections == 0


def test_all_threads_share_one_connection(at: Place) -> None:
    """Also when they all come first."""
    node = at.node()
    with ThreadPoolExecutor(6) as pool:
        assert [each.text for each in pool.map(lambda number: node.run("echo", str(number)), range(6))] == [f"{n}\n" for n in range(6)]
    assert at.server.connections == 1


def test_more_than_the_server_allows_go_over_another_connection(at: Place) -> None:
    """Whatever its MaxSessions is."""
    at.server.most = 3
    node = at.node()
    streams = [node.stream("/bin/sh", "-c", "echo up; exec sleep 60") for _ in range(5)]
    assert [next(each.lines()) for each in streams] == [b"up"] * 5
    assert at.server.connections == 3  # one place of each is the guard's
    for each in streams:
        each.close()


@pytest.mark.parametrize("most", [2, 3])
def test_commands_that_end_meanwhile_make_a_small_server_no_closed_one(at: Place, most: int) -> None:
    """What was in a command's way when sshd refused it may be over when that is handled: it is no sign that there is room for nothing."""
    at.server.most = most
    node = at.node()
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda number: node.run("/bin/sh", "-c", f"exit {number % 7}").exit, range(80)))
    assert done == [number % 7 for number in range(80)]


def test_room_is_what_was_taken_when_a_command_was_refused(at: Place) -> None:
    """And not what is taken when the refusal is handled. Only who was alone was refused for want of any room."""
    node = at.node()
    assert node.run("true").ok
    (line,) = node._lines
    first, second = line.take(), line.take()
    assert (first, second) == (1, 2)
    line.give()  # the first is over before the refusal of the second is handled
    assert line.full(second)
    line.give()
    assert not line.full(line.take())
    line.give()


def test_a_server_with_room_for_nothing_is_said_so(at: Place) -> None:
    """MaxSessions 1 is the guard's alone."""
    at.server.most = 1
    with pytest.raises(Unreachable, match="its MaxSessions must be 2 or more"):
        at.node().run("true")


def test_what_a_profile_prints_is_not_the_commands(at: Place, tmp_path: Path) -> None:
    """Noise of a login shell stands before what is ours."""
    noisy = tmp_path / "noisy"
    noisy.write_text('#!/bin/sh\necho "Welcome to whalefall-entered"; printf "no newline"; exec /bin/sh "$@"\n')
    noisy.chmod(0o755)
    at.server.shell = str(noisy)
    assert at.node().run("echo", "hello").out == b"hello\n"


def test_input_beyond_every_window_goes_through_while_output_comes_back(at: Place) -> None:
    """6 MiB both ways at once: more than both windows hold."""
    body = os.urandom(6 * 1024 * 1024)
    assert at.node().run("cat", stdin=body).out == body


def test_input_that_nobody_reads_is_no_trouble(at: Place) -> None:
    """The command's status counts."""
    assert at.node().run("/bin/sh", "-c", "exit 3", stdin=b"x" * 4_000_000).exit == 3


@pytest.mark.parametrize("argv", [(), ("echo", "a\0b"), ("echo", "x" * 140_000)], ids=["nothing", "a zero byte", "too long"])
def test_what_cannot_be_a_command_is_said_before_anything_is_sent(at: Place, argv: tuple[str, ...]) -> None:
    """As an error of ours."""
    with pytest.raises(HarnessError, match=r"n1: .*(is no command|SSH carries)"):
        at.node().run(*argv)


def test_testinfra_works_over_it(at: Place) -> None:
    """The backend takes any node."""
    there: Any = host(at.node())
    assert there.file(str(at.folder)).is_directory
    assert not there.file(str(at.folder / "none")).exists


# -- quoting


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("'\"\\$`\n;&|*? -~#!"), max_size=20)


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@given(argv=st.lists(TEXT, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_argument_goes_through_the_login_shell_unchanged(shell: str, argv: list[str]) -> None:
    """Newlines, quotes, nothing at all, other scripts, leading dashes."""
    if not Path(shell).exists():
        pytest.skip(f"needs {shell}")
    assert _through(shell, words.command(("printf", "%s\\0", *argv), sudo=False, quiet=False)) == argv


def test_bytes_that_are_no_text_go_through(tmp_path: Path) -> None:
    """A file name from a listing may be anything."""
    odd = os.fsdecode(b"\xff\xfe name")
    assert _through("/bin/sh", words.command(("printf", "%s\\0", odd), sudo=False, quiet=False)) == [odd]


@given(argv=st.lists(TEXT, min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_any_argument_goes_through_sudo_unchanged(argv: list[str]) -> None:
    """One more shell in between, and one that gets its arguments as arguments."""
    line = words.command(("printf", "%s\\0", *argv), sudo=True, quiet=True)
    assert _through("/bin/sh", b'sudo() { shift 2; "$@"; }; ' + line.removeprefix(b"exec ")) == argv


def _through(shell: str, line: bytes) -> list[str]:
    done = subprocess.run([shell, "-c", line], input=words.GO, capture_output=True, check=True)
    entered = words.ENTERED.match(done.stdout)
    assert entered
    return [os.fsdecode(each) for each in done.stdout[entered.end() :].split(b"\0")[:-1]]


def test_a_program_whose_name_is_an_option_is_not_there(at: Place) -> None:
    """And is not taken for one by the shell."""
    at.server.shell = "/bin/sh"
    assert at.node().run("-c", "x").exit == 127


def test_a_command_that_is_not_told_to_go_never_starts(tmp_path: Path) -> None:
    """Its waiting shell ends with its input."""
    line = words.command(("touch", str(tmp_path / "done")), sudo=False, quiet=False)
    done = subprocess.run(["/bin/sh", "-c", line], input=b"", capture_output=True, check=False)
    assert done.returncode == 1
    assert not (tmp_path / "done").exists()


def test_the_guard_ends_what_it_is_told_to_and_what_is_left() -> None:
    """One by word, one because the guard's own end has come; one that has ended by itself is left alone: its number may be another's."""
    children = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(4)]
    told, left, over, stranger = (child.pid for child in children)
    script = b"".join([
        words.begun([told]), words.begun([left]), words.begun([over, stranger]), words.ended([over, stranger]), words.end([told]),
    ])  # fmt: skip
    try:
        subprocess.run(["/bin/sh", "-c", words.guard(sudo=False)], input=script, check=False, timeout=BLOCKED)
        assert [children[0].wait(BLOCKED), children[1].wait(BLOCKED)] == [-9, -9]
        assert [children[2].poll(), children[3].poll()] == [None, None]
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_the_guard_ends_what_is_in_a_group_of_its_own() -> None:
    """As what `timeout` starts: it is of the same session."""
    with subprocess.Popen(
        ["sh", "-c", "timeout 60 sh -c 'echo $$; exec sleep 60'"], stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout is not None
        beside = Process.of(int(child.stdout.readline()))
        assert beside is not None
        script = words.begun([child.pid]) + words.end([child.pid])
        subprocess.run(["/bin/sh", "-c", words.guard(sudo=False)], input=script, check=False, timeout=BLOCKED)
        assert beside.wait(BLOCKED)


def test_no_function_of_the_guard_is_a_word_that_a_login_shell_has_for_itself() -> None:
    """zsh, ksh and mksh understand POSIX's sh, and reserve more words: of a line with such a function they run nothing."""
    own = {"always", "coproc", "end", "foreach", "function", "namespace", "nocorrect", "repeat", "select", "time", "until"}
    functions = {*re.findall(r"\b(\w+)\(\) *\{", words.guard(sudo=False).decode())}
    assert functions
    assert not functions & own


# -- not root


def sudo(at: Place, body: str) -> SshNode:
    """Return a node of a user whose sudo is this script."""
    folder = at.folder / "bin"
    folder.mkdir()
    (folder / "sudo").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "sudo").chmod(0o755)
    at.server.environ = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return at.node(user="somebody")


def test_another_user_runs_everything_through_sudo(at: Place) -> None:
    """Commands, streams and the guard; never asking for a password."""
    node = sudo(at, f'[ "$1 $2" = "-n --" ] || exit 9; echo x >>{at.folder}/calls; shift 2; exec "$@"')
    assert node.run("cat", stdin=b"in").out == b"in"
    node_contract.a_signal_is_128_and_its_number(node)
    node_contract.a_timeout_is_unreachable_and_leaves_nothing(node)
    assert len((at.folder / "calls").read_text()) >= 4


def test_sudo_that_gives_its_command_a_session_of_its_own_is_ended_too(at: Place) -> None:
    """As with use_pty: the command is then in no group of ours."""
    node = sudo(at, 'shift 2; setsid "$@"')
    node_contract.a_timeout_is_unreachable_and_leaves_nothing(node)


def test_a_sudo_that_refuses_is_an_error_for_good(at: Place) -> None:
    """With its words and what to do, and not "no answer": waiting would not help."""
    node = sudo(at, 'echo "sudo: a password is required" >&2; exit 1')
    with pytest.raises(HarnessError, match=r"n1 .*sudo does not make us root: .*a password is required.*NOPASSWD") as caught:
        node.run("true")
    assert not isinstance(caught.value, Unreachable)


# -- troubles on the way


@pytest.mark.parametrize(
    ("trouble", "words_of_it"),
    [
        (SshTrouble.MUTE, "connected, but no SSH greeting in 0.4 s"),
        (SshTrouble.RUBBISH, "it hung up during the greeting"),
        (SshTrouble.CLOSE, "it hung up during the greeting"),
        (SshTrouble.REFUSE, r"it refuses our key for root \(ssh-ed25519 SHA256:.*authorized_keys"),
        (SshTrouble.NO_SESSIONS, "connected to root@127.0.0.1:.*, but"),
        (SshTrouble.NO_SHELL, "its shell ended at once"),
        (SshTrouble.DEAF, "it gives no answer"),
    ],
)
def test_each_trouble_is_no_answer_with_its_own_words(at: Place, trouble: SshTrouble, words_of_it: str) -> None:
    """Within the call's time."""
    at.server.trouble = trouble
    with pytest.raises(Unreachable, match=f"n1: no answer to echo hi: .*{words_of_it}"):
        at.node().run("echo", "hi", timeout=0.4 if trouble in {SshTrouble.MUTE, SshTrouble.DEAF} else BLOCKED)


def test_nobody_listening_is_said_so(at: Place) -> None:
    """Refused at once; no wait."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=r"SSH to root@127.0.0.1:.*: connection refused"):
        at.node(port=port).run("true", timeout=BLOCKED)


@pytest.mark.parametrize("first", ["::1", "127.0.0.9"])
def test_a_host_with_several_addresses_is_tried_at_each(at: Place, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """As OpenSSH does: a server that listens on one of them only is reached."""
    real = socket.getaddrinfo
    family = socket.AF_INET6 if ":" in first else socket.AF_INET

    def several(host: str, port: int, *args: Any, **named: Any) -> list[Any]:
        found = real("127.0.0.1", port, *args, **named)
        return [(family, *found[0][1:4], (first, port)), *found] if host == "db.example" else real(host, port, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", several)
    assert at.node(host="db.example").run("true").ok


def test_a_name_that_is_none_is_said_so(at: Place) -> None:
    """As no answer: name servers fail for a while, too."""
    with pytest.raises(Unreachable, match=r"cannot be resolved|not resolved"):
        at.node(host="no-such-host.example").run("true", timeout=2.0)


def test_a_connection_takes_no_longer_than_it_may(at: Place) -> None:
    """The call's own time is longer."""
    at.server.trouble = SshTrouble.MUTE
    with pytest.raises(Unreachable, match=r"no SSH greeting in 0.3 s"):
        at.node(connect_seconds=0.3).run("true", timeout=BLOCKED)


def test_who_waits_for_anothers_connection_waits_no_longer_than_he_may(at: Place) -> None:
    """One thread is stuck in making it; the other has a deadline of its own."""
    at.server.trouble = SshTrouble.MUTE
    node = at.node(connect_seconds=1.0)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(node.run, "true", timeout=1.0)
        within("the server to be asked", lambda: at.server.connections)
        with pytest.raises(Unreachable, match=r"still no connection after 0.2 s"):
            node.run("true", timeout=0.2)
        assert isinstance(slow.exception(BLOCKED), Unreachable)


def test_a_reboot_costs_one_new_connection(at: Place) -> None:
    """What is asked afterwards is answered."""
    node = at.node()
    assert node.run("true").ok
    at.server.hang_up()
    within("the loss to be noticed", lambda: not any(each.alive for each in node._lines))
    assert node.run("echo", "again").text == "again\n"
    assert at.server.connections == 2


def test_a_connection_lost_during_a_command_is_no_answer(at: Place) -> None:
    """It may have been done: it is not tried again."""
    node = at.node()
    mark = at.folder / "begun"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(node.run, "/bin/sh", "-c", f"echo x >>{mark}; exec sleep 60", timeout=60.0)
        within("the command to begin", mark.exists)
        at.server.hang_up()
        error = asked.exception(BLOCKED)
    assert isinstance(error, Unreachable)
    assert "while it ran" in error.saw
    assert mark.read_text() == "x\n"


def test_a_peer_that_falls_silent_is_noticed_while_nobody_asks(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream on it ends; asked for a word, it had said none."""
    monkeypatch.setattr(wire, "PING_SECONDS", 0.1)
    monkeypatch.setattr(wire, "DEAD_SECONDS", 0.5)
    node = at.node()
    stream = node.stream("/bin/sh", "-c", "echo up; exec sleep 60")
    lines = stream.lines()
    assert next(lines) == b"up"
    at.server.trouble = SshTrouble.DEAF
    with pytest.raises(Unreachable):
        node.run("true", timeout=0.3)  # its reader hangs from here on
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(list[bytes], lines).result(BLOCKED) == []
    stream.close()


def test_a_peer_that_answers_is_left_alone(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has nothing to say but that it is there."""
    monkeypatch.setattr(wire, "PING_SECONDS", 0.05)
    monkeypatch.setattr(wire, "DEAD_SECONDS", 0.5)
    node = at.node()
    assert node.run("sleep", "1.2", timeout=BLOCKED).ok
    assert at.server.connections == 1


def test_an_interrupt_ends_the_command(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever presses Ctrl-C leaves nothing running."""
    node = at.node()
    assert node.run("true").ok

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("harness.nodes.ssh.commands.RunningCommand.exchange", interrupted)
        with pytest.raises(KeyboardInterrupt):
            node.run("sleep", "97.875", timeout=60.0)
    assert node.run("pgrep", "-f", "^sleep 97[.]875").exit == 1


@pytest.mark.parametrize("most", [100_000, 1 << 40])
def test_a_command_that_talks_without_an_end_is_ended(at: Place, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Once it has said more than anybody keeps, or when its time is up: that comes also while there is always something to read."""
    monkeypatch.setattr(talk, "MOST_SAID", most)
    node = at.node()
    assert node.run("true").ok
    with pytest.raises(Unreachable, match=r"it said more than" if most == 100_000 else "no end of it"):
        node.run("yes", "97.625", timeout=0.5 if most > 100_000 else BLOCKED)
    within("its end", lambda: node.run("pgrep", "-f", "^yes 97[.]625").exit == 1)


def test_a_stop_is_heard_while_a_command_talks(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while there is always something to read."""
    monkeypatch.setattr(talk, "MOST_SAID", 1 << 40)
    node = at.node()
    assert node.run("true").ok
    asked: list[None] = []

    def ear() -> HarnessError | None:
        asked.append(None)
        return stops.Stopped("enough") if len(asked) > 20 else None

    with stops.listening(ear), pytest.raises(stops.Stopped):
        node.run("yes", timeout=BLOCKED)


def test_a_line_without_an_end_ends_a_stream(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end is never "no more to say"."""
    monkeypatch.setattr(remote, "LONGEST_LINE", 1000)
    stream = at.node().stream("/bin/sh", "-c", "echo a; exec cat /dev/zero")
    assert list(stream.lines()) == [b"a"]
    stream.close()


@pytest.mark.parametrize("noise", ["exec yes", "exec yes >&2"])
def test_a_login_shell_that_talks_without_an_end_is_told(at: Place, noise: str) -> None:
    """Before anything could be asked of the node."""
    shell = at.folder / "shell"
    shell.write_text(f"#!/bin/sh\n{noise}\n")
    shell.chmod(0o755)
    at.server.shell = str(shell)
    with pytest.raises(HarnessError, match=r"its login shell prints .* make its profile quiet"):
        at.node().run("true")


def test_closing_ends_everything_and_the_next_call_begins_anew(at: Place) -> None:
    """Twice is fine."""
    node = at.node()
    stream = node.stream("/bin/sh", "-c", "echo up; exec sleep 60")
    lines = stream.lines()
    assert next(lines) == b"up"
    node.close()
    node.close()
    assert list(lines) == []
    stream.close()
    assert node.run("true").ok


# -- the machine's own key


def test_another_host_key_is_never_spoken_to(at: Place, tmp_path: Path) -> None:
    """An error for good, with both fingerprints; our key was not shown."""
    other = make_host_key(tmp_path / "other")
    with pytest.raises(HarnessError, match=r"n1: .* shows the key ssh-ed25519 SHA256:\S+; expected ssh-ed25519 SHA256:\S+;") as caught:
        at.node(host_keys=(other,)).run("true")
    assert not isinstance(caught.value, Unreachable)
    assert keys.parse(other).fingerprint in str(caught.value)
    assert at.server.commands == []


def test_a_host_that_nobody_knows_is_not_trusted(at: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even asked; with its key in a known_hosts file it is."""
    known = tmp_path / "known_hosts"
    monkeypatch.setattr(keys, "KNOWN_HOSTS", (known,))
    with pytest.raises(HarnessError, match=r"is not known, and is not taken on trust.*known_hosts"):
        at.node(host_keys=()).run("true")
    assert at.server.connections == 0
    known.write_text(f"# a comment\n\n[127.0.0.1]:{at.server.port} {at.server.line} by hand\n")
    assert at.node(host_keys=()).run("true").ok
    known.write_text(known.read_text() + f"@revoked * {at.server.line}\n")
    with pytest.raises(HarnessError, match="is not known"):
        at.node(host_keys=()).run("true")


def test_a_hashed_name_is_found_and_others_are_not(tmp_path: Path) -> None:
    """As ssh writes them with HashKnownHosts; a port of its own is part of the name; authorities are not followed."""
    import paramiko  # noqa: PLC0415 - only here

    line = make_host_key(tmp_path)
    known = tmp_path / "known_hosts"
    known.write_text(f"{paramiko.HostKeys.hash_host('n1.example')} {line}\n@cert-authority * {line}\nhalf a\nn2.example ssh-odd AAAA\n")
    assert list(keys.lines_of("n1.example", 22, [known])) == [line]
    assert list(keys.lines_of("n1.example", 2222, [known])) == []
    assert list(keys.lines_of("n2.example", 22, [known, tmp_path / "none"])) == []


# -- our keys


def test_made_keys_are_private_and_stay(tmp_path: Path) -> None:
    """Nobody else may read them, whatever the umask, and none is made over another."""
    before = os.umask(0)
    try:
        line = make_user_key(tmp_path / "deep" / "folder")
    finally:
        os.umask(before)
    private = tmp_path / "deep" / "folder" / "id_ed25519"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert private.read_text().startswith("-----BEGIN OPENSSH")
    assert private.with_name("id_ed25519.pub").read_text() == f"{line}\n"
    with pytest.raises(HarnessError, match="no key pair can be made"):
        make_user_key(tmp_path / "deep" / "folder")


def test_a_key_that_cannot_be_used_is_named_and_not_shown(at: Place) -> None:
    """No file, no key, a passphrase: an error each, with nothing of the file in it."""
    bad, locked = at.folder / "bad", at.folder / "locked"
    bad.write_text("-----{} OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----{} OPENSSH PRIVATE KEY-----\n".format("BEGIN", "END"))
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - only here
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat  # noqa: PLC0415 - same

    secret = BestAvailableEncryption(b"hidden")
    locked.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, secret))
    for path, said in (
        (at.folder / "none", "no such file"),
        (bad, "it is no private key"),
        (locked, "has a passphrase, and no agent holds it"),
    ):
        with pytest.raises(HarnessError, match=said) as caught:
            at.node(key=path).run("true")
        assert str(path) in str(caught.value)
        assert "c2VjcmV0" not in str(caught.value)


def test_without_a_key_the_default_ones_are_tried(at: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where there is none at all, that is said."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    make_user_key(tmp_path / "first")
    monkeypatch.setattr(keys, "DEFAULT_KEYS", (tmp_path / "first" / keys.USER_KEY, at.folder / keys.USER_KEY))
    assert at.node(key=None).run("true").ok
    monkeypatch.setattr(keys, "DEFAULT_KEYS", ())
    with pytest.raises(HarnessError, match="no key to try"):
        at.node(key=None).run("true")


# -- Access


def test_an_access_is_kept_in_records_without_any_secret(at: Place) -> None:
    """Read back it is the same; what it holds of a key is where it lies."""
    access = at.access(jump="me@bastion.example:2222")
    text = json.dumps(access.to_json())
    assert Access.from_json(json.loads(text)) == access
    assert Access.from_json(json.loads(json.dumps(Access("h").to_json()))) == Access("h")
    assert "PRIVATE" not in text
    for torn in ({}, {**access.to_json(), "port": "x"}, {**access.to_json(), "host_keys": None}):
        with pytest.raises(HarnessError, match="record of how a machine is reached"):
            Access.from_json(torn)


def test_bastions_are_passed_one_after_the_other() -> None:
    """The last one is reached through those before it."""
    hop = Access("h", key=Path("/k"), jump="a@one.example,b@[::1]:2222").hop()
    assert hop is not None
    assert (hop.user, hop.host, hop.port, hop.jump, hop.key) == ("b", "::1", 2222, "a@one.example", Path("/k"))
    first = hop.hop()
    assert first is not None
    assert (first.where, first.jump) == ("a@one.example", None)
    with pytest.raises(HarnessError, match="jump host"):
        Access("h", jump="a@b@c:x").hop()


def test_an_ssh_config_is_followed_as_ssh_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first value counts, names of bastions are looked up, and keys in UserKnownHostsFile are pinned."""
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    line = make_host_key(tmp_path)
    (tmp_path / "known").write_text(f"[192.0.2.5]:2222 {line}\n")
    config = tmp_path / "config"
    config.write_text(
        f"Host n1\n  HostName 192.0.2.5\n  Port 2222\n  User vagrant\n"
        f"  IdentityFile {tmp_path}/none\n  IdentityFile {tmp_path}/ssh_host_ed25519_key\n"
        f"  UserKnownHostsFile {tmp_path}/known\n  StrictHostKeyChecking no\n  ProxyJump door\n"
        "Host door\n  HostName bastion.example\n  Port 2200\nHost plain*\n  ProxyJump none\n"
    )
    assert access_from_ssh_config("n1", config) == Access(
        "192.0.2.5",
        2222,
        "vagrant",
        tmp_path / "ssh_host_ed25519_key",
        (line,),
        "me@bastion.example:2200",
        (Access("bastion.example", 2200, "me"),),
    )
    assert access_from_ssh_config("plain1", config) == Access("plain1", user="me")
    assert access_from_ssh_config("other", config) == Access("other", user="me")


def test_a_bastion_is_reached_as_the_config_says_of_it(at: Place, tmp_path: Path) -> None:
    """By its own key and known hosts: what its block says is not the target's, nor the other way round. Records keep it."""
    known = tmp_path / "gate_known"
    known.write_text(f"[gate.example]:2222 {at.server.line}\n")
    config = tmp_path / "config"
    config.write_text(
        f"Host gate\n HostName gate.example\n Port 2222\n User jumper\n IdentityFile {tmp_path}/gatekey\n UserKnownHostsFile {known}\n"
        f"Host db\n HostName 10.0.0.5\n ProxyJump plain.example,gate\n User me\n IdentityFile {tmp_path}/dbkey\n"
    )
    found = access_from_ssh_config("db", config)
    gate = found.hop()
    assert gate is not None
    assert (gate.where, gate.key, gate.host_keys) == ("jumper@gate.example:2222", tmp_path / "gatekey", (at.server.line,))
    plain = gate.hop()
    assert plain is not None
    assert (plain.host, plain.key, plain.hop()) == ("plain.example", None, None)
    assert (found.key, found.jump) == (tmp_path / "dbkey", f"{plain.user}@plain.example:22,jumper@gate.example:2222")
    assert Access.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_an_ssh_config_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """With its file; what is refused in one is tests/unit/test_ssh_config.py's."""
    with pytest.raises(HarnessError, match="none: no such file; expected an OpenSSH configuration"):
        access_from_ssh_config("n1", tmp_path / "none")


# -- streams


def test_a_stream_gives_lines_as_they_come_and_its_last_half(at: Place) -> None:
    """Fed its input; its error output goes nowhere; it ends with the command."""
    stream = at.node().stream("/bin/sh", "-c", "cat; echo two; echo trouble >&2; printf three", stdin=b"one\n")
    assert list(stream.lines()) == [b"one", b"two", b"three"]
    stream.close()
    stream.close()


def test_the_last_half_of_a_line_waits_for_the_word_that_the_command_is_over(at: Place) -> None:
    """The end of the output comes before the exit status: in between nobody can tell whether the line was cut off."""
    stream = at.node().stream("/bin/sh", "-c", "echo one; printf half")
    lines = stream.lines()
    at.server.tells_ends.clear()
    with ThreadPoolExecutor(1) as pool:
        assert next(lines) == b"one"
        rest = pool.submit(list, lines)
        within("the end of the output", lambda: stream._session.wire.eof_received)
        assert not rest.done()
        at.server.tells_ends.set()
        assert rest.result(BLOCKED) == [b"half"]
    stream.close()


def test_a_stream_is_closed_from_another_thread(at: Place) -> None:
    """Whoever reads comes to the end, and what ran is gone."""
    node = at.node()
    stream = node.stream("/bin/sh", "-c", "echo up; sleep 99.5 & sleep 99.5")
    lines = stream.lines()
    assert next(lines) == b"up"
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list[bytes], lines)
        stream.close()
        assert rest.result(BLOCKED) == []
    within("what it ran to be gone", lambda: not node.run("pgrep", "-f", "^sleep 99[.]5").ok)


def test_a_stream_of_a_lost_connection_ends_without_half_a_line(at: Place) -> None:
    """What was cut off is not what it had to say."""
    stream = at.node().stream("/bin/sh", "-c", "echo up; printf half; exec sleep 60")
    lines = stream.lines()
    assert next(lines) == b"up"
    at.server.hang_up()
    assert list(lines) == []
    stream.close()


def test_a_stream_that_cannot_be_started_is_no_answer(at: Place) -> None:
    """As any call."""
    at.server.trouble = SshTrouble.CLOSE
    with pytest.raises(Unreachable):
        at.node().stream("true")


# -- docker


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[Callable[[Request], Sequence[bytes]]], Path]]:
    """Lend a stand-in for dockerd on a Unix socket: it sends what it is told, piece by piece, and None for silence."""
    sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []
    over = threading.Event()

    def serve(behave: Callable[[Request], Sequence[bytes]]) -> Path:
        path = tmp_path / "docker.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        sockets.append(listener)

        def one(there: socket.socket) -> None:
            with contextlib.suppress(OSError), there:
                while head := there.recv(65536):
                    method, path, _ = head.decode().split(" ", 2)
                    for piece in behave(Request(method, path, b"")):
                        if not piece:
                            over.wait()
                        there.sendall(piece)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    there, _ = listener.accept()
                    sockets.append(there)
                    threads.append(threading.Thread(target=one, args=(there,), daemon=True))
                    threads[-1].start()

        threads.append(threading.Thread(target=accept, daemon=True))
        threads[-1].start()
        return path

    yield serve
    over.set()
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
    for thread in threads:
        thread.join(BLOCKED)


def answer(body: bytes) -> bytes:
    """Return a whole HTTP answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_docker_is_asked_through_a_channel(at: Place, daemon: Callable[..., Path]) -> None:
    """Requests follow each other on one channel; closing the client leaves the node's connection."""
    asked: list[str] = []

    def behave(request: Request) -> list[bytes]:
        asked.append(request.path)
        return [answer(b'{"Name":"n1"}')]

    at.server.unix = daemon(behave)
    node = at.node()
    client = node.docker(BLOCKED)
    assert client.info()["Name"] == "n1"
    assert client.info()["Name"] == "n1"
    client.close()
    client.close()
    assert asked == ["/v1.41/info"] * 2
    with pytest.raises(requests.RequestException):
        client.info()
    assert node.run("true").ok
    assert at.server.connections == 1


def test_a_docker_that_hangs_is_noticed_in_time(at: Place, daemon: Callable[..., Path]) -> None:
    """Before its answer, and in the middle of one."""
    at.server.unix = daemon(lambda request: [b""] if request.path.endswith("/info") else [CHUNKED, b"3\r\n{}\n\r\n", b""])
    client = at.node().docker(2.0)  # a busy machine takes its time to connect
    with pytest.raises(requests.Timeout):
        client.info()
    with client.api.get(f"{client.api.base_url}/v1.41/events", stream=True, timeout=(BLOCKED, 0.3)) as events:
        lines = events.iter_lines(chunk_size=1)
        assert next(lines) == b"{}"
        with pytest.raises(requests.ConnectionError, match="timed out"):
            next(lines)
    client.close()


def test_a_stream_of_docker_ends_with_its_connection(at: Place, daemon: Callable[..., Path]) -> None:
    """As trouble, never as the end of the events."""
    at.server.unix = daemon(lambda _: [CHUNKED, b"3\r\n{}\n\r\n", b""])
    client = at.node().docker(BLOCKED)
    with client.api.get(f"{client.api.base_url}/v1.41/events", stream=True, timeout=(1.0, BLOCKED)) as events:
        lines = events.iter_lines(chunk_size=1)
        assert next(lines) == b"{}"
        at.server.hang_up()
        with pytest.raises(requests.RequestException):
            next(lines)
    client.close()


def test_a_docker_that_is_not_there_is_no_answer(at: Place, tmp_path: Path) -> None:
    """At once, from `docker` itself."""
    at.server.unix = tmp_path / "none.sock"
    with pytest.raises(Unreachable, match=r"n1: no answer to docker: no connection to /run/docker\.sock"):
        at.node().docker(BLOCKED)


def test_where_the_socket_cannot_be_had_dockers_own_relay_is_used(at: Place, daemon: Callable[..., Path]) -> None:
    """Run through sudo, whatever it complains of; closing the client ends it."""
    path = daemon(lambda _: [answer(b'{"Name":"n1"}')])
    relay = (
        "import os, socket, sys, threading\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        'os.write(2, b"a complaint that is no answer")\n'
        "def up():\n  while d := os.read(0, 65536): s.sendall(d)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while d := s.recv(65536): os.write(1, d)\n"
    )
    node = sudo(at, f'shift 2; export PATH={at.folder}/bin:$PATH; exec "$@"')
    script = f"""#!/bin/sh\n[ "$*" = "system dial-stdio" ] || exit 9\nexec {sys.executable} -c '{relay}' {path} whalefall-relay-test\n"""
    (at.folder / "bin" / "docker").write_text(script)
    (at.folder / "bin" / "docker").chmod(0o755)
    # The plain PATH of a command over SSH holds no folder of ours.
    node_path = words._SETTING.replace("PATH=", f"PATH={at.folder}/bin:")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_SETTING", node_path)
        client = node.docker(BLOCKED)
    assert client.info()["Name"] == "n1"
    client.close()
    within("the relay to be gone", lambda: not node.run("pgrep", "-f", "whalefall-relay-tes[t]").ok)


# -- the clock


def test_an_offset_is_the_nodes_clock_minus_ours(at: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within half of what the answer took; measured once for each connection."""
    (tmp_path / "date").write_text('#!/bin/sh\necho "$(($(/bin/date +%s) + 3600)).5"\n')
    (tmp_path / "date").chmod(0o755)
    monkeypatch.setattr(words, "_SETTING", words._SETTING.replace("PATH=", f"PATH={tmp_path}:"))
    node = at.node()
    assert 3598 < node.offset() < 3602
    asked = len(at.server.commands)
    assert node.offset() == node.offset()
    assert len(at.server.commands) == asked
    at.server.hang_up()
    within("the loss to be noticed", lambda: not any(each.alive for each in node._lines))
    node.run("true")
    node.offset()
    assert len(at.server.commands) > asked + 1


def test_a_clock_that_is_none_is_an_error(at: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a difference of zero."""
    (tmp_path / "date").write_text("#!/bin/sh\necho +%s.%N\n")
    (tmp_path / "date").chmod(0o755)
    monkeypatch.setattr(words, "_SETTING", words._SETTING.replace("PATH=", f"PATH={tmp_path}:"))
    with pytest.raises(CommandFailed, match="GNU date"):
        at.node().offset()


def test_paramiko_says_nothing_on_its_own(at: Place) -> None:
    """A harness whose connection failed prints what it has to say itself."""
    code = (
        "from pathlib import Path\n"
        "from harness.nodes.ssh import Access, SshNode\n"
        f"access = Access('127.0.0.1', {at.server.port}, host_keys=({at.server.line!r},), key=Path({str(at.folder / 'id_ed25519')!r}))\n"
        "node = SshNode('n1', '10.77.0.11', access)\n"
        "from harness.core.errors import Unreachable\n"
        "try: node.run('true')\n"
        "except Unreachable: pass\n"
        "node.close()\n"
    )
    at.server.trouble = SshTrouble.CLOSE
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, check=False, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("trouble", [SshTrouble.MUTE, SshTrouble.DEAF, SshTrouble.NO_SHELL, SshTrouble.NO_SESSIONS])
def test_a_server_in_trouble_does_not_keep_a_run_that_ends(at: Place, trouble: SshTrouble) -> None:
    """Whatever step of the connection it hangs in: what ends the run is raised, and not what the step would have come to."""
    at.server.trouble = trouble
    asked: list[int] = []

    def ear() -> stops.Stopped | None:
        asked.append(1)
        return stops.Stopped("the run was stopped") if len(asked) > 2 else None

    with stops.listening(ear), pytest.raises(stops.Stopped):
        at.node(connect_seconds=20.0).run("sleep", "60", timeout=20.0)


def test_a_connection_may_have_any_descriptor() -> None:
    """A run with many nodes, or a test session that holds many files, has numbers that `select` does not know."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.socket() as low,
            socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 1500)) as high,
        ):
            _knock(high, server.getsockname(), 20.0, SystemClock())
            assert high.getpeername() == server.getsockname()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
