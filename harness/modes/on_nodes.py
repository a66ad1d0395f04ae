"""What every mode does on nodes: the same thing on all of them at once, a script, an image, the wait until an app serves, logs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from harness.core import pace, stops
from harness.core.clock import Deadline, wait_until
from harness.core.errors import CommandFailed, Expired, HarnessError, NoGoodAnswer, Unreachable, Unsupported, brief, gist
from harness.core.traits import daemon
from harness.core.values import View
from harness.host import untrusted
from harness.nodes.programs import RUN_SECONDS
from harness.web import Site, WebTrouble

T = TypeVar("T")

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Node
    from harness.core.values import App, ContainerLimits, Placement

_IMAGE = (Path(__file__).parent / "image.sh").read_text(encoding="utf-8")
_SYSTEMD = (Path(__file__).parent / "systemd.sh").read_text(encoding="utf-8")
_CONTEXTS = "/usr/share/whalefall/images"  # on the node: a folder an image
_NOT_PULLED = 3  # how the script ends where a registry did not give the image
_HTTP_SECONDS = 1.0  # an instance that takes longer to answer is not ready
_LOG_BYTES = 2_000_000
_DOCKER_SECONDS = 20.0  # for one command of its client
_FEW, _MANY = 3, 5  # who votes

RUNTIME_UNITS: Mapping[str, str] = {"dockerd": "docker.service", "containerd": "containerd.service"}
"""The daemons that run containers on every node, with their systemd units."""
BOOT_SECONDS = 30.0
"""How long a node may take until its systemd takes orders."""
REST = 4.0
"""How many times as long as an answer took an API is left alone before it is asked again. Each ask of fleet's is several quorum reads of etcd's."""
POLL_SECONDS = 0.05
"""How often a script looks for that, as `systemd.sh` has it."""
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

    try:
        stops.spread(nodes, guarded, "on-each")
    except BaseException:
        stop.set()
        raise
    if failed:
        for other in failed[1:]:
            failed[0].add_note(f"also: {other}")
        raise failed[0]
    return dict(sorted(late.items()))


def at_first(nodes: Sequence[Node], ask: Callable[[Node], T], who: str, what: str) -> T:
    """Return the answer of the first node that gives one. Raises `Unreachable`, of `who` and `what`, with every node's words where none does."""
    silent = []
    for node in nodes:
        try:
            return ask(node)
        except Unreachable as e:
            silent.append(f"{node.name}: {e.saw}")
    raise Unreachable(who, what, "; ".join(silent) or "there is no node to ask")


def script(node: Node, text: str, *arguments: str, deadline: Deadline, stdin: bytes = b"") -> None:
    """Run a script of ours on a node. Raises `CommandFailed` for any exit status but 0."""
    result = node.run("sh", "-c", text, "sh", *arguments, timeout=max(1.0, deadline.left()), stdin=stdin)
    if not result.ok:
        # The script itself and whole files are no help in an error.
        shown = ["sh", "-c", "…", *(each if "\n" not in each else "…" for each in arguments)]
        raise CommandFailed(node.name, shown, result.exit, (result.err or result.out).decode(errors="replace"))


def forming(node: Node, text: str, *arguments: str, deadline: Deadline, stdin: bytes = b"") -> None:
    """Run a script that forms a node, which may still be booting: `await_systemd` in it waits until systemd takes orders. Raises as `script`."""
    polls = str(int(pace.limit(BOOT_SECONDS) / POLL_SECONDS))
    script(node, f"{_SYSTEMD}\n{text}", polls, *arguments, deadline=deadline, stdin=stdin)


def docker_answers(cluster: Cluster, node: Node, deadline: Deadline, stop: threading.Event) -> None:
    """Wait until the Docker daemon of one node answers."""
    last = "not asked yet"

    def answers() -> bool:
        nonlocal last
        # systemd holds the socket from early on, so this mostly waits inside the one call until the daemon is up.
        seconds = max(1.0, deadline.left())
        result = node.run("timeout", f"{seconds:.0f}", "docker", "version", "--format", "{{.Server.Version}}", timeout=seconds + 1.0)
        last = (result.err or result.out).decode(errors="replace").strip()
        return result.ok

    wait_until(
        answers,
        awaited="docker to answer",
        seconds=deadline.left(),
        clock=cluster.clock,
        stop=stop,
        saw=lambda: last,
    )


def unit_among(units: Mapping[str, str], process: str) -> str | None:
    """Return the systemd unit behind a process, also by the other name that traits have for it (``docker``); None where there is none."""
    return next((unit for name, unit in units.items() if process in {name, *daemon(name, in_place=False).parts}), None)


