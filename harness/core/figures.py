"""Figures as people read them: every time that a sentence of ours says is put into words here, so that one outage has one figure everywhere.

Always in seconds, as the clock of a run is, so that a limit can be laid beside what was measured. Units as people *write* them in a scenario, and as
sentences quote them from there, are `harness.core.units`; what programs read (JSON, unit files, JUnit's attributes) is not for here. Pure.
"""

from __future__ import annotations

import math

DIGITS = 6
"""Decimals of the seconds in our files: far more than is ever shown, so that what was rounded twice is shown as what was rounded once."""

_WHOLE = 0.95
"""Seconds from which one decimal is enough; what is shorter would read 0.9 or 1.0."""


def lasted(seconds: float) -> str:
    """Say how long something took that was measured: ``7.7 s``, or ``0.15 s`` below one."""
    return f"{seconds:.1f} s" if abs(seconds) >= _WHOLE else f"{seconds:.2f} s"


def at(seconds: float) -> str:
    """Say when something was, on the clock of its run: ``124.6 s``."""
    return f"{seconds:.1f} s"


def given(seconds: float) -> str:
    """Say a duration that somebody chose, as it was chosen: a limit, a timer, a budget. ``30 s``, ``16.25 s``, ``0.125 s``.

    One that was made longer by a factor (`harness.core.pace`) has no more than two decimals, or three figures below a second.
    """
    return f"{round(seconds, 2):.12g} s" if seconds >= 1.0 else f"{seconds:.3g} s"


def about(seconds: float) -> str:
    """Say a time ahead, or how long something that takes minutes has gone on: ``45 s``, ``125 s``. Whole seconds, rounded up."""
    return f"{max(0, math.ceil(seconds))} s"


def share(part: float, promised: float | None = None) -> str:
    """Say a share: one that was chosen, ``99%`` or ``99.95%``; or measured, ``98.6%``, so that it differs from what was `promised`, and from all.

    With five decimals at most.
    """
    for digits in range(promised is not None, DIGITS):
        text = f"{part:.{digits}%}"
        shown = float(text[:-1]) / 100.0
        alike = math.isclose(shown, part, abs_tol=1e-9)
        if alike or (promised is not None and (shown < promised) == (part < promised) and (shown >= 1.0) == (part >= 1.0)):
            break
    return text


def quick(seconds: float) -> str:
    """Say how long something took that takes milliseconds, such as an answer: ``12 ms``, ``0.4 ms``."""
    return f"{seconds * 1000:.3g} ms" if seconds < _WHOLE else lasted(seconds)


def exact(seconds: float) -> str:
    """Say a time that is read back and compared with a limit: rounded as `quick` does it may be on the other side of that. ``11.9931 ms``."""
    return f"{seconds * 1000:.6g} ms" if seconds < 1.0 else f"{seconds:.6g} s"
