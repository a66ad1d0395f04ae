"""Observers: what they record, what they say when they cannot ask, and that nothing ends them but `stop`."""

from __future__ import annotations

import ast
import contextlib
import json
import queue
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import docker
import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError, Unreachable
from harness.core.protocols import Cluster, watchers
from harness.core.values import Container, NodeState, Placement, TaskNames, View
from harness.history.events import ApiSeen, DockerEvent, Event, History, MemberSeen, NodeSeen, Note, Stalled, Watching
from harness.history.recorder import Recorder
from harness.observers import OBSERVERS, agent, docker_events, observers
from harness.observers.docker_events import DockerObserver
from harness.observers.membership import MembershipObserver
from harness.observers.node_truth import AGENT, SILENT_SECONDS, START_SECONDS, HostObserver
from harness.observers.placement import PlacementObserver
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.servers import Behaviour, Request, Response, Server, ServerTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.core.protocols import Node
    from harness.history.interfaces import Observer

T = TypeVar("T")
PATIENT = 10.0
ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4


def or_raise(value: T | Exception) -> T:
    """Return what a double is to say, or raise it."""
    if isinstance(value, Exception):
        raise value
    return value


class Here:
    """A provider whose network is this machine's, and that knows nothing of power."""

    name: ClassVar[str] = "here"

    def network(self, run_id: str) -> contextlib.AbstractContextManager[None]:
        """Nothing to enter."""
        return contextlib.nullcontext()


class Powered(Here):
    """One that does."""

    def __init__(self) -> None:
        self.power = True

    def off(self, node: Node) -> None:
        """Cut it."""
        self.power = False

    def on(self, node: Node) -> None:
        """Give it."""
        self.power = True

    def reboot(self, node: Node) -> None:
        """Off and on."""
        self.power = True

    def is_on(self, node: Node) -> bool:
        """As it is."""
        return self.power


class Talk:
    """A stream that says what the test puts into it. None ends it, as a death does."""

    def __init__(self) -> None:
        self.said: queue.Queue[bytes | None] = queue.Queue()
        self.closed = threading.Event()

    def say(self, *containers: tuple[str, str]) -> None:
        """Print what an agent would."""
        self.said.put(agent.line(list(containers)).encode())

    def lines(self) -> Iterator[bytes]:
        """Yield what is said until the end."""
        while (line := self.said.get(timeout=PATIENT)) is not None:
            yield line

    def close(self) -> None:
        """End it."""
        self.closed.set()
        self.said.put(None)


class TalkingNode(MemoryNode):
    """A node whose agent is spoken for by the test: each stream that is asked for comes out of `talks`."""

    def __init__(self, name: str = "n1", address: str = "127.0.0.1") -> None:
        super().__init__(name, address)
        self.talks: queue.Queue[Talk] = queue.Queue()
        self.argv: tuple[str, ...] = ()

    def stream(self, *argv: str, stdin: bytes = b"") -> Talk:
        """Start a stream."""
        if not self.on:
            raise Unreachable(self.name, "python3", "the machine is off")
        self.argv = argv
        talk = Talk()
        self.talks.put(talk)
        return talk

    def next_talk(self) -> Talk:
        """Wait for the next stream that is asked for."""
        return self.talks.get(timeout=PATIENT)


class WatchedMode(BareMode):
    """A mode whose API and members say what the test sets, an exception being raised."""

    api: View | Exception = View((), ())
    own: tuple[int, str | None] | Exception = (2, "n1")
    open = 0  # ways to members that are held open

    def view(self, cluster: Cluster, node: Node) -> View:
        """As set."""
        return or_raise(self.api)

    @classmethod
    def member(cls) -> str:
        """The agent."""
        return "agent"

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        """The first node."""
        return (cluster.nodes[0].name,)

    @contextlib.contextmanager
    def asking(self, cluster: Cluster, node: Node) -> Iterator[Callable[[], tuple[int, str | None]]]:
        """As set."""
        self.say(open=self.open + 1)
        yield lambda: or_raise(self.own)
        self.say(open=self.open - 1)

    def election(self) -> float:
        """No time at all."""
        return 0.0

    def say(self, **what: Any) -> None:
        """Set it (the class is frozen)."""
        for name, value in what.items():
            object.__setattr__(self, name, value)


