"""Scenario files: what is read, and what is said of everything that cannot be."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import document, registry
from harness.core import parameters
from harness.core.errors import BadInput
from harness.core.topology import SHAPES
from harness.core.values import App, Budget, Traits, Verdict, Who
from harness.document import BIGGEST
from harness.faults import FAULTS
from harness.scenario import PROPERTIES, json_schema, load, loads
from harness.steps import STAYS_SECONDS, Break, Check, Control, Hold, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

SCENARIOS = Path(__file__).parents[2] / "scenarios"

GOOD = """\
scenario: sample
why: It shows
  how a file looks.
cluster:
  mode: fleet
  provider: nspawn
  nodes: 3
  profile: default
  timers: {agent_ttl: 10s}
apps:
  - name: web
    instances: 2
workloads:
  - http: {app: web, rate: 20/s, deadline: 500ms}
  - register
steps:
  - wait: 5s
  - fault: net.partition
    on: hosting(web) & any
    with: {shape: isolate}
    hold: {until: recovered, at most: 1m}
  - fault: node.kill
    on: leader
    hold: 0.5
settle: 90s
checks:
  - service: docker
    is_running: true
    on: all
    when: [before, after]
promises:
  - rescheduled: {app: web}
  - conflicts
  - quorum: {writes: go on}
  - availability: {app: web, share: 50%, gap: 30s}
control:
  verdict: broken
  because: conflicts
  match: two instances
