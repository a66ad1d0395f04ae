"""Folders that images of apps are built from, with a Dockerfile and what it copies: ``images/<name>`` of the fixtures, or wherever a path leads.

Each node builds an image by itself, from what the node image has of that folder, or from what it is handed of one that a path leads to, and reaches
no registry. So all that a node would find out minutes later is found out here: what a Dockerfile copies that is not there, what it wants of a
registry, what nothing can start.
"""

from __future__ import annotations

import fnmatch
import os
import platform
import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from harness.core.errors import BadInput, Problem
from harness.core.naming import close
from harness.core.protocols import Running
from harness.host import arguments, building, dockerfile, elf, files, untrusted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from harness.core.values import App, Health
    from harness.host.dockerfile import Instruction, Token

RECIPE: Final = "Dockerfile"
_OURS: Final = frozenset({"counter", "noisy", "redis", "slow", "web"})
FROM_NODE: Final = "from-node"
"""A file that names programs which nodes themselves have: each puts them, with all that their loader loads, into ``from-node.tar`` when it builds."""
_LEFT_OUT: Final = ".dockerignore"
"""Where Docker's client reads what it does not hand to the daemon."""
PATHS: Final = ("./", "../")
"""How the path of an image begins."""
LONGEST_NAME: Final = 255
LONGEST: Final = 3000
"""Bytes of a file's name, and characters of its path, at most: NAME_MAX, and less than PATH_MAX, of which the folder takes a part."""
MOST: Final = 500
MOST_WORDS: Final = 1000
MOST_HINTS: Final = 100
"""Instructions, and words, of a Dockerfile at most, and files among which one of a like name is looked for: each word may be told."""
MOST_TRIED: Final = 20_000_000
"""Letters of patterns, times letters of names that they are tried at, for one Dockerfile: some seconds at the worst."""
MOST_LISTED: Final = 8
"""Files that are named where one is missing."""
MOST_SHOWN: Final = 500
"""Letters of what was expected in place of one word, and of what to do."""
MOST_BYTES = 1 << 20
"""Bytes of a Dockerfile, and of a go.mod, at most."""

_MODULE = re.compile(r"^[ \t]*module[ \t]+\"?([^\s\"]+)\"?", re.MULTILINE)
_GO = re.compile(r"^go[ \t]+([0-9]{1,3})\.([0-9]{1,3})", re.MULTILINE)
_GO_FILES = ("go.mod", "go.sum")
_PACKAGE = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*+package[ \t]+(\w+)", re.DOTALL)
_REFUSED = re.compile(r"^(?:found packages .+ and .+|no Go files|package \S+: build constraints exclude all Go files) in ", re.MULTILINE)
"""What Go says of a package as a whole, of no file of it."""
_STARTS: Final = ("ENTRYPOINT", "CMD")
_PATH: Final = tuple(f"{top}{folder}" for folder in ("/sbin", "/bin") for top in ("/usr/local", "/usr", ""))
"""Where a program is looked for that is named without its folder."""
_PATTERN = re.compile(r"[*?\[]")


def folder() -> Path:
    """Return the folder that has a folder an image."""
    return files.fixtures() / "images"


def contexts() -> list[Path]:
    """Return the folder of every image, by name."""
    return sorted(each for each in folder().iterdir() if each.is_dir())


def context_of(image: str, file: str = "") -> Path | None:
    """Return the folder that an image is built from: the one of its name, whatever its tag, or where its path leads from a scenario's file on.

    None where there is none, or where a link on the way leads out of the scenario's folder.
    """
    if image.startswith(PATHS):
        path = Path(file).parent / image
        there = os.path.isdir(path)  # noqa: PTH112 - where it cannot be seen, whoever reads it says why
        return path if there and not untrusted.leads_out(Path(file).parent, image) else None
    name = image.partition(":")[0] if "/" not in image else ""
    return next((each for each in contexts() if each.name == name), None)


