"""How fast events go into a history, and come out of it again. Limit: 20 000 a second in."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from harness.core.clock import SystemClock
from harness.core.values import Outcome
from harness.history.events import Answered, History
from harness.history.recorder import Recorder

EVENTS = 50_000


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        with Recorder(path, SystemClock()) as recorder:
            begun = time.perf_counter()
            for op in range(EVENTS):
                recorder.record(Answered(op, "http", Outcome.OK, "web@1", "n1"))
            written = EVENTS / (time.perf_counter() - begun)
        begun = time.perf_counter()
        read = len(History.load(path).entries) / (time.perf_counter() - begun)
    print(f"events into the history   {written:10.0f} /s   (limit: at least 20000 /s)")
    print(f"events out of the history {read:10.0f} /s")


if __name__ == "__main__":
    main()
