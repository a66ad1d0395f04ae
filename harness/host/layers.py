"""The layers of the node image: what each is made of, and how it is made.

The *base* is a Debian root with what every node has, from ``fixtures/node``. The *apps* are the folders that images of apps are built from. Over them
lies what the nodes of one mode have beside that, from a folder of the mode's own (`harness.core.protocols.Mode.LAYER`). Each is kept in the cache by
the hash of all that goes into it, so that a change of one builds no other: only what lies on the base is built anew with it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import harness
from harness.core.errors import BadInput, CommandFailed, HarnessError, Problem, Unsupported
from harness.core.naming import close
from harness.host import building, contexts, elf, files, places, private, shelves, surroundings
from harness.host.processes import as_text, run_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from harness.core.clock import Clock
    from harness.core.values import Json

RECIPE = 2
"""Raised by hand when this module builds something else from the same files."""

GO_MINIMUM = (1, 21)
"""First Go that reads the go.mod of what is compiled (its ``go`` line)."""
GO_PLACES = (str(Path(sys.prefix) / "bin" / "go"), "/usr/local/go/bin/go", "/usr/lib/go/bin/go")
"""Where a Go is looked for beside PATH. The first is where ./setup puts one, on no PATH unless its environment is active."""

_OF_APPS = (".", "-s -w")
"""What of an app's folder is compiled, and the linker's flags."""

BASE, APPS = "base", "apps"
PROSE = "README.md"
PARTS = (PROSE, "disable", "finish", "go.mod", "go.sum", "mask", "packages", "programs", "root")
"""What a mode's folder may hold; see ``fixtures/layer``. All but the first is a part of the key, if it is there."""

_TOOLS = {
    "mmdebstrap": "apt-get install mmdebstrap",
    "setpriv": "apt-get install util-linux",
    "unshare": "apt-get install util-linux",
}
_RECORD = "image.json"
_WHOLE = "image"  # what there was before there were layers
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer in the cache."""

    path: Path  # its root folder: a lower layer of overlays; never written to
    key: str  # 16 hex digits
    size: int  # bytes on disk
    built: float  # seconds since the epoch
    current: bool  # whether it is what today's files would build
    what: str = BASE  # ``base``, ``apps``, or what the folder of the mode is called


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one layer is made of."""

    what: str
    key: str
    folder: Path  # with the files of its own
    base: str = ""  # the key of the base that it is made over; empty for what is made over none

    @property
    def is_base(self) -> bool:
        """Whether it is a Debian root."""
        return not self.base and self.what == BASE

    @property
    def is_apps(self) -> bool:
        """Whether it is what images of apps are built from."""
        return not self.base and self.what == APPS


def recipes(*modes: Path | None) -> tuple[Recipe, ...]:
    """Return what the images of modes are made of, by each one's own folder if it has one, the lowest first and what they share once.

    Raises `BadInput` with all that is wrong with those folders.
    """
    fixtures = files.fixtures()
    node = fixtures / "node"
    base = Recipe(BASE, building.hashed(f"{RECIPE} {BASE} {platform.machine()}", fixtures, building.ingredients(node)), node)
    made_by = building.hashed("", fixtures, building.ingredients(fixtures / "layer"))
    own = [layer for layer in dict.fromkeys(modes) if layer is not None]
    if wrong := [problem for layer in own for problem in problems(layer)]:
        raise BadInput(wrong)
    return base, *(_over(base, layer, made_by) for layer in own), _apps()


def _over(base: Recipe, layer: Path, made_by: str) -> Recipe:
    """Return the recipe of a mode's layer, which scripts of that hash make over the base."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", layer.parent.name)[:40]
    return Recipe(name, building.hashed(f"{RECIPE} {base.key} {made_by}", layer, ingredients(layer)), layer, base.key)


def is_own(layer: Path) -> bool:
    """Whether somebody else's distribution has a layer: then every file of it counts, and none that a link leads to, but as `_is_installed`.

    Of ours a link to a file is that file: some installers lay files out so.
    """
    return not layer.resolve().is_relative_to(Path(harness.__file__).resolve().parent)


def _is_installed(layer: Path, link: Path) -> bool:
    """Whether a link in a layer is how an installer lays out the file itself: it leads to an ordinary one with the same place in the same layer."""
    place = (layer.parent.name, layer.name, *link.relative_to(layer).parts)
    led = Path(os.path.realpath(link))
    return led.is_file() and led.parts[-len(place) :] == place


def ingredients(layer: Path) -> list[Path]:
    """Return the files that a mode's layer is made of, sorted: what is copied, what is compiled and what is in its key is found by this."""
    kept = [
        each
        for each in building.ingredients(layer, own=is_own(layer), meant=partial(_is_installed, layer))
        if each.parent.name != "__pycache__"
    ]
    return [each for each in kept if each != layer / PROSE]


