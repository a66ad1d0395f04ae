"""An OpenSSH configuration is read as OpenSSH reads it, and nothing that stands in one is ever run."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import BadInput, HarnessError, Problem
from harness.nodes.ssh import Access, access_from_ssh_config
from harness.nodes.ssh.config import SshConfig, is_one
from harness.providers.inventory.formats import load

ME = getpass.getuser()


def read(text: str) -> SshConfig:
    """Read text that has nothing wrong with it."""
    problems: list[Problem] = []
    config = SshConfig()
    config.read(text, "config", problems)
    assert problems == []
    return config


def wrong(text: str) -> list[str]:
    """Return what is wrong with a text."""
    problems: list[Problem] = []
    SshConfig().read(text, "config", problems)
    return [str(each) for each in problems]


# -- nothing that is read may run

RUNS = {
    "as it is mostly written": 'Match exec "touch ran"',
    "with another criterion": 'Match host a exec "touch ran"',
    "last of several": 'Match user root host a exec "touch ran"',
    "negated": 'Match !exec "touch ran"',
    "in capitals": 'MATCH EXEC "touch ran"',
    "an equals sign": 'Match=exec "touch ran"',
    "equals signs everywhere": 'match = exec = "touch ran"',
    "a quoted keyword": '"Match" exec "touch ran"',
    "a quote in the keyword": 'Ma"tch" exec "touch ran"',
    "a quoted criterion": 'Match "exec" "touch ran"',
    "a tab": "Match\texec\ttouch",
    "indented": ' \t Match exec "touch ran"',
    "an equals sign before it": ' =Match exec "touch ran"',
    "a carriage return": 'Match exec "touch ran"\r',
    "one word": "Match exec true",
    "the last pass": "Match final exec true",
    "an odd number of words": "Match exec",
    "a proxy": "ProxyCommand touch ran",
    "a proxy with an equals sign": "proxycommand=touch ran",
    "a proxy for one": "Host a\n ProxyCommand touch ran",
    "a proxy for somebody else": "Host z\n ProxyCommand touch ran",
    "a quoted proxy": '"ProxyCommand" "touch ran"',
    "a local command": "PermitLocalCommand yes\nLocalCommand touch ran",
    "known hosts": "KnownHostsCommand /usr/bin/touch ran",
    "a remote command": "RemoteCommand touch ran",
    "a library": "PKCS11Provider /tmp/evil.so",
    "a library for keys": "SecurityKeyProvider /tmp/evil.so",
    "another file": "Include evil",
    "another file with an equals sign": 'include="evil"',
}


@pytest.mark.parametrize("lines", RUNS.values(), ids=RUNS)
def test_what_would_run_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """In whatever spelling, by both ways in, before a host or after it, with its line; nothing of the file is used."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil").write_text('Match exec "touch ran"\n')
    for text in (f"Host a\n HostName 192.0.2.1\n{lines}\n", f"{lines}\nHost a\n HostName 192.0.2.1\n", f"\ufeff{lines}\nHost a\n"):
        (tmp_path / "config").write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match=r"config:\d+:1: "):
            load(str(tmp_path / "config"))
        with pytest.raises(BadInput, match=r"config:\d+:1: "):
            access_from_ssh_config("a", tmp_path / "config")
    assert not (tmp_path / "ran").exists()


def test_every_line_that_would_run_is_told_with_what_to_do() -> None:
    """All of them at once."""
    assert wrong('Host a\n ProxyCommand nc %h %p\nMatch exec "x"\n User u\nInclude more\n HostKeyAlias k\n') == [
        "config:2:1: proxycommand, which is not followed here; expected no program: nothing that is read is run; use ProxyJump",
        "config:3:1: Match exec; expected no program: nothing that is read is run; remove the block, or write down what it would find",
        "config:5:1: include, which is not followed here; expected a file that is whole; put what it includes into one file",
        "config:6:1: hostkeyalias, which is not followed here; expected the host's own name; give the key under the host's own name",
    ]


