"""Images from a real registry and from a file, in real clusters: Debian's docker-registry, in a network namespace of the test's own.

The harness is run inside that namespace: it reaches the registry and nobody else, and its nodes, in namespaces of their own, reach neither.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.core.clock import SystemClock, wait_until
from harness.host import app_images, archives, image, shelves
from tests.cluster.running import REPO, environ, run_argv
from tests.unit.archiving import config, manifest, packed, program_layer

AT = "127.0.0.1:5000"
QUIET = "127.0.0.1:5001"
"""Where somebody takes connections and says nothing."""
GUARDED = "127.0.0.1:5443"
"""Where the same images are given over TLS, to who is logged in."""
FLOODS = "127.0.0.1:5003"
"""Where a layer has no end."""
LOGIN = "whale:hush-hush"
HASH = "$2a$04$HUF3pwCv3Ph5OOgI9RXkwem5/n34gtvlzEydvk6wAXXM5DCVghmei"
"""What a registry keeps of that password."""
PULL = (
    "import sys; from harness.core.errors import HarnessError; from harness.host import app_images; "
    "w = app_images.wanted(sys.argv[1], '/s.yaml')\n"
    "try: print(app_images.ensure(w, lambda text: print(text, flush=True)).id)\n"
    "except HarnessError as error: sys.exit(str(error))"
)
"""Brings an image into the cache."""
LISTEN = "import socket; s = socket.create_server(('127.0.0.1', 5001), backlog=50); print('ready', flush=True); input()"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xdist_group("registry"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes namespaces"),
    pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo: run ./setup"),
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="needs docker-registry: run ./setup --tests"),
]


@dataclass
class Registry:
    """A registry with an image in it, and the way into its network."""

    name: str  # of the namespace, and of the only team that has images in it: the cache has none of an earlier test's
    folder: Path
    id: str  # of the image web:1, 64 hex digits

    def called(self, image: str, at: str = AT) -> str:
        """Return an image's name, as nodes call it."""
        return f"{at}/{self.name}/{image}"

    def inside(self, *argv: str) -> list[str]:
        """Return a command that is run inside."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *argv]

    def run(self, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.inside(*argv), capture_output=True, text=True, check=False, timeout=600, env=environ(**more), stdin=subprocess.DEVNULL
        )

    def push(self, archive: Path, name: str) -> None:
        """Put an image into the registry."""
        done = self.run("skopeo", "copy", "--dest-tls-verify=false", f"docker-archive:{archive}", f"docker://{self.called(name)}")
        assert done.returncode == 0, done.stderr


def archive(path: Path, program: Path, **more: Any) -> Path:
    """Write an archive with the program of fixtures/images/web, as anybody's Docker would save it."""
    body = program_layer("web", program.read_bytes())
    ports = {"ExposedPorts": {"80/tcp": {}}, "Entrypoint": ["/web"]}
    members = [("config.json", config([body], config=ports, **more)), ("one/layer.tar", body)]
    path.write_bytes(packed([*members, ("manifest.json", manifest(["one/layer.tar"], ["whales/web:1"]))]))
    return path


