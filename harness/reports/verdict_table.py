"""The verdict in words: the headline, what each checker found, how the work came back, and the whole report of a run."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.core.figures import DIGITS, at, given, lasted
from harness.core.instances import app_of
from harness.core.naming import natural
from harness.core.plain import as_path, command, in_line, sentence
from harness.core.values import CallStream, Phase, Verdict
from harness.history.calls import stream
from harness.history.interfaces import about_of
from harness.plan import briefing
from harness.reports.console import Hanging, Whole
from harness.reports.meanwhile import meanwhile
from harness.reports.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from harness.core.values import Finding, Json
    from harness.history.events import Event
    from harness.plan import Plan
    from harness.runs.run import Run

STYLES = {Verdict.HELD: "bold green", Verdict.BROKEN: "bold red", Verdict.UNKNOWN: "bold yellow"}

ROOM = 72
"""Columns from which the table of recoveries is one."""

FEWEST = 8
"""Columns that a name has at least, however narrow the terminal: half a name would be another one's."""

SPLIT = ("noticed", "placed", "running", "serving")
"""How lost work comes back, in order; see `harness.history.recovery`."""
BY_API = ("noticed", "placed")
"""Of these, what only an orchestrator's API can tell of."""


@dataclass(frozen=True, slots=True)
class Conviction:
    """Whether a control came out as it should, and the sentence that says so."""

    right: bool
    text: str


def conviction(run: Run) -> Conviction | None:
    """Hold a run of a control against what the control asks for; None for a run of any other scenario."""
    control = run.plan.control
    if control is None:
        return None
    wanted = f"{control.because} must come out {control.verdict}" + (f" and say {control.match!r}" if control.match else "")
    every = run.found_by(control.because)
    # Any that is right convicts, and the nearest to it says what is wrong.
    nearest = sorted(every, key=lambda each: (each.verdict is not control.verdict, control.match not in each.summary))
    finding = next(iter(nearest), None)
    if finding is None:
        wrong = f"NOT convicted: {wanted}, but it gave no finding"
    elif finding.verdict is not control.verdict:
        wrong = f"NOT convicted: {wanted}, but it came out {finding.verdict}"
    elif control.match not in finding.summary:
        wrong = f"NOT convicted for the right reason: {wanted}, but it said: {finding.summary}"
    elif run.verdict is not control.verdict:
        wrong = f"NOT as it should be: {wanted}, and it did, but the whole run came out {run.verdict}"
    else:
        how = f"convicted by {control.because}" if control.verdict is Verdict.BROKEN else f"{control.verdict} because of {control.because}"
        return Conviction(right=True, text=f"control as it should be: {how}")
    return Conviction(right=False, text=f"control {wrong}")


def acquitted(run: Run) -> bool:
    """Whether the checker that was to convict a control says that all was kept, and the run was what was planned."""
    control = run.plan.control
    said = [] if control is None else run.found_by(control.because)[:1]
    whole = all(each.verdict is Verdict.HELD for each in run.found_by(briefing.PREMISE))
    return whole and control is not None and any(each.verdict is Verdict.HELD is not control.verdict for each in said)


def title(plan: Plan) -> str:
    """Name a plan in one line: scenario, mode, provider, seed, and the profile of timers."""
    return in_line(f"{plan.scenario}, {plan.orchestrator} on {plan.provider}, seed {plan.seed}, {plan.profile} timers")


def opened(plan: Plan) -> Text:
    """Return the line with which a run begins."""
    return Text.assemble(("whalefall  ", "bold"), title(plan))


def machines(run: Run) -> str:
    """Say in a line what the nodes were: driver, kernel, whose hosts they are, and whether they had served another run. Empty if nothing is known."""
    known = run.environment
    kernels = known.get("kernels")
    names = sorted({str(each) for each in kernels.values()}) if isinstance(kernels, dict) else []
    hosts = known.get("hosts")
    said = [
        *([str(known["driver"])] if "driver" in known else []),
        *([f"kernel {', '.join(names)}"] if names else []),
        *(
            [", ".join(f"{node} is {host}" for node, host in sorted(hosts.items(), key=lambda each: natural(each[0])))]
            if isinstance(hosts, dict)
            else []
        ),
        *([f"reset to how they were when formed for {known['made_for']}"] if "made_for" in known else []),
    ]
    return f"nodes: {'; '.join(said)}" if said else ""


def opening(run: Run) -> str:
    """Say in one line what became of a run, and of one that did not hold why."""
    word, _, cause = came_out(run)
    return f"{word} {cause or about(run)}"


