"""The fleet mode: fleetd on every node, over an etcd of three or five members.

`Fleet.form` and `Fleet.deploy` work through `Node.run` and the HTTP API of fleet alone, so any nodes will do that carry what the node image carries:
fleetd with its units, etcd, docker.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from harness.clock import Deadline, wait_until
from harness.errors import CommandFailed, Expired, HarnessError, Unreachable
from harness.modes.etcd import Etcd, EtcdError
from harness.modes.fleet import timers as timing
from harness.modes.fleet import units
from harness.modes.fleet.api import PORT, Api, State, Unit
from harness.values import Placement, View
from harness.web import Site, Trouble

if TYPE_CHECKING:
    from harness.cluster import Cluster
    from harness.protocols import Node
    from harness.values import App, Budget

_FORM = (Path(__file__).parent / "form.sh").read_text(encoding="utf-8")
_IMAGE = (Path(__file__).parent / "image.sh").read_text(encoding="utf-8")
_CONTEXTS = "/usr/share/whalefall/images"  # on the node: a folder an image
_CLIENT, _PEER = 2379, 2380  # etcd's ports
_FEW, _MANY = 3, 5  # etcd members: five as soon as there are five nodes
_BOOT = 30.0  # seconds that a node may take until its systemd takes orders
_STATUS_SECONDS = 2.0  # a member that takes longer for its own status is as good as silent
_HTTP_SECONDS = 1.0  # an instance that takes longer to answer is not ready
_POLL = 0.05  # seconds, as in form.sh
_UNITS = {
    "etcd": "etcd.service",
    "fleet": "fleet.service",
    "fleetd": "fleet.service",
    "docker": "docker.service",
    "dockerd": "docker.service",
    "containerd": "containerd.service",
}


class Fleet:
    """fleet, with etcd beneath it. Safe to use from several threads."""

    name: ClassVar[str] = "fleet"

    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {name: dataclasses.asdict(each) for name, each in timing.PROFILES.items()}
    """Profiles of timers by name: ``default`` is upstream's, ``fast`` is for CI. Seconds."""

    def __init__(
        self, timers: timing.Timers | None = None, *, port: int = PORT, form_seconds: float = 90.0, deploy_seconds: float = 180.0
    ) -> None:
        self._timers = timers or timing.Timers()
        self._port = port
        self._form_seconds = form_seconds
        self._deploy_seconds = deploy_seconds
        self._lock = threading.Lock()
        self._names: dict[str, dict[int, str]] = {}  # run id → etcd member id → node
        self._clients = _Clients()

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Self:
        """Return the mode with a profile's timers, single ones replaced (seconds). Raises `BadInput` for what fleet or etcd would not take."""
        return cls(timing.timers(profile, overrides))

    @property
    def timers(self) -> Mapping[str, float]:
        """The timers in use, by name, in seconds."""
        return dataclasses.asdict(self._timers)

    # -- Mode

    def form(self, cluster: Cluster) -> None:
        """Make a fleet cluster of created nodes.

        Returns when fleet's API lists every node, asked at each of them, and Docker answers on each. Raises `CommandFailed` where a node lacks
        something, and `Expired` with what was last seen of each node that was not ready in time.
        """
        deadline = Deadline(cluster.clock, self._form_seconds)
        everyone = {node.name for node in cluster.nodes}
        stop = threading.Event()

        def one(node: Node) -> None:
            self._configure(cluster, node, deadline)
            _docker_answers(cluster, node, deadline, stop)
            self._lists(cluster, node, everyone, deadline, stop)

        with cluster.network():
            late = _on_each(cluster.nodes, one, stop)
        if late:
            names = ", ".join(late)
            told = "\n".join(f"{name}: {error.awaited}: {error.saw}\n{self._diagnosis(cluster.node(name))}" for name, error in late.items())
            raise Expired(f"fleet to form; not ready: {names}", self._form_seconds, told)

    def deploy(self, cluster: Cluster, app: App) -> None:
        """Start an app.

        Returns when every instance that can have a home is running by the API and answers HTTP: all of them, or one a node with `App.conflicts`
        (of one node, where it is pinned). Raises `Expired` with the last view, and what the units said.
        """
        files = units.render(app)
        deadline = Deadline(cluster.clock, self._deploy_seconds)
        stop = threading.Event()

        def image(node: Node) -> None:
            _run(node, _IMAGE, app.image, f"{_CONTEXTS}/{app.image.partition(':')[0]}", deadline=deadline)

        with cluster.network():
            _on_each(cluster.nodes, image, stop)
            for file in files:
                self._launch(cluster, file, deadline)
            homes = len(cluster.nodes) if app.pin is None else 1
            wanted = min(app.instances, homes) if app.conflicts else app.instances
            seen = _Seen()
            try:
                wait_until(
                    lambda: self._serving(cluster, app, seen) >= wanted,
                    awaited=f"{wanted} of {app.instances} instances of {app.name} to run and to answer HTTP",
                    seconds=deadline.left(),
                    clock=cluster.clock,
                    saw=lambda: seen.text,
                )
            except Expired as e:
                raise Expired(e.awaited, self._deploy_seconds, f"{e.saw}\n{_unit_logs(cluster, app, seen.view)}") from e

    def view(self, cluster: Cluster, node: Node) -> View:
        """Ask fleet's API at this node. Raises `Unreachable` where it gives no good answer. Called inside `cluster.network()`.

        A placement is a row of unit state (what a machine's systemd said, at most a TTL ago: a dead machine's rows stay until then), or a unit
        that the schedule put on a machine that has not said anything, or a unit without a home. The three lists are asked one after the other,
        so a unit that moves meanwhile may stand in both places, or in neither.
        """
        api = self._api(cluster, node)
        names = {each.address: each.name for each in cluster.nodes}
        machines = {each.id: names.get(each.address) or each.metadata.get("name") or each.id for each in api.machines()}
        rows = api.units(), api.states()
        return View(tuple(sorted(machines.values())), _placements(machines, *rows))

    def budget(self, fault: str) -> Budget:
        """How long recovery from a fault may take, from fleet's and etcd's own timers. No terms where fleet promises nothing."""
        return timing.budget(self._timers, fault)

    # -- Quorum

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        """Names of the nodes that are etcd members, sorted: three, or five where there are five nodes or more; fewer than three nodes have one."""
        return tuple(sorted(node.name for node in _members(cluster.nodes)))

    def status(self, cluster: Cluster, node: Node) -> tuple[int, str | None]:
        """Return an etcd member's own (term, name of the leader it follows). Raises `Unreachable`. Called inside `cluster.network()`."""
        etcd = self._clients.client(cluster.run_id, node.address)
        try:
            status = etcd.status()
            if not status.leader_id:
                return status.term, None
            with self._lock:
                known = self._names.get(cluster.run_id, {})
            if status.leader_id not in known:
                known = dict(etcd.members())
                with self._lock:
                    self._names[cluster.run_id] = known
        except EtcdError as e:
            raise Unreachable(node.name, "etcd's status", str(e)) from e
        return status.term, known.get(status.leader_id)

    # -- Services

    def unit(self, process: str) -> str | None:
        """Return the systemd unit behind ``etcd``, ``fleetd``, ``dockerd`` or ``containerd``; None for anything else."""
        return _UNITS.get(process)

    # -- LogFiles

    def logs(self, node: Node) -> Mapping[str, bytes]:
        """Return the journals of the daemons and of the units that fleet started, the failed units and the containers.

        Each file holds its last lines, some 2 MB at most. Where one part could not be had, its file says so and the others are kept. Raises
        `Unreachable` if none could be had because the node does not answer.
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

        with ThreadPoolExecutor(len(_LOGS)) as pool:
            list(pool.map(one, _LOGS.items()))
        if len(silent) == len(_LOGS):
            raise silent[0]
        return dict(sorted(found.items()))

    # -- How

    def _api(self, cluster: Cluster, node: Node) -> Api:
        return Api(node.name, node.address, cluster.run_id, port=self._port)

    def _configure(self, cluster: Cluster, node: Node, deadline: Deadline) -> None:
        """Write the configuration of one node and start its daemons."""
        members = _members(cluster.nodes)
        member = node.name in {each.name for each in members}
        polls = str(int(_BOOT / _POLL))
        etcd = self._etcd_conf(cluster.run_id, node, members)
        _run(node, _FORM, "1" if member else "0", etcd, self._fleet_conf(node, members), polls, deadline=deadline)

    def _etcd_conf(self, run_id: str, node: Node, members: Sequence[Node]) -> str:
        """Give /etc/default/etcd."""
        peers = ",".join(f"{each.name}=http://{each.address}:{_PEER}" for each in members)
        settings = {
            "NAME": node.name,
            "DATA_DIR": "/data/etcd",
            "LISTEN_PEER_URLS": f"http://{node.address}:{_PEER}",
            "LISTEN_CLIENT_URLS": f"http://{node.address}:{_CLIENT},http://127.0.0.1:{_CLIENT}",
            "INITIAL_ADVERTISE_PEER_URLS": f"http://{node.address}:{_PEER}",
            "ADVERTISE_CLIENT_URLS": f"http://{node.address}:{_CLIENT}",
            "INITIAL_CLUSTER": peers,
            "INITIAL_CLUSTER_STATE": "new",
            "INITIAL_CLUSTER_TOKEN": run_id,
            "ENABLE_V2": "true",
            "HEARTBEAT_INTERVAL": _milliseconds(self._timers.etcd_heartbeat_interval),
            "ELECTION_TIMEOUT": _milliseconds(self._timers.etcd_election_timeout),
        }
        return "".join(f"ETCD_{name}={value}\n" for name, value in settings.items())

    def _fleet_conf(self, node: Node, members: Sequence[Node]) -> str:
        """Give /etc/fleet/fleet.conf."""
        # Its own member first, for the reader: fleet's etcd client goes through them in an order of its own.
        ordered = sorted(members, key=lambda each: each.name != node.name)
        servers = ", ".join(f'"http://{each.address}:{_CLIENT}"' for each in ordered)
        return (
            f"etcd_servers=[{servers}]\n"
            f"etcd_request_timeout={self._timers.etcd_request_timeout:g}\n"
            f'public_ip="{node.address}"\n'
            f'metadata="name={node.name}"\n'
            f'agent_ttl="{self._timers.agent_ttl:g}s"\n'
            f"engine_reconcile_interval={self._timers.engine_reconcile_interval:g}\n"
        )

    def _lists(self, cluster: Cluster, node: Node, everyone: set[str], deadline: Deadline, stop: threading.Event) -> None:
        """Wait until the API at one node lists every node."""
        api = self._api(cluster, node)
        names = {each.address: each.name for each in cluster.nodes}
        last = "not asked yet"

        def all_there() -> bool:
            nonlocal last
            try:
                listed = {names.get(each.address, each.id) for each in api.machines()}
            except Unreachable as e:
                last = str(e)
                return False
            last = f"lists {', '.join(sorted(listed)) or 'none'}"
            return everyone <= listed

        # Everybody asks, so more nodes ask less often.
        every = max(_POLL, 0.02 * len(everyone))
        wait_until(
            all_there,
            awaited="fleet's API to list every node",
            seconds=deadline.left(),
            clock=cluster.clock,
            every=every,
            stop=stop,
            saw=lambda: last,
        )

    def _launch(self, cluster: Cluster, file: units.UnitFile, deadline: Deadline) -> None:
        """Give fleet a unit, through the first node whose API takes it."""
        last = "not asked yet"

        def taken() -> bool:
            nonlocal last
            for node in cluster.nodes:
                try:
                    self._api(cluster, node).launch(file)
                except Unreachable as e:
                    last = str(e)
                else:
                    return True
            return False

        wait_until(taken, awaited=f"fleet to take {file.name}", seconds=deadline.left(), clock=cluster.clock, saw=lambda: last)

    def _serving(self, cluster: Cluster, app: App, seen: _Seen) -> int:
        """Count the instances that run by the API and answer HTTP."""
        silent = []
        for node in cluster.nodes:
            try:
                seen.view = self.view(cluster, node)
                break
            except Unreachable as e:
                silent.append(str(e))
        else:
            seen.text = "; ".join(silent)
            return 0
        mine = [each for each in seen.view.placements if each.instance in app.names]
        told = []
        serving = set()
        for each in mine:
            trouble = "without a home" if each.node is None else f"{each.state} on {each.node}"
            if each.running and each.node is not None:
                port = app.port_of(each.instance)
                silence = _http_silence(cluster, each.node, port)
                if not silence:
                    serving.add(each.instance)
                trouble += f", port {port} {silence or 'answers'}"
            told.append(f"{each.instance} {trouble}")
        seen.text = "; ".join(told) or "fleet lists none of its units"
        return len(serving)

    def _diagnosis(self, node: Node) -> str:
        """Say what a node that was not ready looks like. Never raises: it only makes an error better."""
        script = (
            'for unit in etcd fleet docker; do echo "$unit: $(systemctl is-active $unit)"; done;'
            " journalctl --no-pager -q -o cat -n 6 -u etcd -u fleet -u docker"
        )
        try:
            return node.run("timeout", "5", "sh", "-c", script, timeout=6.0).text
        except HarnessError as e:
            return str(e)


class _Clients(threading.local):
    """This thread's clients of etcd members, dropped as soon as the thread speaks to another cluster: addresses are the same there."""

    def __init__(self) -> None:
        self.run_id = ""
        self.by_address: dict[str, Etcd] = {}

    def client(self, run_id: str, address: str) -> Etcd:
        """Return the client of one member."""
        if run_id != self.run_id:
            for each in self.by_address.values():
                each.close()
            self.run_id, self.by_address = run_id, {}
        if address not in self.by_address:
            self.by_address[address] = Etcd(address, timeout=_STATUS_SECONDS)
        return self.by_address[address]


