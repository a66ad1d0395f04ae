"""Runs for a scorecard: which are wanted, which are there, and how the rest is done, by children that stand in for `whalefall run`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from click.testing import Result

from harness.cli import campaign
from harness.cli.campaign import CampaignNotes, Crew, PlannedRun
from harness.core import pace
from harness.core.errors import BadInput, HarnessError
from harness.core.values import NodeSpec
from harness.history.events import STOPPED_EARLY, Note
from harness.host import locks
from harness.plan import Plan
from harness.reports.scorecard import Left
from harness.testing.histories import Story, node_kill
from tests.unit.commanding import a_plan

PLAN = replace(a_plan(), nodes=tuple(NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)))


def keep(folder: Path, plan: Plan, run: str, story: Story, *, verdict: str = "held") -> Path:
    """Keep a run as a child would leave it."""
    made = folder / run
    made.mkdir(parents=True)
    (made / "plan.json").write_text(json.dumps({"run": run, **plan.to_json()}), encoding="utf-8")
    story.save(made / "history.jsonl")
    if verdict:
        (made / "verdict.json").write_text(json.dumps({"verdict": verdict, "findings": [], "recovery": {}}))
    return made


def planned(count: int = 2, repeats: int = 1) -> list[PlannedRun]:
    """Return runs of so many modes."""
    return campaign.tasks_of([replace(PLAN, mode=f"m{number}") for number in range(count)], 7, repeats)


@dataclass
class Provider:
    """One that knows how many nodes fit."""

    nodes: int = 12

    def room(self) -> tuple[int, str]:
        """Return that."""
        return self.nodes, "memory"


def test_repeats_have_seeds_of_their_own_and_modes_the_same() -> None:
    """So that each mode meets the same chances; first all once, then all again."""
    assert [(each.plan.mode, each.plan.seed) for each in planned(repeats=2)] == [("m0", 7), ("m1", 7), ("m0", 8), ("m1", 8)]
    assert len({each.key for each in planned(repeats=3)}) == len({each.log for each in planned(repeats=3)}) == 6


def test_the_same_command_has_the_same_folder_until_a_file_changes(tmp_path: Path) -> None:
    """Runs of a file as it was before are no repeats of it."""
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\n")
    first = campaign.key_of([file], ["fleet"], None)
    assert campaign.key_of([file], ["fleet"], None) == first != campaign.key_of([file], ["swarm"], None)
    file.write_text("a: 2\n")
    assert campaign.key_of([file], ["fleet"], None) != first


def test_what_lies_in_the_folder_says_what_is_left_to_do(tmp_path: Path) -> None:
    """Done counts, and so does a run that failed by itself; stopped and killed are done again; others' runs are none of ours."""
    done, failed, stopped, killed, missing = planned(5)
    keep(tmp_path, done.plan, "done", node_kill())
    keep(tmp_path, failed.plan, "failed", Story().node(1.0, "n1").tell(2.0, Note("ended early: no memory")), verdict="")
    keep(tmp_path, stopped.plan, "stopped", Story().node(1.0, "n1").tell(2.0, Note(STOPPED_EARLY)))
    keep(tmp_path, killed.plan, "killed", Story().node(1.0, "n1"), verdict="")
    keep(tmp_path, replace(PLAN, seed=99), "another", node_kill())
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "plan.json").write_text("[")
    there = campaign.look(tmp_path, [done, failed, stopped, killed, missing])
    assert [each.done.name if each.done else "" for each in there.values()] == ["done", "failed", "", "", ""]
    assert [[run.name for run in each.interrupted] for each in there.values()] == [[], [], ["stopped"], ["killed"], []]


def test_a_run_that_was_interrupted_and_done_again_counts_once(tmp_path: Path) -> None:
    """By the one that came to its end."""
    (task,) = planned(1)
    keep(tmp_path, task.plan, "a", Story().node(1.0, "n1"), verdict="")
    keep(tmp_path, task.plan, "b", node_kill())
    there = campaign.look(tmp_path, [task])[1]
    assert (there.done, there.interrupted) == (tmp_path / "b", (tmp_path / "a",))


