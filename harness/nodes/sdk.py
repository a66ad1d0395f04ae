"""The Docker SDK with nothing of its user's: no configuration, no credentials, no proxy, no netrc.

The SDK reads ``~/.docker/config.json``, or what ``DOCKER_CONFIG`` names, and obeys it: it sends the headers that stand there to whatever it talks to,
asks programs for credentials, and fails where one of them cannot be read. What it talks to here are the nodes of a run, which none of that is for.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import docker

if TYPE_CHECKING:
    from requests import Response

API = "1.41"
"""The API's version, of Docker 20.10: naming it saves the question."""


def client(base_url: str, timeout: float, *, holds: int | None = None) -> docker.DockerClient:
    """Return a client that connects when it is used; a descriptor that it `holds` is closed with it.

    Raises what the SDK raises for an address that is none.
    """
    made = object.__new__(docker.DockerClient)  # its own constructor makes the usual `APIClient`, and does nothing else
    made.api = api = _Api(base_url=base_url, timeout=int(max(1, timeout)), version=API)
    api.trust_env = False
    api.headers["Accept-Encoding"] = "identity"
    api.hooks["response"] = [_as_sent]
    if holds is not None:
        api.let_go = weakref.finalize(api, os.close, holds)
    return made


def _as_sent(response: Response, **_more: object) -> None:
    """Have its body read as it was sent: nobody asked for a packed one, and what a few bytes unpack to has no bound."""
    response.raw.headers.pop("Content-Encoding", None)


class _Api(docker.APIClient):
    """One that has been configured by nobody."""

    let_go: Callable[[], object] = staticmethod(lambda: None)

    def get_redirect_target(self, _response: Response) -> None:
        """Follow no redirect: a node sends nobody to whatever this machine reaches. Nor is the body of one read, which has no bound."""

    def close(self) -> None:
        """End all connections, and let go of what it holds. Twice is fine."""
        super().close()
        self.let_go()

    @property
    def _general_configs(self) -> dict[str, Any]:
        """What stands in place of the user's configuration; were it empty, the SDK would read the file once more for logins."""
        return {"configured": "by nobody"}

    @_general_configs.setter
    def _general_configs(self, found: object) -> None:
        """Leave what was found where it is."""
