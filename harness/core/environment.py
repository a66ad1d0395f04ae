"""The environment of an app's containers: what its variables may be called, and hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.core.values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_VALUE: Final = 4096
"""Characters of a variable's value."""
MOST_VARIABLES: Final = 100
"""Variables that a scenario gives an app at most."""
OURS: Final = ("WHALEFALL_", "NOTIFY_")
"""How no variable of an app is called: what it is told by us, and what systemd has for itself."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def wrong_variables(variables: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with variables: the name of each, what was found, and what was expected. No value is repeated."""
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            bare = re.split("[=:]", name, maxsplit=1)[0]  # what follows is a value that slipped in
            told = bare[:64] + (f"{name[len(bare)]}{HIDDEN}" if bare != name else "")
            yield name, f"{told!r}, which is no variable's name", "letters, digits and _ only, 128 at most, not starting with a digit"
        elif name.startswith(OURS):
            yield name, f"the variable {name}, which is not an app's to be given", f"a name that begins with none of {', '.join(OURS)}"
        if not value.isprintable():
            yield name, f"a value of {name[:64]} that is more than a line of text", "one line"
        elif len(value) > LONGEST_VALUE:
            yield name, f"a value of {name[:64]} with {len(value)} characters", f"{LONGEST_VALUE} at most"
