"""ansible-playbook, run on this machine over SSH to the nodes: in the cluster's network, bounded, with nothing of this machine's user in reach.

It is run in namespaces of its own, with what it needs in a file system in memory: its configuration, the run's key, the hosts' keys, the inventory
and the playbook. When it ends, or is ended with the run, the kernel ends all that it began, and nothing of it is left.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.core import pace
from harness.core.errors import Expired, HalfDone, HarnessError, Unreachable, gist
from harness.core.values import HERE, HIDDEN
from harness.modes.ansible import recap
from harness.nodes.this_machine import node_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.protocols import Cluster
    from harness.core.values import Json
    from harness.modes.ansible.recap import Recap

COLLECTIONS: Final = ("community/docker", "community/general")
"""What playbooks need beside ansible-core."""
CONNECT_SECONDS: Final = 10.0
"""How long SSH may take to reach a host before it counts as unreachable: Ansible's own default."""
SHORTEST: Final = 4
"""Letters of a secret at least."""
_PLAY = (Path(__file__).parent / "play.sh").read_text(encoding="utf-8")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUT_OF_TIME: Final = 124  # as `timeout` says it
_LAST_SECONDS: Final = 4.0  # for ansible-playbook to be ended with what it has said, before all of it is
_NOT_RUN: Final = 126  # a shell's, `env`'s and `timeout`'s word for a program that cannot be run; 127 where there is none

# The host's key must be the one that was read over the management path. No file of the user's is looked at, and no agent: `-F none` leaves out the
# system's configuration, too. The masters of ControlPersist end with the namespace.
_SSH: Final = (
    "-F none -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/run/play/known_hosts -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no "
    "-o IdentityFile=/run/play/key -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes -o PreferredAuthentications=publickey "
    "-o ForwardAgent=no -o ServerAliveInterval=5 -o ServerAliveCountMax=3 -o ControlMaster=auto -o ControlPersist=60s"
)
_CONFIGURATION: Final = """\
[defaults]
inventory = /run/play/hosts
forks = {forks}
timeout = {timeout}
host_key_checking = True
stdout_callback = default
callback_result_format = json
display_failed_stderr = False
nocolor = True
retry_files_enabled = False
interpreter_python = /usr/bin/python3
collections_path = /run/play/none
{plugins}
[ssh_connection]
ssh_args = {ssh}
control_path_dir = /run/play/masters
pipelining = True
retries = 0
"""
_PLUGINS: Final = (
    "action become cache callback cliconf connection doc_fragment filter httpapi inventory lookup netconf strategy terminal test vars"
)
"""Kinds of plug-ins of which none may come from folders of this machine's user, or of all its users; nor may modules, or what they share."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens the hosts of a run to it, and shows that they are those. Never shown."""

    private: bytes = field(repr=False)  # in OpenSSH's format
    public: str
    hosts: Mapping[str, str] = field(default_factory=dict)  # address → public line

    @property
    def known_hosts(self) -> str:
        """The hosts' keys as a known_hosts file."""
        return "".join(f"{address} {line}\n" for address, line in sorted(self.hosts.items()))


@dataclass(frozen=True, slots=True)
class Playbook:
    """A playbook with how it is to be played."""

    name: str  # of the file, as Ansible calls it where something is wrong with it
    text: str
    limit: str = ""  # a pattern of hosts and groups; empty: all
    tags: str = ""  # with commas between them; empty: all
    variables: Mapping[str, Json] = field(default_factory=dict)  # no secrets: they stand in lists of processes
    ours: bool = False  # whether it is the one for apps that have none

    @property
    def options(self) -> tuple[str, ...]:
        """What ansible-playbook is told of that."""
        extra = ("--extra-vars", json.dumps(dict(self.variables))) if self.variables else ()
        return (*extra, *((f"--limit={self.limit}",) if self.limit else ()), *((f"--tags={self.tags}",) if self.tags else ()))

    @property
    def command(self) -> str:
        """The command as somebody would type it."""
        return shlex.join(["ansible-playbook", *self.options, self.name])


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    recap: Recap
    said: str  # all that ansible-playbook printed, without secrets


