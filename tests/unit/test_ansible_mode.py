"""The ansible mode without a host: what is assigned where, what inventory that makes, what a play said, and what Ansible is started with."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import yaml

from harness import registry
from harness.actions.replaying import Replay
from harness.core import parameters
from harness.core.errors import LONGEST_SAID, BadInput, Expired, HalfDone, HarnessError, Unreachable
from harness.core.protocols import Cluster, OwnApp
from harness.core.values import ALWAYS, App, Budget, Health, Loss, NodeSpec, Result, Traits, Volume, Who
from harness.modes.ansible import Ansible, _together, _well, playbooks, playing, recap, static_inventory
from harness.modes.ansible.assigning import Assigned
from harness.modes.ansible.playing import Keys, Playbook
from harness.reports.prose import describe
from harness.scenario import loads
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from tests.unit.commanding import a_plan

NODES = [MemoryNode(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]
NAMES = [node.name for node in NODES]
WEB, DB = App("web", 2), App("db", 1, port=8100)


class _Plain(yaml.SafeLoader):
    """Reads the inventory as Ansible does, and notes what is not to be filled in."""


_Plain.add_constructor("!unsafe", lambda _, node: f"unsafe {node.value}")


def inventory(apps: Sequence[App], assigned: Assigned, **more: Any) -> dict[str, Any]:
    """Return an inventory as it is read back."""
    found: dict[str, Any] = yaml.load(static_inventory.text(NODES, apps, assigned, **more), Loader=_Plain)["all"]  # noqa: S506 - a safe loader
    return found


# ---------------------------------------------------------------- assigned


def test_what_conflicts_is_never_assigned_to_one_host() -> None:
    """One a host while there are hosts, and no home for more; what has a home stays there."""
    first = Assigned().placed(App("web", 5), NAMES)
    assert first.homes == {"web@1": "n1", "web@2": "n2", "web@3": "n3"}
    assert first.placed(App("web", 5), NAMES) == first
    together = Assigned().placed(App("web", 5, conflicts=False), NAMES)
    assert [*together.homes.values()] == ["n1", "n2", "n3", "n1", "n2"]


def test_apps_are_spread() -> None:
    """A second one goes where there is least, unless it is pinned."""
    both = Assigned().placed(WEB, NAMES).placed(DB, NAMES)
    assert both.homes == {"web@1": "n1", "web@2": "n2", "db@1": "n3"}
    assert Assigned().placed(WEB, NAMES).placed(App("db", 1, pin="n1"), NAMES).homes["db@1"] == "n1"


def test_the_work_of_a_lost_host_is_assigned_to_another() -> None:
    """And what it was assigned to before is remembered, so that it goes from there once that is back."""
    moved = Assigned().placed(WEB, NAMES).moved([WEB], {"n1"}, NAMES)
    assert moved.homes == {"web@2": "n2", "web@1": "n3"}
    assert (moved.gone("n1"), moved.gone("n3")) == (["web@1"], [])
    assert moved.moved([WEB], {"n3"}, NAMES).gone("n1") == [], "it is assigned there again"


@pytest.mark.parametrize(
    ("app", "away", "why"),
    [
        (App("web", 3), {"n1"}, "each has one of web"),
        (App("web", 1, pin="n1"), {"n1"}, "it is pinned to n1"),
        (App("web", 1), {*NAMES}, "there is none"),
    ],
    ids=["no room", "pinned", "all lost"],
)
def test_what_no_other_host_may_take_is_named(app: App, away: set[str], why: str) -> None:
    """With what keeps each host from it."""
    before = Assigned().placed(app, NAMES)
    with pytest.raises(HarnessError, match=rf"no other host may take web@1 of n1 \({why}\)"):
        before.moved([app], away, NAMES)


# ---------------------------------------------------------------- the inventory


def test_an_inventory_says_all_that_an_app_says() -> None:
    """Each instance on its host, with what it is followed by, and a group an app."""
    app = App(
        "web",
        2,
        environment=(("MODE", "{{ lookup('pipe', 'id') }}"),),
        labels=(("tier", "front"),),
        volumes=(Volume("/data/web", "/data", read_only=True),),
        command=("-v",),
        health=Health(http="/", every=1.5, retries=2),
        restart=ALWAYS,
    )
    found = inventory([app], Assigned().placed(app, NAMES))
    assert found["children"] == {"web": {"hosts": {"n1": None, "n2": None}}}
    assert found["hosts"]["n3"] == {"ansible_host": "10.77.0.13"}
    one = found["hosts"]["n1"]["containers"]["web-1"]
    assert one["ports"] == ["8001:80"]
    assert one["env"] == {"WHALEFALL_INSTANCE": "unsafe web@1", "WHALEFALL_HOST": "unsafe n1", "MODE": "unsafe {{ lookup('pipe', 'id') }}"}
    assert one["labels"] == {"tier": "unsafe front", "whalefall.app": "unsafe web", "whalefall.instance": "unsafe web@1"}
    assert (one["restart"], one["volumes"], one["command"]) == ("always", ["unsafe /data/web:/data:ro"], ["unsafe -v"])
    assert {name: one["health"][name] for name in ("interval", "retries", "test_cli_compatible")} == {
        "interval": "1500ms",
        "retries": 2,
        "test_cli_compatible": True,
    }


def test_nothing_of_a_scenario_is_filled_in_by_ansible() -> None:
    """Whatever braces stand in it: all text of an app's own is tagged, also where YAML would take it for something else."""
    hostile = ("{{ lookup('pipe', 'touch /tmp/x') }}", "{% for x in y %}", "yes", "!!python/object:x", "a: b\n- c", "\u2028", "'\"")
    app = App("web", 1, command=hostile, environment=tuple((f"V{number}", each) for number, each in enumerate(hostile)))
    one = inventory([app], Assigned().placed(app, NAMES))["hosts"]["n1"]["containers"]["web-1"]
    assert one["command"] == [f"unsafe {each}" for each in hostile]
    assert [one["env"][f"V{number}"] for number in range(len(hostile))] == one["command"]


