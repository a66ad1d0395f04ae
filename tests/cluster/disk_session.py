"""Run as a program of its own, in mount and pid namespaces of its own: a disk of each kind of trouble, and what was seen as a line of JSON.

``python disk_session.py FOLDER latency|heal|kill|terminate``. Everything is mounted under FOLDER. Cleans up nothing: the namespaces do.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.clock import SystemClock, wait_until
from harness.core.values import Latency
from harness.disk import client
from harness.host.processes import leave

if TYPE_CHECKING:
    from collections.abc import Callable

FOREVER = 600.0


class Disk:
    """A mounted ext4 on a loop device on a slow disk."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "disk.sock"
        self.data = folder / "data"
        for each in ("backing", "fuse", "data"):
            (folder / each).mkdir()
        image = folder / "backing" / "disk.img"
        with image.open("wb") as file:
            file.truncate(256 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", image], check=True)
        ready, tell = os.pipe()
        argv: list[str | Path] = [
            sys.executable,
            "-m",
            "harness.disk",
            folder / "backing",
            folder / "fuse",
            self.socket,
            "--ready-fd",
            str(tell),
        ]
        self.daemon = subprocess.Popen(argv, pass_fds=[tell])
        os.close(tell)
        if os.read(ready, 1) != b"r":
            raise SystemExit("the disk's daemon ended before it was ready")
        subprocess.run(["mount", "-o", "loop,noatime", folder / "fuse" / "disk.img", self.data], check=True)

    def fsync(self, name: str) -> tuple[float, int]:
        """Write and flush one block; return the seconds that the flush took, and its errno or 0."""
        handle = os.open(self.data / name, os.O_RDWR | os.O_CREAT)
        began = time.monotonic()
        try:
            os.write(handle, b"w" * 4096)
            os.fdatasync(handle)
        except OSError as e:
            return time.monotonic() - began, e.errno or -1
        else:
            return time.monotonic() - began, 0
        finally:
            os.close(handle)

    def stalled(self, then: Callable[[], None]) -> tuple[float, int]:
        """Flush on a disk that takes forever; when the flush has reached it do something; return as `fsync`, or (-1, -1) when it hangs."""
        client.set_latency(self.socket, Latency(fsync=FOREVER))
        before = client.get_operations(self.socket)["fsync"]
        answers: list[tuple[float, int]] = []
        thread = threading.Thread(target=lambda: answers.append(self.fsync("stalled")), daemon=True)
        thread.start()
        wait_until(
            lambda: client.get_operations(self.socket)["fsync"] > before,
            awaited="a flush to reach the disk",
            seconds=20,
            clock=SystemClock(),
        )
        then()
        thread.join(30)
        return answers[0] if answers else (-1.0, -1)


def latency(disk: Disk) -> dict[str, object]:
    """Flush three times at 200 ms, and once healed."""
    disk.fsync("f")
    client.set_latency(disk.socket, Latency(fsync=0.2))
    slow = [disk.fsync("f")[0] for _ in range(3)]
    asked = client.get_latency(disk.socket)
    client.set_latency(disk.socket, Latency())
    return {"slow": slow, "asked": asked.fsync, "healed": disk.fsync("f")[0]}


def heal(disk: Disk) -> dict[str, object]:
    """Heal a disk in the middle of a stall."""
    seconds, number = disk.stalled(lambda: client.set_latency(disk.socket, Latency()))
    return {"seconds": seconds, "errno": number}


def end(disk: Disk, number: signal.Signals) -> dict[str, object]:
    """End the daemon in the middle of a stall."""
    seconds, code = disk.stalled(lambda: disk.daemon.send_signal(number))
    status = disk.daemon.wait(20)
    later = disk.fsync("stalled")[1] if disk.data.joinpath("stalled").exists() else errno.EIO
    return {"seconds": seconds, "errno": code, "status": status, "later": later, "socket": disk.socket.exists()}


def main() -> None:
    """Do what the arguments ask."""
    disk = Disk(Path(sys.argv[1]))
    found = {
        "latency": lambda: latency(disk),
        "heal": lambda: heal(disk),
        "kill": lambda: end(disk, signal.SIGKILL),
        "terminate": lambda: end(disk, signal.SIGTERM),
    }[sys.argv[2]]()
    sys.stdout.write(json.dumps(found) + "\n")
    leave(disk.daemon)  # where it still runs, the end of the namespaces is its end


if __name__ == "__main__":
    main()
