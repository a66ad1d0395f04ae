"""The rules of the house that no linter knows: what must be written down, and what must never be."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from harness.actions import ACTIONS
from harness.checkers import CHECKERS
from harness.core.instances import APP_LABEL, INSTANCE_LABEL
from harness.faults import FAULTS
from harness.modes import MODES
from harness.observers import agent
from harness.providers import PROVIDERS
from harness.reports.written import WRITTEN
from harness.testing import formed_contract
from harness.undo import fingerprint
from harness.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]
HARNESS = ROOT / "harness"
SCENARIOS = sorted((ROOT / "scenarios").rglob("*.yaml"))

TEXT = {".cfg", ".conf", ".go", ".ini", ".md", ".mod", ".py", ".service", ".sh", ".socket", ".toml", ".yaml", ".yml", ""}
OURS = ("harness", "tests", "docs", "scenarios", "fixtures", "bench", "vagrant", "results", ".ci")

FORBIDDEN = [
    # Folders of whoever wrote this.
    r"/home/\w+",
    r"/root/\.\w+",
    # Keys that were left behind.
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"\bAKIA[0-9A-Z]{16}\b",
]
HOSTS = re.compile(
    r"10\.77\.0\.\d+|127\.\d+\.\d+\.\d+|localhost|[\w.-]+\.example|www\.apache\.org|json-schema\.org|semver\.org|keepachangelog\.com|[a-z-]+\.readthedocs\.io"
    r"|github\.com"
)
"""Hosts that a text may name: clusters, loopback, examples, licence, documentation, threads. Where packages come from is the machine's business."""


def texts() -> Iterator[tuple[str, str]]:
    """Yield the path and the content of every text of this repository but for this one."""
    files = [each for each in ROOT.iterdir() if each.is_file() and not each.name.startswith(".git")]
    for folder in OURS:
        for here, folders, names in os.walk(ROOT / folder):
            folders[:] = [] if here == str(ROOT / "results") else [each for each in folders if each != "__pycache__"]
            files += [Path(here) / name for name in names]
    for path in sorted(files):
        if path.suffix in TEXT and path != Path(__file__) and not path.is_symlink():
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


class Parts(NamedTuple):
    """What of a module is asked about here: all modules are parsed once, and nothing else of them is kept."""

    docstring: str | None
    texts: list[ast.Constant]  # constants that are no docstrings
    compared: list[ast.Compare]
    imports: list[ast.ImportFrom]


@functools.cache
def modules() -> Mapping[Path, Parts]:
    """Return the parts of every module of the harness."""
    return {path: _parts(ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(HARNESS.rglob("*.py"))}


def _parts(module: ast.Module) -> Parts:
    nodes = [*ast.walk(module)]
    docstrings = {id(each.value) for each in nodes if isinstance(each, ast.Expr)}
    return Parts(
        ast.get_docstring(module),
        [each for each in nodes if isinstance(each, ast.Constant) and id(each) not in docstrings],
        [each for each in nodes if isinstance(each, ast.Compare)],
        [each for each in nodes if isinstance(each, ast.ImportFrom)],
    )


def test_every_module_says_what_it_is() -> None:
    """Its docstring begins with a whole sentence, or with a name for it."""
    missing = []
    for path, parts in modules().items():
        said = parts.docstring
        if not said or not said.split("\n\n")[0].endswith((".", "?")):
            missing.append(str(path.relative_to(ROOT)))
    assert missing == []


def test_every_file_of_the_harness_is_in_whats_here() -> None:
    """docs/whats-here.md names each of them, and none that is gone. It may leave out what the registry finds by itself: that is one new file."""
    told = (ROOT / "docs" / "whats-here.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`harness/([\w./-]+)`", told))
    there = {str(path.relative_to(HARNESS)) for path in HARNESS.rglob("*") if path.suffix in {".py", ".sh"}}
    there = {each.removesuffix("__init__.py") if each != "__init__.py" else each for each in there}
    found = (cls for kind in (FAULTS, ACTIONS, WORKLOADS, CHECKERS, MODES, PROVIDERS, WRITTEN) for cls in kind.values())
    one_file = {str(Path(inspect.getfile(cls)).relative_to(HARNESS)).removesuffix("__init__.py") for cls in found}
    assert there - one_file - named == set(), "not told in docs/whats-here.md"
    assert named - there == set(), "told in docs/whats-here.md, but not there"


