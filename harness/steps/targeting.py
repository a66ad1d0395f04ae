"""Target expressions before a run: what can be known then to hit nobody, or to cut nothing. The same for files and for scenarios in Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core import aim, targets
from harness.core.naming import close
from harness.core.protocols import Local
from harness.core.topology import SHAPES
from harness.core.values import HERE

if TYPE_CHECKING:
    from harness.core.values import App, Json
    from harness.document import Place
    from harness.steps.step import Reading

GOES_ON = "give one a name and no hold: it stays in force until it is healed"
"""What to do where a fault that goes on is wanted and none does."""


@dataclass(frozen=True, slots=True)
class TargetSlip:
    """One thing that is wrong with a target expression."""

    found: str
    expected: str
    hint: str = ""
    position: int | None = None  # in it, from 0; None where it is all of it


def unreadable(text: str) -> TargetSlip | None:
    """Say why an expression cannot be read; None where it can."""
    try:
        targets.parse(text)
    except targets.BadTarget as bad:
        return TargetSlip(f"{bad.found} in the target {text[:80]!r}", bad.expected, bad.hint, bad.position)
    return None


def unknown(
    expression: targets.Expression, nodes: Sequence[str], apps: Sequence[App] | None, unread: Collection[str] = ()
) -> list[TargetSlip]:
    """Return every name in it of a node, an app or an instance that is not there.

    Of no `nodes`, and of apps that are None, nothing is known; of those that are `unread`, only that they are there.
    """
    slips = [] if apps is None else _unknown_apps(expression, apps, unread)
    return [*slips, *_unknown_nodes(expression, nodes)]


def impossible(expression: targets.Expression, text: str, nodes: Sequence[str], apps: Sequence[App]) -> TargetSlip | None:
    """Say why an expression without unknown names can hit nobody on these nodes, or too few, whoever leads and wherever the apps run."""
    total = len(nodes)
    most = aim.most(expression, nodes=nodes, instances={app.name: app.instances for app in apps})
    wanted = expression.wanted(total)
    if wanted == 0:
        return TargetSlip(
            f"the target {text!r} on {total} nodes", "a cluster that can lose a node", "a minority of one or two nodes is none"
        )
    if most == 0:
        return TargetSlip(f"the target {text!r}", "one that can hit a node", "no node can ever be all of that")
    if wanted is not None and wanted > most:
        return TargetSlip(f"the target {text!r}", f"{wanted} nodes to choose from", f"there can never be more than {most}")
    return None


def misplaced(expression: targets.Expression, text: str, done: Any) -> TargetSlip | None:
    """Say where an expression names this machine and cannot: beside nodes, or for a fault or an action (`done`, or its class) of nodes alone."""
    here = next((name for name in targets.names(expression) if name.word == HERE), None)
    if here is None:
        return None
    if not targets.is_here(text):
        return TargetSlip(f"{HERE} in the target {text[:80]!r}", f"{HERE} alone", "this machine is no node of the cluster", here.position)
    if not isinstance(done, Local):
        why = f"{done.name} cannot be done to this machine" if done is not None else "nothing is checked of this machine"
        return TargetSlip(f"the target {HERE!r}", f"nodes: {why}", "commands can be run on it (`command`)", here.position)
    return None


def by_no_fault(expression: targets.Expression, begun: Sequence[str], *, going: bool) -> list[TargetSlip]:
    """Return where it goes by faults that are none, or not yet. `begun` are the names of those before it, `going` is whether one goes on then."""
    found = []
    for atom in expression.atoms():
        if isinstance(atom, targets.Same) and atom.name not in begun:
            hint = close(atom.name, begun) or (f"there is {', '.join(begun)}" if begun else "no fault before it has a name")
            what = f"same as {atom.name!r}, which no fault before it is named"
            found.append(TargetSlip(what, "the name of an earlier fault", hint, atom.position))
        elif atom.fact == targets.HIT and not going:
            found.append(TargetSlip("hit, where no fault is in force", "a step while a fault is in force", GOES_ON, atom.position))
    return found


def cuts_nothing(fault: Any, expression: targets.Expression, nodes: Sequence[str]) -> TargetSlip | None:
    """Say why a partition of this fault's shape would cut nothing, as far as only the number of targets decides it.

    Where there are no `nodes` it is not known how many there are, and nothing is said.
    """
    if not nodes:
        return None
    shape = SHAPES.get(getattr(fault, "shape", ""))
    count = expression.wanted(len(nodes))
    if count is None and str(expression) in {"all", targets.LEADER, *nodes}:
        count = len(nodes) if str(expression) == "all" else 1
    if shape is None or not count or count > len(nodes):
        return None
    try:
        cut, why = shape(nodes, nodes[:count]), "choose other targets, another shape or more nodes"
    except ValueError as error:
        cut, why = {}, str(error)
    return None if cut else TargetSlip(f"{fault.shape} of {count} of {len(nodes)} nodes, which cuts nothing", "a partition", why)


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around a target expression in a run."""

    nodes: Sequence[str]
    apps: Sequence[App]
    begun: Sequence[str] = ()  # the names of the faults before it
    going: bool = False  # whether one of them goes on