@pytest.mark.parametrize("line", ["ProxyCommand none", "PermitLocalCommand no", "KnownHostsCommand none", "SecurityKeyProvider internal"])
def test_values_that_are_as_good_as_none_are_no_trouble(line: str) -> None:
    """People write them to be sure."""
    assert read(f"Host a\n {line}\n").of("a").host == "a"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("HostName ${TARGET}", "an environment variable in hostname; expected plain text; write down what it stands for"),
        ("IdentityFile ${HOME}/key", "an environment variable in identityfile"),
        ("UserKnownHostsFile ~/a ${HOME}/b", "an environment variable in userknownhostsfile"),
        ("HostName %n.example.net", "%n in hostname; expected plain text; only %h %% are filled in"),
        ("IdentityFile ~/%C", "%C in identityfile"),
        ("User %u", "%u in user; expected plain text; nothing is filled in here"),
        ("ProxyJump %h", "%h in proxyjump"),
        ("HostName a b", "hostname with 2 values; expected one value; put a value with blanks into quotes"),
        ('HostName "a b"', "HostName 'a b'; expected a name or an address"),
        ("HostName -oProxyCommand=x", "HostName '-oProxyCommand=x'"),
        ("Port ssh", "Port 'ssh'; expected a number from 1 to 65535"),
        ("Port 0", "Port '0'"),
        ("Port 22222222222222222222", "Port '22222222222222222222'"),
        ("User", "user without a value"),
        ('User "a', "user with a quote that is not closed; expected quotes in pairs"),
        ('"User a', "a quote that is not closed"),
        (
            "ProxyJump gate # the gate",
            "ProxyJump 'gate # the gate'; expected [user@]host[:port], several with commas, and no comment after it",
        ),
        ("Compresion yes", "the keyword 'compresion'; expected one of OpenSSH's"),
        ("Match tagged x", "Match tagged; expected Match all, or by host, originalhost, user, localuser"),
        ("Match canonical", "Match canonical"),
        ("Match host", "Match without a pattern"),
        ("Match all host x", "Match all"),
        ("Host ;x", "the host ';x'"),
        ("CanonicalizeHostname yes", "canonicalizehostname, which is not followed here; expected no, or nothing"),
        ("RevokedHostKeys /etc/revoked", "revokedhostkeys, which is not followed here"),
    ],
)
def test_what_would_be_followed_only_half_is_refused_with_its_line(line: str, said: str) -> None:
    """Also where it looks harmless: a host that is reached otherwise than the file says is another host."""
    found = wrong(f"Host a\n  {line}\n")
    assert len(found) == 1
    assert found[0].startswith(f"config:2:1: {said}")


@pytest.mark.parametrize("body", [b"Host a\n User \x00b\n", b"Host a\n User \x1b[2J\n", b"Host a\n User \xff\n"])
def test_a_configuration_that_is_no_text_is_refused(tmp_path: Path, body: bytes) -> None:
    """OpenSSH ends a line at a zero byte, where nobody looks for its end."""
    (tmp_path / "config").write_bytes(body)
    for ask in (lambda: load(str(tmp_path / "config")), lambda: access_from_ssh_config("a", tmp_path / "config")):
        with pytest.raises(BadInput, match="expected text"):
            ask()


def test_a_home_of_nobody_is_told(tmp_path: Path) -> None:
    """And no traceback."""
    (tmp_path / "config").write_text("Host a\n IdentityFile ~nobody-of-that-name/key\n")
    with pytest.raises(HarnessError, match="names the home of a user who is not here"):
        access_from_ssh_config("a", tmp_path / "config")


# -- as OpenSSH reads it

