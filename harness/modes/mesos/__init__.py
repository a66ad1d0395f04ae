"""The mesos mode: Mesos agents on every node, and on three or five of them ZooKeeper, masters and Marathon; HAProxy on all.

Everything goes through `Node.run`, upstream's public REST and ZooKeeper's own protocol, so whoever answers as upstream does is upstream. What is
formed by default are *stand-ins* of Mesos and Marathon (``fixtures/mesos``), over a real ZooKeeper, real Docker and a real HAProxy. In their place
images can be given, upstream's own for example: then systemd runs their entrypoints in their own file systems (``fixtures/mesos/imaged``).
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from harness.core import pace
from harness.core.clock import Deadline, wait_until
from harness.core.errors import Expired, HalfDone, HarnessError, NoGoodAnswer, Unreachable
from harness.core.instances import RUN_LABEL
from harness.core.protocols import Running
from harness.core.values import App, Placement, TaskNames, View
from harness.modes import on_nodes
from harness.modes.mesos import agent_draining, app_json, configured, marathon_api, marathon_apps, numbering, shipped, zookeeper
from harness.modes.mesos import mesos_adoption as adoption
from harness.modes.mesos import mesos_timers as timing
from harness.modes.mesos.marathon_api import Locked, MarathonTask, Rest

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Node, OwnApp
    from harness.core.values import Budget, Committed, Endurance, Json, Traits, Who

T = TypeVar("T")

_FORM = (Path(__file__).parent / "form.sh").read_text(encoding="utf-8")
_DAEMONS = {"master": "mesos-master", "agent": "mesos-agent", "marathon": "marathon"}
"""What can come from an image, as scenarios call it, with its unit."""
_PROXY_UNITS = ("haproxy.service", "haproxy-feeder.service")
_OF_MEMBERS = ("mesos-master.service", "marathon.service")
_UNPACK = 'PYTHONPATH=/usr/local/lib/mesos exec python3 -m imaged "$1" "$2"'
_API_SECONDS = 2.0  # for a request
_SAYING_SECONDS = 2.0  # a member that takes longer for its own status is as good as silent
_NAME_SECONDS = 0.3  # for asking who an instance is that nobody has told of: what a node says waits for it
_NAME_AGAIN = 0.25  # seconds until that is asked again
_TAKE_SECONDS = 10.0  # for Marathon to take a change: it writes it to ZooKeeper, and may hand it on
_CHANGE_SECONDS = 60.0  # Marathon takes a change at once where it leads, and an election is over in a few seconds
_ANEW_SECONDS = 90.0  # for an instance to stop and another to run: its agent may have to be given up meanwhile
_UNITS = {
    "zookeeper": "zookeeper.service",
    "mesos-master": "mesos-master.service",
    "mesos-agent": "mesos-agent.service",
    "marathon": "marathon.service",
    "haproxy": "haproxy.service",
    "haproxy-feeder": "haproxy-feeder.service",
    **on_nodes.RUNTIME_UNITS,
}
_LOGS: Mapping[str, tuple[str, ...]] = {
    **{
        f"{each}.log": (*on_nodes.JOURNAL, "-u", each)
        for each in ("zookeeper", "mesos-master", "mesos-agent", "marathon", "haproxy", "haproxy-feeder")
    },
    "docker.log": (*on_nodes.JOURNAL, "-u", "docker", "-u", "containerd"),
    "haproxy.cfg": ("cat", "/etc/haproxy/haproxy.cfg"),
    "failed-units.txt": ("systemctl", "list-units", "--failed", "--no-pager", "--plain"),
    "containers.txt": ("docker", "ps", "--all", "--no-trunc"),
}


class Mesos:
    """Mesos with Marathon, and ZooKeeper beneath them. Safe to use from several threads."""

    name: ClassVar[str] = "mesos"
    PORTS: ClassVar[Mapping[int, str]] = {
        zookeeper.CLIENT_PORT: "zookeeper",
        configured.PEER: "zookeeper",
        configured.ELECTION: "zookeeper",
        marathon_api.MASTER: "mesos-master",
        marathon_api.AGENT: "mesos-agent",
        marathon_api.MARATHON: "marathon",
    }
    LAYER: ClassVar[Path | None] = Path(__file__).parent / "node"
    TASKS: ClassVar[TaskNames | None] = TaskNames("$MESOS_TASK_ID", numbering.TASK)

    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {name: dataclasses.asdict(each) for name, each in timing.PROFILES.items()}
    """Profiles of timers by name: ``default`` is upstream's, ``fast`` is for CI. Seconds."""
    remarks: Sequence[str] = ()
    """What `adopt` could not find out; see `harness.core.protocols.Adopting`."""

    def __init__(
        self,
        timers: timing.MesosTimers | None = None,
        *,
        ports: tuple[int, int, int, int] = (marathon_api.MARATHON, marathon_api.MASTER, marathon_api.AGENT, zookeeper.CLIENT_PORT),
        form_seconds: float = 120.0,
        deploy_seconds: float = 180.0,
    ) -> None:
        self._timers = timers or timing.MesosTimers()
        self._ports = ports
        self._form_seconds = form_seconds
        self._deploy_seconds = deploy_seconds
        self._more = 0.0  # seconds more for either
        self._images: Mapping[str, str] = {}  # of master, agent and Marathon, by the words of `PACKAGED`; empty for the stand-ins
        self._lock = threading.Lock()
        self._numbers: dict[tuple[str, str], numbering.Numbers] = {}  # run id, app → the numbers of its instances
        self._homes: dict[tuple[str, str, str], int] = {}  # run id, instance, node → the port that it was told to have there last
        self._asked: dict[str, float] = {}  # run id → when it was asked last who an instance is
        self._epochs: dict[str, dict[int, str]] = {}  # run id → ZooKeeper's epoch → node that led in it
        self._applied: dict[tuple[str, str], int] = {}  # run id, node → the epoch that it told of last
        self._found: dict[str, adoption.FoundMesos] = {}  # run id → what was found there
        self._stand_in = True  # master, agent and Marathon are, where they come from no images

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Self:
        """Return the mode with a profile's timers, single ones replaced (seconds). Raises `BadInput` for what Mesos or ZooKeeper would not take."""
        return cls(timing.timers(profile, overrides))

    def unhurried(self, seconds: float) -> None:
        """Allow forming and deploying so many seconds more; see `harness.core.protocols.Unhurried`."""
        self._more = seconds

    def withstand(self, seconds: float) -> None:
        """Stretch the timers of Mesos and ZooKeeper; see `harness.core.protocols.Stretching`."""
        self._timers = timing.withstanding(self._timers, seconds)

    @property
    def distribution(self) -> str:
        """Say that master, agent and Marathon are stand-ins, or from which images they come; see `harness.core.protocols.Distributed`."""
        if self._images:
            return f"images: {', '.join(dict.fromkeys(self._images.values()))}"
        return "stand-in" if self._stand_in else ""

    @property
    def timers(self) -> Mapping[str, float]:
        """The timers in use, by name, in seconds."""
        return dataclasses.asdict(self._timers)

    # -- Mode

    def form(self, cluster: Cluster) -> None:
        """Make a Mesos cluster of created nodes.

        Returns when the leading master lists an agent on every node, and Marathon tells its tasks, asked at each of them, and Docker answers on each.
        Raises `CommandFailed` where a node lacks something, and `Expired` with what was last seen of each node that was not ready in time.
        """
        deadline = Deadline(cluster.clock, pace.limit(self._form_seconds) + self._more)
        members = on_nodes.voters(cluster.nodes)
        hosts = "\n".join(f"{each.address} {each.name}" for each in cluster.nodes)
        everyone = {node.name for node in cluster.nodes}
        stop = threading.Event()

        slow = self._more > 0.0  # then it is formed step by step
        later = [f"{unit}.service" for unit in _DAEMONS.values()] if self._images or slow else []
        later += _PROXY_UNITS if slow else []

        def ground(node: Node) -> None:
            handed = shipped.archive(configured.files(node, members, self._timers))
            member = "1" if node in members else "0"
            on_nodes.forming(
                node, _FORM, member, " ".join(later), f"{self._timers.restart_delay:g}s", hosts, deadline=deadline, stdin=handed
            )
            on_nodes.docker_answers(cluster, node, deadline, stop)

        def one(node: Node) -> None:
            if not slow:
                ground(node)
            if self._images:
                self._start_images(cluster, node, deadline, all_three=node in members)
            if slow:
                mine = [unit for unit in later if node in members or unit not in _OF_MEMBERS]
                on_nodes.script(node, 'exec systemctl start --no-block "$@"', *mine, deadline=deadline)
            self._lists(cluster, node, everyone, deadline, stop)

        with cluster.network():
            late: dict[str, Expired] = {}
            if slow:
                # What stands on ZooKeeper tries it all along, and Marathon ends and begins anew without it: in all that work it hardly starts itself.
                late = on_nodes.on_each(cluster.nodes, ground, stop)
                late = late or on_nodes.on_each(members, lambda node: self._elects(cluster, node, deadline, stop), stop)
            late = late or on_nodes.on_each(cluster.nodes, one, stop)
        if late:
            names = ", ".join(late)
            told = "\n".join(f"{name}: {error.awaited}: {error.saw}\n{_diagnosis(cluster.node(name))}" for name, error in late.items())
            raise Expired(f"Mesos to form; not ready: {names}", deadline.seconds, told)

    def deploy(self, cluster: Cluster, app: App) -> None:
        """Start an app as one app of Marathon's; one of its user's own by its definition as it stands.

        Returns when every instance that can have a home is running by Marathon and answers HTTP: all of them, or one a node with `App.conflicts` (of
        one node, where it is pinned); one with a definition of its own need not answer. Of an app without instances only the image is brought.
        Raises `HarnessError` where Marathon refuses the app, and `Expired` with the last view.
        """
        deadline = Deadline(cluster.clock, pace.limit(self._deploy_seconds) + self._more)
        with cluster.network():
            if isinstance(cluster.provider, Running):
                adoption.begin(cluster, app, self._daemons())
            on_nodes.on_each(cluster.nodes, lambda node: on_nodes.image(node, app, deadline), threading.Event())
            if not app.instances:
                return
            self._create(cluster, app, deadline)
            on_nodes.until_serving(
                cluster,
                app,
                deadline,
                look=lambda: self._look(cluster, app),
                port=lambda each, name: self._asked_port(cluster, app, each.instance, name),
                nothing="Marathon lists no task of it",
                why=lambda _: self._hindrances(cluster, app),
            )

    def view(self, cluster: Cluster, node: Node) -> View:
        """Ask Marathon and the master of this node. Raises `Unreachable` where either gives no good answer. Called inside `cluster.network()`.

        A Marathon that does not lead asks the one that does; a master sends whoever asks to the one that it follows, and there we go. Listed are the
        agents that the leading master has not given up, also those of which a new one only knows from the registry. A placement is a task: one that
        is unreachable stands on its node as such, and one that waits for an offer is none yet. A node without them is asked which master its agent
        follows, and then that one's node is.
        """
        rest = self._rest(cluster, node)
        if node.name in self.members(cluster):
            return self._view(cluster, rest)
        host = rest.follows()
        if not host:
            raise Unreachable(node.name, "the master that its agent follows", "it follows none")
        return self._view(cluster, self._rest(cluster, self._node_of(cluster, host, node)))

    def budget(self, lost: Traits, who: Who) -> Budget:
        """How long recovery from a fault may take, from their own timers. No terms where nothing is promised."""
        return timing.budget(self._timers, lost, who)

    def endurance(self) -> Endurance:
        """Return how long a stall of a machine the timers in use stand; see `harness.core.protocols.Enduring`."""
        return timing.endurance(self._timers)

    # -- Packaged

    PACKAGED: ClassVar[Sequence[str]] = tuple(_DAEMONS)

    def use_images(self, images: Mapping[str, str]) -> None:
        """Run masters, agents and Marathon of these images; see `harness.core.protocols.Packaged.use_images`."""
        self._images = {each: images[each] for each in self.PACKAGED}

    def ready_for_images(self, cluster: Cluster) -> None:
        """Start Docker on each node, and wait until it answers; see `harness.core.protocols.Packaged.ready_for_images`."""
        deadline = Deadline(cluster.clock, pace.limit(self._form_seconds) + self._more)
        stop = threading.Event()

        def one(node: Node) -> None:
            on_nodes.forming(node, "await_systemd\nexec systemctl start docker.service", deadline=deadline)
            on_nodes.docker_answers(cluster, node, deadline, stop)

        late = on_nodes.on_each(cluster.nodes, one, stop)
        if late:
            raise Expired(f"Docker to answer on {', '.join(late)}", deadline.seconds, "; ".join(each.saw for each in late.values()))

    def _start_images(self, cluster: Cluster, node: Node, deadline: Deadline, *, all_three: bool) -> None:
        """Have a node's units run what is in the images, and start them."""
        units = []
        for word, unit in _DAEMONS.items():
            if not all_three and word != "agent":
                continue
            asked = self._images[word]
            image = cluster.images.get(asked, asked)
            on_nodes.image(node, App(unit, 0, image=image), deadline)
            on_nodes.script(node, _UNPACK, unit, image, deadline=deadline)
            units.append(unit)
        on_nodes.script(node, 'systemctl daemon-reload; exec systemctl start --no-block "$@"', *units, deadline=deadline)

    # -- Quorum

    @classmethod
    def member(cls) -> str:
        """Return ZooKeeper: masters and Marathon elect their leaders in it, and keep in it all that they know."""
        return "zookeeper"

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        """Names of the nodes that are members of ZooKeeper, and have a master and a Marathon, sorted: three, or five of five or more; else one.

        Of a cluster that was taken over: those that were found then.
        """
        if isinstance(cluster.provider, Running):
            return self._taken_over(cluster).members
        return tuple(sorted(node.name for node in on_nodes.voters(cluster.nodes)))

    @contextmanager
    def asking(self, cluster: Cluster, node: Node) -> Iterator[Callable[[], tuple[int, str | None]]]:
        """Give a function that returns a member's own (epoch, name of the leader it follows); see `harness.core.protocols.Quorum.asking`.

        A member says what it is, and of which epoch its last change; a follower does not say of whom. Every epoch has one leader, so that is whoever
        says that it leads in the same.
        """
        yield lambda: self._claim(cluster, node)

    def election(self) -> float:
        """Return how long ZooKeeper may take to have a leader again, in seconds."""
        return timing.election(self._timers)

    # -- Committing

    def commits(self) -> Committed:
        """Return what ZooKeeper asks of the disk that its log is on."""
        return timing.commits(self._timers)

    # -- Electing

    @classmethod
    def elected(cls) -> tuple[str, ...]:
        """Return the daemons that elect a leader in ZooKeeper."""
        return ("mesos-master", "marathon")

    def first(self, cluster: Cluster, process: str) -> str | None:
        """Return the node of the leading master, by what each says of itself, or of the leading Marathon, by the first that knows it."""
        if process == "marathon":
            try:
                host = self._at_any(cluster, lambda rest: rest.leader())
            except Unreachable:
                return None
            return self._hosts(cluster).get(host or "")
        for name in self.members(cluster):
            with suppress(Unreachable):
                if self._rest(cluster, cluster.node(name)).leads():
                    return name
        return None

    # -- Registers

    def store(self, cluster: Cluster, node: Node, timeout: float) -> zookeeper.Znodes:
        """Return a way to this run's own keys at this member of ZooKeeper; see `harness.modes.mesos.zookeeper.Znodes`. Touches nothing yet."""
        return zookeeper.Znodes(node.address, f"whalefall/{cluster.run_id}", timeout, self._ports[3], cluster.clock)

    # -- Numbering

    def instance(self, cluster: Cluster, told: str) -> str:
        """Return what an instance is called, by its task's id or ``app@<id>``; see `harness.core.protocols.Numbering.instance`."""
        found = _TOLD.fullmatch(told) or _TASK.fullmatch(told)
        if found is None:
            return told
        if self._foreign(cluster, found["app"]):
            return ""
        app = self._known(cluster).get(found["app"], found["app"])
        number = self._number(cluster, app, found["number"])
        if number is None:
            self._ask_who(cluster)
            number = self._number(cluster, app, found["number"])
        return told if number is None else f"{app}@{number}"

    # -- Ports

    def port(self, cluster: Cluster, app: App, instance: str, node: Node) -> int | None:
        """Return the port that Mesos chose for an instance on a node, by the last view of any node; the one that its own definition says, if any.

        Asks nobody, but for an app of which nobody has told anything yet.
        """
        with self._lock:
            told = (cluster.run_id, app.name) in self._numbers
        if not told:
            self._ask_who(cluster)
        return self._port(cluster, app, instance, node.name)

    # -- Services

    def processes(self) -> tuple[str, ...]:
        """Return the daemons; those of the control plane first."""
        return tuple(_UNITS)

    def unit(self, process: str) -> str | None:
        """Return the systemd unit behind a daemon; None for anything else."""
        return on_nodes.unit_among(_UNITS, process)

    # -- Ordered

    def orders(self, cluster: Cluster) -> tuple[str, ...]:
        """Return the nodes that have a Marathon: each hands on to the leader what it is asked."""
        return self.members(cluster)

    # -- Scaling

    shrinks: ClassVar[bool] = False  # Marathon stops its youngest tasks, whichever number they have

    def scale(self, cluster: Cluster, app: App, instances: int) -> None:
        """Have so many instances, and not fewer than there are; see `harness.core.protocols.Scaling.scale`."""
        if instances < app.instances:
            raise HarnessError(
                f"{app.name} has {app.instances} instances, and Marathon chooses itself which of them stop; expected as many or more, not {instances}"
            )
        with cluster.network():
            what = f"{instances} instances of {app.name}"
            # Nothing else: whatever else is changed, also its upgrade strategy, has Marathon replace all tasks.
            self._change(cluster, app, {"instances": instances}, what, Deadline(cluster.clock, self._change_seconds()))

    # -- Defining

    ENDINGS: ClassVar[Mapping[str, str]] = app_json.ENDINGS

    def define(self, wanted: OwnApp) -> App:
        """Return the app that a definition of Marathon's makes; see `harness.modes.mesos.app_json`."""
        return app_json.define(wanted, self.PORTS)

    def clashes(self, apps: Sequence[App]) -> Sequence[tuple[str, str, str]]:
        """Return which apps have one id."""
        return tuple(app_json.clashes(apps))

    # -- Selective

    def refused(self, app: App) -> Sequence[tuple[str, str, str, str]]:
        """Return what Marathon could not give an app; see `harness.core.protocols.Selective.refused`."""
        return tuple(marathon_apps.refused(app))

    # -- Restarting

    def restart(self, cluster: Cluster, app: App) -> None:
        """Have Marathon replace all tasks of an app by its upgrade strategy; see `harness.core.protocols.Restarting.restart`."""
        deadline = self._anew_deadline(cluster, app)
        with cluster.network():
            before = self._ids(cluster, app, deadline)
            if not before:
                raise HarnessError(f"Marathon has no task of {app.name}, so that there is nothing to start anew")
            self._until_taken(cluster, lambda rest: rest.restart(marathon_apps.path(app)), f"that {app.name} is to start anew", deadline)
            self._until_anew(cluster, app, before, deadline)

    # -- Updating

    def update(self, cluster: Cluster, app: App) -> None:
        """Give Marathon another definition of an app; see `harness.core.protocols.Updating.update`."""
        with cluster.network():
            on_nodes.image_where_it_can_be(cluster, app, pace.limit(self._deploy_seconds) + self._more)
            deadline = self._anew_deadline(cluster, app)
            before = self._ids(cluster, app, deadline)
            self._change(cluster, app, self._definition(cluster, app), f"another definition of {app.name}", deadline)
            self._until_anew(cluster, app, before, deadline)

    # -- Removing

    def remove(self, cluster: Cluster, app: App) -> None:
        """Remove the app, with all of its tasks, and wait until Marathon tells of none; see `harness.core.protocols.Removing.remove`."""
        deadline = Deadline(cluster.clock, self._change_seconds())
        path = marathon_apps.path(app)
        last = "nobody was asked"

        def forget(rest: Rest) -> None:
            if self._ours(cluster, rest, app):
                rest.remove(path)

        def gone() -> bool:
            nonlocal last
            try:
                tasks = self._at_any(cluster, lambda rest: rest.tasks())
            except Unreachable as e:
                last = str(e)
                return False
            last = ", ".join(f"{each.id} {each.state} on {each.host}" for each in tasks if each.app == path)
            return not last

        with cluster.network():
            self._until_taken(cluster, forget, f"that there is to be no {app.name}", deadline)
            what = f"Marathon to tell of no task of {app.name}"
            try:
                wait_until(
                    gone, awaited=what, seconds=deadline.left(), clock=cluster.clock, every=0.2, rest=on_nodes.REST, saw=lambda: last
                )
            except Expired as e:
                raise HalfDone(f"the app {path} is gone, but {e}") from e

    def launch(self, cluster: Cluster, app: App) -> None:
        """Give Marathon an app that it has not; see `harness.core.protocols.Removing.launch`."""
        with cluster.network():
            on_nodes.image_where_it_can_be(cluster, app, pace.limit(self._deploy_seconds) + self._more)
            self._create(cluster, app, Deadline(cluster.clock, self._change_seconds()))

    # -- Draining

    def drain(self, cluster: Cluster, node: Node) -> None:
        """Have the leading master drain the node's agent; see `harness.modes.mesos.agent_draining`."""
        with cluster.network():
            agent_draining.drain(lambda: self._leading(cluster), node.name, self._change_seconds(), cluster.clock)

    def undrain(self, cluster: Cluster, node: Node) -> None:
        """Have it offer the agent again."""
        with cluster.network():
            agent_draining.undrain(lambda: self._leading(cluster), node.name, self._change_seconds(), cluster.clock)

    # -- Adopting

    def adopt(self, cluster: Cluster) -> None:
        """Find the Mesos cluster that these nodes are, all of it on them; see `harness.modes.mesos.mesos_adoption.find`. Changes nothing.

        From then on the mode's timers, and so its budgets, are those that ZooKeeper, masters and Marathon were started with there; what could not be
        read is the profile's own, and `remarks` say so. Raises `HarnessError` with all that is missing, also where an app is there already.
        """
        with cluster.network():
            found = adoption.find(cluster, self._daemons(), self._timers)
        adoption.note(cluster, found)
        self._timers, self.remarks, self._stand_in = found.timers, found.remarks, found.stand_in
        with self._lock:
            self._found[cluster.run_id] = found

    def withdraw(self, cluster: Cluster, app: App) -> None:
        """Remove an app, its containers, its image where that was not there before, and what the run wrote into ZooKeeper.

        On a cluster that is not ours nothing is touched that `deploy` has not noted. Raises `HarnessError` saying what is still there.
        """
        found = adoption.noted(cluster.run_id) if isinstance(cluster.provider, Running) else None
        if isinstance(cluster.provider, Running) and (found is None or app.name not in found.deployed):
            return
        self.remove(cluster, app)
        with cluster.network():
            adoption.clear(cluster, app, found, lambda node: self.store(cluster, node, pace.limit(_CHANGE_SECONDS)))

    def _daemons(self) -> adoption.Daemons:
        return adoption.Daemons(self._rest, lambda cluster, node: self._saying(cluster, node, _SAYING_SECONDS), _UNITS)

    # -- LogFiles

    def logs(self, node: Node) -> Mapping[str, bytes]:
        """Return the journals of the daemons, HAProxy's configuration, the failed units and the containers.

        Each file holds its last lines, some 2 MB at most. Where one part could not be had, its file says so and the others are kept. Raises
        `Unreachable` if none could be had because the node does not answer.
        """
        return on_nodes.gather(node, _LOGS)

    # -- Daemons

    def _rest(self, cluster: Cluster, node: Node, patience: float = _API_SECONDS) -> Rest:
        marathon, master, agent, _ = self._ports
        return Rest(node.name, node.address, cluster.run_id, pace.answer(patience), marathon, master, agent)

    def _leading(self, cluster: Cluster) -> Rest:
        """Return the REST of the node whose master says that it leads. Raises `Unreachable` where none does."""
        name = self.first(cluster, "mesos-master")
        if name is None:
            raise Unreachable("Mesos", "the leading master", "no master says that it leads")
        return self._rest(cluster, cluster.node(name))

    def _at_any(self, cluster: Cluster, ask: Callable[[Rest], T], patience: float = _API_SECONDS) -> T:
        """Ask the first node that has an answer. Raises `Unreachable` with every node's words where none has."""
        members = [cluster.node(name) for name in self.members(cluster)]
        return on_nodes.at_first(members, lambda node: ask(self._rest(cluster, node, patience)), "Marathon", "its API at every node")

    def _view(self, cluster: Cluster, rest: Rest) -> View:
        hosts = rest.agents()
        if isinstance(hosts, str):
            there = self._rest(cluster, self._node_of(cluster, hosts, cluster.node(rest.node)))
            hosts = there.agents()
            if isinstance(hosts, str):
                raise Unreachable(rest.node, "the leading master", f"{there.node}, which it follows, sends to {hosts}")
        tasks = [each for each in rest.tasks() if not self._foreign(cluster, numbering.begun(each.app))]
        self._note(cluster, tasks)
        names = self._hosts(cluster)
        placements = [self._placement(cluster, each, names) for each in tasks]
        return View(
            tuple(sorted({names.get(each, each) for each in hosts})),
            tuple(sorted(placements, key=lambda each: (each.instance, each.node or ""))),
        )

    def _placement(self, cluster: Cluster, task: MarathonTask, names: Mapping[str, str]) -> Placement:
        app = self._called(cluster, task.app)
        number = self._number(cluster, app, numbering.instance_id(task.id) or "")
        return Placement(
            f"{app}@{number}" if number else task.id,
            names.get(task.host, task.host) or None,
            task.state,
            task.state == marathon_api.RUNNING,
        )

    def _hindrances(self, cluster: Cluster, app: App) -> str:
        """Say what keeps an app from being launched. Never raises: it only makes an error better."""
        try:
            said = self._at_any(cluster, lambda rest: rest.hindrances(marathon_apps.path(app)))
        except HarnessError as e:
            return f"\n{e}"
        return "".join(f"\n{each}" for each in said)

    def _look(self, cluster: Cluster, app: App) -> View | str:
        """Return the view of the first node that has one, or why none has. `app` may be none of the cluster's yet."""
        with_it = dataclasses.replace(cluster, apps=(*(each for each in cluster.apps if each.name != app.name), app))
        try:
            return self._at_any(with_it, lambda rest: self._view(with_it, rest))
        except Unreachable as e:
            return str(e)

    def _elects(self, cluster: Cluster, node: Node, deadline: Deadline, stop: threading.Event) -> None:
        """Wait until a member of ZooKeeper leads or follows."""

        def elected() -> tuple[bool, str]:
            mode = self._saying(cluster, node, _SAYING_SECONDS).mode
            return mode != zookeeper.LOOKING, mode

        _until(elected, cluster, "ZooKeeper to have a leader", deadline, stop, every=0.5)

    def _lists(self, cluster: Cluster, node: Node, everyone: set[str], deadline: Deadline, stop: threading.Event) -> None:
        """Wait until every node is listed, asked at one node."""

        def all_there() -> tuple[bool, str]:
            listed = {*self.view(cluster, node).nodes}
            return everyone <= listed, f"lists {', '.join(sorted(listed)) or 'none'}"

        awaited = "the leading master to list an agent on every node, and Marathon to answer"
        _until(all_there, cluster, awaited, deadline, stop, every=0.1)

    # -- Who a host is

    def _taken_over(self, cluster: Cluster) -> adoption.FoundMesos:
        """Return what was found of a cluster that was taken over, by this process or another. Raises `HarnessError` where nobody has."""
        with self._lock:
            found = self._found.get(cluster.run_id)
        if found is None:
            found = adoption.noted(cluster.run_id)
            if found is None:
                raise HarnessError(f"{cluster.run_id}: nobody has asked yet who the members of this cluster are")
            with self._lock:
                self._found[cluster.run_id] = found
        return found

    def _hosts(self, cluster: Cluster) -> Mapping[str, str]:
        """Return the names of nodes by what Mesos may call their hosts: our names, or their addresses; what was found where others named them."""
        if isinstance(cluster.provider, Running):
            return self._taken_over(cluster).hosts
        return {told: node.name for node in cluster.nodes for told in (node.address, node.name)}

    def _node_of(self, cluster: Cluster, host: str, asked: Node) -> Node:
        """Return the node that a host is. Raises `Unreachable` for one that is none of ours, of whom a node has told."""
        name = self._hosts(cluster).get(host)
        if name is None:
            raise Unreachable(asked.name, "the leading master", f"it follows {host}, which is no node of ours")
        return cluster.node(name)

    # -- Who an instance is

    @staticmethod
    def _known(cluster: Cluster) -> dict[str, str]:
        """Return the apps of a cluster by what tasks' ids begin with: the path of an app, with underscores for slashes."""
        return {numbering.begun(marathon_apps.path(app)): app.name for app in cluster.apps}

    def _foreign(self, cluster: Cluster, begun: str) -> bool:
        """Whether tasks whose ids begin so are somebody else's, on a cluster that is: nobody has promised this run anything about them."""
        known = self._known(cluster)
        return isinstance(cluster.provider, Running) and begun not in {*known, *known.values()}

    def _called(self, cluster: Cluster, path: str) -> str:
        """Return the app of ours that Marathon has by a path; of any other app what its tasks' ids begin with."""
        begun = numbering.begun(path)
        return self._known(cluster).get(begun, begun)

    def _note(self, cluster: Cluster, tasks: Sequence[MarathonTask]) -> None:
        """Number the instances of all tasks, and keep on which port of its host each answers."""
        wanted = {app.name: app.instances for app in cluster.apps}
        names = self._hosts(cluster)
        listed: dict[str, list[MarathonTask]] = {}
        for each in tasks:
            listed.setdefault(self._called(cluster, each.app), []).append(each)
        with self._lock:
            for app, some in listed.items():
                numbers = self._numbers.setdefault((cluster.run_id, app), numbering.Numbers())
                numbers.note(some, wanted.get(app, len(some)))
                for each in some:
                    number = numbers.of(numbering.instance_id(each.id) or "")
                    if number and each.ports and each.host in names:
                        self._homes[cluster.run_id, f"{app}@{number}", names[each.host]] = each.ports[0]

    def _number(self, cluster: Cluster, app: str, instance: str) -> int | None:
        with self._lock:
            numbers = self._numbers.get((cluster.run_id, app))
            return numbers.of(instance) if numbers else None

    def _ask_who(self, cluster: Cluster) -> None:
        """Have instances numbered that nobody has told of yet, where somebody answers at once, and nobody was asked just now."""
        now = cluster.clock.now()
        with self._lock:
            if now - self._asked.get(cluster.run_id, -_NAME_AGAIN) < _NAME_AGAIN:
                return
            self._asked[cluster.run_id] = now
        try:
            self._note(cluster, self._at_any(cluster, lambda rest: rest.tasks(), _NAME_SECONDS))
        except Unreachable:
            return

    def _port(self, cluster: Cluster, app: App, instance: str, node: str) -> int | None:
        """See `port`; the node by its name, which may be a stranger's."""
        if app.native is not None and not app.native.inner:
            return app.port_of(instance)
        with self._lock:
            return self._homes.get((cluster.run_id, instance, node))

    def _asked_port(self, cluster: Cluster, app: App, instance: str, node: str) -> int | None:
        """Return the port on which an instance must answer before it counts as started, 0 where that is not told yet; see `on_nodes.asked_port`."""
        return (self._port(cluster, app, instance, node) or 0) if app.native is None else None

    # -- Changing

    def _create(self, cluster: Cluster, app: App, deadline: Deadline) -> None:
        """Give Marathon an app, through the first node that takes it."""
        body = self._definition(cluster, app)

        def made(rest: Rest) -> None:
            try:
                rest.create(body)
            except Locked:
                if not self._ours(cluster, rest, app):  # gone again
                    raise
            # Else it was made by a try whose answer was lost.

        self._until_taken(cluster, made, f"the app {app.name}", deadline)

    def _definition(self, cluster: Cluster, app: App) -> dict[str, Json]:
        pinned = self._taken_over(cluster).agents.get(app.pin or "") if isinstance(cluster.provider, Running) else None
        return marathon_apps.definition(app, cluster.run_id, pinned)

    def _ours(self, cluster: Cluster, rest: Rest, app: App) -> bool:
        """Whether Marathon has an app. Raises `HarnessError` where it is none of this run's."""
        found = rest.app(marathon_apps.path(app))
        if found is None:
            return False
        if app.native is None and found.labels.get(RUN_LABEL) != cluster.run_id:
            raise HarnessError(f"Marathon has an app {found.id} already, which is none of this run's; give the app another name")
        return True

    def _change(self, cluster: Cluster, app: App, fields: Mapping[str, Json], what: str, deadline: Deadline) -> None:
        path = marathon_apps.path(app)

        def changed(rest: Rest) -> None:
            if not self._ours(cluster, rest, app):
                raise HarnessError(f"Marathon has no app {path}, so {what} cannot be had")
            rest.change(path, fields)

        self._until_taken(cluster, changed, what, deadline)

    def _until_taken(self, cluster: Cluster, change: Callable[[Rest], object], what: str, deadline: Deadline) -> None:
        """Ask for something through the first node that takes it. Raises `Expired` where none does."""
        last = "not asked yet"

        def taken() -> bool:
            nonlocal last
            try:
                self._at_any(cluster, change, _TAKE_SECONDS)
            except Unreachable as e:
                last = str(e)
                return False
            return True

        wait_until(taken, awaited=f"Marathon to take {what}", seconds=deadline.left(), clock=cluster.clock, every=0.2, saw=lambda: last)

    def _ids(self, cluster: Cluster, app: App, deadline: Deadline) -> frozenset[str]:
        """Return the ids of an app's tasks that Marathon counts on."""
        found: list[frozenset[str]] = []
        path = marathon_apps.path(app)

        def asked(rest: Rest) -> None:
            found[:] = [frozenset(each.id for each in rest.tasks() if each.app == path and not each.gone)]

        self._until_taken(cluster, asked, f"a question for the tasks of {app.name}", deadline)
        return found[0]

    def _until_anew(self, cluster: Cluster, app: App, before: frozenset[str], deadline: Deadline) -> None:
        """Wait until no task from `before` is counted on, and as many of an app serve as can have a home."""
        last = "not asked yet"
        path = marathon_apps.path(app)

        def anew() -> bool:
            nonlocal last
            try:
                old = [
                    each
                    for each in self._at_any(cluster, lambda rest: rest.tasks())
                    if each.app == path and each.id in before and not each.gone
                ]
            except Unreachable as e:
                last = str(e)
                return False
            last = ", ".join(f"{each.id} is {each.state} on {each.host}" for each in old)
            if old:
                return False
            view = self._look(cluster, app)
            if isinstance(view, str):
                last = view
                return False
            serving, last = on_nodes.who_serves(
                cluster, {*app.names}, view, lambda each, name: self._asked_port(cluster, app, each.instance, name)
            )
            return len(serving) >= app.homes(len(view.nodes))

        try:
            wait_until(
                anew,
                awaited=f"all of {app.name} to be other tasks, and to answer HTTP",
                seconds=deadline.left(),
                clock=cluster.clock,
                every=0.2,
                rest=on_nodes.REST,
                saw=lambda: last,
            )
        except Expired as e:
            raise HalfDone(f"Marathon has begun with it, but {e}") from e

    def _anew_deadline(self, cluster: Cluster, app: App) -> Deadline:
        return Deadline(cluster.clock, app.instances * pace.limit(_ANEW_SECONDS) + self._more)

    def _change_seconds(self) -> float:
        return pace.limit(_CHANGE_SECONDS) + self._more

    # -- ZooKeeper

    def _claim(self, cluster: Cluster, node: Node) -> tuple[int, str | None]:
        """Return what a member of ZooKeeper claims now. Raises `Unreachable`."""
        said = self._saying(cluster, node, _SAYING_SECONDS)
        key = (cluster.run_id, node.name)
        with self._lock:
            if said.mode == zookeeper.LOOKING:
                if key not in self._applied:
                    raise Unreachable(node.name, "ZooKeeper's srvr", "it is in no quorum, and has not told of any epoch yet")
                return self._applied[key], None
            self._applied[key] = said.epoch
            epochs = self._epochs.setdefault(cluster.run_id, {})
            if said.leads:
                epochs[said.epoch] = node.name
            leader = epochs.get(said.epoch)
        return said.epoch, leader or self._look_up(cluster, node, said.epoch)

    def _look_up(self, cluster: Cluster, node: Node, epoch: int) -> str:
        """Return who leads in an epoch. Raises `Unreachable` where nobody says that it does: that is not "no leader"."""
        seen = []
        for name in self.members(cluster):
            if name == node.name:
                continue
            try:
                said = self._saying(cluster, cluster.node(name), _NAME_SECONDS)
            except Unreachable as e:
                seen.append(f"{name} gives no answer: {e.saw}")
                continue
            if said.leads:
                with self._lock:
                    self._epochs[cluster.run_id][said.epoch] = name
                if said.epoch == epoch:
                    return name
            seen.append(f"{name} is {said.mode}" + (f" in epoch {said.epoch}" if said.leads else ""))
        raise Unreachable(node.name, "the leader that it follows", f"its last change is of epoch {epoch}, and {', '.join(seen)}")

    def _saying(self, cluster: Cluster, node: Node, patience: float) -> zookeeper.Saying:
        try:
            return zookeeper.saying(node.address, pace.answer(patience), self._ports[3], cluster.clock)
        except NoGoodAnswer as e:
            raise Unreachable(node.name, "ZooKeeper's srvr", str(e)) from e


