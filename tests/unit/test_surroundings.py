"""What whoever starts us may hand down: closed descriptors, limits, a short PATH, an ASCII locale, odd paths, signals that are ignored."""

from __future__ import annotations

import errno
import getpass
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import cli
from harness.cli.telling import tell
from harness.core.errors import BadInput
from harness.core.values import App, NodeSpec
from harness.host import surroundings
from harness.host.processes import run_here
from harness.host.untrusted import json_of
from harness.plan import Plan
from harness.reports.console import LEAST, MOST, Console
from harness.runs.folder import save_plan
from harness.runs.run import folders

REPO = Path(__file__).resolve().parents[2]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def _python(code: str, *args: str, around: str = 'exec "$@"', **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python code in a process of its own, started by a shell that does `around` first."""
    argv = ["sh", "-c", around, "sh", sys.executable, "-c", code, *args]
    env: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(REPO), **environ}
    return subprocess.run(argv, capture_output=True, check=False, env=env, timeout=120)


@pytest.fixture
def _environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what a test changes for this process."""
    limits = {each: resource.getrlimit(each) for each in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)}
    for name in ("PATH", "TMPDIR", "HOME"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    before = tempfile.tempdir
    yield
    tempfile.tempdir = before
    for each, limit in limits.items():
        resource.setrlimit(each, limit)


# -- descriptors

_PIPES = """
import os
from harness.host import surroundings
surroundings.keep_outside()
numbers = [*os.pipe(), os.open("/dev/null", os.O_RDONLY)]
os.write(int(os.environ["TO"]), repr([min(numbers) > 2, [os.get_inheritable(each) for each in range(3)]]).encode())
print("said")
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_closed_descriptor_is_nobody_elses_number(closed: str, tmp_path: Path) -> None:
    """Or a pipe of ours would get it, and be written to as if it were the terminal."""
    told = tmp_path / "told"
    done = _python(_PIPES, around=f'exec 9>"{told}"; exec "$@" {closed}', TO="9")
    assert done.returncode == 0, done.stderr
    assert told.read_text(encoding="ascii") == "[True, [True, True, True]]"


# -- limits

_LIMITS = """
import resource
from harness.host import surroundings
surroundings.keep_outside()
print([resource.getrlimit(getattr(resource, each))[0] for each in ("RLIMIT_NOFILE", "RLIMIT_FSIZE")])
"""


def test_soft_limits_are_raised() -> None:
    """Of open files and of a file's size, as far as the hard ones let us."""
    done = _python(_LIMITS, around='ulimit -S -n 64; ulimit -S -f 8; exec "$@"')
    files, size = json.loads(done.stdout)
    assert files > 64, done.stderr
    assert size != 8 * 512


@pytest.mark.usefixtures("_environ")
def test_a_limit_that_is_too_low_is_said_with_what_lifts_it() -> None:
    """Before anything is touched, not after two minutes of nodes that fail without the word."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert surroundings.problems(3) == []
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    (said,) = surroundings.problems(3)
    assert said == f"this process may open 200 files (hard limit {hard}); 3 nodes need 308: ulimit -n 308"
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    assert len(surroundings.problems(3)) == 2


# -- folders


def _tool(folder: Path) -> Path:
    tool = folder / "whalefall-tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    return tool


@pytest.mark.parametrize("given", ["/usr/bin:/bin", "", "/nonexistent", None])
@pytest.mark.usefixtures("_environ")
def test_programs_of_the_system_are_found_whatever_path_is(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    """Cron's PATH has no /usr/sbin: what `doctor` sees there a run sees, too, and so does whatever it starts."""
    monkeypatch.setenv("PATH", given) if given is not None else monkeypatch.delenv("PATH")
    surroundings.keep_outside()
    assert {"/usr/sbin", "/sbin", "/usr/bin"} <= {*os.environ["PATH"].split(":")}
    assert surroundings.which("sh") == shutil.which("sh")


@pytest.mark.usefixtures("_environ")
def test_the_given_path_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever put a program there wants that one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert surroundings.which("whalefall-tool") is None
    assert surroundings.which(_tool(tmp_path).name) == str(tmp_path / "whalefall-tool")


@pytest.mark.parametrize("given", [".", "", "bin", "./bin:/usr/bin"])
@pytest.mark.usefixtures("_environ")
def test_no_program_of_the_folder_that_we_stand_in_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str) -> None:
    """It may be anybody's, and we may be root."""
    (tmp_path / "bin").mkdir()
    _tool(tmp_path)
    _tool(tmp_path / "bin")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", given)
    surroundings.keep_outside()
    assert shutil.which("whalefall-tool") is None
    assert surroundings.which("whalefall-tool") is None


