"""One loss of work to a fault, with its way back: what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.core.figures import lasted
from harness.core.values import Loss
from harness.history.bands import BESIDE, Band
from harness.history.deeds import STARTING
from harness.history.intervals import Interval, neat

if TYPE_CHECKING:
    from harness.core.values import Json

CLOCKS = 0.5
"""Seconds by which Docker may tell of a start later than node truth, or a clock put it there: a node looks for new containers at least so often."""

AT_ONCE = 5.0
"""Seconds from the bite of a fault that takes a daemon in which what stops was taken by that at once. A slow disk takes nothing so."""

MISSED = 2.0
"""Seconds between two samples of a node from which on some are missing: there is one a second at least."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A time, on the run's clock, for which an instance that had come back ran without a stop that counts."""

    start: float
    end: float
    node: str  # where it ran last
    gone: float  # seconds for which it ran nowhere from then on, until healing began


@dataclass(frozen=True, slots=True)
class Displaced:
    """One instance that a fault took away. Times are seconds from the moment when its node was lost; None where it never came to that.

    Lost means that the fault was in force, or before that, that the machine was off by node truth (`harness.history.bands.bites`). No time is
    below zero: an event's own clock may put it just before a loss that it can only have followed.
    """

    instance: str
    band: Band
    home: str  # the node that it ran on
    to: str | None = None  # the node that it ran on next
    noticed: float | None = None  # the API of a survivor no longer shows the node, or the instance on it
    placed: float | None = None  # the API of a survivor shows another home
    running: float | None = None  # there to stay, by node truth, or by Docker's own time of its start where that fits what was seen
    early: float = 0.0  # seconds before `at` at which it ran again already: then its node was lost some time before that was seen
    absent: float | None = None  # when its new home was last seen without it; None where its start is known to better than that
    serving: float | None = None  # first good answer from the new home
    at: float = 0.0  # when its node was lost, on the run's clock
    # From the loss until healing began, of all faults that held its home without a break, or until the history ends.
    watched: float = 0.0
    own: float = 0.0  # of these, seconds in which this fault was in force itself
    stopped: str = ""  # of the first copy that did not stay: where and how long it ran, in words
    doubt: str = ""  # why what runs again may not be there to stay, in words
    perhaps: float | None = (
        None  # from when on it may have run to stay, where what other faults hold were home as well: by node truth alone
    )
    healed: bool = False  # whether healing began
    undue: bool = False  # whether from the end of `watched` on it need not run any more, by an action
    # When, since the loss and while in force, some survivor's truth was not known for long enough to come back unseen.
    blind: tuple[Interval, ...] = ()
    entries: tuple[int, ...] = ()
    again: bool = False  # whether an earlier fault had taken the same instance away before
    # From each of its new starts on, as long as it ran until healing began, gone for `harness.history.returns.BREAK` at most all in all.
    spells: tuple[Spell, ...] = ()
    ran_on: float = 0.0  # seconds after `at` for which it was seen to run on where it was, though what it hangs on was lost
    # From the fault's bite to `at`, where this is a loss counted from when it stopped (`counted_from_its_end`).
    since_bite: float = 0.0
    before: tuple[Band, ...] = ()  # faults that were in force on its home when this one came, and had taken nothing by then that was seen
    by: tuple[str, ...] = ()  # who else answered well between the loss and the first good answer from the new home
    stayed: bool = False  # whether it ran on where it was all that time, out of reach, and nowhere else

    @property
    def key(self) -> str:
        """Its name in reports: the instance, and from its second loss on the number of the fault as well, e.g. ``web@1 (fault 2)``."""
        return f"{self.instance} (fault {self.band.fault})" if self.again else self.instance

    @property
    def lost(self) -> str:
        """What happened to its home, in words."""
        kind = self.band.traits
        if kind.loses is Loss.LINK:
            return f"{self.home} was cut off"
        if kind.loses is Loss.PROCESS:
            daemons = f"{' and '.join(kind.parts)} was lost"
            stopped = f"it stopped on {self.home} ({lasted(self.since_bite)} after {daemons} there)"
            return stopped if self.since_bite > 0.0 else f"{daemons} on {self.home}"
        if kind.loses is Loss.NODE:
            return f"{self.home} was lost"
        if self.since_bite > 0.0:
            return f"it stopped on {self.home} ({lasted(self.since_bite)} after {self.band.name} hit that)"
        return f"{self.band.name} hit {self.home}"

    @property
    def counted_from_its_end(self) -> Displaced:
        """The same loss, all of its times counted from when the work was seen to stop on its node: it may have run on long after the bite."""
        late = self.ran_on

        def less(time: float | None) -> float | None:
            return None if time is None else max(0.0, time - late)

        return replace(
            self,
            at=self.at + late,
            since_bite=self.since_bite + late,
            ran_on=0.0,
            early=0.0,
            noticed=less(self.noticed),
            placed=less(self.placed),
            running=less(self.running),
            absent=None if self.absent is None else self.absent - late,
            serving=less(self.serving),
            perhaps=less(self.perhaps),
            watched=max(0.0, self.watched - late),
            own=max(0.0, self.own - late),
            blind=tuple(Interval(each.start - late, each.end - late) for each in self.blind if each.end > late),
        )

    def may_be_its_own(self, member: str) -> bool:
        """Whether it may have stopped by itself where the fault left its node there; not at once (`AT_ONCE`) after that took what containers run by.

        `member` is the daemon that votes: no container runs by that alone, nor by any that starts none (`harness.history.bands.BESIDE`).
        """
        kept = {*self.band.traits.parts} <= {member, *BESIDE} - {*STARTING}
        return self.since_bite > (0.0 if kept else AT_ONCE) or self.band.traits.loses is Loss.NOTHING

    @property
    def unseen(self) -> bool:
        """Whether nobody saw when it came: its new home was not looked at for a while before it ran there."""
        return self.running is not None and self.absent is not None and self.running - self.absent > MISSED

    @property
    def ran(self) -> str:
        """Where it ran again, in words."""
        return f"ran again on {self.to}" if self.to == self.home else f"ran on {self.to}"

    def json(self) -> dict[str, Json]:
        """Give the split as it stands in a verdict file."""
        return {
            "fault": self.band.fault,
            "from": self.home,
            "to": self.to,
            "noticed": neat(self.noticed),
            "placed": neat(self.placed),
            "running": neat(self.running),
            "serving": neat(self.serving),
            **({"by": [*self.by]} if self.by else {}),
            **({"stayed": True} if self.stayed else {}),
            **({"absent": neat(self.absent)} if self.unseen else {}),
            **({"early": neat(self.early)} if self.early > CLOCKS else {}),
            **({"ran_on": neat(self.ran_on)} if self.ran_on > AT_ONCE else {}),
            "watched": neat(self.watched),
        }
