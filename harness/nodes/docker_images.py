"""Images that are loaded into a node's Docker over the management path: nodes need no registry, and no way to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core import pace, stops
from harness.core.clock import Deadline
from harness.core.errors import Expired, HarnessError, Unreachable, Unsupported, gist, in_words
from harness.core.protocols import DockerAccess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from harness.core.clock import Clock
    from harness.core.protocols import Node

LOAD_SECONDS = 60.0
"""How long an image may take to be loaded, and a second more for each `A_SECOND` bytes of it."""
A_SECOND = 2 << 20
SILENT_SECONDS = 60.0
"""How long a daemon may say nothing meanwhile: it tells of each layer as it takes it."""
_MOST_SAID = 100_000  # lines
_PIECE = 1 << 20


def load(node: Node, path: Path, name: str, image_id: str, clock: Clock) -> None:
    """Have an image in a node's Docker under a name, from a docker archive here; where it is there already nothing is done.

    Raises `Unreachable`, `Unsupported` for a node without a way to its Docker, and `HarnessError` where the daemon does not take the image.
    """
    import docker  # noqa: PLC0415 - see `harness.nodes.namespaced`
    from requests import RequestException  # noqa: PLC0415 - same
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - same

    if not isinstance(node, DockerAccess):
        raise Unsupported(f"{node.name} offers no way to its Docker daemon, which the image {name} was to be loaded by")
    deadline = Deadline(clock, pace.limit(LOAD_SECONDS) + path.stat().st_size / A_SECOND)
    client = node.docker(timeout=pace.limit(SILENT_SECONDS))
    try:
        if _has(client, name) == image_id:
            return
        said = _loaded(client, path, name, deadline)
        found = _has(client, name)
    except (docker.errors.DockerException, RequestException, HTTPError, OSError, ValueError) as error:
        raise Unreachable(node.name, f"its Docker daemon to load {name}", in_words(error)) from error
    finally:
        client.close()
    if found != image_id:
        raise HarnessError(f"{node.name}: Docker did not load the image {name}: {gist(said) or 'it says nothing'}")


def _has(client: docker.DockerClient, name: str) -> str:
    """Return the id of the image that a daemon has under a name; empty where it has none."""
    import docker  # noqa: PLC0415 - see `load`

    api: Any = client.api
    try:
        return str(api.inspect_image(name)["Id"]).removeprefix("sha256:")
    except docker.errors.ImageNotFound:
        return ""


def _loaded(client: docker.DockerClient, path: Path, name: str, deadline: Deadline) -> str:
    """Hand an archive to a daemon, and return the last of what it said. Raises `Expired`."""
    api: Any = client.api
    last = ""
    for number, each in enumerate(api.load_image(_pieces(path, name, deadline))):
        if deadline.expired or number > _MOST_SAID:
            raise Expired(f"Docker to load {name}", deadline.seconds, last)
        stops.go_on()
        told = each.get("error") or each.get("stream") if isinstance(each, dict) else None
        last = str(told).strip() if told else last
    return last


def _pieces(path: Path, name: str, deadline: Deadline) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            stops.go_on()
            if deadline.expired:
                raise Expired(f"Docker to take {name}", deadline.seconds, "it still takes it")
            yield piece
