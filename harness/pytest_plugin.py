"""Scenario files as pytest items, and a `cluster` fixture for scenarios that are written in Python. The only module that knows pytest.

``pytest scenarios/ --wf-mode fleet --wf-seed 7`` collects every scenario file below a folder named ``scenarios``, and any that is named on the
command line. A promise that was kept passes; a broken one fails, and so does a run that cannot be judged, in other words; a fault that this
machine cannot make is a skip; a harness that could not do its work is an error, as a broken fixture is. A control passes when it was convicted
for the right reason.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import re
import secrets
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

import pytest

from harness.core.errors import BadInput, BadPlugIns, HarnessError, Problem, Unsupported, in_words
from harness.core.plain import below, in_line, plain
from harness.core.values import SEEDS
from harness.reports import tested

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from harness.conductor import Options, Session
    from harness.conductor.standing import Standing
    from harness.history.interfaces import Checker
    from harness.history.recorder import Recorder
    from harness.plan import Plan
    from harness.runs.run import Run

FOLDER = "scenarios"
SUFFIXES = (".yaml", ".yml")
_SEED = pytest.StashKey[int]()
_STANDING: pytest.StashKey[Standing] = pytest.StashKey()
_WORKER_SEED = "whalefall_seed"
_UNREMOVED_THERE = "whalefall_unremoved"
_LENDS: pytest.StashKey[bool] = pytest.StashKey()
"""Whether our own `cluster` was asked for by a test."""
_LENT: pytest.StashKey[Session] = pytest.StashKey()
"""The session of a test that uses `cluster`, while it runs."""
_OWN: pytest.StashKey[list[tuple[str, object]]] = pytest.StashKey()
"""What we added to an item's properties: an item that is run again (pytest-rerunfailures) keeps them, and they are of another run."""
_UNFIT: pytest.StashKey[Sequence[str]] = pytest.StashKey()
"""What is wrong with plug-ins, a line each: no file and no test is at fault, and it is told once in a session."""
_PROPERTY = "whalefall"
"""Name of the property of a report that holds what was found where nothing was promised."""
_OURS = "whalefall"
"""Attribute of a test's report, also of one from a worker, that says that it is of a run of ours. Names of fixtures and properties are anybody's."""
_MISUSE = "whalefall_misuse"
"""Attribute of a report from a worker that says what is wrong with the command line."""
_UNREMOVED: pytest.StashKey[list[str]] = pytest.StashKey()
"""What workers could not remove at their end, a sentence each."""
_UNCLOSED = "unclosed <socket"
"""The Docker SDK leaves the socket of a connection that failed to the garbage collector. Where warnings are errors, a node that was killed on purpose
must not fail the test by that."""


