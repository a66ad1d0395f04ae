"""What a node looks like, in so far as a fault of ours could change it: taken before and after the faults, any difference is a leak.

Only what stays put on a sound node is looked at; no pid, time or counter is in it, so a node that went off and came back looks the same. On hosts
that somebody else runs other things come and go as well, so there only what a fault of ours makes is looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from harness.core import pace
from harness.core.errors import CommandFailed, Unreachable
from harness.core.figures import given
from harness.core.protocols import Disks, Node, Provider, Running
from harness.core.values import Json, TaskNames, Traits
from harness.history import differing
from harness.nodes.programs import READ, literal

SECONDS = 20.0
"""How long the node may take to answer. It takes some 50 ms; the rest is for a machine under load."""

BOOT = 20.0
"""How long a node that answers may take to end its boot: an embedded one takes a second or two from its first answer."""

OURS = "whalefall"
"""What the names of all that a fault makes on a node begin with."""
OTHERS = ("containers", "mounts", "triggers")
"""Aspects that say nothing on hosts that somebody else runs: whoever runs them starts containers, mounts disks and switches units on and off."""

# Runs on the node with nothing but python3-minimal, which has no json module: prints the repr of a dict of lists of text.
# The node's address on the cluster's network is $1: the link is the one that has it. With $2 "ours" it waits, $3 seconds at most, until the node has
# booted: which units are active says nothing before. What cannot be asked ends it with an error, but for a tool that is not there: then nothing can
# have used it, either.
PROGRAM = (
    f"\nimport glob, os, re, subprocess, sys, time\n{READ}"  # errors name a command by its first line: a program of ours tells nobody anything
    r"""
