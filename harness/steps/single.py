"""What steps of one value share: they are a mapping with one key, in files and in saved plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from harness.history.lines import typed
from harness.steps.part import Part, model_schema
from harness.steps.step import Step

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.registry import Known
    from harness.steps.step import Reading


class SingleStep(Step):
    """A step with one field, whose value stands under the kind's own word. What a file may give for it, `part` says."""

    __slots__ = ()

    part: ClassVar[type[Part]]  # with the kind's word as its one key
    holds: ClassVar[type]  # what a saved plan has for it

    @classmethod
    def read(cls, reading: Reading, item: Mapping[str, Json], place: Place) -> Self | None:
        """Read the value; see `Step.read`."""
        part = reading.part(cls.part, dict(item), place)
        return cls._of(getattr(part, cls.key)) if part else None

    @classmethod
    def schemas(cls, known: Known, target: Mapping[str, Any]) -> list[dict[str, Any]]:  # noqa: ARG003 - it names nothing of theirs
        """Return the one that there is; see `Step.schemas`."""
        return [model_schema(cls.part)]

    @classmethod
    def from_json(cls, body: Mapping[str, Any], among: Known) -> Self:  # noqa: ARG003 - same
        """Read the value; see `Step.from_json`."""
        return cls._of(typed(cls.holds, body[cls.key]))

    def to_json(self) -> dict[str, Json]:
        """Return the value."""
        (field,) = dataclasses.fields(self)  # type: ignore[arg-type]  # kinds of steps are dataclasses
        return {self.key: getattr(self, field.name)}

    @classmethod
    def _of(cls, value: Any) -> Self:
        return cls(value)  # type: ignore[call-arg]  # the one field of a kind
