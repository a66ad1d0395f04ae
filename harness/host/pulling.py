"""Images pulled from a registry with skopeo: what the registry has of a name is looked at first, and exactly that is pulled then.

A registry is somebody else's. So it gets no more time, memory or disk than an image may take, and what it says in the end is told in one line. Who is
logged in there is between the user and skopeo: it reads the user's own file of that (``containers/auth.json``, ``~/.docker/config.json``), and we do
not.
"""

from __future__ import annotations

import contextvars
import hashlib
import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.core.clock import SystemClock
from harness.core.errors import BadInput, CommandFailed, HarnessError
from harness.core.naming import shown
from harness.core.plain import in_line
from harness.core.threads import CertainThread
from harness.host import archives, shelves, surroundings, untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.core.values import Json
    from harness.host.building import BuildCommands
    from harness.host.origins import InRegistry

TOOL: Final = "skopeo"
REMEDY: Final = "apt-get install skopeo"
ASK_SECONDS: Final = 60
PULL_SECONDS: Final = 900
"""How long a registry may take to say what it has, and to give it: 1 GiB in 15 minutes is a megabyte a second."""
MOST_ON_DISK: Final = 3 * archives.MOST_BYTES
"""Bytes that skopeo may have on disk at once: layers as they come, and the archive that it makes of them."""
LOOK_SECONDS: Final = 0.25
"""How often that is looked at."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MESSAGE = re.compile(r'msg="((?:[^"\\]|\\.)*)"')
_SECRETS = re.compile(r"(?<=[?&])[^\s\"'&]+|(?<=://)[^\s/@\"']+@|(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]+")
_LONGEST = 300  # characters of what a registry said

_CAUSES: Final = (
    (
        r"lookup ([\w.-]+)(?: on \S+)?: ([^\"\n]+)",
        "the host {0} is not found ({1})",
        "is its name right, and does this machine reach a name server?",
    ),
    (
        r"server gave HTTP response to HTTPS client",
        "{host} speaks no TLS",
        "if that is as it should be, the scenario must say so: http://{host}/…",
    ),
    (
        r"(x509: [^\"\n]+|tls: [^\"\n]+)",
        "the certificate of {host} is not to be trusted ({0})",
        "the one of its authority belongs into /etc/docker/certs.d/{host}/ca.crt",
    ),
    (r"(toomanyrequests)", "{host} gives no more for now ({0})", "log in (skopeo login {host}), or try again later"),
    (r"(manifest unknown|name unknown|NAME_UNKNOWN|not found|404)", "{host} has no such image ({0})", "are name and tag right?"),
    (
        r"((?i:unauthorized|denied|authentication required|forbidden)|invalid username/password)",
        "{host} does not give it to us ({0})",
        "does it exist, and is whoever runs this logged in (skopeo login {host})?",
    ),
    (r"(context deadline exceeded|Client\.Timeout)", "{host} took too long ({0})", "try again, or look at the registry"),
    (
        r"(connection refused|no route to host|network is unreachable|i/o timeout|connection reset by peer|unexpected EOF|EOF)",
        "{host} is not reached, or hung up ({0})",
        "does it run there, and does this machine reach it?",
    ),
)
"""What skopeo says, the cause of it, and what to do. The first that fits counts."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What a registry has under a name, for machines like this one."""

    digest: str  # of what it has under that name, perhaps a list for several kinds of machines
    image: str  # of the one image


def pull(origin: InRegistry, work: Path, commands: BuildCommands) -> tuple[Path, str]:
    """Pull an image into a docker archive below `work`; return that, and the digest of what it was pulled by.

    Raises `HarnessError` with the cause in one line, after which what is below `work` is worth nothing.
    """
    commands.say(f"asking {origin.host} for {origin.repository}")
    offered = _offered(origin, work, commands)
    commands.say(f"pulling {origin.source} ({offered.digest[:19]}…)")
    target = work / "pulled.tar"
    with _bounded(origin, work, commands):
        argv = [
            "--tmpdir",
            str(work),
            "copy",
            f"--src-{_verified(origin)}",
            f"docker://{origin.pinned(offered.image)}",
            f"docker-archive:{target}",
        ]
        _run(origin, argv, PULL_SECONDS, commands)
    return target, offered.digest


def _verified(origin: InRegistry) -> str:
    """Return how skopeo is told whether a registry must show a certificate."""
    return f"tls-verify={'true' if origin.tls else 'false'}"


