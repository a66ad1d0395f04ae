"""Takes over a Mesos cluster that somebody else runs, and leaves it as it was.

It is found by what its daemons answer, on their usual ports, and by what runs on the nodes. What was found is noted (`harness.modes.notes`), and so
is every app before it is deployed.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from harness.core import pace
from harness.core.clock import Deadline, wait_until
from harness.core.errors import CommandFailed, Expired, HarnessError, Unreachable
from harness.modes import notes, on_nodes, profiles
from harness.modes.mesos import marathon_apps, numbering, zookeeper
from harness.modes.mesos.mesos_timers import PINGS, SYNC_TICKS, MesosTimers
from harness.nodes.programs import READ, RUN_SECONDS, literal
from harness.nodes.together import together

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Node
    from harness.core.values import App
    from harness.modes.mesos.marathon_api import MarathonSettings, Rest

SETTLED_SECONDS: Final = 30.0
"""How long a cluster may take to have its leaders and to list every agent: some seconds after an election, or after a machine has started."""
GONE_SECONDS: Final = 60.0
"""How long containers may take to be gone once Marathon tells of none of their tasks: an executor gives them 2 s to stop."""
_LOOK_AGAIN = 0.5
_ENSEMBLE = re.compile(r"zk://(?:[^/]*@)?(?P<hosts>[^/]+)(?:/.*)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|secs|mins|hrs|days|weeks)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "secs": 1.0, "mins": 60.0, "hrs": 3600.0, "days": 86400.0, "weeks": 604800.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|min|h|d|w)")
_SPANS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - what a member's own line may say of itself
DELAY: Final = "restart_delay"
"""The timer that may be nothing."""
_RESTARTED: Final = ("mesos-master", "mesos-agent", "marathon")
"""Daemons that end by themselves when something is wrong, and that systemd starts again."""

# Prints the repr of what runs on this node: what its daemons call it, ZooKeeper's settings, and what systemd says of units. Nothing but
# python3-minimal. The arguments are units, then "--", then hosts whose addresses are wanted. Of other arguments and environments nothing is told:
# they may hold secrets.
_PROGRAM: Final = (
    f"\nimport glob, os, re, socket, stat, subprocess, sys\n{READ}"
    r"""
cut = sys.argv.index("--")
units, hosts = sys.argv[1:cut], set(sys.argv[cut + 1:])
names = {socket.gethostname(), socket.getfqdn()}
keeper = {}
server = re.compile(r"\s*(server\.[0-9]+)\s*=\s*(\[[^]]*\]|[^:\s]+):(.*?)\s*$", re.M)
setting = re.compile(r"\s*(tickTime|syncLimit|dynamicConfigFile)\s*=\s*(.*?)\s*$", re.M)
def named(path):  # any process may name any file: one that is none could be waited for, or have no end
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return ""
    with open(handle, "rb") as file:
        return file.read(1 << 20).decode(errors="replace") if stat.S_ISREG(os.fstat(handle).st_mode) else ""
for path in glob.glob("/proc/[0-9]*/cmdline"):
    process = path[:-len("cmdline")]
    words = read(path).rstrip("\0").split("\0")
    line = " ".join(words).lower()
    if "marathon" in line or "mesos" in line:
        flags = zip(words, words[1:] + [""])
        names.update(word[11:] if word.startswith("--hostname=") else after for word, after in flags if word.split("=")[0] == "--hostname")
        variables = [each.partition("=") for each in read(process + "environ").split("\0")]
        names.update(value for name, _, value in variables if name in ("MESOS_HOSTNAME", "MARATHON_HOSTNAME"))
    if any(word.endswith("QuorumPeerMain") for word in words):
        try:
            home = os.readlink(process + "cwd")
        except OSError:
            home = "/"
        text = named(process + "root" + os.path.join(home, words[-1]))
        settings = dict(setting.findall(text))
        dynamic = settings.pop("dynamicConfigFile", "")
        text += named(process + "root" + os.path.join(home, dynamic)) if dynamic else ""
        members = {name: host.strip("[]") for name, host, rest in server.findall(text) if ":observer" not in rest}
        keeper = {"settings": settings, "members": members} if text else {}
        hosts.update(members.values())
addresses = {}
for host in hosts:
    try:
        addresses[host] = sorted({each[4][0] for each in socket.getaddrinfo(host, None, socket.AF_INET)})
    except (OSError, ValueError):
        addresses[host] = []
