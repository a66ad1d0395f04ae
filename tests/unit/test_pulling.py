"""Images pulled from registries, by a skopeo that is played: what is asked for, what is refused before, and every failure in one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from harness.core.errors import CommandFailed, HarnessError
from harness.host import archives, origins, pulling
from harness.host.building import BuildCommands
from harness.host.origins import InRegistry
from tests.unit.archiving import write

LOGIN = "me:hush-hush@"
ONE = json.dumps({"schemaVersion": 2, "layers": [{"size": 1000}, {"size": 2000}]}).encode()


def digest(body: bytes) -> str:
    """Return what a registry calls something."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def named(image: str = "registry.example/web:1") -> InRegistry:
    """Return a name of a registry."""
    found = origins.origin(image)
    assert isinstance(found, InRegistry)
    return found


class Registry:
    """A registry behind a skopeo that is played: `has` says what it has under each name."""

    def __init__(self, has: Mapping[str, bytes], *, fails: str = "", copying: Callable[[Path], object] = write) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.aborted = False
        self._has, self._fails, self._copying = has, fails, copying

    def say(self, line: str) -> None:
        """Take what is told."""

    def abort(self) -> None:
        """Take note."""
        self.aborted = True

    def run(self, argv: Sequence[str], **_: Any) -> list[str]:
        """Do as skopeo does."""
        out = Path(argv[3]) if argv[0] == "sh" else None
        said = argv[4:] if out is not None else argv
        assert said[0] == "skopeo"
        assert said[1] == "--command-timeout"
        self.asked.append(tuple(said[3:]))
        if out is not None:
            name = said[-1].removeprefix("docker://")
            if name not in self._has:
                raise CommandFailed(
                    "image", argv, 1, self._fails or 'level=fatal msg="reading manifest: manifest unknown: manifest unknown"'
                )
            out.write_bytes(self._has[name])
        else:
            self._copying(Path(said[-1].removeprefix("docker-archive:")))
        return []

    def pull(self, tmp_path: Path, image: str = "registry.example/web:1") -> tuple[Path, str]:
        """Pull an image from it."""
        return pulling.pull(named(image), tmp_path, cast("BuildCommands", self))


def test_exactly_what_was_looked_at_is_pulled(tmp_path: Path) -> None:
    """By its digest: a tag may have moved meanwhile. TLS is verified."""
    registry = Registry({"registry.example/web:1": ONE})
    path, told = registry.pull(tmp_path)
    assert told == digest(ONE)
    assert archives.look(path).tags == ("web:1",)
    first, second = registry.asked
    assert first == ("inspect", "--raw", "--tls-verify=true", "docker://registry.example/web:1")
    assert second[2:5] == ("copy", "--src-tls-verify=true", f"docker://registry.example/web@{digest(ONE)}")


def test_tls_is_left_out_only_where_the_scenario_says_so(tmp_path: Path) -> None:
    """In its own words."""
    registry = Registry({"127.0.0.1:5000/web:1": ONE})
    registry.pull(tmp_path, "http://127.0.0.1:5000/web:1")
    assert [each for said in registry.asked for each in said if "tls-verify" in each] == ["--tls-verify=false", "--src-tls-verify=false"]


def test_of_a_list_the_one_for_this_machine_is_pulled_and_the_list_is_told(tmp_path: Path) -> None:
    """The digest of the list is the one that others know."""
    ours = {"os": "linux", "architecture": archives.architecture()}
    entries = [
        {"platform": {"os": "windows", "architecture": archives.architecture()}, "digest": digest(b"other")},
        {"platform": ours, "digest": digest(ONE)},
    ]
    listed = json.dumps({"manifests": entries}).encode()
    registry = Registry({"registry.example/web:1": listed, f"registry.example/web@{digest(ONE)}": ONE})
    assert registry.pull(tmp_path)[1] == digest(listed)
    assert registry.asked[-1][4] == f"docker://registry.example/web@{digest(ONE)}"


def test_a_digest_is_asked_for_and_nothing_else_is_taken_for_it(tmp_path: Path) -> None:
    """Whatever the tag beside it."""
    image = f"registry.example/web:1@{digest(ONE)}"
    whole = f"registry.example/web@{digest(ONE)}"
    assert Registry({whole: ONE}).pull(tmp_path, image)[1] == digest(ONE)
    with pytest.raises(HarnessError, match="something else under that digest"):
        Registry({whole: ONE + b" "}).pull(tmp_path, image)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is no manifest"),
        (b"{}", "is no image with layers"),
        (b'{"schemaVersion": 1}', "before 2017"),
        (b'{"layers": "many"}', "is no image with layers"),
        (b'{"layers": [{"size": 1073741825}]}', "1024 MiB at most"),
        (b'{"layers": [{"size": -5}]}', "1024 MiB at most"),
        (b'{"layers": [{"size": "few"}]}', "1024 MiB at most"),
        (b'{"layers": [7]}', "1024 MiB at most"),
        (b'{"manifests": []}', "no image for linux/"),
        (b'{"manifests": [{"platform": {"os": "linux", "architecture": "s390x"}, "digest": "sha256:' + b"0" * 64 + b'"}]}', "linux/s390x"),
        (b'{"manifests": [7, {"platform": 7}, {"platform": {}, "digest": "md5:1"}]}', "no image for linux/"),
        (b" " * (archives.MOST_TEXT + 1), "too large"),
    ],
)
def test_what_could_not_be_used_is_refused_before_it_is_pulled(tmp_path: Path, body: bytes, said: str) -> None:
    """In one line that says which image."""
    registry = Registry({"registry.example/web:1": body})
    with pytest.raises(HarnessError) as caught:
        registry.pull(tmp_path)
    assert said in str(caught.value)
    assert str(caught.value).startswith("the image registry.example/web:1 was not pulled: ")
    assert str(caught.value).isprintable()
    assert [each[0] for each in registry.asked] == ["inspect"]


