"""How two fingerprints of a node differ: one logic for the verdict on a run and for the contract of a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import Json

T = TypeVar("T")

ASPECTS: Final[Mapping[str, str]] = {
    "nft_tables": "nftables table",
    "qdiscs": "queueing discipline",
    "stopped": "stopped process",
    "mounts": "mount",
    "timers": "transient timer",
    "dropins": "runtime drop-in",
    "triggers": "active socket, path or timer unit",
    "marks": "file of a fault in /run/whalefall",
    "containers": "running container of no app",
    "disk": "added disk latency",
}
"""Each aspect of a fingerprint (`harness.undo.fingerprint`) with the words for one thing in it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one aspect has more and less of than before; each thing as often as it is too many."""

    more: tuple[Json, ...]
    less: tuple[Json, ...]


def changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Change]:
    """Return each aspect of which both know something, and not the same; the order of things means nothing. See `one_sided` for the others."""
    found = {}
    for aspect in sorted({*before} & {*after}):
        old, new = things(before[aspect]), things(after[aspect])
        change = Change(tuple(beyond(new, old)), tuple(beyond(old, new)))
        if change.more or change.less:
            found[aspect] = change
    return found


def one_sided(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, str]:
    """Return each aspect that was looked at once only, with when ("before" or "after"): what became of it nobody knows."""
    return {aspect: "before" if aspect in before else "after" for aspect in sorted({*before} ^ {*after})}


def things(value: Json) -> Sequence[Json]:
    """Return what an aspect holds, one by one."""
    return value if isinstance(value, list) else [value]


def beyond(these: Sequence[T], those: Sequence[T]) -> list[T]:
    """Return what `these` have more of than `those`."""
    left = list(those)
    more = []
    for each in these:
        if each in left:
            left.remove(each)
        else:
            more.append(each)
    return more
