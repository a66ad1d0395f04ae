"""Images that a node's Docker loads, or builds, of what it is handed over the management path: nodes need no registry, and no way to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core import pace, stops
from harness.core.clock import Deadline
from harness.core.errors import Expired, HarnessError, Unreachable, Unsupported, gist, in_words
from harness.core.protocols import DockerAccess
from harness.host import untrusted
from harness.web import BY_WHAT_WAS_SENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import docker

    from harness.core.clock import Clock
    from harness.core.protocols import Node

LOAD_SECONDS = 60.0
"""How long an image may take to be loaded, and a second more for each `A_SECOND` bytes of it."""
A_SECOND = 2 << 20
SILENT_SECONDS = 60.0
"""How long a daemon may say nothing meanwhile: it tells of each layer as it takes it."""
BUILD_SECONDS = 180.0
"""How long one may take to be built, beside that: a step for each line of its Dockerfile, seconds each on an emulated machine."""
_KEPT = 1 << 16  # bytes: the end of what a daemon said is what counts
_PIECE = 1 << 20
_NONE = "No such image"


def load(node: Node, path: Path, name: str, image_id: str, clock: Clock) -> None:
    """Have an image in a node's Docker under a name, from a docker archive here; where it is there already nothing is done.

    Raises `Unreachable`, `Unsupported` for a node without a way to its Docker, and `HarnessError` where the daemon does not take the image.
    """
    _have(node, path, name, clock, _Way("load", "images/load", {}, pace.limit(LOAD_SECONDS), lambda there: there == image_id))


def build(node: Node, path: Path, name: str, clock: Clock) -> None:
    """Have an image in a node's Docker that it builds of an archive here, with a Dockerfile and what that copies.

    Where it has one of that name already nothing is done: the name must say what it is made of. Raises as `load`.
    """
    asked = {"t": name, "rm": "1", "forcerm": "1"}
    _have(node, path, name, clock, _Way("build", "build", asked, pace.limit(LOAD_SECONDS + BUILD_SECONDS), bool))


@dataclass(frozen=True, slots=True)
class _Way:
    """How a daemon makes an image of an archive."""

    what: str  # it does, as messages say it
    path: str  # of its API
    asked: Mapping[str, str]
    seconds: float  # beside those for its bytes
    done: Callable[[str], bool]  # whether an image with this id is it; empty where there is none


def _have(node: Node, path: Path, name: str, clock: Clock, way: _Way) -> None:
    """Have an image in a node's Docker, in one way. Raises as `load`."""
    import docker  # noqa: PLC0415 - see `harness.nodes.namespaced`
    from requests import RequestException  # noqa: PLC0415 - same
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - same

    if not isinstance(node, DockerAccess):
        raise Unsupported(f"{node.name} offers no way to its Docker daemon, which was to {way.what} the image {name}")
    if way.done(_has(node, name)):
        return
    try:
        size = path.stat().st_size
    except OSError as error:
        raise HarnessError(f"{node.name} cannot {way.what} the image {name}: {path}: {error.strerror}; run it again") from error
    deadline = Deadline(clock, way.seconds + size / A_SECOND)
    client = node.docker(timeout=pace.limit(SILENT_SECONDS))
    try:
        said = _handed(client, path, name, deadline, way)
    except (docker.errors.DockerException, RequestException, HTTPError, OSError, *BY_WHAT_WAS_SENT) as error:
        raise Unreachable(node.name, f"its Docker daemon to {way.what} {name}", in_words(error)) from error
    finally:
        client.close()
    if not way.done(_has(node, name)):
        raise HarnessError(f"{node.name}: Docker did not {way.what} the image {name}: {gist(said) or 'it says nothing'}")


def _has(node: Node, name: str) -> str:
    """Return the id of the image that a node has under a name; empty where it has none. Raises `HarnessError` where nobody can tell."""
    found = node.run("docker", "image", "inspect", "--format", "{{.Id}}", "--", name, timeout=pace.limit(SILENT_SECONDS))
    if found.ok:
        return found.text.strip().removeprefix("sha256:")
    said = found.err.decode(errors="replace")
    if _NONE not in said:
        raise HarnessError(f"{node.name}: Docker does not say whether it has the image {name}: {gist(said) or f'status {found.exit}'}")
    return ""


def _handed(client: docker.DockerClient, path: Path, name: str, deadline: Deadline, way: _Way) -> str:
    """Hand an archive to a daemon, and return the last of what it said. Raises `Expired`."""
    api = client.api
    # Not the SDK's own `load_image` and `build`, whose answers may be of any length; and the latter reads the user's configuration.
    with api.post(
        f"{api.base_url}/v{api.api_version}/{way.path}",
        params=way.asked,
        data=_pieces(path, name, deadline),
        headers={"Content-Type": "application/x-tar"},
        timeout=pace.limit(SILENT_SECONDS),
        stream=True,
    ) as answer:
        end = b""
        while piece := answer.raw.read1(_KEPT, decode_content=False):
            stops.go_on()
            if deadline.expired:
                raise Expired(f"Docker to {way.what} {name}", deadline.seconds, _last(end))
            end = (end + piece)[-_KEPT:]
    return _last(end)


def _last(said: bytes) -> str:
    """Return the last that a daemon said, in its own words: an error, or what it has done."""
    for line in reversed(said.splitlines()):
        try:
            told = untrusted.loads(line)
        except (ValueError, RecursionError):
            continue
        words = [told.get(each) for each in ("error", "message", "stream")] if isinstance(told, dict) else []
        if found := next((each for each in words if isinstance(each, str) and each.strip()), ""):
            return found.strip()
    return ""


def _pieces(path: Path, name: str, deadline: Deadline) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            stops.go_on()
            if deadline.expired:
                raise Expired(f"Docker to take {name}", deadline.seconds, "it still takes it")
            yield piece
