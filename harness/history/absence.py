"""Who is lost when, and to what, by all faults together: faults overlap, and what one of them leaves another may take."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from harness.core.topology import SHAPES, cut_off
from harness.core.traits import DISK
from harness.core.values import CallStream, Loss, NodeState
from harness.history.bands import MEMBER, fault_bands
from harness.history.calls import ops
from harness.history.events import ApiSeen, MemberSeen
from harness.history.intervals import Claim, Interval, asked, node_spans, united, without
from harness.history.reigns import Leadership, members_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.core.values import View
    from harness.history.bands import Band
    from harness.history.events import Event, History

IN_FLIGHT = 3.0
"""Seconds from the time when a fault was in force in which what is told may be from before: an answer takes 2 s at most, and is then written down."""

ON_ITS_WAY = 1.0
"""Seconds for which a word, or a call, of somebody who was just lost mostly is on its way. What is later than that was said afterwards, unless more
is known: `IN_FLIGHT` is how late it may be at most."""

SOON = 2.0
"""Seconds between two acknowledged writes in which no quorum was lost and won again: an election takes longer to begin, and then to end."""

ONE_WAY = "one_way"
"""The shape in which the lost hear the others, or are heard by them, and reach nobody both ways: no majority either. At the rim of a bridge or a
ring a member may still follow one that has."""


@dataclass(frozen=True, slots=True)
class Voters:
    """Who makes up the quorum.

    `members` are the nodes that are planned as members: where there are none, those of whom the history tells as such
    (`harness.history.reigns.members_of`). `daemon` is by what a node is one: who has lost it has no vote.
    """

    members: frozenset[str] = frozenset()
    daemon: str = MEMBER


@dataclass(frozen=True, slots=True)
class Away:
    """A time in which a node could have no majority, and why: ``was cut off by net.partition``."""

    node: str
    interval: Interval
    why: str
    cut: bool  # its member lives on, and knows what it knew


@dataclass(frozen=True, slots=True)
class Absence:
    """Who is lost to the faults of a history, and when. Lost as well is whom several of them leave without a majority together.

    Two questions have two answers. Who *may* be lost, from the decision of a fault until nothing of it is left, whether it ever came into force or
    not: `at`, `when`. Nothing counts for the cluster that such a node says. Nothing that starts there is back for sure, either (`no_home`); but where
    the member alone is lost, its node is a home as before. `doubtful` are the times in which so no member may have had a majority: a member that is
    started again in its place was away until it spoke, and one whose disk is slow may be too late with its vote; and after such a time it takes until
    somebody leads. And who *surely* could have no majority, only while a fault was in force: `unable`, and `nobody` for the times in which no member
    had one. By the second alone somebody is said to have spoken who cannot have.
    """

    pieces: Mapping[str, Sequence[Interval]] = field(default_factory=dict)
    homeless: Mapping[str, Sequence[Interval]] = field(default_factory=dict)
    unable: tuple[Away, ...] = ()
    nobody: tuple[Interval, ...] = ()
    doubtful: tuple[Interval, ...] = ()

    @classmethod
    def of(cls, history: History, voters: Voters | None = None) -> Self:
        """Work it out from the faults of a history, its node truth, and who votes; once for all who ask."""
        known = voters or Voters()
        return history.once((cls, known), lambda: cls._of(history, known))

    @classmethod
    def _of(cls, history: History, voters: Voters) -> Self:
        bands, spans = fault_bands(history), node_spans(history)
        cluster = _Cluster.of(history, voters)
        members = cluster.members
        maybe = [each for band in bands if (each := _may_take(cluster, band, band.away, history.end))]
        homeless = [each for band in bands if (each := _may_take(cluster, band, _no_homes(band), history.end))]
        surely = [each for band in bands if (each := _surely_takes(cluster, band, history.end))]
        off = [(node, each.interval) for node, pieces in spans.items() for each in pieces if each.state is NodeState.OFF]
        machines = [_Effect(each, f"{node} off", {}, off=frozenset({node})) for node, each in off]
        maybe, homeless = [*maybe, *machines], [*homeless, *machines]
        surely += [
            _Effect(each, f"{node} off", {node: "was off by node truth"}, off=frozenset({node}))
            for node, pieces in surely_off(history).items()
            for each in pieces
        ]
        lost, _ = _taken(cluster, maybe)
        voteless = [each for band in bands for each in _voteless(cluster, band, history)]
        _, doubtful = _taken(cluster, [*maybe, *voteless])
        unable, nobody = _taken(cluster, surely, surely=True)
        return cls(
            {node: united(each.interval for each in pieces) for node, pieces in lost.items()},
            {node: united(each.interval for each in pieces) for node, pieces in _taken(cluster, homeless)[0].items()},
            tuple(each for pieces in unable.values() for each in pieces),
            tuple(nobody),
            tuple(without(_until_led(doubtful, history, members, lost), _acknowledged(history, lost))),
        )

    def at(self, time: float) -> frozenset[str]:
        """Return who may be lost at a moment, both ends of each loss included."""
        return frozenset(node for node, pieces in self.pieces.items() if any(each.holds(time) for each in pieces))

    def from_(self, time: float) -> frozenset[str]:
        """Return who may be lost from a moment on: a loss that ends just then is over."""
        return frozenset(node for node, pieces in self.pieces.items() if any(each.start <= time < each.end for each in pieces))

    def when(self, node: str) -> list[Interval]:
        """Return when a node may be lost, joined and sorted."""
        return united(self.pieces.get(node, ()))

    def no_home(self, node: str) -> list[Interval]:
        """Return when nothing that starts on a node is back for sure, joined and sorted."""
        return united(self.homeless.get(node, ()))

    def no_homes(self, time: float) -> frozenset[str]:
        """Return the nodes on which nothing that starts at a moment is back for sure, both ends of each time included."""
        return frozenset(node for node, pieces in self.homeless.items() if any(each.holds(time) for each in pieces))

    @property
    def edges(self) -> list[float]:
        """The moments at which who may be lost changes."""
        return [edge for pieces in self.pieces.values() for each in pieces for edge in (each.start, each.end)]


def surely_off(history: History) -> dict[str, list[Interval]]:
    """Return when each machine was off by node truth, without the times at both ends in which a word of it may still be on its way.

    From when a fault that hit it begins to be mended it may be on again, before whoever tells node truth is back: over SSH that takes seconds more.
    """
    bands = fault_bands(history)
    found = {}
    for node, pieces in node_spans(history).items():
        mended = [band.healing for band in bands if band.healing is not None and band.reaches(node)]
        off = [each.interval for each in pieces if each.state is NodeState.OFF]
        ends = [min([each.end - IN_FLIGHT, *(time for time in mended if time > each.start)]) for each in off]
        found[node] = [Interval(each.start + IN_FLIGHT, end) for each, end in zip(off, ends, strict=True) if end > each.start + IN_FLIGHT]
    return found


@dataclass(frozen=True, slots=True)
class _Cluster:
    nodes: tuple[str, ...]  # in order
    members: frozenset[str]
    daemon: str

    @classmethod
    def of(cls, history: History, voters: Voters) -> Self:
        members = frozenset(members_of(history, voters.members))
        return cls(tuple(sorted({*node_spans(history), *members}, key=lambda node: (len(node), node))), members, voters.daemon)


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a fault, or a machine that is off, does for a time."""

    interval: Interval
    label: str  # in words
    lost: Mapping[str, str]  # who is lost to it, each with the reason
    off: frozenset[str] = frozenset()  # whose machine, or member, is not there
    drops: Mapping[str, frozenset[str]] = field(default_factory=dict)  # node → whose packets it drops


