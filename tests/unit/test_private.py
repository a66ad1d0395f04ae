"""For root's eyes only: what others could read, run or have written, whatever the umask, and whatever an older version left open."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError, Unreadable
from harness.disk import fuse_connection
from harness.host import marks, private, state
from harness.host.processes import Process, start_time
from harness.providers import clusters
from harness.providers.inventory import inventory_records
from harness.providers.nspawn import NspawnProvider, bridge, cgroups, machine, nspawn_records
from harness.providers.vagrant import VagrantProvider, own_libvirt, vagrant_records
from harness.undo import reaper

RUN = "doubt-1"
UMASKS = [0o000, 0o022, 0o077, 0o777]


def mode(path: Path) -> int:
    """Return a path's permissions."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep state and cache in folders of the test's own."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bridge, "FOLDER", tmp_path / "netns")
    monkeypatch.setattr(own_libvirt, "FOLDER", tmp_path / "netns")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "TRACES", tmp_path / "traces")
    return tmp_path


@pytest.fixture(params=UMASKS, ids=[f"umask {each:03o}" for each in UMASKS])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_no_umask_opens_a_folder_or_a_file(folders: Path) -> None:
    """Of state, cache and register: folders 0700, files 0600, from the root of each on."""
    clusters.open_cluster(RUN, "nspawn", {})
    clusters.keep(RUN)
    state.close_cache("images")
    private.opened(folders / "cache" / "images" / "log", "a").close()
    made = [*(folders / "state").rglob("*"), *(folders / "cache").rglob("*"), *state.REGISTRY.rglob("*")]
    assert {each.name for each in made} == {"runs", RUN, "cluster.json", "kept", "images", "log", f"{RUN}.json", marks.KEY}
    for each in (*made, folders / "state", folders / "cache", state.REGISTRY):
        assert mode(each) == (0o700 if each.is_dir() else 0o600), each


def test_what_an_older_version_left_open_is_closed(folders: Path) -> None:
    """When it is next used: folders of state, cache and register, and files that are written again."""
    for each in (folders / "state" / "runs", folders / "cache" / "images", state.REGISTRY):
        each.mkdir(parents=True, exist_ok=True)
        each.chmod(0o777)
        each.parent.chmod(0o755) if each != state.REGISTRY else None
    log = folders / "cache" / "images" / "log"
    log.touch()
    log.chmod(0o666)
    clusters.open_cluster(RUN, "nspawn", {})
    state.close_cache("images")
    private.opened(log, "ab").close()
    for name in ("state", "state/runs", "cache", "cache/images"):
        assert mode(folders / name) == 0o700, name
    assert mode(state.REGISTRY) == 0o700
    assert mode(log) == 0o600


def test_a_folder_with_other_things_in_it_keeps_its_mode(folders: Path) -> None:
    """``WHALEFALL_STATE=/srv`` must not close /srv to everybody; what is ours in there is closed all the same."""
    (folders / "state").mkdir(mode=0o755)
    (folders / "state" / "theirs").touch()
    clusters.open_cluster(RUN, "nspawn", {})
    assert mode(folders / "state") == 0o755
    assert mode(folders / "state" / "runs") == 0o700