class Stage:
    """An observer at work on one cluster."""

    def __init__(self, observer: Observer, cluster: Cluster, recorder: Recorder) -> None:
        self.observer = observer
        self.cluster = cluster
        self.recorder = recorder

    def seen(self, kind: type[Event]) -> list[Any]:
        """Every event of a kind so far."""
        return [event for _, event in History.load(self.recorder.path).each(kind)]

    def until(self, condition: Callable[[], bool], awaited: str = "what the observer should record") -> None:
        """Wait for what the observer's threads do."""
        wait_until(condition, awaited=awaited, seconds=PATIENT, clock=SystemClock(), every=0.005)

    def until_seen(self, kind: type[Event], **fields: Any) -> Any:
        """Wait for an event with these fields, and return it."""
        found: list[Any] = []

        def there() -> bool:
            found[:] = [each for each in self.seen(kind) if all(getattr(each, name) == value for name, value in fields.items())]
            return bool(found)

        self.until(there, f"{kind.__name__} with {fields}")
        return found[-1]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Return what starts an observer; it is stopped at the end, and no thread of it may be left."""
    before = set(threading.enumerate())
    with contextlib.ExitStack() as stack:

        def start(observer: Observer, node: Any, provider: Any = None, mode: Any = None, clock: Any = None) -> Stage:
            provider = provider or Here()
            cluster = Cluster("run", [node], provider, mode or WatchedMode(), clock or SystemClock())
            recorder = stack.enter_context(Recorder(tmp_path / "history.jsonl", cluster.clock))
            stack.callback(observer.stop)
            stack.callback(observer.stop)
            observer.start(cluster, recorder)
            return Stage(observer, cluster, recorder)

        yield start
    assert set(threading.enumerate()) <= before


# ---------------------------------------------------------------- host


def test_host_records_what_the_agent_says(watch: Callable[..., Stage]) -> None:
    """Each line is the whole truth of its moment."""
    node = TalkingNode()
    stage = watch(HostObserver(), node)
    talk = node.next_talk()
    talk.say()
    talk.say((ID, "web@1"), (OTHER, ""))
    stage.until_seen(NodeSeen, containers=(Container(ID, "web@1"), Container(OTHER, "")))
    assert [(each.node, each.state) for each in stage.seen(NodeSeen)] == [("n1", NodeState.UP)] * 2
    assert stage.seen(Watching) == [Watching("host", "n1", alive=True)]


def test_host_notes_what_the_agent_says_of_its_own_looking(watch: Callable[..., Stage]) -> None:
    """It is no line about containers, and no rubbish either."""
    node = TalkingNode()
    stage = watch(HostObserver(), node)
    talk = node.next_talk()
    talk.said.put(agent.note('the kernel does not tell of "x"\n').encode())
    talk.say()
    assert stage.until_seen(Note).text == "n1's agent: the kernel does not tell of ?x??"
    stage.until_seen(NodeSeen, state=NodeState.UP)


def test_host_hands_the_agent_to_the_nodes_own_python(watch: Callable[..., Stage]) -> None:
    """Nothing has to be installed there."""
    node = TalkingNode()
    watch(HostObserver(), node)
    node.next_talk()
    assert node.argv == ("python3", "-I", "-c", AGENT.read_text(encoding="utf-8"))


def test_host_says_off_once_when_the_machine_is_off_and_sees_it_come_back(watch: Callable[..., Stage]) -> None:
    """That nothing runs on a machine without power is known, not guessed."""
    node, provider = TalkingNode(), Powered()
    stage = watch(HostObserver(), node, provider)
    talk = node.next_talk()
    talk.say((ID, "web@1"))
    stage.until_seen(NodeSeen, state=NodeState.UP)
    node.on = provider.power = False
    talk.close()
    stage.until_seen(Watching, detail="the machine is off", alive=True)
    node.on = provider.power = True
    node.next_talk().say()
    stage.until(lambda: len(stage.seen(NodeSeen)) == 3)
    assert [(each.state, each.containers) for each in stage.seen(NodeSeen)] == [
        (NodeState.UP, (Container(ID, "web@1"),)),
        (NodeState.OFF, ()),
        (NodeState.UP, ()),
    ]


def test_host_records_how_late_a_node_was(watch: Callable[..., Stage]) -> None:
    """By its agent's own word; what the node runs has not changed by that."""
    node = TalkingNode()
    stage = watch(HostObserver(), node)
    talk = node.next_talk()
    talk.said.put(b'{"late":3.25}')
    talk.say((ID, "web@1"))
    stage.until_seen(NodeSeen, containers=(Container(ID, "web@1"),))
    found = stage.seen(Stalled)
    assert [(event.who, event.seconds) for event in found] == [("n1", 3.25)]
    assert found[0].since < 0  # it began before anybody watched


@pytest.mark.parametrize("provider", [Here, Powered])
def test_host_says_unreachable_when_an_agent_ends_on_a_machine_that_is_not_off(watch: Callable[..., Stage], provider: type[Here]) -> None:
    """Could-not-ask is never off."""
    node = TalkingNode()
    stage = watch(HostObserver(), node, provider())
    node.next_talk().close()
    seen = stage.until_seen(NodeSeen)
    assert (seen.state, seen.containers, seen.detail) == (NodeState.UNREACHABLE, (), "its agent ended")
    stage.until_seen(Watching, alive=False, detail="its agent ended")
    node.next_talk().say()
    stage.until_seen(NodeSeen, state=NodeState.UP)


@pytest.mark.parametrize("line", [b"Traceback (most recent call last):", b"[" * 100_000], ids=["words", "lists without end"])
def test_host_outlives_an_agent_that_talks_rubbish(watch: Callable[..., Stage], line: bytes) -> None:
    """What is no line of ours is no truth."""
    node = TalkingNode()
    stage = watch(HostObserver(), node)
    node.next_talk().said.put(line)
    stage.until_seen(NodeSeen, state=NodeState.UNREACHABLE, detail=f"its agent printed {line[:80]!r}")
    node.next_talk().say()
    stage.until_seen(NodeSeen, state=NodeState.UP)


def test_host_ends_a_stream_that_has_fallen_silent(watch: Callable[..., Stage]) -> None:
    """A frozen agent's stream does not end by itself."""
    clock = FakeClock()
    node = TalkingNode()
    stage = watch(HostObserver(), node, clock=clock)
    talk = node.next_talk()
    talk.say()
    stage.until_seen(NodeSeen, state=NodeState.UP)

    def ended() -> bool:
        clock.advance(0.25)
        return talk.closed.is_set()

    stage.until(ended, "the silent stream to be closed")
    stage.until_seen(NodeSeen, state=NodeState.UNREACHABLE, detail="its agent said nothing for 2 s")


