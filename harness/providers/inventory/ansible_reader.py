"""Reads one Ansible inventory with ansible-core's own loader and prints it as JSON: a program, run by `harness.providers.inventory.loading`.

It is run in a copy of the inventory's folder, with an environment of its own, bounds on time and memory, and nothing of the user's Ansible: so no
configuration, plug-in or collection of anybody's is loaded. Only the plug-ins `ini` and `yaml` of ansible-core read the file, and `host_group_vars`
what stands beside it. Nothing is evaluated: templates are text, vaults stay closed.
"""

from __future__ import annotations

import collections
import difflib
import functools
import json
import linecache
import math
import re
import resource
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

YAML = (".yml", ".yaml", ".json")
MOST = 20_000
"""Values of one variable at most: an alias in YAML may stand for a thousand others."""
UNFOLDED = 1_000_000
"""Values of one file at most, with every alias as what it stands for: Ansible makes a copy for each, and would be at it until its memory is full."""
THEIRS, OURS = "ansible_", "whalefall"
"""Only variables that begin so are told, and those that were meant to; of all others nobody here needs to know."""
LIKE = 0.85
"""How much alike two words of a length are that differ by a letter, or by two that changed places."""
VAULT = "\0vault"
"""Stands for a value that is encrypted."""


MEMORY = 1 << 29
CPU_SECONDS = 20
LONGEST_ANSWER = 1 << 25


