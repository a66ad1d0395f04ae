"""JUnit files as Jenkins' schema (junit-10.xsd) wants them: what a run found stands on a suite of its own, with the file that it came from.

pytest writes a test's properties into the test case, where that schema has no place for them, and one suite for all files, which can name none.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "whalefall.file"
"""The property of a test case that makes it a run of ours, and names the file that it came from. It is in no file that anybody sees: `file` is
anybody's name."""

STARTED = "whalefall.started"
"""The property of such a test case that has its own start, in seconds since the epoch: pytest knows only that of the whole session."""

_COUNTED: Mapping[str, str] = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def conformed(body: bytes) -> bytes:
    """Return pytest's file anew: each run of ours becomes a suite with its properties and its file. All else stays as it is.

    What is no JUnit file, or defines words of its own, is returned as it is: others may have written there.
    """
    try:
        root = None if b"<!DOCTYPE" in body else ET.fromstring(body)  # noqa: S314 - no definitions: nothing in it grows
    except ET.ParseError:
        return body
    if root is None or root.tag != "testsuites":
        return body
    if all(_file(case) is None for case in root.iterfind("testsuite/testcase")):
        return body
    for suite in list(root.findall("testsuite")):
        moved = [case for case in suite.findall("testcase") if _file(case) is not None]
        for case in moved:
            suite.remove(case)
            root.append(_suite(case, suite))
        if moved and suite.find("testcase") is None:
            root.remove(suite)
        elif moved:
            _count(suite)
    found: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return found


def _file(case: ET.Element) -> str | None:
    return _property(case, FILE)


def _property(case: ET.Element, name: str) -> str | None:
    return next((each.get("value") for each in case.iterfind("properties/property") if each.get("name") == name), None)


def _started(case: ET.Element, session: str) -> str:
    """Return when a run began, in the form in which pytest gives the start of the session; that one where nobody says."""
    try:
        began = datetime.fromtimestamp(float(_property(case, STARTED) or "nan"), tz=UTC).astimezone()
        return (began if datetime.fromisoformat(session).tzinfo else began.replace(tzinfo=None)).isoformat()
    except (ValueError, OverflowError, OSError):
        return session


def _suite(case: ET.Element, old: ET.Element) -> ET.Element:
    """Return a suite of one test case, with the properties that stood in it."""
    known = {name: value for name in ("timestamp", "hostname") if (value := old.get(name)) is not None}
    if "timestamp" in known:
        known["timestamp"] = _started(case, known["timestamp"])
    made = ET.Element("testsuite", {"name": case.get("name", "run"), **known, "file": _file(case) or ""})
    properties = case.find("properties")
    if properties is not None:
        case.remove(properties)
        for each in [each for each in properties if each.get("name") in {FILE, STARTED}]:
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
