"""The images of apps that this machine brings: found, told, kept once, held while they are used, and pruned."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli import machines
from harness.core.errors import BadInput, HarnessError, Unsupported
from harness.host import app_images, archives, contexts, layers, locks, pulling, shelves, surroundings
from harness.host.app_images import AppImage
from tests.unit.archiving import image, layer, write
from tests.unit.test_contexts import program

DIGEST = "sha256:" + "0123456789abcdef" * 4


class Commands:
    """Commands of a build that are played: none of them is needed."""

    def __init__(self, *_: Any) -> None:
        pass

    def say(self, line: str) -> None:
        """Take what is told."""

    def run(self, argv: Sequence[str]) -> list[str]:
        """Do nothing."""
        assert argv[0] == "sync"
        return []


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a cache of one's own, and be who may write to it."""
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shelves, "BuildCommands", Commands)
    monkeypatch.setattr(app_images, "_must_be_root", lambda _: None)
    monkeypatch.setattr(shelves, "check_space", lambda *_: None)
    return tmp_path / "cache" / "app-images"


@pytest.fixture
def pulls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have a registry that has everything: what is pulled from it is noted."""
    noted: list[str] = []

    def pull(origin: Any, work: Path, _: Any) -> tuple[Path, str]:
        noted.append(origin.source)
        return write(work / "pulled.tar"), DIGEST

    monkeypatch.setattr(pulling, "pull", pull)
    monkeypatch.setattr(pulling, "missing", lambda: "")
    return noted


def brought(asked: str, folder: Path) -> AppImage:
    """Bring what a scenario in a folder asks for."""
    wanted = app_images.wanted(asked, str(folder / "s.yaml"))
    assert wanted is not None
    return app_images.ensure(wanted, lambda _: None)


def names(path: Path) -> list[str]:
    """Return the names of the images in an archive."""
    return list(archives.look(path).tags)


@pytest.mark.usefixtures("cache")
def test_an_archive_is_kept_under_a_name_by_what_is_in_it(tmp_path: Path) -> None:
    """Whatever it says itself, and whatever its file is called: another content is another name."""
    write(tmp_path / "app.tar", image(tags=["registry.example/Team/my.app:1"]))
    first = brought("./app.tar", tmp_path)
    assert first.name == f"whalefall/my-app:{first.id[:12]}"
    assert names(first.path) == [first.name]
    write(tmp_path / "app.tar", image({"one.tar": layer("web", b"later")}, tags=["registry.example/Team/my.app:1"]))
    second = brought("./app.tar", tmp_path)
    assert second.id != first.id
    assert second.name != first.name
    write(tmp_path / "Ä b.tar", image(tags=None))
    assert brought("./Ä b.tar", tmp_path).name.startswith("whalefall/b:")


def test_an_image_is_pulled_once(cache: Path, pulls: list[str], tmp_path: Path) -> None:
    """A second run, and another scenario, find it in the cache; the plan says so, with its digest."""
    told = app_images.words("nginx:1.25", str(tmp_path / "s.yaml"))
    assert "not in the cache yet; pulled once by this machine from docker.io" in told
    first = brought("nginx:1.25", tmp_path)
    assert brought("nginx:1.25", tmp_path / "elsewhere").path == first.path
    assert pulls == ["docker.io/library/nginx:1.25"]
    assert (first.name, first.digest) == ("nginx:1.25", DIGEST)
    assert names(first.path) == ["nginx:1.25"]
    told = app_images.words("nginx:1.25", str(tmp_path / "s.yaml"))
    assert f"in the cache since {'20'}" in told
    assert DIGEST in told
    assert [each.name for each in cache.iterdir() if each.name.startswith(".build")] == []


def test_runs_that_want_the_same_image_at_once_wait_for_the_one_that_pulls_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is pulled once."""
    begun, go_on, pulled = threading.Event(), threading.Event(), []

    def pull(origin: Any, work: Path, _: Any) -> tuple[Path, str]:
        pulled.append(origin.source)
        begun.set()
        assert go_on.wait(30.0)
        return write(work / "pulled.tar"), DIGEST

    monkeypatch.setattr(pulling, "pull", pull)
    monkeypatch.setattr(pulling, "missing", lambda: "")
    found: list[AppImage] = []
    waits = threading.Event()

    def second() -> None:
        wanted = app_images.wanted("nginx:1.25", str(tmp_path / "s.yaml"))
        assert wanted is not None
        found.append(app_images.ensure(wanted, lambda text: waits.set() if "another process is at work" in text else None))

    threads = [threading.Thread(target=lambda: found.append(brought("nginx:1.25", tmp_path))), threading.Thread(target=second)]
    threads[0].start()
    assert begun.wait(30.0)
    threads[1].start()
    assert waits.wait(30.0)
    go_on.set()
    for each in threads:
        each.join(30.0)
    assert len(pulled) == 1
    assert len({each.path for each in found}) == 1
    assert len(found) == 2
    assert cache.is_dir()


