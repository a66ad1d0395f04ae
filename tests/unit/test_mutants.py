"""Mutants of recorded histories: what was changed, and what must come out. None may survive.

*Held* needs evidence, *broken* needs evidence that stands alone, everything else is *unknown*. The tables: `test_mutants_of_lines` changes the file
as it stands, so that the chain must miss it. `test_mutants_unseen` and `test_mutants_seen` are written anew by one who knows the format, or tell of a
world in which it was so: there the content must answer. Here: what all of them begin with, and any change at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis
import pytest
from hypothesis import strategies as st

from harness.core.errors import BadInput
from harness.history.events import (
    ApiSeen,
    Checked,
    DockerEvent,
    FaultStage,
    Fingerprinted,
    History,
    MemberSeen,
    NodeSeen,
    PhaseBegan,
    Watching,
    Wholeness,
)
from harness.testing.histories import chained
from harness.testing.mutations import (
    Timed,
    Where,
    between,
    drop,
    either,
    of,
)
from tests.unit.mutants import (
    BROKEN,
    HELD,
    PROMISES,
    RUN,
    TRUTH,
    findings,
    reasons,
    told,
    verdict,
    written,
)
from tests.unit.retelling import (
    CALLS,
    EVERYTHING,
    of_workload,
)
from tests.unit.test_mutants_misplaced import EVENTS as MISPLACED
from tests.unit.test_mutants_of_lines import LINES
from tests.unit.test_mutants_seen import EVENTS as SEEN
from tests.unit.test_mutants_unseen import EVENTS as UNSEEN
from tests.unit.test_mutants_windows import EVENTS as WINDOWS


@pytest.mark.parametrize("base", PROMISES)
def test_a_base_is_what_it_is_known_to_be(base: str) -> None:
    """Unchanged, it comes out as it was settled."""
    assert verdict(findings(base, History.read(written(base), run=RUN))) is TRUTH[base]


def test_there_are_a_hundred_mutants_at_least_and_no_two_alike() -> None:
    """The table is what was promised."""
    names = [
        *((mutant.base, mutant.name) for mutant in LINES),
        *((mutant.base, mutant.name) for table in (SEEN, UNSEEN, MISPLACED, WINDOWS) for mutant in table),
    ]
    assert len(names) == len(set(names)) >= 100


# -- any mutant at all


def any_lines(draw: st.DrawFn, lines: list[bytes]) -> list[bytes]:
    """Cut out, double, move or edit lines, anywhere."""
    found = list(lines)
    for _ in range(draw(st.integers(1, 3))):
        at, to = draw(st.integers(0, len(found) - 1)), draw(st.integers(0, len(found) - 1))
        match draw(st.sampled_from(["cut", "double", "move", "edit", "until"])):
            case "cut":
                del found[at : at + draw(st.sampled_from([1, 1, 5, 100]))]
            case "double":
                found.insert(to, found[at])
            case "move":
                found.insert(to, found.pop(at))
            case "edit":
                found[at] = found[at].replace(b"1", b"2", 1)
            case _:
                del found[at:]
        found = found or [b""]
    return found


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True, phases=[hypothesis.Phase.generate])
@hypothesis.given(st.data(), st.sampled_from(sorted(PROMISES)))
def test_no_change_of_a_file_acquits_and_none_convicts_the_innocent(data: st.DataObject, base: str) -> None:
    """Whatever is done to its lines: a broken run is never held, a held one never broken, and neither is held unless it is as it was."""
    content = b"".join(data.draw(st.composite(lambda draw: any_lines(draw, written(base).splitlines(keepends=True)))()))
    try:
        history = History.read(content, run=RUN)
    except BadInput:
        return
    found = verdict(findings(base, history))
    assert found is not HELD or content == written(base)
    assert found is not BROKEN or TRUTH[base] is BROKEN


REMOVED: dict[str, Where] = {
    "node truth": of(NodeSeen),
    "of n1": lambda _, event: getattr(event, "node", "") == "n1",
    "of n2": lambda _, event: getattr(event, "node", "") == "n2",
    "of n3": lambda _, event: getattr(event, "node", "") == "n3",
    "all that observers say": lambda _, event: isinstance(event, NodeSeen | ApiSeen | MemberSeen | DockerEvent | Watching),
    "the API": of(ApiSeen),
    # Members are recorded when something changes: that their observer goes on asking is half of what it says.
    "members": either(of(MemberSeen), of(Watching, observer="membership")),
    "Docker": of(DockerEvent),
    "being watched": of(Watching),
    "faults": of(FaultStage),
    "fingerprints": of(Fingerprinted),
    "checks": of(Checked),
    "being whole": of(Wholeness),
    "calls": CALLS,
    "writes": of_workload("register"),
    "calls over HTTP": of_workload("http"),
    "phases": of(PhaseBegan),
    "everything": EVERYTHING,
}


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True, phases=[hypothesis.Phase.generate])
@hypothesis.given(
    st.sampled_from(sorted(PROMISES)),
    st.lists(st.tuples(st.sampled_from(sorted(REMOVED)), st.floats(0, 90), st.floats(0.5, 60)), min_size=1, max_size=3),
)
def test_less_evidence_never_convicts_and_never_acquits(base: str, removed: Sequence[tuple[str, float, float]]) -> None:
    """What is left out, and written anew as if it had never been seen, makes no held run broken and no broken one held."""
    changed: Sequence[Timed] = told(base)
    for what, start, length in removed:
        changed = drop(between(start, start + length, REMOVED[what]))(changed)
    found = findings(base, History.read(chained(changed, RUN), run=RUN))
    everything = "\n".join(f"{each.checker} {each.verdict}: {reasons(each)}" for each in found)
    assert {TRUTH[base], verdict(found)} != {HELD, BROKEN}, everything
