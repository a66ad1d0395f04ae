"""The node image: what builds it dies with the harness, and a layer is made over a base that is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import CommandFailed
from harness.core.values import NodeSpec
from harness.host import building, image, processes
from harness.providers.nspawn import NspawnProvider

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes namespaces")]

BUILD = """
import sys
from pathlib import Path
from harness.host.building import BuildCommands
folder = Path(sys.argv[1])
step = 'mount -t tmpfs none "$1/mnt" && touch "$1/mnt/f" && { sleep 600 "$1" & } ; echo started; exec sleep 600'
BuildCommands(folder / "log", lambda line: print(line, flush=True)).run(["sh", "-c", step, "sh", str(folder)], mark="s")
"""


def holders(folder: Path) -> list[int]:
    """Return the pids of processes whose mounts or command lines name the folder."""
    found = []
    for pid in processes.pids():
        try:
            text = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/mountinfo").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in text and processes.Process.of(pid) is not None:
            found.append(pid)
    return found


def test_a_killed_harness_leaves_no_build_and_no_mount(tmp_path: Path) -> None:
    """SIGKILL in the middle of a step: its processes, also those in the background, and its mounts are gone."""
    (tmp_path / "mnt").mkdir()
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path)], stdout=subprocess.PIPE, env=environ) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == b"tarted\n"
        assert len(holders(tmp_path)) > 1
        harness.kill()
    wait_until(lambda: not holders(tmp_path), awaited="all to be gone", seconds=10, clock=SystemClock(), saw=lambda: str(holders(tmp_path)))
    assert not (tmp_path / "mnt" / "f").exists()


def test_a_step_that_fails_says_its_last_words(tmp_path: Path) -> None:
    """Status and output; its mounts are its own."""
    commands = building.BuildCommands(tmp_path / "log", lambda _: None)
    with pytest.raises(CommandFailed, match=r"status 3: one\ntwo"):
        commands.run(["sh", "-c", 'echo one; echo two >&2; mount -t tmpfs none "$0"; exit 3', str(tmp_path)])
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_a_mode_needs_nothing_but_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a base that is there already: files, programs, units, and what it takes away, are so on nodes of that mode."""
    for each in image.ensure(lambda _: None).layers:
        kept = tmp_path / "images" / each.key
        kept.mkdir(parents=True)
        shutil.copy(each.path.parent / "image.json", kept)
        subprocess.run(["cp", "--archive", "--link", str(each.path), str(kept / "root")], check=True)
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path))
    layer = tmp_path / "acme: its, own" / "node"
    ours = tmp_path / "cache"
    (ours / "apt" / "archives").mkdir(parents=True)
    for path, text in {
        "root/etc/acme/acme.conf": "all is well\n",
        "root/usr/local/bin/acme": "#!/bin/sh\nexec cat /etc/acme/acme.conf\n",
        "root/lib/systemd/system/acme.service": "[Service]\nExecStart=/bin/sleep infinity\n",
        "root/bin/acme-too": "#!/bin/sh\nexec acme\n",
        "mask": "docker.socket # which others have\n",
        "finish": f'rm "$1/etc/containerd/config.toml"; rm -r "$1/var/cache"; ln -s {ours} "$1/var/cache"\n',
    }.items():
        (layer / path).parent.mkdir(parents=True, exist_ok=True)
        (layer / path).write_text(text, encoding="utf-8")
    said: list[str] = []
    made = image.ensure(said.append, layer=layer)
    assert [each for each in said if "layer" in each or "Debian" in each] == ["putting the layer acme--its--own together"]
    assert {each.key for each in made.layers} - {layer.name for layer in (tmp_path / "images").iterdir()} == set()
    provider, run_id = NspawnProvider(), f"layer-{os.getpid()}"
    provider.furnish(layer)
    try:
        (node,) = provider.create(run_id, [NodeSpec("n1", "10.77.0.11")])
        assert node.run("acme-too").text == "all is well\n"
        # Where the base has a link to a folder there still is one, and what was laid below it is where it leads.
        led = node.run("sh", "-c", "readlink /lib /bin /var/run; ls /usr/bin/acme-too").text.split()
        assert led == ["usr/lib", "usr/bin", "/run", "/usr/bin/acme-too"]
        assert node.run("systemctl", "start", "acme.service").ok
        assert node.run("readlink", "/var/cache").text == f"{ours}\n"
        assert (ours / "apt" / "archives").exists(), "an absolute link leads out of a root that is not one's own"
        assert node.run("systemctl", "is-enabled", "docker.socket").text.strip() == "masked"
        assert not node.run("test", "-e", "/etc/containerd/config.toml").ok
        assert node.run("test", "-e", "/etc/docker/daemon.json").ok
        # Younger folders in a layer would have every first boot bring /etc and /var up to date with /usr.
        assert node.run("sh", "-c", "[ ! /usr -nt /etc/.updated ] && [ ! /usr -nt /var/.updated ]").ok
    finally:
        provider.destroy(run_id)
