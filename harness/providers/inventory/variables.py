"""What a host's variables say: from Ansible's names and ours to a `Host`. Pure; problems are collected, never raised one by one."""

from __future__ import annotations

import difflib
import ipaddress
import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.core import units
from harness.core.errors import Problem
from harness.nodes.ssh.config import PORTS
from harness.providers.inventory import blanks
from harness.providers.inventory.hosts import Host, Switch, more_than_a_name
from harness.providers.inventory.shapes import begun
from harness.providers.inventory.slips import is_theirs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Json


@dataclass(frozen=True, slots=True)
class Value:
    """One variable's value and where it stands."""

    value: Json
    file: str
    line: int
    column: int = 1

    def problem(self, found: str, expected: str, hint: str = "") -> Problem:
        """Return a problem with this value."""
        return Problem(self.file, self.line, self.column, found, expected, hint)


VAULT = "\0vault"
"""What stands for an encrypted value."""
AT_ONCE = "whalefall_at_once"
SLOWER = "whalefall_slower"
SHARED = (AT_ONCE, SLOWER)
"""Those that are said once for all hosts."""
OURS = (
    "whalefall_address",
    "whalefall_host_key",
    "whalefall_protected",
    *blanks.POWER,
    "whalefall_sysrq",
    *SHARED,
)
"""Every variable of ours."""

_KEY = "ansible_ssh_private_key_file"
_OTHER_NAMES = {
    "ansible_ssh_host": "ansible_host",
    "ansible_ssh_port": "ansible_port",
    "ansible_ssh_user": "ansible_user",
    "ansible_private_key_file": _KEY,
}
"""Names that Ansible reads for the same, most of them from before 2.0."""
_COMMON = "ansible_ssh_common_args"
_CONNECTION = "ansible_connection"
_READ = {"ansible_host", "ansible_port", "ansible_user", _KEY, _COMMON, _CONNECTION}
_NEEDED = {*OURS, *_READ, *_OTHER_NAMES}
_BECOME = {"ansible_become_user": "root", "ansible_become_method": "sudo", "ansible_become_exe": "sudo"}
"""How tasks become root, where that is said; anything else is another way than ours."""
_FOR_TASKS = {f"ansible_ssh_{each}" for each in ("pipelining", "retries", "timeout", "use_tty", "transfer_method")}
"""What only says how Ansible's own tasks are sent."""
_NAME = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]-]*")
_OVER_SSH = {"ssh", "smart", "paramiko", "paramiko_ssh"}
_PASSWORDS = {"ansible_password", "ansible_ssh_pass", "ansible_ssh_password", "ansible_become_password", "ansible_become_pass"}
_KEYS = {"ansible_private_key", "ansible_private_key_passphrase"}
"""The text of a key, not its file."""
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_JUMP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:\[\]-]*")
_OPTION = re.compile("(?:-o[A-Za-z]+|--[A-Za-z-]+|-[A-Za-z])=?")
"""The name of an option, as a word of ssh's arguments begins with it."""
_HOST_KEY = re.compile(r"(?:ssh-|ecdsa-)[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}(?: .*)?")


def host(name: str, at: Value, variables: Mapping[str, Value], problems: list[Problem]) -> Host:
    """Return the host that these variables describe; what is wrong with them goes into `problems`. `at` is where the host is named."""
    known: dict[str, Value] = {}
    for key, each in variables.items():
        problem = _not_understood(key, each)
        if problem is not None:
            problems.append(problem)
        elif each.value == VAULT and key in _NEEDED:
            problems.append(
                each.problem(f"an encrypted value of {key}", "plain text", "vaults are never opened here; write the value itself")
            )
        elif isinstance(each.value, str) and any(mark in each.value for mark in ("{{", "{%", "{#")) and key in _NEEDED:
            problems.append(
                each.problem(f"a template in {key}", "plain text", "templates are Ansible's to fill in; write the value itself")
            )
        else:
            usual = _OTHER_NAMES.get(key, key)
            other = known.setdefault(usual, each)
            if str(other.value) != str(each.value):
                both = f"{key} {str(each.value)[:40]!r}, and {str(other.value)[:40]!r} under its other name"
                problems.append(each.problem(both, f"one value, in {usual}"))
    read = _Reader(known, problems)
    target = read.text("ansible_host") or name
    _reachable(name, target, known, at, problems)
    found = Host(
        name=name,
        host=target,
        port=read.port("ansible_port"),
        user=read.text("ansible_user"),
        key=read.text(_KEY),
        jump=read.jump(_COMMON),
        file=at.file,
        line=at.line,
    )
    return with_ours(found, known, problems)


