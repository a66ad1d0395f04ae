"""The quorum of a simulated cluster: terms, elections, and whom each member follows. As raft does it, in what can be seen from outside."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.world import World

STEP_DOWN = 1.5
"""Seconds after which a leader without a majority may step down."""


class Quorum:
    """Who leads, by each member's own knowledge.

    `leader` is the one that a majority follows, None while there is none; `quorate` are the members that are there and reach a majority.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.members: Sequence[str] = world.cluster.members
        term, first = world.rng.randint(2, 5), world.rng.choice(self.members)
        self.term = dict.fromkeys(self.members, term)
        self.follows: dict[str, str | None] = dict.fromkeys(self.members, first)
        self.leader: str | None = first
        self.quorate: Sequence[str] = self.members
        self._there: Sequence[str] = self.members  # whose machine and daemon run, in this step
        self.led: list[tuple[float, str]] = [(0.0, first)]  # from when who led
        self._leads = {first: term}
        self._no_majority: dict[str, float] = {}
        self._no_word: dict[str, float] = {}
        self._elects: float | None = None

    def connected(self, node: str) -> bool:
        """Whether a node reaches, both ways, a member that follows the leader in the majority."""
        return self.leader is not None and any(
            self.follows[member] == self.leader and self._world.reaches(node, member) for member in self.quorate
        )

    def step(self) -> None:
        """Let members step down, be elected, and hear of each other."""
        world, most = self._world, len(self.members)
        self._there = there = [member for member in self.members if world.is_member(member)]
        if world.undivided:
            self.quorate = there if 2 * len(there) > most else []
        else:
            self.quorate = [member for member in there if 2 * sum(world.reaches(member, other) for other in there) > most]
        self._forget()
        self.leader = max((each for each in self._leads if each in self.quorate), key=lambda each: self._leads[each], default=None)
        self._disturb()
        if self.leader is not None or not self.quorate:
            self._elects = None
        elif self._elects is None:
            self._elects = world.now + world.rng.uniform(0.08, world.cluster.habits.electing) * world.cluster.election
        elif world.now >= self._elects:
            self._elect(world.rng.choice(self.quorate))
        for member in self.members:
            self._listen(member)

    def _forget(self) -> None:
        """Take leadership from those that are gone, and, after a while, from those that lost their majority."""
        world = self._world
        for member in list(self._leads):
            if member not in self._there:
                del self._leads[member]
                self.follows[member] = None
            elif member in self.quorate:
                self._no_majority.pop(member, None)
            else:
                since = self._no_majority.setdefault(member, world.now)
                if world.cluster.habits.steps_down and world.now - since > STEP_DOWN:
                    del self._leads[member]
                    self.follows[member] = None

    def _disturb(self) -> None:
        """Let a member that counted up its term alone end the leadership of one that hears of it."""
        world, leader = self._world, self.leader
        if leader is None or world.cluster.habits.prevote:
            return
        higher = [self.term[member] for member in self._there if world.reaches(member, leader) and self.term[member] > self._leads[leader]]
        if higher:
            del self._leads[leader]
            self.follows[leader] = self.leader = None
            for member in self.quorate:
                self.term[member], self.follows[member] = max(self.term[member], *higher), None

    def _elect(self, new: str) -> None:
        voters = [member for member in self._there if self._world.reaches(member, new)]
        term = 1 + max(*(self.term[member] for member in voters), *self._leads.values(), 0)
        for member in voters:
            self.term[member], self.follows[member] = term, new
            self._leads.pop(member, None)
        self._leads[new] = term
        self.leader, self._elects = new, None
        self.led.append((self._world.now, new))

    def _listen(self, member: str) -> None:
        world = self._world
        if member not in self._there:
            return
        heard = [
            each for each, term in self._leads.items() if term >= self.term[member] and each in self._there and world.hears(member, each)
        ]
        if heard:
            leader = max(heard, key=lambda each: self._leads[each])
            if leader != member:
                self._leads.pop(member, None)
            self.follows[member], self.term[member] = leader, self._leads[leader]
            self._no_word.pop(member, None)
        elif world.now - self._no_word.setdefault(member, world.now) > world.cluster.habits.loyal:
            self.follows[member] = None
            alone = not world.cluster.habits.prevote and member not in self.quorate
            if alone and world.rng.random() < 0.01:
                self.term[member] += 1