def _may_take(cluster: _Cluster, band: Band, lost: Iterable[str], end: float) -> _Effect | None:
    return _effect(cluster, band, band.life(end), dict.fromkeys(lost, ""), _drops(band, cluster.nodes))


def _no_homes(band: Band) -> frozenset[str]:
    """Return whom a fault takes as homes: not those that lose a member alone, on which others go on to run what is theirs."""
    return band.away if band.takes_homes else frozenset()


def _until_led(times: Sequence[Interval], history: History, members: frozenset[str], lost: Mapping[str, Sequence[Away]]) -> list[Interval]:
    """Return times without a majority, each until a leader was followed again, where nobody was at its end.

    Who may be lost follows nobody for the cluster, and who says of itself that another leads, or nobody, does not lead, whoever names it.
    """
    if not times:
        return []
    leadership = Leadership(members)
    edges = {edge for pieces in lost.values() for each in pieces for edge in (each.interval.start, each.interval.end)}
    moments: list[tuple[float, Event | None]] = [(entry.time, entry.event) for entry in history.entries]
    led: list[tuple[float, bool]] = []
    for time, event in sorted([*moments, *((edge, None) for edge in edges)], key=lambda each: (each[0], each[1] is None)):
        if event is None or leadership.hear(event):
            away = {node for node, pieces in lost.items() if any(each.interval.start <= time < each.interval.end for each in pieces)}
            _, leader = leadership.agreed(but=away)
            word = leadership.words.get(leader) if leader is not None else None
            led.append((time, leader is not None and leader not in away and (word is None or word.leader == leader)))
    found = []
    for each in times:
        then = next((now for time, now in reversed(led) if time <= each.end), True)
        end = each.end if then else next((time for time, now in led if time > each.end and now), history.end)
        found.append(Interval(each.start, max(each.end, end)))
    return united(found)


