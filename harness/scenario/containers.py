"""What a scenario gives an app's containers beside their image: the keys of an app that are checked one by one, each at its own place."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from harness.core import parameters
from harness.core.environment import MOST_VARIABLES, wrong_variables
from harness.core.naming import close, shown
from harness.core.values import NEVER, RESTARTS, ContainerLimits, Health
from harness.scenario import models
from harness.steps.misfit import refused_of
from harness.steps.part import descriptions, keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.core.values import App, Json
    from harness.document import Place
    from harness.scenario.parsing import Draft

QUOTED: Final = "in quotes it is text"
MOST_WORDS: Final = 100
MOST_CHARACTERS: Final = 8192
"""Words of a command, and characters of all of them together, at most."""
_BLANKS: Final = "\t\n"


def read_environment(reading: Draft, given: Mapping[str, Json], place: Place) -> tuple[tuple[str, str], ...]:
    """Return the variables at a place, sorted by name, and note what is wrong with them. A number is passed on as the file spells it."""
    variables: dict[str, str] = {}
    for name, value in given.items():
        variables[name] = _text(reading, value, (*place, name))
    for name, found, expected in wrong_variables(variables):
        reading.add((*place, name), found, expected, key=True)
    if len(given) > MOST_VARIABLES:
        reading.add(place, f"{len(given)} variables", f"{MOST_VARIABLES} at most")
    return tuple(sorted(variables.items()))


def read_command(reading: Draft, given: Json, place: Place) -> tuple[str, ...]:
    """Return the words at a place, where there are any, and note what is wrong with them. Text is split by quotes and blanks; nothing is expanded."""
    if isinstance(given, str):
        try:
            words = shlex.split(given)
        except ValueError:
            reading.add(place, f"{shown(given)}, in which a quotation mark or a backslash is open", models.WORDS)
            return ()
        for _, *said in wrong_words(words):
            reading.add(place, *said)
        return tuple(words)
    if not isinstance(given, list):
        reading.add(place, shown(given), models.WORDS)
        return ()
    words = [_text(reading, word, (*place, number)) for number, word in enumerate(given)]
    for at, *said in wrong_words(words):
        reading.add(place if at is None else (*place, at), *said)
    return tuple(words)


def wrong_words(words: Sequence[str]) -> Iterator[tuple[int | None, str, str, str]]:
    """Yield what is wrong with the words of a command: which one (None: all together), what was found, what was expected, and a hint."""
    if not words:
        yield None, "no word", "at least one", "without `command` the image's own counts"
    for number, word in enumerate(words):
        for said in _controls(word):
            yield number, *said, ""
    if len(words) > MOST_WORDS:
        yield None, f"{len(words)} words", f"{MOST_WORDS} at most", ""
    elif (characters := sum(map(len, words))) > MOST_CHARACTERS:
        yield None, f"words of {characters} characters", f"{MOST_CHARACTERS} at most", "what is longer belongs into a file of the image"


def _controls(text: str) -> Iterator[tuple[str, str]]:
    """Say that a text has control characters, which no shell and no terminal should get: what was found, and what was expected."""
    if not all(each.isprintable() or each in _BLANKS for each in text):
        yield f"{shown(text)}, with a control character", "text; of what is not printed, only tabs and the ends of lines"


def read_health(reading: Draft, given: Json, place: Place) -> Health | None:
    """Return what is said at a place of when a container is healthy, and note what is wrong with it."""
    part = reading.part(models.HealthPart, given, place)
    if part is None or not isinstance(given, dict):
        return None
    if not given:
        reading.add(place, "an empty mapping", "command, http, or how often the image's own HEALTHCHECK is asked")
    if "command" in given and "http" in given:
        reading.add((*place, "http"), "http beside command", "one of them", key=True)
    where, line = (*place, "command"), ""
    words: tuple[str, ...] = ()
    if isinstance(part.command, str):
        line = part.command
        for said in wrong_line(line):
            reading.add(where, *said)
    elif isinstance(part.command, list):
        words = read_command(reading, part.command, where)
    elif "command" in given:
        reading.add(where, shown(part.command), models.HEALTHY)
    if not (line.strip() or words or part.http) and ("command" in given or not given):
        return None  # told: there is nothing left that could be asked
    return Health(line, words, part.http, part.every, part.timeout, part.retries, part.start_period)


def read_limits(reading: Draft, given: Json, place: Place) -> ContainerLimits | None:
    """Return what is said at a place of what a container may take at most, and note what is wrong with it."""
    part = reading.part(models.LimitsPart, given, place)
    if part is None:
        return None
    if not given:
        reading.add(place, "an empty mapping", f"one of {', '.join(keys(models.LimitsPart))}, or several")
        return None
    return ContainerLimits(part.pids, part.cpu, part.memory, part.io)


def wrong_line(line: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a line for a container's shell: what was found, and what was expected."""
    if not line.strip():
        yield "an empty command", models.HEALTHY
    else:
        yield from _controls(line)
    if len(line) > models.LONGEST_LINE:
        yield f"a command of {len(line)} characters", f"{models.LONGEST_LINE} at most"


