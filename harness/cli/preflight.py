"""Before a run: what a durable write takes on the disks that its nodes' logs would be on, and what that means for the timers it would use."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import Overrides
from harness.cli.planning import plans, tell_left_out
from harness.cli.running import INVENTORY, PROVIDER, use_inventory
from harness.cli.telling import say
from harness.core.errors import BadInput, HarnessError, Problem
from harness.core.figures import given, quick
from harness.core.plain import in_line, json_text
from harness.core.values import HERE, Verdict
from harness.runs.run import EXIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.protocols import Mode, Node
    from harness.core.syncs import DiskFigures
    from harness.core.values import Committed, Json

HOSTS_FOLDER = "/var/lib"
"""Where hosts keep what etcd, ZooKeeper and Docker write, unless somebody moved it."""
LONGEST = 60.0
"""Seconds of each job at most."""


@dataclass(frozen=True, slots=True)
class MeasuredDisk:
    """One disk: what was measured of it, or why it could not be."""

    node: str
    folder: str
    figures: DiskFigures | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Upon:
    """A mode with its timers, whose log would be on these disks."""

    mode: str
    profile: str
    committed: Committed


def _number(ctx: click.Context, param: click.Parameter, seconds: float) -> float:
    """Return a number as it is; bad usage where it is none: click takes NaN for one that lies in every range."""
    if math.isnan(seconds):
        raise click.BadParameter("found nan, expected a number", ctx, param)
    return seconds


@click.command("preflight", short_help="What a durable write takes on a disk, and which elections to expect.")
@click.argument("scenario", metavar="[SCENARIO]", type=click.Path(path_type=Path), required=False)
@click.option(
    "--mode", metavar="NAME", help="How the cluster is orchestrated, in place of what the scenario says; without one, every mode."
)
@click.option("--profile", metavar="NAME", help="Timers, in place of what the scenario says.")
@click.option(
    "--inventory",
    metavar="FILE[:GROUP]",
    expose_value=False,
    callback=lambda ctx, _, value: use_inventory(ctx, value),
    help=f"Measure these hosts, and not this machine. Their owner must allow `disk.measure`.  [default: ${INVENTORY}, for a scenario of its]",
)
@click.option(
    "--folder", metavar="DIR", help=f"Folder on the disk to be measured.  [default: where nodes' disks are, or {HOSTS_FOLDER} of hosts]"
)
@click.option(
    "--seconds",
    type=click.FloatRange(1.0, LONGEST),
    default=5.0,
    show_default=True,
    callback=_number,
    help="How long each of two jobs goes on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def preflight_command(
    ctx: click.Context, scenario: Path | None, mode: str | None, profile: str | None, folder: str | None, seconds: float, *, as_json: bool
) -> None:
    """Measure with fio how long durable writes take, and say what etcd, ZooKeeper or raft in dockerd make of it.

    Two jobs, which end after 22 MB or some seconds: small writes with an fdatasync each, as etcd's documents measure a disk, and random ones.
    Measured is this machine, where nodes' disks are files, or with --inventory each host. With a SCENARIO what follows is said for its mode and
    timers.

    \b
    Exit status:
      0  held: each disk is as fast as it is asked to be
      1  broken: one is slower, and elections or late heartbeats are to be expected
      2  bad scenario or usage
      3  unknown: a disk could not be measured (no fio), or not for long enough
      4  the harness failed
    """  # noqa: D301 - click knows by a real backspace that these lines are to stay lines
    if folder is not None and not folder.startswith("/"):
        raise BadInput([Problem("--folder", 0, 0, f"the folder {folder!r}", "the whole path of a folder, from / on")])
    uses, provider, count = _asked(ctx, scenario, mode, profile)
    disks = _measured(count, folder, seconds) if provider == PROVIDER or INVENTORY in ctx.meta else [_here(folder, seconds)]
    told = [(disk, upon, *_judged(disk, upon)) for disk in disks for upon in uses]
    verdicts = [verdict for *_, verdict, _ in told] + [Verdict.UNKNOWN for disk in disks if disk.figures is None]
    worst = Verdict.worst(verdicts or [Verdict.HELD])
    if as_json:
        say(json_text({"verdict": str(worst), "disks": [_disk_json(each) for each in disks], "upon": [_json(*each) for each in told]}))
    else:
        _print(disks, told, uses)
    ctx.exit(EXIT[worst])


def _asked(ctx: click.Context, scenario: Path | None, mode: str | None, profile: str | None) -> tuple[list[Upon], str, int]:
    """Return whose logs would be on the disks, the provider of the nodes, and how many there are; 0 where no scenario says it."""
    from harness.core.protocols import Committing, told_as  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.registry import known  # noqa: PLC0415 - same

    modes = known().modes
    made: Sequence[Any] = ()
    asked: list[tuple[str, Mode]]
    if scenario is not None:
        made, left_out = plans([scenario], Overrides(mode, None, 0, profile))
        tell_left_out(ctx, made, left_out)
    elif mode is not None or profile is not None:
        wrong = [
            *(
                [Problem("--mode", 0, 0, f"an unknown mode {mode!r}", f"one of {', '.join(sorted(modes))}")]
                if mode and mode not in modes
                else []
            )
        ]
        chosen = [mode] if mode in modes else list(modes)
        if profile is not None and not wrong and not all(profile in modes[str(each)].TIMERS for each in chosen):
            valid = ", ".join(dict.fromkeys(name for each in chosen for name in modes[str(each)].TIMERS))
            wrong.append(Problem("--profile", 0, 0, f"an unknown profile {profile!r}", f"one of {valid}"))
        if wrong:
            raise BadInput(wrong)
    asked = (
        [(each.profile, modes[each.mode].from_timers(each.profile, each.timers)) for each in made]
        if scenario is not None
        else [(profile or "default", modes[name].from_timers(profile or "default", {})) for name in sorted(modes) if mode in {None, name}]
    )
    uses = [Upon(told_as(each), which, each.commits()) for which, each in asked if isinstance(each, Committing)]
    return uses, made[0].provider if made else "", len(made[0].nodes) if made else 0


def _here(folder: str | None, seconds: float) -> MeasuredDisk:
    """Measure this machine, by default where nodes' disks are: in the lowest folder of that path that is there."""
    from harness.host import state  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.nodes.this_machine import LocalMachine  # noqa: PLC0415 - same

    there = folder or next(str(each) for each in (state.runs(), *state.runs().parents) if each.is_dir())
    return _one(LocalMachine("preflight"), "this machine", there, seconds)