def _reachable(name: str, target: str, known: Mapping[str, Value], at: Value, problems: list[Problem]) -> None:
    """Note what is wrong with where a host is to be found, and with how it becomes root there."""
    if not _NAME.fullmatch(name):
        hint = more_than_a_name(name) or "letters, digits, '.', '-', '_' and ':'"
        problems.append(at.problem(f"the host {begun(name)!r}", "a host's name", hint))
    elif more := more_than_a_name(target):
        problems.append(
            known.get("ansible_host", at).problem(f"ansible_host {begun(target)!r}", "a name or an address, and nothing else", more)
        )
    try:
        ipaddress.IPv6Address(target.strip("[]"))
    except ValueError:
        pass
    else:
        if "whalefall_address" not in known:
            hint = "clusters are cut by IPv4: say the host's own on the cluster's network in whalefall_address"
            problems.append(known.get("ansible_host", at).problem(f"{target}, which is an IPv6 address", "a name or an IPv4 address", hint))
    for key, usual in _BECOME.items():
        each = known.get(key)
        if each is not None and str(each.value or usual) != usual:
            hint = "the harness is root by logging in so, or by sudo without a password"
            problems.append(each.problem(f"{key} {str(each.value)[:40]!r}", f"{usual}, or nothing", hint))


def with_ours(found: Host, known: Mapping[str, Value], problems: list[Problem]) -> Host:
    """Return a host with what our own variables say of it."""
    read = _Reader(known, problems)
    switch = Switch(
        off=read.command(blanks.OFF),
        on=read.command(blanks.ON),
        status=read.command(blanks.STATUS),
        sysrq=read.flag("whalefall_sysrq"),
    )
    return replace(
        found,
        address=read.address("whalefall_address"),
        host_key=read.host_key("whalefall_host_key"),
        protected=read.flag("whalefall_protected"),
        switch=switch,
    )


def perhaps_open(key: str, at: Value) -> list[Problem]:
    """Return what is told of a word in braces in a power command that may be the command's own: it stops no run."""
    told = blanks.slips(key, at.value) if key in blanks.POWER and isinstance(at.value, str) else ()
    return [at.problem(each.found, each.expected, each.hint) for each in told if not each.stops]


def at_once(found: Sequence[Value], problems: list[Problem]) -> int | None:
    """Return the one cap that all hosts share; None where none says one."""
    numbers: dict[int, Value] = {}
    for each in found:
        number = _whole(each.value)
        if number is None or number < 1:
            problems.append(each.problem(f"{AT_ONCE} {each.value!r}", "a whole number from 1"))
        else:
            numbers.setdefault(number, each)
    _one_for_all(AT_ONCE, numbers, problems)
    return min(numbers, default=None)


def slower(found: Sequence[Value], problems: list[Problem]) -> float:
    """Return by how many seconds the hosts may be slower than machines are; 0 where none says so."""
    seconds: dict[float, Value] = {}
    for each in found:
        try:
            seconds.setdefault(units.duration(each.value), each)
        except ValueError:
            problems.append(each.problem(f"{SLOWER} {each.value!r}", units.DURATION))
    _one_for_all(SLOWER, seconds, problems)
    return max(seconds, default=0.0)


def _one_for_all(name: str, found: Mapping[Any, Value], problems: list[Problem]) -> None:
    if len(found) > 1:
        problems.append(
            list(found.values())[1].problem(f"more than one {name}: {', '.join(f'{each:g}' for each in found)}", "one for all hosts")
        )


def unknown_of_ours(key: str, at: Value) -> Problem | None:
    """Return a problem for a variable that looks like one of ours and is none: whoever wrote it meant something by it."""
    if is_theirs(key) or key in OURS:
        return None
    near = difflib.get_close_matches(key.lower().replace("-", "_"), OURS, 1)
    return at.problem(f"a variable {key}", f"one of {', '.join(OURS)}", f"did you mean {near[0]!r}?" if near else "")


def _not_understood(key: str, at: Value) -> Problem | None:
    """Return a problem for a variable that says how to connect in a way that is not ours. What only Ansible's tasks read is Ansible's."""
    if not is_theirs(key):
        return unknown_of_ours(key, at)
    if key in _KEYS:
        return at.problem(f"a private key in {key}", f"the name of its file, in {_KEY}", "what is secret does not belong into an inventory")
    if key in _PASSWORDS:
        hint = "let the user log in with a key, and sudo without a password"
        return at.problem(f"a password in {key}", "no password: the harness logs in with keys only", hint)
    if key == _CONNECTION and str(at.value) not in _OVER_SSH:
        return at.problem(f"{_CONNECTION} {at.value!r}", "ssh: hosts are reached in no other way")
    if key.startswith("ansible_ssh_") and key not in {*_READ, *_OTHER_NAMES, *_FOR_TASKS}:
        readable = ", ".join(sorted(each for each in _READ if each.startswith("ansible_ssh_")))
        near = difflib.get_close_matches(key, [*sorted(_READ), *_OTHER_NAMES], 1, 0.9)
        hint = f"did you mean {near[0]!r}?" if near else ""
        return at.problem(f"a variable {key}, which is not understood", f"of ansible_ssh_… only {readable}", hint)
    return None


