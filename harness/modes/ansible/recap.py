"""What ansible-playbook said of a play, read: how it went on each host, and why not where it failed. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.core.errors import clipped
from harness.host import untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from harness.core.values import Json

_RECAP: Final = re.compile(r"^PLAY RECAP \*+$", re.MULTILINE)
_HOST: Final = re.compile(
    r"^(?P<name>\S+)\s+: ok=(?P<ok>[0-9]+)\s+changed=(?P<changed>[0-9]+)\s+unreachable=(?P<unreachable>[0-9]+)\s+failed=(?P<failed>[0-9]+)\b",
    re.MULTILINE,
)
_FAILED: Final = re.compile(r"^(?:fatal|failed): \[(?P<name>[^\]\s]+)(?: -> [^\]]*)?\][^\n]*? => (?P<what>\{.*\})$", re.MULTILINE)
_DONE: Final = re.compile(r"^(?:changed|ok): \[(?P<name>[^\]\s]+)(?: -> [^\]]*)?\]", re.MULTILINE)
_NO_WAY: Final = re.compile(
    r"\bssh: (?:connect to host|Could not resolve hostname) |\bPermission denied \(|\bHost key verification failed\b"
    r"|\bbanner exchange\b|\bkex_exchange_"
)
"""What SSH says where it never had a session on the host. Whatever else it says may be the end of one, in which something was done."""
_TASK: Final = re.compile(r"^TASK \[(?P<name>.*)\] \*+$", re.MULTILINE)
_ERROR: Final = re.compile(r"^\[ERROR\]: (?P<what>.*)$\n?(?:^Origin: (?P<at>.*)$)?", re.MULTILINE)
_UNMATCHED: Final = re.compile(r"^\[WARNING\]: Could not match supplied host pattern, ignoring: (?P<name>\S+)$", re.MULTILINE)
_NOT_SAID: Final = frozenset({"", "All items completed"})


@dataclass(frozen=True, slots=True)
class HostRecap:
    """How a play went on one host."""

    name: str
    changed: int
    unreachable: bool
    failed: bool
    why: str = ""  # of a host on which it did not go well
    touched: bool = True  # something was done there, or may have been: not where SSH never had a session

    @property
    def well(self) -> bool:
        """Whether all that was to be done there is done."""
        return not (self.unreachable or self.failed)

    def __str__(self) -> str:
        """Say it in words."""
        if self.well:
            return f"{self.name}: {self.changed} changed" if self.changed else f"{self.name}: nothing to change"
        return f"{self.name}: {'unreachable' if self.unreachable else 'failed'}{f' ({self.why})' if self.why else ''}"


@dataclass(frozen=True, slots=True)
class Recap:
    """How a play went: of each host, in the order in which Ansible tells them, and what kept it from being played at all.

    Where it ended before it told anything of a host, `begun` says whether a task was begun.
    """

    hosts: tuple[HostRecap, ...]
    errors: tuple[str, ...] = ()
    begun: bool = False
    unmatched: tuple[str, ...] = ()  # what plays were for, and the inventory has neither as a host nor as a group

    @property
    def bad(self) -> tuple[HostRecap, ...]:
        """The hosts on which it did not go well."""
        return tuple(each for each in self.hosts if not each.well)

    @property
    def touched(self) -> bool:
        """Whether something was done on any host, or may have been: not where none was reached."""
        return self.begun or any(each.touched for each in self.hosts)

    def __str__(self) -> str:
        """Say it in one line."""
        nobody = f"it was played on no host{': ' if self.unmatched else ''}{self.strangers}"
        return "; ".join(map(str, self.hosts)) or "; ".join(self.errors) or nobody

    @property
    def strangers(self) -> str:
        """Say whom plays were for that the inventory does not have; empty where there is nobody."""
        return f"the inventory has no host and no group called {' or '.join(self.unmatched)}" if self.unmatched else ""


def read(said: str, hidden: Callable[[str], str] = str) -> Recap:
    """Read what the callback `default` prints, results as JSON. Whatever else is printed, nothing of it is obeyed or raised.

    `hidden` puts what hosts and Ansible said into words without what must not be shown, before any of it is cut: half a secret is one, too.
    """
    head = [*_RECAP.finditer(said)]
    errors = tuple(dict.fromkeys(clipped(hidden(_with_place(each))) for each in _ERROR.finditer(said)))
    unmatched = tuple(dict.fromkeys(clipped(hidden(each["name"])) for each in _UNMATCHED.finditer(said)))
    if not head:
        return Recap((), errors, unmatched=unmatched, begun=_TASK.search(said) is not None)
    why = _reasons(said[: head[-1].start()], hidden)
    done = {each["name"] for each in _DONE.finditer(said, 0, head[-1].start())}
    hosts = tuple(_host(each, why.get(each["name"], ""), done) for each in _HOST.finditer(said, head[-1].end()))
    return Recap(hosts, errors, unmatched=unmatched)


def _host(told: re.Match[str], why: str, done: Collection[str]) -> HostRecap:
    """Read one host's line. One lost in the middle of a loop counts as unreachable, and nothing as changed: `done` are those that said more."""
    name, changed, unreachable = told["name"], int(told["changed"]), told["unreachable"] != "0"
    touched = not unreachable or changed > 0 or name in done or _NO_WAY.search(why) is None
    return HostRecap(name, changed, unreachable, told["failed"] != "0", why, touched)


def _with_place(error: re.Match[str]) -> str:
    at = error["at"].removeprefix("/run/play/") if error["at"] else ""
    return f"{at}: {error['what']}" if at else error["what"]


def _reasons(said: str, hidden: Callable[[str], str]) -> Mapping[str, str]:
    """Return what each host said last of why something failed there, with the task's name."""
    tasks = [(each.start(), each["name"]) for each in _TASK.finditer(said)]
    found: dict[str, str] = {}
    for each in _FAILED.finditer(said):
        try:
            words = _words(untrusted.loads(each["what"].encode(errors="replace")))
        except ValueError:
            words = each["what"]
        if words:
            task = next((name for start, name in reversed(tasks) if start < each.start()), "")
            found[each["name"]] = clipped(hidden(f"{task}: {words}" if task else words))
    return found


def _words(what: Json) -> str:
    """Return the message of a result, and of one of a loop that of its first item that failed."""
    result: Any = what
    if not isinstance(result, dict):
        return ""
    own = " ".join(str(result.get("msg") or "").split())
    if own not in _NOT_SAID:
        return own
    results = result.get("results")
    return next((words for each in (results if isinstance(results, list) else ()) if (words := _words(each))), "")
