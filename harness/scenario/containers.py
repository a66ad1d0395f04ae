"""What a scenario gives an app's containers beside their image: the keys of an app that are checked one by one, each at its own place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.core.environment import MOST_VARIABLES, wrong_variables
from harness.core.naming import shown
from harness.steps.misfit import refused_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.core.values import App, Json
    from harness.document import Place
    from harness.scenario.parsing import Draft

QUOTED: Final = "in quotes it is text"


def read_environment(reading: Draft, given: Mapping[str, Json], place: Place) -> tuple[tuple[str, str], ...]:
    """Return the variables at a place, sorted by name, and note what is wrong with them. A number is passed on as the file spells it."""
    variables: dict[str, str] = {}
    for name, value in given.items():
        where = (*place, name)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            variables[name] = value if isinstance(value, str) else reading.doc.words.get(where, str(value))
        else:
            variables[name] = ""  # its name may be wrong, too
            reading.add(where, shown(value), "text or a number", "" if isinstance(value, dict | list) else QUOTED)
    for name, found, expected in wrong_variables(variables):
        reading.add((*place, name), found, expected, key=True)
    if len(given) > MOST_VARIABLES:
        reading.add(place, f"{len(given)} variables", f"{MOST_VARIABLES} at most")
    return tuple(sorted(variables.items()))


def environment_slips(given: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with the variables of an app in Python: the name of each, what was found, and what was expected."""
    for name, value in given.items():
        if not isinstance(value, str):
            yield name, f"a value of {name} that is {shown(value)}", "text"  # type: ignore[arg-type]
    yield from wrong_variables({name: value for name, value in given.items() if isinstance(value, str)})
    if len(given) > MOST_VARIABLES:
        yield "", f"{len(given)} variables", f"{MOST_VARIABLES} at most"


def note_refused(reading: Draft, app: App, place: Place) -> None:
    """Note what the mode cannot give an app, each under its key."""
    for key, *said in refused_of(app, reading.mode):
        reading.add((*place, key), *said)
