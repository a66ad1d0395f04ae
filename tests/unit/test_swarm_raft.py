"""What raft says in dockerd's journal: real lines, in the orders in which raft writes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.checkers import QuorumSurvived
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError, Unreachable
from harness.core.values import Result, Verdict
from harness.history.events import History, MemberSeen
from harness.history.recorder import Recorder
from harness.modes.swarm.raft import Journal, Raft, own_id
from harness.testing.memory_node import MemoryNode

N1, N2, N3 = "4a1f0d6e3c77e01", "2f30950122125c9", "557d386cbfdd13c"
PATIENT = 10.0


def line(message: str, more: str = "module=raft node.id=pxs8uvsl99u17dph0vvgoplr7") -> str:
    """Return a line as dockerd writes it."""
    return f'time="2026-11-24T11:48:48.930543674Z" level=info msg="{message}" {more}'


FIRST = [
    line("4a1f0d6e3c77e01 became follower at term 0"),
    line("newRaft 4a1f0d6e3c77e01 [peers: [], term: 0, commit: 0, applied: 0, lastindex: 0, lastterm: 0]"),
    line("4a1f0d6e3c77e01 became follower at term 1"),
    line("4a1f0d6e3c77e01 is starting a new election at term 1"),
    line("4a1f0d6e3c77e01 became candidate at term 2"),
    line("4a1f0d6e3c77e01 received MsgVoteResp from 4a1f0d6e3c77e01 at term 2"),
    line("4a1f0d6e3c77e01 became leader at term 2"),
    line("raft.node: 4a1f0d6e3c77e01 elected leader 4a1f0d6e3c77e01 at term 2"),
]
JOINED = [
    line("2f30950122125c9 became follower at term 0"),
    line("newRaft 2f30950122125c9 [peers: [], term: 0, commit: 0, applied: 0, lastindex: 0, lastterm: 0]"),
    line("2f30950122125c9 became follower at term 1"),
    line("2f30950122125c9 [term: 1] received a MsgApp message with higher term from 4a1f0d6e3c77e01 [term: 2]"),
    line("2f30950122125c9 became follower at term 2"),
    line("raft.node: 2f30950122125c9 elected leader 4a1f0d6e3c77e01 at term 2"),
]


def heard(*lines: str) -> Raft:
    """Return what is known after these lines."""
    raft = Raft()
    for each in lines:
        raft.hear(each)
    return raft


def state(raft: Raft) -> tuple[str, int, str]:
    """Return all that is known."""
    return raft.own, raft.term, raft.leader


def test_the_first_manager_leads_itself() -> None:
    """From its first start on."""
    assert state(heard(*FIRST)) == (N1, 2, N1)
    assert [state(heard(*FIRST[:count]))[1:] for count in (1, 3, 5, 7)] == [(0, ""), (1, ""), (2, ""), (2, N1)]


def test_one_that_joined_follows_it() -> None:
    """With its own id, and the term that it was sent."""
    assert state(heard(*JOINED)) == (N2, 2, N1)


def test_a_higher_term_from_a_leader_is_followed_without_another_word() -> None:
    """Raft does not say that the leader is still the same one; one who asks for votes is not followed."""
    again = [
        line(f"{N2} [term: 2] received a MsgHeartbeat message with higher term from {N3} [term: 5]"),
        line(f"{N2} became follower at term 5"),
    ]
    assert state(heard(*JOINED, *again)) == (N2, 5, N3)
    vote = [
        line(f"{N2} [term: 2] received a MsgVote message with higher term from {N3} [term: 5]"),
        line(f"{N2} became follower at term 5"),
    ]
    assert state(heard(*JOINED, *vote)) == (N2, 5, "")


def test_a_lost_leader_is_nobody_and_a_new_one_is_named() -> None:
    """The election of two that are left."""
    election = [
        line(f"{N2} is starting a new election at term 2"),
        line(f"{N2} became candidate at term 3"),
        line(f"raft.node: {N2} lost leader {N1} at term 3"),
        line(f"{N2} [term: 3] received a MsgVote message with higher term from {N3} [term: 4]"),
        line(f"{N2} became follower at term 4"),
        line(f"raft.node: {N2} elected leader {N3} at term 4"),
    ]
    assert [state(heard(*JOINED, *election[:count]))[1:] for count in range(1, 7)] == [(2, N1), (3, ""), (3, ""), (3, ""), (4, ""), (4, N3)]
    assert state(heard(*JOINED, line(f"raft.node: {N2} changed leader from {N1} to {N3} at term 3"))) == (N2, 3, N3)


def test_a_leader_without_a_quorum_steps_down_in_its_own_term() -> None:
    """It leads nobody, and knows it."""
    down = [
        line(f"{N1} stepped down to follower since quorum is not active"),
        line(f"{N1} became follower at term 2"),
        line(f"raft.node: {N1} lost leader {N1} at term 2"),
    ]
    assert [state(heard(*FIRST, *down[:count]))[1:] for count in (1, 2, 3)] == [(2, N1), (2, ""), (2, "")]


def test_after_a_restart_it_follows_nobody_until_it_is_told() -> None:
    """The term is kept: raft keeps it, too."""
    restarted = [line(f"{N1} became follower at term 2"), line(f"newRaft {N1} [peers: [], term: 2, commit: 20, applied: 0, lastindex: 20]")]
    assert state(heard(*FIRST, *restarted)) == (N1, 2, "")


def test_terms_only_rise_and_another_id_begins_anew() -> None:
    """A node that left and joined again has another id, whose terms are another swarm's."""
    assert state(heard(*JOINED, line(f"{N2} became follower at term 1"))) == (N2, 2, N1)
    assert state(heard(*JOINED, line("1234abcd became follower at term 1"))) == ("1234abcd", 1, "")


