"""Images of apps that come from this machine: brought into its cache before a run begins, and into every node before anything is deployed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.protocols import Altering
from harness.core.units import counted
from harness.host import app_images, origins
from harness.nodes import docker_images
from harness.nodes.together import together
from harness.plan import provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.conductor.options import Options
    from harness.core.protocols import Action, Cluster, Node
    from harness.core.values import Json
    from harness.host.app_images import AppImage
    from harness.plan import Plan


@contextlib.contextmanager
def brought(plan: Plan, options: Options) -> Iterator[Mapping[str, AppImage]]:
    """Lend the images that a run needs and its nodes do not have by themselves, by what the scenario calls them. Pulls what is not in the cache.

    Raises `HarnessError` with the cause where one cannot be had, `Unsupported` where this machine cannot bring it.
    """
    found: dict[str, AppImage] = {}
    with contextlib.ExitStack() as stack:
        for asked in provenance.asked(plan) if provenance.brings(plan) else ():
            image = _found(asked, plan, options)
            if image is None:
                continue
            stack.enter_context(app_images.held(image))
            same = next((other for other, each in found.items() if each.name == image.name and each.id != image.id), None)
            if same is not None:
                raise HarnessError(f"{same} and {asked} are two images, and nodes would call both of them {image.name}")
            found[asked] = image
        yield found


def _found(asked: str, plan: Plan, options: Options) -> AppImage | None:
    """Return an image in the cache, brought there first; None for one of the node image."""
    try:
        wanted = app_images.wanted(asked, plan.file)
    except origins.NoOrigin as error:
        raise HarnessError(str(error)) from error
    return None if wanted is None else app_images.ensure(wanted, lambda text: options.tell("prepare", text), options.clock)


def facts(images: Mapping[str, AppImage]) -> dict[str, Json]:
    """Return what a run keeps of its images: which they were, whatever their names stand for by then; of one that nodes build, of what."""
    every: dict[str, Json] = {
        asked: {
            "name": each.name,
            "built of" if each.built_there else "id": f"sha256:{each.id}",
            "source": each.source,
            "digest": each.digest,
        }
        for asked, each in images.items()
    }
    return {"app_images": every} if every else {}


def load(images: Mapping[str, AppImage], cluster: Cluster, options: Options) -> None:
    """Have images on all nodes at once, and note in the cluster what they are called there. Called inside `cluster.network()`."""
    for asked, image in images.items():
        what = f"building the image {asked} on" if image.built_there else f"loading the image {asked} into"
        options.tell("deploy", f"{what} {counted(len(cluster.nodes), 'node')}")
        together(cluster.nodes, lambda node, image=image: _have(node, image, cluster), what.rpartition(" ")[0])  # type: ignore[misc]
        cluster.images = {**cluster.images, asked: image.name}
    cluster.apps = tuple(map(cluster.on_nodes, cluster.apps))


def _have(node: Node, image: AppImage, cluster: Cluster) -> None:
    if image.built_there:
        docker_images.build(node, image.path, image.name, cluster.clock)
    else:
        docker_images.load(node, image.path, image.name, image.id, cluster.clock)


def have(action: Action, cluster: Cluster, plan: Plan, options: Options) -> None:
    """Have the images on all nodes that an action gives apps and no plan knew of: one of a scenario in Python."""
    if not isinstance(action, Altering) or not provenance.brings(plan):
        return
    for asked in dict.fromkeys(action.altered(app).image for app in cluster.apps):
        if asked in cluster.images or asked in cluster.images.values():
            continue
        image = _found(asked, plan, options)
        if image is not None:
            with app_images.held(image), cluster.network():
                load({asked: image}, cluster, options)
