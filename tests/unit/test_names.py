"""A name has one meaning: no two public classes of the harness share one, and no two modules."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2] / "harness"


def doubled(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of public classes that several of these sources define, each with the names of those sources."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for module, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(module)
    return {name: modules for name, modules in found.items() if len(modules) > 1}


def test_no_two_public_classes_have_one_name() -> None:
    """Whoever reads a name knows what is meant, wherever it stands."""
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.py"))}
    assert doubled(sources) == {}


def test_a_class_of_another_module_with_the_same_name_is_found() -> None:
    """The rule convicts: two of one name, and none that is private or has its own."""
    sources = {"a.py": "class One: ...\nclass _Own: ...", "b.py": "class One: ...\nclass _Own: ...\nclass Two: ..."}
    assert doubled(sources) == {"One": ["a.py", "b.py"]}


def test_no_two_modules_have_one_name() -> None:
    """Nor has a module that of a room. Python itself asks for the same name where a package, or a folder of them, is run."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        where = path.parent if path.name == "__init__.py" else path
        if where != ROOT and path.name != "__main__.py":
            names[where.stem].append(str(where.relative_to(ROOT)))
    assert {name: paths for name, paths in names.items() if len(paths) > 1} == {}
