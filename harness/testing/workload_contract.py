"""What every workload must do, as plain functions that any test runner can call; see `harness.testing.contracts` for how they are used.

Each wants a workload with a cluster that serves it, and ways in which that cluster may fail it::

    case = WorkloadCase(Queue("jobs"), cluster, {"no broker": Trouble(stopped), "silence": Trouble(hanging, taken=True)})

    @pytest.mark.parametrize("promise", WORKLOAD.values(), ids=WORKLOAD)
    def test_workload(promise):
        promise(case)
"""

from __future__ import annotations

import copy
import functools
import itertools
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from harness.core import pace
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import Expired, in_words
from harness.core.figures import given
from harness.core.instances import app_of, number_of
from harness.core.threads import CertainThread
from harness.core.values import Call, CallStream, Outcome, Reply
from harness.history.calls import stream
from harness.history.events import Answered, History, Invoked
from harness.history.recorder import Recorder
from harness.testing.contracts import ContractBroken, require, same
from harness.testing.fake_clock import FakeClock
from harness.workloads.driver import USUAL_DEADLINE, Driver, Fitted, Ops

if TYPE_CHECKING:
    from harness.core.protocols import Client, Cluster, Workload

ENDING_SECONDS = 10.0
"""How much longer deadlines are where all is well, and how long a driver may take to its next call, on a machine that has much else to do."""
GRACE_SECONDS = 2.0
"""What a call may take beyond its deadline, at this machine's pace: a thread must be let run."""
LOOKED_AT = 300
"""Calls of a workload that are looked at."""
MADE = 8
"""Calls that are made where all is well."""
TRIED = 3
"""Calls that are made in each trouble; and until one is answered well after it."""
SLOTS = 6
"""Slots of its rate for which a workload is driven."""


@dataclass(frozen=True)
class Trouble:
    """A way in which calls go wrong, as long as the context lasts. `taken`: what was asked may have been done all the same."""

    begun: Callable[[], AbstractContextManager[object]]
    taken: bool = False


@dataclass(frozen=True)
class WorkloadCase:
    """A workload with a cluster that answers it, and what may go wrong there by name."""

    workload: Workload
    cluster: Cluster
    troubles: Mapping[str, Trouble] = field(default_factory=dict)

    @property
    def fitted(self) -> Workload:
        """The workload as it is run on that cluster."""
        fitted = self.workload.fitted(self.cluster) if isinstance(self.workload, Fitted) else None
        return fitted or self.workload

    @property
    def patient(self) -> WorkloadCase:
        """The same with a longer deadline, where it has one: for calls that go well, on a machine that has much else to do."""
        own: Any = self.workload
        timed = is_dataclass(own) and any(each.name == "deadline" for each in fields(own))
        return replace(self, workload=replace(own, deadline=self.deadline + ENDING_SECONDS)) if timed else self

    @property
    def deadline(self) -> float:
        """Seconds of one call."""
        return float(getattr(self.workload, "deadline", USUAL_DEADLINE))

    def first(self, count: int, seed: int = 7) -> list[Call]:
        """Return the first calls that a seed makes; fewer where there are no more."""
        return list(itertools.islice(self.fitted.calls(Random(seed)), count))  # noqa: S311 - not a secret

    def each(self) -> Iterator[Call]:
        """Yield its calls one after the other: what is written once may not be written again."""
        yield from self.fitted.calls(Random(7))  # noqa: S311 - not a secret


def its_rate_is_one(case: WorkloadCase) -> None:
    """A number of calls a second, more than none."""
    rate = case.fitted.rate
    require(isinstance(rate, int | float) and math.isfinite(rate) and rate > 0, "a rate of calls a second that is more than 0", repr(rate))


def calls_have_no_end(case: WorkloadCase) -> None:
    """As long as a run takes there is a next one, each with a function and a key, and a write with what it writes."""
    calls = case.first(LOOKED_AT)
    same(len(calls), LOOKED_AT, "how many calls there are to be had")
    for call in calls:
        good = isinstance(call, Call) and all(isinstance(each, str) and each for each in (call.function, call.key))
        require(good, "a Call with a function and a key", repr(call))
        require(call.function != "write" or isinstance(call.value, str), "a write that says what it writes", repr(call))


