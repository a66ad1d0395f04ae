"""A plan in words, for people."""

from __future__ import annotations

import re
import shlex
import textwrap
from typing import TYPE_CHECKING, Any

from harness.core import targets
from harness.core.figures import given
from harness.core.naming import quoted
from harness.core.units import counted
from harness.core.values import HIDDEN, LISTENS, NUMBER, CallStream
from harness.history.calls import stream
from harness.plan import CALMER, provenance
from harness.plan.foresight import of_no_work, warnings, whose
from harness.steps import flat, left_going, parameters_words, programs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import App, Health
    from harness.plan import Plan
    from harness.steps import Step

_WIDTH = 100
"""Columns of `describe`."""
_LABEL = re.compile(r" {12,}| +(?:\w+ {2,}|(?:\d+|[a-z])\. )?")
"""How a line of a plan begins, before its text."""
_UNLABELLED = 2
"""Columns before text that has no label, such as a scenario's `why`."""


def describe(made: Plan, width: int = _WIDTH) -> str:
    """Say in words what the run would do, and to whom; for people, some twenty lines. None is wider than `width`, but for words that are."""
    names = tuple(node.name for node in made.nodes)
    lines = [
        made.scenario,
        f"  {made.why}",
        *(["", f"  but in {made.orchestrator}: {made.because}"] if made.because else []),
        "",
        f"  cluster   {counted(len(names), 'node')} from {made.provider} ({', '.join(names)})",
        f"            orchestrated by {made.orchestrator}, profile {made.profile}, seed {made.seed}",
        *(["            " + ", ".join(f"{name} {given(value)}" for name, value in made.timers.items())] if made.timers else []),
        *(["            every /data disk can be slowed"] if any(node.faultable_disk for node in made.nodes) else []),
        *(f"  app       {_app_words(app)}" for app in made.apps),
        *(f"  image     {said}" for said in provenance.in_words(made)),
        *(line for each in made.workloads for line in _workload_words(each)),
    ]
    if _anything_here(made):
        lines.append("  here      what runs on this machine has all the rights of whoever runs whalefall, and is in the cluster's network")
    if any(app.native is not None and app.native.here for app in made.apps):
        lines.append("  here      what a playbook does on this machine (lookups, local tasks) has all the rights of whoever runs whalefall")
    lines += ["  steps"]
    for number, step in enumerate(made.steps, 1):
        first, *rest = step.words(names)
        lines += [f"    {number}. {first}", *(f"       {line}" for line in rest)]
    going = left_going(made.steps)
    mend = f"mend {_and(going)}, and " if going else ""
    lines.append(f"    {len(made.steps) + 1}. {mend}let the cluster settle, {given(made.settle)} at most")
    drawn = [f"step {number}" for number, step in enumerate(made.steps, 1) if any(_drawn(each) for each, _ in flat([step]))]
    if drawn:
        when = "they start" if drawn[1:] else "it starts"
        lines.append(f"  open      targets of {_and(drawn)}: drawn when {when}, with seed {made.seed}")
    for check in made.checks:
        whom = targets.in_words(targets.parse(check.on), nodes=names)
        lines.append(f"  check     {check} on {whom}, {_and(check.when)} the faults")
    lines += [f"  promise   {each.name} {parameters_words(each)}".rstrip() + whose(each) for each in made.promises]
    lines += [f"  budget    after {name}: {budget.spelled()}{of_no_work(made, name)}" for name, budget in made.budgets.items()]
    if made.slower:
        what = "budgets, the election, settling, holds that end when something is seen, and the promises' own seconds"
        lines.append(f"  slower    {what}: lengthened by {given(made.slower.seconds)}: {made.slower.what}")
        lines.append(f"            workloads make {CALMER:g} times fewer calls than the scenario says, and wait {CALMER:g} times longer")
    if made.stretched:
        lines.append(f"  timers    {made.stretched}")
    lines += [f"  warning   {text}" for text in warnings(made)]
    if made.control:
        what = f", with {made.control.match!r} in its words" if made.control.match else ""
        lines.append(f"  control   must come out {made.control.verdict}, because of {made.control.because}{what}")
    lines.append(f"  takes     {given(round(made.longest))} at most for steps and settling, once the cluster is steady")
    lines.append(f"            {given(round(made.limit))} at most including checks, plus the time to make and mend the faults")
    return "\n".join(part for line in lines for part in _wrapped(line, width))