def absent(image: str) -> tuple[str, str, str]:
    """Say of an image that has no folder what was found, what is expected, and a like name, where it was to be one of a folder."""
    names = [each.name for each in contexts()]
    return f"an image {image!r}", f"one of {', '.join(names)} in {folder()}", close(image, names)


def builds_here(provider: Any) -> bool:
    """Whether nodes of a provider, its class, build images from these folders: other people's hosts have images of their own, or pull them."""
    return not (isinstance(provider, type) and issubclass(provider, Running))


def program(context: Path) -> str:
    """Return what the Go program in a folder is called once it is compiled: as its module, as Go has it. Empty where there is no Go module."""
    if not _has(context, "go.mod"):
        return ""
    found = _MODULE.search(text(context / "go.mod"))
    return re.sub(r"/v[0-9]+$", "", found[1]).rpartition("/")[2] if found else ""


def go_asked(context: Path) -> tuple[int, int] | None:
    """Return the version of Go that the module in a folder asks for; None where it asks for none, or there is none. Raises `BadInput`."""
    found = _GO.search(text(context / "go.mod")) if (context / "go.mod").is_file() else None
    return (int(found[1]), int(found[2])) if found else None


def go_line(context: Path) -> tuple[int, int]:
    """Return where in its go.mod a module asks for a version of Go: line and column, from 1; the first line where it asks for none."""
    whole = text(context / "go.mod")
    found = _GO.search(whole)
    return (whole.count("\n", 0, found.start()) + 1, found.start(1) - found.start() + 1) if found else (1, 1)


def is_own(context: Path) -> bool:
    """Whether somebody who uses this made a folder: then each file of it counts, and none that a link leads to."""
    return context.parent != folder() or context.name not in _OURS


def _has(context: Path, name: str) -> bool:
    """Whether a folder has a file of this name, as far as it is taken: of a folder that somebody made no link is."""
    return (context / name).is_file() and not (is_own(context) and (context / name).is_symlink())


def ingredients(context: Path) -> list[Path]:
    """Return all that an image is made of, sorted."""
    return building.ingredients(context, own=is_own(context))


def links() -> list[Path]:
    """Return every link in the folders that are not ours: what it leads to is not taken."""
    return [link for context in contexts() if is_own(context) for link in building.links(context)]


def left_out(context: Path) -> str:
    """Say which links of a folder are not taken; nothing where there are none."""
    every = building.links(context) if is_own(context) else ()
    which = [str(link.relative_to(context)) for link in every if context in link.parents]
    return (
        f"of {context} nodes will not have {', '.join(which)}: nothing is copied through a link; put the file itself there" if which else ""
    )


def shipped(context: Path) -> list[Path]:
    """Return the files of a folder that every node gets, the compiled program left out: Go's sources stay here."""
    compiled = bool(program(context))
    return [each for each in ingredients(context) if not (compiled and (each.suffix == ".go" or each.name in _GO_FILES))]


def hashed(context: Path) -> str:
    """Return the hash, 16 hex digits, of all that the image of a folder is made of, wherever that lies. Raises `BadInput`."""
    return building.hashed(f"{platform.machine()} {program(context)}", context, ingredients(context))


def problems(context: Path) -> list[Problem]:
    """Say with its place what keeps a folder from being built into an image on a node, or that image from starting: all of it at once.

    All folders of the fixtures are copied to each node: one that cannot be keeps every image of theirs from being built.
    """
    beside = contexts() if context.parent == folder() else [context]
    unfit = [each for other in beside for each in _unfit(other)]
    return unfit if _unfit(context) else [*unfit, *_wrong(context)]


def _unfit(context: Path) -> Sequence[Problem]:
    """Say what keeps a folder from being copied to nodes at all, with what is compiled of it."""
    try:
        there = ingredients(context)
        return no_program(context, there) if program(context) else []
    except BadInput as error:
        return error.problems


