"""A folder of images with one image that a test may make as it likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.host import contexts


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> Path:
    """Have the image web, and no other, with these lines in its Dockerfile. Nobody looks into its program."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "web").write_bytes(b"")
    monkeypatch.setattr(contexts, "contexts", lambda: [folder])
    monkeypatch.setattr(contexts, "_wrong", lambda _: [])
    written(folder, *lines)
    return folder


def written(folder: Path, *lines: str) -> None:
    """Write its Dockerfile anew."""
    (folder / "Dockerfile").write_text("\n".join(["FROM scratch", "COPY web /web", *lines, 'ENTRYPOINT ["/web"]', ""]), encoding="utf-8")