def test_what_is_assigned_elsewhere_is_to_go() -> None:
    """Of the apps that are played; and what was taken besides."""
    moved = Assigned().placed(WEB, NAMES).placed(DB, NAMES).moved([WEB], {"n1"}, NAMES)
    assert inventory([WEB], moved)["hosts"]["n1"]["gone"] == ["unsafe web-1"]
    assert "gone" not in inventory([DB], moved)["hosts"]["n1"]
    assert inventory([], Assigned(), taken={"n2": ["redis"]})["hosts"]["n2"]["gone"] == ["unsafe redis"]


# ---------------------------------------------------------------- what a play said

SAID = """
PLAY [Apps] ********************************************************************

TASK [Run what is assigned here] ***********************************************
changed: [n2] => (item=web-2)
[ERROR]: Task failed: Module failed: Error starting container: port is already allocated
Origin: /run/play/apps.yml:26:7

failed: [n3] (item=web-3) => {"changed": false, "item": "web-3", "msg": "Error starting container: port is already allocated"}
fatal: [n1]: UNREACHABLE! => {"changed": false, "msg": "Task failed: ssh: connect to host 10.77.0.11 port 22: No route to host", "unreachable": true}

PLAY RECAP *********************************************************************
n1                         : ok=0    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0
n2                         : ok=1    changed=1    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0
n3                         : ok=0    changed=0    unreachable=0    failed=1    skipped=1    rescued=0    ignored=0
"""


def test_a_recap_tells_each_host_and_why_it_failed() -> None:
    """In a few words, with the task."""
    told = recap.read(SAID)
    assert [(each.name, each.well) for each in told.hosts] == [("n1", False), ("n2", True), ("n3", False)]
    assert str(told) == (
        "n1: unreachable (Run what is assigned here: Task failed: ssh: connect to host 10.77.0.11 port 22: No route to host); n2: 1 changed; "
        "n3: failed (Run what is assigned here: Error starting container: port is already allocated)"
    )
    assert told.errors == ("apps.yml:26:7: Task failed: Module failed: Error starting container: port is already allocated",)


@pytest.mark.parametrize(
    "said", ["", "[" * 10_000, "fatal: [n1]: FAILED! => {" * 50, "PLAY RECAP ***\nn1 : ok=x", 'fatal: [n1]: => {"msg": 5}']
)
def test_whatever_is_printed_is_no_error_of_ours(said: str) -> None:
    """What is no recap has no hosts."""
    assert recap.read(said).hosts == ()


