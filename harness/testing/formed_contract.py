"""What every mode must do with a cluster that it has formed; see `harness.testing.contracts` for how it is used.

`FORMED` wants a cluster with an app on it, whose provider can cut power; what a mode cannot do (no `Quorum`, no `Registers`, no `Adopting` …) is not
asked of it::

    @pytest.mark.parametrize("promise", FORMED.values(), ids=FORMED)
    def test_formed(promise):
        promise(FormedCase(cluster, app, spare, Fleet, runs))

What a mode says of itself before that is in `harness.testing.mode_contract`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from harness.core.clock import wait_until
from harness.core.errors import Expired, HarnessError, NoGoodAnswer, Unreachable, in_words
from harness.core.protocols import (
    Adopting,
    Cluster,
    LogFiles,
    Mode,
    Node,
    Power,
    Quorum,
    Registers,
    Removing,
    Restarting,
    Updating,
    Viewing,
)
from harness.core.values import App, View
from harness.host import untrusted
from harness.testing.contracts import ContractBroken, require, same
from harness.testing.store_contract import STORE, StoreCase
from harness.undo.fingerprint import differences, fingerprint

READY_SECONDS = 120.0
"""How long a cluster may take to be whole again after a node had no power."""
ASK_SECONDS = 5.0
"""How long a value is asked for at most."""


# What an app may leave on a node; not what its daemons write all the time. $0 is "find".
_HELD = r"""
set -eu
for folder in /etc /home /opt /root /srv /usr/local /var /run/fleet /run/systemd/system; do
    [ ! -d "$folder" ] || find "$folder" -xdev \
        -regex "/var/\(cache\|log\|tmp\|lib/\(containerd\|docker\|etcd\|private\|systemd\)\)" -prune -o -print
done
if command -v docker >/dev/null; then
    docker ps --all --format "container {{.Names}}"
    docker images --format "image {{.Repository}}:{{.Tag}}"
    docker volume ls --format "volume {{.Name}}"
    docker network ls --format "network {{.Name}}"
fi
"""
# Containers of the app $1 that run, each with its environment; one that ends meanwhile is left out.
_CONTAINERS = r"""
set -eu
ids=$(docker ps --quiet --no-trunc --filter "label=whalefall.app=$1")
for each in $ids; do
    docker inspect --format "{{.Id}} {{json .Config.Env}}" "$each" 2>/dev/null || :
done
"""
SHOWN = 5
"""Things that were left on a node and that are named."""


def held(node: Node) -> frozenset[str]:
    """Return what a node has that an app may leave there: files, containers, images, volumes and networks, by the node itself."""
    result = node.run("sh", "-c", _HELD, timeout=READY_SECONDS)
    require(result.ok, f"{node.name} tells what it has", f"status {result.exit}: {result.err.decode(errors='replace')}")
    return frozenset(result.text.splitlines())


def containers(node: Node, app: App) -> Mapping[str, frozenset[str]]:
    """Return the containers of an app that run on a node, by the node's own Docker, each by its id with its environment: ``NAME=value``."""
    result = node.run("sh", "-c", _CONTAINERS, "sh", app.name, timeout=READY_SECONDS)
    require(result.ok, f"{node.name} tells its containers", f"status {result.exit}: {result.err.decode(errors='replace')}")
    told = (line.partition(" ") for line in result.text.splitlines())
    return {
        number: frozenset(map(str, cast("list[object]", untrusted.loads(environment.encode()) or []))) for number, _, environment in told
    }


