"""The pytest plugin, from outside: scenario files in, pytest's own words out. The conductor is a double; the files and plans are real."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import re
import shlex
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import harness.conductor
import harness.core.parameters
import harness.pytest_plugin
import harness.registry
import harness.reports.verdict_table  # the tester forgets what its runs import: what is here already is not read again each time
import harness.scenario
from harness import registry
from harness.conductor import Options, spelling
from harness.core.errors import FaultFailed, Problem, Unsupported
from harness.core.values import Finding, Json, Verdict
from harness.history.events import Note
from harness.host import turns
from harness.plan import Plan
from harness.pytest_plugin import _told, _without
from harness.registry.entries import PlugIns
from harness.runs.run import Run
from harness.steps.targeting import Around
from harness.testing.histories import node_kill
from tests.unit.commanding import a_plan

SCENARIO = """\
scenario: {name}
why: to see what the plugin makes of it
apps:
  - name: web
    instances: 2
steps:
  - fault: node.kill
    on: any
    hold: 1s
promises:
  - conflicts
"""

CONTROL = """\
control:
  verdict: broken
  because: conflicts
  match: two instances
"""

WORKER = """
from types import SimpleNamespace

import harness.conductor
from harness.runs.run import Run
from harness.testing.histories import node_kill
from harness.core.values import Finding, Verdict

def conduct(plan, options):
    with open("seeds", "a", encoding="utf-8") as file:
        file.write(f"{plan.seed}\\n")
    options.listen(SimpleNamespace(path=options.results / f"run-of-{plan.scenario}" / "history.jsonl"))
    return Run("the-run", options.results, plan, node_kill().history(), [Finding("conflicts", Verdict.HELD, "so")])

harness.conductor.conduct = conduct
"""

OVERLOADED: dict[str, Json] = {"troubles": ["this machine was overloaded for 90 s"], "too much to do": True}
STALLED: dict[str, Json] = {"troubles": ["n1 stood still for 0.3 s at 20.0 s"], "too much to do": False}
FINDINGS = {
    "held": (Finding("conflicts", Verdict.HELD, "never two on one node"),),
    "broken": (Finding("conflicts", Verdict.BROKEN, "two instances on n1 for 3 s"), Finding("writes", Verdict.HELD, "all there")),
    "unknown": (Finding("assumptions", Verdict.UNKNOWN, "node.kill never was in force"),),
    "stalled": (Finding("assumptions", Verdict.UNKNOWN, "node.kill never was in force", details=STALLED),),
    "silent": (),
    "overloaded": (
        Finding("assumptions", Verdict.HELD, "3 nodes steady", details=OVERLOADED),
        Finding("availability", Verdict.UNKNOWN, "too busy to blame the cluster"),
    ),
    "acquitted": (
        Finding("assumptions", Verdict.HELD, "3 nodes steady", details=OVERLOADED),
        Finding("availability", Verdict.UNKNOWN, "too busy to blame the cluster"),
        Finding("conflicts", Verdict.HELD, "never two on one node"),
    ),
    "late": (
        Finding("assumptions", Verdict.HELD, "3 nodes steady", details=OVERLOADED),
        Finding("conflicts", Verdict.BROKEN, "two instances on n1"),
    ),
}
"""What is found in a run, by the first word of its scenario's name."""
TROUBLE = {
    "cannot": Unsupported("disk.slow cannot be made on n1: no FUSE here; it needs /dev/fuse"),
    "failing": FaultFailed("node.kill on n2 could not be healed in 3 tries"),
    "full": OSError(errno.ENOSPC, "No space left on device", "a/b"),
    "crashing": ZeroDivisionError("a bug"),
    "interrupted": KeyboardInterrupt(),
    "timed": pytest.fail.Exception("Timeout (>8.0s) from somebody's plug-in.\nwith a second line"),
    "exiting": pytest.exit.Exception("somebody ends it all", returncode=7),
    "skipping": pytest.skip.Exception("somebody skips it"),
}
RECOVERY: dict[str, Json] = {
    "web@2": {"fault": 1, "from": "n2", "to": "n3", "noticed": 27.95, "placed": 28.95, "running": 30.15, "serving": None}
}


@dataclass
class Conductor:
    """A conductor that does what a scenario's name says, and keeps what it was called with."""

    conducted: list[tuple[Plan, Options]] = field(default_factory=list)
    lending: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    def conduct(self, plan: Plan, options: Options) -> Run:
        """Stand in for `harness.conductor.conduct`."""
        self.conducted.append((plan, options))
        kind = plan.scenario.split("-")[0]
        if options.listen is not None and kind != "cannot":
            options.listen(SimpleNamespace(path=options.results / "begun-run" / "history.jsonl"))  # type: ignore[arg-type]  # all that is asked of it
        if kind in TROUBLE:
            raise TROUBLE[kind]
        if kind == "overloaded" and sum(each.scenario == plan.scenario for each, _ in self.conducted) > 1:
            if "cannot" in plan.scenario:
                raise TROUBLE["cannot"]
            kind = "held" if "once" in plan.scenario else kind
        return Run("the-run", options.results / "the-run", plan, node_kill().history(), FINDINGS[kind], RECOVERY)

    def note(self, event: Any) -> None:
        """Keep what is recorded of a test's run: its phases, and what ended it."""
        (self.noted if isinstance(event, Note) else self.lending).append(str(event.text if isinstance(event, Note) else event.phase))

    @contextlib.contextmanager
    def lent(self, plan: Plan, options: Options) -> Iterator[SimpleNamespace]:
        """Stand in for `harness.conductor.lent`."""
        if plan.scenario.startswith("test-cannot"):
            raise Unsupported("no nspawn on this machine")
        self.lending.append("lent")
        promised: list[Any] = []
        apps = [app.name for app in plan.apps]

        def promise(*each: Any) -> None:
            spelling.must_be_promises(each, apps)
            promised.extend(each)

        notes = SimpleNamespace(record=self.note)
        if options.listen is not None:
            options.listen(SimpleNamespace(path=options.results / "begun-run" / "history.jsonl"))  # type: ignore[arg-type]  # all that is asked of it
        try:
            yield SimpleNamespace(
                broke_something=False,
                plan=plan,
                folder=options.results / "begun-run",
                options=options,
                recorder=notes,
                promised=promised,
                promise=promise,
                break_=lambda fault, whom, hold: spelling.must_be_break(
                    fault, whom, hold, Around([each.name for each in plan.nodes], plan.apps)
                ),
                begin=lambda: self.lending.append("begun"),
                end=lambda: self.lending.append("ended"),
            )
        finally:
            self.lending.append("given back")

    def judged(self, session: SimpleNamespace) -> Run:
        """Stand in for `harness.conductor.judged`: a test's name says what comes of it."""
        self.lending.append("judged")
        kind = session.plan.scenario.split("-")[1]
        if kind in TROUBLE:
            raise TROUBLE[kind]
        return Run("the-run", Path("results/the-run"), session.plan, node_kill().history(), FINDINGS.get(kind, FINDINGS["held"]), RECOVERY)


class Bench:
    """A folder with scenarios, pytest to be run in it, and the conductor's double."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> None:
        self.pytester = pytester
        self.conductor = Conductor()
        self._plugin = [] if installed else ["-p", "harness.pytest_plugin"]
        monkeypatch.setattr(harness.conductor, "conduct", self.conductor.conduct)
        monkeypatch.setattr(harness.conductor, "lent", self.conductor.lent)
        monkeypatch.setattr(harness.conductor, "judged", self.conductor.judged)
        monkeypatch.setenv("COLUMNS", "200")  # paths of test folders are long, and a report folds what is wider
        monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
        monkeypatch.delenv("WHALEFALL_RESULTS", raising=False)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        pytester.makeini("[pytest]\n")
        (pytester.path / "scenarios").mkdir()

    def scenario(self, name: str, folder: str = "scenarios", more: str = "") -> Path:
        """Write a scenario file."""
        path = self.pytester.path / folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCENARIO.format(name=name) + more, encoding="utf-8")
        return path

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest in this process, with the double."""
        return self.pytester.runpytest_inprocess(*self._options, *args, no_reraise_ctrlc=True)

    def run_apart(self, *args: str) -> pytest.RunResult:
        """Run pytest in a process of its own, without the double."""
        return self.pytester.runpytest_subprocess(*self._options, *args)

    @property
    def _options(self) -> list[str]:
        # hypothesis would be read anew for its summary in each run
        return [*self._plugin, "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:hypothesispytest"]


