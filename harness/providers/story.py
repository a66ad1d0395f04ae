"""What is told while a provider makes nodes, and what is kept of machines that did not come up."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.core.errors import BadInput
from harness.host import untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MOST_BYTES = 256 * 1024
"""As much of the end of a console is kept."""


class Narrator:
    """For one provider; see `harness.core.protocols.Narrating`.

    Until somebody listens it tells nobody and keeps nothing. Safe from several threads.
    """

    def __init__(self) -> None:
        self._progress: Callable[[str], None] = lambda _: None
        self._folder: Path | None = None
        self._last = ""

    def begin(self, progress: Callable[[str], None], folder: Path) -> None:
        """From now on tell this listener, and keep consoles in this folder, which is made when there is one to keep."""
        self._progress, self._folder, self._last = progress, folder, ""

    def tell(self, text: str) -> None:
        """Tell something, unless it was the last thing told."""
        if text != self._last:
            self._last = text
            self._progress(text)

    def keep(self, consoles: Mapping[str, Path], folder: Path | None = None) -> None:
        """Keep the end of these files under these names. What is missing, or cannot be written, is left out: the failure itself matters more."""
        folder = folder or self._folder
        if folder is None:
            return
        for name, path in consoles.items():
            with suppress(OSError, BadInput):
                said = _end_of(path)
                if said:
                    untrusted.write(folder.parent, f"{folder.name}/{name}.log", said)


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - MOST_BYTES))
        return file.read(MOST_BYTES)
