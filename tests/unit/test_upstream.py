"""Scenarios after upstream's own tests and threads, and the page that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.scenario import NotForMode, load
from tests.usual import IN_MODES

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "scenarios" / "upstream").glob("*.yaml"))
INDEX = ROOT / "docs" / "upstream.md"
_ROW = re.compile(r"\| `([a-z0-9-]+)` \| \[[^]]*\]\(([^)]+)\) \| ([^|]+) \| ([^|]*) \| ([^|]+) \|")


def rows() -> dict[str, tuple[str, list[str], str]]:
    """Return the index: the link, the modes and what came out, by the name of the scenario."""
    found = _ROW.findall(INDEX.read_text(encoding="utf-8"))
    assert len({each[0] for each in found}) == len(found), "twice in the index"
    return {name: (link, modes.split(", "), came.strip()) for name, link, _, modes, came in found}


def test_the_index_has_every_scenario_and_no_other() -> None:
    """One row for each file."""
    assert sorted(rows()) == [path.stem for path in SCENARIOS]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_names_its_thread_and_the_index_has_the_same(path: Path) -> None:
    """The link stands at the end of `why`; a number in the name of the file is the thread's."""
    link = str(yaml.safe_load(path.read_text(encoding="utf-8"))["why"]).split()[-1]
    assert rows()[path.stem][0] == link
    number = re.search(r"-(\d{2,})-", path.stem)
    assert link.endswith(f"/{number[1]}" if number else (".go", ".py")), link


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_index_says_for_which_modes_a_scenario_is(path: Path) -> None:
    """Those that it does not skip; and what came out of it there."""
    modes = []
    for mode in IN_MODES:
        try:
            load(path, mode=mode)
        except NotForMode:
            continue
        modes.append(mode)
    assert rows()[path.stem][1] == modes
    assert rows()[path.stem][2]
