"""Runs on a node: says which containers' processes live there, from the kernel's cgroups, without asking any daemon.

Its source is handed to the node's own `python3 -c` (it is never imported there), so it stands on what Debian 12's python3-minimal has: no json.
Labels are read from Docker's own folder, wherever that is on this node.
Prints ``{"containers":[["<64 hex digits>","<instance>"],…]}`` at every change and at least once a second. Ends when nobody reads any more.

A container counts from its own first process, not from the runtime's that prepares it, until its last process is gone.
"""

from __future__ import annotations

import os
import sys
import threading
import time

SCAN_SECONDS = 0.025
IDLE = 9  # so many times as long as a scan cost a processor, none is made: a slow machine is left to its own work
LONGEST_SECONDS = 0.5
REPEAT_SECONDS = 0.8
LABEL_SECONDS = 0.1  # how long a new container may go unreported for want of its label
LABEL_TRIES = 50
KEY = '"whalefall.instance":"'
APP_KEY = '"whalefall.app":"'
TASK_KEY = '"com.docker.swarm.task.name":"'
CGROUPS = "/sys/fs/cgroup"
ROOTS = ("/data/docker", "/var/lib/docker")  # Docker's data root: on nodes that the harness made, and Docker's own default
CONFIG = "/etc/docker/daemon.json"
ID_DIGITS = 64
PIECE = 65536


def read(path: str) -> str:
    """Return a file's text, or nothing where it cannot be read. Bare system calls: this is done a hundred times a second."""
    pieces = []
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(file, PIECE):
                pieces.append(piece)
        finally:
            os.close(file)
    except OSError:
        return ""
    return b"".join(pieces).decode(errors="replace")


def homes(top: str = CGROUPS, init: str = "/proc/1/cgroup") -> list[str]:
    """Return the folders that may hold containers' cgroups: of systemd's cgroup driver, and of cgroupfs, in the one hierarchy that Docker uses.

    Seen from inside a node its groups may or may not have the path that they have on the host: whichever of the two is there.
    """
    root = next((each for each in (top, f"{top}/unified", f"{top}/systemd") if os.path.exists(f"{each}/cgroup.procs")), top)  # noqa: PTH110 - same
    paths = [line.split(":", 2)[2] for line in read(init).splitlines() if line.startswith("0::") or ":name=systemd:" in line]
    prefixes = [path.removesuffix("/init.scope").rstrip("/") for path in paths]
    roots = [root + prefix for prefix in prefixes if ".." not in prefix and os.path.isdir(root + prefix + "/system.slice")]  # noqa: PTH112 - same
    return [f"{each}/{name}" for each in roots[:1] or [root] for name in ("system.slice", "docker")]


def found(folders: list[str]) -> dict[str, str]:
    """Return the cgroup folder of each container by its id."""
    groups = {}
    for folder in folders:
        try:
            names = os.listdir(folder)  # noqa: PTH208 - same
        except OSError:
            continue
        for name in names:
            bare = name[7:-6] if name.startswith("docker-") and name.endswith(".scope") else name
            if len(bare) == ID_DIGITS and bare.isalnum():
                groups[bare] = f"{folder}/{name}"
    return groups


def living(group: str) -> bool:
    """Whether any process lives in a cgroup or below it."""
    events = read(f"{group}/cgroup.events")  # v2 only
    if events:
        return "populated 1" in events
    return bool(read(f"{group}/cgroup.procs"))


def preparing(name: str) -> bool:
    """Whether a process of that name is the runtime's: runc:[2:INIT], or what a copy of runc is called for the instant before it names itself."""
    return name.startswith("runc") or name == "exe" or name.isdigit()


def begun(group: str, proc: str = "/proc") -> bool:
    """Whether a process of the container's own runs: until then there is only the runtime's, called runc:[…]."""
    for folder, _, _ in os.walk(group):
        for pid in read(f"{folder}/cgroup.procs").split():
            name = read(f"{proc}/{pid}/comm")
            if name and not preparing(name.strip()):
                return True
    return False