def test_a_part_that_was_done_is_told_from_nothing() -> None:
    """On some hosts and not on others: nobody may take that for not done."""
    with pytest.raises(HalfDone, match=r"failed on n1, n3: .*; it went well on n2"):
        _well(recap.read(SAID), "the replay")
    nobody = "\n".join(line for line in SAID.splitlines() if not line.startswith(("n2", "n3", "failed")))
    with pytest.raises(HarnessError, match="the replay failed on n1: n1: unreachable") as caught:
        _well(recap.read(nobody), "the replay")
    assert not isinstance(caught.value, HalfDone)
    syntax = "[ERROR]: couldn't resolve module/action 'no.such'.\nOrigin: /run/play/site.yml:3:7\n"
    with pytest.raises(HarnessError, match=r"was not begun: site\.yml:3:7: couldn't resolve module/action 'no\.such'"):
        _well(recap.read(syntax), "the play")
    strangers = (
        "[WARNING]: Could not match supplied host pattern, ignoring: n9\n\nPLAY [n9] ***\nskipping: no hosts matched\n\nPLAY RECAP ***\n"
    )
    with pytest.raises(HarnessError, match="was not begun: it was played on no host: the inventory has no host and no group called n9"):
        _well(recap.read(strangers), "the play")
    assert recap.read(f"{strangers}n1 : ok=1    changed=1    unreachable=0    failed=0\n").strangers.endswith("called n9")


@pytest.mark.parametrize(
    ("said", "half"),
    [
        ("", False),
        ("changed: [n1] => (item=web-1)\n", True),
        ("ok: [n1]\n", True),
        ("ok: [n2]\n", False),
        ("Shared connection to 10.77.0.11 closed.", True),
        ("Timeout, server 10.77.0.11 not responding.", True),
        ("ubuntu@10.77.0.11: Permission denied (publickey).", False),
    ],
    ids=["never reached", "an item before", "a task before", "another host", "it went off", "it was cut off", "no key of ours"],
)
def test_a_host_that_is_lost_in_the_middle_of_a_task_may_have_done_it(said: str, *, half: bool) -> None:
    """Ansible calls it unreachable, and nothing changed, as one that it never had a session on."""
    words = "Task failed: ssh: connect to host 10.77.0.11 port 22: No route to host"
    lost = "\n".join(line for line in SAID.splitlines() if not line.startswith(("n2", "n3", "failed", "changed")))
    lost = f"{said}{lost}" if said.endswith("\n") else lost.replace(words, said or words)
    with pytest.raises(HarnessError, match="the replay failed on n1: n1: unreachable") as caught:
        _well(recap.read(lost), "the replay")
    assert (isinstance(caught.value, HalfDone), recap.read(lost).touched) == (half, half)


# ---------------------------------------------------------------- how it is run


