"""Capabilities: what not every mode or provider can do, whose each is, and that nobody takes what is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import pytest

from harness.core import protocols
from harness.core.protocols import Cluster, Node, capabilities
from harness.core.values import App, Effect, Traits
from harness.faults.power import NodeKill
from harness.registry import fitness
from harness.steps import Do, acting


@dataclass(frozen=True)
class Made:
    """An action of somebody else's, that does nothing."""

    name: ClassVar[str] = "acme.act"
    aims: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ()
    longest: ClassVar[float] = 30.0
    effect: ClassVar[Effect] = Effect()

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Do nothing."""
        return ""


def _taking(*names: str) -> Any:
    return dataclass(frozen=True)(type("Theirs", (Made,), {"takes": names}))


def _lacks(*names: str) -> str:
    return "; ".join(found for found, *_ in fitness.lacks("actions", "acme.act", _taking(*names)))


PROTOCOLS = {
    name: each for name, each in vars(protocols).items() if isinstance(each, type) and each.__module__.startswith(protocols.__name__)
}


@pytest.mark.parametrize("name", sorted({*PROTOCOLS} - {*protocols.CAPABILITIES}))
def test_what_is_no_capability_is_nobodys_to_take(name: str) -> None:
    """By an action or by a fault: who would be asked for it in a run could say neither yes nor no."""
    assert f"takes {name}" in _lacks("Scaling", name)
    traits = Traits(takes=("Power", name))
    cls: Any = dataclass(frozen=True)(type("Theirs", (NodeKill,), {"name": "acme.kill", "traits": traits}))
    assert [found for found, *_ in fitness.lacks("faults", "acme.kill", cls)] == [f"traits that take {name}"]


def test_whose_a_capability_is_stands_with_its_protocol() -> None:
    """Each that is a mode's or a provider's is one, and can be asked for."""
    for name, each in PROTOCOLS.items():
        whose = {"A mode": True, "A provider": False}.get(" ".join((each.__doc__ or "").split()[:2]))
        known = protocols.CAPABILITIES.get(name)
        assert (None if known is None else known.of_mode) is whose, name
    for capability in protocols.CAPABILITIES.values():
        assert not isinstance(object(), capability.protocol)


@pytest.mark.parametrize("name", sorted(name for name, each in protocols.CAPABILITIES.items() if each.of_mode))
def test_what_a_mode_lacks_for_an_action_is_told_at_planning(name: str) -> None:
    """Whatever of modes it takes; what it takes of providers is asked when there is one."""
    (misfit,) = Do(_taking(name, "Power")(), "n1", 5.0).misfits((), type("Bare", (), {"name": "bare"})())
    assert misfit.expected == f"a mode that offers {name}"


def test_a_plug_in_brings_a_capability_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the protocol that says what it is; no other may have its name."""
    monkeypatch.setattr(capabilities, "CAPABILITIES", known := dict(protocols.CAPABILITIES))
    for module in (acting, fitness):
        monkeypatch.setattr(module, "CAPABILITIES", known)

    @protocols.of_modes
    @runtime_checkable
    class Rolling(Protocol):
        def roll(self, app: App) -> None: ...

    class Able:
        name = "able"

        def roll(self, app: App) -> None: ...

    assert _lacks("Rolling") == ""
    cls = _taking("Rolling")
    assert Do(cls(), "n1", 5.0).misfits((), Able()) == []
    assert len(Do(cls(), "n1", 5.0).misfits((), type("Bare", (), {"name": "bare"})())) == 1

    class Scaling(Protocol): ...

    with pytest.raises(ValueError, match="can be asked for"):
        protocols.of_modes(Scaling)
    with pytest.raises(ValueError, match=r"harness\.core\.protocols\.mode_capabilities has a capability named Scaling already"):
        protocols.of_providers(runtime_checkable(Scaling))
