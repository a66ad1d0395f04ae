"""Files that somebody's configuration names as keys and known hosts: ordinary ones of their size, or refused at once."""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_ssh_private_key

from harness.core.errors import HarnessError
from harness.nodes.ssh import keys
from harness.nodes.ssh.keys import make_user_key


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _large(path: Path) -> None:
    path.touch()
    os.truncate(path, 5 << 30)  # sparse: it takes no room


def _folder(path: Path) -> None:
    path.mkdir()


ODD = {"a device": _device, "a pipe": os.mkfifo, "a folder": _folder, "a file that is too large": _large}


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest) -> tuple[str, Callable[[Path], None]]:
    """What may stand in a file's place, and the words for it."""
    make: Callable[[Path], None] = ODD[request.param]
    return request.param, make


def test_a_private_key_that_is_no_ordinary_file_is_refused(tmp_path: Path, odd: tuple[str, Callable[[Path], None]]) -> None:
    """At once, by name, and with what it is."""
    said, make = odd
    make(tmp_path / "key")
    with pytest.raises(HarnessError, match=f"the key {tmp_path}/key cannot be used: {said}"):
        keys.ours(tmp_path / "key")


def test_a_certificate_that_is_no_ordinary_file_is_refused(tmp_path: Path, odd: tuple[str, Callable[[Path], None]]) -> None:
    """It lies beside the key, by a name that nobody gave."""
    said, make = odd
    make_user_key(tmp_path)
    make(tmp_path / f"{keys.USER_KEY}-cert.pub")
    with pytest.raises(HarnessError, match=said):
        keys.ours(tmp_path / keys.USER_KEY)


def test_known_hosts_that_are_no_ordinary_file_are_refused(tmp_path: Path, odd: tuple[str, Callable[[Path], None]]) -> None:
    """As UserKnownHostsFile may name them."""
    said, make = odd
    make(tmp_path / "known")
    with pytest.raises(HarnessError, match=f"{tmp_path}/known: {said}"):
        list(keys.lines_of("n1", 22, [tmp_path / "known"]))


def test_a_default_key_that_is_no_ordinary_file_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: tuple[str, Callable[[Path], None]]
) -> None:
    """Nobody named it, so the next one is tried."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    line = make_user_key(tmp_path)
    odd[1](tmp_path / "odd")
    monkeypatch.setattr(keys, "DEFAULT_KEYS", (tmp_path / "odd", tmp_path / keys.USER_KEY))
    (found,) = keys.ours(None)
    assert found.get_base64() == line.split()[1]


def test_links_in_a_home_folder_are_followed(tmp_path: Path) -> None:
    """Keys and known hosts are links where somebody keeps their settings elsewhere."""
    line = make_user_key(tmp_path / "real")
    (tmp_path / "key").symlink_to(tmp_path / "real" / keys.USER_KEY)
    (tmp_path / "real" / "known").write_text(f"n1 {line}\n")
    (tmp_path / "known").symlink_to(tmp_path / "real" / "known")
    (found,) = keys.ours(tmp_path / "key")
    assert found.get_base64() == line.split()[1]
    assert list(keys.lines_of("n1", 22, [tmp_path / "known"])) == [line]


@pytest.mark.parametrize("made", [lambda: paramiko.RSAKey.generate(1024), paramiko.ECDSAKey.generate], ids=["rsa", "ecdsa"])
def test_keys_of_every_kind_are_read_in_the_older_form_too(tmp_path: Path, made: Callable[[], paramiko.PKey]) -> None:
    """As the library itself would read them."""
    key = made()
    key.write_private_key_file(str(tmp_path / "key"))
    (found,) = keys.ours(tmp_path / "key")
    assert (found.get_name(), found.get_base64()) == (key.get_name(), key.get_base64())


@pytest.mark.parametrize("name", ["|1|AAAA|AAAA", "|1|", "|1|=|=", "|1|x"])
def test_a_hashed_name_that_is_none_hides_no_other_line(tmp_path: Path, name: str) -> None:
    """Neither is it an error that nobody understands."""
    line = make_user_key(tmp_path)
    (tmp_path / "known").write_text(f"{name} {line}\nn1 {line}\n")
    assert list(keys.lines_of("n1", 22, [tmp_path / "known"])) == [line]


KINDS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - quickly made, and opens nothing
}


def _damaged(body: bytes, rng: random.Random) -> bytes:
    """Return a key's file with something wrong in it: cut off, or some bytes of what its letters stand for changed."""
    if rng.random() < 0.3:
        return body[: rng.randrange(len(body))]
    first, *lines, last = body.decode().strip().splitlines()
    inner = bytearray(base64.b64decode("".join(lines)))
    for _ in range(rng.choice((1, 1, 2, 40))):
        inner[rng.randrange(len(inner))] = rng.randrange(256)
    return "\n".join([first, base64.b64encode(inner).decode(), last, ""]).encode()