# -- options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the command line and of the ini-file; they mean what they mean to `whalefall run`.

    Every one begins with ``--wf-`` or ``whalefall_``: pytest knows no two options of one name, and other plug-ins have a --profile or an --inventory.
    """
    group = parser.getgroup("whalefall", "whalefall: scenarios on real clusters")
    group.addoption(
        "--wf-mode",
        metavar="NAME[,NAME]",
        help="how clusters are orchestrated, in place of what the scenario says; with several, once each",
    )
    group.addoption("--wf-provider", metavar="NAME", help="where nodes come from, in place of what the scenario says")
    group.addoption("--wf-profile", metavar="NAME", help="timers, in place of what the scenario says: default or fast")
    group.addoption("--wf-seed", type=_number, metavar="N", help="for every choice that is left to chance (default: random, printed)")
    group.addoption(
        "--wf-results", type=Path, metavar="DIR", help="folder that runs are kept in (default: results, beside pytest's ini-file)"
    )
    group.addoption(
        "--wf-inventory", metavar="FILE[:GROUP]", help="hosts for the provider inventory (default: what WHALEFALL_INVENTORY names)"
    )
    group.addoption("--wf-keep-cluster", action="store_true", help="leave clusters standing; `whalefall sweep --kept` removes them")
    group.addoption(
        "--wf-reuse-cluster",
        action="store_true",
        help="make a cluster once, and reset its machines before each further run that needs the same one (virtual machines only)",
    )

    group.addoption(
        "--wf-again",
        type=_number,
        default=0,
        metavar="N",
        help="run a scenario anew, N times at most and with no other beside it, where nothing could be said of it because this machine had too "
        "much to do (default: 0)",
    )

    for name in _SETTINGS:
        parser.addini(f"whalefall_{name}", f"what --wf-{name} is where the command line does not say it", default="")


_LENDING = frozenset({"cluster", "lend"})
"""Fixtures by which a test has a cluster."""
_SETTINGS = ("mode", "provider", "profile", "results", "inventory")
"""What the ini-file can say as ``whalefall_…``."""


def _chosen(config: pytest.Config, name: str) -> str | None:
    """Return what the command line says, or else the ini-file; None where neither says anything."""
    return config.getoption(f"--wf-{name}") or config.getini(f"whalefall_{name}") or None


def _modes(config: pytest.Config) -> tuple[str, ...]:
    """Return the modes that the command line, or else the ini-file, names, each once; nothing where neither says anything."""
    return tuple(dict.fromkeys(each.strip() for each in (_chosen(config, "mode") or "").split(",") if each.strip()))


def _number(text: str) -> int:
    """Read a seed, or how many. Raises argparse's error, which names the option, for anything but a whole number from 0."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 0")
    return number


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and choose the seed, the same one in every worker. Raises `pytest.UsageError` for a name that an option cannot take."""
    _check_names(config)
    if config.getoption("--wf-keep-cluster") and config.getoption("--wf-reuse-cluster"):
        raise pytest.UsageError(
            "--wf-keep-cluster and --wf-reuse-cluster exclude each other: a cluster that is reset is not kept as a run left it"
        )
    inventory = _chosen(config, "inventory")
    if inventory:
        # Where the provider, and a worker of pytest-xdist, look for it; left there, since pytest ends with its process.
        os.environ["WHALEFALL_INVENTORY"] = inventory
    config.addinivalue_line("markers", "scenario: a scenario file")
    config.addinivalue_line("markers", "control: a scenario on a cluster misconfigured on purpose, which must be convicted")
    config.addinivalue_line("markers", f"whalefall({', '.join(_WISHES)}): what the `cluster` fixture makes")
    config.pluginmanager.register(_Conforming(), "whalefall-junit")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Foreman(), "whalefall-foreman")
    worker: Mapping[str, Any] = getattr(config, "workerinput", {})
    given = config.getoption("--wf-seed")
    config.stash[_SEED] = worker.get(_WORKER_SEED, secrets.randbelow(SEEDS) if given is None else given)


def run_seed(config: pytest.Config) -> int:
    """Return the seed of this run of pytest: the same in each of its workers, and what `--wf-seed` repeats."""
    return config.stash[_SEED]


def _check_names(config: pytest.Config) -> None:
    """Raise one usage error for all names that the options cannot take: the scenario files are not at fault, and are many."""
    given = [(name, value) for name in ("provider", "profile") if (value := _chosen(config, name)) is not None]
    modes = _modes(config)
    if not modes and (said := _chosen(config, "mode")) is not None:
        raise pytest.UsageError(f"argument --wf-mode: {said!r}, which names none; expected a mode, or several with commas between them")
    if not given and not modes:
        return
    from harness.registry import known, valid_names  # noqa: PLC0415 - see `_options`

    try:
        valid = [valid_names(known(), mode) for mode in modes or (None,)]
    except BadPlugIns as error:
        raise pytest.UsageError(*map(in_line, error.problems)) from error
    wrong = [
        f"argument --wf-{name}: {value!r}; expected one of: {', '.join(sorted(set.intersection(*(each[name] for each in valid))))}"
        for name, value in [*(("mode", each) for each in modes), *given]
        if not all(value in each[name] for each in valid)
    ]
    if wrong:
        raise pytest.UsageError(*wrong)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the seed to a worker of pytest-xdist."""
    node.workerinput[_WORKER_SEED] = node.config.stash[_SEED]


def pytest_report_header(config: pytest.Config) -> str:
    """Say what a run can be repeated with."""
    chosen = [f"{name} {value}" for name in ("mode", "provider", "profile") if (value := _chosen(config, name))]
    return in_line(f"whalefall: {', '.join([*chosen, f'--wf-seed {config.stash[_SEED]}'])}")


def _results(config: pytest.Config) -> Path:
    given: Path | None = config.getoption("--wf-results")
    named = os.environ.get("WHALEFALL_RESULTS")
    return given or (Path(named) if named else config.rootpath / (config.getini("whalefall_results") or "results"))


def _options(config: pytest.Config) -> Options:
    from harness.conductor import Options  # noqa: PLC0415 - this plugin is loaded in every pytest run: it costs nothing until it is used

    standing = None
    if config.getoption("--wf-reuse-cluster"):
        from harness.conductor.standing import Standing  # noqa: PLC0415 - same

        standing = config.stash.setdefault(_STANDING, Standing())
    return Options(results=_results(config), keep=config.getoption("--wf-keep-cluster"), standing=standing, stop=threading.Event())


@contextlib.contextmanager
def _beside_others(config: pytest.Config) -> Iterator[None]:
    """Run beside what else is run, in other workers of pytest-xdist, but beside nothing that is done again: it is to have the machine to itself."""
    if not config.getoption("--wf-again"):
        yield
        return
    from harness.core.clock import SystemClock  # noqa: PLC0415 - see `_options`
    from harness.host import turns  # noqa: PLC0415 - same

    with turns.beside(_results(config), SystemClock()):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let a test that has a cluster lent wait for what is done again; a scenario does so itself."""
    __tracebackhide__ = True  # in the tests of everybody who has us installed
    with _beside_others(item.config) if _LENDING & {*getattr(item, "fixturenames", ())} else contextlib.nullcontext():
        return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the cluster that the last run left for another. Where that fails the session has failed, and what to do is said.

    The status of a worker of pytest-xdist is nobody's: it tells the session that started it.
    """
    config = session.config
    failed = config.stash.get(_UNREMOVED, [])
    standing = config.stash.get(_STANDING, None)
    if standing is not None:
        try:
            standing.close()
        except HarnessError as error:
            failed.append(f"whalefall: the cluster could NOT be removed: {below(error)}; `whalefall sweep` tries again")
    if hasattr(config, "workerinput"):
        getattr(config, "workeroutput", {})[_UNREMOVED_THERE] = failed
    elif failed:
        sys.stderr.write("".join(f"\n{each}\n" for each in failed))
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