def problems(layer: Path) -> list[Problem]:
    """Say what is wrong with the folder of a mode's layer: what nobody would look at, or not as it stands there, and what cannot be compiled."""
    if not layer.is_dir():
        return [Problem(str(layer), 0, 0, "no such folder", "the folder of a layer, as fixtures/layer/README.md has it")]
    module = (layer / "go.mod").is_file()
    found = []
    for each in sorted(layer.iterdir()):
        if each.name not in PARTS and not (module and (each.is_dir() or each.suffix == ".go")):
            found.append(Problem(str(each), 0, 0, "what nobody looks at", f"one of {', '.join(PARTS)}", close(each.name, PARTS)))
        elif each.name in PARTS and each.is_dir() is not (each.name == "root"):
            what, wanted = ("a folder", "a file") if each.is_dir() else ("no folder", "a folder")
            found.append(Problem(str(each), 0, 0, what, wanted))
    try:
        found += [*_not_as_it_stands(layer), *places.unseen(layer / "root")]
        ingredients(layer)
        found += _patterns(layer)
        programs(layer)
    except BadInput as error:
        found += error.problems
    return found


def _not_as_it_stands(layer: Path) -> Iterator[Problem]:
    """Yield what of a layer could not be copied to nodes as it stands there."""
    for each in building.links(layer) if is_own(layer) else ():
        if each != layer and _is_installed(layer, each):
            continue
        hint = "what it leads to is not looked at here" + (
            "; `finish` can make a link on the node" if layer / "root" in each.parents else ""
        )
        yield Problem(str(each), 0, 0, "a link", "the file or the folder itself", hint)
    for parent, folders, names in os.walk(layer):
        for name in names:
            each = Path(parent, name)
            if not each.is_symlink() and not each.is_file():
                yield Problem(str(each), 0, 0, "what is no ordinary file", "a file that can be copied")
        if not folders and not names and layer / "root" in (Path(parent), *Path(parent).parents):
            yield Problem(parent, 0, 0, "a folder with nothing in it", "a file in it", "`finish` can make a folder on the node")


def _patterns(layer: Path) -> Iterator[Problem]:
    """Yield the words of a layer's lists that name nothing: a pattern is nobody's name, and what begins with a dash is an option."""
    for name, what in (("packages", "the name of a package"), ("mask", "the name of a unit"), ("disable", "the name of a unit")):
        lines = contexts.text(layer / name).splitlines() if (layer / name).is_file() else []
        for number, line in enumerate(lines, 1):
            for word in line.partition("#")[0].split():
                if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9@:._+~=/\\-]*", word):
                    yield Problem(str(layer / name), number, 1, repr(word), what)


_PACKAGE = r"[A-Za-z0-9.][A-Za-z0-9._~/+@-]*"
"""A package of Go, by its path or its folder: what begins with a dash would be an option, and some of Go's run programs of their own."""