class _Seen:
    """What a wait saw last."""

    def __init__(self) -> None:
        self.view: View | None = None
        self.text = "not asked yet"


_LOG_BYTES = 2_000_000
_JOURNAL = ("journalctl", "--no-pager", "-q", "-o", "short-precise", "-n", "8000")
_LOGS: Mapping[str, tuple[str, ...]] = {
    "etcd.log": (*_JOURNAL, "-u", "etcd"),
    "fleet.log": (*_JOURNAL, "-u", "fleet.service", "-u", "fleet.socket"),
    "docker.log": (*_JOURNAL, "-u", "docker", "-u", "containerd"),
    "units.log": (*_JOURNAL, "-u", "*@*.service"),
    "failed-units.txt": ("systemctl", "list-units", "--failed", "--no-pager", "--plain"),
    "containers.txt": ("docker", "ps", "--all", "--no-trunc"),
}


def _members(nodes: Sequence[Node]) -> Sequence[Node]:
    """Choose the etcd members: an odd number, so that none is there in vain."""
    if len(nodes) < _FEW:
        return nodes[:1]
    return nodes[: _MANY if len(nodes) >= _MANY else _FEW]


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _placements(machines: Mapping[str, str], listed: Sequence[Unit], states: Sequence[State]) -> tuple[Placement, ...]:
    """Put units and unit states together; see `Fleet.view`."""

    def home(machine: str) -> str | None:
        return machines.get(machine, machine) or None

    found = [
        Placement(units.instance_name(row.name), home(row.machine), row.active, row.active == "active" and row.sub == "running")
        for row in states
    ]
    told = {(row.name, row.machine) for row in states}
    found += [
        Placement(units.instance_name(unit.name), home(unit.machine), unit.current or unit.desired, running=False)
        for unit in listed
        if (unit.name, unit.machine) not in told and not unit.everywhere
    ]
    return tuple(sorted(found, key=lambda each: (each.instance, each.node or "")))