def ask(*argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        return []
    if done.returncode:
        sys.exit(" ".join(argv) + ": " + done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="replace").splitlines()

tables = [line.split()[1:3] for line in ask("nft", "list", "tables")]
address = sys.argv[1]
shown = [line.split() for line in ask("ip", "-oneline", "-4", "address", "show")]  # 2: eth0 inet 10.77.0.11/24 …
links = [words[1] for words in shown if words[3].partition("/")[0] == address]
# One that has lost its address is a difference, and never "nothing on it".
qdiscs = [line for link in links for line in ask("tc", "qdisc", "show", "dev", link)] if links else ["no link has the address " + address]

stopped, running = [], set()
for pid in filter(str.isdigit, os.listdir("/proc")):
    stat = read("/proc/" + pid + "/stat")
    name, _, rest = stat.partition("(")[2].rpartition(")")
    if rest.split()[:1] == ["T"]:
        stopped.append(name)
    running.update(re.findall(r"docker[-/]([0-9a-f]{64})", read("/proc/" + pid + "/cgroup")))

# Containers that an app's own definition makes: a label, a variable or nothing for the container's name, and a pattern each, as the observers' agent
# has them.
def followed(config):
    for key, pattern in zip(sys.argv[4::2], sys.argv[5::2]):
        if key.startswith("$"):
            given = config.partition('"Env":[')[2]
            variables = "" if given.startswith("]") else "," + given.partition('"],"')[0]
            said = variables.partition(',"' + key[1:] + "=")[2]
        else:
            said = config.partition('"Labels":{')[2].partition('"' + key + '":"')[2] if key else config.rpartition('"Name":"/')[2]
        if re.fullmatch(pattern, said.partition('"')[0]):
            return True
    return False

# Docker's folder: the one that its configuration names, that of nodes which the harness made, and the usual one.
roots = re.findall(r'"data-root"\s*:\s*"([^"\\]+)"', read("/etc/docker/daemon.json")) + ["/data/docker", "/var/lib/docker"]
containers = []
for each in running:
    config = next(filter(None, (read(root + "/containers/" + each + "/config.v2.json") for root in roots)), "")
    if '"whalefall.app"' not in config and not followed(config):
        containers.append(each[:12])

# Docker's mounts come and go with its containers. The kernel's own trees and /run fill up while a machine boots, and no fault mounts there.
passing = re.compile("(" + "|".join(map(re.escape, roots + ["/var/lib/containerd", "/dev", "/proc", "/run", "/sys"])) + ")(/|$)")
mounts = [line.split()[4] for line in read("/proc/self/mountinfo").splitlines()]

# What a fault stopped so that nothing is started again. Transient ones come and go, and are told apart.
def booting():
    try:
        done = subprocess.run(["systemctl", "is-system-running"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        return False
    return done.stdout.strip() in (b"initializing", b"starting")

if sys.argv[2] == "ours":
    end = time.monotonic() + float(sys.argv[3])
    while booting():
        if time.monotonic() > end:
            sys.exit("still booting after " + sys.argv[3] + " s: " + "; ".join(ask("systemctl", "list-jobs", "--no-legend", "--no-pager")[:5]))
        time.sleep(0.05)
listed = ask("systemctl", "list-units", "--type=socket,path,timer", "--state=active", "--plain", "--no-legend", "--no-pager")
triggers = {line.split()[0] for line in listed if line.strip()} - set(map(os.path.basename, glob.glob("/run/systemd/transient/*")))

print({
    "nft_tables": [name for _, name in tables if name.startswith("whalefall")],
    "qdiscs": [re.sub(r"refcnt \d+ ?", "", line).strip() for line in qdiscs],
    "stopped": stopped,
    "mounts": [each for each in mounts if not passing.match(each)],
    "timers": [os.path.basename(each) for each in glob.glob("/run/systemd/transient/*.timer")],
    "dropins": glob.glob("/run/systemd/system/*.d/whalefall*"),
    "marks": glob.glob("/run/whalefall/*"),
    "triggers": list(triggers),
    "containers": containers,
})
"""
)

Fingerprint: TypeAlias = Mapping[str, Json]
"""Aspect (a key of `harness.history.differing.ASPECTS`) → sorted list of text."""


def fingerprint(
    node: Node, provider: Provider | None = None, stops: Collection[str] = (), tasks: Collection[TaskNames] = ()
) -> Fingerprint:
    """Take a node's fingerprint in one command; with a provider that has `Disks`, also what slows its disk.

    Containers of ours come and go: those that have our label, or are told apart as `tasks` say of an app.

    Of hosts that somebody else runs (a `Running` provider) only what a fault of ours can leave is in it, of stopped processes
    those named in `stops` (`harness.core.values.Traits.stops`): see `theirs`. The link to the cluster's
    network is the one that has `node.address`. Raises `Unreachable`, or `CommandFailed` where something could not be asked.
    """
    arguments = (node.address, "theirs" if isinstance(provider, Running) else "ours", f"{pace.limit(BOOT):g}")
    named = [text for each in tasks if each.of for text in (each.label, each.pattern)]
    result = node.run("python3", "-c", PROGRAM, *arguments, *named, timeout=pace.limit(SECONDS) + pace.limit(BOOT))
    if not result.ok:
        raise CommandFailed(
            node.name, ("python3", "-c", "…", node.address), result.exit, result.err.decode(errors="replace"), "needs python3-minimal"
        )
    marks: dict[str, Json] = {aspect: list(found) for aspect, found in _read(node, result.text).items()}
    if isinstance(provider, Disks):
        latency = provider.latency(node)
        marks["disk"] = [f"{name} +{given(value)}" for name, value in _parts(latency.fsync, latency.write, latency.read) if value]
    return theirs(marks, stops) if isinstance(provider, Running) else marks


def theirs(marks: Fingerprint, stops: Collection[str]) -> Fingerprint:
    """Return what is left of a fingerprint on a host that somebody else runs: our timers, processes that faults stop, what has our name anyway.

    Their own transient timers, suspended jobs, containers and mounts are none of our doing, whatever becomes of them.
    """
    kept = {aspect: found for aspect, found in marks.items() if aspect not in OTHERS}
    return {
        **kept,
        "timers": [each for each in _counted(kept.get("timers", [])) if each.startswith(OURS)],
        "stopped": [each for each in _counted(kept.get("stopped", [])) if each in stops],
    }


def differences(before: Fingerprint, after: Fingerprint) -> list[str]:
    """Say in a sentence each what is there that was not, and what is not there that was. Equal fingerprints have none."""
    said = [
        f"{differing.ASPECTS.get(aspect, aspect)}: only known {when}, so nothing can be said"
        for aspect, when in differing.one_sided(before, after).items()
    ]
    for aspect, change in differing.changes(before, after).items():
        thing = differing.ASPECTS.get(aspect, aspect)
        said += [f"{thing} {each!r} is there and was not before" for each in change.more]
        said += [f"{thing} {each!r} was there before and is gone" for each in change.less]
    return said


def undeclared(before: Fingerprint, after: Fingerprint, of: Traits) -> list[str]:
    """Say what is different on a node while a fault is in force that its traits do not say: `leaves`, and of stopped processes `stops`."""
    said = []
    for aspect in sorted({*before, *after}):
        old, new = _counted(before.get(aspect, [])), _counted(after.get(aspect, []))
        changed = [*differing.beyond(new, old), *differing.beyond(old, new)]
        if aspect == "stopped" and aspect in of.leaves:
            said += [f"a stopped process {each!r} that is not among `stops`" for each in changed if each not in of.stops]
        elif aspect not in of.leaves:
            said += [f"{differing.ASPECTS.get(aspect, aspect)} {each!r}, and {aspect!r} is not among `leaves`" for each in changed]
    return said


def _read(node: Node, text: str) -> dict[str, list[str]]:
    try:
        body = literal(text)
        return {str(aspect): sorted(str(each) for each in found) for aspect, found in body.items()}
    except (ValueError, TypeError, AttributeError) as e:
        raise Unreachable(node.name, "its fingerprint", f"an answer that is none: {text[:200]!r}") from e


def _parts(fsync: float, write: float, read: float) -> Sequence[tuple[str, float]]:
    return (("fsync", fsync), ("write", write), ("read", read))


def _counted(value: Json) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
