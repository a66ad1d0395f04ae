"""Errors of the harness in words: a command is named, not repeated."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.core.clock import Deadline, SystemClock
from harness.core.errors import CommandFailed, Expired, HarnessError, Unreachable, brief, gist
from harness.core.values import App, Result
from harness.faults import common
from harness.modes import on_nodes
from harness.testing.memory_node import MemoryNode
from harness.undo import fingerprint

ROOT = Path(__file__).parents[2] / "harness"
PROGRAM = fingerprint.PROGRAM
LONG = "x" * 5000


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("true", "true"),
        (("systemctl", "is-active", "docker"), "systemctl is-active docker"),
        (("python3", "-c", PROGRAM, "10.77.0.11"), "python3 -c …"),
        (f"sh -c {PROGRAM}", "sh -c …"),
        (("echo", LONG), f"{'echo ' + 'x' * 73} …"),
    ],
)
def test_a_command_is_named_by_its_first_line(command: str | tuple[str, ...], said: str) -> None:
    """A program of ours that is handed to a shell tells nobody anything."""
    assert brief(command) == said
    assert len(brief(command)) <= 82


def test_of_what_a_command_said_the_end_is_repeated() -> None:
    """There the cause stands, and a short word stays whole."""
    assert gist("  E: no space\n") == "E: no space"
    assert gist(LONG + " the cause") == f"… {'x' * 990} the cause"


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("n1", f"python3 -c {PROGRAM} 10.77.0.11", LONG),
        Unreachable("n1", f"sh -c {PROGRAM}", "timed out"),
        CommandFailed("n1", ("python3", "-c", PROGRAM, "10.77.0.11"), 1, LONG),
        Expired("n1 to answer", 5.0, LONG),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_message_repeats_a_program(error: HarnessError) -> None:
    """Whatever was run, and whatever it said: one line of it, and not the 150 of a program of ours."""
    said = str(error)
    assert len(said) < 1200
    assert "import glob" not in said
    assert "\n" not in said


def test_a_refused_fingerprint_is_one_line() -> None:
    """Of a node that is off, and of one where it ends with an error: node, command, cause."""
    node = MemoryNode("n1", "10.77.0.11")
    node.programs["python3"] = lambda argv, _: Result(argv, 1, b"", b"nft: not permitted\n")
    with pytest.raises(CommandFailed) as refused:
        fingerprint.fingerprint(node)
    assert str(refused.value).startswith("n1: 'python3 -c … 10.77.0.11' exited with status 1: nft: not permitted")
    node.on = False
    with pytest.raises(Unreachable) as silent:
        fingerprint.fingerprint(node)
    assert str(silent.value) == "n1: no answer to python3 -c …: the machine is off"
    with pytest.raises(Unreachable) as also:
        common.shell(node, PROGRAM)
    assert str(also.value) == "n1: no answer to /bin/sh -c …: the machine is off"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (3, "pulled: Unable to find image pull access denied for nosuch; is its name right, and can the nodes reach its registry?"),
        (
            1,
            (
                "built from /usr/share/whalefall/images/nosuch on the node: Unable to find image pull access denied for nosuch; "
                "is its Dockerfile right?"
            ),
        ),
    ],
)
def test_an_image_error_names_the_image_and_where_it_was_to_come_from(status: int, expected: str) -> None:
    """And what Docker said of it; neither our script nor its place, and no word of a registry where none was asked."""
    node = MemoryNode("n2", "10.77.0.12")
    node.programs["sh"] = lambda argv, _: Result(argv, status, b"", b"Unable to find image\npull access denied for nosuch\n")
    with pytest.raises(HarnessError) as failed:
        on_nodes.image(node, App("web", 2, image="nosuch:1.0"), Deadline(SystemClock(), 5.0))
    assert str(failed.value) == f"n2: the image 'nosuch:1.0' of web is not there, and could not be {expected}"


def test_messages_are_made_of_commands_in_one_way() -> None:
    """No other module puts the words of a command together for a message."""
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "argv" in text else ():
            if isinstance(node, ast.JoinedStr) and path.name != "errors.py":
                for part in node.values:
                    said = ast.unparse(part) if isinstance(part, ast.FormattedValue) else ""
                    assert "join(argv" not in said, path
                    assert "list(argv)" not in said, path