"""


def changed(old: str, new: str) -> str:
    """Give the good file with one thing changed."""
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def problems(text: str) -> list[str]:
    """Load what cannot be loaded, and give the problems as they are printed."""
    with pytest.raises(BadInput) as caught:
        loads(text, "s.yaml")
    return str(caught.value).splitlines()


class Static:
    """A mode without quorum and without daemons of its own."""

    name: ClassVar[str] = "static"
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {"default": {}}

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Static:
        """Return the mode; it has no timers."""
        return cls()

    def budget(self, lost: Traits, who: Who) -> Budget:
        """Promise nothing."""
        return Budget(())


def with_static() -> registry.Known:
    """Give the registries with one more mode."""
    known = registry.known()
    return registry.Known(known.faults, known.workloads, known.checkers, {**known.modes, "static": Static}, known.providers)


def test_a_good_file_is_read_whole() -> None:
    """Every part arrives in its final form."""
    found = loads(GOOD)
    assert (found.name, found.why, found.settle) == ("sample", "It shows how a file looks.", 90.0)
    assert found.cluster.timers == {"agent_ttl": 10.0}
    assert found.apps == (App("web", 2),)
    assert [parameters.read(each) for each in found.workloads] == [
        {"app": "web", "rate": 20.0, "deadline": 0.5, "instances": 0},
        {"rate": 10.0, "deadline": 2.0},
    ]
    assert found.steps == (
        Wait(5.0),
        Break(parameters.build(FAULTS["net.partition"], {"shape": "isolate"}), "hosting(web) & any", Hold(60.0, "recovered")),
        Break(parameters.build(FAULTS["node.kill"], {}), "leader", Hold(0.5)),
    )
    assert found.checks == (Check("service", "docker", {"is_running": True}, "all", ("before", "after")),)
    assert [promise.name for promise in found.promises] == ["rescheduled", "conflicts", "quorum", "availability"]
    assert found.control == Control(Verdict.BROKEN, "conflicts", "two instances")
    assert found.node_names == ("n1", "n2", "n3")


def test_a_small_file_gets_the_usual_values() -> None:
    """Only what has no sensible default must be written."""
    found = loads("{scenario: x, why: y, steps: [{fault: none, on: any, hold: 1s}], promises: [quorum]}")
    assert (found.cluster.mode, found.cluster.provider, found.cluster.nodes, found.profile) == ("fleet", "nspawn", 3, "default")
    assert (found.apps, found.workloads, found.checks, found.control) == ((), (), (), None)


def test_a_check_may_be_short() -> None:
    """Everywhere, before and after, is what is meant when nothing is said; one moment needs no list."""
    text = changed("    on: all\n    when: [before, after]\n", "")
    assert loads(text).checks == loads(GOOD).checks
    assert loads(changed("[before, after]", "during")).checks[0].when == ("during",)


# Each row: a file, and for every problem that it has, in order, place and parts of its text.
BAD: dict[str, tuple[str, list[list[str]]]] = {
    "empty file": ("", [["s.yaml: an empty file", "expected a scenario", "scenarios/"]]),
    "only comments": ("# nothing\n", [["s.yaml: an empty file"]]),
    "a list": ("[1, 2]", [["s.yaml:1:1: a list of 2", "expected a scenario: a mapping"]]),
    "a word": ("hello", [["s.yaml:1:1: 'hello'", "expected a scenario"]]),
    "no YAML": ("a: b: c", [["s.yaml:1:5: a second ': ' in 'a: b: c'", "stands in quotes"]]),
    "open bracket": ("a: [1,", [["s.yaml:1:7: text that is not YAML"]]),
    "tab as indentation": (changed("  mode: fleet", "\tmode: fleet"), [["s.yaml:5:1: a tab", "expected spaces"]]),
    "anchor": (changed("profile: default", "profile: &p default"), [["s.yaml:8:12: the anchor &p", "write the value out"]]),
    "YAML bomb": (
        "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n",
        [["s.yaml:1:4: the anchor &a", "anchors and aliases are not allowed"]],
    ),
    "alias": ("a: *x", [["s.yaml:1:4: the alias *x"]]),
    "two documents": (GOOD + "---\na: 1\n", [["s.yaml:40:1: a second document", "one scenario a file"]]),
    "deep nesting": ("[" * 40, [["s.yaml:1:33: more than 32 mappings and lists inside each other"]]),
    "very deep nesting": ("[" * 50_000, [["more than 32 mappings and lists inside each other"]]),
    "too many values": ("[" + "1," * 30_000 + "1]", [["more than 20000 values"]]),
    "too large": ("#" + "x" * BIGGEST, [["s.yaml: a file that is too large", "256 KiB at most"]]),
    "control character": ("scenario: a\nwhy: \x07", [["s.yaml:2:6: the character U+0007", "expected text"]]),
    "a tag": (changed("profile: default", "profile: !!python/name:os.system"), [["s.yaml:8:12: the tag", "without tags"]]),
    "! without quotes": (
        changed("on: leader", "on: !leader"),
        [["s.yaml:23:9: the tag !leader", "put quotes around text that begins with !"]],
    ),
    "duplicate key": (
        changed("settle: 90s", "settle: 90s\nsettle: 80s"),
        [["s.yaml:26:1: the key 'settle' a second time", "in line 25 already"]],
    ),
    "a list as key": (
        "[1]: 2",
        [
            ["s.yaml:1:1: a mapping or list as a key", "a word as a key"],
            ["'scenario' is missing"],
            ["'why' is missing"],
            ["'steps' is missing"],
            ["'promises' is missing"],
        ],
    ),
    "a parameter beside with": (
        "scenario: a\nwhy: b\nsteps:\n  - fault: net.partition\n    shape: isolate\n    on: any\n    hold: 1s\npromises: [conflicts]\n",
        [["s.yaml:5:5: an unknown key 'shape'", "put it under with: `with: {shape: …}`"]],
    ),
    "unknown key": (changed("settle:", "setle:"), [["s.yaml:25:1: an unknown key 'setle'", "did you mean 'settle'?"]]),
    "unknown key deeper": (changed("nodes: 3", "nodez: 3"), [["s.yaml:7:3: an unknown key 'nodez'", "one of mode, provider", "'nodes'?"]]),
    "missing keys": (
        "scenario: x\nsteps: [{fault: none, on: any, hold: 1s}]\n",
        [["s.yaml:1:1: 'why' is missing", "a sentence or two"], ["s.yaml:1:1: 'promises' is missing", "at least one"]],
    ),
    "bad name": (
        changed("scenario: sample", "scenario: Über Test"),
        [["s.yaml:1:11: 'Über Test'", "lower-case letters, digits and dashes"]],
    ),
    "no steps": (changed("steps:\n", "steps: []\nx-steps:\n"), [["s.yaml:16:8: no fault"], ["unknown key 'x-steps'"]]),
    "only waiting": (
        "{scenario: x, why: y, steps: [wait: 1s], promises: [conflicts]}",
        [["s.yaml:1:30: no fault", "at least one", "`fault: none`"]],
    ),
    "steps as text": (
        changed("steps:\n", "steps: kill it\nx:\n"),
        [["s.yaml:16:8: 'kill it'", "expected a list of steps"], ["unknown key 'x'"]],
    ),
    "unknown step": (
        changed("- wait: 5s", "- wiat: 5s"),
        [["s.yaml:17:5: a mapping with wiat", "expected a step", "did you mean 'wait'?"]],
    ),
    "bad duration": (changed("wait: 5s", "wait: soon"), [["s.yaml:17:11: 'soon'", "a duration of 0 or more, such as"]]),
    "no time for a call": (changed("deadline: 500ms", "deadline: 0"), [[": 0; expected", "a duration above 0, such as 30s or 2m"]]),
    "no time at most": (
        changed("hold: 0.5", "hold: {until: recovered, at most: 0}"),
        [["s.yaml:24:39: 0", "a duration above 0, such as 30s or 2m"]],
    ),
    "bad rate": (changed("rate: 20/s", "rate: 0"), [["s.yaml:14:28: 0", "a rate above 0"]]),
    "bad share": (changed("50%", "150%"), [["s.yaml:35:37: '150%'", "a share from 0 to 1"]]),
    "text for a number": (changed("nodes: 3", "nodes: '3'"), [["s.yaml:7:10: '3'", "a whole number from 1 to 50"]]),
    "fraction of a node": (changed("nodes: 3", "nodes: 2.5"), [["s.yaml:7:10: 2.5", "a whole number from 1 to 50"]]),
    "number for truth": (
        changed("instances: 2", "instances: 2\n    conflicts: 1"),
        [["s.yaml:13:16: 1", "true (never two instances on one node) or false"]],
    ),
    "200 nodes": (changed("nodes: 3", "nodes: 200"), [["s.yaml:7:10: 200", "1 to 50", "a node takes 60 MB of memory"]]),
    "no nodes": (changed("nodes: 3", "nodes: 0"), [["s.yaml:7:10: 0", "1 to 50"]]),
    "endless number": (
        changed("nodes: 3", "nodes: " + "9" * 400),
        [["s.yaml:7:10: the number 9999", "400 characters"]],
    ),
    "infinite number": (changed("settle: 90s", "settle: .inf"), [["s.yaml:25:9: .inf", "a finite number"]]),
    "unknown fault": (
        changed("fault: node.kill", "fault: node.kil"),
        [["s.yaml:22:12: an unknown fault 'node.kil'", "did you mean 'node.kill'?"]],
    ),
    "far from any fault": (changed("fault: node.kill", "fault: zzz"), [["s.yaml:22:12: an unknown fault 'zzz'", "daemon.hang, disk.slow"]]),
    "unknown parameter": (
        changed("{shape: isolate}", "{shap: isolate}"),
        [["s.yaml:20:12: an unknown key 'shap'", "did you mean 'shape'?"]],
    ),
    "parameter of a fault without any": (
        changed("hold: 0.5", "hold: 0.5\n    with: {restart: true}"),
        [["s.yaml:25:12: an unknown key 'restart'", "no parameters: there are none"]],
    ),
    "unknown choice": (
        changed("{shape: isolate}", "{shape: isolated}"),
        [["s.yaml:20:19: 'isolated'", "one of isolate, halves", "'isolate'?"]],
    ),
    "parameters as text": (
        changed("with: {shape: isolate}", "with: isolate"),
        [["s.yaml:20:11: 'isolate'", "the parameters of net.partition: shape"]],
    ),
    "parameters that do not fit together": (
        changed("fault: node.kill", "fault: disk.slow"),
        [["s.yaml:22:5: disk.slow: a slow disk needs", "at least one of fsync, write and read"]],
    ),
    "no hold": (changed("    hold: 0.5\n", ""), [["s.yaml:22:5: 'hold' is missing", "how long"]]),
    "hold of no time": (changed("hold: 0.5", "hold: 0s"), [["s.yaml:24:11: a hold of no time", "above 0"]]),
    "hold as text": (changed("hold: 0.5", "hold: for ever"), [["s.yaml:24:11: 'for ever'", "a duration"]]),
    "hold until nobody knows when": (
        changed("{until: recovered, at most: 1m}", "{until: recoverd}"),
        [["s.yaml:21:11: 'at most' is missing"], ["s.yaml:21:19: 'recoverd'", "did you mean 'recovered'?"]],
    ),
    "absurd time": (changed("at most: 1m", "at most: 3h"), [["s.yaml:17:3: steps and settling of", "7200 s at most"]]),
    "absurd times together": (changed("settle: 90s", "settle: 2h"), [["s.yaml:17:3: steps and settling of", "7200 s at most"]]),
    "unknown workload": (
        changed("- register", "- regsiter"),
        [["s.yaml:15:5: an unknown workload 'regsiter'", "did you mean 'register'?"]],
    ),
    "workload of unknown app": (
        changed("{app: web, rate", "{app: wbe, rate"),
        [["s.yaml:14:17: an unknown app 'wbe'", "'web'?"], ["nobody calls"]],
    ),
    "two workloads in one": (
        changed("- register", "- {register: {}, http: {app: web}}"),
        [["s.yaml:15:5: a mapping with register, http", "a workload: a name, or one name with its parameters"]],
    ),
    "unknown promise": (
        changed("- conflicts", "- conflict"),
        [["s.yaml:33:5: an unknown promise 'conflict'", "did you mean 'conflicts'?"]],
    ),
    "conflicts of an unknown app": (
        changed("- conflicts", "- conflicts: {app: wbe}"),
        [["s.yaml:33:22: an unknown app 'wbe'", "'web'?"]],
    ),
    "promise on unknown app": (
        changed("rescheduled: {app: web}", "rescheduled: {app: db}"),
        [["s.yaml:32:24: an unknown app 'db'", "there is web"]],
    ),
    "promise without its app": (changed("rescheduled: {app: web}", "rescheduled"), [["s.yaml:32:5: 'app' is missing"]]),
    "budget is not for files": (
        changed("rescheduled: {app: web}", "rescheduled: {app: web, budget: 1}"),
        [["s.yaml:32:29: an unknown key 'budget'"]],
    ),
    "promise twice": (changed("- conflicts", "- conflicts\n  - conflicts"), [["s.yaml:34:5: the promise 'conflicts' a second time"]]),
    "no promises": (
        changed("promises:\n", "promises: []\nx:\n"),
        [["s.yaml:31:11: no promise", "at least one"], ["unknown key 'x'"], ["the checker"]],
    ),
    "writes without writers": (changed("  - register\n", ""), [["s.yaml:33:5: a promise of quorum with nothing that writes", "register"]]),
    "availability without calls": (
        changed("  - http: {app: web, rate: 20/s, deadline: 500ms}\n", ""),
        [["s.yaml:34:5: a promise of availability of web that nobody calls", "http"]],
    ),
    "unknown mode": (changed("mode: fleet", "mode: fleat"), [["s.yaml:5:9: an unknown mode 'fleat'", "did you mean 'fleet'?"]]),
    "unknown provider": (changed("nspawn", "nspwan"), [["s.yaml:6:13: an unknown provider 'nspwan'", "did you mean 'nspawn'?"]]),
    "unknown profile": (changed("profile: default", "profile: fats"), [["s.yaml:8:12: an unknown profile 'fats'", "did you mean 'fast'?"]]),
    "unknown timer": (
        changed("agent_ttl", "agent_tll"),
        [["s.yaml:9:12: a timer 'agent_tll'", "a timer of the fleet mode", "'agent_ttl'?"]],
    ),
    "timer that the mode refuses": (changed("agent_ttl: 10s", "agent_ttl: 500ms"), [["s.yaml:9:23: agent_ttl: 0.5 s", "whole seconds"]]),
    "duplicate app": (
        changed("    instances: 2\n", "    instances: 2\n  - name: web\n    instances: 1\n"),
        [["s.yaml:13:11: a second app named 'web'", "the first is in line 11"]],
    ),
    "duplicate app of which the first cannot be read": (
        changed("    instances: 2\n", "    instances: two\n  - name: web\n    instances: some\n  - name: web\n    instances: 1\n"),
        [
            ["s.yaml:12:16: 'two'"],
            ["s.yaml:13:11: a second app named 'web'", "the first is in line 11"],
            ["s.yaml:14:16: 'some'"],
            ["s.yaml:15:11: a second app named 'web'", "the first is in line 11"],
        ],
    ),
    "ports that overlap": (
        changed("    instances: 2\n", "    instances: 2\n  - name: api\n    instances: 1\n"),
        [["port 8001 for api", "web has 8001 to 8002"]],
    ),
    "ports that are taken": (
        changed("instances: 2", "instances: 2\n    host port: 2378"),
        [["s.yaml:13:16: ports 2379 to 2380 for web", "is taken by etcd"]] * 2,
    ),
    "pin to an unknown node": (changed("instances: 2", "instances: 2\n    pin: n4"), [["s.yaml:13:10: a pin to 'n4'", "n1 to n3"]]),
    "app as text": (changed("  - name: web\n    instances: 2\n", "  - web\n"), [["s.yaml:11:5: 'web'", "a mapping with name, instances"]]),
    "apps as text": (changed("apps:\n  - name: web\n    instances: 2\n", "apps: web\n"), [["s.yaml:10:7: 'web'", "a list of apps"]]),
    "target that cannot be read": (changed("on: leader", "on: leader | n2"), [["s.yaml:23:16: '|' in the target", "write !(!n1 & !n2)"]]),
    "target in quotes": (changed("on: leader", "on: 'leader & &'"), [["s.yaml:23:19: '&' in the target", "a node's name"]]),
    "target is a number": (changed("on: leader", "on: 7"), [["s.yaml:23:9: 7", "a target expression"]]),
    "unknown app in a target": (
        changed("hosting(web)", "hosting(wbe)"),
        [["s.yaml:19:17: hosting(wbe)", "the name of an app", "did you mean 'web'?"]],
    ),
    "unknown node in a target": (changed("on: leader", "on: leader & n4"), [["s.yaml:23:18: the target 'n4'", "n1 to n3"]]),
    "misspelt word in a target": (changed("on: leader", "on: leadr"), [["s.yaml:23:9: the target 'leadr'", "did you mean 'leader'?"]]),
    "target that nobody can be": (
        changed("on: leader", "on: n1 & n2"),
        [["s.yaml:23:9: the target 'n1 & n2'", "no node can ever be all of that"]],
    ),
    "target with too few": (
        changed("on: leader", "on: leader & majority"),
        [["s.yaml:23:9: the target 'leader & majority'", "2 nodes to choose from", "never be more than 1"]],
    ),
    "minority of two": (
        changed("nodes: 3", "nodes: 2").replace("on: leader", "on: minority"),
        [["s.yaml:23:9", "on 2 nodes", "can lose a node"]],
    ),
    "partition that cuts nothing": (
        changed("isolate", "ring"),
        [["s.yaml:20:19: ring of 1 of 3 nodes, which cuts nothing", "another shape"]],
    ),
    "process that the mode has not": (
        changed("fault: node.kill", "fault: process.kill\n    with: {process: marathon}"),
        [["s.yaml:23:21: the process 'marathon'", "the fleet mode runs as a systemd unit"]],
    ),
    "recovery of nothing": (
        "{scenario: x, why: y, steps: [{fault: node.kill, on: any, hold: {until: recovered, at most: 9s}}], promises: [conflicts]}",
        [["`until: recovered` with no app", "an app"]],
    ),
    "check of two things": (
        changed("- service: docker", "- service: docker\n    file: /x"),
        [["s.yaml:27:5: service and file", "exactly one"]],
    ),
    "check of nothing known": (
        changed("- service: docker", "- servise: docker"),
        [["s.yaml:27:5: a mapping with servise", "did you mean 'service'?"]],
    ),
    "check without property": (changed("    is_running: true\n", ""), [["s.yaml:27:5: a check of service without a property"]]),
    "unknown property": (
        changed("is_running", "is_runing"),
        [["s.yaml:28:5: an unknown property 'is_runing' of a service", "did you mean 'is_running'?"]],
    ),
    "unknown moment": (changed("[before, after]", "[befor]"), [["s.yaml:30:12: 'befor'", "did you mean 'before'?"]]),
    "control that holds": (changed("verdict: broken", "verdict: held"), [["s.yaml:37:12: 'held'", "one of broken, unknown"]]),
    "control because of nobody": (
        changed("because: conflicts", "because: writes"),
        [["s.yaml:38:12: the checker 'writes'", "a checker that judges"]],
    ),
    "control that says nothing": (
        re.sub(r"(?s)control:.*", "control:\n", GOOD),
        [["s.yaml:36:9: nothing", "how the control must come out"]],
    ),
    "several at once, in the order of the file": (
        changed("nodes: 3", "nodes: many").replace("node.kill", "node.kil").replace("- conflicts", "- conflict").replace("90s", "later"),
        [["s.yaml:7:10: 'many'"], ["s.yaml:22:12", "node.kil"], ["s.yaml:25:9: 'later'"], ["s.yaml:33:5", "'conflict'"]],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_full(case: str) -> None:
    """Every problem is there, with its place, and none besides."""
    text, expected = BAD[case]
    found = problems(text)
    assert len(found) == len(expected), "\n".join(found)
    for line, fragments in zip(found, expected, strict=True):
        for fragment in fragments:
            assert fragment in line


def test_files_that_are_no_scenarios(tmp_path: Path) -> None:
    """Missing, unreadable, binary, huge, endless and odd files get one plain line each, and are not read further than need be."""
    (tmp_path / "node-kill.yaml").write_text(GOOD)
    (tmp_path / "binary.yaml").write_bytes(b"\x7fELF\x02\xff\xfe")
    (tmp_path / "nul.yaml").write_bytes(b"a: \0")
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(10 * 1024 * 1024)
    os.mkfifo(tmp_path / "pipe.yaml")
    cases = {
        tmp_path / "node-kil.yaml": f"no such file; expected a scenario file; did you mean '{tmp_path}/node-kill.yaml'?",
        tmp_path / "absent" / "x.yaml": "no such file",
        tmp_path: "a folder; expected a scenario file",
        tmp_path / "binary.yaml": "a file that is not UTF-8 (byte 0xff in line 1); expected text",
        tmp_path / "nul.yaml": ":1:4: the character U+0000; expected text",
        tmp_path / "huge.yaml": "a file that is too large; expected 256 KiB at most",
        tmp_path / "pipe.yaml": "a pipe; expected a scenario file",
        Path("/dev/zero"): "a device; expected a scenario file",
        tmp_path / ("x" * 300): "what cannot be read (File name too long)",
        Path("nul\0.yaml"): "what cannot be read",
    }
    for path, message in cases.items():
        with pytest.raises(BadInput) as caught:
            load(path)
        assert message in str(caught.value)
        assert len(caught.value.problems) == 1


def test_what_the_command_line_says_takes_precedence(tmp_path: Path) -> None:
    """Mode, provider and profile are replaced before anything is checked against them."""
    path = tmp_path / "s.yaml"
    path.write_text(changed("profile: default", "profile: nonsense"))
    assert load(path, profile="fast").profile == "fast"
    with pytest.raises(
        BadInput, match=rf"^--mode: an unknown mode 'flet'; expected one of {', '.join(registry.known().modes)}; did you mean 'fleet'\?$"
    ):
        load(path, mode="flet", profile="fast")


def test_a_mode_without_quorum_is_told_where_one_is_needed() -> None:
    """Leaders, processes, register calls and promises about the quorum need more than machines."""
    text = changed("mode: fleet", "mode: static").replace("  timers: {agent_ttl: 10s}\n", "")
    text = text.replace("fault: node.kill\n", "fault: process.kill\n")
    with pytest.raises(BadInput) as caught:
        loads(text, "s.yaml", among=with_static())
    found = str(caught.value).splitlines()
    assert [line.split(": ", 1)[1].split(";")[0] for line in found] == [
        "'register', with the static mode",
        "the process 'etcd'",
        "'leader', with the static mode",
        "'quorum', with the static mode",
    ]
    assert all("a mode with a quorum and a leader" in line for line in (found[0], *found[2:]))


@pytest.mark.parametrize("path", sorted(SCENARIOS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_scenario_of_ours_loads(path: Path) -> None:
    """Each is named as its file, says why it exists, and a control lies among the controls, or is what upstream is known to break."""
    found = load(path)
    assert found.name == path.stem
    assert len(found.why) > 100
    assert path.parent.name == "upstream" or (found.control is not None) == (path.parent.name == "controls")


def test_the_schema_names_everything_there_is() -> None:
    """Every fault, workload, promise and check is described to editors, with its parameters."""
    schema = json_schema()
    steps = schema["properties"]["steps"]["items"]["oneOf"]
    assert {each["properties"]["fault"]["const"] for each in steps if "fault" in each["properties"]} == set(FAULTS)
    known = registry.known()
    for section, classes in (("workloads", known.workloads), ("promises", known.checkers)):
        items = schema["properties"][section]["items"]["oneOf"]
        assert {name for each in items for name in each.get("properties", {})} == set(classes)
    assert [next(iter(each["properties"])) for each in schema["properties"]["checks"]["items"]["oneOf"]] == list(PROPERTIES)
    times = [each["properties"]["at most"]["anyOf"][0] for each in steps if "do" in each["properties"]]
    assert times
    assert all(each["exclusiveMinimum"] == 0 for each in times), "an action takes some time"
    partition = next(each for each in steps if each["properties"].get("fault") == {"const": "net.partition"})
    assert "halves" in partition["properties"]["with"]["properties"]["shape"]["enum"]
    assert all(shape in partition["properties"]["with"]["description"] for shape in SHAPES)
    assert not re.findall(r"harness\.|`?\w+Error\b", json.dumps(schema)), "it is for whoever writes a scenario"
    assert schema["additionalProperties"] is False


def test_the_schema_says_above_what_a_time_must_be() -> None:
    """Where the loader refuses a time, an editor underlines it: of steps and of promises."""
    schema = json_schema()
    steps = schema["properties"]["steps"]["items"]["oneOf"]
    least = {
        "do": {each["properties"]["at most"]["anyOf"][0]["exclusiveMinimum"] for each in steps if "do" in each["properties"]},
        "await": {each["properties"]["at most"]["anyOf"][0]["exclusiveMinimum"] for each in steps if "await" in each["properties"]},
        "hold": {each["properties"]["hold"]["anyOf"][0]["exclusiveMinimum"] for each in steps if "hold" in each["properties"]},
    }
    assert least == {"do": {0}, "await": {STAYS_SECONDS}, "hold": {0}}
    promises = schema["properties"]["promises"]["items"]["oneOf"]
    (scaled,) = [each["properties"]["scaled"] for each in promises if "scaled" in each.get("properties", {})]
    assert scaled["properties"]["within"]["anyOf"][0]["exclusiveMinimum"] == 0
    for name, key in (("http", "deadline"), ("register", "deadline"), ("probe", "within")):
        properties = parameters.schema(registry.known().workloads[name])["properties"]
        assert properties[key]["anyOf"][0]["exclusiveMinimum"] == 0, name


def test_our_scenarios_fit_the_schema() -> None:
    """What the loader takes, an editor must not underline: every key that a scenario of ours uses is in the schema."""
    schema = json_schema()
    for path in SCENARIOS.rglob("*.yaml"):
        body: dict[Any, Any] = yaml.safe_load(path.read_text())
        assert set(body) <= set(schema["properties"])
        for step in body["steps"]:
            kinds = [each for each in schema["properties"]["steps"]["items"]["oneOf"] if _takes(each, step)]
            assert len(kinds) == 1


def _takes(schema: dict[str, Any], step: dict[Any, Any]) -> bool:
    names = {"on" if name is True else name for name in step}  # YAML 1.1 reads the key `on` as true; the loader does not
    same = all(step.get(key) == schema["properties"].get(key, {}).get("const") for key in ("fault", "do"))
    inner = set(schema["properties"].get("with", {}).get("properties", {}))
    return set(schema["required"]) <= names <= set(schema["properties"]) and same and set(step.get("with", {})) <= inner


def survives(text: str) -> None:
    """Load anything: it is a scenario, or a `BadInput` of which every problem has a place inside the text."""
    try:
        loads(text, "s.yaml")
    except BadInput as bad:
        found = bad.problems
        lines = text.count("\n") + 2
    else:
        return
    assert found
    assert all(0 <= problem.line <= lines and problem.found and problem.expected for problem in found)


@given(text=st.one_of(st.text(max_size=200), st.text(alphabet="ab:-[]{}&*!|>'\"#%@, \n\t0.~?<", max_size=120)))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_scenario_or_bad_input(text: str) -> None:
    """No text brings the loader down."""
    survives(text)


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=12),
        st.sampled_from(["leader", "web", "5s", "n1", "all", "hosting(web)", "2024-01-01", "node.kill", "quorum", "-1s", "broken"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["fault", "on", "hold", "with", "app", "name", "wait", "until", "service", "x"]), inner, max_size=3
        ),
    ),
    max_leaves=6,
)


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """Draw the good file with some of its values, at any depth, replaced or removed."""
    body: Any = yaml.load(GOOD, Loader=yaml.BaseLoader)  # noqa: S506 - our own text, and BaseLoader makes strings only
    for _ in range(draw(st.integers(1, 3))):
        at = body
        for _ in range(draw(st.integers(0, 5))):
            inner = [key for key in (at if isinstance(at, dict) else range(len(at))) if isinstance(at[key], dict | list) and at[key]]
            if not inner:
                break
            at = at[draw(st.sampled_from(inner))]
        key = draw(st.sampled_from(list(at) if isinstance(at, dict) else list(range(len(at)))))
        if draw(st.booleans()):
            at[key] = draw(VALUES)
        elif len(at) > 1:
            del at[key]
    text: str = yaml.safe_dump(body, allow_unicode=True)
    return text


@given(text=mutants())
@settings(max_examples=200, deadline=None)
def test_a_broken_scenario_is_bad_input(text: str) -> None:
    """Wrong types and missing parts anywhere, also several together, never bring the loader down."""
    survives(text)


@given(start=st.integers(0, len(GOOD)), length=st.integers(0, 40), new=st.text(max_size=10))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_bad_input(start: int, length: int, new: str) -> None:
    """A piece of the file that is lost or overwritten never brings the loader down."""
    survives(GOOD[:start] + new + GOOD[start + length :])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("010", "the number 010, which YAML reads as octal: 8"),
        ("-010", "the number -010, which YAML reads as octal: 8"),
        ("0_1", "the number 0_1, which YAML reads as octal: 1"),
        ("00.5", "the number 00.5"),
        ("1_0", "the number 1_0"),
        ("1_0.5", "the number 1_0.5"),
        ("0x10", "the number 0x10"),
        ("0b11", "the number 0b11"),
        ("09", "'09'"),
        ("0o10", "'0o10'"),
        ("1:30", "'1:30'"),
        ("1:30.5", "'1:30.5'"),
        ("010s", "'010s'"),
        ('"010"', "'010'"),
    ],
)
@pytest.mark.parametrize("key", ["cluster: {nodes: %s}", "settle: %s", "workloads: [{register: {rate: %s}}]"])
def test_numbers_that_readers_of_yaml_differ_on_are_refused(text: str, why: str, key: str) -> None:
    """Wherever a number stands: what one reader takes for eight is ten to another, and a minute and a half is ninety to a third."""
    with pytest.raises(BadInput) as bad:
        loads(f"scenario: sample\nwhy: so\nsteps: [{{fault: none, on: any, hold: 1s}}]\npromises: [conflicts]\n{key % text}\n")
    assert [str(each).partition("; ")[0].partition(": ")[2] for each in bad.value.problems] == [why]


def test_numbers_as_people_write_them_are_read() -> None:
    """Zero, fractions, signs; and the mode of a file, which is octal to everybody."""
    found = document.parse("[0, 10, 0.5, .5, 5., -1, +1, 1.0e+3, {mode: 0644}, {size: 20}]", "s.yaml")
    assert (found.value, found.problems) == ([0, 10, 0.5, 0.5, 5.0, -1, 1, 1000.0, {"mode": 0o644}, {"size": 20}], ())


def test_nothing_that_is_wrong_with_the_cluster_hides_what_is_wrong_elsewhere() -> None:
    """An unknown mode, provider or profile, a number of nodes that cannot be: each is one problem beside all the others."""
    text = """scenario: sample
