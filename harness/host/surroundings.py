"""What a process inherits from whoever started it, kept outside: called first thing at every way in.

A cron job, a supervisor, a shell with limits or a program that closed its descriptors must not decide how a run goes. What can be mended is mended
here, for this process and all that it starts; what cannot is said before anything is touched (`problems`).
"""

from __future__ import annotations

import getpass
import os
import pwd
import resource
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import suppress

import harness
from harness.core.errors import BadInput, HarnessError, Problem

FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where programs are looked for when PATH has not named them: cron gives ``/usr/bin:/bin``, and nft lives in /usr/sbin."""

FILES = 65536
"""Open files that are asked for, where the limit is lower."""
FILES_ALONE = 128
FILES_PER_NODE = 60
"""Open files that a run needs by itself, and for every node: connections, pipes to the agents, answers under way.

Measured, the most at any moment of `node-kill` with fleet: 130 with three nodes, 223 with five; 20 before there are any."""

THREADS_ALONE = 60
THREADS_PER_NODE = 16
"""Processes and threads that the harness and its reaper need, and for every node: observers, callers, helpers, commands under way."""

_ENDLESS = ("RLIMIT_FSIZE", "RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_CPU", "RLIMIT_NPROC")
_STACK = 1 << 20
"""A thread's stack where the limit on stacks is smaller than that, in bytes: C libraries make threads' stacks as large as that limit."""


def keep_outside() -> None:
    """Mend what was inherited: descriptors 0 to 2, limits, PATH, TMPDIR, HOME, and signals that are ignored or blocked. Twice is fine."""
    _descriptors()
    _limits()
    os.environ["PATH"] = path()
    _folders()
    _signals()


def let_nobody_write() -> None:
    """Keep others from writing to whatever is made from now on, Python's own caches of modules included. For a process that is ours alone."""
    os.umask(os.umask(_OTHERS_WRITE) | _OTHERS_WRITE)


_OTHERS_WRITE = 0o022


def outlive_shortage() -> None:
    """Let the kernel kill others first when memory is short, as far as this process may ask for it: for who must mend what others break."""
    for word in ("0", "-900"):  # the second takes a capability that root in a container may not have
        with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123 - no path of ours
            file.write(word)


SHORTAGE_AS_OTHERS = (
    '{ read -r killed </proc/self/oom_score_adj && [ "$killed" -ge 0 ] || echo 0 >/proc/self/oom_score_adj; } 2>/dev/null; '
)
"""For a shell that starts what is none of ours: it has no part in `outlive_shortage`, nor has what it leaves running."""


def stay(*numbers: signal.Signals) -> None:
    """Do nothing when one of these signals asks this process to end.

    Not by ignoring them: that would be handed down to whatever is started from here, and to the daemons that a user's command leaves running. One
    that is ignored already stays so.
    """
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def speak_utf8() -> None:
    """Start this command anew in Python's UTF-8 mode where its locale is another one: else names and arguments in UTF-8 cannot be handed on.

    For a process that is ours alone, before it has done anything. The same process goes on, with the same descriptors.
    """
    if sys.getfilesystemencoding().replace("-", "").lower() == "utf8" or os.environ.get("PYTHONUTF8") == "1" or not sys.executable:
        return
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONUTF8": "1"})  # noqa: S606 - as we were started


def path() -> str:
    """Return where programs are looked for: PATH as it was given, and all folders of the system.

    A folder that is not named from the root on is left out: its programs would be whoever's folder we stand in.
    """
    given = [each for each in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(each)]  # noqa: PTH117 - plain text
    return os.pathsep.join(dict.fromkeys([*given, *FOLDERS]))


def which(tool: str) -> str | None:
    """Return where a program is, or None. The same answer wherever this is asked: `doctor`, before a run, and in it."""
    return shutil.which(tool, path=path())


_OBEYED = ("VAGRANT_", "RUBYOPT", "RUBYLIB", "BUNDLE_", "VIRSH_", "LIBVIRT_DEBUG", "LIBVIRT_LOG_", "LIBVIRT_DEFAULT_URI")
"""How the environment variables begin that tools of ours would obey: another Vagrantfile, other plug-ins, lines of debugging among answers."""


def for_tools() -> dict[str, str]:
    """Return the environment for the programs that we call on this machine: ours, without what tells them to do otherwise than we ask."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OBEYED)}


def for_python() -> dict[str, str]:
    """Return what lets another Python of ours find the modules that this one has found, and no others in their place.

    Whoever started us may have put a folder of their own first, as pytest does with that of a test file. A ``calendar.py`` there troubles nobody who
    has the standard library's already; but a Python that starts would take it for that. So first comes the standard library, then where we are
    ourselves, what PYTHONPATH names, what was installed, and last all the rest. Nothing is looked for in the folder that it is started in.
    """
    standard = os.path.dirname(os.__file__)  # noqa: PTH120 - compared as text with what Python wrote
    ours = os.path.dirname(os.path.dirname(os.path.abspath(harness.__file__)))  # noqa: PTH100, PTH120 - same
    named = [os.path.abspath(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]  # noqa: PTH100 - same
    found = [os.path.abspath(each) for each in sys.path if each]  # noqa: PTH100 - same

    def rank(folder: str) -> int:
        tests = (
            folder in {standard, os.path.join(standard, "lib-dynload")} or folder.endswith(_ZIPPED),  # noqa: PTH118 - same
            folder == ours,
            folder in named,
            os.path.basename(folder) in {"site-packages", "dist-packages"},  # noqa: PTH119 - same
        )
        return tests.index(True) if True in tests else len(tests)

    return {"PYTHONPATH": os.pathsep.join(sorted(dict.fromkeys([ours, *found]), key=rank)), "PYTHONSAFEPATH": "1"}


_ZIPPED = f"python{sys.version_info.major}{sys.version_info.minor}.zip"


def user() -> str:
    """Return what this process's user is called: as its environment or the system says, or else its number. Containers' users have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        return str(os.getuid())