@pytest.fixture
def bench(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Bench:
    """Return an empty bench."""
    return Bench(pytester, monkeypatch, installed=pytestconfig.pluginmanager.has_plugin("whalefall"))


def test_each_verdict_has_its_own_words(bench: Bench) -> None:
    """Held passes; broken and unknown fail with a report; what cannot be done is skipped; a harness that failed is an error without traceback."""
    for name in ("held", "broken", "unknown", "silent", "cannot", "failing"):
        bench.scenario(name)
    result = bench.run("scenarios", "--wf-seed", "7", "-rs")
    result.assert_outcomes(passed=1, failed=3, skipped=1, errors=1)
    result.stdout.fnmatch_lines(["whalefall: --wf-seed 7"])
    result.stdout.fnmatch_lines_random(
        [
            "BROKEN conflicts: two instances on n1 for 3 s",
            "UNKNOWN assumptions: node.kill never was in force",
            "UNKNOWN no checker gave a finding",
            "whalefall failed: node.kill on n2 could not be healed in 3 tries",
            "kept in */results/begun-run",
            "evidence: whalefall show */results/begun-run",
            "SKIPPED * disk.slow cannot be made on n1: no FUSE here; it needs /dev/fuse",
            " writes *held *all there",
            "*web@2*30.1*",
            "kept in */results/the-run",
            "again: pytest scenarios/broken.yaml --wf-mode fleet --wf-provider nspawn --wf-profile default --wf-seed 7",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "harness/conductor" not in result.stdout.str()
    assert "pytest_plugin.py:" not in result.stdout.str().replace("SKIPPED", "")


def test_a_bug_of_the_harness_keeps_its_traceback(bench: Bench) -> None:
    """What nobody foresaw is not dressed up as a message."""
    bench.scenario("crashing")
    result = bench.run("scenarios")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ZeroDivisionError: a bug"])


def test_a_control_passes_when_it_is_convicted_for_the_right_reason(bench: Bench) -> None:
    """And fails when it is not convicted, or for another reason."""
    bench.scenario("broken-rightly", "scenarios/controls", CONTROL)
    bench.scenario("held-wrongly", "scenarios/controls", CONTROL)
    bench.scenario("broken-otherwise", "scenarios/controls", CONTROL.replace("two instances", "three instances"))
    result = bench.run("scenarios", "-m", "control")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines_random(
        ["HELD control NOT convicted: *it came out held", "BROKEN control NOT convicted for the right reason: *two instances on n1*"]
    )


def test_a_scenario_that_is_not_for_the_mode_is_a_skip_in_its_own_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be chosen as any other, and nothing of it is run."""
    real = harness.registry.known()
    others = {**real.modes, "bare": real.modes["fleet"]}
    among = harness.registry.Known(real.faults, real.workloads, real.checkers, others, real.providers)
    monkeypatch.setattr(harness.registry, "known", lambda: among)
    bench.scenario("held-one", more="but:\n  bare: {because: nothing moves there, skip: true}\n")
    bench.scenario("held-two")
    bench.run("-rs", "-k", "one", "--wf-mode", "fleet").assert_outcomes(passed=1, deselected=1)
    found = bench.run("-rs", "-m", "scenario", "--wf-mode", "bare")
    found.assert_outcomes(passed=1, skipped=1)
    found.stdout.fnmatch_lines(["SKIPPED*held-one.yaml*not for bare: nothing moves there"])


def test_with_several_modes_each_scenario_is_run_once_in_each(bench: Bench) -> None:
    """With the mode in its name, so that it can be chosen; a file that is not for one of them is left out of that one alone."""
    bench.scenario("held-one")
    bench.scenario("held-two", more="but:\n  swarm: {because: nothing moves there, skip: true}\n")
    found = bench.run("-v", "-rs", "--wf-mode", "swarm, fleet,swarm")
    found.assert_outcomes(passed=3, skipped=1)
    found.stdout.fnmatch_lines_random(["*held-one.yaml::held-one[[]swarm] PASSED*", "*held-two.yaml::held-two[[]swarm] SKIPPED*"])
    assert sorted((plan.scenario, plan.mode) for plan, _ in bench.conductor.conducted) == [
        ("held-one", "fleet"),
        ("held-one", "swarm"),
        ("held-two", "fleet"),
    ]
    bench.run("scenarios/held-one.yaml::held-one[swarm]", "--wf-mode", "fleet,swarm").assert_outcomes(passed=1)


def test_with_several_modes_a_test_is_lent_a_cluster_of_each(bench: Bench) -> None:
    """Only where the cluster is ours: what somebody else calls so is run once."""
    bench.pytester.makepyfile(
        test_ours="def test_held(cluster): pass",
        test_theirs="import pytest\n@pytest.fixture\ndef cluster(): return 'theirs'\ndef test_own(cluster): assert cluster == 'theirs'",
    )
    found = bench.run("-v", "--wf-mode", "fleet,swarm")
    found.assert_outcomes(passed=3)
    found.stdout.fnmatch_lines_random(["*::test_held[[]fleet] PASSED*", "*::test_held[[]swarm] PASSED*", "*::test_own PASSED*"])
    found.stdout.fnmatch_lines_random(["whalefall: test-held: run *"])


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("test_e[fleet]", "test_e"),
        ("test_e[fleet-a-b]", "test_e[a-b]"),
        ("test_e[a-b-fleet]", "test_e[a-b]"),
        ("test_e[a-fleet-b]", "test_e[a-b]"),
        ("test_e[afleet-fleets]", "test_e[afleet-fleets]"),
        ("test_fleet", "test_fleet"),
    ],
)
def test_a_test_is_the_same_scenario_in_each_mode(name: str, left: str) -> None:
    """Its run says the mode by itself: lists, and what compares nights, find it by one name."""
    assert _without(name, "fleet") == left
    assert _without(name, "") == name


def test_a_test_that_cannot_be_run_in_each_of_several_modes_says_so(bench: Bench) -> None:
    """One that asks for its cluster in the middle, or of a class of unittest's, is one item: it would be green for modes that were never tried."""
    bench.pytester.makepyfile(
        test_asks="def test_held(request): request.getfixturevalue('cluster')",
        test_class="""
            import pytest, unittest

            class TestHeld(unittest.TestCase):
                @pytest.fixture(autouse=True)
                def lent(self, cluster):
                    self.cluster = cluster

                def test_held(self):
                    assert self.cluster
            """,
    )
    found = bench.run("--wf-mode", "fleet,swarm")
    found.stdout.fnmatch_lines(["*asked for in a way that cannot be run in each of fleet, swarm; expected a test function*"])
    assert {"passed"}.isdisjoint(found.parseoutcomes())
    bench.run("--wf-mode", "fleet").assert_outcomes(passed=2)


@pytest.mark.parametrize("given", [",", " , ", "-"])
def test_a_list_of_no_mode_is_bad_usage(bench: Bench, given: str) -> None:
    """As variables that are not set leave it; so is what is no mode."""
    bench.scenario("held")
    result = bench.run("--wf-mode", given, "scenarios")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "argument --wf-mode: " in "\n".join([*result.outlines, *result.errlines])


def test_only_scenario_files_are_collected(bench: Bench) -> None:
    """YAML files below a folder named scenarios, and those named on the command line; no other."""
    bench.scenario("held-one")
    bench.scenario("held-two", "scenarios/deep/down")
    elsewhere = bench.scenario("held-three", "elsewhere")
    (bench.pytester.path / "compose.yaml").write_text("services: {}\n", encoding="utf-8")
    bench.run().assert_outcomes(passed=2)
    bench.run(str(elsewhere)).assert_outcomes(passed=1)


def test_a_scenario_that_a_link_leads_to_is_collected_only_by_its_name(bench: Bench) -> None:
    """In a folder of somebody else's it may lead to what only the user may read."""
    elsewhere = bench.scenario("held-three", "elsewhere")
    folder = bench.pytester.path / "scenarios"
    folder.mkdir(exist_ok=True)
    (folder / "link.yaml").symlink_to(elsewhere)
    result = bench.run()
    result.assert_outcomes(errors=1)
    assert "scenarios/link.yaml: a link that leads elsewhere; expected a scenario file" in "\n".join(result.outlines)
    bench.run("scenarios/link.yaml").assert_outcomes(passed=1)


def test_scenarios_can_be_chosen_as_any_test(bench: Bench) -> None:
    """By -k, by -m and by node id; -x stops after the first failure."""
    for name in ("held-one", "held-two", "broken-one", "broken-two"):
        bench.scenario(name)
    bench.scenario("broken-rightly", more=CONTROL)
    bench.run("scenarios", "-k", "held-one").assert_outcomes(passed=1, deselected=4)
    bench.run("scenarios", "-m", "control").assert_outcomes(passed=1, deselected=4)
    bench.run("scenarios/held-two.yaml::held-two").assert_outcomes(passed=1)
    bench.run("scenarios", "-x", "-k", "one or two").assert_outcomes(failed=1, deselected=1)


def test_a_bad_file_is_a_collection_error_that_lists_every_problem(bench: Bench) -> None:
    """With the place in the file, without a traceback; no scenario is run."""
    bench.scenario("held")
    bad = bench.scenario("bad", more="promisse: []\nsettle: soon\n")
    result = bench.run("scenarios")
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [f"{bad.relative_to(bench.pytester.path)}:12:1: *promisse*", f"{bad.relative_to(bench.pytester.path)}:13:*soon*"]
    )
    assert "Traceback" not in result.stdout.str()
    assert bench.conductor.conducted == []


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--wf-mode", "feet", "argument --wf-mode: 'feet'; expected one of: *fleet*"),
        ("--wf-mode", "fleet,swrm", "argument --wf-mode: 'swrm'; expected one of: *fleet*"),
        ("--wf-provider", "vagrnt", "argument --wf-provider: 'vagrnt'; expected one of: *nspawn*"),
        ("--wf-profile", "slow", "argument --wf-profile: 'slow'; expected one of: default, fast"),
        ("--wf-seed", "seven", "argument --wf-seed: 'seven'; expected a whole number from 0"),
        ("--wf-seed", "-1", "argument --wf-seed: '-1'; expected a whole number from 0"),
    ],
)
def test_a_bad_option_is_one_usage_error_however_many_files_there_are(bench: Bench, option: str, value: str, words: str) -> None:
    """With the option's name and what it takes, before anything is collected: no file is at fault."""
    for name in ("held-one", "held-two"):
        bench.scenario(name)
    result = bench.run("scenarios", f"{option}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if option in line and "expected" in line]
    assert fnmatch.fnmatch(line, f"*{words}"), line
    assert "collected" not in result.stdout.str()
    assert "Traceback" not in result.stderr.str()


def test_options_reach_the_conductor(bench: Bench) -> None:
    """Seed, profile, results folder and whether the cluster is kept."""
    bench.scenario("held")
    kept = bench.pytester.path / "kept"
    bench.run(
        "scenarios", "--wf-seed=3", "--wf-profile=fast", "--wf-mode=fleet", f"--wf-results={kept}", "--wf-keep-cluster"
    ).assert_outcomes(passed=1)
    bench.run("scenarios").assert_outcomes(passed=1)
    (plan, options), (_, usual) = bench.conductor.conducted
    assert (plan.seed, plan.profile, plan.mode, plan.provider) == (3, "fast", "fleet", "nspawn")
    assert (options.results, options.keep) == (kept, True)
    assert (usual.results, usual.keep) == (bench.pytester.path / "results", False)


@pytest.mark.parametrize("python", [False, True])
def test_a_run_that_goes_on_says_which_it_is_and_where_it_is_written(bench: Bench, *, python: bool) -> None:
    """Its verdict is minutes away: what is said must not wait for it in pytest's capture."""
    if python:
        bench.pytester.makepyfile(IN_PYTHON.format(kind="held", does="pass"))
    else:
        bench.scenario("held-it")
    name = "test-held" if python else "held-it"
    log = "results/begun-run/history.jsonl"
    result = bench.run()
    (said,) = [line for line in result.outlines if line.startswith("whalefall: ") and "run begun-run" in line]
    assert said.startswith(f"whalefall: {name}: run begun-run; ")
    assert said.endswith(f"; log {log}")
    assert ("at most once the cluster stands" in said) is not python  # how long a test's own code takes nobody knows
    assert not [line for line in bench.run("-q").outlines if "begun-run" in line]


def test_only_what_could_not_be_said_on_a_busy_machine_is_run_again(bench: Bench) -> None:
    """As often as was asked for, with the same plan, and each run is told; what was broken, or unknown for another reason, never is."""
    for name in ("overloaded-once", "overloaded-always", "late", "unknown", "stalled", "held"):
        bench.scenario(name)
    junit = bench.pytester.path / "report.xml"
    result = bench.run("--wf-again", "2", "--junitxml", str(junit))
    result.assert_outcomes(passed=2, failed=4)
    plans = [plan for plan, _ in bench.conductor.conducted]
    counts = {name: [plan.scenario for plan in plans].count(name) for name in {plan.scenario for plan in plans}}
    assert counts == {"overloaded-once": 2, "overloaded-always": 3, "late": 1, "unknown": 1, "stalled": 1, "held": 1}
    assert len({plan.seed for plan in plans}) == 1
    result.stdout.fnmatch_lines(["whalefall: overloaded-once: UNKNOWN availability: too busy *; once more (kept in results/the-run)"])
    suites = [suite for suite in ET.parse(junit).iter("testsuite") if suite.get("name") in counts]  # noqa: S314 - pytest's own file
    before = {suite.get("name"): len(suite.findall("properties/property[@name='could not tell']")) for suite in suites}
    assert before == {"overloaded-once": 1, "overloaded-always": 2, "late": 0, "unknown": 0, "stalled": 0, "held": 0}
    bench.conductor.conducted.clear()
    bench.run("scenarios/overloaded-once.yaml").assert_outcomes(failed=1)
    assert len(bench.conductor.conducted) == 1


def test_what_is_run_again_has_the_machine_to_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other scenario of the same results is run beside it; without --wf-again nothing is locked."""
    bench.scenario("overloaded-once")
    taken: list[str] = []

    @contextlib.contextmanager
    def noted(kind: str, folder: Path) -> Iterator[None]:
        taken.append(f"{kind} {folder.name}: {len(bench.conductor.conducted)}")
        yield

    for kind in ("beside", "by_itself"):
        monkeypatch.setattr(turns, kind, lambda folder, _, kind=kind: noted(kind, folder))
    bench.run().assert_outcomes(failed=1)
    assert taken == []
    bench.conductor.conducted.clear()
    bench.run("--wf-again", "1").assert_outcomes(passed=1)
    assert taken == ["beside results: 0", "by_itself results: 1"]


def test_no_run_that_is_done_again_hides_what_was_said_before(bench: Bench) -> None:
    """A control that was acquitted is not tried until it is convicted, and what cannot be done once more is no skip."""
    bench.scenario("acquitted", more=CONTROL)
    bench.scenario("overloaded-control", more=CONTROL)
    bench.scenario("overloaded-cannot")
    result = bench.run("--wf-again", "1")
    result.assert_outcomes(failed=3)
    plans = [plan.scenario for plan, _ in bench.conductor.conducted]
    assert {name: plans.count(name) for name in plans} == {"acquitted": 1, "overloaded-control": 2, "overloaded-cannot": 2}
    result.stdout.fnmatch_lines(["whalefall: overloaded-cannot: not once more: disk.slow cannot be made on n1: *"])
    result.stdout.fnmatch_lines(["*UNKNOWN availability: too busy *"])


@pytest.mark.parametrize("option", ["--setup-plan", "--setup-only"])
def test_nothing_is_broken_where_pytest_only_plans(bench: Bench, option: str) -> None:
    """Its own help says that tests are not executed, and a scenario is one."""
    bench.scenario("held-it")
    bench.run(option)
    assert bench.conductor.conducted == []


def test_junit_keeps_what_a_run_found(bench: Bench) -> None:
    """Verdict, recovery times, seed and run id as properties; a promise that was broken is a failure, a harness that failed an error."""
    for name in ("held", "broken", "failing"):
        bench.scenario(name)
    bench.run("scenarios", "--wf-seed", "7", "--junitxml", "junit.xml")
    suites = {suite.get("name"): suite for suite in ET.parse(bench.pytester.path / "junit.xml").iter("testsuite")}  # noqa: S314 - pytest's own file
    kept = {each.get("name"): each.get("value") for each in suites["held"].iterfind("properties/property")}
    assert kept == {
        "scenario": "held",
        "mode": "fleet",
        "provider": "nspawn",
        "seed": "7",
        "verdict": "held",
        "run": "the-run",
        "recovery.web@2.noticed": "27.95",
        "recovery.web@2.placed": "28.95",
        "recovery.web@2.running": "30.15",
    }
    assert {name: suite.get("file") for name, suite in suites.items()} == {
        name: f"scenarios/{name}.yaml" for name in ("held", "broken", "failing")
    }
    assert [child.tag for case in suites["broken"].iter("testcase") for child in case] == ["failure"]
    assert [child.tag for case in suites["failing"].iter("testcase") for child in case] == ["error"]
    counted = {name: tuple(suite.get(each) for each in ("tests", "failures", "errors", "skipped")) for name, suite in suites.items()}
    assert counted == {"held": ("1", "0", "0", "0"), "broken": ("1", "1", "0", "0"), "failing": ("1", "0", "1", "0")}


OUTCOME = {"failure", "error", "skipped", "system-out", "system-err"}
CHILDREN: dict[str, set[str]] = {
    "testsuites": {"testsuite"},
    "testsuite": {"testsuite", "properties", "testcase", "system-out", "system-err"},
    "properties": {"property"},
    "testcase": OUTCOME | {"rerunFailure", "rerunError", "flakyFailure", "flakyError"},
    **{name: set() for name in ("property", *OUTCOME)},
}
ATTRIBUTES: dict[str, set[str]] = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {
        *[
            "name",
            "tests",
            "failures",
            "errors",
            "group",
            "time",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
            "file",
            "log",
            "url",
            "version",
        ]
    },
    "testcase": {"name", "time", "classname", "group"},
    "property": {"name", "value"},
    **{name: {"type", "message"} for name in ("failure", "error", "skipped")},
}
REQUIRED: dict[str, set[str]] = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}, "property": {"name", "value"}}
"""What the schema junit-10.xsd of Jenkins' xUnit plugin allows and asks for, as tables."""


def wrongs(element: ET.Element) -> Iterator[str]:
    """Yield what is wrong with a JUnit file by that schema."""
    tag = element.tag
    yield from (f"{child.tag} in {tag}" for child in element if child.tag not in CHILDREN.get(tag, set()))
    yield from (f"{tag}: {name}" for name in set(element.keys()) - ATTRIBUTES.get(tag, set()))
    yield from (f"{tag} without {name}" for name in REQUIRED.get(tag, set()) - set(element.keys()))
    if tag in {"testsuite", "testsuites"} and not re.fullmatch(r"[0-9]*(\.[0-9]*)?", element.get("time", "")):
        yield f"{tag}: time {element.get('time')}"
    for child in element:
        yield from wrongs(child)


_OTHER = "def test_other(record_testsuite_property):\n    record_testsuite_property('theirs', '1')\n"


def test_junit_is_valid_by_jenkins_schema(bench: Bench) -> None:
    """All outcomes beside a test of somebody else's: nothing stands where the schema has no place for it, and nobody else's test is moved."""
    for name in ("held-one", "held-two", "broken", "unknown", "cannot", "failing"):
        bench.scenario(name)
    bench.pytester.makepyfile(test_other=_OTHER)
    bench.run("--junitxml", "junit.xml")
    assert valid(bench.pytester.path / "junit.xml", "held-one", "held-two") == (7, {"theirs"})


def valid(junit: Path, *names: str) -> tuple[int, set[str | None]]:
    """Hold a report against the schema, and return how many tests it has, and what is told beside somebody else's."""
    root = ET.parse(junit).getroot()  # noqa: S314 - pytest's own file
    assert list(wrongs(root)) == []
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert [case.get("name") for case in suites["pytest"].iter("testcase")] == ["test_other"]
    assert (suites["pytest"].get("tests"), suites["pytest"].get("failures")) == ("1", "0")
    assert all(suites[name].find("properties") is not None for name in names)
    theirs = {each.get("name") for each in suites["pytest"].iterfind("properties/property")}
    return sum(len(suite.findall("testcase")) for suite in root.iter("testsuite")), theirs


def test_workers_share_one_seed_say_which_runs_go_on_and_write_one_report(bench: Bench) -> None:
    """With pytest-xdist, a random seed is drawn once and printed once. A worker has no reporter of its own, and what it says must come through."""
    pytest.importorskip("xdist")
    names = ("held-one", "held-two", "held-three", "held-four")
    for name in names:
        bench.scenario(name)
    bench.pytester.makeconftest(WORKER)
    bench.pytester.makepyfile(test_other=_OTHER)
    result = bench.run_apart("-n", "2", "--junitxml", "junit.xml")
    result.assert_outcomes(passed=5)
    (said,) = [line.rpartition(" ")[2] for line in result.outlines if line.startswith("whalefall: --wf-seed ")]
    assert (bench.pytester.path / "seeds").read_text(encoding="utf-8") == f"{said}\n" * 4
    lines = [line for line in result.errlines if line.startswith("whalefall: ")]
    assert sorted(line.split(";")[0] for line in lines) == sorted(f"whalefall: {name}: run run-of-{name}" for name in names)
    assert valid(bench.pytester.path / "junit.xml", *names) == (5, set())  # what is told beside a test pytest-xdist does not hand over


IN_PYTHON = """
import pytest
from harness.core.values import App
from harness.checkers.rescheduled import Rescheduled

@pytest.mark.whalefall(apps=[App("web", 2)])
def test_{kind}(cluster):
    {does}
"""


@pytest.mark.parametrize(
    ("kind", "does", "came_out"),
    [
        ("held", "cluster.promise(Rescheduled('web'))", None),
        ("broken", "cluster.promise(Rescheduled('web'))", "failure"),
        ("unknown", "cluster.promise(Rescheduled('web'))", "failure"),
        ("failing", "cluster.promise(Rescheduled('web'))", "failure"),
        ("broken", "pass", None),
        ("held", "assert cluster is None", "failure"),
        ("failing", "assert cluster is None", "failure"),
        ("held", "pytest.skip('not today')", "skipped"),
        ("cannot", "pass", "skipped"),
    ],
)
def test_junit_of_tests_that_use_cluster_is_valid_by_jenkins_schema(bench: Bench, kind: str, does: str, came_out: str | None) -> None:
    """However it ends, such a test is a run of ours: a suite of its own, with what was found and the file that it came from."""
    bench.pytester.makepyfile(test_ours=IN_PYTHON.format(kind=kind, does=does), test_other="def test_other():\n    pass\n")
    bench.run("--wf-seed", "7", "--junitxml", "junit.xml")
    root = ET.parse(bench.pytester.path / "junit.xml").getroot()  # noqa: S314 - pytest's own file
    assert list(wrongs(root)) == []
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert [case.get("name") for case in suites["pytest"].iter("testcase")] == ["test_other"]
    ours = suites[f"test_{kind}"]
    assert ours.get("file") == "test_ours.py"
    assert ("seed", "7") in {(each.get("name"), each.get("value")) for each in ours.iterfind("properties/property")}
    (case,) = ours.iter("testcase")
    assert (came_out is None) == (case.find("failure") is None and case.find("skipped") is None)
    assert came_out is None or case.find(came_out) is not None


@pytest.mark.parametrize("does", ["cluster.promise(Rescheduled('web'))", "assert cluster is None"], ids=["promise", "assertion"])
def test_what_does_a_test_again_can_be_pasted_where_pytest_was_started(bench: Bench, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Below pytest's root, too, and for a test that failed by its own assertion: pytest takes the very command and finds that one test."""
    bench.pytester.mkdir("deep")
    bench.pytester.path.joinpath("deep/test_ours.py").write_text(IN_PYTHON.format(kind="broken", does=does), encoding="utf-8")
    monkeypatch.chdir(bench.pytester.path / "deep")
    found = bench.run("--wf-seed", "7", "--rootdir", str(bench.pytester.path))
    found.assert_outcomes(failed=1)
    (again,) = [line for line in found.outlines if line.startswith("again: ")]
    command = shlex.split(again.removeprefix("again: "))
    assert command[:2] == ["pytest", "test_ours.py::test_broken"]
    bench.run(*command[1:]).assert_outcomes(failed=1)


@pytest.mark.parametrize("kind", ["broken", "unknown"])
@pytest.mark.parametrize("python", [False, True], ids=["file", "python"])
@pytest.mark.parametrize("ci", [False, True], ids=["desk", "ci"])  # in CI pytest's short summary does not cut what it repeats
def test_the_cause_is_said_first_and_once(bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str, *, python: bool, ci: bool) -> None:
    """On top of the failure, in one line however narrow the terminal; the short summary repeats it, and nothing else but the table does."""
    if python:
        bench.pytester.makepyfile(PROMISING.format(kind=kind))
    else:
        bench.scenario(kind)
    finding = FINDINGS[kind][0]
    cause = f"{kind.upper()} {finding.checker}: {finding.summary}"
    monkeypatch.delenv("BUILD_NUMBER", raising=False)
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("COLUMNS", "200")
    found = bench.run("-rf")
    lines = [line.strip() for line in found.outlines]
    first = lines.index(cause)
    assert lines[first - 1].startswith("___")
    assert [line for line in lines if line.startswith(kind.upper())] == [cause]
    (short,) = [line for line in lines if line.startswith("FAILED ")]
    assert short.endswith(f" - Failed: {cause}")
    assert len([line for line in lines if line.startswith("again: ")]) == 1
    monkeypatch.setenv("COLUMNS", "40")
    assert cause in [line.strip() for line in bench.run().outlines]


@pytest.mark.parametrize("columns", ["40", "80", "100"])
def test_places_and_commands_are_whole_in_a_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """However narrow the terminal: they are for pasting."""
    bench.scenario("broken")
    monkeypatch.setenv("COLUMNS", columns)
    folder = bench.pytester.path / "a-folder-of-results" / "that-has-a-long-name-as-those-of-build-machines-have"
    lines = bench.run("--wf-results", str(folder)).outlines
    assert f"run the-run, kept in {folder}/the-run" in lines or f"kept in {folder}/the-run" in lines
    assert f"evidence: whalefall show {folder}/the-run" in lines


def test_the_time_of_a_run_is_the_tests_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of a set-up, which nobody looks at: in JUnit with either way of counting, and among the slowest."""
    real = bench.conductor.conduct

    def slowly(plan: Plan, options: Options) -> Run:
        threading.Event().wait(0.3)
        return real(plan, options)

    monkeypatch.setattr(harness.conductor, "conduct", slowly)
    bench.scenario("held")
    for counting in ("total", "call"):
        found = bench.run("scenarios", "-o", f"junit_duration_report={counting}", "--junitxml", "junit.xml", "--durations=1", "-vv")
        (case,) = ET.parse(bench.pytester.path / "junit.xml").iter("testcase")  # noqa: S314 - pytest's own file
        assert float(case.get("time", "")) >= 0.3
        found.stdout.fnmatch_lines(["*s call *held*"])


def test_a_run_that_passes_says_how_long_recovery_took(bench: Bench) -> None:
    """With -v, of each instance that was lost; without it a dot."""
    bench.scenario("held")
    bench.run("scenarios", "-v").stdout.fnmatch_lines(["*held.yaml::held PASSED (web@2 ran again after 30.1 s)*"])
    assert "ran again" not in bench.run("scenarios").stdout.str()


def test_hostile_text_is_harmless_in_reports(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """From names of files, node ids, findings, errors, skips and problems; on the terminal as in JUnit, which stays XML."""
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b\u202e\u200b\u2028[/][red]\nHELD-forged"
    file = "\x1b]0;owned\x07\x9b\u202e\u200b\u2028\nHELD-forged.yaml"
    monkeypatch.setitem(FINDINGS, "broken", (Finding("conflicts", Verdict.BROKEN, hostile),))
    monkeypatch.setitem(TROUBLE, "failing", FaultFailed(hostile))
    monkeypatch.setitem(TROUBLE, "cannot", Unsupported(hostile))
    for name in ("broken", "failing", "cannot", "held"):
        path = bench.scenario(name)
        path.rename(path.with_name(f"{name}{file}"))
    for given in (["scenarios"], [f"scenarios/broken{file}"], [f"scenarios/broken{file}::broken"], ["--collect-only"]):
        found = bench.run(*given, "-v", "-rA", "--color=no", "--junitxml", "junit.xml")
        said = found.stdout.str() + found.stderr.str()
        assert "broken\\x1b]0;owned" in said or "<ScenarioFile" in said
        assert not set("\x1b\x07\x9b\u202e\u200b\u2028") & set(said)
        assert [line for line in said.splitlines() if line.startswith("HELD-forged")] == []
        ET.parse(bench.pytester.path / "junit.xml")  # noqa: S314 - pytest's own file
    bad = bench.scenario("bad", more="promisse: []\n")
    bad.rename(bad.with_name(f"bad{file}"))
    said = bench.run("scenarios", "--color=no").stdout.str()
    assert "promisse" in said
    assert not set("\x1b\x07\x9b\u202e\u200b\u2028") & set(said)
    assert [line for line in said.splitlines() if line.startswith("HELD-forged")] == []


def test_junit_names_a_file_outside_the_root(bench: Bench) -> None:
    """By its file: an empty class name says nothing."""
    outside = bench.scenario("held")
    root = bench.pytester.path / "root"
    root.mkdir()
    bench.run(str(outside), f"--rootdir={root}", "--junitxml", "junit.xml").assert_outcomes(passed=1)
    (case,) = ET.parse(bench.pytester.path / "junit.xml").iter("testcase")  # noqa: S314 - pytest's own file
    assert (case.get("classname"), case.get("name")) == ("held.yaml", "held")


def test_a_full_disk_is_an_error_in_one_line(bench: Bench) -> None:
    """It is the environment's: no traceback of ours explains it."""
    bench.scenario("full")
    result = bench.run("scenarios")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["whalefall failed: cannot write a/b: No space left on device; make room*", "kept in */results/begun-run"])
    assert "harness/conductor" not in result.stdout.str()


def test_ctrl_c_ends_pytest_and_is_no_verdict(bench: Bench) -> None:
    """The conductor heals on its way out; pytest ends as it does on any interrupt."""
    bench.scenario("interrupted")
    bench.scenario("held")
    result = bench.run("scenarios")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])


