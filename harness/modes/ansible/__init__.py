"""The ansible mode: no orchestrator at all. A static inventory says which host runs what, and ansible-playbook brings that about when it is played.

No daemon watches anything or decides anything: what a dead host ran stays down until somebody plays the playbook again (`ansible.replay`), and what
is assigned to a host stays assigned to it until somebody changes the inventory. So there is no API to ask, no quorum, no timer, and no budget.
"""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from harness.core import pace
from harness.core.clock import Deadline, wait_until
from harness.core.errors import CommandFailed, Expired, HalfDone, HarnessError, Unreachable, gist
from harness.core.instances import INSTANCE_LABEL, app_of
from harness.core.values import HERE, Budget, Placement, View
from harness.host import files
from harness.modes import on_nodes, profiles
from harness.modes.ansible import playbooks, playing, static_inventory
from harness.modes.ansible.assigning import Assigned
from harness.modes.ansible.playing import Keys, Playbook

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Node, OwnApp
    from harness.core.values import App, Json, TaskNames, Traits, Who
    from harness.modes.ansible.recap import Recap

_FORM = (Path(__file__).parent / "form.sh").read_text(encoding="utf-8")
_HOST_KEY = ("ssh-keygen", "-y", "-f", "/etc/ssh/ssh_host_ed25519_key")
_SSH = 22
_GREETING = b"SSH-"
_GREETING_SECONDS = 2.0  # sshd greets at once, and so does one on a busy machine
_PLAY_SECONDS = 120.0  # a play of three hosts takes some five seconds; a host that is lost adds those of a connection that never comes
_REPLAY_SECONDS = 240.0
_ANSWER_SECONDS = 60.0  # community.docker's own limit for one answer of Docker's, which also is how long a container may take to start
LOST, ANY = "lost", "any"
"""Words for hosts where work is moved: those whose sshd gives no answer, and whichever may have it."""
_MOST_SAID = 2_000_000  # bytes of what ansible-playbook said that are kept of a run, the last of it
_LOGS: Mapping[str, tuple[str, ...]] = {
    "docker.log": (*on_nodes.JOURNAL, "-u", "docker", "-u", "containerd"),
    "ssh.log": (*on_nodes.JOURNAL, "-u", "ssh"),
    "containers.txt": ("docker", "ps", "--all", "--no-trunc"),
    "iptables.txt": ("iptables-save",),
    "failed-units.txt": ("systemctl", "list-units", "--failed", "--no-pager", "--plain"),
}
_LISTS = f"""
exec docker ps --all --no-trunc --format '{{{{.Names}}}}\t{{{{.State}}}}\t{{{{.Label "{INSTANCE_LABEL}"}}}}'
"""


@dataclass(slots=True)
class _Control:
    """What the machine from which Ansible is run knows of a cluster: keys, inventory, and what was played. It dies with the mode's process."""

    keys: Keys
    assigned: Assigned = field(default_factory=Assigned)
    apps: dict[str, App] = field(default_factory=dict)  # as they are to run, by name
    brought: set[str] = field(default_factory=set)  # apps whose own playbook was played with that of another
    said: list[str] = field(default_factory=list)
    strangers: str = ""  # whom the last play was for that is not there; see `recap.Recap.strangers`
    touched: int = 0  # plays by which something was done on a host, or may have been


