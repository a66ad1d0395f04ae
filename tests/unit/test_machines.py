"""`whalefall image`, `sweep` and `heal`: this machine, and what runs left on it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result

import harness.conductor.standing  # beside the double of its package it cannot be found any more
import harness.host
from harness import cli, registry
from harness.core.errors import HarnessError, Problem
from harness.core.values import Verdict
from harness.host import app_images, layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
from tests.unit.commanding import conducted


@dataclass
class Images:
    """A module that stands in for `harness.host.image`: `outcome` is what a build comes to."""

    outcome: BaseException | None = None
    kept: list[bool] = field(default_factory=list)
    asked: list[Path | None] = field(default_factory=list)

    def put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it in place."""
        made = types.ModuleType("harness.host.image")
        made.__dict__.update(ensure=self.ensure, prune=self.prune)
        monkeypatch.setitem(sys.modules, "harness.host.image", made)
        monkeypatch.setattr(harness.host, "image", made, raising=False)
        boxes = types.ModuleType("harness.host.box")
        boxes.__dict__.update(ensure=self.box, prune=lambda _, *, keep_current: [])
        monkeypatch.setitem(sys.modules, "harness.host.box", boxes)
        monkeypatch.setattr(harness.host, "box", boxes, raising=False)
        monkeypatch.setattr(app_images, "prune", lambda *, keep_current: [])

    def box(self, progress: Callable[[str], None], *, layer: Path | None) -> types.SimpleNamespace:
        """Build the box."""
        progress("installing a kernel")
        return types.SimpleNamespace(key="def", size=1_400_000_000, path=Path("/cache/def"))

    def ensure(self, progress: Callable[[str], None], *, layer: Path | None) -> types.SimpleNamespace:
        """Build it, or not."""
        self.asked.append(layer)
        progress("building web")
        if self.outcome is not None:
            raise self.outcome
        return types.SimpleNamespace(key="abc", size=600_000_000, paths=(Path("/cache/images/abc/root"),))

    def prune(self, modes: Iterable[Path | None], *, keep_current: bool) -> list[types.SimpleNamespace]:
        """Remove the current one, if that was asked for."""
        assert {*modes} == ({*registry.layers().values()} if keep_current else set())
        self.kept.append(keep_current)
        return [] if keep_current else [types.SimpleNamespace(key="abc", size=600_000_000)]