def _one(node: Node, name: str, folder: str, seconds: float) -> MeasuredDisk:
    from harness.nodes import fio  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    try:
        return MeasuredDisk(name, folder, fio.measure(node, folder, seconds))
    except HarnessError as error:
        return MeasuredDisk(name, folder, None, str(error).removeprefix(f"{HERE}: "))


def _measured(count: int, folder: str | None, seconds: float) -> list[MeasuredDisk]:
    """Measure hosts of an inventory one after the other, but for those whose owner does not allow it. Raises what keeps them from being used."""
    from harness.actions.measuring import Measure  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.core.values import NodeSpec  # noqa: PLC0415 - same
    from harness.providers.inventory.formats import load  # noqa: PLC0415 - same
    from harness.registry import known  # noqa: PLC0415 - same

    count = count or len(load(os.environ.get(INVENTORY, ""), 0).hosts)
    seen = known().providers[PROVIDER]().rehearse([NodeSpec(f"n{number}", "") for number in range(1, count + 1)])
    found = []
    for node in seen.nodes:
        where = folder or HOSTS_FOLDER
        why = seen.why_not(node.name, Measure())
        if node.name in seen.spared:
            found.append(MeasuredDisk(node.name, where, None, "it is protected, and nothing is done to it"))
        elif why is not None:
            found.append(MeasuredDisk(node.name, where, None, why.of(Measure.name, node.name)))
        else:
            found.append(_one(node, node.name, where, seconds))
    return found


def _judged(disk: MeasuredDisk, upon: Upon) -> tuple[Verdict, str]:
    from harness.core.syncs import foretold  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    return foretold(upon.committed, disk.figures.appended) if disk.figures else (Verdict.UNKNOWN, "it could not be measured")


def _longer(disk: MeasuredDisk, upon: Upon) -> Mapping[str, float]:
    from harness.core.syncs import longer  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    return longer(upon.committed, disk.figures.appended) if disk.figures else {}


def _print(disks: Sequence[MeasuredDisk], told: Sequence[tuple[MeasuredDisk, Upon, Verdict, str]], uses: Sequence[Upon]) -> None:
    for disk in disks:
        place = in_line(f"{disk.node}, {disk.folder}")
        if disk.figures is None:
            say(f"{place}: unknown: {in_line(disk.error)}")
            continue
        for what, times in (("2300 bytes and an fdatasync", disk.figures.appended), ("4 KiB anywhere, durable", disk.figures.scattered)):
            say(
                f"{place}: {what}: p99 {quick(times.p99)}, mean {quick(times.mean)}, longest {quick(times.longest)} of {times.writes} writes"
            )
        for _, upon, verdict, follows in (each for each in told if each[0] is disk):
            say(in_line(f"  {upon.mode}, profile {upon.profile}: {verdict}: {follows}"))
            if better := _longer(disk, upon):
                say(in_line(f"    would stand it: timers: {{{', '.join(_timer(*each) for each in better.items())}}}"))
    for upon in uses:
        beats = f"heartbeats each {given(upon.committed.heartbeat)}, elections after {given(upon.committed.election)}"
        say(in_line(f"{upon.mode}: {upon.committed.store}, {beats}; {upon.committed.source}"))
    if not uses:
        say("no daemon of that mode waits for a disk before it agrees with others: nothing follows")


def _timer(name: str, seconds: float) -> str:
    """Give a timer as a scenario file has it."""
    return f"{name}: {given(seconds).replace(' ', '')}"


def _disk_json(disk: MeasuredDisk) -> dict[str, Json]:
    body: dict[str, Json] = {"node": disk.node, "folder": disk.folder}
    if disk.figures is None:
        return {**body, "error": disk.error}
    return {**body, "appended": disk.figures.appended.json(), "scattered": disk.figures.scattered.json()}


def _json(disk: MeasuredDisk, upon: Upon, verdict: Verdict, follows: str) -> dict[str, Json]:
    asked = upon.committed
    return {
        "node": disk.node,
        "mode": upon.mode,
        "profile": upon.profile,
        "store": asked.store,
        "asks": asked.most or None,
        "source": asked.source,
        "heartbeat": asked.heartbeat,
        "election": asked.election,
        "verdict": str(verdict),
        "follows": follows,
        "timers": {**_longer(disk, upon)},
    }
