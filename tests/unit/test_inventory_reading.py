"""An inventory is read as Ansible reads it, as far as the docs say; what is not understood is an error with its place, all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from harness.core.errors import BadInput, HarnessError
from harness.nodes.ssh import access_from_ssh_config, keys
from harness.providers.inventory.formats import load
from harness.providers.inventory.hosts import Host, Inventory
from harness.providers.inventory.variables import OURS

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHThA"


def read(folder: Path, text: str, part: str = "", name: str = "hosts.ini") -> Inventory:
    """Write a file and read it."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load(f"{path}{part}")


def wrong(folder: Path, text: str, part: str = "", name: str = "hosts.ini") -> list[str]:
    """Return the problems of a file, without its folder."""
    with pytest.raises(BadInput) as e:
        read(folder, text, part, name)
    return [str(each).replace(f"{folder}/", "") for each in e.value.problems]


INI = f"""
gateway.example.com:2222
[whalefall]
db[1:3].example.com ansible_user=ops  # three of them
[web]
web ansible_host=192.0.2.7 whalefall_power_off="virsh destroy '{{host}} x'" whalefall_protected=yes whalefall_host_key="{KEY} root@web"
[all:vars]
ansible_ssh_private_key_file = "~/.ssh/chaos"
ansible_port=22
[site:children]
whalefall
web
[site:vars]
ansible_port=2200  # the site's own
whalefall_at_once=2
[web:vars]
ansible_ssh_common_args='-o ProxyJump=me@jump:22'
"""


def test_ini_hosts_have_their_own_variables_before_their_groups(tmp_path: Path) -> None:
    """Host before child, child before parent, parent before all; ranges are counted out."""
    found = read(tmp_path, INI)
    assert [host.name for host in found.hosts] == ["db1.example.com", "db2.example.com", "db3.example.com"]
    assert found.hosts[0].user == "ops"
    assert found.hosts[0].port == 2200
    assert found.hosts[0].key == "~/.ssh/chaos"
    assert found.hosts[0].line == 4
    assert found.at_once == 2
    (web,) = read(tmp_path, INI, ":web").hosts
    assert (web.host, web.jump, web.protected) == ("192.0.2.7", "me@jump:22", True)
    assert web.switch.off == ("virsh", "destroy", "{host} x")
    assert web.host_key == KEY
    every = read(tmp_path, INI, ":all").hosts
    assert every[0].name == "gateway.example.com"
    assert every[0].port == 2222


def test_yaml_says_the_same_as_ini(tmp_path: Path) -> None:
    """Groups below groups, hosts with and without variables, values of any kind."""
    text = """
all:
  vars: {ansible_port: 22}
  children:
    site:
      vars: {ansible_port: 2200, whalefall_at_once: 1}
      children:
        whalefall:
          hosts:
            db[1:2].example.com:
            web: {ansible_host: 192.0.2.7, whalefall_protected: true, whalefall_address: 10.0.0.9}
"""
    found = read(tmp_path, text, name="hosts.yaml")
    assert [(host.name, host.host, host.port, host.protected, host.address) for host in found.hosts] == [
        ("db1.example.com", "db1.example.com", 2200, False, ""),
        ("db2.example.com", "db2.example.com", 2200, False, ""),
        ("web", "192.0.2.7", 2200, True, "10.0.0.9"),
    ]
    assert found.at_once == 1


def test_an_openssh_config_is_an_inventory(tmp_path: Path) -> None:
    """Every concrete Host, or those that are named; our variables stand in it as unknown keywords do."""
    text = "IgnoreUnknown whalefall_*\nHost a b *.c\n HostName 192.0.2.1\n whalefall_address 10.0.0.1\n whalefall_sysrq yes\n"
    text += "Host d\nHost *\n User ops\n"
    assert [host.name for host in read(tmp_path, text.replace(" whalefall_address 10.0.0.1\n", ""), name="config").hosts] == ["a", "b", "d"]
    (host,) = read(tmp_path, text, ":b", "config").hosts
    assert (host.name, host.host, host.user, host.address, host.switch.sysrq, host.line) == ("b", "192.0.2.1", "ops", "10.0.0.1", True, 2)
    assert host.config == str(tmp_path / "config")
    assert wrong(tmp_path, text, ":nobody", "config") == ["config: no Host nobody; expected a Host of that name; there is a, b, d"]
    assert wrong(tmp_path, "Host a\nInclude more\n whalefall_adress x\n", name="config") == [
        "config:2:1: include, which is not followed here; expected a file that is whole; put what it includes into one file",
        f"config:3:1: a variable whalefall_adress; expected one of {', '.join(OURS)}; did you mean 'whalefall_address'?",
    ]


