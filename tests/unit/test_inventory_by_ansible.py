"""An inventory means here what it means to Ansible: by difference against `ansible-inventory --list`, and nothing of anybody's is run on the way."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.core.errors import BadInput
from harness.host.processes import run_bounded
from harness.providers.inventory import loading
from harness.providers.inventory.formats import load
from tests.unit.kept_ansible import PYTHON, Run

INVENTORY = Path(sys.executable).with_name("ansible-inventory")

SAME: dict[str, str] = {
    "priority.ini": "[spared]\ndb1\ndb2\n[zone_b]\ndb1\ndb2\ndb3\n[spared:vars]\nwhalefall_protected=true\nansible_group_priority=10\n"
    "[zone_b:vars]\nwhalefall_protected=false\n",
    "range-first.ini": "[test]\n[1:3].rack.example.net\n",
    "quotes.ini": "[whalefall]\ndb[1:3]\n[whalefall:vars]\nwhalefall_power_off='/opt/rack tools/pdu' off 'rack 1'\n",
    "hash.ini": "[whalefall]\ndb1\n[whalefall:vars]\nwhalefall_power_off=/opt/pdu off 'rack #7 left'\nansible_user=ops # the deploy account\n",
    "children-comment.ini": '[db]\ndb1 # it\'s the first\ndb2\n[lot:children] # the lot\ndb # all of them\n[lot:vars]\nansible_user = "ops"\n'
    "ansible_port = 2222   # see ticket\nansible_host=\n",
    "order.ini": "[whalefall:vars]\nansible_user=ops\n[whalefall:children]\neast\n[east]\ndb[1:3]\n[all:vars]\nansible_port=2222\n",
    "types.ini": "[a]\nx whalefall_protected=True ansible_port=22 z=[1,2] y={'a':1} whalefall_at_once=1\n[a:vars]\nwhalefall_slower=5s\n",
    "last-wins.ini": "x ansible_user=a\nx ansible_user=b\n[g]\nx ansible_user=c\n[g:vars]\nansible_port=1\nansible_port=2\n",
    "depth.ini": "[top:children]\nmiddle\n[middle:children]\nlow\n[low]\nx\n[top:vars]\nansible_user=t\n[middle:vars]\nansible_user=m\n"
    "[all:vars]\nansible_user=a\n",
    "names.ini": "[b]\nx\n[a]\nx\n[a:vars]\nansible_user=a\n[b:vars]\nansible_user=b\n",
    "letters.ini": "n[a:c] ansible_port=1\nn[08:10:2]\n",
    "port.ini": "x:2200\n[g]\ny:2201 ansible_port=9\n",
    "comments.ini": "; one\n# two\n[g] # three\nx # four\n  y   ansible_user=u # five\n",
    "crlf.ini": "[g]\r\nx ansible_user=a\r\n[g:vars]\r\nansible_port=7\r\n",
    "ungrouped.ini": "x\n[g]\nx\ny\n",
    "no ending": "[g]\nx ansible_user=u\n",
    "yaml without an ending": "all:\n  hosts:\n    x: {ansible_user: u}\n",
    "anchors.yaml": "all:\n  hosts:\n    a: &it {ansible_user: ops, dns: &d [1, 2]}\n    b: *it\n    c: {<<: *it, dns: *d}\n",
    "unrelated-vault.yml": "all:\n  hosts:\n    a: {ansible_user: ops}\n  vars:\n    secret: !vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      61\n",
    "templates.yml": 'all:\n  hosts:\n    a: {ansible_user: ops, path: \'{{ lookup("pipe", "touch ran") }}\'}\n',
    "words.yml": "all: {hosts: {a: {whalefall_protected: yes, ansible_port: 0x16, ansible_user: null}}}\n",
    "motd.yml": "all:\n  vars:\n    motd: |\n      Host of the billing database\n  hosts:\n    db1:\n    db2:\n",
    "priority.yml": "one:\n  hosts: {x: , y: }\n  vars: {ansible_user: a, ansible_group_priority: 5}\n"
    "two:\n  hosts: {x: }\n  vars: {ansible_user: b}\n",
    "strings.yml": "one:\n  hosts: x\ntwo:\n  children: one\n",
    "ranges.yml": "one:\n  hosts:\n    n[1:3].x: {ansible_port: 7}\n",
    "json.json": '{"all": {"hosts": {"x": {"ansible_user": "u"}}}}',
    "twice.yml": "one:\n  hosts: {x: {ansible_user: a}}\ntwo:\n  hosts: {x: {ansible_user: b}}\n",
}
REFUSED = {
    "vars-of-nobody.ini": (
        "[databases:vars]\nwhalefall_protected=true\n[database]\nx\n",
        ":1:1: what Ansible refuses: Section [databases:vars] not valid",
    ),
    "hex.ini": ("[a]\ndb[0x1:0x3]\n", ":2:1: what Ansible refuses"),
    "bom.ini": ("\ufeff[a]\nx\n", ":1:1: a byte-order mark"),
    "nobody.yml": (
        "all: {children: {a: {hosts: {x: }}, b: {vars: {whalefall_protected: true}}}}\n",
        "whalefall_protected for the group b, in which no host",
    ),
    "ring.ini": ("[a:children]\nb\n[b:children]\na\n[a]\nx\n", "recursive dependency loop"),
    "twice.yml": ("a: {hosts: {x: {ansible_user: a, ansible_user: b}}}\n", "duplicate mapping key 'ansible_user'"),
    "misspelt.yml": ("a: {host: {x: }}\n", "misspelt.yml:1:5: host in the group a; expected hosts, vars and children"),
    "vault.yml": (
        "all: {hosts: {x: {whalefall_protected: !vault 'a'}}}\n",
        "an encrypted value of whalefall_protected; expected plain text",
    ),
    "all-vault.yml": ("$ANSIBLE_VAULT;1.1;AES256\n61\n", ":1:1: an encrypted file"),
    "template.yml": ("all: {hosts: {x: {ansible_user: '{% if a %}b{% endif %}'}}}\n", "a template in ansible_user"),
    "six.ini": ("[t]\n[2001:db8::11]:2222\n", ":2:1: 2001:db8::11, which is an IPv6 address"),
    "six-host.ini": ("n3 ansible_host=2001:db8::13\n", ":1:1: 2001:db8::13, which is an IPv6 address"),
    "become.ini": ("x ansible_become_user=deploy\n", ":1:1: ansible_become_user 'deploy'; expected root, or nothing"),
    "method.ini": ("x ansible_become_method=su\n", ":1:1: ansible_become_method 'su'; expected sudo, or nothing"),
    "octal.ini": ("x whalefall_address=192.0.2.010\n", ":1:1: whalefall_address '192.0.2.010'"),
    "plugin.yml": ("plugin: constructed\ngroups: {a: true}\n", "Plugin configuration YAML file"),
    "tag.yml": ("all: {hosts: {x: !!python/object/apply:os.system ['touch ran']}}\n", "what Ansible refuses"),
    "list.yml": ("- hosts: all\n", "list.yml:1:1: a list of hosts or groups; expected a mapping, of groups"),
    "priority-word.ini": ("[g]\nx\n[g:vars]\nansible_group_priority='q r'\n", "what Ansible refuses: 'q r' where a whole number belongs"),
    "case.ini": ("x Whalefall_protected=true\n", "a variable Whalefall_protected; expected one of whalefall_address"),
    "dash.yml": ("all: {hosts: {x: {whalefall-protected: true}}}\n", "did you mean 'whalefall_protected'?"),
    "letter.ini": ("[g]\nx\n[g:vars]\nwhalefal_protected=yes\n", ":4:1: a variable whalefal_protected"),
    "table.yml": ("all: {hosts: {x: {whalefall: {protected: true}}}}\n", "a variable whalefall; expected"),
    "nothing.yml": ("all: {hosts: {x: {whalefall_protected: }}}\n", "whalefall_protected without a value; expected true or false"),
    "nothing.ini": ("x whalefall_protected=\n", "whalefall_protected without a value"),
    "two-hosts.ini": ("x ansible_host=192.0.2.1 ansible_ssh_host=192.0.2.2\n", "'192.0.2.1' under its other name; expected one value"),
    "two-keys.ini": ("x ansible_private_key_file=a ansible_ssh_private_key_file=b\n", "under its other name; expected one value"),
    "key.yml": (
        "all: {hosts: {x: {ansible_private_key: secret}}}\n",
        "a private key in ansible_private_key; expected the name of its file",
    ),
    "above.ini": ("../x\n", ":1:1: what Ansible refuses: the name '../x'"),
    "alias.ini": (
        "[whalefall]\nweb ansible_host=192.0.2.1\n[db]\ndb1 ansible_host=192.0.2.1 whalefall_protected=yes\n",
        ":2:1: web, which is the same machine as db1 (192.0.2.1), and that one is protected",
    ),
    "wide.ini": ("n[0:9999][0:9999]\n", "wide.ini:1:1: ranges that stand for 100000000 hosts"),
}


def told(folder: Path, name: str, text: str) -> loading.Loaded:
    """Return what we make of an inventory."""
    (folder / name).write_bytes(text.encode())
    return loading.loaded(folder / name, text.encode())


def by_ansible(folder: Path, name: str, text: str, run: Run) -> dict[str, Any]:
    """Return what Ansible's own command makes of it."""
    (folder / name).write_bytes(text.encode())
    (folder / "empty.cfg").touch()
    environ = {"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(folder / "empty.cfg")}
    done = run([*PYTHON, str(INVENTORY), "-i", str(folder / name), "--list"], env=environ, cwd=folder, seconds=120.0)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def members(found: dict[str, Any], group: str) -> set[str]:
    """Return the hosts of a group and of those below it, by Ansible's answer."""
    body = found.get(group, {})
    return {*body.get("hosts", []), *(each for child in body.get("children", []) for each in members(found, child))}


def same(folder: Path, name: str, text: str, run: Run) -> None:
    """Compare every host, every group and every variable that anybody here reads."""
    ours, theirs = told(folder, name, text), by_ansible(folder, name, text, run)
    assert set(ours.hosts) == members(theirs, "all")
    for host, variables in ours.hosts.items():
        expected = {
            key: each for key, each in theirs["_meta"]["hostvars"].get(host, {}).items() if key.startswith(("ansible_", "whalefall_"))
        }
        assert {key: each.value for key, each in variables.items()} == expected
    for group in set(ours.groups) - {"all", "ungrouped"}:
        assert set(ours.groups[group].hosts) == members(theirs, group)


@pytest.mark.parametrize("name", SAME)
def test_an_inventory_means_what_it_means_to_ansible(tmp_path: Path, name: str, ansible: Run) -> None:
    """Hosts, groups, values, precedence; and nothing in it has run."""
    same(tmp_path, name, SAME[name], ansible)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["children-comment.ini", "anchors.yaml", "templates.yml"])
