"""What is asked of a host before it may be broken, and the claim that keeps two harnesses from breaking one host at once.

Every host must hold `ALLOWED`, a file that only root could write, put there by whoever runs the host. Empty, it allows everything; lines in it
set limits: ``until: 2027-06-30`` and ``faults: node.kill, net.partition``. What we write on a host is one file, `CLAIM`, made in one step and on
disk before anything is broken, so that it outlives a power-off.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import pace
from harness.core.errors import CommandFailed, HarnessError
from harness.host import surroundings
from harness.host.processes import Process

if TYPE_CHECKING:
    from harness.core.protocols import Node

ALLOWED = "/etc/whalefall-allowed"
"""The file that marks a host as one that may be broken."""
CLAIM = "/var/lib/whalefall-claim"
"""The file that says who breaks a host just now."""
SECONDS = 30.0
"""How long a host may take to answer one question. It takes some 100 ms; the rest is for a slow link."""
TOOLS = {"python3": "python3-minimal", "nft": "nftables", "systemd-run": "systemd", "docker": "docker.io"}
"""Program → Debian package, for what must be on every host."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_OPEN_TO_ALL = 0o022  # writable by group or others
_MODE = re.compile("[0-7]{1,5}")
MOST = 4096
"""Bytes of a mark at most. Behind them could stand a limit, so nothing is left out of one."""
_TAKEN = 9  # exit status of `_TAKE` where somebody else has the claim

# $1 is ALLOWED, $2 CLAIM, $3 MOST, then the tools. Prints a fact a line; changes nothing. A line may end as on any system.
_LOOK = r"""
allowed=$1 claim=$2 most=$3
shift 3
echo "uid $(id -u)"
echo "kernel $(uname -r)"
echo "os $(. /etc/os-release 2>/dev/null; echo "$PRETTY_NAME")"
for tool; do command -v "$tool" >/dev/null 2>&1 || echo "lacks $tool"; done
ip -4 -o addr show 2>/dev/null | while read -r _ device _ address _; do echo "has ${address%/*} $device"; done
if [ -e "$allowed" ]; then
    echo "marked $(stat -L -c '%u %a %F' "$allowed")"
    if [ -f "$allowed" ]; then
        size=$(wc -c <"$allowed") && [ "$size" -le "$most" ] && body=$(cat "$allowed") || echo "cut ${size:-}"
        printf '%s\n' "${body:-}" | tr '\r' '\n' | while read -r line; do printf 'allows %s\n' "$line"; done
    fi
fi
if [ -e "$claim" ]; then
    echo claimed
    head -c 4096 "$claim" | while read -r line; do printf 'claim %s\n' "$line"; done
fi
exit 0
"""

# $1 is CLAIM, $2 its text. A link is made or not, in one step, and what it names is whole; it is on disk when this ends.
_TAKE = r"""
set -eu
fresh="$1.$$"
trap 'rm -f "$fresh"' EXIT
umask 022
printf '%s' "$2" >"$fresh"
sync "$fresh"
if ! ln "$fresh" "$1" 2>/dev/null; then
    [ -e "$1" ] || { ln "$fresh" "$1"; exit 1; }
    cat "$1"
    exit 9
fi
sync "${1%/*}"
"""

# $1 is CLAIM, $2 the line that names the run. Somebody else's claim stays. Left-overs of a claim that was cut short go, too.
_RELEASE = r"""
set -eu
if [ -e "$1" ] && grep -qxF -- "$2" "$1"; then rm -f "$1"; fi
for each in "$1".*; do if [ -f "$each" ] && grep -qxF -- "$2" "$each"; then rm -f "$each"; fi; done
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a host's own mark allows."""

    until: date | None = None  # the last day
    faults: frozenset[str] | None = None  # None: all of them


@dataclass(frozen=True, slots=True)
class Look:
    """What one host said of itself."""

    kernel: str
    os: str
    devices: Mapping[str, str]  # its own IPv4 addresses, each with its device
    limits: Limits
    problems: tuple[str, ...]  # why it may not be broken; each a sentence without the host's name


def look(node: Node, run_id: str | None, today: date) -> Look:
    """Ask a host everything at once. Changes nothing. A claim of `run_id` itself is none. Raises `Unreachable`, or `CommandFailed` without root."""
    result = node.run("/bin/sh", "-c", _LOOK, "whalefall", ALLOWED, CLAIM, str(MOST), *TOOLS, timeout=pace.limit(SECONDS))
    if not result.ok:
        hint = "let the user run sudo without a password there, or log in as root"
        raise CommandFailed(node.name, ("sh", "-c", "…"), result.exit, result.err.decode(errors="replace"), hint)
    return parsed(result.text, run_id, today)


