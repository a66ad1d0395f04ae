"""Going into a network namespace by the file that holds it, for every provider whose nodes live in one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyroute2 import netns

from harness.core.errors import HarnessError


@contextmanager
def entered(path: Path, run_id: str) -> Iterator[None]:
    """Put the calling thread into a cluster's namespace: its new sockets, and those of threads that it starts, reach the nodes.

    May be entered twice. Raises `HarnessError` where the namespace is gone, or cannot be entered.
    """
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise HarnessError(f"the network of {run_id} is not there: {error}; was the cluster destroyed?") from error
        try:
            netns.setns(there)
        except OSError as error:
            raise HarnessError(f"the network of {run_id} cannot be entered: {error}; it is half made, or this is not root") from error
        finally:
            os.close(there)
        try:
            yield
        finally:
            netns.setns(back)
    finally:
        os.close(back)