class Ansible:
    """Playbooks over SSH. Safe to use from several threads."""

    name: ClassVar[str] = "ansible"
    PORTS: ClassVar[Mapping[int, str]] = {_SSH: "sshd"}
    LAYER: ClassVar[Path | None] = Path(__file__).parent / "node"
    TASKS: ClassVar[TaskNames | None] = None  # the playbook gives each container a label of its own
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {"default": {}, "fast": {}}
    """Nothing waits for anything, so there is nothing to be set: both profiles are the same."""

    def __init__(self, *, form_seconds: float = 90.0, deploy_seconds: float = 180.0) -> None:
        self._form_seconds = form_seconds
        self._deploy_seconds = deploy_seconds
        self._more = 0.0  # seconds more for either
        self._lock = threading.RLock()
        self._controls: dict[str, _Control] = {}  # by run id

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Self:
        """Return the mode. Raises `BadInput` for a profile that there is not, and for every timer: it has none."""
        profiles.chosen({name: _NoTimers() for name in cls.TIMERS}, profile, overrides, lambda _: ())
        return cls()

    def unhurried(self, seconds: float) -> None:
        """Allow forming, deploying and each play so many seconds more; see `harness.core.protocols.Unhurried`."""
        self._more = seconds

    @property
    def timers(self) -> Mapping[str, float]:
        """The timers in use: none."""
        return {}

    # -- Mode

    def form(self, cluster: Cluster) -> None:
        """Start sshd and Docker on created nodes, with a key of this run's own let in, and learn the hosts' keys over the management path.

        Returns when sshd greets and Docker answers on each. Raises `CommandFailed` where a node lacks something, `HarnessError` where this machine
        lacks Ansible's collections, and `Expired` with what was last seen of each node that was not ready in time.
        """
        playing.must_be_installed()
        deadline = Deadline(cluster.clock, pace.limit(self._form_seconds) + self._more)
        control = self._control(cluster)
        stop = threading.Event()

        def one(node: Node) -> None:
            on_nodes.forming(node, _FORM, control.keys.public, deadline=deadline)
            self._learn(control, node)
            _await_greeting(cluster, node, deadline, stop)

        with cluster.network():
            late = on_nodes.on_each(cluster.nodes, one, stop)
        if late:
            told = "\n".join(f"{name}: {error.awaited}: {error.saw}" for name, error in late.items())
            raise Expired(f"hosts for ansible; not ready: {', '.join(late)}", deadline.seconds, told)

    def deploy(self, cluster: Cluster, app: App) -> None:
        """Assign the instances of an app to hosts, and play its playbook on those.

        Returns when every instance that can have a home is running by its host's Docker and answers HTTP. Of an app without instances only the image
        is brought. Raises `HarnessError` with each host on which it failed, and why, and `Expired` with what was seen last.
        """
        deadline = Deadline(cluster.clock, pace.limit(self._deploy_seconds) + self._more)
        control = self._control(cluster)
        with cluster.network():
            _bring(cluster, app, deadline)
            self._admitted(cluster)
            if not app.instances:
                control.apps[app.name] = app
                return
            if app.name not in control.brought:
                together = _together(cluster, app)
                for each in together:
                    if each is not app:  # whose image is there
                        _bring(cluster, each, deadline)
                    self._assign(cluster, each)
                self._play(cluster, together, deadline.left())
                control.brought.update(each.name for each in together)
            self._until_serving(cluster, app, deadline)

    def budget(self, lost: Traits, who: Who) -> Budget:  # noqa: ARG002 - whatever is lost, and whoever
        """Promise nothing: nobody moves what was lost, and nobody starts it again, until somebody plays the playbook."""
        return Budget(())

    # -- Replaying

    def replay(self, cluster: Cluster, limit: str, tags: str, move: Mapping[str, str]) -> str:
        """Play the playbook of every app again; see `harness.core.protocols.Replaying.replay`."""
        deadline = Deadline(cluster.clock, pace.limit(_REPLAY_SECONDS) + self._more)
        with self._wholly(cluster):
            self._admitted(cluster)
            moved, out = self._move(cluster, move) if move else ("", ())
            # Who is lost and has no work any more is taken out of the inventory as well: it could only make the replay fail.
            limit = ":".join([limit or "all", *(f"!{each}" for each in out)]) if out else limit
            control = self._control(cluster)
            apps = [app for app in control.apps.values() if app.instances]
            inventory = static_inventory.text(cluster.nodes, apps, control.assigned)
            told = [
                self._played(cluster, inventory, dataclasses.replace(book, limit=limit, tags=tags), deadline.left())
                for book in _books(apps)
            ]
            return "; ".join([*([moved] if moved else []), *(str(_well(each, "the replay")) for each in told)])

    # -- Scaling

    shrinks: ClassVar[bool] = True

    def scale(self, cluster: Cluster, app: App, instances: int) -> None:
        """Assign more instances to hosts, or take the last ones from theirs, and play on those hosts alone; see `Scaling.scale`."""
        new = dataclasses.replace(app, instances=instances)
        with self._wholly(cluster):
            self._admitted(cluster)
            control = self._control(cluster)
            before = control.assigned.of(dataclasses.replace(app, instances=max(app.instances, instances)))
            over = app.names[instances:]
            control.assigned = control.assigned.without(over)
            self._assign(cluster, new)
            after = control.assigned.of(new)
            if over and app.native is not None:
                self._take(cluster, over)
            if changed := {home for _, home in {*before.items()} ^ {*after.items()}}:
                self._play(cluster, _together(cluster, new), self._seconds(), hosts=changed)

    # -- Defining

    ENDINGS: ClassVar[Mapping[str, str]] = playbooks.ENDINGS

    def define(self, wanted: OwnApp) -> App:
        """Return the app that a playbook makes; see `harness.modes.ansible.playbooks`."""
        return playbooks.define(wanted)

    def clashes(self, apps: Sequence[App]) -> Sequence[tuple[str, str, str]]:
        """Return which containers of two apps are called the same."""
        return tuple(playbooks.clashes(apps))

    # -- Restarting

    def restart(self, cluster: Cluster, app: App) -> None:
        """Have the containers of an app made anew, host after host; see `harness.core.protocols.Restarting.restart`."""
        self._anew(cluster, app)

    # -- Updating

    def update(self, cluster: Cluster, app: App) -> None:
        """Play the playbook with another image, or environment, of an app, host after host; see `harness.core.protocols.Updating.update`."""
        with cluster.network():
            on_nodes.image_where_it_can_be(cluster, app, pace.limit(self._deploy_seconds) + self._more)
        self._anew(cluster, app)

    # -- Removing

    def remove(self, cluster: Cluster, app: App) -> None:
        """Take an app from the inventory and its containers from their hosts; see `harness.core.protocols.Removing.remove`."""
        with self._wholly(cluster):
            self._admitted(cluster)
            control = self._control(cluster)
            hosts = {home for name, home in {*control.assigned.homes.items(), *control.assigned.left} if app_of(name) == app.name}
            control.assigned = control.assigned.without(app.names)
            control.apps.pop(app.name, None)
            control.brought.discard(app.name)
            if app.native is not None:
                self._take(cluster, app.names)
            elif hosts:
                self._play(cluster, [dataclasses.replace(app, instances=0)], self._seconds(), hosts=hosts)

    def launch(self, cluster: Cluster, app: App) -> None:
        """Assign an app to hosts and play it there; see `harness.core.protocols.Removing.launch`."""
        with self._wholly(cluster):
            on_nodes.image_where_it_can_be(cluster, app, pace.limit(self._deploy_seconds) + self._more)
            self._admitted(cluster)
            self._assign(cluster, app)
            self._play(cluster, _together(cluster, app), self._seconds())

    # -- Services

    def processes(self) -> tuple[str, ...]:
        """Return Docker's daemons: there are no others."""
        return tuple(on_nodes.RUNTIME_UNITS)

    def unit(self, process: str) -> str | None:
        """Return the systemd unit behind ``dockerd`` or ``containerd``; None for anything else."""
        return on_nodes.unit_among(on_nodes.RUNTIME_UNITS, process)

    # -- LogFiles

    def logs(self, node: Node) -> Mapping[str, bytes]:
        """Return the journals of Docker and sshd, the containers, and the rules of the firewall.

        Each file holds its last lines, some 2 MB at most. Where one part could not be had, its file says so and the others are kept. Raises
        `Unreachable` if none could be had because the node does not answer.
        """
        return on_nodes.gather(node, _LOGS)

    # -- Outspoken

    def said(self, cluster: Cluster) -> Mapping[str, bytes]:
        """Return all that ansible-playbook has printed in this run; no variable of an app's environment stands in it."""
        with self._lock:
            whole = "\n".join(self._controls[cluster.run_id].said) if cluster.run_id in self._controls else ""
        return {"ansible-playbook.log": whole.encode(errors="backslashreplace")[-_MOST_SAID:]} if whole else {}

    # -- How

    def _seconds(self) -> float:
        return pace.limit(_PLAY_SECONDS) + self._more

    def _control(self, cluster: Cluster) -> _Control:
        """Return what is known of a cluster; of one that is new, nothing but a key for it."""
        with self._lock:
            if cluster.run_id not in self._controls:
                from harness.nodes.ssh import keys  # noqa: PLC0415 - a reaper, which reads every mode, needs none of the libraries under it

                private, public = keys.pair()
                self._controls[cluster.run_id] = _Control(Keys(private, public))
            return self._controls[cluster.run_id]

    @contextmanager
    def _wholly(self, cluster: Cluster) -> Iterator[None]:
        """Lend the cluster's network. Whatever fails once a play has done something on a host is raised as `HalfDone`."""
        control = self._control(cluster)
        before = control.touched
        with cluster.network():
            try:
                yield
            except HarnessError as error:
                if control.touched == before or isinstance(error, HalfDone):
                    raise
                raise HalfDone(str(error)) from error

    def _admitted(self, cluster: Cluster) -> None:
        """Make sure that the run's key is let in on every node that can be asked, also where another process has formed the cluster.

        Of a node that gives no answer no key is known, so that Ansible finds it unreachable.
        """
        control = self._control(cluster)
        strange = [node for node in cluster.nodes if node.address not in control.keys.hosts]

        def one(node: Node) -> None:
            try:
                on_nodes.forming(node, _FORM, control.keys.public, deadline=Deadline(cluster.clock, self._seconds()))
                self._learn(control, node)
            except Unreachable:
                return

        on_nodes.on_each(strange, one, threading.Event())

    def _learn(self, control: _Control, node: Node) -> None:
        """Note a host's public key, of the private one that its sshd has. Raises `CommandFailed` where there is none.

        Not of the file beside that: a host need not have it, and sshd does not read it.
        """
        result = node.run(*_HOST_KEY)
        line = " ".join(result.text.split()[:2])
        if not result.ok or not line.startswith("ssh-ed25519 "):
            raise CommandFailed(node.name, _HOST_KEY, result.exit, gist(result.err.decode(errors="replace")) or "no ed25519 key")
        with self._lock:
            control.keys = dataclasses.replace(control.keys, hosts={**control.keys.hosts, node.address: line})

    def _assign(self, cluster: Cluster, app: App) -> None:
        """Assign what of an app has no home yet."""
        with self._lock:
            control = self._control(cluster)
            control.apps[app.name] = app
            control.assigned = control.assigned.placed(app, [node.name for node in cluster.nodes])

    def _move(self, cluster: Cluster, move: Mapping[str, str]) -> tuple[str, Sequence[str]]:
        """Change the inventory: what is on some hosts is assigned to others. Returns what was moved, in words, and which of the hosts are lost.

        Raises `HarnessError`.
        """
        source, target = move.get("from", LOST), move.get("to", ANY)
        silent = self._silent(cluster)
        away = silent if source == LOST else {cluster.node(source).name}
        hosts = [node.name for node in cluster.nodes if node.name not in silent] if target == ANY else [cluster.node(target).name]
        if not away:
            raise HarnessError("no host is lost, by its sshd, so there is no work to be moved from one")
        with self._lock:
            control = self._control(cluster)
            before = dict(control.assigned.homes)
            control.assigned = control.assigned.moved(control.apps.values(), away, hosts)
            after = control.assigned.homes
        moves = [f"{name} from {home} to {after[name]}" for name, home in before.items() if after[name] != home]
        words = f"assigned {', '.join(moves)}" if moves else f"nothing was assigned to {' and '.join(sorted(away))}"
        return words, sorted(away & silent)

    def _silent(self, cluster: Cluster) -> set[str]:
        """Return the hosts whose sshd does not greet: those that whoever wakes up finds lost."""
        found: set[str] = set()

        def one(node: Node) -> None:
            if _silence(node):
                found.add(node.name)

        on_nodes.on_each(cluster.nodes, one, threading.Event())
        return found

    def _play(self, cluster: Cluster, apps: Sequence[App], seconds: float, *, hosts: set[str] | None = None, anew: bool = False) -> None:
        """Play what apps are made by, ours on their own hosts or on these. Raises `HarnessError`, or `HalfDone` where it was done on some of them.

        A playbook of its user's says itself on which hosts it is played.
        """
        assigned = self._control(cluster).assigned
        inventory = static_inventory.text(cluster.nodes, apps, assigned)
        where = {home for app in apps for home in assigned.of(app).values()} if hosts is None else hosts
        if not where:
            return
        variables: dict[str, Json] = {"anew": True, "at_once": 1} if anew else {}
        for book in _books(apps):
            whole = {**book.variables, **variables}
            asked = dataclasses.replace(book, limit=",".join(sorted(where)), variables=whole) if book.ours else book
            _well(self._played(cluster, inventory, asked, seconds), f"the play of {' and '.join(app.name for app in apps)}")

    def _take(self, cluster: Cluster, instances: Sequence[str], on: str = "") -> None:
        """Remove the containers of instances whose own playbook says nothing of how they go; on one host alone, where it is named."""
        found: dict[str, list[tuple[str, str]]] = {}
        view = _by_docker(cluster, containers=found)
        if isinstance(view, str):
            raise Unreachable(HERE, "the containers of the hosts", view)
        taken = {
            host: names
            for host, every in found.items()
            if on in {"", host} and (names := [name for name, one in every if one in instances])
        }
        if taken:
            inventory = static_inventory.text(cluster.nodes, [], Assigned(), taken)
            ours = dataclasses.replace(_ours(), limit=",".join(sorted(taken)))
            _well(self._played(cluster, inventory, ours, self._seconds()), f"the removal of {', '.join(instances)}")

    def _played(self, cluster: Cluster, inventory: str, book: Playbook, seconds: float) -> Recap:
        """Play, and keep what was said."""
        control = self._control(cluster)
        hide = [*static_inventory.secrets([*control.apps.values()]), *(() if book.ours else playbooks.secrets(book.text))]
        try:
            done = playing.play(cluster, control.keys, inventory, book, seconds, hide)
        except HarnessError as error:
            control.said.append(f"$ {book.command}\n{error}\n")
            control.touched += isinstance(error, HalfDone | Expired)
            raise
        control.said.append(f"$ {book.command}\n{done.said}")
        control.touched += done.recap.touched
        control.strangers = done.recap.strangers
        return done.recap

    def _anew(self, cluster: Cluster, app: App) -> None:
        """Have the containers of an app made anew, by the app as it is to be from now on, host after host."""
        deadline = Deadline(cluster.clock, pace.limit(self._deploy_seconds) + self._more)
        with self._wholly(cluster):
            self._admitted(cluster)
            control = self._control(cluster)
            control.apps[app.name] = app
            if app.native is None:
                self._play(cluster, [app], deadline.left(), anew=True)
            else:
                for instance, home in control.assigned.of(app).items():
                    self._take(cluster, [instance], home)
                    self._play(cluster, _together(cluster, app), deadline.left())
            self._until_serving(cluster, app, deadline)

    def _until_serving(self, cluster: Cluster, app: App, deadline: Deadline) -> None:
        on_nodes.until_serving(
            cluster,
            app,
            deadline,
            look=lambda: _by_docker(cluster),
            port=lambda each, _: on_nodes.asked_port(app, each.instance),
            nothing="no host has a container of it",
            why=lambda _: f"; {strangers}" if (strangers := self._control(cluster).strangers) else "",
        )