shown = []
for unit in units:
    try:
        command = ["systemctl", "show", "--property=LoadState", "--property=RestartUSec", "--", unit]
        shown.append(dict(each.split("=", 1) for each in subprocess.run(command, stdout=subprocess.PIPE).stdout.decode().splitlines()))
    except (OSError, ValueError):
        shown.append({})
print({"names": sorted(names - {""}), "keeper": keeper, "addresses": addresses, "units": dict(zip(units, shown))})
"""
)

# $1 are the ids of an app's containers: they have ended, and Mesos would keep them for hours.
_CLEAR: Final = "set -eu\ndocker rm --force $1 >/dev/null"


@dataclass(frozen=True, slots=True)
class FoundMesos:
    """A cluster that was there before us, and what of ours was put on it."""

    members: tuple[str, ...]  # names of our nodes, sorted
    hosts: Mapping[str, str]  # what Mesos and Marathon call a host → node
    agents: Mapping[str, str]  # node → what its agent calls its host, as constraints name it
    timers: MesosTimers
    stand_in: bool = False  # whether its masters say that they are ours
    remarks: tuple[str, ...] = ()  # what could not be found out, in sentences
    deployed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # app → the nodes on which its image was not there before


@dataclass(frozen=True, slots=True)
class Daemons:
    """How a cluster's daemons are asked, and which units they are to be."""

    rest: Callable[[Cluster, Node], Rest]
    saying: Callable[[Cluster, Node], zookeeper.Saying]
    """What a member of ZooKeeper says of itself. Raises `Unreachable`."""
    units: Mapping[str, str]  # daemon → unit


@dataclass(frozen=True, slots=True)
class _Told:
    """What `_PROGRAM` printed on a node."""

    names: frozenset[str] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)  # of ZooKeeper
    members: tuple[str, ...] = ()  # hosts that it is configured with
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # host → where it is, asked there
    units: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Self:
        """Read it. Raises `ValueError`, `KeyError`, `TypeError` or `AttributeError` for anything else."""
        told: Any = literal(text)
        keeper = told["keeper"]
        return cls(
            frozenset(map(str, told["names"])),
            _texts(keeper.get("settings", {})),
            tuple(str(each) for each in keeper.get("members", {}).values()),
            {str(host): tuple(map(str, at)) for host, at in told["addresses"].items()},
            {str(unit): _texts(said) for unit, said in told["units"].items()},
        )


def _texts(told: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in told.items()}


@dataclass(slots=True)
class _Seen:
    """What there is on one node; where something gave no good answer, in words what came instead."""

    agent: str | None = None  # what it calls its host
    follows: str = ""
    keeper: zookeeper.Saying | None = None
    flags: Mapping[str, str] | None = None  # of its master
    leads: bool = False  # its master
    stand_in: bool = False
    marathon: str | None = None  # the host of the Marathon that leads, as this one has it; empty where that knows none
    silent: dict[str, str] = field(default_factory=dict)
    told: _Told = field(default_factory=_Told)


@dataclass(slots=True)
class _Look:
    """What the nodes were like, once."""

    seen: dict[str, _Seen] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)
    hosts: dict[str, str] = field(default_factory=dict)
    settings: MarathonSettings | None = None
    passing: list[str] = field(default_factory=list)  # what may be so for a moment only
    lasting: list[str] = field(default_factory=list)


def find(cluster: Cluster, daemons: Daemons, profile: MesosTimers) -> FoundMesos:
    """Find Mesos, Marathon and ZooKeeper on the nodes. Changes nothing. Raises one `HarnessError` with everything that keeps them from being used.

    A cluster that is without a leader, or does not list an agent, is asked again for `SETTLED_SECONDS`. What time does not mend is not waited for.
    """
    looked = _look(cluster, daemons)

    def settled() -> bool:
        nonlocal looked
        looked = _look(cluster, daemons)
        return not looked.passing or bool(looked.lasting)

    if looked.passing and not looked.lasting:
        with suppress(Expired):
            wait_until(
                settled,
                awaited="Mesos to have its leaders, and an agent on every node",
                seconds=pace.limit(SETTLED_SECONDS),
                clock=cluster.clock,
                every=_LOOK_AGAIN,
            )
    problems = [*looked.passing, *looked.lasting]
    if problems:
        told = "\n".join(f"  {each}" for each in sorted(problems))
        raise HarnessError(f"no Mesos cluster that could be taken over was found on the nodes:\n{told}")
    timers, remarks = _timers(looked, profile)
    stand_in = any(looked.seen[name].stand_in for name in looked.members)
    agents = {name: seen.agent for name, seen in looked.seen.items() if seen.agent is not None}
    remarks += _unitless(looked, daemons.units)
    return FoundMesos(tuple(sorted(looked.members)), looked.hosts, agents, timers, stand_in, tuple(remarks))


