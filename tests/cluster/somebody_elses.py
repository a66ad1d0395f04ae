"""Machines with a cluster that somebody else runs: formed by the harness, and then reachable by SSH alone, for whoever finds them by an inventory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import Unreachable
from harness.core.protocols import Cluster, Mode, Viewing
from harness.core.values import NodeSpec
from harness.host import state
from harness.nodes.ssh.keys import make_host_key, make_user_key
from harness.providers import PROVIDERS, clusters
from harness.providers.inventory.claims import ALLOWED, CLAIM
from harness.undo.reaper import undo

REPO = Path(__file__).resolve().parents[2]
SWITCH = """
import json, pathlib, sys
verb, folder, run, name = sys.argv[1:]
if verb == "status":
    leader = json.loads(pathlib.Path(folder, "nodes", name, "machine.json").read_text())["leader"]
    try:
        stat = pathlib.Path(f"/proc/{leader['pid']}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        stat = ["X"]
    print("Power is", "off" if stat[0] in "ZX" or int(stat[19]) != leader["started"] else "on")
    sys.exit()
from harness.providers import PROVIDERS
provider = PROVIDERS["nspawn"]()
getattr(provider, verb)(next(each for each in provider.adopt(run) if each.name == name))
"""
"""The power switch of the hosts, as ipmitool or virsh would be: the machines' own host. Its status is as quick as theirs."""


@dataclass
class Hosts:
    """Machines with a cluster that somebody else runs, and how to reach them."""

    theirs: Cluster
    folder: Path
    daemon: str  # a unit that is up on every host once it has started
    pins: dict[str, str] = field(default_factory=dict)

    def inventory(self, name: str = "hosts.ini", *, more: str = "", backwards: bool = False, **each: str) -> Path:
        """Write an inventory of all hosts; `more` are variables of the group, `each` some of single hosts. `backwards` has the last one first."""
        lines = ["[whalefall]"]
        lines += [
            f'db{node.name[1:]} ansible_host={node.address} whalefall_host_key="{self.pins[node.name]}" {each.get(node.name, "")}'
            for node in (reversed(self.theirs.nodes) if backwards else self.theirs.nodes)
        ]
        lines += ["[whalefall:vars]", "ansible_user=root", f"ansible_ssh_private_key_file={self.folder / 'id_ed25519'}"]
        lines += [more]
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def powered(self, name: str = "powered.ini", *, more: str = "", backwards: bool = False, **each: str) -> Path:
        """Write an inventory whose hosts can be switched."""
        switch = f"{sys.executable} {self.folder / 'switch.py'}"
        commands = {
            node.name: " ".join(
                f'whalefall_power_{verb}="{switch} {verb} {state.run_folder(self.theirs.run_id)} {self.theirs.run_id} {node.name}"'
                for verb in ("off", "on", "status")
            )
            for node in self.theirs.nodes
        }
        told = {node: f"{commands[node]} {each.get(node, '')}" for node in commands}
        return self.inventory(name, more=more, backwards=backwards, **told)

    def whole(self) -> bool:
        """Whether the orchestrator lists every host, asked at each, and each takes logins and runs containers."""
        theirs = self.theirs
        try:
            listed = all(theirs.can(Viewing).view(theirs, node).nodes == ("n1", "n2", "n3") for node in theirs.nodes)
        except Unreachable:
            return False
        return listed and all(node.run("systemctl", "is-active", "ssh", "docker", self.daemon).ok for node in theirs.nodes)

    def files(self, path: str) -> list[str]:
        """Return the nodes that have a file."""
        return [node.name for node in self.theirs.nodes if node.run("test", "-e", path).ok]


@contextlib.contextmanager
def lent(lend: Callable[..., contextlib.AbstractContextManager[Cluster]], mode: Mode, daemon: str, folder: Path) -> Iterator[Hosts]:
    """Form a cluster of a mode, make its machines reachable and mark them; inside their network for as long as that lasts."""
    specs = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]
    with lend(PROVIDERS["nspawn"](), "theirs", specs, mode) as theirs:
        found = Hosts(theirs, folder, daemon)
        mode.form(theirs)
        (folder / "switch.py").write_text(SWITCH, encoding="utf-8")
        make_user_key(folder)
        for node in theirs.nodes:
            found.pins[node.name] = make_host_key(folder / node.name)
            node.put(folder / node.name / "ssh_host_ed25519_key", PurePosixPath("/etc/ssh/ssh_host_ed25519_key"))
            node.put(folder / "id_ed25519.pub", PurePosixPath("/root", ".ssh", "authorized_keys"))
            done = node.run("sh", "-c", f"systemctl enable --now ssh.service && touch {ALLOWED}")
            assert done.ok, done.err
        with theirs.network(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(REPO))
            yield found


@contextlib.contextmanager
def left_as_found(hosts: Hosts) -> Iterator[None]:
    """Wait until the hosts are whole, and see in the end that no claim and no record of a test is left.

    What is left is removed all the same: it is one test's failure, and not that of those which follow.
    """
    others = {*PROVIDERS["inventory"]().runs()}  # type: ignore[attr-defined]
    # A host that the last test switched on is up long before its daemons are.
    wait_until(hosts.whole, awaited="the hosts to be whole", seconds=60.0, clock=SystemClock(), every=0.2)
    yield
    claims, records = hosts.files(CLAIM), sorted({*PROVIDERS["inventory"]().runs()} - others)  # type: ignore[attr-defined]
    for run_id in records:
        noted = PROVIDERS["inventory"]().results(run_id)  # type: ignore[attr-defined]
        undo(run_id, (noted or Path("/nonexistent")) / "ledger.jsonl", "inventory", keep=False)
        clusters.remove_folder(run_id)
        clusters.unregister(run_id)
    for node in hosts.theirs.nodes if claims else ():
        node.run("rm", "-f", CLAIM)
    assert (claims, records) == ([], [])
