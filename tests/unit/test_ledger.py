"""The ledger: on disk before a fault, enough to mend it by, and honest about what is open."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import resource
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.core.errors import FaultFailed, HarnessError
from harness.faults.partition import Partition
from harness.faults.power import NodeKill
from harness.faults.slow_disk import Slow
from harness.testing.fake_clock import FakeClock
from harness.undo.ledger import MOST_OPEN, Ledger, all_settled, read, settle, unsettled


def _ledger(path: Path) -> Ledger:
    return Ledger(path, "run-1", "nspawn", "fleet", FakeClock(wall=5.0))


def test_an_open_line_holds_all_that_a_heal_needs(tmp_path: Path) -> None:
    """Fault, parameters, targets, provider and mode come back as they were."""
    ledger = _ledger(tmp_path / "ledger.jsonl")
    ledger.open(1, Partition(shape="ring"), ("n1", "n3"))
    (line,) = unsettled(tmp_path / "ledger.jsonl")
    assert (line.run_id, line.provider, line.mode, line.number) == ("run-1", "nspawn", "fleet", 1)
    assert line.targets == ("n1", "n3")
    assert line.fault == Partition(shape="ring")


@dataclass(frozen=True)
class Odd:
    """A fault of a plug-in, with a parameter that may be any number."""

    name: ClassVar[str] = "test.odd"
    seconds: float = 1.0


@pytest.mark.parametrize("fault", [Odd(math.inf), Odd(-math.inf), Odd(math.nan), Slow(fsync=math.inf)], ids=repr)
def test_what_nobody_could_read_again_is_not_made(tmp_path: Path, fault: Any) -> None:
    """A test in Python may say anything: whoever mends it after us goes by the line."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    with pytest.raises(HarnessError, match=r" on n1 is not made: .* cannot be written down"):
        ledger.open(1, fault, ("n1",))
    assert path.read_bytes() == b""
    assert all_settled(path)


def test_what_is_settled_is_certain(tmp_path: Path) -> None:
    """Not where something is open, where a line cannot be read, and where there is no ledger any more."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    assert all_settled(path)
    ledger.open(1, NodeKill(), ("n1",))
    assert not all_settled(path)
    ledger.close(1)
    assert all_settled(path)
    path.write_bytes(b"{\n" + path.read_bytes())
    assert (unsettled(path), all_settled(path)) == ([], False)
    path.unlink()
    assert (unsettled(path), all_settled(path)) == ([], False)


def test_a_closed_line_is_no_longer_open(tmp_path: Path) -> None:
    """Only what was not closed is left, the newest first."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    ledger.open(1, NodeKill(), ("n1",))
    ledger.open(2, Slow(fsync=2.0), ("n2",))
    ledger.open(3, NodeKill(), ("n3",))
    ledger.close(2)
    assert [line.number for line in unsettled(path)] == [3, 1]


def test_another_process_can_close_a_line(tmp_path: Path) -> None:
    """The reaper settles what the conductor left open."""
    path = tmp_path / "ledger.jsonl"
    _ledger(path).open(1, NodeKill(), ("n1",))
    settle(path, [1], "reaper", FakeClock())
    assert unsettled(path) == []
    assert json.loads(path.read_bytes().splitlines()[-1])["by"] == "reaper"


def test_a_torn_last_line_was_never_acted_on(tmp_path: Path) -> None:
    """A harness that dies while it writes a line has not yet made the fault."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    ledger.open(1, NodeKill(), ("n1",))
    with path.open("ab") as file:
        file.write(b'{"state": "open", "number": 2, "na')
    assert [line.number for line in unsettled(path)] == [1]


def test_no_ledger_means_nothing_was_broken(tmp_path: Path) -> None:
    """A run that died before its ledger was made has nothing to mend."""
    assert unsettled(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(("name", "parameters"), [("node.vanish", {}), ("disk.slow", {"depth": 3}), ("net.partition", {"shape": "star"})])
def test_a_line_of_another_version_is_an_error_in_words(tmp_path: Path, name: str, parameters: dict[str, object]) -> None:
    """A fault or a parameter that this version does not know cannot be healed by it, and it says so."""
    path = tmp_path / "ledger.jsonl"
    _ledger(path).open(1, NodeKill(), ("n1",))
    body = json.loads(path.read_bytes())
    path.write_bytes(json.dumps({**body, "name": name, "parameters": parameters}).encode() + b"\n")
    (line,) = unsettled(path)
    with pytest.raises(FaultFailed, match=name):
        _ = line.fault


def test_a_fault_is_attended_while_its_harness_lives(tmp_path: Path) -> None:
    """`whalefall heal` must not mend what a live run has broken on purpose, and must mend what a dead one has."""
    path = tmp_path / "ledger.jsonl"
    _ledger(path).open(1, NodeKill(), ("n1",))
    (line,) = unsettled(path)
    assert line.attended
    body = json.loads(path.read_bytes())
    path.write_bytes(json.dumps({**body, "conductor": [body["conductor"][0], 1]}).encode() + b"\n")
    (line,) = unsettled(path)
    assert not line.attended


# -- what a disk does to it


class _Room:
    """Lets files of this process grow only so far: a write that goes beyond it is cut short by the kernel, as on a disk that fills up."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def __enter__(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.mark.parametrize("room", [0, 1, 40, 150])