def homes_of_docker(config: str = CONFIG) -> list[str]:
    """Return the folders that may hold Docker's own of each container: in the data root that its configuration names, then in the usual ones."""
    named = read(config).partition('"data-root"')[2].partition(":")[2].strip().removeprefix('"').partition('"')[0]
    return [f"{root.rstrip('/')}/containers" for root in dict.fromkeys((named, *ROOTS)) if root.startswith("/")]


def label(container: str, containers: list[str]) -> str | None:
    """Return the instance that a container is, an empty text for one that is not ours, None while its file is not there or is not whole.

    By its own label or, where all containers of an app have the same ones, by the name of the task that it is for swarm: ``web.1.<task id>``.
    A quote inside a JSON text always has a backslash before it, so a key is found only where it is one. The first folder that has the file counts.
    """
    text = next((text for folder in containers if (text := read(f"{folder}/{container}/config.v2.json").strip())), "")
    if not text.endswith("}"):
        return None
    value = text.partition(KEY)[2].partition('"')[0]
    if not value:
        app = text.partition(APP_KEY)[2].partition('"')[0]
        service, _, slot = text.partition(TASK_KEY)[2].partition('"')[0].rpartition(".")[0].rpartition(".")
        value = f"{service}@{slot}" if service and service == app and slot.isdigit() else ""
    return value if value.replace("@", "").replace("-", "").replace(".", "").replace("_", "").isalnum() else ""


class Labels:
    """Reads labels in a thread of its own: a stalled disk must not blind what looks at processes."""

    def __init__(self, containers: list[str] | None = None) -> None:
        self.known: dict[str, str] = {}
        self._asked: set[str] = set()
        self._containers = homes_of_docker() if containers is None else containers

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
            name = label(container, self._containers)
            if name is not None:
                self.known[container] = name
                return
            time.sleep(SCAN_SECONDS)  # a node has no clock of the harness's


class Scanner:
    """What is known of a node's containers from one scan to the next."""

    def __init__(self, folders: list[str], labels: Labels, proc: str = "/proc") -> None:
        self.folders = folders
        self._labels = labels
        self._proc = proc
        self._since: dict[str, float] = {}  # containers that have begun, and when that was seen

    def scan(self, now: float) -> list[tuple[str, str]]:
        """Return (id, instance) of every container that runs, sorted."""
        groups = found(self.folders)
        running = []
        for container, group in groups.items():
            self._labels.want(container)
            if container not in self._since:
                if not begun(group, self._proc):
                    continue
                self._since[container] = now
            elif not living(group):
                continue
            name = self._labels.known.get(container)
            if name is None and now - self._since[container] < LABEL_SECONDS:
                continue
            running.append((container, name or ""))
        for container in set(self._since) - set(groups):
            del self._since[container]
        self._labels.forget(groups)
        return sorted(running)


def line(running: list[tuple[str, str]]) -> str:
    """Give what runs as a line of JSON. Ids and names hold nothing that would need a backslash: see `found` and `label`."""
    return '{"containers":[' + ",".join(f'["{container}","{name}"]' for container, name in running) + "]}\n"


def pause(used: float) -> float:
    """Return how long to rest after a scan that took so much of a processor; never so long that we would be thought dead."""
    return min(max(SCAN_SECONDS, IDLE * used), LONGEST_SECONDS)


def main() -> None:
    """Scan until nobody reads any more."""
    scanner = Scanner(homes(), Labels())
    last: list[tuple[str, str]] | None = None
    said = 0.0
    try:
        while True:
            now, used = time.monotonic(), time.process_time()
            running = scanner.scan(now)
            if running != last or now - said >= REPEAT_SECONDS:
                sys.stdout.write(line(running))
                sys.stdout.flush()
                last, said = running, now
                scanner.folders = homes()  # a node that is still booting has not made all of them
            time.sleep(pause(time.process_time() - used))  # same
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # nobody reads any more; no thread of ours is worth a wait
    except Exception as error:  # noqa: BLE001 - whatever ends us must be read by somebody
        os.write(1, f"the agent failed: {error!r}\n".encode())
        os._exit(1)


if __name__ == "__main__":
    main()