def programs(layer: Path) -> list[tuple[str, str, str]]:
    """Return the programs that are compiled for a mode's layer: each one's name, its package, and the linker's flags. Raises `BadInput`."""
    listed = layer / "programs"
    if not listed.is_file():
        return []
    lines = [line.partition("#")[0].split(maxsplit=2) for line in contexts.text(listed).splitlines()]
    wrong = [
        Problem(str(listed), number, 1, repr(" ".join(line)), "NAME PACKAGE, and what the linker is told")
        for number, line in enumerate(lines, 1)
        if line and (len(line) == 1 or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", line[0]) or not re.fullmatch(_PACKAGE, line[1]))
    ]
    if not (layer / "go.mod").is_file():
        wrong.append(Problem(str(layer), 0, 0, "no go.mod", "the module whose packages are named in `programs`"))
    if wrong:
        raise BadInput(wrong)
    return [(line[0], line[1], line[2].strip() if len(line) > 2 else "") for line in lines if line]  # noqa: PLR2004 - the third is the flags


def _apps() -> Recipe:
    """Return the recipe of what images of apps are built from.

    Prose (.md) of ours is no part of its key; every file of an image of one's own is, whatever its name: see `harness.host.contexts.ingredients`.
    """
    every = contexts.contexts()
    parts = sorted(each for context in every for each in contexts.ingredients(context))
    compiled = [f"{each.name}/{name}" for each in every if (name := contexts.program(each))]
    return Recipe(APPS, building.hashed(" ".join([str(RECIPE), platform.machine(), *compiled]), files.fixtures(), parts), contexts.folder())


def load(folder: Path, now: Collection[str]) -> Layer | None:
    """Return the layer that a folder of the cache holds, given the keys of today's; None where it holds nothing whole.

    One that was made over another build of the base than the one that is there is old: Debian may have changed between the two.
    """
    record = shelves.recorded(folder / _RECORD)
    if record is None or not (folder / "root").is_dir():
        return None
    size, built = record
    what, over = shelves.noted(folder / _RECORD, "what"), shelves.noted(folder / _RECORD, "over")
    name = what if isinstance(what, str) and _NAME.fullmatch(what) else _WHOLE
    return Layer(
        folder / "root", folder.name, size, built, folder.name in now and (over is None or over == _stamp(folder.parent, over)), name
    )


def _stamp(shelf: Path, over: Json) -> Json:
    """Return which build of a base is there, as the record of a layer names the one that it was made over; None where there is none."""
    key = over[0] if isinstance(over, list) and over else ""
    record = shelves.recorded(shelf / key / _RECORD) if isinstance(key, str) and _NAME.fullmatch(key) else None
    return None if record is None else [key, record[1]]


def go_minimum(modes: Collection[Path | None] = ()) -> tuple[tuple[int, int], str]:
    """Return the first Go that reads the go.mod of all that is compiled for the images of modes, by their layers, and the file that asks for it.

    No file where it is ours. Raises `BadInput`.
    """
    modules = [*contexts.contexts(), *(layer for layer in modes if layer is not None)]
    asked = [(go, str(each / "go.mod")) for each in modules if (go := contexts.go_asked(each)) is not None]
    return max([(GO_MINIMUM, ""), *(each for each in asked if each[0] > GO_MINIMUM)])


def check_machine(layer: Path | None = None) -> str:
    """Return the path of a Go that will do for the image of a mode.

    Raises `Unsupported` for the first thing that this machine lacks, and `BadInput` where it has a Go that would do, were it not for one go.mod: that
    is a line which somebody can change, and tests that need the image must fail by it, where they are skipped for what a machine lacks.
    """
    building.check_tools("the node image", _TOOLS, "./setup")
    minimum, asks = go_minimum((layer,))
    return _go(minimum, Path(asks).parent if asks else None)


def _go(minimum: tuple[int, int], asks: Path | None) -> str:
    """Return the path of a Go that will do, where a module in the folder `asks` needs one so new. Raises as `check_machine`."""
    newest = (0, 0)
    seen = []
    for place in (surroundings.which("go"), *GO_PLACES):
        if place is None or not Path(place).is_file():
            continue
        answer = as_text(run_bounded([place, "version"], seconds=60.0, env=_go_environment()))
        match = re.search(r"\bgo(\d+)\.(\d+)", answer.stdout)
        version = (int(match[1]), int(match[2])) if match else (0, 0)
        if version >= minimum:
            return place
        newest = max(newest, version)
        seen.append(f"{place} says {(answer.stdout or answer.stderr).strip()!r}")
    found = "; ".join(dict.fromkeys(seen)) or "none"
    if asks is not None and newest >= GO_MINIMUM:
        line, column = contexts.go_line(asks)
        most = ".".join(map(str, newest))
        asked, hint = ".".join(map(str, minimum)), f"found {found}; or install a newer Go"
        raise BadInput([Problem(str(asks / "go.mod"), line, column, f"Go {asked}", f"Go {most} or earlier, which is here", hint)])
    raise Unsupported(
        f"building what runs on nodes needs Go {'.'.join(map(str, GO_MINIMUM))} or later; found {found}; run ./setup, which installs one"
    )


def _go_environment() -> dict[str, str]:
    """Return the environment of the Go tool: static binaries for this machine, the installed toolchain, nobody's workspace."""
    kept = {name: value for name, value in os.environ.items() if name not in {"GOOS", "GOARCH", "GOWORK", "GOFLAGS"}}
    return {"HOME": "/root", **kept, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def build(
    shelf: shelves.Shelf[Layer],
    recipe: Recipe,
    over: AbstractContextManager[None],
    progress: Callable[[str], None],
    clock: Clock,
    go: str,
) -> None:
    """Build one layer, and put it onto the shelf, where its lock is held, once it is whole.

    What is compiled for it is compiled before it enters `over`, which may wait until the base is there that it is made over, and keeps that as it is.
    Raises `HarnessError`, also where what it is built of changes meanwhile: then it would be what its key does not say.
    """
    with shelf.attempt(recipe.key, progress) as (work, commands):
        started = clock.now()
        made = work / "layer"
        root = private.folder(made / "root")
        root.chmod(0o755)  # whatever the umask: it becomes the nodes' own
        _programs(commands, recipe, go, work)
        if recipe.is_base:
            _debian(commands, root, work)
        with over:
            stamp = _stamp(shelf.folder, [recipe.base]) if recipe.base else None
            commands.say(f"putting the layer {recipe.what} together")
            _assemble(commands, recipe, work, root, shelf.folder)
            if recipe not in recipes(recipe.folder if recipe.base else None):
                raise HarnessError(
                    f"the node image was not built: what its layer {recipe.what} is made of was changed meanwhile; run it again"
                )
            record: dict[str, Json] = {"what": recipe.what, "size": shelves.size(root), "built": clock.wall(), "recipe": RECIPE}
            record |= {"seconds": round(clock.now() - started, 1), "over": stamp}
            with private.opened(made / _RECORD, "w") as note:
                note.write(json.dumps(record) + "\n")
            commands.run(["sync", "-f", str(made)])
            shelf.put(made, recipe.key)


def _debian(commands: building.BuildCommands, root: Path, work: Path) -> None:
    """Make the base's Debian root. What mmdebstrap needs for a while is in `work`: it clears up nothing where it is killed."""
    node = files.fixtures() / "node"
    suite = (node / "suite").read_text(encoding="utf-8").strip()
    commands.say(f"making a Debian root ({suite})")
    mirror = os.environ.get("WHALEFALL_MIRROR")
    commands.run(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(building.words(node / 'packages'))}",
            *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale", "info")),
            "--dpkgopt=force-unsafe-io",
            '--aptopt=Acquire::Retries "3"',
            suite,
            str(root),
            *([mirror] if mirror else []),
        ],
        env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "TMPDIR": str(work)},
        mark="I: ",
    )