def note(cluster: Cluster, found: FoundMesos) -> None:
    """Note down what was found; see `harness.modes.notes.write`."""
    notes.write(cluster.run_id, dataclasses.asdict(found))


def noted(run_id: str) -> FoundMesos | None:
    """Return what was noted for a run; None where nothing was. Raises `HarnessError` for a note that cannot be read."""
    return notes.read(
        run_id,
        lambda body: FoundMesos(
            tuple(str(each) for each in body["members"]),
            {str(host): str(name) for host, name in body["hosts"].items()},
            {str(name): str(host) for name, host in body["agents"].items()},
            MesosTimers(**body["timers"]),
            bool(body["stand_in"]),
            tuple(body["remarks"]),
            {app: tuple(nodes) for app, nodes in body["deployed"].items()},
        ),
    )


def begin(cluster: Cluster, app: App, daemons: Daemons) -> None:
    """Note that an app is about to be deployed on a cluster that is not ours.

    Raises `HarnessError` where an app or containers of its name are there already and nobody noted that they are ours.
    """
    found = noted(cluster.run_id)
    if found is None:
        raise HarnessError(f"{cluster.run_id}: the cluster was not taken over, so nothing may be deployed on it")
    if app.name in found.deployed:
        return
    if problems := _taken(cluster, daemons, [app], found.members):
        raise HarnessError(f"{app.name} cannot be deployed: {'; '.join(problems)}")
    lacking = together(cluster.nodes, lambda node: on_nodes.lacks_image(node, app.image), "looking for images")
    nodes = tuple(node.name for node, without in zip(cluster.nodes, lacking, strict=True) if without)
    note(cluster, dataclasses.replace(found, deployed={**found.deployed, app.name: nodes}))


def clear(cluster: Cluster, app: App, found: FoundMesos | None, values: Callable[[Node], on_nodes.Values]) -> None:
    """Remove what is left of an app that Marathon has no more: its containers, which Mesos keeps for hours.

    On a cluster that is not ours, of which `found` is the note, also its image where there was none before, and what the run's workloads wrote into
    ZooKeeper. Raises `HarnessError` naming what is still there.
    """
    deadline = Deadline(cluster.clock, pace.limit(GONE_SECONDS))

    def one(node: Node) -> None:
        last = ""

        def ended() -> bool:
            nonlocal last
            last = ", ".join(_containers(node, app, every=False))
            return not last

        wait_until(
            ended,
            awaited=f"{app.name} to stop on {node.name}",
            seconds=deadline.left(),
            clock=cluster.clock,
            every=0.2,
            saw=lambda: f"containers {last}",
        )
        if left := _containers(node, app, every=True):
            on_nodes.script(node, _CLEAR, " ".join(left), deadline=deadline)
        if found is not None and node.name in found.deployed[app.name]:
            node.run("docker", "image", "rm", "--", app.image, timeout=pace.limit(RUN_SECONDS))  # one that somebody uses by now stays

    together(cluster.nodes, one, f"removing {app.name}")
    if found is not None:
        on_nodes.clear_values([cluster.node(name) for name in found.members], values, "ZooKeeper")
        note(cluster, dataclasses.replace(found, deployed={name: each for name, each in found.deployed.items() if name != app.name}))


# ---------------------------------------------------------------- looking


def _look(cluster: Cluster, daemons: Daemons) -> _Look:
    found = _Look()
    rows = together(cluster.nodes, lambda node: _see(cluster, node, daemons), "asking Mesos")
    found.seen = {node.name: seen for node, seen in zip(cluster.nodes, rows, strict=True)}
    _note_hosts(cluster, found)
    _note_members(cluster, found)
    _note_leaders(found)
    _note_agents(cluster, daemons, found)
    if found.members and not found.passing and not found.lasting:
        try:
            found.settings = _at_any(cluster, daemons, found.members, lambda rest: rest.settings())
        except Unreachable:
            found.settings = None
        found.lasting += _taken(cluster, daemons, cluster.apps, found.members)
    return found


