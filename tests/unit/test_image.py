"""The node image's cache, with the builder itself replaced: no root, no network."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import tomllib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import harness
from harness import registry
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, CommandFailed, HarnessError, Unsupported
from harness.host import box, building, contexts, files, image, layers, places, shelves
from harness.modes.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the fixtures that may be changed."""
    folder = tmp_path / "fixtures"
    for part in ("node", "layer", "images/web"):
        shutil.copytree(files.fixtures() / part, folder / part)
    monkeypatch.setattr(files, "fixtures", lambda: folder)
    return folder


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A mode's layer that may be changed."""
    assert Fleet.LAYER is not None
    return shutil.copytree(Fleet.LAYER, tmp_path / "acme" / "node")


class Builder:
    """Stands in for mmdebstrap and the compiler."""

    def __init__(self) -> None:
        self.builds = 0
        self.fails: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.made: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.raised: list[str] = []
        self.held = ""
        self.begun = threading.Event()

    def debian(self, _commands: object, root: Path, _work: Path) -> None:
        """Make a root with one file, or fail."""
        self.builds += 1
        self.go_on.wait(20)
        (root / "bin").mkdir()
        (root / "bin" / "sh").write_text("shell")
        if self.fails:
            raise self.fails

    def assemble(self, _commands: object, recipe: layers.Recipe, *_: object) -> None:
        """Note what was put together; of the layer that is held, once it may go on."""
        if recipe.what == self.held:
            self.begun.set()
            assert self.go_on.wait(20)
        self.made.append(recipe.what)
        self.meanwhile()

    def _build(self, layer: Path) -> None:
        try:
            image.ensure(lambda _: None, layer=layer)
        except HarnessError as error:
            self.raised.append(str(error))

    @contextmanager
    def holding(self, layer: Path) -> Iterator[threading.Thread]:
        """Have somebody else who is in the middle of building a mode's layer for as long as the block lasts, over a base that is there."""
        image.ensure(lambda _: None)
        self.held = layer.parent.name
        self.go_on.clear()
        other = threading.Thread(target=self._build, args=(layer,))
        other.start()
        try:
            assert self.begun.wait(20)
            yield other
        finally:
            self.go_on.set()
            other.join(20)


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    """Replace every step that needs root or the network."""
    stand_in = Builder()
    monkeypatch.setattr(layers, "check_machine", lambda _: "go")
    monkeypatch.setattr(layers, "_debian", stand_in.debian)
    monkeypatch.setattr(layers, "_programs", lambda *_: None)
    monkeypatch.setattr(layers, "_assemble", stand_in.assemble)
    monkeypatch.setattr(building.BuildCommands, "run", lambda *_, **__: [])
    return stand_in


def entries(cache: Path) -> set[str]:
    """Return the names in the images folder, locks and logs left out."""
    return {each.name for each in (cache / "images").iterdir() if not each.name.startswith(".lock") and each.suffix != ".log"}


def put(cache: Path, key: str, built: float = 1.0) -> layers.Layer:
    """Put a finished layer into the cache."""
    root = cache / "images" / key / "root"
    root.mkdir(parents=True)
    (root.parent / "image.json").write_text(json.dumps({"size": 5, "built": built}))
    return next(each for each in image.images() if each.key == key)


def record(tmp_path: Path, run: str, text: str) -> None:
    """Write a provider's record of a run."""
    folder = tmp_path / "state" / "runs" / run
    folder.mkdir(parents=True)
    (folder / "cluster.json").write_text(text)


def test_what_is_finished_takes_its_place_also_from_a_link_to_nowhere(tmp_path: Path) -> None:
    """What is there is not whole, whatever it is: it goes, and is not followed."""
    shelf: shelves.Shelf[layers.Layer] = shelves.Shelf(tmp_path / "images", "image", list, lambda *_: None, lambda _: ())
    made = shelf.folder / ".new"
    made.mkdir(parents=True)
    (shelf.folder / "key").symlink_to(tmp_path / "gone")
    shelf.put(made, "key")
    assert (shelf.folder / "key").is_dir()
    assert (shelf.folder / ".dead-key").is_symlink()


def test_the_key_is_that_of_the_recipe(recipe: Path) -> None:
    """The same fixtures give the same key; any byte changes it; prose does not."""
    before = image.key()
    assert before == image.key()
    (recipe / "node" / "README.md").write_text("other words")
    assert image.key() == before
    (recipe / "images" / "web" / "main.go").write_text("package main")
    after = image.key()
    assert after != before
    (recipe / "node" / "another").touch()
    assert image.key() not in {before, after}


@pytest.mark.parametrize(
    ("file", "anew"),
    [
        ("fixtures/node/packages", {"base", "acme"}),
        ("fixtures/images/web/main.go", {"apps"}),
        ("fixtures/images/mine/Dockerfile", {"apps"}),
        ("fixtures/layer/make", {"acme"}),
        ("acme/node/packages", {"acme"}),
        ("acme/node/root/etc/new.conf", {"acme"}),
        ("acme/node/README.md", set()),
        ("fixtures/node/README.md", set()),
        ("acme/node/root/__pycache__/x.pyc", set()),
    ],
)
def test_a_change_builds_no_layer_but_its_own_and_what_lies_on_it(
    recipe: Path, layer: Path, tmp_path: Path, file: str, anew: set[str]
) -> None:
    """Nobody waits for what has not changed; and what has is never taken for what it was."""
    before, was = layers.recipes(layer), image.key(layer)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("changed")
    after = layers.recipes(layer)
    assert {now.what for now, was in zip(after, before, strict=True) if now.key != was.key} == anew
    assert (image.key(layer) != was) is bool(anew)


def test_users_of_one_mode_wait_for_no_other(cache: Path, builder: Builder, layer: Path) -> None:
    """What all nodes have is built once, and a mode's own is added when somebody asks for it."""
    plain = image.ensure(lambda _: None)
    assert ({*builder.made}, image.find(layer)) == ({"base", "apps"}, None)
    furnished = image.ensure(lambda _: None, layer=layer)
    assert (builder.builds, builder.made[2:]) == (1, ["acme"])
    assert furnished.layers[0] == plain.layers[0]
    assert [each.what for each in furnished.layers] == ["base", "acme", "apps"]
    assert [each.parent.name for each in furnished.paths] == [each.key for each in reversed(furnished.layers)]
    assert {each.what for each in image.images() if not each.current} == {"acme"}
    assert all(each.current for each in image.images([layer]))
    assert [each.key for each in image.prune()] == [furnished.layers[1].key]
    assert image.prune([layer]) == []


