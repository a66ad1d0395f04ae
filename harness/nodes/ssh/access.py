"""How a machine is reached over SSH: what a provider keeps in its records, and what an SSH configuration says. Nothing here connects."""

from __future__ import annotations

import getpass
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from harness.errors import HarnessError
from harness.nodes.ssh import keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.values import Json

SSH_PORT = 22
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
USER_CONFIG = Path("~/.ssh/config")
_HOP = re.compile(r"(?:(?P<user>[^@]+)@)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:@\[\]]+))(?::(?P<port>\d+))?")
_UNHEARD = {
    "include": "put what it includes into one file",
    "proxycommand": "use ProxyJump",
    "hostkeyalias": "give the key under the host's own name",
}
"""Directives that change where a connection goes and are not followed here, with what to do in place of each."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one machine. Holds no secret: a private key is named by its file."""

    host: str  # name or address to connect to
    port: int = SSH_PORT
    user: str = "root"  # anybody else runs commands through `sudo -n`
    key: Path | None = None  # private key file; None: the agent's keys and the default ones, as ssh tries them
    host_keys: tuple[str, ...] = ()  # "ssh-ed25519 AAAA…" lines, nothing else is accepted; empty: the known_hosts files must know the host
    jump: str | None = None  # user@host:port of a bastion, or several with commas, the first one first, as ProxyJump

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON for a provider's records."""
        body = asdict(self)
        return {**body, "key": None if self.key is None else str(self.key), "host_keys": list(self.host_keys)}

    @classmethod
    def from_json(cls, body: Mapping[str, Json]) -> Access:
        """Return what `to_json` wrote. Raises `HarnessError` for anything else."""
        try:
            known = {name: body[name] for name in ("host", "port", "user", "key", "host_keys", "jump")}
            pins, port = known["host_keys"], known["port"]
            if not isinstance(pins, list) or not isinstance(port, int):
                raise TypeError("host_keys is a list, port a number")
            return cls(
                host=str(known["host"]),
                port=port,
                user=str(known["user"]),
                key=None if known["key"] is None else Path(str(known["key"])),
                host_keys=tuple(str(each) for each in pins),
                jump=None if known["jump"] is None else str(known["jump"]),
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
        match = _HOP.fullmatch(last.strip())
        if match is None:
            raise HarnessError(f"{self.where}: the jump host {last!r} cannot be read; expected user@host:port")
        return Access(
            host=match["six"] or match["host"],
            port=int(match["port"] or SSH_PORT),
            user=match["user"] or getpass.getuser(),
            key=self.key,
            jump=before or None,
        )


def access_from_ssh_config(name: str, config: Path | None) -> Access:
    """Return how `ssh NAME` would reach a host: HostName, Port, User, IdentityFile, UserKnownHostsFile, ProxyJump.

    `config` is a file as for ``ssh -F``; None: the user's own and the system's, those that are there. ``StrictHostKeyChecking no`` is not
    followed: the host's key must be known. Keys that UserKnownHostsFile gives for the host are pinned. Raises `HarnessError` for a file that
    cannot be read, and for directives that would be followed only half (`Include`, `ProxyCommand`, `HostKeyAlias`).
    """
    files = [config] if config is not None else [each for each in (USER_CONFIG.expanduser(), SYSTEM_CONFIG) if each.exists()]
    parsed = paramiko.SSHConfig()
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
            # Debian's own system file includes an empty folder: an Include is trouble only where somebody asked for this file.
            kept = [line for line in text.splitlines() if path != SYSTEM_CONFIG or not line.strip().lower().startswith("include")]
            parsed.parse(kept)
        except (OSError, UnicodeDecodeError, paramiko.SSHException) as e:
            raise HarnessError(f"the SSH configuration {path} cannot be used: {e}") from e
    said = _look(parsed, name)
    for directive, instead in _UNHEARD.items():
        if (said.get(directive) or "none").lower() != "none":  # paramiko gives ProxyCommand none as None
            raise HarnessError(f"{name}: the SSH configuration uses {directive}, which is not followed here; {instead}")
    host, port = said.get("hostname", name), _port(name, said.get("port", str(SSH_PORT)))
    files_of_keys: object = said.get("identityfile", [])
    candidates = [Path(each).expanduser() for each in files_of_keys] if isinstance(files_of_keys, list) else []
    jump = said.get("proxyjump")
    known = [Path(each).expanduser() for each in said.get("userknownhostsfile", "").split() if each != "none"]
    return Access(
        host=host,
        port=port,
        user=said.get("user") or getpass.getuser(),
        key=next((each for each in candidates if each.exists()), candidates[0] if candidates else None),
        host_keys=tuple(keys.lines_of(host, port, known)),
        jump=None if jump is None or jump.lower() == "none" else ",".join(_hop_of(parsed, each.strip()) for each in jump.split(",")),
    )


def _look(parsed: paramiko.SSHConfig, name: str) -> Mapping[str, str]:
    try:
        return parsed.lookup(name)
    except (ImportError, paramiko.SSHException, OSError) as e:
        raise HarnessError(f"{name}: the SSH configuration cannot be followed: {e}") from e


def _port(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as e:
        raise HarnessError(f"{name}: the SSH configuration says Port {text!r}; expected a number") from e


def _hop_of(parsed: paramiko.SSHConfig, hop: str) -> str:
    """Write a bastion out: its name may be one that the same file explains."""
    match = _HOP.fullmatch(hop)
    if match is None:
        raise HarnessError(f"the SSH configuration says ProxyJump {hop!r}; expected user@host:port")
    name = match["six"] or match["host"]
    said = _look(parsed, name)
    host = said.get("hostname", name)
    user = match["user"] or said.get("user") or getpass.getuser()
    return f"{user}@{f'[{host}]' if ':' in host else host}:{match['port'] or said.get('port', SSH_PORT)}"
