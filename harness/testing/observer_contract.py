"""What every observer must do, as plain functions that any test runner can call; see `harness.testing.contracts` for how they are used.

Each wants a way to make a new observer, a cluster that it can watch, and ways in which nobody there gives an answer::

    case = Sight(QueueObserver, cluster, ("n1", "n2"), {"no broker": stopped, "rubbish": babbling}, hanging)

    @pytest.mark.parametrize("promise", OBSERVER.values(), ids=OBSERVER)
    def test_observer(promise):
        promise(case)
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import Expired, in_words
from harness.core.figures import given
from harness.core.threads import CertainThread
from harness.core.values import NodeState
from harness.history.events import ApiSeen, DockerEvent, Entry, MemberSeen, NodeSeen, Watching
from harness.history.recorder import Recorder
from harness.testing.contracts import ContractBroken, require, same

if TYPE_CHECKING:
    from harness.core.protocols import Cluster
    from harness.history.interfaces import Observer

WORD_SECONDS = 15.0
"""How long an observer may take to its next word: a word is due every second, and a machine that has much else to do is slow."""
STOPPING_SECONDS = 8.0
"""How long `stop` may take: "within a few seconds"."""

Begun = Callable[[], AbstractContextManager[object]]
"""Something that lasts as long as the context does."""


@dataclass(frozen=True)
class Sight:
    """An observer with a cluster that it can watch.

    `nodes` are those that it speaks of, none for one that watches its own machine. In each of the `troubles` nobody whom it asks gives a good
    answer; while `hanging` whoever is asked takes the question and never answers.
    """

    make: Callable[[], Observer]
    cluster: Cluster
    nodes: tuple[str, ...]
    troubles: Mapping[str, Begun] = field(default_factory=dict)
    hanging: Callable[[], AbstractContextManager[Callable[[], bool]]] | None = None


class _Watched:
    """What an observer at work has recorded so far."""

    def __init__(self, observer: Observer, recorder: Recorder) -> None:
        self.observer = observer
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        recorder.listen(self._take)

    def _take(self, entry: Entry) -> None:
        with self._lock:
            self._entries.append(entry)

    def entries(self, since: int = 0) -> list[Entry]:
        """Return the entries from a place on."""
        with self._lock:
            return self._entries[since:]

    def words(self, node: str, since: int = 0) -> list[tuple[int, Watching]]:
        """Return what was said of watching a node from a place on, each with the place after it."""
        found = enumerate(self.entries(since), since + 1)
        return [(place, each.event) for place, each in found if isinstance(each.event, Watching) and each.event.node == node]

    def until(self, nodes: tuple[str, ...], since: int, what: str, *, alive: bool) -> dict[str, int]:
        """Wait until it says of each node that it watches, or could not ask; return the places after that. Raises `ContractBroken`."""
        found: dict[str, int] = {}

        def said() -> bool:
            for node in nodes:
                places = [place for place, word in self.words(node, since) if word.alive is alive]
                found.update({node: places[0]} if places else {})
            return len(found) == len(nodes)

        try:
            wait_until(said, awaited=what, seconds=WORD_SECONDS, clock=SystemClock(), every=0.01)
        except Expired as e:
            missing = next(node for node in nodes if node not in found)
            last = next((str(word) for _, word in reversed(self.words(missing))), "no word of it at all")
            raise ContractBroken(f"promised: {what}; saw of {missing}: {last}") from e
        return found


def it_says_that_it_watches(case: Sight) -> None:
    """Of each of its nodes, in its own name, and of no others."""
    with _watching(case) as watched:
        _begun(case, watched)
        _in_its_own_name(case, watched)


def could_not_ask_is_never_no(case: Sight) -> None:
    """Whatever keeps an answer from it, it says that it could not ask, with the reason, claims nothing meanwhile, and sees again afterwards."""
    for name, trouble in case.troubles.items():
        with _watching(case) as watched:
            _begun(case, watched)
            _through(case, watched, name, trouble)


def it_may_begin_with_nobody_to_ask(case: Sight) -> None:
    """A cluster that gives no answer yet is watched: it could not be asked, and is seen when it can."""
    for name, trouble in case.troubles.items():
        with trouble(), _watching(case) as watched:
            _blind(case, watched, 0, name)


def it_stops(case: Sight) -> None:
    """Within a few seconds, with all of its threads; twice is fine, and so is a stop of one that never began."""
    _stop(case.make(), "one that never began")
    before = set(threading.enumerate())
    with _watching(case) as watched:
        _begun(case, watched)
        for which in ("once", "twice"):
            _stop(watched.observer, which)
        _await(lambda: not {*threading.enumerate()} - before, "no thread of it goes on when it was stopped, nor of whom it asked")


def it_stops_while_nobody_answers(case: Sight) -> None:
    """Also within a few seconds; a thread that is stuck in a call ends with that call, and no other one begins."""
    if case.hanging is None:
        return
    before = set(threading.enumerate())
    with _watching(case) as watched:
        _begun(case, watched)
        with case.hanging() as stuck:
            _await(stuck, "it asks again and again")
            _stop(watched.observer, "while nobody answers")
        _await(lambda: not {*threading.enumerate()} - before, "a thread that was stuck in a call ends with that call")


OBSERVER: Mapping[str, Callable[[Sight], None]] = {
    each.__name__: each
    for each in (
        it_says_that_it_watches,
        could_not_ask_is_never_no,
        it_may_begin_with_nobody_to_ask,
        it_stops,
        it_stops_while_nobody_answers,
    )
}
"""What every observer must do."""


@contextmanager
def _watching(case: Sight) -> Iterator[_Watched]:
    """Let a new observer watch, inside the cluster's network."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Recorder(Path(folder, "history.jsonl"), case.cluster.clock) as recorder,
        case.cluster.network(),
    ):
        observer = case.make()
        watched = _Watched(observer, recorder)
        try:
            observer.start(case.cluster, recorder)
        except Exception as e:
            raise ContractBroken(f"promised: it begins to watch; saw: {type(e).__name__}: {in_words(e)}") from e
        try:
            yield watched
        finally:
            with suppress(Exception):  # whether it can be stopped is a promise of its own
                observer.stop()