class Here:
    """This machine, that runs nothing and notes what it was asked for."""

    def __init__(self, answer: Result | HarnessError) -> None:
        self.answer = answer
        self.argv: tuple[str, ...] = ()
        self.files: dict[str, str] = {}

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Note it."""
        self.argv = argv
        with tarfile.open(fileobj=io.BytesIO(stdin)) as archive:
            self.files = {each.name: archive.extractfile(each).read().decode() for each in archive}  # type: ignore[union-attr]
        if isinstance(self.answer, HarnessError):
            raise self.answer
        return self.answer


@pytest.fixture
def cluster() -> Cluster:
    """A cluster that is nothing but memory."""
    provider = MemoryProvider()
    nodes = provider.create("ansible-unit", [NodeSpec(each.name, each.address) for each in NODES])
    return Cluster("ansible-unit", nodes, provider, Ansible(), apps=(WEB,))


KEYS = Keys(b"PRIVATE", "ssh-ed25519 AAAA", {"10.77.0.11": "ssh-ed25519 BBBB"})
BOOK = Playbook("site.yml", "- hosts: all\n", "n1,web", "containers", {"anew": True})


def played(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, answer: Result | HarnessError, hide: Sequence[str] = ()) -> tuple[Here, Any]:
    """Play something on such a machine; what came of it, or the error."""
    here = Here(answer)
    monkeypatch.setattr(playing, "node_of", lambda *_: here)
    monkeypatch.setattr(playing, "must_be_installed", lambda: None)
    try:
        return here, playing.play(cluster, KEYS, "all: {}\n", BOOK, 30.0, hide)
    except HarnessError as error:
        return here, error


def test_ansible_sees_nothing_of_this_machines_user(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    """Its configuration, the keys and the inventory come with the play; host keys are pinned, and no secret is in its arguments."""
    here, _ = played(monkeypatch, cluster, Result((), 0, SAID.encode(), b""))
    assert here.files["known_hosts"] == "10.77.0.11 ssh-ed25519 BBBB\n"
    assert (here.files["key"], here.files["site.yml"]) == ("PRIVATE", "- hosts: all\n")
    for said in ("StrictHostKeyChecking=yes", "-F none", "IdentityAgent=none", "UserKnownHostsFile=/run/play/known_hosts", "forks = 5"):
        assert said in here.files["ansible.cfg"], said
    nowhere = {line.partition(" = ")[0] for line in here.files["ansible.cfg"].splitlines() if line.endswith(" = /run/play/none")}
    assert {"library", "module_utils", "callback_plugins", "netconf_plugins", "collections_path"} <= nowhere
    assert "PRIVATE" not in " ".join(here.argv)
    assert here.argv[-4:] == ("--limit=n1,web", "--tags=containers", "--", "/run/play/site.yml")
    assert {"--mount", "--pid", "--kill-child"} <= {*here.argv}
    assert "PRIVATE" not in repr(KEYS)


@pytest.mark.parametrize("name", ["inventory.yml", "hosts.yaml", "ansible.yml", "key.yml"])
def test_a_playbook_takes_the_place_of_nothing_whatever_it_is_called(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, name: str) -> None:
    """All that a play needs lies beside it."""
    here = Here(Result((), 0, SAID.encode(), b""))
    monkeypatch.setattr(playing, "node_of", lambda *_: here)
    monkeypatch.setattr(playing, "must_be_installed", lambda: None)
    playing.play(cluster, KEYS, "all: {}\n", Playbook(name, "- hosts: all\n"), 30.0)
    assert [here.files[each] for each in (name, "hosts")] == ["- hosts: all\n", "all: {}\n"]
    assert len(here.files) == 5


def test_no_value_of_an_environment_is_kept(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    """Neither in what was said nor in the reasons, also as JSON spells it; what is too short to be a secret is left."""
    value = 'open "sesame"'
    said = SAID.replace("port is already allocated", json.dumps(value)[1:-1])
    _, done = played(monkeypatch, cluster, Result((), 2, said.encode(), b""), hide=[value, "n1"])
    assert "sesame" not in done.said + str(done.recap)
    assert "n1: unreachable" in str(done.recap)


@pytest.mark.parametrize("before", range(0, LONGEST_SAID, 50))
def test_no_half_of_a_secret_is_kept(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, before: int) -> None:
    """Wherever in a long reason it stands, of which both ends are told."""
    said = SAID.replace("port is already allocated", f"{'x' * before}{'0123456789' * 6}{'x' * LONGEST_SAID}")
    _, done = played(monkeypatch, cluster, Result((), 2, said.encode(), b""), hide=["0123456789" * 6])
    assert "012" not in done.said + str(done.recap) + "".join(done.recap.errors)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Unreachable("here", "unshare …", "no end of it after 30 s; it was killed"), Expired, "ansible-playbook to end"),
        (Result((), 124, b"TASK [x] ***\n", b""), Expired, "TASK"),
        (Result((), 127, b"", b"sh: python3: not found"), HarnessError, "could not be begun: sh: python3: not found"),
        (Result((), 1, b"", b""), HarnessError, "ended with status 1: it said nothing"),
        (Result((), 137, SAID.partition("PLAY RECAP")[0].encode(), b""), HalfDone, "ended with status 137 in the middle of a play"),
    ],
)
def test_what_did_not_end_well_is_told(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, answer: Result | HarnessError, kind: type[HarnessError], words: str
) -> None:
    """With what was seen of it."""
    _, error = played(monkeypatch, cluster, answer)
    assert isinstance(error, kind), error
    assert words in str(error)


NOBODY, ALL_WELL = SAID[: SAID.index("\nn2 ")], SAID.replace("failed=1", "failed=0").replace("unreachable=1", "unreachable=0")


@pytest.mark.parametrize(
    ("said", "half"),
    [([NOBODY, ALL_WELL], True), ([ALL_WELL, NOBODY], True), ([ALL_WELL, ""], True), ([NOBODY, NOBODY], False), (["", ALL_WELL], False)],
    ids=["the second was played", "the first was played", "the second never began", "no host was reached", "the first never began"],
)
def test_of_two_playbooks_one_that_was_played_is_a_part(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, said: list[str], *, half: bool
) -> None:
    """Whatever became of the other, nobody may take that for not done."""
    mode, left = Ansible(), iter(said)

    def play(*_: object) -> playing.Played:
        if not (told := next(left)):
            raise HarnessError("ansible-playbook could not be begun")
        return playing.Played(recap.read(told), told)

    monkeypatch.setattr(Ansible, "_admitted", lambda *_: None)
    monkeypatch.setattr(playing, "play", play)
    mode._control(cluster).apps.update({"web": WEB, "db": mode.define(OwnApp("db", "site.yml", OWN.replace("web", "db")))})
    with pytest.raises(HarnessError) as caught:
        mode.replay(cluster, "", "", {})
    assert isinstance(caught.value, HalfDone) is half, caught.value


def test_what_is_not_installed_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is begun."""
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(HarnessError, match=r"needs the collections community\.docker and community\.general; run \./setup"):
        playing.must_be_installed()


