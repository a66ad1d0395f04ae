"""Registers in the mode's quorum: unique writes and reads, each answer ok, fail or unknown."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.core.errors import NoGoodAnswer, NotDone, is_ours
from harness.core.protocols import Quorum, Registers
from harness.core.units import ABOVE, Duration, Rate
from harness.core.values import Call, CallStream, Outcome, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from harness.core.protocols import Cluster

PREFIX = "whalefall/register/"
"""Where all keys of the workload lie; a key is this and a number."""
WRITES = 0.7
"""Share of the calls that write."""
FINAL_ROUNDS = 3
"""How often all members are asked in turn, at most, for the last read of everything."""


@dataclass(frozen=True, slots=True)
class Register:
    """Write a new key with a value of its own, or read one that was written earlier, in what the mode's quorum keeps; members take turns.

    A call goes to one member and is tried once: what a cut-off member says is what a test wants to see. A write without a good answer is unknown,
    unless it was certainly never taken; a read without one is a fail. Before anything is written, only writes are made.
    """

    name: ClassVar[str] = "register"
    stream: ClassVar[CallStream] = CallStream.QUORUM
    takes: ClassVar[tuple[str, ...]] = ("Quorum",)

    rate: Rate = 10.0
    deadline: Annotated[Duration, Field(gt=0, description=ABOVE)] = 2.0  # of one call

    def calls(self, rng: Random) -> Iterator[Call]:
        """Yield writes of keys 0, 1, 2 …, and in between reads of a key that was asked to be written before."""
        return written_once(rng, PREFIX)

    def connect(self, cluster: Cluster) -> RegisterClient:
        """Return a client for one thread. Raises `Unsupported` where the mode has no quorum, or one that keeps nothing for its users."""
        return RegisterClient(cluster, self.deadline)

    def final(self, cluster: Cluster) -> Sequence[Call]:
        """Read every key that the quorum holds now; none if no member answers. The driver adds the keys that it wrote: a lost one is not there."""
        client = self.connect(cluster)
        try:
            found, _, _ = client.everything()
        finally:
            client.close()
        return [Call("read", key) for key in sorted(found or (), key=_number)]


class RegisterClient:
    """One connection to each member."""

    def __init__(self, cluster: Cluster, deadline: float) -> None:
        registers = cluster.can(Registers)
        names = cluster.can(Quorum).members(cluster)
        self._members = {name: registers.store(cluster, cluster.node(name), deadline) for name in names}

    def invoke(self, call: Call) -> Reply:
        """Make a call at the member whose turn it is; see `Register`."""
        name = self._turn(call)
        store = self._members[name]
        try:
            if call.function == "write":
                store.put(call.key, call.value or "")
                return Reply(Outcome.OK, value=call.value, by=name)
            return Reply(Outcome.OK, value=store.get(call.key), by=name)
        except NoGoodAnswer as trouble:
            # A read changes nothing: without an answer it has simply failed.
            certain = isinstance(trouble, NotDone) or call.function != "write"
            return Reply(Outcome.FAIL if certain else Outcome.UNKNOWN, by=name, error=str(trouble), ours=is_ours(trouble))

    def invoke_all(self, calls: Sequence[Call]) -> Sequence[Reply]:
        """Answer many reads by one read of everything, at the first member that can. Without one, all of them failed."""
        found, name, error = self.everything()
        if found is None:
            return [Reply(Outcome.FAIL, error=error) for _ in calls]
        return [Reply(Outcome.OK, value=found.get(call.key), by=name) for call in calls]

    def everything(self) -> tuple[dict[str, str] | None, str | None, str]:
        """Return all keys with their values and who answered; or None and why nobody did, after `FINAL_ROUNDS` rounds."""
        error = "there are no members"
        for _ in range(FINAL_ROUNDS):
            for name, store in self._members.items():
                try:
                    return dict(store.prefix(PREFIX)), name, ""
                except NoGoodAnswer as trouble:
                    error = str(trouble)
        return None, None, error

    def close(self) -> None:
        """Let go of all connections. Twice is fine."""
        for store in self._members.values():
            store.close()

    def _turn(self, call: Call) -> str:
        """Choose the member by the call itself, so that a seed decides it whatever thread makes the call: writes rotate, reads ask another one."""
        names = tuple(self._members)
        return names[(_number(call.key) + (call.function == "read")) % len(names)]


def written_once(rng: Random, prefix: str) -> Iterator[Call]:
    """Yield writes of keys that begin so, each key once and with a value of its own, and in between reads of one that was asked to be written."""
    written = 0
    while True:
        if written and rng.random() >= WRITES:
            yield Call("read", f"{prefix}{rng.randrange(written)}")
        else:
            yield Call("write", f"{prefix}{written}", f"{written}-{rng.getrandbits(32):08x}")
            written += 1


def _number(key: str) -> int:
    """Return the number of a key; a key that is none of ours gets some number of its own."""
    digits = key.removeprefix(PREFIX)
    return int(digits) if digits.isdecimal() else zlib.crc32(key.encode())