class _Foreman:
    """What the session that started workers of pytest-xdist hears of them: nobody reads what they raise, nor their status."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Raise `pytest.UsageError` for what a worker found wrong with the command line, once for all of them."""
        if said := getattr(report, _MISUSE, ""):
            raise pytest.UsageError(said)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear what a worker could not remove."""
        node.config.stash.setdefault(_UNREMOVED, []).extend(getattr(node, "workeroutput", {}).get(_UNREMOVED_THERE, []))


# -- scenario files


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a YAML file that is named on the command line or lies below a folder named ``scenarios``."""
    if file_path.suffix not in SUFFIXES:
        return None
    named = parent.session.isinitpath(file_path)
    if (named or FOLDER in _folders(file_path, parent.config.rootpath)) and _is_ours(file_path, named=named):
        name, nodeid = None, None
        root = parent.config.rootpath
        if not file_path.is_relative_to(root):
            # pytest names a file outside its root that was given itself by nothing: reports would not say which it was.
            nodeid = in_line(file_path.name) if parent.session.isinitpath(file_path) else None
        elif (harmless := in_line(file_path.relative_to(root).as_posix())) != file_path.relative_to(root).as_posix():
            # What a terminal would obey is spelled out in reports; every other name is pytest's own.
            name, nodeid = in_line(file_path.name), harmless
        return ScenarioFile.from_parent(parent, path=file_path, name=name, nodeid=nodeid)
    return None


def _is_ours(path: Path, *, named: bool) -> bool:
    from harness.scenario import recognition  # noqa: PLC0415 - see `_options`

    return recognition.is_ours(path, named=named)


def _folders(path: Path, root: Path) -> tuple[str, ...]:
    """Return the names of the folders that a file lies in, from pytest's root on: what is above it says nothing about the file."""
    return (root.name, *path.relative_to(root).parts[:-1]) if path.is_relative_to(root) else path.parts[:-1]


class ScenarioFile(pytest.File):
    """One scenario file."""

    def collect(self) -> Iterable[pytest.Item]:
        """Yield its one item, or one for each of several modes; a skip where it is not for a mode.

        All that is wrong with the file, in any of the modes, is one collection error, without a traceback.
        """
        from harness.scenario import recognition  # noqa: PLC0415 - see `_options`

        modes = _modes(self.config)
        if (link := recognition.linked(self.path)) and not self.session.isinitpath(self.path):
            raise self.CollectError(_beside(link, self.path))
        problems: dict[str, None] = {}
        items = []
        for mode in modes or (None,):
            try:
                items.append(self._item(mode, f"[{mode}]" if len(modes) > 1 else ""))
            except BadInput as error:
                problems |= dict.fromkeys(_beside(problem, self.path) for problem in error.problems)
            except BadPlugIns as error:
                first = _first_told(self.config, error)
                if first and hasattr(self.config, "workerinput"):  # a worker of pytest-xdist has no other way to be heard
                    raise self.CollectError(first) from error
                return []
        if problems:
            raise self.CollectError("\n".join(problems))
        return items

    def _item(self, mode: str | None, suffix: str) -> pytest.Item:
        """Return the item of a mode. Raises what `harness.plan.plan_of` raises, but for what says that the scenario is not for the mode."""
        from harness.plan import plan_of  # noqa: PLC0415 - see `_options`
        from harness.scenario import NotForMode  # noqa: PLC0415 - same

        config = self.config
        provider, profile = (_chosen(config, name) for name in ("provider", "profile"))
        try:
            plan = plan_of(self.path, mode=mode, provider=provider, profile=profile, seed=config.stash[_SEED])
        except NotForMode as error:
            left: LeftOut = LeftOut.from_parent(self, name=f"{error.scenario}{suffix}", reason=error.reason)
            return left
        item: ScenarioItem = ScenarioItem.from_parent(self, name=f"{plan.scenario}{suffix}", plan=plan)
        item.add_marker("scenario")
        item.add_marker(pytest.mark.filterwarnings(f"ignore:{_UNCLOSED}:ResourceWarning"))
        if plan.control is not None:
            item.add_marker("control")
        return item


