"""Which host an instance is assigned to: what a static inventory says, and nothing but a change of it moves. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.instances import app_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from harness.core.values import App


@dataclass(frozen=True, slots=True)
class Assigned:
    """The instances of all apps, each with its host; `left` has those that were once on a host and are assigned elsewhere now, or nowhere."""

    homes: Mapping[str, str] = field(default_factory=dict)  # instance → host
    left: frozenset[tuple[str, str]] = frozenset()  # (instance, host)

    def of(self, app: App) -> dict[str, str]:
        """Return the homes of an app's instances, in the order of their numbers."""
        return {name: self.homes[name] for name in app.names if name in self.homes}

    def on(self, host: str) -> list[str]:
        """Return what a host is to run."""
        return [instance for instance, home in self.homes.items() if home == host]

    def gone(self, host: str) -> list[str]:
        """Return what a host is not to run any more."""
        return sorted(instance for instance, home in self.left if home == host)

    def placed(self, app: App, hosts: Sequence[str]) -> Assigned:
        """Assign the instances of an app that have no home yet; what has one stays there, and what can have none gets none."""
        homes = dict(self.homes)
        for instance in app.names:
            if instance not in homes and (home := _chosen(homes, app, hosts)) is not None:
                homes[instance] = home
        return self._with(homes)

    def without(self, instances: Iterable[str]) -> Assigned:
        """Take some instances out of the inventory."""
        gone = {*instances}
        return self._with({name: home for name, home in self.homes.items() if name not in gone})

    def moved(self, apps: Iterable[App], away: Collection[str], hosts: Sequence[str]) -> Assigned:
        """Assign what is on the hosts `away` to others, among `hosts`. Raises `HarnessError` that names what nobody may take."""
        homes = dict(self.homes)
        nowhere = []
        for app in apps:
            for instance, home in self.of(app).items():
                if home not in away:
                    continue
                del homes[instance]
                others = [each for each in hosts if each not in away]
                if (other := _chosen(homes, app, others)) is None:
                    why = f"it is pinned to {app.pin}" if app.pin else f"each has one of {app.name}" if others else "there is none"
                    nowhere.append(f"{instance} of {home} ({why})")
                else:
                    homes[instance] = other
        if nowhere:
            raise HarnessError(f"no other host may take {', '.join(nowhere)}")
        return self._with(homes)

    def _with(self, homes: Mapping[str, str]) -> Assigned:
        now = {*homes.items()}
        return replace(self, homes=homes, left=frozenset({*self.left, *self.homes.items()} - now))


def _chosen(homes: Mapping[str, str], app: App, hosts: Sequence[str]) -> str | None:
    """Return the host with the fewest instances that may have one more of an app, the first of those; None where none may."""
    of_app = {homes[name] for name in homes if app_of(name) == app.name}
    fit = [host for host in hosts if app.pin in {None, host} and not (app.conflicts and host in of_app)]
    many = Counter(homes.values())
    return min(fit, key=lambda host: many[host], default=None)
