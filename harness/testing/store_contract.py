"""What every store of a mode's quorum must do, as plain functions that any test runner can call; see `harness.testing.contracts`.

Each wants a way to make a new store of the same values, at one member, and ways in which that member may fail (`harness.testing.workload_contract`)::

    case = StoreCase(lambda seconds: mode.store(cluster, node, seconds), {"silence": Trouble(hanging, taken=True)})

    @pytest.mark.parametrize("promise", STORE.values(), ids=STORE)
    def test_store(promise):
        promise(case)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.core import pace
from harness.core.errors import InDoubt, NoGoodAnswer, in_words
from harness.core.figures import given
from harness.core.threads import CertainThread
from harness.testing.contracts import ContractBroken, require, same
from harness.testing.workload_contract import Trouble

if TYPE_CHECKING:
    from harness.core.protocols import Store

SHORT, PATIENT = 0.4, 10.0
"""Seconds by which requests are bounded: where something goes wrong, and where all is well, on a machine that has much else to do."""
TRIED = 3
GRACE_SECONDS = 2.0
"""What a request may take beyond its bound, at this machine's pace: a thread must be let run."""
VALUES = ("1", "", "two\nlines", "größer ✓", '"quoted" \\ $(id)', "x" * 300)
"""What is written: any text is a value, and an empty one is not the same as none."""

_serial = itertools.count(1)


@dataclass(frozen=True)
class StoreCase:
    """A store. `make` gives a new way to the same values, each of its requests bounded by so many seconds; `troubles` may go wrong with it."""

    make: Callable[[float], Store]
    troubles: Mapping[str, Trouble] = field(default_factory=dict)

    def fresh(self) -> str:
        """Return what a key begins with that nobody has written."""
        return f"whalefall/contract/{next(_serial)}/"


def what_is_put_is_got(case: StoreCase) -> None:
    """By this way and by another one, whatever text it is; what nobody has put is not there."""
    first, other, under = case.make(PATIENT), case.make(PATIENT), case.fresh()
    try:
        for number, value in enumerate(VALUES):
            key = f"{under}{number}"
            same(_asked(f"put of {value!r}", first.put, key, value), None, "what put returns")
            for who, store in (("it", first), ("another way", other)):
                same(_asked(f"get of {value!r}", store.get, key), value, f"what {who} gets")
        same(_asked("get", first.get, f"{under}absent"), None, "what is got of a key that nobody has put")
    finally:
        _close(first, other)


def a_prefix_is_all_of_it_and_nothing_else(case: StoreCase) -> None:
    """In one mapping of whole keys; empty where there is none."""
    store, under = case.make(PATIENT), case.fresh()
    try:
        wanted = {f"{under}a/{number}": str(number) for number in range(3)}
        for key, value in {**wanted, f"{under}a0": "beside", f"{under}b/1": "elsewhere"}.items():
            _asked(f"put of {key}", store.put, key, value)
        same(dict(_asked("prefix", store.prefix, f"{under}a/")), wanted, "what lies under a prefix")
        same(dict(_asked("prefix", store.prefix, f"{under}c/")), {}, "what lies under a prefix of nothing")
    finally:
        _close(store)


def could_not_ask_is_not_absent(case: StoreCase) -> None:
    """Whatever goes wrong, every request ends within its bound, in `NotDone` or `InDoubt` that says why: never in None, or in nothing.

    A write that may have been taken all the same is in doubt.
    """
    for name, trouble in case.troubles.items():
        store, under = case.make(SHORT), case.fresh()
        try:
            with trouble.begun():
                asked: Mapping[str, tuple[Callable[..., object], tuple[str, ...]]] = {
                    "put": (store.put, (f"{under}1", "1")),
                    "get": (store.get, (f"{under}1",)),
                    "prefix": (store.prefix, (under,)),
                }
                for what, (ask, arguments) in asked.items():
                    found = _answer(SHORT, f"{what} in {name}", ask, *arguments)
                    require(isinstance(found, NoGoodAnswer), f"{what} in {name} raises NotDone or InDoubt", _seen(found))
                    require(bool(str(found).strip()), f"{what} in {name} says what went wrong", repr(found))
                    doubtful = not (trouble.taken and what == "put") or isinstance(found, InDoubt)
                    require(doubtful, f"{what} in {name}, which may have taken it, raises InDoubt", _seen(found))
        finally:
            _close(store)


def it_goes_on_after_a_trouble(case: StoreCase) -> None:
    """The same way is answered again."""
    for name, trouble in case.troubles.items():
        store, under = case.make(SHORT), case.fresh()
        try:
            with trouble.begun():
                _answer(SHORT, f"get in {name}", store.get, f"{under}1")
            keys = [f"{under}{number}" for number in range(TRIED)]  # a slow machine may miss so short a bound
            done = next((key for key in keys if _answer(SHORT, f"put after {name}", store.put, key, name) is None), None)
            require(done is not None, f"one of {TRIED} values is put after {name}", "none")
            found = [_answer(SHORT, f"get after {name}", store.get, str(done)) for _ in keys]
            require(name in found, f"what was put after {name} is got", "; ".join(map(_seen, found)))
        finally:
            _close(store)


def it_is_closed_twice(case: StoreCase) -> None:
    """Twice is fine, also of one that was never used."""
    for used in (False, True):
        store = case.make(PATIENT)
        if used:
            _asked("get", store.get, case.fresh())
        _close(store, store)


STORE: Mapping[str, Callable[[StoreCase], None]] = {
    each.__name__: each
    for each in (
        what_is_put_is_got,
        a_prefix_is_all_of_it_and_nothing_else,
        could_not_ask_is_not_absent,
        it_goes_on_after_a_trouble,
        it_is_closed_twice,
    )
}
"""What every store must do."""


def _answer(bound: float, what: str, ask: Callable[..., object], *arguments: str) -> object:
    """Return what a request returns or raises. Raises `ContractBroken` where it goes on beyond its bound."""
    found: list[object] = []

    def work() -> None:
        try:
            found.append(ask(*arguments))
        except Exception as e:  # noqa: BLE001 - whatever it is, the caller says whether it may be
            found.append(e)

    thread = CertainThread(target=work, name="contract-store")
    thread.start()
    if not thread.wait(pace.limit(bound + GRACE_SECONDS)):
        raise ContractBroken(f"promised: an end of {what} within {given(bound)}; saw: it goes on {given(GRACE_SECONDS)} later")
    return found[0]


def _asked(what: str, ask: Callable[..., Any], *arguments: str) -> Any:
    """Return what a request returns where all is well. Raises `ContractBroken` for what it raises."""
    found = _answer(PATIENT, what, ask, *arguments)
    if isinstance(found, Exception):
        raise ContractBroken(f"promised: {what} goes well; saw: {_seen(found)}") from found
    return found


def _seen(found: object) -> str:
    return f"{type(found).__name__}: {in_words(found)}" if isinstance(found, Exception) else repr(found)


def _close(*stores: Store) -> None:
    try:
        for store in stores:
            store.close()
    except Exception as e:
        raise ContractBroken(f"promised: a store that is closed as often as one likes; saw: {_seen(e)}") from e