def _first_told(config: pytest.Config, error: BadPlugIns) -> str:
    """Return what is wrong with plug-ins, a line each; nothing to whoever is not the first in this process to ask."""
    first = _UNFIT not in config.stash
    said = [in_line(each) for each in error.problems]
    config.stash[_UNFIT] = said
    return "\n".join(said) if first else ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config) -> None:
    """Raise `pytest.UsageError` where scenario files could not be read since plug-ins cannot be used: once, and not for each of the files."""
    if (unfit := config.stash.get(_UNFIT, ())) and not hasattr(config, "workerinput"):
        raise pytest.UsageError(*unfit)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Raise `pytest.UsageError` for an inventory that no run would use: what is broken would be another cluster than the one that was named.

    Asked of what is left to run. A worker of pytest-xdist has nobody who reads what it raises: it reports to the session that started it.
    """
    config = session.config
    if not config.getoption("--wf-inventory"):
        return
    used = [provider for item in session.items if (provider := _provider_of(item)) is not None]
    if not used or "inventory" in used:
        return
    said = "--wf-inventory names hosts for --wf-provider inventory, and no scenario takes its nodes from there"
    if not hasattr(config, "workerinput"):
        raise pytest.UsageError(said)
    report = pytest.CollectReport(nodeid="", outcome="failed", longrepr=said, result=[])
    setattr(report, _MISUSE, said)
    session.ihook.pytest_collectreport(report=report)
    session.items = []


def _provider_of(item: pytest.Item) -> object:
    """Return from where a test takes its nodes; None for one that has none of ours."""
    if isinstance(item, ScenarioItem):
        return item.plan.provider
    markers = list(item.iter_markers("whalefall"))  # the nearest one first
    if not markers and not ("cluster" in getattr(item, "fixturenames", ()) and _is_lent_by_us(item)):
        return None
    asked = next((marker.kwargs["provider"] for marker in markers if "provider" in marker.kwargs), _WISHES["provider"])
    return _chosen(item.config, "provider") or asked


def _beside(problem: Problem, path: Path) -> str:
    """Give a problem with its file named as on the command line."""
    return in_line(dataclasses.replace(problem, file=_near(path)) if problem.file == str(path) else problem)


def _near(path: Path) -> str:
    """Name a file relative to the folder that pytest was started in, if it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


