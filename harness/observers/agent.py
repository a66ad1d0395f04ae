"""Runs on a node: says which containers' processes live there, from the kernel's cgroups, without asking any daemon.

Its source is handed to the node's own `python3 -c` (it is never imported there), so it stands on what Debian 12's python3-minimal has: no json.
Labels and names are read from Docker's own folder, wherever that is on this node. Its arguments, three for each, are a label (or nothing, for the
container's name; after a $ a variable of its environment), a pattern and an app (or nothing), by which containers are told apart that have no label
of ours for each instance (`harness.core.values.TaskNames`).
Prints ``{"containers":[["<64 hex digits>","<instance>"],…]}`` at every change and at least once a second, ``{"late":<seconds>}`` when it was not let
run for so long, and ``{"note":"<words>"}`` for what the reader of the run should know of the looking itself. Ends when nobody reads any more.

A container counts from its own first process, not from the runtime's that prepares it, until its last process is gone.

The kernel tells of changes (`Ears`): a process that sleeps costs a node nothing. Behind it everything is looked at now and then all the same: a
change that is found so, and of which nothing was told, is said. Where the kernel cannot tell, all is looked at again and again; that is said, too.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import signal
import sys
import threading
import time

RESCAN_SECONDS = 5.0  # between looks at everything while the kernel tells of changes
SCAN_SECONDS = 0.025  # the same where it cannot
BEGIN_SECONDS = 0.005  # between looks at a container that is being started: nothing tells when the runtime's process becomes its own
INSTANT_SECONDS = (
    2.0  # after which a process that is called exe, or a number, is the container's own. Measured: 1 ms, 0.2 s on emulated machines
)
STARTING_SECONDS = 30.0  # how long a container may be looked at so often
TOLD_SECONDS = 0.1  # how much later than the change itself the kernel may tell of it
IDLE = 9  # so many times as long as a scan cost a processor, none is made: a slow machine is left to its own work
LONGEST_SECONDS = 0.5
REPEAT_SECONDS = 0.8
BEAT_SECONDS = 0.25  # how often the agent's heartbeat wants to run
LATE_SECONDS = 0.5  # how late a beat must be to be told
LABEL_SECONDS = 0.1  # how long a new container may go unreported for want of its label
LABEL_TRIES = 50
KEY = '"whalefall.instance":"'
APP_KEY = '"whalefall.app":"'
NAME_KEY = '"Name":"/'
ENVIRONMENT_KEY = '"Env":['
CGROUPS = "/sys/fs/cgroup"
HIERARCHIES = (
    ("", ""),
    ("unified", ""),
    ("systemd", "name=systemd"),
    ("memory", "memory"),
    ("pids", "pids"),
)  # folder, name in /proc/PID/cgroup
HOMES = ("system.slice", "docker")
ROOTS = ("/data/docker", "/var/lib/docker")  # Docker's data root: on nodes that the harness made, and Docker's own default
CONFIG = "/etc/docker/daemon.json"
ID_DIGITS = 64
PIECE = 65536
WANT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
MOST = 500  # groups that are followed: a process may have 1024 open files


def read(path: str) -> str:
    """Return a file's text, or nothing where it cannot be read. Bare system calls: this may be done a hundred times a second.

    Raises `OSError` where we lack the means to read anything: that is no word about this file.
    """
    pieces = []
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(file, PIECE):
                pieces.append(piece)
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in WANT:
            raise
        return ""
    return b"".join(pieces).decode(errors="replace")


def homes(top: str = CGROUPS, init: str = "/proc/1/cgroup") -> list[str]:
    """Return the folders that may hold containers' cgroups, of systemd's cgroup driver and of cgroupfs, in every hierarchy that Docker may use.

    Those of version 2 first: only there the kernel says whether anything lives in a group. Seen from inside a node its groups may or may not have
    the path that they have on the host: whichever of the two is there.
    """
    paths = {}
    for each in read(init).splitlines():
        controllers, _, path = each.partition(":")[2].partition(":")
        paths.update(dict.fromkeys(controllers.split(","), path))
    folders = []
    for name, controller in HIERARCHIES:
        root = f"{top}/{name}".rstrip("/")
        if not os.path.exists(f"{root}/cgroup.procs"):  # noqa: PTH110 - same
            continue
        prefix = paths.get(controller, "").removesuffix("/init.scope").rstrip("/")
        if ".." in prefix or not os.path.isdir(f"{root}{prefix}/system.slice"):  # noqa: PTH112 - same
            prefix = ""
        folders += [f"{root}{prefix}/{name}" for name in HOMES]
    return folders or [f"{top}/{name}" for name in HOMES]


def found(folders: list[str]) -> dict[str, str]:
    """Return the cgroup folder of each container by its id: the first that it has."""
    groups: dict[str, str] = {}
    for folder in folders:
        try:
            names = os.listdir(folder)  # noqa: PTH208 - same
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            bare = name[7:-6] if name.startswith("docker-") and name.endswith(".scope") else name
            if len(bare) == ID_DIGITS and bare.isalnum():
                groups.setdefault(bare, f"{folder}/{name}")
    return groups


def living(group: str, events: int | None = None) -> bool:
    """Whether any process lives in a cgroup or below it; by its `cgroup.events` (version 2 only), if that was opened before."""
    if events is None:
        text = read(f"{group}/cgroup.events")
    else:
        try:
            text = os.pread(events, PIECE, 0).decode(errors="replace")
        except OSError:  # the group is gone
            return False
    return "populated 1" in text if text else bool(read(f"{group}/cgroup.procs"))


def preparing(name: str, *, instant: bool = True) -> bool:
    """Whether a process of that name is the runtime's, runc:[2:INIT], or is called what a copy of runc is for the `instant` before it names itself.

    Programs of others may be called the latter for ever.
    """
    return name.startswith("runc:[") or (instant and (name in ("runc", "exe") or name.isdigit()))


def begun(group: str, proc: str = "/proc", *, instant: bool = True) -> bool:
    """Whether a process of the container's own runs: until then there is only the runtime's, called runc:[…].

    Without `instant` the time is over in which a copy of runc has no name of its own.
    """
    for folder, _, _ in os.walk(group):
        for pid in read(f"{folder}/cgroup.procs").split():
            name = read(f"{proc}/{pid}/comm").strip()
            if name and not preparing(name, instant=instant):
                return True
    return False


def homes_of_docker(config: str = CONFIG) -> list[str]:
    """Return the folders that may hold Docker's own of each container: in the data root that its configuration names, then in the usual ones."""
    named = read(config).partition('"data-root"')[2].partition(":")[2].strip().removeprefix('"').partition('"')[0]
    return [f"{root.rstrip('/')}/containers" for root in dict.fromkeys((named, *ROOTS)) if root.startswith("/")]


