"""The example plug-in's checker and fault, as their author would test them: by histories told in a few lines, and with no cluster."""

from __future__ import annotations

import pytest

from fixtures.plugin.whalefall_example.again import ServesAgain
from fixtures.plugin.whalefall_example.ports import ClosedPort
from fixtures.plugin.whalefall_example.words import Say
from harness.core.values import Outcome, Verdict
from harness.testing.histories import Story

AGAIN = ServesAgain("web", least=20, within=10.0)


def _story() -> Story:
    """Tell of a port of n1 that was closed from 10 to 15 s, with calls every 0.1 s before; to be gone on with."""
    story = Story().node(0.0, "n1", "web@1").node(0.0, "n2").gets(1.0, 10.0, "web@1").gets(10.0, 15.0, "web@1", Outcome.FAIL)
    return story.fault("example.port", "n1", decided=9.9, in_force=10.0, healing=14.9, healed=15.0)


def test_an_app_that_serves_again_is_held() -> None:
    """Calls are good from the heal on."""
    finding = AGAIN.check(_story().gets(15.1, 30.0, "web@1").done(40.0).history())
    assert finding.verdict is Verdict.HELD
    assert "were answered well within 10 s of the last heal" in finding.summary


def test_an_app_that_stays_away_is_broken() -> None:
    """Calls were made, and went wrong."""
    finding = AGAIN.check(_story().gets(15.1, 30.0, "web@1", Outcome.FAIL).done(40.0).history())
    assert finding.verdict is Verdict.BROKEN
    assert finding.summary.startswith("0 of ")


@pytest.mark.parametrize(
    "story",
    [
        _story().gets(15.1, 15.8, "web@1", Outcome.FAIL).done(40.0),
        _story().gets(15.1, 18.0, "web@1", Outcome.FAIL).done(18.5),
        _story().gets(15.1, 30.0, "web@1"),
        Story().node(0.0, "n1", "web@1").gets(1.0, 30.0, "web@1", Outcome.FAIL).done(40.0),
        _story().fault("node.kill", "n2", decided=16.0, in_force=16.1, number=2).gets(15.1, 30.0, "web@1", Outcome.FAIL).done(40.0),
        _story().stalled(15.1, 25.0).gets(15.1, 30.0, "web@1", Outcome.FAIL).done(40.0),
    ],
    ids=["too few calls", "it ended before", "cut off", "no fault", "a fault that was never healed", "the harness stood still"],
)
def test_what_cannot_be_told_is_unknown(story: Story) -> None:
    """Silence convicts nobody, nor does it acquit."""
    assert AGAIN.check(story.history()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("text", ["", "x" * 201, "two\nlines", "\x1b[31m"])
def test_what_is_no_line_is_not_said(text: str) -> None:
    """Where the file is read, and not on a node."""
    with pytest.raises(ValueError, match="a line is of 1 to 200 characters that can be printed"):
        Say(text)


@pytest.mark.parametrize("port", [0, -1, 22, 65536])
def test_what_is_no_port_to_be_closed_is_refused(port: int) -> None:
    """Where the file is read, and not on a node; and so is the way to the nodes."""
    with pytest.raises(ValueError, match=f"{port} cannot be closed"):
        ClosedPort(port)
