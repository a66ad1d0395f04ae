"""Run as a program of its own: a harness that stands still in the middle of an action, for a test that kills it there.

``python acting_session.py SCENARIO RESULTS MIDDLE``. The first action of the scenario file is done on a cluster of its own; as soon as the
orchestrator has taken the first change of it, or a node is at it, the file MIDDLE is there, and nothing more is done.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.conductor import Options, lent
from harness.modes.swarm.swarm_api import Daemon
from harness.nodes.namespaced import NspawnNode
from harness.plan import plan_of
from harness.steps import actions
from harness.web import Site

if TYPE_CHECKING:
    from collections.abc import Callable

CHANGED = ("/fleet/", "/services", "/nodes")
"""Beginnings of what is changed over an orchestrator's API; members are asked by POST as well, and are changed by none."""


def _stand_still(middle: Path) -> None:
    middle.touch()
    threading.Event().wait()


def _stop_in_the_middle(middle: Path) -> None:
    """Have whoever makes the first change make it, and do nothing more."""

    def taken(ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(self: Any, method: str, path: str, *more: Any, **named: Any) -> Any:
            answer = ask(self, method, path, *more, **named)
            if method != "GET" and path.startswith(CHANGED):
                _stand_still(middle)
            return answer

        return asked

    def at_it(run: Callable[..., Any]) -> Callable[..., Any]:
        def ran(self: Any, *argv: str, **named: Any) -> Any:
            if not any("systemctl stop" in each for each in argv):
                return run(self, *argv, **named)
            threading.Thread(target=run, args=(self, *argv), kwargs=named, daemon=True).start()
            return _stand_still(middle)

        return ran

    for holder, name, around in ((Site, "exchange", taken), (Daemon, "ask", taken), (NspawnNode, "run", at_it)):
        setattr(holder, name, around(getattr(holder, name)))


def main(scenario: Path, results: Path, middle: Path) -> None:
    """Do the first action of a scenario, and stand still in it."""
    made = plan_of(scenario, mode=None, provider="nspawn", profile=None, seed=7)
    first = actions(made.steps)[0]
    with lent(made, Options(results)) as session:
        _stop_in_the_middle(middle)
        session.act(first.action, first.targets)
    raise SystemExit(f"{first.action.name} was done without a change")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
