"""The command with its conductor replaced: for the tests of what it says, without a run."""

from __future__ import annotations

import functools
import json
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import harness.conductor.standing  # noqa: F401 - known before its package is replaced, in which nothing would be found
from harness.core.clock import SystemClock
from harness.core.errors import HarnessError
from harness.core.values import App, Finding, NodeSpec, Phase, Verdict
from harness.history.events import History, PhaseBegan
from harness.history.recorder import Recorder
from harness.plan import Plan
from harness.runs.run import Run, save_verdict

if TYPE_CHECKING:
    from collections.abc import Callable


class Stopped(HarnessError):
    """The conductor's own word for a run that was asked to stop."""


@dataclass
class Conductor:
    """A module that stands in for `harness.conductor`: each run comes out as the next of `outcomes`."""

    outcomes: list[Verdict | BaseException | Callable[[Any], Verdict]]
    given: list[Any] = field(default_factory=list)

    def module(self) -> types.ModuleType:
        """Return it as a module."""
        made = types.ModuleType("harness.conductor")
        made.__dict__.update(Options=functools.partial(types.SimpleNamespace, busy=False), Stopped=Stopped, conduct=self.conduct)
        return made

    def conduct(self, plan: Plan, options: Any) -> Run:
        """Do a run that comes out as told, its history written as a real one's is."""
        self.given.append(options)
        folder = options.results / f"run-{len(self.given)}"
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(
            json.dumps({"scenario": plan.scenario, "mode": plan.mode, "provider": "nspawn", "seed": plan.seed})
        )
        (folder / "environment.json").write_text(json.dumps({"started": "2026-11-24T09:00:00+00:00"}))
        with Recorder(folder / "history.jsonl", SystemClock()) as recorder:
            options.listen(recorder)
            recorder.record(PhaseBegan(Phase.FORMING))
            outcome = self.outcomes.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            verdict = outcome if isinstance(outcome, Verdict) else outcome(options)
            recorder.record(PhaseBegan(Phase.DONE))
        run = Run(folder.name, folder, plan, History.load(folder / "history.jsonl"), [Finding("conflicts", verdict, "as it was told")])
        save_verdict(run)
        return run


def a_plan(seed: int = 7) -> Plan:
    """Return a plan without steps."""
    return Plan(
        scenario="node-kill",
        why="",
        file="scenarios/node-kill.yaml",
        mode="fleet",
        provider="nspawn",
        seed=seed,
        profile="default",
        timers={},
        nodes=(NodeSpec("n1", "10.77.0.11"),),
        apps=(App("web", 1),),
        workloads=(),
        steps=(),
        settle=1.0,
        checks=(),
        promises=(),
        control=None,
    )


def conducted(monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> Conductor:
    """Put a conductor in place whose runs come out so, and plan every file without reading it."""
    conductor = Conductor(list(outcomes))
    monkeypatch.setitem(sys.modules, "harness.conductor", conductor.module())
    monkeypatch.setattr("harness.plan.plan_of", lambda path, *, seed, **_: a_plan(seed))
    return conductor


def judging(monkeypatch: pytest.MonkeyPatch, verdict: Verdict) -> None:
    """Put a judge in place that says so of every folder."""
    made = types.ModuleType("harness.runs.judge")

    def load(folder: Path) -> Run:
        found = [Finding("quorum", verdict, "judged anew"), Finding("single", Verdict.HELD, "of web"), Finding("single", verdict, "of db")]
        return Run(folder.name, folder, a_plan(), History([]), found)

    made.__dict__.update(load=load, judge_folder=load)
    monkeypatch.setitem(sys.modules, "harness.runs.judge", made)