def _run(node: Node, script: str, *arguments: str, deadline: Deadline) -> None:
    """Run a script of ours on a node. Raises `CommandFailed` for any exit status but 0."""
    result = node.run("sh", "-c", script, "sh", *arguments, timeout=max(1.0, deadline.left()))
    if not result.ok:
        # The script itself and whole files are no help in an error.
        shown = ["sh", "-c", script.splitlines()[0], *(each if "\n" not in each else "…" for each in arguments)]
        raise CommandFailed(node.name, shown, result.exit, (result.err or result.out).decode(errors="replace"))


def _on_each(nodes: Sequence[Node], act: Callable[[Node], None], stop: threading.Event) -> dict[str, Expired]:
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


def _docker_answers(cluster: Cluster, node: Node, deadline: Deadline, stop: threading.Event) -> None:
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


def _http_silence(cluster: Cluster, name: str, port: int) -> str:
    """Say why a port of a node gives no HTTP answer; empty when it gives one, whichever."""
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


def _unit_logs(cluster: Cluster, app: App, view: View | None) -> str:
    """Say what the units of instances that do not run wrote last. Never raises: it only makes an error better."""
    told = []
    for each in view.placements if view else ():
        if each.instance in app.names and each.node is not None and not each.running:
            with suppress(HarnessError):
                unit = units.unit_name(each.instance)
                argv = ("journalctl", "--no-pager", "-q", "-o", "cat", "-n", "8", "-u", unit)
                told.append(f"{unit} on {each.node}:\n{cluster.node(each.node).run(*argv, timeout=6.0).text}")
    return "".join(told)