def image(node: Node, app: App, deadline: Deadline) -> None:
    """Make sure that a node has an app's image, and the folders that it has as volumes.

    The image is there, or is built from the node's own folder of images, or pulled.

    Raises `Unreachable`, `Unsupported` where Docker would not keep the app's limits there, or `HarnessError` that names the image and says what
    Docker said.
    """
    if folders := [each.source for each in app.volumes if each.of_node]:
        script(node, 'mkdir -p -- "$@"', *folders, deadline=deadline)
    if app.limits is not None and (lacks := _unlimited(node, app.limits, deadline)):
        raise Unsupported(
            f"{node.name}: Docker cannot limit {' and '.join(lacks)} there, as {app.name} asks for: its kernel gives it no such control groups; "
            "run it on a host that has version 2 alone, or on virtual machines (--provider vagrant)"
        )
    folder = f"{_CONTEXTS}/{app.image.partition(':')[0]}"
    try:
        script(node, _IMAGE, app.image, folder, deadline=deadline)
    except CommandFailed as e:
        said = gist(" ".join(e.err.split())) or f"exit status {e.status}"
        what = f"{node.name}: the image {app.image!r} of {app.name} is not there, and could not be"
        if e.status == _NOT_PULLED:
            raise HarnessError(f"{what} pulled: {said}; is its name right, and can the nodes reach its registry?") from e
        raise HarnessError(f"{what} built from {folder} on the node: {said}; is its Dockerfile right?") from e


def _unlimited(node: Node, limits: ContainerLimits, deadline: Deadline) -> list[str]:
    """Return which of these limits a node's Docker would not keep: it starts a container all the same, and only warns. Raises `HarnessError`."""
    done = node.run("docker", "info", "--format", "{{json .}}", timeout=max(1.0, deadline.left()))
    try:
        found = untrusted.loads(done.out)
    except ValueError:
        found = None
    if not done.ok or not isinstance(found, dict):
        raise Unreachable(node.name, "docker info", (done.err or done.out).decode(errors="replace")[:200])
    weightless = "weight support" in str(found.get("Warnings"))
    able = {"pids": found.get("PidsLimit"), "cpu": found.get("CpuCfsQuota"), "memory": found.get("MemoryLimit"), "io": not weightless}
    return [name for name in limits.given if able[name] is not True]


def docker(node: Node, *argv: str) -> str:
    """Return what a node's own Docker says to a command of its client. Raises `HarnessError` where it refuses, or does not answer in time."""
    # `timeout` ends the client on the node, too, where the daemon hangs.
    result = node.run("timeout", f"{_DOCKER_SECONDS:g}", "docker", *argv, timeout=pace.limit(RUN_SECONDS))
    if not result.ok:
        raise CommandFailed(node.name, ("docker", *argv), result.exit, result.err.decode(errors="replace"), "does Docker answer there?")
    return result.text


def lacks_image(node: Node, image: str) -> bool:
    """Whether a node surely has no such image: one that was there, and could not be asked for, must not be removed in the end."""
    result = node.run("docker", "image", "inspect", "--", image)
    if not result.ok and b"no such image" not in result.err.lower():
        raise CommandFailed(node.name, result.argv, result.exit, result.err.decode(errors="replace"), "is its dockerd well?")
    return not result.ok


class Values(Protocol):
    """What a run's workloads wrote into a quorum, through one member."""

    def clear(self) -> None:
        """Remove all of it; that there is nothing is fine. Raises `NotDone` or `InDoubt`."""

    def close(self) -> None:
        """Let go of the connection."""


def clear_values(members: Sequence[Node], values: Callable[[Node], Values], who: str) -> None:
    """Remove what was written into a quorum, of `who`, through the first member that does it. Raises `Unreachable` where none does."""

    def one(node: Node) -> None:
        store = values(node)
        try:
            store.clear()
        except NoGoodAnswer as error:
            raise Unreachable(node.name, "what was written there", str(error)) from error
        finally:
            store.close()

    at_first(members, one, who, "what the run wrote, at every member")


