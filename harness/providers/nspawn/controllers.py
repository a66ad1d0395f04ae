"""Controllers handed down to our groups, on a host that has the unified hierarchy alone; and the root's put back as they were.

What was in the root's ``cgroup.subtree_control`` is noted in `harness.host.state.REGISTRY` before it is changed for the first time, and put back when
the last run is removed, whoever removes it. Where systemd runs the host nothing above our own scope is touched; see `harness.providers.nspawn.scope`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.core.errors import HarnessError
from harness.host import private, state, untrusted
from harness.providers import clusters


def note() -> Path:
    """Return where the root's own controllers are noted while a run is there."""
    return state.REGISTRY / "controllers"


def hand_down(parents: Sequence[Path]) -> None:
    """Let all groups below these, from the top on, have all controllers. What is refused is done without."""
    for parent in parents:
        missing = sorted(_words(parent / "cgroup.controllers") - _words(parent / "cgroup.subtree_control"))
        if not _write(parent, [f"+{each}" for each in missing]):
            for each in missing:
                _write(parent, [f"+{each}"])


def note_root(root: Path) -> None:
    """Note what is in the root's ``cgroup.subtree_control``, unless an earlier run that is still there has. Raises `HarnessError`."""
    if note().exists():
        return
    try:
        private.folder(state.REGISTRY)
        clusters.write(note(), sorted(_words(root / "cgroup.subtree_control")))
    except OSError as error:
        raise HarnessError(f"cannot note down the host's controllers in {note()}: {error.strerror}; nothing was changed") from error


def put_back(root: Path, ours: Sequence[Path]) -> None:
    """Take back what was handed down: from our own groups, from the lowest on, and from the root all that was not there before.

    What somebody else's group hands on by now stays: the kernel refuses to take it. Twice is fine.
    """
    try:
        said = untrusted.loads(private.read(note()))
        before = {each for each in said if isinstance(each, str)} if isinstance(said, list) else _words(root / "cgroup.subtree_control")
    except FileNotFoundError:
        return
    except (OSError, HarnessError, ValueError):
        before = _words(root / "cgroup.subtree_control")  # nobody knows any more
    for group in ours:
        for each in _words(group / "cgroup.subtree_control"):
            _write(group, [f"-{each}"])
    for each in sorted(_words(root / "cgroup.subtree_control") - before):
        _write(root, [f"-{each}"])
    note().unlink(missing_ok=True)
    with suppress(OSError):
        state.REGISTRY.rmdir()  # only when it is empty


def _words(file: Path) -> set[str]:
    with suppress(OSError):
        return set(file.read_text(encoding="utf-8", errors="replace").split())
    return set()


def _write(group: Path, words: Sequence[str]) -> bool:
    if words:
        try:
            (group / "cgroup.subtree_control").write_text(" ".join(words), encoding="utf-8")
        except OSError:
            return False
    return True
