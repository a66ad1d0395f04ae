"""What the instructions of a Dockerfile are given, as Docker 20.10 takes it: what it refuses to build, and what it builds and can never start.

Only what is certain is told. A word with a variable or an escape in it may be anything, and so may an image into which more was put than single
files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.core.naming import close

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.host.dockerfile import Instruction, Token

    Files = Mapping[str, str] | None
    """Paths in an image; None where it cannot be told what is in it."""


class Wrong(NamedTuple):
    """What is wrong with one instruction, and where."""

    at: Token
    found: str
    expected: str
    hint: str = ""


PASSWD, GROUP = "/etc/passwd", "/etc/group"
MOST_ID: Final = (1 << 31) - 1
"""The largest number of a user or a group."""
MOST_PORT: Final = (1 << 16) - 1
_PORT = re.compile(r"([0-9]+)(?:-([0-9]+))?(?:/(.*))?")
_PROTOCOLS: Final = ("tcp", "udp", "sctp")
_SIGNALS: Final = (
    *("ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT"),
    *("SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ"),
    *("RTMIN", "RTMAX", *(f"RTMIN+{each}" for each in range(1, 16)), *(f"RTMAX-{each}" for each in range(1, 15))),
)
_DURATION = re.compile(r"\+?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+")
_STAGE = re.compile(r"[a-z][a-z0-9_.-]*", re.IGNORECASE)
_FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "ADD": ("chown",),
    "COPY": ("chown", "from"),
    "FROM": ("platform",),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "retries"),
}
"""Flags that the builder on the nodes has. Those of RUN are all BuildKit's."""
_NO_FILE = "FROM scratch has no {file}: give the number, or copy such a file into the image"


def wrong(each: Instruction, files: Files) -> Iterator[Wrong]:
    """Yield what keeps an image from being built by what one instruction is given. `files` are in the image when it comes."""
    for flag in each.flags:
        name, sign, value = flag.text[2:].partition("=")
        allowed = _FLAGS.get(each.kind, ())
        if name not in allowed:
            expected = f"--{' or --'.join(allowed)}" if allowed else "no flag"
            hint = (
                "nodes build with Docker 20.10, without BuildKit" if each.kind in {"ADD", "COPY", "FROM", "RUN"} else close(name, allowed)
            )
            yield Wrong(flag, f"{each.kind} {flag.text}", expected, hint)
        elif not sign:
            yield Wrong(flag, f"{each.kind} {flag.text}", f"{flag.text}=VALUE, in one word")
        elif each.kind == "HEALTHCHECK" and "$" not in value:
            yield from _how_often(flag, name, value)
    check = _CHECKS.get(each.kind)
    if check is not None and each.words:
        yield from check(each, files)


def unstartable(stage: Sequence[Instruction], files: Files) -> Iterator[Wrong]:
    """Yield what of the last stage of a file can be built, and is no container's that starts. `files` are in the image then."""
    user = next((each for each in reversed(stage) if each.kind == "USER" and each.words), None)
    said = _bare(" ".join(word.text for word in user.words)) if user is not None else None
    if user is not None and said is not None:
        yield from _whose(user.words[0], f"USER {said}", said, files, (PASSWD, GROUP))
    for each in stage:
        if each.kind == "VOLUME":
            for number, path in enumerate(each.operands):
                if (_bare(path) if each.listed is None else path) == "/":
                    yield Wrong(each.place(number), f"VOLUME {path}", "a folder below /", "a volume would hide the program")


def _bare(text: str) -> str | None:
    """Return a word as it is once its quotes are off; None where nobody can say without the builder."""
    if set(text) & {"$", "\\", "`"}:
        return None
    found = re.fullmatch(r"(?:[^\"']|\"[^\"]*\"|'[^']*')*", text)
    return re.sub("[\"']", "", text) if found else None


def _whose(at: Token, found: str, said: str, files: Files, tables: tuple[str, str]) -> Iterator[Wrong]:
    """Say of ``user:group`` which is a name that no table in the image can have, or a number that is none."""
    for name, file in zip(said.split(":"), tables, strict=False):
        if re.fullmatch(r"[+-]?[0-9]{1,40}", name):
            if not 0 <= int(name) <= MOST_ID:
                yield Wrong(at, found, f"a number from 0 to {MOST_ID}")
        elif name and files is not None and file not in files:
            what, number = "user" if file == PASSWD else "group", 0 if name == "root" else 65534
            yield Wrong(at, f"{found}, a {what} by name", f"the {what}'s number, such as {number}", _NO_FILE.format(file=file))


def _how_often(flag: Token, name: str, value: str) -> Iterator[Wrong]:
    if name == "retries":
        if not re.fullmatch(r"\+?[0-9]{1,9}", value) or int(value) == 0:
            yield Wrong(flag, f"HEALTHCHECK {flag.text}", "a whole number from 1")
    elif not _DURATION.fullmatch(value) or not re.search("[1-9]", value):
        yield Wrong(flag, f"HEALTHCHECK {flag.text}", f"a duration from 1 ms, with its unit: --{name}=5s")


def _owner(each: Instruction, files: Files) -> Iterator[Wrong]:
    for flag in each.flags:
        name, sign, value = flag.text.partition("=")
        if name == "--chown" and (said := _bare(value)):
            if said.count(":") > 1:
                yield Wrong(flag, f"{each.kind} {flag.text}", "--chown=USER or --chown=USER:GROUP")
            elif sign:
                yield from _whose(flag, f"{each.kind} {flag.text}", said, files, (PASSWD, GROUP))