def label(container: str, containers: list[str], tasks: list[str]) -> str | None:
    """Return the instance that a container is, an empty text for one that is not ours, None while its file is not there or is not whole.

    By its own label or, where all containers of an app have the same ones, by one that their mode gives each, a variable, or the container's name:
    `tasks`, three texts for each of those ways. A quote inside a JSON text always has a backslash before it, so a key is found only where it is one.
    The first folder that has the file counts.
    """
    text = next((text for folder in containers if (text := read(f"{folder}/{container}/config.v2.json").strip())), "")
    if not text.endswith("}"):
        return None
    value = text.partition(KEY)[2].partition('"')[0]
    for number in range(0, 0 if value else len(tasks), 3):
        key, pattern, of = tasks[number : number + 3]
        if key.startswith("$"):
            # A quote within a variable has a backslash before it, so none of them looks like the beginning of another, or the end of all.
            given = text.partition(ENVIRONMENT_KEY)[2]
            variables = "" if given.startswith("]") else "," + given.partition('"],"')[0]
            said = variables.partition(f',"{key[1:]}=')[2]
        else:
            # A container's own name comes after its labels, and no volume's begins with a slash.
            said = text.rpartition(NAME_KEY)[2] if not key else text.partition('"Labels":{')[2].partition(f'"{key}":"')[2]
        named = re.fullmatch(pattern, said.partition('"')[0])
        app = of or text.partition(APP_KEY)[2].partition('"')[0]
        if named and app and (of or named["app"] == app):
            value = f"{app}@{named.groupdict().get('number') or 1}"
            break
    return value if value.replace("@", "").replace("-", "").replace(".", "").replace("_", "").isalnum() else ""


