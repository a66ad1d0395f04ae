"""The lending of a cluster: made or found, deployed, watched, and undone in reverse."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from typing import TYPE_CHECKING

from harness import registry
from harness.conductor import bringing
from harness.conductor.keeping import kept_if_it_fails
from harness.conductor.permission import must_be_at_hand
from harness.conductor.session import Session, unwritten
from harness.conductor.standing import FORMED, Held
from harness.core import pace, stops
from harness.core.errors import HarnessError, Unsupported, in_words, words_of
from harness.core.figures import given, lasted
from harness.core.protocols import (
    Adopting,
    Claiming,
    Cluster,
    Disposable,
    Furnishing,
    Housed,
    Narrating,
    Packaged,
    Preparing,
    Retaining,
    Running,
    Slower,
    Snapshots,
    Stretching,
    Unhurried,
    of_images,
)
from harness.core.values import Phase
from harness.history.events import ENDED_EARLY, STOPPED_EARLY, Note, PhaseBegan
from harness.history.recorder import Recorder
from harness.host import surroundings
from harness.runs.folder import kernels, run_id_of, save_plan, stands_on, write_environment, write_plan
from harness.undo.ledger import Ledger, all_settled, settle, unsettled
from harness.undo.reaper import Reaper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.conductor.options import Options
    from harness.core.protocols import Mode, Node, Provider
    from harness.core.values import App, Json
    from harness.host.app_images import AppImage
    from harness.plan import Plan


AILMENT_SECONDS = 0.5
"""Seconds between two looks at what keeps this machine's nodes from working: it takes several files to say, and every event wakes who waits."""


@contextlib.contextmanager
def lent(plan: Plan, options: Options) -> Iterator[Session]:
    """Lend a cluster that is formed, deployed and watched. It is healed, dissolved and destroyed in reverse, whatever happened."""
    surroundings.keep_outside()  # also for tests that are written in Python
    must_be_at_hand(plan)
    with pace.measured(options.clock), stops.listening(options.ear):
        yield from _lent(plan, options)


def _lent(asked: Plan, options: Options) -> Iterator[Session]:
    options.busy = True
    # Before the run has a folder and a clock: a machine that cannot have nodes leaves nothing, and building the image once is no part of a run.
    with contextlib.ExitStack() as stack:
        provider, facts, images = _prepared(asked, options, stack)
        plan, mode = _at_its_pace(asked, provider)
        run_id = run_id_of(plan)
        folder = save_plan(plan, options.results / run_id)
        held, owned = _held(asked, options, stack)
        cluster_id = held.run_id if held is not None else run_id
        ledger = Ledger(folder / "ledger.jsonl", cluster_id, plan.provider, plan.mode, options.clock)
        recorder = stack.enter_context(Recorder(folder / "history.jsonl", options.clock, run_id))
        stack.enter_context(stops.listening(unfit := _Unfit(recorder, provider, cluster_id)))
        if options.listen is not None:
            options.listen(recorder)
        recorder.record(PhaseBegan(Phase.FORMING))
        environment = stands_on(plan, recorder, facts if held is None else {**facts, "made_for": cluster_id})
        write_environment(folder, environment)
        # By its whole path: the reaper stands in another folder.
        reaper = Reaper(cluster_id, ledger.path.resolve(), plan.provider).start()
        owned()
        try:
            if held is not None:
                held.reaper.dismiss()
            stops.go_on()
            nodes = _nodes(plan, options, provider, cluster_id, folder, made=held is not None)
            _note(provider, cluster_id, folder, reaper, keep=options.keep)
            plan, mode = _at_their_pace(asked, options, provider, held)
            environment |= _told(plan, folder, options)
            cluster = Cluster(cluster_id, nodes, provider, mode, options.clock, plan.apps, slack=plan.slack)
            with cluster.network(), contextlib.ExitStack() as leaving, kept_if_it_fails(cluster, folder, options.clock):
                if held is None:
                    plan = _formed(plan, options, cluster, folder, recorder, images)
                write_environment(folder, {**environment, "kernels": kernels(nodes)})
                session = Session(plan, options, cluster, recorder, ledger, folder, reaper)
                session.must_be_possible()
                recorder.record(PhaseBegan(Phase.DEPLOYING))
                _deploy(cluster, options, images, leaving)
                options.busy = False
                with session.watching():
                    yield session
        except BaseException as error:
            options.busy = False
            recorder.record(Note(_end_of(cause := unfit.cause_of(error))))
            _after(
                cause,
                functools.partial(_undo, provider, ledger, cluster_id, reaper, keep=options.keep, left=isinstance(error, _NotWithdrawn)),
            )
            if isinstance(error, HarnessError) and not isinstance(error, _NotWithdrawn):
                stops.go_on()  # what failed because the run ends is no trouble of its own
            raise
        if options.standing is not None and isinstance(provider, Snapshots) and not options.keep and all_settled(ledger.path):
            options.standing.hold(Held(cluster_id, asked, provider, reaper, plan.timers))
        else:
            options.tell("destroy", _farewell(provider, ledger, keep=options.keep))
            _undo(provider, ledger, cluster_id, reaper, keep=options.keep)


