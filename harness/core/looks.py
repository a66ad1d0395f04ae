"""What is asked of a node for a scenario's checks: typed questions, each with three kinds of answer.

A question names a kind of thing, and nothing of another kind answers it: an image, a network or a volume is no container, a folder is no file. "It is
not there" is an answer; anything else than an answer raises. Nothing but the kernel, systemd and Docker is asked: no list of processes, sockets or
files is made of a tool's output for people, and a tool that fails has said nothing.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.core import pace
from harness.core.errors import CommandFailed, Unreachable

if TYPE_CHECKING:
    from harness.core.protocols import Node
    from harness.core.values import Json, Result

SECONDS = 10.0
"""How long one command may take before the node counts as unreachable."""
COMM = 15
"""Longest process name that the kernel keeps, in bytes; the rest of a longer one is cut off."""
MOST_BYTES = 1_000_000
"""Bytes of a file that are read at most where its content is asked for, and of what Docker says of a thing."""

_NOT_FOUND = 127  # a shell's, for a program that is not there
_SHORT_ID = 12  # digits of an id, as Docker shows it
_ENABLED = {"enabled", "enabled-runtime", "static", "indirect", "alias", "generated", "transient"}
"""States in which `systemctl is-enabled` says yes."""
_SUFFIX = re.compile(r"\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$")
_STAT = re.compile(r"([^/]+)/([^/]*)/(\d+)/([^/]*)/(\d+)/([0-7]+)/(\d+)")
"""What `stat` says of a file when it is asked for kind, user, group, mode and size."""
_ABSENT_WORDS = (b"No such file or directory", b"Not a directory")


@dataclass(frozen=True, slots=True)
class Absent:
    """There is nothing of which a property could be told."""

    why: str = "does not exist"


Seen: TypeAlias = "Json | Absent"
Look: TypeAlias = Callable[["Node", str, Mapping[str, "Json"]], Mapping[str, Callable[[], Seen]]]
"""Looks at one thing on a node, given what is expected of it, and returns how to ask each property. Raises for what cannot be asked."""


def service(node: Node, name: str, expect: Mapping[str, Json]) -> Mapping[str, Callable[[], Seen]]:  # noqa: ARG001 - one shape
    """Ask systemd of a unit; a name without a suffix is a service's."""
    unit = name if _SUFFIX.search(name) else f"{name}.service"
    wanted = ("LoadState", "ActiveState", "UnitFileState")
    out = _must(node, "systemctl", "show", f"--property={','.join(wanted)}", "--", unit)
    told = dict(line.partition("=")[::2] for line in out.text.splitlines())
    if set(wanted) - set(told):
        raise Unreachable(node.name, f"systemctl show {unit}", f"an answer that is none: {out.text[:200]!r}")
    there = told["LoadState"] != "not-found"

    def valid() -> Seen:
        done = node.run("systemd-analyze", "verify", unit, timeout=pace.limit(SECONDS))
        if done.exit == _NOT_FOUND:
            raise _failed(node, done)
        return done.ok and not (done.out + done.err).strip()

    return {
        "exists": lambda: there,
        "is_running": lambda: told["ActiveState"] in {"active", "reloading"} if there else Absent(),
        "is_enabled": lambda: told["UnitFileState"] in _ENABLED if there else Absent(),
        "is_masked": lambda: told["LoadState"] == "masked" if there else Absent(),
        "is_valid": lambda: valid() if there else Absent(),
    }


def process(node: Node, name: str, expect: Mapping[str, Json]) -> Mapping[str, Callable[[], Seen]]:  # noqa: ARG001 - one shape
    """Look at all processes of a name, by the kernel's own word. Zombies are not counted: nothing of them runs."""
    out = node.run("/bin/sh", "-c", "grep -s -e ^Name: -e ^State: -e ^Uid: -e ^Gid: /proc/[0-9]*/status", timeout=pace.limit(SECONDS))
    found: dict[str, dict[str, list[str]]] = {}
    for line in out.text.splitlines():
        path, _, rest = line.partition(":")
        key, _, value = rest.partition(":")
        found.setdefault(path, {})[key] = [value.strip("\t")] if key == "Name" else value.split()  # a name may have blanks in it
    if "/proc/1/status" not in found:  # a process may end while it is looked at, so the status of grep says nothing
        raise _failed(node, out)
    alive = [
        each for each in found.values() if each.get("Name", [""])[:1] == [_comm(name)] and each.get("State", ["X"])[0] not in {"Z", "X"}
    ]

    def who(key: str, table: str) -> Seen:
        if not alive:
            return Absent()
        numbers = {each[key][1] for each in alive if key in each}
        names = {parts[2]: parts[0] for line in _must(node, "getent", table).text.splitlines() if len(parts := line.split(":")) > 2}  # noqa: PLR2004
        return ", ".join(sorted(names.get(number, number) for number in numbers))

    return {
        "is_running": lambda: bool(alive),
        "count": lambda: len(alive),
        "user": lambda: who("Uid", "passwd"),
        "group": lambda: who("Gid", "group"),
    }


