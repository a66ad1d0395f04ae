"""How a node runs the daemon of an image: what systemd is told of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from imaged import __main__ as unpacking
from imaged import dropin

ROOT = Path("/var/lib/mesos-images/mesos-agent")


def written(config: dict[str, Any], *there: str) -> list[str]:
    """Return the lines of the drop-in for an image that has these paths."""
    return dropin.written(ROOT, config, lambda path: path in there).splitlines()


def test_an_entrypoint_is_run_in_its_own_file_system_with_the_flags_behind_it() -> None:
    """By its path in the image; its command, which flags take the place of, is left out; what the unit had before is taken away."""
    lines = written(
        {
            "Entrypoint": ["mesos-agent", "--x=$1 100%"],
            "Cmd": ["--help"],
            "Env": ["PATH=/opt/bin:/usr/bin", 'A=b "c" %d'],
            "WorkingDir": "/w",
        },
        "/usr/bin/mesos-agent",
    )
    assert f"RootDirectory={ROOT}" in lines
    assert "WorkingDirectory=/w" in lines
    assert lines[lines.index("Environment=") + 2] == 'Environment="A=b \\"c\\" %%d"'
    assert lines[-2:] == ["ExecStart=", 'ExecStart="/usr/bin/mesos-agent" "--x=$$1 100%%" $FLAGS']
    assert not [each for each in lines if "--help" in each]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "no entrypoint"),
        ({"Entrypoint": None, "Cmd": ["mesos-agent"]}, "no entrypoint"),
        ({"Entrypoint": ["mesos-agent"]}, "is not in it"),
        ({"Entrypoint": ["bin/mesos-agent"]}, "is not in it"),
    ],
)
def test_an_image_that_flags_cannot_be_given_to_is_refused(config: dict[str, Any], words: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(ValueError, match=words):
        written(config, "bin/mesos-agent")


def test_no_line_of_an_image_becomes_one_of_the_units() -> None:
    """An image is somebody else's: what has a line feed in it stays within its own line."""
    told = {"Entrypoint": ["/a\nExecStartPre=/b"], "Env": ["A=1\nUser=root", "not a name=1", "B"], "WorkingDir": "/\nUser=root"}
    lines = written(told, "/a\nExecStartPre=/b")
    assert not [each for each in lines if each.startswith(("ExecStartPre", "User"))]
    assert not [each for each in lines if "not a name" in each]


def test_what_docker_refuses_is_said_with_the_image_and_the_unit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the command fails."""

    def refuse(*argv: str) -> str:
        raise subprocess.CalledProcessError(1, argv)

    monkeypatch.setattr(unpacking, "ran", refuse)
    assert unpacking._main(["mesos-agent", "a:1"]) == 1
    assert "the image a:1 cannot be run as mesos-agent" in capsys.readouterr().err