def about(run: Run) -> str:
    """Say in a line which run it is, and how long it took."""
    return f"{title(run.plan)}, {lasted(run.history.length)}"


def came_out(run: Run) -> tuple[str, str, str]:
    """Return the word for what became of a run, its style, and the cause."""
    if run.history.stopped:
        why = f": {run.history.stopped_by}" if run.history.stopped_by else ""
        return "STOPPED", "bold yellow", f"it was asked to end early{why}; nothing can be said about it"
    if run.history.failure:
        return "FAILED", "bold red", f"the harness itself failed: {run.history.failure}"
    if _cut_off(run):
        why = "killed, its machine down, or its disk full"
        return "KILLED", "bold red", f"the harness ended at {at(run.history.end)} without saying why: {why}"
    return str(run.verdict).upper(), STYLES[run.verdict], _cause(run)


def _cut_off(run: Run) -> bool:
    """Whether a run ended in its middle and nobody could note why, nor what it had seen by then convicts."""
    history = run.history
    whole = history.closed or history.breach is not None or history.phase(Phase.DONE) is not None
    return not whole and run.verdict is not Verdict.BROKEN


def _ended_early(run: Run) -> bool:
    """Whether a run did not come to its end, for whatever reason."""
    return bool(run.history.stopped or run.history.failure or _cut_off(run))


def headline(run: Run, *, opened: bool = False) -> Group:
    """Return the verdict, its cause first, then what it is about and where its evidence is, in a few lines; `opened`: the first was said before."""
    around = _around(run, opened=opened)
    return Group(*([] if opened else [Hanging(_opening(run))]), *([Hanging(around)] if around.plain else []), places(run))


def _opening(run: Run) -> Text:
    word, style, cause = came_out(run)
    return Text.assemble((word, style), f"  {sentence(cause or about(run))}")


def _around(run: Run, *, opened: bool) -> Text:
    """Return the lines between the verdict and its places: which run, on what machines, and what else must be known of it."""
    text = Text()
    if opened or came_out(run)[2]:
        text.append(f"{about(run)}\n")
    if run.history.test_ended:
        text.append(f"{sentence(run.history.test_ended)}\n", "bold red")
    if (cause := _worst(run)) is not None and (beside := meanwhile(run, cause)):
        text.append(f"{sentence(f'meanwhile: {beside}')}\n", "yellow")
    for line in (
        machines(run),
        run.plan.because and f"differs by mode: {run.plan.because}",
        run.plan.slower and f"lengthened: {run.plan.slower.what} {given(run.plan.slower.seconds)}",
        run.plan.stretched and f"stretched: {run.plan.stretched}",
        str(run.environment.get("pace", "")),
    ):
        if line:
            text.append(f"{sentence(line)}\n", "dim")
    for line in slow(run):
        text.append(f"{sentence(line)}\n", "yellow")
    found = conviction(run)
    if found is not None:
        text.append(f"{sentence(found.text)}\n", "green" if found.right else "bold red")
    text.rstrip()
    return text


def places(run: Run) -> Text:
    """Return where a run is kept and what shows its evidence. Never wrapped: both are for pasting."""
    named = "" if run.folder.name == run.run_id else f"run {in_line(run.run_id)}, "
    shown = _last_words(run.folder) if _ended_early(run) else shown_by(run)
    lines = f"{named}kept in {in_line(run.folder)}\nevidence: {shown}"
    return Text(lines, style="dim", no_wrap=True, overflow="ignore")


def _last_words(folder: Path) -> str:
    """Say what there is of a run that did not come to its end: no checker stands on that."""
    there = [name for name in ("logs", "consoles") if (folder / name).exists()]
    return f"the end of {command(as_path(folder / 'history.jsonl'))}" + (f", and {' and '.join(there)} beside it" if there else "")


def slow(run: Run) -> list[str]:
    """Return a line for each who stood still during the run, ourselves among them, and one for a machine that was overloaded."""
    first = next(iter(run.found_by(briefing.PREMISE)), None)
    said = first.details.get("troubles") if first is not None else None
    return [str(line) for line in said] if isinstance(said, list) else []


def overloaded(run: Run) -> bool:
    """Whether machines had too much to do in a run (`harness.checkers.troubles.too_much`): what stood still for a moment is told, and is not that."""
    first = next(iter(run.found_by(briefing.PREMISE)), None)
    return first is not None and first.details.get("too much to do") is True