why: so
cluster: {mode: feet, provider: nspwn, profile: slow, nodes: %s, timers: {agent_tl: 5s}}
apps: [{name: web, instances: -1}]
steps: [{fault: node.kil, on: any, hold: 1x}, {fault: node.kill, on: leadr & n9, hold: 1s}]
promises: [conflict]
"""
    both = {
        "3:17: an unknown mode 'feet'",
        "3:33: an unknown provider 'nspwn'",
        "3:49: an unknown profile 'slow'",
        "3:%d: a timer 'agent_tl'",
        "4:31: -1",
        "5:17: an unknown fault 'node.kil'",
        "5:42: '1x'",
        "6:12: an unknown promise 'conflict'",
    }
    cases: list[tuple[str, int, set[str]]] = [
        ("3", 74, {"5:70: the target 'leadr'", "5:78: the target 'n9'"}),
        ("99", 75, {"3:62: 99"}),
        ("3x", 75, {"3:62: '3x'"}),
    ]
    for nodes, column, more in cases:
        with pytest.raises(BadInput) as bad:
            loads(text % nodes, "s.yaml")
        said = {str(each).partition("; ")[0].removeprefix("s.yaml:") for each in bad.value.problems}
        assert said == {each.replace("%d", str(column)) for each in both} | more


UNCLOSED = {
    "a mapping": ("promises:\n  - availability: {app: web, share: 50%\n", "2:19", "a { of a mapping that is not closed"),
    "a list": ("apps: [a, b\nsteps: []\n", "1:7", "a [ of a list that is not closed"),
    "a wrong bracket": ("apps: [a, b}\n", "1:7", "a [ of a list that is not closed"),
    "a text": ("why: 'so\nsteps: []\n", "1:6", "a quotation mark that is not closed"),
    "in between": ("a: 1\ncluster: {nodes: 3\nb: 2\nc: 3\n", "2:10", "a { of a mapping that is not closed"),
}


@pytest.mark.parametrize("kind", UNCLOSED)
def test_what_is_not_closed_is_told_where_it_was_opened(kind: str) -> None:
    """Where it was noticed is any number of lines further on, and past the end at that."""
    text, where, words = UNCLOSED[kind]
    with pytest.raises(BadInput) as caught:
        loads(text, "a.yaml")
    (problem,) = caught.value.problems
    assert (f"{problem.line}:{problem.column}", problem.found) == (where, words)
    assert repr(text.split("\n")[problem.line - 1].strip()) in problem.hint


def test_a_line_that_is_not_under_the_others_is_told_in_plain_words() -> None:
    """And where the others begin."""
    with pytest.raises(BadInput) as caught:
        loads("steps:\n  - fault: node.kill\n   on: any\n", "a.yaml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.found) == (3, "a line that does not stand under the others")
    assert problem.expected == "2 spaces and '- ', or 4 for a key of an item"
    assert problem.hint.endswith("its list begins in line 2")


WHOLE = """\
scenario: whole
why: all of it is right
cluster: {nodes: 5}
apps:
  - {name: web, instances: 2}