def its_calls_are_of_what_it_says(case: WorkloadCase) -> None:
    """Whoever judges them goes by that (`stream`): instances of its app, reads and writes of keys, or the name that the user gave it."""
    workload = case.fitted
    of = stream(workload)
    whom = getattr(workload, of.parameter, "") if of is not None and of.parameter else ""
    for call in case.first(LOOKED_AT):
        if of is CallStream.APP:
            good = app_of(call.key) == whom and number_of(call.key) is not None
            require(good, f"a call of an instance of {whom}", repr(call))
        elif of in {CallStream.QUORUM, CallStream.STORE}:
            require(call.function in {"read", "write"}, "a read or a write of a key", repr(call))
            require(of is CallStream.QUORUM or app_of(call.key) == whom, f"a key of {whom}", repr(call))
        elif of is not None:
            same(call.key, whom, "whom a call is of")


def a_seed_decides_the_calls(case: WorkloadCase) -> None:
    """The same run made again calls the same."""
    same(case.first(LOOKED_AT), case.first(LOOKED_AT), "what the same seed calls")


def no_two_writes_are_the_same(case: WorkloadCase) -> None:
    """What is read back tells which write it was."""
    written = Counter((call.key, call.value) for call in case.first(LOOKED_AT) if call.function == "write")
    twice = [what for what, count in written.items() if count > 1]
    require(not twice, "no value is written twice to a key", str(twice[:1]))


def good_calls_are_answered(case: WorkloadCase) -> None:
    """Where all is well every call is ok, by a node of the cluster, and what was written is read. Who answers for an app, or a quorum, is known."""
    _good(case.patient)


def _good(case: WorkloadCase) -> None:
    written: dict[str, str | None] = {}
    with _client(case) as client:
        for call in case.first(MADE):
            reply = _reply(case, client, call)
            require(reply.outcome is Outcome.OK, f"{call} is answered well", str(reply))
            by = {node.name for node in case.cluster.nodes}
            nobody = reply.by is None and stream(case.workload) not in {CallStream.APP, CallStream.QUORUM, CallStream.STORE}
            require(nobody or reply.by in by, f"{call} is answered by a node, or by nobody that is known", repr(reply.by))
            if call.function == "write":
                written[call.key] = call.value
            elif call.function == "read":
                same(reply.value, written.get(call.key), f"what {call} reads")


def a_trouble_is_no_answer(case: WorkloadCase) -> None:
    """Whatever goes wrong, nothing is raised and nothing is ok: the reply comes within the deadline and says why.

    What changes something, and may have been done all the same, is unknown, not failed.
    """
    calls = case.each()
    for name, trouble in case.troubles.items():
        with _client(case) as client, trouble.begun():
            for call in itertools.islice(calls, TRIED):
                reply = _reply(case, client, call)
                require(reply.outcome is not Outcome.OK, f"{call} is not answered well in {name}", str(reply))
                require(bool(reply.error.strip()), f"the reply to {call} in {name} says what went wrong", str(reply))
                if trouble.taken and call.function == "write":
                    same(reply.outcome, Outcome.UNKNOWN, f"how {call} ended in {name}, which may have taken it")


def calls_go_on_after_a_trouble(case: WorkloadCase) -> None:
    """The same client is answered again, by its next few calls at the latest."""
    calls = case.each()
    for name, trouble in case.troubles.items():
        with _client(case) as client:
            with trouble.begun():
                _reply(case, client, next(calls))
            replies = []
            for call in itertools.islice(calls, TRIED):
                replies.append(_reply(case, client, call))
                if replies[-1].outcome is Outcome.OK:
                    break
            require(replies[-1].outcome is Outcome.OK, f"an answer again after {name}", "; ".join(map(str, replies)))


def a_client_is_closed_twice(case: WorkloadCase) -> None:
    """Twice is fine, also of one that called nobody; and a new one is answered."""
    case = case.patient
    calls = case.each()
    for called in (0, 1, 0, 1):
        with _client(case) as client:
            for call in itertools.islice(calls, called):
                reply = _reply(case, client, call)
                require(reply.outcome is Outcome.OK, f"{call} is answered by a new client", str(reply))
            _close(client)


def the_last_calls_change_nothing(case: WorkloadCase) -> None:
    """They come to an end, and only look."""
    with case.cluster.network():
        last = case.fitted.final(case.cluster)
    require(isinstance(last, Sequence), "the last calls are a sequence, which has an end", type(last).__name__)
    bad = [call for call in last if not isinstance(call, Call) or call.function == "write"]
    require(not bad, "the last calls only look", str(bad[:1]))


