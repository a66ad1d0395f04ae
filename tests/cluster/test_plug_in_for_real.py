"""The example plug-in's own scenario on real machines, from an environment of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.plugin.whalefall_example.ports import ClosedPort
from fixtures.plugin.whalefall_example.words import Say
from harness.core.protocols import Cluster, Node
from harness.testing import fault_contract
from harness.testing.action_contract import ACTION, ActionCase
from tests.plugged import SCENARIO, environment, whalefall

pytestmark = pytest.mark.cluster


def test_a_fault_and_a_checker_of_others_run_as_ours_do(tmp_path: Path) -> None:
    """The scenario is held, its fault was in force and is gone, and the checker of others says so beside ours."""
    python = environment(tmp_path)
    results = tmp_path / "results"
    argv = ("run", str(SCENARIO), "--profile", "fast", "--seed", "7", "--plain", "--results", str(results))
    with tempfile.TemporaryDirectory(prefix="wf-") as state:  # sockets lie in it, whose paths must be short
        done = whalefall(python, *argv, WHALEFALL_STATE=state)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = [each for each in results.iterdir() if each.is_dir() and not each.is_symlink()]
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    found = {each["checker"]: each for each in verdict["findings"]}
    assert verdict["verdict"] == "held"
    assert found["example.again"]["verdict"] == "held"
    assert found["clean"]["verdict"] == "held"
    told = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    stages = [each["stage"] for each in told if each.get("name") == "example.port" and "stage" in each]
    assert "in force" in " ".join(stages).replace("_", " ").replace("-", " ")
    acted = [each for each in told if each["kind"] == "action"]
    assert [(each["name"], each["targets"], each.get("outcome")) for each in acted] == [
        ("example.say", ["n1", "n2", "n3"], None),
        ("example.say", ["n1", "n2", "n3"], "ok"),
    ]
    # Judged anew from what lies on disk, in another process, as any run.
    again = whalefall(python, "judge", str(folder))
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.parametrize("promise", ACTION.values(), ids=ACTION)
def test_an_action_of_others_keeps_the_promises_of_ours(machines: Cluster, promise: Callable[[ActionCase], None]) -> None:
    """By the same contract, on the same machines."""
    begins: dict[str, str] = {}

    def journal(node: Node, *more: str) -> list[str]:
        """What was said on a node, as soon as it was said: what the journal was handed and has not written yet is written first."""
        node.run("journalctl", "--sync")
        return node.run("journalctl", "--quiet", "--no-pager", "--output", "short", *more).out.decode().splitlines()

    def said(node: Node | None) -> bool:
        # Looked for here: journalctl leaves the first line out where it is to look both for a place and for who spoke.
        return node is not None and any("whalefall-example" in line for line in journal(node, "--after-cursor", begins[node.name]))

    def forget() -> None:
        # A place in the journal, and not a journal that is emptied: what is younger than a second cannot be removed from it.
        for node in machines.nodes:
            begins[node.name] = journal(node, "--lines", "1", "--show-cursor")[-1].removeprefix("-- cursor: ")

    forget()
    promise(ActionCase(Say("hello"), machines, [machines.node(name) for name in ("n1", "n3")], said, forget))


@pytest.mark.parametrize("promise", fault_contract.FAULT.values(), ids=fault_contract.FAULT)
def test_a_fault_of_others_keeps_the_promises_of_ours(machines: Cluster, promise: Callable[[fault_contract.Case], None]) -> None:
    """By the same contracts, on the same machines."""
    promise(fault_contract.Case(ClosedPort(8001), machines, [machines.node(name) for name in ("n1", "n3")], spreads=False))