def test_all_problems_come_at_once_with_their_places(tmp_path: Path) -> None:
    """One reading, one list."""
    text = """[a]
n1 whalefall_sysrg=1 ansible_port=99999 ansible_connection=docker
n2 ansible_password=x whalefall_host_key=foo ansible_ssh_common_args="-o StrictHostKeyChecking=no -o ProxyJump=j"
n3 whalefall_address=db whalefall_power_off="{{ x }}" whalefall_at_once=none ansible_ssh_extra_args=-v other=fine
n4 whalefall_protected=perhaps whalefall_power_on="'" whalefall_at_once=2
"""
    found = wrong(tmp_path, text)
    assert sorted(each.partition(";")[0] for each in found) == sorted([
        "hosts.ini:2:1: a variable whalefall_sysrg",
        "hosts.ini:2:1: ansible_port 99999",
        "hosts.ini:2:1: ansible_connection 'docker'",
        "hosts.ini:3:1: a password in ansible_password",
        "hosts.ini:3:1: whalefall_host_key 'foo'",
        "hosts.ini:3:1: ansible_ssh_common_args with '-oStrictHostKeyChecking=…'",
        "hosts.ini:4:1: whalefall_address 'db'",
        "hosts.ini:4:1: a template in whalefall_power_off",
        "hosts.ini:4:1: whalefall_at_once 'none'",
        "hosts.ini:4:1: a variable ansible_ssh_extra_args, which is not understood",
        "hosts.ini:5:1: whalefall_protected 'perhaps'",
        "hosts.ini:5:1: whalefall_power_on with a quote that is not closed",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a\nx\n",
         "hosts.ini:1:1: what Ansible refuses: a '[' without its ']' (a group is [NAME], a range db[1:3]), or a '|' beside a range"),
        ("[a:children]\nb\n",
         "hosts.ini:2:1: what Ansible refuses: Section [a:children] includes undefined group 'b'"),
        ("[a:vars]\nx\n",
         "hosts.ini:2:1: what Ansible refuses: Expected key=value, got: …"),
        ("[a]\nx y=1 z\n",
         "hosts.ini:2:1: what Ansible refuses: Expected key=value host variable assignment, got: …"),
        ("[a]\nx 'y\n",
         "hosts.ini:2:1: what Ansible refuses: Error parsing host definition: No closing quotation"),
        ("[a]\nx[3:1]\n", "hosts.ini: no hosts; expected at least one host; write one a line: db1 ansible_host=192.0.2.1"),
        ("[a]\n", "hosts.ini: no hosts; expected at least one host; write one a line: db1 ansible_host=192.0.2.1"),
        ("[whalefall]\n[b]\nx\n", "hosts.ini: no hosts; expected at least one host; name a group that has some, as FILE:GROUP: b"),
        ("# nobody\n", "hosts.ini: no hosts; expected at least one host; write one a line: db1 ansible_host=192.0.2.1"),
        ("\n \n", "hosts.ini: an empty file; expected at least one host; write one a line: db1 ansible_host=192.0.2.1"),
        ("", "hosts.ini: an empty file; expected at least one host; write one a line: db1 ansible_host=192.0.2.1"),
        ("a whalefall_address=10.0.0.1\nb whalefall_address=10.0.0.1\n",
         "hosts.ini:2:1: whalefall_address 10.0.0.1 of b, which a has, too; expected an address of its own for each host"),
        ("a whalefall_at_once=1\nb whalefall_at_once=2\n", "hosts.ini:2:1: more than one whalefall_at_once: 1, 2; expected one for all hosts"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_ini_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    """With line, what was found and what was expected."""
    assert [each.removesuffix("; expected an inventory that Ansible reads") for each in wrong(tmp_path, text)] == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1]\n", "hosts.yml:1:4: a list as the group a; expected a mapping with hosts, vars and children"),
        ("a: {host: {b: }}\n", "hosts.yml:1:5: host in the group a; expected hosts, vars and children"),
        ("a:\n  hosts:\n    x y:\n", "hosts.yml:3:5: the host 'x y'; expected a host's name"),
        ("a:\n  hosts: {x: {whalefall_host_key: [1]}}\n", "hosts.yml:2:35: whalefall_host_key is a list; expected text"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_yaml_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    """With line and column."""
    assert wrong(tmp_path, text, name="hosts.yml")[0].startswith(said)


def test_no_message_repeats_a_password_that_stands_in_arguments(tmp_path: Path) -> None:
    """Only what the arguments are called, also where nothing stands between the name and the rest."""
    (said,) = wrong(tmp_path, "x ansible_ssh_common_args=\"sshpass -phunter2 -o 'SetEnv hunter2' -o SetEnv=hunter2 -hunter2\"\n")
    assert "ansible_ssh_common_args with '… -p… -oSetEnv… -oSetEnv=… -h…'" in said
    assert "hunter2" not in said
    (said,) = wrong(tmp_path, "x ansible_ssh_common_args=\"-o ProxyCommand='sshpass -p hunter2 ssh jump' -i hunter2 --x=hunter2\"\n")
    assert "ansible_ssh_common_args with '-oProxyCommand=… -i … --x=…'" in said
    assert "hunter2" not in said


def test_a_group_that_is_not_there_is_an_error_with_those_that_are(tmp_path: Path) -> None:
    """As for a file that is not there, a folder, and a program."""
    assert wrong(tmp_path, "[a]\nx\n[b]\ny\n", ":c") == ["hosts.ini: no group 'c'; expected a group of this file; it has a, b"]
    with pytest.raises(BadInput, match="no such file; expected an Ansible inventory or an OpenSSH config"):
        load(str(tmp_path / "nothing"))
    with pytest.raises(BadInput, match="a folder; expected one file"):
        load(str(tmp_path))
    script = tmp_path / "dynamic"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    with pytest.raises(BadInput, match=r"a program that makes an inventory.*ansible-inventory --list --yaml"):
        load(str(script))


@pytest.mark.parametrize(("nodes", "allowed"), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (7, 3)])
def test_a_minority_may_be_broken_where_nothing_is_said(nodes: int, allowed: int) -> None:
    """At least one: a cap of none would be no run."""
    hosts = tuple(Host(f"h{number}", f"h{number}") for number in range(nodes))
    assert Inventory("f", hosts).allowed(nodes) == allowed
    assert Inventory("f", hosts, 4).allowed(nodes) == 4


def test_how_much_slower_hosts_are_is_read_as_a_duration_and_is_one_for_all(tmp_path: Path) -> None:
    """Emulated hosts, say: budgets grow by it."""
    assert read(tmp_path, "a\nb\n[all:vars]\nwhalefall_slower=60s\n").slower == 60.0
    assert read(tmp_path, "a\n").slower == 0.0
    told = wrong(tmp_path, "a whalefall_slower=slowly\nb whalefall_slower=1m\nc whalefall_slower=5s\n")
    assert [each.partition(";")[0] for each in told] == [
        "hosts.ini:1:1: whalefall_slower 'slowly'",
        "hosts.ini:3:1: more than one whalefall_slower: 60, 5",
    ]


IMPOSSIBLE = {
    "a name that is too long": "a" * 300,
    "a path that is too long": "a/" * 3000,
    "a folder that is too long": f"{'a' * 300}/hosts",
    "the home of nobody": "~nobody-of-this-name/hosts",
    "below a file": "/etc/passwd/hosts",
    "with a group": f"{'a' * 300}:group",
    "of nobody with a group": "~nobody-of-this-name/hosts:group",
}


@pytest.mark.parametrize("given", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_path_that_cannot_be_one_is_bad_input(given: str) -> None:
    """As one that is not there is: nothing was to be written, and nothing of ours is broken."""
    with pytest.raises(BadInput) as caught:
        load(given)
    assert len(caught.value.problems) == 1


def test_many_hosts_of_an_openssh_config_are_no_name_of_a_file(tmp_path: Path) -> None:
    """However long the list is: with its colon it is longer than a name can be."""
    names = [f"node-{number}" for number in range(100)]
    (tmp_path / "config").write_text("".join(f"Host {each}\n HostName 192.0.2.{number}\n" for number, each in enumerate(names)))
    found = load(f"{tmp_path / 'config'}:{','.join(names)}").hosts
    assert [host.name for host in found] == names


def test_a_key_whose_name_cannot_be_one_is_a_key_that_is_not_there(tmp_path: Path) -> None:
    """OpenSSH goes on to the next one; a host with no other is told among all others."""
    (tmp_path / "key").touch()
    (tmp_path / "config").write_text(
        f"Host a\n IdentityFile {'k' * 300}\n IdentityFile {tmp_path}/key\nHost b\n IdentityFile {'k' * 300}\n UserKnownHostsFile {'h' * 300}\n"
    )
    assert access_from_ssh_config("a", tmp_path / "config").key == tmp_path / "key"
    there = access_from_ssh_config("b", tmp_path / "config").key
    with pytest.raises(HarnessError, match=r"the key k+ cannot be used: what cannot be read .File name too long.; expected a private key"):
        keys.ours(there)
    long = tmp_path / ("k" * 253)  # with .pub behind it, it is too long
    long.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"secret")))
    with pytest.raises(HarnessError, match="has a passphrase, and no agent holds it"):
        keys.ours(long)