def test_a_process_that_has_loaded_ansible_says_what_a_new_one_does(
    tmp_path: Path, name: str, ansible: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other tests have their answers from one that is kept: here both are asked for theirs, also for what stands beside an inventory."""
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("ansible_user: all\nwhalefall_at_once: 2\n")
    answers = []
    for run in (ansible, run_bounded):
        monkeypatch.setattr(loading, "run_bounded", run)
        loading._asked.cache_clear()
        answers.append((told(tmp_path, name, SAME[name]), by_ansible(tmp_path, name, SAME[name], run)))
    assert answers[0] == answers[1]
    assert "ansible_user" in str(answers)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["ring.ini", "tag.yml"])
def test_a_process_that_has_loaded_ansible_refuses_what_a_new_one_does(
    tmp_path: Path, name: str, ansible: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same words."""
    refused = []
    for run in (ansible, run_bounded):
        monkeypatch.setattr(loading, "run_bounded", run)
        loading._asked.cache_clear()
        with pytest.raises(BadInput) as caught:
            told(tmp_path, name, REFUSED[name][0])
        refused.append(str(caught.value))
    assert refused[0] == refused[1]
    assert not (tmp_path / "ran").exists()


def test_a_copy_of_an_inventory_that_a_killed_harness_left_behind_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next one that asks, once nobody can use it any more; what is only called so, as somebody's link, stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, new, mine = tmp_path / f"{loading._MADE}old", tmp_path / f"{loading._MADE}new", tmp_path / "mine"
    for each in (old, new, mine):
        (each / "inventory").mkdir(parents=True)
    link = tmp_path / f"{loading._MADE}link"
    link.symlink_to(mine)
    for each in (old, mine):
        os.utime(each, (0, 0))
    os.utime(link, (0, 0), follow_symlinks=False)
    loading._clear_up()
    assert sorted(tmp_path.iterdir()) == sorted([link, mine, new])
    assert (mine / "inventory").is_dir()


@pytest.mark.parametrize("name", REFUSED)
def test_what_ansible_refuses_or_we_cannot_do_is_told(tmp_path: Path, name: str) -> None:
    """With its place, and nothing has run."""
    text, said = REFUSED[name]
    (tmp_path / name).write_bytes(text.encode())
    with pytest.raises(BadInput) as caught:
        load(str(tmp_path / name))
    assert said in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert not (tmp_path / "ran").exists()


_NAMES = st.sampled_from(["x", "y", "z[1:2]", "w"])
_PAIRS = (
    st.tuples(
        st.sampled_from(["ansible_user", "ansible_port", "whalefall_protected", "other", "ansible_group_priority"]),
        st.sampled_from(["1", "2", "True", "'q r'"]),
    )
    .map("=".join)
    .filter(lambda pair: pair != "ansible_group_priority='q r'")
)  # refused: a row of REFUSED


def _key(pair: str) -> str:
    """Return what a pair sets: twice in one place is refused."""
    return pair.partition("=")[0]


_HOSTS = st.lists(st.tuples(_NAMES, st.lists(_PAIRS, max_size=2, unique_by=_key).map(" ".join)).map(" ".join), min_size=1, max_size=3).map(
    "\n".join
)


_VARIABLES = st.lists(
    st.one_of(_PAIRS, st.sampled_from(["ansible_group_priority=1", "ansible_group_priority=9"])), max_size=2, unique_by=_key
).map("\n".join)


# Every example is two processes: none is shrunk.
@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(_HOSTS, _HOSTS, _VARIABLES, _VARIABLES, st.booleans())
def test_any_inventory_means_what_it_means_to_ansible(
    tmp_path_factory: pytest.TempPathFactory, ansible: Run, one: str, two: str, of_one: str, of_two: str, above: bool
) -> None:
    """Groups with hosts and variables, one above the other or side by side."""
    text = f"[one]\n{one}\n[two]\n{two}\n[one:vars]\n{of_one}\n[two:vars]\n{of_two}\n" + ("[top:children]\none\n" if above else "")
    same(tmp_path_factory.mktemp("inventory"), "hosts.ini", text, ansible)


def test_what_stands_beside_an_inventory_counts_as_it_does_to_ansible(tmp_path: Path, ansible: Run) -> None:
    """Files and folders, for groups and for hosts, in YAML and JSON; what is hidden does not."""
    for name, body in {
        "group_vars/all.yml": "ansible_user: all\nwhalefall_protected: false\n",
        "group_vars/g/a.yml": "ansible_user: folder\n",
        "group_vars/g/.hidden.yml": "ansible_user: hidden\n",
        "host_vars/x.json": '{"whalefall_protected": true}',
        "host_vars/y": "ansible_port: 2222\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(body)
    text = "[g]\nx\ny\n[other]\nz\n"
    same(tmp_path, "hosts.ini", text, ansible)
    (tmp_path / "hosts.ini").write_text(text)
    found = load(str(tmp_path / "hosts.ini")).hosts
    assert [(host.name, host.user, host.port, host.protected) for host in found] == [
        ("x", "folder", 22, True), ("y", "folder", 2222, False), ("z", "all", 22, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("group_vars/databases.yml", "whalefall_protected: true\n", "group_vars/databases.yml:1:1: whalefall_protected for databases.yml"),
        ("host_vars/nobody/a.yml", "x: 1\nwhalefall_protected: true\n", "host_vars/nobody/a.yml:2:1: whalefall_protected for nobody"),
        ("group_vars/all.yml", "$ANSIBLE_VAULT;1.1;AES256\n61\n", "group_vars/all.yml:1:1: an encrypted file"),
        ("group_vars/all.yml", "whalefall_protected: '{{ x }}'\n", "group_vars/all.yml:1:22: a template in whalefall_protected"),
        ("group_vars/all.yml", "a: [\n", "group_vars/all.yml:2:1: what Ansible refuses"),
    ],
)
def test_what_stands_beside_an_inventory_and_protects_nobody_is_told(tmp_path: Path, name: str, body: str, said: str) -> None:
    """Or cannot be read: then nobody can tell whom it protects."""
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(body)
    (tmp_path / "hosts.ini").write_text("[g]\nx\n")
    with pytest.raises(BadInput) as caught:
        load(str(tmp_path / "hosts.ini"))
    assert said in str(caught.value)


SLIPS: dict[str, tuple[str, str]] = {
    "a quote that is not closed": ("hosts.ini", "[g]\nx ansible_password='hunter2 pw\" ansible_port=7\n"),
    "a quote that is not closed in a command": ("hosts.ini", '[g]\nx whalefall_power_off="ipmitool -P hunter2 off\n'),
    "no equals sign": ("hosts.ini", "[g]\nx\n[g:vars]\nansible_password hunter2\n"),
    "a blank behind it": ("hosts.ini", "[g]\nx ansible_password= hunter2\n"),
    "a blank in it": ("hosts.ini", "[g]\nx ansible_password=pass hunter2\n"),
    "no group": ("hosts.ini", "[g:children]\nx ansible_password=hunter2\n"),
    "no section": ("hosts.ini", "[g] ansible_password=hunter2\nx\n"),
    "no type of a section": ("hosts.ini", "[g:ansible_password=hunter2]\nx\n"),
    "an alias": ("hosts.yml", "g: {hosts: {x: {ansible_password: *hunter2}}}\n"),
    "an alias in a block": ("hosts.yml", "g:\n  hosts:\n    x:\n      ansible_password: *hunter2\n"),
    "a tag": ("hosts.yml", "g:\n  hosts:\n    x:\n      ansible_password: !hunter2 pw\n"),
    "a tag with a handle": ("hosts.yml", "g:\n  hosts:\n    x:\n      ansible_password: !hunter2!x pw\n"),
    "an anchor that stands twice": ("hosts.yml", "g:\n  hosts:\n    x:\n      ansible_password: &hunter2 &hunter2 x\n"),
    "a colon": ("hosts.yml", "g:\n  hosts:\n    x: {ansible_password: hunter2: x}\n"),
    "an escape": ("hosts.yml", 'g:\n  hosts:\n    x: {ansible_password: "hunter2\\q"}\n'),
    "a text for a mapping": ("hosts.yml", "g:\n  hosts:\n    x: ansible_host=192.0.2.1 ansible_password=hunter2\n"),
    "one word for a mapping": ("hosts.yml", "g:\n  hosts:\n    x: ansible_password=hunter2\n"),
    "an address and more": ("hosts.yml", "g:\n  hosts:\n    x: 192.0.2.1 ansible_password=hunter2\n"),
    "no host": ("hosts.ini", "[g]\nansible_password=hunter2\n"),
    "no host, and blanks": ("hosts.ini", "[g]\nansible_password = hunter2\n"),
    "a section of its own": ("hosts.yml", "g:\n  hosts: ansible_password=hunter2\n"),
    "a text for all": ("hosts.yml", "hunter2\n"),
    "a text beside": ("group_vars/all.yml", "hunter2 pw\n"),
    "a list beside": ("group_vars/all.yml", "- hunter2\n"),
    "an alias beside": ("group_vars/all.yml", "ansible_password: *hunter2\n"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_what_cannot_be_read_is_told_with_its_place_and_without_what_stands_there(tmp_path: Path, slip: str) -> None:
    """It may be a password: Ansible's own words repeat the line."""
    name, body = SLIPS[slip]
    if "/" in name:
        (tmp_path / "hosts.ini").write_text("[g]\nx\n")
        (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(body)
    with pytest.raises(BadInput) as caught:
        load(str(tmp_path / ("hosts.ini" if "/" in name else name)))
    assert "hunter2" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_what_is_no_file_beside_an_inventory_is_told(tmp_path: Path, kind: str) -> None:
    """And hangs nobody."""
    (tmp_path / "group_vars").mkdir()
    if kind == "a pipe":
        os.mkfifo(tmp_path / "group_vars" / "all.yml")
    else:
        (tmp_path / "group_vars" / "all.yml").symlink_to("/dev/zero")
    (tmp_path / "hosts.ini").write_text("x\n")
    with pytest.raises(BadInput, match=kind):
        load(str(tmp_path / "hosts.ini"))


def test_the_file_of_a_name_with_dots_counts_as_it_does_to_ansible(tmp_path: Path, ansible: Run) -> None:
    """Most hosts are called so: what follows the last dot of ``db1.example.com`` is no ending of a file."""
    files = ["db1.example.com", "db2.example.com.yml", "db3.example.com/a.yml", "x.txt"]
    for name in ("group_vars/v1.2", *(f"host_vars/{each}" for each in files)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("whalefall_protected: true\n")
    text = "db[1:4].example.com\n[v1.2]\nold\n[v1]\nx\n"
    same(tmp_path, "hosts.ini", text, ansible)
    (tmp_path / "host_vars" / "x.txt").unlink()  # of nobody, which is refused
    found = load(str(tmp_path / "hosts.ini")).hosts
    assert {host.name for host in found if host.protected} == {"db1.example.com", "db2.example.com", "db3.example.com", "old"}


def test_a_folder_without_anything_to_read_hides_a_file_as_it_does_to_ansible(tmp_path: Path, ansible: Run) -> None:
    """It is looked for first, and what stands in it in other forms is not read."""
    for name, body in {
        "group_vars/g.yml": "ansible_user: file\n",
        "group_vars/g/notes.txt": "ansible_user: notes\n",
        "host_vars/x.yml": "ansible_port: 7\n",
        "host_vars/x/.hidden.yml": "ansible_port: 8\n",
        "host_vars/y.yml": "ansible_port: 9\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(body)
    (tmp_path / "host_vars" / "y").mkdir()
    same(tmp_path, "hosts.ini", "[g]\nx\ny\n", ansible)


def test_a_protected_host_under_another_name_of_an_openssh_config_is_told(tmp_path: Path) -> None:
    """Also where only the other name was asked for."""
    text = "IgnoreUnknown whalefall_*\nHost db1\n HostName 192.0.2.1\n whalefall_protected yes\nHost web\n HostName 192.0.2.1\n"
    (tmp_path / "config").write_text(text)
    with pytest.raises(BadInput, match="config:5:1: web, which is the same machine as db1"):
        load(f"{tmp_path / 'config'}:web")
    (tmp_path / "config").write_text(text.replace("192.0.2.1", "192.0.2.2", 1))
    assert [host.name for host in load(f"{tmp_path / 'config'}:web").hosts] == ["web"]


@pytest.mark.parametrize("keyword", ["whalefallprotected", "Whale_Fall_Protected", "WhalefallProtected"])
def test_a_misspelt_keyword_of_ours_is_not_ignored_as_an_unknown_one(tmp_path: Path, keyword: str) -> None:
    """Whoever wrote it meant to protect somebody."""
    (tmp_path / "config").write_text(f"IgnoreUnknown *\nHost db1\n {keyword} yes\n")
    with pytest.raises(BadInput, match=r"config:3:1: the keyword .*; expected one that begins with whalefall_"):
        load(str(tmp_path / "config"))


@pytest.mark.usefixtures("loaded_anew")
def test_nothing_of_the_users_ansible_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, plug-in, script or collection: not from the environment, the home, the working folder, nor from beside the inventory."""
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'w').close()\n"
    for folder in (
        "inventory_plugins",
        "vars_plugins",
        "filter_plugins",
        "home/.ansible/plugins/inventory",
        "home/.ansible/plugins/vars",
        "ansible",
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in ("ini.py", "yaml.py", "host_group_vars.py", "evil.py", "__init__.py", "json.py"):
            (tmp_path / folder / name).write_text(evil)
    for name in ("json.py", "yaml.py", "sitecustomize.py", "ansible.py"):
        (tmp_path / name).write_text(evil)
    config = "[defaults]\ninventory_plugins=./inventory_plugins\nvars_plugins=./vars_plugins\nfilter_plugins=./filter_plugins\n"
    (tmp_path / "ansible.cfg").write_text(config)
    (tmp_path / "home" / ".ansible.cfg").write_text(config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ANSIBLE_CONFIG", str(tmp_path / "ansible.cfg"))
    monkeypatch.setenv("ANSIBLE_INVENTORY_PLUGINS", str(tmp_path / "inventory_plugins"))
    monkeypatch.setenv("ANSIBLE_VARS_PLUGINS", str(tmp_path / "vars_plugins"))
    monkeypatch.setenv("ANSIBLE_INVENTORY_ENABLED", "script,evil")
    (tmp_path / "hosts.ini").write_text("x ansible_user=u\n")
    (host,) = load(str(tmp_path / "hosts.ini")).hosts
    assert host.user == "u"
    assert not ran.exists()


def bomb(own: int, levels: int) -> str:
    """Return a small inventory with a variable that would be a large one: each level stands for ten of the one below."""
    lines = ["all:", "  hosts:", "    x:", f"      whalefall_a: &a0 [{', '.join(['1'] * own)}]"]
    lines += [f"      whalefall_b{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]" for number in range(1, levels + 1)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", ["hosts.yml", "group_vars/all"])
def test_aliases_that_stand_for_thousands_of_others_are_refused(tmp_path: Path, name: str) -> None:
    """A small file that would be a large one, before anybody has made it large; and what one variable of it would be."""
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "hosts.yml").write_text("all: {hosts: {x: }}\n")
    for text, said in (
        (bomb(10, 8), r"what Ansible refuses: aliases that stand for more than 1000000 values"),
        (bomb(10, 8) + "      whalefall_c: &s [*s, 1]\n", r"what Ansible refuses: aliases that stand for more than 1000000 values"),
        (bomb(3, 4), r"what Ansible refuses: a variable with more than 20000 values"),
        (bomb(10, 1500), r"what Ansible refuses: aliases that stand for more than 1000000 values"),
    ):
        (tmp_path / name).write_text(text if name == "hosts.yml" else text.partition("x:\n")[2].replace("      ", ""))
        with pytest.raises(BadInput, match=said):
            load(str(tmp_path / "hosts.yml"))


def test_what_takes_more_memory_than_an_inventory_may_is_refused(tmp_path: Path) -> None:
    """Whatever it is made of: here the bound on aliases is taken away, and little memory is left, so that it is over soon."""
    script = (
        "import pathlib\n"
        "import ansible.inventory.manager, ansible.plugins.inventory.yaml\n"
        "import harness.providers.inventory.ansible_reader as reader\n"
        "now = int(pathlib.Path('/proc/self/statm').read_text().split()[0]) << 12\n"
        "reader.UNFOLDED, reader.MEMORY = 1 << 62, now + (1 << 24)\n"
        "reader.main()\n"
    )
    (tmp_path / "hosts.yml").write_text(bomb(10, 8))
    environ = {"PATH": os.defpath, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = run_bounded([sys.executable, "-B", "-c", script, str(tmp_path / "hosts.yml")], env=environ, seconds=120.0)
    (failure,) = json.loads(done.stdout)["failures"]
    assert failure["what"] == "more than the memory that an inventory may take; look for aliases and ranges that stand for thousands"


def test_the_process_that_reads_has_bounds(tmp_path: Path, ansible: Run) -> None:
    """On memory and on time, whatever it reads."""
    (tmp_path / "hosts.ini").write_text("x\n")
    script = tmp_path / "script"
    limits = "[resource.getrlimit(each) for each in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]"
    script.write_text(f"import resource, runpy\nrunpy.run_path({str(loading.READER)!r}, run_name='__main__')\nprint({limits})\n")
    environ = {"PATH": os.defpath, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(tmp_path / "empty.cfg")}
    done = ansible([*PYTHON, str(script), str(tmp_path / "hosts.ini")], env=environ, cwd=tmp_path, seconds=120.0)
    assert done.stdout.decode().splitlines()[-1] == "[(536870912, 536870912), (20, 20)]", done.stderr


@pytest.mark.parametrize("text", [
    f"h[1:{'9' * 5000}]", f"h[{'9' * 5000}:1]", f"h[1:2:{'9' * 5000}]", "h" + "[000000000000000001:999999999999999999]" * 400,
], ids=["end", "start", "step", "product"])  # fmt: skip
def test_ranges_of_numbers_that_nobody_can_hold_are_refused(tmp_path: Path, text: str) -> None:
    """With the line, and in few words."""
    file = tmp_path / "hosts.ini"
    with pytest.raises(BadInput) as caught:
        loading.loaded(file, f"a\n{text}\n".encode())
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (str(file), 2)
    assert len(str(problem)) < 200 + len(str(file))


def test_a_folder_of_variables_that_lies_in_itself_is_told(tmp_path: Path) -> None:
    """By the link, not by the number of its files."""
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "loop").symlink_to(".")
    with pytest.raises(BadInput, match=r"group_vars/loop: a link to a folder that it lies in"):
        loading.loaded(tmp_path / "hosts.ini", b"a\n")


_TWICE = "whalefall_protected: true\nansible_user: ops\nwhalefall_protected: false\n"
_WHOLE = "all: {hosts: {db1: {whalefall_protected: true, whalefall_protected: false}, db2: }}\n"
READ_AS_YAML: dict[str, tuple[str, str, int]] = {
    "a host's file": ("host_vars/db1", _TWICE, 3),
    "a host's file with dots in its name": ("host_vars/db1.example.com", _TWICE, 3),
    "a host's file that ends as others do": ("host_vars/db1.example.ini", _TWICE, 3),
    "a group's file": ("group_vars/all", _TWICE, 3),
    "a group's file with dots": ("group_vars/v1.2", _TWICE, 3),
    "a file in a host's folder": ("host_vars/db1/protection", _TWICE, 3),
    "a file in a folder with dots": ("host_vars/db1.example.com/main", _TWICE, 3),
    "a file with an ending": ("host_vars/db1.yaml", _TWICE, 3),
    "JSON": ("host_vars/db1.json", '{"whalefall_protected": true,\n "whalefall_protected": false}', 2),
    "JSON in a file without an ending": ("host_vars/db1", '{"whalefall_protected": true,\n "whalefall_protected": false}', 2),
    "JSON that is no YAML": ("host_vars/db1", '{\n\t"whalefall_protected": true,\n\t"whalefall_protected": false\n}', 3),
    "JSON inside JSON that is no YAML": ("group_vars/all", '{\n\t"whalefall_a": {\n\t"b": true,\n\t"b": false\n}}', 4),
    "a mapping in flow": ("group_vars/all", "{whalefall_protected: true, whalefall_protected: false}\n", 1),
    "with a quoted key": ("group_vars/all", "whalefall_protected: true\n'whalefall_protected': false\n", 2),
    "behind a mark of the start": ("group_vars/all", f"%YAML 1.1\n---\n{_TWICE}", 5),
}


@pytest.mark.parametrize("kind", READ_AS_YAML)
@pytest.mark.parametrize("inventory", ["hosts.ini", "hosts.yml", "hosts"])
def test_a_key_that_stands_twice_is_told_in_whatever_ansible_reads_as_yaml(tmp_path: Path, kind: str, inventory: str) -> None:
    """Ansible takes the last without a word: a host that was to be spared would not be, whatever the file is called."""
    name, body, line = READ_AS_YAML[kind]
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(body)
    hosts = ("db1", "db1.example.com", "db1.example.ini")
    yaml = f"v1.2: {{hosts: {{{', '.join(f'{each}: ' for each in hosts)}}}}}\n"
    text = yaml if inventory == "hosts.yml" else "[v1.2]\n" + "\n".join(hosts) + "\n"
    (tmp_path / inventory).write_text(text)
    with pytest.raises(BadInput, match=rf"{name}:{line}:\d+: what Ansible refuses: duplicate mapping key '(whalefall_protected|b)'"):
        load(str(tmp_path / inventory))


@pytest.mark.parametrize("name", ["hosts", "production", "hosts.yml", "hosts.yaml", "hosts.json"])
def test_a_key_that_stands_twice_in_an_inventory_is_told_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    """Also where the same text would be something else in another form."""
    (tmp_path / name).write_text(_WHOLE)
    with pytest.raises(BadInput, match=rf"{name}:1:\d+: what Ansible refuses: duplicate mapping key 'whalefall_protected'"):
        load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("db1 whalefall_protected=true whalefall_protected=false\n", 1),
        ("[g]\ndb1\ndb2 whalefall_protected=true ansible_user=x whalefall_protected=no # last\n", 3),
        ("[g]\ndb1\n[g:vars]\nwhalefall_protected=true\nansible_user=x\nwhalefall_protected = false\n", 6),
        ("[g]\ndb1\n[g:vars]\nwhalefall_protected=true\n[h]\ndb2\n[g:vars]\nwhalefall_protected=false\n", 8),
    ],
)
@pytest.mark.parametrize("name", ["hosts.ini", "hosts"])
def test_a_variable_that_is_set_twice_in_one_place_of_an_ini_file_is_told(tmp_path: Path, name: str, text: str, line: int) -> None:
    """As a key that stands twice in YAML is, and for the same reason."""
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=rf"{name}:{line}:1: what Ansible refuses: duplicate variable 'whalefall_protected'"):
        load(str(tmp_path / name))


def test_keys_of_different_mappings_do_not_stand_twice(tmp_path: Path) -> None:
    """Nor does one that overrides what was merged, nor one of a group and of its host, nor text in a value."""
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "db1").write_text(
        "base: &base {x: 1, y: 2}\nother: {<<: *base, x: 3}\nlist: [{x: 1}, {x: 2}]\ntext: |\n  x: 1\n  x: 2\nwhalefall_protected: true\n"
    )
    text = "[a]\ndb1 ansible_user=one\n[b]\ndb1 ansible_user=two\n[a:vars]\nansible_port=1\n[b:vars]\nansible_port=2\nother=1\nother=2\n"
    (tmp_path / "hosts").write_text(text)
    (host,) = load(str(tmp_path / "hosts")).hosts
    assert (host.user, host.port, host.protected) == ("two", 2, True)