@dataclass(frozen=True, slots=True)
class _NoTimers:
    """The timers of a mode that has none."""


def _bring(cluster: Cluster, app: App, deadline: Deadline) -> None:
    """Make sure that all nodes have an app's image. Raises `HarnessError`."""
    on_nodes.on_each(cluster.nodes, lambda node: on_nodes.image(node, app, deadline), threading.Event())


def _together(cluster: Cluster, app: App) -> list[App]:
    """Return an app with those that the same playbook of their user's makes: it is one, and its plays know of each other."""
    if app.native is None:
        return [app]
    body = app.native.body
    others = [each for each in cluster.apps if each.name != app.name and each.native is not None and each.native.body == body]
    return [app, *(each for each in others if each.instances)]


def _ours() -> Playbook:
    """Return the playbook for apps that have none."""
    file = files.fixtures() / "ansible" / "apps.yml"
    slow: dict[str, Json] = {"answers_within": round(pace.limit(_ANSWER_SECONDS))} if pace.current().slow else {}
    return Playbook(file.name, file.read_text(encoding="utf-8"), variables=slow, ours=True)


def _books(apps: Sequence[App]) -> list[Playbook]:
    """Return what apps are made by, each playbook once."""
    own = {app.native.file: app.native.body for app in apps if app.native is not None}
    found = [Playbook(Path(name).name, body) for name, body in own.items()]
    return [*found, *([_ours()] if any(app.native is None for app in apps) else [])]


