"""Bad input through the real command: one clear error each, the right exit status, never a traceback, nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness import cli
from harness.core.values import Verdict
from tests.unit.commanding import a_plan, conducted

REPO = Path(__file__).resolve().parents[2]
GOOD = (REPO / "scenarios" / "node-kill.yaml").read_text(encoding="utf-8")
BOMB = "\n".join(
    [
        'a: &a ["lol", "lol", "lol"]',
        *(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
)

BAD: dict[str, tuple[bytes, str]] = {
    "unknown key": (GOOD.replace("settle:", "setle:").encode(), ":22:1: an unknown key 'setle'"),
    "wrong type": (GOOD.replace("nodes: 3", "nodes: three").encode(), ":9:10: 'three'; expected a whole number from 1 to 50"),
    "unknown fault": (GOOD.replace("node.kill", "node.kil").encode(), "did you mean 'node.kill'?"),
    "impossible target": (GOOD.replace("hosting(web) & any", "n1 & n2").encode(), ":20:9: the target 'n1 & n2'"),
    "no such node": (GOOD.replace("hosting(web) & any", "n9").encode(), "expected a node's name, n1 to n3"),
    "two hundred nodes": (GOOD.replace("nodes: 3", "nodes: 200").encode(), ":9:10: 200; expected a whole number from 1 to 50"),
    "a key twice": (GOOD.replace("nodes: 3", "nodes: 3\n  nodes: 3").encode(), "the key 'nodes' a second time"),
    "a name that leaves the folder": (GOOD.replace("scenario: node-kill", "scenario: ../../x").encode(), "'../../x'; expected a name"),
    "an endless rate": (GOOD.replace("20/s", "1e309/s").encode(), "expected a rate above 0"),
    "an empty file": (b"", "an empty file; expected a scenario"),
    "ten megabytes": (b"scenario: x\nwhy: " + b"a" * 10_000_000, "expected 256 KiB at most; it was not read"),
    "a binary file": (bytes(range(256)) * 16, "expected text"),
    "text that is not UTF-8": ("scenario: été\n".encode("latin-1"), "not UTF-8"),
    "a YAML bomb": (BOMB.encode(), "anchors and aliases are not allowed here"),
    "a list in itself": (b"a: &a [*a]\n", "anchors and aliases are not allowed here"),
    "five thousand brackets": (b"a: " + b"[" * 5000 + b"]" * 5000, "inside each other"),
    "a Python tag": (b'scenario: !!python/object/apply:os.system ["touch pwned"]\n', "expected plain values without tags"),
}


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call the command in an empty folder, with a state folder of its own that is not there yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    for name in ("WHALEFALL_DEBUG", "WHALEFALL_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    runner = CliRunner()
    return lambda *args: runner.invoke(cli.main, args)


def real(*args: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(REPO), "WHALEFALL_STATE": str(cwd / "state"), **environ}
    return subprocess.run(
        [sys.executable, "-m", "harness", *args], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_bad_file_is_told_in_words_and_leaves_nothing(call: Callable[..., Result], command: str, case: str) -> None:
    """Exit 2 with what is wrong; no results, no state, and no code of the file's is run."""
    body, words = BAD[case]
    Path("bad.yaml").write_bytes(body)
    result = call(command, "bad.yaml")
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert result.output.startswith("bad.yaml")
    assert "Traceback" not in result.output
    assert [each.name for each in Path().iterdir()] == ["bad.yaml"]


def test_all_problems_of_two_files_come_at_once(call: Callable[..., Result]) -> None:
    """A user mends everything in one go, and the good file beside them is not run."""
    Path("one.yaml").write_bytes(BAD["unknown key"][0])
    Path("two.yaml").write_text(GOOD.replace("nodes: 3", "nodes: three").replace("20/s", "fast", 1), encoding="utf-8")
    Path("good.yaml").write_text(GOOD, encoding="utf-8")
    result = call("run", "one.yaml", "good.yaml", "two.yaml")
    assert result.exit_code == 2
    assert [line.split(":")[0] for line in result.output.splitlines()[:-1]] == ["one.yaml", "two.yaml", "two.yaml"]
    assert result.output.endswith("3 problems; nothing was done\n")
    assert not Path("results").exists()


