"""An OpenSSH client configuration as plain values. Reading one runs nothing, opens nothing else and asks nobody.

Lines are split as OpenSSH 9 splits them: quotes and escapes, ``keyword=value``, comments after values, keywords in any case. The first value that
applies to a host counts. What would run a program, read another file, or change where a connection goes in a way that is not followed here is a
problem with its line, in whichever block it stands: nothing of such a file is used.
"""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import Problem
from harness.host import surroundings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

OURS = "whalefall_"
"""Keywords that begin so are ours. OpenSSH skips them once the file says ``IgnoreUnknown whalefall_*``."""

MOST_LINES = 10_000
MOST_PATTERNS = 2_000
MOST_IGNORED = 64
LONGEST_LINE = 16 << 10
"""How much of a file is read at most. Each host is held against each pattern: a file of a few hundred kilobytes could take hours."""

_BLANK = " \t\r\n"
_QUOTE = '"'
_PROGRAM = "no program: nothing that is read is run"
_REFUSED = {
    "include": ("a file that is whole", "put what it includes into one file", ()),
    "proxycommand": (_PROGRAM, "use ProxyJump", ("none",)),
    "localcommand": (_PROGRAM, "remove it from the file that is given here", ()),
    "permitlocalcommand": (_PROGRAM, "say no, or remove it from the file that is given here", ("no",)),
    "knownhostscommand": (_PROGRAM, "name a file in UserKnownHostsFile", ("none",)),
    "remotecommand": (_PROGRAM, "remove it from the file that is given here", ("none",)),
    "pkcs11provider": (_PROGRAM, "name a key in IdentityFile", ("none",)),
    "smartcarddevice": (_PROGRAM, "name a key in IdentityFile", ("none",)),
    "securitykeyprovider": (_PROGRAM, "name a key in IdentityFile", ("none", "internal")),
    "hostkeyalias": ("the host's own name", "give the key under the host's own name", ()),
    "canonicalizehostname": ("no, or nothing", "write the whole name as HostName", ("no",)),
    "revokedhostkeys": ("nothing: it is not followed", "mark the key as @revoked in known_hosts", ("none",)),
}
"""Keywords that are refused: what was expected, what to do, and the values that are as good as none."""

_FOLLOWED = {"hostname", "port", "user", "identityfile", "userknownhostsfile", "proxyjump"}
_KNOWN = frozenset(
    """
    addkeystoagent addressfamily afstokenpassing batchmode bindaddress bindinterface canonicaldomains canonicalizefallbacklocal
    canonicalizemaxdots canonicalizepermittedcnames casignaturealgorithms certificatefile challengeresponseauthentication channeltimeout checkhostip
    cipher ciphers clearallforwardings compression compressionlevel connectionattempts connecttimeout controlmaster controlpath controlpersist
    dsaauthentication dynamicforward enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fallbacktorsh fingerprinthash
    forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports globalknownhostsfile globalknownhostsfile2
    gssapiauthentication gssapiclientidentity gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey
    gssapiserveridentity gssapitrustdns hashknownhosts hostbasedacceptedalgorithms hostbasedauthentication hostbasedkeytypes hostkeyalgorithms
    identitiesonly identityagent identityfile2 ignoreunknown ipqos kbdinteractiveauthentication kbdinteractivedevices kerberosauthentication
    kerberostgtpassing keepalive kexalgorithms localforward loglevel logverbose macs nohostauthenticationforlocalhost numberofpasswordprompts
    obscurekeystroketiming passwordauthentication permitremoteopen preferredauthentications protocol protocolkeepalives proxyusefdpass
    pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication rekeylimit remoteforward requesttty requiredrsasize rhostsauthentication
    rhostsrsaauthentication rsaauthentication sendenv serveralivecountmax serveraliveinterval sessiontype setenv setuptimeout skeyauthentication
    stdinnull streamlocalbindmask streamlocalbindunlink stricthostkeychecking syslogfacility tag tcpkeepalive tisauthentication tunnel tunneldevice
    updatehostkeys useblacklistedkeys useprivilegedport userknownhostsfile2 useroaming usersh verifyhostkeydns versionaddendum visualhostkey
    warnweakcrypto xauthlocation
    """.split()  # noqa: SIM905 - a hundred words read best without quotes
)
"""Keywords of OpenSSH that say nothing about where a connection goes: they are left alone."""

