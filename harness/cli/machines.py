"""This machine: what it has and lacks, and the node images, boxes and images of apps in its cache."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from harness.cli.tables import add, print_whole, table_of
from harness.cli.telling import console, say
from harness.core.errors import BadInput, Problem
from harness.core.naming import close, shown
from harness.core.plain import below, in_line

if TYPE_CHECKING:
    from pathlib import Path

    from harness.host import app_images


@click.command("doctor", short_help="What this machine has and lacks for real nodes.")
@click.pass_context
def doctor_command(ctx: click.Context) -> None:
    """Say what this machine has and lacks for the embedded default, and how each fault would be made here."""
    from harness.cli import doctor  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    found = doctor.checks()
    console().print(doctor.table(found))
    ctx.exit(0 if doctor.ready(found) else 1)


@click.group("image", short_help="Node images, boxes, images of apps: build, pull, list, prune.")
def image_group() -> None:
    """Node images, boxes for virtual machines, and images of apps: build, pull, list, prune."""


@image_group.command("build", short_help="Build what is missing of the node images of modes.")
@click.argument("modes", metavar="[MODE]...", nargs=-1)
@click.option("--box", "a_box", is_flag=True, help="Also the box, for virtual machines: the same with a kernel of its own.")
def image_build(modes: tuple[str, ...], *, a_box: bool) -> None:
    """Build what is missing in the cache of the image for nodes of each MODE, or of every mode.

    What all nodes have takes about a minute, what a mode adds to that half of one; a box half a minute more.
    """
    from harness.host import image  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    for mode, layer in _layers(modes).items():
        found = image.ensure(_tell, layer=layer)
        say(f"image for {in_line(mode)} {in_line(found.key)}: {found.size / 1e6:.0f} MB in {in_line(str(found.paths[0].parents[1]))}")
        if a_box:
            from harness.host import box as boxes  # noqa: PLC0415 - same

            made = boxes.ensure(_tell, layer=layer)
            say(f"box for {in_line(mode)} {in_line(made.key)}: {made.size / 1e6:.0f} MB in {in_line(str(made.path))}")


def _layers(modes: tuple[str, ...]) -> dict[str, Path | None]:
    """Return the layers of these modes, or of all. Raises `BadInput` for a name that is none, and `BadPlugIns` where that is not known of all."""
    from harness import registry  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    every = registry.layers(registry.known())
    expected = f"one of {', '.join(every)}"
    wrong = [Problem("MODE", 0, 0, f"an unknown mode {name!r}", expected, close(name, every)) for name in modes if name not in every]
    if wrong:
        raise BadInput(wrong)
    return {name: every[name] for name in modes} or every


@image_group.command("pull", short_help="Pull images of apps anew from their registries.")
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True)
def image_pull(names: tuple[str, ...]) -> None:
    """Pull each IMAGE, as a scenario names it (nginx:1.25-alpine), from its registry into the cache, also where it is there already.

    Runs take what is in the cache without asking a registry: this is how they get what a tag stands for by now. An image that a run uses at this
    moment is left as it is, and so is one that cannot be pulled.
    """
    from harness.host import app_images  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    for asked in _of_registries(names):
        before = app_images.find(asked)
        found = app_images.ensure(asked, _tell, anew=True)
        was = "" if before is None else ", as before" if before.digest == found.digest else f"; it was {before.digest}"
        say(in_line(f"{asked.asked}: {found.size / 1e6:.0f} MB from {found.source} as {found.digest}{was}"))


def _of_registries(names: tuple[str, ...]) -> list[app_images.AskedImage]:
    """Return what these names stand for. Raises `BadInput` with each that is not the name of an image in a registry."""
    from harness.host import app_images, origins  # noqa: PLC0415 - same

    asked: list[app_images.AskedImage] = []
    wrong: list[Problem] = []
    for name in dict.fromkeys(names):
        try:
            origin = origins.origin(name)
        except origins.NoOrigin as error:
            wrong.append(Problem("IMAGE", 0, 0, *error.said))
            continue
        if isinstance(origin, origins.InRegistry):
            asked.append(app_images.AskedImage(name, origin))
        else:
            wrong.append(Problem("IMAGE", 0, 0, f"the image {shown(name)}, which is in no registry", "NAME:TAG of a registry"))
    if wrong:
        raise BadInput(wrong)
    return asked


@image_group.command("list", short_help="List node images, boxes and images of apps.")
def image_list() -> None:
    """List the layers of node images, the boxes, and the images of apps that were brought here, in the cache."""
    from harness import registry  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.host import app_images, image  # noqa: PLC0415 - same
    from harness.host import box as boxes  # noqa: PLC0415 - same
    from harness.host.layers import Layer  # noqa: PLC0415 - same

    modes = registry.layers().values()
    every: list[Layer | boxes.Box | app_images.AppImage] = [*image.images(modes), *boxes.boxes(modes), *app_images.images()]
    if not every:
        say("no image is built yet; `whalefall image build` builds it, and the first run does so too")
        return
    table = table_of("key", "kind", "MB", "built", "is", "path")
    for each in every:
        kind = each.what if isinstance(each, Layer) else "box" if isinstance(each, boxes.Box) else f"app's, {each.source}"
        built = datetime.fromtimestamp(each.built).astimezone().strftime("%Y-%m-%d %H:%M")
        add(table, each.key, kind, f"{each.size / 1e6:.0f}", built, "current" if each.current else "old", each.path)
    print_whole(table)


@image_group.command("prune", short_help="Remove what nobody uses of them.")
@click.option("--all", "everything", is_flag=True, help="Also the current ones, if nobody uses them.")
def image_prune(*, everything: bool) -> None:
    """Remove layers of node images, boxes and images of apps that nobody uses, the current ones left out.

    Current are what a build would make now, and what was pulled from a registry: --all removes that, too. `whalefall image pull` has one anew.
    """
    from harness.host import app_images, image  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.host import box as boxes  # noqa: PLC0415 - same

    modes = () if everything else _layers(()).values()
    gone = [*image.prune(modes, keep_current=not everything), *boxes.prune(modes, keep_current=not everything)]
    gone += app_images.prune(keep_current=not everything)
    for each in gone:
        say(f"removed {in_line(each.key)} ({each.size / 1e6:.0f} MB)")
    if not gone:
        say("nothing to remove")


def _tell(step: str) -> None:
    """Say what is being done, in words that programs of others may have part in."""
    say(below(step))