def main() -> None:
    """Read the file that the command line names, and print what it says, or why Ansible refuses it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    warnings.simplefilter("ignore")  # of Python, about values that ansible tries to read as Python's
    told = json.dumps(read(sys.argv[1]))
    if len(told) > LONGEST_ANSWER:
        told = json.dumps({"failures": [{"what": "more hosts and variables than anybody can mean", "as": "ini"}]})
    print(told)  # noqa: T201 - this is its output


def read(path: str) -> dict[str, Any]:
    """Return the inventory, or its problems."""
    from ansible.utils.display import Display  # noqa: PLC0415 - ansible reads its environment when it is imported

    warned: list[str] = []
    Display.warning = lambda self, msg, *args, **kwargs: warned.append(str(msg))  # noqa: ARG005 - whatever it is called with
    Display.deprecated = lambda self, *args, **kwargs: None  # noqa: ARG005 - same
    from ansible.inventory import manager as managers  # noqa: PLC0415 - same
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415 - same
    from ansible.plugins.loader import init_plugin_loader, inventory_loader  # noqa: PLC0415 - same
    from ansible.vars.manager import VariableManager  # noqa: PLC0415 - same

    init_plugin_loader([])
    loader = DataLoader()
    twice = _watched(loader)
    loader.set_basedir(str(Path(path).parent))
    manager = managers.InventoryManager(loader=loader, sources=[path], parse=False)
    ending = Path(path).suffix
    failures: list[dict[str, Any]] = []
    for name in ("yaml",) if ending in YAML else ("yaml", "ini") if not ending else ("ini",):
        managers.InventoryManager.__init__(manager, loader=loader, sources=[path], parse=False)  # what one half-read is forgotten
        plugin = inventory_loader.get(f"ansible.builtin.{name}")
        if not plugin.verify_file(path):
            continue
        data = manager._inventory  # noqa: SLF001 - the way of `InventoryManager.parse_source`, which offers no choice of plug-ins
        data.current_source = path
        wrap = getattr(managers, "_InventoryDataWrapper", None)
        lines = _Lines(plugin, path, twice)
        try:
            plugin.parse(data if wrap is None else wrap(data, target_plugin=plugin, origin=_origin_of(name)), loader, path, cache=False)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the file is told, not raised
            failures.append(_failure({"file": path, "line": lines.last, "column": 1, **_where(error)}, error, name))
            if twice:
                break  # it was read as YAML: what it is in another form is no question
            continue
        failures = []
        manager.reconcile_inventory()
        failures = [
            {"file": path, "line": lines.of.get(name, 0), "column": 1, **_place(name), "what": f"the name {name!r}", "as": "ini"}
            for name in (*manager.hosts, *manager.groups)
            if "/" in name  # ansible would look for its variables in another folder
        ]
        break
    if failures:
        return {"failures": twice or failures}
    variables = VariableManager(loader=loader, inventory=manager)
    magic = {"ansible_facts", *variables.get_vars(include_hostvars=False)}  # ansible's own, said of every host
    try:
        hosts = {
            host.name: {"file": path, "line": lines.of.get(host.name, 0), **_host(host, variables, magic)}
            for host in manager.hosts.values()
        }
        groups = {
            group.name: {"file": path, "line": lines.heads.get(group.name, 0), **_group(group, manager)}
            for group in manager.groups.values()
        }
    except Exception as error:  # noqa: BLE001 - the files beside the inventory are read only here
        return {"failures": [*twice, _failure(_where(error), error, "variables")]}
    if twice:
        return {"failures": twice}
    return {"hosts": hosts, "groups": groups, "warnings": warned}


def _watched(loader: Any) -> list[dict[str, Any]]:
    """Return a list of what stands twice in the files that ansible reads, which fills as it reads them, whatever they are called.

    One whose aliases stand for more than anybody can mean is refused before ansible reads it.
    """
    found: list[dict[str, Any]] = []
    load = loader.load

    def noted(data: str, file_name: str | None = None, **more: Any) -> Any:
        node = _composed(str(data))
        if node is not None and _unfolded(node) > UNFOLDED:
            raise ValueError(f"aliases that stand for more than {UNFOLDED} values")
        made = load(data, file_name=file_name, **more)
        found.extend(_twice_in_json(str(data), str(file_name)) if node is None else _twice(node, str(file_name)))
        return made

    loader.load = noted
    return found


def _composed(text: str) -> Any:
    """Return the node of a text that is YAML, with aliases as the nodes that they stand for; None where it is none, or too deep."""
    import yaml  # noqa: PLC0415 - ansible's own dependency, like all here

    try:
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or yaml.ScalarNode("", "")  # as ansible does
    except (yaml.YAMLError, RecursionError):
        return None


def _inner(node: Any) -> list[Any]:
    """Return the nodes that stand in a node."""
    return [each for part in node.value for each in (part if isinstance(part, tuple) else (part,))] if isinstance(node.value, list) else []


def _unfolded(node: Any) -> float:
    """Return how many values a node stands for. What stands in itself, which is told otherwise, counts for nothing in there."""
    known: dict[int, float] = {}
    waiting = [(node, False)]
    while waiting:
        each, inner_known = waiting.pop()
        if inner_known:
            known[id(each)] = 1.0 + sum(known[id(part)] for part in _inner(each))
        elif id(each) not in known:
            known[id(each)] = 0.0
            waiting += [(each, True), *((part, False) for part in _inner(each))]
    return known[id(node)]


def _twice(top: Any, file: str) -> list[dict[str, Any]]:
    """Return the keys that stand twice in one mapping of a text that ansible has read; it has taken the last of each."""
    import yaml  # noqa: PLC0415 - ansible's own dependency, like all here

    waiting = [top]
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                if name in names and key.tag != "tag:yaml.org,2002:merge":
                    found.append(_repeated(file, key.start_mark.line + 1, key.start_mark.column + 1, name))
                names.add(name)
                waiting.append(value)
    return found


def _twice_in_json(text: str, file: str) -> list[dict[str, Any]]:
    """Return the same of JSON that is no YAML, as where it is indented by tabs. What is neither is told: nobody knows what ansible has read there."""
    found: list[dict[str, Any]] = []

    def noted(pairs: list[tuple[str, Any]]) -> None:
        for name, count in collections.Counter(key for key, _ in pairs).items():
            if count > 1:
                line = text.count("\n", 0, text.rfind(json.dumps(name))) + 1 if json.dumps(name) in text else 0
                found.append(_repeated(file, line, 1, name))

    try:
        json.loads(text, object_pairs_hook=noted)
    except (ValueError, RecursionError):
        return [{"file": file, "line": 0, "column": 1, "what": "text in which nobody can tell whether a key stands twice", "as": "yaml"}]
    return found


def _repeated(file: str, line: int, column: int, name: str, kind: str = "mapping key") -> dict[str, Any]:
    return {"file": file, "line": line, "column": column, "what": f"duplicate {kind} {name!r}", "as": "yaml"}


def _origin_of(name: str) -> Any:
    from ansible._internal._datatag._tags import Origin  # noqa: PLC0415 - only where ansible has it

    return Origin(description=f"<{name}>")


class _Lines:
    """Notes on which lines of an INI file ansible's plug-in found what: it keeps that to itself.

    A variable of ours that is set twice in one place goes to `twice`.
    """

    def __init__(self, plugin: Any, path: str, twice: list[dict[str, Any]]) -> None:
        self.of: dict[str, int] = {}  # host → where it is named first
        self.last = 0  # where it was when it gave up
        parse: Any = getattr(plugin, "_parse", None)
        populate = plugin._populate_host_vars  # noqa: SLF001 - nothing public says it
        of_host: Any = getattr(plugin, "_parse_host_definition", None)
        of_group: Any = getattr(plugin, "_parse_variable_definition", None)
        sections = _sections(path) if of_group else []
        self.heads = _heads(sections)
        known: set[tuple[str, str]] = set()

        def at() -> int:
            return int(getattr(getattr(plugin, "_origin", None), "line_num", None) or getattr(plugin, "lineno", 0) or 0)

        def noted_populate(hosts: Any, *args: Any, **kwargs: Any) -> Any:
            for host in hosts:
                self.of.setdefault(str(host), at())
            return populate(hosts, *args, **kwargs)

        def noted_parse(*args: Any, **kwargs: Any) -> Any:
            try:
                return parse(*args, **kwargs)
            finally:
                self.last = at()

        def noted_host(line: str) -> Any:
            made = of_host(line)
            names = collections.Counter(each.partition("=")[0] for each in shlex.split(line, comments=True)[1:])
            twice.extend(_repeated(path, at(), 1, name, "variable") for name, count in names.items() if count > 1 and _of_ours(name))
            return made

        def noted_group(line: str) -> Any:
            name, value = of_group(line)
            here = ("".join(sections[at() - 1 : at()]), str(name))
            if here in known and _of_ours(str(name)):
                twice.append(_repeated(path, at(), 1, str(name), "variable"))
            known.add(here)
            return name, value

        plugin._populate_host_vars = noted_populate  # noqa: SLF001 - same
        if of_host is not None and of_group is not None:
            plugin._parse_host_definition = noted_host  # noqa: SLF001 - same
            plugin._parse_variable_definition = noted_group  # noqa: SLF001 - same
        if parse is not None:
            plugin._parse = noted_parse  # noqa: SLF001 - same


def _sections(path: str) -> list[str]:
    """Return for each line of an INI file the head of the section that it is in."""
    found: list[str] = []
    for line in Path(path).read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        head = re.match(r"\s*(\[[^\]]*\])", line)
        found.append(head[1] if head else found[-1] if found else "")
    return found


def _heads(sections: list[str]) -> dict[str, int]:
    """Return for each group the line in which its first section begins."""
    found: dict[str, int] = {}
    for number, head in enumerate(sections, 1):
        found.setdefault(head.strip("[]").partition(":")[0], number)
    return found


def _host(host: Any, variables: Any, magic: set[str]) -> dict[str, Any]:
    """Return a host's variables in force, by ansible's own precedence, each with where it stands if that is known."""
    whole = variables.get_vars(host=host, include_hostvars=False, stage="all")
    own = [
        host.vars,
        *(group.vars for group in sorted(host.get_groups(), key=lambda each: (each.depth, each.priority, each.name), reverse=True)),
    ]
    told = {}
    for key, value in whole.items():
        if _needed(str(key)) and key not in magic:
            plain = _plain(value)
            found: Any = next((each for each in own if key in each and _plain(each[key]) == plain), {})
            stands = next((each for each in found if each == key), key)
            told[str(key)] = {"value": plain, **(_place(value) or _place(stands) or _place(key))}
    return {"vars": told, **_place(host.name)}


@functools.cache
def _needed(name: str) -> bool:
    """Whether a variable is Ansible's or ours, or was to be: ``whalefall-protected``, ``whalefal_protected``, ``ansibel_port``."""
    return name.startswith(THEIRS) or _like(name, THEIRS.rstrip("_")) or _like(name, OURS)


