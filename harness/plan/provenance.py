"""Where the images of a plan's apps come from: which it asks for, also in the middle of a run, and each in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import registry
from harness.core.protocols import Altering
from harness.host import app_images, contexts
from harness.steps import Do, flat

if TYPE_CHECKING:
    from harness.plan import Plan


def asked(made: Plan) -> tuple[str, ...]:
    """Return the images that a run needs, each once, as the scenario names them: those of the mode's daemons, and those that apps begin with."""
    later = [
        step.action.altered(app).image
        for step, _ in flat(made.steps)
        if isinstance(step, Do) and isinstance(step.action, Altering)
        for app in made.apps
    ]
    return tuple(dict.fromkeys([*made.images.values(), *(app.image for app in made.apps), *later]))


def brings(made: Plan) -> bool:
    """Whether nodes have images from this machine: they are no hosts of somebody else."""
    return contexts.builds_here(registry.known().providers.get(made.provider))


def in_words(made: Plan) -> list[str]:
    """Say of each image where it comes from, and whether it is there already. Looks at files and the cache."""
    if not brings(made):
        return [f"{image}: as the hosts have it, or else pulled by their own Docker" for image in asked(made)]
    return [said for image in asked(made) if (said := app_images.words(image, made.file))]
