"""What an inventory's file alone tells of the hosts of a run is bad input with its place, all of it at once, and before any host is asked."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from harness.core.errors import BadInput
from harness.nodes.ssh import keys
from harness.providers.inventory.formats import load


def told(folder: Path, text: str, nodes: int = 3, name: str = "hosts.ini") -> list[str]:
    """Return what is wrong with a file of which so many hosts would be used; nothing where it is fine."""
    (folder / name).write_text(text, encoding="utf-8")
    try:
        load(str(folder / name), nodes)
    except BadInput as error:
        return [str(each).replace(f"{folder}/", "") for each in error.problems]
    return []


THREE = "a ansible_host=198.51.100.1\nb ansible_host=198.51.100.2\nc ansible_host=198.51.100.3\n"
IN_THE_WAY: dict[str, tuple[str, str]] = {
    "one address by two names": (
        THREE.replace("198.51.100.3", "198.51.100.1"),
        "hosts.ini:3:1: the address 198.51.100.1 of c, which a has, too; expected an address of its own for each host",
    ),
    "one address, said and meant": (
        THREE.replace("c ", "c whalefall_address=198.51.100.1 "),
        "hosts.ini:3:1: the address 198.51.100.1 of c, which a has, too; expected an address of its own for each host",
    ),
    "one address at two ports": (
        "a ansible_host=198.51.100.1\nb ansible_host=198.51.100.1 ansible_port=2222\nc ansible_host=198.51.100.3\n",
        "hosts.ini:2:1: the address 198.51.100.1 of b, which a has, too; expected an address of its own for each host",
    ),
    "one address, said twice": (
        "a whalefall_address=198.51.100.1\nb whalefall_address=198.51.100.1\nc whalefall_address=198.51.100.3\n",
        "hosts.ini:2:1: whalefall_address 198.51.100.1 of b, which a has, too; expected an address of its own for each host",
    ),
    "this machine": (
        THREE.replace("198.51.100.2", "127.0.0.1"),
        (
            "hosts.ini:2:1: b, whose address 127.0.0.1 is one of this machine's; expected another machine;"
            " the harness must not run on a host that it breaks"
        ),
    ),
    "a way through a node": (
        THREE.replace("c ", "c ansible_ssh_common_args='-J me@a:22' "),
        (
            "hosts.ini:3:1: c, which is reached through a, and the run may break that; expected a way through none of the run's hosts;"
            " go through another host"
        ),
    ),
}


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_a_host_that_would_cut_us_off_or_is_another_is_told_by_its_line(tmp_path: Path, kind: str) -> None:
    """Nobody need answer for it to be known."""
    text, said = IN_THE_WAY[kind]
    assert told(tmp_path, text) == [said]


def test_what_is_in_the_way_is_told_by_the_place_of_the_variable_in_yaml(tmp_path: Path) -> None:
    """Line and column."""
    text = "all:\n  hosts:\n    a: {ansible_host: 198.51.100.1}\n    b:\n      ansible_host: 198.51.100.1\n"
    assert told(tmp_path, text, 2, "hosts.yml")[0].startswith("hosts.yml:5:21: the address 198.51.100.1 of b, which a has, too")


def test_hosts_that_a_run_would_not_use_are_in_nobodys_way(tmp_path: Path) -> None:
    """Ansible allows aliases, and a gate may well stand in its own inventory."""
    more = (
        "gate ansible_host=198.51.100.9\nalias ansible_host=198.51.100.1 ansible_ssh_private_key_file=/no/id\nme ansible_host=127.0.0.1\n"
    )
    text = THREE.replace("c ", "c ansible_ssh_common_args='-J me@gate' ") + more
    assert told(tmp_path, text) == []


def test_everything_that_stands_in_a_file_is_told_at_once(tmp_path: Path) -> None:
    """Variables, addresses, keys, and how many hosts there are."""
    text = "a ansible_host=198.51.100.1 ansible_ssh_private_key_file=/no/id ansible_prot=22\nb ansible_host=198.51.100.1 ansible_port=ssh\n"
    assert [each.partition(";")[0] for each in told(tmp_path, text)] == [
        "hosts.ini: 2 hosts (a, b)",
        "hosts.ini:1:1: a variable ansible_prot, which Ansible does not know",
        "hosts.ini:1:1: the key /no/id cannot be used: no such file",
        "hosts.ini:2:1: ansible_port 'ssh'",
        "hosts.ini:2:1: the address 198.51.100.1 of b, which a has, too",
    ]


@pytest.mark.parametrize("name", ["ansible_ssh_private_key_file", "ansible_private_key_file"])
@pytest.mark.parametrize(("what", "said"), [("missing", "no such file"), ("folder", "a folder"), ("text", "it is no private key")])
def test_a_key_that_cannot_be_used_is_told_once_where_it_is_named(tmp_path: Path, name: str, what: str, said: str) -> None:
    """Also where a whole group names it; one that can be used is fine."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no key\n")
    text = f"[wf]\n{THREE}[wf:vars]\n{name}={tmp_path}/"
    (problem,) = told(tmp_path, f"{text}{what}\n")
    assert problem.startswith(f"hosts.ini:6:1: the key {what} cannot be used: {said}")
    keys.make_user_key(tmp_path)
    assert told(tmp_path, f"{text}{keys.USER_KEY}\n") == []