@pytest.mark.usefixtures("pulls")
def test_what_was_cut_off_in_its_middle_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither an image nor a half of one, and the next run begins anew."""

    def pull(_: Any, work: Path, __: Any) -> tuple[Path, str]:
        (work / "blob").write_bytes(b"half")
        raise HarnessError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(pulling, "pull", pull)
        with pytest.raises(HarnessError, match="cut off"):
            brought("nginx:1.25", tmp_path)
    assert [each.name for each in cache.iterdir() if each.is_dir()] == []
    assert brought("nginx:1.25", tmp_path).digest == DIGEST


@pytest.mark.usefixtures("pulls")
@pytest.mark.parametrize("damage", ["cut", "no record", "a record of lies", "a link"])
def test_an_image_in_the_cache_that_is_not_whole_is_brought_anew(cache: Path, tmp_path: Path, damage: str) -> None:
    """Nobody gets half of one."""
    path = brought("nginx:1.25", tmp_path).path
    assert cache in path.parents
    if damage == "cut":
        os.truncate(path, 100)
    elif damage == "no record":
        (path.parent / "image.json").unlink()
    elif damage == "a record of lies":
        (path.parent / "image.json").write_text('{"size": 1, "built": 1, "name": 7, "id": "x", "source": "", "digest": ""}')
    else:
        path.unlink()
        path.symlink_to("/etc/hostname")
    assert app_images.images() == []
    assert names(brought("nginx:1.25", tmp_path).path) == ["nginx:1.25"]


@pytest.mark.usefixtures("cache")
def test_what_a_registry_gave_is_checked_as_anybodys_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It may have been told anything."""
    monkeypatch.setattr(pulling, "missing", lambda: "")
    monkeypatch.setattr(pulling, "pull", lambda _, work, __: (write(work / "x.tar", image(os="windows")), DIGEST))
    with pytest.raises(HarnessError, match=r"the image nginx:1 cannot be used: an image for windows/.*; expected one for linux"):
        brought("nginx:1", tmp_path)
    assert app_images.images() == []


@pytest.mark.usefixtures("pulls", "cache")
def test_an_image_that_a_run_holds_is_not_pruned_and_others_are(tmp_path: Path) -> None:
    """Those that came out of files first; what was pulled, only where all is to go."""
    write(tmp_path / "app.tar")
    of_file, pulled = brought("./app.tar", tmp_path), brought("nginx:1.25", tmp_path)
    assert {each.key for each in app_images.images()} == {of_file.key, pulled.key}
    with app_images.held(of_file), app_images.held(pulled):
        assert app_images.prune(keep_current=False) == []
    assert [each.key for each in app_images.prune()] == [of_file.key]
    assert [each.key for each in app_images.prune(keep_current=False)] == [pulled.key]
    with pytest.raises(HarnessError, match="gone from the cache"), app_images.held(pulled):
        pass


