"""Whether two instances of one app ever ran on one node at once, and where API and nodes disagreed."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from harness.checkers.expected import Expected
from harness.checkers.judging import SHOWN, Point, Report, broken, conclude, missed, unknown
from harness.checkers.overlaps import RESOLUTION, Overlap, double_runs, joined, not_seen, shown, split, twice
from harness.checkers.troubles import blind, unheard
from harness.checkers.usual import calm
from harness.checkers.windows import Window, Windows, within
from harness.core.figures import at, lasted
from harness.core.instances import app_of
from harness.core.units import Names
from harness.core.values import App
from harness.history.absence import Absence, merged_views
from harness.history.bands import first_bitten
from harness.history.intervals import Interval, Span, common, neat, node_spans, stays, total, united, views, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.core.values import Finding, Json
    from harness.history.absence import Voters
    from harness.history.events import History

API_LAG = 2.0
"""Seconds by which an orchestrator's API may trail its own nodes without a word in the report: about one poll and one publication."""

Pair: TypeAlias = tuple[str, str, str]
"""Two instances on a node: the node, and the instances in order."""


@dataclass(frozen=True, slots=True)
class Conflicts:
    """No node ever ran two different instances of one app at once, by node truth and by the API's own word; nor one instance in two containers.

    Two looks that show it convict, or one that Docker's own times bear out (`harness.checkers.overlaps`); with one alone it is unknown.
    Of the plan's `apps` those are spared that have no rule against two on one node, where another has it. Where none
    has it all are judged, since somebody may have forgotten it. With `app` that one is judged, whatever its rule, and no other. One instance in two
    containers of a node convicts whatever the rule.
    The same instance on two nodes (a double run) is reported with its length, and never convicts: no scheduler promises against it.
    With `expect_double_run` the scenario exists to show one that began when the first fault, or that of `during`, had bitten: without one there is
    nothing to judge, nor where there was one before anything was broken.
    With `during` all of this is about the time of a fault alone, and with `outside` about what is left without one (`harness.checkers.windows`).
    The `apps`, and who is `expected`, the plan fills in, not the scenario.
    """

    name: ClassVar[str] = "conflicts"
    expect_double_run: bool = False
    app: str | None = None
    apps: tuple[App, ...] = ()
    expected: Expected = field(default_factory=Expected)
    during: Names = ()
    outside: Names = ()

    @property
    def spared(self) -> tuple[str, ...]:
        """The apps that may run two instances on one node: they have no rule against it, and others have."""
        if self.app is not None or not any(app.conflicts for app in self.apps):
            return ()
        return tuple(app.name for app in self.apps if not app.conflicts)

    def judges(self, app: str) -> bool:
        """Whether two instances of an app on one node convict."""
        return app not in self.spared if self.app is None else app == self.app

    def _is_about(self, instance: str) -> bool:
        return self.app is None or app_of(instance) == self.app

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown; details hold overlaps, double runs and disagreements with their lengths in seconds."""
        windows = Windows.of(history, self.during, self.outside, self.expected.numbers, Interval(0.0, history.end))
        points, held, details = windows.judged(lambda window: self._within(history, window))
        return conclude(self.name, history, points, held, {**details, "resolution": RESOLUTION})

    def _within(self, history: History, window: Window) -> Report:
        """Judge what was so in one time."""
        spans = node_spans(history)
        unseen = blind(history)
        dark = not_seen(history, spans)
        overlaps = within(window, [each for each in _overlaps(spans, dark) if self.judges(app_of(each.names[1]))])
        doubled = within(window, [each for each in twice(spans, dark) if self._is_about(each.names[1])])
        claimed = within(window, [each for each in _claimed(history, unseen, self.expected.voters) if self.judges(app_of(each.names[1]))])
        every = [each for each in double_runs(history, spans) if self._is_about(each.names[0])]
        doubles = within(window, every)
        details: dict[str, Json] = {
            "overlaps": [_overlap_json(each) for each in overlaps[:SHOWN]],
            "twice_on_a_node": [_twice_json(each) for each in doubled[:SHOWN]],
            "api_overlaps": [_overlap_json(each) for each in claimed[:SHOWN]],
            "double_runs": [_double_json(each) for each in doubles[:SHOWN]],
            "disagreements": _disagreements(history, spans, self.expected.voters, self._is_about, window),
        }
        said = f", {window.named}" if window.named else ""
        convicted = [*_convictions(history, overlaps), *_convictions(history, doubled), *_api_convictions(claimed, overlaps, spans)]
        points = [replace(each, text=f"{each.text}{said}") for each in convicted]
        ran = [
            span.interval
            for pieces in spans.values()
            for span in pieces
            if any(self.judges(app_of(instance)) for instance in span.instances)
        ]
        if not window.saw(ran):
            ever = "" if window.named else "ever "
            points.append(unknown(f"no node was {ever}seen to run an instance{self._of_whom}{window.after_it}"))
        shown = [each for each in doubles if each.sure]
        if self.expect_double_run:
            bitten = window.start if window.whose else first_bitten(history, spans)
            before = [
                each
                for each in every
                for time in common([each.interval], [calm(history, app_of(each.names[0]))])
                if each.sure and time.length >= RESOLUTION
            ]
            shown = [each for each in shown if _began(each, every) >= bitten]
            # What another app did by itself says nothing of this one's.
            usual = {app_of(each.names[0]) for each in before}
            if not any(each.interval.length >= RESOLUTION and app_of(each.names[0]) not in usual for each in shown):
                points += [
                    unknown(f"{_double(each)} from {at(each.interval.start)}, before anything was broken, too", each.entry)
                    for each in before
                ]
        if self.expect_double_run and not any(each.interval.length >= RESOLUTION for each in shown):
            when = window.when if window.named else "from the first fault on"
            points.append(unknown(f"no instance was seen on two nodes at once {when}, which this scenario exists to show"))
        return Report(points, self._held(shown, window), details)

    @property
    def _of_whom(self) -> str:
        if self.app is not None:
            return f" of {self.app}"
        return f" of an app that is judged ({', '.join(self.spared)} may run two on a node, with no rule against it)" if self.spared else ""

    def _held(self, doubles: Sequence[Overlap], window: Window) -> str:
        ever = "" if window.named else "ever "
        text = f"no node {ever}ran two instances of {self.app or 'one app'} at once{window.after_it}"
        if self.spared:
            text += f" ({', '.join(self.spared)} may, with no rule against it)"
        if not doubles:
            return text
        return f"{text}; {_double(max(doubles, key=lambda each: each.interval.length))}"


def _double(one: Overlap) -> str:
    instance, first, second = one.names
    return f"{instance} ran on {first} and {second} at once for {lasted(one.interval.length)}"


def _began(one: Overlap, every: Sequence[Overlap]) -> float:
    """Return when a double run began, as far back as it may have gone on: one that began before a fault had bitten is none of its doing."""
    times = united(each.whole or each.interval for each in every if each.names == one.names)
    return next(each.start for each in times if each.start <= one.interval.start <= each.end)


def _convictions(history: History, overlaps: Sequence[Overlap]) -> list[Point]:
    seen = {each: shown(history, each, _needs(each.names)).length for each in overlaps if each.sure}
    sure = {each.names for each, length in seen.items() if length >= RESOLUTION}
    points = []
    for each in sorted(overlaps, key=lambda each: -each.interval.length):
        text = f"{_what(each.names)} for {lasted(each.interval.length)} from {at(each.interval.start)}"
        if seen.get(each, 0.0) >= RESOLUTION:
            points.append(broken(text, each.entry))
        elif each.names not in sure and not each.sure:
            points.append(unknown(f"perhaps {text}: the node could not be asked then", each.entry))
        elif each.names not in sure and each.interval.length >= RESOLUTION:
            points.append(unknown(f"perhaps {text}: only one look showed it, and Docker does not bear it out", each.entry))
    return points


def _needs(names: tuple[str, ...]) -> dict[str, Counter[str]]:
    """Return what a node must be seen to run for two instances, or one twice."""
    node, one, *other = names
    return {node: Counter([one, *(other or [one])])}


def _what(names: tuple[str, ...]) -> str:
    node, one, *other = names
    return (
        f"{node} ran two instances of {app_of(one)} at once, {one} and {other[0]},"
        if other
        else f"{node} ran {one} in two containers at once"
    )


def _api_convictions(claimed: Sequence[Overlap], overlaps: Sequence[Overlap], spans: Mapping[str, Sequence[Span]]) -> list[Point]:
    """Judge by the API's word. That of nodes which are lost to a fault is not the cluster's: it convicts nobody, and acquits nobody."""
    points = []
    certain = {node: [span.interval for span in pieces if span.sure] for node, pieces in spans.items()}
    convicted = {each.names for each in claimed if each.sure and each.interval.length > API_LAG}
    seen: dict[tuple[str, ...], list[Interval]] = {}
    for each in overlaps:
        seen.setdefault(each.names, []).append(each.interval)
    for each in claimed:
        node, one, other = each.names
        if not each.sure:
            if each.interval.length > API_LAG and each.names not in convicted:
                said = f"the API showed two instances of {app_of(one)} running on {node}, {one} and {other}, for {lasted(each.interval.length)}"
                dark = total(without([each.interval], certain.get(node, [])))
                node_says = f"could not be asked for {lasted(dark)} of it" if dark else "did not bear it out"
                points.append(unknown(f"{said}, but only nodes that were lost then said so, and {node} itself {node_says}", each.entry))
        elif each.interval.length > API_LAG:
            borne_out = bool(common([each.interval], seen.get(each.names, [])))
            text = (
                f"the API showed two instances of {app_of(one)} running on {node}, {one} and {other}, "
                f"for {lasted(each.interval.length)} from {at(each.interval.start)}{'' if borne_out else ', which the node did not bear out'}"
            )
            # A word that the node does not bear out is one that came late: a slow machine makes it later.
            trailed = missed(text, each.entry, over=[each.interval], by=each.interval.length - API_LAG)
            points.append(broken(text, each.entry) if borne_out else trailed)
    return points


def _pairs(node: str, instances: Iterable[str]) -> list[Pair]:
    """Every two different instances of one app among those that are on a node."""
    apps: dict[str, list[str]] = {}
    for instance in sorted(set(instances)):
        apps.setdefault(app_of(instance), []).append(instance)
    return [(node, one, other) for names in apps.values() for one, other in itertools.combinations(names, 2)]


def _overlaps(spans: Mapping[str, Sequence[Span]], dark: Mapping[str, Sequence[Interval]]) -> list[Overlap]:
    pieces: dict[tuple[tuple[str, ...], bool], list[tuple[Interval, int]]] = {}
    for node, every in spans.items():
        for span in every:
            for pair in _pairs(node, span.instances):
                split(pieces, pair, span, dark[node])
    return joined(pieces)


def _claimed(history: History, unseen: Sequence[Interval], voters: Voters) -> list[Overlap]:
    """Return the overlaps that the API claimed, as far as it was asked: what it said last is not what it says for ever.

    They are not `sure` where only a node said so that may have been lost then, or had no majority (`harness.history.absence.Absence`).
    """
    silent = unheard(history, "placement")
    absence = Absence.of(history, voters)
    pieces: dict[tuple[tuple[str, ...], bool], list[tuple[Interval, int]]] = {}
    for asked_at, claims in views(history).items():
        lost = absence.when(asked_at)
        for claim in claims:
            nodes: dict[str, list[str]] = {}
            for placement in claim.view.placements:
                if placement.running and placement.node is not None:
                    nodes.setdefault(placement.node, []).append(placement.instance)
            for node, instances in nodes.items():
                for pair in _pairs(node, instances):
                    asked = without([claim.interval], [*unseen, *silent.get(claim.asked, ())])
                    for sure, parts in ((True, without(asked, lost)), (False, common(asked, lost))):
                        pieces.setdefault((pair, sure), []).extend((each, claim.entry) for each in parts)
    return joined(pieces)


def _disagreements(
    history: History, spans: Mapping[str, Sequence[Span]], voters: Voters, about: Callable[[str], bool], window: Window
) -> list[Json]:
    """Every stretch in which the survivors' API and the nodes told different things of an instance, for `API_LAG` or longer as far as is known.

    Only of those instances that it is `about`, and of what lies in the `window`, all of it or a part. It is one over a time in which one of them
    could not be asked (`unasked` seconds of it), unless they agreed meanwhile, as far as is known.
    """
    merged = merged_views(history, voters)
    known = united(claim.interval for claim in merged)
    says: dict[tuple[str, str], list[Interval]] = {}
    for claim in merged:
        for placement in claim.view.placements:
            if placement.running and placement.node is not None:
                says.setdefault((placement.instance, placement.node), []).append(claim.interval)
    runs: dict[tuple[str, str], list[Interval]] = {}
    for stay in stays(spans):
        if stay.sure:
            runs.setdefault((stay.instance, stay.node), []).append(stay.interval)
    certain = {node: united(span.interval for span in pieces if span.sure) for node, pieces in spans.items()}
    found: list[tuple[Interval, float, str, str, str]] = []
    for instance, node in sorted(each for each in {*says, *runs} if about(each[0])):
        said, ran = says.get((instance, node), []), runs.get((instance, node), [])
        told = certain.get(node, [])
        phantom = _over_doubt(common(without(said, ran), told), [*without(known, said), *ran])
        unseen = _over_doubt(without(common(ran, known), said), [*said, *without(told, ran)])
        found += [(*each, instance, node, "the API says that it runs there, the node does not run it") for each in phantom]
        found += [(*each, instance, node, "the node runs it, the API does not say so") for each in unseen]
    longer = sorted(each for each in found if each[0].length - each[1] > API_LAG and common([each[0]], window.pieces))
    return [
        {"instance": instance, "node": node, "what": what, **_interval_json(interval), **({"unasked": neat(unasked)} if unasked else {})}
        for interval, unasked, instance, node, what in longer[:SHOWN]
    ]


def _over_doubt(pieces: Iterable[Interval], ends: Sequence[Interval]) -> list[tuple[Interval, float]]:
    """Join pieces of one disagreement between which nothing is known to have ended it; each with the seconds of it that are not known."""
    found: list[tuple[Interval, float]] = []
    for each in united(pieces):
        last, unasked = found[-1] if found else (each, 0.0)
        between = Interval(last.end, each.start)
        if found and not common([between], ends):
            found[-1] = (Interval(last.start, each.end), unasked + between.length)
        else:
            found.append((each, 0.0))
    return found


def _interval_json(interval: Interval) -> dict[str, Json]:
    return {"from": neat(interval.start), "to": neat(interval.end), "length": neat(interval.length)}


def _overlap_json(overlap: Overlap) -> Json:
    node, one, other = overlap.names
    return {"node": node, "instances": [one, other], "sure": overlap.sure, **_interval_json(overlap.interval)}


def _twice_json(overlap: Overlap) -> Json:
    node, instance = overlap.names
    return {"node": node, "instance": instance, "sure": overlap.sure, **_interval_json(overlap.interval)}


def _double_json(overlap: Overlap) -> Json:
    instance, one, other = overlap.names
    return {"instance": instance, "nodes": [one, other], "sure": overlap.sure, **_interval_json(overlap.interval)}