def _anything_here(made: Plan) -> bool:
    """Whether anything of a plan is run on the machine of the harness."""
    whom = [getattr(step, "targets", "") for step, _ in flat(made.steps)]
    return any(targets.is_here(each) for each in (*whom, *(getattr(each, "on", "") for each in made.workloads)))


def _drawn(step: Step) -> bool:
    """Whether the targets of a step are drawn when it starts."""
    whom: str = getattr(step, "targets", "")
    return bool(whom) and bool(targets.parse(whom).choices)


def _wrapped(line: str, width: int) -> list[str]:
    """Return a line of a plan as lines of no more than `width`, the later ones under where its text begins.

    What stands there beside a label, as a command does, keeps the lines that it has: a program cannot be read without them.
    """
    label = _LABEL.match(line)
    indent = " " * (label.end() if label else 0)
    first, *rest = line.split("\n") if len(indent) > _UNLABELLED else [line]
    pieces = [(first, "", indent)]
    for each in rest:
        inside = indent + " " * (len(each) - len(each.lstrip()))
        pieces.append((each.strip(), inside, inside))
    wrapped = []
    for text, begin, later in pieces:
        room = max(width, 2 * len(later))
        wrapped += textwrap.wrap(
            text, room, initial_indent=begin, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return wrapped


def _workload_words(workload: Any) -> list[str]:
    """Say what calls are made, or asked, with programs in lines of their own."""
    kind = "probe    " if stream(workload) is CallStream.PROBE else f"workload  {workload.name}"
    return [f"  {kind} {parameters_words(workload)}".rstrip(), *(f"            {line}" for line in programs(workload))]


def _app_words(app: App) -> str:
    many = counted(app.instances, "instance") if app.instances else "no instance yet"
    said = [f"{many} of {app.name} (image {app.image}{_own_words(app)})"]
    said.append("never two on one node" if app.conflicts else "with no rule against two on one node")
    if app.pin:
        said.append(f"pinned to {app.pin}")
    if app.inner != LISTENS:
        said.append(f"port {app.inner} of its containers")
    if app.labels:
        said.append(f"labelled {', '.join(f'{name}={quoted(value)}' for name, value in app.labels)}")
    if app.environment:
        said.append(f"with {' '.join(f'{name}={HIDDEN}' for name, _ in app.environment)} in its environment")
    if app.command:
        said.append(f"started with {shlex.join(app.command)}")
    if app.volumes:
        said.append(f"with the volumes {' '.join(map(str, app.volumes))}")
    if app.restart:
        said.append(f"restart {app.restart}")
    if app.health:
        said.append(_health_words(app.health))
    if app.limits:
        units = {"pids": " processes", "cpu": " processors", "memory": " MiB", "io": " for io"}
        said.append(f"limited to {' and '.join(f'{value:g}{units[name]}' for name, value in app.limits.given.items())}")
    return ", ".join(said)


def _health_words(health: Health) -> str:
    """Say when a container is healthy."""
    by = health.line or shlex.join(health.words) or (health.http and f"a good answer at {health.http}") or "what its image says"
    times = {"every": health.every, "within": health.timeout, "bad answers from": health.start_period}
    timed = [f"{name} {given(seconds)}{' on' * (name[0] == 'b')}" for name, seconds in times.items() if seconds]
    return ", ".join(
        [f"healthy by {by}", *timed, *([f"unhealthy after {counted(health.retries, 'bad answer')}"] if health.retries else [])]
    )


def _own_words(app: App) -> str:
    """Say what was found in an app's own definition."""
    own = app.native
    if own is None:
        return ""
    by = f"the label {own.label} {own.container}" if own.label else f"the name {own.container}"
    port = f"port {own.port}" if own.port else "a port that the orchestrator chooses" if own.inner else f"no port: {own.portless}"
    said = f"; by its own file {own.file}: {own.called}, containers followed by {by}, {port}"
    numbered = NUMBER in f"{own.called}{own.container}{own.port}"
    return f"{said.replace(NUMBER, '%i')}; %i is the number of an instance" if numbered else said


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