def _programs(commands: building.BuildCommands, recipe: Recipe, go: str, work: Path) -> None:
    """Compile what a layer needs into ``work/bin``, a folder for each module."""
    if recipe.is_apps:
        wanted = [(context, name, *_OF_APPS) for context in contexts.contexts() if (name := contexts.program(context))]
    else:
        wanted = [(recipe.folder, *program) for program in programs(recipe.folder)]
    for source, name, package, link in wanted:
        there = work / "go" / source.parent.name / source.name
        if not there.exists():
            if source.parent == contexts.folder():
                building.copied(source, there, own=contexts.is_own(source))
            else:
                building.copied(source, there, own=is_own(source), meant=partial(_is_installed, source))
        commands.say(f"building {source.name}/{name}" if source.parent == contexts.folder() else f"building {name}")
        _compile(commands, source, there, _compiled(work, source) / name, [go, package, link])


def _compile(commands: building.BuildCommands, source: Path, there: Path, made: Path, how: Sequence[str]) -> None:
    """Compile a program of a folder, of which a copy is `there`, with this Go, of this package, with these flags of the linker.

    Raises `BadInput` with what is wrong with the source, and `CommandFailed` where it failed by something else. The sums of the module are checked
    against the go.sum beside it, which is not written to.
    """
    go, package, link = how
    argv = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={link}", "-o", str(made), "--", package]
    try:
        # Go clears up nothing where it is killed: what it needs for a while lies where the build's own things do, beside what it compiles.
        commands.run(argv, cwd=there, env={**_go_environment(), "TMPDIR": str(there.parent)})
    except CommandFailed as error:
        if wrong := contexts.uncompiled(source, error.err):
            raise BadInput(wrong) from error
        raise
    if why := elf.not_startable(made, {}):
        of = source / package
        told = contexts.no_program(of, sorted(of.glob("*.go")))
        raise BadInput(told or [Problem(str(of), 0, 0, f"what Go makes of it is {why}", "a program for nodes, of package main")])


