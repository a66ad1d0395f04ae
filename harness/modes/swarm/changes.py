"""Changes of what a swarm was told before: how many tasks a service has and what they are made of, and whether a node may have any."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from harness.core import pace
from harness.core.clock import Deadline, wait_until
from harness.core.errors import HalfDone, HarnessError, Unreachable, gist
from harness.core.figures import given
from harness.core.instances import RUN_LABEL
from harness.modes import on_nodes
from harness.modes.swarm import services, stacks
from harness.modes.swarm.swarm_api import AGAIN_SECONDS, ASK_SECONDS, NANO, WORK_SECONDS, Daemon, clean, first, refused
from harness.web import NoAnswer, NotSent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.core.clock import Clock
    from harness.core.protocols import Node
    from harness.core.values import App
    from harness.modes.swarm.swarm_api import KnownSpec

_REFUSED, _GONE = 400, 404
_ENDED = 124  # the exit status of a command that took too long, and all above it of one that was ended


_ROLLING = {"Parallelism": 1, "Order": "stop-first", "FailureAction": "pause", "Monitor": NANO}
"""How swarm goes through the tasks of a service that has changed: one after the other, each watched for a second once it runs."""


# $1 is the name of a stack, $2 the file that says whose it is, $3 how many seconds Docker may take. The stack's own file is read from standard input.
_STACK: Final = """
set -eu
cd /
exec timeout -k 1 "$3" docker stack deploy --resolve-image never --compose-file - --compose-file /dev/fd/3 "$1" 3<<END
$2
END
"""
_LATER: Final = re.compile(
    r"rpc error|deadline exceeded|does not have a leader|Cannot connect to the Docker daemon|not a swarm manager|context canceled"
)
"""What Docker says where a manager cannot do something just then, and another, or the same one later, may."""


def submit(managers: Sequence[Node], app: App, run_id: str, lacked: Sequence[str], seconds: float, clock: Clock) -> None:
    """Give swarm an app's own stack file as it stands, by `docker stack deploy` on the first manager that takes it.

    Raises `HarnessError` where a stack of that name is there and is none of this run's, and where Docker refuses the file.
    """
    own, called = app.native, services.called(app)
    beside = stacks.overlay(app, run_id, lacked)

    def deploy(daemon: Daemon) -> None:
        there = daemon.service(called)
        others = [name for name in daemon.of_stack("services", app.name).values() if name != called]
        if others or (there is not None and there.get(RUN_LABEL) != run_id):
            raise HarnessError(f"a stack {app.name} is there already and is not ours; give the app another name")
        work = pace.limit(WORK_SECONDS)
        body = own.body.encode() if own else b""
        result = daemon.node.run("sh", "-c", _STACK, "sh", app.name, beside, f"{work:.0f}", timeout=work + 2.0, stdin=body)
        if result.ok:
            return
        said = clean(gist((result.err or result.out).decode(errors="replace"))) or f"nothing within {given(work)}"
        if result.exit >= _ENDED or _LATER.search(said):
            raise Unreachable(daemon.node.name, "docker stack deploy", said)
        raise HarnessError(f"{daemon.node.name}: Docker refuses the stack file {own.file if own else ''} of {app.name}: {said}")

    _taken(managers, deploy, f"the stack {app.name}", seconds, clock)


def scale(managers: Sequence[Node], app: str, run_id: str, instances: int, seconds: float, clock: Clock) -> None:
    """Have so many tasks of a run's own service. Raises `HarnessError` where swarm has none, or refuses, and `Expired` where no manager took it."""

    def changed(known: KnownSpec) -> Mapping[str, Any] | None:
        _must_be_ours(known, app, run_id)
        now = known.spec["Mode"]["Replicated"]["Replicas"]
        return None if now == instances else {**known.spec, "Mode": {"Replicated": {"Replicas": instances}}}

    _change(managers, f"/services/{quote(app)}", f"{instances} tasks of {app}", changed, seconds, clock)


def restart(managers: Sequence[Node], app: str, run_id: str, seconds: float, clock: Clock, *, like: App | None = None) -> None:
    """Have all tasks of a run's own service stopped and started, one after the other, and return when swarm says that it is done.

    With `like` they are made of that app's image from then on, with its environment. Raises as `scale`, also `Expired` where it is not done in time,
    and `HalfDone` where swarm gave it up.
    """
    wanted: list[int] = []

    def changed(known: KnownSpec) -> Mapping[str, Any] | None:
        _must_be_ours(known, app, run_id)
        task = known.spec["TaskTemplate"]
        now = int(task.get("ForceUpdate") or 0)
        if not wanted:
            wanted.append(now + 1)
        if now >= wanted[0]:
            return None  # an answer was lost
        made = {} if like is None else {"ContainerSpec": {**task["ContainerSpec"], "Image": like.image, "Env": services.environment(like)}}
        return {**known.spec, "TaskTemplate": {**task, **made, "ForceUpdate": wanted[0]}, "UpdateConfig": _ROLLING}

    _roll(managers, app, f"that the tasks of {app} are to start anew", changed, seconds, clock)


