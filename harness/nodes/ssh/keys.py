"""Keys: made for machines, found for us, and checked when a machine shows its own. Nothing here connects, and no private key is ever shown."""

from __future__ import annotations

import base64
import functools
import io
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import paramiko
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from harness.core.errors import BadInput, HarnessError
from harness.host import untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Made = TypeVar("Made")

HOST_KEY = "ssh_host_ed25519_key"
"""File name of a machine's private key, as sshd looks for it in /etc/ssh; the public one ends in .pub."""
USER_KEY = "id_ed25519"
"""File name of a user's private key; the public one ends in .pub."""
KNOWN_HOSTS = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
DEFAULT_KEYS = (Path("~/.ssh/id_ed25519"), Path("~/.ssh/id_ecdsa"), Path("~/.ssh/id_rsa"))
BIGGEST_KEY = 64 << 10
"""Bytes of a key's file at most. One of RSA with 16384 bits has some 13 thousand."""
BIGGEST_KNOWN_HOSTS = 4 << 20
"""Bytes of a known_hosts file at most: some forty thousand keys."""
_ANOTHER = "name another key, or make one with `ssh-keygen -t ed25519` and let the host know it"
_RSA = ("rsa-sha2-512", "rsa-sha2-256")


def make_host_key(folder: Path) -> str:
    """Make a machine's ed25519 key pair (`HOST_KEY`, OpenSSH's format, mode 0600) in a folder and return the public line to pin.

    Raises `HarnessError` where there is one already: a key in use is never replaced.
    """
    return _make(folder / HOST_KEY)


def make_user_key(folder: Path) -> str:
    """Make a user's ed25519 key pair (`USER_KEY`), as `make_host_key` does, and return the line for authorized_keys."""
    return _make(folder / USER_KEY)


def pair() -> tuple[bytes, str]:
    """Return a new ed25519 key: the private one in OpenSSH's format, and the public line. Neither is written anywhere."""
    key = Ed25519PrivateKey.generate()
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), line


def _make(path: Path) -> str:
    body, line = pair()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, text in ((path, body), (path.with_name(f"{path.name}.pub"), f"{line}\n".encode())):
            # Private from its first instant on, whatever the umask.
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR), "wb") as out:
                out.write(text)
    except OSError as e:
        raise HarnessError(f"no key pair can be made at {path}: {e}") from e
    return line


def parse(line: str) -> paramiko.PKey:
    """Return the public key of a line ``TYPE BASE64 [COMMENT]``. Raises `HarnessError`."""
    words = line.split()
    try:
        entry = paramiko.hostkeys.HostKeyEntry.from_line(" ".join(["*", *words[:2]]))
    except Exception as e:  # whatever the libraries raise for what is damaged
        raise HarnessError(f"{line[:80]!r} is no public key ({type(e).__name__}); expected e.g. 'ssh-ed25519 AAAA…'") from e
    if entry is None:
        raise HarnessError(f"{line[:80]!r} is no public key that can be used; expected e.g. 'ssh-ed25519 AAAA…'")
    return entry.key


def expected(host: str, port: int, pinned: Sequence[str]) -> list[paramiko.PKey]:
    """Return the keys that a host may show: the pinned ones, else those that the known_hosts files have. Empty: the host is not known."""
    lines = pinned or [*lines_of(host, port, [each.expanduser() for each in KNOWN_HOSTS])]
    return [parse(each) for each in lines]