def test_a_layer_that_is_being_built_is_waited_for_by_those_alone_who_need_it(cache: Path, builder: Builder, layer: Path) -> None:
    """Neither users of another mode, whose layer is missing as well, nor those of none; who needs it takes it once it is there."""
    other = shutil.copytree(layer, layer.parents[1] / "other" / "node")
    (other / "disable").write_text("other.service\n")
    said: list[str] = []
    waiting = threading.Event()

    def hear(line: str) -> None:
        said.append(line)
        if "another process" in line:
            waiting.set()

    with builder.holding(layer):
        assert image.ensure(hear, layer=other).layers[1].what == "other"
        assert image.ensure(hear) == image.find()
        assert (builder.made.count("other"), waiting.is_set(), image.find(layer)) == (1, False, None)
        needs = threading.Thread(target=image.ensure, args=(hear,), kwargs={"layer": layer})
        needs.start()
        assert waiting.wait(20)
        builder.go_on.set()
        needs.join(20)
    assert [line for line in said if "another process" in line] == [said[-1]]
    assert f"at work on the node image {layers.recipes(layer)[1].key}; waiting for it: the lock " in said[-1]
    assert sorted(builder.made) == ["acme", "apps", "base", "other"]


def test_modes_that_are_built_at_once_share_what_both_need(cache: Path, builder: Builder, layer: Path) -> None:
    """The base and the apps once, for whoever comes first."""
    other = shutil.copytree(layer, layer.parents[1] / "other" / "node")
    (other / "disable").write_text("other.service\n")
    builder.go_on.clear()
    waiting = threading.Event()
    made: list[image.Image] = []

    def ask(layer: Path) -> None:
        made.append(image.ensure(lambda line: waiting.set() if "another process" in line else None, layer=layer))

    threads = [threading.Thread(target=ask, args=(each,)) for each in (layer, other)]
    for thread in threads:
        thread.start()
    assert waiting.wait(20)
    builder.go_on.set()
    for thread in threads:
        thread.join(20)
    assert sorted(builder.made) == ["acme", "apps", "base", "other"]
    assert {each.layers[0] for each in made} == {made[0].layers[0]}
    assert sorted(each.layers[1].what for each in made) == ["acme", "other"]


def test_a_base_is_not_built_anew_while_a_layer_is_made_over_it(cache: Path, builder: Builder, layer: Path) -> None:
    """What is written down is the base that it was made over; it is old once there is another."""
    waiting = threading.Event()
    with builder.holding(layer) as other:
        base = layers.recipes(layer)[0].key
        (cache / "images" / base / "image.json").write_text("")
        anew = threading.Thread(target=image.ensure, args=(lambda line: waiting.set() if "another process" in line else None,))
        anew.start()
        assert waiting.wait(20)
        assert builder.made.count("base") == 1
        builder.go_on.set()
        other.join(20)
        anew.join(20)
    assert builder.made[2:] == ["acme", "base"]
    assert ["is not what was just built" in each for each in builder.raised] == [True], "it is old as soon as it is there"
    assert image.find() is not None
    assert image.find(layer) is None


