"""Undo that outlives the conductor.

The reaper is a small process of its own that holds one end of a pipe. When the conductor dies in any way the pipe closes, and the reaper heals what
the ledger shows and destroys the cluster, unless it was to be kept. `heal` and `sweep` do the same by hand.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import traceback
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from harness import registry
from harness.core import pace, stops
from harness.core.clock import SystemClock
from harness.core.errors import HarnessError, NoSuchRun, UnknownRun, in_words, unstarted
from harness.core.figures import given
from harness.core.naming import close, few
from harness.core.plain import as_path, below, command, in_line, sentence
from harness.core.protocols import Adopting, Claiming, Cluster, Discerning, Disposable, Outliving, Reaping, Retaining
from harness.core.units import counted
from harness.host import marks, private, processes, state, surroundings
from harness.nodes import this_machine
from harness.plan import Plan
from harness.providers import clusters
from harness.runs.run import cluster_of, inside, plan_of
from harness.undo import deadman, ledger
from harness.undo.minders import minder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from harness.core.protocols import Fault, Mode, Node, Provider

START_SECONDS = 20.0
"""How long the reaper may take to say that it is there. Measured: 0.4 s; more on a machine that is busy."""
GO_SECONDS = 10.0
"""How long it may take to go when all is done. Measured: 0.1 s."""
UNDO_SECONDS = 300.0
"""How long it is waited for when it has to mend and remove; after that it goes on alone. Measured: 1 to 3 s."""

_KEEP, _DONE, _NOW = b"keep", b"done", b"now"
"""What the harness says to it: mend only; nothing is left to do; do it at once."""


class Reaper:
    """The conductor's end. Nothing is created before `start` has returned."""

    def __init__(self, run_id: str, ledger_path: Path, provider: str) -> None:
        self._run_id = run_id
        self._ledger = ledger_path
        self._provider = provider
        self._pipe: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._kept = False
        _known.add(self)

    def start(self) -> Self:
        """Start it and wait until it holds its end of the pipe."""
        log_path = self._ledger.parent / "reaper.log"
        try:
            log = private.opened(log_path, "ab")
        except OSError as error:
            raise HarnessError(f"the reaper's log {log_path} cannot be written: {error.strerror}; nothing was created") from error
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        we = os.pidfd_open(os.getpid())
        try:
            with log:
                self._child = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        processes.REAPER,
                        self._run_id,
                        str(self._ledger),
                        self._provider,
                        str(theirs_read),
                        str(theirs_write),
                        str(we),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs_read, theirs_write, we),
                    start_new_session=True,  # whatever is done to the harness's process group is not done to it
                    cwd="/",
                    env={**os.environ, **surroundings.for_python()},
                )
        except OSError as error:
            os.close(ours_read)
            os.close(ours_write)
            raise HarnessError(f"the reaper cannot be started: {unstarted(error)}; nothing was created") from error
        finally:
            for each in (theirs_read, theirs_write, we):
                os.close(each)
        self._pipe = ours_write
        try:
            if not _spoken(ours_read):
                raise HarnessError(f"the reaper did not start; {log_path} says why; nothing was created")
        except BaseException:
            self._child.kill()  # it knows of nothing that it could undo, and may hang
            self.abandon()
            raise
        finally:
            os.close(ours_read)
        return self

    def keep(self) -> None:
        """From now on heal only, and leave the cluster."""
        self._kept = True
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # somebody killed it: `ensure` starts another
                os.write(self._pipe, _KEEP + b"\n")

    def ensure(self) -> bool:
        """See that it lives and is not stopped, and start another if somebody killed it. Returns whether another was started."""
        if self._child is None or self._child.poll() is None:
            self._wake()
            return False
        if self._pipe is not None:
            pipe, self._pipe = self._pipe, None  # whatever becomes of the next one: the number may soon be another file's
            os.close(pipe)
        self.start()
        if self._kept:
            self.keep()
        return True

    def dismiss(self) -> None:
        """All was mended and removed: it may go. Twice is fine."""
        self._last(_DONE)
        if self._child is not None and not self._ended(GO_SECONDS):
            self._child.kill()
            processes.let_go(self._child, GO_SECONDS)
        self._child = None

    def abandon(self) -> None:
        """Let it do its work now, and wait for its end, but not for good."""
        self._last(_NOW)
        if self._child is not None and not self._ended(UNDO_SECONDS):
            processes.leave(self._child)
        self._child = None

    def _last(self, word: bytes) -> None:
        """Say the last word, and close the pipe."""
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, word + b"\n")
            os.close(self._pipe)
            self._pipe = None

    def _forked(self) -> None:
        """Forget it, in a process that is a fork of ours: who only looks like us neither holds its pipe nor speaks for us."""
        if self._pipe is not None:
            os.close(self._pipe)
        self._pipe = self._child = None

    def _wake(self) -> None:
        """Let it go on if somebody stopped it (SIGSTOP): what it is there for would not be done."""
        if self._child is not None:
            self._child.send_signal(signal.SIGCONT)  # nothing happens to one whose end was collected

    def _ended(self, seconds: float) -> bool:
        """Wait for its end. False if it still runs after so long."""
        child = self._child
        if child is None or child.poll() is not None:
            return True
        self._wake()
        found = processes.Process.of(child.pid)
        if found is not None and not found.wait(pace.limit(seconds)):
            return False
        child.wait()
        return True