def test_no_fault_is_known_by_its_name() -> None:
    """What the harness does about a fault goes by what the fault says of itself: its name stands in its own file, and in no other code of ours."""
    names = {each for each in FAULTS if "." in each}
    assert len(names) >= len(FAULTS) - 2
    found = []
    for path, parts in modules().items():
        if path.parent == HARNESS / "faults":
            continue
        texts = (each for each in parts.texts if isinstance(each.value, str))
        found += [f"{path.relative_to(ROOT)}:{each.lineno}: {name}" for each in texts for name in names if name in str(each.value)]
        sides = ((each, side) for each in parts.compared for side in (each.left, *each.comparators))
        found += [
            f"{path.relative_to(ROOT)}:{each.lineno}: a fault's name is compared"
            for each, side in sides
            if isinstance(side, ast.Attribute) and side.attr == "name" and ast.unparse(side.value).endswith(("fault", "band"))
            if any(isinstance(other, ast.Constant) for other in (each.left, *each.comparators))
        ]
    assert found == []


def test_no_workload_and_no_checker_is_known_by_its_name() -> None:
    """What the harness does about them goes by what their classes say: a name stands in its own module, and is a mere word elsewhere."""
    homes = {(name, Path(str(inspect.getfile(cls)))) for name, cls in (*WORKLOADS.items(), *CHECKERS.items())}
    names = {name for name, _ in homes}
    found: dict[str, set[str]] = {}
    for path, parts in modules().items():
        texts = {str(each.value) for each in parts.texts}
        if here := {name for name in texts & names if (name, path) not in homes}:
            found[str(path.relative_to(HARNESS))] = here
    assert found == {file: words for file, (words, _) in WORDS.items()}, "go by what its class says, or say in WORDS what the word is there"


_KEYS = "keys of a scenario file, or of a saved plan"
WORDS = {
    "actions/own_command.py": ({"command"}, "the name of an action"),
    "checkers/contradictions.py": ({"writes"}, "a word of a sentence"),
    "checkers/quorum.py": ({"writes"}, "its own parameter"),
    "cli/doctor.py": ({"register"}, "the register of clusters"),
    "core/values.py": ({"command", "http", "probe", "redis", "register"}, "the words that a history has for what calls are of"),
    "disk/client.py": ({"latency"}, "what is added to a disk's operations, as its daemon tells it"),
    "disk/control.py": ({"latency"}, "the same"),
    "faults/common.py": ({"command"}, "a function"),
    "faults/own_fault.py": ({"command"}, "the name of a fault"),
    "history/events.py": ({"awaited"}, "a kind of event"),
    "host/contexts.py": ({"redis"}, "an image"),
    "modes/ansible/static_inventory.py": ({"command"}, "a variable of a playbook"),
    "modes/fleet/docker_run.py": ({"single"}, "a kind of quotes"),
    "modes/fleet/unit_files.py": ({"command"}, _KEYS),
    "modes/mesos/marathon_apps.py": ({"command"}, "a key of Marathon's JSON"),
    "plan/__init__.py": ({"checks", "command"}, _KEYS),
    "scenario/apps.py": ({"command"}, _KEYS),
    "scenario/containers.py": ({"command", "http"}, _KEYS),
    "scenario/fits.py": ({"checks"}, _KEYS),
    "scenario/jsonschema.py": ({"checks"}, _KEYS),
    "scenario/models.py": ({"checks"}, _KEYS),
    "scenario/own_definitions.py": ({"command", "conflicts"}, _KEYS),
    "scenario/reader.py": ({"checks"}, _KEYS),
    "steps/acting.py": ({"checks"}, _KEYS),
    "testing/report_contract.py": ({"checks"}, _KEYS),
    "undo/reaper.py": ({"command", "register"}, "what is counted; the register of clusters"),
    "testing/memory_provider.py": ({"latency"}, "what is added to a disk's operations"),
}
"""Where such a name is a word for something else."""


def test_no_workload_and_no_checker_is_known_by_its_class() -> None:
    """Outside of its room, and of what tests use, each that is imported has a reason."""
    classes = {cls.__name__ for cls in (*WORKLOADS.values(), *CHECKERS.values())}
    found: dict[str, set[str]] = {}
    for path, parts in modules().items():
        imports = parts.imports if path.relative_to(HARNESS).parts[0] not in {"workloads", "checkers", "testing"} else ()
        theirs = (each for each in imports if str(each.module).startswith(("harness.workloads", "harness.checkers")))
        if named := {alias.name for each in theirs for alias in each.names} & classes:
            found[str(path.relative_to(HARNESS))] = named
    assert found == {file: named for file, (named, _) in KNOWN.items()}, "go by what its class says, or say in KNOWN why not"


