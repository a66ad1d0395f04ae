"""The units of an app stopped and started anew, one after the other, as `fleetctl restart` does it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from harness.core import stops
from harness.core.clock import wait_until
from harness.core.errors import Expired, HalfDone, HarnessError, Unreachable
from harness.core.values import View
from harness.modes import on_nodes
from harness.modes.fleet.fleet_adoption import at_any
from harness.modes.fleet.unit_files import unit_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.core.clock import Deadline
    from harness.core.protocols import Cluster, Node
    from harness.core.values import App
    from harness.modes.fleet.fleet_api import Api, State, Unit
    from harness.modes.fleet.unit_files import UnitFile

T = TypeVar("T")

_GOING = frozenset({"active", "activating", "deactivating", "reloading"})
"""What systemd says of a unit of which something may still run."""
_LOADED, _LAUNCHED = "loaded", "launched"


class Units:
    """The units of one app, asked and changed through the first node whose API answers. Used inside `cluster.network()`."""

    def __init__(
        self, cluster: Cluster, api_of: Callable[[Cluster, Node], Api], look: Callable[[], View | str], app: App, deadline: Deadline
    ) -> None:
        self._cluster = cluster
        self._api_of = api_of
        self._look = look
        self._app = app
        self._deadline = deadline

    def restart(self, *, files: Mapping[str, UnitFile] | None = None) -> None:
        """Stop each that has a home, wait until it has stopped, start it, and wait until it runs and answers HTTP; then the next.

        With `files`, by instance, each is another unit from then on, also one without a home: that is given to fleet alone. Those without a home are
        waited for when all others are done: until as many serve as can have a home on the machines that fleet lists.

        Raises `HarnessError` where fleet lists none of that name, where none has a home and none is to be another, or where it refuses the first;
        `HalfDone` where it does so later, and `Expired` with what was seen last. One that was stopped is started in any case, as far as somebody
        takes that.
        """
        listed = self._listed()
        homeless = [instance for instance in self._app.names if not listed[unit_name(instance, self._app)].machine]
        if files is None and len(homeless) == self._app.instances:
            raise HarnessError(f"fleet has no unit of {self._app.name} on any machine, so that there is nothing to start anew")
        begun = 0
        for instance in self._app.names:
            file = None if files is None else files[instance]
            if file is None and not listed[unit_name(instance, self._app)].machine:
                continue
            try:
                if listed[unit_name(instance, self._app)].machine:
                    self._anew(instance, file)
                elif file is not None:
                    self._until(lambda api, file=file: api.launch(file), lambda _: True, f"fleet to take {file.name}")  # type: ignore[misc]
            except HarnessError as error:
                if begun and _plain(error):
                    raise HalfDone(f"{begun} units of {self._app.name} were started anew, and then: {error}") from error
                raise
            begun += 1
        if homeless:
            self._until(
                lambda _: self._all_serve(),
                lambda seen: seen[0],
                f"{', '.join(unit_name(each, self._app) for each in homeless)} to run again, too",
            )

    def _all_serve(self) -> tuple[bool, str]:
        """Return whether as many serve as can have a home now, and what is so."""
        view = self._look()
        if isinstance(view, str):
            return False, view
        serving, told = on_nodes.who_serves(self._cluster, {*self._app.names}, view, lambda each, _: self._app.port_of(each.instance))
        return len(serving) >= self._app.homes(len(view.nodes)), told or "fleet lists no such unit"

    def _listed(self) -> Mapping[str, Unit]:
        """Return its units as fleet lists them. Raises `HarnessError` where one is missing."""
        found = self._until(lambda api: api.units(), lambda _: True, f"fleet to list the units of {self._app.name}")
        listed = {each.name: each for each in found}
        missing = [unit for unit in (unit_name(each, self._app) for each in self._app.names) if unit not in listed]
        if missing:
            raise HarnessError(f"fleet lists no unit {', '.join(missing)}")
        return listed

    def _anew(self, instance: str, file: UnitFile | None) -> None:
        unit, stopped = unit_name(instance, self._app), False
        try:
            self._until(lambda api: api.want(unit, _LOADED), lambda _: True, f"fleet to take that {unit} is to stop")
            stopped = True
            self._until(lambda api: self._rows(api, unit), lambda rows: not any(each.active in _GOING for each in rows), f"{unit} to stop")
            launch = f"fleet to take that {unit} is to start"
            self._until(lambda api: api.want(unit, _LAUNCHED) if file is None else api.launch(file), lambda _: True, launch)
        except HarnessError as error:
            if stopped or not _plain(error):  # it may have been taken all the same
                with stops.deaf(), suppress(HarnessError):
                    at_any(self._cluster, self._api_of, lambda api: api.want(unit, _LAUNCHED))
            if stopped and _plain(error):
                raise HalfDone(f"{unit} was stopped, and then: {error}") from error
            raise
        self._until(lambda _: self._serves(instance), lambda seen: seen[0], f"{unit} to run again and to answer HTTP")

    def _serves(self, instance: str) -> tuple[bool, str]:
        view = self._look()
        if isinstance(view, str):
            return False, view
        serving, told = on_nodes.who_serves(self._cluster, {instance}, view, lambda *_: on_nodes.asked_port(self._app, instance))
        return bool(serving), told or "fleet lists no such unit"

    @staticmethod
    def _rows(api: Api, unit: str) -> Sequence[State]:
        return [each for each in api.states() if each.name == unit]

    def _until(self, ask: Callable[[Api], T], so: Callable[[T], bool], awaited: str) -> T:
        """Ask until what is answered is so, and return it. Raises `Expired` with the last answer, or why there was none."""
        last = "not asked yet"

        def seen() -> tuple[T] | None:
            nonlocal last
            try:
                answer: T = at_any(self._cluster, self._api_of, ask)
            except Unreachable as error:
                last = str(error)
                return None
            last = str(answer)
            return (answer,) if so(answer) else None

        return wait_until(seen, awaited=awaited, seconds=self._deadline.left(), clock=self._cluster.clock, every=0.2, saw=lambda: last)[0]


def _plain(error: HarnessError) -> bool:
    """Whether an error says that something was refused: not that nobody can tell, and it ends neither the action nor the run."""
    return not isinstance(error, Expired) and stops.heard() is None