def lines_of(host: str, port: int, files: Sequence[Path]) -> Iterator[str]:
    """Yield the keys of a host in known_hosts files as public lines. A key that any of them marks as revoked, for whatever host, is left out.

    Certificate authorities are not followed. A file that is not there holds nothing. Raises `HarnessError` for one that cannot be read.
    """
    name = host if port == 22 else f"[{host}]:{port}"  # noqa: PLR2004 - known_hosts names the port only where it is not ssh's own
    trusted: dict[str, None] = {}
    revoked: set[str] = set()
    for path in files:
        for each in _known(_text(path, BIGGEST_KNOWN_HOSTS, "a known_hosts file")):
            if each.revoked:
                revoked.add(each.public)
            elif name in each.names or any(_is_hash_of(name, hashed) for hashed in each.hashed):
                trusted[each.public] = None
    yield from (each for each in trusted if each not in revoked)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of a known_hosts file."""

    names: frozenset[str]
    hashed: tuple[str, ...]  # names of which only a hash is there
    public: str  # the key as a public line
    revoked: bool


@functools.lru_cache(maxsize=4)
def _known(text: str) -> tuple[_Entry, ...]:
    """Return the lines of a known_hosts file that can be checked, read once however many hosts are looked for in it."""
    found = []
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker == "@cert-authority":  # noqa: PLR2004 - names, type, key
            continue
        with suppress(Exception):  # a key of a kind that we cannot check, or a damaged one: whatever the libraries raise
            entry = paramiko.hostkeys.HostKeyEntry.from_line(" ".join(words[:3]))
            if entry is None:
                continue
            names = frozenset(entry.hostnames)
            hashed = tuple(each for each in entry.hostnames if each.startswith("|1|"))
            found.append(_Entry(names, hashed, f"{entry.key.get_name()} {entry.key.get_base64()}", marker == "@revoked"))
    return tuple(found)


def _is_hash_of(name: str, hashed: str) -> bool:
    try:
        return bool(paramiko.HostKeys.hash_host(name, hashed) == hashed)
    except (ValueError, AssertionError):  # no hash: paramiko asserts how long its salt is
        return False


def types_of(keys: Sequence[paramiko.PKey]) -> tuple[str, ...]:
    """Return the names of the algorithms by which a host can prove that it has one of these keys."""
    names: dict[str, None] = {}
    for key in keys:
        names.update(dict.fromkeys(_RSA if key.get_name() == "ssh-rsa" else (key.get_name(),)))
    return tuple(names)


def ours(path: Path | None) -> list[paramiko.PKey]:
    """Return the private keys to try: that of the file, or the agent's and the default ones. Raises `HarnessError` where there is none.

    A file with a passphrase is used if the agent holds its key (the file's .pub says which).
    """
    if path is None:
        found = [*_agent(), *(key for each in DEFAULT_KEYS if (key := _quietly(each.expanduser())) is not None)]
        if not found:
            raise HarnessError(
                f"no key to try: no agent answers, and there is none of {', '.join(map(str, DEFAULT_KEYS))}; name a key file"
            )
        return found
    try:
        return [_read(path.expanduser())]
    except paramiko.PasswordRequiredException as e:
        public = path.with_name(f"{path.name}.pub").expanduser()
        held = [key for key in _agent() if untrusted.there(public) and key.get_base64() in _text(public, BIGGEST_KEY, "a public key")]
        if held:
            return held
        raise HarnessError(f"the key {path} has a passphrase, and no agent holds it; run ssh-add {path}") from e
    except BadInput as e:
        raise HarnessError(f"the key {path} cannot be used: {e.problems[0].found}; expected {e.problems[0].expected}; {_ANOTHER}") from e
    except OSError as e:
        raise HarnessError(f"the key {path} cannot be used: {e.strerror}; {_ANOTHER}") from e
    except ValueError as e:
        raise HarnessError(f"the key {path} cannot be used: {e}; {_ANOTHER}") from e


def _agent() -> list[paramiko.PKey]:
    try:
        return list(paramiko.Agent().get_keys())
    except (paramiko.SSHException, OSError):
        return []


def _quietly(path: Path) -> paramiko.PKey | None:
    """Return a default key that is there and needs no passphrase."""
    with suppress(OSError, ValueError, BadInput, paramiko.PasswordRequiredException):
        return _read(path)
    return None


def _read(path: Path) -> paramiko.PKey:
    """Return the private key of a file, with the certificate beside it. The library never opens a file: it would read a device to no end.

    Raises `BadInput` for what is no ordinary file of a key's size, `PasswordRequiredException` for one with a passphrase, `ValueError` for what is no
    key, and `OSError`.
    """
    body = untrusted.named(path, BIGGEST_KEY, "a private key")
    certificate = _text(path.with_name(f"{path.name}-cert.pub"), BIGGEST_KEY, "a certificate").split()
    key = _parsed("private key", lambda: _key_of(body))
    if certificate:
        _parsed("certificate beside it", lambda: key.load_certificate(paramiko.Message(base64.b64decode("".join(certificate[1:2])))))
    return key


def _key_of(body: bytes) -> paramiko.PKey:
    try:
        loaded: object = load_ssh_private_key(body, password=None)
    except ValueError:  # an older form
        loaded = load_pem_private_key(body, password=None)
    for kind, made in (
        (Ed25519PrivateKey, paramiko.Ed25519Key),
        (RSAPrivateKey, paramiko.RSAKey),
        (EllipticCurvePrivateKey, paramiko.ECDSAKey),
    ):
        if isinstance(loaded, kind):
            key: paramiko.PKey = made.from_private_key(io.StringIO(body.decode()))
            return key
    raise ValueError("a key of another kind")


def _parsed(what: str, parse: Callable[[], Made]) -> Made:
    """Return what the libraries make of a file. A damaged one makes them raise whatever comes (assertions, indices, algorithms): one `ValueError`.

    Not in their own words: those could hold something of the file.
    """
    try:
        return parse()
    except paramiko.PasswordRequiredException:
        raise
    except Exception as error:
        if isinstance(error, TypeError) and "assword" in str(error):  # what cryptography calls a missing passphrase
            raise paramiko.PasswordRequiredException("it has a passphrase") from error
        raise ValueError(f"it is no {what} that can be used ({type(error).__name__})") from error


def _text(path: Path, most: int, expected: str) -> str:
    """Return the text of a file; empty where it is not there. Raises `BadInput`."""
    return untrusted.named(path, most, expected).decode(errors="replace") if os.path.lexists(path) else ""