@pytest.mark.usefixtures("pulls", "cache")
def test_an_image_that_goes_at_the_moment_in_which_it_is_taken_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever prunes may have looked for locks just before; also where another one has its place by then."""
    taken = locks.awaited
    for again in (False, True):
        pulled = brought("nginx:1.25", tmp_path)

        def awaited(*args: Any, again: bool = again, **more: Any) -> Any:
            app_images.prune(keep_current=False)
            if again:
                brought("nginx:1.25", tmp_path)
            return taken(*args, **more)

        monkeypatch.setattr(locks, "awaited", awaited)
        with pytest.raises(HarnessError, match="was removed from the cache at this moment"), app_images.held(pulled):
            pass
        monkeypatch.setattr(locks, "awaited", taken)


@pytest.mark.usefixtures("pulls", "cache")
def test_another_process_that_holds_an_image_counts_as_well(tmp_path: Path) -> None:
    """A run of somebody else."""
    pulled = brought("nginx:1.25", tmp_path)
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(pulled.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert app_images.prune(keep_current=False) == []
        other.communicate()
    assert len(app_images.prune(keep_current=False)) == 1


@pytest.mark.usefixtures("cache")
def test_without_the_tool_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The plan as well as the run, and only where an image is to be pulled."""
    monkeypatch.setattr(surroundings, "which", lambda _: None)
    assert "apt-get install skopeo, or run ./setup" in app_images.words("nginx:1", str(tmp_path / "s.yaml"))
    with pytest.raises(Unsupported, match="apt-get install skopeo"):
        brought("nginx:1", tmp_path)
    write(tmp_path / "app.tar")
    assert brought("./app.tar", tmp_path)


def test_without_the_rights_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The cache is root's."""
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    write(tmp_path / "app.tar")
    for asked in ("nginx:1", "./app.tar"):
        with pytest.raises(Unsupported, match="sudo"):
            brought(asked, tmp_path)


@pytest.mark.usefixtures("pulls", "cache")
def test_images_of_apps_are_listed_and_pruned_beside_those_of_nodes(tmp_path: Path) -> None:
    """With where they came from."""
    write(tmp_path / "app.tar")
    of_file, pulled = brought("./app.tar", tmp_path), brought("nginx:1.25", tmp_path)
    listed = CliRunner().invoke(machines.image_list, catch_exceptions=False).output
    assert pulled.key in listed
    assert "docker.io/library/nginx:1.25" in listed.replace("\n", "")
    assert of_file.key in listed
    assert f"removed {of_file.key} (" in CliRunner().invoke(machines.image_prune, catch_exceptions=False).output
    assert [each.key for each in app_images.images()] == [pulled.key]


@pytest.mark.usefixtures("pulls", "cache")
def test_an_image_is_pulled_anew_where_that_is_asked_for_and_no_run_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its tag stands for may have changed. The old one stays where the new one cannot be had, or a run has taken it meanwhile."""
    old = brought("nginx:1.25", tmp_path)

    def pull() -> Result:
        return CliRunner().invoke(machines.image_pull, ["nginx:1.25"])

    assert pull().output.splitlines()[-1].endswith(f"from docker.io/library/nginx:1.25 as {DIGEST}, as before")
    before = app_images.images()
    assert [each.key for each in before] == [old.key]
    with app_images.held(before[0]):
        assert "is used by process" in str(pull().exception)
    played, taken = pulling.pull, ExitStack()

    def meanwhile(*args: Any) -> Any:
        taken.enter_context(app_images.held(before[0]))
        return played(*args)

    monkeypatch.setattr(pulling, "pull", meanwhile)
    with taken:
        assert "is used by process" in str(pull().exception)
    monkeypatch.setattr(pulling, "pull", lambda *_: (_ for _ in ()).throw(HarnessError("cut off")))
    assert "cut off" in str(pull().exception)
    assert app_images.images() == before
    moved = f"sha256:{'9' * 64}"
    monkeypatch.setattr(pulling, "pull", lambda *args: (played(*args)[0], moved))
    assert pull().output.splitlines()[-1].endswith(f"as {moved}; it was {DIGEST}")
    assert [each.digest for each in app_images.images()] == [moved]


def folder_in(place: Path, more: str = "") -> Path:
    """Make a folder that an image can be built from: a program with its loader, and a page below."""
    made = place / "Hello World"
    (made / "sub").mkdir(parents=True)
    (made / "Dockerfile").write_text(f'FROM scratch\nCOPY app /app\nCOPY sub /sub\n{more}ENTRYPOINT ["/app"]\n')
    (made / "app").write_bytes(program())
    (made / "sub" / "page").write_text("page")
    return made


def members(path: Path) -> dict[str, tuple[int, bytes]]:
    """Return what is in an archive: modes, and contents."""
    with tarfile.open(path) as tar:
        assert {(each.uid, each.gid, each.mtime) for each in tar} == {(0, 0, 0)}
        return {each.name: (each.mode, file.read() if (file := tar.extractfile(each)) is not None else b"") for each in tar}


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("asked", ["./Hello World", "./Hello World/", "../here/Hello World"])
def test_a_folder_is_packed_whole_and_called_by_what_is_in_it(tmp_path: Path, asked: str) -> None:
    """Links are left out; who may run what does not count, and every change of what is in it does."""
    here = tmp_path / "here"
    folder = folder_in(here)
    (folder / "link").symlink_to("/etc/passwd")
    first = brought(asked, here)
    assert first.built_there
    assert re.fullmatch(r"whalefall/hello-world:[0-9a-f]{12}", first.name)
    assert first.id == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert members(first.path) == {
        "Dockerfile": (0o644, (folder / "Dockerfile").read_bytes()),
        "app": (0o755, (folder / "app").read_bytes()),
        "sub": (0o755, b""),
        "sub/page": (0o755, b"page"),
    }
    (folder / "app").chmod(0o700)
    assert brought(asked, here) == first
    (folder / "sub" / "page").write_text("another")
    second = brought(asked, here)
    assert second.name != first.name
    assert second.key != first.key
    assert second.id != first.id


@pytest.mark.usefixtures("cache")
def test_a_go_program_is_compiled_on_the_way_and_its_sources_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of the folders of ours."""
    shutil.copytree(contexts.folder() / "web", tmp_path / "mine")
    compiled: list[Path] = []

    def played(_: Any, context: Path, there: Path, made: Path) -> None:
        assert (there / "main.go").is_file()
        compiled.append(context)
        made.write_bytes(b"a program")

    monkeypatch.setattr(layers, "compile_app", played)
    found = members(brought("./mine", tmp_path).path)
    assert found == {"Dockerfile": (0o644, (tmp_path / "mine" / "Dockerfile").read_bytes()), "web": (0o755, b"a program")}
    assert compiled == [tmp_path / "mine"]
    assert "web is compiled of it by this machine" in app_images.words("./mine", str(tmp_path / "s.yaml"))