def _cause(run: Run) -> str:
    """Return the finding that made the verdict, in a line; empty for a run that held."""
    if run.verdict is Verdict.HELD:
        return ""
    why = _convicting(run)
    if not why:
        return "no checker gave a finding"
    more = f" (and {', '.join(each.checker for each in why[1:])})" if len(why) > 1 else ""
    return f"{why[0].checker}: {why[0].summary}{more}"


def _convicting(run: Run) -> list[Finding]:
    """Return the findings that made the verdict, the cause first: before what only follows from another one comes that."""
    why = [each for each in run.findings if each.verdict is run.verdict]
    named = why[0].details.get("follows") if why else None
    return sorted(why, key=lambda each: each.checker != named)


def _worst(run: Run) -> Finding | None:
    """Return the finding that the first line tells; None where it tells none."""
    early = run.verdict is Verdict.HELD or _ended_early(run)
    return None if early else next(iter(_convicting(run)), None)


def shown_by(run: Run) -> str:
    """Return the command that shows what a run's verdict stands on, as a shell takes it."""
    usual = run.folder.parent == Path("results")
    why = next((each.checker for each in _convicting(run) if each.evidence), None)
    chosen = [] if why is None or run.verdict is Verdict.HELD else ["--evidence", why]
    return command("whalefall", "show", run.run_id if usual else as_path(run.folder), *chosen)


def evidence(run: Run, finding: Finding) -> Group:
    """Return what one checker found, and each line of the history that it stands on, in the order of time, with its index there."""
    head = Text.assemble(
        (str(finding.verdict).upper(), STYLES[finding.verdict]), f"  {in_line(finding.checker)}: {sentence(finding.summary)}"
    )
    by_index = {entry.index: entry for entry in run.history.entries}
    there = sorted((by_index[index] for index in {*finding.evidence} if index in by_index), key=lambda entry: (entry.time, entry.index))
    lines = [Whole(Text(in_line(f"{entry.index:>8} {at(entry.time):>10}  {entry.event.kind} {_fields(entry.event)}"))) for entry in there]
    beside = meanwhile(run, finding)
    return Group(
        Whole(head),
        *([Whole(Text(sentence(f"meanwhile: {beside}"), style="yellow"))] if beside else []),
        *(lines or [Whole(Text(_without_lines(finding), style="dim"))]),
    )


def _without_lines(finding: Finding) -> str:
    """Say why a finding names no line of the history."""
    if finding.verdict is Verdict.HELD:
        return "there are no single lines for a promise that was kept: it rests on the whole history, in which nothing contradicts it"
    if finding.verdict is Verdict.BROKEN:
        return "no single line of the history shows it: it is missing from every line that should have it"
    return "no single line of the history shows it: what would have decided it is not there"


def _fields(event: Event) -> str:
    return json.dumps(dataclasses.asdict(event), ensure_ascii=False, default=str)


