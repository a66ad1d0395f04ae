"""Names of Ansible's variables that look like a slip of the pen. Pure.

Ansible takes a variable that it does not know without a word: it is somebody's own. But a host whose port stands in ``ansible_prot`` is reached at
another port than was written, and then it is another machine that is broken. So a name is a problem where it differs by one letter, or by two that
changed places, from one that says how a host is reached or who one is there, and holds one plain value, and the right name is not said for the host.
Any other likely slip (a list such as ``ansible_users``, a name near one that only tasks read) is a doubt: it is told, and the run goes on. A name
that is near to nothing is somebody's own.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from harness.core.values import Json

THEIRS = "ansible"
LIKE = 0.85
"""How much alike two words of a length are that differ by a letter, or by two that changed places."""
_MATTER = {"host", "port", "user", "private_key_file", "connection", "become_user", "become_method", "become_exe"}
"""What says how a host is reached, or who one is there."""
_KNOWN = {
    *_MATTER,
    *(
        "password",
        "become",
        "become_pass",
        "become_password",
        "become_flags",
        "private_key",
        "private_key_passphrase",
        "timeout",
        "pipelining",
    ),
    *("python_interpreter", "shell_type", "shell_executable", "executable", "remote_tmp", "async_dir", "module_compression", "network_os"),
    *("group_priority", "host_key_checking", "control_path", "control_path_dir", "sftp_extra_args", "scp_extra_args", "ssh_common_args"),
}
_EMPTY = {
    "ansible_host",
    "ansible_user",
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
    "ansible_ssh_host",
    "ansible_ssh_user",
}
"""What may be said without a value, and then counts as not said."""


def is_theirs(key: str) -> bool:
    """Whether a variable is Ansible's by its name, or was meant to be: ``Ansible_port``, ``ansibel_port``, ``ansible-port``."""
    bare = re.sub("[^a-z]", "", key.lower())[: len(THEIRS)]
    return key.startswith("ansible_") or difflib.SequenceMatcher(None, bare, THEIRS).ratio() >= LIKE


@dataclass(frozen=True, slots=True)
class Slip:
    """What is to be told of one variable."""

    found: str
    expected: str
    hint: str
    stops: bool  # whether it keeps a run from beginning


def slip(key: str, value: Json, said: Collection[str]) -> Slip | None:
    """Return what is to be told of one of a host's variables, all of which are called as in `said`; None where there is nothing to tell."""
    if key in _EMPTY and (value is None or value == ""):
        return Slip(f"{key} without a value", "one, or no such line", "it counts as not said", stops=False)
    if not is_theirs(key) or key.startswith("ansible_ssh_"):
        return None  # of those only a few are understood, and every other one is a problem already
    name = key.removeprefix("ansible_") if key.startswith("ansible_") else re.sub("[^a-z0-9]+", "_", key.lower()).partition("_")[2]
    if key == f"ansible_{name}" and name in _KNOWN:
        return None
    plain = name.lower().replace("-", "_")
    meant = min((each for each in _KNOWN if near(plain, each)), key=lambda each: (each not in _MATTER, each), default="")
    if not meant:
        return None
    right = {f"ansible_{meant}", f"ansible_ssh_{meant}"}
    stops = meant in _MATTER and not isinstance(value, list | dict) and right.isdisjoint(said)
    hint = f"did you mean 'ansible_{meant}'?"
    return Slip(
        f"a variable {key}, which Ansible does not know", "one that it knows, or a name that is not so near to one", hint, stops=stops
    )


def near(name: str, other: str) -> bool:
    """Whether two names are one, or differ by one letter, or by two that changed places."""
    if name == other:
        return True
    if len(name) == len(other):
        apart = [place for place, (one, two) in enumerate(zip(name, other, strict=True)) if one != two]
        return len(apart) == 1 or (len(apart) == 2 and apart[1] == apart[0] + 1 and Counter(name) == Counter(other))  # noqa: PLR2004 - two letters
    short, long = sorted((name, other), key=len)
    return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))