def read_restart(reading: Draft, given: Json, place: Place) -> str:
    """Return when containers are started again, by the word at a place, and note what is none. YAML reads false for a bare no."""
    word = NEVER if given is False and reading.doc.words.get(place, "").lower() == NEVER else given
    if word not in RESTARTS:
        hint = close(word, RESTARTS) if isinstance(word, str) else ""
        reading.add(place, shown(given), models.RESTART, hint)
    return word if isinstance(word, str) and word in RESTARTS else ""


def restart_slips(restart: object) -> Iterator[tuple[None, str, str]]:
    """Yield what is wrong with the restart policy of an app in Python; none at all is fine."""
    if restart not in ("", *RESTARTS):
        yield None, f"restart {restart!r}", models.RESTART


def environment_slips(given: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with the variables of an app in Python: the name of each, what was found, and what was expected."""
    for name, value in given.items():
        if not isinstance(value, str):
            what = shown(value) if value is None or isinstance(value, int | float) else type(value).__name__
            yield name, f"a value of {name} that is {what}", "text"
    yield from wrong_variables({name: value for name, value in given.items() if isinstance(value, str)})
    if len(given) > MOST_VARIABLES:
        yield "", f"{len(given)} variables", f"{MOST_VARIABLES} at most"


def command_slips(words: object) -> Iterator[tuple[int | None, str, str, str]]:
    """Yield what is wrong with the command of an app in Python, as `wrong_words`; none is fine."""
    if not isinstance(words, tuple | list) or not all(isinstance(word, str) for word in words):
        yield None, f"a command that is {words!r}", "a list of words", ""
    elif words:
        yield from wrong_words(words)


def health_slips(health: object) -> Iterator[tuple[None, str, str]]:
    """Yield what is wrong with the health of an app in Python; none is fine."""
    if health is None:
        return
    if not isinstance(health, Health) or not parameters.fits(health):
        yield None, f"a health that is {health!r}", 'a Health, e.g. Health("test -e /ready", every=5.0)'
        return
    if sum(map(bool, (health.line, health.words, health.http))) > 1:
        yield None, "a health with several of line, words and http", "one of them"
    told = [*(wrong_line(health.line) if health.line else ()), *((*each[1:3],) for each in command_slips(health.words))]
    yield from ((None, *said) for said in told)
    spelled = {
        "http": health.http,
        "every": health.every,
        "timeout": health.timeout,
        "retries": health.retries,
        "start period": health.start_period,
    }
    try:
        models.HealthPart.model_validate({name: value for name, value in spelled.items() if value})
    except ValidationError as error:
        for each in error.errors(include_url=False):
            name = str(each["loc"][0])
            yield None, f"{name} {each['input']!r} of a health", descriptions(models.HealthPart)[name]


def limits_slips(limits: object) -> Iterator[tuple[None, str, str]]:
    """Yield what is wrong with the limits of an app in Python; none is fine."""
    if limits is None:
        return
    if not isinstance(limits, ContainerLimits) or not parameters.fits(limits) or not limits.given:
        yield None, f"limits that are {limits!r}", "ContainerLimits, e.g. ContainerLimits(pids=64, cpu=0.5)"
        return
    try:
        models.LimitsPart.model_validate(limits.given)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            name = str(each["loc"][0])
            yield None, f"{name} {each['input']!r} of limits", descriptions(models.LimitsPart)[name]


def _text(reading: Draft, value: Json, place: Place) -> str:
    """Return the text at a place, or a number as the file spells it; empty for anything else, which is noted."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value if isinstance(value, str) else reading.doc.words.get(place, str(value))
    reading.add(place, shown(value), "text or a number", "" if isinstance(value, dict | list) else QUOTED)
    return ""


def note_refused(reading: Draft, app: App, place: Place) -> None:
    """Note what the mode cannot give an app, each under its key."""
    for key, *said in refused_of(app, reading.mode):
        reading.add((*place, key), *said)
