"""Target expressions of a file: what can be known before a run to hit nobody, or to cut nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.core import targets
from harness.core.naming import close
from harness.core.topology import SHAPES

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.steps.step import Reading


def read_target(reading: Reading, text: Json, place: Place) -> targets.Expression | None:
    """Read a target expression and say what can be known to be wrong with it before the run."""
    if not isinstance(text, str):
        return None  # said by the part that it stands in
    try:
        expression = targets.parse(text)
    except targets.BadTarget as bad:
        reading.problems.append(
            reading.doc.problem(place, f"{bad.found} in the target {text[:80]!r}", bad.expected, bad.hint, offset=bad.position)
        )
        return None
    sound = _known_apps(reading, expression, place)
    if not reading.names:
        return expression if sound else None
    for name in targets.names(expression):
        if name.word not in reading.names:
            sound = False
            valid = [*reading.names, *targets.SETS, *targets.CHOOSERS, targets.HOSTING, targets.SAME]
            words = (*targets.SETS, *targets.CHOOSERS, f"{targets.HOSTING}(APP)", "APP@N", f"{targets.SAME} NAME")
            expected = f"a node's name, {reading.node_range}, or one of the words {', '.join(words)}"
            _add_inside(reading, place, name.position, f"the target {name.word!r}", expected, name.word, valid)
    if sound and reading.apps_read:
        _possible(reading, expression, text, place)
    return expression if sound else None


def _known_apps(reading: Reading, expression: targets.Expression, place: Place) -> bool:
    """Say which apps, or instances, of an expression are not there. Returns whether all are."""
    sound = True
    deployed = [each.name for each in reading.apps]
    for app in targets.apps(expression):
        if reading.apps_read and app.app not in deployed:
            sound = False
            _add_inside(reading, place, app.position, str(app), "the name of an app", app.app, deployed)
        elif isinstance(app, targets.HostOf) and reading.apps_read:
            names = next(each.names for each in reading.apps if each.name == app.app)
            if app.instance not in names:
                sound = False
                _add_inside(reading, place, app.position, f"the target {app.instance!r}", f"an instance of {app.app}", app.instance, names)
    return sound


def note_shape(reading: Reading, fault: Any, expression: targets.Expression, place: Place) -> None:
    """Say so where a partition of this shape would cut nothing, as far as only the number of targets decides it."""
    shape = SHAPES.get(getattr(fault, "shape", ""))
    count = expression.wanted(len(reading.names))
    if count is None and str(expression) in {"all", targets.LEADER, *reading.names}:
        count = len(reading.names) if str(expression) == "all" else 1
    if shape is None or not count or count > len(reading.names):
        return
    try:
        cut, why = shape(reading.names, reading.names[:count]), "choose other targets, another shape or more nodes"
    except ValueError as error:
        cut, why = {}, str(error)
    if not cut:
        reading.add(
            (*place, "with", "shape"), f"{fault.shape} of {count} of {len(reading.names)} nodes, which cuts nothing", "a partition", why
        )


def _possible(reading: Reading, expression: targets.Expression, text: str, place: Place) -> None:
    total = len(reading.names)
    most = targets.most(expression, nodes=reading.names, instances={app.name: app.instances for app in reading.apps})
    wanted = expression.wanted(total)
    if wanted == 0:
        reading.add(
            place, f"the target {text!r} on {total} nodes", "a cluster that can lose a node", "a minority of one or two nodes is none"
        )
    elif most == 0:
        reading.add(place, f"the target {text!r}", "one that can hit a node", "no node can ever be all of that")
    elif wanted is not None and wanted > most:
        reading.add(place, f"the target {text!r}", f"{wanted} nodes to choose from", f"there can never be more than {most}")


def _add_inside(reading: Reading, place: Place, position: int, found: str, expected: str, word: str, valid: Sequence[str]) -> None:
    hint = close(word, valid) or ("" if valid else "there is none")
    reading.problems.append(reading.doc.problem(place, found, expected, hint, offset=position))
