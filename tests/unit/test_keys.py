"""Files that somebody's configuration names as keys and known hosts: ordinary ones of their size, or refused at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest

from harness.core.errors import HarnessError
from harness.nodes.ssh import keys, make_user_key


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
