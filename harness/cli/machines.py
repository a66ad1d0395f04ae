"""This machine: what it has and lacks, and the node images and boxes in its cache."""

from __future__ import annotations

from datetime import datetime

import click

from harness.cli.tables import add, print_whole, table_of
from harness.cli.telling import console, say
from harness.core.plain import below, in_line


@click.command("doctor", short_help="What this machine has and lacks for real nodes.")
@click.pass_context
def doctor_command(ctx: click.Context) -> None:
    """Say what this machine has and lacks for the embedded default, and how each fault would be made here."""
    from harness.cli import doctor  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    found = doctor.checks()
    console().print(doctor.table(found))
    ctx.exit(0 if doctor.ready(found) else 1)


@click.group("image")
def image_group() -> None:
    """Node images, and boxes for virtual machines: build, list, prune."""


@image_group.command("build")
@click.option("--box", "a_box", is_flag=True, help="Also the box, for virtual machines: the same with a kernel of its own.")
def image_build(*, a_box: bool) -> None:
    """Build the node image, if it is not in the cache. Takes about a minute; the box half a minute more."""
    from harness.host import image  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    found = image.ensure(_tell)
    say(f"image {in_line(found.key)}: {found.size / 1e6:.0f} MB in {in_line(found.path)}")
    if a_box:
        from harness.host import box as boxes  # noqa: PLC0415 - same

        made = boxes.ensure(_tell)
        say(f"box {in_line(made.key)}: {made.size / 1e6:.0f} MB in {in_line(made.path)}")


@image_group.command("list")
def image_list() -> None:
    """List the node images and boxes in the cache."""
    from harness.host import box as boxes  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.host import image  # noqa: PLC0415 - same

    every: list[tuple[str, image.Image | boxes.Box]] = [
        *(("image", each) for each in image.images()),
        *(("box", each) for each in boxes.boxes()),
    ]
    if not every:
        say("no image is built yet; `whalefall image build` builds it, and the first run does so too")
        return
    table = table_of("key", "kind", "MB", "built", "is", "path")
    for kind, each in every:
        built = datetime.fromtimestamp(each.built).astimezone().strftime("%Y-%m-%d %H:%M")
        add(table, each.key, kind, f"{each.size / 1e6:.0f}", built, "current" if each.current else "old", each.path)
    print_whole(table)


@image_group.command("prune")
@click.option("--all", "everything", is_flag=True, help="Also the current ones, if nobody uses them.")
def image_prune(*, everything: bool) -> None:
    """Remove node images and boxes that nobody uses, the current ones left out."""
    from harness.host import box as boxes  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.host import image  # noqa: PLC0415 - same

    gone: list[image.Image | boxes.Box] = [*image.prune(keep_current=not everything), *boxes.prune(keep_current=not everything)]
    for each in gone:
        say(f"removed {in_line(each.key)} ({each.size / 1e6:.0f} MB)")
    if not gone:
        say("nothing to remove")


def _tell(step: str) -> None:
    """Say what is being done, in words that programs of others may have part in."""
    say(below(step))