def test_what_a_list_names_is_not_taken_for_something_else(tmp_path: Path) -> None:
    """Its digest is looked at as well."""
    ours = {"os": "linux", "architecture": archives.architecture()}
    listed = json.dumps({"manifests": [{"platform": ours, "digest": digest(ONE)}]}).encode()
    registry = Registry({"registry.example/web:1": listed, f"registry.example/web@{digest(ONE)}": ONE + b" "})
    with pytest.raises(HarnessError, match="which it named"):
        registry.pull(tmp_path)


def test_a_registry_that_sends_more_than_it_said_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once more is on disk than any image may take; the tool that writes it is ended."""
    monkeypatch.setattr(pulling, "MOST_ON_DISK", 1 << 20)
    monkeypatch.setattr(pulling, "LOOK_SECONDS", 0.01)

    def flood(_: Path) -> None:
        with (tmp_path / "blob").open("wb") as file:
            for _number in range(100_000):
                if registry.aborted:
                    raise CommandFailed("image", ["skopeo"], 137, "")
                file.write(b"x" * 4096)
                file.flush()

    registry = Registry({"registry.example/web:1": ONE}, copying=flood)
    with pytest.raises(HarnessError, match="takes more than 1 MiB on disk"):
        registry.pull(tmp_path)


FAILURES = {
    "dial tcp: lookup nosuch.example on 127.0.0.53:53: no such host": "the host nosuch.example is not found (no such host); is its name right",
    'pinging container registry registry.example: Get \\"https://registry.example/v2/\\": http: server gave HTTP response to HTTPS client': (
        "registry.example speaks no TLS; if that is as it should be, the scenario must say so: http://"
    ),
    'Get \\"https://registry.example/v2/\\": x509: certificate signed by unknown authority': (
        "the certificate of registry.example is not to be trusted (x509: certificate signed by unknown authority)"
    ),
    "reading manifest 1 in registry.example/web: manifest unknown: manifest unknown": "registry.example has no such image",
    "reading manifest 1 in registry.example/web: name unknown: repository name not known to registry": "registry.example has no such image",
    "reading manifest 1 in registry.example/web: requested access to the resource is denied": "registry.example does not give it to us (denied)",
    "unable to retrieve auth token: invalid username/password: unauthorized: incorrect username or password": "does not give it to us",
    "toomanyrequests: You have reached your pull rate limit.": "registry.example gives no more for now",
    "dial tcp 127.0.0.1:5000: connect: connection refused": "registry.example is not reached, or hung up (connection refused)",
    'Get \\"https://registry.example/v2/\\": EOF': "is not reached, or hung up (EOF)",
    "net/http: request canceled: context deadline exceeded": "registry.example took too long",
    "something that nobody foresaw": "something that nobody foresaw",
}


@pytest.mark.parametrize("said", FAILURES)
def test_what_skopeo_says_is_told_in_one_line_with_what_to_do(tmp_path: Path, said: str) -> None:
    """Which image, what is wrong, and what mends it."""
    whole = f'some progress\ntime="2026-01-01T00:00:00Z" level=fatal msg="initializing source docker://registry.example/web:1: {said}"'
    with pytest.raises(HarnessError) as caught:
        Registry({}, fails=whole).pull(tmp_path)
    told = str(caught.value)
    assert FAILURES[said] in told
    assert told.startswith("the image registry.example/web:1 was not pulled: ")
    assert told.isprintable()


@pytest.mark.parametrize(
    "said",
    [
        "Get https://cdn.example/blob?X-Token=hush-hush&Signature=hush-hush: broken",
        f"Get https://{LOGIN}registry.example/v2/: broken",
        "sent Authorization: Bearer hush-hush, and broke",
    ],
)
def test_no_secret_is_told_of_what_skopeo_says(said: str) -> None:
    """Links that registries hand out are secrets as well."""
    told = str(pulling.explained(named(), f'msg="{said}"'))
    assert "hush" not in told
    assert "bro" in told


def test_what_a_terminal_would_obey_is_not_told(tmp_path: Path) -> None:
    """And however much it is, it is a line."""
    with pytest.raises(HarnessError) as caught:
        Registry({}, fails="\x1b[2Jgone\r\n" + "y" * 100_000).pull(tmp_path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