def _well(told: Recap, what: str) -> Recap:
    """Return a recap in which all went well. Raises `HalfDone` where a part was done, or may have been, and `HarnessError` where nothing was."""
    if told.hosts and not told.bad:
        return told
    if not told.hosts:
        raise HarnessError(f"{what} was not begun: {told}")
    words = f"{what} failed on {', '.join(each.name for each in told.bad)}: {'; '.join(map(str, told.bad))}"
    others = [each for each in told.hosts if each.well]
    if others or any(each.touched for each in told.bad):
        fine = f"; it went well on {', '.join(each.name for each in others)}" if others else ""
        raise HalfDone(f"{words}{fine}")
    raise HarnessError(words)


def _silence(node: Node) -> str:
    """Say why the sshd of a host does not greet; empty where it does. Called inside `cluster.network()`."""
    try:
        with socket.create_connection((node.address, _SSH), timeout=pace.limit(_GREETING_SECONDS)) as way:
            said = way.recv(len(_GREETING))
    except OSError as error:
        return f"{node.address} port {_SSH}: {error.strerror or error}"
    return "" if said == _GREETING else f"{node.address} port {_SSH} greets with {said!r}"


def _await_greeting(cluster: Cluster, node: Node, deadline: Deadline, stop: threading.Event) -> None:
    last = "not asked yet"

    def greets() -> bool:
        nonlocal last
        last = _silence(node)
        return not last

    wait_until(greets, awaited="sshd to greet", seconds=deadline.left(), clock=cluster.clock, stop=stop, saw=lambda: last)