def _name_alone(word: str) -> str:
    """Return the name of the option that a word begins with, and of the rest only that there is more."""
    name = _OPTION.match(word)
    begun = name[0] if name else ""
    return begun + "…" * (begun != word)


def _whole(value: Json) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) else None


class _Reader:
    """Reads single variables as what they must be. A bad one is a problem, and then reads as if it were not there."""

    def __init__(self, known: Mapping[str, Value], problems: list[Problem]) -> None:
        self._known = known
        self._problems = problems

    def text(self, key: str) -> str:
        each = self._known.get(key)
        if each is None or each.value is None:
            return ""
        if isinstance(each.value, list | dict):
            self._problems.append(each.problem(f"{key} is a {'list' if isinstance(each.value, list) else 'mapping'}", "text"))
            return ""
        return str(each.value)

    def flag(self, key: str) -> bool:
        each = self._known.get(key)
        word = self.text(key).strip().lower()
        if each is None or word in _NO:
            return False
        if not word:
            self._problems.append(each.problem(f"{key} without a value", "true or false"))
        elif word not in _YES:
            self._problems.append(each.problem(f"{key} {each.value!r}", "true or false"))
        # Whoever wrote it meant something by it; read as "yes" it protects.
        return True

    def port(self, key: str) -> int:
        each = self._known.get(key)
        if each is None:
            return 22
        number = _whole(each.value)
        if number not in PORTS:
            self._problems.append(each.problem(f"{key} {each.value!r}", "a port from 1 to 65535"))
            return 22
        return number or 22

    def address(self, key: str) -> str:
        each, text = self._known.get(key), self.text(key).strip()
        if each is None or not text:
            return ""
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            self._problems.append(each.problem(f"{key} {text!r}", "an IPv4 address", "it is the host's address on the cluster's network"))
            return ""

    def host_key(self, key: str) -> str:
        each, text = self._known.get(key), self.text(key).strip()
        if each is None or not text:
            return ""
        if not _HOST_KEY.fullmatch(text):
            hint = "on the host: cat /etc/ssh/ssh_host_ed25519_key.pub; in an INI file put it in quotes"
            self._problems.append(each.problem(f"{key} {text[:40]!r}", "a public host key: its type, then the key", hint))
            return ""
        return " ".join(text.split()[:2])

    def command(self, key: str) -> tuple[str, ...]:
        each, text = self._known.get(key), self.text(key)
        if each is None or not text.strip():
            return ()
        self._problems += [each.problem(told.found, told.expected, told.hint) for told in blanks.slips(key, text) if told.stops]
        try:
            return tuple(shlex.split(text))
        except ValueError:
            # Its text is not shown: it may hold a password.
            self._problems.append(each.problem(f"{key} with a quote that is not closed", "a command, its words split as a shell would"))
            return ()

    def jump(self, key: str) -> str:
        """Take a ProxyJump out of arguments for ssh, and refuse whatever else stands there."""
        each, text = self._known.get(key), self.text(key)
        if each is None or not text.strip():
            return ""
        try:
            words = shlex.split(text)
        except ValueError:
            self._problems.append(each.problem(f"{key} with a quote that is not closed", "-o ProxyJump=[USER@]HOST[:PORT], or nothing"))
            return ""
        found, bad = "", []
        while words:
            word = words.pop(0)
            if word in {"-o", "-J"} and words:
                word += words.pop(0)
            option = re.fullmatch(r"-oProxyJump[= ](.+)|-J(.+)", word, re.IGNORECASE)
            if option and not found and _JUMP.fullmatch(option[1] or option[2]):
                found = option[1] or option[2]
            else:
                bad.append(word)
        if bad:
            hint = "host keys are always checked" if any("hostkey" in word.lower() for word in bad) else ""
            # Only the options' names are repeated: passwords stand in what follows them, also without a blank or a sign between.
            named = " ".join(map(_name_alone, bad))
            self._problems.append(each.problem(f"{key} with {named!r}", "-o ProxyJump=[USER@]HOST[:PORT] and nothing else", hint))
        return found
