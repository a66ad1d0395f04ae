"""What the daemons of a Mesos cluster are configured with, node by node. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.modes.mesos.marathon_api import AGENT, MARATHON, MASTER
from harness.modes.mesos.mesos_timers import INIT_TICKS, PINGS, SYNC_TICKS
from harness.modes.mesos.zookeeper import CLIENT_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.core.protocols import Node
    from harness.modes.mesos.mesos_timers import MesosTimers

PEER, ELECTION = 2888, 3888
"""Ports on which members of ZooKeeper follow, and elect."""
PORTS: Final = range(31000, 32001)
"""Ports that an agent offers: Mesos' own default."""
_RESOURCES: Final = f"cpus:4;mem:4096;disk:4096;ports:[{PORTS[0]}-{PORTS[-1]}]"
"""What an agent offers: nodes share this machine's processors, so it is no count of them."""
_PROXY: Final = """\
# Until haproxy-feeder writes another one: HAProxy starts with nobody to listen for otherwise.
global
    maxconn 1000
    user haproxy
    group haproxy

defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s

listen nothing
    bind 127.0.0.1:9090
"""


def files(node: Node, members: Sequence[Node], timers: MesosTimers) -> Mapping[str, str]:
    """Return the files that a node is to have, by their paths below the root."""
    return dict(_files(node, members, timers))


def _files(node: Node, members: Sequence[Node], timers: MesosTimers) -> Iterator[tuple[str, str]]:
    ensemble = ",".join(f"{each.address}:{CLIENT_PORT}" for each in members)
    session = f"--zk_session_timeout={_duration(timers.zk_session_timeout)}"
    place = (f"--ip={node.address}", f"--hostname={node.name}")
    number = next((number for number, each in enumerate(members, 1) if each.name == node.name), 0)
    if number:
        yield "etc/zookeeper/conf/zoo.cfg", _ensemble(members, timers)
        yield "etc/default/zookeeper", f"MYID={number}\n"
        master = [
            *(
                f"--zk=zk://{ensemble}/mesos",
                f"--quorum={len(members) // 2 + 1}",
                "--work_dir=/data/mesos/master",
                *place,
                f"--port={MASTER}",
            ),
            session,
            f"--agent_ping_timeout={_duration(timers.agent_ping_timeout)}",
            f"--max_agent_ping_timeouts={PINGS}",
            f"--agent_reregister_timeout={_duration(timers.agent_reregister_timeout)}",
        ]
        yield "etc/default/mesos-master", _flags(master)
        marathon = [
            *(f"--master zk://{ensemble}/mesos", f"--zk zk://{ensemble}/marathon", f"--hostname {node.name}", f"--http_port {MARATHON}"),
            f"--zk_session_timeout {_milliseconds(timers.zk_session_timeout)}",
            f"--reconciliation_initial_delay {_milliseconds(timers.reconciliation_initial_delay)}",
            f"--min_revive_offers_interval {_milliseconds(timers.min_revive_offers_interval)}",
        ]
        yield "etc/default/marathon", _flags(marathon)
    agent = [
        *(f"--master=zk://{ensemble}/mesos", "--containerizers=docker,mesos", "--work_dir=/data/mesos/agent", *place, f"--port={AGENT}"),
        *(session, "--recover=reconnect", f"--resources={_RESOURCES}"),
    ]
    yield "etc/default/mesos-agent", _flags(agent)
    own = sorted(members, key=lambda each: each.name != node.name)
    yield "etc/default/haproxy-feeder", _flags([f"http://{each.address}:{MARATHON}" for each in own])
    yield "etc/haproxy/haproxy.cfg", _PROXY


def _ensemble(members: Sequence[Node], timers: MesosTimers) -> str:
    """Give zoo.cfg: as ZooKeeper's own sample, but for where it keeps its data, and the web server that would take Marathon's port."""
    settings = {
        "tickTime": _milliseconds(timers.zk_tick),
        "initLimit": INIT_TICKS,
        "syncLimit": SYNC_TICKS,
        "dataDir": "/data/zookeeper",
        "clientPort": CLIENT_PORT,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "*",
        "maxClientCnxns": 0,  # all calls of a run come from one address
    }
    if len(members) > 1:
        settings |= {f"server.{number}": f"{each.address}:{PEER}:{ELECTION}" for number, each in enumerate(members, 1)}
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _flags(words: Sequence[str]) -> str:
    """Give a daemon's file in /etc/default."""
    return f"FLAGS={' '.join(words)}\n"


def _duration(seconds: float) -> str:
    """Give a time as flags of Mesos take it."""
    return f"{seconds:g}secs"


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