def unlike(app: App, file: str = "") -> list[tuple[str, str, str, str]]:
    """Say what an app has that the folder of its image does not bear: the key of a scenario file, what was found, what is expected, and a hint.

    That is a port on which it does not listen, and a health check that it could not make. Of a folder that cannot be read, or does not say it,
    nothing is known, nor of an app with a definition of its own. A path leads there from the folder of a scenario's file on.
    """
    context = context_of(app.image, file) or folder()
    try:
        read = dockerfile.instructions(text(context / RECIPE)) if app.native is None and _has(context, RECIPE) else []
    except BadInput:
        return []
    if _too_many(read):
        return []  # which is told of the folder
    last = max((number for number, each in enumerate(read) if each.kind == "FROM"), default=0)
    found = _deaf(app, read[last:])
    if read and app.health is not None and (wrong := _uncheckable(app, app.health, _Recipe(context, read), last)):
        found.append(("health", *wrong))
    return found


def _deaf(app: App, read: Sequence[Instruction]) -> list[tuple[str, str, str, str]]:
    """Say that an app has another port than its image says."""
    said = [word for each in read if each.kind == "EXPOSE" for word in each.operands]
    ports = [re.fullmatch(r"([0-9]{1,5})(?:/tcp)?", word, re.IGNORECASE) for word in said if not word.lower().endswith(("/udp", "/sctp"))]
    if not ports or not all(ports) or any(port is not None and int(port[1]) == app.inner for port in ports):
        return []
    every = ", ".join(dict.fromkeys(port[1] for port in ports if port is not None))
    hint = "`port` is the one of its containers; the one of the nodes is called `host port`"
    return [("port", f"port {app.inner} of {app.name}", f"{every}, which its image {app.image!r} has as EXPOSE", hint)]


def _uncheckable(app: App, health: Health, recipe: _Recipe, last: int) -> tuple[str, str, str] | None:
    """Say why an image that is made so cannot check its health as an app wants it; None where it can, or nobody can tell."""
    shell = health.shell(app.inner)
    if not shell and not health.words:
        checks = any(each.kind == "HEALTHCHECK" and each.words and each.words[0].text.upper() != "NONE" for each in recipe.read[last:])
        own = "command, or http; or a HEALTHCHECK in its Dockerfile"
        return None if checks else (f"a health of {app.name} without a check, and its image {app.image!r} has none", own, "")
    if not shell or not recipe.has_no_shell():
        return None
    hint = 'put HEALTHCHECK CMD ["/PROGRAM", ...] into its Dockerfile, and leave out command and http'
    return f"a health of {app.name} that takes a shell, which its image {app.image!r} has not", "a check that the image has itself", hint


def _wrong(context: Path) -> list[Problem]:
    recipe = context / RECIPE
    if is_own(context) and (linked := [each for each in (context, recipe) if each.is_symlink()]):
        return [Problem(str(linked[0]), 0, 0, "a link", "what it leads to, itself", "nothing is copied to nodes through a link")]
    if not recipe.is_file():
        near = next((each.name for each in sorted(context.iterdir()) if each.name.lower() in {RECIPE.lower(), "containerfile"}), "")
        hint = f"call {near} so" if near and near != RECIPE else f"{folder() / 'web'} has one to begin with"
        return [Problem(str(context), 0, 0, f"no file {RECIPE}", f"a {RECIPE} and the files that it copies", hint)]
    try:
        read = dockerfile.instructions(text(recipe))
        if _has(context, "go.mod") and not program(context):
            return [Problem(str(context / "go.mod"), 1, 1, "no module", "a line `module NAME`: the compiled program is called so")]
    except BadInput as error:
        return list(error.problems)
    if many := _too_many(read):
        return [Problem(str(recipe), 0, 0, *many, "nobody wrote that")]
    return [*_unread(context), *_Recipe(context, read).problems()]