def findings(run: Run) -> Table:
    """Return a table of what every checker found. Summaries are wrapped, never cut. Of a run that failed only what was found before it did."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False, padding=(0, 1))
    table.add_column("checker", overflow="fold", min_width=FEWEST)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what it found", overflow="fold", ratio=1)
    shown = [each for each in run.findings if not _ended_early(run) or each.verdict is not Verdict.UNKNOWN]
    for finding in shown:
        table.add_row(in_line(finding.checker), Text(str(finding.verdict), style=STYLES[finding.verdict]), Text(sentence(finding.summary)))
    if len(shown) < len(run.findings):
        rest = f"{len(run.findings) - len(shown)} checkers cannot tell: the run did not finish"
        table.add_row("-", Text("unknown", style=STYLES[Verdict.UNKNOWN]), Text(rest))
    if not run.findings:
        table.add_row("-", Text("unknown", style=STYLES[Verdict.UNKNOWN]), Text("no checker gave a finding"))
    return table


def recovery(run: Run) -> RenderableType | None:
    """Return how the work that faults took away came back, or None where none was taken away. How it stands is what `rescheduled` judged."""
    rows = {name: split for name, split in run.recovery.items() if isinstance(split, dict)}
    if not rows:
        return None
    never = "not yet" if _cut_off(run) else "never"
    sums: dict[str, str] = {}  # budget, spelled → fault
    lines: list[_Way] = []
    called = called_apps(run.plan)
    for name in sorted(rows, key=natural):
        split = rows[name]
        fault = _fault_name(run, split.get("fault"))
        finding, judged = judged_by(run, name)
        limit = judged.get("limit")
        every = run.plan.budgets_after(split.get("fault"), fault)
        if budget := next((each for each in every if limit == round(each.seconds, DIGITS)), None):
            sums.setdefault(budget.spelled(), fault)
        lines.append(
            _Way(
                in_line(name),
                in_line(
                    f"stayed on {split.get('from')}"
                    if split.get("stayed")
                    else f"{split.get('from') or '?'} to {split.get('to') or 'nowhere'}"
                ),
                [_step(split, step, never if asked(run.plan, step, name, called) and not split.get("stayed") else "-") for step in SPLIT],
                given(limit).removesuffix(" s") if isinstance(limit, int | float) else "-",
                _against(split, judged, finding),
            )
        )
    said = [*(f"allowed after {fault}: {words}" for words, fault in sums.items()), *_hidden(run, rows)]
    notes = [Padding(Hanging(Text(in_line(each), style="dim")), (0, 0, 0, 1)) for each in said]
    heading = Text("Recovery (seconds after each one was lost; running by the nodes themselves)", style="bold")
    return Group(heading, _Ways(lines), *notes)


def _hidden(run: Run, rows: Mapping[str, Mapping[str, Json]]) -> list[str]:
    """Say what the rows of the table hide: what nobody saw, who else answered, and how what was allowed comes about."""
    names = sorted(rows, key=natural)
    vague = {name: why for name in names if (why := _not_measured(name, rows[name]))}
    early = [name for name in names if name not in vague and _before(rows[name].get("serving"), rows[name].get("running"))]
    by = {
        name: " and ".join(str(each) for each in found)
        for name in names
        if isinstance(found := rows[name].get("by"), list | tuple) and found
    }
    added = {name: more for name in names if (more := judged_by(run, name)[1].get("sum"))}
    first = f"{', '.join(early)} served before running: nodes are looked at now and then, and running counts from when that showed it there"
    return [
        *vague.values(),
        *(
            f"{name} ran on where it was for {lasted(more)} after that, and {_since_its_end(rows[name], more)}"
            for name in names
            if isinstance(more := rows[name].get("ran_on"), int | float)
        ),
        *([first] if early else []),
        *(
            f"{name} was answered by {who} meanwhile{': serving is the first answer from its new home' if rows[name].get('to') else ''}"
            for name, who in by.items()
            if not rows[name].get("stayed")
        ),
        *(
            f"{name} was allowed {more}: other faults meanwhile are allowed for, each from when it came or was mended"
            for name, more in added.items()
        ),
    ]


def _since_its_end(split: Mapping[str, Json], ran_on: float) -> str:
    """Say how long work took that ran on where it was for a while, from when it stopped there; nothing of that where it is not back."""
    running = split.get("running")
    if not isinstance(running, int | float):
        return "is judged from then on"
    if running <= ran_on:
        return "was never gone"
    return f"is judged from then on: running again took {lasted(running - ran_on)}"


def _not_measured(name: str, split: Mapping[str, Json]) -> str:
    """Say that nobody saw when an instance came to run; nothing where somebody did."""
    absent, early, running = split.get("absent"), split.get("early"), split.get("running")
    if isinstance(absent, int | float) and isinstance(running, int | float):
        between = f"between {_seconds(absent)} and {_seconds(running)}"
        return f"{name} came some time {between}: nobody looked in between, so running is the latest possible"
    if isinstance(early, int | float):
        return f"{name} ran there for {lasted(early)} already when the loss was seen: how long it took is not known"
    return ""


def asked(plan: Plan, step: str, instance: str, called: Collection[str]) -> bool:
    """Whether anybody could see that an instance had come so far: nobody is served whom nobody calls, and without an API there is none to tell.

    `called` are the apps that somebody calls.
    """
    if step == "serving":
        return app_of(instance) in called
    return step not in BY_API or not plan.observers or "placement" in plan.observers


def _step(split: Mapping[str, Json], step: str, never: str) -> str:
    """Return when work had come so far, and `never` where it had not."""
    return never if split.get(step) is None else _seconds(split.get(step))


def _before(first: Json, second: Json) -> bool:
    """Whether one figure is less than the other, as they are shown."""
    return isinstance(first, int | float) and isinstance(second, int | float) and first < second and _seconds(first) != _seconds(second)


@dataclass(frozen=True, slots=True)
class _Way:
    """How one instance came back, in words."""

    name: str
    moved: str
    steps: Sequence[str]  # as `SPLIT`
    allowed: str
    how: Text


@dataclass(frozen=True, slots=True)
class _Ways:
    """The table of all ways back; where it has no room, a paragraph each."""

    ways: Sequence[_Way]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield whichever fits the console."""
        if options.max_width >= ROOM:
            yield self._table()
            return
        for way in self.ways:
            steps = ", ".join(f"{step} {seconds}" for step, seconds in zip(SPLIT, way.steps, strict=True))
            yield Hanging(Text.assemble((way.name, "bold"), f" {way.moved}: {steps}; allowed {way.allowed}: ", way.how, overflow="fold"))

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        table.add_column("instance", overflow="fold")
        table.add_column("moved", overflow="fold")
        for step in SPLIT:
            table.add_column(step, justify="right", no_wrap=True)
        table.add_column("allowed", justify="right", no_wrap=True)
        table.add_column("", overflow="fold")
        for way in self.ways:
            table.add_row(way.name, way.moved, *way.steps, way.allowed, way.how)
        return table