def _must_be_ours(known: KnownSpec, app: str, run_id: str) -> None:
    if dict(known.spec.get("Labels") or {}).get(RUN_LABEL) != run_id:
        raise HarnessError(f"the service {app} is none of this run's; it is left as it is")


def _roll(
    managers: Sequence[Node],
    app: str,
    what: str,
    changed: Callable[[KnownSpec], Mapping[str, Any] | None],
    seconds: float,
    clock: Clock,
) -> None:
    """Change what the tasks of a service are made of, and wait until swarm has gone through all of them; see `restart`."""
    deadline = Deadline(clock, seconds)
    path = f"/services/{quote(app)}"
    _change(managers, path, what, changed, seconds, clock)
    last = "not asked yet"

    def through() -> bool:
        nonlocal last
        try:
            known = first(list(managers), pace.answer(ASK_SECONDS), lambda daemon: daemon.known_spec(path))
        except Unreachable as e:
            last = str(e)
            return False
        if known is None:
            raise HalfDone(f"the service {app} is gone since its tasks were to start anew")
        last = f"{known.update or 'not begun'}: {known.message or 'no word on that'}"
        if known.update not in {"", "updating", "completed"}:
            raise HalfDone(f"swarm did not go through all tasks of {app}: {last}")
        return known.update == "completed"

    wait_until(
        through,
        awaited=f"swarm to go through the tasks of {app}",
        seconds=deadline.left(),
        clock=clock,
        every=AGAIN_SECONDS,
        rest=on_nodes.REST,
        saw=lambda: last,
    )


def remove(managers: Sequence[Node], app: str, run_id: str, seconds: float, clock: Clock) -> None:
    """Have a run's own service no more; that there is none is fine. Raises as `scale`."""
    path = f"/services/{quote(app)}"

    def forget(daemon: Daemon) -> None:
        known = daemon.known_spec(path)
        if known is None:
            return
        _must_be_ours(known, app, run_id)
        try:
            answer = daemon.ask("DELETE", f"/services/{known.id}")
        except (NotSent, NoAnswer) as e:
            raise Unreachable(daemon.node.name, f"Docker's DELETE {path}", e.words) from e
        if not answer.ok and answer.status != _GONE:
            raise Unreachable(daemon.node.name, f"Docker's DELETE {path}", answer.words)

    _taken(managers, forget, f"that there is to be no service {app}", seconds, clock)


def availability(managers: Sequence[Node], node_id: str, name: str, wanted: str, seconds: float, clock: Clock) -> None:
    """Say whether a node may have work: ``active`` or ``drain``. Raises as `scale`."""

    def changed(known: KnownSpec) -> Mapping[str, Any] | None:
        return None if known.spec.get("Availability") == wanted else {**known.spec, "Availability": wanted}

    _change(managers, f"/nodes/{quote(node_id)}", f"the availability {wanted} of {name}", changed, seconds, clock)


def _change(
    managers: Sequence[Node], path: str, what: str, changed: Callable[[KnownSpec], Mapping[str, Any] | None], seconds: float, clock: Clock
) -> None:
    """Change what swarm knows, through the first manager that takes it; what somebody else changed meanwhile is read again."""

    def change(daemon: Daemon) -> None:
        known = daemon.known_spec(path)
        if known is None:
            raise HarnessError(f"{daemon.node.name}: swarm knows nothing of {path}, so {what} cannot be had")
        if (spec := changed(known)) is None:
            return
        where = f"{path.rpartition('/')[0]}/{known.id}/update?version={known.version}"
        try:
            answer = daemon.ask("POST", where, spec)
        except (NotSent, NoAnswer) as e:
            raise Unreachable(daemon.node.name, f"Docker's POST {path}", e.words) from e
        if answer.status in {_REFUSED, _GONE}:
            raise refused(answer, daemon.node, what)
        if not answer.ok:  # e.g. that somebody else was quicker: the version has changed
            raise Unreachable(daemon.node.name, f"Docker's POST {path}", answer.words)

    _taken(managers, change, what, seconds, clock)


def _taken(managers: Sequence[Node], change: Callable[[Daemon], None], what: str, seconds: float, clock: Clock) -> None:
    """Ask for something through the first manager that takes it. Raises `Expired` where none does."""
    last = "not asked yet"

    def taken() -> bool:
        nonlocal last
        try:
            first(list(managers), pace.limit(WORK_SECONDS), change)
        except Unreachable as e:
            last = str(e)
            return False
        return True

    wait_until(taken, awaited=f"swarm to take {what}", seconds=seconds, clock=clock, every=0.2, saw=lambda: last)