# ---------------------------------------------------------------- the mode and its action


class _Bare(MemoryNode):
    """A host with the private half of its key alone, as machines that learn it from outside have it."""

    def run(self, *argv: str, timeout: float | None = None, stdin: bytes = b"") -> Result:
        """Do as ssh-keygen does, and find no other file."""
        if argv == ("ssh-keygen", "-y", "-f", "/etc/ssh/ssh_host_ed25519_key"):
            return Result(argv, 0, b"ssh-ed25519 CCCC root@n1\n", b"")
        return Result(argv, 1, b"", b"no such file")


def test_a_hosts_key_is_the_one_that_its_sshd_has(cluster: Cluster) -> None:
    """Whether or not the public half lies beside it: virtual machines have none there."""
    mode = Ansible()
    mode._learn(mode._control(cluster), _Bare("n1", "10.77.0.11"))
    assert mode._control(cluster).keys.hosts == {"10.77.0.11": "ssh-ed25519 CCCC"}


def test_nothing_is_promised_and_nothing_can_be_set() -> None:
    """Whatever is lost: no budget, and no timer that could make one."""
    mode = Ansible.from_timers("fast", {})
    assert all(mode.budget(Traits(loses=loss), who) == Budget(()) for loss in Loss for who in Who)
    with pytest.raises(BadInput, match="agent_ttl"):
        Ansible.from_timers("default", {"agent_ttl": 5.0})


@pytest.mark.parametrize(
    "given",
    [
        {"limit": "@/etc/passwd"},
        {"limit": "n1; reboot"},
        {"tags": "a,,b"},
        {"tags": "--help"},
        {"move": {"form": "n1"}},
        {"move": {"from": "--help"}},
        {"move": {"from": "n1", "to": "n1"}},
    ],
    ids=str,
)
def test_a_replay_that_is_none_is_refused(given: Mapping[str, Any]) -> None:
    """No file is read by a pattern, and no option is made of one."""
    with pytest.raises(ValueError, match="expected"):
        parameters.build(Replay, given)


def test_a_node_that_an_action_names_must_be_there() -> None:
    """It is told when the file is read, and not when the action is done; the words for nodes that are known only then are none."""
    text = """\
scenario: sample
why: It is read.
cluster: {mode: ansible, provider: nspawn, nodes: 3, timers: {beat: 2s}}
apps: [{name: web, instances: 1}]
steps:
  - {fault: node.kill, on: n1, as: cut}
  - {do: ansible.replay, with: {move: {from: n4, to: any}}}
  - {do: ansible.replay, with: {move: {from: lost, to: n5}}}
  - {do: ansible.replay, with: {move: {from: n1, to: n2}}}
promises: [conflicts]
"""
    with pytest.raises(BadInput) as caught:
        loads(text, "s.yaml")
    assert [f"{each.line}: {each.found}; {each.expected}" for each in caught.value.problems] == [
        "3: a timer 'beat'; a timer of the ansible mode: it has none",
        "7: an unknown node 'n4'; one of n1, n2, n3",
        "8: an unknown node 'n5'; one of n1, n2, n3",
    ]


def test_a_replay_reads_back() -> None:
    """As plans keep it."""
    made = parameters.build(Replay, {"limit": "all:!n1", "tags": "containers,a", "move": {"from": "lost", "to": "any"}})
    assert parameters.build(Replay, parameters.read(made)) == made
    assert registry.known().actions["ansible.replay"] is Replay


# ---------------------------------------------------------------- playbooks of users

OWN = """\
- hosts: web
  vars: {password: hunter22}
  tasks:
    - name: run it
      community.docker.docker_container:
        name: web
        image: web
        published_ports: ["8001:80"]
        env: {TOKEN: sesame-open, WHALEFALL_INSTANCE: web@1}
"""