@pytest.mark.parametrize("change", ["another file", "a file less", "a link in place of a file", "what cannot be built"])
def test_a_folder_that_changes_after_it_was_looked_at_is_told_and_not_taken(cache: Path, tmp_path: Path, change: str) -> None:
    """Nothing is left of it, and nothing was read through a link that came meanwhile."""
    folder = folder_in(tmp_path)
    wanted = app_images.wanted("./Hello World", str(tmp_path / "s.yaml"))
    assert wanted is not None
    if change == "another file":
        (folder / "more").touch()
    elif change == "what cannot be built":
        (folder / "Dockerfile").write_text("FROM debian\n")
    else:
        (folder / "sub" / "page").unlink()
        (folder / "sub" / "other").write_text("another")
        if change == "a link in place of a file":
            (folder / "sub" / "page").symlink_to("/etc/passwd")
    with pytest.raises(HarnessError, match=r"was changed meanwhile: .* run it again|Dockerfile:1:6: FROM debian; expected FROM scratch"):
        app_images.ensure(wanted, lambda _: None)
    assert [each.name for each in cache.iterdir() if each.is_dir()] == []


@pytest.mark.usefixtures("cache")
def test_a_folder_is_told_kept_listed_and_pruned_as_an_archive_is(tmp_path: Path) -> None:
    """With what it was, by which a run's results name it as well."""
    folder = folder_in(tmp_path)
    told = app_images.words("./Hello World", str(tmp_path / "s.yaml"))
    kept = brought("./Hello World", tmp_path)
    assert f"the folder {folder}, hash {kept.name.partition(':')[2]}" in told
    assert told.endswith(f"handed to each node, which builds {kept.name} of it")
    assert [(each.key, each.name, each.built_there) for each in app_images.images()] == [(kept.key, kept.name, True)]
    assert "./Hello World" in CliRunner().invoke(machines.image_list, catch_exceptions=False).output.replace("\n", "")
    with app_images.held(kept):
        assert app_images.prune(keep_current=False) == []
    assert [each.key for each in app_images.prune()] == [kept.key]


def test_what_keeps_a_folder_from_being_an_image_is_told_with_its_place(tmp_path: Path) -> None:
    """Also where there is none, where it has no Dockerfile, and where a link leads out of the scenario's folder."""
    folder_in(tmp_path)
    inside = tmp_path / "inside"
    (inside / "empty").mkdir(parents=True)
    (inside / "away").symlink_to(tmp_path / "Hello World")
    assert problems("../Hello World", inside) == ""
    assert f"{inside}/empty: no file Dockerfile" in problems("./empty", inside)
    assert "no such folder" in problems("./none/", inside)
    assert "a link that leads elsewhere" in problems("./away", inside)
    assert "a link that leads elsewhere" in problems("./away/", inside)
    assert "on hosts that are not ours" in problems("../Hello World", inside, builds=False)