def every_call_is_in_the_history_with_its_end(case: WorkloadCase) -> None:
    """Driven at its rate it makes a call in every slot, and no more; each is told of before it is made, and answered once. It stops when told to."""
    clock = FakeClock()
    cluster = replace(case.cluster, clock=clock)
    with tempfile.TemporaryDirectory() as folder, Recorder(Path(folder, "history.jsonl"), clock) as recorder, cluster.network():
        driver = Driver(case.patient.workload, cluster, recorder, Random(7), Ops())  # noqa: S311 - not a secret
        driver.start()
        try:
            for slot in range(SLOTS + 1):
                _await(functools.partial(_answered, recorder, slot + 1), f"an answer to call {slot + 1} in its slot")
                _await(lambda: (clock.next_due() or 0.0) > clock.now(), f"the driver to wait for the slot after call {slot + 1}")
                if slot < SLOTS:
                    clock.advance((clock.next_due() or 0.0) - clock.now())
        finally:
            driver.stop()
        history = History.load(recorder.path)
    begun = {event.op: entry for entry, event in history.each(Invoked)}
    ended = [(entry, event) for entry, event in history.each(Answered)]
    same(len(begun), SLOTS + 1, "how many calls were made in that time")
    same(sorted(event.op for _, event in ended), sorted(begun), "which calls have an end")
    late = [event.op for entry, event in ended if entry.index < begun[event.op].index]
    require(not late, "each call is told of before it is made", f"{late} were not")
    apart = [round(entry.time * case.fitted.rate, 3) for entry in begun.values()]
    same(apart, [float(slot) for slot in range(SLOTS + 1)], "the slots in which calls were begun")


def a_workload_is_changed_by_nobody(case: WorkloadCase) -> None:
    """A plan holds it: it is the same after it was used."""
    case = case.patient
    before = copy.deepcopy(case.workload)
    _good(case)
    same(case.workload, before, "the workload after it was used")


WORKLOAD: Mapping[str, Callable[[WorkloadCase], None]] = {
    each.__name__: each
    for each in (
        its_rate_is_one,
        calls_have_no_end,
        its_calls_are_of_what_it_says,
        a_seed_decides_the_calls,
        no_two_writes_are_the_same,
        good_calls_are_answered,
        a_trouble_is_no_answer,
        calls_go_on_after_a_trouble,
        a_client_is_closed_twice,
        the_last_calls_change_nothing,
        every_call_is_in_the_history_with_its_end,
        a_workload_is_changed_by_nobody,
    )
}
"""What every workload must do."""


@contextmanager
def _client(case: WorkloadCase) -> Iterator[Client]:
    """Lend a client, inside the cluster's network. Raises `ContractBroken` where it cannot be had or let go."""
    with case.cluster.network():
        try:
            client = case.fitted.connect(case.cluster)
        except Exception as e:
            raise ContractBroken(f"promised: a client; saw: {type(e).__name__}: {in_words(e)}") from e
        yield client
        _close(client)


def _close(client: Client) -> None:
    try:
        client.close()
    except Exception as e:
        raise ContractBroken(f"promised: a client that is closed as often as one likes; saw: {type(e).__name__}: {in_words(e)}") from e


def _reply(case: WorkloadCase, client: Client, call: Call) -> Reply:
    """Make a call. Raises `ContractBroken` where nothing comes within its deadline, or no reply."""
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(client.invoke(call))
        except Exception as e:  # noqa: BLE001 - whatever it is, it is told below
            found.append(e)

    thread = CertainThread(target=work, name="contract-call")
    thread.start()
    if not thread.wait(pace.limit(case.deadline + GRACE_SECONDS)):
        raise ContractBroken(f"promised: an end of {call} within {given(case.deadline)}; saw: it goes on {given(GRACE_SECONDS)} later")
    require(
        isinstance(found[0], Reply),
        f"a Reply to {call}",
        found[0] if isinstance(found[0], Reply) else f"{type(found[0]).__name__}: {found[0]}",
    )
    reply: Reply = found[0]
    require(isinstance(reply.outcome, Outcome), f"the outcome of {call}", repr(reply.outcome))
    return reply


def _answered(recorder: Recorder, count: int) -> bool:
    return len(list(History.load(recorder.path).each(Answered))) >= count


def _await(condition: Callable[[], bool], what: str) -> None:
    try:
        wait_until(condition, awaited=what, seconds=ENDING_SECONDS, clock=SystemClock(), every=0.005)
    except Expired as e:
        raise ContractBroken(f"promised: {what}; saw: nothing of it") from e