def test_nothing_is_pruned_while_a_layer_is_built(cache: Path, builder: Builder, layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being made is nobody's to remove, nor what it is made over; once it is there, locks and logs go as well."""
    with builder.holding(layer):
        monkeypatch.setattr(shelves, "BUILD_SECONDS", 0.1)
        before = {*(cache / "images").rglob("*")}
        with pytest.raises(HarnessError, match=rf"the images of the cache.*process {os.getpid()} .* has it"):
            image.prune(keep_current=False)
        assert {*(cache / "images").rglob("*")} == before
    assert len(image.prune(keep_current=False)) == 3
    assert [each.name for each in (cache / "images").iterdir()] == [".lock"]


def test_a_layer_is_old_once_the_base_below_it_was_built_anew(cache: Path, builder: Builder, layer: Path) -> None:
    """Debian may have changed between the two: its users and its list of packages are those of the base that it was made over."""
    first = image.ensure(lambda _: None, layer=layer)
    (cache / "images" / first.layers[0].key / "image.json").unlink()
    assert [each.what for each in image.images([layer]) if each.current] == ["apps"]
    image.ensure(lambda _: None)
    assert (image.find() is not None, image.find(layer)) == (True, None)
    again = image.ensure(lambda _: None, layer=layer)
    assert sorted(builder.made) == ["acme", "acme", "apps", "base", "base"]
    assert [each.built for each in again.layers] > [each.built for each in first.layers]
    assert again == image.find(layer)


@pytest.mark.parametrize("over", ['"x"', "[]", '["../0", 1.0]', '["0000000000000000", 1.0]', "[{}, 1.0]"])
def test_a_layer_over_nobody_knows_what_is_old(cache: Path, over: str) -> None:
    """Whatever its record says."""
    kept = put(cache, layers.recipes(None)[0].key)
    (kept.path.parent / "image.json").write_text(f'{{"size": 5, "built": 1.0, "over": {over}}}')
    assert [each.current for each in image.images()] == [False]
    assert image.find() is None


UNLIKE: dict[str, tuple[Callable[[Path], object], str]] = {
    # what of a layer would not be on nodes as it stands there → how it comes to be, and what is told
    "a link to a file": (
        lambda at: (at / "root/etc/sh").symlink_to("/etc/shadow"),
        r"root/etc/sh: a link; expected the file or the folder itself",
    ),
    "a link to nowhere": (lambda at: (at / "root/etc/x").symlink_to("../y"), r"root/etc/x: a link; .*`finish` can make a link on the node"),
    "a link to a folder": (lambda at: (at / "root/opt").symlink_to("/opt"), r"root/opt: a link"),
    "a list that is a link": (lambda at: (at / "mask").symlink_to("disable"), r"node/mask: a link"),
    "a pipe": (lambda at: os.mkfifo(at / "root/etc/pipe"), r"root/etc/pipe: what is no ordinary file"),
    "a list that is a pipe": (lambda at: os.mkfifo(at / "mask"), r"node/mask: what is no ordinary file"),
    "a list that is a folder": (lambda at: (at / "mask").mkdir(), r"node/mask: a folder; expected a file"),
    "a root that is a file": (
        lambda at: (at / "root").rename(at.parent / "aside") and (at / "finish").rename(at / "root"),
        r"node/root: no folder",
    ),
    "an empty folder": (lambda at: (at / "root/srv").mkdir(), r"root/srv: a folder with nothing in it; .*`finish` can make a folder"),
    "what each node has of its own": (lambda at: (at / "root/etc/hosts").write_text("x"), r"root/etc/hosts: what no node would have"),
    "programs in no letters": (lambda at: (at / "programs").write_bytes(b"fleetd\xff x\n"), r"node/programs: a file that is not UTF-8"),
}


@pytest.mark.parametrize("how", UNLIKE)
def test_what_of_a_layer_would_not_be_on_nodes_as_it_stands_is_told(layer: Path, how: str) -> None:
    """Nothing is copied through a link, and nothing is left out without a word."""
    make, words = UNLIKE[how]
    assert layers.problems(layer) == []
    make(layer)
    with pytest.raises(BadInput, match=words):
        layers.recipes(layer)


UNSEEN = {
    "run/acme/f": "run",
    "var/run/acme/f": "var/run",
    "var/lock/f": "var/lock",
    "tmp/f": "tmp",
    "dev/acme/f": "dev",
    "proc/f": "proc",
    "sys/f": "sys",
    "data/f": "data",
    "var/log/acme.log": "var/log/acme.log",
    "var/cache/apt/f": "var/cache/apt",
    "var/lib/apt/lists/f": "var/lib/apt/lists",
    "etc/hosts": "etc/hosts",
}


def test_what_no_node_would_see_of_a_layer_is_told(layer: Path) -> None:
    """A place that is mounted over when a node starts, or cleared up when the image is made: all of them at once."""
    for place in (*UNSEEN, "var/log/acme/f", "var/tmp/f", "usr/tmp/f", "usr/lib/run/f"):
        (layer / "root" / place).parent.mkdir(parents=True, exist_ok=True)
        (layer / "root" / place).write_text("x")
    told = [str(each).partition(": what no node would have: it lies in /") for each in layers.problems(layer)]
    assert {each for each, found, _ in told if found} == {str(layer / "root" / each) for each in UNSEEN.values()}
    assert len(told) == len({*UNSEEN.values()})


@pytest.mark.parametrize("name", ["root/etc/notes.md", "root/README.md", "root/.hidden", "root/a b"])
def test_every_file_of_a_layer_of_others_is_on_nodes_and_in_its_key(layer: Path, name: str) -> None:
    """Also prose: only the README beside the lists is about them."""
    before = layers.recipes(layer)[1].key
    (layer / name).write_text("x")
    assert layer / name in layers.ingredients(layer)
    assert layer / "README.md" not in layers.ingredients(layer)
    assert layers.recipes(layer)[1].key != before


def test_a_layer_of_ours_may_be_installed_as_links(layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To files that are those of the package: some installers lay files out so."""
    monkeypatch.setattr(harness, "__file__", str(tmp_path / "acme" / "__init__.py"))
    key = layers.recipes(layer)[1].key
    unit = next((layer / "root").rglob("fleet.service"))
    unit.rename(tmp_path / "kept")
    unit.symlink_to(tmp_path / "kept")
    assert layers.recipes(layer)[1].key == key


MISPLACED = {
    "lib": "a file in the place of /lib; expected a folder; the base has one there, /usr/lib",
    "var/run": "a file in the place of /var/run; expected a folder; the base has one there, /run",
    "etc/systemd": "a file in the place of /etc/systemd; expected a folder; the base has one there, /etc/systemd",
    "etc/os-release/x": "a file below /etc/os-release; expected another place; the base has a file there, /usr/lib/os-release",
    "lib/os-release/x/y": "a file below /lib/os-release; expected another place; the base has a file there, /usr/lib/os-release",
}


def test_what_would_take_a_folder_or_a_file_of_the_base_away_is_told_by_name(tmp_path: Path) -> None:
    """All of it at once; by where the base's links lead for whoever stands in it."""
    for each in ("usr/lib", "etc/systemd", "run", "var"):
        (tmp_path / each).mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").touch()
    for link, to in {
        "lib": "usr/lib",
        "var/run": "/run",
        "etc/os-release": "../usr/lib/os-release",
        "etc/round": "round",
        "etc/mtab": "/x",
    }.items():
        (tmp_path / link).symlink_to(to)
    fine = ("lib/acme/x", "lib/os-release", "etc/os-release", "var/run/x/y", "etc/acme", "etc/mtab", "etc/round", "srv/a/b")
    files = [(Path("node/root", each), PurePosixPath(each)) for each in (*MISPLACED, *fine)]
    assert [str(each) for each in places.misplaced(files, tmp_path)] == [f"node/root/{name}: {said}" for name, said in MISPLACED.items()]


def test_a_file_is_laid_in_the_place_of_a_link_and_not_where_that_leads(tmp_path: Path) -> None:
    """Seen from here it may lead to this machine's own files."""
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "f").symlink_to(tmp_path / "kept")
    (tmp_path / "new").write_text("new")
    building.lay(tmp_path / "new", tmp_path / "root" / "etc" / "f", tmp_path / "root", runs=False)
    assert ((tmp_path / "kept").read_text(), (tmp_path / "root" / "etc" / "f").read_text()) == ("kept", "new")


def test_a_layer_of_others_may_be_installed_as_links_too(layer: Path, tmp_path: Path) -> None:
    """As some installers lay all files out: a link to the file of that place in the same layer is that file. Another one is a link."""
    key, cached = layers.recipes(layer)[1].key, tmp_path / "cached" / "acme" / layer.parent.name / layer.name
    there = [each for each in sorted(layer.rglob("*")) if each.is_file()]
    for each in there:
        place = cached / each.relative_to(layer)
        place.parent.mkdir(parents=True, exist_ok=True)
        each.rename(place)
        each.symlink_to(place)
    assert layers.recipes(layer)[1].key == key
    assert [each for each in layers.ingredients(layer) if each.is_symlink()] == [each for each in there if each.name != "README.md"]
    (layer / "root" / "etc" / "shadow").symlink_to("/etc/shadow")
    (said,) = layers.problems(layer)
    assert (said.found, "`finish` can make a link on the node" in said.hint) == ("a link", True)


PATTERNS = {
    "mask": ("apt-daily*\ngood.service # *", "mask:1:1: 'apt-daily*'; expected the name of a unit"),
    "disable": ("a@b-\\\\x2d.timer\n[ab].service", "disable:2:1: '[ab].service'"),
    "packages": ("g++ libc6:amd64 curl=7.8~1\n-o=x", "packages:2:1: '-o=x'; expected the name of a package"),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_word_of_a_list_that_is_no_name_is_told(layer: Path, name: str) -> None:
    """A pattern would be that of the folder in which somebody happens to stand, and what begins with a dash an option."""
    text, said = PATTERNS[name]
    (layer / name).write_text(text)
    (problem,) = layers.problems(layer)
    assert said in str(problem)


@pytest.mark.parametrize("to", ["usr/lib", "/elsewhere"])
def test_nothing_is_laid_through_a_link_of_a_root(tmp_path: Path, to: str) -> None:
    """Seen from here it may lead to this machine's own files."""
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to(to)
    with pytest.raises(HarnessError, match=f"is below a link of that root, .*/lib to {to}; lay it where that leads"):
        building.folder_for(tmp_path / "lib" / "acme" / "x", tmp_path)
    assert [*(tmp_path / "usr" / "lib").iterdir()] == []


@pytest.mark.parametrize("name", ["base", "apps"])
def test_a_mode_may_be_called_as_what_all_nodes_have(cache: Path, builder: Builder, layer: Path, name: str) -> None:
    """It is made over the base all the same, and is none."""
    folder = shutil.copytree(layer, layer.parents[1] / name / "node")
    image.ensure(lambda _: None)
    found = image.ensure(lambda _: None, layer=folder)
    assert (builder.builds, [each.what for each in found.layers]) == (1, ["base", name, "apps"])
    assert [(each.is_base, each.is_apps) for each in layers.recipes(folder)] == [(True, False), (False, False), (False, True)]


def test_what_changes_while_it_is_built_becomes_no_layer(cache: Path, builder: Builder, recipe: Path) -> None:
    """It would be something else than its key says, for as long as the cache lives."""
    builder.meanwhile = lambda: (recipe / "images" / "web" / "more.txt").write_text("x")
    with pytest.raises(HarnessError, match="what its layer apps is made of was changed meanwhile; run it again"):
        image.ensure(lambda _: None)
    assert [each.what for each in image.images()] == ["base"]


def test_an_image_from_before_there_were_layers_is_none_of_them(cache: Path, builder: Builder) -> None:
    """It is listed as old, and goes with the next prune."""
    put(cache, "b469fa6feb8d726a")
    image.ensure(lambda _: None)
    assert [(each.what, each.current) for each in image.images()][-1] == ("image", False)
    assert [each.key for each in image.prune()] == ["b469fa6feb8d726a"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "package",
            "etcd-server",
            r"acme/node/package: what nobody looks at; expected one of README.md, .*; did you mean 'packages'\?",
        ),
        ("programs", "# x\nfleetd\n", r"acme/node/programs:2:1: 'fleetd'; expected NAME PACKAGE"),
        ("programs", "../fleetd a/b\n", r"acme/node/programs:1:1: '../fleetd a/b'; expected NAME PACKAGE"),
        ("programs", "fleetd -toolexec=/tmp/x\n", r"acme/node/programs:1:1: 'fleetd -toolexec=/tmp/x'; expected NAME PACKAGE"),
        ("programs", "-o a/b\n", r"acme/node/programs:1:1: '-o a/b'; expected NAME PACKAGE"),
        (
            "packages",
            "etcd-server -oDpkg::Pre-Install-Pkgs::=x\n",
            r"acme/node/packages:1:1: '-oDpkg::Pre-Install-Pkgs::=x'; expected the name",
        ),
    ],
)
def test_a_layer_whose_lists_say_nothing_is_told_at_once(layer: Path, name: str, text: str, words: str) -> None:
    """With its file: a list that is misspelt would be left out without a word."""
    (layer / name).write_text(text)
    with pytest.raises(BadInput, match=words):
        layers.recipes(layer)
    with pytest.raises(BadInput, match="no such folder"):
        layers.recipes(layer.parent / "none")