_TOKENS = {"hostname": "h%", "identityfile": "dhinpru%", "userknownhostsfile": "dhinpru%"}
"""The tokens that are filled in, by keyword; %% is a percent sign."""
_TOKEN = re.compile(r"%(.?)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:%-]*")
_HOP = re.compile(r"(?:[^\s@,#]+@)?(?:\[[^\]\s]+\]|[^:@\[\]\s,#]+)(?::[0-9]{1,5})?")
_CRITERIA = ("host", "originalhost", "user", "localuser")
PORTS = range(1, 65536)
"""What a TCP port may be."""
_DEFAULT_PORT = "22"


@dataclass(frozen=True, slots=True)
class Word:
    """What one line says, and where it stands."""

    text: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Said:
    """What a configuration says about one host; empty where it says nothing."""

    host: str  # HostName, its tokens filled in
    port: int | None
    user: str
    jump: str  # as ProxyJump; "none" counts as nothing
    identities: tuple[str, ...]  # files, in order, with ~ as it is
    known_hosts: tuple[str, ...] | None  # files; None: nothing is said
    ours: Mapping[str, Word]  # keywords of ours, in lower case
    places: Mapping[str, int]  # keyword → its line; a key's only where there is one


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    keyword: str  # in lower case
    words: tuple[str, ...]
    file: str

    def problem(self, found: str, expected: str, hint: str = "") -> Problem:
        return Problem(self.file, self.number, 1, found, expected, hint)


@dataclass(slots=True)
class SshConfig:
    """One configuration, or several of which the first to say something counts."""

    lines: list[_Line] = field(default_factory=list)

    def read(self, text: str, file: str, problems: list[Problem], *, includes: bool = False) -> None:
        """Add a file's text. What is wrong goes into `problems`, all of it. With `includes`, what the file includes is left out and no problem."""
        raws = text.split("\n")
        if len(raws) > MOST_LINES:
            problems.append(
                Problem(file, 0, 0, f"{len(raws)} lines", f"{MOST_LINES} lines at most", "name a file with the hosts of this run")
            )
            return
        found = [line for number, raw in enumerate(raws, 1) if (line := _line(raw, number, file, problems)) is not None]
        unknown = [
            pattern for line in found if line.keyword == "ignoreunknown" for each in line.words for pattern in each.lower().split(",")
        ]
        patterns = sum(len(line.words) for line in found if line.keyword in {"host", "match"})
        many = [
            Problem(file, 0, 0, f"{count} {what}", f"{most} {what} at most", "name a file with the hosts of this run")
            for count, most, what in (
                (patterns, MOST_PATTERNS, "patterns in lines of Host and Match"),
                (len(unknown), MOST_IGNORED, "patterns in IgnoreUnknown"),
            )
            if count > most
        ]
        if many:
            problems += many
            return
        for line in found:
            if includes and line.keyword == "include":
                continue
            problem = _wrong(line, unknown)
            if problem is not None:
                problems.append(problem)
            self.lines.append(line)

    def names(self) -> dict[str, int]:
        """Return every host that is named without a wildcard, in order, with the line of its first mention."""
        found: dict[str, int] = {}
        for line in self.lines:
            if line.keyword == "host":
                for name in line.words:
                    if not set(name) & set("*?!"):
                        found.setdefault(name, line.number)
        return found

    def keywords(self) -> dict[str, Word]:
        """Return the first mention of each keyword of ours, wherever it stands."""
        found: dict[str, Word] = {}
        for line in self.lines:
            if line.keyword.startswith(OURS):
                found.setdefault(line.keyword, Word(line.words[0], line.file, line.number))
        return found

    def of(self, name: str) -> Said:
        """Return what applies to a host, called by this name. Only for a configuration without problems."""
        first: dict[str, _Line] = {}
        identities: dict[str, int] = {}  # file → its line
        active, file = True, ""
        for line in self.lines:
            if line.file != file:  # each file begins outside of all blocks
                active, file = True, line.file
            if line.keyword == "host":
                active = _named(name, line.words)
            elif line.keyword == "match":
                active = _matched(name, line.words, first)
            elif active and line.keyword == "identityfile":
                identities.setdefault(line.words[0], line.number)
            elif active and (line.keyword in _FOLLOWED or line.keyword.startswith(OURS)):
                first.setdefault(line.keyword, line)
        return _filled(name, first, identities)


