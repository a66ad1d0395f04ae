"""JUnit files are somebody else's as well: what lies at their path neither hangs us, nor leads us elsewhere, nor grows."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.pytest_plugin import conform
from harness.reports.junit import FILE, STARTED

WRITTEN = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest"><testcase name="a" time="1">\
<properties><property name="whalefall.file" value="a.yaml"/></properties></testcase></testsuite></testsuites>"""


def test_a_run_becomes_a_suite(tmp_path: Path) -> None:
    """So that the other tests here can fail."""
    path = tmp_path / "junit.xml"
    path.write_text(WRITTEN)
    conform(path)
    assert 'file="a.yaml"' in path.read_text()


@pytest.mark.parametrize("name", ["file", "run", "verdict", "recovery.web@1.running"])
def test_a_file_without_a_run_of_ours_is_not_written_anew(tmp_path: Path, name: str) -> None:
    """Not a byte of it, whatever others call their properties: the plug-in is there in every pytest run."""
    path = tmp_path / "junit.xml"
    path.write_text(WRITTEN.replace("whalefall.file", name))
    conform(path)
    assert path.read_text() == WRITTEN.replace("whalefall.file", name)


def test_what_lies_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    """Tests may be run as root, and their report may lie where others write."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".junit.xml.new").symlink_to(victim)
    path = tmp_path / "junit.xml"
    path.write_text(WRITTEN)
    conform(path)
    assert victim.read_text() == "precious"
    assert 'file="a.yaml"' in path.read_text()


def test_a_link_that_the_user_named_stays_one(tmp_path: Path) -> None:
    """What it leads to is what pytest wrote."""
    (tmp_path / "real.xml").write_text(WRITTEN)
    (tmp_path / "junit.xml").symlink_to("real.xml")
    conform(tmp_path / "junit.xml")
    assert (tmp_path / "junit.xml").is_symlink()
    assert 'file="a.yaml"' in (tmp_path / "real.xml").read_text()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nothing"])
def test_what_is_no_file_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Nobody waits for what never comes: ``--junitxml /dev/stdout``, or a shell's ``>(…)``."""
    path = tmp_path / "junit.xml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    conform(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ([] if kind == "nothing" else ["junit.xml"])


def test_definitions_are_not_followed(tmp_path: Path) -> None:
    """A few lines of them can stand for gigabytes."""
    path = tmp_path / "junit.xml"
    words = "".join(f'<!ENTITY w{number} "{f"&w{number - 1};" * 10}">' for number in range(1, 12))
    text = WRITTEN.replace("<testsuites>", f'<!DOCTYPE testsuites [<!ENTITY w0 "word">{words}]><testsuites>', 1).replace(
        'name="a"', 'name="&w11;"'
    )
    path.write_text(text)
    conform(path)
    assert path.read_text() == text


def test_what_is_left_of_a_suite_is_counted_anew(tmp_path: Path) -> None:
    """Of two cases, one of which failed and is a run of ours, the other's suite has one that passed."""
    ours, *_ = WRITTEN.partition("<testcase")[2].partition("</testcase>")
    path = tmp_path / "junit.xml"
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="2" failures="1" errors="0" skipped="0" time="3">'
        f'<testcase{ours}<failure/></testcase><testcase name="b" time="2"/></testsuite></testsuites>'
    )
    conform(path)
    left = next(each for each in ET.fromstring(path.read_text()) if each.get("name") == "pytest")  # noqa: S314 - our own text
    assert {key: left.get(key) for key in ("tests", "failures", "time")} == {"tests": "1", "failures": "0", "time": "2.000"}


@pytest.mark.parametrize("offset", ["", "+00:00"], ids=["without a time zone", "with one"])
def test_each_run_of_ours_has_its_own_start(tmp_path: Path, offset: str) -> None:
    """In the form of the session's, which stays where nobody says when a run began; the property that said it is gone."""
    began = datetime(2026, 11, 29, 10, 38, 14, 500000, tzinfo=UTC)
    path = tmp_path / "junit.xml"
    cases = "".join(
        f'<testcase name="{name}" time="1"><properties><property name="{FILE}" value="a.yaml"/>{said}</properties></testcase>'
        for name, said in (
            ("told", f'<property name="{STARTED}" value="{began.timestamp()}"/>'),
            ("untold", ""),
            ("nonsense", f'<property name="{STARTED}" value="soon"/>'),
        )
    )
    session = f"2026-11-29T10:36:20.957692{offset}"
    path.write_text(f'<testsuites><testsuite name="pytest" tests="3" timestamp="{session}">{cases}</testsuite></testsuites>')
    conform(path)
    suites = {each.get("name"): each for each in ET.fromstring(path.read_text())}  # noqa: S314 - our own text
    assert {name: each.get("timestamp") for name, each in suites.items() if name != "told"} == {"untold": session, "nonsense": session}
    told = datetime.fromisoformat(str(suites["told"].get("timestamp")))
    assert (told.tzinfo is not None, told.astimezone(UTC)) == (bool(offset), began)
    assert STARTED not in path.read_text()
