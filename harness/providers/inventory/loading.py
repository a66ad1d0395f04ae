"""What Ansible makes of an inventory: ansible-core's own loader, asked in a process of its own that can harm nobody.

The process sees a copy of the inventory and of what Ansible reads beside it (``group_vars``, ``host_vars``), has an environment, a configuration and
a home of its own, and bounds on time and memory. ansible-core is GPL: it is only ever run there, and never imported here.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import stat
import string
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import document
from harness.core import pace
from harness.core.errors import BadInput, HarnessError, Problem
from harness.core.figures import given
from harness.host import untrusted
from harness.host.processes import run_bounded
from harness.host.talk import TOO_MUCH, SaidTooMuch
from harness.providers.inventory.shapes import misshapen
from harness.providers.inventory.variables import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READER = Path(__file__).with_name("ansible_reader.py")
SECONDS = 120.0
"""How long the process may take. On a machine with nothing else to do it takes one second."""
OVER_SECONDS = 3600.0
"""Age of a folder of such a process's that nobody uses any more: each ends long before."""
MOST_FILES = 1000
"""Files beside an inventory at most."""
BESIDE = ("group_vars", "host_vars")
YAML = (".yml", ".yaml", ".json")
_MADE = "whalefall-inventory-"
_ENCRYPTED = b"$ANSIBLE_VAULT"
MOST_HOSTS = 10_000
"""Hosts that one line may stand for at most: Ansible makes all of them before anybody can count."""
_RANGE = re.compile(r"\[(?:(\d+):(\d+)|[A-Za-z]:[A-Za-z])(?::(\d+))?\]")
_MOST_DIGITS = 18
_HIDDEN = re.compile(r"\..*|.*~")  # what Ansible skips, too


@dataclass(frozen=True, slots=True)
class Group:
    """A group with all hosts in it and below it, in the inventory's order, and where it and its own variables stand."""

    hosts: tuple[str, ...]
    variables: Mapping[str, Value]
    place: Value  # where it is named first


@dataclass(frozen=True, slots=True)
class Loaded:
    """An inventory as Ansible understands it."""

    hosts: Mapping[str, Mapping[str, Value]]  # in order, each with the variables in force for it that anybody here may need
    places: Mapping[str, Value]  # where each host is named
    groups: Mapping[str, Group]
    beside: Mapping[str, bytes]  # files in the folders beside it, by their names from there on


def loaded(path: Path, body: bytes) -> Loaded:
    """Return what Ansible makes of an inventory with this content. Raises `BadInput` with what it refuses, or reads only in part."""
    files = {path.name: body, **dict(_beside(path.parent))}
    problems = [
        Problem(
            str(path.parent / name),
            1,
            1,
            "an encrypted file",
            "plain text: nobody can tell what it protects",
            "write it out, or move it away",
        )
        for name, content in files.items()
        if content.startswith(_ENCRYPTED) and (name == path.name or Path(name).suffix in {"", *YAML})
    ]
    if body.startswith("\ufeff".encode()) and path.suffix not in YAML:
        problems.append(
            Problem(str(path), 1, 1, "a byte-order mark", "none: Ansible takes it for a part of the first name", "save it as plain UTF-8")
        )
    problems += _wide(path, body.decode(errors="replace"))
    if problems:
        raise BadInput(problems)
    try:
        asked = _asked(path, tuple(sorted(files.items())))
    except BadInput as error:
        shapes = misshapen(body.decode(errors="replace"), str(path)) if path.suffix in {"", *YAML} else []
        placed = [each for each in error.problems if each.line]
        raise BadInput([*shapes, *placed] if shapes else error.problems) from error
    return replace(asked, beside={name: each for name, each in files.items() if name != path.name})