def certified(folder: Path) -> None:
    """Make a key, and a certificate for this machine that nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whales")])
    now = datetime.now(tz=UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / "key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


@pytest.fixture(scope="module")
def program() -> Path:
    """Return the program of the image web, compiled for nodes."""
    base = image.ensure(lambda _: None)
    return next(found for each in base.paths if (found := each / "usr/share/whalefall/images/web/web").is_file())


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Iterator[Registry]:
    """Lend a registry that has web:1, beside somebody who never answers."""
    folder = tmp_path_factory.mktemp("registry")
    name = f"wft-{secrets.token_hex(3)}"
    made = archive(folder / "web.tar", program)
    found = Registry(name, folder, archives.look(made).id)
    certified(folder)
    (folder / "users").write_text(f"{LOGIN.partition(':')[0]}:{HASH}\n")
    settings = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(folder / "data")}}}
    tls = {"certificate": str(folder / "ca.crt"), "key": str(folder / "key")}
    users = {"auth": {"htpasswd": {"realm": "whales", "path": str(folder / "users")}}}
    (folder / "open.yml").write_text(json.dumps({**settings, "http": {"addr": AT}}))
    (folder / "guarded.yml").write_text(json.dumps({**settings, **users, "http": {"addr": GUARDED, "tls": tls}}))
    subprocess.run(["ip", "netns", "add", name], check=True)
    begun: list[subprocess.Popen[str]] = []
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        with (folder / "log").open("w") as log:
            for kind in ("open", "guarded"):
                serving = found.inside("docker-registry", "serve", str(folder / f"{kind}.yml"))
                begun.append(subprocess.Popen(serving, stdout=log, stderr=log, stdin=subprocess.DEVNULL, text=True))
        quiet = subprocess.Popen(found.inside(sys.executable, "-c", LISTEN), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun.append(quiet)
        assert quiet.stdout is not None
        assert quiet.stdout.readline() == "ready\n"
        wait_until(
            lambda: all(
                "refused" not in found.run("skopeo", "list-tags", "--tls-verify=false", f"docker://{at}/x").stderr for at in (AT, GUARDED)
            ),
            awaited="the registries to answer",
            seconds=60.0,
            clock=SystemClock(),
        )
        found.push(made, "web:1")
        yield found
    finally:
        for kept in app_images.images():
            if name in kept.source:
                shelves.remove(kept.path.parent)
        for each in begun:
            each.kill()
            each.communicate()
        subprocess.run(["ip", "netns", "delete", name], check=False)


def scenario(folder: Path, first: str, *updates: str, mode: str = "fleet") -> Path:
    """Write a scenario whose app has an image, and perhaps others later; that nodes have the first is checked."""
    steps = "".join(f"  - {{do: app.update, with: {{app: web, image: '{update}'}}}}\n" for update in updates)
    path = folder / "images.yaml"
    path.write_text(
        "scenario: images\nwhy: An app whose image comes from elsewhere runs, and is back after its node was lost.\n"
        f"cluster: {{mode: {mode}, nodes: 3}}\napps:\n  - {{name: web, instances: 2, image: '{first}'}}\n"
        "workloads:\n  - http: {app: web, rate: 10/s, deadline: 2s}\n"
        f"steps:\n{steps}  - {{fault: node.kill, on: hosting(web) & any, hold: {{until: recovered, at most: 100s}}}}\n"
        f"checks:\n  - {{image: '{first.removeprefix('http://')}', exists: true}}\npromises:\n  - rescheduled: {{app: web}}\n  - conflicts\n"
    )
    return path


def test_an_app_runs_from_a_registry_that_its_nodes_do_not_reach_and_is_updated_from_a_file_and_a_folder(
    registry: Registry, program: Path, tmp_path: Path
) -> None:
    """Pulled once, loaded into every node before the app is deployed, and told with its digest; a machine that was off has it as well."""
    mode = random.choice(("fleet", "swarm"))  # noqa: S311 - what both share is tried, with the other one in another run
    later = archive(tmp_path / "later.tar", program, created="2026-01-01T00:00:00Z")
    asked = f"http://{registry.called('web:1')}"
    own = tmp_path / registry.name  # no earlier test's, in the cache
    own.mkdir()
    shutil.copyfile(program, own / "web")
    (own / "Dockerfile").write_text('FROM scratch\nCOPY web /own/web\nEXPOSE 80\nENTRYPOINT ["/own/web"]\n')
    path = scenario(tmp_path, asked, "./later.tar", f"./{own.name}", mode=mode)
    results = tmp_path / "results"
    done = registry.run(*run_argv(path, results, "--mode", mode))
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = [each for each in results.glob("*/environment.json") if not each.parent.is_symlink()]
    kept = json.loads(found.read_text())["app_images"]
    pulled, loaded = kept[asked], kept["./later.tar"]
    assert pulled["id"] == f"sha256:{registry.id}"
    assert pulled["digest"].startswith("sha256:")
    assert loaded["id"] == f"sha256:{archives.look(later).id}"
    assert loaded["name"].startswith("whalefall/web:")
    built = kept[f"./{own.name}"]
    assert built["name"].startswith(f"whalefall/{own.name}:")
    assert built["built of"].startswith("sha256:")
    planned = registry.run(sys.executable, "-m", "harness", "plan", str(path))
    assert pulled["digest"] in planned.stdout


def test_an_image_that_cannot_be_had_ends_a_run_before_anything_is_made_in_one_line(registry: Registry, tmp_path: Path) -> None:
    """No such tag, no TLS, nobody there, no such host: each with what to do, and with no folder of results."""
    for asked, said in {
        f"http://{registry.called('web:2')}": "has no such image",
        registry.called("web:1"): "speaks no TLS; if that is as it should be, the scenario must say so: http://",
        "127.0.0.1:5002/web:1": "is not reached, or hung up (connection refused)",
        "registry.example/web:1": "the host registry.example is not found",
    }.items():
        results = tmp_path / "results"
        done = registry.run(*run_argv(scenario(tmp_path, asked), results))
        told = done.stdout + done.stderr
        assert done.returncode == 4, told
        assert said in told
        assert "Traceback" not in told
        assert "level=fatal" not in told
        assert not results.exists()


def test_a_pull_that_is_killed_leaves_nothing_half_and_lets_go_of_the_lock(registry: Registry, tmp_path: Path) -> None:
    """The kernel ends skopeo with whoever waits for it, and the next run pulls."""
    cache = tmp_path / "cache"
    argv = registry.inside(sys.executable, "-c", PULL)
    with subprocess.Popen(
        [*argv, f"http://{QUIET}/web:1"], stdout=subprocess.PIPE, text=True, env=environ(WHALEFALL_CACHE=str(cache))
    ) as child:
        assert child.stdout is not None
        assert "asking" in child.stdout.readline()
        wait_until(lambda: _asking(cache), awaited="skopeo to wait for an answer", seconds=30.0, clock=SystemClock())
        child.send_signal(signal.SIGKILL)
    wait_until(lambda: not _asking(cache), awaited="skopeo to end", seconds=30.0, clock=SystemClock())
    done = registry.run(sys.executable, "-c", PULL, f"http://{registry.called('web:1')}", WHALEFALL_CACHE=str(cache))
    assert registry.id in done.stdout, done.stderr
    assert sorted(each.name for each in (cache / "app-images").iterdir() if each.name.startswith((".build", ".dead"))) == []


def test_whose_certificate_nobody_knows_is_not_trusted_and_who_is_not_logged_in_is_told_so(registry: Registry, tmp_path: Path) -> None:
    """The login is the user's own file, and nothing of it is in the cache, or said."""
    cache, login = tmp_path / "cache", tmp_path / "auth.json"
    login.write_text(json.dumps({"auths": {GUARDED: {"auth": base64.b64encode(LOGIN.encode()).decode()}}}))
    about = {"WHALEFALL_CACHE": str(cache), "REGISTRY_AUTH_FILE": str(tmp_path / "none")}
    known = {**about, "SSL_CERT_FILE": str(registry.folder / "ca.crt")}
    said = []
    for more in (about, known, {**known, "REGISTRY_AUTH_FILE": str(login)}):
        done = registry.run(sys.executable, "-c", PULL, registry.called("web:1", GUARDED), **more)
        said.append(done.stdout + done.stderr)
    strange, unknown, good = said
    assert f"the certificate of {GUARDED} is not to be trusted (x509: " in strange
    assert f"{GUARDED} does not give it to us" in unknown
    assert registry.id in good
    kept = b"".join(each.read_bytes() for each in cache.rglob("*") if each.is_file())
    secret = LOGIN.partition(":")[2]
    assert all(each.encode() not in kept and each not in "".join(said) for each in (secret, base64.b64encode(LOGIN.encode()).decode()))