@dataclass(frozen=True, slots=True)
class Address:
    """Where a socket listens: `path` of a Unix socket, or a port on one address or on all."""

    protocol: str  # tcp, udp, unix
    host: str = ""  # empty: all of them
    port: int = 0
    path: str = ""


ADDRESS = "unix:///PATH, tcp://PORT, tcp://ADDRESS:PORT, or the same with udp"
"""What is expected as the name of a socket."""


def _comm(name: str) -> str:
    """Return a process's name as /proc/PID/status has it: cut, and with what would end its line written as an escape."""
    cut = name.encode(errors="surrogateescape")[:COMM].replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    return cut.decode(errors="replace")


def address(text: str) -> Address:
    """Read a socket's name. Raises `ValueError`."""
    protocol, _, rest = text.partition("://")
    if protocol == "unix" and rest.startswith("/"):
        return Address("unix", path=rest)
    host, _, port = rest.rpartition(":")
    if protocol not in {"tcp", "udp"} or not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004 - ports
        raise ValueError(f"{text!r} is no name of a socket")
    return Address(protocol, _host(host.strip("[]")) if host else "", int(port))


def _host(text: str) -> str:
    """Spell an address in one way. IPv4 in the clothes of IPv6, as Java's programs listen, is IPv4: who calls one reaches the other."""
    found = ipaddress.ip_address(text)
    return str(getattr(found, "ipv4_mapped", None) or found)


def listening(node: Node, name: str, expect: Mapping[str, Json]) -> Mapping[str, Callable[[], Seen]]:  # noqa: ARG001 - one shape
    """Ask the kernel for a socket that listens. Without an address it must listen on all: on ``::``, or on ``0.0.0.0`` where there is no IPv6."""
    where = address(name)
    if where.protocol == "unix":
        paths = _unix(_table(node, _must(node, "cat", "/proc/net/unix")))
        return {"is_listening": lambda: where.path in paths}
    four = _inet(_table(node, _must(node, "cat", f"/proc/net/{where.protocol}")))
    done = node.run("cat", f"/proc/net/{where.protocol}6", timeout=pace.limit(SECONDS))
    if not done.ok and _ABSENT_WORDS[0] not in done.err:
        raise _failed(node, done)
    six = _inet(_table(node, done)) if done.ok else None
    hosts = {host for host, port in (*four, *(six or ())) if port == where.port}

    def there() -> bool:
        if not where.host:
            return "::" in hosts or ("0.0.0.0" in hosts and six is None)  # noqa: S104 - looked for, not bound
        every = {"::"} if ":" in where.host else {"::", "0.0.0.0"}  # noqa: S104 - same
        return bool(hosts & {where.host, *every})

    return {"is_listening": there}


PEER = "tcp://ADDRESS:PORT"
"""What is expected as the name of a peer."""
_KNOCK_SECONDS = 3.0
"""How long a connection may take: a dropped packet is sent again after one second, and after three."""
# Says what came of one connection, and nothing where it could not even be tried, as without a network.
_KNOCK = """
import errno, socket, sys
host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
try:
    socket.create_connection((host, port), timeout=seconds).close()
    print("open")
except TimeoutError:
    print("silent")
except OSError as error:
    if error.errno not in {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ECONNRESET}:
        raise
    print("closed")
"""


def peer_of(text: str) -> Address:
    """Read a peer's name: a TCP port at an address. Raises `ValueError`."""
    where = address(text)
    if where.protocol != "tcp" or not where.host:
        raise ValueError(f"{text!r} is no name of a peer")
    return where


def peer(node: Node, name: str, expect: Mapping[str, Json]) -> Mapping[str, Callable[[], Seen]]:  # noqa: ARG001 - one shape
    """Connect from the node to a TCP port elsewhere. Nothing is said there: whether the port takes connections from this node is all."""
    where = peer_of(name)
    seconds = pace.limit(_KNOCK_SECONDS)

    def reachable() -> bool:
        asked = ("python3", "-c", _KNOCK, where.host, str(where.port), f"{seconds:g}")
        done = node.run(*asked, timeout=seconds + pace.limit(SECONDS))
        if not done.ok:
            raise _failed(node, done)
        if done.text.strip() not in {"open", "silent", "closed"}:
            raise Unreachable(node.name, f"a connection to {name}", f"an answer that is none: {done.text[:200]!r}")
        return done.text.strip() == "open"

    return {"is_reachable": reachable}


