"""What an app's image is asked for by: the name of a folder of images, the path of a folder or of a docker archive, or a name in a registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.core.errors import clipped
from harness.host import contexts

if TYPE_CHECKING:
    from pathlib import Path

USUAL_HOST: Final = "docker.io"
USUAL_TAG: Final = "latest"
"""What Docker takes where a name says no host, and no tag."""
WITHOUT_TLS: Final = "http://"
"""How a name begins whose registry is to be spoken to without TLS: nothing but the scenario itself can say so."""
_OTHERS: Final = "./FOLDER (with a Dockerfile), ./FILE.tar (a docker archive), or NAME:TAG of a registry"
EXPECTED: Final = f"a folder of images, {_OTHERS}"
WRITTEN: Final = r"\.{1,2}/[^\x00-\x1f\x7f]+|(?:http://)?[A-Za-z0-9][A-Za-z0-9._/:@-]*"
"""How any of them is written, as a regular expression; `origin` looks closer."""
CALLED: Final = r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}"
"""What an image may be called on a node, as a regular expression; of a user's own definition it is taken as it stands there."""
LONGEST: Final = 400
"""Characters of a name, or of a path, at most."""

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*(?::[0-9]{1,5})?")
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_TAGGED: Final = "a tag is of letters, digits, _, . and -, 128 at most, and begins with neither . nor -"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ANY_DIGEST = re.compile(r"[A-Za-z0-9]+:[0-9A-Fa-f]{32,}")
"""One of another kind, or with a slip in it: no host has so long a port."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LAST_PORT = 65535
_PACKED = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2")


class NoOrigin(ValueError):
    """A text from which no image can come: what was found, what was expected, and a hint."""

    def __init__(self, found: str, expected: str = EXPECTED, hint: str = "") -> None:
        super().__init__(f"{found}; expected {expected}" + (f"; {hint}" if hint else ""))
        self.said = (found, expected, hint)


@dataclass(frozen=True, slots=True)
class Folder:
    """An image that nodes build themselves, from a folder of the node image."""

    path: Path


@dataclass(frozen=True, slots=True)
class AtPath:
    """An image of a path: in a docker archive, or to be built from a folder."""

    path: str  # from the scenario file's folder on


@dataclass(frozen=True, slots=True)
class InRegistry:
    """An image that is pulled from a registry."""

    host: str  # with its port, where one is given
    repository: str
    tag: str  # empty where only the digest says which image it is
    digest: str  # ``sha256:…``, or empty
    name: str  # what it is called on nodes
    tls: bool = True

    @property
    def source(self) -> str:
        """Its whole name, by which it is told and kept."""
        tag, digest = f":{self.tag}" if self.tag else "", f"@{self.digest}" if self.digest else ""
        return f"{'' if self.tls else WITHOUT_TLS}{self.host}/{self.repository}{tag}{digest}"

    @property
    def asked(self) -> str:
        """What a registry is asked for: by the digest where there is one, since no registry takes both."""
        return f"{self.host}/{self.repository}" + (f"@{self.digest}" if self.digest else f":{self.tag}")

    def pinned(self, digest: str) -> str:
        """Return what the registry is asked for where it is to be exactly this."""
        return f"{self.host}/{self.repository}@{digest}"


Origin = Folder | AtPath | InRegistry


def origin(image: str) -> Origin:
    """Return where an image comes from, by the text that asks for it. Raises `NoOrigin`.

    A name without a tag is that of a folder, so that a misspelt one is noticed at once, and so is ``web:2`` where there is a folder ``web``.
    """
    if not image or len(image) > LONGEST or not image.isprintable() or image != image.strip():
        raise NoOrigin(f"the image {clipped(repr(hidden(image)))}")
    if image.startswith(contexts.PATHS):
        return AtPath(image)
    if image.startswith("/"):
        raise NoOrigin(f"the image {hidden(image)}", "a path from the scenario file's folder on, such as ./app.tar or ./app")
    if image.endswith(_PACKED) and image[:1] != "~" and ":" not in image and "@" not in image:
        raise NoOrigin(f"the image {image}", EXPECTED, f"the path of a file begins with ./ or ../: did you mean ./{image}?")
    if image.startswith("https://"):
        raise NoOrigin(f"the image {hidden(image)}", EXPECTED, f"without https://: TLS is what is used; {WITHOUT_TLS} says that it is not")
    folder = None if image.startswith(WITHOUT_TLS) else contexts.context_of(image)
    if folder is not None:
        _, colon, tag = image.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise NoOrigin(f"the image {clipped(image)}", EXPECTED, _TAGGED)
        return Folder(folder)
    if not image.startswith(WITHOUT_TLS) and not set(image) & set(":/@"):
        found, expected, hint = contexts.absent(image)
        raise NoOrigin(found, f"{expected}, {_OTHERS}", hint or f"one of a registry has a tag: {image}:{USUAL_TAG}")
    return _name(image)


def must_be_name(image: str) -> None:
    """Raise `NoOrigin` for a text that is no name of an image as Docker reads it: that of a file, or one with a user and a password."""
    if not image or len(image) > LONGEST or image.startswith((".", "/", WITHOUT_TLS)):
        raise NoOrigin(f"the image {clipped(repr(hidden(image)))}")
    _name(image)


def _name(image: str) -> InRegistry:
    """Read a name of a registry, as Docker does."""
    tls = not image.startswith(WITHOUT_TLS)
    rest, at, digest = image.removeprefix(WITHOUT_TLS).partition("@")
    if at and not _DIGEST.fullmatch(digest):
        hint = "all of its 64 digits, in lower case"
        if "/" in digest:
            hint = "no user and no password: skopeo login, or docker login, keeps them"
        raise NoOrigin(f"the image {hidden(image)}", "@sha256:… behind the name, or nothing", hint)
    first, slash, _ = rest.partition("/")
    own = bool(slash) and (not tls or "." in first or ":" in first or first == "localhost")
    if not own and not tls:
        raise NoOrigin(f"the image {image}", f"{WITHOUT_TLS}HOST:PORT/NAME:TAG, with the registry's host")
    host = first if own else USUAL_HOST
    path, colon, tag = (rest.removeprefix(f"{first}/") if own else rest).partition(":")
    wrong = _wrong_part(host, path, tag if colon else USUAL_TAG)
    if wrong is not None:
        raise NoOrigin(f"the image {clipped(image)}", EXPECTED, wrong)
    tag = tag or ("" if digest else USUAL_TAG)
    called = rest if colon else f"{rest}:{tag or f'sha256-{digest[7:19]}'}"
    if not re.fullmatch(CALLED, called):
        raise NoOrigin(f"the image {clipped(image)}", "a name of 255 characters at most, with its tag: nodes take no longer one")
    return InRegistry(host, path if own or "/" in path else f"library/{path}", tag, digest, called, tls)


def _wrong_part(host: str, path: str, tag: str) -> str | None:
    """Say by which rule a part of a name is none, in words that may be empty; None where all of them are."""
    if not _HOST.fullmatch(host):
        return ""
    if ":" in host and int(host.rpartition(":")[2]) > _LAST_PORT:
        return f"a port is {_LAST_PORT} at most"
    if not _REPOSITORY.fullmatch(path):
        return "names are of lower-case letters, digits and ._-" if path != path.lower() else ""
    if not _TAG.fullmatch(tag):
        return _TAGGED
    return None


def hidden(image: str) -> str:
    """Return a name without what may be a password: whatever stands before an @ that no digest follows. Paths stay as they are."""
    name, at, digest = image.rpartition("@")
    if not at or not _ANY_DIGEST.fullmatch(digest):
        name, at, digest = image, "", ""
    before, user, behind = name.rpartition("@")
    if not user or image.startswith(contexts.PATHS):
        return image
    scheme = _SCHEME.match(before)
    return f"{scheme[0] if scheme else ''}***@{behind}{at}{digest}"
