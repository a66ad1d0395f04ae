"""The Docker SDK as nodes use it: nothing of its user's reaches a node, and nothing of it is in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.nodes import sdk

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
