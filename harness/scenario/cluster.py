"""What a scenario runs on, by its file and the command line. The mode is chosen and made, so that it can be asked what it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.core.errors import BadInput, Problem
from harness.core.naming import close
from harness.core.protocols import Running
from harness.core.values import App
from harness.scenario import models
from harness.steps.part import meant

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Document
    from harness.scenario.parsing import Draft


def own_mode(doc: Document) -> str:
    """Return the mode that the file is written for, as far as that can be read."""
    return _in_file(doc, "mode", str(models.ClusterPart.model_fields["mode"].default))


def read_cluster(reading: Draft, body: dict[str, Json]) -> None:
    """Settle mode, provider, profile and timers, and make the mode, so that it can be asked what it has."""
    given = body.get("cluster", {})
    reading.cluster = reading.part(models.ClusterPart, given, ("cluster",)) or _readable(given)
    reading.nodes_read = isinstance(given, dict) and (
        reading.cluster.nodes == given["nodes"] if "nodes" in given else "nodes" not in meant(models.ClusterPart, given)
    )
    chosen = {name: value for name, value in reading.overrides.items() if value is not None}
    reading.cluster = reading.cluster.model_copy(update=chosen)
    if reading.block is not None and reading.block not in reading.known.modes:
        return  # said where the block begins: what it holds is read as far as that needs no mode
    found: Any = reading.known.modes.get(reading.cluster.mode)
    if reading.lenient and found is not None and reading.cluster.profile not in found.TIMERS:
        reading.cluster = reading.cluster.model_copy(update={"profile": _in_file(reading.doc, "profile", "default")})
    _known(reading, "provider", reading.cluster.provider, reading.known.providers)
    if not _known(reading, "mode", reading.cluster.mode, reading.known.modes):
        # What it has cannot be asked; what no mode has is wrong whichever was meant.
        everywhere: list[Any] = list(reading.known.modes.values())
        _known(reading, "profile", reading.cluster.profile, {name: None for mode in everywhere for name in mode.TIMERS})
        there = {name for mode in everywhere for profile in mode.TIMERS.values() for name in profile}
        for name in [each for each in reading.cluster.timers if each not in there]:
            expected = f"a timer of the mode: {', '.join(sorted(there))}"
            reading.add(("cluster", "timers", name), f"a timer {name!r}", expected, close(name, there), key=True)
        return
    cls: Any = reading.known.modes[reading.cluster.mode]
    profiles: Mapping[str, Mapping[str, float]] = cls.TIMERS
    timers = dict(reading.cluster.timers)
    usable = _known(reading, "profile", reading.cluster.profile, profiles)
    profile = reading.cluster.profile if usable else next(iter(profiles))
    for name in list(timers):
        if name not in profiles[profile]:
            del timers[name]
            expected = f"a timer of the {reading.cluster.mode} mode: {', '.join(sorted(profiles[profile])) or 'it has none'}"
            reading.add(("cluster", "timers", name), f"a timer {name!r}", expected, close(name, profiles[profile]), key=True)
    try:
        reading.mode = cls.from_timers(profile, timers)
    except BadInput as error:
        for each in error.problems:
            name = each.found.partition(":")[0]
            whose = f"{name} is the profile's: the file does not say it" if name in profiles[profile] and name not in timers else ""
            hint = "; ".join(filter(None, (whose, each.hint)))
            reading.add(("cluster", "timers", name) if name in timers else ("cluster", "timers"), each.found, each.expected, hint)
        reading.mode = cls.from_timers(profile, {})
    if reading.cluster.distribution or not (
        isinstance(given, dict) and "distribution" in given
    ):  # what is no distribution was told already
        _read_images(reading, reading.cluster, cls)


def _read_images(reading: Draft, cluster: models.ClusterPart, cls: Any) -> None:
    """Have the mode's daemons come from images, where the file says so, or note why they cannot."""
    images = cluster.images
    packaged = tuple(getattr(cls, "PACKAGED", ()))
    if cluster.distribution and not packaged:
        reading.add(
            ("cluster", "distribution"), f"distribution images, with the {cls.name} mode", "a mode whose daemons can come from images"
        )
        return
    if not cluster.distribution:
        if images:
            reading.add(("cluster", "images"), "images without `distribution: images`", "both, or none", key=True)
        return
    kind = reading.known.providers.get(cluster.provider)
    if isinstance(kind, type) and issubclass(kind, Running):
        found = f"distribution images, with the {cluster.provider} provider"
        reading.add(("cluster", "distribution"), found, "none: a cluster that runs already has daemons of its own")
        return
    before = len(reading.problems)
    for name in [each for each in images if each not in packaged]:
        reading.add(("cluster", "images", name), f"a daemon {name!r}", f"one of {', '.join(packaged)}", close(name, packaged), key=True)
    if lacking := [each for each in packaged if each not in images]:
        place = ("cluster", "images") if images else ("cluster", "distribution")
        reading.add(place, f"no image for {', '.join(lacking)}", f"one for each of {', '.join(packaged)}", key=bool(images))
    for name in [each for each in packaged if each in images]:
        reading.image(App(name, 1, image=images[name]), ("cluster", "images", name))
    if len(reading.problems) == before:
        reading.mode.use_images(images)


def _readable(given: Json) -> models.ClusterPart:
    """Return what can be read of a cluster that is wrong somewhere, so that what is wrong elsewhere is told as well; what cannot, as if left out."""
    made = models.ClusterPart.model_validate({})
    for key, value in given.items() if isinstance(given, dict) else ():
        try:
            made = made.model_copy(update={key: getattr(models.ClusterPart.model_validate({key: value}), key)})
        except (ValidationError, AttributeError):
            continue
    return made


def _known(reading: Draft, what: str, name: str, valid: Mapping[str, Any]) -> bool:
    if name in valid:
        return True
    found, expected = f"an unknown {what} {name!r}", f"one of {', '.join(sorted(valid))}"
    if reading.overrides.get(what) is not None:
        reading.problems.append(Problem(f"--{what}", 0, 0, found, expected, close(name, valid)))
    else:
        reading.add(("cluster", what), found, expected, close(name, valid))
    return False


def _in_file(doc: Document, name: str, otherwise: str) -> str:
    """Return what the file says of its cluster, or else another text."""
    cluster = doc.value.get("cluster") if isinstance(doc.value, dict) else None
    found = cluster.get(name) if isinstance(cluster, dict) else None
    return found if isinstance(found, str) else otherwise