def compile_app(commands: building.BuildCommands, context: Path, there: Path, made: Path) -> None:
    """Compile the program of a folder that an image of an app is built from, of which a copy is `there`. Raises as `_compile`, and `Unsupported`."""
    _compile(commands, context, there, made, [_go(max(GO_MINIMUM, contexts.go_asked(context) or GO_MINIMUM), context), *_OF_APPS])


def _compiled(work: Path, source: Path) -> Path:
    """Return where in a build's work folder is what is compiled of a folder."""
    return work / "bin" / source.parent.name / source.name


def _assemble(commands: building.BuildCommands, recipe: Recipe, work: Path, root: Path, shelf: Path) -> None:
    """Put a layer together in `root`: for the base a Debian root already, for the others empty. `shelf` is the folder that has the base by then."""
    if recipe.is_apps:
        _lay(app_files(work / "bin" / contexts.folder().name, root), root, programs=True)
        for link in contexts.links():
            commands.say(f"left out, for it is a link: {link}")
        # The base says when /etc and /var were last brought up to date with /usr: no folder of this layer, which lies over it, is younger.
        for folder, _, _ in os.walk(root):
            os.utime(folder, (0, 0))
        return
    laid = root if recipe.is_base else work / "laid"
    laid.mkdir(exist_ok=True)
    source = recipe.folder / "root"
    every = ingredients(recipe.folder) if recipe.base else building.ingredients(source)
    copies = {each: laid / each.relative_to(source) for each in every if source in each.parents}
    copies |= {_compiled(work, recipe.folder) / name: laid / "usr/local/bin" / name for name, _, _ in programs(recipe.folder)}
    if recipe.base:
        there = shelf / recipe.base / "root"
        if wrong := [*places.misplaced([(each, PurePosixPath(target.relative_to(laid))) for each, target in copies.items()], there)]:
            raise BadInput(wrong)
    _lay(copies, laid)
    if recipe.is_base:
        commands.run(["sh", str(recipe.folder / "finish"), str(root)])
        return
    below = work / "below"
    below.mkdir()
    lower = shelves.lowerdir([shelf / recipe.base / "root"])
    commands.run(["sh", str(files.fixtures() / "layer" / "make"), str(recipe.folder), str(laid), str(root), str(below), lower])


def _lay(copies: dict[Path, Path], root: Path, *, programs: bool = False) -> None:
    """Copy files to their places below `root`, for all users of a node to read; what lies in a ``bin`` can be run, and of apps all `programs`."""
    for source, target in copies.items():
        if not source.is_file():
            raise HarnessError(f"{source} was to be copied to nodes, and is not there; was it removed meanwhile?")
        # What is not part of the key, such as who may run it, must not differ.
        runs = target.parent.name in {"bin", "sbin"} or (programs and target.name != contexts.RECIPE)
        building.lay(source, target, root, runs=runs)


def app_files(compiled: Path, root: Path) -> dict[Path, Path]:
    """Return the files of every folder of images, and the programs that were `compiled` of their sources, each with its place on a node."""
    there = root / "usr/share/whalefall/images"
    every = contexts.contexts()
    copied = {each: there / each.relative_to(contexts.folder()) for context in every for each in contexts.shipped(context)}
    made = {compiled / each.name / name: there / each.name / name for each in every if (name := contexts.program(each))}
    return {source: target for source, target in copied.items() if target not in made.values()} | made