workloads:
  - http: {app: web, rate: 20/s, deadline: 1s}
  - register: {rate: 10/s, deadline: 2s}
steps:
  - fault: node.kill
    on: hosting(web) & any
    hold: {until: recovered, at most: 60s}
  - fault: node.kill
    on: n5
    hold: 5s
promises:
  - rescheduled: {app: web}
  - writes
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("apps", "app"),
        ("apps", "Apps"),
        ("cluster", "clusters"),
        ("workloads", "workload"),
        ("steps", "step"),
        ("promises", "promise"),
        ("scenario", "scenaro"),
        ("why", "whys"),
    ],
)
def test_a_slip_of_the_pen_in_a_parts_name_is_one_problem(right: str, wrong: str) -> None:
    """Not also everything that is not there because of it."""
    loads(WHOLE)
    with pytest.raises(BadInput) as caught:
        loads(WHOLE.replace(f"{right}:", f"{wrong}:", 1))
    assert [problem.found for problem in caught.value.problems] == [f"an unknown key {wrong!r}"]


@pytest.mark.parametrize(
    ("old", "new", "found", "hint"),
    [
        ("name: web", "nam: web", "an unknown key 'nam'", "did you mean 'name'?"),
        ("nodes: 5", "node: 5", "an unknown key 'node'", "did you mean 'nodes'?"),
        ("nodes: 5", "nodse: 5", "an unknown key 'nodse'", "did you mean 'nodes'?"),
        ("at most: 60s", "at_most: 60s", "an unknown key 'at_most'", "did you mean 'at most'?"),
        ("at most: 60s", "timeout: 60s", "an unknown key 'timeout'", "did you mean 'at most'?"),
        ("hold: 5s", "holds: 5s", "an unknown key 'holds'", "did you mean 'hold'?"),
        ("hold: 5s", "HOLD: 5s", "an unknown key 'HOLD'", "did you mean 'hold'?"),
        ("hold: 5s", "duration: 5s", "an unknown key 'duration'", "did you mean 'hold'?"),
        ("hold: 5s", "for: 5s", "an unknown key 'for'", "did you mean 'hold'?"),
        ("hold: 5s", "hold: {for: 5s}", "a mapping with for", ""),
        ("hold: 5s", "a: dead\n  - heal: dead", "an unknown key 'a'", "did you mean 'as'?"),
        ("hold: 5s", "sa: dead\n  - heal: all", "an unknown key 'sa'", "did you mean 'as'?"),
        ("on: n5", "onn: n5", "an unknown key 'onn'", "did you mean 'on'?"),
        ("on: n5", "no: n5", "an unknown key 'no'", "did you mean 'on'?"),
        ("on: n5", "target: n5", "an unknown key 'target'", "did you mean 'on'?"),
        ("with: {instances: 3, app: web}", "with_: {instances: 3, app: web}", "an unknown key 'with_'", "did you mean 'with'?"),
        ("with: {instances: 3, app: web}", "params: {instances: 3, app: web}", "an unknown key 'params'", "did you mean 'with'?"),
        ("with: {shape: isolate}", "wiht: {shape: isolate}", "an unknown key 'wiht'", "did you mean 'with'?"),
        ("rescheduled: {app: web}", "rescheduled: {ap: web}", "an unknown key 'ap'", "did you mean 'app'?"),
        ("http: {app: web,", "http: {apps: web,", "an unknown key 'apps'", "did you mean 'app'?"),
        ("steps:", "setps:", "an unknown key 'setps'", "did you mean 'steps'?"),
        ("mode: fleet", "mode: SWAMR", "an unknown mode 'SWAMR'", "did you mean 'swarm'?"),
        ("on: n5", "on: HOSTING(web)", "HOSTING(…) in the target 'HOSTING(web)'", "did you mean 'hosting'?"),
    ],
)
def test_a_slip_of_the_pen_anywhere_is_one_problem(old: str, new: str, found: str, hint: str) -> None:
    """What was meant is not missing as well, and what other parts of the file ask of it is not wrong."""
    assert old in SLIPPED
    loads(SLIPPED)
    with pytest.raises(BadInput) as caught:
        loads(SLIPPED.replace(old, new, 1))
    assert [(problem.found, problem.hint) for problem in caught.value.problems] == [(found, hint)]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("scenario: whole", "scenario:whole", 1, "a colon with no space after it; expected a space after the colon of a key"),
        ("why: all of it is right", "why:>\n  all of it\n  is right", 2, "a colon with no space after it"),
        ("why: all of it is right", "# x:y\nwhy:all of it is right", 3, "a colon with no space after it"),
        ("- fault: net", "- fault:net", 16, "a colon with no space after it"),
        ("with: {shape: isolate}", "with:{shape: isolate}", 18, "a space after the colon: `with: {shape`"),
        ("{instances: 3, app: web}", "{instances:3, app: web}", 21, "a space after the colon: `instances: 3`"),
        ("  - fault: net.partition", "  - wait:5s\n  - fault: net.partition", 16, "a space after the colon: `wait: 5s`"),
        ("  - fault: net", "  - {fault:node.kill, on: any, hold: 5s}\n  - fault: net", 16, "a space after the colon: `fault: node.kill`"),
        ("why: all", "why: >\n  some note:this\nwhat is this\nclusters: 3\nall: all", 5, "text that is not YAML"),
    ],
)
def test_a_space_that_is_missing_after_a_colon_is_told_where_it_is_missing(old: str, new: str, line: int, words: str) -> None:
    """The library notices it lines below, in one that is right."""
    with pytest.raises(BadInput) as caught:
        loads(SLIPPED.replace(old, new, 1))
    assert [(problem.line, words in str(problem)) for problem in caught.value.problems] == [(line, True)]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("hold: 5s", "hold: yes", "yes, which YAML reads as true"),
        ("hold: 5s", "hold: Off", "Off, which YAML reads as false"),
        ("instances: 2", "instances: yes", "yes, which YAML reads as true"),
        ("scenario: whole", "scenario: on", "on, which YAML reads as true"),
        ("hold: 5s", "hold: true", "True"),
        ("scenario: whole", f"scenario: {'a' * 99}", f"'{'a' * 59}…'"),
    ],
)
def test_what_stands_in_a_file_is_told_as_it_stands_there(old: str, new: str, found: str) -> None:
    """Nobody finds a "true" in a file that has none, and a text that is cut is quoted on both sides."""
    with pytest.raises(BadInput) as caught:
        loads(SLIPPED.replace(old, new, 1))
    assert [problem.found for problem in caught.value.problems] == [found]


