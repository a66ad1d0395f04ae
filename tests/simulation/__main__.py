"""Look into one seed, or try thousands: ``python -m tests.simulation --seed 7``, ``python -m tests.simulation --count 5000``."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools

import click

from tests.simulation.cluster import Wishes
from tests.simulation.faults import PATTERNS
from tests.simulation.judging import answers, told
from tests.simulation.run import simulate


def _try(seed: int, wishes: Wishes) -> tuple[collections.Counter[str], str]:
    """Return how often what was answered, and what was wrong, in words."""
    run = simulate(seed, wishes)
    every = answers(run) if run.faults else []
    wrong = [each for each in every if each.wrong]
    said = collections.Counter(f"{each.question.name}: {each.wrong or each.finding.verdict}" for each in every)
    return said, told(run, wrong) if wrong else ""


@click.command()
@click.option("--seed", default=0, help="The seed, or the first one.")
@click.option("--count", default=1, help="How many seeds from there on.")
@click.option("--processes", default=1, help="How many at a time.")
@click.option("--pattern", default="", type=click.Choice(["", *PATTERNS]), help="How the faults stand to each other.")
@click.option("--half-made", is_flag=True, help="One of several faults fails half-way.")
@click.option("--crashes", is_flag=True, help="What was just started may stop again by itself.")
@click.option("--deeds", is_flag=True, help="Something is done on purpose, beside the faults.")
@click.option("--later", is_flag=True, help="An app is deployed in the middle of which nothing runs before.")
def main(seed: int, count: int, processes: int, pattern: str, *, half_made: bool, crashes: bool, deeds: bool, later: bool) -> None:
    """Hold all checkers against simulated runs; the exit status is 1 where one of them is wrong, or the simulation is."""
    wishes = Wishes(pattern, half_made, crashes, deeds, later)
    if count == 1:
        run = simulate(seed, wishes)
        for each in answers(run):
            click.echo(f"  {each}")
        click.echo(str(run))
    total: collections.Counter[str] = collections.Counter()
    wrong = 0
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        for said, text in pool.map(_try, range(seed, seed + count), itertools.repeat(wishes), chunksize=4):
            total += said
            if text:
                wrong += 1
                click.echo(text)
    for name, number in sorted(total.items()):
        click.echo(f"{number:7} {name}")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