def _see(cluster: Cluster, node: Node, daemons: Daemons) -> _Seen:
    """Ask every daemon of one node, and the node itself. Raises `HarnessError` where that does not answer."""
    seen = _Seen()
    rest = daemons.rest(cluster, node)

    def ask(what: str, question: Callable[[], None]) -> None:
        try:
            question()
        except Unreachable as error:
            seen.silent[what] = error.saw

    def agent() -> None:
        seen.agent = rest.host()

    def keeper() -> None:
        seen.keeper = daemons.saying(cluster, node)

    def master() -> None:
        seen.stand_in = rest.stands_in()
        seen.leads = rest.leads()
        seen.flags = rest.flags()

    def marathon() -> None:
        seen.marathon = rest.leader() or ""

    for what, question in (("agent", agent), ("zookeeper", keeper), ("master", master), ("marathon", marathon)):
        ask(what, question)
    ensemble = _ensemble((seen.flags or {}).get("zk", ""))
    argv = ("python3", "-c", _PROGRAM, *daemons.units.values(), "--", *ensemble)
    result = node.run(*argv, timeout=pace.limit(RUN_SECONDS))
    if not result.ok:
        raise CommandFailed(node.name, ("python3", "-c", "…"), result.exit, result.err.decode(errors="replace"), "needs python3")
    try:
        seen.told = _Told.read(result.text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(f"{node.name}: expected what runs there, saw {result.text[:200]!r}") from error
    return seen


def _ensemble(url: str) -> list[str]:
    """Return the hosts of ``zk://user:password@host:port,host:port/path``."""
    found = _ENSEMBLE.fullmatch(url)
    return [each.rpartition(":")[0] or each for each in found["hosts"].split(",")] if found else []


def _note_hosts(cluster: Cluster, found: _Look) -> None:
    """Note what each node may be called by Mesos and Marathon: as its agent says, by its address, and as the machine and its daemons call it."""
    agents = Counter(seen.agent for seen in found.seen.values() if seen.agent is not None)
    found.lasting += [f"{count} agents call their hosts {host}: nobody can tell them apart" for host, count in agents.items() if count > 1]
    others = Counter(name for seen in found.seen.values() for name in seen.told.names)
    for node in cluster.nodes:
        seen = found.seen[node.name]
        found.hosts |= {name: node.name for name in seen.told.names if others[name] == 1 and name not in agents}
        found.hosts[node.address] = node.name
    found.hosts |= {seen.agent: name for name, seen in found.seen.items() if seen.agent is not None}


def _note_members(cluster: Cluster, found: _Look) -> None:
    """Note which nodes are members of ZooKeeper: those that say so, and those that the others are configured with; and that they have all three."""
    addresses = {node.address: node.name for node in cluster.nodes}
    members = {name for name, seen in found.seen.items() if seen.keeper is not None and seen.keeper.mode != "observer"}
    for name, seen in found.seen.items():
        told = seen.told
        wanted = [(f"ZooKeeper of {name} has a member", host) for host in told.members]
        wanted += [(f"the master of {name} is given a ZooKeeper", host) for host in _ensemble((seen.flags or {}).get("zk", ""))]
        for whose, host in wanted:
            at = told.addresses.get(host, ())
            own = any(each == _EVERY_ADDRESS or each.startswith("127.") for each in at)
            known = {name} if own else {addresses[each] for each in at if each in addresses}
            members |= known
            if not known:
                found.lasting.append(f"{whose} {host} ({', '.join(at) or 'no address'}), which is none of our nodes")
    found.members = [node.name for node in cluster.nodes if node.name in members]
    if not members:
        words = "; ".join(f"{name}: {seen.silent.get('zookeeper', 'an observer')}" for name, seen in found.seen.items())
        found.passing.append(f"ZooKeeper answers at no node: {words}")
    for node in cluster.nodes:
        seen = found.seen[node.name]
        if node.name in members:
            wanting = {"zookeeper": "ZooKeeper", "master": "Mesos master", "marathon": "Marathon"}
            found.passing += [
                f"{node.name} ({node.address}) is a member of ZooKeeper, and its {called} gives no good answer: {seen.silent[each]}; "
                "each member must have a master and a Marathon"
                for each, called in wanting.items()
                if each in seen.silent
            ]
            if seen.keeper is not None and seen.keeper.mode == zookeeper.LOOKING:
                found.passing.append(f"{node.name} ({node.address}): ZooKeeper there is in no quorum")
        else:
            stray = [called for called, there in (("a Mesos master", seen.flags is not None), ("a Marathon", bool(seen.marathon))) if there]
            found.lasting += [
                f"{node.name} ({node.address}) has {called} and is no member of ZooKeeper: they must be on the same nodes"
                for called in stray
            ]


def _note_leaders(found: _Look) -> None:
    """Note that one member leads ZooKeeper, and one master and one Marathon the others."""
    if found.passing or found.lasting:
        return  # who is silent may be who leads
    for what, leading in (
        ("member of ZooKeeper", [name for name in found.members if (keeper := found.seen[name].keeper) and keeper.leads]),
        ("master", [name for name in found.members if found.seen[name].leads]),
    ):
        if len(leading) != 1:
            found.passing.append(f"{' and '.join(leading) or 'no node'} says that its {what} leads; expected one")
    for name in found.members:
        host = found.seen[name].marathon or ""
        if not host:
            found.passing.append(f"the Marathon of {name} knows no leader")
        elif host not in found.hosts:
            found.lasting.append(f"the Marathon of {name} says that {host} leads, which is none of our nodes")


def _note_agents(cluster: Cluster, daemons: Daemons, found: _Look) -> None:
    """Note that every node has an agent, and that the leading master lists those and no others."""
    for node in cluster.nodes:
        seen = found.seen[node.name]
        if seen.agent is None:
            found.passing.append(
                f"{node.name} ({node.address}): no Mesos agent gives a good answer there: {seen.silent['agent']}; "
                "every node must have one, since what is lost is expected on any of them"
            )
    if found.passing or found.lasting:
        return
    (leader,) = [name for name in found.members if found.seen[name].leads]
    try:
        listed = daemons.rest(cluster, cluster.node(leader)).agents()
    except Unreachable as error:
        found.passing.append(str(error))
        return
    if isinstance(listed, str):
        found.passing.append(f"the master of {leader} led a moment ago, and sends to {listed}")
        return
    agents = {seen.agent: name for name, seen in found.seen.items()}
    if lacking := sorted(name for host, name in agents.items() if host not in listed):
        found.passing.append(f"the leading master, of {leader}, does not list the agents of {', '.join(lacking)}")
    if strangers := sorted({*listed} - {*agents}):
        found.lasting.append(
            f"the leading master, of {leader}, lists agents that are none of our nodes: {', '.join(strangers)}; work may go there unseen: "
            "have a node for each of them (nodes: in the scenario)"
        )


def _taken(cluster: Cluster, daemons: Daemons, apps: Sequence[App], members: Sequence[str]) -> list[str]:
    """Say what is there already of what apps need for themselves: their ids, their service ports, and what tells their containers apart."""
    try:
        there = _at_any(cluster, daemons, members, lambda rest: rest.apps())
    except Unreachable as error:
        return [str(error)]
    said = []
    for app in apps:
        # Containers are told by either, where its own definition says another id than its name.
        said += [
            f"Marathon has an app {path} already, which is none of this run's; give the app another name"
            for path in sorted({marathon_apps.path(app), f"/{app.name}"} & {*there})
        ]
        for path, ports in there.items():
            if path != marathon_apps.path(app) and (both := marathon_apps.services(app) & ports):
                said.append(f"{app.name} has the service port {min(both)}, as the app {path} that is there already; give it another port")
        rows = together(cluster.nodes, lambda node, app=app: _containers(node, app, every=True), "looking for containers")  # type: ignore[misc]
        said += [
            f"{node.name} has a container {each} of an app {marathon_apps.path(app)} that is not ours; give the app another name"
            for node, found in zip(cluster.nodes, rows, strict=True)
            for each in found
        ]
    return said


def _containers(node: Node, app: App, *, every: bool) -> list[str]:
    """Return the ids of an app's containers on a node, those that run or all that there are, by the label that Marathon gives each."""
    which = ("--all",) if every else ()
    told = on_nodes.docker(node, "ps", *which, "--format", '{{.ID}} {{.Label "MESOS_TASK_ID"}}', "--filter", "label=MESOS_TASK_ID")
    begun = numbering.begun(marathon_apps.path(app))
    rows = [line.partition(" ") for line in told.splitlines()]
    return [number for number, _, task in rows if numbering.app_of(task.strip()) == begun]


def _at_any(cluster: Cluster, daemons: Daemons, members: Sequence[str], ask: Callable[[Rest], Any]) -> Any:
    nodes = [cluster.node(name) for name in members]
    return on_nodes.at_first(nodes, lambda node: ask(daemons.rest(cluster, node)), "Marathon", "its API at every member")


# ---------------------------------------------------------------- timers and units


def _timers(found: _Look, profile: MesosTimers) -> tuple[MesosTimers, list[str]]:
    """Return the timers that are in force, and remarks on what could not be read, or is not as one would think."""
    seen: dict[str, dict[str, float]] = {each.name: {} for each in dataclasses.fields(MesosTimers)}
    remarks: list[str] = []
    for name in found.members:
        for timer, seconds in read_flags(found.seen[name].flags or {}).items():
            seen[timer][name] = seconds
        settings = found.seen[name].told.settings
        with suppress(KeyError, ValueError):
            seen["zk_tick"][name] = _as_if(float(settings["tickTime"]) / 1000.0, float(settings["syncLimit"]), SYNC_TICKS)
    for name, each in found.seen.items():
        delays = [span(unit.get("RestartUSec", "")) for unit in _loaded(each, _RESTARTED).values()]
        if known := [delay for delay in delays if delay is not None]:
            seen[DELAY][name] = max(known)
    if (told := found.settings) is not None:
        for timer, milliseconds in dataclasses.asdict(told).items():
            # That of masters and of Marathon is one timer, so the longer one counts.
            if milliseconds is not None and milliseconds / 1000.0 > max(seen[timer].values(), default=0.0):
                seen[timer] = {"Marathon": milliseconds / 1000.0}
    for name in found.members:
        pings = (found.seen[name].flags or {}).get("max_agent_ping_timeouts", str(PINGS))
        if pings != str(PINGS):
            remarks.append(
                f"the master of {name} bears {pings} pings without an answer, and not {PINGS}: agent_ping_timeout is told as if it did"
            )
    made, more = profiles.in_force(profile, {timer: _possible(timer, by_node) for timer, by_node in seen.items()})
    return made, [*remarks, *more]


def _possible(timer: str, by_node: Mapping[str, float]) -> dict[str, float]:
    """Return what of a timer can be so: no time at all is a delay alone, and what has no end, or is less than nothing, is none."""
    return {
        name: seconds for name, seconds in by_node.items() if math.isfinite(seconds) and (seconds > 0 or (timer == DELAY and seconds == 0))
    }


def read_flags(flags: Mapping[str, str]) -> dict[str, float]:
    """Return the timers that a master's flags tell, in seconds; those that cannot be read are left out. Pure."""
    found = {}
    for name in ("agent_ping_timeout", "agent_reregister_timeout", "zk_session_timeout"):
        if match := _DURATION.fullmatch(flags.get(name, "")):
            found[name] = float(match[1]) * _SECONDS[match[2]]
    if "agent_ping_timeout" in found:
        with suppress(ValueError):
            pings = float(flags.get("max_agent_ping_timeouts", PINGS))
            found["agent_ping_timeout"] = _as_if(found["agent_ping_timeout"], pings + 1, PINGS + 1)
    return found


def _as_if(seconds: float, count: float, usual: int) -> float:
    """Return how long each of as many as usual takes, if so many take `seconds` each: budgets are reckoned with the usual number."""
    return seconds * count / usual


def span(text: str) -> float | None:
    """Read a time as systemd writes it, e.g. ``1min 30s``; None for what is none. Pure."""
    parts = [_SPAN.fullmatch(each) for each in text.split()]
    return sum(float(each[1]) * _SPANS[each[2]] for each in parts if each) if parts and all(parts) else None


def _loaded(seen: _Seen, daemons: Sequence[str]) -> dict[str, Mapping[str, str]]:
    units = {name: seen.told.units.get(f"{name}.service", {}) for name in daemons}
    return {name: unit for name, unit in units.items() if unit.get("LoadState") == "loaded"}


def _unitless(found: _Look, units: Mapping[str, str]) -> list[str]:
    """Say, in a line for each, which daemons are no units of the name by which faults, checks and actions know them."""
    said = []
    for daemon, unit in units.items():
        wanted = found.seen if daemon not in {"zookeeper", "mesos-master", "marathon"} else found.members
        without = [name for name in wanted if found.seen[name].told.units.get(unit, {}).get("LoadState") != "loaded"]
        if without and daemon not in {"haproxy", "haproxy-feeder"}:
            said.append(
                f"{', '.join(without)}: there is no unit {unit}, so that nothing can be done to {daemon} there by that name; give its unit that "
                f"name as well: ln -s /lib/systemd/system/ITS.service /etc/systemd/system/{unit} && systemctl daemon-reload"
            )
    return said