BOBS = "Host db1   # Bob's machine\n  HostName db1.example.net   # in rack 4\n  Port 2201                  # moved\n  User ops\n"
SAFE = {
    "comments after values, an apostrophe in one": BOBS,
    "quotes": 'Host "db1" db2\n\tHostname db1.example.net # the first\n\tIdentityFile "~/my keys/id"\n\tUser "ops team"\n',
    "single quotes and escapes": "Host db1\n User 'a \"b'\n IdentityFile /k\\ 1\\\\2\\'3\n",
    "equals signs": "Host=db1\nPort = 2222\nUser= x\n HostName =a.b\n",
    "quoted keywords": 'Host db1\n"Port" 2222\nUs"er" x\n',
    "keywords in any case": "hOST db1\nPORT 2222\nhostname a.b\n",
    "the first value counts": "Host db*\n User a\n Port 1\nHost db1\n User b\n HostName h\nHost *\n HostName i\n",
    "nobody before a Host": "User first\nHost db1\n User second\nHost other\n Port 7\n",
    "negated patterns": "Host * !db1\n User a\nHost db? !dbx\n User b\n",
    "brackets are no patterns": "Host db[12]*\n User a\nHost db1\n User b\n",
    "stars": "Host *d*b*1*\n User a\n",
    "case of hosts": "Host DB1\n User a\nHost db1\n User b\n",
    "tokens": "Host db1\n HostName %h.example.net\n User me\n Port 2222\n IdentityFile /k/%h-%n-%p-%r-%%\n",
    "several keys": "Host db1\n IdentityFile /a\nHost *\n IdentityFile /b\n",
    "Match all": "Host other\n User a\nMatch all\n User b\n",
    "Match by host, after its HostName": "Host db1\n HostName h.example.net\nMatch host *.example.net\n User a\n",
    "Match by the name that was given": "Host db1\n HostName h.example.net\nMatch originalhost db1,db2\n User a\n",
    "Match by the name in capitals": "Match host DB1\n User a\n",
    "Match with a list that denies": "Match host *,!db1\n User a\nMatch host !x,*\n User b\n",
    "Match with equals and quotes": 'Match host="db1"\n User a\n',
    "Match negated": "Match !host db1\n User a\nMatch !host x\n User b\n",
    "Match by user": "User ops\nMatch user op?\n Port 1234\n",
    "Match by local user": f"Match localuser {ME} host db1\n Port 1234\n",
    "Match with a comment": "Match host db1 # ours\n User a\n",
    "known hosts": 'Host db1\n UserKnownHostsFile /a "/b c"\n',
    "ways through": "Host db1\n ProxyJump ops@gate:2222,inner\nHost *\n ProxyJump none\n",
    "no way through": "Host db1\n ProxyJump none\nHost *\n ProxyJump gate\n",
    "unknown keywords that are to be ignored": "IgnoreUnknown whalefall_*,Magic\nHost db1\n whalefall_protected yes # it is\n Magic on\n Port 4\n",
    "carriage returns": "Host db1\r\n  Port 2222\r\n  User a\r\n",
    "keywords that are not followed": "Host db1\n ForwardAgent yes\n ServerAliveInterval 5\n SendEnv LANG LC_*\n StrictHostKeyChecking no\n",
}  # fmt: skip
"""Nothing of these runs anything: `ssh -G` itself would run a Match exec."""