def test_only_what_a_registry_has_is_pulled_anew() -> None:
    """All that is none of that is told at once."""
    said = CliRunner().invoke(machines.image_pull, ["web", "./app.tar", "me:geheim@host/app", "nosuch"]).exception
    assert isinstance(said, BadInput)
    assert [(each.file, each.expected) for each in said.problems][1] == ("IMAGE", "NAME:TAG of a registry")
    assert len(said.problems) == 4
    assert "geheim" not in str(said)


def problems(asked: str, folder: Path, **how: bool) -> str:
    """Return what keeps nodes from having an image."""
    return "\n".join(map(str, app_images.problems(asked, str(folder / "s.yaml"), **{"builds": True, **how})))


def test_what_keeps_nodes_from_having_an_image_is_told_for_each_kind(tmp_path: Path) -> None:
    """Nothing where they can."""
    write(tmp_path / "app.tar")
    write(tmp_path / "windows.tar", image(os="windows"))
    for asked in ("web", "web:2", "./app.tar", "nginx:1", f"nginx@{DIGEST}", "http://127.0.0.1:5000/web:1"):
        assert problems(asked, tmp_path) == ""
    assert "an image for windows/" in problems("./windows.tar", tmp_path)
    assert "no such file" in problems("./no.tar", tmp_path)
    assert "a folder with a Dockerfile, or a docker archive" in problems("./nowhere", tmp_path)
    assert "did you mean 'web'?" in problems("wbe", tmp_path)
    assert "by its digest" in problems(f"nginx@{DIGEST}", tmp_path, native=True)
    assert problems("nginx:1", tmp_path, native=True) == ""


def test_no_link_on_the_way_to_an_archive_leads_out_of_the_scenarios_folder(tmp_path: Path) -> None:
    """Who fills that folder does not choose what else of this machine goes into nodes; a plain path may lead out of it."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for each in (inside / "kept", outside):
        each.mkdir(parents=True)
        write(each / "app.tar")
    (inside / "way").symlink_to(outside)
    (inside / "same").symlink_to("kept")
    (inside / "app.tar").symlink_to(outside / "app.tar")
    for asked in ("./way/app.tar", "./app.tar"):
        assert "a link that leads elsewhere" in problems(asked, inside)
    for asked in ("./same/app.tar", "./kept/app.tar", "../outside/app.tar"):
        assert problems(asked, inside) == ""


def test_hosts_of_somebody_else_are_loaded_nothing(tmp_path: Path) -> None:
    """They have images of their own, or pull them."""
    write(tmp_path / "app.tar")
    for asked in ("web", "nginx", "nginx:1", f"nginx@{DIGEST}", "registry.example/web:1"):
        assert problems(asked, tmp_path, builds=False) == ""
    for asked in ("./app.tar", "../app.tar", "http://127.0.0.1:5000/web:1"):
        assert "on hosts that are not ours" in problems(asked, tmp_path, builds=False)


def test_a_password_is_no_part_of_an_image_on_hosts_of_somebody_else_either(tmp_path: Path) -> None:
    """A name that is taken stands in the plan and in the results, for others to read."""
    login = "me:secret@"
    for asked in (f"{login}registry.example/web:1", f"{login}registry.example/web@{DIGEST}", f"http://{login}127.0.0.1:5000/web:1"):
        said = problems(asked, tmp_path, builds=False)
        assert "on hosts that are not ours" in said
        assert "secret" not in said


def test_a_file_that_is_not_there_any_more_is_no_word_of_the_plan(tmp_path: Path) -> None:
    """A plan that was kept is told without it."""
    assert app_images.words("./app.tar", str(tmp_path / "s.yaml")) == ""
    assert app_images.words("gone", str(tmp_path / "s.yaml")) == ""
    with pytest.raises(BadInput):
        app_images.wanted("./app.tar", str(tmp_path / "s.yaml"))
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(BadInput):
        app_images.wanted("./empty.tar", str(tmp_path / "s.yaml"))