def _by_docker(cluster: Cluster, containers: dict[str, list[tuple[str, str]]] | None = None) -> View | str:
    """Return what the Dockers of the hosts have, as an API would tell it; or why that is not known, where none of them answers.

    `containers` is filled with each host's own: the name of each, and the instance that it is.
    """
    found: list[Placement] = []
    heard: list[str] = []
    silent: list[str] = []

    def one(node: Node) -> None:
        try:
            result = node.run("timeout", "-k", "1", f"{pace.limit(5.0):.0f}", "sh", "-c", _LISTS, timeout=pace.limit(8.0))
        except Unreachable as error:
            silent.append(str(error))
            return
        if not result.ok:
            silent.append(f"{node.name}: {gist(result.err.decode(errors='replace')) or 'its Docker gives no answer'}")
            return
        heard.append(node.name)
        for line in result.text.splitlines():
            name, _, rest = line.partition("\t")
            state, _, instance = rest.partition("\t")
            mine = _instances(cluster, name, instance)
            found.extend(Placement(each, node.name, state, state == "running") for each in mine)
            if containers is not None:
                containers.setdefault(node.name, []).extend((name, each) for each in mine)

    on_nodes.on_each(cluster.nodes, one, threading.Event())
    if not heard:
        return "; ".join(silent)
    return View(tuple(sorted(heard)), tuple(sorted(found, key=lambda each: (each.instance, each.node or ""))))


def _instances(cluster: Cluster, container: str, label: str) -> list[str]:
    """Return which instance a container is, by its label or else by its name; nothing for one of nobody's."""
    if label:
        return [label]
    own = [(app, app.native) for app in cluster.apps if app.native is not None and not app.native.label]
    return [
        f"{app.name}@{number}" for app, native in own if (number := dataclasses.replace(native, called=native.container).number(container))
    ]
