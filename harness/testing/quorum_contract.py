"""What every mode that stands on a quorum must do where one of its members is asked, as plain functions; see `harness.testing.contracts`.

Each wants a member that says something of itself, and ways in which it gives no good answer::

    case = QuorumCase(mode, cluster, "n1", (2, "n1"), {"silence": hanging, "rubbish": babbling})

    @pytest.mark.parametrize("promise", QUORUM.values(), ids=QUORUM)
    def test_quorum(promise):
        promise(case)

What a mode says of members and elections without asking anybody is in `harness.testing.mode_contract.STATED`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import Expired, HarnessError, Unreachable, in_words
from harness.core.figures import given
from harness.core.threads import CertainThread
from harness.testing.contracts import ContractBroken, require, same

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Quorum

ENDING_SECONDS = 15.0
"""How long a question may take, or what was taken to ask again and again to be let go, on a machine that has much else to do."""
OFTEN = 5
"""How often a member is asked."""

Claim: TypeAlias = tuple[int, str | None]


@dataclass(frozen=True)
class QuorumCase:
    """A member of a mode's quorum that says `said` (term, and the name of the leader that it follows) of itself.

    In each of the `troubles` it gives no good answer.
    """

    mode: Quorum
    cluster: Cluster
    member: str
    said: Claim
    troubles: Mapping[str, Callable[[], AbstractContextManager[object]]] = field(default_factory=dict)


def it_tells_what_the_member_says(case: QuorumCase) -> None:
    """Its term, and the node that it follows, as often as it is asked."""
    with _asking(case) as ask:
        same([_claim(ask) for _ in range(OFTEN)], [case.said] * OFTEN, f"what {case.member} says of itself")


def could_not_ask_is_never_nobody(case: QuorumCase) -> None:
    """Whatever goes wrong, before it is asked for the first time or afterwards: `Unreachable`, which says why, and never a term without a leader."""
    for name, trouble in case.troubles.items():
        with _asking(case) as ask:
            _claim(ask)
            with trouble():
                _silent(case, ask, name)
        with trouble(), _asking(case) as ask:
            _silent(case, ask, f"{name} from the beginning")


def it_is_heard_again_after_a_trouble(case: QuorumCase) -> None:
    """By whoever asked before."""
    for name, trouble in case.troubles.items():
        with _asking(case) as ask:
            with trouble():
                _silent(case, ask, name)
            last: list[object] = []

            def heard(ask: Callable[[], Claim] = ask, last: list[object] = last) -> bool:
                last[:] = [_answer(ask)]
                return last == [case.said]

            try:
                wait_until(heard, awaited="its word", seconds=ENDING_SECONDS, clock=SystemClock(), every=0.05)
            except Expired as e:
                raise ContractBroken(f"promised: {case.member} is heard again after {name}; saw: {_seen(last[0])}") from e


def what_was_taken_is_let_go(case: QuorumCase) -> None:
    """No thread goes on once nobody asks, also after an error of whoever asked, which comes out as it is."""
    before = set(threading.enumerate())
    mine, heard = LookupError("of whoever asks"), False
    try:
        with _asking(case) as ask:
            _claim(ask)
            raise mine
    except LookupError as error:
        heard = error is mine
    require(heard, "an error of whoever asks comes out as it is", "it does not")
    with _asking(case):
        pass

    def over() -> bool:
        return not {*threading.enumerate()} - before

    try:
        wait_until(over, awaited="threads to end", seconds=ENDING_SECONDS, clock=SystemClock(), every=0.02)
    except Expired as e:
        left = ", ".join(sorted(each.name for each in {*threading.enumerate()} - before))
        raise ContractBroken(f"promised: no thread goes on once nobody asks; saw: {left}") from e


QUORUM: Mapping[str, Callable[[QuorumCase], None]] = {
    each.__name__: each
    for each in (
        it_tells_what_the_member_says,
        could_not_ask_is_never_nobody,
        it_is_heard_again_after_a_trouble,
        what_was_taken_is_let_go,
    )
}
"""What every mode that stands on a quorum must do."""


@contextmanager
def _asking(case: QuorumCase) -> Iterator[Callable[[], Claim]]:
    """Ask a member, inside the cluster's network. That nobody answers may show on the way in: then every question is answered so."""
    with case.cluster.network(), ExitStack() as stack:
        try:
            ask = stack.enter_context(case.mode.asking(case.cluster, case.cluster.node(case.member)))
        except HarnessError as error:
            ask = functools.partial(_unheard, error)
        except Exception as e:
            raise ContractBroken(f"promised: a way to ask {case.member}; saw: {type(e).__name__}: {in_words(e)}") from e
        yield ask


def _unheard(error: HarnessError) -> Claim:
    raise error


def _answer(ask: Callable[[], Claim]) -> object:
    """Return what a question returns or raises. Raises `ContractBroken` where it goes on and on."""
    found: list[object] = []

    def work() -> None:
        try:
            found.append(ask())
        except Exception as e:  # noqa: BLE001 - whatever it is, the caller says whether it may be
            found.append(e)

    thread = CertainThread(target=work, name="contract-ask")
    thread.start()
    if not thread.wait(ENDING_SECONDS):
        raise ContractBroken(f"promised: a member is asked within a bound; saw: it goes on after {given(ENDING_SECONDS)}")
    return found[0]


def _claim(ask: Callable[[], Claim]) -> object:
    found = _answer(ask)
    require(not isinstance(found, Exception), "a member that answers is heard", _seen(found))
    return found


def _silent(case: QuorumCase, ask: Callable[[], Claim], name: str) -> None:
    """Wait until a member can no longer be asked: its last word may be a moment old. Then it stays so."""
    last: list[object] = []

    def silent() -> bool:
        last[:] = [_answer(ask)]
        return isinstance(last[0], Exception) or last[0] != case.said

    try:
        wait_until(silent, awaited="silence", seconds=ENDING_SECONDS, clock=SystemClock(), every=0.02)
    except Expired as e:
        raise ContractBroken(f"promised: {case.member} cannot be asked in {name}; saw: {_seen(last[0])}") from e
    for found in (last[0], _answer(ask)):
        require(isinstance(found, Unreachable), f"{case.member} asked in {name} raises Unreachable", _seen(found))
        require(bool(str(getattr(found, "saw", "")).strip()), f"why {case.member} could not be asked in {name}", repr(found))


def _seen(found: object) -> str:
    return f"{type(found).__name__}: {in_words(found)}" if isinstance(found, Exception) else repr(found)
