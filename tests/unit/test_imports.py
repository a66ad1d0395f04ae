"""Imports point one way, and a few modules may import even less. The tables below are the rule; the modules' text is what is looked at.

Imports that only a type checker sees (below ``if TYPE_CHECKING:``) count like all others: whoever reads a module can read what it stands on first.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "harness"

ROOMS = (
    "core",
    "host",
    "document",
    "tcp",
    "web",
    "nodes",
    "disk",
    "providers",
    "modes",
    "history",
    "workloads",
    "observers",
    "faults",
    "actions",
    "checkers",
    "registry",
    "steps",
    "scenario",
    "plan",
    "runs",
    "reports",
    "undo",
    "testing",
    "conductor",
    "pytest_plugin",
    "cli",
    "__main__",
)
"""The rooms of the house, and the modules that are one by themselves, from the bottom up. A module imports from its own room and from those below."""

ONLY = {
    # By the first of these they are found; the others are words.
    "checkers": {
        "core.families",
        "core.instances",
        "core.syncs",
        "core.values",
        "core.units",
        "core.figures",
        "core.topology",
        "core.traits",
        "history",
        "checkers",
    },
    "reports": {
        "core.instances",
        "core.values",
        "core.units",
        "core.figures",
        "core.clock",
        "core.plain",
        "core.naming",
        "core.targets",
        "core.parameters",
        "core.errors",
        "core.families",
        "core.threads",
        "history",
        "steps",
        "plan",
        "runs.run",
        "reports",
    },
    "core": {"core"},
    "core.topology": set[str](),
    "core.instances": set[str](),
    "core.traits": {"core.values"},
    "core.figures": set[str](),
    "core.targets": {"core.errors", "core.instances", "core.values"},
    "disk": {
        "core.values",
        "core.errors",
        "core.clock",
        "core.figures",
        "core.pace",
        "host.surroundings",
        "host.private",
        "host.processes",
        "disk",
    },
    "observers.agent": set[str](),
}
"""What these may import of the harness. A checker judges a history, a report shows one; a slow disk's daemon is small; the agent runs on a node."""

PURE = (
    "core.instances",
    "core.syncs",
    "core.values",
    "core.errors",
    "core.figures",
    "history.lines",
    "history.chain",
    "core.plain",
    "core.topology",
    "core.traits",
    "core.targets",
    "steps",
    "plan.briefing",
    "plan",
    "history.situation",
    "checkers",
    "modes.fleet.fleet_timers",
    "modes.profiles",
    "modes.swarm.swarm_timers",
    "modes.fleet.unit_files",
)
"""Modules that do no I/O and know no time of their own."""

IO = {
    "asyncio",
    "docker",
    "http",
    "multiprocessing",
    "os",
    "pathlib",
    "paramiko",
    "requests",
    "secrets",
    "select",
    "shutil",
    "signal",
}
IO |= {"socket", "subprocess", "tempfile", "threading", "time", "urllib", "urllib3"}

PYTEST = {"pytest", "_pytest", "pluggy"}


@dataclass(frozen=True)
class Import:
    """One imported name, e.g. harness.values.Verdict, and whether only a type checker sees it."""

    name: str
    types_only: bool

    @property
    def module(self) -> str:
        """The name inside the harness, without the package; empty for somebody else's."""
        return self.name.removeprefix("harness.") if self.name.startswith("harness.") else ""

    @property
    def top(self) -> str:
        """The first word of a name inside the harness."""
        return self.module.split(".")[0]


