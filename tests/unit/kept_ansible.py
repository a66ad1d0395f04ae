"""A process that has loaded ansible-core and becomes another for each program of it that is run: loading it takes longer than most of them do.

What such a program is told is what a new process is told: arguments, environment, working folder; so are limits that it sets itself. Ansible reads a
part of its environment while it is loaded: that part is the one of the first program that was run in the same kind of environment. What is tried of
the environment, of limits and of what lies around is tried with processes of their own (the fixture `loaded_anew`).
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

Run = Callable[..., subprocess.CompletedProcess[bytes]]
"""`run_bounded`, or what stands for it."""
PYTHON = [sys.executable, "-I", "-B"]
LOADED = (
    "cli.inventory",
    "playbook.play_context",
    *(f"plugins.{each}" for each in ("cache.memory", "connection", "doc_fragments.vars_plugin_staging", "shell", "vars.host_group_vars")),
    *(f"plugins.inventory.{each}" for each in ("auto", "host_list", "ini", "script", "toml", "yaml")),
)
"""What of ansible-core is loaded beforehand."""
_MOST = 1 << 16


@contextmanager
def kept(folder: Callable[[], Path]) -> Iterator[Run]:
    """Lend what stands for `run_bounded`: for each kind of environment one process, made when it is first needed, in a new folder."""
    processes: dict[frozenset[tuple[str, str]], _Kept] = {}

    def run(argv: list[str], *, seconds: float, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
        assert argv[:3] == PYTHON
        kind = frozenset((name, value.replace(env["HOME"], "~")) for name, value in env.items())
        process = processes.pop(kind, None) or _Kept(env, folder())
        try:
            done = process.run(argv[3:], seconds=seconds, cwd=cwd, env=env)
        except BaseException:  # the program still runs
            process.close()
            raise
        processes[kind] = process
        return done

    try:
        yield run
    finally:
        for each in processes.values():
            each.close()


class _Kept:
    """The process, in a folder of its own that stands for the home of the environment that it is given. It ends when whoever asks it has ended."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        (folder / "home").mkdir()
        for name in ("ansible.cfg", "empty.cfg"):
            (folder / "home" / name).touch()
        own = {key: value.replace(environ["HOME"], str(folder / "home")) for key, value in environ.items()}
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            argv = [*PYTHON, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(argv, env=own, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=folder)

    def run(self, argv: list[str], *, seconds: float, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
        """Run a Python program to its end, as a process that has loaded nothing would."""
        with Path(os.devnull).open("rb") as nothing, _memory("out") as out, _memory("err") as err:
            self._line.settimeout(seconds)
            told = {"argv": argv, "cwd": str(cwd), "env": env}
            try:
                socket.send_fds(self._line, [json.dumps(told).encode()], [each.fileno() for each in (nothing, out, err)])
                status = json.loads(self._line.recv(_MOST))
            except TimeoutError as error:
                raise subprocess.TimeoutExpired(argv, seconds) from error
            for each in (out, err):
                each.seek(0)
            return subprocess.CompletedProcess(argv, status, out.read(), err.read())

    def close(self) -> None:
        """End the process."""
        self._line.close()
        self._process.wait()


def _memory(name: str) -> IO[bytes]:
    return os.fdopen(os.memfd_create(name), "w+b")


def _serve(number: int) -> None:
    """Become another process for each program that is asked for, one after the other, until nobody asks any more."""
    for module in LOADED:
        importlib.import_module(f"ansible.{module}")
    import ansible  # noqa: PLC0415 - only where this file is the program
    from ansible.utils.collection_loader import _collection_finder as finder  # noqa: PLC0415 - same

    # A list of thousands of lines that every program reads first; it is handed out by a function that others may put another for.
    finder._meta_yml_to_dict = functools.cache(finder._meta_yml_to_dict)
    listed = Path(ansible.__file__).parent / "config" / "ansible_builtin_runtime.yml"
    finder._meta_yml_to_dict(listed.read_bytes(), ("ansible.builtin", "runtime.yml"))
    with socket.socket(fileno=number) as line:
        while True:
            told, handles, _, _ = socket.recv_fds(line, _MOST, 3)
            if not told:
                return
            pid = os.fork()
            if pid == 0:
                line.close()
                _become(json.loads(told), handles)
            for each in handles:
                os.close(each)
            status = _status(pid, line)
            with suppress(OSError):  # whoever asked is gone
                line.send(json.dumps(status).encode())


def _status(pid: int, line: socket.socket) -> int:
    """Wait for a program's end, and return with what it ended. It ends with whoever asked for it."""
    handle, waiting = os.pidfd_open(pid), select.poll()
    waiting.register(handle, select.POLLIN)
    waiting.register(line, select.POLLIN)  # nothing is said there meanwhile: it was closed
    if handle not in {each for each, _ in waiting.poll()}:
        os.kill(pid, signal.SIGKILL)
    os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become(told: dict[str, Any], handles: list[int]) -> NoReturn:
    """Be the program, and end with the status that Python would give it."""
    status = 1
    try:
        for place, each in enumerate(handles):
            os.dup2(each, place)
        os.chdir(told["cwd"])
        os.environ.clear()
        os.environ.update(told["env"])
        sys.argv = told["argv"]
        runpy.run_path(told["argv"][0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - it is told as Python tells it
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
