"""A run's folder as it begins: its name, the plan, and what the run stands on."""

from __future__ import annotations

import json
import os
import platform
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness import __version__
from harness.core.errors import HarnessError
from harness.host import untrusted
from harness.nodes.together import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.core.protocols import Node
    from harness.core.values import Json
    from harness.history.recorder import Recorder
    from harness.plan import Plan


LONGEST_ID = 50
"""Characters of a run id: folders, namespaces and sockets are named by it."""


def run_id_of(plan: Plan) -> str:
    """Return a new run id: scenario, mode, seed, time, and something that tells two runs of one second apart."""
    stamp = datetime.now(tz=UTC).strftime("%m%d-%H%M%S")
    # The seed is whole, or it would be another one's: where it is long, the scenario's name is what is cut.
    rest = f"-{plan.mode[:8]}-s{plan.seed}-{stamp}-{secrets.token_hex(3)}"
    return f"{plan.scenario[: min(20, LONGEST_ID - len(rest))].strip('-')}{rest}".lower()


def save_plan(plan: Plan, folder: Path) -> Path:
    """Make a run's folder with its plan in it, and let ``latest`` point to it. Raises `HarnessError` where that cannot be written."""
    try:
        untrusted.make(folder)
        write_plan(plan, folder)
        _point(folder.parent / "latest", folder)
    except OSError as error:
        raise HarnessError(f"cannot write results to {folder}: {error}; nothing was created; choose another folder for results") from error
    return folder


def write_plan(plan: Plan, folder: Path) -> None:
    """Write the plan with the run's id, in place of what was written of it before. The history names the same run."""
    _write(folder, "plan.json", {"run": folder.name, **plan.to_json()})


def _point(link: Path, folder: Path) -> None:
    """Let ``latest`` point to a run, in one step, so that runs side by side do not fall over each other."""
    fresh = link.with_name(f".latest-{folder.name}")
    fresh.symlink_to(folder.name)
    fresh.replace(link)


def stands_on(plan: Plan, recorder: Recorder, facts: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a run stands on: this machine, what was chosen, and the facts that its provider gave."""
    return {
        "whalefall": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),  # of the harness's machine; the nodes' own are in kernels
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "provider": plan.provider,
        "mode": plan.mode,
        **({"distribution": plan.distribution} if plan.distribution else {}),
        "profile": plan.profile,
        "started": datetime.fromtimestamp(recorder.wall_origin, tz=UTC).isoformat(timespec="microseconds"),  # the run's second 0
        **facts,
    }


def kernels(nodes: Sequence[Node]) -> dict[str, Json]:
    """Return each node's kernel by its own word; a node that gives none is left out."""
    found: dict[str, Json] = {}
    for node, result in zip(nodes, together(nodes, lambda node: node.run("uname", "-r"), "asking for the kernel"), strict=True):
        if result.ok:
            found[node.name] = result.text.strip()
    return found


def write_environment(folder: Path, body: Mapping[str, Json]) -> None:
    """Write what a run stands on, in place of what was written of it before."""
    _write(folder, "environment.json", body)


def _write(folder: Path, name: str, body: Mapping[str, Json]) -> None:
    """Write a JSON file whole, or leave what was there.

    A path may hold bytes that are no UTF-8, which Python keeps as lone surrogates: they are spelled out as JSON does it, and read back as they were.
    """
    text = json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    untrusted.write(folder, name, text.encode(errors="backslashreplace"))
