"""Scenario files before anything is run: found, read and planned, all problems of all files told at once; and their schema."""

from __future__ import annotations

import dataclasses
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.flags import Overrides, choices
from harness.cli.telling import BAD_INPUT, console, say
from harness.core.errors import BadInput, Problem
from harness.core.plain import in_line, json_text
from harness.core.values import SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.plan import Plan
    from harness.scenario import NotForMode

WIDEST = 100
"""Columns of a plan on a terminal that has more: longer lines are hard to read."""


def plans(files: Sequence[Path], overrides: Overrides) -> tuple[list[Plan], list[NotForMode]]:
    """Load and plan all files; those that say that they are not for their mode come apart. Raises one `BadInput` with every problem of every file."""
    from harness.plan import plan_of  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.scenario import NotForMode  # noqa: PLC0415 - same

    seed = secrets.randbelow(SEEDS) if overrides.seed is None else overrides.seed
    made: list[Plan] = []
    left_out: list[NotForMode] = []
    paths, problems = _expanded(files)
    overrides, wrong = _known(overrides)
    problems += wrong
    for path in paths:
        try:
            made.append(plan_of(path, mode=overrides.mode, provider=overrides.provider, profile=overrides.profile, seed=seed))
        except NotForMode as error:
            left_out.append(error)
        except BadInput as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise BadInput(problems)
    return made, left_out


def tell_left_out(ctx: click.Context, made: Sequence[Plan], left_out: Sequence[NotForMode]) -> None:
    """Say which files are not for their mode, and why. Where no other is left, that is bad usage: what was asked for cannot be done."""
    for each in left_out:
        say(in_line(each), err=True)
    if left_out and not made:
        ctx.exit(BAD_INPUT)


def _expanded(files: Sequence[Path]) -> tuple[list[Path], list[Problem]]:
    """Return every file, for a folder the scenario files in it, and a problem for each folder that has none."""
    from harness.scenario import recognition  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    paths: list[Path] = []
    problems: list[Problem] = []
    for path in files:
        found = _inside(path)
        if found is None:
            paths.append(path)
        elif found:
            links = {each: recognition.linked(each) for each in found}
            problems += [each for each in links.values() if each is not None]
            paths += [each for each in found if links[each] is None]
        else:
            problems.append(Problem(str(path), 0, 0, "a folder without scenario files", "files named *.yaml in it"))
    return paths, problems


def _inside(path: Path) -> list[Path] | None:
    """Return the scenario files in a folder; None for what is none, or cannot be looked at: whoever reads it as a file says why."""
    try:
        return sorted(path.glob("*.yaml")) if path.is_dir() else None
    except OSError:
        return None


def _known(overrides: Overrides) -> tuple[Overrides, list[Problem]]:
    """Return what the command line says, without the names that nobody knows, and a problem for each of those: the files are read all the same."""
    from harness.core.naming import close  # noqa: PLC0415 - same
    from harness.registry import known, valid_names  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    valid = valid_names(known(), overrides.mode)
    given = {name: value for name in valid if (value := getattr(overrides, name)) is not None}
    wrong = {name: value for name, value in given.items() if value not in valid[name]}
    problems = [
        Problem(
            f"--{name}",
            0,
            0,
            f"an unknown {name} {value!r}",
            f"one of {', '.join(sorted(valid[name]))}",
            close(value, sorted(valid[name])),
        )
        for name, value in wrong.items()
    ]
    return dataclasses.replace(overrides, **dict.fromkeys(wrong)), problems


@click.command("plan")
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@choices
def plan_command(files: tuple[Path, ...], mode: str | None, provider: str | None, seed: int | None, profile: str | None) -> None:
    """Print what a run of FILE would do, and to whom. Touches nothing, needs no root."""
    from harness.reports.prose import describe  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    made, left_out = plans(files, Overrides(mode, provider, seed, profile))
    tell_left_out(click.get_current_context(), made, left_out)
    for number, plan in enumerate(made):
        say(("\n" if number else "") + describe(plan, min(console().width, WIDEST)))


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from harness.scenario import json_schema  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    say(json_text(json_schema()))
