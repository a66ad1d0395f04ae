"""The Docker SDK as nodes use it: nothing of its user's reaches a node, and nothing of it is in the way."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from harness.nodes import sdk
from harness.testing.servers import Response, Server

PATIENT = 10.0
CONFIGS = {
    "headers": {"HttpHeaders": {"X-Token": "secret"}},
    "an empty login": {"auths": {"registry.example.com": {"auth": ""}}},
    "helpers": {"credsStore": "evil", "credHelpers": {"localhost": "evil"}},
    "proxies": {"proxies": {"default": {"httpProxy": "http://proxy.example:1"}}},
    "a list": [],
    "a word": "x",
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("where", ["DOCKER_CONFIG", "HOME"])
def test_nothing_of_the_users_docker_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, config: object) -> None:
    """No header, no login, no program that would be asked for one; and a file that cannot be read is nobody's trouble."""
    folder = tmp_path / ".docker" if where == "HOME" else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv(where, str(tmp_path))
    made = sdk.client("unix:///nowhere", 0.5)
    try:
        assert "X-Token" not in made.api.headers
        assert vars(made.api)["_auth_configs"].is_empty
        assert not any(vars(made.api)["_proxy_configs"].values())
        assert not made.api.trust_env
    finally:
        made.close()


def test_what_a_daemon_packs_is_taken_as_it_was_sent() -> None:
    """A bound on what is read bounds nothing that is made of it."""
    packed = gzip.compress(b"{}" + b" " * (8 << 20))
    with Server(lambda _: Response(200, packed, "Content-Encoding: gzip\r\n")) as server:
        made = sdk.client(f"tcp://{server.address}:{server.port}", PATIENT)
        try:
            with made.api.get(f"{made.api.base_url}/events", stream=True, timeout=PATIENT) as answer:
                assert b"".join(answer.iter_content(65536)) == packed
        finally:
            made.close()


def test_a_daemon_sends_nobody_elsewhere() -> None:
    """It is a node's, and elsewhere is whatever this machine reaches. Nor is the body of such an answer read."""
    with Server(lambda _: Response(200)) as other:
        head = f"Location: http://{other.address}:{other.port}/x\r\n"
        with Server(lambda _: Response(302, b"there", head)) as server:
            made = sdk.client(f"tcp://{server.address}:{server.port}", PATIENT)
            try:
                with made.api.get(f"{made.api.base_url}/events", stream=True, timeout=PATIENT) as answer:
                    assert answer.status_code == 302
            finally:
                made.close()
    assert not other.requests