@pytest.mark.parametrize("seconds", ["nan", "-nan", "inf", "0", "1e9", "x"])
def test_no_number_of_seconds_is_bad_usage(call: Callable[..., Result], seconds: str) -> None:
    """Before any disk is measured; to click NaN lies in every range."""
    result = call("preflight", "--seconds", seconds)
    assert result.exit_code == 2
    assert "--seconds" in result.output


@pytest.mark.parametrize(
    ("option", "value"), [("--mode", "flet"), ("--provider", "vagrnt"), ("--profile", "slow"), ("--seed", "abc"), ("--seed", "-3")]
)
def test_a_bad_option_is_a_usage_error_that_names_it(call: Callable[..., Result], option: str, value: str) -> None:
    """Exit 2, before anything is made."""
    Path("good.yaml").write_text(GOOD, encoding="utf-8")
    result = call("run", "good.yaml", option, value)
    assert result.exit_code == 2
    assert option in result.output
    assert not Path("results").exists()


def test_what_is_not_there_is_said_so(call: Callable[..., Result]) -> None:
    """A missing file, a folder without scenarios, and a results folder that is a file."""
    Path("empty").mkdir()
    Path("file").touch()
    assert "no such file" in call("run", "missing.yaml").output
    assert "a folder without scenario files" in call("run", "empty").output
    Path("good.yaml").write_text(GOOD, encoding="utf-8")
    for args in (("run", "missing.yaml"), ("run", "empty"), ("run", "good.yaml", "--results", "file")):
        assert call(*args).exit_code == 2


def test_nothing_that_a_link_of_somebody_elses_leads_to_is_read(call: Callable[..., Result], tmp_path: Path) -> None:
    """Neither the definition of an app nor a file of a folder: what only root may read would be shown. A file that is named may be one."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2: x\n")
    Path("theirs/units").mkdir(parents=True)
    Path("theirs/units/hello@.service").symlink_to(secret)
    Path("theirs/x.yaml").symlink_to(secret)
    own = GOOD.replace("  - name: web\n", "  - name: web\n    native: units/hello@.service\n")
    Path("theirs/own.yaml").write_text(own, encoding="utf-8")
    result = call("plan", "theirs")
    assert result.exit_code == 2
    assert "hunter2" not in result.output
    assert "theirs/x.yaml: a link that leads elsewhere; expected a scenario file; name the file itself" in result.output
    assert "'units/hello@.service': a link that leads elsewhere" in result.output
    assert "an unknown key 'hunter2'" in call("plan", "theirs/x.yaml").output


def test_a_machine_without_the_tools_is_told_all_that_it_lacks(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exit 4, a line for each tool with its package, and neither results nor state are made."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("harness.host.surroundings.FOLDERS", ())
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    result = call("run", str(REPO / "scenarios" / "node-kill.yaml"), "--plain")
    assert result.exit_code == 4
    assert "systemd-nspawn is missing: install the package systemd-container" in result.output
    assert "nft is missing: install the package nftables" in result.output
    assert "Traceback" not in result.output
    assert list(Path.cwd().iterdir()) == []
    assert not (tmp_path / "state").exists()


def test_a_results_folder_that_cannot_be_made_is_the_users_problem(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Told with the folder and the reason, not as a bug to report, and before a node is made."""
    monkeypatch.setattr("harness.providers.nspawn.NspawnProvider.prepare", lambda *_: {})  # the machine is not the question here
    Path("file").touch()
    Path("good.yaml").write_text(GOOD, encoding="utf-8")
    result = call("run", "good.yaml", "--results", "file/below")
    assert result.exit_code == 4
    (line,) = [each for each in result.output.splitlines() if "failed" in each]
    assert line.startswith("whalefall failed: cannot write results to file/below/node-kill-fleet-")
    assert "Not a directory" in line
    assert line.endswith("choose another folder for results")
    assert "should not" not in result.output