def by_openssh(text: str, name: str) -> dict[str, list[str]]:
    """Return what OpenSSH makes of a configuration."""
    argv = ["ssh", "-G", "-F", "/dev/stdin", name]
    done = subprocess.run(argv, input=text.encode(), capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = {}
    for line in done.stdout.decode().splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


def same(text: str, name: str) -> None:
    """Compare what is followed here with OpenSSH's own answer."""
    theirs, ours = by_openssh(text, name), read(text).of(name)
    assert ours.host == theirs["hostname"][0]
    assert (ours.port or 22) == int(theirs["port"][0])
    assert (ours.user or ME) == theirs["user"][0]
    assert ours.jump == theirs.get("proxyjump", [""])[0]
    if ours.identities:
        home = str(Path("~").expanduser())
        assert [each.replace("~", home) for each in ours.identities] == [
            each.replace("~", home).replace("%h", ours.host).replace("%n", name).replace("%p", str(ours.port)).replace("%r", ours.user)
            .replace("%%", "%") for each in theirs["identityfile"]
        ]  # fmt: skip
    if ours.known_hosts is not None:
        assert " ".join(ours.known_hosts) == theirs["userknownhostsfile"][0].replace('"', "")


@pytest.mark.parametrize("text", SAFE.values(), ids=SAFE)
def test_a_configuration_is_read_as_openssh_reads_it(text: str) -> None:
    """By difference: `ssh -G` says what OpenSSH makes of it."""
    same(text, "db1")
    same(text, "other")


@pytest.mark.parametrize("name", ["fe80::1%eth0", "a%b%", "a%h", "100%"])
def test_a_percent_sign_in_a_hosts_own_name_is_a_part_of_it(name: str) -> None:
    """As of an address's zone; tokens stand in a HostName. Also where a Match asks for the name."""
    for text in (f"Host {name}\n User ops\n", "Host *\n User ops\n", "Match host *%*\n User ops\n"):
        same(text, name)
        assert read(text).of(name).host == name


_PATTERNS = st.lists(st.sampled_from(["db1", "db?", "*", "!db1", "d*1", '"db1"', "other", "!o*"]), min_size=1, max_size=3).map(" ".join)
_CRITERIA = st.sampled_from(["host", "originalhost", "!host", "user", "localuser"])
_OPENERS = st.one_of(
    _PATTERNS.map(lambda each: f"Host {each}"),
    st.just("Match all"),
    st.tuples(_CRITERIA, st.sampled_from(["db1", "*.net,db?", "ops", "!db1,*", '"*"'])).map(lambda pair: f"Match {pair[0]} {pair[1]}"),
)
_VALUES = st.one_of(
    st.sampled_from(["a", "b", "c"]).map(lambda each: f"User {each}"),
    st.integers(1, 65535).map(lambda each: f"Port={each}"),
    st.sampled_from(["a.example.net", "%h.net", '"q.net"', "db1"]).map(lambda each: f"HostName {each}"),
    st.sampled_from(["gate", "u@gate:22", "none", "a,b"]).map(lambda each: f"ProxyJump {each}"),
    st.sampled_from(["/a", "'/b c'", "/d\\ e"]).map(lambda each: f"IdentityFile {each}"),
)
_LAID_OUT = st.tuples(st.sampled_from(["", " ", "\t"]), _VALUES, st.sampled_from(["", " ", "\r"])).map("".join)


@given(st.lists(st.one_of(_OPENERS, _LAID_OUT, st.sampled_from(["", "# x"])), max_size=12).map("\n".join))
def test_any_harmless_configuration_is_read_as_openssh_reads_it(text: str) -> None:
    """Blocks, patterns and values in any order."""
    same(text + "\n", "db1")


def test_what_a_user_has_is_not_looked_at_where_a_file_is_given(tmp_path: Path) -> None:
    """Access comes of the file alone; keys with ~ are in the home folder."""
    (tmp_path / "config").write_text(
        "Host a # it's mine\n HostName 192.0.2.1 # rack\n Port 2201\n User 'ops team'\n IdentityFile ~/no/such\n"
    )
    key = Path(os.path.expanduser("~")) / "no/such"  # noqa: PTH111 - by another way than the code's
    assert access_from_ssh_config("a", tmp_path / "config") == Access("192.0.2.1", 2201, "ops team", key)


def test_our_variables_are_read_with_quotes_and_comments(tmp_path: Path) -> None:
    """As the lines of OpenSSH's own keywords are; a command keeps its own quotes."""
    text = """IgnoreUnknown whalefall_*
Host a
  whalefall_protected yes # it's spared
  whalefall_power_off '/opt/rack tools/pdu' off "rack #1" # by the rack
  whalefall_power_on "/opt/pdu on"
  whalefall_host_key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHThA root@a
"""
    (tmp_path / "config").write_text(text)
    (host,) = load(str(tmp_path / "config")).hosts
    assert host.protected
    assert host.switch.off == ("/opt/rack tools/pdu", "off", "rack #1")
    assert host.switch.on == ("/opt/pdu", "on")
    assert host.host_key == "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHThA"


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("Host a\n", True),
        ("# x\n\nUser a\nHost b\n", True),
        ("Match exec x\n", True),
        ("Include x\n", True),
        ("\ufeffHost a\n", True),
        ('"Host" a\n', True),
        ("all:\n  vars:\n    motd: |\n      Host of the billing database\n", False),
        ("[hosts]\nhost ansible_host=192.0.2.1\n", False),
        ("db1\nhost x\n", False),
        ("user ansible_host=192.0.2.1\n", False),
        ("", False),
    ],
)
def test_a_configuration_is_told_from_an_inventory(text: str, one: bool) -> None:
    """By what it begins with: words in the middle of a text prove nothing."""
    assert is_one(text) is one


@pytest.mark.parametrize(("text", "said"), [
    ("# nothing\n" * 20_000, "20001 lines; expected 10000 lines at most"),
    ("".join(f"Host h{number}\n" for number in range(3000)), "3000 patterns in lines of Host and Match; expected 2000"),
    (f"Host {'h ' * 3000}\n", "3000 patterns in lines of Host and Match; expected 2000"),
    (f"IgnoreUnknown {','.join(f'w{number}*' for number in range(100))}\n" * 30, "3000 patterns in IgnoreUnknown; expected 64"),
    (f"Match host {'a ' * 9000}\n", "a line of 18011 characters; expected 16384 at most"),
], ids=["lines", "hosts", "patterns", "keywords", "one line"])  # fmt: skip
def test_what_would_take_hours_to_hold_against_each_host_is_refused(text: str, said: str) -> None:
    """By number, and before anything is done with it."""
    problems: list[Problem] = []
    config = SshConfig()
    config.read(text, "f", problems)
    assert [said in str(problem) for problem in problems] == [True]
    assert not config.lines


@pytest.mark.parametrize("line", ["whalefall_protected", "whalefall_protected   # why", 'whalefall_protected ""'])
def test_a_keyword_of_ours_without_a_value_is_a_problem(line: str) -> None:
    """A host that was to be spared must not be lost by it."""
    problems: list[Problem] = []
    SshConfig().read(f"IgnoreUnknown whalefall_*\nHost db1\n  {line}\n", "c", problems)
    assert [(each.line, each.found) for each in problems] == [(3, "whalefall_protected without a value")]