def login() -> str:
    """Return as whom this process's user logs in elsewhere where nothing says that. Raises `BadInput` for one without a name."""
    name = user()
    if name == str(os.getuid()):
        hint = "say it: ansible_user in an inventory, User in an SSH configuration, or LOGNAME in the environment"
        raise BadInput([Problem("the login", 0, 0, f"nobody is called by the uid {name} here", "as whom to log in on a host", hint)])
    return name


def must_stand_somewhere() -> None:
    """Raise `HarnessError` where the folder that we were started in is gone: no relative path means anything."""
    try:
        os.getcwd()  # noqa: PTH109 - the error is the answer
    except OSError as error:
        raise HarnessError("the folder that this was started in is not there any more; change to another one") from error


def problems(nodes: int) -> list[str]:
    """Return a line for every limit that was inherited, could not be raised and is too low for so many nodes on this machine."""
    found = too_few(nodes)
    for name in _ENDLESS[:3]:
        soft, _ = resource.getrlimit(getattr(resource, name))
        if soft != resource.RLIM_INFINITY and soft < _LEAST[name]:
            found.append(f"{_WORDS[name]} of this process is limited to {soft} bytes: ulimit -{_FLAGS[name]} unlimited")
    return found


def too_few(nodes: int) -> list[str]:
    """Return the same of open files, processes and threads alone: what a run needs for so many nodes wherever they are."""
    found = []
    who = f"{nodes} nodes need" if nodes else "a run needs"
    need = FILES_ALONE + FILES_PER_NODE * nodes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < need:
        found.append(f"this process may open {soft} files (hard limit {hard}); {who} {need}: ulimit -n {need}")
    need = THREADS_ALONE + THREADS_PER_NODE * nodes
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and not _boundless() and soft - (used := _threads_of(os.getuid())) < need:
        found.append(f"this user may have {soft} processes and threads, {used} in use; {who} {need} more: ulimit -u {used + need}")
    return found


def _boundless() -> bool:
    """Whether the kernel limits this user's processes at all: not those of the machine's own root (but those of a container that maps its users)."""
    with suppress(OSError), open("/proc/self/uid_map", encoding="ascii") as file:  # noqa: PTH123 - no path of ours
        return os.getuid() == 0 and file.read().split()[:2] == ["0", "0"]
    return False


def _threads_of(user: int) -> int:
    """Count what of a user's counts against that limit, as far as it can be seen from here."""
    count = 0
    for each in os.scandir("/proc"):
        with suppress(OSError):  # it has ended
            if each.name.isdigit() and each.stat().st_uid == user:
                count += len(os.listdir(f"/proc/{each.name}/task"))  # noqa: PTH208 - only their number counts
    return count


_LEAST = {"RLIMIT_FSIZE": 4 << 30, "RLIMIT_AS": 4 << 30, "RLIMIT_DATA": 2 << 30}
_WORDS = {"RLIMIT_FSIZE": "the size of a file", "RLIMIT_AS": "the address space", "RLIMIT_DATA": "the data"}
_FLAGS = {"RLIMIT_FSIZE": "f", "RLIMIT_AS": "v", "RLIMIT_DATA": "d"}


def _descriptors() -> None:
    """Open what was closed of 0, 1 and 2 on /dev/null: whatever is opened next would get the number, and be written to as if it were a terminal."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            handle = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # gets the lowest that is free
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            os.set_inheritable(number, True)  # noqa: FBT003 - its only form
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115 - a descriptor, for good


def _limits() -> None:
    """Raise what limits this process as far as it may be."""
    for name in _ENDLESS:
        _raise(getattr(resource, name), resource.RLIM_INFINITY)
    _raise(resource.RLIMIT_NOFILE, FILES)
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < _STACK:
        threading.stack_size(_STACK)


def _raise(limit: int, wanted: int) -> None:
    soft, hard = resource.getrlimit(limit)
    if _reaches(soft, wanted):
        return
    if not _reaches(hard, wanted):
        with suppress(ValueError, OSError):  # only root may raise a hard limit
            resource.setrlimit(limit, (wanted, wanted))
            return
    with suppress(ValueError, OSError):
        resource.setrlimit(limit, (wanted if _reaches(hard, wanted) else hard, hard))


def _reaches(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or (wanted != resource.RLIM_INFINITY and limit >= wanted)


def _folders() -> None:
    given = os.environ.get("TMPDIR")
    if given is not None and not (os.path.isabs(given) and os.path.isdir(given) and os.access(given, os.W_OK | os.X_OK)):  # noqa: PTH112, PTH117 - may be bytes of any kind
        del os.environ["TMPDIR"]
        tempfile.tempdir = None  # looked for anew
    if not os.path.isabs(os.environ.get("HOME", "")):  # noqa: PTH117 - same
        try:
            os.environ["HOME"] = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:  # a user without a name
            os.environ["HOME"] = "/"


def _signals() -> None:
    """Take back what makes waiting for children lie (SIGCHLD ignored: every command would have succeeded), and what keeps signals from us.

    What was ignored on purpose stays so: a run under nohup does not end with its terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
