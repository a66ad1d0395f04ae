"""For root's eyes only: what another user of this machine can do with a cluster that stands, whatever the umask of who made it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.host import image, state
from harness.nodes.namespaced import NspawnNode
from harness.providers.nspawn import NspawnProvider, cgroups, nspawn_records

pytestmark = pytest.mark.cluster

# setpriv still has root's capabilities when it starts its program: the shell that it starts has none.
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", "/bin/sh", "-c", 'exec "$@"', "sh")
UMASKS = (0o000, 0o077)

MAKE = """
import os, sys
os.umask(int(sys.argv[1]))
from harness.providers.nspawn import NspawnProvider
from harness.core.values import NodeSpec
NspawnProvider().create(sys.argv[2], [NodeSpec("n1", "10.77.0.11", faultable_disk=True)])
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", params=UMASKS, ids=[f"umask {each:03o}" for each in UMASKS])
def node(request: pytest.FixtureRequest) -> Iterator[NspawnNode]:
    """Lend a node that a process with this umask has made."""
    run_id = f"eyes-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    argv = [sys.executable, "-c", MAKE, str(request.param), run_id]
    provider = NspawnProvider()
    try:
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
            assert maker.stdout is not None
            assert maker.stdout.readline() == "made\n"
            (made,) = provider.adopt(run_id)
            assert isinstance(made, NspawnNode)
            yield made
            assert maker.stdin is not None
            maker.stdin.close()
    finally:
        provider.destroy(run_id)


def _as_nobody(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NOBODY, *argv], capture_output=True, text=True, check=False, cwd="/")


def _setuid_below(root: Path) -> list[Path]:
    return [each for each in root.glob("usr/bin/*") if not each.is_symlink() and each.stat().st_mode & stat.S_ISUID]


def test_another_user_sees_nothing_below_state_cache_and_register(node: NspawnNode) -> None:
    """Not a name: what cannot be found cannot be read, written or run."""
    for folder in (state.runs(), state.cache() / "images", state.REGISTRY):
        assert any(folder.iterdir()), "there is something to be seen"
        done = _as_nobody("find", str(folder), "-mindepth", "1")
        assert (done.stdout, done.returncode) == ("", 1), done
        assert "Permission denied" in done.stderr


def test_another_user_reads_no_disk_and_no_file_of_a_node(node: NspawnNode) -> None:
    """By their whole paths, known beforehand: swarm's private keys are on the disk."""
    folder = nspawn_records.node_folder(node.run_id, node.name)
    for file in ("disk/disk.img", "upper/etc/machine-id", "machine.json", "console.log"):
        assert (folder / file).is_file()
        assert _as_nobody("head", "-c", "1", str(folder / file)).returncode != 0, file


def test_another_user_runs_none_of_a_nodes_programs_as_root(node: NspawnNode) -> None:
    """An image has programs that run as root; a node needs them, this machine's users do not."""
    (base,) = [each for each in image.images() if each.current and each.what == "base"]
    programs = _setuid_below(base.path)
    assert programs, "the image has such programs"
    for program in programs:
        done = _as_nobody(str(program), "--version")
        assert done.returncode in {126, 127}, f"{program}: {done}"


def test_another_user_writes_into_no_node(node: NspawnNode) -> None:
    """Each node sees the lower layer's /tmp, which everybody may write to."""
    (base,) = [each for each in image.images() if each.current and each.what == "base"]
    assert (base.path / "tmp").stat().st_mode & stat.S_IWOTH, "the lower layer has a folder that all may write to"
    for folder in (base.path / "tmp", nspawn_records.node_folder(node.run_id, node.name) / "upper"):
        assert _as_nobody("touch", str(folder / "theirs")).returncode != 0
        assert not (folder / "theirs").exists()


def test_another_user_reaches_no_socket_and_stops_no_disk(node: NspawnNode) -> None:
    """The slow disk obeys whoever reaches its socket."""
    socket = nspawn_records.node_folder(node.run_id, node.name) / "disk.sock"
    assert socket.is_socket()
    ask = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    done = _as_nobody("/usr/bin/python3", "-c", ask, str(socket))
    assert "PermissionError" in done.stderr, done


def test_another_user_makes_no_control_group_in_ours(node: NspawnNode) -> None:
    """It would keep ours from being removed, and its processes with it."""
    groups = [each for name in ("", node.name, f"{node.name}.host") for each in cgroups.groups(node.run_id, name)]
    for group in (*groups, *(each.parent for each in groups)):
        done = _as_nobody("mkdir", str(group / "theirs"))
        assert "Permission denied" in done.stderr, done


def test_folders_and_files_have_the_modes_that_are_promised(node: NspawnNode) -> None:
    """Whatever the umask: 0700 and 0600, save below `upper`, which is the node's own."""
    folder = nspawn_records.node_folder(node.run_id, node.name)
    entry = state.REGISTRY / f"{node.run_id}.json"
    looked_at = [
        state.runs(),
        folder.parent.parent,
        entry,
        folder,
        folder / "disk",
        folder / "disk" / "disk.img",
        folder / "machine.json",
        folder / "console.log",
    ]
    wrong = [f"{each}: {stat.S_IMODE(each.stat().st_mode):o}" for each in looked_at if each.stat().st_mode & 0o077]
    assert wrong == []


def test_a_nodes_own_users_are_not_shut_out(node: NspawnNode) -> None:
    """They walk from its / and read its files, and its programs that run as root still do."""
    script = (
        'install -m 4755 "$(command -v id)" /usr/local/bin/who && '
        "setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'cat /etc/hosts /etc/hostname /etc/machine-id >/dev/null && "
        "ls / >/dev/null && /usr/local/bin/who -u'"
    )
    done = node.run("sh", "-c", script)
    assert done.ok, done.err
    assert done.text.strip() == "0"
