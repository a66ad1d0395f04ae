"""Switches one host's power with the commands that its inventory gives, or with its kernel's own SysRq.

The commands run here, as argument lists, and may hold passwords: so no error shows more of one than its program's name. Whether a host is on only its
status command can tell. It says so by its words where its exit status is 0 (``on``, ``running`` or ``paused``; ``off``, ``shut off`` or
``crashed``), or else by the exit status alone: 0 on, and 1 without a word off.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.core import pace
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError, Unreachable
from harness.core.figures import given
from harness.core.values import Unavailable
from harness.providers.inventory import blanks

if TYPE_CHECKING:
    from harness.core.protocols import Node
from harness.host.processes import run_bounded
from harness.providers.inventory.hosts import Host

COMMAND_SECONDS = 30.0
"""How long one power command may take. ipmitool takes one or two seconds, virsh less."""
OFF_SECONDS = 30.0
"""How long after its command a host may take to be off by its status."""
ON_SECONDS = 600.0
"""How long a host may take from power-on until it answers. Servers test their memory for minutes."""

_ON = re.compile(r"\b(?:on|running|paused|idle|active)\b")
_OFF = re.compile(r"\b(?:off|crashed|stopped|inactive)\b")
# SysRq must be allowed for a moment. A shell that is told to end by the power-off gives no answer: that is one.
_SYSRQ = 'echo 1 >/proc/sys/kernel/sysrq && echo "$1" >/proc/sysrq-trigger'


def why_not(host: Host) -> Unavailable | None:
    """Say why this host's power cannot be cut and given back, or None."""
    switch = host.switch
    missing = []
    if not switch.off and not switch.sysrq:
        missing.append("whalefall_power_off (or whalefall_sysrq: true)")
    if not switch.on:
        missing.append("whalefall_power_on, without which it would stay off")
    if not switch.status:
        missing.append("whalefall_power_status, without which nobody can tell that it is off")
    if not missing:
        return None
    return Unavailable(f"the inventory gives no way to switch {host.name}", f"for {host.name}: {' and '.join(missing)}")


def off(node: Node, host: Host) -> None:
    """Cut the power. Returns when the status says off. Raises `HarnessError` where the host offers no way, or the command fails."""
    _must(host)
    if host.switch.off:
        # Not asked first whether it is on: each question takes time in which nobody knows yet that the power is gone.
        _command(host, "whalefall_power_off", host.switch.off, unless=lambda: not is_on(host))
    elif is_on(host):
        _sysrq(node, "o")
    _await(host, on=False, seconds=pace.limit(OFF_SECONDS))


def on(node: Node, host: Host) -> None:
    """Give the power back. Returns when the host answers. One that is on is only waited for."""
    _must(host)
    if not is_on(host):
        _command(host, "whalefall_power_on", host.switch.on, unless=lambda: is_on(host))
        _await(host, on=True, seconds=pace.limit(COMMAND_SECONDS))
    _await_answer(node, host)


def reboot(node: Node, host: Host) -> None:
    """Reset the machine: by its switch, or else by SysRq. Returns when it answers, booted anew."""
    if why_not(host) is None and host.switch.off:
        off(node, host)
        on(node, host)
        return
    if not host.switch.sysrq:
        raise HarnessError(f"{node.name}: {host.name} cannot be reset: give it whalefall_sysrq: true, or power commands")
    before = _boot(node)
    _sysrq(node, "b")
    _await_answer(node, host, not_boot=before)


def is_on(host: Host) -> bool:
    """Whether the host has power, by its status command. One without such a command is never said to be off: nobody could know.

    Raises `Unreachable` where the command gives no clear answer.
    """
    return not host.switch.status or _said(host)


def _must(host: Host) -> None:
    why = why_not(host)
    if why is not None:
        raise HarnessError(f"{why.reason}; it needs {why.needs}")


def _said(host: Host) -> bool:
    done = _run(host, "whalefall_power_status", host.switch.status)
    words = done.stdout.decode(errors="replace").lower()
    if done.returncode == 0:
        says_on, says_off = bool(_ON.search(words)), bool(_OFF.search(words))
        if not (says_on and says_off):
            return not says_off
    elif done.returncode == 1 and not words.strip():
        return False
    expected = "a word such as on or off, or exit status 0 (on) or 1 (off) without a word"
    saw = f"exit status {done.returncode} and {words.strip()[:80]!r}; expected {expected}"
    raise Unreachable(host.name, "whalefall_power_status", saw)


def _command(host: Host, variable: str, argv: Sequence[str], *, unless: Callable[[], bool]) -> None:
    """Run a command. One that fails has done no harm where `unless` says that all is so already: virsh refuses to destroy what is off."""
    done = _run(host, variable, argv)
    if done.returncode != 0 and not unless():
        said = done.stderr.decode(errors="replace").strip()[:200] or "(nothing on stderr)"
        raise HarnessError(f"{host.name}: {variable} ({argv[0]} …) exited with status {done.returncode}: {said}")


def _run(host: Host, variable: str, argv: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a command here, with the host's name and address in it."""
    try:
        return run_bounded(blanks.filled(argv, host), seconds=pace.limit(COMMAND_SECONDS))
    except subprocess.TimeoutExpired as error:
        # Without the cause: its text holds the whole command.
        raise Unreachable(host.name, variable, f"{argv[0]} … took longer than {given(pace.limit(COMMAND_SECONDS))}") from error.__cause__
    except OSError as error:
        raise HarnessError(f"{host.name}: {variable} cannot be run here: {argv[0]}: {error.strerror}") from error


def _sysrq(node: Node, key: str) -> None:
    try:
        result = node.run("/bin/sh", "-c", _SYSRQ, "whalefall", key, timeout=pace.limit(5.0))
    except Unreachable:
        return  # it went before it could say so
    if not result.ok:
        raise HarnessError(f"{node.name}: its kernel does not take SysRq {key}: {result.err.decode(errors='replace').strip()}")


def _await(host: Host, *, on: bool, seconds: float) -> None:
    wait_until(
        lambda: is_on(host) is on,
        awaited=f"{host.name} to be {'on' if on else 'off'} by its whalefall_power_status",
        seconds=seconds,
        clock=SystemClock(),
        every=0.2,
        saw=lambda: f"it says {'off' if on else 'on'}",
    )


def _await_answer(node: Node, host: Host, not_boot: str = "") -> None:
    last = "not asked yet"

    def answers() -> bool:
        nonlocal last
        try:
            boot = _boot(node)
        except HarnessError as error:
            last = str(error)
            return False
        last = "it has not gone down yet"
        return boot != not_boot

    wait_until(answers, awaited=f"{host.name} to answer", seconds=pace.limit(ON_SECONDS), clock=SystemClock(), every=0.2, saw=lambda: last)


def _boot(node: Node) -> str:
    result = node.run("cat", "/proc/sys/kernel/random/boot_id", timeout=pace.limit(5.0))
    if not result.ok:
        raise HarnessError(f"{node.name}: gives no boot id: {result.err.decode(errors='replace').strip()}")
    return result.text.strip()