def is_one(text: str) -> bool:
    """Whether text is an OpenSSH configuration, and no inventory: it begins with a keyword of OpenSSH's, and has hosts, or says who it is for."""
    opened = ("host", "match", "include")
    words = [word for raw in text.removeprefix("\ufeff").split("\n") if (word := _keyword(raw)[0]) and not word.startswith("#")]
    return (
        bool(words) and _is_keyword(words[0]) and any(word in opened for word in words) and not any(word.startswith("[") for word in words)
    )


def _is_keyword(word: str) -> bool:
    return word in {"host", "match", *_FOLLOWED, *_REFUSED} or word in _KNOWN or word.startswith(OURS)


# -- one line


def _line(raw: str, number: int, file: str, problems: list[Problem]) -> _Line | None:
    """Return a line as keyword and words; None for one that says nothing, or that cannot be read, which is a problem."""
    if len(raw) > LONGEST_LINE:
        problems.append(Problem(file, number, 1, f"a line of {len(raw)} characters", f"{LONGEST_LINE} at most"))
        return None
    keyword, rest = _keyword(raw)
    if keyword is None:
        problems.append(Problem(file, number, 1, "a quote that is not closed", "quotes in pairs"))
        return None
    if not keyword or keyword.startswith("#"):
        return None
    if keyword == "match":
        words = _by_delimiters(rest)
    elif keyword == "proxyjump":
        words = [rest.lstrip(f"{_BLANK}=").rstrip(_BLANK)]  # OpenSSH takes the rest of the line here, quotes and all
    else:
        words = _by_arguments(rest)
        if words is not None and keyword.startswith(OURS) and len(words) > 1:
            words = [_without_comment(rest)]
    if words is None:
        problems.append(Problem(file, number, 1, f"{keyword} with a quote that is not closed", "quotes in pairs"))
        return None
    if keyword.startswith(OURS) and not any(words):
        problems.append(Problem(file, number, 1, f"{keyword} without a value", "a value"))
        return None
    return _Line(number, keyword, tuple(words), file)


def _keyword(raw: str) -> tuple[str | None, str]:
    """Split a line into its keyword, in lower case, and the rest; empty for a line that says nothing, None for a quote that is not closed."""
    rest: str | None = raw.rstrip(f"{_BLANK}\f")
    word, rest = _delimited(rest or "")
    if word == "" and rest:
        word, rest = _delimited(rest)  # blanks before the keyword
    return (None if word is None else word.lower()), (rest or "").lstrip(_BLANK)


def _delimited(text: str) -> tuple[str | None, str | None]:
    """Return the first word and what is left (None: nothing), as OpenSSH's `strdelim` does: also quotes in a word's middle are taken off."""
    at = next((index for index, each in enumerate(text) if each in f"{_BLANK}{_QUOTE}="), None)
    if at is None:
        return text, None
    if text[at] == _QUOTE:
        text = text[:at] + text[at + 1 :]
        end = text.find(_QUOTE, at)
        return (None, None) if end < 0 else (text[:end], text[end + 1 :].lstrip(_BLANK))
    rest = text[at + 1 :].lstrip(_BLANK)
    if text[at] != "=" and rest.startswith("="):
        rest = rest[1:].lstrip(_BLANK)
    return text[:at], rest