def _like(name: str, word: str) -> bool:
    bare = re.sub("[^a-z]", "", name.lower())[: len(word)]
    return difflib.SequenceMatcher(None, bare, word).ratio() >= LIKE


def _of_ours(name: str) -> bool:
    """Whether a variable is ours, or was to be. Of its own Ansible takes the last, and so do we."""
    return _like(name, OURS)


def _group(group: Any, manager: Any) -> dict[str, Any]:
    names = {host.name for host in group.get_hosts()}
    return {
        "hosts": [name for name in manager.hosts if name in names],
        "vars": {str(key): _place(value) or _place(key) for key, value in group.vars.items() if _needed(str(key))},
        **_place(group.name),
    }


def _place(value: Any) -> dict[str, Any]:
    """Return where a value stands, as ansible noted it."""
    try:
        from ansible._internal._datatag._tags import Origin  # noqa: PLC0415 - only where ansible has it
    except ImportError:
        return {}
    origin = Origin.get_tag(value)
    if origin is None or origin.path is None:
        return {}
    return {"file": str(origin.path), "line": int(origin.line_num or 0), "column": int(origin.col_num or 1)}


def _where(error: BaseException | None) -> dict[str, Any]:
    """Return where an error is, by the innermost of its causes that knows."""
    found: dict[str, Any] = {}
    while error is not None:
        origin: Any = getattr(error, "obj", None)
        if getattr(origin, "path", None):
            if origin.line_num:
                found = {"file": str(origin.path), "line": int(origin.line_num), "column": int(origin.col_num or 1)}
        else:
            found = _place(origin) or found
        error = error.__cause__ or error.__context__
    return found