@dataclass(frozen=True)
class FormedCase:
    """A cluster of a mode that was formed, with `app` on it, and `spare` as an app that is not there yet.

    `make` gives the mode anew, as another process has it. Its provider can cut power. `runs` says which instances run on a node, by the node itself,
    `holds` what it has that an app may leave there, and `made` which containers of an app run there, each with its environment.
    """

    cluster: Cluster
    app: App
    spare: App
    make: Callable[[], Mode]
    runs: Callable[[Node], set[str]]
    holds: Callable[[Node], frozenset[str]] = held
    made: Callable[[Node, App], Mapping[str, frozenset[str]]] = containers

    @property
    def mode(self) -> Mode:
        """The mode that formed it."""
        return self.cluster.mode

    @property
    def views(self) -> bool:
        """Whether the mode has an API to ask."""
        return isinstance(self.mode, Viewing)

    def view(self, node: Node, mode: Mode | None = None) -> View:
        """Ask the API at a node."""
        with self.cluster.network():
            return cast("Viewing", mode or self.mode).view(self.cluster, node)

    def running(self) -> list[tuple[str, str]]:
        """Return each instance that runs on each node, by the nodes themselves."""
        return [(instance, node.name) for node in self.cluster.nodes for instance in self.runs(node)]


def every_node_lists_every_node(case: FormedCase) -> None:
    """In order, and where each instance of the app is: it runs on a node that is listed. Only with `Viewing`."""
    if not case.views:
        return
    names = tuple(sorted(node.name for node in case.cluster.nodes))
    for node in case.cluster.nodes:
        view = _listed(case, node)
        same(view.nodes, names, f"the nodes that {node.name} lists")
        order = [(each.instance, each.node or "") for each in view.placements]
        same(order, sorted(order), f"the placements that {node.name} tells, by instance and node")
        strangers = [each for each in view.placements if each.node is not None and each.node not in names]
        require(not strangers, f"placements on nodes that {node.name} lists", repr(strangers[:1]))
        same(case.view(node, case.make()).nodes, names, f"the nodes that {node.name} lists, asked by another process")


def nodes_run_what_is_told(case: FormedCase) -> None:
    """As many instances as have a home run, each once, by the nodes' own process tables and under its name.

    With `Viewing` each on the node that the API names, and nothing else of the app.
    """
    node = case.cluster.nodes[0]
    _whole(case, node)

    def agree() -> bool:
        view = _listed(case, node)
        told = {(each.instance, each.node) for each in view.placements if each.running and each.instance in case.app.names}
        return told == {each for each in case.running() if each[0] in case.app.names}

    if case.views:
        _await(case, agree, f"the nodes to run of {case.app.name} what {node.name} tells")


def members_tell_whom_they_follow(case: FormedCase) -> None:
    """One leader, who is a member, in one term, by the word of each; as often as one asks. Only with `Quorum`."""
    mode = case.mode
    if not isinstance(mode, Quorum):
        return
    members = mode.members(case.cluster)

    def agree() -> bool:
        told = {_claim(case, mode, case.cluster.node(name)) for name in members}
        ((term, leader),) = told if len(told) == 1 else ((0, None),)
        return term > 0 and leader in members

    _await(case, agree, f"{', '.join(members)} to follow one of themselves in one term")
    with case.cluster.network(), mode.asking(case.cluster, case.cluster.node(members[0])) as ask:
        terms = [ask()[0] for _ in range(3)]
    same(terms, sorted(terms), "the terms that a member tells one after the other")


def values_are_kept_at_every_member(case: FormedCase) -> None:
    """See `harness.testing.store_contract`. Only with `Registers`."""
    mode = case.mode
    if not isinstance(mode, Registers) or not isinstance(mode, Quorum):
        return
    registers: Registers = mode
    for name in mode.members(case.cluster):
        store = StoreCase(functools.partial(registers.store, case.cluster, case.cluster.node(name)))
        with case.cluster.network():
            for promise in STORE.values():
                promise(store)


def logs_are_to_be_had(case: FormedCase) -> None:
    """By file names, as bytes, of each node. Only with `LogFiles`."""
    if not isinstance(case.mode, LogFiles):
        return
    for node in case.cluster.nodes:
        logs = case.mode.logs(node)
        require(bool(logs), f"something to keep of {node.name}", "nothing")
        odd = [name for name, body in logs.items() if not name or "/" in name or not isinstance(body, bytes)]
        require(not odd, f"file names and bytes of {node.name}", repr(odd))