def test_an_image_is_built_once_and_then_found(cache: Path, builder: Builder) -> None:
    """The second ask builds nothing."""
    lines: list[str] = []
    built = image.ensure(lines.append)
    assert all(each.current for each in built.layers)
    assert built.paths[-1].joinpath("bin", "sh").read_text() == "shell"
    assert {line.split()[2] for line in lines if " is built: " in line} == {each.key for each in built.layers}
    assert image.ensure(lines.append) == built == image.find()
    assert builder.builds == 1
    assert entries(cache) == {each.key for each in built.layers}


def test_two_that_ask_at_once_share_one_build(cache: Path, builder: Builder) -> None:
    """The second waits for the lock and takes what the first built."""
    builder.go_on.clear()
    waiting = threading.Event()
    found: list[image.Image] = []

    def ask() -> None:
        found.append(image.ensure(lambda line: waiting.set() if "another process" in line else None))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waiting.wait(20)
    builder.go_on.set()
    for thread in threads:
        thread.join(20)
    assert builder.builds == 1
    assert len(set(found)) == 1
    assert len(found) == 2


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), CommandFailed("image", ["mmdebstrap"], 25, "E: oops")])
def test_a_build_that_fails_leaves_nothing(cache: Path, builder: Builder, failure: Exception) -> None:
    """No half image, and the next ask builds again."""
    builder.fails = failure
    with pytest.raises(HarnessError, match="the node image was not built"):
        image.ensure(lambda _: None)
    assert entries(cache) <= {layers.recipes(None)[-1].key}, "the layer beside it may be whole"
    builder.fails = None
    assert image.ensure(lambda _: None).paths[0].is_dir()
    assert builder.builds == 2


def test_what_a_killed_build_left_is_removed_by_the_next(cache: Path, builder: Builder) -> None:
    """Of whatever layer: what has no builder has no lock."""
    for key in ("d" * 16, layers.recipes(None)[0].key):
        (cache / "images" / f".build-{key}-abc" / "layer" / "root").mkdir(parents=True)
        (cache / "images" / f".dead-{key}").mkdir()
    built = image.ensure(lambda _: None)
    assert entries(cache) == {each.key for each in built.layers}


def test_an_image_without_its_record_is_none(cache: Path, builder: Builder) -> None:
    """A folder of the right name that is not whole is put aside and built anew."""
    (cache / "images" / layers.recipes(None)[0].key / "root").mkdir(parents=True)
    assert image.find() is None
    assert image.images() == []
    assert image.ensure(lambda _: None).size > 0


def test_a_layer_is_for_roots_eyes_only_whatever_the_umask(cache: Path, builder: Builder) -> None:
    """All but its root, which is the nodes' own."""
    before = os.umask(0)
    try:
        made = image.ensure(lambda _: None)
    finally:
        os.umask(before)
    kept = [each.path.parent for each in made.layers]
    kept += [*(each / "image.json" for each in kept), cache / "images", *(cache / "images" / f"{each.name}.log" for each in kept)]
    assert [each for each in kept if each.stat().st_mode & 0o077] == []
    assert {each.path.stat().st_mode & 0o777 for each in made.layers} == {0o755}


@pytest.mark.parametrize("how", ["its record cannot be read", "the base below it was built again"])
def test_what_nodes_stand_on_is_never_taken_from_under_them(cache: Path, builder: Builder, layer: Path, tmp_path: Path, how: str) -> None:
    """What is to be built anew in its place asks who uses it, as what is pruned does; it goes on once nobody does."""
    first = image.ensure(lambda _: None, layer=layer)
    lowest = first.layers[0 if how.startswith("the base") else 1]
    (lowest.path.parent / "image.json").write_text("")
    if how.startswith("the base"):
        image.ensure(lambda _: None)
    kept = first.layers[1].path / "of a node"
    kept.touch()
    record(tmp_path, "run-1", json.dumps({"image": "/elsewhere", "layers": [str(first.layers[1].path)]}))
    built = len(builder.made)
    with pytest.raises(
        HarnessError,
        match=f"{first.layers[1].path.parent} is not whole, or not what would be built now, and is used by run run-1; end that",
    ):
        image.ensure(lambda _: None, layer=layer)
    assert kept.exists()
    assert len(builder.made) == built
    shutil.rmtree(tmp_path / "state")
    image.ensure(lambda _: None, layer=layer)
    assert not kept.exists()


