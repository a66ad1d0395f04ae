"""How a machine is reached over SSH: what a provider keeps in its records, and what an SSH configuration says. Nothing here connects."""

from __future__ import annotations

import functools
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import BadInput, HarnessError
from harness.host import surroundings, untrusted
from harness.nodes.ssh.config import SshConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.errors import Problem
    from harness.core.values import Json
    from harness.nodes.ssh.config import Said

SSH_PORT = 22
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
USER_CONFIG = Path("~/.ssh/config")
_HOP = re.compile(r"(?:(?P<user>[^@]+)@)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:@\[\]]+))(?::(?P<port>\d+))?")
BIGGEST = 1 << 20
"""Bytes of an SSH configuration at most."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one machine. Holds no secret: a private key is named by its file."""

    host: str  # name or address to connect to
    port: int = SSH_PORT
    user: str = "root"  # anybody else runs commands through `sudo -n`
    key: Path | None = None  # private key file; None: the agent's keys and the default ones, as ssh tries them
    host_keys: tuple[str, ...] = ()  # "ssh-ed25519 AAAA…" lines, nothing else is accepted; empty: the known_hosts files must know the host
    jump: str | None = None  # user@host:port of a bastion, or several with commas, the first one first, as ProxyJump
    bastions: tuple[Access, ...] = ()  # how each of those is reached, where an SSH configuration says it; else with this one's key

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON for a provider's records."""
        body = asdict(self)
        return {
            **body,
            "key": None if self.key is None else str(self.key),
            "host_keys": list(self.host_keys),
            "bastions": [each.to_json() for each in self.bastions],
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Json]) -> Access:
        """Return what `to_json` wrote. Raises `HarnessError` for anything else."""
        try:
            known = {name: body[name] for name in ("host", "port", "user", "key", "host_keys", "jump", "bastions")}
            pins, port, bastions = known["host_keys"], known["port"], known["bastions"]
            if not isinstance(pins, list) or not isinstance(port, int) or not isinstance(bastions, list):
                raise TypeError("host_keys and bastions are lists, port a number")
            if not all(isinstance(each, dict) for each in bastions):
                raise TypeError("bastions are machines")
            return cls(
                host=str(known["host"]),
                port=port,
                user=str(known["user"]),
                key=None if known["key"] is None else Path(str(known["key"])),
                host_keys=tuple(str(each) for each in pins),
                jump=None if known["jump"] is None else str(known["jump"]),
                bastions=tuple(cls.from_json(each) for each in bastions if isinstance(each, dict)),
            )
        except (KeyError, TypeError, ValueError) as e:
            raise HarnessError(f"a record of how a machine is reached cannot be used: {e!r} is wrong in {sorted(body)}") from e

    @property
    def where(self) -> str:
        """The place in words: ``user@host``, with the port where it is not 22."""
        return f"{self.user}@{self.host}" + (f":{self.port}" if self.port != SSH_PORT else "")

    def hop(self) -> Access | None:
        """Return how the last bastion on the way is reached, itself through those before it; None without one. Raises `HarnessError`."""
        if self.jump is None:
            return None
        before, _, last = self.jump.rpartition(",")
        if self.bastions:
            return replace(self.bastions[-1], jump=before or None, bastions=self.bastions[:-1])
        match = _HOP.fullmatch(last.strip())
        if match is None:
            raise HarnessError(f"{self.where}: the jump host {last!r} cannot be read; expected user@host:port")
        return Access(
            host=match["six"] or match["host"],
            port=int(match["port"] or SSH_PORT),
            user=match["user"] or surroundings.login(),
            key=self.key,
            jump=before or None,
        )


def access_from_ssh_config(name: str, config: Path | None) -> Access:
    """Return how `ssh NAME` would reach a host: HostName, Port, User, IdentityFile, UserKnownHostsFile, ProxyJump.

    `config` is a file as for ``ssh -F``; None: the user's own and the system's, those that are there. ``StrictHostKeyChecking no`` is not
    followed: the host's key must be known. Keys that UserKnownHostsFile gives for the host are pinned. Raises `BadInput` for a file that cannot be
    read, and with every line that is refused (`harness.nodes.ssh.config`).
    """
    files = [config] if config is not None else [each for each in (USER_CONFIG.expanduser(), SYSTEM_CONFIG) if untrusted.there(each)]
    parsed = _parsed(tuple((path, text_of(path)) for path in files))
    said = parsed.of(name)
    bastions = tuple(_hop_of(parsed, each.strip()) for each in said.jump.split(",")) if said.jump else ()
    return replace(_straight(said), jump=",".join(map(_spelled, bastions)) or None, bastions=bastions)


def _straight(said: Said) -> Access:
    """Return how a configuration has a machine reached, bastions left aside."""
    from harness.nodes.ssh import keys  # noqa: PLC0415 - see `harness.nodes.ssh.import_now`

    port = said.port or SSH_PORT
    candidates = [home(each) for each in said.identities]
    return Access(
        host=said.host,
        port=port,
        user=said.user or surroundings.login(),
        key=next((each for each in candidates if untrusted.there(each)), candidates[0] if candidates else None),
        host_keys=tuple(keys.lines_of(said.host, port, [home(each) for each in said.known_hosts or ()])),
    )


@functools.lru_cache(maxsize=8)
def _parsed(files: tuple[tuple[Path, str], ...]) -> SshConfig:
    """Read configurations, once for each content: a run asks for every host of the same one. Raises `BadInput`."""
    problems: list[Problem] = []
    parsed = SshConfig()
    for path, text in files:
        # Debian's own system file includes an empty folder: an Include is trouble only where somebody asked for this file.
        parsed.read(text, str(path), problems, includes=path == SYSTEM_CONFIG)
    if problems:
        raise BadInput(problems)
    return parsed


def text_of(path: Path) -> str:
    """Return the text of an SSH configuration. Raises `BadInput`."""
    return untrusted.text(untrusted.named(path, BIGGEST, "an OpenSSH configuration"), str(path))


def home(path: str) -> Path:
    """Return a path with ``~`` filled in. Raises `HarnessError` where it is the home of nobody."""
    try:
        return Path(path).expanduser()
    except RuntimeError as e:
        raise HarnessError(f"the path {path!r} names the home of a user who is not here; write it out") from e


def _hop_of(parsed: SshConfig, hop: str) -> Access:
    """Return how a bastion is reached: its name may be one that the same file explains, with a key and known hosts of its own.

    As `ssh -W` reaches it, which ProxyJump is short for; but none of its own bastions is passed before it.
    """
    match = _HOP.fullmatch(hop)
    if match is None:
        raise HarnessError(f"the SSH configuration says ProxyJump {hop!r}; expected user@host:port")
    said = parsed.of(match["six"] or match["host"])
    return _straight(replace(said, user=match["user"] or said.user, port=int(match["port"]) if match["port"] else said.port))


def _spelled(access: Access) -> str:
    return f"{access.user}@{f'[{access.host}]' if ':' in access.host else access.host}:{access.port}"