@pytest.mark.parametrize(
    "other",
    [
        line(f"{N1} became leader at term 9", "module=node"),
        line(f"{N1} became leader at term 9", ""),
        f"{N1} became leader at term 9 module=raft",
        line(f'{N1} says \\"{N1} became leader at term 9\\"'),
        "",
    ],
)
def test_lines_that_are_not_rafts_say_nothing(other: str) -> None:
    """Only raft's own module counts."""
    assert state(heard(*JOINED, other)) == (N2, 2, N1)


def test_two_leaders_in_one_term_reach_the_history_as_such(tmp_path: Path) -> None:
    """A swarm that did that would be convicted: nothing between the journal and the checker smooths it over."""
    told = {
        "n1": heard(*FIRST, line(f"{N1} became candidate at term 5"), line(f"{N1} became leader at term 5")),
        "n2": heard(*JOINED, line(f"{N2} became candidate at term 5"), line(f"{N2} became leader at term 5")),
    }
    names = {raft.own: name for name, raft in told.items()}
    with Recorder(tmp_path / "history.jsonl", SystemClock()) as recorder:
        for name, raft in told.items():
            recorder.record(MemberSeen(name, raft.term, names[raft.leader]))
    finding = QuorumSurvived().check(History.load(tmp_path / "history.jsonl"))
    assert finding.verdict is Verdict.BROKEN
    assert "n1 and n2 each called themselves leader in term 5" in finding.summary


# ---------------------------------------------------------------- following


class Follow:
    """A stream that says what the test puts into it. None ends it, as a death does."""

    def __init__(self) -> None:
        self.said: queue.Queue[bytes | None] = queue.Queue()
        self.closed = threading.Event()

    def lines(self) -> Iterator[bytes]:
        """Yield what is said until the end."""
        while (each := self.said.get(timeout=PATIENT)) is not None:
            yield each

    def close(self) -> None:
        """End it."""
        self.closed.set()
        self.said.put(None)


