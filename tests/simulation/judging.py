"""Every checker asked about a simulated run, and its answer held against the truth."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from harness.checkers import (
    Assumptions,
    Availability,
    Bystanders,
    CameInTime,
    Checks,
    Clean,
    Conflicts,
    Elections,
    QuorumSurvived,
    Rescheduled,
    Scaled,
    Settled,
    Single,
    Writes,
)
from harness.core.values import Finding, Verdict
from harness.history.events import History
from harness.history.interfaces import Checker
from tests.simulation import electing, outcomes, recovery, staying, truth, windows
from tests.simulation.plan import briefed
from tests.simulation.run import Run
from tests.simulation.truth import B, H, Truth, U

Change = Callable[[Checker], Checker]
"""Puts another checker in the place of one, or returns the same."""


ALWAYS_CLEAR = ("writes", "checks", "clean", "conflicts", "assumptions")
"""Checkers that go by what was seen alone. What did not happen in time may all be the doing of a machine that was off by itself."""


UNASKED: Mapping[str, str] = {
    "manual": "every simulated cluster has a failure detector; tests/unit/test_checkers_manual.py makes up losses that nobody notices",
    "command": "what a program of the user's own tells of its calls is part of no simulated cluster; tests/unit/test_own_load.py makes up such calls",
    "durable": "no app of a simulated cluster keeps anything; it is judged as `writes` is, which is asked",
    "fdatasync": "no disk of a simulated cluster is measured; tests/unit/test_disk_measured.py makes up such measurements",
    "latency": "a simulated call is answered at once or not at all; tests/unit/test_latency.py makes up slow ones",
    "probe": "what a question of the user's own asks is part of no simulated cluster; it is judged by the fold of `availability`, which is asked",
}
"""Registered checkers that are asked nothing about simulated runs, each with the reason."""


@dataclass(frozen=True, slots=True)
class Question:
    """A checker with its parameters, and what it may say."""

    checker: Checker
    truth: Truth

    @property
    def name(self) -> str:
        """The checker's name, with what tells two questions to one checker apart."""
        told = [getattr(self.checker, each, "") for each in ("app", "writes", "leader")]
        told += [each for each in ("most", "longest") if getattr(self.checker, each, None) is not None and self.checker.name == "elections"]
        told += [f"during {each}" for each in getattr(self.checker, "during", ())]
        told += ["double run"] if getattr(self.checker, "expect_double_run", False) else []
        return " ".join([self.checker.name, *(each for each in told if each)])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a checker said, and what would have been right."""

    question: Question
    finding: Finding

    @property
    def wrong(self) -> str:
        """What is wrong with it, in two words; empty where it is right."""
        if self.finding.verdict in self.question.truth.verdicts:
            return ""
        return {H: "wrong held", B: "wrong broken", U: "needless unknown"}[self.finding.verdict]

    def __str__(self) -> str:
        """Tell it such that somebody can judge who is right."""
        right = " or ".join(sorted(self.question.truth.verdicts))
        said = f"{self.wrong or 'right'}: {self.question.name} says {self.finding.verdict}, where {right} is true: {self.finding.summary}"
        return "\n      ".join([said, *self.question.truth.why])


def questions(run: Run) -> list[Question]:
    """Return all that is asked about a run, with the answers."""
    rng = Random(run.seed + 7)  # noqa: S311 - which limit is asked for, no secret
    ruled = [app for app in run.cluster.apps if app.conflicts]
    asked: list[tuple[Checker, Truth]] = [(Assumptions(), truth.assumptions(run)), (Writes(), Truth.of(H)), (Checks(), Truth.of(H))]
    asked += [(Clean(), Truth.of(H)), (Settled(), outcomes.settled(run))]
    asked += [(Bystanders(), staying.bystanders(run)), (CameInTime(), outcomes.awaited(run))]
    for app in run.cluster.apps:
        asked.append((Rescheduled(app.name), recovery.rescheduled(run, app)))
        longest = rng.choice([0.0, 0.0, 3.0, 15.0])
        asked.append((Single(app.name, longest), staying.single(run, app, longest)))
        for number in sorted({deed.effect.runs[app.name] for deed in run.deeds if deed.effect.runs.get(app.name)}):
            within = rng.choice([2.0, 5.0, 10.0, 30.0])
            asked.append((Scaled(app.name, number, within), outcomes.scaled(run, app, number, within)))
        service = truth.service(run, app)
        if service is not None:
            checker, right = _availability(rng, app.name, service)
            # Of those that nobody calls nothing is known; and what an action took away may have been gone before the fault bit.
            vague = any(
                deed.effect.upsets or app.name in deed.effect.renews or deed.effect.runs.get(app.name, 0) > app.instances
                for deed in run.deeds
            )
            asked.append((checker, right | {U} if vague else right))
        else:
            vague = True
        asked += [
            (checker, right | {U} if vague and checker.name == Availability.name else right)
            for checker, right in windows.questions(run, app)
        ]
    if ruled:
        asked.append((Conflicts(), truth.conflicts(run, ruled)))
        asked.append((Conflicts(expect_double_run=True), truth.double_run(run, ruled)))
    asked.append((QuorumSurvived("go on"), truth.goes_on(run)))
    asked.append((QuorumSurvived("stop"), truth.stop(run)))
    asked += [(QuorumSurvived("", promise), truth.leadership(run, promise)) for promise in ("moves", "stays")]
    most, longest = electing.limits(run)
    asked += [(Elections(most), electing.often(run, most)), (Elections(longest=longest), electing.long(run, longest))]
    named = run.faults[run.seed % len(run.faults)]
    asked.append((Elections(most, during=(windows.called(named),)), electing.often(run, most, named)))
    if len(run.faults) == 1 and not (run.faults[0].failed or run.outages or run.deeds):
        asked.append((QuorumSurvived("slow"), truth.slow(run)))
    if run.outages:
        asked = [(checker, true if checker.name in ALWAYS_CLEAR else true | {U}) for checker, true in asked]
    filled = briefed(run, (checker for checker, _ in asked))
    return [Question(checker, true) for checker, (_, true) in zip(filled, asked, strict=True)]


def _availability(rng: Random, app: str, service: truth.Service) -> tuple[Checker, Truth]:
    """Ask for a little less than there was, which was kept; or for more of one of the two, which was not."""
    share, gap, right = max(min(0.01, service.share), service.share - 0.06), service.gap * 1.3 + 1.5, frozenset({H})
    if service.gap > 4 and rng.random() < 0.5:
        gap, right = service.gap * 0.7 - 0.5, service.judged
    elif service.share < 0.85 and rng.random() < 0.4:
        share, right = min(0.99, service.share + 0.07), service.judged
    elif service.share < share:
        right = service.judged  # next to nothing was good, and less than that cannot be asked for
    return Availability(app, share, gap), Truth(right, (f"{service.share:.1%} good, gone for {service.gap:.2f} s",))


def answers(run: Run, history: History | None = None, *, of: Container[str] | None = None) -> list[Answer]:
    """Ask everything, or the checkers of these names; of another history than the run's own, where one is given."""
    history = run.history() if history is None else history
    asked = [each for each in questions(run) if of is None or each.checker.name in of]
    return [Answer(each, each.checker.check(history)) for each in asked]


def disagreements(run: Run, change: Change | None = None) -> list[Answer]:
    """Return the answers about a run that are wrong; with a change, those of the checkers that it puts in the place of others."""
    if not run.faults:
        return []
    if change is None:
        return [each for each in answers(run) if each.wrong]
    changed = [(changed, each) for each in questions(run) if (changed := change(each.checker)) != each.checker]
    history = run.history() if changed else None
    every = (Answer(each, checker.check(history)) for checker, each in changed if history is not None)
    return [each for each in every if each.wrong]


def told(run: Run, wrong: Sequence[Answer]) -> str:
    """Say what was wrong about a run, and how to see it again."""
    asked = "".join(f" --{name.replace('_', '-')}" for name in ("half_made", "crashes", "deeds", "later") if getattr(run.wishes, name))
    asked += f" --pattern {run.wishes.pattern}" if run.wishes.pattern else ""
    again = f"to see it again: .venv/bin/python -m tests.simulation --seed {run.seed}{asked}"
    return "\n".join([str(run), *(f"  {each}" for each in wrong), f"  {again}"])


def verdict(found: Sequence[Answer]) -> Verdict:
    """Return the verdict of a whole run."""
    return Verdict.worst(each.finding.verdict for each in found)