def test_notes_come_back_as_they_were_and_those_of_others_are_told(tmp_path: Path) -> None:
    """The seed, and for what a scenario is not."""
    assert campaign.noted(tmp_path) is None
    said = CampaignNotes(7, (Left("node-kill", "other", "why"),))
    campaign.note(tmp_path, said)
    assert campaign.noted(tmp_path) == said
    (tmp_path / campaign.FILE).write_text('{"format": "whalefall-campaign", "version": 1, "seed": 1, "not_for": [{"mode": 1}]}')
    with pytest.raises(BadInput, match=r"campaign\.json"):
        campaign.noted(tmp_path)


def test_two_scorecards_do_not_do_the_same_runs(tmp_path: Path) -> None:
    """The second is told who does."""
    with campaign.alone(tmp_path), pytest.raises(HarnessError, match=f"process {os.getpid()} "), campaign.alone(tmp_path):
        pass
    with campaign.alone(tmp_path):
        assert locks.holders(tmp_path / ".lock")


# -- how many at a time


@pytest.mark.parametrize(
    ("nodes", "seen", "cores", "count"), [(100, 1.0, 2, 4), (7, 1.0, 2, 2), (2, 1.0, 2, 1), (100, 3.0, 2, 1), (100, 2.0, 8, 8)]
)
def test_as_many_runs_go_at_a_time_as_nodes_and_processors_allow(
    monkeypatch: pytest.MonkeyPatch, nodes: int, seen: float, cores: int, count: int
) -> None:
    """The fewer counts, and one at least: a run that does not fit says so itself."""
    monkeypatch.setattr("harness.core.pace.look", lambda clock: replace(pace.USUAL, seen=seen))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
    found, why = campaign.carried([PLAN], {"nspawn": lambda: Provider(nodes)})
    assert (found, f"{nodes} more nodes fit (memory), and a run takes 3" in why) == (count, True)


def test_where_nobody_knows_how_many_nodes_fit_runs_go_one_by_one() -> None:
    """Hosts of somebody else's are one cluster."""
    assert campaign.carried([PLAN], {"nspawn": object})[0] == 1
    assert campaign.has_room(PLAN, {"nspawn": object})
    assert not campaign.has_room(PLAN, {"nspawn": lambda: Provider(2)})


# -- doing them

COPY = 'mkdir -p "$2/$3" && cp "$1"/* "$2/$3/"'


@dataclass
class Fake:
    """Children that leave the run of their plan behind, or do what a script says."""

    samples: Path
    script: str = COPY
    begun: list[int] = field(default_factory=list)

    def argv(self, task: PlannedRun, folder: Path) -> Sequence[str]:
        """Return the command of one."""
        self.begun.append(task.number)
        name = f"run-{len(self.begun)}-{task.number}"
        sample = keep(self.samples, task.plan, f"{name}-of-{os.getpid()}", node_kill())
        return ["sh", "-c", self.script, "sh", str(sample), str(folder), name]


def test_all_that_is_missing_is_done_so_many_at_a_time(tmp_path: Path) -> None:
    """Each once; the next begins when one has ended, and where it fits."""
    tasks = planned(5)
    fake, said = Fake(tmp_path / "samples"), list[str]()
    folder = tmp_path / "card"
    folder.mkdir()
    Crew(folder, fake.argv).do(tasks, 2, lambda plan: True, said.append)
    assert fake.begun == [1, 2, 3, 4, 5]
    assert all(each.done for each in campaign.look(folder, tasks).values())
    going = most = 0
    for each in said:
        going += 1 if each.startswith("begun") else -1
        most = max(most, going)
    assert (going, most) == (0, 2)


def test_a_run_that_does_not_fit_beside_others_waits_for_them(tmp_path: Path) -> None:
    """Alone it is begun all the same: what it lacks it says itself."""
    said: list[str] = []
    Crew(tmp_path, Fake(tmp_path / "samples").argv).do(planned(3), 3, lambda plan: False, said.append)
    assert [each.split(":")[0] for each in said] == ["begun", "ended"] * 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_asks_it_to_stop_asks_every_run_and_no_other_is_begun(tmp_path: Path, number: signal.Signals) -> None:
    """Each hears it once and has the time that it needs to mend what it broke."""
    name = number.name.removeprefix("SIG")
    script = f'trap "echo asked >>$2/$3.asked; exit 130" {name}; echo ready >$2/$3.ready; while :; do sleep 0.05; done'
    fake = Fake(tmp_path / "samples", script)
    crew = Crew(tmp_path, fake.argv)
    said: list[str] = []

    def ask() -> None:
        while len([*tmp_path.glob("*.ready")]) < 2:
            pass
        os.kill(os.getpid(), number)

    with crew.heard():
        asking = threading.Thread(target=ask)
        asking.start()
        crew.do(planned(4), 2, lambda plan: True, said.append)
        asking.join()
    assert (crew.signal, fake.begun) == (number, [1, 2])
    assert [each.read_text() for each in sorted(tmp_path.glob("*.asked"))] == ["asked\n", "asked\n"]
    assert sum("exit status 130" in each for each in said) == 2