def test_a_line_that_does_not_fit_whole_is_no_line(tmp_path: Path, room: int) -> None:
    """The kernel writes a part and says so only by a number. Then the fault must not be made, and the ledger is as it was."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    ledger.open(1, NodeKill(), ("n1",))
    before = path.read_bytes()
    with _Room(len(before) + room), pytest.raises(HarnessError, match=r"node\.kill on n2 is not made: .* File too large; raise the limit"):
        ledger.open(2, NodeKill(), ("n2",))
    assert path.read_bytes() == before
    ledger.open(3, NodeKill(), ("n3",))
    assert ([line.number for line in read(path).lines], read(path).bad) == ([3, 1], ())


def test_a_part_that_is_taken_is_followed_by_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may take a line in several parts."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, raw: write(file, bytes(raw[:7])))
    _ledger(tmp_path / "ledger.jsonl").open(1, NodeKill(), ("n1",))
    assert [line.number for line in unsettled(tmp_path / "ledger.jsonl")] == [1]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_line_that_is_not_on_disk_is_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A disk may take a line and refuse to keep it."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)

    def refuse(_file: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(HarnessError, match=f"is not made: .*{os.strerror(number)}"):
        ledger.open(1, NodeKill(), ("n1",))
    assert path.read_bytes() == b""


def test_a_line_is_written_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heal in another process may write at the same moment: while a line is written, nobody else has the lock."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    write, kept_out = os.write, []

    def watched(file: int, raw: bytes) -> int:
        with path.open("rb") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                kept_out.append(True)
            else:
                kept_out.append(False)
        return write(file, raw)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", watched)
        ledger.open(1, NodeKill(), ("n1",))
        settle(path, [1], "heal", FakeClock())
    assert kept_out == [True, True]


def test_a_ledgers_name_is_on_disk_before_anything_is_written_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose folder was not synced may be gone after a power cut, with every line that was."""
    fsync, synced = os.fsync, []

    def noted(file: int) -> None:
        synced.append(os.fstat(file))
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    _ledger(tmp_path / "ledger.jsonl")
    assert any(stat.S_ISDIR(each.st_mode) and os.path.samestat(each, tmp_path.stat()) for each in synced)


def test_a_mended_fault_that_cannot_be_noted_says_both(tmp_path: Path) -> None:
    """It is an error, and it is not the heal's."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    ledger.open(1, NodeKill(), ("n1",))
    with _Room(path.stat().st_size), pytest.raises(HarnessError, match="fault 1 is mended, but that cannot be written"):
        ledger.close(1)
    assert [line.number for line in unsettled(path)] == [1]


def test_a_ledger_that_was_removed_is_not_made_anew(tmp_path: Path) -> None:
    """Somebody has removed the run's folder: whoever mends after us would not find a new one."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    path.unlink()
    with pytest.raises(HarnessError, match=r"is not made: .*was the run's folder removed while it ran"):
        ledger.open(1, NodeKill(), ("n1",))
    assert not path.exists()


def test_a_line_after_a_torn_one_is_a_line(tmp_path: Path) -> None:
    """A harness died in the middle of one; what another process writes then stands by itself."""
    path = tmp_path / "ledger.jsonl"
    _ledger(path).open(1, NodeKill(), ("n1",))
    with path.open("ab") as file:
        file.write(b'{"state": "op')
    settle(path, [1], "reaper", FakeClock())
    assert unsettled(path) == []


# -- lines that cannot be read

BAD = {
    "empty": b"",
    "torn": b'{"state": "open", "number": 2, "na',
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "nothing": b"null",
    "a number": b"7",
    "not a number": b"NaN",
    "too deep": b"[" * 100_000,
    "no state": b'{"number": 1}',
    "another state": b'{"state": "ajar", "number": 1}',
    "a list for a state": b'{"state": ["open"], "number": 1}',
    "closes nothing": b'{"state": "closed"}',
    "closes a list": b'{"state": "closed", "number": [1]}',
    "zeros": b"\0" * 512,
}
TYPES: dict[str, list[object]] = {
    "number": ["1", None, 1.5, True],
    "targets": ["n1", [1], None, {"n1": 1}],
    "conductor": [7, [1], ["1", "2"], [1, 2, 3], None],
    "parameters": [[], None, "x"],
    "wall": ["now", None],
    "run_id": [1, None],
    "provider": [["nspawn"], None],
    "mode": [{}],
    "name": [["node.kill"], None],
}