def file(node: Node, path: str, expect: Mapping[str, Json]) -> Mapping[str, Callable[[], Seen]]:
    """Look at a path, links followed. Only "no such file" is one that is not there: a disk that gives an error has not said so."""
    done = node.run("env", "LC_ALL=C", "stat", "-L", "-c", "%F/%U/%u/%G/%g/%a/%s", "--", path, timeout=pace.limit(SECONDS))
    there = _there(node, done)
    found = _STAT.fullmatch(done.text.strip())
    if there and found is None:
        raise Unreachable(node.name, f"stat {path}", f"an answer that is none: {done.text[:200]!r}")
    kind, user, uid, group, gid, mode, size = found.groups() if there and found is not None else [""] * 7
    plain = kind.startswith("regular")

    def of(value: Callable[[], Seen]) -> Callable[[], Seen]:
        return lambda: value() if there else Absent()

    def content(value: Callable[[], Seen]) -> Callable[[], Seen]:
        return lambda: (value() if plain else Absent(f"is a {kind}, and no file")) if there else Absent()

    def link() -> Seen:
        own = node.run("env", "LC_ALL=C", "stat", "-c", "%F", "--", path, timeout=pace.limit(SECONDS))
        return _there(node, own) and own.text.strip() == "symbolic link"

    def digest(tool: str) -> Seen:
        said = _must(node, tool, "--", path).text
        if (found := re.match(r"\\?([0-9a-f]{32,}) ", said)) is None:
            raise Unreachable(node.name, f"{tool} {path}", f"an answer that is none: {said[:200]!r}")
        return found[1]

    def contains() -> Seen:
        text = str(expect["contains"])
        found = node.run("grep", "-q", "-e", text, "--", path, timeout=pace.limit(SECONDS))
        if found.exit > 1:
            raise _failed(node, found)
        return text if found.ok else f"no line that matches {text!r}"

    return {
        "exists": lambda: there,
        "is_file": of(lambda: plain),
        "is_directory": of(lambda: kind == "directory"),
        "is_pipe": of(lambda: kind == "fifo"),
        "is_socket": of(lambda: kind == "socket"),
        "is_symlink": link,
        "is_executable": of(lambda: plain and int(mode, 8) & 0o111 != 0),
        "linked_to": of(lambda: _must(node, "readlink", "-f", "--", path).text.rstrip("\n")),
        "user": of(lambda: user),
        "uid": of(lambda: int(uid)),
        "group": of(lambda: group),
        "gid": of(lambda: int(gid)),
        "mode": of(lambda: int(mode, 8)),
        "size": of(lambda: int(size)),
        "contains": content(contains),
        "content_string": content(lambda: _must(node, "head", "-c", str(MOST_BYTES), "--", path).text),
        "md5sum": content(lambda: digest("md5sum")),
        "sha256sum": content(lambda: digest("sha256sum")),
    }


def docker(kind: str) -> Look:
    """Return a look at what Docker has of one kind: container, image, network, volume. What has the name and is of another kind is not it.

    Whether a container really runs is the observers' business, who need no daemon for it.
    """

    def look(node: Node, name: str, expect: Mapping[str, Json]) -> Mapping[str, Callable[[], Seen]]:  # noqa: ARG001 - one shape
        body = _inspected(node, kind, name)

        def of(wanted: type, *path: str) -> Callable[[], Seen]:
            return lambda: _part(node, kind, body, wanted, *path) if body is not None else Absent()

        def called() -> Seen:
            found = of(str, "Name")()
            return found.removeprefix("/") if isinstance(found, str) else found

        return {
            "exists": lambda: body is not None,
            "is_running": of(bool, "State", "Running"),
            "is_restarting": of(bool, "State", "Restarting"),
            "name": called,
            "driver": of(str, "Driver"),
        }

    return look