class ScenarioItem(pytest.Item):
    """One scenario. The run is its set-up and the verdict its test, so that a harness that failed is an error and a broken promise a failure."""

    def __init__(self, *, plan: Plan, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.took = 0.0  # seconds of the set-up, in which it was run
        self._run: Run | None = None

    def setup(self) -> None:
        """Conduct the run; nothing where pytest is only to plan or to set up (--setup-plan, --setup-only): what is tested is a run."""
        if self.config.getoption("setuponly") or self.config.getoption("setupplan"):
            return
        from harness.conductor import conduct  # noqa: PLC0415 - see `_options`
        from harness.host import turns  # noqa: PLC0415 - same

        options = _options(self.config)
        _forget(self)
        _keep(self, tested.planned_properties(self.plan, _near(self.path)))
        with _told(options, _begin(self.config, self.plan), plan=self.plan):
            try:
                with _beside_others(self.config):
                    self._run = conduct(self.plan, options)
                for _ in range(self.config.getoption("--wf-again")):
                    if not tested.could_not_tell(self._run):
                        break
                    before = f"{self.plan.scenario}: {tested.wrong(self._run)}"
                    _say(self.config, f"{before}; once more (kept in {_near(self._run.folder)})")
                    try:
                        with turns.by_itself(options.results, options.clock):
                            again = conduct(self.plan, options)
                    except Unsupported as error:  # what could not be said before is no skip
                        _say(self.config, f"{self.plan.scenario}: not once more: {error}")
                        break
                    _keep(self, [(tested.BEFORE, self._run.run_id)])
                    self._run = again
            except KeyboardInterrupt:
                options.stop.set()
                raise
        _keep(self, tested.properties(self._run))

    def runtest(self) -> None:
        """Fail unless every promise was kept; a control, unless it was convicted for the right reason."""
        run = self._run
        if run is None:
            pytest.fail(f"{self.plan.scenario} was not run", pytrace=False)
        wrong = tested.wrong(run)
        if wrong:
            pytest.fail(plain(f"{wrong}\n{tested.text(run)}\n{tested.again(_near(self.path), self.plan)}"), pytrace=False)

    def teardown(self) -> None:
        """Let go of the history: a folder of scenarios would otherwise keep them all in memory."""
        self._run = None

    def reportinfo(self) -> tuple[Path, int, str]:
        """Name the scenario in reports."""
        return Path(in_line(self.path)), 0, f"scenario {self.name}"


def _forget(item: pytest.Item) -> None:
    """Take off an item what an earlier run of it left there: the figures of two runs would be told as one's."""
    own = item.stash.get(_OWN, [])
    item.user_properties[:] = [each for each in item.user_properties if not any(each is one for one in own)]
    item.stash[_OWN] = []
    sections: list[tuple[str, str, str]] = getattr(item, "_report_sections", [])
    sections[:] = [each for each in sections if each[1] != _OURS]


def _keep(item: pytest.Item, found: list[tuple[str, object]]) -> None:
    """Have an item's reports keep something of its run."""
    item.stash[_OWN] = [*item.stash.get(_OWN, []), *found]
    item.user_properties += found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Book a run's time as the test's, in which its verdict is told, and not as set-up, which a harness that failed is told in.

    Of a run that failed the first line alone is its message: it is the cause. In CI, and with -vv, pytest's short summary and its JUnit file would
    repeat the whole report otherwise.
    """
    __tracebackhide__ = True
    error = call.excinfo.value if call.excinfo is not None else None
    if error is not None:
        _cut(error, within=item.path)  # also of a subtest, which ends no phase
    report = yield
    if not (isinstance(item, ScenarioItem) or item.stash.get(_LENDS, False)):
        return report
    setattr(report, _OURS, True)
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None and _in_words(call):
        crash.message = crash.message.partition("\n")[0]
    if isinstance(item, ScenarioItem):
        if call.when == "setup" and report.passed:
            item.took, report.duration = report.duration, 0.0
        elif call.when == "call":
            report.duration += item.took
    return report


def _in_words(call: pytest.CallInfo[None]) -> bool:
    """Whether a test ended with a message of ours, and not by an assertion of its author's."""
    return call.excinfo is not None and isinstance(call.excinfo.value, pytest.fail.Exception) and not call.excinfo.value.pytrace


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """Say with -v of a run that passed how long each lost instance took to run again."""
    if not (_is_of_ours(report) and report.when == "call" and report.passed and config.get_verbosity() >= 1):
        return None
    back = tested.recovered(report.user_properties)
    return ("passed", ".", f"PASSED ({in_line(back)})") if back else None


def _is_of_ours(report: object) -> TypeGuard[pytest.TestReport]:
    """Whether a report is of a scenario file, or of a test that our `cluster` was lent to."""
    return isinstance(report, pytest.TestReport) and bool(getattr(report, _OURS, False))


class _Conforming:
    """What comes after pytest has written its JUnit file."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Give pytest's JUnit file, where one was asked for, the form that Jenkins' schema has."""
        path = session.config.getoption("xmlpath", None)
        if path and not hasattr(session.config, "workerinput"):
            conform(Path(os.path.expandvars(path)).expanduser())


MOST_BYTES = 1 << 28
"""Of a larger JUnit file the form is left as pytest made it."""


def conform(path: Path) -> None:
    """Give a JUnit file its form, in place. What is no ordinary file (a pipe, /dev/stdout), or cannot be read or written, stays as it is."""
    from harness.host import untrusted  # noqa: PLC0415 - see `_options`
    from harness.reports.junit import conformed  # noqa: PLC0415 - same

    with contextlib.suppress(OSError, BadInput):
        real = path.resolve()
        untrusted.write(real.parent, real.name, conformed(untrusted.named(real, MOST_BYTES, "a JUnit file")))


class LeftOut(pytest.Item):
    """A scenario whose file says that it is not for the mode: a skip with the file's own words."""

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_marker("scenario")
        self.add_marker(pytest.mark.skip(reason=in_line(reason)))

    def runtest(self) -> None:
        """Nothing to run: it is skipped before."""

    def reportinfo(self) -> tuple[Path, int, str]:
        """Name the scenario in reports."""
        return Path(in_line(self.path)), 0, f"scenario {self.name}"


def _test(item: pytest.Item) -> str:
    """Name a test as pytest takes it in the folder that it was started in; its node id is relative to pytest's root."""
    return f"{_near(item.path)}::{item.nodeid.partition('::')[2]}"


def _begin(config: pytest.Config, plan: Plan) -> Callable[[Path], None]:
    """Return what says, while a run goes, which one it is, where it is written and when it is over at the latest: its verdict is minutes away."""
    return lambda history: _say(config, tested.begun(plan, Path(_near(history))))


def _say(config: pytest.Config, text: str) -> None:
    """Say something of a run that goes on, past pytest's capture; nothing with -q.

    What a worker of pytest-xdist reports goes nowhere; its standard error is pytest's own.
    """
    if config.get_verbosity() < 0:
        return
    line = in_line(f"whalefall: {text}")
    capture, reporter = (config.pluginmanager.get_plugin(name) for name in ("capturemanager", "terminalreporter"))
    with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
        if reporter is not None and not hasattr(config, "workerinput"):
            reporter.ensure_newline()
            reporter.write_line(line)
        else:
            with contextlib.suppress(OSError, ValueError):  # closed: a run goes on without an onlooker
                sys.stderr.write(f"\n{line}\n")
                sys.stderr.flush()


@contextlib.contextmanager
def _told(
    options: Options | None = None, begun: Callable[[Path], None] | None = None, *, plan: Plan | None = None, session: Session | None = None
) -> Iterator[None]:
    """Turn whatever ends our work into pytest's words: a skip for what cannot be done here, a few lines for all else, and our own bugs as they are.

    Where a run of this `plan` and with these `options` has begun, `begun` is called with its history, and an error says where what was recorded of it
    lies; so it does of a `session` that goes on. What others raise to end a test (a time limit) ends the run, too: then what is left of it is said.
    """
    folders: list[Path] = [] if session is None else [session.folder]

    def listen(recorder: Recorder) -> None:
        folders.append(recorder.path.parent)
        if begun is not None:
            begun(recorder.path)

    if options is not None:
        options.listen = listen
    try:
        yield
    except Unsupported as error:
        raise pytest.skip.Exception(in_line(error), _use_item_location=True) from None  # pytest would print both, the first one first
    except HarnessError as error:
        _fail(error, folders[-1] if folders else None)
    except (pytest.fail.Exception, pytest.skip.Exception, pytest.exit.Exception) as error:
        made_with = session.options if session is not None else options
        keep = made_with is not None and made_with.keep
        _end(error, folders[-1] if folders else None, session.plan if session is not None else plan, keep=keep)
    except (OSError, RuntimeError) as error:
        from harness.reports import trouble  # noqa: PLC0415 - see `_options`

        of_environment = trouble(error)
        if not of_environment:
            raise
        kept = tested.recorded(folders[-1] if folders else None)
        raise pytest.fail.Exception(f"{in_line(f'whalefall failed: {of_environment}')}{kept}", pytrace=False) from None


def _fail(error: HarnessError, folder: Path | None) -> NoReturn:
    from harness.core.stops import Stopped  # noqa: PLC0415 - see `_options`

    words = "whalefall was stopped" if isinstance(error, Stopped) else "whalefall failed"
    said = "\n".join(map(in_line, error.problems)) if isinstance(error, BadInput) else below(f"{words}: {error}")
    raise pytest.fail.Exception(f"{said}{tested.recorded(folder)}", pytrace=False) from None


def _end(error: Any, folder: Path | None, plan: Plan | None, *, keep: bool) -> NoReturn:
    """Raise anew what somebody else raised to end a test, in the middle of our work: its cause, then which run it ended and what is left of it."""
    if folder is None:
        raise error
    from harness.undo.leaving import left  # noqa: PLC0415 - see `_options`

    said = in_line((error.msg or type(error).__name__).partition("\n")[0])
    run = f"it ended run {in_line(folder.name)}"
    with contextlib.suppress(HarnessError, OSError):  # its ledger cannot be read: where it lies is said
        run += f": {left(folder, plan, keep=keep)}" if plan is not None else ""
    words = f"{said}\n{run}{tested.recorded(folder)}"
    if isinstance(error, pytest.exit.Exception):
        raise pytest.exit.Exception(words, error.returncode) from None
    if isinstance(error, pytest.skip.Exception):
        raise pytest.skip.Exception(words, _use_item_location=True) from None
    raise pytest.fail.Exception(words, pytrace=False) from None


# -- scenarios in Python

_WISHES: dict[str, Any] = {
    "nodes": 3,
    "apps": (),
    "workloads": (),
    "mode": "fleet",
    "provider": "nspawn",
    "profile": "default",
    "timers": {},
    "slow_disks": False,
    "promises": (),
}
"""What the marker ``whalefall`` can ask of the `cluster` fixture, and what it gets where it does not. The command line takes precedence."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test that our `cluster` is lent to run in each of several modes that were asked for."""
    modes = _modes(metafunc.config)
    if len(modes) > 1 and "cluster" in metafunc.fixturenames and _is_lent_by_us(metafunc.definition):
        metafunc.parametrize("cluster", modes, indirect=True)


def _is_lent_by_us(node: pytest.Item) -> bool:
    """Whether the `cluster` of a test is ours, or one of somebody's that asks for ours."""
    fixtures: Any = node.config.pluginmanager.get_plugin("funcmanage")
    for each in reversed(fixtures.getfixturedefs("cluster", node) or ()):
        if each.func.__module__ == __name__:
            return True
        if "cluster" not in each.argnames:
            return False
    return False


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Session]:
    """Lend a cluster that is formed, deployed, steady and watched to the end; healed and removed after the test, whatever happened.

    ``@pytest.mark.whalefall(nodes=3, apps=[App("web", 2)], workloads=[…])`` says what it is made of; ``cluster.break_(fault, "leader", Hold(5))``
    breaks something, holds it and mends it; ``cluster.cluster`` are the nodes. Everything is recorded in ``cluster.folder``, and is a run like any
    other. ``cluster.promise(Rescheduled("web"))`` promises something: then the test fails as a scenario file does where it was not kept, or where
    that cannot be said. Without a promise what was found is told at the end of the session, and not judged.

    For ``host.service("docker").is_running`` take `harness.nodes.testinfra_backend.host` of a node.
    """
    from harness.conductor import lent  # noqa: PLC0415 - see `_options`
    from harness.core.values import Phase  # noqa: PLC0415 - same
    from harness.history.events import PhaseBegan  # noqa: PLC0415 - same

    request.node.stash[_LENDS] = True
    plan, promises = _lent_plan(request)
    _forget(request.node)
    _keep(request.node, tested.planned_properties(plan, _near(request.path)))
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", _UNCLOSED, ResourceWarning)
        options = _options(request.config)
        with _told(options, _begin(request.config, plan), plan=plan):
            session = stack.enter_context(lent(plan, options))
            session.promise(*promises)
            session.begin()
            session.recorder.record(PhaseBegan(Phase.FAULTS))
        request.node.stash[_LENT] = session
        yield session
        del request.node.stash[_LENT]
        with _told(session=session):
            stack.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """End and tell a test's run where another fixture of the test fails after its cluster was lent: its body never comes."""
    __tracebackhide__ = True  # in the tests of everybody who has us installed
    with _failing(item, "setup"):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Judge a test's run when the test is over: what it promised decides, after its own assertions."""
    __tracebackhide__ = True  # in the tests of everybody who has us installed
    with _failing(item, "call"):
        yield
    if (session := item.stash.get(_LENT, None)) is not None:
        _judge(item, session)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Tell a fixture that asks for more once the run was judged so, without our own frames."""
    __tracebackhide__ = True  # in the tests of everybody who has us installed
    try:
        yield
    except BaseException as error:
        _cut(error)
        raise


_PHASES = {"setup": "set-up", "call": "body"}
"""The phases of a test in which a run that is its own may end, in words."""


@contextlib.contextmanager
def _failing(item: pytest.Item, when: str) -> Iterator[None]:
    """Note in a test's run what ends the test in one of its phases, and where that is no skip, tell beside it what was found.

    What cannot be made here is a skip, where nothing was broken before.
    """
    try:
        yield
    except (KeyboardInterrupt, pytest.exit.Exception):  # the end of all tests
        raise
    except BaseException as error:  # as pytest has it: also a SystemExit is the end of one test
        _cut(error)
        if (session := item.stash.get(_LENT, None)) is not None:
            from harness.history.events import STOPPED_EARLY, TEST_ENDED, Note  # noqa: PLC0415 - see `_options`

            theirs = isinstance(error, pytest.fail.Exception | pytest.skip.Exception)
            said = f"{type(error).__name__}: {getattr(error, 'msg', '')}" if theirs else in_words(error)
            why = f"{TEST_ENDED}{_PHASES[when]} ({in_line(said.partition(chr(10))[0][:MOST_SAID])})"
            # What was broken before is judged all the same: no skip hides what was found.
            cannot = isinstance(error, Unsupported) and not session.broke_something
            skipped = cannot or isinstance(error, pytest.skip.Exception)
            session.recorder.record(Note(f"{STOPPED_EARLY}: {why}" if skipped else why))
            if cannot:
                raise pytest.skip.Exception(in_line(error), _use_item_location=True) from None
            if not skipped:
                _tell(item, session, when)
        raise


MOST_SAID = 200
"""Letters of what ended a test that its run keeps: the test's own report has all of it."""