@pytest.mark.parametrize("given", ["/nonexistent/tmp", "", "tmp", "/dev/null"])
@pytest.mark.usefixtures("_environ")
def test_a_temporary_folder_that_is_none_is_not_handed_on(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """Compilers and others would fail for it."""
    monkeypatch.setenv("TMPDIR", given)
    tempfile.tempdir = None
    surroundings.keep_outside()
    assert "TMPDIR" not in os.environ
    assert Path(tempfile.gettempdir()).is_dir()


@pytest.mark.usefixtures("_environ")
def test_a_home_that_is_missing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the user's own entry."""
    monkeypatch.delenv("HOME")
    surroundings.keep_outside()
    assert Path(os.environ["HOME"]).is_absolute()


def test_a_folder_that_is_gone_is_said() -> None:
    """Exit 4, and no bug to be reported."""
    code = "import harness.cli; harness.cli.main(['list'])"
    done = _python(code, around='mkdir -p "$D" && cd "$D" && rmdir "$D" && exec "$@"', D=tempfile.mkdtemp())
    assert (done.returncode, done.stdout) == (4, b"")
    assert done.stderr == b"whalefall failed: the folder that this was started in is not there any more; change to another one\n"


# -- signals

_CHILD = """
import signal, subprocess, sys
from harness.host import surroundings
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
surroundings.keep_outside()
print(subprocess.run(["false"]).returncode, signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGHUP))
"""


def test_children_that_fail_are_seen_to_fail() -> None:
    """With SIGCHLD ignored, as some supervisors leave it, every command would have succeeded. And nobody keeps a SIGTERM from us."""
    done = _python(_CHILD, around='trap "" HUP; exec "$@"')
    assert done.stdout == b"1 set() 1\n", done.stderr  # SIGHUP, ignored on purpose, stays ignored (SIG_IGN is 1)


# -- locales and names that are no text


def test_an_ascii_locale_changes_no_answer(tmp_path: Path) -> None:
    """Names in UTF-8 are read and written; what the terminal cannot show is spelled out."""
    folder = tmp_path / "été"
    folder.mkdir()
    scenario = folder / "mañana.yaml"
    shutil.copyfile(REPO / "scenarios" / "node-kill.yaml", scenario)
    code = "import sys, harness.cli; harness.cli.main(['plan', *sys.argv[1:], '--seed', '7'])"
    done = _python(code, str(scenario), **ASCII)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert b"node.kill" in done.stdout


def _plan(file: str) -> Plan:
    return Plan(
        "t", "why", file, "fleet", "nspawn", 7, "default", {}, (NodeSpec("n1", "10.77.0.11"),), (App("web", 1),), (), (), 1.0, (), (), None
    )


@pytest.mark.parametrize("name", [b"\xff\xfe", b"caf\xe9", "naïve 鯨".encode(), b"plain"])
def test_a_path_that_is_no_text_is_kept_as_it_is(tmp_path: Path, name: bytes) -> None:
    """A plan is written whole, is valid JSON in UTF-8, and is read back with the same path."""
    file = os.fsdecode(name) + ".yaml"
    folder = save_plan(_plan(file), tmp_path / "run-1")
    raw = (folder / "plan.json").read_bytes()
    raw.decode("utf-8")
    read = json_of(raw, "plan.json")
    assert isinstance(read, dict)
    assert read["file"] == file
    assert os.fsencode(str(read["file"])) == name + b".yaml"
    assert folders(tmp_path) == [folder]


# -- errors of the environment


@pytest.mark.parametrize("number", [errno.EFBIG, errno.ENOENT, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EAGAIN, errno.EBUSY])
def test_what_the_environment_does_is_never_called_a_bug(capsys: pytest.CaptureFixture[str], number: int) -> None:
    """A limit, results that were removed, a disk that fails: exit 4, with the path and what to do."""
    assert tell(OSError(number, os.strerror(number), "results/run-1/history.jsonl")) == 4
    said = capsys.readouterr().err
    assert f"results/run-1/history.jsonl: {os.strerror(number)}; " in said
    assert "bug" not in said


def test_sigpipe_and_the_like_are_pythons_own() -> None:
    """What Python ignores for itself its children do not inherit."""
    code = f"{_LIMITS}\nimport subprocess\nprint(subprocess.run(['sh', '-c', 'kill -PIPE $$']).returncode == -{int(signal.SIGPIPE)})"
    assert _python(code).stdout.endswith(b"True\n")


def test_tools_that_we_call_do_as_we_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not as the environment tells them: no other Vagrantfile, no lines of debugging among their answers. What leads to hosts of theirs stays."""
    for name in ("VAGRANT_VAGRANTFILE", "VIRSH_DEBUG", "LIBVIRT_DEBUG", "LIBVIRT_LOG_OUTPUTS", "RUBYOPT", "LIBVIRT_AUTH_FILE"):
        monkeypatch.setenv(name, "x")
    said = run_here(["env"]).stdout
    assert "LIBVIRT_AUTH_FILE=x" in said
    assert not [line for line in said.splitlines() if line.startswith(("VAGRANT_", "VIRSH_", "LIBVIRT_DEBUG", "LIBVIRT_LOG", "RUBYOPT"))]


def test_who_must_mend_is_not_the_first_to_go_when_memory_is_short() -> None:
    """Also where whoever started us is meant to be killed first."""
    script = (
        "from pathlib import Path; from harness.host import surroundings; score = Path('/proc/self/oom_score_adj'); score.write_text('500'); "
        "surroundings.outlive_shortage(); print(score.read_text())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 0


@pytest.mark.parametrize(
    "columns", ["", "0", "1", "7", "-5", "wide", "999999", "²", "٣", "9" * 5000, "10000000", "00000000080", " 80", "1e3"]
)
def test_a_console_of_any_width_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """A terminal that says nothing of itself says 0, as some CI systems' do. Nor is what is no number, or one that no screen has."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    scenario = Path(__file__).resolve().parents[2] / "scenarios" / "node-kill.yaml"
    for argv in (["plan", str(scenario)], ["modes"], ["list"]):
        done = CliRunner().invoke(cli.main, argv)
        assert done.exit_code == 0, (argv, done.output)
        assert len(done.output) < 1_000_000
    assert LEAST <= Console().width <= MOST
    assert Console().height <= MOST
    assert Console(width=MOST * 2).width == MOST * 2, "what we ask for ourselves is ours to bound"


FULL = {
    "output": "os.dup2(os.open('/dev/full', 1), 1)",
    "both": "os.dup2(os.open('/dev/full', 1), 1), os.dup2(1, 2)",
    "a pipe that nobody reads": "r, w = os.pipe(); os.close(r); os.dup2(w, 1); os.dup2(w, 2)",
}


_ENDS = """
import json, os, sys
from harness.cli import main

ends = {}
for name, where in json.loads(sys.argv[1]).items():
    if not (child := os.fork()):  # a process of its own, that ends as any does: what is left to print is printed then
        exec(where)
        main(sys.argv[2:])
    ends[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ends))
"""


@pytest.mark.parametrize("command", ["--version", "--help", "modes", "list", "plan nothing.yaml", "show nothing", "no-such-command"])
def test_where_nothing_can_be_printed_no_command_ends_with_the_status_of_a_broken_promise(tmp_path: Path, command: str) -> None:
    """As on a disk that is full, or for a reader that is gone: that is a failure of the harness, or bad input that was told all the same."""
    done = _python(_ENDS, json.dumps(FULL), *command.split(), around=f'cd {shlex.quote(str(tmp_path))} && exec "$@"')
    assert done.returncode == 0, done
    told = 2 if command in {"plan nothing.yaml", "show nothing", "no-such-command"} else 4
    assert json.loads(done.stdout.splitlines()[-1]) == {"output": told, "both": 4, "a pipe that nobody reads": 4}, done


def test_a_user_without_a_name_has_a_number_and_must_say_how_to_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is started with any uid: neither the environment nor the system knows a name."""

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert surroundings.user() == str(os.getuid())
    with pytest.raises(BadInput, match="as whom to log in on a host; say it: ansible_user in an inventory"):
        surroundings.login()
    monkeypatch.setattr(getpass, "getuser", lambda: "me")
    assert (surroundings.user(), surroundings.login()) == ("me", "me")


def test_nobody_else_asks_for_the_name_of_the_user() -> None:
    """There may be none."""
    asking = {
        str(each.relative_to(REPO / "harness"))
        for each in (REPO / "harness").rglob("*.py")
        if re.search(r"getuser|getlogin", each.read_text())
    }
    assert asking == {"host/surroundings.py"}
