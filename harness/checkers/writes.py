"""Whether every acknowledged write is still there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.attendance import FEWEST
from harness.checkers.judging import SHOWN, Point, answers_missing, broken, conclude, doubted, plural, unknown
from harness.checkers.troubles import FEWEST_PACES, blind, pace, unasked
from harness.core.figures import at, lasted
from harness.core.values import About, CallStream, Outcome, Phase
from harness.history.calls import Op, lacking, ops
from harness.history.intervals import Interval, neat, total, without

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Finding, Json
    from harness.history.events import History

AROUND = 1.0
"""Seconds by which nobody may have written longer than we stood still: the last call was before it, and the next one after it."""


@dataclass(frozen=True, slots=True)
class Writes:
    """Every write to the quorum that was acknowledged is read back at the end with its value, and was never read as absent after.

    A read that began before a write was acknowledged may find nothing: if it was the last, nobody read that write back. No read, whenever it was
    made, found a value that nobody had written by then, or whose write had been refused. A write whose fate is unknown may or may not be there; once
    it was read it is there, and no later read finds nothing. Keys are written once; where one was written more often, any value that was not refused
    is good.
    """

    name: ClassVar[str] = "writes"
    about: ClassVar[About] = About(CallStream.QUORUM)
    whole: ClassVar[str] = "what was acknowledged must be there at the end of the run, whenever that was"

    def check(self, history: History) -> Finding:
        """Return held, broken (the lost writes are listed), or unknown where nothing was acknowledged or a last read failed, or came too early."""
        return read_back(self.name, history, ops(history, CallStream.QUORUM))


def read_back(checker: str, history: History, every: Sequence[Op], doubt: str = "") -> Finding:
    """Judge whether each acknowledged write of these calls was read back, as `Writes` says it; for a checker of this name.

    Where there is a `doubt` whose answers they were, none of them convicts.
    """
    final = history.phase(Phase.FINAL)
    acked: dict[str, Op] = {}
    fine: dict[str, set[str | None]] = {}
    for op in every:
        if op.call.function != "write":
            continue
        if op.outcome is not Outcome.FAIL:
            fine.setdefault(op.call.key, set()).add(op.call.value)
        if op.ok and (op.call.key not in acked or _first(op) < _first(acked[op.call.key])):
            acked[op.call.key] = op
    reads = [op for op in every if op.call.function == "read"]
    last: dict[str, list[Op]] = {}
    for op in reads:
        if final is not None and op.begun >= final:
            last.setdefault(op.call.key, []).append(op)
    # One that began before the acknowledgement may find nothing: the two have no order.
    told = {
        key: [read for read in last.get(key, []) if read.ok and (read.value is not None or _over(op, read))] for key, op in acked.items()
    }
    lost = [(op, read) for key, op in acked.items() for read in told[key] if read.value not in fine[key]]
    unread = [op for key, op in acked.items() if not told[key]]
    strange = _strange([op for op in every if op.call.function == "write"], reads)
    stale = _stale(acked, [op for op in reads if final is None or op.begun < final])
    missed = {read.op for _, read in (*lost, *stale)}
    vanished = [(seen, read) for seen, read in _vanished(reads) if read.op not in missed]
    details: dict[str, Json] = {
        "acknowledged": len(acked),
        "lost": [_json(op, read) for op, read in lost[:SHOWN]],
        "stale": [_json(op, read) for op, read in stale[:SHOWN]],
        "strange": [{"key": read.call.key, "saw": read.value, "read": neat(read.begun), "by": read.by} for _, read in strange[:SHOWN]],
        "vanished": [
            {"key": read.call.key, "saw": seen.value, "seen": neat(seen.ended), "read": neat(read.begun)} for seen, read in vanished[:SHOWN]
        ],
        "unread": [op.call.key for op in unread[:SHOWN]],
    }
    points = [
        *_lost(lost),
        *_read_absent(stale),
        *_gone(vanished),
        *_read_strange(history, strange, every),
        *_unread(unread, last, final),
        *_untold(every, acked, last),
    ]
    if not acked:
        points.append(unknown("no write was ever acknowledged"))
    text = f"{plural(len(acked), 'acknowledged write')} of {len(acked)} read back at the end"
    return conclude(checker, history, [doubted(point, doubt) for point in points], text, details)


def _first(op: Op) -> float:
    return math.inf if op.ended is None else op.ended


def _stale(acked: Mapping[str, Op], reads: Sequence[Op]) -> list[tuple[Op, Op]]:
    found = []
    for read in reads:
        write = acked.get(read.call.key)
        if write is not None and read.ok and read.value is None and _over(write, read):
            found.append((write, read))
    return found


def _over(write: Op, read: Op) -> bool:
    """Whether a write was acknowledged before a read began."""
    return write.ended is not None and write.ended < read.begun


def _vanished(reads: Sequence[Op]) -> list[tuple[Op, Op]]:
    """Return the reads that found nothing although one that was over before they began had found a value, each with the first that had."""
    seen: dict[str, Op] = {}
    for read in reads:
        if read.ok and read.value is not None and read.ended is not None:
            earlier = seen.get(read.call.key)
            if earlier is None or read.ended < (earlier.ended or 0.0):
                seen[read.call.key] = read
    absent = [read for read in reads if read.ok and read.value is None and read.call.key in seen]
    pairs = [(seen[read.call.key], read) for read in absent]
    return [(first, read) for first, read in pairs if first.ended is not None and first.ended < read.begun]


def _gone(vanished: Sequence[tuple[Op, Op]]) -> list[Point]:
    if not vanished:
        return []
    seen, read = vanished[0]
    text = (
        f"{plural(len(vanished), 'read')} saw nothing where a value had been read before, the first of {read.call.key} at {at(read.begun)}, "
        f"read as {seen.value!r} at {at(seen.ended or 0.0)}"
    )
    return [broken(text, *(index for pair in vanished[:SHOWN] for index in (pair[0].entry, pair[1].entry)))]


def _strange(writes: Sequence[Op], reads: Sequence[Op]) -> list[tuple[Op | None, Op]]:
    """Return the reads that found what cannot have been there, each with the write that it may stem from (None: nobody wrote that)."""
    by_pair: dict[tuple[str, str | None], list[Op]] = {}
    for op in writes:
        by_pair.setdefault((op.call.key, op.call.value), []).append(op)
    found: list[tuple[Op | None, Op]] = []
    for read in reads:
        if not read.ok or read.value is None or read.ended is None:
            continue
        written = by_pair.get((read.call.key, read.value), [])
        if not any(op.outcome is not Outcome.FAIL and op.begun <= read.ended for op in written):
            found.append((written[0] if written else None, read))
    return found


def _unaccounted(history: History, every: Sequence[Op]) -> str:
    """Say when there may have been writes of which nobody tells; empty where each of them is told of."""
    begun = [op.begun for op in every if op.call.function == "write"]
    if len(begun) < FEWEST:
        return ""  # so few have no pace
    # Callers begin before the cluster is steady, and end when the last reads begin.
    final = history.phase(Phase.FINAL)
    silent = unasked(begun, Interval(history.phase(Phase.STEADY) or begun[0], final or begun[-1]))
    # Who stood still wrote nothing, and says so.
    still = [Interval(each.start - AROUND, each.end + AROUND) for each in blind(history)]
    calls = [op for op in every if final is None or op.begun < final]
    longest = max((each for each in without(silent, still) if not _by_itself(each, calls)), key=lambda each: each.length, default=None)
    return f"no write is told of for {lasted(longest.length)} from {at(longest.start)}" if longest else ""


def _by_itself(gap: Interval, calls: Sequence[Op]) -> bool:
    """Whether as many calls as were due in a time without a write were made: reads, as chance has it, and such as kept their caller waiting."""
    usual = pace([op.begun for op in calls])
    waited = [Interval(op.begun, math.inf if op.ended is None else op.ended) for op in calls if op.latency is None or op.latency > usual]
    due = total(without([gap], waited)) / usual if usual > 0.0 else math.inf
    return due - sum(gap.holds(op.begun) for op in calls) < FEWEST_PACES


def _read_strange(history: History, strange: Sequence[tuple[Op | None, Op]], every: Sequence[Op]) -> list[Point]:
    """Tell of them by kind. That nobody wrote something can only be said where no call is missing."""
    points = []
    for refused in (True, False):
        cases = [(op, read) for op, read in strange if (op is not None and op.outcome is Outcome.FAIL) is refused]
        if not cases:
            continue
        op, read = cases[0]
        if op is None:
            what, which = "a value that nobody wrote", ""
        elif refused:
            what, which = "a value whose write was refused", f" (op {op.op}, refused at {at(op.ended or 0.0)})"
        else:
            what, which = "a value before it was written", f" (op {op.op}, begun at {at(op.begun)})"
        text = (
            f"{plural(len(cases), 'read')} found {what}, the first: {read.call.key} was read as {read.value!r} "
            f"at {at(read.ended or 0.0)}{which}"
        )
        entries = [each.entry for pair in cases[:SHOWN] for each in pair if each is not None]
        points.append(doubted(broken(text, *entries), _perhaps_written(history, cases, every) if op is None else ""))
    return points


def _perhaps_written(history: History, cases: Sequence[tuple[Op | None, Op]], every: Sequence[Op]) -> str:
    """Say why somebody may have written what was read, and it is not told; empty where none can have.

    A key whose write is told of is written by nobody else, where each is written once.
    """
    if missing := lacking(history):
        return f"{plural(len(missing), 'call')} that must have been made are missing"
    keys = [op.call.key for op in every if op.call.function == "write"]
    if len(keys) == len({*keys}) and {read.call.key for write, read in cases if write is None} & {*keys}:
        return ""
    return _unaccounted(history, every)


def _lost(lost: Sequence[tuple[Op, Op]]) -> list[Point]:
    if not lost:
        return []
    write, read = lost[0]
    saw = "absent" if read.value is None else repr(read.value)
    keys = len({write.call.key for write, _ in lost})
    text = (
        f"{plural(keys, 'acknowledged write')} lost, the first {write.call.key} (op {write.op}, acknowledged at {at(write.ended or 0.0)}): "
        f"expected {write.call.value!r}, the last read saw {saw}"
    )
    return [broken(text, *(index for pair in lost[:SHOWN] for index in (pair[0].entry, pair[1].entry)))]


def _read_absent(stale: Sequence[tuple[Op, Op]]) -> list[Point]:
    if not stale:
        return []
    write, read = stale[0]
    text = (
        f"{plural(len(stale), 'read')} saw nothing where a write had been acknowledged before, the first of {write.call.key} at "
        f"{at(read.begun)}, acknowledged at {at(write.ended or 0.0)}"
    )
    return [broken(text, *(index for pair in stale[:SHOWN] for index in (pair[0].entry, pair[1].entry)))]


def _unread(unread: Sequence[Op], last: Mapping[str, Sequence[Op]], final: float | None) -> list[Point]:
    if not unread:
        return []
    first = unread[0]
    why = "the last reads were never begun" if final is None else f"the last read gave no answer, for {first.call.key} first"
    if any(read.ok for read in last.get(first.call.key, [])):
        why = f"the last read had begun before it was acknowledged, for {first.call.key} first (at {at(first.ended or 0.0)})"
    return [unknown(f"{plural(len(unread), 'acknowledged write')} not read back: {why}", unread[0].entry)]


def _untold(every: Sequence[Op], acked: Mapping[str, Op], last: Mapping[str, Sequence[Op]]) -> list[Point]:
    """Doubt that nothing is lost where a write is absent at the end whose answer nobody told of: each has one, and it may have been good."""
    mute = [op for op in every if op.call.function == "write" and op.ended is None and op.call.key not in acked]
    gone = [op for op in mute if any(read.ok and read.value is None and op.begun < read.begun for read in last.get(op.call.key, ()))]
    text = f"{answers_missing(len(gone))}, and what they wrote is not there, {gone[0].call.key} first" if gone else ""
    return [unknown(text, gone[0].entry)] if gone else []


def _json(write: Op, read: Op) -> Json:
    return {
        "op": write.op,
        "key": write.call.key,
        "value": write.call.value,
        "acknowledged": neat(write.ended),
        "read": neat(read.begun),
        "saw": read.value,
        "by": read.by,
    }