_STANDING = "those that judge every run, which is the plan's own choice"
KNOWN = {
    "conductor/permission.py": ({"OwnLoad", "Probe"}, "commands of the user's that run on nodes of somebody else's"),
    "plan/__init__.py": ({"Rescheduled"}, "the limit of a promise, which it works out itself"),
    "plan/beside.py": ({"Availability", "Conflicts"}, "what is measured of every run, whatever it promises"),
    "plan/briefing.py": ({"Assumptions", "CameInTime", "Checks", "Clean", "Settled"}, _STANDING),
    "plan/foresight.py": (
        {"Availability", "Conflicts", "Probed"},
        "how few calls their shares need; which apps one spares",
    ),
    "scenario/jsonschema.py": ({"Probe"}, "what stands under `probes`"),
    "scenario/probes.py": ({"Probe"}, "what stands under `probes`"),
    "scenario/promises.py": ({"CameInTime", "Settled"}, _STANDING),
    "scenario/scenario_file.py": ({"Assumptions", "Checks", "Clean"}, _STANDING),
}


def test_no_mode_and_no_provider_is_known_by_its_name() -> None:
    """What the harness does about one goes by what it can: its name stands in its own folder, and elsewhere only where people are asked for it."""
    names = {*MODES, *PROVIDERS}
    found: dict[str, set[str]] = {}
    for path, parts in modules().items():
        if path.relative_to(HARNESS).parts[0] not in {"modes", "providers"} and (here := names & {str(each.value) for each in parts.texts}):
            found[str(path.relative_to(HARNESS))] = here
    assert found == {file: words for file, (words, _) in ASKED_FOR.items()}, "go by what it can, or say in ASKED_FOR what the word is there"


_DEFAULTS = "what a scenario takes that names none"
_HOSTS = "the option that names the hosts of this provider"
ASKED_FOR = {
    "cli/doctor.py": ({"vagrant"}, "a program and its package"),
    "cli/running.py": ({"inventory"}, _HOSTS),
    "pytest_plugin.py": ({"fleet", "inventory", "nspawn"}, f"{_DEFAULTS}; {_HOSTS}"),
    "reports/tested.py": ({"inventory"}, _HOSTS),
    "scenario/models.py": ({"fleet", "nspawn"}, _DEFAULTS),
    "testing/report_contract.py": ({"nspawn"}, "a run that is made up"),
}


def test_the_labels_of_containers_are_spelled_in_one_place() -> None:
    """What follows a container by another label than it was given loses it. Programs that run on nodes import nothing of ours."""
    label = re.compile(r"whalefall\.(app|instance|run)\b")
    spelled = {str(path.relative_to(HARNESS)) for path, parts in modules().items() for each in parts.texts if label.search(str(each.value))}
    assert spelled == {"core/instances.py", "observers/agent.py", "testing/formed_contract.py", "undo/fingerprint.py"}
    assert f'"{APP_LABEL}":"' == agent.APP_KEY
    assert f'"{INSTANCE_LABEL}":"' == agent.KEY
    assert f'"{APP_LABEL}"' in fingerprint.PROGRAM
    assert f"label={APP_LABEL}=" in formed_contract._CONTAINERS


def test_the_name_of_an_instance_is_taken_apart_in_one_place() -> None:
    """Two that read ``web@1`` in two ways do not speak of the same app. What else has an @ in it is no instance."""
    apart = re.compile(r"\.r?(?:partition|split)\(\"@\"")
    found = {str(path.relative_to(HARNESS)) for path in modules() if apart.search(path.read_text(encoding="utf-8"))}
    accesses = {"nodes/ssh/config.py", "providers/inventory/beforehand.py", "providers/inventory/hosts.py"}
    digests = {"core/looks.py", "host/origins.py"}
    assert found == {"core/instances.py", *accesses, *digests}


def test_every_scenario_says_why_it_exists() -> None:
    """In a sentence or more, under the name of its file. Only controls say how they must come out, and what upstream is known to break."""
    for path in SCENARIOS:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        where = str(path.relative_to(ROOT))
        assert body["scenario"] == path.stem, where
        assert len(body["why"].split()) >= 12, where
        assert path.parent.name == "upstream" or ("control" in body) is (path.parent.name == "controls"), where


def test_every_scenario_is_in_the_readme() -> None:
    """Who looks for a scenario finds its name there; those of upstream's threads and tests are in an index of their own."""
    told = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/upstream.md" in told
    assert [path.stem for path in SCENARIOS if path.parent.name != "upstream" and f"`{path.stem}`" not in told] == []


