"""Mutants of what a history tells that convict, each beside those that must not; and broken histories without what convicts them."""

from __future__ import annotations

import dataclasses
from typing import cast

import pytest

from harness.core.values import Call, NodeState, Outcome, Stage
from harness.history.events import (
    Acted,
    Answered,
    ApiSeen,
    Awaited,
    DockerEvent,
    FaultStage,
    MemberSeen,
    NodeSeen,
    Wholeness,
)
from harness.testing.histories import chained, container
from harness.testing.mutations import (
    add,
    between,
    both,
    change,
    drop,
    either,
    move,
    numbered,
    of,
)
from tests.unit.mutants import (
    BROKEN,
    HELD,
    RUN,
    UNKNOWN,
    EventMutant,
    judge,
    told,
)
from tests.unit.retelling import (
    AGAIN,
    EVERYTHING,
    WEB1,
    WEB2,
    answers,
    asked,
    edit,
    goes_on,
    in_vain,
    nowhere,
    of_workload,
    ran,
    reread,
    shows,
    silent,
    stopped,
    uncalled,
    unread,
    up,
)

EVENTS = [
    # what actions and awaits tell
    EventMutant("one more that comes late", "acted", ran(59.0, 65.5, "n2"), BROKEN, "scaled", "2 did at most"),
    EventMutant("one more that comes a little later", "acted", ran(59.0, 62.5, "n2"), HELD, "scaled"),
    EventMutant(
        "one more that comes late beside a daemon that was stopped",
        "acted",
        both(ran(59.0, 65.5, "n2"), stopped(60.0, "n1")),
        UNKNOWN,
        "scaled",
        "an action had stopped docker on n1 then",
    ),
    EventMutant("an await in vain", "acted", change(of(Awaited, outcome=Outcome.OK), in_vain), BROKEN, "awaited", "did not recover in"),
    EventMutant(
        "an await that was not to count",
        "acted",
        both(change(of(Awaited), goes_on), change(of(Awaited, outcome=Outcome.OK), in_vain)),
        HELD,
        "awaited",
    ),
    EventMutant(
        "an await in vain beside a node that was emptied",
        "acted",
        both(change(of(Awaited, outcome=Outcome.OK), in_vain), stopped(30.0, "n3")),
        UNKNOWN,
        "awaited",
        "an action that disturbs the cluster went on until 31.0 s",
    ),
    EventMutant(
        "an action that nobody knows the end of",
        "acted",
        change(of(Acted, outcome=Outcome.OK), lambda each: dataclasses.replace(cast("Acted", each), outcome=Outcome.UNKNOWN)),
        UNKNOWN,
        "assumptions",
        "may or may not have been done",
    ),
    # what must convict
    EventMutant(
        "two instances on one node",
        "good",
        ran(44, 48, "n3", WEB2, container("web@1", "n3")),
        BROKEN,
        "conflicts",
        "n3 ran two instances of web at once",
    ),
    EventMutant(
        "two instances on one node for a moment", "good", add((44.02, up("n3", WEB2, AGAIN)), (44.07, up("n3", WEB2))), HELD, "conflicts"
    ),
    EventMutant(
        "two instances by the API's word",
        "good",
        add(shows(44.0, "n1", {"web@1": "n3", "web@2": "n3"}), shows(49.0, "n1", {"web@1": "n1", "web@2": "n3"})),
        BROKEN,
        "conflicts",
        "the API showed two instances of web",
    ),
    EventMutant(
        "one instance in two containers",
        "good",
        ran(44, 48, "n1", WEB1, AGAIN),
        BROKEN,
        "conflicts",
        "n1 ran web@1 in two containers at once",
    ),
    EventMutant("one container told twice", "good", ran(44, 48, "n1", WEB1, WEB1), HELD, "conflicts"),
    EventMutant("one instance on two nodes", "good", add((54.1, up("n2", AGAIN)), (55.6, up("n2"))), HELD, "conflicts", "at once for"),
    EventMutant(
        "a second leader in the term",
        "good",
        add((30.0, MemberSeen("n3", 2, "n3"))),
        BROKEN,
        "quorum",
        "n1 and n3 each called themselves leader in term 2",
    ),
    EventMutant(
        "a follower of another leader in the term",
        "good",
        add((30.0, MemberSeen("n3", 2, "n2")), (30.3, MemberSeen("n3", 2, "n1"))),
        BROKEN,
        "quorum",
        "two leaders in term 2",
    ),
    EventMutant(
        "a term that goes back",
        "good",
        add((57.0, MemberSeen("n2", 1, None)), (57.5, MemberSeen("n2", 2, "n1"))),
        BROKEN,
        "quorum",
        "n2 was in term 1 at 57.0 s, after term 2",
    ),
    EventMutant(
        "a member that knows of no term", "good", add((55.0, MemberSeen("n2", 0, None)), (55.5, MemberSeen("n2", 2, "n1"))), HELD, "quorum"
    ),
    EventMutant(
        "leadership that moves",
        "good",
        add((30.0, MemberSeen("n3", 3, "n3")), (30.0, MemberSeen("n1", 3, "n3")), (55.0, MemberSeen("n2", 3, "n3"))),
        BROKEN,
        "quorum",
        "leadership moved",
    ),
    EventMutant("an acknowledged write lost", "good", reread("k300", None), BROKEN, "writes", "1 acknowledged write lost"),
    EventMutant("an acknowledged write changed", "good", reread("k300", "x"), BROKEN, "writes", "a value that nobody wrote"),
    EventMutant(
        "a write lost that nobody acknowledged",
        "good",
        both(reread("k300", None), answers(30.0, 30.1, "write", Outcome.UNKNOWN)),
        HELD,
        "writes",
    ),
    EventMutant(
        "a refused write that is there", "good", answers(30.0, 30.1, "write", Outcome.FAIL), BROKEN, "writes", "whose write was refused"
    ),
    EventMutant(
        "a value that nobody wrote",
        "good",
        asked(69.5, Call("read", "k9999"), Outcome.OK, "v9"),
        BROKEN,
        "writes",
        "a value that nobody wrote",
    ),
    EventMutant(
        "a value read before it was written",
        "good",
        asked(20.2, Call("read", "k300"), Outcome.OK, "v300"),
        BROKEN,
        "writes",
        "before it was written",
    ),
    EventMutant(
        "an acknowledged write read as absent", "good", asked(45.2, Call("read", "k300"), Outcome.OK), BROKEN, "writes", "saw nothing"
    ),
    EventMutant("a read that was not answered", "good", asked(45.2, Call("read", "k300"), Outcome.FAIL), HELD, "writes"),
    EventMutant(
        "writes refused for 15 s",
        "good",
        numbered(both(answers(20, 35, "write", Outcome.FAIL), unread(20, 35))),
        BROKEN,
        "quorum",
        "no write was acknowledged for",
    ),
    EventMutant(
        "writes in doubt for 15 s", "good", answers(20, 35, "write", Outcome.UNKNOWN), BROKEN, "quorum", "no write was acknowledged for"
    ),
    EventMutant(
        "nobody leads for 30 s",
        "good",
        add(*[(time, MemberSeen(node, 2, leader)) for node in ("n1", "n3") for time, leader in ((15.0, None), (45.0, "n1"))]),
        BROKEN,
        "quorum",
        "no majority followed a leader from 15.0 s for 30.0 s",
    ),
    EventMutant(
        "nobody leads for 9 s",
        "good",
        add(*[(time, MemberSeen(node, 2, leader)) for node in ("n1", "n3") for time, leader in ((15.0, None), (24.0, "n1"))]),
        HELD,
        "quorum",
    ),
    EventMutant(
        "a write in doubt that is read, and gone at the end",
        "good",
        both(
            asked(44.0, Call("write", "doubt", "v"), Outcome.UNKNOWN),
            asked(46.0, Call("read", "doubt"), Outcome.OK, "v"),
            asked(69.5, Call("read", "doubt"), Outcome.OK),
        ),
        BROKEN,
        "writes",
        "saw nothing where a value had been read before",
    ),
    EventMutant("a probe says no for 8 s", "asked", answers(20, 28, "ask", Outcome.FAIL, "queue"), BROKEN, "probe", "5 s were allowed"),
    EventMutant(
        "a probe could not be asked for 8 s", "asked", answers(20, 28, "ask", Outcome.UNKNOWN, "queue"), UNKNOWN, "probe", "too few"
    ),
    EventMutant(
        "a probe says no before the fault", "asked", answers(6, 28, "ask", Outcome.FAIL, "queue"), UNKNOWN, "probe", "said no before"
    ),
    EventMutant("a survivor's instance fails", "good", answers(12, 68, "get", Outcome.FAIL, "web@1"), BROKEN, "availability", "web@1"),
    EventMutant("gone after it was whole", "good", ran(62, 70, "n3"), BROKEN, "settled", "web@2 ran nowhere at the end"),
    EventMutant("gone for a moment after it was whole", "good", ran(62, 63, "n3"), HELD, "settled"),
    EventMutant("off after it was whole", "good", add((69.99, NodeSeen("n2", NodeState.OFF))), UNKNOWN, "settled", "n2 was off at the end"),
    EventMutant("unseen since it was off", "good", drop(between(11, 71, of(NodeSeen))), UNKNOWN, "settled", "could not be asked"),
    EventMutant("back too late", "good", both(ran(40, 49.9, "n3"), drop(of(DockerEvent))), BROKEN, "rescheduled", "too late"),
    EventMutant("back nowhere", "good", nowhere(list), BROKEN, "rescheduled", "ran nowhere else"),
    EventMutant(
        "back for a moment",
        "good",
        both(ran(41.5, 71, "n3"), drop(of(Wholeness, when="after"))),
        BROKEN,
        "rescheduled",
        "ran nowhere to stay (it ran on n3 30.2 s after the loss",
    ),
    EventMutant(
        "not whole, and a call of ours was missing beside it",
        "good",
        both(
            edit(
                of(Wholeness, when="after"),
                whole=False,
                seconds=300.0,
                missing=("web@2 does not answer", "web@1 was not called"),
                unasked=("web@1 was not called",),
            ),
            edit(between(56.0, 57.0, of(Answered, workload="http")), outcome=Outcome.FAIL),
        ),
        BROKEN,
        "settled",
        "web@2 does not answer",
    ),
    EventMutant(
        "back nowhere, and one node unseen",
        "good",
        nowhere(drop(silent(15, 71, "host", node="n1"))),
        UNKNOWN,
        "rescheduled",
        "was not known for",
    ),
    EventMutant(
        "back nowhere, and one node never seen", "good", nowhere(drop(of(NodeSeen, node="n1"))), UNKNOWN, "rescheduled", "was not known for"
    ),
    # a broken run, with what convicts it taken away
    EventMutant(
        "both copies unseen",
        "conflicts-missing",
        drop(between(36, 66, either(of(NodeSeen, node="n1"), of(ApiSeen)))),
        UNKNOWN,
        "assumptions",
        "n1",
    ),
    EventMutant(
        "the lost key not read back", "lost-write", numbered(uncalled(0, 99, "read", key="k83")), UNKNOWN, "writes", "not read back"
    ),
    EventMutant(
        "the lost key's write left out", "lost-write", uncalled(0, 99, "write", key="k83"), UNKNOWN, "assumptions", "numbered without gaps"
    ),
    EventMutant(
        "the fault never in force", "pinned-unit", drop(of(FaultStage, stage=Stage.IN_FORCE)), UNKNOWN, "assumptions", "never in force"
    ),
    EventMutant(
        "healed before the time was up",
        "pinned-unit",
        move(either(of(FaultStage, stage=Stage.HEALING)), -20.0),
        UNKNOWN,
        "rescheduled",
        "before the time was up",
    ),
    EventMutant("nobody wrote", "acknowledged-without-quorum", drop(of_workload("register")), UNKNOWN, "quorum", "no write was ever tried"),
    # the same on others
    EventMutant("two leaders in a real run", "real-etcd-leader-kill", add((30.0, MemberSeen("n1", 3, "n1"))), BROKEN, "quorum", "term 3"),
    EventMutant(
        "a term that goes back in a real run",
        "real-partition-minority",
        add((40.0, MemberSeen("n1", 1, None))),
        BROKEN,
        "quorum",
        "n1 was in term 1",
    ),
    EventMutant("all silent for 10 s of a real run", "real-partition-minority", drop(between(20, 30, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant(
        "a node unseen in a real run", "real-partition-minority", drop(silent(15, 46, "host", node="n2")), UNKNOWN, "assumptions", "n2"
    ),
    EventMutant(
        "a value from nowhere in a real run",
        "real-etcd-leader-kill",
        asked(38.0, Call("read", "whalefall/register/3"), Outcome.OK, "3-00000000"),
        BROKEN,
        "writes",
        "a value that nobody wrote",
    ),
    EventMutant("all silent while it was cut off", "partition-heal", drop(between(20, 40, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant(
        "the cut never in force", "partition-heal", drop(of(FaultStage, stage=Stage.IN_FORCE)), UNKNOWN, "assumptions", "never in force"
    ),
]


@pytest.mark.parametrize("mutant", EVENTS, ids=lambda mutant: f"{mutant.base}: {mutant.name}")
def test_what_is_told_is_what_is_judged(mutant: EventMutant) -> None:
    """The verdict, the checker that gives it, and the reason."""
    changed = mutant.mutation(told(mutant.base))
    assert list(changed) != list(told(mutant.base))
    judge(mutant.base, chained(changed, RUN), mutant.outcome, mutant.by, mutant.words)