def what_runs_is_taken_over_unchanged(case: FormedCase) -> None:
    """By another process, which then knows the members and sees the nodes; nothing on a node is another than before. Only with `Adopting`."""
    other = case.make()
    if not isinstance(other, Adopting):
        return
    before = {node.name: fingerprint(node) for node in case.cluster.nodes}
    cluster = replace(case.cluster, mode=cast("Mode", other), apps=(case.spare,))
    try:
        other.adopt(cluster)
    except Exception as e:
        raise ContractBroken(f"promised: a cluster that runs is taken over; saw: {type(e).__name__}: {in_words(e)}") from e
    changed = [each for node in case.cluster.nodes for each in differences(before[node.name], fingerprint(node))]
    require(not changed, "taking over changes nothing", "; ".join(changed))
    if isinstance(other, Quorum) and isinstance(case.mode, Quorum):
        same(other.members(cluster), case.mode.members(case.cluster), "the members that were found")
    if case.views:
        same(
            case.view(case.cluster.nodes[0], cast("Mode", other)).nodes, case.view(case.cluster.nodes[0]).nodes, "the nodes that were found"
        )


def an_app_is_withdrawn_without_a_trace(case: FormedCase) -> None:
    """What `deploy` made is gone, by the API and by the nodes themselves, its files and containers too; by another process, twice, where nothing was.

    And nothing else is.

    Only with `Adopting`.
    """
    if not isinstance(case.mode, Adopting):
        return
    other = cast("Adopting", case.make())
    cluster = replace(case.cluster, apps=(*case.cluster.apps, case.spare))
    before = {node.name: fingerprint(node) for node in case.cluster.nodes}
    had = {node.name: case.holds(node) for node in case.cluster.nodes}
    _asked(lambda: other.withdraw(cluster, case.spare), "withdraw where nothing was deployed")
    _deployed(cluster, case.spare)
    try:
        told = _told(case, case.cluster.nodes[0]) & {*case.spare.names}
        homes = case.spare.homes(len(case.cluster.nodes))
        require(len(told) >= homes, f"{homes} instances of {case.spare.name} run when deploy returns", ", ".join(sorted(told)) or "none")
    finally:
        for which in ("once", "twice"):
            _asked(lambda: other.withdraw(cluster, case.spare), f"withdraw, {which}")
    for node in case.cluster.nodes:
        _await(case, functools.partial(_gone, case, node), f"nothing of {case.spare.name} to be told at {node.name}, or to run there")
        left = differences(before[node.name], fingerprint(node))
        left += sorted(case.holds(node) - had[node.name])[:SHOWN]
        require(not left, f"{node.name} is as it was before {case.spare.name} was deployed", "; ".join(left))
        _whole(case, node)


def an_app_is_started_anew(case: FormedCase) -> None:
    """All of it runs when `restart` returns, by the orchestrator's word, and in other containers, by the nodes' own. Only with `Restarting`."""
    mode = case.mode
    if not isinstance(mode, Restarting):
        return
    nodes_run_what_is_told(case)
    before = _made(case, case.app)
    _asked(lambda: mode.restart(case.cluster, case.app), "restart")
    _runs(case, case.app, "restart")
    _await_anew(case, case.app, {*before})


def an_app_is_made_anew(case: FormedCase) -> None:
    """As it is to be from `update` on: all of it runs when that returns, in other containers, which have its environment. Only with `Updating`."""
    mode = case.mode
    if not isinstance(mode, Updating):
        return
    one = replace(case.spare, instances=1)
    new = replace(one, environment=(("CONTRACT", "kept"),))
    with _beside(case, one) as cluster:
        _deployed(cluster, one)
        before = _made(case, one)
        _asked(lambda: mode.update(cluster, new), "update")
        _runs(case, new, "update")
        _await_anew(case, new, {*before}, "CONTRACT=kept")