def test_an_image_is_built_and_pruned(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is told as it is done, and what came of it."""
    images = Images()
    images.put(monkeypatch)
    every = registry.layers()
    told = "".join(f"building web\nimage for {mode} abc: 600 MB in /cache/images\n" for mode in every)
    assert call("image", "build").output == told
    assert images.asked == [*every.values()]
    lines = call("image", "build", "swarm", "--box").output.splitlines()
    assert lines[1:] == ["image for swarm abc: 600 MB in /cache/images", "installing a kernel", "box for swarm def: 1400 MB in /cache/def"]
    assert images.asked == [*every.values(), every["swarm"]]
    wrong = call("image", "build", "swam")
    assert (wrong.exit_code, images.asked) == (2, [*every.values(), every["swarm"]])
    assert f"an unknown mode 'swam'; expected one of {', '.join(registry.known().modes)}; did you mean 'swarm'?" in wrong.output
    assert call("image", "prune").output == "nothing to remove\n"
    assert call("image", "prune", "--all").output == "removed abc (600 MB)\n"
    assert images.kept == [True, False]


def test_what_a_bad_plug_in_needs_is_not_known(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mode is no unknown one, and its layers are not taken for old: what is wrong with it is told, and nothing is removed."""
    images = Images()
    images.put(monkeypatch)
    problem = Problem("acme/node/packags", 0, 0, "what nobody looks at", "one of packages")
    bad = registry.Usable(registry.usable().known, (problem,))
    monkeypatch.setattr(registry, "usable", lambda: bad)
    for command in (("build",), ("build", "acme"), ("prune",)):
        result = call("image", *command)
        assert result.exit_code == 4
        assert "acme/node/packags" in result.output
    assert (images.asked, images.kept) == ([], [])
    assert call("image", "prune", "--all").exit_code == 0


@pytest.mark.parametrize(
    ("outcome", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (HarnessError("the disk is full"), 4, "whalefall failed: the disk is full"),
        (OSError(errno.EROFS, "", "/c"), 4, "whalefall failed: cannot write /c: Read-only file system"),
    ],
)
def test_a_build_that_does_not_end_well_is_a_line(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, outcome: BaseException, status: int, words: str
) -> None:
    """Ctrl-C and a failure: never a traceback."""
    Images(outcome).put(monkeypatch)
    result = call("image", "build")
    assert result.exit_code == status
    assert result.output.splitlines()[1].startswith(words)
    assert len(result.output.splitlines()) == 2


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.ENOTDIR])
def test_a_cache_that_cannot_be_written_is_one_line(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    """The real `harness.host.image`, on a disk that refuses: the folder, the reason, and WHALEFALL_CACHE."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(layers, "check_machine", lambda _: "go")
    monkeypatch.setattr(Path, "mkdir", refuse)
    result = call("image", "build")
    assert result.exit_code == 4
    assert result.output.startswith(f"whalefall failed: cannot write the image cache at {tmp_path}/cache: {os.strerror(number)}; ")
    assert "set WHALEFALL_CACHE" in result.output


def test_sweep_and_heal_say_what_they_did(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Or that there was nothing to do. What could not be removed is an error."""
    made = types.ModuleType("harness.undo.reaper")

    def sweep(*, kept: bool, say: Callable[[str], None]) -> types.SimpleNamespace:
        if kept:
            say("run-1: removed")
            say("run-2: its hosts are NOT let go")
            return types.SimpleNamespace(said=["run-1: removed", "run-2: its hosts are NOT let go"], failed=("run-2",))
        return types.SimpleNamespace(said=[], failed=())

    def heal(run_id: str | None, results: Path, say: Callable[[str], None]) -> list[str]:
        assert results.name
        if run_id:
            say(f"{run_id}: node.kill on n2 was healed")
        return [f"{run_id}: node.kill on n2 was healed"] if run_id else []

    made.__dict__.update(heal=heal, sweep=sweep)
    monkeypatch.setitem(sys.modules, "harness.undo.reaper", made)
    assert call("sweep").output == "nothing is left of any run\n"
    result = call("sweep", "--kept")
    assert (result.output, result.exit_code) == ("run-1: removed\nrun-2: its hosts are NOT let go\n", cli.HARNESS_FAILED)
    assert call("heal").output == "nothing is broken\n"
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    assert call("heal", "latest").output == "run-1: node.kill on n2 was healed\n"


@pytest.mark.parametrize("command", ["heal", "sweep"])
def test_what_is_interrupted_has_said_what_it_did_and_that_it_can_be_run_again(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Ctrl-C in the middle of a heal or a sweep, or a time limit."""
    made = types.ModuleType("harness.undo.reaper")

    def terminated(*_: Any, **__: Any) -> object:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError

    def stopped(*given: Any, **named: Any) -> object:
        (named.get("say") or given[-1])("run-1: the first of two")
        raise KeyboardInterrupt

    made.__dict__.update(heal=stopped, sweep=stopped)
    monkeypatch.setitem(sys.modules, "harness.undo.reaper", made)
    result = call(command)
    assert result.exit_code == 130
    again = f"stopped half-way: run `whalefall {command}` again to do the rest"
    assert result.output.splitlines()[:2] == ["run-1: the first of two", again]
    before = signal.getsignal(signal.SIGTERM)
    made.__dict__.update(heal=terminated, sweep=terminated)
    result = call(command)
    assert (result.exit_code, again in result.output, signal.getsignal(signal.SIGTERM)) == (143, True, before)
