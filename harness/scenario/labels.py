"""The labels that an app's containers have beside ours: what they may be called, and whose names are taken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.core.naming import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.document import Place
    from harness.scenario.parsing import Draft

NAMED: Final = "letters, digits, dots, dashes, slashes and _, 64 at most, with a letter or a digit at both ends"
TEXT: Final = "one line of ASCII text, 200 characters at most"
MOST: Final = 16
"""Labels of an app at most."""
MOST_CHARACTERS: Final = 600
"""Of all names and values of an app together: fleet takes 2048 bytes for a line of a unit, and some characters are written twice there."""
TAKEN: Final = ("whalefall.", "com.docker.", "io.docker.", "org.dockerproject.")
"""How names begin that are not a user's to give: ours, by which containers are followed, and those that Docker keeps for itself."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,62}[A-Za-z0-9])?")
_LONGEST = 200


def wrong_labels(labels: Mapping[str, str]) -> Iterator[tuple[str | None, str, str, str]]:
    """Yield what is wrong with labels: the name of the one (None: all together), what was found, what was expected, and a hint."""
    for name, value in labels.items():
        if not _NAME.fullmatch(name):
            yield name, f"a label named {shown(name)}", NAMED, ""
        elif f"{name.lower()}.".startswith(TAKEN):
            yield (
                name,
                f"the label {name}",
                "a name that nobody has taken",
                f"names that begin with {', '.join(TAKEN)} are not an app's to give",
            )
        if not value.isascii() or not value.isprintable() or len(value) > _LONGEST:
            yield name, f"the label {shown(name)} with {shown(value)}", TEXT, ""
    if len(labels) > MOST:
        yield None, f"{len(labels)} labels", f"{MOST} at most", ""
    elif (characters := sum(len(name) + len(value) for name, value in labels.items())) > MOST_CHARACTERS:
        yield None, f"labels of {characters} characters", f"{MOST_CHARACTERS} at most, names and values together", ""


def note_labels(reading: Draft, labels: Mapping[str, str], place: Place) -> None:
    """Note what is wrong with the labels at a place of a file, each where it stands."""
    for name, found, expected, hint in wrong_labels(labels):
        reading.add(place if name is None else (*place, name), found, expected, hint, key=name is not None)