def _offered(origin: InRegistry, work: Path, commands: BuildCommands) -> Offered:
    """Ask a registry what it has under a name. Raises `HarnessError` for what could not be used, before any of it is pulled."""
    raw, body = _manifest(origin, origin.asked, work, commands)
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    if origin.digest and digest != origin.digest:
        raise _no(origin, f"{origin.host} has something else under that digest: {digest}")
    image, listed = digest, body.get("manifests")
    if isinstance(listed, list):
        image = _for_us(origin, listed)
        raw, body = _manifest(origin, origin.pinned(image), work, commands)
        if f"sha256:{hashlib.sha256(raw).hexdigest()}" != image:
            raise _no(origin, f"{origin.host} has something else under the digest {image}, which it named")
    layers = body.get("layers")
    if not isinstance(layers, list):
        hint = " (it has the form of before 2017)" if body.get("schemaVersion") == 1 else ""
        raise _no(origin, f"what {origin.host} has is no image with layers{hint}")
    sizes = [size for each in layers if isinstance(each, dict) and isinstance(size := each.get("size"), int)]
    if len(sizes) != len(layers) or sum(sizes) > archives.MOST_BYTES or min(sizes, default=0) < 0:
        raise _no(origin, f"it has {sum(sizes) >> 20} MiB", f"{archives.MOST_BYTES >> 20} MiB at most: it is loaded into every node")
    return Offered(digest, image)


def _for_us(origin: InRegistry, listed: Sequence[Json]) -> str:
    """Return the digest of the image that is for machines like this one. Raises `HarnessError`."""
    others = []
    for each in listed:
        of = each.get("platform") if isinstance(each, dict) else None
        digest = each.get("digest") if isinstance(each, dict) else None
        if not isinstance(of, dict) or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            continue
        machine = f"{of.get('os')}/{of.get('architecture')}"
        if machine == f"linux/{archives.architecture()}":
            return digest
        others.append(machine)
    there = ", ".join(dict.fromkeys(others[:20])) or "none"
    raise _no(origin, f"it has no image for linux/{archives.architecture()}", f"there is one for: {shown(there)}")


def _manifest(origin: InRegistry, asked: str, work: Path, commands: BuildCommands) -> tuple[bytes, dict[str, Json]]:
    out = work / "manifest"
    _run(origin, ["inspect", "--raw", f"--{_verified(origin)}", f"docker://{asked}"], ASK_SECONDS, commands, out=out)
    try:
        raw = untrusted.named(out, archives.MOST_TEXT, "a manifest")
        body = untrusted.loads(raw)
    except BadInput as error:
        raise _no(origin, f"what {origin.host} says of it is {error.problems[0].found}") from error
    except (ValueError, RecursionError) as error:
        raise _no(origin, f"what {origin.host} says of it is not JSON ({error})") from error
    if not isinstance(body, dict):
        raise _no(origin, f"what {origin.host} says of it is no manifest")
    return raw, body


def _run(origin: InRegistry, argv: Sequence[str], seconds: int, commands: BuildCommands, *, out: Path | None = None) -> None:
    """Run skopeo; what it prints goes into `out`. Raises `HarnessError` with the cause."""
    whole = [TOOL, "--command-timeout", f"{seconds}s", *argv]
    into = ["sh", "-c", 'exec "$@" >"$0"', str(out)] if out is not None else []
    try:
        commands.run([*into, *whole])
    except CommandFailed as error:
        raise explained(origin, error.err) from error


def explained(origin: InRegistry, said: str) -> HarnessError:
    """Turn what skopeo said at its end into one line."""
    last = [each for each in _MESSAGE.findall(said) if each] or [line for line in said.splitlines() if line.strip()]
    words = in_line(_SECRETS.sub("***", last[-1].replace('\\"', '"'))) if last else "it said nothing"
    for pattern, cause, remedy in _CAUSES:
        found = re.search(pattern, words)
        if found:
            named = [each[:_LONGEST] for each in found.groups()]
            return _no(origin, cause.format(*named, host=origin.host), remedy.format(host=origin.host))
    return _no(origin, words if len(words) <= _LONGEST else f"… {words[-_LONGEST:]}")


def _no(origin: InRegistry, why: str, remedy: str = "") -> HarnessError:
    return HarnessError(f"the image {origin.source} was not pulled: {why}" + (f"; {remedy}" if remedy else ""))


@contextmanager
def _bounded(origin: InRegistry, work: Path, commands: BuildCommands) -> Iterator[None]:
    """End what goes on inside where it fills the disk: whatever a registry said of sizes, it may send something else."""
    ended, over = threading.Event(), threading.Event()

    def watch() -> None:
        with suppress(HarnessError):  # the run ends: whoever waits for skopeo hears that, too
            while not SystemClock().wait(ended, LOOK_SECONDS):
                with suppress(OSError):  # a file went as it was looked at
                    if shelves.size(work) > MOST_ON_DISK:
                        over.set()
                        commands.abort()
                        return

    thread = CertainThread(target=contextvars.copy_context().run, args=(watch,), name="pull-watch")
    thread.start()
    try:
        yield
    except HarnessError as error:
        if over.is_set():
            raise _no(origin, f"it takes more than {MOST_ON_DISK >> 20} MiB on disk") from error
        raise
    finally:
        ended.set()
        thread.join()


def missing() -> str:
    """Say that skopeo is not here, and what to do; empty where it is."""
    return "" if surroundings.which(TOOL) else f"it needs {TOOL}, which is not on PATH: {REMEDY}, or run ./setup"
