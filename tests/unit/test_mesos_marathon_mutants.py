"""The control of Marathon's contract: a Marathon that breaks a promise is convicted by that promise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from marathon_contract.cluster import Client
from marathon_contract.promises import PROMISES
from standin.doubles.clock import run
from standin.http import Response
from standin.marathon import apps, constraints, deployments, launching, names, offers, plans, scaling, scheduler, tracker, views
from standin.marathon.backoff import Backoff
from standin.marathon.deployments import Deployments
from standin.marathon.health import Health
from standin.marathon.instances import Instance
from standin.marathon.plans import Root
from standin.marathon.records import Records
from standin.marathon.scheduler import Scheduler
from standin.marathon.stream import Listener
from standin.marathon.web import Rest
from tests.contract.marathons import ScriptedCluster


async def _nothing(*_: Any) -> None:
    """Write nothing down."""


async def _alone(*_: Any) -> Response:
    """Answer for the leader without asking."""
    return Response.of({"message": "I do not lead"}, 503)


_LISTEN: Callable[..., None] = Listener.__init__
_PROPOSE: Callable[..., scaling.Proposal] = scaling.propose


def _listens_to_all(listener: Any, address: str) -> None:
    _LISTEN(listener, address, ())


def _youngest_last(app: Any, there: Any, target: int) -> Any:
    return _PROPOSE(apps.updated(app, {"killSelection": "OLDEST_FIRST"}), there, target)


MUTANTS: list[tuple[str, Any, str, Any]] = [
    # promise, what is changed, its name, what it is then
    ("any_marathon_can_be_asked", Rest, "_pass_on", _alone),
    ("a_name_is_taken_once", Scheduler, "create", lambda self, body, force=False: self.update(body["id"], body, force=force)[1:]),
    ("a_bad_definition_is_told_with_the_path_of_each_problem", apps, "_wrong", lambda _: []),
    ("a_locked_app_is_changed_by_force_only", Deployments, "conflicts", lambda *_: []),
    ("the_queue_says_why_nothing_starts", launching.Statistics, "add", lambda *_: None),
    ("a_cancelled_deployment_is_undone", plans, "reverted", lambda now, *_: now),
    ("a_listener_hears_what_it_asked_for", Listener, "__init__", lambda self, address, _: _listens_to_all(self, address)),
    ("earlier_versions_can_be_read_and_gone_back_to", Scheduler, "_earlier", lambda self, name, _: self.app(name)),
    ("the_guides_app_works_as_it_stands", offers, "_host_ports", lambda app, _: tuple(80 for _ in app.ports)),
    ("tasks_can_be_had_as_plain_text", views, "endpoints", lambda _: ""),
    ("scaling_touches_nothing_that_runs", deployments, "propose", lambda app, there, target, _: _youngest_last(app, there, target)),
    ("an_upgrade_never_goes_below_what_must_be_healthy", deployments, "bounds", lambda app, _: (0, 2 * app.instances)),
    ("an_upgrade_never_goes_above_what_is_allowed", deployments, "bounds", lambda app, _: (app.instances, 2 * app.instances)),
    ("a_restart_replaces_all_and_changes_nothing", Scheduler, "restart", lambda self, path, force: self.update(path, {}, force=force)[2]),
    ("a_failed_task_is_started_again", tracker.Tracker, "_failed", lambda *_: None),
    ("failures_make_the_next_launch_wait_longer", Backoff, "failed", lambda *_: None),
    ("unique_hosts_are_unique", constraints, "met", lambda *_: True),
    ("an_app_starts_after_what_it_depends_on", Root, "needs", lambda *_: set[str]()),
    ("an_unhealthy_task_is_killed_and_started_again", Health, "fatal", lambda *_: False),
    ("a_deployment_waits_until_instances_are_healthy", Scheduler, "_result", lambda *_: None),
    ("what_was_acknowledged_outlives_the_leader", Records, "carry", _nothing),
    ("a_deployment_that_waits_is_still_there_under_the_next_leader", deployments, "restore", lambda *_: None),
    ("a_lost_agents_tasks_are_replaced_at_once", Instance, "expired", lambda *_: False),
    ("a_lost_agents_tasks_are_replaced_at_once", tracker.Tracker, "_stranger", lambda *_, **__: None),
    ("a_patient_app_takes_its_task_back", scheduler, "propose", lambda *asked: dataclasses.replace(_PROPOSE(*asked), stop=())),
    ("an_app_that_waits_for_ever_is_not_replaced", apps.App, "unreachable", property(lambda _: (0.0, 0.0))),
    ("an_agent_that_is_gone_gives_its_instances_back", names, "task_id", lambda instance, _: f"{instance}._app.1"),
    ("a_task_that_does_not_start_is_tried_again", tracker.Tracker, "overdue", lambda *_: None),
]


@pytest.mark.parametrize(("promise", "where", "name", "broken"), MUTANTS, ids=lambda each: each if isinstance(each, str) else "")
def test_who_breaks_a_promise_is_convicted(promise: str, where: Any, name: str, broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its own promise."""
    (asked,) = [each for each in PROMISES if each.name == promise]

    async def main() -> None:
        cluster = ScriptedCluster()
        await cluster.start()
        try:
            client = Client(cluster)
            await client.leader()
            monkeypatch.setattr(where, name, broken)
            with pytest.raises((AssertionError, KeyError, ValueError)):
                await asked.keep(client)
        finally:
            monkeypatch.undo()
            await cluster.stop()

    run(main())