@pytest.mark.parametrize("what", ["", " ", "file", "/dev/null"])
@pytest.mark.parametrize("command", [("list",), ("run", "good.yaml"), ("show",)])
def test_what_can_be_no_folder_of_results_is_bad_usage(call: Callable[..., Result], command: tuple[str, ...], what: str) -> None:
    """Also nothing, as a variable that is not set: it is not the folder that one stands in."""
    Path("file").touch()
    Path("good.yaml").write_text(GOOD, encoding="utf-8")
    result = call(*command, "--results", what)
    assert (result.exit_code, "Invalid value for '--results'" in result.output) == (2, True), result.output


@pytest.mark.parametrize("command", ["show", "judge"])
def test_no_name_is_no_name_of_a_run(call: Callable[..., Result], command: str) -> None:
    """It is the start of every name."""
    Path("results/run-1").mkdir(parents=True)
    Path("results/run-1/plan.json").write_text("{}", encoding="utf-8")
    result = call(command, "")
    assert (result.exit_code, result.output) == (2, "no run has no name: give its id, the start of one, its folder, or latest\n")


def test_an_inventory_that_no_run_would_use_is_bad_usage(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster that was broken would be another one than what was named."""
    conductor = conducted(monkeypatch, Verdict.HELD)
    result = call("run", "--inventory", "hosts.ini", "good.yaml")
    assert result.exit_code == 2
    assert "--inventory names hosts for --provider inventory, and nodes would come from nspawn" in result.output
    assert conductor.outcomes == [Verdict.HELD]
    conductor.outcomes.append(Verdict.HELD)
    whence = {"good.yaml": "nspawn", "hosts.yaml": "inventory"}
    monkeypatch.setattr("harness.plan.plan_of", lambda path, *, seed, **_: replace(a_plan(seed), provider=whence[Path(path).name]))
    result = call("run", "--inventory", "hosts.ini", "good.yaml", "hosts.yaml")  # one of them takes its nodes from there
    assert (conductor.outcomes, "--inventory names hosts" in result.output) == ([], False), result.output


def test_a_link_to_nowhere_is_told_as_one(call: Callable[..., Result]) -> None:
    """Its own name is no hint."""
    Path("node-kill.yaml").symlink_to("gone.yaml")
    assert call("plan", "node-kill.yaml").output.startswith(
        "node-kill.yaml: a link to gone.yaml, which is not there; expected a scenario file\n"
    )


@pytest.mark.parametrize(
    ("asked", "hint"), [("node-kil.yaml", "did you mean 'node-kill.yaml'?"), ("zzz.yml", ""), ("elsewhere/node-kill.yaml", "")]
)
def test_a_missing_file_is_answered_with_a_near_name_of_its_own_folder_or_none(call: Callable[..., Result], asked: str, hint: str) -> None:
    """A name that is not there, or not near, helps nobody."""
    Path("node-kill.yaml").write_text(GOOD, encoding="utf-8")
    output = call("run", asked).output
    assert output.startswith(f"{asked}: no such file; expected a scenario file{'; ' * bool(hint)}{hint}\n")


@pytest.mark.parametrize(
    "given",
    ["a" * 300, f"{'a' * 300}/x", "a" * 5000, "~nobody-of-this-name/x", "missing"],
    ids=["a long name", "a long folder", "a long path", "nobody's", "missing"],
)
@pytest.mark.parametrize("command", ["run", "rehearse", "show", "list", "plan"])
def test_a_path_that_cannot_be_one_is_bad_input_of_every_command(call: Callable[..., Result], command: str, given: str) -> None:
    """Exit 2 and one line: nothing was to be written to it."""
    Path("good.yaml").write_text(GOOD, encoding="utf-8")
    hosts = ("good.yaml", "--provider", "inventory", "--inventory", given)
    argv = {
        "run": ("run", *hosts),
        "rehearse": ("run", "--dry-run", *hosts),
        "show": ("show", given),
        "list": ("list", "--results", given),
        "plan": ("plan", given),
    }[command]
    result = call(*argv)
    assert result.exit_code == (0 if command == "list" and "aaa" not in given else 2), result.output
    assert "cannot write" not in result.output
    assert "Traceback" not in result.output


_REST = "b ansible_host=198.51.100.2\nc ansible_host=198.51.100.3\n"
MISTAKEN_INVENTORIES: dict[str, tuple[str, str]] = {
    "an address twice": ("a ansible_host=198.51.100.1\nb ansible_host=198.51.100.1\nc ansible_host=198.51.100.3\n",
        "hosts.ini:2:1: the address 198.51.100.1"),
    "this machine": ("a ansible_host=127.0.0.1\n" + _REST, "hosts.ini:1:1: a, whose address"),
    "no such key": ("a ansible_host=198.51.100.1 ansible_ssh_private_key_file=/no/id\n" + _REST,
        "hosts.ini:1:1: the key /no/id"),
    "a slip": ("a ansible_host=198.51.100.1 ansible_prot=22\n" + _REST, "hosts.ini:1:1: a variable ansible_prot"),
    "too few hosts": ("a ansible_host=198.51.100.1\n", "hosts.ini: 1 host (a); expected 3"),
    "an empty file": ("", "hosts.ini: an empty file; expected at least one host"),
    "an open bracket": ("[wf\na\n", "hosts.ini:1:1: what Ansible refuses: a '[' without its ']'"),
}  # fmt: skip


@pytest.mark.parametrize("how", [("--dry-run",), ()], ids=["rehearsed", "run"])
@pytest.mark.parametrize("mistake", MISTAKEN_INVENTORIES)
def test_a_mistake_that_stands_in_an_inventory_is_bad_input_and_asks_no_host(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, mistake: str, how: tuple[str, ...]
) -> None:
    """Exit 2 with its line: nothing of the harness failed, and nobody need answer for it to be known."""
    asked: list[object] = []
    monkeypatch.setattr("harness.nodes.ssh.SshNode.run", lambda *args, **_: asked.append(args))
    text, said = MISTAKEN_INVENTORIES[mistake]
    Path("good.yaml").write_text(GOOD, encoding="utf-8")
    Path("hosts.ini").write_text(text, encoding="utf-8")
    result = call("run", *how, "good.yaml", "--provider", "inventory", "--inventory", "hosts.ini")
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert asked == []


def test_a_folder_without_scenarios_hides_no_other_problem(call: Callable[..., Result]) -> None:
    """Wherever it stands, all that is wrong is told at once; a name that is too long is one of the problems."""
    Path("empty").mkdir()
    Path("bad.yaml").write_bytes(BAD["unknown key"][0])
    result = call("run", "empty", "bad.yaml", f"{'n' * 300}.yaml", "missing.yaml")
    assert result.exit_code == 2
    assert result.output.endswith("4 problems; nothing was done\n")
    for words in ("a folder without scenario files", "an unknown key 'setle'", "File name too long", "missing.yaml: no such file"):
        assert words in result.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_not_being_root_is_one_clear_line(tmp_path: Path) -> None:
    """Exit 4 with what to do; `plan` needs no root."""
    tmp_path.chmod(0o777)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-B", "-c")
    script = f"import os, sys; os.chdir('/'); sys.path.insert(0, {str(REPO)!r}); from harness import cli; cli.main(sys.argv[1:])"
    scenario = str(REPO / "scenarios" / "node-kill.yaml")
    reachable = subprocess.run([*nobody, f"open({scenario!r})"], capture_output=True, check=False)
    if reachable.returncode:
        pytest.skip("the checkout or the interpreter cannot be read by others")
    done = subprocess.run(
        [*nobody, script, "run", scenario, "--results", str(tmp_path / "results"), "--plain"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 4, done.stderr
    assert "not root: nodes are real machines; run it with sudo" in done.stderr
    assert "Traceback" not in done.stderr
    assert subprocess.run([*nobody, script, "plan", scenario], capture_output=True, check=False, timeout=60).returncode == 0
