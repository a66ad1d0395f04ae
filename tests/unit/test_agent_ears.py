"""What wakes the agent on a node: the kernel's word, a look now and then behind it, and what is said where one of the two fails."""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.observers.node_truth import AGENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENT = 10.0
HOUR = 3600.0
ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
MAIN = "\n    main()\n"


class Machine:
    """A node's files in a folder, and the agent at work on them in a process of its own. Groups appear and go whole, as the kernel's do."""

    def __init__(self, top: Path) -> None:
        self.top, self.proc, self.containers = top / "cgroup", top / "proc", top / "containers"
        self.slice, self._aside = self.top / "system.slice", top / "aside"
        for each in (self.slice, self.proc / "1", self.proc / "7", self.containers, self._aside):
            each.mkdir(parents=True)
        (self.top / "cgroup.procs").write_text("")
        (self.proc / "7" / "comm").write_text("web\n")
        self._gone = itertools.count()
        self._child: subprocess.Popen[bytes] | None = None
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._read)

    def start(self, rescan: float, old: str = "", new: str = "", files: int | None = None) -> None:
        """Start the agent as a node does, with `old` in its text replaced, and no more than so many open files."""
        source = AGENT.read_text(encoding="utf-8")
        assert source.count(MAIN) == 1
        assert old in source
        arguments = f"{str(self.top)!r}, {str(self.proc)!r}, [{str(self.containers)!r}], {rescan!r}"
        source = source.replace(MAIN, f"\n    main({arguments})\n").replace(old or "\0", new)
        limit = ["prlimit", f"--nofile={files}", "--"] if files else []
        self._child = subprocess.Popen([*limit, sys.executable, "-I", "-c", source], stdout=subprocess.PIPE)
        self._thread.start()

    def make(self, container: str, *, events: bool = True) -> None:
        """Make a container's group, with a process of its own in it."""
        made = self._aside / container
        made.mkdir()
        (made / "cgroup.procs").write_text("7\n")
        if events:
            (made / "cgroup.events").write_text("populated 1\n")
        (self.containers / container).mkdir(exist_ok=True)
        labels = '{"whalefall.instance":"web@1"}'
        (self.containers / container / "config.v2.json").write_text(f'{{"Labels":{labels}}}')
        made.rename(self.slice / f"docker-{container}.scope")

    def remove(self, container: str) -> None:
        """Take it away."""
        (self.slice / f"docker-{container}.scope").rename(self._aside / f"gone-{next(self._gone)}")

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first line from now on that is wanted."""
        while not wanted(line := self._said.get(timeout=PATIENT)):
            pass
        return line

    def until_running(self, *containers: str) -> None:
        """Wait for a line with exactly these."""
        self.until(lambda line: "containers" in line and [each[0] for each in line["containers"]] == sorted(containers))

    def until_note(self, words: str) -> None:
        """Wait for a remark with these words."""
        self.until(lambda line: words in line.get("note", ""))

    def end(self) -> list[dict[str, Any]]:
        """End the agent. Returns what it had said that nobody waited for."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._thread.join()
        left = []
        while not self._said.empty():
            left.append(self._said.get())
        return left

    def _read(self) -> None:
        assert self._child is not None
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                self._said.put(json.loads(line) if line.startswith(b"{") else {"rest": line.decode()})


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A node on which nothing runs yet."""
    made = Machine(tmp_path)
    yield made
    made.end()


def test_a_new_and_a_removed_group_are_told_by_the_kernel(machine: Machine) -> None:
    """The next look would come in an hour."""
    machine.start(HOUR)
    machine.until_running()
    machine.make(ID)
    machine.until_running(ID)
    machine.make(OTHER)
    machine.until_running(ID, OTHER)
    machine.remove(ID)
    machine.until_running(OTHER)
    assert not [line for line in machine.end() if "note" in line]


def test_the_first_word_names_all_that_ran_before_anybody_looked(machine: Machine) -> None:
    """A first list that is completed in a moment says that the rest did not run, at a time at which it did."""
    machine.make(ID)
    machine.make(OTHER)
    (machine.containers / OTHER / "config.v2.json").unlink()  # its label cannot be read: it is told of without a name
    machine.start(HOUR)
    first = machine.until(lambda line: "containers" in line)
    assert first["containers"] == [[ID, "web@1"], [OTHER, ""]]


def test_a_folder_of_groups_that_goes_and_comes_back_is_followed(machine: Machine) -> None:
    """As Docker's own does when its last container goes."""
    machine.start(HOUR)
    machine.make(ID)
    machine.until_running(ID)
    machine.slice.rename(machine.top / "away")
    machine.until_running()
    machine.slice.mkdir()
    machine.make(OTHER)
    machine.until_running(OTHER)
    machine.remove(OTHER)
    machine.until_running()


def test_a_folder_of_groups_that_comes_late_is_found(machine: Machine) -> None:
    """A node that is still booting has none; that is nothing to remark on."""
    machine.slice.rmdir()
    machine.start(HOUR)
    machine.until_running()
    machine.slice.mkdir()
    machine.make(ID)
    machine.until_running(ID)
    machine.remove(ID)
    machine.until_running()
    assert not [line for line in machine.end() if "note" in line]


def test_a_change_of_which_nothing_was_told_is_found_by_looking_and_said(machine: Machine) -> None:
    """These files are no kernel's: what is written into them wakes nobody."""
    machine.start(0.1)
    machine.make(ID)
    machine.until_running(ID)
    (machine.slice / f"docker-{ID}.scope" / "cgroup.events").write_text("populated 0\n")
    machine.until_running()
    machine.until_note("found by looking: the kernel had not told of it")


def test_what_changes_in_time_is_not_called_missed(machine: Machine) -> None:
    """However often it is looked, before or after the kernel's word."""
    machine.start(0.001)
    for _ in range(20):
        machine.make(ID)
        machine.until_running(ID)
        machine.remove(ID)
        machine.until_running()
    assert not [line for line in machine.end() if "note" in line]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("fcntl.F_NOTIFY", "9999", "of changes in "),  # what a kernel says that was built without it, or where it is switched off
        ("MOST = 500", "MOST = 0", "of a container's end: there are more than 0 containers"),
    ],
)
def test_where_the_kernel_cannot_tell_it_is_looked_again_and_again_and_said(machine: Machine, old: str, new: str, why: str) -> None:
    """As it was done before."""
    machine.start(HOUR, old, new)
    machine.make(ID)
    machine.until_note(f"the kernel does not tell {why}")
    machine.until_running(ID)
    (machine.slice / f"docker-{ID}.scope" / "cgroup.events").write_text("populated 0\n")
    machine.until_running()


def test_groups_of_version_1_are_looked_at_again_and_again_and_said(machine: Machine) -> None:
    """They have no cgroup.events."""
    machine.start(HOUR)
    machine.make(ID, events=False)
    machine.until_note("the kernel does not tell of a container's end: its control groups are of version 1")
    (machine.slice / f"docker-{ID}.scope" / "cgroup.procs").write_text("")
    machine.until_running()
    machine.remove(ID)
    machine.until_note("the kernel tells of containers again")


def test_an_agent_that_may_open_nothing_more_never_says_that_nothing_runs(machine: Machine) -> None:
    """Could-not-look is no word about containers: it says why, and ends."""
    machine.make(ID)
    machine.start(HOUR, files=6)  # three are its own from the start
    line = machine.until(lambda line: "rest" in line or "containers" in line)
    assert "Too many open files" in line["rest"]
