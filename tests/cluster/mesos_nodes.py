"""Mesos and Marathon on real machines as their contracts want them: where each daemon is, and the levers by which it is broken.

One cluster in the mesos mode serves many promises. Each is given masters, agents and Marathons that know nothing of the one before: other paths in
ZooKeeper, empty work_dirs, no container. systemd starts masters and agents only when it is told to, as the contract wants it, and Marathons always.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.core.clock import wait_until
from harness.core.protocols import Cluster, Node, Power
from harness.core.values import App
from harness.modes.mesos.marathon_api import AGENT, MARATHON, MASTER
from harness.modes.mesos.zookeeper import CLIENT_PORT
from harness.nodes.together import together
from harness.providers.netns import GATEWAY
from mesos_contract import cluster as asking
from standin.http import Network, UnreachableError
from standin.network import AiohttpNetwork

IMAGE = "whalefall-contract:1"
"""A shell that waits until it is told to end, and a web server on port 80."""
_UNITS = {"m": "mesos-master", "a": "mesos-agent"}
_SCRIPT_SECONDS = 90.0
_STARTS_WITHIN = 60.0
_NUMBERS = itertools.count(1)

_SETTLED = r"""
set -eu
systemctl stop haproxy-feeder haproxy marathon mesos-agent mesos-master
for unit in haproxy-feeder haproxy marathon mesos-agent mesos-master; do
    rm -f "/etc/systemd/system/multi-user.target.wants/$unit.service"
    mkdir -p "/etc/systemd/system/$unit.service.d"
    printf '[Service]\nRestart=no\n' >"/etc/systemd/system/$unit.service.d/contract.conf"
done
# Marathon's supervisor is part of its contract. A user of its own: what it sends can be told from what master and agent of the node send.
printf '[Service]\nRestartSec=2s\nUser=nobody\n' >/etc/systemd/system/marathon.service.d/contract.conf
systemctl daemon-reload
printf '%s\n' "$1" >>/etc/hosts
"""
_IMAGE = r"""
set -eu
image=$1 root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/tmp"
cp /bin/dash "$root/bin/sh"
cp /usr/bin/mkfifo "$root/bin/"
cp /usr/share/whalefall/images/web/web "$root/"
for library in $(ldd /bin/dash /usr/bin/mkfifo | grep -o '/[^ ]*[.]so[^ ]*' | sort -u); do
    mkdir -p "$root${library%/*}"
    cp "$library" "$root$library"
done
# Ends with the status that is written into /end, as if by itself; SIGTERM ends it as well.
cat >"$root/run" <<'END'
trap 'exit 143' TERM
mkfifo /end
/web &
while ! read -r status </end; do :; done
exit "$status"
END
tar --create --directory "$root" . | docker import --change 'ENTRYPOINT ["/bin/sh", "/run"]' --change 'EXPOSE 80' - "$image" >/dev/null
"""
_STOPPED = r"""
set -eu
systemctl stop marathon mesos-agent mesos-master
pkill -CONT -x dockerd || true
systemctl start zookeeper docker
docker ps --all --quiet --filter name=^/mesos- | xargs -r docker rm --force >/dev/null
rm -rf /data/mesos
for chain in INPUT OUTPUT; do
    iptables --list "contract-$chain" --numeric >/dev/null 2>&1 || iptables --new-chain "contract-$chain"
    iptables --check "$chain" --jump "contract-$chain" 2>/dev/null || iptables --insert "$chain" --jump "contract-$chain"
    iptables --flush "contract-$chain"