@functools.cache
def imports(source: str) -> tuple[Import, ...]:
    """Return every import of a module, wherever in it."""

    def walk(node: ast.AST, *, types_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(each.name, types_only) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(f"{'.' * node.level}{node.module or ''}.{each.name}", types_only) for each in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for hidden in node.body:
                yield from walk(hidden, types_only=True)
            for other in node.orelse:
                yield from walk(other, types_only=types_only)
        else:
            for child in ast.iter_child_nodes(node):
                if not isinstance(child, ast.expr):  # no import stands in one
                    yield from walk(child, types_only=types_only)

    return tuple(walk(ast.parse(source), types_only=False))


def layer(top: str) -> int:
    """Return the number of the room that a module stands in. Raises `ValueError` for one that is not in the table."""
    return ROOMS.index(top)


def within(module: str, allowed: set[str]) -> bool:
    """Whether a name is one of these, or lies in one."""
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def rule(module: str, table: dict[str, set[str]]) -> set[str] | None:
    """Return the entry of a table for a module: its own, or that of a folder it lies in."""
    words = module.split(".")
    return next((table[name] for end in range(len(words), 0, -1) if (name := ".".join(words[:end])) in table), None)


def wrongs(module: str, source: str) -> list[str]:
    """Say what is wrong with the imports of one module, given by its name inside the harness."""
    said = []
    pure = any(module == name or module.startswith(f"{name}.") for name in PURE)
    for each in imports(source):
        if each.name.startswith("."):
            said.append(f"{module} imports {each.name}: imports are absolute")
        first = each.name.split(".")[0]
        if first in PYTEST and module != "pytest_plugin":
            said.append(f"{module} imports {first}: only pytest_plugin knows pytest")
        if pure and first in IO and not each.types_only:
            said.append(f"{module} imports {first}: it does no I/O")
        if not each.module or each.top == "__version__":
            continue
        allowed = rule(module, ONLY)
        if allowed is not None and not within(each.module, allowed):
            said.append(f"{module} imports {each.module}: it may import only {', '.join(sorted(allowed)) or 'nothing of the harness'}")
        elif layer(each.top) > layer(module.partition(".")[0]):
            said.append(f"{module} imports {each.module}, which stands above it")
    return said


def modules() -> dict[str, Path]:
    """Return every module of the harness by its name inside it; a package by its folder's."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        words = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
    return found


def test_imports_point_one_way() -> None:
    """No module of the harness breaks a rule."""
    assert [wrong for name, path in modules().items() for wrong in wrongs(name, path.read_text(encoding="utf-8"))] == []


def test_every_name_in_the_tables_is_a_module() -> None:
    """A rule for a module that was renamed would hold for nobody."""
    named = {*ROOMS, *ONLY, *PURE, *set[str]().union(*ONLY.values())}
    assert named - set(modules()) == set()


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("core.values", "from harness.history.events import Event", "may import only core"),
        ("host.state", "import harness.history.events", "stands above it"),
        ("host.state", "if TYPE_CHECKING:\n    from harness.history.events import History", "stands above it"),
        ("faults.power", "def later():\n    from harness.conductor import conduct", "stands above it"),
        ("checkers.quorum", "from harness.core.protocols import Cluster", "may import only"),
        ("checkers.quorum", "if TYPE_CHECKING:\n    from harness.core.protocols import Node", "may import only"),
        ("checkers.quorum", "import time", "does no I/O"),
        ("reports.html", "from harness.core.protocols import Cluster", "may import only"),
        ("observers.agent", "from harness.core.values import Container", "nothing of the harness"),
        ("conductor", "if TYPE_CHECKING:\n    import pytest", "only pytest_plugin knows pytest"),
        ("faults.power", "from .common import shell", "absolute"),
    ],
)
def test_a_breach_is_found(module: str, source: str, wrong: str) -> None:
    """Each rule convicts what it is there for."""
    (said,) = wrongs(module, source)
    assert wrong in said


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.protocols.provider", "if TYPE_CHECKING:\n    from harness.core.topology import Grudge"),
        ("checkers.quorum", "from harness.history.events import History\nfrom harness.checkers.judging import conclude\nimport math"),
        ("pytest_plugin", "import pytest\nfrom harness.conductor import conduct"),
        ("conductor", "from harness.faults.power import Kill\nfrom harness import __version__\nimport os"),
    ],
)
def test_what_is_allowed_is_not_called_a_breach(module: str, source: str) -> None:
    """The other side of every rule."""
    assert wrongs(module, source) == []


def circles(sources: Mapping[str, str]) -> list[list[str]]:
    """Return the groups of modules of which each leads to each by imports, those for a type checker included, in order."""
    names = {f"harness.{name}".rstrip("."): name for name in sources}

    def module(each: str) -> str | None:
        """A name is a module's, or is defined in one."""
        return names.get(each) or names.get(each.rpartition(".")[0])

    leads = {name: {to for each in imports(source) if (to := module(each.name)) and to != name} for name, source in sources.items()}
    reached = {name: _reached(name, leads) for name in sources}
    found = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in sources}
    return sorted(list(group) for group in found if len(group) > 1)


def _reached(name: str, leads: Mapping[str, set[str]]) -> set[str]:
    """Return all modules that one leads to, by however many steps; itself where one of them leads back."""
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        fresh = leads[ahead.pop()] - seen
        seen |= fresh
        ahead += fresh
    return seen


def test_imports_make_no_circle() -> None:
    """Whoever reads a module can read what it stands on first."""
    assert circles({name: path.read_text(encoding="utf-8") for name, path in modules().items()}) == []


def test_a_circle_is_found() -> None:
    """Also one that only a type checker goes round, or that goes through a third."""
    sources = {
        "values": "from harness.errors import Problem",
        "errors": "if TYPE_CHECKING:\n    from harness.plan import Plan",
        "plan": "from harness import values",
        "units": "from harness.values import App",
    }
    assert circles(sources) == [["errors", "plan", "values"]]


READS_JSON = {
    "host.dockerfile": "a list in a line of a bounded file",
    "core.looks": "core stands below it; RecursionError is caught",
    "providers.inventory.ansible_reader": "only asked whether a text is JSON; RecursionError is caught",
    "providers.netns": "what this machine's own ip says",
    "providers.nspawn.bridge": "what this machine's own ip says",
    "disk.client": "the harness's own daemon",
    "disk.control": "the harness's own question; RecursionError is caught",
    "testing.servers": "what the harness asks the double",
}
"""Modules that may call ``json.loads`` themselves, each with the reason."""


def test_foreign_json_is_read_in_one_place() -> None:
    """What a cluster says goes through `untrusted.loads`, which never raises but ValueError: json itself raises RecursionError for deep lists."""
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        calls = (each.func for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Call)) if "json" in text else ()
        if any(ast.unparse(call) in {"json.loads", "json.load"} for call in calls):
            found.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert not found - {*READS_JSON}
