"""The inventory that is made for a run: its hosts, what each of them is to run, and a group an app. Pure.

All that comes from a scenario is tagged ``!unsafe``: Ansible takes it as it stands, and fills in none of the braces that may be in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from harness.core.instances import APP_LABEL, INSTANCE_LABEL, app_of
from harness.core.values import ALWAYS, App

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.protocols import Node
    from harness.core.values import ContainerLimits, Health, Json
    from harness.modes.ansible.assigning import Assigned

RESTART: Final = ALWAYS
"""When a container that ended is started again by its Docker, where an app does not say it: what most playbooks say."""
_RESERVED: Final = frozenset({"all", "ungrouped"})


class Unsafe(str):
    """Text that Ansible must take as it stands."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes such text with its tag."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - nothing is written as a reference to something else
        """Write everything out."""
        return True


_Dumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"'))


def container_name(instance: str) -> str:
    """Return what the container of an instance is called, as fleet's are: ``web-1`` of ``web@1``."""
    return instance.replace("@", "-")


def text(nodes: Sequence[Node], apps: Sequence[App], assigned: Assigned, taken: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return the inventory with these apps in it. An app with a playbook of its own is a group of hosts, and nothing more.

    `taken` are names of containers that a host is not to have any more, beside those that are assigned elsewhere now.
    """
    by_instance = {name: app for app in apps if app.native is None for name in app.names}
    # An instance may be of no app of these, as one that a smaller scale has left.
    ours = {app.name for app in apps if app.native is None}
    hosts: dict[str, Json] = {}
    for node in nodes:
        containers: dict[str, Json] = {
            container_name(name): _container(by_instance[name], name, node.name) for name in assigned.on(node.name) if name in by_instance
        }
        gone = [container_name(name) for name in assigned.gone(node.name) if app_of(name) in ours]
        gone += (taken or {}).get(node.name, ())
        told: dict[str, Json] = {"containers": containers, "gone": [Unsafe(name) for name in gone]}
        hosts[node.name] = {"ansible_host": node.address, **{key: value for key, value in told.items() if value}}
    names = {node.name for node in nodes} | _RESERVED
    groups: dict[str, Json] = {app.name: {"hosts": dict.fromkeys(assigned.of(app).values())} for app in apps if app.name not in names}
    variables: dict[str, Json] = {"ansible_user": "root", "ansible_python_interpreter": "/usr/bin/python3"}
    body: dict[str, Json] = {"all": {"vars": variables, "children": groups, "hosts": hosts}}
    said: str = yaml.dump(body, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return said


def _container(app: App, instance: str, host: str) -> dict[str, Json]:
    """Return what the playbook is told of one container."""
    own = {"WHALEFALL_INSTANCE": instance, "WHALEFALL_HOST": host}
    labels = {**dict(app.labels), APP_LABEL: app.name, INSTANCE_LABEL: instance}
    found: dict[str, Json] = {
        "image": Unsafe(app.image),
        "ports": [f"{app.port_of(instance)}:{app.inner}"],
        "env": _texts({**own, **dict(app.environment)}),
        "labels": _texts(labels),
        "restart": app.restart or RESTART,
    }
    if app.volumes:
        found["volumes"] = [Unsafe(each) for each in app.volumes]
    if app.command:
        found["command"] = [Unsafe(each) for each in app.command]
    if app.health:
        found["health"] = _healthy(app.health, app.inner)
    if app.limits:
        found |= _limited(app.limits)
    return found


def _limited(limits: ContainerLimits) -> dict[str, Json]:
    """Return what a container may take, as community.docker has it."""
    memory = f"{limits.memory}m" if limits.memory else ""
    given: dict[str, Json] = {"pids": limits.pids, "cpus": limits.cpu, "memory": memory, "blkio": limits.io}
    return {name: value for name, value in given.items() if value}


def _texts(values: Mapping[str, str]) -> dict[str, Json]:
    return {name: Unsafe(value) for name, value in values.items()}


def _healthy(health: Health, port: int) -> dict[str, Json]:
    """Return how Docker finds out whether a container works, as community.docker has it; what is not given stays as the image says."""
    line = health.shell(port)
    test: list[Json] = ["CMD", *map(Unsafe, health.words)] if health.words else ["CMD-SHELL", Unsafe(line)] if line else []
    times = {"interval": health.every, "timeout": health.timeout, "start_period": health.start_period}
    said: dict[str, Json] = {name: f"{round(seconds * 1000)}ms" for name, seconds in times.items() if seconds}
    retries: dict[str, Json] = {"retries": health.retries} if health.retries else {}
    return {**({"test": test} if test else {}), "test_cli_compatible": True, **said, **retries}


def secrets(apps: Sequence[App]) -> tuple[str, ...]:
    """Return what must not stand in anything that is kept or shown: the values of the apps' own variables."""
    return tuple(value for app in apps for _, value in app.environment if value)
