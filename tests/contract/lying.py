"""Doubles that keep every promise but in one of their answers: each lie that a contract is told must convict, and shows which of its lines do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from harness.core.errors import HarnessError
from harness.core.values import Latency, Result, Unavailable
from harness.testing.contracts import ContractBroken

UNDONE, CHANGED, MORE = "not done", "another answer", "another answer beside it"
LIES = (UNDONE, CHANGED, MORE)

DOES = {
    "off",
    "on",
    "reboot",
    "pause",
    "resume",
    "cut",
    "restore",
    "slow",
    "mend",
    "save",
    "revert",
    "destroy",
    "put",
    "get",
    "close",
    "inject",
    "heal",
}
"""What gives no answer: a lie is that it was done."""


@dataclass
class Tape:
    """Counts calls, and tells the lie of its kind in place of the answer of one of them, from 1."""

    lies_at: int
    lie: str
    calls: int = field(default=0, init=False)

    def call(self, name: str, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make the call, or lie."""
        self.calls += 1
        if self.calls != self.lies_at:
            return self.wrapped(work(*args, **kwargs))
        if name in DOES and self.lie == UNDONE:
            return None
        try:
            answer = work(*args, **kwargs)
        except HarnessError:
            answer = None if name in DOES else Result((), 0, b"", b"") if name == "run" else []
            return self.wrapped(answer)
        if name == "get":
            with args[1].open("ab") as there:  # by whatever link
                there.write(b"?")
        return self.wrapped(self._other(name, answer))

    def _other(self, name: str, answer: Any) -> Any:
        match answer:
            case bool():
                return not answer
            case Latency():
                return Latency() if answer.any else Latency(fsync=9.0)
            case Result():
                exits = {UNDONE: {"exit": answer.exit + 1}, CHANGED: {"out": answer.out + b"?"}, MORE: {"err": answer.err + b"?"}}
                return replace(answer, **exits[self.lie])  # type: ignore[arg-type]
            case list():
                return answer[::-1] if self.lie == CHANGED else []
        others = {"why_not": Unavailable("it is a lie", "the truth"), "network": nullcontext()}
        return others.get(name, answer)

    def wrapped(self, answer: Any) -> Any:
        """Return what lies in its turn in place of machines."""
        if isinstance(answer, list | tuple) and not isinstance(answer, str):
            return type(answer)(self.wrapped(each) for each in answer)
        return Liar(answer, self) if hasattr(answer, "run") and hasattr(answer, "put") else answer


class Liar:
    """Something whose calls go over a tape."""

    def __init__(self, of: Any, tape: Tape) -> None:
        self._of, self._tape = of, tape

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._of, name)
        if name.startswith("_") or not callable(value):
            return value
        return lambda *args, **kwargs: self._tape.call(name, value, *map(_honest, args), **kwargs)

    def __dir__(self) -> list[str]:
        """Return what the other has: that tells capabilities."""
        return dir(self._of)


def _honest(value: Any) -> Any:
    """Return what stands behind: who is handed a machine is handed his own."""
    if isinstance(value, Liar):
        return value._of
    return [_honest(each) for each in value] if isinstance(value, list) else value


def convictions(promise: Callable[[Tape], None]) -> Iterator[ContractBroken]:
    """Yield what convicts where a promise is asked of a liar, for each lie at each of its calls; nothing where there is no lie."""
    honest = Tape(0, "")
    promise(honest)
    for at in range(1, honest.calls + 1):
        for lie in LIES:
            try:
                promise(Tape(at, lie))
            except ContractBroken as broken:
                yield broken
            except Exception:  # noqa: BLE001, S112 - an error of another kind ends the test as well
                continue