SLIPPED = (
    WHOLE.replace("nodes: 5", "nodes: 5, mode: fleet")
    .replace(
        "promises:",
        """\
  - fault: net.partition
    on: any
    with: {shape: isolate}
    hold: 1s
  - do: app.scale
    with: {instances: 3, app: web}
promises:""",
        1,
    )
    .replace("  - writes\n", "  - writes\n  - scaled: {app: web, to: 3, within: 30s}\n")
)


@pytest.mark.parametrize("cluster", ["cluster:\ncluster: {nodes: 5}", "cluster:", "cluster: 5", "cluster: {nodes: x}"])
def test_of_a_cluster_that_could_not_be_read_nothing_is_reckoned(cluster: str) -> None:
    """How many nodes a cut divides, and which there are, is then not known."""
    text = SLIPPED.replace("cluster: {nodes: 5, mode: fleet}", cluster)
    with pytest.raises(BadInput) as caught:
        loads(text.replace("shape: isolate", "shape: halves").replace("on: any", "on: minority"))
    assert {problem.line for problem in caught.value.problems} <= {3, 4}


@pytest.mark.parametrize(
    ("step", "keys"),
    [
        ("{fault: command, on: any, hold: 5s, inject: touch x, heal: rm -f x, in_force: test -e x}", ["inject", "heal", "in_force"]),
        ("{fault: net.partition, on: any, hold: 5s, shape: isolate}", ["shape"]),
        ("{do: app.scale, app: web, instances: 3}", ["app", "instances"]),
        ("{do: command, on: n1, run: date}", ["run"]),
    ],
)
def test_parameters_beside_with_are_told_once_each_whatever_the_step(step: str, keys: list[str]) -> None:
    """Not as missing under `with`, too, and not as a step of another kind, whose word one of them is."""
    with pytest.raises(BadInput) as caught:
        loads(WHOLE.replace("promises:", f"  - {step}\npromises:", 1))
    assert [(each.found, each.hint) for each in caught.value.problems] == [
        (f"an unknown key {key!r}", f"put it under with: `with: {{{key}: …}}`") for key in keys
    ]


