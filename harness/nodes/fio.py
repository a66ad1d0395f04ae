"""fio on a machine: how long durable writes take on the disk under one of its folders.

Two jobs, one after the other, each with an end in bytes and in seconds. The first is the one that etcd's documents point to for its log: small writes
(2300 bytes) at the end of a file, each followed by an fdatasync. The second writes 4 KiB anywhere in a file of the same size, each write durable.
Both are in a folder of their own, which is removed whatever happens, also where all of it is killed; nothing is written where the disk has not twice
that room.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from harness.core import pace
from harness.core.errors import CommandFailed, HarnessError, Unreachable
from harness.core.syncs import DiskFigures, SyncTimes
from harness.host import untrusted

if TYPE_CHECKING:
    from harness.core.protocols import Node

MEGABYTES: Final = 22
"""MB that each job writes at most, as etcd's documents have it: some ten thousand writes."""
SECONDS: Final = 5.0
"""How long each job goes on at most, where nobody says it."""
LONGEST: Final = 60.0
"""How long a job may be asked to go on."""
FOLDER: Final = "/data"
"""Where nodes keep all that they write for good."""
_SPARE: Final = 60.0
"""Seconds that the last write of each job may take: fio ends a job only when it is back."""
_NO_FIO, _NO_FOLDER, _NO_ROOM = 90, 91, 92
_WHY: Final = {
    _NO_FIO: "fio is not there; Debian and Ubuntu have it as the package fio",
    _NO_FOLDER: "there is no such folder",
    _NO_ROOM: f"the disk has less than {2 * MEGABYTES} MB of room",
}
_NANO: Final = 1e9

# $1 is the folder, $2 the MB and $3 the seconds of each job, $4 the seconds after which all of it is ended. Whoever is killed clears nothing up: a
# shell in a session of its own waits for the end of all others (fio has its pipe, too), says what fio said, and removes the folder. fio's jobs are
# threads: as processes they would make sessions of their own.
_SCRIPT: Final = rf"""
command -v fio >/dev/null || exit {_NO_FIO}
[ -d "$1" ] || exit {_NO_FOLDER}
[ "$(($(stat -f -c '%a * %S' -- "$1") >> 20))" -ge "$((2 * $2))" ] || exit {_NO_ROOM}
find "$1" -maxdepth 1 -name '.whalefall-fio.*' -mmin +60 -exec rm -rf {{}} + 2>/dev/null  # of one that was killed
umask 077
where=$(mktemp -d -- "$1/.whalefall-fio.XXXXXX") || exit
mkfifo "$where/ready" || {{ rmdir -- "$where"; exit 1; }}  # not every file system has such a thing
{{
    read -r go <"$where/ready"  # until somebody is there to clear up
    timeout --kill-after=5 "$4" fio --output-format=json --output="$where/said" --directory="$where" --thread --ioengine=sync --size="$2m" \
        --runtime="$3" --name=appended --rw=write --bs=2300 --fdatasync=1 \
        --name=scattered --stonewall --rw=randwrite --bs=4k --sync=1 3>&1 >&2 </dev/null
    echo $?
}} | setsid /bin/sh -c '
    echo go >"$1/ready"
    read -r status
    [ "$status" != 0 ] || cat "$1/said" || status=1
    rm -rf -- "$1"
    exit "${{status:-143}}"' sh "$where"
"""


def longest(seconds: float) -> float:
    """Return how long a measurement with jobs of so many seconds may take in all."""
    return 2 * (seconds + _SPARE)


def measure(node: Node, folder: str = FOLDER, seconds: float = SECONDS) -> DiskFigures:
    """Measure the disk under a folder of a machine. Raises `Unreachable`, and `HarnessError` where it cannot be measured, with the reason."""
    whole = longest(seconds)
    argv = ("/bin/sh", "-c", _SCRIPT, "sh", folder, str(MEGABYTES), str(math.ceil(seconds)), str(math.ceil(whole)))
    done = node.run(*argv, timeout=whole + pace.limit(10.0))
    if done.exit in _WHY:
        raise HarnessError(f"{node.name}: {folder} cannot be measured: {_WHY[done.exit]}")
    if not done.ok:
        raise CommandFailed(node.name, ("fio", "in", folder), done.exit, done.err.decode(errors="replace"))
    try:
        return figures(done.out)
    except ValueError as error:
        raise Unreachable(node.name, f"fio in {folder}", str(error)) from error


def figures(said: bytes) -> DiskFigures:
    """Read what fio says in JSON. Raises `ValueError` for what says nothing of both jobs."""
    found = untrusted.loads(said)
    jobs = found.get("jobs") if isinstance(found, dict) else None
    by_name = {str(each.get("jobname")): each for each in jobs if isinstance(each, dict)} if isinstance(jobs, list) else {}
    if not {"appended", "scattered"} <= by_name.keys():
        raise ValueError(f"an answer of fio without its two jobs: {said[:200]!r}")
    return DiskFigures(_times(_at(by_name["appended"], "sync", "lat_ns")), _times(_at(by_name["scattered"], "write", "clat_ns")))


def _at(part: Any, *path: str) -> Any:
    for each in path:
        part = part.get(each) if isinstance(part, dict) else None
    return part


def _times(told: Any) -> SyncTimes:
    """Read one of fio's tables of latencies, in nanoseconds. Raises `ValueError` for one without a write."""
    count, mean, most = _at(told, "N"), _at(told, "mean"), _at(told, "max")
    p99 = _at(told, "percentile", "99.000000")
    numbers = [each for each in (count, mean, most, p99) if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) < 4 or not all(0 < each < math.inf for each in numbers):  # noqa: PLR2004 - all of them
        raise ValueError(f"a table of fio's without a write: {str(told)[:200]!r}")
    return SyncTimes(int(numbers[0]), numbers[1] / _NANO, numbers[3] / _NANO, numbers[2] / _NANO)
