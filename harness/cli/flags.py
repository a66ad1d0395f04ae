"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

LARGEST_SEED = 2**63 - 1
"""A seed is part of a folder's name."""
LONGEST = 40
"""Characters of a value that are repeated."""


class SeedType(click.ParamType[int]):
    """A seed, and in words what else was found."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a seed; what is none is bad usage."""
        text = str(value)
        if not text.isascii() or not text.isdigit() or len(text) > len(str(LARGEST_SEED)) or int(text) > LARGEST_SEED:
            shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
            self.fail(f"found {shown!r}, expected a whole number from 0 to {LARGEST_SEED}", param, ctx)
        return int(text)


RESULTS = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    envvar="WHALEFALL_RESULTS",
    show_default=True,
    help="Folder that runs are kept in.",
)


def choices(command: Any) -> Any:
    """Add the options that `plan` and `run` share."""
    for option in reversed(
        [
            click.option("--mode", metavar="NAME", help="How the cluster is orchestrated, in place of what the scenario says."),
            click.option("--provider", metavar="NAME", help="Where nodes come from, in place of what the scenario says."),
            click.option(
                "--seed",
                type=SeedType(),
                help="For every choice that is left to chance.  [default: random, printed]",
            ),
            click.option("--profile", metavar="NAME", help="Timers, in place of what the scenario says."),
        ]
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says in place of the scenario file."""

    mode: str | None
    provider: str | None
    seed: int | None
    profile: str | None