def _unread(context: Path) -> Iterator[Problem]:
    """Say of a folder that a path leads to that it has a list of what is no part of it: no client of Docker's reads that here."""
    if context.parent != folder() and os.path.lexists(context / _LEFT_OUT):
        hint = "keep what is no part of it in another folder"
        yield Problem(str(context / _LEFT_OUT), 0, 0, f"a file {_LEFT_OUT}", "none: all of the folder is handed to nodes", hint)


def _too_many(read: Sequence[Instruction]) -> tuple[str, str] | None:
    """Say that a Dockerfile has more than is looked at, and what is expected; None where it has not."""
    words = sum(len(each.words) + len(each.flags) + len(each.listed or ()) for each in read)
    for many, most, what in ((len(read), MOST, "instructions"), (words, MOST_WORDS, "words")):
        if many > most:
            return f"{many} {what}", f"{most} at most"
    return None


def no_program(folder: Path, there: Collection[Path]) -> list[Problem]:
    """Say of the Go files among those that lie in a folder why no program comes of them: nothing where one of them is of package main.

    Go builds any other package, too, and what comes of that is a library. Raises `BadInput` for a file that cannot be read.
    """
    packages = [(each, *_package(each)) for each in there if each.suffix == ".go" and _is_source(folder, each)]
    if not packages:
        return [Problem(str(folder), 0, 0, "no Go file beside go.mod", "the program's source, of package main")]
    if any(name in {"main", ""} for _, name, _, _ in packages):  # what has no package the compiler tells with its place
        return []
    path, name, line, column = packages[0]
    return [Problem(str(path), line, column, f"package {name}, of which Go makes a library", "package main", close(name, ("main",)))]


def _is_source(folder: Path, path: Path) -> bool:
    """Whether Go makes a package of a folder of a file: not of those below it, of tests, nor of what is called as hidden files are."""
    return path.parent == folder and not path.name.endswith("_test.go") and path.name[0] not in "._"


def _package(path: Path) -> tuple[str, int, int]:
    """Return the package that a Go file is of, and its line and column, from 1; no name where it has none."""
    whole = text(path)
    found = _PACKAGE.match(whole)
    if found is None:
        return "", 1, 1
    return found[1], whole.count("\n", 0, found.start(1)) + 1, found.start(1) - whole.rfind("\n", 0, found.start(1))


def uncompiled(context: Path, said: str) -> list[Problem]:
    """Return what the compiler said of a folder and its files, each with its place; nothing where it failed by something else."""
    found = re.finditer(r"^(?:\./)?([^\s:]+\.go|go\.mod):([0-9]+):(?:([0-9]+):)? (.+)$", said, re.MULTILINE)
    of_files = [
        Problem(str(context / each[1]), int(each[2]), int(each[3] or 1), each[4].strip(), "Go that compiles")
        for each in found
        if (context / each[1]).is_file()
    ]
    of_all = [Problem(str(context), 0, 0, each[0].removesuffix(" in "), "Go that compiles") for each in _REFUSED.finditer(said)]
    return of_files or of_all


def text(path: Path) -> str:
    """Return the text of a file that somebody may have written, bounded. Raises `BadInput` for what is none."""
    return untrusted.text(untrusted.named(path, MOST_BYTES, "a text file"), str(path)).removeprefix("\ufeff")


