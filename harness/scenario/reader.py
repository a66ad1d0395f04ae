"""Reads a scenario file, part by part: what is wrong in one part does not hide what is wrong in another."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import document, registry
from harness.core.errors import BadInput, Problem
from harness.core.figures import given
from harness.core.naming import shown
from harness.core.targets import likeliest
from harness.scenario import but, models
from harness.scenario.apps import read_apps
from harness.scenario.checks import read_check
from harness.scenario.cluster import own_mode, read_cluster
from harness.scenario.own_definitions import note_calls
from harness.scenario.parsing import Draft
from harness.scenario.probes import note_probes, read_probe
from harness.scenario.promises import note_scaled, note_wanted, note_windows, read_control, read_named
from harness.scenario.scenario_file import NotForMode, Scenario
from harness.steps import Step, breaks, longest, note_asked, note_names, note_numbers, note_twice, read_step
from harness.steps.part import keys

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Document
    from harness.registry import Known

LONGEST_RUN: Final = 7200.0
"""Seconds that steps and settling may take together."""

MOST_FAULTS: Final = 500
"""Faults of one run, those of every round of a repeat counted: each is held against each other."""


def load(
    path: Path | str, *, mode: str | None = None, provider: str | None = None, profile: str | None = None, among: Known | None = None
) -> Scenario:
    """Read and check a scenario file. Mode, provider and profile that are given here take the place of the file's.

    The mode is chosen first; then what the file says in `but` for that mode is laid over it. All of the file is checked, whatever was chosen.
    Raises `BadInput` with everything that is wrong, in the order of the file, and `NotForMode` where the file says that it is not for the mode.
    """
    return _checked(document.read(Path(path)), among, mode=mode, provider=provider, profile=profile)


def loads(text: str, file: str = "scenario", *, among: Known | None = None) -> Scenario:
    """Like `load`, of text that came from `file`."""
    return _checked(document.parse(text, file), among)


def _checked(doc: Document, among: Known | None, **overrides: str | None) -> Scenario:
    known = among or registry.known()
    own = own_mode(doc)
    chosen = overrides.get("mode") or own
    blocks = {name: block for name, block in but.blocks(doc).items() if name != own}
    laid = [name for name, block in blocks.items() if "skip" not in block and not block.keys().isdisjoint(("cluster", *models.REPLACED))]
    # Whatever was chosen, the file is read as for its own mode, unless it is to run as it stands in another one.
    plain = {**overrides, "mode": None} if chosen in blocks else overrides
    base = Draft(doc, known, plain, lenient=chosen in blocks)
    scenario = _scenario(base)
    but.note_blocks(base, own)
    problems = list(base.problems)
    for name in laid:
        reading = Draft(but.laid(doc, name, blocks[name]), known, {**overrides, "mode": name}, lenient=name != chosen, block=name)
        found = _scenario(reading)
        problems += reading.problems
        if name == chosen and found is not None:
            scenario = dataclasses.replace(found, because=but.sentence(blocks[name]))
    # Where the value itself could not be read, what stands in its place is not wrong as well.
    unread = {(each.line, each.column) for each in doc.problems} - {tuple(doc.values[()])}
    rest = [each for each in problems if each.file != doc.file or (each.line, each.column) not in unread]
    problems = list(dict.fromkeys([*doc.problems, *_without_consequences(doc, rest)]))  # the same thing is said once
    if problems or scenario is None:
        raise BadInput(sorted(problems, key=lambda each: (each.file != doc.file, each.file, each.line, each.column)))
    if chosen in blocks and chosen not in laid:
        raise NotForMode(doc.file, scenario.name, chosen, but.sentence(blocks[chosen]))
    return scenario


def _without_consequences(doc: Document, problems: Sequence[Problem]) -> Sequence[Problem]:
    """Leave out what only follows from a slip of the pen in the name of a part of the file: that it is missing, that nothing of it is there."""
    body = doc.value
    if not isinstance(body, dict):
        return problems
    absent = [each for each in _KEYS if each not in body]
    meant = {near for key in body if key not in _KEYS and (near := likeliest(key, absent))}
    gone = {f"{name!r} is missing" for name in meant}
    follows = tuple(word for name in meant for word in _FOLLOWS.get(name, ()))
    return [each for each in problems if each.found not in gone and not (follows and each.found.startswith(follows))]


_KEYS: Final = keys(models.WholeFile)
_FOLLOWS: Final[dict[str, tuple[str, ...]]] = {
    "apps": ("an unknown app ", "hosting(", "`until: recovered` with no app"),
    "cluster": ("a pin to ", "the target "),
    "steps": ("a promise of ",),
    "workloads": ("a promise of ",),
}
"""What is found wrong elsewhere where a part of the file is not there, by how it begins."""


def _scenario(reading: Draft) -> Scenario | None:
    body = reading.doc.value
    if not isinstance(body, dict):
        reading.add((), shown(body), "a scenario: a mapping with scenario, why, steps and promises")
        return None
    top = reading.part(models.WholeFile, body, ())
    read_cluster(reading, body)
    read_apps(reading, body)
    workloads = [read_named(reading, item, place, reading.known.workloads, "workload") for item, place in reading.listed(body, "workloads")]
    workloads += [read_probe(reading, item, place) for item, place in reading.listed(body, "probes")]
    note_probes(reading, body, workloads)
    listed = reading.listed(body, "steps")
    steps = [read_step(reading, item, place) for item, place in listed]
    note_names(reading, [item for item, _ in listed])
    read = [step for step in steps if step]
    if (count := len(breaks(read))) > MOST_FAULTS:
        reading.add(("steps",), f"{count} faults in one run", f"{MOST_FAULTS} at most")
    else:  # up to the first that cannot be read: that one may heal a fault, or remove an app
        sure = read[: steps.index(None) if None in steps else None]
        note_twice(reading, sure)
        note_numbers(reading, sure)
    checks = [read_check(reading, item, place) for item, place in reading.listed(body, "checks")]
    promises = [read_named(reading, item, place, reading.known.checkers, "promise") for item, place in reading.listed(body, "promises")]
    control = read_control(reading, body, promises)
    _note_whole(reading, body, steps, promises)
    note_wanted(reading, workloads, promises)
    note_calls(reading, workloads)
    if listed:  # else that is told by itself
        note_windows(reading, [item for item, _ in listed], promises)
    if len(read) == len(steps):
        note_asked(reading, checks, read)
        note_scaled(reading, read, promises)
    settle = top.settle if top else models.SETTLE
    if (total := longest([step for step in steps if step], settle)) > LONGEST_RUN:
        reading.add(("steps",), f"steps and settling of {given(total)} together", f"{given(LONGEST_RUN)} at most")
    if top is None or reading.cluster is None or reading.problems:
        return None
    return Scenario(
        name=top.scenario,
        why=" ".join(top.why.split()),
        file=reading.doc.file,
        cluster=reading.cluster,
        apps=tuple(reading.apps),
        workloads=tuple(each for each in workloads if each),
        steps=tuple(each for each in steps if each),
        settle=settle,
        checks=tuple(each for each in checks if each),
        promises=tuple(each for each in promises if each),
        control=control,
    )


def _note_whole(reading: Draft, body: dict[str, Json], steps: Sequence[Step | None], promises: Sequence[Any]) -> None:
    """Say what only the whole of a list can lack."""
    if isinstance(body.get("steps"), list) and all(steps) and not breaks([step for step in steps if step]):
        reading.add(("steps",), "no fault", "at least one", "`fault: none` breaks nothing, for a control")
    if isinstance(body.get("promises"), list) and not promises:
        reading.add(("promises",), "no promise", "at least one", "a run that promises nothing shows nothing")
    seen: list[Any] = []
    for number, promise in enumerate(promises):
        if promise is not None and promise in seen:
            reading.add(("promises", number), f"the promise {promise.name!r} a second time", "each promise once")
        seen.append(promise)