def _surely_takes(cluster: _Cluster, band: Band, end: float) -> _Effect | None:
    held = band.held(end)
    if held is None or band.traits.in_place:
        return None
    lost = dict.fromkeys(band.lost, why) if (why := _why(band, cluster.daemon)) else {}
    return _effect(cluster, band, held, lost, _drops(band, cluster.nodes))


def _acknowledged(history: History, lost: Mapping[str, Sequence[Away]]) -> list[Interval]:
    """Return when writes were acknowledged one soon after the other, by who was lost to nothing: there was a majority."""
    times = sorted(
        op.ended
        for op in ops(history, CallStream.QUORUM)
        if op.ok and op.call.function == "write" and op.ended is not None
        if op.by and not any(each.interval.holds(op.ended) for each in lost.get(op.by, ()))
    )
    return [Interval(early, late) for early, late in itertools.pairwise(times) if late - early <= SOON]


def _voteless(cluster: _Cluster, band: Band, history: History) -> list[_Effect]:
    """Return when each member may have had no vote that is lost to nobody: one on a slow disk, for all of the fault's life.

    One that comes back in its place was away until it spoke again, or, where it never did, as long; and one that was mended, or cut off, until it
    spoke: to the end, where it was asked in vain and never did.
    """
    life = band.life(history.end)
    if DISK in band.traits.parts:
        slow = frozenset({*band.targets} & cluster.members)
        return [_Effect(life, f"{band.name} on {band.where}", dict.fromkeys(slow, ""), off=slow)] if slow else []
    if not _takes_votes(cluster, band) and band.traits.loses is not Loss.LINK:
        return []
    if band.traits.in_place and band.traits.loses is Loss.NODE:
        return []
    bite = band.begins if band.in_force is None else band.in_force
    found = []
    for node in sorted({*band.lost} & cluster.members):
        words = [(entry.time, bool(event.error)) for entry, event in history.each(MemberSeen) if event.node == node]
        silent = next((mute for time, mute in reversed(words) if time <= life.end), False)
        spoke = next((time for time, mute in words if time >= life.end and not mute), history.end if silent else life.end)
        if band.traits.in_place:
            again = next((time for time, mute in words_since(history, node, bite) if not mute), spoke)
            time = Interval(life.start, again if silent else min(again, life.end))
        else:
            # One that was cut off lived on: it has a vote from the heal on, unless it says nothing.
            time = Interval(life.end, spoke if silent or band.traits.loses is not Loss.LINK else life.end)
        if time.length > 0.0:
            found.append(_Effect(time, f"{band.name} on {node}", {node: ""}, off=frozenset({node})))
    return found


def words_since(history: History, node: str, bite: float) -> list[tuple[float, bool]]:
    """Return when a member was asked since it was killed, and whether in vain: what was on its way then may still be told, and says nothing."""
    words = [(entry.time, bool(event.error)) for entry, event in history.each(MemberSeen) if event.node == node]
    return [(time, silent) for time, silent in words if time > bite and (silent or time > bite + ON_ITS_WAY)]


def _takes_votes(cluster: _Cluster, band: Band) -> bool:
    """Whether a fault takes the member from whom it hits: with the machine, or by its daemon."""
    return band.traits.loses is Loss.NODE or (band.traits.loses is Loss.PROCESS and cluster.daemon in band.traits.parts)


def _effect(cluster: _Cluster, band: Band, time: Interval, lost: Mapping[str, str], drops: Mapping[str, frozenset[str]]) -> _Effect | None:
    off = band.away if _takes_votes(cluster, band) else frozenset[str]()
    return _Effect(time, f"{band.name} on {band.where}", lost, off, drops) if lost or off or drops else None


def _why(band: Band, member: str) -> str:
    if band.traits.loses is Loss.LINK:
        return f"was cut off by {band.name}" if band.traits.apart or shape(band) == ONE_WAY else ""
    if band.traits.loses is Loss.PROCESS:
        return f"had lost {member} to {band.name}" if member in band.traits.parts else ""
    return f"was lost to {band.name}" if band.traits.loses is Loss.NODE else ""


def shape(band: Band) -> str:
    """Return the shape of a cut; nothing where it does not say one."""
    return str(band.parameters.get("shape", ""))