@pytest.mark.parametrize("python", [False, True], ids=["file", "python"])
@pytest.mark.parametrize(
    ("kind", "first", "outcome"),
    [
        ("timed", "Timeout (>8.0s) from somebody's plug-in.", {"errors": 1}),
        ("exiting", "somebody ends it all", {}),
        ("skipping", "somebody skips it", {"skipped": 1}),
    ],
)
def test_what_others_end_a_run_with_is_told_in_a_few_lines(
    bench: Bench, kind: str, first: str, outcome: dict[str, int], *, python: bool
) -> None:
    """Its words first, then which run it was, where it is kept, and what became of what it broke: no traceback of ours."""
    if python:
        bench.pytester.makepyfile(PROMISING.format(kind=kind))
        outcome = {"failed" if each == "errors" else each: count for each, count in outcome.items()}
        found = bench.run("-rs")
    else:
        bench.scenario(kind)
        found = bench.run("-rs", "scenarios")
    assert (found.ret == 7) is (kind == "exiting")
    found.assert_outcomes(**outcome)
    text = found.stdout.str() + found.stderr.str()
    folder = bench.pytester.path / "results" / "begun-run"
    said = "it ended run begun-run: what was broken is mended, and the cluster is gone"
    for each in (first, said, f"kept in {folder}", "evidence: whalefall show "):
        assert each in text
    assert "harness/" not in text
    assert "with a second line" not in text
    if kind == "timed":
        lines = [line.strip() for line in found.outlines]
        at = lines.index(first)
        assert lines[at + 1 : at + 3] == [said, f"kept in {folder}"]