class Ears:
    """The kernel's word that something about containers has changed.

    That a group was made or removed is told by dnotify on the folder that it is in: as quick as inotify (0.1 ms), which a minimal Python cannot ask
    for, and it takes none of the few inotify instances that a machine has. That its last process is gone is told by its `cgroup.events` (0.4 ms).
    """

    def __init__(self) -> None:
        self.deaf = ""  # why the kernel cannot tell; empty while it can
        self._wake, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self._folders: dict[str, int] = {}
        self._events: dict[str, int] = {}  # group → its cgroup.events, open
        self._groups: dict[int, str] = {}  # the same, the other way round
        signal.signal(signal.SIGIO, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGIO,))
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)

    def listen(self, homes: list[str]) -> None:
        """Have the kernel tell of what is made and removed in these folders, and of the folders themselves: they may go, and come back."""
        self.deaf = ""
        wanted = dict.fromkeys(each for home in homes for each in (home, home.rpartition("/")[0]))
        there = 0
        for folder in [*wanted, *(each for each in self._folders if each not in wanted)]:
            try:
                old = self._folders.get(folder)
                if old is not None:
                    if folder in wanted and _is(old, folder):
                        there += folder in homes
                        continue
                    os.close(self._folders.pop(folder))
                if folder in wanted:
                    self._folders[folder] = _noticed(folder)
                    there += folder in homes
            except FileNotFoundError:
                continue  # its parent tells when it comes
            except OSError as error:
                self.deaf = f"of changes in {folder}: {error.strerror}"
        if not there and not self.deaf:
            self.deaf = NOT_YET

    def follow(self, groups: dict[str, str]) -> None:
        """Have the kernel tell of the last process's end in these groups, and in no others."""
        for group in set(self._events) - set(groups.values()):
            self._drop(group)
        for group in groups.values():
            if group in self._events:
                continue
            if len(self._events) == MOST:
                self.deaf = self.deaf or f"of a container's end: there are more than {MOST} containers"
                break
            try:
                events = os.open(f"{group}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if os.path.exists(group):  # noqa: PTH110 - same
                    self.deaf = self.deaf or "of a container's end: its control groups are of version 1"
            except OSError as error:
                self.deaf = self.deaf or f"of a container's end: {error.strerror}"
            else:
                self._events[group] = events
                self._groups[events] = group
                self._poll.register(events, select.POLLPRI)

    def events(self, group: str) -> int | None:
        """Return a group's open `cgroup.events`: who reads it will be told of the next change, and of none before."""
        return self._events.get(group)

    def ring(self) -> None:
        """End the wait, from another thread: something has changed of which the kernel knows nothing."""
        try:
            os.write(self._bell, b"\0")
        except BlockingIOError:
            return  # it has been rung often enough

    def wait(self, seconds: float) -> tuple[bool, bool]:
        """Wait for a word. Returns whether there was any, and whether it was the kernel's."""
        heard = kernel = False
        for handle, _ in self._poll.poll(max(0.0, seconds) * 1000):
            heard = True
            if handle != self._wake:
                kernel = True
                if not living(self._groups[handle], handle):
                    self._drop(self._groups[handle])  # opened anew if it is still there: one that is gone would be told of for ever
                continue
            try:
                kernel |= signal.SIGIO in os.read(self._wake, PIECE)
            except BlockingIOError:
                continue
        return heard, kernel

    def _drop(self, group: str) -> None:
        events = self._events.pop(group)
        del self._groups[events]
        self._poll.unregister(events)
        os.close(events)


NOT_YET = "of containers, which have no control groups yet"
"""What a node that is still booting says."""


def _noticed(folder: str) -> int:
    """Open a folder such that the kernel sends SIGIO whenever anything is made or removed in it. Raises `OSError` where it does not do that."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(handle, fcntl.F_NOTIFY, fcntl.DN_CREATE | fcntl.DN_DELETE | fcntl.DN_RENAME | fcntl.DN_MULTISHOT)
    except OSError:
        os.close(handle)
        raise
    return handle


def _is(handle: int, folder: str) -> bool:
    """Whether an open folder is still the one that has this name."""
    opened, named = os.fstat(handle), os.stat(folder)  # noqa: PTH116 - same
    return (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)


class Labels:
    """Reads labels in a thread of its own: a stalled disk must not blind what looks at processes."""

    def __init__(self, containers: list[str] | None = None, ears: Ears | None = None, tasks: list[str] | None = None) -> None:
        self.known: dict[str, str] = {}
        self._asked: set[str] = set()
        self._containers = homes_of_docker() if containers is None else containers
        self._ears = ears
        self._tasks = tasks or []

    def want(self, container: str) -> None:
        """Begin to read a container's label, if that was not begun before."""
        if container not in self._asked:
            self._asked.add(container)
            threading.Thread(target=self._read, args=(container,), daemon=True).start()

    def forget(self, alive: dict[str, str]) -> None:
        """Drop what is known of containers that are gone."""
        for container in self._asked - set(alive):
            self._asked.discard(container)
            self.known.pop(container, None)

    def _read(self, container: str) -> None:
        for _ in range(LABEL_TRIES):
            try:
                name = label(container, self._containers, self._tasks)
            except OSError:
                name = None
            if name is not None:
                self.known[container] = name
                if self._ears is not None:
                    self._ears.ring()
                return
            time.sleep(SCAN_SECONDS)  # a node has no clock of the harness's


class Scanner:
    """What is known of a node's containers from one scan to the next."""

    def __init__(self, folders: list[str], labels: Labels, proc: str = "/proc", ears: Ears | None = None) -> None:
        self.folders = folders
        self.shape: list[tuple[str, bool]] = []  # each container's group, and whether anything lives in it: what the kernel tells of
        self.unnamed = False  # whether one that runs was left out of the last scan, for want of its label
        self._labels = labels
        self._proc = proc
        self._ears = ears
        self._met: dict[str, float] = {}  # when each group was first seen
        self._since: dict[str, float] = {}  # containers that have begun, and when that was seen

    def scan(self, now: float) -> list[tuple[str, str]]:
        """Return (id, instance) of every container that runs, sorted."""
        groups = found(self.folders)
        if self._ears is not None:
            self._ears.follow(groups)
        running = []
        shape = []
        self.unnamed = False
        for container, group in groups.items():
            self._met.setdefault(container, now)
            self._labels.want(container)
            alive = living(group, self._ears.events(group) if self._ears is not None else None)
            shape.append((container, alive))
            if container not in self._since:
                if not alive or not begun(group, self._proc, instant=now - self._met[container] < INSTANT_SECONDS):
                    continue
                self._since[container] = now
            elif not alive:
                continue
            name = self._labels.known.get(container)
            if name is None and now - self._since[container] < LABEL_SECONDS:
                self.unnamed = True
                continue
            running.append((container, name or ""))
        for container in set(self._met) - set(groups):
            del self._met[container]
            self._since.pop(container, None)
        self._labels.forget(groups)
        self.shape = sorted(shape)
        return sorted(running)

    def due(self, now: float) -> float:
        """Return in how many seconds to look again although nothing was told: a container is being started, or its label is waited for."""
        seconds = RESCAN_SECONDS
        for container, met in self._met.items():
            if container not in self._since:
                seconds = min(seconds, BEGIN_SECONDS if now - met < STARTING_SECONDS else LONGEST_SECONDS)
            elif container not in self._labels.known and now - self._since[container] < LABEL_SECONDS:
                seconds = min(seconds, self._since[container] + LABEL_SECONDS - now)
        return seconds


def line(running: list[tuple[str, str]]) -> str:
    """Give what runs as a line of JSON. Ids and names hold nothing that would need a backslash: see `found` and `label`."""
    return '{"containers":[' + ",".join(f'["{container}","{name}"]' for container, name in running) + "]}\n"


def note(text: str) -> str:
    """Give a remark as a line of JSON."""
    return '{"note":"' + "".join(each if each.isprintable() and each not in '"\\' else "?" for each in text) + '"}\n'


def pause(used: float, least: float = SCAN_SECONDS) -> float:
    """Return how long to rest after a scan that took so much of a processor; never so long that we would be thought dead."""
    return min(max(least, IDLE * used), LONGEST_SECONDS)


class Heart:
    """How late a thread was let run that wants to four times a second: by as much its whole node stood still, or was starved."""

    def __init__(self, now: float) -> None:
        self._last = now

    def beat(self, now: float) -> str:
        """Return the line that tells how late this beat is; nothing if it is about on time."""
        late = now - self._last - BEAT_SECONDS
        self._last = now
        return f'{{"late":{late:.3f}}}\n' if late > LATE_SECONDS else ""


def pulse() -> None:
    """Tell of late beats until nobody reads any more."""
    heart = Heart(time.monotonic())
    while True:
        time.sleep(BEAT_SECONDS)  # a node has no clock of the harness's
        line = heart.beat(time.monotonic())
        if line:
            try:
                os.write(1, line.encode())
            except OSError:
                os._exit(0)  # nobody reads any more


def say(text: str) -> None:
    """Hand a line to whoever reads, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


class Agent:
    """Looks, listens and tells."""

    def __init__(
        self,
        top: str = CGROUPS,
        proc: str = "/proc",
        containers: list[str] | None = None,
        rescan: float = RESCAN_SECONDS,
        tasks: list[str] | None = None,
    ) -> None:
        self._top = top
        self._init = f"{proc}/1/cgroup"
        self._rescan = rescan
        self._ears = Ears()
        self._scanner = Scanner([], Labels(containers, self._ears, tasks), proc, self._ears)
        self._said: list[tuple[str, str]] | None = None
        self._beat = 0.0  # when to speak next although nothing has changed
        self._deaf = ""  # what was said of that

    def run(self) -> None:
        """Tell what runs, until nobody reads any more."""
        told = True  # a node that is met for the first time has not changed
        look = 0.0  # when to look next although nothing is told
        while True:
            now = time.monotonic()
            if told or now >= look:
                before = self._scanner.shape
                used = self._look(now)
                look = now + self._rest(now, used)
                if self._scanner.shape != before and not told and not self._ears.deaf:
                    told = self._told_late()
                    if not told:
                        say(note("a container's start or end was found by looking: the kernel had not told of it"))
                    look = 0.0
                    continue
            self._tell(now)
            heard, told = self._ears.wait(min(look, self._beat) - time.monotonic())
            if heard:
                look = 0.0

    def _told_late(self) -> bool:
        """Whether the kernel tells of a change that was found before it did."""
        end = time.monotonic() + TOLD_SECONDS
        while (left := end - time.monotonic()) > 0:
            if self._ears.wait(left)[1]:
                return True
        return False

    def _look(self, now: float) -> float:
        """Look at everything, tell of what has changed, and return what that cost a processor."""
        started = time.process_time()
        self._scanner.folders = homes(self._top, self._init)
        self._ears.listen(self._scanner.folders)
        running = self._scanner.scan(now)
        # The first word names all that ran before anybody looked: a list that is to be completed in a moment would say that the rest did not run.
        if running != self._said and not (self._said is None and self._scanner.unnamed):
            self._said, self._beat = running, 0.0
            self._tell(now)
        return time.process_time() - started

    def _rest(self, now: float, used: float) -> float:
        """Return for how long nothing need be looked at, unless something is told."""
        if self._ears.deaf:
            return pause(used)
        due = min(self._scanner.due(now), self._rescan)
        return due if due >= LONGEST_SECONDS else pause(used, due)

    def _tell(self, now: float) -> None:
        """Say what runs, if it is time to."""
        if self._said is not None and now >= self._beat:
            say(line(self._said))
            self._beat = now + REPEAT_SECONDS
        if self._ears.deaf not in {self._deaf, NOT_YET}:
            self._deaf = self._ears.deaf
            words = f"the kernel does not tell {self._deaf}; looked at up to {1 / SCAN_SECONDS:.0f} times a second" if self._deaf else TELLS
            say(note(words))


TELLS = "the kernel tells of containers again"
"""What is said when a reason to look oneself is gone."""


def main(top: str = CGROUPS, proc: str = "/proc", containers: list[str] | None = None, rescan: float = RESCAN_SECONDS) -> None:
    """Tell what runs until nobody reads any more."""
    try:
        Agent(top, proc, containers, rescan, tasks=sys.argv[1:]).run()
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # nobody reads any more; no thread of ours is worth a wait
    except Exception as error:  # noqa: BLE001 - whatever ends us must be read by somebody
        os.write(1, f"the agent failed: {error!r}\n".encode())
        os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=pulse, daemon=True).start()
    main()