def _held(asked: Plan, options: Options, stack: contextlib.ExitStack) -> tuple[Held | None, Callable[[], object]]:
    """Take over a cluster that waits for a run like this, if there is one. It goes with the stack, until the function that is returned is called."""
    held = options.standing.take(asked) if options.standing is not None else None
    unowned = stack.enter_context(contextlib.ExitStack())
    if held is not None:
        unowned.callback(held.destroy)
    return held, unowned.pop_all


class _Unfit:
    """Says why a run cannot go on, for `harness.core.stops.listening`: its history cannot be written, or this machine keeps its nodes from working.

    What ailed the machine once has done its harm.
    """

    def __init__(self, recorder: Recorder, provider: Provider, run_id: str) -> None:
        self._recorder = recorder
        self._provider = provider
        self._run_id = run_id
        self._looked = -math.inf
        self._ailment = ""

    def __call__(self) -> HarnessError | None:
        """Return why, by a look at the machine that is not older than `AILMENT_SECONDS`."""
        if self._recorder.clock.now() - self._looked >= AILMENT_SECONDS:
            self.look()
        return unwritten(self._recorder) or (HarnessError(self._ailment) if self._ailment else None)

    def cause_of(self, error: BaseException) -> BaseException:
        """Return what ended a run: what failed because it ends, or by what ails this machine now, is no trouble of its own."""
        self.look()
        return (stops.heard() if isinstance(error, HarnessError) else None) or error

    def look(self) -> None:
        """Look at the machine now."""
        self._looked = self._recorder.clock.now()
        if not self._ailment and isinstance(self._provider, Housed):
            self._ailment = self._provider.ailment(self._run_id)


def _end_of(error: BaseException) -> str:
    """Say why a run ends before its end."""
    if isinstance(error, stops.Stopped | KeyboardInterrupt):
        return STOPPED_EARLY
    if not isinstance(error, Exception):  # what is raised to end us, as a test's time limit is, and is no trouble of anybody's
        return f"{STOPPED_EARLY}: {words_of(error).partition(chr(10))[0]}"
    return f"{ENDED_EARLY}{in_words(error)}"


def _prepared(plan: Plan, options: Options, stack: contextlib.ExitStack) -> tuple[Provider, Mapping[str, Json], Mapping[str, AppImage]]:
    """Return the provider, made ready, the facts that are kept of a run, and the images of apps that it loads, held by the stack."""
    provider: Provider = registry.known().providers[plan.provider]()
    if isinstance(provider, Furnishing):
        provider.furnish(registry.known().modes[plan.mode].LAYER)
    facts = provider.prepare(lambda text: options.tell("prepare", text), plan.nodes) if isinstance(provider, Preparing) else {}
    images = stack.enter_context(bringing.brought(plan, options))
    return provider, {**facts, **bringing.facts(images)}, images