class JournalNode(MemoryNode):
    """A node with a journal."""

    def __init__(self) -> None:
        super().__init__("n2", "10.77.0.12")
        self.kept = list(JOINED)
        self.streams: list[Follow] = []
        self.argv: list[tuple[str, ...]] = []
        self.programs["journalctl"] = self._journal

    def _journal(self, argv: tuple[str, ...], stdin: bytes) -> Result:
        end = ["-- cursor: s=1;i=2"] if self.kept else []
        return Result(argv, 0, "\n".join([*self.kept, *end]).encode() + b"\n", b"")

    def stream(self, *argv: str, stdin: bytes = b"") -> Follow:
        """Follow it."""
        if not self.on:
            raise Unreachable(self.name, "journalctl", "the machine is off")
        self.argv.append(argv)
        self.streams.append(Follow())
        return self.streams[-1]


@pytest.fixture
def follow() -> Iterator[Callable[[JournalNode], Journal]]:
    """Return what follows a journal; it is closed at the end, and no thread of it may be left."""
    before = set(threading.enumerate())
    every: list[Journal] = []

    def start(node: JournalNode) -> Journal:
        every.append(Journal(node, SystemClock()))
        return every[-1]

    yield start
    for each in every:
        each.close()
        each.close()
    assert set(threading.enumerate()) <= before


def until(condition: Callable[[], bool]) -> None:
    """Wait for what the thread does."""
    wait_until(condition, awaited="the journal's thread", seconds=PATIENT, clock=SystemClock(), every=0.005)


def test_what_was_said_before_is_known_and_what_comes_is_heard(follow: Callable[[JournalNode], Journal]) -> None:
    """The stream goes on exactly where the first reading ended."""
    node = JournalNode()
    journal = follow(node)
    assert journal.state() == (N2, 2, N1)
    assert "--after-cursor=s=1;i=2" in node.argv[0]
    node.streams[0].said.put(line(f"raft.node: {N2} lost leader {N1} at term 3").encode())
    until(lambda: journal.state() == (N2, 3, ""))


def test_a_stream_that_ended_is_started_again_and_until_then_nobody_can_say(follow: Callable[[JournalNode], Journal]) -> None:
    """As when the machine is off and on again."""
    node = JournalNode()
    journal = follow(node)
    assert journal.state()[1] == 2
    node.on = False
    node.streams[0].said.put(None)
    with pytest.raises(Unreachable, match=r"ended|off"):
        until(lambda: journal.state() is None)
    node.kept += [line(f"{N2} became follower at term 7"), line(f"raft.node: {N2} elected leader {N3} at term 7")]
    node.on = True

    def back() -> bool:
        try:
            return journal.state() == (N2, 7, N3)
        except Unreachable:
            return False

    until(back)


def test_a_node_without_raft_is_no_manager(follow: Callable[[JournalNode], Journal]) -> None:
    """Silence is not term 0."""
    node = JournalNode()
    node.kept = []
    journal = follow(node)
    with pytest.raises(Unreachable, match="no manager"):
        journal.state()
    assert not [each for each in node.argv[0] if "cursor" in each]


def test_a_journal_that_cannot_be_read_says_why(follow: Callable[[JournalNode], Journal]) -> None:
    """With journalctl's own status."""
    node = JournalNode()
    node.refused["journalctl"] = 3
    with pytest.raises(Unreachable, match="journalctl exited with 3"):
        follow(node).state()


def test_a_bug_in_a_way_to_a_node_is_told_and_does_not_end_the_following(follow: Callable[[JournalNode], Journal]) -> None:
    """Whatever an SSH library may raise."""
    node = JournalNode()
    node.raises[1] = ZeroDivisionError("a bug")
    node.raises[2] = HarnessError("n2: something of ours")
    journal = follow(node)
    with pytest.raises(Unreachable, match="ZeroDivisionError: a bug"):
        journal.state()

    def back() -> bool:
        try:
            return journal.state() == (N2, 2, N1)
        except Unreachable:
            return False

    until(back)


def test_a_managers_own_id_is_in_its_journal() -> None:
    """For those that nobody follows."""
    assert own_id(JournalNode()) == N2