def image_where_it_can_be(cluster: Cluster, app: App, seconds: float) -> None:
    """Make sure that the nodes have an app's image, all but those that give no answer: what comes there later finds it missing, and says so.

    Where the app has it already nobody is asked: a Docker that hangs would only keep the others waiting. Raises `HarnessError` where a node cannot
    have it, or where none answers.
    """
    if any((each.name, each.image) == (app.name, app.image) for each in cluster.apps):
        return
    deadline = Deadline(cluster.clock, seconds)
    silent: list[Unreachable] = []

    def one(node: Node) -> None:
        try:
            image(node, app, deadline)
        except Unreachable as error:
            silent.append(error)

    on_each(cluster.nodes, one, threading.Event())
    if len(silent) == len(cluster.nodes):
        raise HarnessError(f"the image {app.image} can be had on no node: {'; '.join(str(each) for each in silent)}")


def voters(nodes: Sequence[T]) -> Sequence[T]:
    """Return the nodes that are to make up a quorum: three, or five as soon as there are five nodes; fewer than three nodes have one.

    Always an odd number, so that none is there in vain.
    """
    if len(nodes) < _FEW:
        return nodes[:1]
    return nodes[: _MANY if len(nodes) >= _MANY else _FEW]


def until_serving(
    cluster: Cluster,
    app: App,
    deadline: Deadline,
    *,
    look: Callable[[], View | str],
    port: Callable[[Placement, str], int | None],
    nothing: str,
    why: Callable[[View | None], str],
) -> None:
    """Wait until every instance that can have a home is running by the API and answers HTTP. Called inside `cluster.network()`.

    Those are all of them, or one a node with `App.conflicts` (of one node, where it is pinned). `look` asks the API, and says why where it got no
    view; `port` gives the port of a placement on the node of that name, 0 where it is not known yet, None where it need not answer; `nothing` says
    that the API lists none of them.

    Raises `Expired`, with all of the deadline's seconds, what was seen last, and `why` of the last view there was, as it stands.
    """
    homes = len(cluster.nodes) if app.pin is None else 1
    wanted = min(app.instances, homes) if app.conflicts else app.instances
    view: View | None = None
    last = "not asked yet"

    def serve() -> bool:
        nonlocal view, last
        seen = look()
        if not isinstance(seen, View):
            last = seen
            return False
        view = seen
        serving, told = who_serves(cluster, app.names, view, port)
        last = told or nothing
        return len(serving) >= wanted

    try:
        wait_until(
            serve,
            awaited=f"{wanted} of {app.instances} instances of {app.name} to run and to answer HTTP",
            seconds=deadline.left(),
            clock=cluster.clock,
            rest=REST,
            saw=lambda: last,
        )
    except Expired as e:
        raise Expired(e.awaited, deadline.seconds, f"{e.saw}{why(view)}") from e


def asked_port(app: App, instance: str) -> int | None:
    """Return the port on which an instance must answer HTTP before it counts as started; None for one of its user's own: it may speak no HTTP."""
    return app.port_of(instance) if app.native is None else None


def who_serves(cluster: Cluster, names: Collection[str], view: View, port: Callable[[Placement, str], int | None]) -> tuple[set[str], str]:
    """Return which of some instances run by the API and answer HTTP, and what is so of all of them in words. Called inside `cluster.network()`."""
    told = []
    serving = set()
    for each in view.placements:
        if each.instance not in names:
            continue
        trouble = "without a home" if each.node is None else f"{each.state} on {each.node}"
        if each.running and each.node is not None:
            at = port(each, each.node)
            silence = "" if at is None else http_silence(cluster, each.node, at) if at else "is not told yet"
            if not silence:
                serving.add(each.instance)
            trouble += "" if at is None else f", port {at} {silence or 'answers'}"
        told.append(f"{each.instance} {trouble}")
    return serving, "; ".join(told)


def http_silence(cluster: Cluster, name: str, port: int) -> str:
    """Say why a port of a node gives no HTTP answer; empty when it gives one, whichever. Called inside `cluster.network()`."""
    address = next((node.address for node in cluster.nodes if node.name == name), None)
    if address is None:
        return "cannot be asked: no node of ours"
    site = Site(address, port)
    try:
        site.exchange("GET", "/", seconds=pace.limit(_HTTP_SECONDS), most=None)
    except WebTrouble as e:
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
            result = node.run("timeout", "-k", "1", f"{pace.limit(10.0):.0f}", *argv, timeout=pace.limit(15.0))
        except Unreachable as e:
            silent.append(e)
            found[name] = f"could not be had: {e}\n".encode()
            return
        trouble = b"" if result.ok else f"\nexit status {result.exit}: {brief(argv)}: ".encode() + result.err
        found[name] = result.out[-_LOG_BYTES:] + trouble

    stops.spread(list(commands.items()), one, "gather")
    if len(silent) == len(commands):
        raise silent[0]
    return dict(sorted(found.items()))