def test_of_a_kept_cluster_whose_run_others_end_it_is_told_that_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how it is removed."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    for folder in ("run-1", "runs/run-1"):
        (tmp_path / folder).mkdir(parents=True)
    options, begun = Options(tmp_path, keep=True), SimpleNamespace(path=tmp_path / "run-1" / "history.jsonl")

    def ended() -> None:
        with _told(options, plan=a_plan()):
            cast("Any", options).listen(begun)
            pytest.fail("its time is over")

    with pytest.raises(pytest.fail.Exception, match="the cluster was kept; `whalefall sweep --kept`"):
        ended()


def test_a_cluster_is_lent_to_a_test_and_given_back(bench: Bench) -> None:
    """As its marker asks, with the command line first, also when the test fails."""
    bench.pytester.makepyfile(
        """
        import pytest
        from harness.core.values import App

        @pytest.mark.whalefall(nodes=5, apps=[App("web", 2)], timers={"agent_ttl": 5.0}, slow_disks=True)
        def test_lent(cluster):
            "A promise in Python."
            plan = cluster.plan
            assert [node.name for node in plan.nodes] == ["n1", "n2", "n3", "n4", "n5"]
            assert plan.nodes[4].address == "10.77.0.15" and plan.nodes[4].faultable_disk
            assert plan.apps == (App("web", 2),) and plan.timers["agent_ttl"] == 5.0
            assert (plan.scenario, plan.why, plan.mode, plan.seed) == ("test-lent", "A promise in Python.", "fleet", 7)

        def test_failing(cluster):
            assert len(cluster.plan.nodes) == 4

        def test_cannot(cluster):
            raise NotImplementedError

        @pytest.mark.whalefall(node=3)
        def test_misspelt(cluster):
            raise NotImplementedError

        @pytest.mark.whalefall(mode="feet")
        def test_unknown_mode(cluster):
            raise NotImplementedError
        """
    )
    result = bench.run("--wf-seed", "7", "--strict-markers")
    result.assert_outcomes(passed=1, failed=1, skipped=1, errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "*.py:*:1: @pytest.mark.whalefall: an unknown keyword 'node'; expected one of nodes, *",
            "*.py:*:1: mode of @pytest.mark.whalefall: 'feet'; expected one of *fleet*",
        ]
    )
    assert bench.conductor.lending == ["lent", "begun", "faults", "ended", "judged", "given back"] * 2


