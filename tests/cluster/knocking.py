"""Connections between nodes, as they come out: for tests of what a fault cuts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from harness.core.protocols import Node

PORT, OTHER_PORT = 7777, 7778

LISTEN = f"""
import select, socket
ports = [socket.create_server(("", each), backlog=64) for each in ({PORT}, {OTHER_PORT})]
print("ready", flush=True)
while True:
    for each in select.select(ports, [], [])[0]: each.accept()[0].close()
"""
"""What a node runs that takes connections on both ports; see the fixture `listening`."""

_CONNECT = """
import socket, sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.4).close()
except TimeoutError: print("silence")
except OSError as e: print("refused", e)
else: print("connected")
"""


def knock(source: Node, target: Node, port: int = PORT) -> str:
    """Try a TCP connection from one node to another, and say how it went: connected, silence, or refused and why."""
    return source.run("python3", "-c", _CONNECT, target.address, str(port)).text.strip()


def connections(nodes: Sequence[Node], port: int = PORT) -> dict[tuple[str, str], str]:
    """Try one from each node to each other, and say how each went."""
    return {(a.name, b.name): knock(a, b, port) for a, b in itertools.permutations(nodes, 2)}