done
"""
_FLAGS = 'set -eu; printf "FLAGS=%s\\n" "$2" >"/etc/default/$1"'


class Machines:
    """Three nodes that were formed in the mesos mode, with what is on each of them by the contracts' names."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.nodes = cluster.nodes
        self.ensemble = ",".join(f"{each.address}:{CLIENT_PORT}" for each in cluster.nodes)
        self.homes = {f"m{number}": node for number, node in enumerate(self.nodes, 1)}
        self.homes |= {f"a{number}": node for number, node in enumerate(reversed(self.nodes), 1)}
        hosts = "\n".join(f"{node.address} {name}" for name, node in self.homes.items())
        together(self.nodes, lambda node: sh(node, _SETTLED, hosts), "leaving the daemons to the contract")
        cluster.mode.deploy(cluster, App("web", 0))
        together(self.nodes, lambda node: sh(node, _IMAGE, IMAGE), "making the contract's image")

    def clean(self) -> None:
        """Stop all daemons, and leave nothing of what they had."""
        together(self.nodes, lambda node: sh(node, _STOPPED), "cleaning up after a promise")

    def cut(self, node: Node, rules: Iterable[tuple[str, str]]) -> None:
        """Drop what the rules say, each of a chain (INPUT or OUTPUT)."""
        sh(node, "set -eu\n" + "\n".join(f"iptables --append contract-{chain} {rule} --jump DROP" for chain, rule in rules))

    def heal(self) -> None:
        """Let everything through again."""
        script = "iptables --flush contract-INPUT; iptables --flush contract-OUTPUT"
        together(self.nodes, lambda node: sh(node, script), "letting everything through")

    def reboot(self, node: Node) -> None:
        """Take a node's power, and give it back."""
        power = self.cluster.can(Power)
        power.off(node)
        power.on(node)

        def answers() -> bool:
            return node.run("sh", "-c", "systemctl is-active zookeeper docker", timeout=30.0).ok

        wait_until(answers, awaited=f"{node.name} to be up again", seconds=120.0, clock=self.cluster.clock, every=0.5)
        sh(node, _STOPPED.partition("rm -rf")[0].partition("docker ps")[0] + _STOPPED.partition("rm -rf /data/mesos\n")[2])


def sh(node: Node, script: str, *arguments: str) -> str:
    """Run a script on a node, and return what it said. Fails with what it said where it fails."""
    done = node.run("sh", "-c", script, "sh", *arguments, timeout=_SCRIPT_SECONDS)
    assert done.ok, f"{node.name}: {done.err.decode(errors='replace')}{done.text}"
    return done.text


def _cut_agent() -> list[tuple[str, str]]:
    """Return what keeps an agent and all masters apart, also one on its own node, and lets whoever tests go on asking it."""
    return [
        ("INPUT", f"--protocol tcp --dport {AGENT} ! --source {GATEWAY}"),
        ("INPUT", f"--protocol tcp --sport {MASTER}"),
        ("OUTPUT", f"--protocol tcp --dport {MASTER}"),
        ("OUTPUT", f"--protocol tcp --sport {AGENT} ! --destination {GATEWAY}"),
    ]


