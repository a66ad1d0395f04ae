"""What a node would find out of an image of one's own is found out here, with its place, before anything is made."""

from __future__ import annotations

import os
import platform
import shutil
import struct
from pathlib import Path

import pytest

from harness.conductor import spelling
from harness.core.errors import BadInput, Problem
from harness.core.values import App, Health
from harness.host import building, contexts, elf, files, image, layers
from harness.plan import Plan, plan_of

SCENARIO = """
scenario: own
why: an image of one's own
apps:
  - {{name: app, instances: 1, image: {image}}}
steps:
  - {{fault: none, on: n1, hold: 1s}}
promises:
  - conflicts
"""


def program(interpreter: str = "", machine: int | None = None, start: bytes = b"\x7fELF") -> bytes:
    """Return the head of a program for this machine, which asks for an interpreter or for none."""
    number = elf.MACHINES[platform.machine()][0] if machine is None else machine
    head = start + bytes([2, 1, 1]) + bytes(9) + struct.pack("<2HI3QI6H", 2, number, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return (
        head + struct.pack("<2I6Q", 3 if interpreter else 1, 4, 120, 0, 0, len(interpreter) + 1, 0, 0) + interpreter.encode() + b"\0" * 32
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("interpreter", ["", "/lib/ld.so"])
def test_whether_a_program_is_static_is_read_in_every_form(tmp_path: Path, order: str, interpreter: str, *, wide: bool) -> None:
    """Of 32 bits or 64, whichever byte comes first; behind a segment that says nothing of it."""
    words = (2, elf.MACHINES[platform.machine()][0], 1, 0)
    segments = [(1, 0, 0), (3 if interpreter else 1, 200, len(interpreter) + 1)]
    if wide:
        head = struct.pack(f"{order}2HI3QI6H", *words, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        table = b"".join(struct.pack(f"{order}2I6Q", kind, 4, at, 0, 0, size, 0, 0) for kind, at, size in segments)
    else:
        head = struct.pack(f"{order}2HI3II6H", *words, 52, 0, 0, 52, 32, 2, 0, 0, 0)
        table = b"".join(struct.pack(f"{order}8I", kind, at, 0, 0, size, 0, 4, 0) for kind, at, size in segments)
    start = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    (tmp_path / "app").write_bytes((start + head + table).ljust(200, b"\0") + interpreter.encode() + b"\0" * 9)
    told = elf.not_startable(tmp_path / "app", {})
    assert told == (f"a program that wants {interpreter}, so it is not static" if interpreter else "")
    assert elf.not_startable(tmp_path / "app", {"/lib/ld.so": "it"}) == ""


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our folder of images, copied, so that one of one's own can be put beside web."""
    shutil.copytree(files.fixtures() / "images" / "web", tmp_path / "fixtures" / "images" / "web")
    monkeypatch.setattr(files, "fixtures", lambda: tmp_path / "fixtures")
    return tmp_path / "fixtures" / "images"


@pytest.fixture
def own(images: Path) -> Path:
    """A folder with a static program in it, and one that is not static."""
    folder = images / "own"
    (folder / "sub").mkdir(parents=True)
    (folder / "app").write_bytes(program())
    (folder / "dynamic").write_bytes(program("/lib64/ld.so"))
    (folder / "foreign").write_bytes(program(machine=2))
    (folder / "script").write_text("#!/bin/sh\n")
    (folder / "sub" / "page").write_text("page")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("app")
    return folder


def planned(folder: Path, name: str, provider: str | None = None) -> Plan:
    """Plan a scenario with an app of such an image; its file is in that folder."""
    file = folder / "own.yaml"
    file.write_text(SCENARIO.format(image=name))
    return plan_of(file, mode=None, provider=provider, profile=None, seed=1)


def refused(folder: Path, name: str) -> list[Problem]:
    """Return what is wrong with such a scenario."""
    with pytest.raises(BadInput) as raised:
        planned(folder, name)
    return list(raised.value.problems)


def told(folder: Path, recipe: str) -> list[str]:
    """Return what is said of a Dockerfile, without the folder before it."""
    (folder / "Dockerfile").write_text(recipe)
    return [str(each).removeprefix(f"{folder}/") for each in contexts.problems(folder)]


COPY = "COPY app /app"


def lines(*middle: str, base: str = "FROM scratch", start: str = 'ENTRYPOINT ["/app"]') -> str:
    """Return a Dockerfile of these lines, from a base to what is started."""
    return "\n".join([base, *middle, start, ""])


GOOD = lines(COPY)
BUILDABLE = {
    "as web's": GOOD,
    "in small letters, with a comment within and an empty line": 'from scratch\ncopy \\\n # what\n\n app /app\nentrypoint [ "/app", "x" ]\n',
    "with Windows' line ends and a byte order mark": "\ufeff" + GOOD.replace("\n", "\r\n"),
    "another sign at the end of lines": '# escape=`\nFROM scratch\nCOPY app `\n  /app\nCMD ["/app"]\n',
    "a folder, all, a pattern": 'FROM scratch\nCOPY sub /sub\nCOPY . /\nCOPY a* sub/*e /bin/\nENTRYPOINT ["/app"]\n',
    "found on the path": 'FROM scratch\nCOPY app /bin/app\nENTRYPOINT ["app"]\n',
    "with an owner, and stages": 'FROM scratch AS one\nCOPY --chown=1:1 app /\nFROM scratch\nCOPY --from=one /app /app\nENTRYPOINT ["/app"]\n',
    "with its loader beside it": 'FROM scratch\nCOPY dynamic /app\nCOPY sub/page /lib64/ld.so\nENTRYPOINT ["/app"]\n',
    "a shell of its own": "FROM scratch\nCOPY app /bin/sh\nRUN true\nENTRYPOINT /app\n",
    "what the file itself decides": 'ARG base=scratch\nFROM $base\nARG file=app\nCOPY $file /app\nENTRYPOINT ["/app"]\n',
}


@pytest.mark.parametrize("case", BUILDABLE)
def test_what_can_be_built_is_not_doubted(own: Path, case: str) -> None:
    """Whatever Docker itself takes."""
    assert told(own, BUILDABLE[case]) == []


UNBUILDABLE = {
    "a file that is not there": (
        lines("COPY apps /app"),
        "Dockerfile:2:6: COPY apps; expected a file of {own}; did you mean 'app'?",
    ),
    "one with another name altogether": (
        lines("COPY    zebra /app"),
        (
            "Dockerfile:2:9: COPY zebra; expected a file of {own}; put it there, a static program; or its Go source with a go.mod, "
            "which is compiled with the node image; there is app, dynamic, foreign, script, sub/page"
        ),
    ),
    "in a line further down": (
        'FROM scratch\nCOPY app \\\n   nowhere.txt /\nENTRYPOINT ["/app"]\n',
        "Dockerfile:3:4: COPY nowhere.txt; expected a file of {own}; put it there",
    ),
    "a pattern that nothing has": (
        lines("COPY z* /z/", COPY),
        "Dockerfile:2:6: COPY z*; expected a file of {own}; nothing there has",
    ),
    "an empty folder": (
        lines("COPY empty /e", COPY),
        "Dockerfile:2:6: COPY empty; expected a file of {own}; that folder has no file",
    ),
    "a link": (lines("COPY link /app"), "Dockerfile:2:6: COPY link; expected a file of {own}; it is a link, and"),
    "outside": (
        lines("COPY ../app /app"),
        "Dockerfile:2:6: COPY ../app; expected a file of {own}; nothing outside of this folder",
    ),
    "from the network": (
        lines("ADD https://files.example/x /x", COPY),
        "Dockerfile:2:5: ADD https://files.example/x; expected a file of {own}; nodes reach no network",
    ),
    "several into a file": (
        lines("COPY app script /two", COPY),
        "Dockerfile:2:17: 2 files to /two; expected a folder: /two/",
    ),
    "nowhere": (lines("COPY app"), "Dockerfile:2:6: COPY app; expected COPY FILE PLACE: what, and where to"),
    "a base of a registry's": (
        lines(COPY, base="FROM debian:12"),
        "Dockerfile:1:6: FROM debian:12; expected FROM scratch; nodes reach no registry",
    ),
    "a stage of a registry's": (
        lines("COPY --from=busybox /bin/sh /bin/sh", COPY),
        "Dockerfile:2:6: COPY --from=busybox /bin/sh /bin/sh; expected --from a stage before; nodes reach no registry",
    ),
    "a stage that does not come before": (
        lines("COPY --from=0 /a /a", COPY),
        "Dockerfile:2:6: COPY --from=0 /a /a; expected --from a stage before",
    ),
    "an instruction with a slip in it": (
        lines("COPPY app /app"),
        "Dockerfile:2:1: an unknown instruction 'COPPY'; expected one of ADD, ",
    ),
    "a slip in the first one": (lines(COPY, base="FORM scratch"), "Dockerfile:1:1: an unknown instruction 'FORM'; expected one of ADD, "),
    "an instruction of nothing": (
        lines("WORKDIR", COPY),
        "Dockerfile:2:1: WORKDIR of nothing; expected what",
    ),
    "a flag of BuildKit's": (
        lines("COPY --chmod=755 app /app"),
        "Dockerfile:2:6: COPY --chmod=755; expected --chown or --from; nodes build with Docker 20.10, without BuildKit",
    ),
    "a here-document": (
        lines("COPY <<X /app"),
        "Dockerfile:2:6: COPY <<X /app; expected a file of this folder; nodes build with",
    ),
    "no FROM": (GOOD.replace("FROM scratch\n", ""), "Dockerfile:1:1: COPY app /app; expected FROM scratch as the first instruction"),
    "nothing at all": ("# nothing\n", "Dockerfile: no instruction; expected FROM scratch, COPY and ENTRYPOINT"),
    "nothing to start": ("FROM scratch\nCOPY app /app\n", 'Dockerfile: neither ENTRYPOINT nor CMD; expected a line ENTRYPOINT ["/app"]'),
    "a shell that is not there": (
        lines(COPY, start="ENTRYPOINT /app -v"),
        'Dockerfile:3:12: ENTRYPOINT /app -v; expected ENTRYPOINT ["/app"], a list of words; FROM scratch has no shell',
    ),
    "single quotes": (
        lines(COPY, start="ENTRYPOINT ['/app']"),
        "Dockerfile:3:13: ENTRYPOINT ['/app']; expected ENTRYPOINT [\"/app\"], a list of words; at '/app']: each word in it stands in double",
    ),
    "work of a shell": (lines("RUN true", COPY), "Dockerfile:2:5: RUN true; expected no RUN; FROM scratch has no shell"),
    "what is started is not there": (
        lines(COPY, start='ENTRYPOINT ["/hello"]'),
        "Dockerfile:3:12: ENTRYPOINT /hello; expected a file that was copied to there; in the image there is /app",
    ),
    "what is started is not on the path": (
        lines(COPY, start='ENTRYPOINT ["app"]'),
        "Dockerfile:3:12: ENTRYPOINT app; expected a file that was copied",
    ),
    "a program that is not static": (
        lines("COPY dynamic /app"),
        "Dockerfile:3:12: ENTRYPOINT /app: a program that wants /lib64/ld.so, so it is not static; expected a static program for ",
    ),
    "a program of another machine": (
        lines("COPY foreign /app"),
        "Dockerfile:3:12: ENTRYPOINT /app: a program for another kind of",
    ),
    "a script": (lines("COPY script /app"), "Dockerfile:3:12: ENTRYPOINT /app: a script, and there is nothing to run it"),
    "no program": (lines("COPY sub/page /app"), "Dockerfile:3:12: ENTRYPOINT /app: no program; expected"),
}


@pytest.mark.parametrize("case", UNBUILDABLE)
def test_what_cannot_be_built_or_started_is_told_with_its_place(own: Path, case: str) -> None:
    """One thing is wrong, and one thing is said."""
    recipe, expected = UNBUILDABLE[case]
    (said,) = told(own, recipe)
    assert said.startswith(expected.format(own=own))


def test_all_that_is_wrong_with_a_dockerfile_is_told_at_once(own: Path) -> None:
    """In the order of the file, though its base is wrong already."""
    said = told(own, "FROM debian\nCPY app /app\nCOPY gone /x\nRUN apt-get update\nENTRYPOINT /x\n")
    assert [each.partition(": ")[0] for each in said] == [f"Dockerfile:{place}" for place in ("1:6", "2:1", "3:6")]


def test_a_folder_without_a_dockerfile_says_so(own: Path) -> None:
    """And which file of it may be meant."""
    expected = "no file Dockerfile; expected a Dockerfile and the files that it copies"
    (said,) = map(str, contexts.problems(own))
    assert said == f"{own}: {expected}; {own.parent}/web has one to begin with"
    (own / "dockerfile").write_text(GOOD)
    (said,) = map(str, contexts.problems(own))
    assert said == f"{own}: {expected}; call dockerfile so"


@pytest.mark.parametrize("name", ["web", "hello"])
def test_a_copy_of_web_is_an_image_of_its_own(images: Path, tmp_path: Path, name: str) -> None:
    """It is compiled as web is; every node gets the program and the Dockerfile, and no source."""
    if name != "web":
        shutil.copytree(images / "web", images / name)
    assert contexts.problems(images / name) == []
    there = tmp_path / "root/usr/share/whalefall/images" / name
    compiled = tmp_path / "bin"
    found = {source: target for source, target in layers.app_files(compiled, tmp_path / "root").items() if target.is_relative_to(there)}
    assert found == {images / name / "Dockerfile": there / "Dockerfile", compiled / name / "web": there / "web"}


@pytest.mark.parametrize(("module", "name"), [("hello", "hello"), ("example.org/you/hello", "hello"), ("example.org/hello/v2", "hello")])
def test_a_program_of_ones_own_is_called_as_its_module(images: Path, module: str, name: str) -> None:
    """And what is copied must be called so."""
    folder = images / "mine"
    shutil.copytree(images / "web", folder)
    (folder / "go.mod").write_text(f"// mine\nmodule {module}\n\ngo 1.21\n")
    assert contexts.program(folder) == name
    (said,) = told(folder, 'FROM scratch\nCOPY main.go /web\nENTRYPOINT ["/web"]\n')
    assert f"what Go is made of stays here: the compiled program is called {name}, as the module in go.mod" in said
    assert told(folder, f'FROM scratch\nCOPY {name} /web\nENTRYPOINT ["/web"]\n') == []


def test_a_module_without_a_name_is_told(images: Path) -> None:
    """Nobody could say what its program is called."""
    shutil.copytree(images / "web", images / "mine")
    (images / "mine" / "go.mod").write_text("go 1.21\n")
    (said,) = map(str, contexts.problems(images / "mine"))
    assert said == f"{images}/mine/go.mod:1:1: no module; expected a line `module NAME`: the compiled program is called so"


def test_every_file_of_a_folder_is_on_the_nodes(own: Path, tmp_path: Path) -> None:
    """Links lead nowhere, and a file beside the folders is no image."""
    (own.parent / "README").write_text("no image")
    there = tmp_path / "root/usr/share/whalefall/images"
    found = layers.app_files(tmp_path / "bin", tmp_path / "root")
    names = {str(target.relative_to(there)) for target in found.values() if target.is_relative_to(there / "own")}
    assert names == {f"own/{name}" for name in ("app", "dynamic", "foreign", "script", "sub/page")}


def test_an_image_that_cannot_be_built_is_bad_input_of_the_plan(own: Path, tmp_path: Path) -> None:
    """With the place in the Dockerfile; hosts of others have images of their own."""
    told(own, lines("COPY apps /app"))
    assert [(each.file, each.line, each.column) for each in refused(tmp_path, "own")] == [(f"{own}/Dockerfile", 2, 6)]
    assert planned(tmp_path, "own", provider="inventory").apps
    told(own, GOOD)
    assert planned(tmp_path, "own").apps


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("onw", "did you mean 'own'?"),
        ("nosuch", "one of a registry has a tag: nosuch:latest"),
    ],
)
def test_an_image_that_nodes_can_have_from_nowhere_is_bad_input_of_the_plan(own: Path, tmp_path: Path, name: str, hint: str) -> None:
    """A slip of the pen, or a registry's without a tag: where it stands, before anything is made. Hosts of others have images of their own."""
    others = "./FOLDER (with a Dockerfile), ./FILE.tar (a docker archive), or NAME:TAG of a registry"
    said = f"an image {name!r}; expected one of own, web in {own.parent}, {others}; {hint}"
    assert [*map(str, refused(tmp_path, name))] == [f"{tmp_path}/own.yaml:5:38: {said}"]
    assert planned(tmp_path, name, provider="inventory").apps
    with pytest.raises(BadInput) as raised:
        spelling.must_be_cluster(3, [App("web", 1, image=name)], "nspawn")
    assert [*map(str, raised.value.problems)] == [f"the app web: {said}"]


def test_what_does_not_compile_is_told_with_its_place_in_ones_own_file(images: Path) -> None:
    """Not in the copy that is compiled; what is wrong with no file of ours, as a download that failed, is told otherwise."""
    folder = images / "hello"
    shutil.copytree(images / "web", folder)
    said = (
        "go: downloading example.com/x v1.0.0\n# whalefall/fixtures/images/web\n./main.go:12:2: undefined: x\n"
        "main.go:4:2: missing go.sum entry for module\n./main.go:7: too old\n/usr/lib/go/fmt.go:1:1: not ours\ndial tcp 10.0.0.1: refused"
    )
    assert [str(each) for each in contexts.uncompiled(folder, said)] == [
        f"{folder}/main.go:12:2: undefined: x; expected Go that compiles",
        f"{folder}/main.go:4:2: missing go.sum entry for module; expected Go that compiles",
        f"{folder}/main.go:7:1: too old; expected Go that compiles",
    ]
    assert contexts.uncompiled(folder, "dial tcp 10.0.0.1: refused") == []
    assert [str(each) for each in contexts.uncompiled(folder, "go: errors parsing go.mod:\ngo.mod:4: unknown directive: foo")] == [
        f"{folder}/go.mod:4:1: unknown directive: foo; expected Go that compiles"
    ]


@pytest.mark.parametrize(
    "said",
    [
        "found packages main (main.go) and mian (x.go)",
        "no Go files",
        "package example.org/shop: build constraints exclude all Go files",
    ],
)
def test_what_go_says_of_a_whole_folder_is_told_with_the_folder(images: Path, said: str) -> None:
    """It names no line, and the copy that is compiled, where nobody would look."""
    assert [str(each) for each in contexts.uncompiled(images / "web", f"go: downloading x\n{said} in /tmp/work/go/images/web")] == [
        f"{images}/web: {said}; expected Go that compiles"
    ]


@pytest.mark.parametrize("start", ["", "\ufeff", "// A shop.\n\n", "/* package main\n */ ", "//go:build linux\n\n/**/\n"])
def test_go_that_makes_a_library_is_told_before_it_is_compiled(images: Path, start: str) -> None:
    """Go compiles it without a word, and nodes would have a file that nothing can start; it keeps every image from being built, not only its own."""
    shutil.copytree(images / "web", images / "mine")
    source = images / "mine" / "main.go"
    for name in ("main_test.go", "_old.go", "sub/sub.go"):
        (images / "mine" / name).parent.mkdir(exist_ok=True)
        (images / "mine" / name).write_text("package other\n")
    source.write_text(f"{start}package main\n\nfunc main() {{}}\n")
    assert contexts.problems(images / "web") == []
    source.write_text(f"{start}package mian\n\nfunc main() {{}}\n")
    lines = start.removeprefix("\ufeff").split("\n")
    assert [str(each) for each in contexts.problems(images / "web")] == [
        f"{source}:{len(lines)}:{len(lines[-1]) + 9}: package mian, of which Go makes a library; expected package main; did you mean 'main'?"
    ]
    source.unlink()
    assert [str(each) for each in contexts.problems(images / "web")] == [
        f"{images}/mine: no Go file beside go.mod; expected the program's source, of package main"
    ]


HOSTILE: dict[str, tuple[str, str]] = {
    "instructions by the thousand": ("xy\n" * 100_000, "100000 instructions; expected 500 at most"),
    "stages by the thousand": ("FROM scratch AS aa\n" * 50_000, "50000 instructions; expected 500 at most"),
    "words by the thousand": (f"FROM scratch\nCOPY {'a ' * 100_000}\n", "words; expected 1000 at most"),
    "words by the thousand in all": ("FROM scratch\n" + f"COPY {'q ' * 400}/\n" * 100, "40101 words; expected 1000 at most"),
    "words by the thousand in a list": ("FROM scratch\nCOPY [" + '"a",' * 100_000 + '"/"]\n', "words; expected 1000 at most"),
    "a digit by the thousand": (f"FROM scratch\nCOPY app /app\nCMD [{'1' * 500_000}\n", "CMD"),
    "a word of half a megabyte": (f"FROM scratch\n{'A' * 500_000} /x\n", "an unknown instruction 'AAAA"),
    "a name of half a megabyte": (f"FROM scratch\nCOPY {'a' * 500_000} /x\n", "COPY aaaa"),
    "a copy of nothing": ("FROM scratch\nCOPY []\n", "COPY of nothing"),
    "a start with nothing": ("FROM scratch\nCOPY app /app\nENTRYPOINT []\n", "ENTRYPOINT of nothing"),
    "half a character": ('FROM scratch\nCOPY ["\\ud800", "/x"]\n', "COPY"),
    "brackets by the thousand": (f"FROM scratch\nCOPY app /app\nCMD {'[' * 200_000}\n", "CMD [[[["),
}


@pytest.mark.parametrize(("recipe", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_dockerfile_is_told_in_a_few_words(own: Path, recipe: str, said: str) -> None:
    """However long it is, and whatever is in it."""
    problems = told(own, recipe)
    assert any(said in each for each in problems), problems[:2]
    assert sum(map(len, problems)) < 5000
    unlike = contexts.unlike(App("mine", 1, own.name, inner=1, health=Health("x")))
    assert not unlike or "at most" not in said, "what is too much is not looked at for whether an app is like it, either"
    assert sum(len(str(each)) for each in unlike) < 5000


def test_a_go_mod_is_read_in_one_pass_whatever_it_is(images: Path) -> None:
    """A megabyte of blank lines, or of blanks; and a name that stands behind them is found."""
    shutil.copytree(images / "web", images / "mine")
    path = images / "mine" / "go.mod"
    for blank in ("\n", " ", "\t", "module \n"):
        path.write_text(blank * ((1 << 20) // len(blank) - 100) + "\nmodule far\n")
        assert contexts.program(path.parent) == "far"


PATTERNS = {"many marks": "*a" * 100 + "b", "single marks": "?" * 240, "a set": f"[{'a' * 240}]b*", "many folders": "*/a" * 80}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_patterns_are_tried_for_a_moment_only(own: Path, pattern: str) -> None:
    """Three hundred of them, at two thousand files with long names. What was not tried is told to be too much, and never to be there."""
    for number in range(2_000):
        (own / f"f{'a' * 200}{number}").touch()
    said = told(own, "FROM scratch\n" + "".join(f"COPY {pattern}{number} /\n" for number in range(300)))
    assert len(said) == 300
    assert "expected fewer patterns; with 2006 files there it takes too long to try them: name files, or their folder" in said[-1]
    assert sum(map(len, said)) < 300 * 1500


def test_no_file_has_a_name_of_half_a_megabyte_whatever_fits_it(own: Path) -> None:
    """So nothing is looked for."""
    said, *_ = told(own, f"FROM scratch\nCOPY {'*a' * 250_000} /\n")
    assert said.endswith("no file can have such a name")


def test_a_pattern_that_something_has_is_found_however_often_it_is_asked_for(own: Path) -> None:
    """Once is enough."""
    assert told(own, "FROM scratch\nCOPY app /app\n" + "COPY ap? dyn*[a-z]c /x/\n" * 200 + 'ENTRYPOINT ["/app"]\n') == []


def test_what_is_told_of_long_names_is_short(own: Path) -> None:
    """Of those in the folder, and of those in the image."""
    deep = own
    for _ in range(10):
        deep = deep / ("é" * 120)
    deep.mkdir(parents=True)
    for number in range(8):
        (deep / f"{number}").touch()
    missing = told(own, "FROM scratch\n" + "".join(f"COPY q{number} /\n" for number in range(300)))
    copied = told(own, "FROM scratch\n" + "".join(f"COPY app /{'x' * 2000}{number}\n" for number in range(400)) + 'ENTRYPOINT ["/nope"]\n')
    assert (len(missing), len(copied)) == (301, 1)
    assert max(map(len, (*missing, *copied))) < 1500


@pytest.mark.parametrize("body", [b"\x00\xff\xfe", b"//" + b"x" * (1 << 20)], ids=["no text", "too large"])
@pytest.mark.parametrize("which", ["asked for", "another"])
def test_a_go_mod_that_cannot_be_read_keeps_every_image_from_being_built(images: Path, body: bytes, which: str) -> None:
    """All folders are compiled and copied together, so that the plan must say it."""
    shutil.copytree(images / "web", images / "mine")
    (images / "mine" / "go.mod").write_bytes(body)
    (said,) = map(str, contexts.problems(images / ("mine" if which == "asked for" else "web")))
    assert said.startswith(f"{images}/mine/go.mod")


def test_a_folder_that_is_too_deep_is_bad_input(own: Path) -> None:
    """All of it would be copied to nodes."""
    deep = own
    for _ in range(80):
        deep = deep / "d"
    deep.mkdir(parents=True)
    with pytest.raises(BadInput, match="folders more than 64 inside each other"):
        contexts.shipped(own)


def test_a_folder_that_is_too_large_is_bad_input_with_its_largest_file(own: Path, tmp_path: Path) -> None:
    """Of whatever image: every folder is copied to each node. Nothing of it is read for that."""
    with (own / "big").open("wb") as sparse:
        sparse.truncate(1 << 40)
    (own / contexts.RECIPE).write_text('FROM scratch\nCOPY app /app\nENTRYPOINT ["/app"]\n')
    for name in ("own", "web"):
        (problem,) = refused(tmp_path, name)
        assert problem.file == str(own / "big")
        assert str(1 << 40) in problem.found
        assert f"{1 << 30} in the whole folder at most" in problem.expected
    with pytest.raises(BadInput, match="in the whole folder at most"):
        image.key()


def test_a_folder_with_too_many_files_is_bad_input(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may lead to the root of this machine: nobody looks at all of that, nor waits for it."""
    monkeypatch.setattr(building, "MOST_FILES", 9)
    assert contexts.shipped(own)
    for number in range(3):
        (own / "empty" / f"{number}").mkdir()
    with pytest.raises(BadInput, match=f"{own}: too many files and folders; expected 9 at most"):
        contexts.shipped(own)


def test_a_folder_that_cannot_be_looked_into_is_not_an_empty_one(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in it is not known."""
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path) == str(own / "sub"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert told(own, GOOD) == ["sub: Permission denied; expected a folder that can be looked into: it is a part of what is built"]


def test_a_file_that_goes_while_its_folder_is_looked_into_is_told(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody works there, or it is no folder of files at all, such as /proc."""
    lstat = Path.lstat

    def gone(path: Path) -> os.stat_result:
        return lstat(path.with_name("gone") if path == own / "app" else path)

    monkeypatch.setattr(Path, "lstat", gone)
    assert told(own, GOOD) == ["gone: No such file or directory; expected a file that can be looked at: it is a part of what is built"]


def elsewhere(folder: Path, recipe: str = GOOD) -> Path:
    """Return a folder beside a scenario's file, with a program and a Dockerfile."""
    made = folder / "hello"
    made.mkdir()
    (made / "app").write_bytes(program())
    (made / "Dockerfile").write_text(recipe)
    return made


@pytest.mark.usefixtures("images")
def test_a_folder_that_a_path_leads_to_is_looked_at_as_those_of_ours(tmp_path: Path) -> None:
    """All that is wrong, each with its place; nothing of it is left out, whatever it is called."""
    folder = elsewhere(tmp_path)
    planned(tmp_path, "./hello")
    (folder / "Dockerfile").write_text('FROM debian\nCOPY ap /app\nENTRYPOINT ["/app"]\n')
    (folder / ".dockerignore").write_text("*\n")
    said = [*map(str, refused(tmp_path, "./hello"))]
    assert [each.partition("; expected")[0].removeprefix(f"{folder}/") for each in said] == [
        ".dockerignore: a file .dockerignore",
        "Dockerfile:1:6: FROM debian",
        "Dockerfile:2:6: COPY ap",
    ]
    named = folder.rename(tmp_path / "web")
    (named / "README.md").touch()
    assert named / "README.md" in contexts.shipped(named)


def test_a_folder_elsewhere_and_those_of_ours_hold_up_nobody_else(own: Path, tmp_path: Path) -> None:
    """What keeps one image from being built is told of who asks for it."""
    (own / "go.mod").write_bytes(b"\xff")
    folder = elsewhere(tmp_path)
    planned(tmp_path, "./hello")
    (own / "go.mod").unlink()
    (folder / "go.mod").write_bytes(b"\xff")
    assert contexts.problems(own.parent / "web") == []
    assert refused(tmp_path, "./hello")[0].file == str(folder / "go.mod")


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("what", ["hello", "hello/Dockerfile", "hello/app", "hello/go.mod"])
def test_nothing_is_taken_through_a_link_of_a_folder_that_a_path_leads_to(tmp_path: Path, what: str) -> None:
    """Neither into an image nor into what is said: whoever made the folder does not choose what else is read of this machine."""
    elsewhere(tmp_path)
    secret = tmp_path / "secret"
    if what == "hello":
        (tmp_path / what).rename(secret)
    else:
        (tmp_path / what).unlink(missing_ok=True)
        secret.write_text("module secret\nFROM secret\n")
    (tmp_path / what).symlink_to(secret)
    if what == "hello/go.mod":
        planned(tmp_path, "./hello")
        assert contexts.program(tmp_path / "hello") == ""
        assert "will not have go.mod" in contexts.left_out(tmp_path / "hello")
    else:
        (said,) = map(str, refused(tmp_path, "./hello"))
        assert "link" in said
        assert "FROM" not in said


@pytest.mark.usefixtures("images")
def test_what_a_folder_elsewhere_does_not_bear_is_told_as_of_ours(tmp_path: Path) -> None:
    """By the path from the scenario's file on."""
    elsewhere(tmp_path, lines(COPY, "EXPOSE 8080"))
    (said,) = refused(tmp_path, "./hello")
    assert "8080, which its image './hello' has as EXPOSE" in str(said)
    file = str(tmp_path / "own.yaml")
    assert contexts.unlike(App("app", 1, image="./hello", inner=8080), file) == []
    (told,) = contexts.unlike(App("app", 1, image="./hello", inner=8080, health=Health("x")), file)
    assert told[0] == "health"


def test_a_name_that_is_no_utf_8_is_a_name(own: Path, tmp_path: Path) -> None:
    """Of a file, and of a folder of an image: it has a part in the key like any other."""
    before = image.key()
    (own / os.fsdecode(b"a\xff")).write_bytes(b"a")
    one = image.key()
    (own / os.fsdecode(b"a\xff")).rename(own / os.fsdecode(b"a\xfe"))
    other = image.key()
    folder = own.parent / os.fsdecode(b"b\xff")
    folder.mkdir()
    (folder / "go.mod").write_text("module app\n")
    (folder / "main.go").write_text("package main\n")
    assert len({before, one, other, image.key()}) == 4
    assert planned(tmp_path, "web").apps


def test_a_file_is_never_in_memory_as_a_whole_for_its_key(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in pieces, and the key is the same whatever their size."""
    (own / "big").write_bytes(b"ab" * 1000)
    whole = image.key()
    monkeypatch.setattr(building, "_PIECE", 7)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read as a whole"))
    assert image.key() == whole


def test_a_file_that_cannot_be_read_is_bad_input(own: Path) -> None:
    """With its name."""
    gone = own / "gone"
    with pytest.raises(BadInput, match=r"own/gone: No such file or directory; expected a file that can be read"):
        building.hashed("", own, [gone])