def _by_delimiters(rest: str) -> list[str] | None:
    words: list[str] = []
    left: str | None = rest
    while left:
        word, left = _delimited(left)
        if word is None:
            return None
        if word.startswith("#"):
            break
        if word:
            words.append(word)
    return words


def _by_arguments(rest: str) -> list[str] | None:
    """Split as OpenSSH's `argv_split` does; None for a quote that is not closed."""
    words: list[str] = []
    for start, end, word in _arguments(rest):
        if end < start:
            return None
        words.append(word)
    return words


def _without_comment(rest: str) -> str:
    return rest[: max((end for _, end, _ in _arguments(rest)), default=0)]


def _arguments(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield each word with where it begins and ends. One whose quote is not closed ends before it begins."""
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        if text[at] == "#":
            return
        start, quote, word = at, "", []
        while at < len(text):
            each, after = text[at], text[at + 1 : at + 2]
            if each == "\\" and (after in {"'", '"', "\\"} or (after == " " and not quote)):
                at += 1
                word.append(after)
            elif not quote and each in " \t":
                break
            elif not quote and each in "\"'":
                quote = each
            elif each == quote:
                quote = ""
            else:
                word.append(each)
            at += 1
        yield start, -1 if quote else at, "".join(word)


# -- what is wrong with a line


def _wrong(line: _Line, unknown: Sequence[str]) -> Problem | None:  # noqa: PLR0911 - one line a rule
    """Return what is wrong with a line, or None."""
    said = " ".join(line.words)
    if line.keyword in _REFUSED:
        expected, hint, harmless = _REFUSED[line.keyword]
        if said.lower() in harmless:
            return None
        return line.problem(f"{line.keyword}, which is not followed here", expected, hint)
    if line.keyword == "match":
        return _wrong_match(line)
    if not _is_keyword(line.keyword):
        if line.keyword.replace("_", "").startswith(OURS.rstrip("_")):
            return line.problem(f"the keyword {line.keyword[:64]!r}", f"one that begins with {OURS}")  # IgnoreUnknown would hide it
        if any(_like(line.keyword, pattern) for pattern in unknown):
            return None
        return line.problem(f"the keyword {line.keyword[:64]!r}", "one of OpenSSH's", "IgnoreUnknown makes OpenSSH and this reader skip it")
    if not line.words or not said:
        return line.problem(f"{line.keyword} without a value", "a value after it")
    if line.keyword == "host":
        bad = [name for name in line.words if not set(name) & set("*?!") and not _NAME.fullmatch(name)]
        hint = _no_user(bad[0]) if bad else ""
        return line.problem(f"the host {bad[0]!r}", "a host's name, or a pattern with * and ?", hint) if bad else None
    return _wrong_value(line) if line.keyword in _FOLLOWED else None


def _wrong_value(line: _Line) -> Problem | None:  # noqa: PLR0911 - one line a rule
    """Return what is wrong with a value that is followed."""
    value = line.words[0]
    if len(line.words) > 1 and line.keyword != "userknownhostsfile":
        return line.problem(f"{line.keyword} with {len(line.words)} values", "one value", "put a value with blanks into quotes")
    if any("${" in word for word in line.words):
        hint = "write down what it stands for: the environment is not looked at"
        return line.problem(f"an environment variable in {line.keyword}", "plain text", hint)
    allowed = _TOKENS.get(line.keyword, "")
    token = next((each[0] for word in line.words for each in _TOKEN.finditer(word) if each[1] not in set(allowed)), None)
    if token:
        filled = f"only {' '.join(f'%{each}' for each in allowed)} are filled in" if allowed else "nothing is filled in here"
        return line.problem(f"{token} in {line.keyword}", "plain text", filled)
    if line.keyword == "port" and (not re.fullmatch("[0-9]{1,5}", value) or int(value) not in PORTS):
        return line.problem(f"Port {value[:24]!r}", "a number from 1 to 65535")
    if line.keyword == "hostname" and not _NAME.fullmatch(value.replace("%h", "h")):
        return line.problem(f"HostName {value[:80]!r}", "a name or an address", _no_user(value))
    if line.keyword == "proxyjump" and not all(_HOP.fullmatch(hop.strip()) for hop in value.split(",")):
        return line.problem(f"ProxyJump {value[:80]!r}", "[user@]host[:port], several with commas, and no comment after it")
    return None


def _no_user(value: str) -> str:
    """Say where the user belongs that stands before a host's name."""
    user, at, _ = value.rpartition("@")
    return f"say the user in a line of its own: User {user[:40]}" if at else ""


def _wrong_match(line: _Line) -> Problem | None:
    words = [word.lower() for word in line.words[::2]]
    if [word.lower() for word in line.words] == ["all"]:
        return None
    for word in words:
        if word.removeprefix("!") == "exec":
            return line.problem("Match exec", _PROGRAM, "remove the block, or write down what it would find")
        if word.removeprefix("!") not in _CRITERIA:
            return line.problem(
                f"Match {word[:64]}", f"Match all, or by {', '.join(_CRITERIA)}", "remove the block from the file given here"
            )
    if len(line.words) % 2 or not words:
        return line.problem("Match without a pattern", f"Match all, or by {', '.join(_CRITERIA)}, each with a pattern")
    return None


# -- what applies to a host


def _like(text: str, pattern: str) -> bool:
    """Whether a text is what a pattern with ``*`` and ``?`` means; brackets mean themselves."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def _named(name: str, patterns: Iterable[str]) -> bool:
    """Whether a Host line is for a name: a negated pattern that fits ends it."""
    found = False
    for pattern in patterns:
        if _like(name, pattern.removeprefix("!")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _matched(name: str, words: Sequence[str], first: Mapping[str, _Line]) -> bool:
    """Whether a Match line is for a name, by what was said before it."""
    host = _called(name, first)
    user = first["user"].words[0] if "user" in first else surroundings.user()
    of = {"host": host.lower(), "originalhost": name.lower(), "user": user, "localuser": surroundings.user()}
    for criterion, patterns in zip(words[::2], words[1::2], strict=False):
        key = criterion.lower().removeprefix("!")
        each = patterns.lower().split(",") if key in {"host", "originalhost"} else patterns.split(",")
        if _named(of[key], each) == criterion.startswith("!"):
            return False
    return True


def _called(name: str, first: Mapping[str, _Line]) -> str:
    """Return the name that is connected to. Only a HostName has tokens: in a host's own name a % is a part of it, as of an address's zone."""
    return _expanded(first["hostname"].words[0], {"h": name}) if "hostname" in first else name


def _filled(name: str, first: Mapping[str, _Line], identities: Mapping[str, int]) -> Said:
    def said(keyword: str, default: str = "") -> str:
        return first[keyword].words[0] if keyword in first else default

    host = _called(name, first)
    local = surroundings.user()
    tokens = {
        "d": str(Path("~").expanduser()),
        "h": host,
        "i": str(os.getuid()),
        "n": name,
        "p": said("port", _DEFAULT_PORT),
        "r": said("user", local),
        "u": local,
    }
    jump = said("proxyjump")
    known = first["userknownhostsfile"].words if "userknownhostsfile" in first else None
    return Said(
        host=host,
        port=int(said("port")) if "port" in first else None,
        user=said("user"),
        jump="" if jump.lower() == "none" else jump,
        identities=tuple(_expanded(each, tokens) for each in identities if each.lower() != "none"),
        known_hosts=None if known is None else tuple(_expanded(each, tokens) for each in known if each.lower() != "none"),
        ours={keyword: Word(line.words[0], line.file, line.number) for keyword, line in first.items() if keyword.startswith(OURS)},
        places={keyword: line.number for keyword, line in first.items()}
        | (dict.fromkeys(["identityfile"], *identities.values()) if len(identities) == 1 else {}),
    )


def _expanded(text: str, tokens: Mapping[str, str]) -> str:
    return _TOKEN.sub(lambda match: {**tokens, "%": "%"}[match[1]], text)
