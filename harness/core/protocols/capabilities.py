"""What not every mode, or not every provider, can do: the register of those protocols, which faults and actions name in `takes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Capability:
    """What not every mode, or not every provider, can do: what a fault or an action takes, by the name of its protocol."""

    protocol: type[Any]
    of_mode: bool  # else it is a provider's


CAPABILITIES: dict[str, Capability] = {}
"""Every capability by its name: those of this package, and those that plug-ins brought."""


def of_modes(protocol: type[C]) -> type[C]:
    """Make a protocol that is `runtime_checkable` a capability of modes. Raises `ValueError` where another one has its name."""
    return _known(protocol, of_mode=True)


def of_providers(protocol: type[C]) -> type[C]:
    """Make it one of providers; see `of_modes`."""
    return _known(protocol, of_mode=False)


def _known(protocol: type[C], *, of_mode: bool) -> type[C]:
    name = protocol.__name__
    if not getattr(protocol, "_is_runtime_protocol", False):
        raise ValueError(f"{name} is no protocol that can be asked for; expected @runtime_checkable above it")
    other = CAPABILITIES.get(name)
    if other is not None and (other.protocol.__module__, other.protocol.__qualname__) != (protocol.__module__, protocol.__qualname__):
        raise ValueError(f"{other.protocol.__module__} has a capability named {name} already")
    CAPABILITIES[name] = Capability(protocol, of_mode)
    return protocol