def _begun(case: Sight, watched: _Watched) -> None:
    watched.until(case.nodes, 0, "it says of each node that it watches", alive=True)


def _through(case: Sight, watched: _Watched, name: str, trouble: Begun) -> None:
    """See an observer through a trouble, and out of it again."""
    with trouble():
        _blind(case, watched, len(watched.entries()), name)
    since = len(watched.entries())
    watched.until(case.nodes, since, f"it sees each node again after {name}", alive=True)
    _in_its_own_name(case, watched)


def _blind(case: Sight, watched: _Watched, since: int, name: str) -> None:
    """See that it cannot ask, says why, and claims nothing from then on until its next word."""
    places = watched.until(case.nodes, since, f"it could not ask each node in {name}", alive=False)
    again = watched.until(case.nodes, max(places.values(), default=0), f"it says so again in {name}", alive=False)
    for node, place in places.items():
        for _, word in watched.words(node, place - 1):
            if not word.alive:
                require(bool(word.detail.strip()), f"it says why it could not ask {node} in {name}", repr(word))
        for entry in watched.entries(place)[: again[node] - place]:
            claim = _claim(entry, node)
            require(not claim, f"it claims nothing of {node} in {name}, after it said that it could not ask", claim)


def _claim(entry: Entry, node: str) -> str:
    """Say what an entry claims to know of a node; empty where it claims nothing. That a machine is off is its host's word."""
    event = entry.event
    if getattr(event, "node", "") != node:
        return ""
    claims = (
        (isinstance(event, NodeSeen) and (event.state is NodeState.UP or bool(event.containers)))
        or (isinstance(event, ApiSeen) and (event.view is not None or not event.error))
        or (isinstance(event, MemberSeen) and not event.error)
        or isinstance(event, DockerEvent)
        or (isinstance(event, Watching) and event.alive)
    )
    return str(event) if claims else ""


def _in_its_own_name(case: Sight, watched: _Watched) -> None:
    for entry in watched.entries():
        if isinstance(entry.event, Watching):
            same(entry.event.observer, watched.observer.name, "in whose name it speaks")
            require(entry.event.node in case.nodes, f"it speaks of {', '.join(case.nodes) or 'no node'}", entry.event.node)


def _await(condition: Callable[[], bool], what: str) -> None:
    try:
        wait_until(condition, awaited=what, seconds=WORD_SECONDS, clock=SystemClock(), every=0.01)
    except Expired as e:
        raise ContractBroken(f"promised: {what}; saw: not in {given(WORD_SECONDS)}") from e


def _stop(observer: Observer, which: str) -> None:
    """Stop an observer. Raises `ContractBroken` where that raises or takes too long."""
    found: list[str] = []

    def work() -> None:
        try:
            observer.stop()
        except Exception as e:  # noqa: BLE001 - whatever it is, it is told below
            found.append(f"{type(e).__name__}: {in_words(e)}")

    thread = CertainThread(target=work, name="contract-stop")
    thread.start()
    if not thread.wait(STOPPING_SECONDS):
        raise ContractBroken(f"promised: it stops ({which}) within a few seconds; saw: it goes on after {given(STOPPING_SECONDS)}")
    require(not found, f"it stops ({which})", "; ".join(found))