def test_a_registry_that_never_ends_is_given_up_on(registry: Registry, tmp_path: Path) -> None:
    """One that says nothing after so many seconds; one that sends more than it said after so many bytes. Nothing of it is left."""
    cache = tmp_path / "cache"
    about = {"WHALEFALL_CACHE": str(cache)}
    hasty = f"from harness.host import pulling; pulling.ASK_SECONDS, pulling.MOST_ON_DISK = 2, 64 << 20; {PULL}"
    silent = registry.run(sys.executable, "-c", hasty, f"http://{QUIET}/web:1", **about)
    assert f"{QUIET} took too long" in silent.stderr
    argv = registry.inside(sys.executable, "-m", "tests.cluster.flooding", FLOODS.partition(":")[2])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environ(), cwd=REPO) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            flooded = registry.run(sys.executable, "-c", hasty.replace(" = 2,", " = 60,"), f"http://{FLOODS}/web:1", **about)
        finally:
            server.kill()
    assert "was not pulled: it takes more than 64 MiB on disk" in flooded.stderr
    assert [each.name for each in (cache / "app-images").iterdir() if each.is_dir()] == []


def _asking(cache: Path) -> bool:
    """Whether a skopeo is at work for this cache."""
    for each in Path("/proc").iterdir():
        with suppress(OSError):
            if each.name.isdigit() and (each / "comm").read_text() == "skopeo\n" and str(cache) in str((each / "fd" / "1").readlink()):
                return True
    return False


def test_what_a_registry_says_of_itself_is_not_believed(registry: Registry, program: Path, tmp_path: Path) -> None:
    """An image for other machines is refused by what is in it, whatever lists it."""
    strange = archive(tmp_path / "strange.tar", program, architecture="s390x")
    registry.push(strange, "strange:1")
    done = registry.run(*run_argv(scenario(tmp_path, f"http://{registry.called('strange:1')}"), tmp_path / "results"))
    assert done.returncode == 4
    assert "an image for linux/s390x; expected one for linux/" in done.stdout + done.stderr