def _failure(at: dict[str, Any], error: BaseException, form: str) -> dict[str, Any]:
    """Return an error with its place, and without what stands there: that may be a password."""
    try:
        line = Path(str(at["file"])).read_text(encoding="utf-8", errors="replace").splitlines()[at["line"] - 1] if at.get("line") else ""
    except (KeyError, IndexError, OSError):
        line = ""
    return {**at, "what": _words(error, line), "as": form}


QUOTED = (
    (r"(got:) (?!<class).*", r"\1 …"),
    (r"(host definition) '.*'(: )", r"\1\2"),
    (r"(section entry): '.*'\.", r"\1."),
)
"""What ansible-core repeats of a file, whatever it is, and what is told of it: names of sections, groups and hosts are not in question."""
SHORTEST_WORD = 4
"""Letters from which on a word of a line is missed in what is said of it, also where it is not in quotes."""


def _hidden(said: str, line: str) -> str:
    """Return what ansible says of a line without what stands in that behind its first word. Where something goes wrong may be a password."""
    for pattern, instead in QUOTED:
        said = re.sub(pattern, instead, said)
    rest = re.sub(r"^[\s-]*[^\s:=]*[\s:=]*", "", line).strip()
    if not rest or re.fullmatch(r"\s*\[[\w.:-]+\]\s*", line):
        return said
    said = said.replace(" ".join(rest.split()), "…")
    said = re.sub(r"(['\"])(.+?)\1", lambda quoted: f"{quoted[1]}…{quoted[1]}" if quoted[2] in rest else quoted[0], said)
    for word in sorted({*rest.split(), *re.split(r"[\s'\"=:,{}\[\]&*!]+", rest)}, key=len, reverse=True):
        if len(word) >= SHORTEST_WORD:
            said = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "…", said)
    return said


def _words(error: BaseException, line: str) -> str:
    """Return what an error says, in one line; where ansible only says that it failed, what its cause says. Of the `line` it says nothing."""
    each: BaseException | None = error
    words = ""
    while each is not None and words in {"", "Failed to parse inventory."}:
        words = " ".join(str(getattr(each, "_original_message", "") or getattr(each, "message", "") or each).split())
        each = each.__cause__ or each.__context__
    each = error
    while each is not None:
        if _stumbled(each) and " ".join(str(each).split()) == words:
            return _for_people(each)
        each = each.__cause__ or each.__context__
    return _hidden(words, line) or type(error).__name__


def _stumbled(error: BaseException) -> bool:
    """Whether nobody meant to raise an error: Python did, in a line that does something else. Its words are about code, and not about a file."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and not linecache.getline(at.tb_frame.f_code.co_filename, at.tb_lineno).lstrip().startswith("raise")


def _for_people(error: BaseException) -> str:
    """Say what is wrong with a file on which Ansible's own code stumbled."""
    if isinstance(error, MemoryError):
        return "more than the memory that an inventory may take; look for aliases and ranges that stand for thousands"
    if isinstance(error, RecursionError):
        return "values too deep inside each other, or in themselves"
    said = str(error)
    number = re.fullmatch(r"invalid literal for int\(\) with base 10: (.*)", said, re.DOTALL)
    if number:
        return f"{number[1]} where a whole number belongs"
    if "values to unpack" in said:
        return "a '[' without its ']' (a group is [NAME], a range db[1:3]), or a '|' beside a range"
    if "must not be zero" in said or "cannot be zero" in said:
        return "a range with a step of 0"
    return f"something that Ansible stumbles over ({type(error).__name__})"


def _plain(value: Any) -> Any:
    """Return a value as JSON."""
    left = MOST

    def plain(each: Any) -> Any:  # noqa: PLR0911 - one line a shape
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"a variable with more than {MOST} values in it")
        if type(each).__name__ in {"EncryptedString", "AnsibleVaultEncryptedUnicode"}:
            return VAULT
        if isinstance(each, dict):
            return {str(key): plain(value) for key, value in each.items()}
        if isinstance(each, (list, tuple, set)):
            return [plain(value) for value in each]
        if each is None or isinstance(each, bool):
            return each
        if isinstance(each, int):
            return int(each) if abs(each) < 1 << 63 else str(each)
        if isinstance(each, float) and math.isfinite(each):
            return float(each)
        return str(each)

    return plain(value)


if __name__ == "__main__":
    main()
