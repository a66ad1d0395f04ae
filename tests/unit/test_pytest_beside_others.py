"""The pytest plugin beside other plug-ins: nothing of ours has a name that others use, and what is theirs is left alone."""

from __future__ import annotations

import inspect
import os
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from harness import pytest_plugin

OTHERS = """
import pytest

def pytest_addoption(parser):
    # pytest-profiling, pytest-ansible, pytest-randomly, pytest-bdd and their like
    for name in ("--profile", "--profile-svg", "--inventory", "--host-pattern", "--user", "--become",
                 "--limit", "--mode", "--provider", "--seed", "--results", "--results-dir", "--keep-cluster",
                 "--reuse-cluster", "--nodes", "--cluster"):
        parser.addoption(name, action="store", default=None)
    for name in ("mode", "provider", "profile", "inventory", "results"):
        parser.addini(name, "theirs")

def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".yml":
        return Theirs.from_parent(parent, path=file_path)

class Theirs(pytest.File):
    def collect(self):
        yield Item.from_parent(self, name="theirs")

class Item(pytest.Item):
    def runtest(self):
        pass
"""
FOREIGN = {
    "a playbook": b"- hosts: all\n  tasks: []\n",
    "somebody's settings": b"version: 3\nservices: {}\n",
    "tags of somebody's": b"key: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n",
    "no YAML": b"{{ template }}: [\n\t- x\n",
    "binary": bytes(range(256)),
    "nothing": b"",
    "a word in its middle": b"text: |\n  the scenario: is this\nname: scenario\n",
    "many documents": b"a: 1\n---\nb: 2\n",
    "large": b"# x\n" * 200_000,
}


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest with our plug-in in a process of its own."""
    plugin = [] if pytester._request.config.pluginmanager.has_plugin("whalefall") else ["-p", "harness.pytest_plugin"]
    return pytester.runpytest_subprocess(*plugin, "-p", "no:cacheprovider", "-p", "no:randomly", *args)


@pytest.fixture(autouse=True)
def found(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes find this package, and the plug-in of others."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[2]}{os.pathsep}{pytester.path}")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def test_nothing_that_comes_with_us_is_a_plug_in() -> None:
    """What we depend on has options of its own otherwise, in every pytest run of whoever installs us."""
    found = {
        name: [each.name for each in metadata.distribution(name).entry_points if each.group == "pytest11"]
        for line in metadata.requires("whalefall") or ()
        if "extra ==" not in line
        for name in [re.split(r"[^\w.-]", line)[0]]
    }
    assert "click" in found
    assert {name: plugins for name, plugins in found.items() if plugins} == {}


class Noting:
    """A parser that notes what is added to it."""

    def __init__(self) -> None:
        self.options: list[str] = []
        self.settings: list[str] = []

    def getgroup(self, *args: Any) -> Noting:
        """Return itself: groups are for people."""
        return self

    def addoption(self, *names: str, **kwargs: Any) -> None:
        """Note an option, and where its value is kept."""
        self.options += [*names, *(f"--{kwargs['dest']}" for _ in "1" if "dest" in kwargs)]

    def addini(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Note a setting."""
        self.settings.append(name)


def test_every_option_and_setting_of_ours_says_whose_it_is() -> None:
    """No pytest starts where two plug-ins have one option of the same name."""
    noting = Noting()
    parser: Any = noting
    pytest_plugin.pytest_addoption(parser)
    assert noting.options
    assert noting.settings
    assert [each for each in noting.options if not each.startswith("--wf-")] == []
    assert [each for each in noting.settings if not each.startswith("whalefall_")] == []


def test_the_only_fixture_is_the_one_that_is_documented() -> None:
    """`cluster` is the word of the docs; whoever has a fixture of that name in a conftest keeps theirs, as with any plug-in's."""
    found = [name for name, each in inspect.getmembers(pytest_plugin) if type(each).__name__ == "FixtureFunctionDefinition"]
    assert found == ["cluster"]


def test_pytest_starts_beside_plug_ins_that_have_options_of_our_old_names(pytester: pytest.Pytester) -> None:
    """Theirs mean what they meant, and ours what ours mean."""
    pytester.makepyfile(others=OTHERS)
    pytester.makepyfile(
        test_both="""
        def test_both(request):
            assert request.config.getoption("--profile") == "theirs"
            assert request.config.getoption("--inventory") == "hosts"
            assert request.config.getoption("--wf-profile") == "fast"
            assert request.config.getini("mode") == "x"
        """
    )
    pytester.makeini("[pytest]\nmode = x\nwhalefall_mode = fleet\n")
    result = run(pytester, "-p", "others", "--profile", "theirs", "--inventory", "hosts", "--wf-profile", "fast")
    result.assert_outcomes(passed=1)


def test_a_fixture_of_the_users_own_comes_before_ours(pytester: pytest.Pytester) -> None:
    """As it does before any plug-in's."""
    pytester.makeconftest("import pytest\n\n@pytest.fixture\ndef cluster():\n    return 'mine'\n")
    pytester.makepyfile("def test_it(cluster):\n    assert cluster == 'mine'\n")
    run(pytester).assert_outcomes(passed=1)