def test_a_folder_of_somebody_else_is_refused(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They could put there what they like: also a link of theirs."""
    (folders / "state" / "runs").mkdir(parents=True)
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(HarnessError, match=r"belongs to user \d+, who could put there what they like"):
        private.folder(folders / "state" / "runs")
    (folders / "link").symlink_to(folders / "state")
    with pytest.raises(HarnessError, match="somebody else's link"):
        private.folder(folders / "link")


def test_a_file_is_never_written_through_a_link(folders: Path) -> None:
    """Somebody who could write into the folder before it was closed may have left one."""
    (folders / "precious").write_text("mine")
    (folders / "log").symlink_to(folders / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        private.opened(folders / "log", "w")
    assert (folders / "precious").read_text() == "mine"


# -- the register


def _entry(folder: object, name: str = RUN) -> Path:
    """Write an entry by hand, as root would, of a run whose owner is dead."""
    path = state.REGISTRY / f"{name}.json"
    marks.have_key()
    with private.opened(path, "w") as file:
        json.dump(clusters.sealed(name, {"folder": folder, "provider": "nspawn", "owner": {"pid": 1, "started": 1}}), file)
    return path


def _run(at: Path, name: str = RUN) -> Path:
    """Make a run's folder with a file in it."""
    where = private.folder(at / "runs" / name)
    (where / "precious").touch()
    return where


def test_a_good_entry_is_believed(folders: Path) -> None:
    """Also of another state folder than this process's."""
    where = _run(folders / "elsewhere")
    _entry(str(where))
    assert clusters.folder(RUN) == where
    assert clusters.registered() == {RUN}
    assert clusters.doubts() == []


def _writable(path: Path, where: Path) -> None:
    path.chmod(0o666)


def _linked(path: Path, where: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def _fifo(path: Path, where: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _torn(path: Path, where: Path) -> None:
    path.write_text('{"folder": "/')


def _deep(path: Path, where: Path) -> None:
    path.write_text("[" * 100_000)


def _huge(path: Path, where: Path) -> None:
    os.truncate(path, 5 << 30)


def _open_folder(path: Path, where: Path) -> None:
    where.chmod(0o777)


def _open_above(path: Path, where: Path) -> None:
    where.parent.chmod(0o777)


def _link_for_folder(path: Path, where: Path) -> None:
    where.rename(where.with_name("real"))
    where.symlink_to(where.with_name("real"))


@pytest.mark.parametrize("spoil", [_writable, _linked, _fifo, _torn, _deep, _huge, _open_folder, _open_above, _link_for_folder])
def test_an_entry_that_others_could_have_made_is_not_believed(folders: Path, spoil: object) -> None:
    """Nor is one whose folder others could have put there. It is said, and nothing that it names is touched."""
    where = _run(folders / "elsewhere")
    spoil(_entry(str(where)), where)  # type: ignore[operator]
    assert clusters.registered() == set()
    assert clusters.folder(RUN) == state.run_folder(RUN)
    assert clusters.owner(RUN) is None
    (said,) = clusters.doubts()
    assert f"{RUN}.json is not believed and nothing that it names is touched: " in said
    assert NspawnProvider().runs().get(RUN) is None


LIES: dict[str, Callable[[dict[str, Any], Path], object]] = {
    "another folder": lambda body, other: body.update(folder=str(other)),
    "another provider": lambda body, other: body.update(provider="vagrant"),
    "an owner that lives": lambda body, other: body.update(owner={"pid": 1, "started": start_time(1)}),
    "an owner of another pid": lambda body, other: body["owner"].update(pid=os.getppid()),
    "a field more": lambda body, other: body.update(mood=1),
    "a field less": lambda body, other: body.pop("owner"),
    "no seal": lambda body, other: body.pop("seal"),
    "an empty seal": lambda body, other: body.update(seal=""),
    "a seal that is a number": lambda body, other: body.update(seal=1),
    "another run's entry": lambda body, other: body.update(clusters.sealed("doubt-2", body)),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_entry_that_was_changed_is_not_believed(folders: Path, lie: str) -> None:
    """Whoever did it: a sweep removes what it names, and ends whom it names. It is said, and what it named stays."""
    ours, other = _run(folders / "elsewhere"), _run(folders / "precious")
    path = _entry(str(ours))
    body = json.loads(path.read_text())
    LIES[lie](body, other)
    path.write_text(json.dumps(body))
    assert clusters.registered() == set()
    assert not clusters.recorded(RUN)
    assert clusters.owner(RUN) is None
    assert clusters.provider_of(RUN) is None
    (said,) = clusters.doubts()
    assert "it is not sealed with this register's key" in said
    assert "register" in reaper.sweep().failed, "what it names may stand"
    NspawnProvider().destroy(RUN)
    assert (other / "precious").exists()
    assert (ours / "precious").exists()


@pytest.mark.parametrize("key", ["gone", "empty", "short", "a link", "open", "another"])
def test_without_its_key_the_register_proves_nothing(folders: Path, key: str) -> None:
    """Its entries are told and not believed. The next run makes a key that nobody else has."""
    where = _run(folders / "elsewhere")
    _entry(str(where))
    file = state.REGISTRY / marks.KEY
    before = file.read_bytes()
    file.unlink()
    if key == "a link":
        (folders / "key").write_bytes(before)
        file.symlink_to(folders / "key")
    elif key != "gone":
        private.opened(file, "wb").close()
        file.write_bytes({"empty": b"", "short": before[1:], "open": before, "another": os.urandom(len(before))}[key])
        file.chmod(0o666 if key == "open" else 0o600)
    assert clusters.registered() == set()
    assert len(clusters.doubts()) == 1
    clusters.open_cluster("next-1", "nspawn", {})
    assert clusters.registered() == {"next-1"}
    assert clusters.recorded("next-1")
    assert (where / "precious").exists()
    assert before != file.read_bytes()


@pytest.mark.parametrize("holds", ["nothing", "a file", "a record of another run", "a record that is a link", "a damaged record"])
def test_a_folder_without_its_own_record_is_no_clusters(folders: Path, holds: str) -> None:
    """Where WHALEFALL_STATE names a folder that holds others: it is told, and no sweep and no run removes it."""
    theirs = state.runs() / "backup"
    theirs.mkdir(parents=True)
    if holds == "a file":
        (theirs / "precious").touch()
    elif holds == "a record that is a link":
        (folders / "elsewhere").write_text('{"run_id": "backup"}')
        (theirs / "cluster.json").symlink_to(folders / "elsewhere")
    elif holds != "nothing":
        with private.opened(theirs / "cluster.json", "w") as file:
            file.write('{"run_id": "other-1"}' if "another" in holds else '{"run_id": "backup"')
    assert clusters.registered() == set()
    (said,) = clusters.strangers()
    assert said.startswith(f"{theirs}: left alone, ")
    why = {
        "a record of another run": "its record is that of other-1",
        "a record that is a link": "believed",
        "a damaged record": "believed",
    }
    assert why.get(holds, "it lies where clusters' folders do, but has no record of one; if") in said
    swept = reaper.sweep()
    assert said in swept.said
    for provider in (NspawnProvider(), VagrantProvider()):
        provider.destroy("backup")
    assert theirs.is_dir()
    if holds != "nothing":
        with pytest.raises(HarnessError, match="is there already, and not of a cluster of ours"):
            clusters.open_cluster("backup", "nspawn", {})
        assert [*theirs.iterdir()]
    assert clusters.doubts() == []


def test_a_clusters_record_is_the_last_that_goes_of_its_folder(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is killed while it removes one leaves what the next sweep knows."""
    clusters.open_cluster(RUN, "nspawn", {})
    (state.REGISTRY / f"{RUN}.json").unlink()
    where = state.run_folder(RUN)
    for name in ("a", "z"):
        (where / name).mkdir()
    gone: list[str] = []
    rmtree = shutil.rmtree

    def killed(path: Path, **options: Any) -> None:
        gone.append(Path(path).name)
        if path == where:
            raise KeyboardInterrupt
        rmtree(path, **options)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        clusters.remove_folder(RUN)
    assert sorted(gone[:-1]) == ["a", "z"]
    assert [each.name for each in where.iterdir()] == ["cluster.json"]
    assert clusters.registered() == {RUN}


def test_a_run_that_ends_takes_nothing_from_one_that_begins(folders: Path) -> None:
    """The register's folder and its key go with the last run, and come with the next, at one moment."""
    troubles: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(40):
                run_id = f"turn-{number}-{turn}"
                clusters.open_cluster(run_id, "nspawn", {})
                assert clusters.recorded(run_id)
                assert marks.proof(run_id)
                clusters.remove_folder(run_id)
                clusters.unregister(run_id)
                with contextlib.suppress(OSError):
                    state.runs().rmdir()  # as a sweep does
        except BaseException as error:  # noqa: BLE001 - told below
            troubles.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    assert troubles == []
    assert not state.REGISTRY.exists()


@pytest.mark.parametrize(
    "named", ["/", "/etc", "/root", "relative/runs/doubt-1", "../runs/doubt-1", "", 7, None, "/srv/runs/cut-2", "/srv/../runs/doubt-1"]
)
def test_an_entry_that_names_no_folder_of_ours_is_not_believed(folders: Path, named: object) -> None:
    """Whoever wrote it: a sweep removes what it names."""
    _entry(named)
    assert clusters.folder(RUN) == state.run_folder(RUN)
    assert len(clusters.doubts()) == 1


def test_an_entry_of_another_user_is_not_believed(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not root has no say in what root removes."""
    _entry(str(_run(folders / "elsewhere")))
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    (said,) = clusters.doubts()
    assert "belongs to user" in said


def test_an_entry_whose_name_is_no_id_stops_nobody(folders: Path) -> None:
    """It is said, and the others are read."""
    where = _run(folders / "elsewhere")
    _entry(str(where))
    _entry(str(where), "..cut")
    assert clusters.registered() == {RUN}
    assert len(clusters.doubts()) == 1


def test_a_folder_without_a_runs_name_stops_nobody(folders: Path) -> None:
    """As ``lost+found`` where state is a disk of its own."""
    clusters.open_cluster(RUN, "nspawn", {})
    (state.runs() / "lost+found").mkdir()
    assert clusters.registered() == {RUN}


def test_a_relative_state_folder_is_registered_whole(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sweeps stands elsewhere."""
    monkeypatch.chdir(folders)
    monkeypatch.setenv("WHALEFALL_STATE", "state")
    clusters.open_cluster(RUN, "nspawn", {})
    monkeypatch.chdir("/")
    assert clusters.folder(RUN) == folders / "state" / "runs" / RUN
    assert clusters.owner(RUN) == Process.of(os.getpid())


# -- what a run writes down, and what it may not


def test_a_state_folder_that_others_could_exchange_is_refused(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would believe later that what lies there is ours to remove: so nothing is made."""
    (folders / "open").mkdir()
    (folders / "open").chmod(0o777)
    monkeypatch.setenv("WHALEFALL_STATE", str(folders / "open" / "state"))
    with pytest.raises(HarnessError, match=r"others may write into .*/open, so that nobody could believe later"):
        clusters.open_cluster(RUN, "nspawn", {})
    assert not state.run_folder(RUN).exists()
    assert [*state.REGISTRY.glob("*")] == []


@pytest.mark.parametrize("step", ["entry", "record"])
def test_a_cluster_that_cannot_be_noted_down_leaves_nothing(folders: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A disk that is full in the middle of it: no entry, no folder, no half of a file."""
    written: list[int] = []

    def full(handle: int) -> None:
        written.append(handle)
        if len(written) == ("entry", "record").index(step) + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HarnessError, match=r"cannot note down the cluster .* is the disk full"):
        clusters.open_cluster(RUN, "nspawn", {})
    assert not state.run_folder(RUN).exists()
    assert not state.REGISTRY.exists()


def test_what_somebody_killed_left_half_written_goes_with_the_entry(folders: Path) -> None:
    """Else the register's folder would stay for good."""
    clusters.open_cluster(RUN, "nspawn", {})
    (state.REGISTRY / f"{RUN}.new").touch()
    clusters.unregister(RUN)
    assert not state.REGISTRY.exists()


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside a run"])
def test_what_anybody_killed_left_half_written_goes_with_a_sweep(folders: Path, *, others: bool) -> None:
    """Also the key, where no run is left; and where one is, it stays proven."""
    if others:
        clusters.open_cluster("beside-1", "nspawn", {})
    private.folder(state.REGISTRY)
    for name in (f"{RUN}.new", "key.new", "controllers.new"):
        (state.REGISTRY / name).touch()
    if not others:
        marks.have_key()
    reaper.sweep()
    assert clusters.recorded("beside-1") is others
    assert not [*state.REGISTRY.glob("*.new")]
    assert state.REGISTRY.exists() is others


def test_what_anybody_killed_left_half_written_goes_with_the_next_run(folders: Path) -> None:
    """Whosever it was."""
    private.folder(state.REGISTRY)
    (state.REGISTRY / "earlier-1.new").touch()
    clusters.open_cluster(RUN, "nspawn", {})
    (state.REGISTRY / "later-1.new").touch()
    clusters.unregister(RUN)
    assert not state.REGISTRY.exists()


RECORDS: dict[str, object] = {
    "a link": lambda path: path.symlink_to("/etc/hostname"),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "written by others": lambda path: (path.write_text("{}"), path.chmod(0o666)),
    "too large": lambda path: path.write_bytes(bytes(private.LARGEST + 1)),
    "deep": lambda path: path.write_text("[" * 100000),
    "no object": lambda path: path.write_text("[1]"),
    "digits without end": lambda path: path.write_text('{"pid": ' + "9" * 5000 + "}"),
}


@pytest.mark.parametrize("odd", RECORDS)
def test_a_record_that_could_be_somebody_elses_hangs_nobody_and_is_not_believed(folders: Path, odd: str) -> None:
    """Of every provider, and of a slow disk: each is an error in words, or counts as not there."""
    make: Any = RECORDS[odd]
    clusters.open_cluster(RUN, "nspawn", {"nodes": []})
    where = clusters.folder(RUN)
    (where / "nodes" / "n1").mkdir(parents=True)
    (where / "cluster.json").unlink()
    for name in ("cluster.json", "hosts.json", "results.json", "fleet.json", "nodes/n1/machine.json", "nodes/n1/disk.connection"):
        make(where / name)
    for ask in (nspawn_records.read_cluster, vagrant_records.read_cluster, inventory_records.read):
        with pytest.raises(Unreadable, match="cannot be read"):
            ask(RUN)
    with pytest.raises(HarnessError, match="cannot be read"):
        inventory_records.results(RUN)
    assert nspawn_records.read_machine(RUN, "n1") is None
    assert fuse_connection.read(where / "nodes" / "n1" / "disk.connection") is None
    assert clusters.owner(RUN) is not None, "the register itself still tells"
