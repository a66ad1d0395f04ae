"""What every action must do, as plain functions that any test runner can call; see `harness.testing.contracts`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from harness.core import parameters
from harness.core.errors import HarnessError
from harness.core.protocols import Action, Cluster, Needing, Node, Power
from harness.core.stops import Stopped, listening
from harness.core.values import Effect
from harness.testing.contracts import raising, require, same


@dataclass(frozen=True)
class ActionCase:
    """One action with a cluster to try it on.

    `done` says whether it is done by now, asked of the cluster itself: on a node, or on None for one that is done to no node. `undo` makes the
    cluster as it was before.
    """

    action: Action
    cluster: Cluster
    targets: Sequence[Node]
    done: Callable[[Node | None], bool]
    undo: Callable[[], None] = lambda: None

    @property
    def where(self) -> list[Node | None]:
        """The nodes that it is done to; None for one that is done to no node."""
        return [*self.targets] if self.action.aims else [None]


def it_says_what_it_is(case: ActionCase) -> None:
    """Its parameters can be written down and read again, it takes a time that ends, and its effect is one that checkers can read."""
    action, cls = case.action, type(case.action)
    same(parameters.build(cls, parameters.read(action)), action, "the action read back from its parameters")
    require(math.isfinite(action.longest) and action.longest > 0, "it takes a time that ends", action.longest)
    require(isinstance(action.effect, Effect), "its effect is an Effect", repr(action.effect))
    require(all(each >= 0 for each in action.effect.runs.values()), "an app has instances, or none", dict(action.effect.runs))
    if isinstance(action, Needing):
        same(action.lack(), "", "what it lacks of this process, which has it all")
    none = "it is done to none; what upsets a cluster anywhere is Effect(disturbs=True), an app alone Effect(renews=(app,))"
    require(action.aims or not action.effect.of_targets, "who does something to nodes is done to nodes", none)


def it_is_done_when_it_returns(case: ActionCase) -> None:
    """It is done on all its targets and nobody else when it says so, and was not before; it says in words what came of it."""
    others = [node for node in case.cluster.nodes if node not in case.targets] if case.action.aims else []
    # Who is so already is not counted: a machine that still starts runs no daemon yet, and no action stopped it there.
    before = [node.name for node in others if case.done(node)]
    try:
        same([case.done(each) for each in case.where], [False for _ in case.where], "whether it is done at first")
        said = case.action.act(case.cluster, case.targets)
        require(isinstance(said, str), "it says in words what came of it", repr(said))
        same([case.done(each) for each in case.where], [True for _ in case.where], "whether it is done")
        same([node.name for node in others if node.name not in before and case.done(node)], [], "on whom else it is done")
    finally:
        case.undo()


def doing_it_again_is_fine(case: ActionCase) -> None:
    """Another one with equal parameters, as another process would have it, does it again where it is done already."""
    again = cast("Action", replace(cast("Any", case.action)))
    try:
        case.action.act(case.cluster, case.targets)
        again.act(replace(case.cluster), case.targets)
        same([case.done(each) for each in case.where], [True for _ in case.where], "whether it is done, twice")
    finally:
        case.undo()


def what_cannot_be_done_is_told(case: ActionCase) -> None:
    """On a node that gives no answer it is not said to be done. For actions that are done to nodes, and providers with `Power`."""
    provider = case.cluster.provider
    if not case.action.aims or not isinstance(provider, Power):
        return
    node = case.targets[0]
    provider.off(node)
    try:
        with raising(HarnessError, f"an action on {node.name}, which is off,"):
            case.action.act(case.cluster, case.targets)
    finally:
        provider.on(node)
        case.undo()


def it_ends_with_its_run(case: ActionCase) -> None:
    """In a run that is stopped it does nothing more, and raises why."""
    try:
        with listening(lambda: Stopped("the run was stopped")), raising(Stopped, "an action of a run that is stopped"):
            case.action.act(case.cluster, case.targets)
    finally:
        case.undo()


ACTION: Mapping[str, Callable[[ActionCase], None]] = {
    each.__name__: each
    for each in (
        it_says_what_it_is,
        it_is_done_when_it_returns,
        doing_it_again_is_fine,
        what_cannot_be_done_is_told,
        it_ends_with_its_run,
    )
}
"""What every action must do."""
