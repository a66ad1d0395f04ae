"""What a file says of other modes, under `but`: a block a mode, which is laid over the file before that is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from harness.core.naming import close, shown
from harness.scenario import models

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Document, Place
    from harness.scenario.parsing import Draft

_MOST: Final = 12
"""Blocks in `but` at most: more than there will be modes."""


def blocks(doc: Document) -> dict[str, dict[str, Json]]:
    """Return what the file says of other modes; of one of which nothing can be read, nothing."""
    but = doc.value.get("but") if isinstance(doc.value, dict) else None
    every = list(but.items())[:_MOST] if isinstance(but, dict) else []
    return {name: block if isinstance(block, dict) else {} for name, block in every}


def sentence(block: Mapping[str, Json]) -> str:
    """Return why a block is there, in one line."""
    return " ".join(str(block.get("because", "")).split())


def laid(doc: Document, mode: str, block: Mapping[str, Json]) -> Document:
    """Return the document with a mode's block laid over it. Timers of the file are its own mode's: they are not taken over."""
    place: Place = ("but", mode)
    moves: dict[Place, Place] = {(name,): (*place, name) for name in models.REPLACED if name in block}
    cluster = block.get("cluster")
    inner = [name for name in ("profile", "timers") if isinstance(cluster, dict) and name in cluster]
    moves |= {("cluster", name): (*place, "cluster", name) for name in inner}
    return doc.overlaid(moves, without=[("cluster", "timers")])


def note_blocks(reading: Draft, own: str) -> None:
    """Say what is wrong with the blocks for other modes themselves. What they put in place of the file's is read with the rest of it."""
    body = reading.doc.value
    if not isinstance(body, dict) or "but" not in body:
        return
    value = body["but"]
    if not isinstance(value, dict) or not value:
        reading.add(("but",), shown(value), "a mapping from the name of a mode to what differs there")
        return
    if len(value) > _MOST:
        reading.add(("but",), f"{len(value)} blocks", f"one for each mode that differs, {_MOST} at most")
    for name, block in list(value.items())[:_MOST]:
        _block(reading, name, block, own)


def _block(reading: Draft, name: str, block: Json, own: str) -> None:
    place: Place = ("but", name)
    others = sorted(set(reading.known.modes) - {own})
    if name == own:
        what = f"a block for {name}, the file's own mode"
        reading.add(place, what, f"one of {', '.join(others) or 'no other mode'}", "write it into the file itself", key=True)
    elif name not in reading.known.modes:
        reading.add(place, f"an unknown mode {name!r}", f"one of {', '.join(others) or 'no other mode'}", close(name, others), key=True)
    if not isinstance(block, dict) or not block:
        reading.add(place, shown(block), "because, and skip: true or what replaces the file's")
        return
    reading.part(models.ButPart, block, place)
    if "skip" in block and block["skip"] is not True:
        reading.add((*place, "skip"), shown(block["skip"]), str(models.ButPart.model_fields["skip"].description))
    if "cluster" in block:
        reading.part(models.ButClusterPart, block["cluster"], (*place, "cluster"))
    told = [each for each in (*models.REPLACED, "cluster") if each in block]
    if "skip" in block and told:
        reading.add((*place, "skip"), f"skip with {', '.join(told)}", "skip: true alone, or only what differs")
    elif set(block) == {"because"}:
        reading.add(place, "a block that changes nothing", f"skip: true, or one of cluster, {', '.join(models.REPLACED)}", key=True)
