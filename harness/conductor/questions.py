"""What a scenario's `checks:` ask of a node: does this service run, is that port listened on.

How each kind of thing is looked at is `harness.core.looks`. Nothing here raises for what a node does: a node that cannot be asked, or a question that
cannot be answered, is unknown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.core.errors import in_words
from harness.core.looks import LOOKS, Absent
from harness.core.values import Outcome
from harness.steps.expectations import octal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.core.looks import Seen
    from harness.core.protocols import Node
    from harness.core.values import Json
    from harness.steps import Check


def ask(node: Node, check: Check) -> tuple[Outcome, str]:
    """Return whether everything that the check expects is so on this node, and what was seen.

    Fail as soon as one property is known to be otherwise, even where another could not be asked; unknown where none is otherwise but one could
    not be asked. What is not there has no property but `false`. Takes some three commands, each given `looks.SECONDS`.
    """
    outcomes: list[Outcome] = []
    saw: list[str] = []
    try:
        told: Mapping[str, Callable[[], Seen]] = LOOKS[check.subject](node, check.name, check.expect)
    except Exception as error:  # noqa: BLE001 - whatever a node answers in place of an answer, it is no "no"
        return Outcome.UNKNOWN, in_words(error)  # who tells of it says that it could not be asked
    for name, expected in check.expect.items():
        try:
            seen = told[name]()
        except Exception as error:  # noqa: BLE001 - same
            outcomes.append(Outcome.UNKNOWN)
            saw.append(f"{name} could not be asked: {in_words(error)}")
        else:
            outcomes.append(Outcome.OK if _same(seen, expected) else Outcome.FAIL)
            saw.append(f"{name}: {_shown(name, seen, expected)}")
    worst = next((each for each in (Outcome.FAIL, Outcome.UNKNOWN) if each in outcomes), Outcome.OK)
    return worst, "; ".join(saw)


def _same(seen: Seen, expected: Json) -> bool:
    """Whether this is what was expected. YAML's true is not 1; what is not there is not anything, and so is as `false` expects it."""
    if isinstance(seen, Absent):
        return expected is False
    return type(seen) is type(expected) and seen == expected


def _shown(name: str, seen: Seen, expected: Json) -> str:
    """Give a value as a scenario file would have it."""
    if isinstance(seen, Absent):
        return f"false, it {seen.why}" if isinstance(expected, bool) else f"it {seen.why}"
    if name == "mode" and isinstance(seen, int):
        return octal(seen)
    text = json.dumps(seen, default=repr, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:197]}..."  # noqa: PLR2004 - a line of a report