def test_host_gives_an_agent_longer_to_its_first_word(watch: Callable[..., Stage]) -> None:
    """A Python has to be started first; one that never speaks is ended all the same."""
    clock = FakeClock()
    node = TalkingNode()
    stage = watch(HostObserver(), node, clock=clock)
    talk = node.next_talk()
    began = clock.now()

    def ended() -> bool:
        clock.advance(0.25)
        return talk.closed.is_set()

    stage.until(ended, "the silent stream to be closed")
    assert clock.now() - began > SILENT_SECONDS + START_SECONDS


# ---------------------------------------------------------------- the agent


TASKS = TaskNames("com.docker.swarm.task.name", r"(?P<app>.+)\.(?P<number>[0-9]+)\.[^.]*")
"""As a mode may name its containers."""
OWN = (
    TaskNames("", "hello-(?P<number>[0-9]+)", "hello"),
    TaskNames("com.shop.number", "[0-9]+", "shop"),
    TaskNames("$TASK_ID", "(?P<app>.+)[.](?P<number>[0-9a-f-]+)"),
)
"""As definitions of their users' own may: by the container's name, and by a label; and by a variable, as another mode may."""


class Kernel:
    """The files that the agent looks at, in a folder."""

    def __init__(self, top: Path) -> None:
        self.cgroups, self.proc, self.containers = top / "cgroup", top / "proc", top / "containers"
        for each in (self.cgroups / "system.slice", self.proc, self.containers):
            each.mkdir(parents=True)
        self.labels = agent.Labels(
            [str(self.containers)], tasks=[text for each in (TASKS, *OWN) for text in (each.label, each.pattern, each.of)]
        )
        self.scanner = agent.Scanner([f"{self.cgroups}/system.slice", f"{self.cgroups}/docker"], self.labels, str(self.proc))

    def run(self, container: str, command: str = "web", pid: int = 7, home: str = "system.slice/docker-{}.scope") -> Path:
        """Put a process into a container's group."""
        group = self.cgroups / home.format(container)
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.procs").write_text(f"{pid}\n")
        (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")
        (self.proc / str(pid)).mkdir(exist_ok=True)
        (self.proc / str(pid) / "comm").write_text(f"{command}\n")
        return group

    def label(self, container: str, called: str = "x", **labels: str) -> None:
        """Write what dockerd writes of a container."""
        config = {
            "ID": container,
            "Config": {"Cmd": ['"whalefall.instance":"fake@9"', '"Name":"/hello-9"'], "Labels": {"other": "1"} | labels},
            "Name": f"/{called}",
            "MountPoints": {"/data": {"Name": "hello-8"}},
        }
        folder = self.containers / container
        folder.mkdir(exist_ok=True)
        (folder / "config.v2.json").write_text(json.dumps(config, separators=(",", ":")))

    def scan(self, now: float = 100.0) -> list[tuple[str, str]]:
        """Scan, with all labels read that were asked for."""
        self.scanner.scan(now)
        wait_until(
            lambda: not any(thread.name.endswith("(_read)") for thread in threading.enumerate()),
            awaited="labels",
            seconds=PATIENT,
            clock=SystemClock(),
            every=0.002,
        )
        return self.scanner.scan(now)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """A node on which nothing runs yet."""
    return Kernel(tmp_path)


def test_agent_finds_a_container_by_its_group_and_names_it_by_its_label(kernel: Kernel) -> None:
    """Also one that is not ours, without a name; nothing else in the slice counts."""
    kernel.label(ID, **{"whalefall.instance": "web@1"})
    kernel.label(OTHER)
    kernel.run(ID)
    kernel.run(OTHER, pid=8)
    kernel.run("dbus", pid=9, home="system.slice/{}.service")
    assert kernel.scan() == [(ID, "web@1"), (OTHER, "")]


@pytest.mark.parametrize(
    ("called", "labels", "instance"),
    [
        ("hello-2", {}, "hello@2"),
        ("hello-2x", {}, ""),
        ("a-hello-2", {}, ""),
        ("x", {"Name": "/hello-2"}, ""),
        ("x", {"com.shop.number": "7"}, "shop@1"),
        ("x", {"com.shop.number": "seven"}, ""),
        ("hello-2", {"whalefall.instance": "web@1"}, "web@1"),
        ("hello-2", {"whalefall.app": "web", "com.docker.swarm.task.name": "web.2.57lo3raokbtm"}, "web@2"),
    ],
)
def test_agent_names_a_container_of_a_users_own_by_its_name_or_a_label(
    kernel: Kernel, called: str, labels: dict[str, str], instance: str
) -> None:
    """As the Docker observer does; what only looks like a name, in a command, a label or a volume, names nothing."""
    kernel.label(ID, called, **labels)
    kernel.run(ID)
    assert kernel.scan() == [(ID, instance)]
    assert docker_events.instance({"name": called} | labels, TASKS, *OWN) == instance


@pytest.mark.parametrize(
    ("variables", "instance"),
    [
        (["A=1", "TASK_ID=web.2-a"], "web@2-a"),
        (["TASK_ID=web.2-a", "B=]"], "web@2-a"),
        (['A=x","TASK_ID=web.9', "TASK_ID=web.2-a"], "web@2-a"),
        (['A=","TASK_ID=web.9'], ""),
        (["MY_TASK_ID=web.2"], ""),
        (["TASK_ID=other.2"], ""),
        ([], ""),
    ],
)
def test_agent_names_a_container_by_a_variable_of_its_environment(kernel: Kernel, variables: list[str], instance: str) -> None:
    """As one that an orchestrator gives an id and no label; whatever stands within another variable, or in a command, names nothing."""
    kernel.label(ID, **{"whalefall.app": "web"})
    written = kernel.containers / ID / "config.v2.json"
    body = json.loads(written.read_text())
    body["Config"] = {"Env": variables, **body["Config"], "Cmd": ["x", "TASK_ID=web.8"]}
    written.write_text(json.dumps(body, separators=(",", ":")))
    kernel.run(ID)
    assert kernel.scan() == [(ID, instance)]


def test_agent_knows_the_cgroupfs_layout_too(kernel: Kernel) -> None:
    """Where Docker does not leave its groups to systemd."""
    kernel.label(ID, **{"whalefall.instance": "web@1"})
    kernel.run(ID, home="docker/{}")
    assert kernel.scan() == [(ID, "web@1")]


def test_agent_counts_a_container_from_its_own_first_process(kernel: Kernel) -> None:
    """While only the runtime's process is there, the app does not run."""
    kernel.label(ID, **{"whalefall.instance": "web@1"})
    for name in ("runc:[2:INIT]", "runc", "6", "exe"):
        kernel.run(ID, name)
        assert kernel.scan() == []
    kernel.run(ID, "web")
    assert kernel.scan() == [(ID, "web@1")]


@pytest.mark.parametrize("name", ["runcron", "runc-exporter"])
def test_agent_takes_no_program_for_the_runtime_whose_name_only_begins_like_its(kernel: Kernel, name: str) -> None:
    """The runtime's own is called runc:[…]."""
    kernel.label(ID, **{"whalefall.instance": "web@1"})
    kernel.run(ID, name)
    assert kernel.scan() == [(ID, "web@1")]


@pytest.mark.parametrize("name", ["runc", "exe", "8080"])
def test_agent_counts_a_program_that_is_called_like_a_copy_of_the_runtime_after_an_instant(kernel: Kernel, name: str) -> None:
    """A copy of runc is called so for a millisecond; what is called so for longer is the user's own program."""
    kernel.label(ID, **{"whalefall.instance": "web@1"})
    kernel.run(ID, name)
    assert kernel.scan(100.0) == []
    assert kernel.scan(100.0 + agent.INSTANT_SECONDS) == [(ID, "web@1")]
    kernel.run(OTHER, "runc:[2:INIT]", pid=8)
    assert kernel.scan(100.0) == kernel.scan(200.0) == [(ID, "web@1")]


def test_agent_counts_a_container_until_its_last_process_is_gone(kernel: Kernel) -> None:
    """The group may outlive them, and a process may sit in a group below."""
    kernel.label(ID, **{"whalefall.instance": "web@1"})
    group = kernel.run(ID)
    assert kernel.scan() == [(ID, "web@1")]
    (group / "cgroup.procs").write_text("")
    assert kernel.scan() == [(ID, "web@1")]
    (group / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    assert kernel.scan() == []


def test_agent_uses_the_process_list_where_the_kernel_has_no_events(kernel: Kernel) -> None:
    """Cgroup v1."""
    kernel.label(ID)
    group = kernel.run(ID)
    (group / "cgroup.events").unlink()
    assert kernel.scan() == [(ID, "")]
    (group / "cgroup.procs").write_text("")
    assert kernel.scan() == []


def test_agent_waits_a_little_for_a_label_and_then_tells_of_the_container_all_the_same(kernel: Kernel) -> None:
    """A stalled disk must not hide what runs."""
    kernel.run(ID)
    assert kernel.scanner.scan(100.0) == []
    assert kernel.scanner.scan(100.05) == []
    assert kernel.scanner.scan(100.2) == [(ID, "")]
    kernel.label(ID, **{"whalefall.instance": "web@1"})
    assert kernel.scan(101.0) == [(ID, "web@1")]


def test_agent_names_a_task_of_a_swarm_by_its_slot(kernel: Kernel) -> None:
    """All containers of a service have the same labels of ours, so Docker's own tell which one it is; a task of another service is not ours."""
    kernel.label(ID, **{"whalefall.app": "web", "com.docker.swarm.task.name": "web.12.57lo3raokbtmhshg975z96bnk"})
    kernel.label(OTHER, **{"com.docker.swarm.task.name": "db.1.57lo3raokbtmhshg975z96bnk"})
    kernel.run(ID)
    kernel.run(OTHER, pid=8)
    assert kernel.scan() == [(ID, "web@12"), (OTHER, "")]


@pytest.mark.parametrize(("used", "rest"), [(0.0, 0.025), (0.001, 0.025), (0.01, 0.09), (0.04, 0.36), (1.0, 0.5)])
def test_agent_rests_nine_times_as_long_as_it_worked(used: float, rest: float) -> None:
    """It takes a tenth of one processor at most, and is never so silent that it would be thought dead."""
    assert agent.pause(used) == pytest.approx(rest)
    assert agent.pause(used) + agent.REPEAT_SECONDS < SILENT_SECONDS


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a,b", "ä ö", "x" + "\n"])
def test_agent_takes_no_name_that_would_break_its_line(kernel: Kernel, name: str) -> None:
    """It writes JSON by hand, since the node has no json."""
    kernel.label(ID, **{"whalefall.instance": name})
    assert agent.label(ID, [str(kernel.containers)], []) == ""


def test_agent_does_not_take_half_a_file_for_a_container_without_a_label(kernel: Kernel) -> None:
    """It is read again until it is whole."""
    assert agent.label(ID, [str(kernel.containers)], []) is None
    (kernel.containers / ID).mkdir()
    (kernel.containers / ID / "config.v2.json").write_text('{"ID":"01')
    assert agent.label(ID, [str(kernel.containers)], []) is None


@pytest.mark.parametrize(
    ("folders", "init", "expected"),
    [
        (["system.slice"], "0::/init.scope\n", "system.slice"),
        (["system.slice"], "4:memory:/x\n0::/whalefall/run/n1/init.scope\n", "system.slice"),
        (["a/b/system.slice"], "0::/a/b/init.scope\n", "a/b/system.slice"),
        (["unified/system.slice"], "1:name=systemd:/\n0::/\n", "unified/system.slice"),
        (["system.slice"], "0::/../../x\n", "system.slice"),
    ],
)
def test_agent_finds_where_the_groups_are(tmp_path: Path, folders: list[str], init: str, expected: str) -> None:
    """On pure v2 and hybrid nodes, whether a cgroup namespace hides their path or not."""
    for each in folders:
        (tmp_path / each).mkdir(parents=True)
    top = tmp_path / "unified" if "unified" in folders[0] else tmp_path
    (top / "cgroup.procs").write_text("")
    (tmp_path / "init").write_text(init)
    assert agent.homes(str(tmp_path), str(tmp_path / "init"))[0] == str(tmp_path / expected)


def test_agent_prints_json() -> None:
    """What is written by hand is read by a parser."""
    assert json.loads(agent.line([(ID, "web@1"), (OTHER, "")])) == {"containers": [[ID, "web@1"], [OTHER, ""]]}
    assert json.loads(agent.line([])) == {"containers": []}


@pytest.mark.parametrize(
    ("config", "first"),
    [
        ('{"data-root": "/srv/docker/", "log-level": "info"}', "/srv/docker/containers"),
        ('{"hosts": [], "data-root"  :\n"/data/docker"}', "/data/docker/containers"),
        ("{}", "/data/docker/containers"),
        ('{"data-root": 7}', "/data/docker/containers"),
        (None, "/data/docker/containers"),
    ],
)
def test_agent_looks_where_docker_is_told_to_keep_its_containers(tmp_path: Path, config: str | None, first: str) -> None:
    """In the data root that its configuration names; a host that the harness did not make has its own, or Docker's default."""
    if config is not None:
        (tmp_path / "daemon.json").write_text(config)
    found = agent.homes_of_docker(str(tmp_path / "daemon.json"))
    assert found[0] == first
    assert found[-2:] == ["/data/docker/containers", "/var/lib/docker/containers"]


def test_agent_takes_the_label_from_the_first_folder_that_has_the_container(kernel: Kernel, tmp_path: Path) -> None:
    """Of several data roots a container is in one; one that is in none is asked for again."""
    kernel.label(ID, **{"whalefall.instance": "web@1"})
    assert agent.label(ID, [str(tmp_path / "none"), str(kernel.containers), str(tmp_path / "other")], []) == "web@1"
    assert agent.label(OTHER, [str(tmp_path / "none"), str(kernel.containers)], []) is None


def test_agent_imports_only_what_a_minimal_python_has() -> None:
    """Debian 12's python3-minimal has no json, no ctypes, no asyncio …."""
    tree = ast.parse(AGENT.read_text(encoding="utf-8"))
    names = {alias.name for each in ast.walk(tree) if isinstance(each, ast.Import) for alias in each.names}
    sources = {each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    assert names <= {"errno", "fcntl", "os", "re", "select", "signal", "sys", "threading", "time"}
    assert sources == {"__future__"}


def test_agent_ends_when_nobody_reads_any_more(watch: Callable[..., Stage]) -> None:
    """Its first line goes nowhere; it must not stay on the node."""
    import subprocess  # noqa: PLC0415 - this test alone starts a process

    child = subprocess.Popen([sys.executable, "-I", "-c", AGENT.read_text(encoding="utf-8")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert "containers" in json.loads(child.stdout.readline())
    child.stdout.close()
    assert child.wait(PATIENT) == 0


# ---------------------------------------------------------------- docker


class Daemon(Server):
    """A Docker daemon that has events to tell, or misbehaves."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.events: list[dict[str, Any]] = []
        self.trouble: Behaviour | None = None

    def _answer(self, request: Request) -> Behaviour:
        if self.trouble is not None:
            return self.trouble
        asked = slice_of(request)
        if asked["until"] < asked["since"]:
            return Response(400, b"`since` time cannot be after `until` time")
        return Response(200, b"".join(json.dumps(each).encode() + b"\n" for each in self.events))

    def tell(self, action: str, container: str, at: float, **labels: str) -> None:
        """Have one more event, at a time in seconds since the epoch."""
        self.events.append(
            {"Type": "container", "Action": action, "timeNano": round(at * 1e9), "Actor": {"ID": container, "Attributes": labels}}
        )


def slice_of(request: Request) -> dict[str, float]:
    """Return the times that a daemon is asked for."""
    query = dict(each.split("=") for each in request.path.partition("?")[2].split("&"))
    return {name: float(query[name]) for name in ("since", "until")}


class SetBack(SystemClock):
    """A machine's clocks, of which somebody sets one back."""

    back = 0.0

    def wall(self) -> float:
        """As it was set."""
        return super().wall() - self.back


class DockerNode(MemoryNode):
    """A node with a Docker daemon."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__("n1", "127.0.0.1")
        self.daemon = daemon

    def docker(self, timeout: float) -> docker.DockerClient:
        """Return a client."""
        if not self.on:
            raise Unreachable(self.name, "docker", "the machine is off")
        return docker.DockerClient(base_url=f"http://127.0.0.1:{self.daemon.port}", version="1.41", timeout=1)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A daemon, and little patience with it."""
    monkeypatch.setattr(docker_events, "SLICE_SECONDS", 0.05)
    monkeypatch.setattr(docker_events, "HUNG_SECONDS", 0.2)
    with Daemon() as server:
        yield server


def test_docker_events_are_told_once_and_on_the_runs_clock(watch: Callable[..., Stage], daemon: Daemon) -> None:
    """However often slices overlap; execs and what is no life event are left out."""
    stage = watch(DockerObserver(), DockerNode(daemon))
    at = stage.recorder.wall_origin
    daemon.tell("exec_start: sh", ID, at + 0.5)
    daemon.tell("start", ID, at + 1.25, **{"whalefall.instance": "web@1"})
    daemon.tell("die", OTHER, at + 2.5)
    stage.until_seen(DockerEvent, action="die")
    asked = len(daemon.requests)
    stage.until(lambda: len(daemon.requests) > asked + 2, "more slices")
    start, die = stage.seen(DockerEvent)
    assert (start.node, start.action, start.container, start.instance) == ("n1", "start", ID, "web@1")
    assert (die.container, die.instance) == (OTHER, "")
    assert start.at == pytest.approx(1.25, abs=0.1)
    assert die.at - start.at == pytest.approx(1.25, abs=0.1)


class FarNode(DockerNode):
    """One whose clock is an hour ahead."""

    def offset(self) -> float:
        """An hour."""
        return 3600.0


def test_docker_events_of_a_node_with_a_clock_of_its_own_are_told_on_ours(watch: Callable[..., Stage], daemon: Daemon) -> None:
    """It is asked on its clock, and answers on it."""
    stage = watch(DockerObserver(), FarNode(daemon))
    at = stage.recorder.wall_origin
    daemon.tell("start", ID, at + 3600.0 + 1.25)
    assert stage.until_seen(DockerEvent).at == pytest.approx(1.25, abs=0.1)
    query = dict(each.split("=") for each in daemon.requests[0].path.partition("?")[2].split("&"))
    assert float(query["until"]) > at + 3500.0


@pytest.mark.parametrize(
    ("labels", "instance"),
    [
        ({"whalefall.instance": "web@1", "whalefall.app": "web"}, "web@1"),
        ({"whalefall.app": "web", "com.docker.swarm.task.name": "web.2.57lo3raokbtm"}, "web@2"),
        ({"whalefall.app": "a-b", "com.docker.swarm.task.name": "a-b.10.57lo3raokbtm"}, "a-b@10"),
        ({"com.docker.swarm.task.name": "web.2.57lo3raokbtm"}, ""),
        ({"whalefall.app": "web", "com.docker.swarm.task.name": "web.n1id.57lo3raokbtm"}, ""),
        ({"whalefall.app": "web"}, ""),
        ({}, ""),
    ],
)
def test_a_container_is_named_by_its_label_or_by_its_task(labels: dict[str, str], instance: str) -> None:
    """Only where it is an app of ours; a task of a global service has no slot."""
    assert docker_events.instance(labels, TASKS) == instance
    assert docker_events.instance(labels, None) == labels.get("whalefall.instance", "")


def test_docker_asks_in_slices_that_leave_no_gap(watch: Callable[..., Stage], daemon: Daemon) -> None:
    """Each slice begins before the newest event that was seen, and ends."""
    stage = watch(DockerObserver(), DockerNode(daemon))
    at = stage.recorder.wall_origin + 0.2
    daemon.tell("start", ID, at)
    stage.until_seen(DockerEvent)
    asked = len(daemon.requests)
    stage.until(lambda: len(daemon.requests) > asked + 1, "another slice")
    assert at - 1.0 < slice_of(daemon.requests[-1])["since"] < at


@pytest.mark.parametrize("back", [0.9, 3600.0])
def test_docker_is_asked_on_after_a_clock_was_set_back(watch: Callable[..., Stage], daemon: Daemon, back: float) -> None:
    """The machine's own, which is its nodes' as well: what happens from then on is told, on the run's clock, and nobody takes the daemon for dead."""
    clock = SetBack()
    stage = watch(DockerObserver(), DockerNode(daemon), clock=clock)
    daemon.tell("start", ID, clock.wall() + 0.5)
    stage.until_seen(DockerEvent, action="start")
    clock.back = back
    asked = len(daemon.requests)
    stage.until(lambda: len(daemon.requests) > asked + 2, "more slices")
    daemon.tell("die", ID, clock.wall())
    now = stage.recorder.now()
    assert stage.until_seen(DockerEvent, action="die").at == pytest.approx(now, abs=0.5)
    assert [event.detail for event in stage.seen(Watching) if not event.alive] == []


@pytest.mark.parametrize(
    "trouble", [ServerTrouble.HANG, ServerTrouble.RESET, ServerTrouble.STALL, Response(500, b"oops"), Response(200, b"<html>\n")], ids=str
)
def test_docker_says_that_it_cannot_ask_a_daemon_in_trouble_and_goes_on_after(
    watch: Callable[..., Stage], daemon: Daemon, trouble: Behaviour
) -> None:
    """A hung daemon is told from one that has nothing to say."""
    daemon.trouble = trouble
    stage = watch(DockerObserver(), DockerNode(daemon))
    assert "the Docker daemon" in stage.until_seen(Watching, alive=False).detail
    daemon.trouble = None
    daemon.tell("start", ID, stage.recorder.wall_origin)
    stage.until_seen(DockerEvent, action="start")
    stage.until_seen(Watching, alive=True)


def test_what_a_daemon_says_in_a_line_without_an_end_is_no_event(
    watch: Callable[..., Stage], daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fill our memory; the next one is asked for all the same, and as long as there is."""
    monkeypatch.setattr(docker_events, "LONGEST_LINE", 10_000)
    daemon.trouble = Response(200, b'{"Action": "' + b"x" * 20_000 + b'"}')
    stage = watch(DockerObserver(), DockerNode(daemon))
    assert "told what is no event: a line of more than 10000 bytes" in stage.until_seen(Watching, alive=False).detail
    daemon.trouble = None
    daemon.tell("start", ID, stage.recorder.wall_origin, **{"whalefall.instance": "web@1", "other": "x" * 9_000})
    daemon.tell("die", ID, stage.recorder.wall_origin + 0.1)
    assert stage.until_seen(DockerEvent, action="start").instance == "web@1"
    stage.until_seen(DockerEvent, action="die")


def test_a_daemon_that_says_a_length_below_zero_is_read_with_a_bound(
    watch: Callable[..., Stage], daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library that reads it would take all that comes, for as long as it comes."""
    monkeypatch.setattr(docker_events, "LONGEST_LINE", 10_000)
    daemon.trouble = ServerTrouble.FLOOD
    stage = watch(DockerObserver(), DockerNode(daemon))
    assert "told what is no event: a line of more than 10000 bytes" in stage.until_seen(Watching, alive=False).detail


def test_a_daemon_that_has_no_end_of_things_to_say_is_heard_no_more_once_it_is_time_to_stop() -> None:
    """Nor while they are told: a run that is over does not wait until they all are."""
    watched: Any = SimpleNamespace(stop=threading.Event())
    answer: Any = SimpleNamespace(raw=SimpleNamespace(read1=lambda *_, **__: b"{}\n"))
    told = []
    for line in docker_events._lines(answer, watched):
        told.append(line)
        if len(told) > 2:
            watched.stop.set()
        if len(told) > 9:
            break
    assert told == [b"{}"] * 3


def test_a_daemon_is_not_said_to_hang_where_its_node_gives_no_answer_either(watch: Callable[..., Stage], daemon: Daemon) -> None:
    """Over SSH a lost way and a hung daemon look alike: the node is asked for something else before anything is said of its daemon."""
    daemon.trouble = ServerTrouble.HANG
    node = DockerNode(daemon)
    stage = watch(DockerObserver(), node)
    assert "the Docker daemon hangs" in stage.until_seen(Watching, alive=False).detail
    node.delay = 60.0
    stage = watch(DockerObserver(), node)
    detail = stage.until_seen(Watching, alive=False).detail
    assert "could not ask: the node itself gives no answer" in detail
    assert "hangs" not in detail


def test_docker_says_that_it_cannot_ask_a_machine_that_is_off(watch: Callable[..., Stage], daemon: Daemon) -> None:
    """With the reason."""
    node = DockerNode(daemon)
    node.on = False
    stage = watch(DockerObserver(), node)
    assert stage.until_seen(Watching).detail == "n1: no answer to docker: the machine is off"


# ---------------------------------------------------------------- placement and membership


def sampled(stage: Stage, clock: FakeClock, seconds: float) -> None:
    """Move time on until the observer's thread has slept through so many seconds of it."""
    end = clock.now() + seconds

    def there() -> bool:
        due = clock.next_due()
        if due is not None and due > clock.now():
            if due > end:
                return True
            clock.advance(due - clock.now())
        return False

    stage.until(there, f"{seconds} s of samples")


def test_placement_records_a_view_when_it_changes_and_now_and_then(watch: Callable[..., Stage]) -> None:
    """A steady API is recorded every five seconds, while the word that it is watched comes each second."""
    clock, mode = FakeClock(), WatchedMode()
    first = View(("n1",), (Placement("web@1", "n1", "active", running=True),))
    mode.say(api=first)
    stage = watch(PlacementObserver(), MemoryNode("n1", "127.0.0.1"), mode=mode, clock=clock)
    sampled(stage, clock, 4.0)
    assert stage.seen(ApiSeen) == [ApiSeen("n1", first)]
    assert len(stage.seen(Watching)) == 5
    second = View(("n1",), ())
    mode.say(api=second)
    sampled(stage, clock, 0.5)
    assert stage.seen(ApiSeen) == [ApiSeen("n1", first), ApiSeen("n1", second)]
    sampled(stage, clock, 5.0)
    assert [each.view for each in stage.seen(ApiSeen)] == [first, second, second]


def test_placement_records_an_api_that_does_not_answer_once(watch: Callable[..., Stage]) -> None:
    """With the reason; in other words the next time, it is still the same silence."""
    clock, mode = FakeClock(), WatchedMode()
    mode.say(api=Unreachable("n1", "fleet", "status 503"))
    stage = watch(PlacementObserver(), MemoryNode("n1", "127.0.0.1"), mode=mode, clock=clock)
    sampled(stage, clock, 1.0)
    mode.say(api=Unreachable("n1", "fleet", "timed out"))
    sampled(stage, clock, 1.0)
    mode.say(api=View((), ()))
    sampled(stage, clock, 1.0)
    assert stage.seen(ApiSeen) == [ApiSeen("n1", None, "n1: no answer to fleet: status 503"), ApiSeen("n1", View((), ()))]
    assert [each.alive for each in stage.seen(Watching)] == [False, False, False, True]


def test_an_observer_outlives_a_bug_and_tells_of_it(watch: Callable[..., Stage]) -> None:
    """It says that it could not ask, and asks again."""
    mode = WatchedMode()
    mode.say(api=ZeroDivisionError("a bug"))
    stage = watch(PlacementObserver(), MemoryNode("n1", "127.0.0.1"), mode=mode)
    stage.until_seen(Watching, alive=False, detail="ZeroDivisionError: a bug")
    mode.say(api=View((), ()))
    stage.until_seen(ApiSeen, view=View((), ()))
    stage.until_seen(Watching, alive=True)


def test_membership_records_a_change_of_term_or_leader_or_silence(watch: Callable[..., Stage]) -> None:
    """Each once, and nothing in between."""
    clock, mode = FakeClock(), WatchedMode()
    stage = watch(MembershipObserver(), MemoryNode("n1", "127.0.0.1"), mode=mode, clock=clock)
    sampled(stage, clock, 1.0)
    for own in ((2, None), (3, "n2"), Unreachable("n1", "etcd", "timed out"), (3, "n2")):
        mode.say(own=own)
        sampled(stage, clock, 0.5)
    assert stage.seen(MemberSeen) == [
        MemberSeen("n1", 2, "n1"),
        MemberSeen("n1", 2, None),
        MemberSeen("n1", 3, "n2"),
        MemberSeen("n1", error="n1: no answer to etcd: timed out"),
        MemberSeen("n1", 3, "n2"),
    ]


def test_membership_takes_any_trouble_of_ours_for_silence(watch: Callable[..., Stage]) -> None:
    """Whatever kept the answer from us, the member has said nothing."""
    mode = WatchedMode()
    mode.say(own=HarnessError("etcd at 127.0.0.1: status 503"))
    stage = watch(MembershipObserver(), MemoryNode("n1", "127.0.0.1"), mode=mode)
    assert stage.until_seen(MemberSeen) == MemberSeen("n1", error="etcd at 127.0.0.1: status 503")


def test_membership_keeps_one_way_to_a_member_and_lets_go_of_it_at_the_end(watch: Callable[..., Stage]) -> None:
    """However often it asks."""
    clock, mode = FakeClock(), WatchedMode()
    stage = watch(MembershipObserver(), MemoryNode("n1", "127.0.0.1"), mode=mode, clock=clock)
    sampled(stage, clock, 2.0)
    assert mode.open == 1
    stage.observer.stop()
    assert mode.open == 0


def test_observers_are_chosen_by_what_nodes_and_mode_can_do() -> None:
    """What cannot be watched, or is not there to be asked, is left out."""
    provider: Any = Here()

    def names(node: Any, mode: Any) -> list[str]:
        return [each.name for each in observers(Cluster("run", [node], provider, mode))]

    assert names(MemoryNode("n1", "127.0.0.1"), BareMode()) == ["heartbeat", "placement"]
    assert names(TalkingNode(), WatchedMode()) == ["heartbeat", "host", "placement", "membership"]
    deaf = type("Deaf", (), {"TASKS": None, "name": "deaf"})
    assert names(TalkingNode(), deaf()) == ["heartbeat", "host"]
    assert [watchers(each) for each in (deaf, WatchedMode)] == [("host", "docker"), ("host", "docker", "placement", "membership")]
    assert {name: cls.name for name, cls in OBSERVERS.items()} == {
        name: name for name in ("heartbeat", "host", "docker", "placement", "membership")
    }


def test_an_observer_that_never_started_can_be_stopped() -> None:
    """As when something before it failed."""
    for observer in OBSERVERS.values():
        observer().stop()


def test_an_agent_that_cannot_be_started_is_an_unreachable_node(watch: Callable[..., Stage]) -> None:
    """Even when it is the harness's own machine that lacks something."""

    class Toolless(TalkingNode):
        def stream(self, *argv: str, stdin: bytes = b"") -> Talk:
            raise HarnessError("n1: cannot start nsenter")

    stage = watch(HostObserver(), Toolless())
    stage.until_seen(NodeSeen, state=NodeState.UNREACHABLE, detail="n1: cannot start nsenter")
