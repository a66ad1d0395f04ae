"""What people write into inventories by a slip is told with its line, in words about the file and not about Ansible's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import BadInput, Problem
from harness.core.values import Json
from harness.providers.inventory import blanks, shapes, variables
from harness.providers.inventory.formats import load
from harness.providers.inventory.hosts import Host, Switch
from harness.providers.inventory.slips import Slip, slip

HOSTS = "a ansible_host=198.51.100.1\nb ansible_host=198.51.100.2\nc ansible_host=198.51.100.3\n"


def told(folder: Path, text: str, name: str = "hosts.ini", nodes: int = 3, group: str = "") -> list[str]:
    """Return what is wrong with a file; nothing where it is fine."""
    (folder / name).write_text(text, encoding="utf-8")
    try:
        load(f"{folder / name}{group}", nodes)
    except BadInput as error:
        return [str(each).replace(f"{folder}/", "") for each in error.problems]
    return []


SHAPES: dict[str, tuple[str, str, list[str]]] = {
    "hosts as a list": (
        "hosts.yaml",
        "all:\n  hosts:\n    - n1\n",
        ["hosts.yaml:3:5: a list as hosts of the group all; expected a mapping; write n1: in a line each, without the hyphens"],
    ),
    "vars as a list": (
        "hosts.yml",
        "all:\n  hosts: {n1: }\n  vars:\n    - ansible_user: x\n",
        ["hosts.yml:4:5: a list as vars of the group all; expected a mapping; write NAME: VALUE in a line each, without the hyphens"],
    ),
    "children as a number": ("hosts.yml", "all:\n  children: 3\n", ["hosts.yml:2:13: a number as children of the group all; expected"]),
    "a list of hosts": ("hosts.yml", "- n1\n- n2\n", ["hosts.yml:1:1: a list of hosts or groups; expected a mapping, of groups"]),
    "an address as a host's variables": (
        "hosts.yml",
        "all:\n  hosts:\n    n1: 192.0.2.1\n",
        [
            "hosts.yml:3:9: the text '192.0.2.1' as the host n1; expected nothing, or its variables as a mapping; say its address as ansible_host"
        ],
    ),
    "a host that is a number": (
        "hosts.yml",
        "all:\n  hosts:\n    10:\n    2024-01-01:\n",
        [
            'hosts.yml:3:5: the host 10, which is a number in YAML; expected text; put it in quotes: "10":',
            "hosts.yml:4:5: the host 2024-01-01, which is a date in YAML; expected text",
        ],
    ),
    "a host where groups are": (
        "hosts.yml",
        "all:\n  children:\n    db:\n      n1: {ansible_host: 192.0.2.1}\n",
        ["hosts.yml:4:7: n1 in the group db; expected hosts, vars and children; a host stands below hosts: of db, a group below children:"],
    ),
    "a text as a group": ("hosts.yml", "all: n1\n", ["hosts.yml:1:6: the text 'n1' as the group all; expected a mapping with hosts, vars"]),
    "what a program prints": (
        "hosts.json",
        '{"whalefall": {"hosts": ["n1"]}, "_meta": {"hostvars": {}}}',
        [
            'hosts.json:1:25: a list as hosts of the group whalefall; expected a mapping; write {"n1": {}}, in braces',
            "hosts.json:1:34: _meta; expected groups with hosts, vars and children; that is what a program prints for Ansible",
        ],
    ),
    "all at once, and a key that stands twice": (
        "hosts.yml",
        "all:\n  hosts:\n    - n1\n  oddity: {}\n  oddity: {}\n",
        [
            "hosts.yml:3:5: a list as hosts",
            "hosts.yml:4:3: oddity in the group",
            "hosts.yml:5:3: oddity in the group",
            "hosts.yml:5:3: what",
        ],
    ),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_that_ansible_does_not_take_is_told_with_its_place(tmp_path: Path, kind: str) -> None:
    """Without the names of its classes."""
    name, text, expected = SHAPES[kind]
    said = told(tmp_path, text, name, 0)
    assert len(said) == len(expected)
    for each, begin in zip(said, expected, strict=True):
        assert each.startswith(begin)
        assert "class" not in each


SHAPELY = [
    "all: {hosts: n1, children: db}\n",
    "all:\n  hosts:\n    n1:\n    n2: {}\n    n3: {ansible_host: 192.0.2.1}\n  vars:\n  children: {db: {hosts: {n4: }}}\n",
    "x: &x {ansible_user: a}\nall: {hosts: {n1: {<<: *x}}}\n",
    "whalefall:\n",
]


@pytest.mark.parametrize("text", SHAPELY)
def test_a_shape_that_ansible_takes_is_no_problem(text: str) -> None:
    """Text in place of a mapping is one name, and nothing is nothing."""
    assert [each for each in shapes.misshapen(text, "f") if "x" not in each.found] == []


def test_what_is_wrong_beside_a_mapping_that_is_in_itself_is_told() -> None:
    """Ansible refuses such a file; which of its lines are wrong besides is told all the same."""
    found = shapes.misshapen("all: &a\n  hosts: [n1]\n  children: &c\n    b: *a\n    c: {children: *c}\n  oops: 3\n", "f")
    assert [(each.line, each.found) for each in found if "group all" in each.found] == [
        (2, "a list as hosts of the group all"),
        (6, "oops in the group all"),
    ]


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "all: &a {children: {b: *a}}\n", "[" * 100_000, "\0", "a: [", "", "n1 ansible_host=1\n"])
def test_a_hostile_shape_ends(text: str) -> None:
    """Loops, depth, and what is no YAML at all."""
    assert len(shapes.misshapen(text, "f")) <= 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "requires a dictionary, found \"<class 'ansible.module_utils._internal._datatag._AnsibleTaggedList'>\" instead.",
            "found a list instead",
        ),
        ("it is a <class 'ansible.module_utils._internal._datatag._AnsibleTaggedStr'>", "it is a text"),
        ("got: <class 'int'>", "got: a number"),
        ("got: <class 'NoneType'>", "got: nothing"),
        ("got: <class 'a.b.C'>", "got: something else"),
    ],
)
def test_no_class_of_python_is_in_what_ansible_says(said: str, words: str) -> None:
    """In whatever sentence it stands."""
    from harness.providers.inventory.loading import _in_words  # noqa: PLC0415 - only here

    assert words in _in_words(said)


WRITTEN = {
    "ipmitool -H {hots} off": ("{hots}", "did you mean {host}?"),
    "ipmitool -H {Host} off": ("{Host}", "did you mean {host}?"),
    "ipmitool -H {hostname} off": ("{hostname}", "did you mean {host}?"),
    "ipmitool -H { host } off": ("{ host }", "did you mean {host}?"),
    "ipmitool -H {adress} off": ("{adress}", "did you mean {address}?"),
    "ipmitool -H {ip} off": ("{ip}", "did you mean {address}?"),
    "ipmitool -H {ansible_host} off": ("{ansible_host}", "did you mean {address}?"),
}


@pytest.mark.parametrize(
    ("variable", "command"), [(blanks.POWER[at % 3], each) for at, each in enumerate(WRITTEN)], ids=[f"{each}" for each in WRITTEN]
)
def test_a_slip_in_what_a_power_command_leaves_open_is_bad_input(tmp_path: Path, variable: str, command: str) -> None:
    """It would be tried when something is broken already. Told once, in the line of the group's variable."""
    found, hint = WRITTEN[command]
    expected = f"{found} in {variable}; expected {{host}} or {{address}}: nothing else is filled in; {hint}"
    assert told(tmp_path, f"[wf]\n{HOSTS}[wf:vars]\n{variable}={command}\n") == [f"hosts.ini:6:1: {expected}"]
    config = f"IgnoreUnknown whalefall_*\nHost a\n HostName 198.51.100.1\n {variable} {command}\n"
    assert told(tmp_path, config, "config", 1) == [f"config:4:1: {expected}"]


