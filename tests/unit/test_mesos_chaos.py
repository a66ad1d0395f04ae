"""Whatever breaks and heals: what Marathon acknowledged is there afterwards, and exactly what it shows runs.

The assertions are those of upstream's Jepsen tests, and more. Everything is real but network, ZooKeeper, Docker and time. A seed chooses what is
asked for and what breaks.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from marathon_contract.cluster import Client
from standin.doubles.clock import run
from standin.http import Response, UnreachableError
from tests.contract.marathons import WholeCluster

APPS = 4
"""Names of apps that a story uses."""


class Story:
    """One story, and what must be true at its end."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)  # noqa: S311  (a story, no secret)
        self.cluster = WholeCluster(folder)
        self.client = Client(self.cluster)
        self.wanted: dict[str, set[int | None]] = {}
        """How many instances each app may want; None: it may be gone. More than one where nobody could tell whether a request was carried out."""
        self.told: list[str] = []

    async def tell(self) -> None:
        """Do things in any order, heal everything, and wait until all is as it must be."""
        deeds: list[Callable[[], Awaitable[None]]] = [
            *(self.create, self.create, self.create, self.scale, self.change, self.delete, self.kill, self.end),
            *(
                self.crash,
                self.abdicate,
                self.cut_zookeeper,
                self.replace_master,
                self.cut_agent,
                self.bounce_agent,
                self.reboot_agent,
                self.wait,
            ),
        ]
        await self.cluster.start()
        await self.client.leader()
        for _ in range(self.chance.randrange(8, 20)):
            deed = self.chance.choice(deeds)
            self.told.append(f"{asyncio.get_running_loop().time() - 1.6e9:.1f} {deed.__name__}")
            await deed()
        await self.cluster.find("all")
        try:
            await self.client.until(self.settled, 1500)
        finally:
            await self.cluster.stop()

    async def settled(self) -> bool:
        """Whether no deployment is under way any more; then all else must be right, now or soon."""
        if await self.client.get("/v2/deployments"):
            return False
        apps = {each["id"]: each["instances"] for each in (await self.client.get("/v2/apps"))["apps"]}
        for name in {*self.wanted, *apps}:
            assert apps.get(name) in self.wanted.get(name, {None}), (name, apps.get(name), self.wanted.get(name))
        tasks = (await self.client.get("/v2/tasks"))["tasks"]
        counts = Counter(each["appId"] for each in tasks if each["state"] == "TASK_RUNNING")
        assert {name: counts[name] for name in apps} == apps
        assert sorted(each["id"] for each in tasks) == await self.running()
        return True

    async def running(self) -> list[str]:
        """Return what runs on all hosts, whoever knows of it."""
        return sorted([task for host in self.cluster.hosts for task in await self.cluster.running_on(host)])

    async def ask(self, method: str, path: str, body: Any = None) -> Response | None:
        """Ask any Marathon; None where nobody answers."""
        try:
            return await self.client.ask(method, path, body, at=self.chance.randrange(2))
        except UnreachableError:
            return None

    def note(self, app: str, told: Response | None, success: int, instances: int | None) -> None:
        """Note what an answer makes certain, or uncertain."""
        if told is not None and told.status == success:
            self.wanted[app] = {instances}
        elif told is None or told.status >= 500:
            self.wanted[app] = self.wanted.get(app, {None}) | {instances}

    def any_app(self) -> str:
        """Return an app's name, whether there is one or not."""
        return f"/app-{self.chance.randrange(APPS)}"

    async def create(self) -> None:
        """Add an app."""
        app, count = self.any_app(), self.chance.randrange(1, 4)
        self.note(app, await self.ask("POST", "/v2/apps", self.cluster.app(app, instances=count)), 201, count)

    async def scale(self) -> None:
        """Want more or fewer."""
        app, count = self.any_app(), self.chance.randrange(5)
        told = await self.ask("PATCH", f"/v2/apps{app}?force=true", {"instances": count})
        if app in self.wanted:
            self.note(app, told, 200, count)

    async def change(self) -> None:
        """Replace all instances."""
        await self.ask("PATCH", f"/v2/apps{self.any_app()}?force=true", {"env": {"GENERATION": str(self.chance.random())}})

    async def delete(self) -> None:
        """Delete an app."""
        app = self.any_app()
        self.note(app, await self.ask("DELETE", f"/v2/apps{app}"), 200, None)

    async def kill(self) -> None:
        """Have Marathon kill a task."""
        if tasks := await self.running():
            how = self.chance.choice(["", "?wipe=true"])
            await self.ask("POST", f"/v2/tasks/delete{how}", {"ids": [self.chance.choice(tasks)]})

    async def end(self) -> None:
        """End a container."""
        if tasks := await self.running():
            await self.cluster.end(self.chance.choice(tasks))

    async def crash(self) -> None:
        """Kill a Marathon, the leading one if there is one."""
        await self.cluster.crash_leader()

    async def abdicate(self) -> None:
        """Have the leader step down."""
        await self.ask("DELETE", "/v2/leader")

    async def cut_zookeeper(self) -> None:
        """Cut a Marathon off from ZooKeeper, for shorter or longer than its session lasts."""
        await self.cluster.cut_zookeeper(self.chance.choice(self.cluster.marathons), self.chance.choice([0.5, 5, 15]))

    async def replace_master(self) -> None:
        """Have another Mesos master lead."""
        await self.cluster.replace_master()

    async def cut_agent(self) -> None:
        """Cut an agent off, for shorter or longer than its pings may fail."""
        await self.cluster.mesos.split(self.chance.choice(self.cluster.hosts))
        await asyncio.sleep(self.chance.choice([1, 60, 100]))
        if self.chance.random() < 0.5:
            await self.cluster.find("all")

    async def bounce_agent(self) -> None:
        """Kill an agent, and start it again: its containers run on."""
        host = self.chance.choice(self.cluster.hosts)
        await self.cluster.mesos.kill(host)
        await asyncio.sleep(self.chance.choice([0.1, 3, 100]))
        await self.cluster.mesos.start(host)

    async def reboot_agent(self) -> None:
        """Restart an agent's host: its containers end."""
        await self.cluster.mesos.reboot(self.chance.choice(self.cluster.hosts))

    async def wait(self) -> None:
        """Let time pass."""
        await asyncio.sleep(self.chance.choice([0.1, 1, 5, 20, 100]))


@pytest.mark.parametrize("seed", [4, 9, 45, 119, 142])
def test_nothing_acknowledged_is_lost_and_nothing_runs_beside(seed: int, tmp_path: Path) -> None:
    """At the end of each story, some minutes after everything is healed."""

    async def main() -> None:
        await Story(seed, tmp_path).tell()

    run(main())