class NodesOfMesos:
    """Masters `m1`… on n1…, agents `a1`… on the last nodes: see `mesos_contract.cluster.MesosCluster`. Made in a running event loop."""

    image = IMAGE

    def __init__(
        self,
        machines: Machines,
        *,
        masters: int,
        agents: int,
        master_flags: Mapping[str, str] | None = None,
        agent_flags: Mapping[str, str] | None = None,
    ) -> None:
        self._machines = machines
        there = [f"m{number}" for number in range(1, masters + 1)] + [f"a{number}" for number in range(1, agents + 1)]
        self._homes = {name: machines.homes[name] for name in there}
        self._flags = {"m": dict(master_flags or {}), "a": {"resources": "cpus:2;mem:2048", **(agent_flags or {})}}
        self.zookeeper = f"zk://{machines.ensemble}/mesos-{next(_NUMBERS)}"
        self._network = AiohttpNetwork()

    @property
    def network(self) -> Network:
        """This machine's, inside the cluster's."""
        return self._network

    @property
    def masters(self) -> Mapping[str, str]:
        """Where each master's API is."""
        return {name: f"http://{node.address}:{MASTER}" for name, node in self._homes.items() if name.startswith("m")}

    @property
    def agents(self) -> Mapping[str, str]:
        """Where each agent's API is."""
        return {name: f"http://{node.address}:{AGENT}" for name, node in self._homes.items() if name.startswith("a")}

    async def form(self) -> None:
        """Start everything, the first master first, and return once each answers."""
        await asyncio.to_thread(self._machines.clean)
        for name in self._homes:
            await self.start(name)
        for url in (*self.masters.values(), *self.agents.values()):

            async def answers(url: str = url) -> bool:
                return bool((await self.network.ask("GET", f"{url}/health", within=asking.ASK)).status)

            await asking.eventually(answers, _STARTS_WITHIN, f"{url} answers")

    async def close(self) -> None:
        """Ask nothing more."""
        await self._network.close()

    async def start(self, name: str, flags: Mapping[str, str] | None = None) -> None:
        """Write the flags, and start the unit."""
        node, unit = self._homes[name], _UNITS[name[0]]
        own = (
            {"zk": self.zookeeper, "quorum": "1"} if name.startswith("m") else {"master": self.zookeeper, "containerizers": "docker,mesos"}
        )
        work = f"/data/mesos/{unit}"
        given = {**own, "work_dir": work, "ip": node.address, "hostname": name, **self._flags[name[0]], **(flags or {})}
        words = " ".join(f"--{flag}={value}" for flag, value in given.items())
        script = f"{_FLAGS}; mkdir -p {work}; systemctl reset-failed $1 2>/dev/null || true; systemctl start $1"
        await asyncio.to_thread(sh, node, script, unit, words)

    def runs(self, name: str) -> bool:
        """Ask systemd."""
        return self._homes[name].run("systemctl", "is-active", "--quiet", _UNITS[name[0]]).ok

    async def kill(self, name: str) -> None:
        """Kill the unit's main process."""
        script = "systemctl kill --signal=KILL --kill-whom=main $1; while systemctl is-active --quiet $1; do sleep 0.1; done"
        await asyncio.to_thread(sh, self._homes[name], script, _UNITS[name[0]])

    async def reboot(self, name: str) -> None:
        """Take the node's power."""
        await asyncio.to_thread(self._machines.reboot, self._homes[name])
        await self.start(name)

    async def wipe(self, name: str) -> None:
        """Empty the work_dir."""
        await asyncio.to_thread(sh, self._homes[name], f"rm -rf /data/mesos/{_UNITS[name[0]]}")

    async def split(self, name: str, *others: str) -> None:
        """Cut an agent off from all masters."""
        assert name.startswith("a"), "only agents are cut off here"
        assert not others, "from all masters alone"
        await asyncio.to_thread(self._machines.cut, self._homes[name], _cut_agent())

    async def heal(self) -> None:
        """Let everything through."""
        await asyncio.to_thread(self._machines.heal)

    async def cut_zookeeper(self, name: str) -> None:
        """Cut all clients of ZooKeeper's on the daemon's node off, from all members."""
        rules = [("OUTPUT", f"--protocol tcp --dport {CLIENT_PORT}"), ("INPUT", f"--protocol tcp --sport {CLIENT_PORT}")]
        await asyncio.to_thread(self._machines.cut, self._homes[name], rules)

    async def stop_zookeeper(self) -> None:
        """Kill two members of three."""
        await asyncio.to_thread(together, self._machines.nodes[1:], lambda node: sh(node, "systemctl stop zookeeper"), "stopping ZooKeeper")

    async def start_zookeeper(self) -> None:
        """Start them."""
        await asyncio.to_thread(
            together, self._machines.nodes[1:], lambda node: sh(node, "systemctl start zookeeper"), "starting ZooKeeper"
        )

    async def hang_docker(self, name: str, *, but_version: bool = False) -> None:
        """Stop dockerd by SIGSTOP."""
        assert not but_version, "a Docker that answers for its version alone is a double"
        await asyncio.to_thread(sh, self._homes[name], "pkill -STOP -x dockerd")

    async def restart_docker(self, name: str) -> None:
        """Restart it, and its containers end."""
        await asyncio.to_thread(sh, self._homes[name], "systemctl restart docker")

    async def reset(self, name: str) -> None:
        """Break connections: doubles alone can."""
        raise AssertionError(f"the connections of {name} cannot be broken here")

    async def thaw_docker(self, name: str) -> None:
        """Let it go on."""
        await asyncio.to_thread(sh, self._homes[name], "pkill -CONT -x dockerd")

    async def containers(self, name: str) -> list[str]:
        """Ask Docker."""
        told = await asyncio.to_thread(sh, self._homes[name], "docker ps --format '{{.Names}}' --filter name=^/mesos-")
        return told.split()

    async def exit_container(self, name: str, container: str, status: int) -> None:
        """Tell its shell to end."""
        await asyncio.to_thread(sh, self._homes[name], 'docker exec --detach "$1" sh -c "echo $2 >/end"', container, str(status))


