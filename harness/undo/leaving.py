"""What a run left behind, in words, and the command that mends or removes it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.naming import few
from harness.core.plain import command, in_line
from harness.runs.run import cluster_of

if TYPE_CHECKING:
    from harness.plan import Plan

REAPER_LOG = "reaper.log"
NOTED_BYTES = 4096
NOTED_LINES = 6
"""Of the end of a reaper's log, at most."""


def on_hosts_of_others(plan: Plan) -> bool:
    """Whether a plan's nodes are hosts that somebody else runs: they are let go, and never removed."""
    from harness import registry  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.core.protocols import Running  # noqa: PLC0415 - same

    provider = registry.usable().known.providers.get(plan.provider)
    return provider is not None and issubclass(provider, Running)


def left(folder: Path, plan: Plan, *, keep: bool) -> str:
    """Say what a run that was stopped left, by its ledger and the provider's records."""
    from harness.host import state  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    broken = still_broken(folder)
    said = broken or "what was broken is mended"
    between = "; " if broken else ", and "
    there = state.run_folder(cluster_of(folder)).exists()
    if keep and there:  # one that was stopped while it was made is not kept
        return f"{said}{between}{kept(plan, folder)}"
    if on_hosts_of_others(plan):
        return f"{said}; {held}" if (held := still_held(folder)) else f"{said}{between}the hosts were let go"
    if there:
        return f"{said}; the cluster is NOT gone; `whalefall sweep` removes it"
    return f"{said}{between}the cluster is gone"


def kept(plan: Plan, folder: Path) -> str:
    """Say what was kept, how to be rid of it, and what of the run's actions is in it still."""
    done = f"; {still}" if (still := still_done(folder)) else ""
    if on_hosts_of_others(plan):
        return f"the apps and the claims on the hosts were kept; `whalefall sweep --kept` removes them{done}"
    return f"the cluster was kept; `whalefall sweep --kept` removes it{done}"


def still_done(folder: Path) -> str:
    """Say what the actions of a run did that nothing undid, by its history; nothing where they did nothing."""
    from harness.history.deeds import deeds, lasting  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.history.events import History  # noqa: PLC0415 - same

    try:
        history = History.load(folder / "history.jsonl")
    except FileNotFoundError:
        return ""  # nothing was begun
    except (HarnessError, OSError):
        return "what its actions did is not known: its history cannot be read"
    done = lasting(deeds(history), history.end)
    return in_line(f"its actions are not undone: {'; '.join(done)}") if done else ""


def afterwards(folder: Path) -> str:
    """Say what became of a run whose harness was gone: what its reaper noted, and what its ledger does not show as mended."""
    from harness.host import untrusted  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.providers import clusters  # noqa: PLC0415 - same

    silent = f"no {REAPER_LOG} in it says what was done since then"
    try:
        noted = untrusted.tail(folder, REAPER_LOG, NOTED_BYTES).decode(errors="replace").splitlines()
        silent = f"{REAPER_LOG} in it says of nothing that was done since then"
    except (OSError, HarnessError):
        noted = []
    words = [each.removeprefix(f"{folder.name}: ").strip() for each in noted if each.strip() and not each.rstrip().endswith("was gone:")]
    if words:
        said = f"since then, by {REAPER_LOG} in it: {'; '.join(words[-NOTED_LINES:])}"
    else:
        said = f"{silent}; `whalefall sweep` removes what is left of it on the machine that it ran on"
        with contextlib.suppress(HarnessError, OSError):  # what stands in a folder of results may be no run's name
            if clusters.is_kept(cluster_of(folder)):
                said = f"{silent}; its cluster was to be kept, and `whalefall sweep --kept` removes it"
    return in_line("; ".join(filter(None, (said, still_broken(folder)))))


def still_held(folder: Path) -> str:
    """Say that a run has not let its hosts go; nothing where it has."""
    from harness.host import state  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    if not state.run_folder(folder.name).exists():
        return ""
    return f"its hosts are NOT let go, {in_line(folder / REAPER_LOG)} says why; `whalefall sweep` tries again"


def still_broken(folder: Path) -> str:
    """Say which faults of a run its ledger does not show as mended, and how to mend them; nothing where there are none."""
    from harness.undo.ledger import read  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    again = command("whalefall", "heal", folder.name, *([] if folder.parent == Path("results") else ["--results", folder.parent]))
    written = read(folder / "ledger.jsonl")
    names = few([f"{line.name} on {few(line.targets, ' ')}" for line in reversed(written.lines)])
    said = [f"NOT known to be mended: {names}; `{again}` mends it"] if names else []
    said += (
        [f"whether anything {'else ' if names else ''}is still broken is not known: {'; '.join(written.bad)}; `{again}` looks again"]
        if written.bad
        else []
    )
    return in_line("; ".join(said))
