"""Reads the INI form of an Ansible inventory: hosts with ranges and variables, ``[group]``, ``[group:vars]`` and ``[group:children]``. Pure.

Values on a host's line are split as a shell would; a value in a ``:vars`` section is the rest of its line, its quotes taken off.
"""

from __future__ import annotations

import re
import shlex

from harness.errors import Problem
from harness.providers.inventory.groups import ALL, UNGROUPED, Groups, expanded
from harness.providers.inventory.variables import Value

_SECTION = re.compile(r"\[([A-Za-z0-9_.-]+)(?::([A-Za-z]+))?\]\s*(?:[#;].*)?")
_VARIABLE = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)")
_PORT = re.compile(r"(.*[^\]:]|.*\])(?<!:):([0-9]{1,5})")


def parse(text: str, file: str, problems: list[Problem]) -> Groups:
    """Read all of it. What is wrong goes into `problems`, each with its line."""
    return _Parser(file, problems).read(text)


class _Parser:
    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        self.groups = Groups(file)
        self.section, self.kind = UNGROUPED, "hosts"

    def read(self, text: str) -> Groups:
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            at = Value(None, self.file, number, len(raw) - len(raw.lstrip()) + 1)
            if line.startswith("["):
                self.open(line, at)
            elif self.kind == "vars":
                self.variable(line, at)
            elif self.kind == "children":
                self.child(line, at)
            elif self.kind == "hosts":
                self.host(line, at)
        return self.groups

    def open(self, line: str, at: Value) -> None:
        match = _SECTION.fullmatch(line)
        if match is None or match[2] not in {None, "vars", "children"}:
            self.problems.append(at.problem(f"the section {line!r}", "[group], [group:vars] or [group:children]"))
            self.kind = "unknown"  # what stands in it is not looked at: one mistake, one problem
            return
        self.section, self.kind = match[1], match[2] or "hosts"
        group = self.groups.group(self.section)
        group.defined = group.defined or self.kind != "vars" or self.section in {ALL, UNGROUPED}

    def variable(self, line: str, at: Value) -> None:
        match = _VARIABLE.fullmatch(line)
        if match is None:
            self.problems.append(at.problem(repr(line), "name=value"))
            return
        self.groups.group(self.section).variables[match[1]] = Value(_bare(match[2]), at.file, at.line, at.column)

    def child(self, line: str, at: Value) -> None:
        name = re.split(r"\s+[#;]", line)[0].strip()
        self.groups.group(self.section).children.setdefault(name, at)

    def host(self, line: str, at: Value) -> None:
        try:
            pattern, *words = shlex.split(line, comments=True)
        except ValueError:
            self.problems.append(at.problem("a quote that is not closed", "quotes in pairs"))
            return
        variables: dict[str, Value] = {}
        for word in words:
            match = _VARIABLE.fullmatch(word)
            if match is None:
                hint = "put a value with spaces into quotes"
                self.problems.append(at.problem(f"{word!r} after the host {pattern}", "name=value", hint))
                continue
            column = at.column + max(0, line.find(f"{match[1]}="))
            variables[match[1]] = Value(match[2], at.file, at.line, column)
        port = _PORT.fullmatch(pattern)
        if port:
            pattern = port[1]
            variables.setdefault("ansible_port", Value(port[2], at.file, at.line, at.column))
        try:
            names = expanded(pattern)
        except ValueError as error:
            self.problems.append(at.problem(f"the host {pattern!r}: {error}", "a host's name"))
            return
        for name in names:
            self.groups.add(self.section, name, variables, at)


def _bare(text: str) -> str:
    """Take the quotes off a value that stands in them, or else a comment after it."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return re.split(r"\s#", text)[0].strip()
