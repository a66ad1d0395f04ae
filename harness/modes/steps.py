"""What every mode does on nodes: the same thing on all of them at once, a script, an image, a first look at an instance, logs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import CommandFailed, Expired, Unreachable
from harness.web import Site, Trouble

if TYPE_CHECKING:
    from harness.clock import Deadline
    from harness.cluster import Cluster
    from harness.protocols import Node
    from harness.values import App

_IMAGE = (Path(__file__).parent / "image.sh").read_text(encoding="utf-8")
_CONTEXTS = "/usr/share/whalefall/images"  # on the node: a folder an image
_HTTP_SECONDS = 1.0  # an instance that takes longer to answer is not ready
_LOG_BYTES = 2_000_000

BOOT_SECONDS = 30.0
"""How long a node may take until its systemd takes orders."""
POLL_SECONDS = 0.05
"""How often a script looks for that, as the scripts have it."""
JOURNAL = ("journalctl", "--no-pager", "-q", "-o", "short-precise", "-n", "8000")
"""Reads a node's journal for `gather`: the last lines."""


def on_each(nodes: Sequence[Node], act: Callable[[Node], None], stop: threading.Event) -> dict[str, Expired]:
    """Do the same on all nodes at once. Returns the waits that expired, by node; raises the first error of another kind.

    Threads inherit the network that the caller is in. `stop` is set as soon as one node's work fails, so that no other waits in vain.
    """
    late: dict[str, Expired] = {}
    failed: list[Exception] = []

    def guarded(node: Node) -> None:
        try:
            act(node)
        except Expired as e:
            late[node.name] = e
        except Exception as e:  # noqa: BLE001 - raised below, in the caller's thread
            failed.append(e)
            stop.set()

    with ThreadPoolExecutor(max(1, len(nodes))) as pool:
        try:
            list(pool.map(guarded, nodes))
        except BaseException:
            stop.set()
            raise
    if failed:
        for other in failed[1:]:
            failed[0].add_note(f"also: {other}")
        raise failed[0]
    return dict(sorted(late.items()))


def script(node: Node, text: str, *arguments: str, deadline: Deadline) -> None:
    """Run a script of ours on a node. Raises `CommandFailed` for any exit status but 0."""
    result = node.run("sh", "-c", text, "sh", *arguments, timeout=max(1.0, deadline.left()))
    if not result.ok:
        # The script itself and whole files are no help in an error.
        shown = ["sh", "-c", text.splitlines()[0], *(each if "\n" not in each else "…" for each in arguments)]
        raise CommandFailed(node.name, shown, result.exit, (result.err or result.out).decode(errors="replace"))


def image(node: Node, app: App, deadline: Deadline) -> None:
    """Make sure that a node has an app's image: it is there, or is built from the node's own folder of images, or pulled. Raises `CommandFailed`."""
    script(node, _IMAGE, app.image, f"{_CONTEXTS}/{app.image.partition(':')[0]}", deadline=deadline)


def http_silence(cluster: Cluster, name: str, port: int) -> str:
    """Say why a port of a node gives no HTTP answer; empty when it gives one, whichever. Called inside `cluster.network()`."""
    address = next((node.address for node in cluster.nodes if node.name == name), None)
    if address is None:
        return "cannot be asked: no node of ours"
    site = Site(address, port)
    try:
        site.exchange("GET", "/", seconds=_HTTP_SECONDS)
    except Trouble as e:
        return f"gives no answer ({e.words})"
    finally:
        site.close()
    return ""


def gather(node: Node, commands: Mapping[str, tuple[str, ...]]) -> Mapping[str, bytes]:
    """Return what each command prints, by file name: its last 2 MB at most.

    Where one could not be had, its file says so and the others are kept. Raises `Unreachable` if none could be had because the node does not answer.
    """
    found: dict[str, bytes] = {}
    silent: list[Unreachable] = []

    def one(item: tuple[str, tuple[str, ...]]) -> None:
        name, argv = item
        try:
            # `timeout` ends the command on the node, too: a hung dockerd must not leave a client behind.
            result = node.run("timeout", "-k", "1", "10", *argv, timeout=15.0)
        except Unreachable as e:
            silent.append(e)
            found[name] = f"could not be had: {e}\n".encode()
            return
        trouble = b"" if result.ok else f"\nexit status {result.exit}: {' '.join(argv)}: ".encode() + result.err
        found[name] = result.out[-_LOG_BYTES:] + trouble

    with ThreadPoolExecutor(len(commands)) as pool:
        list(pool.map(one, commands.items()))
    if len(silent) == len(commands):
        raise silent[0]
    return dict(sorted(found.items()))