@pytest.mark.parametrize("form", [PrivateFormat.OpenSSH, PrivateFormat.TraditionalOpenSSL], ids=["openssh", "older"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_private_key_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, form: PrivateFormat) -> None:
    """Whatever the libraries raise for it: what is wrong with which file, what to do, and nothing of what is in it."""
    if kind == "ed25519" and form is PrivateFormat.TraditionalOpenSSL:
        form = PrivateFormat.PKCS8
    whole = KINDS[kind]().private_bytes(Encoding.PEM, form, NoEncryption())
    rng = random.Random(f"{kind} {form}")  # noqa: S311 - damage that can be repeated, no secret
    file = tmp_path / "key"
    monkeypatch.setattr(keys, "DEFAULT_KEYS", (file,))
    monkeypatch.setattr(keys, "_agent", list)
    refused = 0
    for _ in range(150):
        file.write_bytes(_damaged(whole, rng))
        try:
            keys.ours(file)
        except HarnessError as error:
            refused += 1
            assert str(error).startswith(f"the key {file} ")  # noqa: PT017 - which of them raises is not known before
            assert "ssh-keygen" in str(error) or "ssh-add" in str(error)  # noqa: PT017 - same
            assert "\n" not in str(error)  # noqa: PT017 - same
            with pytest.raises(HarnessError, match="no key to try"):
                keys.ours(None)
    assert refused > 30


def test_what_the_libraries_assert_of_a_key_is_one_sentence(tmp_path: Path) -> None:
    """The two halves of an ed25519 key that are not of each other."""
    body = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    other = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    first, *lines, last = body.decode().strip().splitlines()
    inner = base64.b64decode("".join(lines))
    mine = load_ssh_private_key(body, None).public_key().public_bytes_raw()  # type: ignore[union-attr]
    at = inner.rindex(mine)
    spoilt = inner[:at] + other + inner[at + 32 :]
    (tmp_path / "key").write_text("\n".join([first, base64.b64encode(spoilt).decode(), last, ""]))
    with pytest.raises(
        HarnessError, match=r"the key .*/key cannot be used: it is no private key that can be used \(\w+\); name another key"
    ):
        keys.ours(tmp_path / "key")


def test_a_damaged_certificate_is_one_sentence(tmp_path: Path) -> None:
    """Whatever the libraries raise for it."""
    keys.make_user_key(tmp_path)
    file = tmp_path / keys.USER_KEY
    certificate = file.with_name(f"{file.name}-cert.pub")
    for said in (
        "x",
        "ssh-ed25519-cert-v01@openssh.com",
        "ssh-ed25519-cert-v01@openssh.com A",
        "ssh-ed25519-cert-v01@openssh.com AAAAAA==",
        "a b c",
    ):
        certificate.write_text(said)
        with pytest.raises(HarnessError, match=r"cannot be used: it is no certificate beside it that can be used"):
            keys.ours(file)


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2E=", "ecdsa-sha2-nistp256 AAAA", "x y", "ssh-ed25519 \xe9"]
)
def test_a_damaged_public_key_is_one_sentence(tmp_path: Path, line: str) -> None:
    """Where it is pinned; and in a known_hosts file it hides no other line."""
    with pytest.raises(HarnessError, match="is no public key"):
        keys.parse(line)
    good = keys.make_host_key(tmp_path)
    known = tmp_path / "known_hosts"
    known.write_text(f"host {line}\nhost {good}\n")
    assert [*keys.lines_of("host", 22, [known])] == [good]