class _Recipe:
    """A Dockerfile in its folder. It is read stage by stage: what is in an image so far, as far as its copies say."""

    def __init__(self, context: Path, read: Sequence[Instruction]) -> None:
        self._context = context
        self.read = read
        self._program = program(context)
        self._there = {str(each.relative_to(context)) for each in shipped(context)} | ({self._program} if self._program else set())
        self._there |= {f"{FROM_NODE}.tar"} & {f"{each}.tar" for each in self._there}
        self._folders = {str(above) for each in self._there for above in PurePosixPath(each).parents}
        self._tried: dict[str, bool] = {}  # pattern → whether something has such a name
        self._left = MOST_TRIED
        self._names: list[str] = []  # of the stages so far; empty where one has none
        self._folders_there = {"/"}  # in the image of this stage, as far as its instructions make them
        self._place = "/"  # where in it work is done
        self._path = _PATH
        self._image: dict[str, str] | None = {}  # path in the image → file of the folder; None where it cannot be told

    def has_no_shell(self) -> bool:
        """Whether the finished image is known to have none."""
        list(self.problems())  # goes through it; what is wrong is told by others
        return self._image is not None and "/bin/sh" not in self._image

    def problems(self) -> Iterator[Problem]:
        """Yield all that is wrong, in the order of the file."""
        began = False
        for each in self.read:
            if each.kind not in dockerfile.INSTRUCTIONS:
                every = ", ".join(dockerfile.INSTRUCTIONS)
                hint = close(dockerfile.shortened(each.kind), dockerfile.INSTRUCTIONS)
                yield self._at(each.name, f"an unknown instruction {dockerfile.shortened(each.name.text)!r}", f"one of {every}", hint)
                began, self._image = True, None  # whatever was meant
                continue
            if not each.operands:
                yield self._at(each.name, f"{each.kind} of nothing", "what it is about, in the same line")
                continue
            if not began and each.kind not in {"FROM", "ARG"}:
                yield self._at(each.name, each.text, "FROM scratch as the first instruction")
            began = began or each.kind != "ARG"
            for told in arguments.wrong(each, self._image):
                yield self._at(*told)
            yield from self._instruction(each)
        if not began:
            yield Problem(str(self._context / RECIPE), 0, 0, "no instruction", "FROM scratch, COPY and ENTRYPOINT")
        else:
            yield from self._start()

    def _instruction(self, each: Instruction) -> Iterator[Problem]:
        if each.kind == "FROM":
            yield from self._from(each)
        elif each.kind in {"ADD", "COPY"}:
            yield from self._copy(each)
        elif each.kind == "SHELL":
            self._image = None
        elif each.kind in {"VOLUME", "WORKDIR"}:
            self._make(each)
        elif each.kind == "ENV":
            self._path = ()
        elif each.kind == "RUN" and self._image is not None:
            yield from self._shell(each)
            self._image = None  # whatever it may have made

    def _at(self, word: Token, found: str, expected: str, hint: str = "") -> Problem:
        place = (str(self._context / RECIPE), word.line, word.column)
        return Problem(
            *place, dockerfile.shortened(found), dockerfile.shortened(expected, MOST_SHOWN), dockerfile.shortened(hint, MOST_SHOWN)
        )

    def _from(self, each: Instruction) -> Iterator[Problem]:
        base = each.words[0]
        told = base.text.lower() in self._names or "$" in base.text
        if base.text != "scratch" and not told:
            yield self._at(
                base, f"FROM {base.text}", "FROM scratch", "nodes reach no registry: compile a static program, and put it into this folder"
            )
        name = each.words[2].text.lower() if len(each.words) > 2 and each.words[1].text.upper() == "AS" else ""  # noqa: PLR2004 - BASE AS NAME
        if name and name in self._names:
            yield self._at(each.words[2], each.text, "a name of its own for each stage")
        self._names.append(name)
        self._image = None if told else {}  # as it is once it is mended
        self._folders_there, self._place = {"/"}, "/"

    def _copy(self, each: Instruction) -> Iterator[Problem]:
        sources, target = each.operands[:-1], each.operands[-1]
        stage = next((flag.text.partition("=")[2] for flag in each.flags if flag.text.startswith("--from=")), None)
        if not sources:
            yield self._at(each.place(0), each.text, f"{each.kind} FILE PLACE: what, and where to")
            self._image = None
        elif any(word.startswith("<<") for word in sources):
            yield self._at(
                each.place(0), each.text, "a file of this folder", "nodes build with Docker 20.10, which knows no here-documents"
            )
        elif len(sources) > 1 and not target.endswith("/"):
            yield self._at(each.place(len(sources)), f"{len(sources)} files to {target}", f"a folder: {dockerfile.shortened(target)}/")
            target = f"{target}/"
        if stage is not None:
            before = self._names[:-1]
            if "$" not in stage and stage.lower() not in {*filter(None, before), *map(str, range(len(before)))}:
                yield self._at(each.flags[0], each.text, "--from a stage before", "nodes reach no registry")
            self._image = None
            return
        for number, source in enumerate(sources):
            wrong = self._missing(source)
            if wrong is not None:
                yield self._at(each.place(number), f"{each.kind} {source}", *wrong)
            elif (file := self._in_the_way(source, target)) is not None:
                yield self._at(each.place(len(sources)), f"{each.kind} {source} to {target}", "a folder", f"in the image {file} is a file")
            self._put(each.kind, source, target)

    def _in_the_way(self, source: str, target: str) -> str | None:
        """Return the file in the image that stands where a folder is to be; None where none does, or nobody can say."""
        if "$" in target or not target.startswith("/"):
            return None
        folder = posixpath.normpath(target) if (_normal(source) or "") in self._folders else posixpath.dirname(target.rstrip("/"))
        return next((file for file in self._image or () if folder == file or folder.startswith(f"{file}/")), None)

    def _missing(self, source: str) -> tuple[str, str] | None:
        """Return what was expected in place of a source that is not there, and what to do; None for one that is there, or may be."""
        if "$" in source or source.startswith("<<"):
            return None
        here = f"a file of {self._context}"
        if re.match(r"[a-z]+://|git@", source):
            return here, "nodes reach no network: put the file into this folder"
        plain = _normal(source)
        if plain is None:
            return here, "nothing outside of this folder is on the nodes: put the file into it"
        return None if plain in self._there or plain in self._folders or plain == "." else self._absent(plain, here)

    def _absent(self, plain: str, here: str) -> tuple[str, str] | None:
        """Return the same of one that is not there as it is called; None where a pattern fits something."""
        if len(plain) > LONGEST or any(len(part.encode(errors="surrogatepass")) > LONGEST_NAME for part in plain.split("/")):
            return here, "no file can have such a name"
        if _PATTERN.search(plain):
            found = self._matches(plain)
            if found is None:
                return "fewer patterns", f"with {len(self._there)} files there it takes too long to try them: name files, or their folder"
            return None if found else (here, f"nothing there has such a name; there is {self._listed()}")
        return here, self._why(self._context / plain, plain)

    def _matches(self, pattern: str) -> bool | None:
        """Whether a file or folder has a name like this; None where too much was tried already."""
        if pattern not in self._tried:
            fits = re.compile(fnmatch.translate(pattern)).match
            for name in (*self._there, *self._folders):
                self._left -= len(name) * len(pattern)
                if self._left < 0:
                    return None
                if fits(name):
                    break
            else:
                self._tried[pattern] = False
                return False
            self._tried[pattern] = True
        return self._tried[pattern]

    def _why(self, path: Path, plain: str) -> str:
        """Say why a file is not there, and what to do."""
        if path.is_symlink():
            return "it is a link, and links are not taken: put the file itself there"
        if path.is_dir():
            return "that folder has no file in it"
        if path.exists():
            return f"what Go is made of stays here: the compiled program is called {self._program}, as the module in go.mod"
        if len(self._there) <= MOST_HINTS and (close_by := close(dockerfile.shortened(plain), self._there)) != "":
            return close_by
        made = "" if self._program else ", a static program; or its Go source with a go.mod, which is compiled with the node image"
        return f"put it there{made}; there is {self._listed()}"

    def _listed(self) -> str:
        return _some(self._there - {RECIPE}) or "nothing else"

    def _put(self, kind: str, source: str, target: str) -> None:
        """Note where in the image a copied file is; of folders, patterns and archives it cannot be told."""
        plain = _normal(source)
        told = plain is not None and plain not in self._folders and not _PATTERN.search(plain) and "$" not in f"{source}{target}"
        if self._image is None or plain is None or not told or kind == "ADD" or not target.startswith("/"):
            self._image = None
            return
        into = target.endswith("/") or target in self._folders_there
        name = posixpath.normpath(f"{target.rstrip('/')}/{PurePosixPath(plain).name}" if into else target)
        self._image[name] = plain
        self._folders_there |= {str(above) for above in PurePosixPath(name).parents}

    def _make(self, each: Instruction) -> None:
        """Note a folder that the builder makes where it is not there: a file that is copied to its name goes into it."""
        if each.kind == "WORKDIR":
            self._place = posixpath.join(self._place, " ".join(word.text for word in each.words))
        paths = (self._place,) if each.kind == "WORKDIR" else each.operands
        if any(set(path) & set("$\\\"'`") for path in paths):
            self._image = None
            return
        for path in paths:
            made = PurePosixPath(posixpath.normpath(posixpath.join("/", path)))
            self._folders_there |= {str(each) for each in (made, *made.parents)}

    def _shell(self, each: Instruction) -> Iterator[Problem]:
        """Say of what is no list of words that nothing here can run it."""
        if each.listed is not None or self._image is None or "/bin/sh" in self._image:
            return
        at, hint = each.words[0], "FROM scratch has no shell"
        first = dockerfile.shortened(at.text.strip("[]'\", “”‘’"))
        if at.text.startswith("["):
            at, hint = dockerfile.unlisted(each.words)
            hint = f"at {dockerfile.shortened(at.text)}: {hint}"
        expected = f'{each.kind} ["{first}"], a list of words' if each.kind != "RUN" else "no RUN"
        yield self._at(at, each.text, expected, hint)

    def _start(self) -> Iterator[Problem]:
        """Say why the finished image could not start."""
        last = max((number for number, each in enumerate(self.read) if each.kind == "FROM"), default=0)
        for told in arguments.unstartable(self.read[last:], self._image):
            yield self._at(*told)
        starts = {each.kind: each for each in self.read[last:] if each.kind in _STARTS and each.words}
        if not starts and self._image is not None:
            copied = next(iter(self._image), "/PROGRAM")
            yield Problem(str(self._context / RECIPE), 0, 0, "neither ENTRYPOINT nor CMD", f'a line ENTRYPOINT ["{copied}"]')
        first = starts.get("ENTRYPOINT") or starts.get("CMD")
        yield from self._shell(first) if first is not None else ()  # a CMD beside an ENTRYPOINT is only what that is handed
        if first is None or first.listed is None or not first.listed or self._image is None:
            return
        name = first.listed[0]
        if "/" in name and not name.startswith("/"):
            return
        places = [name] if "/" in name else [f"{each}/{name}" for each in self._path]
        file = next((self._image[each] for each in places if each in self._image), None)
        if places and file is None:
            there = _some(self._image) or "nothing"
            yield self._at(first.place(0), f"{first.kind} {name}", "a file that was copied to there", f"in the image there is {there}")
        elif (
            file is not None
            and file in self._there
            and file != self._program
            and (why := elf.not_startable(self._context / file, self._image))
        ):
            yield self._at(first.place(0), f"{first.kind} {name}: {why}", f"a static program for {platform.machine()}")


def _some(names: Collection[str]) -> str:
    """Return the first of some names, each shortened."""
    return ", ".join(dockerfile.shortened(each) for each in sorted(names)[:MOST_LISTED])


def _normal(source: str) -> str | None:
    """Return a source as a path below the folder; None for one outside."""
    parts: list[str] = []
    for part in PurePosixPath(source.lstrip("/")).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts) or "."