def _at_its_pace(plan: Plan, provider: Provider, *, stall: float = 0.0, formed: Mapping[str, float] | None = None) -> tuple[Plan, Mode]:
    """Return a plan and its mode, both with what machines of this provider may take longer.

    The mode's timers are stretched for machines that may stand still for `stall` seconds, or are those that a cluster was `formed` with before.
    """
    allowance = provider.allowance() if isinstance(provider, Slower) else None
    if allowance is not None:
        pace.slow_machines()
        plan = plan.slowed(allowance)
    mode: Mode = of_images(
        registry.known().modes[plan.mode].from_timers(plan.profile, plan.timers if formed is None else formed), plan.images
    )
    if allowance is not None and isinstance(mode, Unhurried):
        mode.unhurried(allowance.seconds)
    if stall and formed is None and isinstance(mode, Stretching):
        mode.withstand(stall)
    timers = mode.timers
    longer = [f"{name} {given(plan.timers[name])} to {given(timers[name])}" for name in timers if timers[name] != plan.timers[name]]
    if longer:
        why = f"machines that stand still for {lasted(stall)} are not dead" if formed is None else "the cluster was formed so"
        plan = dataclasses.replace(plan.timed(mode), stretched=f"{', '.join(longer)}: {why}")
    return plan, mode


def _at_their_pace(plan: Plan, options: Options, provider: Provider, held: Held | None) -> tuple[Plan, Mode]:
    """Return a plan and its mode once more, now that the machines are there and were seen to boot."""
    pace.look(options.clock)
    stall = provider.stall() if isinstance(provider, Slower) else 0.0
    return _at_its_pace(plan, provider, stall=stall, formed=held.timers if held is not None else None)


def _told(plan: Plan, folder: Path, options: Options) -> dict[str, Json]:
    """Write the plan as it has become, and tell that this machine is slow and what was stretched. Returns the first for the run's environment.

    Both stand at the head of every report, so that they are no notes in its history.
    """
    write_plan(plan, folder)
    slow = str(pace.current()) if pace.current().slow else ""
    for each in (slow, plan.stretched):
        if each:
            options.tell("create", each)
    return {"pace": slow} if slow else {}


def _nodes(plan: Plan, options: Options, provider: Provider, cluster_id: str, folder: Path, *, made: bool) -> Sequence[Node]:
    """Return the nodes of a run: created for it, or set back to how they were formed for an earlier one."""
    if made and isinstance(provider, Snapshots):  # only such a provider's cluster was ever held
        options.tell("create", f"setting {len(plan.nodes)} nodes back")
        provider.revert(cluster_id, FORMED)
        return provider.adopt(cluster_id)
    options.tell("create", f"creating {len(plan.nodes)} nodes")
    consoles = folder / "consoles"
    if isinstance(provider, Narrating):
        provider.narrate(lambda text: options.tell("create", text), consoles)
    try:
        return provider.create(cluster_id, plan.nodes)
    except HarnessError as error:
        if isinstance(error, stops.Stopped) or not consoles.is_dir():
            raise
        raise HarnessError(f"{error}; all that the machines said is kept in {consoles}") from error


def _note(provider: Provider, run_id: str, folder: Path, reaper: Reaper, *, keep: bool) -> None:
    """Note with the cluster just created what another process must know to remove it, or that it is to be kept."""
    if isinstance(provider, Claiming):
        provider.note_results(run_id, folder.resolve())
    if keep and isinstance(provider, Retaining):
        provider.keep(run_id)
        reaper.keep()


def _formed(plan: Plan, options: Options, cluster: Cluster, folder: Path, recorder: Recorder, images: Mapping[str, AppImage]) -> Plan:
    """Form the cluster, or find the one that runs already. Returns the plan, with the budgets of the timers that are really in force."""
    mode = cluster.mode
    if not isinstance(cluster.provider, Running):
        options.tell("form", f"forming {plan.orchestrator}")
        _load_daemons(plan, options, cluster, images)
        stops.beside(lambda: mode.form(cluster), "form")
        if options.standing is not None and isinstance(cluster.provider, Snapshots):
            options.tell("form", "keeping that state for the runs that follow")
            cluster.provider.save(cluster.run_id, FORMED)
        return plan
    if not isinstance(mode, Adopting):
        raise Unsupported(
            f"the {mode.name} mode can only form clusters, and the {cluster.provider.name} provider has one that runs already"
        )
    options.tell("form", f"finding {plan.orchestrator} on the hosts")
    adopting = mode
    stops.beside(lambda: adopting.adopt(cluster), "adopt")
    for remark in adopting.remarks:
        recorder.record(Note(remark))
        options.tell("form", remark)
    plan = plan.timed(mode)
    write_plan(plan, folder)
    return plan


