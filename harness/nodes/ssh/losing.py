"""What becomes of a connection, or of a channel on one, that is not to be had. For this package only."""

from __future__ import annotations


class Refused(Exception):
    """The other side will not open a channel; `code` is RFC 4254's (1 prohibited, 2 connect failed, 4 short of resources)."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class Lost(Exception):
    """The connection is gone, or gives no answer."""