def judged_by(run: Run, name: str) -> tuple[Finding | None, Mapping[str, Json]]:
    """Return the finding that judged a recovery, and what it says of it; none where nothing was promised.

    Of several promises that is the one that it kept least, and of those the strictest.
    """
    every: list[tuple[Finding, Mapping[str, Json]]] = []
    judging = dict.fromkeys(each.name for each in run.plan.promises if about_of(each).returns)
    for finding in (each for checker in judging for each in run.found_by(checker)):
        instances = finding.details.get("instances")
        found = instances.get(name) if isinstance(instances, dict) else None
        if isinstance(found, dict):
            every.append((finding, found))

    def strictness(judged: tuple[Finding, Mapping[str, Json]]) -> tuple[int, float]:
        limit = judged[1].get("limit")
        kept = {str(Verdict.BROKEN): 0, str(Verdict.UNKNOWN): 1}.get(str(judged[1].get("verdict")), 2)
        return kept, limit if isinstance(limit, int | float) else math.inf

    return min(every, key=strictness, default=(None, {}))


def called_apps(plan: Plan) -> frozenset[str]:
    """Return the apps that a workload calls: of others nobody knows when they serve."""
    return frozenset(str(getattr(each, "app", "")) for each in plan.workloads if stream(each) is CallStream.APP)


def _fault_name(run: Run, number: Json) -> str:
    breaks = run.plan.breaks
    if isinstance(number, int) and 1 <= number <= len(breaks):
        return breaks[number - 1].fault.name
    return ""


def _seconds(value: Json) -> str:
    return lasted(value).removesuffix(" s") if isinstance(value, int | float) else "-"


def _against(split: Mapping[str, Json], judged: Mapping[str, Json], finding: Finding | None) -> Text:
    """Say how a recovery stands, as it was judged. One that never came is as long as it was watched, not longer."""
    running, watched = split.get("running"), split.get("watched")
    seen = f" in {lasted(watched)}" if isinstance(watched, int | float) else ""
    absent = "nowhere else" if split.get("stayed") else "not back"
    back = isinstance(running, int | float)
    if finding is None:
        return Text("not promised" if back else f"{absent}{seen}", style="dim" if back or split.get("stayed") else "bold red")
    verdict = judged.get("verdict")
    if verdict == Verdict.HELD:
        return Text("within" if judged.get("limit") is not None else "back; nothing was promised", style="green")
    # By itself it convicts; whether it may was decided with all that was known.
    if verdict == Verdict.BROKEN and finding.verdict is Verdict.BROKEN:
        return Text("too late" if back else f"{absent}{seen}", style="bold red")
    return Text("cannot be said" if back else f"{absent}{seen}, cannot be said", style="bold yellow")


def report(run: Run, *, opened: bool = False) -> Group:
    """Return the whole report of a run: verdict, findings, recovery, timeline, the verdict once more, and where everything lies.

    A report is longer than many a screen: the end is what is left on it. Where its first line was said before (`opened`), it is said no more.
    """
    parts: list[RenderableType] = [headline(run, opened=opened), findings(run)]
    back = recovery(run)
    if back is not None:
        parts += [back, ""]
    why = {index for each in run.findings if each.verdict is not Verdict.HELD for index in each.evidence}
    parts += [
        Timeline(run.history, [node.name for node in run.plan.nodes], evidence=why, voters=run.plan.expected.voters),
        "",
        places(run) if opened else headline(run),
    ]
    return Group(*parts)
