"""Options that several commands share."""

from __future__ import annotations

import contextlib
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


class FolderType(click.Path):
    """A folder, there or not: neither nothing (a variable that is not set) nor anything else of that name."""

    name = "directory"

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; what is none is bad usage."""
        if not str(value).strip():
            self.fail("found nothing, expected the name of a folder", param, ctx)
        path = Path(str(value))
        with contextlib.suppress(OSError):
            if path.exists() and not path.is_dir():
                self.fail(f"{str(path)!r} is no folder", param, ctx)
        return super().convert(value, param, ctx)


RESULTS = click.option(
    "--results",
    type=FolderType(),
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