def test_runs_are_asked_to_stop_by_the_kernel_where_a_scorecard_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves nobody who could ask them."""
    argv = campaign.argv_of(planned(1)[0], tmp_path)
    assert argv[1:4] == ["--pdeathsig", "TERM", "--"]
    child = f'import os, signal, sys; open("{tmp_path}/ready", "w").close(); signal.sigwait([signal.SIGTERM]); open("{tmp_path}/asked", "w").close()'
    block = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); "
    parent = f"import subprocess, sys; subprocess.Popen([*{argv[:4]!r}, sys.executable, '-c', {block + child!r}]); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE) as harness:
        while not (tmp_path / "ready").exists():
            assert harness.poll() is None
        harness.kill()
    while not (tmp_path / "asked").exists():
        pass


def test_a_run_that_left_nothing_says_why(tmp_path: Path) -> None:
    """By the last line of its log."""
    fake = Fake(tmp_path / "samples", "echo first; printf 'whalefall failed: no \\033[2J room\\n' >&2; exit 4")
    (task,) = planned(1)
    Crew(tmp_path, fake.argv).do([task], 1, lambda plan: True, lambda text: None)
    assert campaign.why_not(tmp_path, task) == "whalefall failed: no \\x1b[2J room"
    assert campaign.why_not(tmp_path / "nowhere", task) == "it left no log"


@pytest.mark.parametrize("harm", ["a pipe for a log", "a link for a log", "a link for the folder of logs", "a file for the folder of logs"])
def test_what_lies_where_logs_go_is_not_written_to_and_nobody_waits_for_it(tmp_path: Path, harm: str) -> None:
    """A campaign's folder may be anybody's: what is no folder is told, what is no file is gone."""
    (task,) = planned(1)
    (tmp_path / "other").mkdir()
    precious = tmp_path / "other" / Path(task.log).name
    precious.write_text("precious")
    folder = tmp_path / "card"
    (folder if "folder" in harm else folder / campaign.LOGS).mkdir(parents=True)
    if harm == "a pipe for a log":
        os.mkfifo(folder / task.log)
    elif harm == "a link for a log":
        (folder / task.log).symlink_to(precious)
    elif harm == "a link for the folder of logs":
        (folder / campaign.LOGS).symlink_to(precious.parent)
    else:
        (folder / campaign.LOGS).touch()
    crew, said = Crew(folder, Fake(tmp_path / "samples", "echo here").argv), list[str]()
    if "folder" in harm:
        with pytest.raises(BadInput, match="logs"):
            crew.do([task], 1, lambda plan: True, said.append)
    else:
        crew.do([task], 1, lambda plan: True, said.append)
        assert campaign.why_not(folder, task) == "here"
    assert precious.read_text() == "precious"


def test_a_run_that_a_signal_ended_says_which(tmp_path: Path) -> None:
    """It has no exit status."""
    said: list[str] = []
    Crew(tmp_path, Fake(tmp_path / "samples", "kill -KILL $$").argv).do(planned(1), 1, lambda plan: True, said.append)
    assert said[-1].endswith("ended by signal 9")


# -- the command


SCENARIO = """\
scenario: sample
why: It is run.
cluster: {mode: fleet, provider: nspawn}
apps: [{name: web, instances: 1}]
steps: [{fault: node.kill, on: any, hold: 1s}]
promises: [conflicts]
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put children in place that leave good runs behind, on a machine that carries two."""
    made = Fake(tmp_path / "samples")
    monkeypatch.setattr("harness.cli.campaign.argv_of", made.argv)
    monkeypatch.setattr("harness.cli.campaign.carried", lambda plans, providers: (2, "measured"))
    monkeypatch.setattr("harness.cli.campaign.has_room", lambda plan, providers: True)
    return made


def test_the_same_command_goes_on_where_it_ended(call: Callable[..., Result], fake: Fake) -> None:
    """With the seed of the first time; more repeats do only those that are new, and what is lost is done again."""
    Path("s.yaml").write_text(SCENARIO)
    first = call("scorecard", "s.yaml", "--mode", "fleet,swarm")
    assert fake.begun == [1, 2], first.output
    (folder,) = Path("results").iterdir()
    seeds = {json.loads((each / "plan.json").read_text())["seed"] for each in folder.iterdir() if (each / "plan.json").exists()}
    assert len(seeds) == 1
    again = call("scorecard", "s.yaml", "--mode", "fleet,swarm")
    assert (fake.begun, again.stdout) == ([1, 2], first.stdout)
    assert "2 runs, 2 done already" in again.stderr
    (folder / "run-2-2" / "verdict.json").unlink()
    call("scorecard", "s.yaml", "--mode", "fleet,swarm", "--repeats", "2")
    assert fake.begun == [1, 2, 2, 3, 4]
    assert len([*Path("results").iterdir()]) == 1


def test_what_a_scorecard_has_run_counts_among_all_kept_runs(call: Callable[..., Result], fake: Fake) -> None:
    """Beside what was run by itself, and with the modes that its scenarios are not for."""
    Path("s.yaml").write_text(f"{SCENARIO}but: {{swarm: {{because: it has no etcd, skip: true}}}}\n")
    call("scorecard", "s.yaml", "--mode", "fleet,swarm")
    assert "it has no etcd" in call("scorecard", "--from").output
    keep(Path("results"), replace(PLAN, mode="mesos"), "alone", node_kill())
    card = json.loads(call("scorecard", "--from", "results", "--format", "json").stdout)
    assert sorted(row["mode"] for each in card["scenarios"] for row in each["modes"]) == ["fleet", "mesos", "swarm"]


def test_a_run_that_was_never_begun_is_in_the_card(call: Callable[..., Result], fake: Fake) -> None:
    """With what it said, and the status of a harness that failed."""
    fake.script = "echo whalefall failed: no room; exit 4"
    Path("s.yaml").write_text(SCENARIO)
    result = call("scorecard", "s.yaml", "--mode", "fleet", "--seed", "7")
    assert result.exit_code == 4
    assert "(not run): whalefall failed: no room" in result.stdout


def test_all_problems_of_all_files_in_all_modes_are_told_once(call: Callable[..., Result], fake: Fake) -> None:
    """And nothing is begun, nor any folder made."""
    Path("s.yaml").write_text(SCENARIO.replace("node.kill", "node.kil"))
    result = call("scorecard", "s.yaml", "gone.yaml", "--mode", "fleet,swarm,flet", "--output", "nowhere/card.md")
    assert result.exit_code == 2
    for words in ("unknown fault 'node.kil'", "gone.yaml", "unknown mode 'flet'", "--output: found 'nowhere/card.md'"):
        assert sum(words.replace("found ", "") in line for line in result.output.splitlines()) == 1, words
    assert (fake.begun, Path("results").exists()) == ([], False)


def test_a_mode_that_a_file_is_not_for_is_told_with_its_reason(call: Callable[..., Result], fake: Fake) -> None:
    """In the card, also in one that is made of the folder later; where no other mode is left it is bad usage."""
    Path("s.yaml").write_text(f"{SCENARIO}but: {{swarm: {{because: it has no etcd, skip: true}}}}\n")
    result = call("scorecard", "s.yaml", "--mode", "fleet,swarm")
    assert "it has no etcd" in result.output
    (folder,) = Path("results").iterdir()
    assert "it has no etcd" in call("scorecard", "--from", str(folder)).output
    assert call("scorecard", "s.yaml", "--mode", "swarm").exit_code == 2
    assert fake.begun == [1]


def test_nothing_to_run_is_bad_usage(call: Callable[..., Result]) -> None:
    """It says what to give."""
    result = call("scorecard")
    assert (result.exit_code, "give scenario files" in result.output) == (2, True)
