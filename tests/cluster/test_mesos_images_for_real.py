"""Mesos from images on real machines: the stand-ins, packed as images that nodes build of what they have, and run as upstream's would be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from harness.core.protocols import Cluster, of_images
from harness.core.values import App, NodeSpec
from harness.modes.mesos import Mesos
from harness.providers import PROVIDERS

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("mesos-images")]

IMAGES = {"master": "mesos-master", "agent": "mesos-agent", "marathon": "marathon"}
WEB = App("web", 2)


def test_daemons_come_from_their_images_and_the_driver_cannot_tell(lend: Callable[..., AbstractContextManager[Cluster]]) -> None:
    """Each unit runs in the file system of its image, and is no container of Docker's; an app runs, and each node tells of it."""
    mode = of_images(Mesos.from_timers("fast", {}), IMAGES)
    assert isinstance(mode, Mesos)
    specs = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]
    with lend(PROVIDERS["nspawn"](), "images", specs, mode, apps=(WEB,)) as cluster:
        with cluster.network():
            mode.ready_for_images(cluster)
        mode.form(cluster)
        for node in cluster.nodes:
            for unit in ("mesos-master", "mesos-agent", "marathon"):
                script = 'test "/proc/$(systemctl show --property=MainPID --value "$1")/root/usr" -ef "/var/lib/mesos-images/$1/usr"'
                assert node.run("sh", "-c", script, "sh", unit).ok, unit
            assert node.run("docker", "ps", "--all", "--quiet").text == ""
        mode.deploy(cluster, WEB)
        with cluster.network():
            views = [mode.view(cluster, node) for node in cluster.nodes]
            assert mode.first(cluster, "mesos-master") in mode.members(cluster)
        assert len({view.placements for view in views}) == 1
        assert sorted(each.instance for each in views[0].placements if each.running) == ["web@1", "web@2"]