def test_the_readme_says_where_the_classes_of_scenarios_in_python_lie() -> None:
    """Each is in the module that stands before it: none of them can be guessed."""
    told = " ".join((ROOT / "README.md").read_text(encoding="utf-8").partition("Classes lie in ")[2].partition("; promises in")[0].split())
    room, found = "", {}
    for module, names in re.findall(r"`([\w.]+)` \(([^)]*)\)", told):
        room = module.rpartition(".")[0] or room
        found[f"{room}.{module.rpartition('.')[2]}"] = re.findall(r"`(\w+)`", names)
    wrong = [(module, name) for module, names in found.items() for name in names if not hasattr(importlib.import_module(module), name)]
    assert wrong == []
    assert {"NodeKill", "Scale", "RunCommand", "Http", "Register"} <= {name for names in found.values() for name in names}


def test_every_dependency_has_its_reason() -> None:
    """docs/decisions/0002-dependencies.md says why each is here, and names none that is not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["ansible"], *extras["dev"]]
    names = {re.split(r"[<>=!~ \[]", each)[0] for each in asked}
    told = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w.-]+)` \|", told, re.MULTILINE)) == names


def test_decisions_are_numbered_without_a_gap() -> None:
    """Four digits and a name each, a heading that repeats the number, and a status."""
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        assert re.search(r"^Status: (accepted|superseded by \d{4})", text, re.MULTILINE), path.name


def test_nothing_says_where_it_was_written() -> None:
    """No registry's host, no folder of an author's machine, no key stands in any text."""
    found = []
    for name, text in texts():
        found += [f"{name}: {match[0]}" for each in FORBIDDEN for match in re.finditer(each, text)]
        found += [f"{name}: {host}" for host in re.findall(r"https?://([\w.-]*\w)", text) if not HOSTS.fullmatch(host)]
        found += [f"{name}: {ROOT}" for _ in range(text.count(f"{ROOT}/"))]
    assert found == []


def test_no_merge_was_left_unfinished() -> None:
    """Not in a program that is a text inside of another, either, which no linter reads."""
    marks = re.compile(r"^(<{7} |>{7} |={7}$)", re.MULTILINE)
    assert [name for name, text in texts() if marks.search(text)] == []


def test_what_needs_machines_lies_where_the_ways_in_look_for_it() -> None:
    """`tox.ini` names these folders, so that no worker reads thousands of other tests before it begins."""
    marks = re.compile(r"\bmark\.(cluster|noise|vm|vagrant)\b")
    marked = {path.parent.name for path in (ROOT / "tests").rglob("test_*.py") if marks.search(path.read_text(encoding="utf-8"))}
    assert marked == {"cluster", "contract"}


def test_every_folder_of_tests_is_one_that_a_way_in_looks_into() -> None:
    """Those without machines leave out tests/cluster, whose conftest refuses a test that needs none."""
    folders = {path.parent.name for path in (ROOT / "tests").rglob("test_*.py")}
    way = (ROOT / "tox.ini").read_text(encoding="utf-8").partition("[testenv:unit]")[2].partition("[testenv:")[0]
    assert {*re.findall(r"\btests/(\w+)", way)} == folders - {"cluster"}


def test_the_ways_in_can_be_run() -> None:
    """./setup and .ci/run are executable, and the README's lines are those that CI runs."""
    assert os.access(ROOT / "setup", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    told = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "./setup && .venv/bin/whalefall run scenarios/node-kill.yaml\n" in told
    assert "./setup && .venv/bin/tox\n" in told


FOUND = {"faults": "inject", "actions": "act", "modes": "form", "checkers": "check", "workloads": "calls", "providers": "create"}
FOUND["reports.written"] = "text"
"""The folders of what can be named → the method by which such a class is known."""


def test_a_new_module_is_found_and_named_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the how-to of each kind says: the table is made of what is in the folder."""
    for room, method in FOUND.items():
        package = importlib.import_module(f"harness.{room}")
        (tmp_path / room).mkdir()
        word = room.rpartition(".")[2]
        (tmp_path / room / f"quiet_{word}.py").write_text(NEW.format(method=method))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / room)])
        table = re.search(rf"^{word.upper()}[^=]*= (.*)$", Path(str(package.__file__)).read_text(encoding="utf-8"), re.MULTILINE)
        assert table is not None
        made = eval(table[1], {**vars(package), "__path__": package.__path__})  # noqa: S307 - our own line
        assert made["test.quiet"].__module__ == f"harness.{room}.quiet_{word}"
        assert {*made} - {"test.quiet"} == {*getattr(package, word.upper())}
        monkeypatch.delitem(sys.modules, f"harness.{room}.quiet_{word}")


NEW = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Quiet:
    name = "test.quiet"

    def {method}(self, *_):
        return None
"""
