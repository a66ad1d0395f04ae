"""Actions that go through the instances of an app, one after the other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

from pydantic import Field

from harness.core import parameters
from harness.core.environment import wrong_variables
from harness.core.protocols import Cluster, Node, Restarting, Updating
from harness.core.units import counted
from harness.core.values import App, Effect
from harness.host import origins

LONGEST = 300.0
"""Seconds: an instance that stops in order and starts again takes some of them, and they are taken one after the other."""
_IMAGE = re.compile(origins.WRITTEN)


@dataclass(frozen=True, slots=True)
class RestartApp:
    """All instances of an app are stopped and started, one after the other, by the orchestrator. It is done when all of them run again."""

    app: str

    name: ClassVar[str] = "app.restart"
    aims: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("Restarting",)
    longest: ClassVar[float] = LONGEST

    @property
    def effect(self) -> Effect:
        """Its own instances are upset, and nobody else."""
        return Effect(renews=(self.app,))

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it is done to no node
        """Have it done. Raises `HarnessError` where there is no such app, or nothing of it was touched, `HalfDone` and `Expired` where some was."""
        app = cluster.app_there(self.app)
        cluster.can(Restarting).restart(cluster, app)
        return f"{counted(app.instances, 'instance')} of {app.name} started anew"


@dataclass(frozen=True, slots=True)
class UpdateApp:
    """An app is given another image, or other variables of its environment, one instance after the other. It is done when all of them run again.

    Variables are added to those that it has, or take the place of one of their name. Their values stand in the run's results, for others to read.
    """

    app: str
    image: Annotated[str, Field(description=origins.EXPECTED)] = ""
    environment: Annotated[Mapping[str, str], Field(description="a mapping from variables of its containers to text")] = field(
        default_factory=dict
    )

    name: ClassVar[str] = "app.update"
    aims: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("Updating",)
    longest: ClassVar[float] = LONGEST

    def __post_init__(self) -> None:
        """Raise `ValueError` with all that keeps it from being an update."""
        if not parameters.fits(self):
            return
        wrong = [] if self.image or self.environment else ["nothing to change: give it an image, or an environment"]
        if self.image and (len(self.image) > origins.LONGEST or not _IMAGE.fullmatch(self.image)):
            wrong.append(f"{origins.hidden(self.image)!r} is no image: {origins.EXPECTED}")
        wrong += [f"found {found}, expected {expected}" for _, found, expected in wrong_variables(self.environment)]
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def effect(self) -> Effect:
        """Its own instances are upset, and nobody else; and it stays as it is given."""
        return Effect(renews=(self.app,), alters=(self.app,))

    def altered(self, app: App) -> App:
        """Return the app with its new image and environment; see `harness.core.protocols.Altering`."""
        if app.name != self.app:
            return app
        variables = {**dict(app.environment), **self.environment}
        return replace(app, image=self.image or app.image, environment=tuple(sorted(variables.items())))

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it is done to no node
        """Have it done. Raises `HarnessError` where there is no such app, or nothing of it was touched, `HalfDone` and `Expired` where some was."""
        app = cluster.app_there(self.app)
        cluster.can(Updating).update(cluster, cluster.on_nodes(self.altered(app)))
        return f"{counted(app.instances, 'instance')} of {app.name} started anew" + (
            f", which had the image {app.image} before" if self.image else ""
        )