_known: weakref.WeakSet[Reaper] = weakref.WeakSet()


def _after_fork() -> None:
    for each in [*_known]:
        each._forked()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_after_fork)


def _spoken(pipe: int) -> bool:
    """Wait for the first word on a pipe. False where its other end was closed without one. Raises `HarnessError` after `START_SECONDS`."""
    seconds = pace.limit(START_SECONDS)
    ready = select.poll()  # not `select`, which knows no descriptor above 1023
    ready.register(pipe, select.POLLIN)
    for each in stops.slices(seconds, SystemClock()):
        if ready.poll(each * 1000):
            return bool(os.read(pipe, 1))
    raise HarnessError(
        f"the reaper has not started after {given(seconds)}; is this machine out of memory, or a disk of it hung? Nothing was created"
    )


def _wait(pipe: int, harness: int) -> list[bytes]:
    """Read until a last word, or until the harness has ended; return all words that were said.

    By the harness's pidfd and not by the pipe alone, which does not close while a fork of the harness holds its other end.
    """
    ready = select.poll()
    for each in (pipe, harness):
        ready.register(each, select.POLLIN)
    said = b""
    while not {_DONE, _NOW} & {*said.split()}:
        ended = {each for each, _ in ready.poll()}
        if pipe not in ended:
            break  # it has ended, and all that it had said is read
        chunk = os.read(pipe, 4096)
        if not chunk:
            break
        said += chunk
    return said.split()