def _ports(each: Instruction, _: Files) -> Iterator[Wrong]:
    for number, word in enumerate(each.words):
        said = _bare(word.text)
        if said is None or ":" in said or not said:
            continue
        if each.listed is not None or said.startswith("["):
            yield Wrong(each.words[0], each.text, "ports with blanks between them: EXPOSE 80 443", "EXPOSE takes no list in brackets")
            return
        found = _PORT.fullmatch(said)
        first, last = (int(found[1][:20]), int((found[2] or found[1])[:20])) if found else (1, 0)
        if not first <= last <= MOST_PORT or (found and (found[3] or "tcp").lower() not in _PROTOCOLS):
            yield Wrong(
                each.words[number], f"EXPOSE {said}", f"a port from 0 to {MOST_PORT}, with /udp or /sctp behind it where it is not TCP"
            )


def _signal(each: Instruction, _: Files) -> Iterator[Wrong]:
    said = _bare(" ".join(word.text for word in each.words))
    if said is None or (re.fullmatch(r"[+-]?[0-9]{1,9}", said) and int(said) != 0):
        return
    name = said.upper().removeprefix("SIG")
    if name not in _SIGNALS:
        hint = close(f"SIG{name}"[:40], [f"SIG{signal}" for signal in _SIGNALS])
        yield Wrong(each.words[0], f"STOPSIGNAL {said}", "a signal's name or number, such as SIGTERM", hint)


def _pairs(each: Instruction, _: Files) -> Iterator[Wrong]:
    """Look at names with their values. Without a sign of equality in the first word all the rest is one value."""
    texts = [word.text for word in each.words]
    if any(set(text) & set("\\\"'`") for text in texts):
        return  # quotes make one word of several
    if "=" not in texts[0]:
        if len(texts) == 1:
            yield Wrong(each.words[0], each.text, f"{each.kind} NAME=VALUE")
        return
    for word in each.words:
        if word.text.startswith("#"):
            yield Wrong(word, f"{each.kind} … {word.text}", "no comment behind an instruction", "a comment has a line of its own")
            return
        if "=" not in word.text:
            hint = f'a value with blanks in it stands in quotes: {texts[0].partition("=")[0]}="…"'
            yield Wrong(word, f"{each.kind} … {word.text}", "NAME=VALUE, as the first one has it", hint)
        elif word.text.startswith("="):
            yield Wrong(word, f"{each.kind} … {word.text}", "a name before the =")


def _named(each: Instruction, _: Files) -> Iterator[Wrong]:
    for word in each.words:
        if word.text.startswith("="):
            yield Wrong(word, each.text, "ARG NAME, or ARG NAME=VALUE, without blanks around the =")


def _folder(each: Instruction, files: Files) -> Iterator[Wrong]:
    """Look at a folder that is made where it is not there: no file stands in its way."""
    said = _bare(" ".join(word.text for word in each.words))
    if said is not None:
        yield from _in_the_way(each.words[0], f"{each.kind} {said}", said, files)


def _volumes(each: Instruction, files: Files) -> Iterator[Wrong]:
    for number, path in enumerate(each.operands):
        said = path if each.listed is not None else _bare(path)
        if said is not None:
            yield from _in_the_way(each.place(number), f"{each.kind} {said}", said, files)


def _in_the_way(at: Token, found: str, path: str, files: Files) -> Iterator[Wrong]:
    for file in files or ():
        if path.startswith("/") and (path.rstrip("/") == file or path.startswith(f"{file}/")):
            yield Wrong(at, found, "a folder", f"in the image {file} is a file")


def _listed_only(each: Instruction, _: Files) -> Iterator[Wrong]:
    if each.listed is None:
        yield Wrong(each.words[0], each.text, f'{each.kind} ["/bin/sh", "-c"], a list of words')


def _health(each: Instruction, _: Files) -> Iterator[Wrong]:
    kind = each.words[0].text.upper()
    if kind not in {"NONE", "CMD"}:
        yield Wrong(each.words[0], each.text, "HEALTHCHECK CMD PROGRAM, or HEALTHCHECK NONE")
    elif kind == "NONE" and len(each.words) > 1:
        yield Wrong(each.words[1], each.text, "nothing behind NONE")
    elif kind == "CMD" and len(each.words) == 1:
        yield Wrong(each.words[0], each.text, 'a program behind CMD: HEALTHCHECK CMD ["/PROGRAM"]')


def _trigger(each: Instruction, _: Files) -> Iterator[Wrong]:
    if each.words[0].text.upper() in {"ONBUILD", "FROM", "MAINTAINER"}:
        yield Wrong(each.words[0], each.text, "another instruction: Docker allows none of ONBUILD, FROM and MAINTAINER there")


def _base(each: Instruction, _: Files) -> Iterator[Wrong]:
    texts = [word.text for word in each.words]
    named = len(texts) == 3 and texts[1].upper() == "AS"  # noqa: PLR2004 - BASE AS NAME
    if len(texts) > 1 and not named:
        yield Wrong(each.words[1], each.text, "FROM BASE, or FROM BASE AS NAME")
    elif named and not _STAGE.fullmatch(texts[2]):
        yield Wrong(each.words[2], each.text, "a stage's name: a letter, then letters, digits, and any of _ - .")


_CHECKS: Final[Mapping[str, Callable[[Instruction, Files], Iterator[Wrong]]]] = {
    "ADD": _owner,
    "ARG": _named,
    "COPY": _owner,
    "ENV": _pairs,
    "EXPOSE": _ports,
    "FROM": _base,
    "HEALTHCHECK": _health,
    "LABEL": _pairs,
    "ONBUILD": _trigger,
    "SHELL": _listed_only,
    "STOPSIGNAL": _signal,
    "VOLUME": _volumes,
    "WORKDIR": _folder,
}