def _wide(path: Path, text: str) -> Iterator[Problem]:
    """Yield a problem for each line whose ranges stand for more hosts than anybody can mean."""
    for number, line in enumerate(text.splitlines(), 1):
        ranges = list(_RANGE.finditer(line))
        digits = max((len(number) for each in ranges for number in each.groups() if number), default=0)
        if digits > _MOST_DIGITS:
            yield Problem(str(path), number, 1, f"a range with a number of {digits} digits", f"{_MOST_DIGITS} digits at most")
            continue
        hosts = 1
        for each in ranges:
            hosts *= max(1, int(each[2]) - int(each[1]) + 1 if each[1] else len(string.ascii_letters))
            if hosts > MOST_HOSTS:
                said = f"ranges that stand for {hosts} hosts" + (" and more" if each is not ranges[-1] else "")
                yield Problem(str(path), number, 1, said, f"at most {MOST_HOSTS} hosts a line")
                break


def _beside(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files that Ansible may read beside an inventory, and the folders of those, whose names end with a slash; all from its folder on.

    Raises `BadInput` for what is neither.

    The file of a host or a group is named as that is, and a name may have dots in it: only in folders further down an ending says what is read.
    """
    waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [
        (name, (_which(folder / name),)) for name in BESIDE if (folder / name).is_dir()
    ]
    count = 0
    while waiting:
        below, above = waiting.pop()
        for each in _listed(folder / below):
            name = f"{below}/{each.name}"
            if _HIDDEN.fullmatch(each.name):
                continue
            count += 1
            if count > MOST_FILES:
                raise BadInput(
                    [Problem(str(folder / below), 0, 0, f"more than {MOST_FILES} files", "fewer", "give the inventory a folder of its own")]
                )
            if each.is_dir():
                here = _which(each)
                if here in above:
                    raise BadInput(
                        [
                            Problem(
                                str(each),
                                0,
                                0,
                                "a link to a folder that it lies in",
                                "folders that end",
                                "remove the link, or move it away",
                            )
                        ]
                    )
                waiting.append((name, (*above, here)))
                yield f"{name}/", b""  # a folder without anything to read hides a file of its name
            elif below in BESIDE or each.suffix in {"", *YAML}:
                yield name, untrusted.named(each, document.BIGGEST, "variables")


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise BadInput(
            [Problem(str(folder), 0, 0, f"a folder that cannot be read ({error.strerror})", "what it says of hosts and groups")]
        ) from error


def _which(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


@functools.lru_cache(maxsize=8)
def _asked(path: Path, files: tuple[tuple[str, bytes], ...]) -> Loaded:
    """Ask, once for each content."""
    _clear_up()
    with tempfile.TemporaryDirectory(prefix=_MADE) as made:
        home, copy = Path(made) / "home", Path(made) / "inventory"
        for name, content in files:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                (copy / name).mkdir(exist_ok=True)
            else:
                (copy / name).write_bytes(content)
        home.mkdir()
        (home / "ansible.cfg").touch()
        answer = _run(copy / path.name, home, path)
        told = _mapped(answer, str(copy), str(path.parent))
    if "failures" in told:
        raise BadInput([_failure(each, path) for each in told["failures"]])
    bad = [each for each in told["warnings"] if each.startswith("Skipping")]
    if bad:
        raise BadInput(
            [
                Problem(str(path), 0, 0, f"what Ansible would pass over ({_in_words(each)})", "hosts, vars and children in groups")
                for each in bad
            ]
        )
    return Loaded(
        {name: {key: _value(each, host) for key, each in host["vars"].items()} for name, host in told["hosts"].items()},
        {name: _value({"value": None}, host) for name, host in told["hosts"].items()},
        {
            name: Group(
                tuple(group["hosts"]),
                {key: _value(each, {"file": str(path)}) for key, each in group["vars"].items()},
                _value({"value": None}, group),
            )
            for name, group in told["groups"].items()
        },
        {},
    )


def _clear_up() -> None:
    """Remove the copies of inventories that were left behind by a harness of this user's that was killed while it asked."""
    with suppress(OSError):
        for each in Path(tempfile.gettempdir()).glob(f"{_MADE}*"):
            with suppress(OSError):
                found = each.lstat()
                if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and time.time() - found.st_mtime > OVER_SECONDS:
                    shutil.rmtree(each, ignore_errors=True)


def _run(file: Path, home: Path, path: Path) -> dict[str, Any]:
    """Run the reader. Raises `BadInput` where it takes too much, and `HarnessError` where it cannot run at all."""
    nowhere = str(home / "nothing")
    environ = {
        "PATH": os.defpath,
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        "ANSIBLE_COLLECTIONS_PATH": nowhere,
        **{
            f"ANSIBLE_{kind}_PLUGINS": nowhere
            for kind in ("INVENTORY", "VARS", "FILTER", "LOOKUP", "TEST", "CACHE", "CALLBACK", "CONNECTION")
        },
        "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "ignore",  # it takes what overrides a merged key for one; the reader looks itself
        "ANSIBLE_DEVEL_WARNING": "0",
    }
    try:
        argv = [sys.executable, "-I", "-B", str(READER), str(file)]
        done = run_bounded(argv, seconds=pace.limit(SECONDS), cwd=file.parent, env=environ)
    except subprocess.TimeoutExpired as error:
        raise BadInput([_beyond(path, f"it was not done after {given(pace.limit(SECONDS))}")]) from error
    except SaidTooMuch as error:
        raise BadInput([_beyond(path, TOO_MUCH)]) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        if "ModuleNotFoundError" in said[-1]:
            raise HarnessError(f"inventories are read by ansible-core, which is not there ({said[-1]}); install whalefall again")
        raise BadInput([_beyond(path, f"status {done.returncode}: {said[-1].partition(':')[0][:200]}")])
    answer: dict[str, Any] = untrusted.object_of(done.stdout, "ansible's answer")
    return answer


def _beyond(file: Path, why: str) -> Problem:
    found = f"a file that Ansible cannot read within the time and memory that an inventory may take ({why})"
    return Problem(str(file), 0, 0, found, "an inventory of hosts that are there; look for ranges that stand for millions")


def _mapped(value: Any, copy: str, folder: str) -> Any:
    """Return an answer in which the names of files are those of the originals."""
    if isinstance(value, dict):
        return {
            key: each.replace(copy, folder, 1) if key in {"file", "what"} and isinstance(each, str) else _mapped(each, copy, folder)
            for key, each in value.items()
        }
    return [_mapped(each, copy, folder) for each in value] if isinstance(value, list) else value


def _failure(body: Mapping[str, Any], path: Path) -> Problem:
    file, line = str(body.get("file") or path), int(body.get("line") or 0)
    return Problem(
        file,
        line,
        int(body.get("column") or 1) if line else 0,
        f"what Ansible refuses: {_in_words(body['what'])}",
        "an inventory that Ansible reads",
    )


def _in_words(said: str) -> str:
    """Return what Ansible says without the names of Python's classes, and without the full stop that ends it."""

    def named(match: re.Match[str]) -> str:
        kind = match[1].rpartition(".")[2].removeprefix("_AnsibleTagged").removeprefix("Ansible").lower()
        kinds = {"list": "a list", "tuple": "a list", "str": "text", "unicode": "text", "bool": "true or false", "nonetype": "nothing"}
        return kinds.get(kind, "a number" if kind in {"int", "float"} else "a mapping" if kind in {"dict", "mapping"} else "something else")

    return re.sub(r"[\"']?<class '([\w.]+)'>[\"']?", named, said).rstrip(".")


def _value(body: Mapping[str, Any], near: Mapping[str, Any]) -> Value:
    """Return a value with its place, or with the place of what it belongs to."""
    at = body if body.get("line") else near
    return Value(body.get("value"), str(at.get("file", "")), int(at.get("line") or 0), int(at.get("column") or 1))