def test_a_key_that_is_missing_and_not_meant_by_another_is_told() -> None:
    """Beside the slip of another one."""
    with pytest.raises(BadInput) as caught:
        loads(WHOLE.replace("{app: web, rate: 20/s, deadline: 1s}", "{rte: 20/s}"))
    assert [problem.found for problem in caught.value.problems][:2] == ["'app' is missing", "an unknown key 'rte'"]


def test_what_does_not_follow_from_a_slip_is_told_beside_it() -> None:
    """All problems at once, as ever."""
    with pytest.raises(BadInput) as caught:
        loads(WHOLE.replace("apps:", "app:").replace("node.kill", "node.kil", 1))
    assert [problem.found for problem in caught.value.problems] == ["an unknown key 'app'", "an unknown fault 'node.kil'"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("node.kill", "x", ("net.partition", "disk.slow", "none")),
        ("- writes", "- x", ("conflicts", "quorum", "writes")),
        ("- register: {rate: 10/s, deadline: 2s}", "- x", ("http", "register")),
        ("nodes: 5}", "nodes: 5, timers: {x: 1s}}", ("agent_ttl", "etcd_election_timeout")),
        ("fault: node.kill", "fault: process.kill\n    with: {process: x}", ("etcd", "docker")),
        ("on: n5", "on: n6", ("n1 to n5", "leader", "follower", "minority", "hosting(APP)")),
    ],
)
def test_every_word_that_is_valid_is_named(old: str, new: str, words: tuple[str, ...]) -> None:
    """Nobody has to look them up."""
    with pytest.raises(BadInput) as caught:
        loads(WHOLE.replace(old, new, 1))
    assert all(word in caught.value.problems[0].expected for word in words)


