"""What every test without machines needs: nothing of it may be seen by the rest of this machine."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from click.testing import CliRunner, Result

from harness import cli
from harness.host import contexts, marks, processes, state
from harness.providers.inventory import loading
from tests.unit.kept_ansible import Run, kept

hypothesis.settings.register_profile("untimed", deadline=None)  # how long an example takes says nothing on a busy machine
hypothesis.settings.load_profile("untimed")

REAPERS, CONTEXTS, IMAGES = processes.reapers, contexts.contexts, contexts.folder()
"""As everybody but a test sees them."""
AT_A_DESK = ("CI", "BUILD_NUMBER", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables by which an output is another one in CI, or on some terminals."""


@pytest.fixture(scope="session")
def _aside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a new folder at each step: for every folder that pytest makes by itself, it reads the names of all that it has made for others."""
    base = tmp_path_factory.mktemp("aside")

    def made(number: int) -> Path:
        folder = base / str(number)
        folder.mkdir(mode=0o700)
        return folder

    return map(made, itertools.count())


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, _aside: Iterator[Path], ansible: Run) -> None:
    """See nothing of this machine's, and be seen by nobody on it. One fixture for all of it: each costs a tenth of what most tests take.

    The register of clusters, and their folders, are the test's own, and no helper process is seen of a run that it does not know: a test that sweeps,
    or takes all owners for dead, must never reach a run of this machine's user, nor wake or count another's reaper.

    No image is seen that whoever uses this checkout has put beside ours, as README says: what is told of images names all that there are.

    Who runs a test changes nothing: in CI and at a desk the same is shown. Tests that are about CI say so themselves.

    Inventories are read by a process that has loaded Ansible.
    """
    ours = tmp_path_factory.getbasetemp()
    monkeypatch.setattr(processes, "reapers", lambda: (each for each in REAPERS() if each[2].is_relative_to(ours)))
    monkeypatch.setenv("WHALEFALL_STATE", str(next(_aside)))
    monkeypatch.setattr(state, "REGISTRY", next(_aside))
    monkeypatch.setattr(marks, "VARIABLE", f"{marks.VARIABLE}_{secrets.token_hex(8)}")
    monkeypatch.setattr(contexts, "contexts", lambda: [each for each in CONTEXTS() if each.parent != IMAGES or not contexts.is_own(each)])
    for name in AT_A_DESK:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(loading, "run_bounded", ansible)


@pytest.fixture(scope="session")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run programs of Ansible in a process that has loaded it."""
    with kept(lambda: tmp_path_factory.mktemp("ansible")) as run:
        yield run


@pytest.fixture
def loaded_anew(monkeypatch: pytest.MonkeyPatch, _alone: None) -> None:
    """Let inventories be read by new processes, as everywhere else."""
    monkeypatch.setattr(loading, "run_bounded", processes.run_bounded)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and no runs, seen as by root."""
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path / "cache"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call the command in an empty folder."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WHALEFALL_DEBUG", raising=False)
    monkeypatch.delenv("WHALEFALL_RESULTS", raising=False)
    runner = CliRunner()

    def invoke(*args: str) -> Result:
        return runner.invoke(cli.main, args)

    return invoke
