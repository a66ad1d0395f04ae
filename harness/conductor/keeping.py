"""What nodes and machines said, kept beside a run: where its verdict asks for it, and where it failed; what a mode's programs said, always."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import pace, stops
from harness.core.errors import HarnessError, Unsupported
from harness.core.protocols import Consoles, LogFiles, Outspoken
from harness.core.stops import CutOff, Stopped
from harness.host import untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.core.clock import Clock
    from harness.core.protocols import Cluster, Node

KEEP_SECONDS = 20.0
"""How long a run that failed goes on asking its nodes what they said."""


def save_logs(cluster: Cluster, folder: Path) -> None:
    """Keep the nodes' logs under ``logs/<node>/``. A node that cannot be asked is noted; the others are kept all the same.

    Where one could not be asked, what the machines said on their consoles is kept, too: its kernel may have said there why.
    """
    mode = cluster.mode
    if not isinstance(mode, LogFiles):
        return
    logs: LogFiles = mode
    silent: list[str] = []

    def take(node: Node) -> None:
        here = f"logs/{node.name}"
        try:
            for name, content in logs.logs(node).items():
                untrusted.write(folder, f"{here}/{Path(name).name}", content)
        except HarnessError as error:
            silent.append(node.name)
            untrusted.write(folder, f"{here}/unreachable.txt", f"{error}\n".encode(errors="backslashreplace"))

    for saved in stops.spread(cluster.nodes, take, "logs"):
        saved.result()
    if silent:
        _keep_consoles(cluster, folder)


def _keep_consoles(cluster: Cluster, folder: Path) -> None:
    """Keep what the machines said last, where their provider has it and it is not kept yet. Trouble with that ends nothing."""
    provider = cluster.provider
    if isinstance(provider, Consoles) and not (folder / "consoles").exists():
        with contextlib.suppress(HarnessError, OSError):
            provider.keep_consoles(cluster.run_id, folder / "consoles")


@contextlib.contextmanager
def kept_if_it_fails(cluster: Cluster, folder: Path, clock: Clock) -> Iterator[None]:
    """Keep logs and consoles of whatever can be reached where the block fails, for `KEEP_SECONDS` at most, and raise what it raised.

    Nothing is kept where the run was asked to stop, where a fault cannot be made here at all, and where logs were kept already; but for what the
    mode's own programs said, which is kept however the block ends.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, Stopped | Unsupported) and not (folder / "logs").exists():
            _keep(cluster, folder, clock)
        raise
    finally:
        save_said(cluster, folder)


def save_said(cluster: Cluster, folder: Path) -> None:
    """Keep what a mode's own programs said on this machine, beside the history. Trouble with that ends nothing."""
    if isinstance(cluster.mode, Outspoken):
        with contextlib.suppress(HarnessError, OSError):
            for name, content in cluster.mode.said(cluster).items():
                untrusted.write(folder, Path(name).name, content)


def _keep(cluster: Cluster, folder: Path, clock: Clock) -> None:
    """Keep what can be had. Whatever goes wrong with it, the failure itself matters more."""
    end = clock.now() + pace.limit(KEEP_SECONDS)
    _keep_consoles(cluster, folder)
    # What ended the run would end this, too: only its own time does.
    over = CutOff("the logs took too long")
    with stops.deaf(), stops.listening(lambda: over if clock.now() >= end else None), contextlib.suppress(HarnessError, OSError):
        save_logs(cluster, folder)