_TOLD = re.compile(rf"(?P<app>[^@]+)@(?P<number>{numbering.UUID})")
_TASK = re.compile(numbering.TASK)


def _until(
    asked: Callable[[], tuple[bool, str]], cluster: Cluster, awaited: str, deadline: Deadline, stop: threading.Event, *, every: float
) -> None:
    """Wait until something is so: `asked` returns whether it is, and what was seen. Raises `Expired` with what was seen last, or who was silent."""
    last = "not asked yet"

    def so() -> bool:
        nonlocal last
        try:
            met, last = asked()
        except Unreachable as e:
            last = str(e)
            return False
        return met

    seconds, clock = deadline.left(), cluster.clock
    wait_until(so, awaited=awaited, seconds=seconds, clock=clock, every=every, rest=on_nodes.REST, stop=stop, saw=lambda: last)


def _diagnosis(node: Node) -> str:
    """Say what a node that was not ready looks like. Never raises: it only makes an error better."""
    script = (
        'for unit in zookeeper mesos-master mesos-agent marathon docker haproxy; do echo "$unit: $(systemctl is-active $unit)"; done;'
        " journalctl --no-pager -q -o cat -n 8 -u zookeeper -u mesos-master -u mesos-agent -u marathon -u docker"
    )
    try:
        return node.run("timeout", "5", "sh", "-c", script, timeout=pace.limit(6.0)).text
    except HarnessError as e:
        return str(e)