def _refused(error: BaseException) -> bool:
    """Whether an error is the word of a class which cannot be made with such values."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return isinstance(error, ValueError) and at is not None and at.tb_frame.f_code.co_name == "__post_init__"


def _cut(error: BaseException, within: Path | None = None) -> None:
    """Let errors that are told in words, and stand in the chain of one, end where a test, or a fixture, called us.

    Our own frames, and what was raised in them, explain nothing to its author, and pytest may show what they hold (``--showlocals``). Where the error
    came through our hooks as well, only the frames `within` the test's own file, and what that called, are asked.
    """
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        if isinstance(each, HarnessError) or _refused(each):
            _cut_one(each, within if each is error else None)
        each = _told_behind(each)


def _cut_one(error: BaseException, within: Path | None) -> None:
    """Cut the traceback of one error, and leave behind it only what was raised before we were called."""
    ours = Path(__file__).parent
    last = None
    at = error.__traceback__
    while within is not None and at is not None and Path(at.tb_frame.f_code.co_filename) != within:
        at = at.tb_next
    while at is not None:
        mine = Path(at.tb_frame.f_code.co_filename).is_relative_to(ours)
        if last is not None and mine:
            last.tb_next = None
            _leave_behind(error)
            return
        last = None if mine else at
        at = at.tb_next


def _told_behind(error: BaseException) -> BaseException | None:
    """Return the error that is told with this one, as what led to it."""
    return error.__context__ if error.__cause__ is None and not error.__suppress_context__ else error.__cause__


def _leave_behind(error: BaseException) -> None:
    """Take out of the chain behind an error whose traceback was cut whatever was caught in the frames that it has lost."""
    kept = set()
    at = error.__traceback__
    while at is not None:
        kept.add(at.tb_frame)
        at = at.tb_next
    seen: list[BaseException] = [error]
    behind = None
    for each in seen:  # it grows
        if each is not error and each.__traceback__ is not None and each.__traceback__.tb_frame in kept:
            behind = each
            break
        seen += [other for other in (each.__cause__, each.__context__) if other is not None and other not in seen]
    error.__cause__ = None
    error.__context__ = behind
    error.__suppress_context__ = behind is None


def _judge(item: pytest.Item, session: Session) -> None:
    """End a test's run, and fail unless what it promised was kept; without a promise tell what was found."""
    with _told(session=session):
        run = _ended(item, session)
    if not session.promised:
        words = "; ".join(f"{each.checker} {each.verdict}: {each.summary}" for each in run.findings)
        _keep(item, [(_PROPERTY, f"nothing was promised, so nothing was judged: {words} (kept in {run.folder})")])
        return
    wrong = tested.wrong(run)
    if wrong:
        pytest.fail(plain(f"{wrong}\n{tested.text(run)}\n{tested.again(_test(item), run.plan)}"), pytrace=False)