def test_a_playbook_is_taken_as_it_stands() -> None:
    """With what follows from its one task that makes a container; no secret of it is kept."""
    app = Ansible().define(OwnApp("web", "site.yml", OWN))
    own = app.native
    assert own is not None
    assert (app.image, app.instances, own.container, own.port, own.told, own.most, own.body) == ("web", 1, "web", "8001", True, 1, OWN)
    assert "hunter22" not in own.text
    assert "sesame" not in own.text
    assert {"hunter22", "sesame-open"} <= {*playbooks.secrets(OWN)}


def test_a_plan_says_that_a_playbook_has_the_rights_of_who_plays_it() -> None:
    """A template may call anything there, and nobody can tell by reading it."""
    app = Ansible().define(OwnApp("web", "site.yml", OWN))
    said = "what a playbook does on this machine (lookups, local tasks) has all the rights of whoever runs whalefall"
    assert [said in " ".join(describe(replace(a_plan(), apps=(each,))).split()) for each in (app, WEB)] == [True, False]


def test_a_label_tells_instances_apart() -> None:
    """Where the names are known on their hosts alone."""
    labelled = OWN.replace("name: web\n", 'name: "{{ x }}"\n        labels: {whalefall.instance: "web@{{ n }}"}\n')
    own = Ansible().define(OwnApp("web", "site.yml", labelled, instances=3)).native
    assert own is not None
    assert (own.label, own.container) == ("whalefall.instance", "web@%")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["site.yml: an empty file"]),
        ("a: 1\n", ["site.yml:1:1: a mapping with a; expected a playbook: a list of plays"]),
        ("- tasks: []\n", ["a play without hosts; expected hosts: all, names of nodes, or web, the group of this app"]),
        ("- hosts: localhost\n  tasks: [x]\n", ["site.yml:1:10: a play on this machine", "site.yml:2:11: 'x'; expected a task"]),
        ("- hosts: all\n  roles: [nginx]\n", ["site.yml:2:3: roles; expected all of it in this file"]),
        ("- hosts: all\n  tasks:\n    - {debug: {}, delegate_to: localhost}\n", ["a task on this machine"]),
        ("- hosts: all\n  tasks:\n    - {debug: {}, connection: ansible.builtin.local}\n", ["a task on this machine"]),
        ("- hosts: all\n  tasks:\n    - {block: [], vars: {ansible_connection: local}}\n", ["a task on this machine"]),
        ("- hosts: [web, localhost]\n  tasks: []\n", ["a play on this machine"]),
        ("- hosts: web\n  vars: {ansible_connection: local}\n  tasks: []\n", ["a play on this machine"]),
        (
            OWN.replace("name: web\n", 'name: "{{ x }}"\n'),
            ["a container's name: '{{ x }}' is known on its host alone", "container: web-%i"],
        ),
        (OWN.replace("image: web", 'image: "{{ x }}"'), ["the image of web", "`native: {file: …, image: NAME}`"]),
        (
            OWN.replace("docker_container:", "docker_containr:"),
            ["the module community.docker.docker_containr", "did you mean", "no task of community.docker.docker_container makes one"],
        ),
        (f"{OWN}{OWN}", ["a container's name: several tasks make containers, none of which is for web alone"]),
        (OWN.replace("hosts: web", "hosts: [a"), ["site.yml:1:10: a [ of a list that is not closed"]),
    ],
)
def test_what_keeps_a_playbook_from_being_followed_is_told(text: str, told: Sequence[str]) -> None:
    """All of it, each with its place, and in one line what is to be said."""
    with pytest.raises(BadInput) as caught:
        Ansible().define(OwnApp("web", "site.yml", text))
    assert all(each in str(caught.value) for each in told), str(caught.value)


def test_apps_of_one_playbook_are_played_together(cluster: Cluster) -> None:
    """Its plays know of each other's hosts."""
    mode = Ansible()
    one, other = (mode.define(OwnApp(name, "site.yml", OWN, container=name)) for name in ("web", "db"))
    cluster.apps = (WEB, one, other)
    assert [each.name for each in _together(cluster, one)] == ["web", "db"]
    assert _together(cluster, WEB) == [WEB]
    assert list(mode.clashes([one, mode.define(OwnApp("b", "b.yml", OWN))])) == [
        ("b", "containers called web, as those of web", "names of its own for each app")
    ]