def _drops(band: Band, nodes: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Return whose packets each node drops under a cut; of a cut of no known shape, and of all else, nobody's."""
    made = SHAPES.get(shape(band))
    if band.traits.loses is not Loss.LINK or made is None or not set(band.targets) <= set(nodes):
        return {}
    try:
        return made(nodes, band.targets)
    except ValueError:  # a cut that could not be made
        return {}


def parted(history: History, band: Band, voters: Voters) -> frozenset[str]:
    """Return the nodes that a cut keeps from others though neither is lost to it, as at the rim of a bridge or a ring: who leads may miss them."""
    drops = _drops(band, _Cluster.of(history, voters).nodes)
    pairs = ((node, other) for node, others in drops.items() for other in others)
    return frozenset().union(*({*pair} for pair in pairs if not {*pair} & {*band.lost}))


def _taken(cluster: _Cluster, effects: Sequence[_Effect], *, surely: bool = False) -> tuple[dict[str, list[Away]], list[Interval]]:
    """Return when each node is lost, and why, joined while it is; and when all members are. What is lost `surely` follows nobody, either."""
    found: dict[str, list[Away]] = {}
    nobody: list[Interval] = []
    edges = sorted({edge for each in effects for edge in (each.interval.start, each.interval.end)})
    for early, late in itertools.pairwise(edges):
        now = [each for each in effects if each.interval.start <= early and late <= each.interval.end]
        whys = dict.fromkeys(_together(cluster, now, surely=surely), (f"could reach no majority under {_listed(now)}", True))
        for each in sorted(now, key=lambda each: bool(each.off)):  # a machine that is off knows nothing, cut off or not
            whys |= {node: (why, not each.off) for node, why in each.lost.items()}
        for node, (why, cut) in whys.items():
            pieces = found.setdefault(node, [])
            if pieces and pieces[-1].interval.end == early and pieces[-1].cut == cut:
                pieces[-1] = replace(pieces[-1], interval=Interval(pieces[-1].interval.start, late))
            else:
                pieces.append(Away(node, Interval(early, late), why, cut))
        left = cluster.members - whys.keys()
        # Whoever had a majority reached it both ways: none of those was surely lost, so that the others must be as many.
        if cluster.members and (not left or (surely and 2 * len(left) <= len(cluster.members))):
            nobody.append(Interval(early, late))
    return found, united(nobody)


def _together(cluster: _Cluster, now: Sequence[_Effect], *, surely: bool) -> frozenset[str]:
    """Return whom all that is in force at once leaves without a majority; nobody where that is one cut, which says itself who is lost.

    Who reaches one that has a majority may follow it: such a one is lost, but not `surely`.
    """
    off = frozenset[str]().union(*(each.off for each in now))
    cuts = [each.drops for each in now if each.drops]
    members = cluster.members or (frozenset(cluster.nodes) if cuts else frozenset())
    if not members or (not off and len(cuts) < 2):  # noqa: PLR2004 - one cut
        return frozenset()
    grudge = {node: frozenset[str]().union(*(drops.get(node, ()) for drops in cuts)) for node in cluster.nodes}
    there = [node for node in cluster.nodes if node not in off]
    alone = cut_off(there, sorted(members), grudge)
    quorate = (members & {*there}) - alone
    follows = {node for node in alone if any(other not in grudge[node] and node not in grudge[other] for other in quorate)}
    return alone - follows if surely else alone


def _listed(now: Iterable[_Effect]) -> str:
    """Name all that is in force: of machines that are off by node truth only those that no fault accounts for."""
    names: dict[str, None] = {}
    off: set[str] = set()
    for each in now:
        if not each.off or each.off - off:
            names[each.label] = None
        off |= each.off
    return " and ".join(names)


def merged_views(history: History, voters: Voters | None = None) -> tuple[Claim, ...]:
    """Return the API's word as the cluster's survivors tell it: at every moment the newest view of a node that was lost to no fault.

    Where all nodes are lost, all are listened to. Stretches in which none of them had an answer are left out; a machine that is off has none.
    """
    absence = Absence.of(history, voters)
    everybody = {event.node for _, event in history.each(ApiSeen)}
    # The moments at which the API's word can change: an answer came, or who is listened to changed.
    moments: list[tuple[float, int, int, ApiSeen | None]] = [(time, 1, index, event) for index, time, event in asked(history)]
    moments += [(edge, 0, -1, None) for edge in absence.edges]
    moments.sort(key=lambda each: each[:3])
    latest: dict[str, tuple[float, int, View]] = {}
    claims: list[Claim] = []
    witnesses = everybody
    for at, (time, _, index, event) in enumerate(moments):
        if event is None:
            witnesses = (everybody - absence.from_(time)) or everybody
        elif event.view is None:
            latest.pop(event.node, None)
        else:
            latest[event.node] = (time, index, event.view)
        until = moments[at + 1][0] if at + 1 < len(moments) else history.end
        told = [(*latest[node], node) for node in witnesses if node in latest]
        if told and until > time:
            _, entry, view, node = max(told, key=lambda each: each[:2])
            last = claims[-1] if claims else None
            if last is not None and last.end == time and last.view == view:
                claims[-1] = Claim(last.start, until, last.asked, view, last.entry)
            else:
                claims.append(Claim(time, until, node, view, entry))
    return tuple(claims)