def an_app_comes_later_and_is_removed(case: FormedCase) -> None:
    """Nothing of it runs where it is deployed without instances; it does after `launch`, and is told no more when `remove` returns, and again.

    Only with `Removing`.
    """
    mode = case.mode
    if not isinstance(mode, Removing):
        return
    one = replace(case.spare, instances=1)
    with _beside(case, one) as cluster:
        _deployed(cluster, replace(one, instances=0))
        require(all(_gone(case, node) for node in cluster.nodes), f"nothing of {one.name} runs before launch", "some does")
        _asked(lambda: mode.launch(cluster, one), "launch")
        _await(case, lambda: len(_made(case, one)) == 1 and _told(case, cluster.nodes[0]) >= {*one.names}, f"{one.names[0]} to run")
        for which in ("remove", "remove, twice"):
            _asked(lambda: mode.remove(cluster, one), which)
            told = _told(case, cluster.nodes[0]) & {*one.names} if case.views else set[str]()
            require(not told, f"nothing of {one.name} is told after {which}", ", ".join(told))
        _until_gone(case, one)


def what_is_off_is_unreachable(case: FormedCase) -> None:
    """Nobody answers there: no view, no leader, no value, no log; never an empty one. It comes back, and all is as before. Only with `Power`."""
    provider, mode = case.cluster.provider, case.mode
    if not isinstance(provider, Power):
        return
    node = case.cluster.nodes[-1]
    provider.off(node)
    try:
        if case.views:
            _silent(lambda: case.view(node), Unreachable, f"a view at {node.name}")
        if isinstance(mode, LogFiles):
            _silent(lambda: mode.logs(node), Unreachable, f"the logs of {node.name}")
        if isinstance(mode, Quorum) and node.name in mode.members(case.cluster):
            _silent(lambda: _claim(case, mode, node), Unreachable, f"the leader that {node.name} follows")
            if isinstance(mode, Registers):
                _silent(lambda: _value(case, mode, node), NoGoodAnswer, f"a value at {node.name}")
    finally:
        provider.on(node)
    for each in case.cluster.nodes:
        _whole(case, each)
    members_tell_whom_they_follow(case)


FORMED: Mapping[str, Callable[[FormedCase], None]] = {
    each.__name__: each
    for each in (
        every_node_lists_every_node,
        nodes_run_what_is_told,
        members_tell_whom_they_follow,
        values_are_kept_at_every_member,
        logs_are_to_be_had,
        what_runs_is_taken_over_unchanged,
        an_app_is_withdrawn_without_a_trace,
        an_app_is_started_anew,
        an_app_is_made_anew,
        an_app_comes_later_and_is_removed,
        what_is_off_is_unreachable,
    )
}
"""What every mode must do with a cluster of its own, in an order in which each leaves it whole."""


@contextlib.contextmanager
def _beside(case: FormedCase, app: App) -> Iterator[Cluster]:
    """Give the cluster with an app beside its own, which is taken away in the end where the mode can do that."""
    cluster = replace(case.cluster, apps=(*case.cluster.apps, app))
    try:
        yield cluster
    finally:
        with contextlib.suppress(HarnessError, ContractBroken):  # who cannot is convicted by the promise that is about it
            if isinstance(case.mode, Adopting):
                case.mode.withdraw(cluster, app)
            elif isinstance(case.mode, Removing):
                case.mode.remove(cluster, app)
                _until_gone(case, app)


def _deployed(cluster: Cluster, app: App) -> None:
    _asked(lambda: cluster.mode.deploy(cluster, app), "deploy")


def _made(case: FormedCase, app: App) -> dict[str, frozenset[str]]:
    """Return the containers of an app that run anywhere, each with its environment, by the nodes themselves."""
    return {number: environment for node in case.cluster.nodes for number, environment in case.made(node, app).items()}


def _runs(case: FormedCase, app: App, what: str) -> None:
    """See that all of an app that can have a home runs when something returns, by the orchestrator's word."""
    told, homes = _told(case, case.cluster.nodes[0]) & {*app.names}, app.homes(len(case.cluster.nodes))
    require(len(told) >= homes, f"{homes} instances of {app.name} run when {what} returns", ", ".join(sorted(told)) or "none")