def slips(text: str, fault: Any, around: Around) -> list[TargetSlip]:
    """Return all that can be known to be wrong with an expression, and with that fault on it, before it is resolved."""
    if (bad := unreadable(text)) is not None:
        return [bad]
    expression = targets.parse(text)
    if fault is not None and (slip := misplaced(expression, text, fault)) is not None:
        return [slip]
    if targets.is_here(text):
        lack = fault.not_here() if fault is not None else None
        return [TargetSlip(lack[1], lack[2])] if lack else []
    found = [*unknown(expression, around.nodes, around.apps), *by_no_fault(expression, around.begun, going=around.going)]
    whole = (impossible(expression, text, around.nodes, around.apps), cuts_nothing(fault, expression, around.nodes))
    return found or [each for each in whole if each is not None]


def read_target(reading: Reading, text: Json, place: Place, done: Any = None) -> targets.Expression | None:
    """Read a target expression of a file, and note what can be known to be wrong with it; None where nobody can be meant by it.

    `done` is the class of the fault, or the action, that is done to whom it hits; `Local` where that is not known.
    """
    if not isinstance(text, str):
        return None  # said by the part that it stands in
    if (bad := unreadable(text)) is not None:
        note(reading, place, [bad])
        return None
    expression = targets.parse(text)
    if (slip := misplaced(expression, text, done)) is not None:
        note(reading, place, [slip])
        return None
    if targets.is_here(text):
        return expression
    # As many as steps before it have asked for.
    apps = [dataclasses.replace(app, instances=max(app.instances, reading.scaled.get(app.name, 0))) for app in reading.apps]
    if found := unknown(expression, reading.names, apps if reading.apps_read else None, reading.unread):
        note(reading, place, found)
        return None
    if reading.names and (slip := impossible(expression, text, reading.names, apps)) is not None:
        note(reading, place, [slip])
    return expression


def note_not_here(reading: Reading, done: Any, text: str, place: Place) -> bool:
    """Note what a fault, or an action, that is done to this machine asks for and it lacks; `place` is its step's. Returns whether all is well."""
    lack = done.not_here() if done is not None and targets.is_here(text) and isinstance(done, Local) else None
    if lack is not None:
        parameter, found, expected = lack
        reading.add((*place, "with", parameter), found, expected)
    return lack is None


def note(reading: Reading, place: Place, found: Sequence[TargetSlip]) -> None:
    """Note slips at the place where the expression stands."""
    reading.problems += [reading.doc.problem(place, each.found, each.expected, each.hint, offset=each.position) for each in found]


def _unknown_apps(expression: targets.Expression, apps: Sequence[App], unread: Collection[str]) -> Iterator[TargetSlip]:
    there = {each.name: each for each in apps}
    for mention in (each for each in targets.apps(expression) if each.app not in unread):
        app = there.get(mention.app)
        if app is None:
            yield _not_among(str(mention), "the name of an app", mention.position, mention.app, [*there, *unread])
        elif isinstance(mention, targets.HostOf) and mention.instance not in app.names:
            what = f"the target {mention.instance!r}"
            yield _not_among(what, f"an instance of {app.name}", mention.position, mention.instance, app.names)


def _unknown_nodes(expression: targets.Expression, nodes: Sequence[str]) -> list[TargetSlip]:
    if not nodes:
        return []
    span = nodes[0] if len(nodes) == 1 else f"{nodes[0]} to {nodes[-1]}"
    words = (*targets.SETS, *targets.CHOOSERS, f"{targets.HOSTING}(APP)", f"{targets.LEADING}(PROCESS)", "APP@N", f"{targets.SAME} NAME")
    expected = f"a node's name, {span}, or one of the words {', '.join(words)}"
    valid = [*nodes, *targets.SETS, *targets.CHOOSERS, targets.HOSTING, targets.LEADING, targets.SAME]
    return [
        _not_among(f"the target {name.word!r}", expected, name.position, name.word, valid)
        for name in targets.names(expression)
        if name.word not in nodes
    ]


def _not_among(found: str, expected: str, position: int, word: str, valid: Sequence[str]) -> TargetSlip:
    return TargetSlip(found, expected, close(word, valid) or ("" if valid else "there is none"), position)