def _load_daemons(plan: Plan, options: Options, cluster: Cluster, images: Mapping[str, AppImage]) -> None:
    """Load the images that the mode's own daemons come from, and that nodes do not build by themselves."""
    mode = cluster.mode
    if isinstance(mode, Packaged) and plan.images:
        stops.beside(lambda: mode.ready_for_images(cluster), "form")
        bringing.load({asked: each for asked, each in images.items() if asked in plan.images.values()}, cluster, options)


def _deploy(cluster: Cluster, options: Options, images: Mapping[str, AppImage], leaving: contextlib.ExitStack) -> None:
    """Load the images that nodes do not build, and start the apps.

    On a cluster that is not ours they are removed when the run leaves it, unless it is to be kept as it is.
    """
    mode = cluster.mode
    bringing.load(images, cluster, options)
    for app in cluster.apps:
        if not app.instances and isinstance(cluster.provider, Running):
            continue  # it never comes: whoever could deploy it later is refused there (`harness.conductor.permission.too_lasting`)
        stops.go_on()
        options.tell("deploy", f"deploying {app.name}" if app.instances else f"making ready for {app.name}, which is deployed later")
        if isinstance(mode, Adopting) and isinstance(cluster.provider, Running) and not options.keep:
            leaving.callback(_withdraw, mode, cluster, app)
        stops.beside(lambda app=app: mode.deploy(cluster, app), "deploy")  # type: ignore[misc]  # mypy cannot infer a lambda with a default


def _after(ended: BaseException, undo: Callable[[], None]) -> None:
    """Undo what a run has made that ended early. Where that fails, too, it is told behind what ended the run: it mostly comes of it."""
    try:
        undo()
    except HarnessError as error:
        if not isinstance(ended, HarnessError) or isinstance(ended, stops.Stopped):
            raise
        raise HarnessError(f"{ended}; and not all of the run could be undone: {error}") from error


class _NotWithdrawn(HarnessError):
    """An app is still on a cluster that is not ours."""


def _withdraw(mode: Adopting, cluster: Cluster, app: App) -> None:
    """Remove an app from a cluster that is not ours. Raises `_NotWithdrawn` that says what to do where it stays."""
    try:
        with stops.deaf():
            mode.withdraw(cluster, app)
    except HarnessError as error:
        raise _NotWithdrawn(
            f"{app.name} could not be removed from the cluster that it was deployed on: {error}; `whalefall sweep` tries again"
        ) from error


def _farewell(provider: Provider, ledger: Ledger, *, keep: bool) -> str:
    """Say what `_undo` is about to do with a run's nodes."""
    theirs = isinstance(provider, Running)
    if keep:
        return "keeping the apps and the claims on the hosts" if theirs else "keeping the cluster"
    if isinstance(provider, Claiming) and not all_settled(ledger.path):
        return "not letting the hosts go: not all that was broken is known to be mended, and the run's second process tries again"
    return "letting the hosts go" if theirs else "removing the cluster"


def _undo(provider: Provider, ledger: Ledger, run_id: str, reaper: Reaper, *, keep: bool, left: bool = False) -> None:
    """Destroy the cluster, unless it is to be kept; what we cannot do ourselves the reaper is left to do.

    Nodes that outlive the run are not let go while anything of it is on them (something is broken still, or `left`, an app): only the record of
    them says where. The reaper tries once more, and keeps the record where that fails, too.
    """
    here = any(line.here for line in unsettled(ledger.path))  # what is broken on this machine does not go with the cluster
    if not keep and (here or (isinstance(provider, Claiming) and (left or not all_settled(ledger.path)))):
        reaper.abandon()
        return
    try:
        if not keep:
            with stops.deaf():
                provider.destroy(run_id)
            if isinstance(provider, Disposable):  # what was still broken went with it
                with contextlib.suppress(OSError):  # a full disk: what is gone is gone all the same
                    settle(ledger.path, [line.number for line in unsettled(ledger.path)], "destroy", ledger.clock)
    except BaseException:
        reaper.abandon()
        raise
    if keep and isinstance(provider, Retaining):
        provider.keep(run_id, over=True)
    if keep and not all_settled(ledger.path):
        reaper.abandon()  # a heal was cut short: it does it again, in peace
    else:
        reaper.dismiss()
