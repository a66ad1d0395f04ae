"""Target expressions: reading them, resolving them, and knowing before the run which can never hit anybody."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.aim import ImpossibleTarget, fixed, most, resolve
from harness.core.targets import CHOOSERS, LONGEST, BadTarget, count, in_words, nearest, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

NODES = ("n1", "n2", "n3", "n4", "n5")
HOSTING: Mapping[str, frozenset[str]] = {"web": frozenset({"n1", "n2"}), "api": frozenset({"n2"}), "idle": frozenset()}


def seeded(seed: int) -> random.Random:
    """Give random numbers that can be repeated."""
    return random.Random(seed)  # noqa: S311 - choices that can be repeated, not secrets


def test_the_controller_is_who_takes_orders() -> None:
    """One node, known only in the run; where none takes them, nobody is hit."""

    def resolved(text: str, controller: str | None) -> tuple[str, ...]:
        return resolve(parse(text), nodes=NODES, leader="n2", members=("n1",), hosting=HOSTING, rng=seeded(7), controller=controller)

    assert resolved("controller", "n3") == ("n3",)
    assert resolved("!controller & leader", "n3") == ("n2",)
    with pytest.raises(ImpossibleTarget, match="the orchestrator's API gives no answer at any node that takes orders"):
        resolved("controller", None)
    assert most(parse("controller"), nodes=NODES, instances={}) == 1
    assert most(parse("controller & !controller"), nodes=NODES, instances={}) == 0
    assert in_words(parse("controller"), nodes=NODES) == "the node that takes this run's orders"
    assert in_words(parse("!controller & any"), nodes=NODES) == "1 node that does not take this run's orders (of 5)"


def test_a_daemon_that_leads_is_on_one_node() -> None:
    """Known only in the run; where nobody says that it leads, nobody is hit."""

    def resolved(text: str, **first: str) -> tuple[str, ...]:
        return resolve(parse(text), nodes=NODES, leader="n2", members=("n1",), hosting=HOSTING, rng=seeded(7), first=first)

    assert resolved("leading(marathon)", marathon="n3") == ("n3",)
    assert resolved("!leading(marathon) & hosting(web) & !leader", marathon="n3") == ("n1",)
    with pytest.raises(ImpossibleTarget, match="it is not known which mesos-master leads now"):
        resolved("leading(mesos-master)", marathon="n3")
    assert most(parse("leading(marathon)"), nodes=NODES, instances={}) == 1
    assert most(parse("!leading(marathon) & hosting(web)"), nodes=NODES, instances={"web": 2}) == 2
    assert in_words(parse("!leading(marathon) & any"), nodes=NODES) == "1 node that does not have the leading marathon (of 5)"
    assert str(parse("leading( marathon )")) == "leading(marathon)"
    with pytest.raises(BadTarget, match="leading\\(PROCESS\\) with the name of one daemon"):
        parse("leading()")


def hit(text: str, *, leader: str | None = "n2", seed: int = 7) -> tuple[str, ...]:
    """Resolve an expression in a cluster of five with three members."""
    return resolve(parse(text), nodes=NODES, leader=leader, members=("n1", "n2", "n3"), hosting=HOSTING, rng=seeded(seed))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n4", "n4"),
        ("all", "n1 n2 n3 n4 n5"),
        ("leader", "n2"),
        ("!leader", "n1 n3 n4 n5"),
        ("hosting(web)", "n1 n2"),
        ("hosting( web )&!leader", "n1"),
        ("!hosting(web)", "n3 n4 n5"),
        ("!(hosting(web) & leader)", "n1 n3 n4 n5"),
        ("!!n3", "n3"),
        ("!(!(n3))", "n3"),
        ("all & !n1 & !n2", "n3 n4 n5"),
        ("!hosting(idle) & n5", "n5"),
        ("hosting(web) & hosting(api)", "n2"),
        ("(hosting(web) & !n1) & any", "n2"),
        ("any & hosting(api)", "n2"),
        ("(any & n3)", "n3"),
        ("follower & !n1", "n3"),
        ("minority & !leader & !n1 & !n5", "n3 n4"),
        ("majority & !n1 & !n2", "n3 n4 n5"),
        ("minority & any & n1", "n1"),
    ],
)
def test_what_an_expression_hits(text: str, expected: str) -> None:
    """Where an expression leaves no choice, it hits exactly these."""
    assert hit(text) == tuple(expected.split())


@pytest.mark.parametrize(
    ("text", "position", "found"),
    [
        ("", 0, "nothing"),
        ("   ", 3, "nothing"),
        ("n1 &", 4, "the end"),
        ("& n1", 0, "'&'"),
        ("n1 n2", 3, "'n2'"),
        ("n1 | n2", 3, "'|'"),
        ("n1 && n2", 4, "'&'"),
        ("(n1", 3, "the end"),
        ("n1)", 2, "')'"),
        ("()", 1, "')'"),
        ("hosting", 0, "'hosting'"),
        ("hosting(", 0, "'hosting('"),
        ("hosting()", 0, "'hosting()'"),
        ("hosting(web", 0, "'hosting(web'"),
        ("hosting(a b)", 0, "'hosting(a b)'"),
        ("leader & hostin(web)", 9, "hostin(…)"),
        ("!any", 0, "! before any"),
        ("n1 & !(n2 & minority)", 5, "! before minority"),
        ("n1;rm", 2, "';'"),
        ("n1 & ünï", 5, "'ü'"),
        ("!" * 30 + "n1", 20, "more than 20 ! and ( inside each other"),
        ("(" * 200, 20, "more than 20 ! and ( inside each other"),
        ("n" * 301, LONGEST, "301 characters"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, position: int, found: str) -> None:
    """The error points at the character, and says what was found there."""
    with pytest.raises(BadTarget) as caught:
        parse(text)
    assert (caught.value.position, caught.value.found) == (position, found)
    assert str(caught.value).startswith(f"at character {position + 1}: found ")


@pytest.mark.parametrize(
    ("text", "leader", "fragments"),
    [
        ("leader", None, ["it is not known who leads now; `await: leader` as a step before this waits until somebody does"]),
        ("!leader", None, ["it is not known who leads now"]),
        ("follower", None, ["it is not known who leads now"]),
        ("hosting(idle) & any", "n2", ["nothing is left to choose from", "no node runs idle", "any takes 1"]),
        ("hosting(web) & !hosting(web)", "n2", ["hosting(web) was n1, n2", "!hosting(web) was n3, n4, n5"]),
        ("hosting(web) & majority", "n2", ["only n1, n2 is left and 3 are needed", "majority takes 3"]),
        ("follower & n2", "n2", ["nothing is left", "follower takes 1 of n1, n3"]),
        ("n9", "n2", ["no node is n9"]),
    ],
)
def test_nobody_to_hit_says_what_each_part_was(text: str, leader: str | None, fragments: list[str]) -> None:
    """The engineer sees which part left nothing."""
    with pytest.raises(ImpossibleTarget) as caught:
        hit(text, leader=leader)
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(("nodes", "minority", "majority"), [(1, 0, 1), (2, 0, 2), (3, 1, 2), (4, 1, 3), (5, 2, 3), (7, 3, 4)])
def test_a_minority_can_be_lost_and_a_majority_cannot(nodes: int, minority: int, majority: int) -> None:
    """What is left of a lost minority is still a majority."""
    assert (count("minority", nodes), count("majority", nodes)) == (minority, majority)
    assert nodes - minority >= majority


WORDS = ["n1", "n2", "n3", "leader", "all", "hosting(web)", "hosting(api)"]
SETS = st.recursive(
    st.sampled_from(WORDS),
    lambda inner: st.one_of(
        inner.map(lambda text: f"!({text})"), st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " & ".join(parts) + ")")
    ),
    max_leaves=6,
)
EXPRESSIONS = st.tuples(SETS, st.sampled_from(["", *CHOOSERS])).map(lambda pair: " & ".join(each for each in pair if each))
CLUSTERS = st.fixed_dictionaries(
    {
        "leader": st.sampled_from(["n1", "n2", "n3"]),
        "web": st.sets(st.sampled_from(["n1", "n2", "n3"]), max_size=2),
        "api": st.sets(st.sampled_from(["n1", "n2", "n3"]), max_size=1),
    }
)


@given(text=EXPRESSIONS, state=CLUSTERS, seed=st.integers(0, 99))
def test_resolving_is_pure_sorted_and_within_bounds(text: str, state: dict[str, object], seed: int) -> None:
    """The same arguments give the same sorted nodes, no more than was known to be possible, and as many as the chooser takes."""
    expression = parse(text)
    nodes = ("n1", "n2", "n3")
    hosting: Mapping[str, frozenset[str]] = {"web": frozenset(state["web"]), "api": frozenset(state["api"])}  # type: ignore[call-overload]

    def once() -> tuple[str, ...] | None:
        try:
            return resolve(expression, nodes=nodes, leader=str(state["leader"]), members=nodes, hosting=hosting, rng=seeded(seed))
        except ImpossibleTarget:
            return None

    found = once()
    assert found == once()
    if found is not None:
        assert found == tuple(sorted(set(found)))
        assert set(found) <= set(nodes)
        assert 1 <= len(found) <= most(expression, nodes=nodes, instances={"web": 2, "api": 1})
        assert expression.wanted(3) in {None, len(found)}


@given(text=EXPRESSIONS)
def test_what_was_read_is_written_so_that_it_reads_back(text: str) -> None:
    """Writing an expression and reading it again gives one that hits the same nodes in every cluster."""
    first = parse(text)
    second = parse(str(first))
    assert str(second) == str(first)
    for leader, web in itertools.product(["n1", "n3"], [frozenset[str](), frozenset({"n1", "n2"})]):
        outcomes = []
        for expression in (first, second):
            try:
                outcomes.append(
                    resolve(expression, nodes=NODES, leader=leader, members=NODES, hosting={"web": web, "api": web}, rng=seeded(1))
                )
            except ImpossibleTarget:
                outcomes.append(())
        assert outcomes[0] == outcomes[1]


@given(text=st.one_of(st.text(max_size=40), st.lists(st.sampled_from(["!", "&", "(", ")", "hosting", "any", "n1", " "])).map("".join)))
def test_any_text_is_an_expression_or_a_bad_target(text: str) -> None:
    """Nothing but `BadTarget` comes out of reading, with a position inside the text."""
    try:
        parse(text)
    except BadTarget as bad:
        # An `except` on purpose: most texts are refused, some are fine, and both are right.
        position = bad.position
    else:
        position = 0
    assert 0 <= position <= len(text)


def test_every_seed_chooses_and_all_are_chosen() -> None:
    """Over some seeds a chooser takes every node that it may take, and none other."""
    assert {hit("hosting(web) & any", seed=seed) for seed in range(40)} == {("n1",), ("n2",)}
    assert {hit("follower", seed=seed) for seed in range(40)} == {("n1",), ("n3",)}
    assert len({hit("minority", seed=seed) for seed in range(200)}) == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n1 & n2", 0),
        ("n9", 0),
        ("n1 & !n1", 0),
        ("leader & !leader", 0),
        ("leader", 1),
        ("leader & hosting(web)", 1),
        ("follower & leader", 0),
        ("hosting(web)", 2),
        ("hosting(web) & hosting(api)", 1),
        ("!hosting(api)", 5),
        ("web@1", 1),
        ("web@3", 0),
        ("!web@3", 5),
        ("all & !n1", 4),
    ],
)
def test_what_can_be_hit_at_most_is_known_before_the_run(text: str, expected: int) -> None:
    """Two instances run on two nodes at most, and one leads."""
    assert most(parse(text), nodes=NODES, instances={"web": 2, "web@3": 0, "api": 1}) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n2", "n2"),
        ("leader", "the leader"),
        ("all", "all 5 nodes"),
        ("any", "1 of the 5 nodes"),
        ("majority & all", "3 of the 5 nodes"),
        ("hosting(web) & any", "1 node that runs web (of 5)"),
        ("hosting(web) & minority", "2 nodes, each of which runs web (of 5)"),
        ("!leader & !n1", "every node that does not lead and is not n1 (of 5)"),
        ("follower", "1 node that is a member and does not lead (of 5)"),
        ("!(leader & hosting(web))", "every node that does not lead or does not run web (of 5)"),
    ],
)
def test_an_expression_is_told_in_words(text: str, words: str) -> None:
    """`whalefall plan` says who would be hit."""
    assert in_words(parse(text), nodes=NODES) == words


def test_the_nearest_name_is_offered() -> None:
    """One near name is a question; with none near all are told."""
    assert nearest("node.kil", ["node.kill", "net.partition"]) == "did you mean 'node.kill'?"
    assert nearest("zzz", ["b", "a"]) == "there is a, b"
    assert nearest("zzz", []) == ""


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("not leader", 0, "write ! for not, as in !leader"),
        ("n1 & not leader", 5, "write ! for not, as in !leader"),
        ("one of hosting(web)", 0, "write SET & any for one of a set"),
        ("any of leader", 4, "write SET & any for one of a set"),
        ("hosting(web) and any", 13, "write & for and"),
        ("leader OR n1", 7, "for the nodes of one set and of the other write !(!n1 & !n2)"),
        ("n1, n2", 2, "for the nodes of one set and of the other write !(!n1 & !n2)"),
        ("n1 | n2", 3, "for the nodes of one set and of the other write !(!n1 & !n2)"),
        ("n1 n2", 3, "join two sets with &; for the nodes of one set and of the other write !(!n1 & !n2)"),
    ],
)
def test_what_is_written_in_words_is_told_as_it_is_written_here(text: str, position: int, words: str) -> None:
    """Whoever follows it is not told of the next mistake."""
    with pytest.raises(BadTarget) as caught:
        parse(text)
    assert (caught.value.position, words in caught.value.hint) == (position, True)


def test_two_nodes_by_name_are_written_with_two_nots() -> None:
    """As the hint has it."""
    assert fixed(parse("!(!n1 & !n2)"), ["n1", "n2", "n3"]) == ("n1", "n2")


def test_what_hangs_on_what_happens_is_not_fixed_though_it_names_all_others() -> None:
    """Who does not lead is known only once somebody does."""
    assert fixed(parse("!leader"), ["n1", "n2", "n3"]) == ()
