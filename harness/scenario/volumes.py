"""What an app's containers keep on their node: volumes of Docker's, and folders of the node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.core.naming import shown
from harness.core.values import Volume
from harness.host import contexts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.core.values import Json
    from harness.document import Place
    from harness.scenario.parsing import Draft

FORM: Final = "SOURCE:TARGET or SOURCE:TARGET:ro, such as data:/var/lib/data or /srv/seed:/seed:ro"
MOST: Final = 16
"""Volumes of an app at most."""
HOST: Final = "/srv"
"""Of a node's own folders, the one below which containers may have some: nothing there leads to its kernel, its daemons, or the machine around it."""
_FORM = re.compile(r"(?P<source>[^:]*):(?P<target>[^:]*?)(?P<only>:ro)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,62}")
_PATH = re.compile(r"(?:/[A-Za-z0-9_.-]{1,100}){1,10}")
_KERNEL: Final = ("/dev", "/proc", "/sys")


def read_volumes(reading: Draft, given: Sequence[Json], place: Place) -> tuple[Volume, ...]:
    """Return the volumes at a place, and note what is wrong with them."""
    found: dict[int, Volume] = {}
    for number, each in enumerate(given):
        read = _FORM.fullmatch(each) if isinstance(each, str) else None
        if read is None:
            reading.add((*place, number), shown(each), FORM)
        else:
            found[number] = Volume(read["source"], read["target"], read["only"] is not None)
    for at, *said in wrong_volumes([*found.values()]):
        reading.add(place if at is None else (*place, [*found][at]), *said)
    provider = reading.cluster.provider if reading.cluster else ""
    if given and reading.cluster and (refused := not_there(provider, builds=contexts.builds_here(reading.known.providers.get(provider)))):
        reading.add(place, *refused)
    return tuple(found.values())


def not_there(provider: str, *, builds: bool) -> tuple[str, str, str] | None:
    """Say why nodes of a provider take no volumes; None where they do."""
    if builds:
        return None
    return f"volumes on the hosts of {provider}", "none", "they outlive the run, and nothing would remove what containers wrote there"


def wrong_volumes(volumes: Sequence[Volume]) -> Iterator[tuple[int | None, str, str, str]]:
    """Yield what is wrong with volumes: which one (None: all together), what was found, what was expected, and a hint."""
    for number, each in enumerate(volumes):
        if not each.of_node and not _NAME.fullmatch(each.source):
            yield (
                number,
                f"the volume {shown(each.source)}",
                "a name of letters, digits, dots, dashes and _, 2 to 63, or a path of the node",
                "",
            )
        elif each.of_node and not (_plain(each.source) and each.source.startswith(f"{HOST}/")):
            hint = "nothing else of a node is a container's: a folder that is not there is made"
            yield number, f"the folder {shown(each.source)} of the node", f"a plain path below {HOST}", hint
        if not _plain(each.target) or each.target.startswith(_KERNEL):
            yield number, f"the target {shown(each.target)}", "a plain path in the container, such as /var/lib/data", ""
        elif each.target in [other.target for other in volumes[:number]]:
            yield number, f"a second volume at {each.target}", "a place of its own for each", ""
    if len(volumes) > MOST:
        yield None, f"{len(volumes)} volumes", f"{MOST} at most", ""


def _plain(path: str) -> bool:
    """Whether a path is absolute, and goes down alone."""
    return _PATH.fullmatch(path) is not None and not {".", ".."} & {*path.split("/")}
