"""A name has one meaning: no two public classes of the harness share one."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2] / "harness"

SHARED = {
    "Answered": ["history.py", "testing/servers.py"],  # what a call came to, and what a server that misbehaves says
    "Quorum": ["checkers/quorum.py", "protocols.py"],  # what a scenario promises, and what a mode must have for it
    "Span": ["checkers/intervals.py", "reports/reading.py"],  # of time, as it is judged and as it is drawn
    "View": ["reports/terminal.py", "values.py"],  # what a person sees of a run, and what an API shows
}
"""Names with two meanings that are left, each with the modules that define it."""


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
    assert doubled(sources) == SHARED


def test_a_class_of_another_module_with_the_same_name_is_found() -> None:
    """The rule convicts: two of one name, and none that is private or has its own."""
    sources = {"a.py": "class One: ...\nclass _Own: ...", "b.py": "class One: ...\nclass _Own: ...\nclass Two: ..."}
    assert doubled(sources) == {"One": ["a.py", "b.py"]}