@pytest.mark.parametrize("command", ["pdu {host} off", "pdu {address}-ipmi", """curl -d '{"power": "off"}' {host}""", "pdu {} {host}"])
def test_what_is_filled_in_or_no_name_is_no_slip(tmp_path: Path, command: str) -> None:
    """Braces have other uses, too."""
    (tmp_path / "hosts.yml").write_text(
        f"all:\n  hosts:\n    a:\n      ansible_host: 198.51.100.1\n      whalefall_power_on: >-\n        {command}\n"
    )
    found = load(str(tmp_path / "hosts.yml"), 1)
    assert found.doubts == ()
    assert found.hosts[0].switch.on


def test_another_word_in_braces_is_told_and_keeps_no_run_from_beginning(tmp_path: Path) -> None:
    """A program may want it so."""
    (tmp_path / "hosts.ini").write_text("a ansible_host=198.51.100.1 whalefall_power_status=\"sh -c 'x {host} | awk {print}'\"\n")
    (doubt,) = load(str(tmp_path / "hosts.ini"), 1).doubts
    assert "hosts.ini:1:1: {print} in whalefall_power_status; expected {host} or {address}" in doubt


def test_a_power_command_that_would_switch_one_machine_for_several_hosts_is_told(tmp_path: Path) -> None:
    """Said for a group, without a word of which host; a status may be the same everywhere."""
    text = f"[wf]\n{HOSTS}[wf:vars]\nwhalefall_power_off=virsh destroy vm1\nwhalefall_power_status=true\n"
    assert told(tmp_path, text) == [
        (
            "hosts.ini:6:1: one whalefall_power_off for a, b, c, word for word; expected one that tells which machine it is for; "
            "say {host} or {address} in it, or give each host a command of its own"
        )
    ]
    assert told(tmp_path, text.replace("vm1", "{host}")) == []
    assert told(tmp_path, HOSTS.replace("b ", "b whalefall_power_on='vm b' ").replace("c ", "c whalefall_power_on='vm c' ")) == []