def _inspected(node: Node, kind: str, name: str) -> Mapping[str, Any] | None:
    """Return what Docker says of a thing; None where it says that there is none. Raises where it says anything else, or nothing."""
    done = node.run("docker", "inspect", "--type", kind, "--", name, timeout=pace.limit(SECONDS))
    if not done.ok:
        said = done.err.decode(errors="replace").lower()
        if any(words in said for words in (f"no such {kind}", "no such object", f"{kind} {name} not found".lower())):
            return None
        raise _failed(node, done)
    if len(done.out) > MOST_BYTES:  # what a few more bytes are made into has no bound
        raise Unreachable(node.name, f"docker inspect {name}", f"an answer of {len(done.out)} bytes, where it takes some thousand")
    try:
        (body,) = json.loads(done.text)
        # Docker also takes the start of an id for a name.
        own = {body["Id"] if kind == "image" else body["Name"].removeprefix("/")}
        if kind == "image":
            own = {_image(str(each)) for key in ("RepoTags", "RepoDigests") for each in body.get(key) or ()}
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError) as error:
        raise Unreachable(node.name, f"docker inspect {name}", f"an answer that is none: {done.text[:200]!r}") from error
    by_id = len(name) >= _SHORT_ID and str(body.get("Id", "")).removeprefix("sha256:").startswith(name.removeprefix("sha256:"))
    return body if (_image(name) if kind == "image" else name) in own or by_id else None


def _part(node: Node, kind: str, body: Mapping[str, Any], wanted: type, *path: str) -> Any:
    """Return a part of what Docker says of a thing. Raises `Unreachable` where it is not there, or is something else."""
    found: Any = body
    for each in path:
        found = found.get(each) if isinstance(found, dict) else None
    if not isinstance(found, wanted):
        raise Unreachable(node.name, f"docker inspect, a {kind}'s {'.'.join(path)}", f"an answer that is none: {found!r:.200}")
    return found


def _image(name: str) -> str:
    """Return the whole name of an image: Docker takes ``web`` for ``docker.io/library/web:latest``, and shows it so."""
    where, slash, rest = name.partition("/")
    if not slash or not (set(where) & set(".:") or where == "localhost"):
        where, rest = "docker.io", name
    if where in {"docker.io", "index.docker.io"} and "/" not in rest:
        rest = f"library/{rest}"
    if "@" in rest:  # a digest says all that a tag beside it says
        bare, _, digest = rest.partition("@")
        head, colon, last = bare.rpartition("/")
        rest = f"{head}{colon}{last.partition(':')[0]}@{digest}"
    elif ":" not in rest.rpartition("/")[2]:
        rest += ":latest"
    return f"{where.removeprefix('index.')}/{rest}"


LOOKS: Mapping[str, Look] = {
    "service": service,
    "process": process,
    "socket": listening,
    "peer": peer,
    "file": file,
    **{kind: docker(kind) for kind in ("container", "image", "network", "volume")},
}
"""For each kind of thing that can be checked, who looks at it."""


def _must(node: Node, *argv: str) -> Result:
    """Return what a command says that must end well. Raises `CommandFailed` or `Unreachable`."""
    done = node.run(*argv, timeout=pace.limit(SECONDS))
    if not done.ok:
        raise _failed(node, done)
    return done


def _failed(node: Node, done: Result) -> CommandFailed:
    hint = f"the node has no {done.argv[0]}" if done.exit == _NOT_FOUND else ""
    return CommandFailed(node.name, done.argv, done.exit, done.err.decode(errors="replace"), hint)


def _there(node: Node, done: Result) -> bool:
    if done.ok:
        return True
    if any(words in done.err for words in _ABSENT_WORDS):
        return False
    raise _failed(node, done)


def _table(node: Node, done: Result) -> list[str]:
    """Return the lines of a table of the kernel's, without its head."""
    head, *lines = done.text.splitlines() or [""]
    if "local_address" not in head and not head.startswith("Num"):
        raise Unreachable(node.name, " ".join(done.argv), f"an answer that is none: {done.text[:200]!r}")
    return lines


def _inet(table: Sequence[str]) -> set[tuple[str, int]]:
    """Return the addresses and ports on which sockets of /proc/net/tcp, tcp6, udp or udp6 listen (udp: are not connected)."""
    found = set()
    for words in (line.split() for line in table):
        if len(words) > 3 and words[3] in {"0A", "07"}:  # noqa: PLR2004 - address, peer, state: TCP_LISTEN, or UDP's only state without a peer
            raw, _, port = words[1].partition(":")
            whole = b"".join(struct.pack("=I", int(raw[start : start + 8], 16)) for start in range(0, len(raw), 8))
            family = socket.AF_INET if len(whole) == 4 else socket.AF_INET6  # noqa: PLR2004 - bytes of IPv4
            found.add((_host(socket.inet_ntop(family, whole)), int(port, 16)))
    return found


def _unix(table: Sequence[str]) -> set[str]:
    """Return the paths on which sockets of /proc/net/unix listen (datagrams: are bound)."""
    found = set()
    for words in (line.split(None, 7) for line in table):
        if len(words) == 8 and (int(words[3], 16) & 0x10000 or words[4] == "0002"):  # noqa: PLR2004 - __SO_ACCEPTCON, SOCK_DGRAM
            found.add(words[7])
    return found