@pytest.mark.parametrize(
    "asked",
    ['promises=[Rescheduled("wbe")]', 'promises=[Rescheduled("web"), Availability("wbe", 0.5, 9.0)]', 'workloads=[Http("wbe")]'],
)
def test_a_misspelt_app_of_a_marker_is_told_before_a_cluster_is_formed(bench: Bench, asked: str) -> None:
    """Of a promise and of a workload, in a line, with the nearest name."""
    bench.pytester.makepyfile(
        f"""
        import pytest
        from harness.checkers.availability import Availability
        from harness.checkers.rescheduled import Rescheduled
        from harness.core.values import App
        from harness.workloads.http import Http

        @pytest.mark.whalefall(apps=[App("web", 2)], {asked})
        def test_misspelt(cluster):
            raise NotImplementedError
        """
    )
    result = bench.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*.py:7:1: the *: an unknown app 'wbe'; expected the name of an app; did you mean 'web'[?]"])
    assert "harness/" not in result.stdout.str()
    assert bench.conductor.lending == []


def test_what_is_wrong_with_a_marker_is_told_at_the_test_whatever_decorators_stand_around_it(bench: Bench) -> None:
    """And not at a line of whoever wrote the decorator; of one that hides the test, by the test's name."""
    bench.pytester.mkpydir("lib").joinpath("deco.py").write_text(
        """\
import functools


def shy(test):
    def inner(cluster):
        return test(cluster)
    return inner


def plain(test):
    return functools.wraps(test)(lambda cluster: test(cluster))
"""
    )
    bench.pytester.makepyfile(
        """
        import os
        import pytest
        from unittest import mock
        from lib.deco import plain, shy

        @plain
        @pytest.mark.whalefall(nodes="x")
        def test_wrapped(cluster):
            pass

        @pytest.mark.whalefall(nodes="x")
        @mock.patch("os.getcwd", os.getcwd)
        def test_patched(cluster):
            pass

        @pytest.mark.whalefall(nodes="x")
        @shy
        def test_hidden(cluster):
            pass
        """
    )
    result = bench.run()
    result.assert_outcomes(errors=3)
    name = "test_what_is_wrong_with_a_marker_is_told_at_the_test_whatever_decorators_stand_around_it.py"
    places = [line.partition(" the cluster: nodes 'x'")[0] for line in result.outlines if " the cluster: nodes 'x'" in line]
    assert places == [f"{name}:6:1:", f"{name}:11:1:", f"{name}::test_hidden:"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('cluster.break_(NodeKill(), "hosting(wbe) & any", Hold(5))', "hosting(wbe); expected the name of an app; did you mean 'web'[?]"),
        ('cluster.break_(NodeKill(), "m2", Hold(5))', "the target 'm2'; expected a node's name, n1 to n3, or one of the words *"),
        ('cluster.break_(NodeKill(), "hosting(web", Hold(5))', "*expected*"),
        ('cluster.promise(Rescheduled("wbe"))', "an unknown app 'wbe'; expected the name of an app; did you mean 'web'[?]"),
    ],
)
def test_a_misspelt_name_in_a_test_is_told_at_its_own_line(bench: Bench, call: str, said: str) -> None:
    """In a line, without a frame of ours."""
    bench.pytester.makepyfile(
        f"""
        import pytest
        from harness.checkers.rescheduled import Rescheduled
        from harness.core.values import App
        from harness.faults.power import NodeKill
        from harness.steps import Hold

        @pytest.mark.whalefall(apps=[App("web", 2)])
        def test_held(cluster):
            {call}
        """
    )
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f">*{call.replace('[', '[[]')}", f"E*: {said}"])
    assert "harness/" not in result.stdout.str()