def test_a_command_is_filled_in_with_the_hosts_own_name_and_address() -> None:
    """In every word, as often as it stands there."""
    host = Host("db1", "db1.example", address="198.51.100.1", switch=Switch())
    assert blanks.filled(("x", "{host}-{host}", "-a{address}"), host) == ("x", "db1-db1", "-a198.51.100.1")


@pytest.mark.parametrize(("name", "ending"), [("whalefal", ".ini"), ("whalefalls", ".yml"), ("Whale_fall", ".ini"), ("whaelfall", ".ini")])
def test_a_slip_in_the_name_of_the_group_that_is_taken_is_bad_input(tmp_path: Path, name: str, ending: str) -> None:
    """Without it all hosts of the file would be taken; who names a group, or all, has chosen."""
    text = f"[db]\nd ansible_host=198.51.100.4\n[{name}]\n{HOSTS}"
    line = 3
    if ending == ".yml":
        hosts = "".join(f"    {each}: {{ansible_host: 198.51.100.{at}}}\n" for at, each in enumerate("abc", 1))
        text, line = f"db: {{hosts: {{d: {{ansible_host: 198.51.100.4}}}}}}\n{name}:\n  hosts:\n{hosts}", 2
    file = f"hosts{ending}"
    (said,) = told(tmp_path, text, file)
    hint = f"name it so, or say which are meant: {file}:{name} or {file}:all"
    assert said == f"{file}:{line}:1: a group {name}, and none called whalefall; expected the group whalefall; {hint}"
    assert told(tmp_path, text, file, group=f":{name}") == []
    assert told(tmp_path, text, file, group=":all") == []


@pytest.mark.parametrize("name", ["whale", "whalefall_db"])
def test_a_group_of_another_name_is_no_slip(tmp_path: Path, name: str) -> None:
    """All hosts are taken, as it is written down."""
    assert told(tmp_path, f"[{name}]\n{HOSTS}") == []


