"""Machines of memory that are somebody else's, for tests of modes that take over what runs on them."""

from __future__ import annotations

from harness.testing.memory_provider import MemoryProvider


class Theirs(MemoryProvider):
    """A provider of hosts that somebody else runs."""

    def spared(self, run_id: str) -> frozenset[str]:
        """Return nobody."""
        del run_id
        return frozenset()

    def at_once(self, run_id: str) -> int:
        """Return one."""
        del run_id
        return 1
