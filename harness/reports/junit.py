"""JUnit files as Jenkins' schema (junit-10.xsd) wants them: what a run found stands on a suite of its own, with the file that it came from.

pytest writes a test's properties into the test case, where that schema has no place for them, and one suite for all files, which can name none.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import TYPE_CHECKING

from harness import untrusted
from harness.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "file"
"""The property of a test case that makes it a run of ours, and names the file that it came from."""

MOST_BYTES = 1 << 28
"""Of a larger file the form is left as pytest made it."""

_COUNTED: Mapping[str, str] = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def conform(path: Path) -> None:
    """Rewrite pytest's file in place: each run of ours becomes a suite with its properties and its file. All else stays as it is.

    What is no ordinary file (a pipe, /dev/stdout), cannot be read or written, or defines words of its own, stays as it is, too.
    """
    try:
        body = untrusted.named(path, MOST_BYTES, "a JUnit file")
        if b"<!DOCTYPE" in body:
            return
        root = ET.fromstring(body)  # noqa: S314 - no definitions: nothing in it grows
    except (BadInput, ET.ParseError):
        return
    if root.tag != "testsuites":
        return
    for suite in list(root.findall("testsuite")):
        moved = [case for case in suite.findall("testcase") if _file(case) is not None]
        for case in moved:
            suite.remove(case)
            root.append(_suite(case, suite))
        if moved and suite.find("testcase") is None:
            root.remove(suite)
        elif moved:
            _count(suite)
    with suppress(OSError, BadInput):
        real = path.resolve()
        untrusted.write(real.parent, real.name, ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _file(case: ET.Element) -> str | None:
    return next((each.get("value") for each in case.iterfind("properties/property") if each.get("name") == FILE), None)


def _suite(case: ET.Element, old: ET.Element) -> ET.Element:
    """Return a suite of one test case, with the properties that stood in it."""
    known = {name: value for name in ("timestamp", "hostname") if (value := old.get(name)) is not None}
    made = ET.Element("testsuite", {"name": case.get("name", "run"), **known, "file": _file(case) or ""})
    properties = case.find("properties")
    if properties is not None:
        case.remove(properties)
        for each in [each for each in properties if each.get("name") == FILE]:
            properties.remove(each)
        made.append(properties)
    made.append(case)
    _count(made)
    return made


def _count(suite: ET.Element) -> None:
    """Set what a suite says of its test cases: how many there are, how many ended how, and the seconds that they took."""
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in _COUNTED.items():
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time') or 0.0) for case in cases):.3f}")