PROMISING = """
import pytest
from harness.checkers.rescheduled import Rescheduled
from harness.core.values import App

@pytest.mark.whalefall(apps=[App("web", 2)])
def test_{kind}(cluster):
    cluster.promise(Rescheduled("web"))
"""


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("broken", ["BROKEN conflicts: two instances on n1 for 3 s"]),
        ("unknown", ["UNKNOWN assumptions: node.kill never was in force"]),
        ("failing", ["whalefall failed: node.kill on n2 could not be healed in 3 tries"]),
    ],
)
def test_a_test_that_promises_fails_as_a_scenario_file_does(bench: Bench, kind: str, said: list[str]) -> None:
    """Its run is judged when its own assertions have held: broken and unknown fail, with the same report and the command that does it again."""
    bench.pytester.makepyfile(PROMISING.format(kind=kind))
    result = bench.run("--wf-seed", "7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(said)
    if kind != "failing":
        result.stdout.fnmatch_lines(["*what it found*", "again: pytest *::test_*--wf-seed 7"])
    assert bench.conductor.lending == ["lent", "begun", "faults", "ended", "judged", "given back"]


def test_a_test_that_promises_and_keeps_it_passes(bench: Bench) -> None:
    """Held is a pass, and its verdict and recovery are kept for JUnit."""
    bench.pytester.makepyfile(PROMISING.format(kind="held"))
    result = bench.run("--junitxml", "report.xml")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*told, not judged*")
    kept = {each.get("name"): each.get("value") for each in ET.parse(bench.pytester.path / "report.xml").iter("property")}  # noqa: S314 - ours
    assert (kept["verdict"], kept["run"]) == ("held", "the-run")


@pytest.mark.parametrize("kind", ["held", "broken", "unknown"])
def test_a_test_that_promises_nothing_is_told_what_was_found(bench: Bench, kind: str) -> None:
    """Whatever it is: only its own assertions decide."""
    bench.pytester.makepyfile(f"def test_{kind}(cluster):\n    pass\n")
    result = bench.run()
    result.assert_outcomes(passed=1)
    first = FINDINGS[kind][0]
    result.stdout.fnmatch_lines(
        ["*told, not judged*", f"*::test_{kind}: nothing was promised*{first.checker} {first.verdict}: {first.summary}*results/the-run*"]
    )


def test_a_failure_of_the_test_itself_comes_first(bench: Bench) -> None:
    """What was found in its run stands beside it, also where that is a broken promise."""
    bench.pytester.makepyfile(PROMISING.format(kind="broken") + "    assert 'docker' == 'well'\n")
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*assert 'docker' == 'well'*", "*Captured whalefall call*", "*conflicts*broken*two instances on n1*"])


def test_a_test_that_skips_itself_is_not_judged(bench: Bench) -> None:
    """It says that it has nothing to say."""
    bench.pytester.makepyfile(PROMISING.format(kind="broken") + "    pytest.skip('not today')\n")
    bench.run().assert_outcomes(skipped=1)
    assert "judged" not in bench.conductor.lending


def test_a_marker_promises_too(bench: Bench) -> None:
    """As the test itself can."""
    bench.pytester.makepyfile(
        """
        import pytest
        from harness.checkers.conflicts import Conflicts

        @pytest.mark.whalefall(promises=[Conflicts()])
        def test_unknown(cluster):
            assert cluster.promised == [Conflicts()]
        """
    )
    bench.run().assert_outcomes(failed=1)


def test_without_scenarios_the_plugin_loads_no_harness(bench: Bench) -> None:
    """It is loaded in every pytest run of everybody who installed the package."""
    bench.pytester.makepyfile("import sys\n\ndef test_light():\n    assert 'docker' not in sys.modules and 'pydantic' not in sys.modules\n")
    bench.run_apart().assert_outcomes(passed=1)


@pytest.mark.parametrize("args", [(), ("--wf-mode", "fleet")], ids=["files", "option"])
def test_bad_plug_ins_are_told_once_in_a_session(bench: Bench, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]) -> None:
    """Each in a line, however many files there are: none of them is at fault, and nothing is run."""
    bad = tuple(Problem(f"the plug-in {name} 1", 0, 0, "found nothing", "something") for name in ("acme", "zenith"))
    monkeypatch.setattr(registry, "installed", lambda: PlugIns((), bad))
    for name in ("held", "broken", "unknown"):
        bench.scenario(name)
    result = bench.run("scenarios", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = [*result.outlines, *result.errlines]
    for name in ("acme", "zenith"):
        assert len([line for line in said if line.endswith(f"the plug-in {name} 1: found nothing; expected something")]) == 1
    assert not [line for line in said if "Traceback" in line or "registry" in line or "ERROR collecting" in line]


def test_bad_plug_ins_are_told_to_the_first_test_that_wants_a_cluster(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any other trouble of the harness is; the others say where."""
    monkeypatch.setattr(registry, "installed", lambda: PlugIns((), (Problem("the plug-in acme 1", 0, 0, "found nothing", "something"),)))
    bench.pytester.makepyfile("def test_it(cluster):\n    pass\n\ndef test_other(cluster):\n    pass\n")
    result = bench.run("-rN")
    result.assert_outcomes(errors=2)
    said = result.stdout.str()
    assert said.count("whalefall failed: the plug-in acme 1: found nothing; expected something") == 1
    assert said.count("the plug-ins of Whalefall cannot be used: the first test that wanted a cluster says why") == 1
    result.stdout.no_fnmatch_line("*Traceback*")


def test_bad_plug_ins_are_told_by_a_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pytest-xdist, which cannot end the session: by the first of its files, and what two of them say alike is told once."""
    monkeypatch.setattr(registry, "installed", lambda: PlugIns((), (Problem("the plug-in acme 1", 0, 0, "found nothing", "something"),)))
    bench.pytester.makeconftest("def pytest_configure(config):\n    config.workerinput = {}\n")
    for name in ("held", "broken"):
        bench.scenario(name)
    result = bench.run("-rN", "scenarios")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert len([line for line in result.outlines if line == "the plug-in acme 1: found nothing; expected something"]) == 1
    assert len([line for line in result.outlines if "ERROR collecting" in line]) == 1


AGAIN = """
import pytest
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for last in (False, True):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if last:
                item.ihook.pytest_runtest_logreport(report=report)
        item._initrequest() if hasattr(item, "_initrequest") else None
    return True
"""


def test_what_is_run_again_keeps_nothing_of_its_first_run(bench: Bench) -> None:
    """As plug-ins do with what failed: each property, and each recovery, is of one run; so is what is told beside a failure."""
    bench.pytester.makeconftest(AGAIN)
    bench.pytester.makepyfile("def test_lent(cluster):\n    assert False\n")
    bench.scenario("held")
    result = bench.run("-v", "--junitxml=again.xml")
    result.assert_outcomes(passed=1, failed=1)
    assert result.stdout.str().count("web@2 ran again after") == 1
    assert len([line for line in result.outlines if "Captured whalefall call" in line]) == 1
    suites = ET.parse(bench.pytester.path / "again.xml").iter("testsuite")  # noqa: S314 - pytest's own file
    properties = [(each.get("name"), suite.get("name")) for suite in suites for each in suite.iter("property")]
    assert sorted(properties) == sorted(set(properties))


PLAIN = "def test_plain():\n    pass\n"
LENT = "def test_lent(cluster):\n    pass\n"
THEIRS = "import pytest\n\n@pytest.fixture\ndef cluster():\n    return 1\n\n" + LENT
FROM_THERE = "import pytest\n\n@pytest.mark.whalefall(provider='inventory')\n" + LENT
USERS = {
    "a scenario file": ("", (), False),
    "asked for": ("", ("--wf-provider", "inventory"), True),
    "a test without a marker": (LENT, ("test_it.py",), False),
    "a test that says so": (FROM_THERE, ("test_it.py",), True),
    "a test that says so, in vain": (FROM_THERE, ("test_it.py", "--wf-provider", "nspawn"), False),
    "a test with a cluster of its own": (THEIRS, ("test_it.py",), True),
    "nobody": (PLAIN, ("test_it.py",), True),
    "nobody who is chosen": (PLAIN, ("-k", "plain"), True),
}


@pytest.mark.parametrize("user", USERS)
def test_an_inventory_that_no_scenario_would_use_is_bad_usage(bench: Bench, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    """The cluster that was broken would be another one than what was named. Asked of what is left to run."""
    monkeypatch.setenv("WHALEFALL_INVENTORY", "")  # it is left there for workers
    text, args, fine = USERS[user]
    bench.scenario("held")
    bench.pytester.makepyfile(test_it=text)
    result = bench.run("--wf-inventory", "hosts.ini", "--collect-only", *args)
    said = "--wf-inventory names hosts for --wf-provider inventory" in "\n".join([*result.outlines, *result.errlines])
    assert (result.ret == pytest.ExitCode.USAGE_ERROR, said) == (not fine, not fine)


def test_what_workers_find_wrong_with_the_command_line_is_told_once(bench: Bench) -> None:
    """By pytest-xdist nobody hears what they raise: the session that started them says it, in the words and with the status of one without."""
    pytest.importorskip("xdist")
    bench.scenario("held")
    bench.pytester.makeconftest(WORKER)
    bench.pytester.makepyfile(PLAIN)
    result = bench.run_apart("--wf-inventory", "hosts.ini", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = [line for line in [*result.outlines, *result.errlines] if "--wf-inventory names hosts for" in line]
    assert said == ["ERROR: --wf-inventory names hosts for --wf-provider inventory, and no scenario takes its nodes from there"]
    assert not [line for line in [*result.outlines, *result.errlines] if "INTERNALERROR" in line or "Traceback" in line]
    assert not (bench.pytester.path / "seeds").exists(), "nothing was run"


UNREMOVABLE = """
from types import SimpleNamespace

from harness import pytest_plugin
from harness.core.errors import HarnessError

def close():
    raise HarnessError("n1 does not end")

def pytest_runtest_setup(item):
    item.config.stash[pytest_plugin._STANDING] = SimpleNamespace(close=close)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_a_session_whose_last_cluster_could_not_be_removed_has_failed(bench: Bench, workers: tuple[str, ...]) -> None:
    """Also where a worker had it, whose status is nobody's; and what to do is said."""
    pytest.importorskip("xdist")
    bench.pytester.makeconftest(UNREMOVABLE)
    bench.pytester.makepyfile(PLAIN)
    result = bench.run_apart(*workers)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    said = [line for line in result.errlines if "could NOT be removed" in line]
    assert said == ["whalefall: the cluster could NOT be removed: n1 does not end; `whalefall sweep` tries again"]


FIXTURES = """
import pytest
from harness.checkers import Conflicts
from harness.core.errors import HarnessError

@pytest.fixture
def prepared(cluster):
    cluster.promise(Conflicts())
    {prepared}

def test_{name}(prepared):
    {body}
"""


@pytest.mark.parametrize(
    ("prepared", "body", "outcome", "noted"),
    [
        ("assert not cluster", "pass", {"errors": 1}, "its test ended in its set-up (AssertionError: assert not"),
        ("pytest.fail('not so')", "pass", {"errors": 1}, "its test ended in its set-up (Failed: not so)"),
        (
            "pytest.skip('not here')",
            "pass",
            {"skipped": 1},
            "ended early: it was asked to stop: its test ended in its set-up (Skipped: not here)",
        ),
        (
            "yield",
            "pytest.skip('not now')",
            {"skipped": 1},
            "ended early: it was asked to stop: its test ended in its body (Skipped: not now)",
        ),
        ("yield", "assert False", {"failed": 1}, "its test ended in its body (AssertionError: assert False)"),
        ("yield", "raise SystemExit(3)", {"failed": 1}, "its test ended in its body (SystemExit: 3)"),
        ("raise SystemExit", "pass", {"errors": 1}, "its test ended in its set-up (SystemExit: )"),
        (
            "yield",
            "from harness.core.errors import Unsupported; raise Unsupported('no disk that can be slowed')",
            {"skipped": 1},
            "ended early: it was asked to stop: its test ended in its body (no disk that can be slowed)",
        ),
        (
            "cluster.broke_something = True; yield",
            "from harness.core.errors import Unsupported; raise Unsupported('no disk that can be slowed')",
            {"failed": 1},
            "its test ended in its body (no disk that can be slowed)",
        ),
    ],
    ids=[
        "set-up",
        "fail in the set-up",
        "skip in the set-up",
        "skip",
        "body",
        "an exit in the body",
        "an exit in the set-up",
        "what cannot be made here",
        "what cannot be made after something was broken",
    ],
)
def test_a_run_says_in_which_phase_its_test_ended(bench: Bench, prepared: str, body: str, outcome: dict[str, int], noted: str) -> None:
    """Whatever ended it, also a fixture of its own that comes after the cluster; and beside a failure stands what was found."""
    bench.pytester.makepyfile(FIXTURES.format(name="broken", prepared=prepared, body=body))
    result = bench.run("-rN")
    result.assert_outcomes(**outcome)
    (note,) = bench.conductor.noted
    assert note.startswith(noted)
    assert ("judged" in bench.conductor.lending) is ("skipped" not in outcome)
    assert ("two instances on n1 for 3 s" in result.stdout.str()) is ("skipped" not in outcome)


FOREIGN = """
import pytest

@pytest.fixture
def up():
    raise OSError("theirs")

@pytest.fixture
def down():
    yield
    raise OSError("theirs")
"""


def test_a_failure_in_a_project_of_others_shows_nothing_of_ours(bench: Bench) -> None:
    """We are in every pytest run of an environment: a fixture of somebody's conftest.py that fails is told as without us."""
    bench.pytester.makeconftest(FOREIGN)
    bench.pytester.makepyfile(
        "def test_up(up):\n    pass\n\ndef test_down(down):\n    pass\n\ndef test_body():\n    raise OSError('theirs')\n"
    )
    result = bench.run("-rN")
    result.assert_outcomes(errors=2, failed=1, passed=1)
    assert result.stdout.str().count("OSError: theirs") == 3
    result.stdout.no_fnmatch_line("*pytest_plugin*")
    result.stdout.no_fnmatch_line("*_failing*")


def test_an_error_of_ours_in_a_subtest_ends_where_that_called_us(bench: Bench) -> None:
    """A subtest of pytest's own ends no phase of its test."""
    bench.pytester.makepyfile("def test_held(cluster, subtests):\n    with subtests.test('it'):\n        cluster.promise(None)\n")
    result = bench.run("-rN")
    assert result.stdout.str().count("the promises: ") == 1
    result.stdout.no_fnmatch_line("*spelling.py*")


def test_what_ends_all_tests_is_not_judged_before(bench: Bench) -> None:
    """It would have to wait until the cluster has settled."""
    bench.pytester.makepyfile("import pytest\n\ndef test_held(cluster):\n    pytest.exit('all over')\n")
    bench.run("-rN")
    assert bench.conductor.lending == ["lent", "begun", "faults", "given back"]


def test_every_wrapper_of_ours_hides_its_frames() -> None:
    """Whatever goes through it stands in the failures of all tests there are."""
    wrappers = [each for each in vars(harness.pytest_plugin).values() if getattr(each, "pytest_impl", {}).get("wrapper")]
    assert {each.__name__ for each in wrappers} >= {"pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown"}
    assert [each.__name__ for each in wrappers if "__tracebackhide__" not in each.__code__.co_varnames] == []


def test_an_error_of_ours_ends_where_a_fixture_called_us(bench: Bench) -> None:
    """As where a test did: in its set-up, and after its verdict."""
    bad = "cluster.promise(None)"
    bench.pytester.makepyfile(FIXTURES.format(name="held", prepared=f"{bad}; yield", body="pass"))
    (bench.pytester.path / "test_after.py").write_text(FIXTURES.format(name="held", prepared=f"yield; {bad}", body="pass"))
    result = bench.run("-rN")
    result.assert_outcomes(errors=2, passed=1)
    assert result.stdout.str().count("the promises: ") == 2
    result.stdout.no_fnmatch_line("*spelling.py*")


CHAINED = """
import pytest
from harness.core.errors import HarnessError
from harness.nodes import users_command
from harness.nodes.together import together
from harness.testing.memory_node import MemoryNode


class Breaking(MemoryNode):
    def run(self, *argv, timeout=30.0, stdin=b""):
        raise ZeroDivisionError("a bug")


def asked(node):
    together([node], lambda each: users_command.ran(each, "true", 5.0, secret="DB_PASSWORD"), "asking")


def test_alone():
    asked(MemoryNode("n1", "127.0.0.1", delay=9.0))


def test_with_what_was_before():
    try:
        raise KeyError("a test's own")
    except KeyError:
        asked(MemoryNode("n1", "127.0.0.1", delay=9.0))


def test_with_what_comes_after():
    try:
        asked(MemoryNode("n1", "127.0.0.1", delay=9.0))
    except HarnessError as error:
        raise AssertionError("more words") from error


@pytest.fixture
def late():
    yield
    try:
        asked(MemoryNode("n1", "127.0.0.1", delay=9.0))
    except HarnessError as error:
        raise AssertionError("late words") from error


def test_with_a_fixture(late):
    pass


def test_of_a_crash():
    users_command.ran(Breaking("n1", "127.0.0.1"), "true", 5.0, secret="DB_PASSWORD")
"""


def test_nothing_of_ours_is_shown_in_the_whole_chain_of_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that frames hold, as many a CI has it: what is the test's own is told, and of a bug of ours all but the value of a secret."""
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    bench.pytester.makepyfile(CHAINED)
    result = bench.run("-rN", "--showlocals", "--junitxml=junit.xml")
    result.assert_outcomes(failed=4, passed=1, errors=1)
    head, crash = result.stdout.str().split("_ test_of_a_crash _")
    assert "harness/" not in head
    errors = [line.removeprefix("E").strip() for line in head.splitlines() if line.startswith("E ")]
    assert errors.count("harness.core.errors.FaultFailed: asking failed on 1 of 1 node:") == 4
    assert sorted(each for each in errors if each.startswith(("Key", "Assertion"))) == [
        "AssertionError: late words",
        "AssertionError: more words",
        'KeyError: "a test\'s own"',
    ]
    assert "value      = ***" in crash
    assert "hunter2" not in result.stdout.str() + (bench.pytester.path / "junit.xml").read_text(encoding="utf-8")