@pytest.mark.parametrize(
    ("instead", "place", "name"),
    [
        (("    on: any", "\u00a0   on: any"), (6, 1), "no-break space (U+00A0)"),
        (("    on: any", "    on:\u00a0any"), (6, 8), "no-break space (U+00A0)"),
        (("  - wait", "\u2003 - wait"), (4, 1), "em space (U+2003)"),
        (("  - wait", "  -\u3000wait"), (4, 4), "ideographic space (U+3000)"),
        (("promises:", "promises:\u200b"), (8, 10), "zero width space (U+200B)"),
    ],
)
def test_what_only_looks_like_a_space_is_told_where_it_stands(instead: tuple[str, str], place: tuple[int, int], name: str) -> None:
    """Not in the line below, where the library noticed that something is wrong. As a part of a text it is nobody's business."""
    text = "scenario: x\nwhy: y\nsteps:\n  - wait: 5s\n  - fault: node.kill\n    on: any\n    hold: 5s\npromises:\n  - conflicts\n"
    with pytest.raises(BadInput) as raised:
        loads(text.replace(*instead))
    (problem,) = raised.value.problems
    assert ((problem.line, problem.column), problem.found) == (place, f"{name}, which looks like a space and is none")
    with pytest.raises(BadInput) as raised:
        loads(text.replace("why: y", "why: a\u00a0b: c"))
    assert "looks like" not in str(raised.value)


def test_a_hint_of_a_unit_is_told_wherever_a_value_stands() -> None:
    """In a step, under `with`, in a workload and in a promise, each as a hint after what was expected."""
    with pytest.raises(BadInput) as raised:
        loads(
            "scenario: x\nwhy: y\napps: [{name: web, instances: 1}]\nworkloads: [{http: {app: web, rate: 20/sec}}]\nsettle: 2 minutes\n"
            "steps:\n  - wait: 5min\n  - {fault: disk.slow, with: {fsync: 1 sec}, on: any, hold: 10 seconds}\n"
            "  - {fault: node.kill, on: any, hold: {until: recovered, at most: 1min}}\n"
            "promises: [{availability: {app: web, share: 5 percent, gap: 1 hour}}]\n"
        )
    hints = [each.hint for each in raised.value.problems]
    assert hints == [f"did you mean {each!r}?" for each in ("20/s", "2m", "5m", "1s", "10s", "1m", "5%", "1h")]