def parsed(text: str, run_id: str | None, today: date) -> Look:
    """Read what a host printed. Pure, but for asking whether a process of this machine lives."""
    facts = [line.partition(" ") for line in text.split("\n")]  # nothing else ends a line: what looks like it may stand in a mark
    told = {word: rest for word, _, rest in facts}
    problems = []
    if told.get("uid") != "0":
        problems.append("commands do not run as root; let the user run sudo without a password, or log in as root")
    lacks = [rest for word, _, rest in facts if word == "lacks"]
    if lacks:
        packages = ", ".join(TOOLS.get(each, each) for each in lacks)
        problems.append(f"it has no {', '.join(lacks)} (Debian: {packages})")
    limits, wrong = _limits([rest for word, _, rest in facts if word == "allows"])
    if "cut" in told:
        size = told["cut"]
        what = f"has {size} bytes; {MOST} at most are read" if size else "cannot be read"
        wrong.append(f"{ALLOWED} {what}, so nobody can tell what it allows")
    problems += _unmarked(told.get("marked"), limits, wrong, today)
    if "claimed" in told:
        claim = _pairs([rest for word, _, rest in facts if word == "claim"])
        if run_id is None or claim.get("run") != run_id:
            problems.append(_taken(claim))
    devices = {address: device for word, _, rest in facts if word == "has" for address, _, device in [rest.partition(" ")]}
    return Look(told.get("kernel", ""), told.get("os", ""), devices, limits, tuple(problems))


def take(node: Node, run_id: str) -> None:
    """Claim a host for a run, in one step, on its disk when this returns. Raises `HarnessError` that says who has it, where somebody does."""
    result = node.run("/bin/sh", "-c", _TAKE, "whalefall", CLAIM, _text(run_id), timeout=pace.limit(SECONDS))
    if result.exit == _TAKEN:
        raise HarnessError(f"{node.name}: {_taken(_pairs(result.text.splitlines()))}")
    if not result.ok:
        raise CommandFailed(node.name, ("writing", CLAIM), result.exit, result.err.decode(errors="replace"), "is its disk full?")


def release(node: Node, run_id: str) -> None:
    """Take a run's claim away; somebody else's stays, and without one it does nothing. Raises `Unreachable` or `CommandFailed`."""
    result = node.run("/bin/sh", "-c", _RELEASE, "whalefall", CLAIM, f"run: {run_id}", timeout=pace.limit(SECONDS))
    if not result.ok:
        raise CommandFailed(
            node.name, ("removing", CLAIM), result.exit, result.err.decode(errors="replace"), f"remove {CLAIM} there by hand"
        )


def _text(run_id: str) -> str:
    mine = Process.of(os.getpid())
    lines = {
        "run": run_id,
        "by": f"{surroundings.user()}@{socket.gethostname()}",
        "process": f"{mine.pid} {mine.started}" if mine else "0 0",
        "boot": _boot(),
        "since": datetime.now(tz=UTC).isoformat(timespec="seconds"),
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def _taken(claim: Mapping[str, str]) -> str:
    """Say who has a host, and what to do where nobody is there any more."""
    who = f"it is claimed by run {claim.get('run', '(unknown)')} of {claim.get('by', 'somebody')} since {claim.get('since', 'some time')}"
    if claim.get("boot") == _boot():
        try:
            pid, started = map(int, claim.get("process", "").split())
        except ValueError:
            pid, started = 0, 0
        if not Process(pid, started).alive:
            dead = f"{who}, whose harness (process {pid} of this machine) is dead"
            return f"{dead}: `whalefall sweep` here releases it (with --kept, if it was to be kept)"
        return f"{who}, which goes on on this machine (process {pid})"
    return f"{who}; if that run is over, `whalefall sweep` where it was started releases it, or remove {CLAIM} on the host"


def _limits(lines: Sequence[str]) -> tuple[Limits, list[str]]:
    """Read a mark's lines. What is not understood may be a limit, so it is a problem."""
    until: date | None = None
    faults: frozenset[str] | None = None
    wrong = []
    seen: set[str] = set()
    for line in lines:
        text = line.partition("#")[0].strip()
        key, colon, value = (each.strip() for each in text.partition(":"))
        if not line.replace("\t", " ").isprintable():
            wrong.append(f"{ALLOWED} says {line!r}, which is not plain text")
            continue
        if not text:
            continue
        if colon and key in seen:
            wrong.append(f"{ALLOWED} says {key!r} twice; expected it once")
            continue
        seen.add(key)
        if colon and key == "until":
            try:
                until = date.fromisoformat(value)
            except ValueError:
                wrong.append(f"{ALLOWED} says until {value!r}, which is no date such as 2027-06-30")
        elif colon and key == "faults":
            faults = frozenset(value.replace(",", " ").split())
        else:
            wrong.append(f"{ALLOWED} says {text!r}; only `until: DATE` and `faults: NAME, NAME` are understood")
    return Limits(until, faults), wrong


def _unmarked(marked: str | None, limits: Limits, wrong: Sequence[str], today: date) -> list[str]:
    if marked is None:
        return [f"it is not marked as one that may be broken; whoever runs it may do so: touch {ALLOWED}"]
    owner, mode, kind = (*marked.split(" ", 2), "", "", "")[:3]
    found = list(wrong)
    if not kind.startswith("regular"):
        found.append(f"{ALLOWED} is a {kind or 'thing that cannot be looked at'}, not a file")
    elif owner != "0" or not _MODE.fullmatch(mode) or int(mode, 8) & _OPEN_TO_ALL:
        found.append(f"{ALLOWED} (owner {owner}, mode {mode}) could have been written by others than root; chown root and chmod 644 it")
    if limits.until is not None and limits.until < today:
        found.append(f"{ALLOWED} allowed it until {limits.until}, which is over")
    return found


def _pairs(lines: Sequence[str]) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