def test_too_little_space_is_said_before_anything_is_made(cache: Path, builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the figures, and what to do."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(HarnessError, match=r"0\.0 GiB free; a node image needs 2 GiB .*WHALEFALL_CACHE"):
        image.ensure(lambda _: None)
    assert entries(cache) == set()
    put(cache, base := layers.recipes(None)[0].key)
    with pytest.raises(HarnessError, match=r"0\.0 GiB free; a node image needs 1 GiB "):
        image.ensure(lambda _: None)
    shutil.rmtree(cache / "images" / base)
    assert builder.builds == 0
    assert entries(cache) == set()


def test_images_are_listed_newest_first(cache: Path) -> None:
    """With size, age, and which one is current."""
    put(cache, "0" * 16, built=1.0)
    now = layers.recipes(None)[0].key
    put(cache, now, built=3.0)
    put(cache, "1" * 16, built=2.0)
    (cache / "images" / ".build-now").mkdir()
    assert [(each.key, each.built, each.current) for each in image.images()] == [
        (now, 3.0, True),
        ("1" * 16, 2.0, False),
        ("0" * 16, 1.0, False),
    ]


def test_prune_keeps_the_current_and_the_used(cache: Path, tmp_path: Path) -> None:
    """What a run's record names stays; `keep_current=False` lets the current one go too."""
    now = layers.recipes(None)[0].key
    put(cache, now)
    used = put(cache, "2" * 16)
    put(cache, "3" * 16)
    record(tmp_path, "run-1", json.dumps({"image": "/elsewhere", "layers": [str(used.path), "/elsewhere"]}))
    assert image.users(used) == ("run run-1",)
    record(tmp_path, "run-2", json.dumps({"image": str(used.path)}))  # from before there were layers
    assert image.users(used) == ("run run-1", "run run-2")
    assert [each.key for each in image.prune()] == ["3" * 16]
    assert [each.key for each in image.prune(keep_current=False)] == [now]
    assert entries(cache) == {used.key}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"image": 3'])
def test_a_record_that_cannot_be_read_may_name_any_image(cache: Path, tmp_path: Path, text: str) -> None:
    """Could not ask is never no."""
    kept = put(cache, "4" * 16)
    record(tmp_path, "run-2", text)
    assert "run-2" in image.users(kept)[0]
    assert image.prune() == []


@pytest.mark.parametrize("spelled", ["link", "there/../link", "there"])
def test_who_uses_an_image_is_found_however_the_cache_was_spelled(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelled: str
) -> None:
    """By who wrote a record, and by who mounted: the cache may have been moved to a bigger disk and linked back."""
    used, other = put(cache, "6" * 16), put(cache, "7" * 16)
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(cache)
    (tmp_path / "there" / "images").symlink_to(cache / "images")
    path = f"{tmp_path}/{spelled}/images/{used.key}/root"
    record(tmp_path, "run-1", json.dumps({"image": path}))
    assert (image.users(used), image.users(other)) == (("run run-1",), ())
    assert shelves._is_layer(used.path, f"36 35 0:40 / /root rw - overlay overlay rw,lowerdir=/x:{path},upperdir=/u\n")
    assert shelves._is_layer(used.path, f"36 35 0:40 / /root rw - overlay overlay rw,lowerdir+=/x,lowerdir+={path}\n")
    assert not shelves._is_layer(other.path, f"36 35 0:40 / /root rw - overlay overlay rw,lowerdir=/x:{path},upperdir=/u\n")


def test_a_layer_that_cannot_be_looked_at_from_here_may_be_any_of_its_key(cache: Path, tmp_path: Path) -> None:
    """Could not ask is never no. One of another cache is another one; and a colon in a path is escaped."""
    used = put(cache, "8" * 16)
    mount = "36 35 0:40 / /root rw - overlay overlay rw,lowerdir={},upperdir=/u\n"
    assert shelves._is_layer(used.path, mount.format(f"/gone\\134:a/images/{used.key}/root:/b"))
    (tmp_path / "two" / used.key / "root").mkdir(parents=True)
    assert not shelves._is_layer(used.path, mount.format(f"{tmp_path}/two/{used.key}/root"))


def test_prune_removes_what_is_not_whole_and_nothing_of_others(cache: Path, tmp_path: Path) -> None:
    """Also once its key is no longer today's: nothing else finds it ever again. What nodes stand on stays."""
    torn, used = put(cache, "9" * 16), put(cache, "a" * 16)
    for each in (torn, used):
        (each.path.parent / "image.json").write_text("")
    (cache / "images" / "theirs").mkdir()
    logs = [cache / "images" / f"{name}.log" for name in (used.key, "theirs", torn.key)]
    for log in logs:
        log.touch()
    record(tmp_path, "run-1", json.dumps({"image": str(used.path)}))
    assert [each.key for each in image.prune()] == [torn.key]
    assert entries(cache) == {used.key, "theirs"}
    assert [each.exists() for each in logs] == [True, True, False]


def test_prune_removes_what_dead_builds_left(cache: Path) -> None:
    """Also where there is no image at all."""
    assert image.prune() == []
    (cache / "images" / ".build-dead").mkdir(parents=True)
    (cache / "images" / ".dead-half").mkdir()
    assert image.prune() == []
    assert entries(cache) == set()


def test_prune_removes_a_link_to_an_image_and_leaves_what_it_leads_to(cache: Path, tmp_path: Path) -> None:
    """Moved to a bigger disk and linked back. Also what an earlier one could not remove, and a link that leads nowhere."""
    there = put(cache, "5" * 16).path.parent
    elsewhere = there.rename(tmp_path / "elsewhere")
    there.symlink_to(elsewhere)
    (cache / "images" / ".dead-half").symlink_to(elsewhere)
    (cache / "images" / ".build-dead").symlink_to(tmp_path / "nowhere")
    assert [each.key for each in image.prune()] == ["5" * 16]
    assert entries(cache) == set()
    assert [*elsewhere.iterdir()] != []


@pytest.mark.parametrize("of", ["", "key"])
def test_no_lock_is_made_where_a_link_leads(cache: Path, tmp_path: Path, builder: Builder, of: str) -> None:
    """Whoever could write to the cache before it was closed may have put one there."""
    name = f".lock-{layers.recipes()[0].key}" if of else ".lock"
    (cache / "images").mkdir(parents=True)
    (cache / "images" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HarnessError, match=r"cannot write the image cache at .*\.lock"):
        image.ensure(print)
    assert not (tmp_path / "elsewhere").exists()
    assert builder.builds == 0


def test_root_is_asked_for_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is touched."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unsupported, match=r"^building the node image needs root .* sudo$"):
        image.ensure(lambda _: None)


@pytest.mark.parametrize("ask", [lambda: image.ensure(lambda _: None), image.find, image.images, image.prune, box.prune, box.find])
def test_who_may_not_look_into_the_cache_is_told_to_be_root(
    monkeypatch: pytest.MonkeyPatch, cache: Path, ask: Callable[[], object]
) -> None:
    """It is for root's eyes only: that nothing can be seen is no word about what is there."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(Path, "is_dir", lambda path: refuse(path) if cache in path.parents else os.path.isdir(path))  # noqa: PTH112 - it is what is replaced
    monkeypatch.setattr(shelves, "recorded", refuse)
    with pytest.raises(HarnessError, match=r"^the image cache at .* is for root's eyes only; run it with sudo"):
        ask()


def test_a_missing_tool_is_named(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to get it, and nothing is made."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("harness.host.surroundings.FOLDERS", ())
    with pytest.raises(Unsupported, match="needs mmdebstrap, which is not on PATH; apt-get install mmdebstrap"):
        image.ensure(lambda _: None)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "none"),
        ("go version go1.19.8 linux/amd64", "says 'go version go1.19.8"),
        ("go version go1.20rc1 linux/amd64", "go1.20rc1"),
        ("what?", "what?"),
    ],
)
def test_go_must_be_there_and_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, words: str) -> None:
    """Old, missing or strange: one line that says what was found and what is needed."""
    tool = fake_go(tmp_path, said)
    monkeypatch.setattr(shutil, "which", lambda name, **_: tool if name == "go" else f"/usr/bin/{name}")
    monkeypatch.setattr(layers, "GO_PLACES", ())
    with pytest.raises(Unsupported, match=r"needs Go 1\.21 or later; found .*" + words.replace("?", r"\?")):
        layers.check_machine()


@pytest.mark.parametrize("said", ["go version go1.21 linux/amd64", "go version go1.26.8 linux/amd64", "go version go2.0 linux/arm64"])
def test_a_new_go_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Also where an old one comes first on PATH."""
    old, new = fake_go(tmp_path / "old", "go version go1.19 linux/amd64"), fake_go(tmp_path / "new", said)
    monkeypatch.setattr(shutil, "which", lambda name, **_: old if name == "go" else f"/usr/bin/{name}")
    monkeypatch.setattr(layers, "GO_PLACES", (new,))
    assert layers.check_machine() == new


@pytest.mark.parametrize("which", ["a layer", "an app"])
def test_a_module_that_asks_for_a_newer_go_is_a_slip_in_its_file_and_nothing_that_the_machine_lacks(
    recipe: Path, layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """Tests are skipped for what a machine lacks: by a line of one app that none of them names they would all be, and nothing be judged."""
    tool = fake_go(tmp_path / "tool", "go version go1.22.1 linux/amd64")
    monkeypatch.setattr(shutil, "which", lambda name, **_: tool if name == "go" else f"/usr/bin/{name}")
    monkeypatch.setattr(layers, "GO_PLACES", ())
    assert layers.check_machine(layer) == tool
    (layer if which == "a layer" else recipe / "images" / "web").joinpath("go.mod").write_text("module acme\n\ngo 1.23.4\n")
    with pytest.raises(BadInput, match=r"/go\.mod:3:4: Go 1\.23; expected Go 1\.22 or earlier, which is here; found .*go1\.22\.1"):
        layers.check_machine(layer)
    fake_go(tmp_path / "tool", "go version go1.19 linux/amd64")
    with pytest.raises(Unsupported, match=r"needs Go 1\.21 or later; found .*go1\.19"):
        layers.check_machine(layer)


def fake_go(folder: Path, said: str | None) -> str | None:
    """Return a program that says one line, or None."""
    if said is None:
        return None
    folder.mkdir(exist_ok=True)
    tool = folder / "go"
    tool.write_text(f"#!/bin/sh\necho '{said}'\n")
    tool.chmod(0o755)
    return str(tool)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("I: x\nE: Unable to locate package dokcer.io\nE: apt-get failed", "the mirror has no package dokcer.io"),
        ("E: Package 'etcd-server' has no installation candidate", "the mirror has no package etcd-server"),
        (
            "W: Failed to fetch http://mirror.example/x  Temporary failure resolving 'mirror.example'",
            "cannot download from http://mirror.example/x",
        ),
        (
            "go: github.com/coreos/fleet@v1.0.0: Get: dial tcp: lookup proxy.example on [::1]:53: no such host",
            "cannot download from proxy.example",
        ),
        ("dpkg: error: write failed: No space left on device", "the disk is full"),
        ("GPG error: bookworm: NO_PUBKEY 0E98404D386FA1D9", "debian-archive-keyring"),
        ("verifying module: checksum mismatch", "go.sum"),
        ("I: a\nE: something new\nI: cleaning", "mmdebstrap exited with status 25: E: something new"),
        ("", "no output"),
    ],
)
def test_a_failed_build_is_explained_in_one_line(output: str, words: str) -> None:
    """The cause, what to do, and where all the output is."""
    text = str(building.explained(CommandFailed("image", ["mmdebstrap", "x"], 25, output), Path("/c/build.log"), "the node image"))
    assert words in text
    assert "/c/build.log" in text
    assert "\n" not in text