def _await_anew(case: FormedCase, app: App, before: set[str], variable: str = "") -> None:
    """Wait until as many containers of an app run as can have a home, none of which is one from `before`, and each with a variable."""
    homes = app.homes(len(case.cluster.nodes))

    def anew() -> bool:
        now = _made(case, app)
        return len(now) == homes and before.isdisjoint(now) and all(not variable or variable in each for each in now.values())

    has = f" with {variable}" if variable else ""
    _await(case, anew, f"{homes} containers of {app.name}{has}, and none from before")


def _told(case: FormedCase, node: Node) -> set[str]:
    """Return what runs, by the API at a node; by the nodes themselves where there is none."""
    if not case.views:
        return {instance for instance, _ in case.running()}
    return {each.instance for each in case.view(node).placements if each.running}


def _whole(case: FormedCase, node: Node) -> None:
    """Wait until every instance of the app that has a home runs, by the API at a node, which lists every node; by the nodes where there is none."""
    if case.views:
        _listed(case, node)
        return
    homes = case.app.homes(len(case.cluster.nodes))
    _await(case, lambda: len(_told(case, node) & {*case.app.names}) >= homes, f"{homes} instances of {case.app.name} to run")


def _listed(case: FormedCase, node: Node) -> View:
    """Wait until the API at a node lists every node, and tells that every instance of the app that has a home runs on one; return that view."""
    names = {each.name for each in case.cluster.nodes}
    homes = case.app.homes(len(names))
    found: list[View] = []

    def whole() -> bool:
        view = case.view(node)
        running = {each.instance for each in view.placements if each.running and each.node in names and each.instance in case.app.names}
        if not names <= {*view.nodes} or len(running) < homes:
            return False
        found[:] = [view]
        return True

    _await(case, whole, f"{node.name} to list every node and {homes} instances of {case.app.name} that run")
    return found[0]


def _gone(case: FormedCase, node: Node) -> bool:
    told = {each.instance for each in case.view(node).placements} if case.views else set[str]()
    told |= case.runs(node)
    return not told & {*case.spare.names}


def _claim(case: FormedCase, mode: Quorum, node: Node) -> tuple[int, str | None]:
    with case.cluster.network(), mode.asking(case.cluster, node) as ask:
        return ask()


def _value(case: FormedCase, mode: Registers, node: Node) -> str | None:
    with case.cluster.network():
        store = mode.store(case.cluster, node, ASK_SECONDS)
        try:
            return store.get("whalefall/contract/nothing")
        finally:
            store.close()


def _await(case: FormedCase, condition: Callable[[], bool], what: str) -> None:
    """Wait for something of the cluster's; while nobody can be asked it is asked again. Raises `ContractBroken`."""
    last = "no answer yet"

    def there() -> bool:
        nonlocal last
        try:
            last = f"{condition()}"
        except HarnessError as e:
            last = str(e)
        return last == "True"

    try:
        wait_until(there, awaited=what, seconds=READY_SECONDS, clock=case.cluster.clock, every=0.2, saw=lambda: last)
    except Expired as e:
        raise ContractBroken(f"promised: {what}; saw: {last}") from e


def _until_gone(case: FormedCase, app: App) -> None:
    """Wait until no node runs any of an app. Raises `ContractBroken`."""
    _await(case, lambda: all(_gone(case, node) for node in case.cluster.nodes), f"nothing of {app.name} to run")


def _asked(ask: Callable[[], None], what: str) -> None:
    try:
        ask()
    except Exception as e:
        raise ContractBroken(f"promised: {what} goes well; saw: {type(e).__name__}: {in_words(e)}") from e


def _silent(ask: Callable[[], object], kind: type[Exception], what: str) -> None:
    """See that a question to nobody raises. Raises `ContractBroken` where it is answered, or raises something else."""
    try:
        found = ask()
    except kind:
        return
    except Exception as e:
        raise ContractBroken(f"promised: {what} raises {kind.__name__}; saw: {type(e).__name__}: {in_words(e)}") from e
    raise ContractBroken(f"promised: {what} raises {kind.__name__}; saw: {found!r}")