def _tell(item: pytest.Item, session: Session, when: str) -> None:
    """End the run of a test that failed by itself, and tell beside its failure what was found. Trouble with that must not hide the failure."""
    try:
        run = _ended(item, session)
    except HarnessError as error:
        said, plan = below(f"the run could not be judged: {error}"), session.plan
    else:
        said, plan = tested.text(run, opened=False), run.plan
    item.add_report_section(when, "whalefall", plain(f"{said}\n{tested.again(_test(item), plan)}"))


def _ended(item: pytest.Item, session: Session) -> Run:
    """Bring a test's run to its end, and return it judged."""
    from harness.conductor import judged  # noqa: PLC0415 - see `_options`

    session.end()
    run = judged(session)
    _keep(item, tested.properties(run))
    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what was found in the runs of tests that promised nothing, also of those in workers."""
    lines = [
        f"{report.nodeid}: {value}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if _is_of_ours(report) and report.when == "call" and str(report.outcome) != "rerun"
        for name, value in report.user_properties
        if name == _PROPERTY
    ]
    if lines:
        terminalreporter.section("whalefall: told, not judged")
        for line in lines:
            terminalreporter.write_line(in_line(line))


def _without(name: str, mode: str) -> str:
    """Return a test's name without the mode that we put into it: it is the same scenario in each, and its run says the mode by itself."""
    head, bracket, ids = name.removesuffix("]").partition("[")
    if not (mode and bracket):
        return name
    left = re.sub(rf"(?:(?<=^)|(?<=-)){re.escape(mode)}(?:-|$)", "", ids, count=1).strip("-")
    return f"{head}[{left}]" if left else head