def test_a_key_that_an_openssh_config_names_is_told_where_it_is_named(tmp_path: Path) -> None:
    """Where none of a host's keys can be used."""
    text = f"Host a\n HostName 198.51.100.1\nHost b\n HostName 198.51.100.2\n IdentityFile {tmp_path}/id\n"
    (problem,) = told(tmp_path, text, 2, "config")
    assert problem.startswith("config:5:1: the key id cannot be used: no such file")


@pytest.mark.parametrize(("code", "is_told"), [(socket.EAI_NONAME, True), (socket.EAI_AGAIN, False), (errno.EIO, False)])
def test_a_name_of_nobody_is_told_and_one_that_could_not_be_looked_up_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_told: bool
) -> None:
    """Could not ask is never no."""

    def lookup(*_: object) -> None:
        raise socket.gaierror(code, "said by a name service")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    said = told(tmp_path, "db1\n", 1)
    assert [each.partition(";")[0] for each in said] == (
        ["hosts.ini:1:1: 'db1', which is no name of an IPv4 address here"] if is_told else []
    )


SLIPS = {
    "ansible_prot=22": "ansible_port",
    "ansible_pot=22": "ansible_port",
    "ansible_hosts=198.51.100.9": "ansible_host",
    "ansible_usr=ops": "ansible_user",
    "ansible_conection=ssh": "ansible_connection",
    "ansible_private_key_flie=id": "ansible_private_key_file",
    "ansible_become_usr=ops": "ansible_become_user",
    "Ansible_port=22": "ansible_port",
    "ansible_Port=22": "ansible_port",
    "ansibel_user=ops": "ansible_user",
    "ansible-port=22": "ansible_port",
    "ansible_ssh_prot=22": "ansible_ssh_port",
    "ansible_ssh_private_key_fiel=id": "ansible_ssh_private_key_file",
    "whalefall_adress=198.51.100.1": "whalefall_address",
}


@pytest.mark.parametrize("written", SLIPS)
def test_a_slip_in_a_variable_that_says_how_a_host_is_reached_is_bad_input(tmp_path: Path, written: str) -> None:
    """Another machine than was written would be broken."""
    (problem,) = told(tmp_path, f"a\nb {written}\n", 0)
    assert problem.startswith(
        f"hosts.ini:2:1: a variable {written.partition('=')[0]}, which" if "ans" in written.lower() else "hosts.ini:2:1: "
    )
    assert problem.endswith(f"; did you mean {SLIPS[written]!r}?")


