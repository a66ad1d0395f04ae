"""Takes over a fleet cluster that somebody else runs, and leaves it as it was.

What was found is noted (`harness.modes.notes`), and so is every app before it is deployed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from harness.core import pace
from harness.core.clock import Deadline, wait_until
from harness.core.errors import CommandFailed, Expired, HarnessError, Unreachable, of_node
from harness.core.instances import APP_LABEL
from harness.core.protocols import Running
from harness.host import untrusted
from harness.modes import notes, on_nodes, profiles
from harness.modes.etcd import CLIENT_PORT
from harness.modes.fleet import unit_files
from harness.modes.fleet.fleet_timers import FleetTimers
from harness.nodes.programs import READ, literal
from harness.nodes.together import together
from harness.web import Site, WebTrouble

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Node
    from harness.core.values import App
    from harness.modes.fleet.fleet_api import Api, FleetMachine

WITHDRAW_SECONDS = 60.0
"""How long an app may take to be gone: fleet's agents look every 5 s, and a container gets 2 s to stop."""

_ETCD_SECONDS = 3.0
_GONE = {204, 404}  # HTTP: done, and: there is no such unit
_COMMAND_SECONDS = 30.0
_FLEET_CONF = "/etc/fleet/fleet.conf"
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|us|µs|ns|s))+")
_PART = re.compile(r"(?<![0-9])([0-9]+(?:\.[0-9]+)?)(h|ms|m|us|µs|ns|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

# Prints the repr of what the daemons of this node were started with, in so far as it is about timers: arguments and environments may hold secrets.
# Nothing but python3-minimal. argv[1] is fleet's usual configuration file.
_PROGRAM = (
    f"\nimport glob, re, sys\n{READ}"  # as in `harness.undo.fingerprint`
    r"""
wanted = re.compile(r"(FLEET_(AGENT_TTL|ENGINE_RECONCILE_INTERVAL|ETCD_REQUEST_TIMEOUT)|ETCD_(HEARTBEAT_INTERVAL|ELECTION_TIMEOUT|CONFIG_FILE))=")
flag = re.compile(r"--?(config|config-file|heartbeat-interval|election-timeout)(?:=(.*))?$", re.S)
line = re.compile(r"\s*(agent_ttl|engine_reconcile_interval|etcd_request_timeout|heartbeat-interval|election-timeout)\s*[=:]\s*(.*?)\s*$", re.M)
found = {}
for comm in glob.glob("/proc/[0-9]*/comm"):
    name = read(comm).strip()
    if name not in ("etcd", "fleetd") or name in found:
        continue
    process = comm[:-len("comm")]
    words = read(process + "cmdline").split("\0")
    flags = {}
    for number, word in enumerate(words):
        match = flag.match(word)
        if match:
            following = words[number + 1] if number + 1 < len(words) else ""
            flags[match[1]] = match[2] if match[2] is not None else following
    environ = dict(each.split("=", 1) for each in read(process + "environ").split("\0") if wanted.match(each))
    path = flags.get("config-file") or environ.get("ETCD_CONFIG_FILE", "") if name == "etcd" else flags.get("config") or sys.argv[1]
    found[name] = {"flags": flags, "environ": environ, "config": path, "file": dict(line.findall(read(path))) if path else {}}
print(found)
"""
)

# $1 are the ids of an app's containers, then come its units. Takes away what a stopped unit leaves.
_CLEAR = r"""
set -eu
left=$1
shift
if [ -n "$left" ]; then docker rm --force $left >/dev/null; fi
for unit; do systemctl reset-failed "$unit" 2>/dev/null || true; done
"""


@dataclass(frozen=True, slots=True)
class FoundFleet:
    """A control plane that was found, and what of ours was put on it."""

    members: Mapping[int, str]  # etcd member id → node
    timers: FleetTimers
    remarks: tuple[str, ...] = ()  # what could not be found out, in sentences
    deployed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # app → the nodes on which its image was not there before


def find(cluster: Cluster, api_of: Callable[[Cluster, Node], Api], profile: FleetTimers) -> FoundFleet:
    """Find fleet and etcd on the nodes. Changes nothing on them. Raises one `HarnessError` with all that is missing, and what was found.

    A fleet that lists some of the nodes only, or answers at some only, is asked again for as long as a machine's lease lasts.
    """
    machines, problems = _settled(cluster, api_of, pace.limit(profile.agent_ttl))
    members = _members(cluster, problems)
    if not problems:
        problems += _misfits(cluster, api_of, machines)
        problems += _foreign_everywhere(cluster)
    if problems:
        told = "\n".join(f"  {each}" for each in problems)
        listed = ", ".join(sorted(each.address or each.id for each in machines)) or "nothing"
        raise HarnessError(f"no fleet cluster that could be taken over was found on the nodes; fleet lists {listed}:\n{told}")
    timers, remarks = read_timers(together(cluster.nodes, _asked, "asking for timers"), [node.name for node in cluster.nodes], profile)
    return FoundFleet(members, timers, tuple(remarks))


def note(cluster: Cluster, found: FoundFleet) -> None:
    """Note down what was found; see `harness.modes.notes.write`."""
    body = dataclasses.asdict(found)
    notes.write(cluster.run_id, {**body, "members": {str(number): name for number, name in found.members.items()}})


def noted(run_id: str) -> FoundFleet | None:
    """Return what was noted for a run; None where nothing was. Raises `HarnessError` for a note that cannot be read."""
    return notes.read(
        run_id,
        lambda body: FoundFleet(
            {int(number): str(name) for number, name in body["members"].items()},
            FleetTimers(**body["timers"]),
            tuple(body["remarks"]),
            {app: tuple(nodes) for app, nodes in body["deployed"].items()},
        ),
    )


def begin(cluster: Cluster, app: App, api_of: Callable[[Cluster, Node], Api]) -> None:
    """Note that an app is about to be deployed on a cluster that is not ours. On one of ours it does nothing.

    Raises `HarnessError` where units or containers of these names are there already and nobody noted that they are ours.
    """
    if not isinstance(cluster.provider, Running):
        return
    found = noted(cluster.run_id)
    if found is None:
        raise HarnessError(f"{cluster.run_id}: the cluster was not taken over, so nothing may be deployed on it")
    if app.name in found.deployed:
        return
    problems = [*_units_there(app, at_any(cluster, api_of, lambda api: api.units())), *_foreign(cluster, app)]
    if problems:
        raise HarnessError(f"{app.name} cannot be deployed: {'; '.join(problems)}; give the app another name")
    lacking = together(cluster.nodes, lambda node: on_nodes.lacks_image(node, app.image), "looking for images")
    nodes = tuple(node.name for node, without in zip(cluster.nodes, lacking, strict=True) if without)
    note(cluster, dataclasses.replace(found, deployed={**found.deployed, app.name: nodes}))


def withdraw(cluster: Cluster, app: App, api_of: Callable[[Cluster, Node], Api], values: Callable[[Node], on_nodes.Values]) -> None:
    """Remove an app's units, containers, and images that were not there before, and what the run wrote into etcd.

    See `harness.core.protocols.Adopting.withdraw`. On a cluster that is not ours only what was noted by `begin` is touched. Raises `HarnessError`
    naming what is still there.
    """
    found = noted(cluster.run_id) if isinstance(cluster.provider, Running) else None
    if isinstance(cluster.provider, Running) and (found is None or app.name not in found.deployed):
        return
    names = {unit_files.unit_name(instance, app) for instance in app.names}
    deadline = Deadline(cluster.clock, pace.limit(WITHDRAW_SECONDS))
    last = "not asked yet"

    def destroyed() -> bool:
        nonlocal last
        try:
            # A run may have scaled it meanwhile: none of its units was there when it was deployed, whatever its number.
            names.update(_units_of(app, at_any(cluster, api_of, lambda api: (*api.units(), *api.states()))))
            for name in sorted(names):
                at_any(cluster, api_of, lambda api, name=name: destroy(api, name))  # type: ignore[misc]
            left = _units_of(app, at_any(cluster, api_of, lambda api: (*api.units(), *api.states())))
        except Unreachable as error:
            last = str(error)
            return False
        last = f"fleet still lists {', '.join(sorted(left))}"
        return not left

    wait_until(destroyed, awaited=f"fleet to forget {app.name}", seconds=deadline.left(), clock=cluster.clock, every=0.2, saw=lambda: last)

    def stopped(node: Node) -> None:
        told = ""

        def none_runs() -> bool:
            nonlocal told
            told = " ".join(_containers(node, app, every=False))
            return not told

        wait_until(
            none_runs,
            awaited=f"{app.name} to stop on {node.name}",
            seconds=deadline.left(),
            clock=cluster.clock,
            every=0.2,
            saw=lambda: f"containers {told}",
        )
        on_nodes.script(node, _CLEAR, " ".join(_containers(node, app, every=True)), *sorted(names), deadline=deadline)
        if found is not None and node.name in found.deployed[app.name]:
            node.run("docker", "image", "rm", "--", app.image, timeout=pace.limit(_COMMAND_SECONDS))  # one that somebody uses by now stays

    together(cluster.nodes, stopped, f"removing {app.name}")
    if found is not None:
        on_nodes.clear_values([cluster.node(name) for name in sorted(found.members.values())], values, "etcd")
        note(cluster, dataclasses.replace(found, deployed={name: each for name, each in found.deployed.items() if name != app.name}))


def read_timers(told: Sequence[str], names: Sequence[str], profile: FleetTimers) -> tuple[FleetTimers, list[str]]:
    """Return the timers that the daemons of all nodes were started with, and remarks on what could not be read. Pure.

    Where nodes differ the longest counts: a budget is what recovery may take at most. What no node tells is taken from the profile.
    """
    seen: dict[str, dict[str, float]] = {}  # timer → node → seconds
    remarks: list[str] = []
    for name, text in zip(names, told, strict=True):
        try:
            daemons: dict[str, Any] = literal(text)
            values = {**_fleet_timers(daemons.get("fleetd")), **_etcd_timers(daemons.get("etcd"))}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            remarks.append(f"the timers of {name} could not be read ({error})")
            continue
        if "fleetd" not in daemons:
            remarks.append(f"no process fleetd was seen on {name}, so its timers are not known")
        for timer, seconds in values.items():
            seen.setdefault(timer, {})[name] = seconds
    made, told_of_them = profiles.in_force(profile, seen)
    return made, [*remarks, *told_of_them]


def seconds_of(duration: str) -> float:
    """Read a duration as Go writes it, e.g. ``1m30s``, or a plain number of seconds. Raises `ValueError`."""
    text = duration.strip().strip("\"'")
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return float(text)


def _fleet_timers(daemon: Mapping[str, Any] | None) -> dict[str, float]:
    """Give what one fleetd runs with: its environment before its file, upstream's own where neither says anything (fleet v1.0.0, globalconf)."""
    if daemon is None:
        return {}
    default = FleetTimers()
    found = {}
    for name in ("agent_ttl", "engine_reconcile_interval", "etcd_request_timeout"):
        said = daemon["environ"].get(f"FLEET_{name.upper()}") or daemon["file"].get(name)
        found[name] = seconds_of(said) if said else float(getattr(default, name))
    return found


def _etcd_timers(daemon: Mapping[str, Any] | None) -> dict[str, float]:
    """Give what one etcd runs with: its file alone where it has one, or else its flags before its environment (etcd v3.4, etcdmain)."""
    if daemon is None:
        return {}
    default = FleetTimers()
    found = {}
    for name in ("heartbeat-interval", "election-timeout"):
        field_name = f"etcd_{name.replace('-', '_')}"
        variable = f"ETCD_{name.replace('-', '_').upper()}"
        said = daemon["file"].get(name) if daemon["config"] else daemon["flags"].get(name) or daemon["environ"].get(variable)
        found[field_name] = float(str(said).strip("\"'")) / 1000.0 if said else float(getattr(default, field_name))
    return found


def _asked(node: Node) -> str:
    result = node.run("python3", "-c", _PROGRAM, _FLEET_CONF, timeout=pace.limit(_COMMAND_SECONDS))
    if not result.ok:
        raise CommandFailed(node.name, ("python3", "-c", "…"), result.exit, result.err.decode(errors="replace"), "needs python3-minimal")
    return result.text


def _settled(cluster: Cluster, api_of: Callable[[Cluster, Node], Api], seconds: float) -> tuple[Sequence[FleetMachine], list[str]]:
    """Return fleet's machines and what is wrong with them, the last word after `seconds` at most.

    A busy fleetd that is late with its heartbeat drops out of every list until the next one, and one that restarts does not answer for a moment:
    neither says that the cluster is not there. What time does not mend is not waited for.
    """
    machines, passing, lasting = _machines(cluster, api_of)

    def agreed() -> bool:
        nonlocal machines, passing, lasting
        machines, passing, lasting = _machines(cluster, api_of)
        return not passing or bool(lasting) or not machines

    if passing and not lasting and machines:
        with contextlib.suppress(Expired):
            wait_until(agreed, awaited="fleet to list every node at each of them", seconds=seconds, clock=cluster.clock, every=0.5)
    return machines, [*passing, *lasting]


def _machines(cluster: Cluster, api_of: Callable[[Cluster, Node], Api]) -> tuple[Sequence[FleetMachine], list[str], list[str]]:
    """Ask fleet at every node for its machines, and hold them against our nodes: return them, and what is wrong now and what for good."""
    passing: list[str] = []
    names = {node.address: node.name for node in cluster.nodes}
    machines: dict[str, FleetMachine] = {}
    lock = threading.Lock()

    def one(node: Node) -> None:
        try:
            listed = api_of(cluster, node).machines()
        except Unreachable as error:
            with lock:
                passing.append(f"{node.name} ({node.address}): fleet's API does not answer there: {error.saw}; is fleet.socket enabled?")
            return
        lacking = sorted(set(names.values()) - {names.get(each.address, "") for each in listed})
        with lock:
            machines.update({each.id: each for each in listed})
            if lacking:
                passing.append(f"{node.name}: fleet there does not list {', '.join(lacking)}")

    together(cluster.nodes, one, "asking fleet")
    strangers = sorted(each.address or each.id for each in machines.values() if each.address not in names)
    lasting = [
        f"fleet lists machines that are none of our nodes: {each}; work may go there unseen: "
        "have a node for each of them (nodes: in the scenario), or mend their public_ip"
        for each in [", ".join(strangers)]
        if each
    ]
    return list(machines.values()), sorted(passing), lasting


def _members(cluster: Cluster, problems: list[str]) -> Mapping[int, str]:
    """Ask etcd for its members, at the first node that has one, and hold them against our nodes."""
    told: Mapping[int, tuple[str, ...]] = {}
    silent = []
    for node in cluster.nodes:
        try:
            told = _member_addresses(node.address)
            break
        except HarnessError as error:
            silent.append(of_node(node.name, error))
    if not told:
        problems.append(f"etcd answers at no node: {'; '.join(silent)}")
        return {}
    names = {node.address: node.name for node in cluster.nodes}
    found: dict[int, str] = {}
    for number, addresses in told.items():
        name = next((names[each] for each in addresses if each in names), None)
        if name is None:
            problems.append(f"etcd has a member {number:x} at {', '.join(addresses) or 'no address'}, which is none of our nodes")
        else:
            found[number] = name
    return found


def _misfits(cluster: Cluster, api_of: Callable[[Cluster, Node], Api], machines: Sequence[FleetMachine]) -> list[str]:
    """Say what would keep our apps from being deployed."""
    there = at_any(cluster, api_of, lambda api: api.units())
    pins = {each.metadata.get("name", "") for each in machines}
    said = [
        f"{app.name} is pinned to {app.pin}, and no machine has the metadata name={app.pin}"
        for app in cluster.apps
        if app.pin is not None and app.pin not in pins
    ]
    return [*said, *(each for app in cluster.apps for each in _units_there(app, there))]


def _units_there(app: App, there: Sequence[Any]) -> list[str]:
    names = _units_of(app, there)
    mine = sorted(f"{each.name} ({each.current or each.desired})" for each in there if each.name in names)
    return [f"units of the app {app.name} are there already and are not ours: {', '.join(mine)}"] if mine else []


def _units_of(app: App, there: Iterable[Any]) -> set[str]:
    """Return the names of those units that an app has, or may have when it is scaled: one a number."""
    if (own := app.native) is not None:
        return {each.name for each in there if own.number(each.name) is not None}
    ours = re.compile(re.escape(app.name) + r"@[0-9]+\.service")
    return {each.name for each in there if ours.fullmatch(each.name)}


def _foreign_everywhere(cluster: Cluster) -> list[str]:
    return [each for app in cluster.apps for each in _foreign(cluster, app)]


def _foreign(cluster: Cluster, app: App) -> list[str]:
    """Say which containers have the names that an app's will have, and are not of an app of ours: its units would remove them."""
    if app.native is not None:
        there = together(cluster.nodes, lambda node: _containers(node, app, every=True), "looking for containers")
        return [
            f"{node.name} has a container {each} that {app.name} would take for its own"
            for node, found in zip(cluster.nodes, there, strict=True)
            for each in found
        ]
    ours = re.compile(re.escape(app.name) + "-[0-9]+")

    def one(node: Node) -> list[str]:
        rows = [
            line.partition(" ")
            for line in on_nodes.docker(node, "ps", "--all", "--format", f'{{{{.Names}}}} {{{{.Label "{APP_LABEL}"}}}}').splitlines()
        ]
        return [
            f"{node.name} has a container {name} that is not ours"
            for name, _, label in rows
            if ours.fullmatch(name) and label.strip() != app.name
        ]

    return [each for found in together(cluster.nodes, one, "looking for containers") for each in found]


def _containers(node: Node, app: App, *, every: bool) -> list[str]:
    """Return the ids of an app's containers on a node, those that run or all that there are."""
    which = ("--all",) if every else ()
    if (called := app.called) is None:
        return on_nodes.docker(node, "ps", *which, "--quiet", "--filter", f"label={APP_LABEL}={app.name}").split()
    shown = f'{{{{.Label "{called.label}"}}}}' if called.label else "{{.Names}}"
    rows = [line.partition(" ") for line in on_nodes.docker(node, "ps", *which, "--format", f"{{{{.ID}}}} {shown}").splitlines()]
    return [number for number, _, said in rows if any(re.fullmatch(called.pattern, each) for each in said.split(","))]


def _member_addresses(address: str) -> Mapping[int, tuple[str, ...]]:
    """Return the hosts that each etcd member's URLs name, by member id, from one member's own memory. Raises `HarnessError`."""
    site = Site(address, CLIENT_PORT)
    try:
        answer = site.exchange("POST", "/v3/cluster/member/list", seconds=pace.limit(_ETCD_SECONDS), body=b"{}")
    finally:
        site.close()
    try:
        body: Any = untrusted.loads(answer.body)
        urls = {int(each["ID"]): [*each.get("peerURLs", ()), *each.get("clientURLs", ())] for each in body["members"]}
        return {number: tuple(dict.fromkeys(urlsplit(url).hostname or "" for url in each)) for number, each in urls.items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        saw = answer.body[:120].decode(errors="replace")
        raise HarnessError(f"etcd at {address}: expected an etcd 3.4 list of members, saw status {answer.status}: {saw}") from error


def destroy(api: Api, unit: str) -> None:
    """Make fleet forget a unit and stop it wherever it runs; one that is not there is fine. Returns before it has stopped. Raises `Unreachable`."""
    path = f"/fleet/v1/units/{quote(unit)}"
    site = Site(api.address, api.port)
    try:
        answer = site.exchange("DELETE", path, seconds=api.timeout)
    except WebTrouble as error:
        raise Unreachable(api.node, f"DELETE {path}", error.words) from error
    finally:
        site.close()
    if answer.status not in _GONE:
        raise Unreachable(api.node, f"DELETE {path}", f"{answer.status}: {answer.body[:200].decode(errors='replace')}")


def at_any(cluster: Cluster, api_of: Callable[[Cluster, Node], Api], ask: Callable[[Api], Any]) -> Any:
    """Ask fleet at the first node that answers. Raises `Unreachable` with every node's words where none does."""
    return on_nodes.at_first(cluster.nodes, lambda node: ask(api_of(cluster, node)), "fleet", "its API at every node")