THEIR_OWN = """
import gc, socket
import pytest

{fixture}

def test_leak(cluster):
    leaked = socket.socket()
    del leaked
    gc.collect()

def test_words(cluster):
    pytest.fail("first line\\nsecond line: the cause", pytrace=False)

def test_properties(cluster, record_property):
    record_property("recovery.web@1.running", 3.0)
    record_property("whalefall", "somebody's own")
    record_property("file", "theirs.txt")
"""
FIXTURE = "@pytest.fixture\ndef cluster():\n    return 'mine'\n"


@pytest.mark.parametrize("where", ["module", "conftest", "autouse", "argument"])
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_a_test_with_a_cluster_of_its_own_is_as_it_is_without_us(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, where: str, workers: tuple[str, ...]
) -> None:
    """Whoever made it, and however it comes to the test: a leak is a failure, every word is told, and properties keep their names."""
    monkeypatch.setenv("CI", "1")
    fixture = {
        "module": FIXTURE,
        "autouse": FIXTURE.replace("fixture", "fixture(autouse=True)"),
        "argument": "pytestmark = pytest.mark.parametrize('cluster', ['mine'])\n",
    }.get(where, "")
    pytester.makepyfile(THEIR_OWN.format(fixture=fixture))
    if where == "conftest":
        pytester.makeconftest(f"import pytest\n\n{FIXTURE}")
    result = run(pytester, "-W", "error", "-v", "-rf", "--junitxml", "out.xml", "-o", "junit_family=xunit1", *workers)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["FAILED *::test_leak*"])
    result.stdout.fnmatch_lines(["second line: the cause"])
    assert "ran again" not in result.stdout.str()
    assert "told, not judged" not in result.stdout.str()
    written = (pytester.path / "out.xml").read_text(encoding="utf-8")
    assert 'message="Failed: first line&#10;second line: the cause"' in written
    assert '<property name="file" value="theirs.txt" />' in written
    assert written.count("<testsuite ") == 1


@pytest.mark.parametrize("named", [False, True], ids=["in a folder", "named"])
def test_files_in_a_folder_of_scenarios_that_are_none_are_left_alone(pytester: pytest.Pytester, named: bool) -> None:
    """Whatever is in them, and be it that nobody may read them; who else collects them does so."""
    pytester.makepyfile(others=OTHERS)
    folder = pytester.path / "scenarios"
    folder.mkdir()
    for number, body in enumerate(FOREIGN.values()):
        if not (named and (not body or len(body) > 1 << 18)):  # what a user names and is nothing, or too large, is told
            (folder / f"f{number}.yml").write_bytes(body)
    if not named:
        os.mkfifo(folder / "pipe.yaml")
        (folder / "dangling.yml").symlink_to("nowhere")
    files = sorted(str(each) for each in folder.glob("f*.yml"))
    result = run(pytester, "-p", "others", *(files if named else ["scenarios"]))
    result.assert_outcomes(passed=len(files))


def test_a_scenario_that_is_otherwise_broken_is_not_left_alone(pytester: pytest.Pytester) -> None:
    """A file with the key is ours: a slip of the pen must not make a run green."""
    folder = pytester.path / "scenarios"
    folder.mkdir()
    bodies = {
        "tab": "scenario: a\nwhy:\tb\n\tc: d\n",
        "quoted": '"scenario": a\nsteps: 1\n',
        "flow": "{scenario: a, why: b}\n",
        "bom": "\ufeffscenario: a\n",
        "spaced": "scenario : a\n",
    }
    for name, body in bodies.items():
        (folder / f"{name}.yaml").write_text(body, encoding="utf-8")
    run(pytester, "scenarios").assert_outcomes(errors=len(bodies))


def test_a_file_that_the_user_names_and_that_looks_like_a_scenario_is_told_what_it_lacks(pytester: pytest.Pytester) -> None:
    """It is not silently no test."""
    (pytester.path / "mine.yaml").write_text("scenaro: a\nwhy: b\npromises: [conflicts]\n", encoding="utf-8")
    result = run(pytester, "mine.yaml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*mine.yaml*scenaro*"])


def test_the_ini_file_says_what_the_command_line_does_not(pytester: pytest.Pytester) -> None:
    """The command line comes first; a name that nobody knows is one usage error."""
    pytester.makeini(
        "[pytest]\nwhalefall_mode = swarm\nwhalefall_profile = fast\nwhalefall_results = kept\nwhalefall_inventory = hosts.ini\n"
    )
    pytester.makepyfile(
        """
        import os
        from harness import pytest_plugin

        def test_it(request):
            chosen = {name: pytest_plugin._chosen(request.config, name) for name in ("mode", "profile", "provider")}
            assert chosen == {"mode": "fleet", "profile": "fast", "provider": None}
            assert pytest_plugin._results(request.config) == request.config.rootpath / "kept"
            assert os.environ["WHALEFALL_INVENTORY"] == "hosts.ini"
        """
    )
    run(pytester, "--wf-mode", "fleet").assert_outcomes(passed=1)
    pytester.makeini("[pytest]\nwhalefall_mode = feet\n")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*argument --wf-mode: 'feet'; expected one of*"])