class NodesOfMarathon:
    """Marathon, a master and an agent on each of three nodes: see `marathon_contract.cluster.Cluster`. Made in a running event loop."""

    checks = frozenset({"HTTP", "COMMAND"})

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._mesos = NodesOfMesos(machines, masters=3, agents=3, agent_flags={"resources": "cpus:4;mem:4096;ports:[31000-32000]"})
        self._nodes = {name: node for name, node in machines.homes.items() if name.startswith("a")}
        self._path = f"marathon-{next(_NUMBERS)}"

    @property
    def network(self) -> Network:
        """This machine's, inside the cluster's."""
        return self._mesos.network

    @property
    def marathons(self) -> Sequence[str]:
        """The URL of every Marathon."""
        return [f"http://{node.address}:{MARATHON}" for node in self._machines.nodes]

    @property
    def hosts(self) -> Sequence[str]:
        """The host name of every agent."""
        return [*self._nodes]

    async def form(self) -> None:
        """Start everything."""
        await self._mesos.form()
        await asyncio.to_thread(together, self._machines.nodes, self._start, "starting Marathon")
        await asking.active(self._mesos, len(self._nodes), 60.0)

    def _start(self, node: Node) -> None:
        mesos = self._mesos.zookeeper
        words = f"--master {mesos} --zk {mesos.rpartition('/')[0]}/{self._path} --hostname {node.address} --http_port {MARATHON}"
        sh(node, f"{_FLAGS}; systemctl reset-failed $1 2>/dev/null || true; systemctl start $1", "marathon", words)

    async def close(self) -> None:
        """Ask nothing more."""
        await self._mesos.close()

    def app(self, name: str, **fields: Any) -> dict[str, Any]:
        """Return a definition of an app of the contract's image."""
        container = fields.get("container") or {"type": "DOCKER", "docker": {}}
        docker = {**container["docker"], "image": IMAGE}
        bridged = {"network": "BRIDGE", "portMappings": [{"containerPort": 80, "hostPort": 0}]}
        if "portDefinitions" not in fields and "network" not in docker:
            docker = bridged | docker
        made = {"id": name, "cpus": 0.1, "mem": 32, "instances": 1, "taskKillGracePeriodSeconds": 2}
        return {key: value for key, value in {**made, **fields, "container": {**container, "docker": docker}}.items() if value is not None}

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _tell_docker(self, word: str, task: str) -> None:
        script = 'found=$(docker ps --quiet --filter "label=MESOS_TASK_ID=$2"); [ -z "$found" ] || docker "$1" $found >/dev/null'
        await asyncio.to_thread(together, self._machines.nodes, lambda node: sh(node, script, word, task), f"docker {word}")

    async def end(self, task: str) -> None:
        """Kill its container."""
        await self._tell_docker("kill", task)

    async def lose(self, host: str) -> None:
        """Cut the agent off, until the leading master calls it unreachable."""
        await self._mesos.split(host)

        async def unreachable() -> bool:
            return await asking.metric(self._mesos, "master/slaves_unreachable") > 0

        await asking.eventually(unreachable, 110.0, f"{host} is unreachable")

    async def find(self, host: str) -> None:
        """Let it through."""
        del host
        await self._mesos.heal()

    async def give_up(self, host: str) -> None:
        """Mark the agent gone by the operator API."""
        agent = (await asking.agents_of(self._mesos))[host]["id"]
        call = {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": agent}}}
        url = self._mesos.masters[await asking.led(self._mesos)]
        await self.network.ask("POST", f"{url}/api/v1", json.dumps(call).encode(), {"Content-Type": "application/json"}, within=10.0)

    async def hang_docker(self, host: str) -> None:
        """Stop dockerd."""
        await self._mesos.hang_docker(host)

    async def running_on(self, host: str) -> Sequence[str]:
        """Ask Docker for the label that Marathon's tasks have."""
        told = await asyncio.to_thread(sh, self._nodes[host], "docker ps --format '{{.Label \"MESOS_TASK_ID\"}}' --filter name=^/mesos-")
        return told.split()

    async def _leader(self) -> Node | None:
        for url in self.marathons:
            try:
                told = await self.network.ask("GET", f"{url}/v2/leader", within=5.0)
            except UnreachableError:
                continue
            if told.status == 200:
                at = str(told.json()["leader"]).partition(":")[0]
                return next(node for node in self._machines.nodes if node.address == at)
        return None

    async def crash_leader(self) -> None:
        """Kill it; systemd starts it again."""
        if (node := await self._leader()) is not None:
            await asyncio.to_thread(sh, node, "systemctl kill --signal=KILL marathon")

    async def replace_master(self) -> None:
        """Kill the leading master, and start it again once another one leads."""
        name = await asking.led(self._mesos)
        await self._mesos.kill(name)
        await asking.led(self._mesos, 60.0, but=name)
        await self._mesos.start(name)

    async def cut_zookeeper(self, url: str, seconds: float) -> None:
        """Cut it off for so long, and nothing else on its node: it is a user of its own."""
        node = next(each for each in self._machines.nodes if each.address in url)
        owned = [("OUTPUT", f"--protocol tcp --dport {CLIENT_PORT} --match owner --uid-owner nobody")]
        await asyncio.to_thread(self._machines.cut, node, owned)
        await asyncio.sleep(seconds)
        await self._mesos.heal()

    async def sicken(self, task: str, *, healthy: bool) -> None:
        """Have its container stand still: it answers nobody, and runs no command."""
        await self._tell_docker("unpause" if healthy else "pause", task)
