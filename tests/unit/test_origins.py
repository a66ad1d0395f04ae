"""Where an app's image comes from, by the text that asks for it."""

from __future__ import annotations

import pytest

from harness.host import origins
from harness.host.origins import AtPath, Folder, InRegistry, NoOrigin

LOGIN = "me:secret@"
DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize("image", ["web", "web:2"])
def test_a_name_of_a_folder_is_that_folder(image: str) -> None:
    """Whatever its tag."""
    found = origins.origin(image)
    assert isinstance(found, Folder)
    assert found.path.name == "web"


@pytest.mark.parametrize("image", ["./app.tar", "../images/app.tar", "./a b.tar", "./app", "./images/"])
def test_what_begins_with_a_dot_and_a_slash_is_a_path(image: str) -> None:
    """Whatever its end; whether a file or a folder is there is not looked at."""
    assert origins.origin(image) == AtPath(image)


@pytest.mark.parametrize(
    ("image", "source", "name"),
    [
        ("nginx:1.25-alpine", "docker.io/library/nginx:1.25-alpine", "nginx:1.25-alpine"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("docker.io/team/app:2", "docker.io/team/app:2", "docker.io/team/app:2"),
        ("registry.example/web:1", "registry.example/web:1", "registry.example/web:1"),
        ("web:5000/web:1", "web:5000/web:1", "web:5000/web:1"),
        ("localhost/web:1", "localhost/web:1", "localhost/web:1"),
        ("127.0.0.1:5000/a/b_c/d--e.f:T_1", "127.0.0.1:5000/a/b_c/d--e.f:T_1", "127.0.0.1:5000/a/b_c/d--e.f:T_1"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}", "nginx:sha256-0123456789ab"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx:1@{DIGEST}", "nginx:1"),
        ("http://127.0.0.1:5000/web:1", "http://127.0.0.1:5000/web:1", "127.0.0.1:5000/web:1"),
        ("http://registry.example/web:1", "http://registry.example/web:1", "registry.example/web:1"),
    ],
)
def test_anything_else_is_a_name_of_a_registry_as_docker_reads_it(image: str, source: str, name: str) -> None:
    """With its host, its library and its tag where it does not say them; TLS is left out only where it says so."""
    found = origins.origin(image)
    assert isinstance(found, InRegistry)
    assert found.source == source
    assert found.name == name
    assert found.tls is not image.startswith("http://")
    assert found.asked == (source.removeprefix("http://") if "@" not in image else source.replace(":1@", "@"))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("wbe", "did you mean 'web'?"),
        ("nginx", "nginx:latest"),
        ("app.tar", "did you mean ./app.tar?"),
        ("/srv/app.tar", "from the scenario file's folder on"),
        ("https://registry.example/web:1", "without https://"),
        ("http://localhost:1", "with the registry's host"),
        ("http://127.0.0.1/", "expected"),
        ("Nginx:1", "lower-case"),
        ("nginx:", "expected"),
        ("nginx:-1", "expected"),
        ("a//b:1", "expected"),
        ("registry.example:99999999/web:1", "expected"),
        (f"nginx@{DIGEST[:-1]}", "all of its 64 digits"),
        ("nginx@latest", "@sha256:"),
        ("", "expected"),
        (" nginx:1", "expected"),
        ("nginx:1\n", "expected"),
        ("n" * 1000 + ":1", "expected"),
    ],
)
def test_what_is_none_of_them_is_told_with_what_to_do(image: str, said: str) -> None:
    """In one line."""
    with pytest.raises(NoOrigin) as caught:
        origins.origin(image)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000


LOGINS = [
    f"{scheme}{LOGIN}registry.example/web{end}"
    for scheme in ("", "http://", "https://", "/")
    for end in (":1", f"@{DIGEST}", f":1@{DIGEST}", ":1 ")
]
"""Names with a password, which stands before a host whatever follows."""


@pytest.mark.parametrize(
    "image",
    [
        *LOGINS,
        "me:se!cret@registry.example/web:1",
        f"{LOGIN[:-1]}://@registry.example/web:1",
        f"http://{LOGIN[:-1]}://more@registry.example/web",
        f"me:secret@more@registry.example/web@{DIGEST}",
    ],
)
def test_a_password_in_a_name_is_refused_and_not_repeated(image: str) -> None:
    """Who is logged in stands in skopeo's own file."""
    for refuse in (origins.origin, origins.must_be_name):
        with pytest.raises(NoOrigin) as caught:
            refuse(image)
        assert "secret" not in str(caught.value)
        assert "se!cret" not in str(caught.value)


@pytest.mark.parametrize(
    "image", ["web", "web:2", "team/app", "registry.example:5000/team/app:2", f"nginx:1@{DIGEST}", DIGEST, DIGEST[7:19]]
)
def test_a_name_is_one_as_docker_reads_it(image: str) -> None:
    """Whether or not there is a folder of that name; an image's id is one, too."""
    origins.must_be_name(image)


def test_what_is_hidden_is_a_password_alone() -> None:
    """Neither a digest nor a path has one; a digest that is none, or of another kind, is no host."""
    for image in (
        f"nginx:1@{DIGEST}",
        "./a@b.tar",
        "nginx:1",
        f"nginx:1@{DIGEST[:-4]}",
        f"nginx@sha512:{'a' * 128}",
        f"web@{DIGEST.upper()}",
    ):
        assert origins.hidden(image) == image


def test_a_folder_has_no_slash_in_its_name() -> None:
    """A host with a port is none."""
    assert not isinstance(origins.origin("web:80/app"), Folder)
    assert isinstance(origins.origin("web"), Folder)