def test_the_recipe_is_whole() -> None:
    """The lists have words, no unit is named twice, and Docker can read its configuration."""
    node = files.fixtures() / "node"
    assert "docker.io" in building.words(node / "packages")
    units = building.words(node / "mask") + building.words(node / "disable")
    assert len(units) == len(set(units))
    assert not {"docker.service", "containerd.service", "dbus.service", "fleet.service"} & set(units)
    assert json.loads((node / "root/etc/docker/daemon.json").read_text())["data-root"] == "/data/docker"
    assert tomllib.loads((node / "root/etc/containerd/config.toml").read_text())["root"] == "/data/containerd"


@pytest.mark.parametrize("mode", [name for name, layer in registry.layers().items() if layer is not None])
def test_the_layer_of_every_mode_is_whole(mode: str) -> None:
    """Its lists have words; no package, unit or file is what all nodes have already."""
    layer, node = registry.layers()[mode], files.fixtures() / "node"
    assert layer is not None
    assert layers.problems(layer) == []
    assert {each.name for each in layer.iterdir()} > {"README.md"}
    for name in ("packages", "mask", "disable"):
        words = building.words(layer / name) if (layer / name).exists() else []
        assert {*words}.isdisjoint(building.words(node / name)) if (node / name).exists() else True
        assert len(words) == len({*words})
    laid = {each.relative_to(layer / "root") for each in building.ingredients(layer / "root")}
    assert laid.isdisjoint(each.relative_to(node / "root") for each in building.ingredients(node / "root"))


def test_a_wheel_carries_the_fixtures() -> None:
    """The parts that the key reads are the parts that the package is built with."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {f"fixtures/{part}" for part in ("node", "layer", "images", "box")} <= set(carried)
    assert all(layer is None or layer.is_relative_to(Path(harness.__file__).parent) for layer in registry.layers().values())


def test_progress_is_told_one_line_at_a_time(tmp_path: Path) -> None:
    """Two steps run at once; whoever listens need not care."""
    inside = threading.Lock()
    clashes: list[str] = []

    def listen(line: str) -> None:
        if not inside.acquire(blocking=False):
            clashes.append(line)
            return
        inside.release()

    commands = building.BuildCommands(tmp_path / "log", listen)

    def talk() -> None:
        for _ in range(200):
            commands.say("x")

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert clashes == []


def test_of_a_long_step_it_is_told_that_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is, for how long, and its last word: a box takes minutes on a slow machine."""
    monkeypatch.setattr(building, "TELL_SECONDS", 0.01)
    go = tmp_path / "go"
    told: list[str] = []

    def listen(line: str) -> None:
        told.append(line)
        if "unpacking linux" in line:
            go.touch()

    commands = building.BuildCommands(tmp_path / "log", listen)
    commands.say("installing a kernel")
    commands.run(["sh", "-c", f"echo unpacking linux; until [ -e {go} ]; do sleep 0.01; done"])
    assert told[0] == "installing a kernel"
    assert any(line.startswith("installing a kernel: 1 s so far") for line in told)
    assert any(line.endswith("s so far (unpacking linux)") for line in told)


