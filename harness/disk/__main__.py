"""Run one slow disk in the foreground: see `harness.disk.daemon.run`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.disk import daemon
from harness.host import surroundings

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m harness.disk", description="a disk image that can be slowed while it is in use")
    parser.add_argument("backing", type=Path, help="folder that holds disk.img")
    parser.add_argument("mountpoint", type=Path, help="empty folder at which a slowed disk.img appears")
    parser.add_argument("socket", type=Path, help="where the control socket is made")
    parser.add_argument("--ready-fd", type=int, default=None, help="open file that one byte is written to when all is ready")
    surroundings.let_nobody_write()
    surroundings.keep_outside()
    asked = parser.parse_args()
    sys.exit(daemon.run(asked.backing, asked.mountpoint, asked.socket, asked.ready_fd))