DOUBTS = {
    "ansible_users=\"['a','b']\"": "a variable ansible_users, which Ansible does not know",
    "ansible_port=22 ansible_prot=23": "a variable ansible_prot, which Ansible does not know",
    "ansible_tiemout=5": "a variable ansible_tiemout, which Ansible does not know",
    "ansible_pasword=x": "a variable ansible_pasword, which Ansible does not know",
    "ansible_user=": "ansible_user without a value",
    "ansible_ssh_private_key_file=": "ansible_ssh_private_key_file without a value",
}


@pytest.mark.parametrize("written", DOUBTS)
def test_any_other_likely_slip_is_told_and_keeps_no_run_from_beginning(tmp_path: Path, written: str) -> None:
    """To Ansible it is legal."""
    (tmp_path / "hosts.ini").write_text(f"a {written}\n")
    (doubt,) = load(str(tmp_path / "hosts.ini")).doubts
    assert doubt.startswith(f"{tmp_path}/hosts.ini:1:1: {DOUBTS[written]}; expected ")
    assert "=x" not in doubt


@pytest.mark.parametrize("written", [
    "ansible_python_interpreter=/usr/bin/python3", "ansible_host_key_checking=no", "ansible_become=yes", "ansible_timeout=5", "ansible_hostname=x",
    "ansible_become_pass_file=x", "ansible_site=north", "prot=22", "port=22", "ansible_group_priority=5", "answer=42",
])  # fmt: skip
def test_a_variable_of_ansibles_or_of_somebodys_own_is_no_slip(tmp_path: Path, written: str) -> None:
    """Nothing is said of it."""
    (tmp_path / "hosts.ini").write_text(f"a {written}\n")
    assert load(str(tmp_path / "hosts.ini")).doubts == ()


STUMBLES: dict[str, tuple[str, str]] = {
    "an open section": ("[wf\na\n", ":1:1: what Ansible refuses: a '[' without its ']'"),
    "an open range": ("[wf]\ndb[1:3\n", ":2:1: what Ansible refuses: a '[' without its ']'"),
    "ends that are no numbers": ("[wf]\ndb[0x1:0x3]\n", ":2:1: what Ansible refuses: '0x1' where a whole number belongs"),
    "a step of nothing": ("[wf]\ndb[1:3:0]\n", ":2:1: what Ansible refuses: a range with a step of 0"),
    "a bar beside a range": ("[wf]\nd|b[1:3]\n", ":2:1: what Ansible refuses: a '[' without its ']'"),
    "a priority in words": (
        "[wf]\na\n[wf:vars]\nansible_group_priority=high\n",
        "what Ansible refuses: 'high' where a whole number belongs",
    ),
}


@pytest.mark.parametrize("kind", STUMBLES)
def test_an_error_of_python_inside_ansible_is_told_in_words_about_the_file(tmp_path: Path, kind: str) -> None:
    """Unpacking, literals and bases help nobody who wrote an inventory."""
    text, said = STUMBLES[kind]
    (problem,) = told(tmp_path, text, 0)
    assert said in problem
    for word in ("unpack", "literal", "base 10", "slice", "arg 3", "NoneType", "object has no", "Error"):
        assert word not in problem


def test_likely_slips_are_told_with_what_keeps_a_run_from_beginning(tmp_path: Path) -> None:
    """Whoever mends a file mends all of it; they are told as what they are."""
    text = f"[wf]\n{THREE.replace('c ', 'c ansible_ssh_private_key_file=/no/id ')}[wf:vars]\nansible_user=\n"
    assert [each.partition(";")[0] for each in told(tmp_path, text)] == [
        "hosts.ini:4:1: the key /no/id cannot be used: no such file",
        "hosts.ini:6:1: perhaps a slip: ansible_user without a value",
    ]