HOSTILE = {
    "a number of 400 digits": "1" + "0" * 400,
    "a number of 5000 digits": "9" * 5000,
    "a number that is none": "NaN",
    "a number without an end": "-Infinity",
    "a power that is too large": "1e999",
    "a deep list": "[" * 200 + "]" * 200,
    "a deep object": '{"a":' * 200 + "1" + "}" * 200,
    "half a character": '"\\ud800"',
    "a list with a large number": f"[{'9' * 400}]",
    "an object with a large number": f'{{"seconds": {"9" * 400}}}',
    "true": "true",
}
"""As JSON, each for every field: what Python reads and cannot hold, or holds and cannot use."""


def _spoiled() -> dict[str, bytes]:
    good: dict[str, object] = {
        "run_id": "r",
        "provider": "nspawn",
        "mode": "fleet",
        "number": 9,
        "name": "node.kill",
        "parameters": {},
        "targets": ["n1"],
    }
    good |= {"state": "open", "wall": 1.0, "conductor": [1, 1]}
    cases = {f"{name} is {value!r}": {**good, name: value} for name, values in TYPES.items() for value in values}
    cases |= {f"no {name}": {key: each for key, each in good.items() if key != name} for name in TYPES}
    hostile = {
        f"{name} is {what}": json.dumps({**good, name: "HERE"}).replace('"HERE"', raw).encode()
        for name in (*TYPES, "state")
        for what, raw in HOSTILE.items()
    }
    return BAD | hostile | {name: json.dumps(body).encode() for name, body in cases.items()}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_line_hides_no_other(tmp_path: Path, place: int) -> None:
    """Wherever it stands: it is told with its place, and the others are read."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    ledger.open(1, NodeKill(), ("n1",))
    ledger.open(2, NodeKill(), ("n2",))
    good = path.read_bytes().splitlines()
    for case, bad in _spoiled().items():
        path.write_bytes(b"\n".join([*good[:place], bad, *good[place:]]) + b"\n")
        found = read(path)
        assert [line.number for line in found.lines] == [2, 1], case
        assert len(found.bad) == 1, (case, found.bad)
        assert found.bad[0].startswith(f"{path}:{place + 1} is no line of a ledger ("), (case, found.bad)
        assert len(found.bad[0]) < 600 + len(str(path)), case


def test_a_ledger_of_nothing_but_bad_lines_is_told_in_few(tmp_path: Path) -> None:
    """A sentence for each of a million would fill memory and hide what else there is to say."""
    path = tmp_path / "ledger.jsonl"
    _ledger(path).open(1, NodeKill(), ("n1",))
    with path.open("ab") as file:
        file.write(b"\n" * 10_000)
    found = read(path)
    assert [line.number for line in found.lines] == [1]
    assert len(found.bad) == 20
    assert "20 lines and more are no lines of a ledger" in found.bad[-1]


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    os.truncate(path, 5 << 30)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [_fifo, _link, _device, _huge, _folder])
def test_a_ledger_that_is_none_is_told_and_not_written_to(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Neither waited for, nor read to no end, nor written through. It is never taken for one in which nothing is open."""
    path = tmp_path / "ledger.jsonl"
    ledger = _ledger(path)
    spoil(path)
    found = read(path)
    assert (found.lines, len(found.bad)) == ((), 1)
    if spoil is not _huge:
        with pytest.raises(HarnessError, match="is not made"):
            ledger.open(1, NodeKill(), ("n1",))


def test_no_run_has_thousands_of_open_faults(tmp_path: Path) -> None:
    """Somebody's ledger with so many keeps nobody waiting: the newest are looked at, and that there are more is told."""
    path = tmp_path / "ledger.jsonl"
    _ledger(path).open(1, NodeKill(), ("n1",))
    body = json.loads(path.read_bytes())
    many = [json.dumps({**body, "number": number}) for number in range(1, 5001)]
    path.write_text("\n".join(many[:MOST_OPEN]) + "\n")
    found = read(path)
    assert (len(found.lines), found.bad) == (MOST_OPEN, ())
    path.write_text("\n".join(many) + "\n")
    found = read(path)
    assert [line.number for line in found.lines] == [*range(5000, 5000 - MOST_OPEN, -1)]
    assert found.bad == (
        f"{path}: 5000 faults are open, which no run has; the newest 200 are looked at, and the others may be broken still",
    )
    assert not found.settled
    closed = "".join(json.dumps({"state": "closed", "number": number}) + "\n" for number in range(1, 5001))
    path.write_text("\n".join(many) + "\n" + closed)
    assert read(path).settled
