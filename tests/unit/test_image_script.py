"""How an image gets onto a node: what is there stays, files over nothing are imported in one step, all else is built or pulled."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.modes import on_nodes

DOCKER = """#!/bin/sh
[ "$1" = image ] && exit {inspect}
[ "$3" = sulky ] && exit 1
printf '%s\\n' "$@" >{log}
for each; do case $each in /*) [ -f "$each" ] && tar -tf "$each" >{packed}; esac; done
exit 0
"""


class Node:
    """A folder of images, and a docker that notes what it is asked for."""

    def __init__(self, top: Path) -> None:
        self.context = top / "images" / "web"
        self._top, self._bin = top, top / "bin"
        self.context.mkdir(parents=True)
        self._bin.mkdir()
        self.have(nothing=True)

    def have(self, *, nothing: bool) -> None:
        """Let docker have the image, or not."""
        script = self._bin / "docker"
        script.write_text(DOCKER.format(inspect=int(nothing), log=self._top / "asked", packed=self._top / "packed"))
        script.chmod(0o755)

    def ask(self, dockerfile: str | None) -> list[str]:
        """Return what docker was asked for."""
        if dockerfile is not None:
            (self.context / "Dockerfile").write_text(dockerfile)
        (self.context / "web").write_text("a program")
        environ = {**os.environ, "PATH": f"{self._bin}:{os.environ['PATH']}", "TMPDIR": str(self._top)}
        done = subprocess.run(["sh", "-c", on_nodes._IMAGE, "sh", "web", str(self.context)], env=environ, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return (self._top / "asked").read_text().splitlines() if (self._top / "asked").exists() else []

    def end(self, image: str, context: Path) -> int:
        """Return how the script ends for an image."""
        environ = {**os.environ, "PATH": f"{self._bin}:{os.environ['PATH']}", "TMPDIR": str(self._top)}
        done = subprocess.run(["sh", "-c", on_nodes._IMAGE, "sh", image, str(context)], env=environ, capture_output=True, check=False)
        return done.returncode

    def packed(self) -> list[str]:
        """Return the files that were handed over, and that nothing of them is left behind."""
        assert not list(self._top.glob("tmp.*"))
        return (self._top / "packed").read_text().splitlines()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """One whose docker has nothing."""
    return Node(tmp_path)


def test_an_image_that_is_there_stays(node: Node) -> None:
    """Nothing is done."""
    node.have(nothing=False)
    assert node.ask("FROM scratch\nCOPY web /web\n") == []


def test_files_over_nothing_are_imported_in_one_step(node: Node) -> None:
    """With all that the Dockerfile sets beside them; a comment is none of it."""
    asked = node.ask('# by hand\nFROM scratch\n\nCOPY web /web\nEXPOSE 80\nENTRYPOINT ["/web", "a b"]\n')
    assert [asked[0], *asked[1:5], asked[6]] == ["import", "--change", "EXPOSE 80", "--change", 'ENTRYPOINT ["/web", "a b"]', "web"]
    assert node.packed() == ["web"]


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM debian:12\nCOPY web /web\n",
        "FROM scratch AS first\nCOPY web /web\n",
        "FROM scratch\nCOPY web /web\nRUN true\n",
        "FROM scratch\nCOPY web /bin/web\n",
        "FROM scratch\nCOPY --chown=1 web /web\n",
        "FROM scratch\nCOPY w* /w*\n",
        "FROM scratch\nCOPY web \\\n /web\n",
        "FROM scratch\nCOPY web /web\nENV A=$HOME\n",
        'FROM scratch\nCOPY web /web\nCMD ["/web", \\\n "x"]\n',
        "FROM scratch\nADD web /web\n",
        "ARG X\nFROM scratch\nCOPY web /web\n",
        "FROM scratch\nCOPY web /web\nFROM debian:12\n",
        "FROM scratch\n",
    ],
)
def test_all_else_is_built(node: Node, dockerfile: str) -> None:
    """What is more than plain files and plain settings is Docker's own business."""
    assert node.ask(dockerfile) == ["build", "--quiet", "--tag", "web", str(node.context)]


def test_what_has_no_folder_is_pulled(node: Node) -> None:
    """From whatever registry it names."""
    assert node.ask(None) == ["pull", "--quiet", "web"]


def test_only_a_registry_that_gave_nothing_is_blamed_on_one(node: Node, tmp_path: Path) -> None:
    """By how the script ends, whatever Docker's own status is; a build that fails ends otherwise."""
    assert node.end("sulky", tmp_path / "nowhere") == on_nodes._NOT_PULLED
    (node.context / "Dockerfile").write_text("FROM scratch\nCOPY gone /gone\n")
    assert node.end("web", node.context) not in {0, on_nodes._NOT_PULLED}


def test_programs_of_the_node_are_packed_with_all_that_they_load(node: Node) -> None:
    """Under the paths that they have there, and what their loader needs."""
    (node.context / "from-node").write_text("/bin/sh   # a program that is anywhere\n")
    asked = node.ask('FROM scratch\nADD from-node.tar /\nENTRYPOINT ["/bin/sh"]\n')
    assert asked[:3] == ["import", "--change", 'ENTRYPOINT ["/bin/sh"]']
    packed = node.packed()
    assert "bin/sh" in packed
    assert any("libc.so" in each for each in packed)
    assert not [each for each in packed if each.startswith("/")]


def test_programs_of_the_node_are_there_for_docker_as_well(node: Node) -> None:
    """Where a Dockerfile says more than plain copies, it is Docker that adds them."""
    (node.context / "from-node").write_text("/bin/sh\n")
    assert node.ask("FROM scratch\nADD from-node.tar /\nCOPY web /bin/web\n")[0] == "build"
    packed = subprocess.run(["tar", "-tf", str(node.context / "from-node.tar")], capture_output=True, text=True, check=True).stdout
    assert "bin/sh" in packed.splitlines()


def test_folders_and_libraries_of_the_node_are_packed_as_they_are(node: Node, tmp_path: Path) -> None:
    """A folder with all that is in it, and by a pattern what no program is."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "module.py").write_text("")
    (tmp_path / "data-1.txt").write_text("")
    (node.context / "from-node").write_text(f"/bin/sh\n{tmp_path}/lib\n{tmp_path}/data-*.txt   # any\n")
    node.ask('FROM scratch\nADD from-node.tar /\nENTRYPOINT ["/bin/sh"]\n')
    assert {f"{tmp_path}/lib/module.py"[1:], f"{tmp_path}/data-1.txt"[1:]} <= {*node.packed()}


def test_a_program_that_the_node_lacks_is_named(node: Node) -> None:
    """It is the layer of the mode that lacks its package."""
    (node.context / "Dockerfile").write_text('FROM scratch\nADD from-node.tar /\nENTRYPOINT ["/nothing"]\n')
    (node.context / "from-node").write_text("/usr/bin/no-such-program\n")
    assert node.end("web", node.context) == 1