@contextlib.contextmanager
def _placed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tell what is wrong with a test's marker where the test begins, as what is wrong with a scenario file is told where it stands."""
    try:
        yield
    except BadInput as error:
        path, line, _ = request.node.reportinfo()  # of the test itself, whatever decorators stand around it
        hidden = line is None or line < 0 or Path(path) != request.path  # behind a decorator that says nothing of what it stands around
        place: tuple[str, int, int] = (_test(request.node), 0, 0) if hidden else (_near(request.path), line + 1, 1)
        raise BadInput(
            [each if each.line else Problem(*place, f"{each.file}: {each.found}", each.expected, each.hint) for each in error.problems]
        ) from error


def _lent_plan(request: pytest.FixtureRequest) -> tuple[Plan, Sequence[Checker]]:
    """Make a plan without steps of a test's marker, and return it with what the marker promises."""
    from harness.conductor import spelling  # noqa: PLC0415 - see `_options`
    from harness.plan import asked_plan  # noqa: PLC0415 - same
    from harness.registry import known  # noqa: PLC0415 - same

    asked: dict[str, Any] = {}
    positional: list[Any] = []
    for marker in reversed(list(request.node.iter_markers("whalefall"))):  # the nearest one last
        asked.update(marker.kwargs)
        positional += marker.args
    given = {name: value for name in ("provider", "profile") if (value := _chosen(request.config, name))}
    modes = _modes(request.config)
    mode_given = getattr(request, "param", None) or next(iter(modes), None)
    if len(modes) > 1 and getattr(request, "param", None) is None:
        hint = "a test function, or a fixture of one, that takes `cluster` as an argument; or name one mode"
        pytest.fail(f"asked for in a way that cannot be run in each of {', '.join(modes)}; expected {hint}", pytrace=False)
    if mode_given is not None:
        given["mode"] = mode_given
    wish = {**_WISHES, **asked, **given}
    try:
        known()
    except BadPlugIns as error:
        first = (
            _first_told(request.config, error) or "the plug-ins of Whalefall cannot be used: the first test that wanted a cluster says why"
        )
        pytest.fail(f"whalefall failed: {first}", pytrace=False)
    with _told(), _placed(request):
        spelling.must_be_keywords(asked, _WISHES)
        spelling.must_be_wishes(wish, positional)
        wish["timers"] = spelling.timers_of(wish)
        mode: Any = known().modes[wish["mode"]].from_timers(wish["profile"], wish["timers"])
        spelling.must_be_cluster(wish["nodes"], wish["apps"], wish["provider"], str(request.path), mode)
        apps = [app.name for app in wish["apps"]]
        spelling.must_be_workloads(wish["workloads"], apps, [f"n{number + 1}" for number in range(wish["nodes"])], mode)
        spelling.must_be_promises(wish["promises"], apps, wish["workloads"], mode)
    plan = asked_plan(
        wish,
        mode,
        name=_without(request.node.name, getattr(request, "param", "")),
        why=getattr(request.function, "__doc__", None) or "a scenario in Python",
        file=str(request.path),
        seed=request.config.stash[_SEED],
    )
    return plan, tuple(wish["promises"])