def must_be_installed() -> None:
    """Raise `HarnessError` where a collection is not there that playbooks need."""
    lacking = [
        each.replace("/", ".")
        for each in COLLECTIONS
        if not any((Path(place, "ansible_collections") / each).is_dir() for place in sys.path)
    ]
    if lacking:
        raise HarnessError(f"the ansible mode needs the collections {' and '.join(lacking)}; run ./setup, or install 'whalefall[ansible]'")


def play(cluster: Cluster, keys: Keys, inventory: str, book: Playbook, seconds: float, hide: Sequence[str] = ()) -> Played:
    """Play a playbook, and return what came of it on each host.

    In all that it says the texts `hide` are hidden. Raises `Expired` where it was not over within so many seconds, with what it had said by then,
    `HalfDone` where it ended in the middle, and any other `HarnessError` where it could not be begun. Called inside `cluster.network()` or outside.
    """
    must_be_installed()
    limited = max(1.0, seconds - _LAST_SECONDS)
    ansible = [sys.executable, "-I", "-B", "-m", "ansible", "playbook", *book.options, "--", f"/run/play/{book.name}"]
    enter = [
        "unshare",
        *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]),
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    archive = _archive(keys, inventory, book, forks=max(5, len(cluster.nodes)))
    try:
        result = node_of(cluster, HERE).run(
            *enter, "sh", "-c", _PLAY, "sh", f"{limited:.1f}", _PATH, *ansible, timeout=limited + _LAST_SECONDS, stdin=archive
        )
    except Unreachable as error:
        raise Expired("ansible-playbook to end", seconds, error.saw) from error
    whole = (result.out + result.err).decode(errors="replace")
    said = hidden(whole, hide)
    told = recap.read(whole, lambda words: hidden(words, hide))
    if result.exit == _OUT_OF_TIME:
        raise Expired("ansible-playbook to end", seconds, gist(said) or "it had said nothing")
    if not told.hosts and told.begun:
        raise HalfDone(f"ansible-playbook ended with status {result.exit} in the middle of a play: {gist(said)}")
    if not told.hosts and not told.errors and not result.ok:
        what = "could not be begun" if result.exit >= _NOT_RUN else f"ended with status {result.exit}"
        raise HarnessError(f"ansible-playbook {what}: {gist(said) or 'it said nothing'}")
    return Played(told, said)


def hidden(said: str, hide: Sequence[str]) -> str:
    """Return a text without these texts, also as JSON writes them. What is shorter than `SHORTEST` hides nothing, and would be found everywhere."""
    forms = {form for each in hide for form in (each, json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1])}
    every = [each for each in forms if len(each.strip()) >= SHORTEST]
    for each in sorted(every, key=len, reverse=True):
        said = said.replace(each, HIDDEN)
    return said


def _archive(keys: Keys, inventory: str, book: Playbook, forks: int) -> bytes:
    """Return all that is played as a tar archive, for root alone to read."""
    folders = [*(f"{kind}_plugins" for kind in _PLUGINS.split()), "library", "module_utils"]
    nowhere = "\n".join(f"{each} = /run/play/none" for each in folders)
    configuration = _CONFIGURATION.format(forks=forks, timeout=round(pace.limit(CONNECT_SECONDS)), ssh=_SSH, plugins=nowhere)
    files = {
        "ansible.cfg": configuration.encode(),
        "key": keys.private,
        "known_hosts": keys.known_hosts.encode(),
        "hosts": inventory.encode(),  # no playbook is called so: their names have endings
        book.name: book.text.encode(),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(body), 0o600
            archive.addfile(entry, io.BytesIO(body))
    return packed.getvalue()