def main(run_id: str, ledger_path: str, provider: str, read_end: str, write_end: str, harness: str) -> int:
    """Be the reaper."""
    surroundings.let_nobody_write()
    surroundings.keep_outside()
    surroundings.outlive_shortage()
    surroundings.stay(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # it ends when the run ends
    with contextlib.suppress(Exception):  # what is wrong with it is told when it is needed
        registry.usable()  # now, and not then: whoever reinstalls a plug-in meanwhile takes nothing from us
        _provider(provider)  # and what its nodes are reached with
    with contextlib.suppress(OSError):  # the harness may be gone already: where this one takes another's place, its cluster stands
        os.write(int(write_end), b"!")
    with contextlib.suppress(OSError):
        os.close(int(write_end))
    said = _wait(int(read_end), int(harness))
    if _DONE in said:
        return 0
    try:
        with pace.measured(SystemClock()):
            keep = _KEEP in said or _is_kept(run_id, provider)
            done = [*_unusable(), *undo(run_id, Path(ledger_path), provider, keep=keep)]
    except Exception:  # noqa: BLE001 - nobody is left to tell: it is for whoever reads the log, and for the next sweep
        done = [f"{run_id}: this stopped half-way; `whalefall sweep` goes on", traceback.format_exc()]
    with contextlib.suppress(OSError):  # its log may lie on a disk that is full
        print("\n".join(below(each) for each in (f"the harness of {run_id} was gone:", *done)), flush=True)  # noqa: T201 - this process's own log
    return 0


def _is_kept(run_id: str, provider_name: str) -> bool:
    """Whether a cluster is noted as one that is to be kept: who dies while its second reaper starts has told that one nothing."""
    provider = _provider(provider_name)
    return isinstance(provider, Retaining) and provider.is_kept(run_id)


def undo(run_id: str, ledger_path: Path, provider_name: str, *, keep: bool) -> list[str]:
    """Mend what the ledger shows and, unless it is to be kept, destroy the cluster. Returns what was done and what failed, in sentences.

    Nodes that end with their cluster are not mended first: nothing on them outlives it; but this machine is, where faults were made on it. Every step
    is tried, also after one that failed. But nodes that outlive the run are not let go while anything of it is on them: without the record of them
    nobody could mend them or clear up any more.
    """
    provider = _provider(provider_name)
    said: list[str] = []
    written = ledger.read(ledger_path, to_act=True)
    if not written.there:
        said.append(f"{run_id}: the ledger {ledger_path} is not there: nobody can tell what was broken")
    said += [f"{run_id}: {each}" for each in written.bad]
    disposable = isinstance(provider, Disposable)
    said += [f"{run_id}: {each}" for each in (_reap(run_id, provider) if keep else _reap_here(run_id))]
    said += _mend(run_id, ledger_path, all_of_them=keep or not disposable)
    if keep:
        return said
    if not disposable:
        told, gone = _withdraw(run_id, ledger_path.parent / "plan.json", provider)
        said += told
        left = ledger.read(ledger_path, to_act=True)
        if not gone or any(line.run_id == run_id for line in left.lines):
            cure = f"`whalefall sweep` tries again; {_by_hand(run_id)}"
            return [*said, f"{run_id}: its hosts are NOT let go, since something of it is still on them; {cure}"]
        if left.bad or not left.there:
            return [*said, f"{run_id}: its hosts are NOT let go, since something of it may be on them: {_looked_at(ledger_path)}"]
    try:
        provider.destroy(run_id)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the next sweep tries again
        more = "" if disposable else f"; {_by_hand(run_id)}"
        return [*said, f"{run_id}: the cluster could NOT be removed: {in_words(error)}{more}"]
    said.append(f"{run_id}: the cluster was removed" if disposable else f"{run_id}: its hosts were let go")
    if disposable:
        with_it = [line for line in written.lines if line.run_id == run_id and not line.here]
        with contextlib.suppress(OSError):  # a full disk: what is gone is gone all the same
            ledger.settle(ledger_path, [line.number for line in with_it], "reaper", SystemClock())
        said += [f"{run_id}: {_what(line)} went with it" for line in with_it]
    return said


def _reap(cluster: str, provider: Provider) -> list[str]:
    """End what harnesses that are gone had begun here and on nodes that stay: a user's command would run on there for good. Says what was done."""
    said = _reap_here(cluster)
    if not isinstance(provider, Reaping):
        return said
    try:
        ended = provider.reap(cluster)
    except (HarnessError, OSError) as error:
        return [*said, f"whether a command of it still runs on its nodes cannot be seen: {in_words(error)}"]
    if not ended:
        return said
    beyond = "what that left behind in a session of its own may run on until the cluster is removed"
    return [*said, f"what its harness had begun and what still ran was ended on {few(ended)}; {beyond}"]


def _reap_here(cluster: str) -> list[str]:
    """End what such harnesses had begun on this machine."""
    ended = this_machine.reap(cluster)
    if not ended:
        return []
    beyond = "what those left behind in a session of its own may run on"
    return [f"what its harness had begun on this machine was ended ({counted(ended, 'command')}); {beyond}"]


def _reaped(folder: Path) -> list[str]:
    """Do so for a run whose folder this is, where its cluster is there."""
    try:
        cluster = cluster_of(folder)
        name = clusters.provider_of(cluster)
        return _reap(cluster, _provider(name)) if name is not None else []
    except (HarnessError, OSError):  # what stands in a folder of results may be no run's name, and a plug-in may be gone
        return []


def _by_hand(run_id: str) -> str:
    """Say what to do with hosts that are gone for good, or were cleared up by hand: only who runs them can tell."""
    return f"where they are gone for good, or nothing of it is on them any more, `{command('whalefall', 'sweep', '--forget', run_id)}` forgets it"


def forget(run_id: str) -> list[str]:
    """Let go of a run's hosts by the word of who runs them that nothing of it is on them: its claims go where a host answers, and so does the record.

    Then its ledger shows nothing as broken any more. Where no record is on this machine `run_id` may be the run's folder of results, for that alone.
    Returns what was done, in sentences. Raises `UnknownRun`, and `HarnessError` for a run that goes on and for nodes that end with their run.
    """
    clusters.must_be_readable()
    folder = Path(run_id)
    if run_id not in clusters.registered() and os.path.lexists(folder / "ledger.jsonl"):
        if folder.name not in clusters.registered():
            return _written_off(folder) or [f"{folder.name}: nothing is known as broken of it"]
        run_id = folder.name
    name = clusters.provider_of(run_id) if run_id in clusters.registered() else None
    if name is None:
        there = sorted(each for each in clusters.registered() if _outlives(clusters.provider_of(each)))
        near = close(run_id, there)
        raise UnknownRun(
            in_line(
                f"no record of a run {run_id!r} is on this machine; those there are: {', '.join(there) or 'none'}{f'; {near}' if near else ''}"
            )
        )
    if clusters.is_used(run_id):
        raise HarnessError(f"{run_id} is not forgotten: {_used(run_id)}")
    provider = _provider(name)
    if isinstance(provider, Disposable):
        raise HarnessError(f"{run_id} is not forgotten: its nodes are of this machine, and `whalefall sweep` removes them")
    said = []
    noted = None
    with contextlib.suppress(HarnessError):  # then no ledger of it is known
        noted = provider.results(run_id) if isinstance(provider, Claiming) else None
    try:
        provider.destroy(run_id)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told: that is what was known of the hosts
        said.append(f"{run_id}: not all of its hosts could be asked: {in_words(error)}")
    clusters.forget(run_id)
    said.append(f"{run_id}: it is forgotten, and nothing is known of its hosts any more")
    return [*said, *(_written_off(noted) if noted is not None else [])]


def _written_off(folder: Path) -> list[str]:
    """Close what the ledger in a folder of results shows as broken on nodes that outlive their run, by the word of who runs them."""
    path = folder / "ledger.jsonl"
    said = []
    for line in ledger.unsettled(path):
        who = minder(line)
        if who or not (line.here or _outlives(line.provider)):
            said.append(f"{folder.name}: {line.name} is left alone: {who.words if who else 'its nodes end with their cluster'}")
            continue
        try:
            ledger.settle(path, [line.number], "forget", SystemClock())
        except OSError as error:
            said.append(f"{folder.name}: that {_what(line)} is forgotten cannot be written to {path}: {error.strerror}")
        else:
            said.append(f"{folder.name}: {_what(line)} is forgotten: no heal looks for it any more")
    return said


def _outlives(provider: str | None) -> bool:
    """Whether nodes of a provider of this name may outlive their run: of others nothing is forgotten, they are removed."""
    kind = registry.usable().known.providers.get(provider or "")
    return provider is not None and (kind is None or not isinstance(kind(), Disposable))


def _looked_at(ledger_path: Path) -> str:
    """Say what to do with hosts of which nobody can tell what is broken on them."""
    if os.path.lexists(ledger_path):
        return f"look at them, remove the lines that cannot be read from {ledger_path}, then `whalefall sweep`"
    made = f"{command('mkdir', '-p', as_path(ledger_path.parent))} && {command('touch', as_path(ledger_path))}"
    return f"look at them, then `{made} && whalefall sweep`"


def _withdraw(run_id: str, plan_path: Path, provider: Provider) -> tuple[list[str], bool]:
    """Remove the run's apps from a cluster that is not ours. Returns what there is to say, and whether nothing of them is left."""
    said: list[str] = []
    gone = True
    try:
        nodes = provider.adopt(run_id)
        plan = Plan.from_json(plan_of(plan_path.parent), file=str(plan_path), among=registry.usable().known)
        mode = _mode(plan.mode)
        cluster = Cluster(run_id, nodes, provider, mode, apps=plan.apps)
        with cluster.network():
            for app in plan.apps:
                if not isinstance(mode, Adopting):
                    break  # it cannot have deployed anything on hosts that are not ours
                try:
                    mode.withdraw(cluster, app)
                except Exception as error:  # noqa: BLE001 - the other apps are removed all the same
                    gone = False
                    said.append(f"{run_id}: {app.name} could NOT be removed from the cluster: {in_words(error)}")
                else:
                    said.append(f"{run_id}: {app.name} was removed from the cluster")
    except NoSuchRun:
        said.append(f"{run_id}: no record of its hosts is left, so nothing can be on them")
    except Exception as error:  # noqa: BLE001 - whatever it is, the next step is tried all the same
        gone = False
        said.append(f"{run_id}: its apps could NOT be removed: {in_words(error)}; remove them by hand")
    return said, gone


def _unusable() -> list[str]:
    """Say which plug-ins cannot be used: what can be mended without them is mended all the same."""
    return [in_line(each) for each in registry.usable().problems]


def _provider(name: str) -> Provider:
    """Return a provider. Raises `HarnessError` for one that nobody knows any more."""
    made: Provider = _named("provider", name, registry.usable().known.providers)()
    return made


def _mode(name: str) -> Mode:
    """Return a mode that mends with its usual timers. Raises as `_provider`."""
    made: Mode = _named("mode", name, registry.usable().known.modes).from_timers("default", {})
    return made


def _named(what: str, name: str, among: Mapping[str, Any]) -> Any:
    if name not in among:
        raise HarnessError(
            f"there is no {what} {in_line(name)!r}, neither of ours nor of a plug-in; was one uninstalled? It is needed to mend"
        )
    return among[name]


def _what(line: ledger.LedgerLine) -> str:
    return in_line(f"{line.name} on {few(line.targets)}")


def _mend(run_id: str, ledger_path: Path, *, spare: bool = False, all_of_them: bool = True) -> Iterator[str]:
    """Mend what a ledger shows as broken, the newest first, and yield what was done as it is done: whoever is stopped in the middle has said it.

    With `spare`, what somebody sees to is left alone. What lies on another cluster always is: a ledger may name any, and who has it knows best.
    Unless it is to be `all_of_them`, only what was broken on this machine is mended.
    """
    every = ledger.read(ledger_path, to_act=True).lines
    for line in every if all_of_them else (each for each in every if each.here):
        if (spare or line.run_id != run_id) and (who := minder(line)):
            yield f"{run_id}: {line.name} is left alone: {who.words}"
            continue
        what = _what(line)
        try:
            cluster = _cluster_of(line)
            fault = line.fault
            targets = [this_machine.node_of(cluster, name) for name in line.targets]
            said, still, remarks = _healed(cluster, fault, targets)
            if still:
                yield f"{run_id}: {what} is STILL in force on {', '.join(still)}; try `whalefall sweep`"
                continue
        except NoSuchRun:
            if _outlives(line.provider):  # who is not known here goes on somewhere else
                yield f"{run_id}: {what} could NOT be healed from here: {_elsewhere(line.run_id, ledger_path)}"
                continue
            yield f"{run_id}: {what} is gone with its cluster"
        except Exception as error:  # noqa: BLE001 - the other faults are mended all the same
            yield f"{run_id}: {what} could NOT be healed: {sentence(in_words(error))}"
            continue
        else:
            yield f"{run_id}: {what} was healed" + (f"; it said: {in_line(said)}" if isinstance(said, str) and said else "")
            yield from remarks
        try:
            ledger.settle(ledger_path, [line.number], "heal", SystemClock())
        except OSError as error:
            yield f"{run_id}: that cannot be written to {ledger_path}: {error.strerror}; the next heal does it again, which is harmless"


def _unproven(line: ledger.LedgerLine) -> str:
    """Say what to do with a fault on this machine that no run of it is proven to have made."""
    by_hand = line.parameters.get("heal")
    mends = f"; if it was made here, run what mends it by hand: {in_line(str(by_hand))}" if by_hand else ""
    return f"nothing proves that a run of this machine wrote that (its key is gone with its last run), so nothing of it is run here{mends}"


def _cluster_of(line: ledger.LedgerLine) -> Cluster:
    """Return what a fault of the ledger was made on: of a fault on this machine a cluster without nodes, where that is gone.

    Raises `NoSuchRun`, and `HarnessError` for a fault on this machine that none of its runs is proven to have made.
    """
    if not line.proven:
        raise HarnessError(_unproven(line))
    provider = _provider(line.provider)
    nodes: Sequence[Node] = ()
    try:
        nodes = provider.adopt(line.run_id)  # of the run that the cluster was made for, which may have been an earlier one
    except NoSuchRun:
        if not line.here:
            raise
    return Cluster(line.run_id, nodes, provider, _mode(line.mode), fault=line.number)


def _elsewhere(cluster: str, ledger_path: Path) -> str:
    """Say what to do with hosts that this machine knows nothing of: they outlive their run, and what was broken on them may be broken still."""
    given_up = command("whalefall", "sweep", "--forget", as_path(ledger_path.parent.absolute()))
    return (
        f"no record of the hosts of {in_line(cluster)} is here; heal it on the machine that made the run, with the WHALEFALL_STATE that it had; "
        f"where nothing is broken there any more, `{given_up}` takes your word for it"
    )


def _healed(cluster: Cluster, fault: Fault, targets: Sequence[Node]) -> tuple[object, list[str], list[str]]:
    """Heal a fault, and stop the dead-man timers of one that is healed; see `harness.undo.deadman`.

    Returns what the fault said, the names of the nodes on which it is still in force, and what there is to say of the timers.
    """

    def still() -> list[str]:
        return [node.name for node in targets if fault.in_force(cluster, node)]

    said = fault.heal(cluster, targets)
    if (left := still()) or not isinstance(cluster.provider, Outliving):
        return said, left, []
    try:
        beside = deadman.disarm(cluster, cluster.fault, work=deadman.at_work(fault))
    except HarnessError as error:  # it was healed all the same: they find nothing to mend, and are gone
        longest = cluster.provider.patience() + deadman.at_work(fault)
        return said, left, [f"{cluster.run_id}: {error}; they run out by themselves within {given(longest)}"]
    if beside:  # a node's own remedy was at work beside our heal: whoever of the two was last may have undone what the other did
        said = fault.heal(cluster, targets) or said
        left = still()
    return said, left, []


def heal(run_id: str | None, results: Path, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Mend what the ledgers under `results` show as broken, of one run or of all. Says what was done as it is done, in sentences, and returns it.

    A fault whose harness still lives is left alone: it is meant to be there, and will be mended by who made it. So is one on a cluster that another
    run uses. What cannot be read of a ledger is told, and the rest is mended all the same. Where what was done could
    not be said, that is raised when all is done: `OSError` or `ValueError`.
    """
    folders = inside(results)
    if run_id is not None:
        folders = [each for each in folders if each.name == run_id]
        if not folders:
            raise NoSuchRun(f"no run {run_id!r} in {results}; `whalefall list` shows what is there")
    telling = _Telling(lambda words: say(in_line(words)))  # others may have written the folder's name and the ledger
    telling.tell(_unusable())
    for folder in folders:
        try:
            telling.tell(_heal(folder))
        except Exception as error:  # noqa: BLE001 - the other runs are mended all the same
            telling.tell(
                [f"{folder.name}: could NOT be looked at to its end: {sentence(in_words(error))}; what it broke may be broken still"]
            )
    return [in_line(each) for each in telling.over()]


class _Telling:
    """Tells what is done as it is done. Who listens may go, or its disk be full: all is mended and removed, and only then is that an error."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: list[str] = []
        self._trouble: OSError | ValueError | None = None

    def tell(self, words: Iterable[str]) -> None:
        """Tell sentences as they come."""
        for each in words:
            self._said.append(each)
            try:
                if self._trouble is None:
                    self._say(each)
            except (OSError, ValueError) as error:  # the second is that of a file that was closed
                self._trouble = error

    def over(self) -> list[str]:
        """Return all that was told. Raises what kept it from being told."""
        if self._trouble is not None:
            raise self._trouble
        return self._said


def _heal(folder: Path) -> Iterator[str]:
    """Mend what one run's ledger shows as broken, unless its harness lives."""
    written = ledger.read(folder / "ledger.jsonl", to_act=True)
    yield from (f"{folder.name}: {each}" for each in written.bad)
    yield from (f"{folder.name}: {each}" for each in _reaped(folder))
    living = next((line for line in written.lines if line.attended), None)
    if living is not None and (who := minder(living)):
        yield f"{folder.name}: {living.name} is left alone: {who.words}"
        return
    yield from _mend(folder.name, folder / "ledger.jsonl", spare=True)  # which is read anew: a run that goes may have written since


class Swept(NamedTuple):
    """What a sweep did."""

    said: list[str]  # a sentence each, in order
    failed: tuple[str, ...]  # ids of runs of which something is left although nobody wants it


def sweep(*, kept: bool = False, say: Callable[[str], None] | None = None) -> Swept:
    """Remove everything that dead runs left on this machine, and on hosts that they held; with `kept`, also of runs that were to be kept.

    Hosts that outlive their run are mended by its ledger, its apps are withdrawn, and they are let go. What cannot be done is said, and the other
    runs are swept all the same. Where that could not be, it is raised when all is done. Raises `HarnessError` for whoever may not see what there is.
    """
    clusters.must_be_readable()
    _wake_all()
    failed: list[str] = []
    telling = _Telling(say or (lambda _: None))
    doubts = clusters.doubts()
    failed += ["register"] if doubts else []  # what such an entry names may stand, and nobody can tell
    telling.tell([*_unusable(), *doubts, *clusters.strangers(), *marks.suspected()])
    for name, provider_class in registry.usable().known.providers.items():
        try:
            provider: Provider = provider_class()
            if not isinstance(provider, Retaining):
                continue
            if isinstance(provider, Discerning):
                telling.tell(provider.strangers())
            there = provider.runs()
        except Exception as error:  # noqa: BLE001 - what the others have is swept all the same
            failed.append(name)
            telling.tell([f"{name}: could NOT look for what is left: {in_words(error)}"])
            continue
        for run_id, wanted in there.items():
            done, told = _sweep(run_id, provider, wanted=wanted, kept=kept)
            if not done:
                failed.append(run_id)
            telling.tell(told)
    untidy = _untidy()
    failed += ["register"] * len(untidy)
    telling.tell(untidy)
    return Swept(telling.over(), tuple(failed))


def _untidy() -> list[str]:
    """Remove what is of no run, and say what of that could not be."""
    with contextlib.suppress(OSError):
        state.runs().rmdir()  # only when it is empty
    try:
        clusters.tidy()
    except (HarnessError, OSError) as error:
        return [f"register: what was half written there could NOT be removed: {in_words(error)}"]
    return []


def _wake_all() -> None:
    """Let every reaper go on that somebody has stopped: it would never do what it is there for. No other is sent anything."""
    for each, _, _ in processes.reapers():
        if each.halted:
            with contextlib.suppress(OSError):
                each.kill(signal.SIGCONT)


def _sweep(run_id: str, provider: Retaining, *, wanted: bool, kept: bool) -> tuple[bool, list[str]]:
    """Remove what one run left, unless it is `wanted`. Returns whether all that was to be removed is, and what was done, or went wrong."""
    told = [] if wanted else [f"{run_id}: {each}" for each in _reap_here(run_id)]
    try:
        # A cluster that is to be kept is one from the start: it is a kept one once its run is over.
        spared = wanted and provider.is_kept(run_id) and not clusters.is_used(run_id)
        if wanted and not (kept and spared):
            return True, [f"{run_id}: left alone, {'it was to be kept' if spared else _used(run_id)}"]
        results = provider.results(run_id) if isinstance(provider, Claiming) else None
        if results is not None:
            told += undo(run_id, results / "ledger.jsonl", provider.name, keep=False)
        else:
            provider.destroy(run_id)
            told.append(f"{run_id}: removed")
    except Exception as error:  # noqa: BLE001 - the other runs are swept all the same
        more = "" if isinstance(provider, Disposable) else f"; {_by_hand(run_id)}"
        return False, [*told, f"{run_id}: could NOT be removed: {in_words(error)}{more}"]
    try:
        return run_id not in provider.runs(), told
    except Exception as error:  # noqa: BLE001 - same
        return False, [*told, f"{run_id}: whether anything of it is left cannot be seen: {in_words(error)}"]


def _used(run_id: str) -> str:
    """Say that somebody uses a cluster, and of one who was stopped what to do: nothing becomes of it otherwise."""
    owner = clusters.owner(run_id)
    halted = owner.halted if owner is not None else ""
    return f"it is in use by process {owner.pid}, which {halted}" if owner is not None and halted else "it is in use"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