def test_what_a_build_is_killed_in_the_middle_of_leaves_nothing_outside_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Go nor mmdebstrap clears up when it is killed, and Ctrl-C does that: the build's folder is removed, and nobody looks into /tmp."""
    ran: dict[str, str] = {}
    monkeypatch.setenv("TMPDIR", "/tmp/elsewhere")
    monkeypatch.setattr(building.BuildCommands, "run", lambda _, argv, **how: ran.update({Path(argv[0]).name: how["env"]["TMPDIR"]}))
    monkeypatch.setattr("harness.host.elf.not_startable", lambda *_: "")
    commands = building.BuildCommands(tmp_path / "log", lambda _: None)
    copy = tmp_path / "work" / "go" / "web"
    layers._debian(commands, tmp_path / "work" / "layer" / "root", tmp_path / "work")
    layers._compile(commands, tmp_path / "web", copy, tmp_path / "work" / "bin" / "web", ["/usr/bin/go", ".", ""])
    assert ran.keys() == {"mmdebstrap", "go"}
    assert all(Path(each).is_relative_to(tmp_path / "work") and Path(each) != copy for each in ran.values())


def test_nothing_starts_after_an_abort(tmp_path: Path) -> None:
    """What is left of a build that was ended is not begun."""
    commands = building.BuildCommands(tmp_path / "log", lambda _: None)
    commands.abort()
    with pytest.raises(CommandFailed, match="another step"):
        commands.run(["true"])


@pytest.mark.parametrize("error", [CommandFailed("image", ["go"], 1, "the cause"), RuntimeError("the cause")])
@pytest.mark.parametrize("first", ["base", "acme", "apps"])
def test_the_layer_that_failed_first_is_the_cause_and_ends_the_others(
    cache: Path, builder: Builder, layer: Path, monkeypatch: pytest.MonkeyPatch, first: str, error: Exception
) -> None:
    """Whichever it is: nobody waits for what will not be used, and no command of it is begun."""
    begun = threading.Barrier(3)

    def compiled(commands: building.BuildCommands, recipe: layers.Recipe, *_: object) -> None:
        begun.wait(20)
        if recipe.what == first:
            raise error
        SystemClock().wait(threading.Event(), 20)  # as a command is waited for
        commands.say("nobody ended the others")

    said: list[str] = []
    monkeypatch.setattr(layers, "_programs", compiled)
    with pytest.raises((HarnessError, RuntimeError), match="the cause"):
        image.ensure(said.append, layer=layer)
    assert (said, builder.made) == ([], [])
    assert entries(cache) == set()


@pytest.mark.parametrize("name", ["plain", "a b", "tab\there", "line\nend", "back\\slash", "ha#sh"])
def test_an_image_is_in_use_whatever_its_folder_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The kernel's list of mounts spells some characters out."""
    process = tmp_path / "proc" / "7"
    (process / "ns").mkdir(parents=True)
    (process / "ns" / "mnt").symlink_to("mnt:[4026531841]")
    spelled = "".join(f"\\{ord(each):03o}" if each in " \t\n\\#" else each for each in name)
    (process / "mountinfo").write_text(f"36 35 0:40 / /root rw - overlay overlay rw,lowerdir=/cache/{spelled}/root,upperdir=/u\n")
    monkeypatch.setattr(shelves, "Path", lambda path: tmp_path / path.lstrip("/"))
    assert shelves.mounted(Path("/cache", name, "root")) == ("process 7 and those that share its mounts",)
    assert shelves.mounted(Path("/cache", "other", "root")) == ()


RECORDS: dict[str, str] = {
    "an endless size": '{"size": 1e400, "built": 1.0}',
    "a size that is none": '{"size": -1, "built": 1.0}',
    "a size in words": '{"size": "1", "built": 1.0}',
    "a moment that no calendar has": '{"size": 1, "built": 1e300}',
    "a moment before all": '{"size": 1, "built": -1e15}',
    "no number": '{"size": 1, "built": NaN}',
    "a truth": '{"size": true, "built": 1.0}',
    "brackets without an end": '{"size": 1, "built": ' + "[" * 100_000,
    "a list": "[1, 2]",
    "nothing": "",
}


@pytest.mark.parametrize("said", RECORDS.values(), ids=RECORDS)
def test_a_record_that_the_harness_never_wrote_is_no_image(cache: Path, said: str) -> None:
    """Whatever it says; the others are found."""
    put(cache, "a" * 16)
    put(cache, "b" * 16)
    (cache / "images" / ("a" * 16) / "image.json").write_text(said)
    assert [each.key for each in image.images()] == ["b" * 16]


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a large file"])
def test_a_record_that_is_no_ordinary_file_hangs_nobody(cache: Path, kind: str) -> None:
    """Nor fills it the memory."""
    put(cache, "a" * 16)
    record = cache / "images" / ("a" * 16) / "image.json"
    if kind == "a large file":
        os.truncate(record, 5 << 30)
    else:
        record.unlink()
        if kind == "a pipe":
            os.mkfifo(record)
        else:
            record.symlink_to("/dev/zero")
    assert image.images() == []


def copied(recipe: Path) -> set[str]:
    """Return what of one's own images is copied to nodes."""
    return {
        str(each.relative_to(recipe / "images")) for each in layers.app_files(Path("/compiled"), Path("/")) if each.is_relative_to(recipe)
    }


@pytest.mark.parametrize("name", ["Dockerfile", "index.html", "index.md", "deep/er/README.md", ".hidden", "a b"])
def test_what_is_copied_of_an_image_of_ones_own_is_in_the_key_whatever_its_name(recipe: Path, name: str) -> None:
    """Else nodes would go on with the file as it was."""
    file = recipe / "images" / "mine" / name
    file.parent.mkdir(parents=True)
    bare = image.key()
    file.write_text("one")
    first = image.key()
    file.write_text("two")
    assert f"mine/{name}" in copied(recipe)
    assert len({bare, first, image.key()}) == 3


def linked_folder(folder: Path, elsewhere: Path) -> None:
    """Make the image's folder a link."""
    folder.symlink_to(elsewhere)


def linked_below(folder: Path, elsewhere: Path) -> None:
    """Make a folder in it one."""
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch")
    (folder / "sub").symlink_to(elsewhere)