def test_a_group_that_is_there_is_taken_whatever_another_one_is_called(tmp_path: Path) -> None:
    """And a wrong one that was named is told with the near one."""
    text = f"[whalefall]\n{HOSTS}[whalefal]\nd ansible_host=198.51.100.1\n"
    assert told(tmp_path, text) == []
    assert told(tmp_path, text, group=":whalfall") == [
        "hosts.ini: no group 'whalfall'; expected a group of this file; did you mean 'whalefall'?; it has whalefal, whalefall"
    ]


MORE = {
    "root@198.51.100.9": "write 198.51.100.9 there, and the user as ansible_user=root",
    "198.51.100.9:22": "write 198.51.100.9 there, and the port as ansible_port=22",
    "ssh://198.51.100.9": "write 198.51.100.9 there, without ssh://",
}


@pytest.mark.parametrize("written", MORE)
def test_what_is_no_part_of_an_address_is_told_once_with_where_it_belongs(tmp_path: Path, written: str) -> None:
    """A user, a port, a scheme."""
    expected = f"ansible_host '{written}'; expected a name or an address, and nothing else; {MORE[written]}"
    assert told(tmp_path, f"a ansible_host={written}\n", nodes=1) == [f"hosts.ini:1:1: {expected}"]


def test_a_user_in_a_hosts_name_is_told_once_with_where_it_belongs(tmp_path: Path) -> None:
    """In an inventory and in an SSH config."""
    (said,) = told(tmp_path, "root@198.51.100.9\n", nodes=1)
    assert said == "hosts.ini:1:1: the host 'root@198.51.100.9'; expected a host's name; " + MORE["root@198.51.100.9"]
    for text, found in (
        ("Host me@a\n", "2:1: the host 'me@a'"),
        ("Host a\n HostName me@198.51.100.9\n", "3:1: HostName 'me@198.51.100.9'"),
    ):
        (said,) = told(tmp_path, f"\n{text}", "config", 1)
        assert said.startswith(f"config:{found}; expected ")
        assert said.endswith("; say the user in a line of its own: User me")


def test_what_an_ssh_config_says_of_a_host_is_told_in_its_own_line(tmp_path: Path) -> None:
    """And not in that of the host: its name, its key, the way to it, its power."""
    text = (
        "IgnoreUnknown whalefall_*\nHost a b\n User me\n HostName no.such.invalid%h\n IdentityFile no-key\n"
        "Host *\n whalefall_power_off pdu off\n ProxyJump me@b:22\n"
    )
    said = told(tmp_path, text, "config", 2)
    assert [(each.split(": ")[0], each.split(": ")[1][:12]) for each in said] == [
        ("config:4:1", "'no.such.inv"),
        ("config:4:1", "'no.such.inv"),
        ("config:5:1", "the key no-k"),
        ("config:7:1", "one whalefal"),
        ("config:8:1", "a, which is "),
    ]


KINDS: tuple[Json, ...] = (None, True, 0, -1, 1.5, "", " ", "{{ x }}", "'", [], ["x"], [["x"]], {}, {"x": "y"}, {"x": {"y": []}})
"""One value of each kind that an inventory can hold."""


@pytest.mark.parametrize("value", KINDS, ids=repr)
def test_a_variable_may_hold_a_value_of_any_kind(value: Json) -> None:
    """What it cannot be is told; nothing stumbles over it."""
    for key in {*variables.OURS, *variables._NEEDED, *variables._BECOME, "ansible_prot", "ansibel_host", "whalefall_x"}:
        problems: list[Problem] = []
        at = variables.Value(value, "hosts.yml", 1)
        assert isinstance(variables.host("n1", at, {key: at}, problems), Host)
        said = slip(key, value, {key})
        assert said is None or isinstance(said, Slip)
        assert all(isinstance(each, Problem) for each in (*problems, *variables.perhaps_open(key, at)))


def test_an_address_below_the_variable_for_it_is_told(tmp_path: Path) -> None:
    """As a mapping, which a colon makes of it."""
    text = "all:\n  hosts:\n    n1:\n      ansible_host:\n        198.51.100.1:\n"
    assert told(tmp_path, text, "hosts.yml", 1)[0].startswith("hosts.yml:5:9: ansible_host is a mapping; expected text")