def linked_file(folder: Path, elsewhere: Path) -> None:
    """Make a file in it one."""
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch")
    (folder / "sub").symlink_to(elsewhere / "Dockerfile")


def linked_dockerfile(folder: Path, elsewhere: Path) -> None:
    """Make that one, without which there is no image."""
    folder.mkdir()
    (folder / "Dockerfile").symlink_to(elsewhere / "Dockerfile")


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (linked_folder, (r"mine: a link; expected what it leads to, itself; nothing is copied", True)),
        (linked_below, (r"mine nodes will not have sub: .* put the file itself there", False)),
        (linked_file, (r"mine nodes will not have sub: .* put the file itself there", False)),
        (linked_dockerfile, (r"mine/Dockerfile: a link; expected what it leads to, itself; ", True)),
    ],
)
def test_what_a_link_leads_to_is_neither_copied_nor_in_the_key_and_that_is_said(
    recipe: Path, tmp_path: Path, link: Callable[[Path, Path], None], words: tuple[str, bool]
) -> None:
    """A link to a folder is as a link to a file: else all behind it would go to every node, in no key."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "Dockerfile").write_text("FROM scratch")
    (elsewhere / "secret").write_text("one")
    link(recipe / "images" / "mine", elsewhere)
    before = image.key()
    (elsewhere / "secret").write_text("two")
    (elsewhere / "Dockerfile").write_text("FROM elsewhere")
    assert image.key() == before
    assert copied(recipe) <= {"mine/Dockerfile", "web/Dockerfile"}
    assert all(not each.is_symlink() for each in layers.app_files(Path("/compiled"), Path("/")))
    folder = recipe / "images" / "mine"
    said = [str(each) for each in contexts.problems(folder)]
    assert re.search(words[0], said[0] if words[1] else contexts.left_out(folder))


def test_prose_of_ours_is_neither_copied_nor_in_the_key(recipe: Path, tmp_path: Path) -> None:
    """One rule for both; a link to a file of ours is followed by both, as some installers lay files out so."""
    before = image.key()
    (recipe / "node" / "root" / "README.md").write_text("words")
    (recipe / "images" / "web" / "README.md").write_text("words")
    moved = tmp_path / "main.go"
    (recipe / "images" / "web" / "main.go").rename(moved)
    (recipe / "images" / "web" / "main.go").symlink_to(moved)
    assert image.key() == before
    building.copied(recipe / "images" / "web", tmp_path / "work")
    assert {each.name for each in (tmp_path / "work").iterdir()} == {"Dockerfile", "go.mod", "main.go"}


def test_files_of_an_image_of_ones_own_can_be_run_on_nodes_whoever_may_run_them_here(recipe: Path, tmp_path: Path) -> None:
    """Their modes are in no key, so they must not matter; neither do those of ours."""
    (recipe / "images" / "mine").mkdir()
    for name in ("Dockerfile", "serve"):
        (recipe / "images" / "mine" / name).write_text(name)
        (recipe / "images" / "mine" / name).chmod(0o600)
    work, root = tmp_path / "work", tmp_path / "root"
    (work / "bin" / "images" / "web").mkdir(parents=True)
    (work / "bin" / "images" / "web" / "web").write_text("web")
    root.mkdir()
    apps = layers.recipes(None)[-1]
    layers._assemble(building.BuildCommands(tmp_path / "log", lambda _: None), apps, work, root, tmp_path)
    there = root / "usr/share/whalefall/images"
    modes = {name: (there / name).stat().st_mode & 0o777 for name in ("mine/Dockerfile", "mine/serve", "web/web", "web/Dockerfile")}
    # The base, which lies below, says when /etc and /var were last brought up to date with /usr.
    assert {each.stat().st_mtime for each in (root, root / "usr", there, there / "mine")} == {0.0}
    assert modes == {"mine/Dockerfile": 0o644, "mine/serve": 0o755, "web/web": 0o755, "web/Dockerfile": 0o644}


@pytest.mark.parametrize(("said", "kind"), [("./main.go:3:1: oops", BadInput), ("dial tcp 10.0.0.1: refused", CommandFailed)])
def test_an_app_that_does_not_compile_is_bad_input(recipe: Path, tmp_path: Path, said: str, kind: type[Exception]) -> None:
    """A compiler that could not do its work is trouble of another kind."""

    class Commands:
        """Compile everything but web."""

        def say(self, _: str) -> None:
            """Nobody listens."""

        def run(self, argv: Sequence[str], *, cwd: Path, env: object) -> None:
            """Fail where the sources are web's."""
            del env
            if cwd.name == "web":
                raise CommandFailed("image", argv, 1, said)
            made = Path(argv[argv.index("-o") + 1])
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_bytes(b"\x7fELF".ljust(64, b"\0"))

    commands: Any = Commands()
    with pytest.raises(kind, match=f"{recipe}/images/web/main.go:3:1: oops" if kind is BadInput else said):
        layers._programs(commands, layers.recipes(None)[-1], "go", tmp_path / "work")


@pytest.mark.parametrize("source", ["package main", "package mian"])
def test_what_was_compiled_and_could_not_start_is_in_no_layer(recipe: Path, tmp_path: Path, source: str) -> None:
    """Of an app and of a mode's own programs alike: Go leaves a library where a program was asked for, and ends well."""

    class Commands:
        """Compile anything to a library."""

        def say(self, _: str) -> None:
            """Nobody listens."""

        def run(self, argv: Sequence[str], *, cwd: Path, env: object) -> None:
            """Write what Go does."""
            del cwd, env
            made = Path(argv[argv.index("-o") + 1])
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_bytes(b"!<arch>\n")

    commands: Any = Commands()
    (recipe / "images" / "web" / "main.go").write_text(f"{source}\n")
    said = (
        "web: what Go makes of it is no program"
        if source == "package main"
        else "web/main.go:1:9: package mian, of which Go makes a library"
    )
    with pytest.raises(BadInput, match=f"{recipe}/images/{said}; expected"):
        layers._programs(commands, layers.recipes(None)[-1], "go", tmp_path / "work")


@pytest.mark.parametrize("what", ["a folder", "a link", "a pipe", "a file", "nothing"])
def test_whatever_has_the_name_of_what_is_kept_is_removed(tmp_path: Path, what: str) -> None:
    """By itself alone: a pipe is not waited for, and what a link leads to stays."""
    doomed, other = tmp_path / f".dead-{'1' * 16}", tmp_path / "other"
    (other / "below").mkdir(parents=True)
    made: dict[str, Callable[[], None]] = {
        "a folder": lambda: (doomed / "below").mkdir(parents=True),
        "a link": lambda: doomed.symlink_to(other),
        "a pipe": lambda: os.mkfifo(doomed),
        "a file": doomed.touch,
        "nothing": lambda: None,
    }
    made[what]()
    shelves.remove(doomed)
    assert not os.path.lexists(doomed)
    assert (other / "below").is_dir()
