"""The one imperative module: walks a plan on a real cluster.

`conduct` is a whole run, from the plan to the verdict. `lent` is its middle part, for scenarios that are written in Python.

Each fault's life: ledger line → inject → wait until in force → hold → heal → wait until nothing of it is left → ledger line. Whatever happens in
between, the heal is tried; if the harness dies, the reaper does it. On nodes that outlive this machine a timer is set before inject and stopped
after heal (`harness.deadman`), so that they mend themselves when they hear of us no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__, checks, fingerprint, parameters, targets
from harness.clock import Clock, SystemClock, wait_until
from harness.cluster import Cluster
from harness.deadman import DeadMan
from harness.errors import Expired, FaultFailed, HarnessError, Unreachable, Unsupported
from harness.history import Checked, FaultStage, Fingerprinted, Note, PhaseBegan, Recorder, Wholeness
from harness.judge import judge_folder
from harness.ledger import Ledger, unsettled
from harness.modes import MODES
from harness.nodes.together import together
from harness.observers import observers
from harness.plan import AFTER, BEFORE, DURING, LEADER_MOVED, RECOVERED, Hold, Plan, Wait
from harness.protocols import (
    Adopting,
    Disposable,
    LogFiles,
    Outliving,
    Preparing,
    Quorum,
    Remedied,
    Running,
    Slower,
    Snapshots,
    Unhurried,
)
from harness.providers import PROVIDERS
from harness.providers.limits import Claiming, Limited, reach
from harness.reaper import Reaper
from harness.run import Run
from harness.situation import Situation
from harness.standing import FORMED, Held
from harness.values import Outcome, Phase, Stage, Verdict
from harness.workloads.driver import Driver, Ops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.protocols import Fault, Mode, Node, Observer, Provider
    from harness.standing import Standing
    from harness.values import App, Json, Unavailable

IN_FORCE_SECONDS = 10.0
"""How long a fault may take to be in force on all its targets."""
STEADY_SECONDS = 45.0
"""How long a new cluster may take until all its work runs and serves, seen by the observers."""
LINGER_SECONDS = 3.0
"""How long a fault is held on after what it was held for was seen: what goes wrong often goes wrong just after."""
WHOLE_SECONDS = 2.0
"""How long a cluster must look whole before it counts as settled: fleet bounces work after a heal."""
HEAL_TRIES = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done while a cluster is made, for people."""

    text: str
    part: str  # prepare, create, form, deploy, destroy
    done: int | None = None
    total: int | None = None


@dataclass(slots=True)
class Options:
    """How a run is to be done, beside what its plan says."""

    results: Path
    keep: bool = False  # leave the cluster standing
    logs: bool = False  # keep the nodes' logs whatever the verdict
    listener: Callable[[Progress], None] | None = None
    listen: Callable[[Recorder], None] | None = None  # called once, when the history is open
    stop: threading.Event = field(default_factory=threading.Event)  # set it to end early: faults are healed, the cluster goes
    clock: Clock = field(default_factory=SystemClock)
    standing: Standing | None = None  # where a cluster that can be set back waits for the next run; None: each run makes its own
    busy: bool = False  # the cluster is being made: nothing is broken yet, and nobody looks at `stop` in the middle of a step

    def tell(self, part: str, text: str) -> None:
        """Tell the listener, if there is one."""
        if self.listener is not None:
            self.listener(Progress(text, part))

    def go_on(self) -> None:
        """Raise `Stopped` if the run was asked to stop."""
        if self.stop.is_set():
            raise Stopped("the run was stopped")


class Stopped(HarnessError):
    """The run was asked to stop. Everything was healed and removed."""


def run_id_of(plan: Plan) -> str:
    """Return a new run id: scenario, mode, seed, time, and something that tells two runs of one second apart."""
    stamp = datetime.now(tz=UTC).strftime("%m%d-%H%M%S")
    return f"{plan.scenario[:20].strip('-')}-{plan.mode[:8]}-s{plan.seed % 100000}-{stamp}-{secrets.token_hex(2)}".lower()


def conduct(plan: Plan, options: Options) -> Run:
    """Do a whole run and return it judged. The cluster is gone when this returns, unless it was to be kept.

    Raises `Unsupported` where this machine cannot make a fault or a node, `Stopped` when asked to stop, and any other `HarnessError` where the
    harness could not do its work; what was written until then stays under ``results/``.
    """
    with lent(plan, options) as session:
        session.walk()
        session.recorder.record(PhaseBegan(Phase.DONE))
        session.must_be_written()
        run = judge_folder(session.folder)
        if options.logs or run.verdict is not Verdict.HELD:
            session.save_logs()
    return run


@contextlib.contextmanager
def lent(plan: Plan, options: Options) -> Iterator[Session]:
    """Lend a cluster that is formed, deployed and watched. It is healed, dissolved and destroyed in reverse, whatever happened."""
    options.busy = True
    provider = PROVIDERS[plan.provider]()
    facts: Mapping[str, Json] = {}
    if isinstance(provider, Preparing):
        # Before the run has a folder and a clock: a machine that cannot have nodes leaves nothing, and building the image once is no part of a run.
        facts = provider.prepare(lambda text: options.tell("prepare", text))
    plan, mode = _at_its_pace(plan, provider)
    run_id = run_id_of(plan)
    folder = _save_plan(plan, options.results / run_id)
    held = options.standing.take(plan) if options.standing is not None else None
    cluster_id = held.run_id if held is not None else run_id
    ledger = Ledger(folder / "ledger.jsonl", cluster_id, plan.provider, plan.mode, options.clock)
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(Recorder(folder / "history.jsonl", options.clock))
        if options.listen is not None:
            options.listen(recorder)
        recorder.record(PhaseBegan(Phase.FORMING))
        environment = _environment(plan, recorder, facts if held is None else {**facts, "made_for": cluster_id})
        _write_environment(folder, environment)
        # By its whole path: the reaper stands in another folder.
        reaper = Reaper(cluster_id, ledger.path.resolve(), plan.provider).start()
        try:
            if held is not None:
                held.reaper.dismiss()
            options.go_on()
            nodes = _nodes(plan, options, provider, cluster_id, made=held is not None)
            _note(provider, cluster_id, folder, reaper, keep=options.keep)
            cluster = Cluster(cluster_id, nodes, provider, mode, options.clock, plan.apps, slack=plan.slack)
            with cluster.network(), contextlib.ExitStack() as leaving:
                options.go_on()
                if held is None:
                    plan = _formed(plan, options, cluster, folder, recorder)
                _write_environment(folder, {**environment, "kernels": _kernels(nodes)})
                session = Session(plan, options, cluster, recorder, ledger, folder, reaper)
                session.must_be_possible()
                recorder.record(PhaseBegan(Phase.DEPLOYING))
                _deploy(plan, options, cluster, leaving)
                options.busy = False
                with session.watching():
                    yield session
        except BaseException as error:
            options.busy = False
            recorder.record(Note(f"ended early: {type(error).__name__}: {error}"))
            _undo(provider, ledger, cluster_id, reaper, keep=options.keep, left=isinstance(error, _NotWithdrawn))
            raise
        if options.standing is not None and isinstance(provider, Snapshots) and not options.keep and not unsettled(ledger.path):
            options.standing.hold(Held(cluster_id, plan, provider, reaper))
        else:
            options.tell("destroy", "letting the hosts go" if isinstance(provider, Running) else "removing the cluster")
            _undo(provider, ledger, cluster_id, reaper, keep=options.keep)


def _at_its_pace(plan: Plan, provider: Provider) -> tuple[Plan, Mode]:
    """Return a plan and its mode, both with what machines of this provider may take longer."""
    allowance = provider.allowance() if isinstance(provider, Slower) else None
    if allowance is not None:
        plan = plan.slowed(allowance)
    mode = MODES[plan.mode].from_timers(plan.profile, plan.timers)
    if allowance is not None and isinstance(mode, Unhurried):
        mode.unhurried(allowance.seconds)
    return plan, mode


def _nodes(plan: Plan, options: Options, provider: Provider, cluster_id: str, *, made: bool) -> Sequence[Node]:
    """Return the nodes of a run: created for it, or set back to how they were formed for an earlier one."""
    if not made:
        options.tell("create", f"creating {len(plan.nodes)} nodes")
        return provider.create(cluster_id, plan.nodes)
    options.tell("create", f"setting {len(plan.nodes)} nodes back")
    if not isinstance(provider, Snapshots):
        raise Unsupported(f"the {provider.name} provider cannot set machines back")
    provider.revert(cluster_id, FORMED)
    return provider.adopt(cluster_id)


def _note(provider: Provider, run_id: str, folder: Path, reaper: Reaper, *, keep: bool) -> None:
    """Note with the cluster just created what another process must know to remove it, or that it is to be kept."""
    if isinstance(provider, Claiming):
        provider.note_results(run_id, folder.resolve())
    if keep and isinstance(provider, Disposable | Claiming):
        provider.keep(run_id)
        reaper.keep()


def _formed(plan: Plan, options: Options, cluster: Cluster, folder: Path, recorder: Recorder) -> Plan:
    """Form the cluster, or find the one that runs already. Returns the plan, with the budgets of the timers that are really in force."""
    mode = cluster.mode
    if not isinstance(cluster.provider, Running):
        options.tell("form", f"forming {plan.mode}")
        mode.form(cluster)
        if options.standing is not None and isinstance(cluster.provider, Snapshots):
            options.tell("form", "keeping that state for the runs that follow")
            cluster.provider.save(cluster.run_id, FORMED)
        return plan
    if not isinstance(mode, Adopting):
        raise Unsupported(
            f"the {mode.name} mode can only form clusters, and the {cluster.provider.name} provider has one that runs already"
        )
    options.tell("form", f"finding {plan.mode} on the hosts")
    mode.adopt(cluster)
    for remark in getattr(mode, "remarks", ()):  # what it could not find out of somebody else's cluster
        recorder.record(Note(str(remark)))
        options.tell("form", str(remark))
    plan = plan.timed(mode)
    _write_plan(plan, folder)
    return plan


def _deploy(plan: Plan, options: Options, cluster: Cluster, leaving: contextlib.ExitStack) -> None:
    """Start the apps. On a cluster that is not ours they are removed when the run leaves it, unless it is to be kept as it is."""
    mode = cluster.mode
    for app in plan.apps:
        options.go_on()
        options.tell("deploy", f"deploying {app.name}")
        if isinstance(mode, Adopting) and isinstance(cluster.provider, Running) and not options.keep:
            leaving.callback(_withdraw, mode, cluster, app)
        mode.deploy(cluster, app)


class _NotWithdrawn(HarnessError):
    """An app is still on a cluster that is not ours."""


def _withdraw(mode: Adopting, cluster: Cluster, app: App) -> None:
    """Remove an app from a cluster that is not ours. Raises `_NotWithdrawn` that says what to do where it stays."""
    try:
        mode.withdraw(cluster, app)
    except HarnessError as error:
        raise _NotWithdrawn(
            f"{app.name} could not be removed from the cluster that it was deployed on: {error}; `whalefall sweep` tries again"
        ) from error


def _save_plan(plan: Plan, folder: Path) -> Path:
    """Make a run's folder with its plan in it, and let ``latest`` point to it. Raises `HarnessError` where that cannot be written."""
    try:
        folder.mkdir(parents=True)
        _write_plan(plan, folder)
        _point(folder.parent / "latest", folder)
    except OSError as error:
        raise HarnessError(f"cannot write results to {folder}: {error}; nothing was created; choose another folder for results") from error
    return folder


def _write_plan(plan: Plan, folder: Path) -> None:
    (folder / "plan.json").write_text(json.dumps(plan.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _undo(provider: Provider, ledger: Ledger, run_id: str, reaper: Reaper, *, keep: bool, left: bool = False) -> None:
    """Destroy the cluster, unless it is to be kept; what we cannot do ourselves the reaper is left to do.

    Nodes that outlive the run are not let go while anything of it is on them (something is broken still, or `left`, an app): only the record of
    them says where. The reaper tries once more, and keeps the record where that fails, too.
    """
    if not keep and isinstance(provider, Claiming) and (left or unsettled(ledger.path)):
        reaper.abandon()
        return
    try:
        if not keep:
            provider.destroy(run_id)
    except BaseException:
        reaper.abandon()
        raise
    if keep and unsettled(ledger.path):
        reaper.abandon()  # a heal was cut short: it does it again, in peace
    else:
        reaper.dismiss()


def _must_be_none(why: Unavailable | None, fault: Fault, node: Node) -> None:
    """Raise `Unsupported` if there is a reason why a fault may not, or cannot, be made on a node."""
    if why is not None:
        raise Unsupported(why.of(fault.name, node.name))


def _point(link: Path, folder: Path) -> None:
    """Let ``latest`` point to a run, in one step, so that runs side by side do not fall over each other."""
    fresh = link.with_name(f".latest-{folder.name}")
    fresh.symlink_to(folder.name)
    fresh.replace(link)


def _environment(plan: Plan, recorder: Recorder, facts: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "whalefall": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),  # of the harness's machine; the nodes' own are in kernels
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "provider": plan.provider,
        "mode": plan.mode,
        "profile": plan.profile,
        "started": datetime.fromtimestamp(recorder.wall_origin, tz=UTC).isoformat(timespec="microseconds"),  # the run's second 0
        **facts,
    }


def _kernels(nodes: Sequence[Node]) -> dict[str, Json]:
    """Return each node's kernel by its own word; a node that gives none is left out."""
    found: dict[str, Json] = {}
    for node, result in zip(nodes, together(nodes, lambda node: node.run("uname", "-r"), "asking for the kernel"), strict=True):
        if result.ok:
            found[node.name] = result.text.strip()
    return found


def _write_environment(folder: Path, body: Mapping[str, Json]) -> None:
    (folder / "environment.json").write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def _members(cluster: Cluster) -> tuple[str, ...]:
    """Return the names of the quorum's members; none where the mode stands on no quorum."""
    return cluster.mode.members(cluster) if isinstance(cluster.mode, Quorum) else ()


class Session:
    """A lent cluster with everything that watches it."""

    def __init__(
        self, plan: Plan, options: Options, cluster: Cluster, recorder: Recorder, ledger: Ledger, folder: Path, reaper: Reaper | None = None
    ) -> None:
        self.plan = plan
        self.options = options
        self.cluster = cluster
        self.recorder = recorder
        self.folder = folder
        self._ledger = ledger
        self._reaper = reaper
        provider = cluster.provider
        self._dead_man = (
            DeadMan(cluster, provider.patience(), lambda text: recorder.record(Note(text))) if isinstance(provider, Outliving) else None
        )
        self._rng = random.Random(plan.seed)  # noqa: S311 - choices that can be repeated, not secrets
        self._faults = 0
        kinds = {workload.name for workload in plan.workloads}
        self.situation = Situation(
            [node.name for node in cluster.nodes],
            plan.apps,
            _members(cluster),
            called={str(parameters.read(workload)["app"]) for workload in plan.workloads if workload.name == "http"},
            register="register" in kinds,
        )
        self._observers: Sequence[Observer] = observers(cluster)
        ops = Ops()
        self._drivers = [
            Driver(workload, cluster, recorder, random.Random(f"{plan.seed}/{number}"), ops)  # noqa: S311 - same
            for number, workload in enumerate(plan.workloads)
        ]

    def must_be_possible(self) -> None:
        """Raise `Unsupported` if a fault of the plan cannot be made on these nodes, before anything is broken."""
        spared = self._spared()
        names = [node.name for node in self.cluster.nodes]
        counts = {app.name: app.instances for app in self.plan.apps}
        for step in self.plan.breaks:
            for refused in reach(step.targets, names, counts, spared, self._at_once()).refused:
                raise Unsupported(f"{step.fault.name} is refused: {refused}")
            for node in self.cluster.nodes:
                if node.name not in spared:
                    _must_be_none(self._refusal(step.fault, node) or step.fault.available(self.cluster, node), step.fault, node)

    def _refusal(self, fault: Fault, node: Node) -> Unavailable | None:
        """Return why whoever runs a node does not allow a fault on it, or None."""
        provider = self.cluster.provider
        return provider.refusal(self.cluster.run_id, node.name, fault.name) if isinstance(provider, Limited) else None

    def _must_be_allowed(self, fault: Fault, hit: Sequence[Node]) -> None:
        """Raise `Unsupported` where whoever runs these nodes does not allow it. A scenario in Python has no plan that could be asked before."""
        allowed = self._at_once()
        if allowed is not None and len(hit) > allowed:
            names = ", ".join(node.name for node in hit)
            raise Unsupported(
                f"{fault.name} on {names} would break {len(hit)} at once, and {allowed} is allowed; raise whalefall_at_once, or hit fewer"
            )
        if isinstance(self.cluster.provider, Limited):
            # The other end of a cut counts as well, but for a node that is spared: it is no target, and loses nothing but the way to one.
            more = fault.touched(self.cluster, hit) if isinstance(fault, Remedied) else ()
            for node in {node.name: node for node in (*hit, *more) if node.name not in self._spared()}.values():
                _must_be_none(self._refusal(fault, node), fault, node)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch and call for as long as the block lasts, and stop all of it in reverse."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.recorder.listen(self.situation.hear))
            for observer in self._observers:
                stack.callback(observer.stop)
                observer.start(self.cluster, self.recorder)
            self._fingerprint(BEFORE)
            for driver in self._drivers:
                stack.callback(driver.stop)
                driver.start()
            yield

    # -- a whole plan

    def walk(self) -> None:
        """Walk the plan's steps, let the cluster settle, and read everything back."""
        steady = self._await_whole(STEADY_SECONDS + self.plan.slack, BEFORE)
        self.recorder.record(PhaseBegan(Phase.STEADY))
        self._check(BEFORE)
        # What was not sound before proves nothing when it is broken: then no step is taken, and the verdict will be unknown.
        steps = list(self.plan.steps) if steady else []
        while steps and isinstance(steps[0], Wait):
            self.pause(steps.pop(0).seconds)  # type: ignore[union-attr]  # a Wait, as just asked
        self.recorder.record(PhaseBegan(Phase.FAULTS))
        for step in steps:
            if isinstance(step, Wait):
                self.pause(step.seconds)
            else:
                self.break_(step.fault, step.targets, step.hold)
        self.recorder.record(PhaseBegan(Phase.SETTLING))
        if steady and self.plan.settle > 0:
            self._await_whole(self.plan.settle, AFTER)
        self._check(AFTER)
        self._fingerprint(AFTER)
        for driver in self._drivers:
            driver.stop()
        self.recorder.record(PhaseBegan(Phase.FINAL))
        for driver in self._drivers:
            driver.finals()

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises `Stopped` as soon as the run is asked to stop, and `HarnessError` if the history can no longer be written."""
        self.options.clock.wait(self.options.stop, seconds)
        self.options.go_on()
        self.must_be_written()

    def must_be_written(self) -> None:
        """Raise `HarnessError` if the history could not be written: what is not in it cannot be judged."""
        if self.recorder.failure is not None:
            raise HarnessError(
                f"the history cannot be written any more: {self.recorder.failure}; free some disk, or choose another folder for results"
            )

    def _await_whole(self, seconds: float, when: str) -> bool:
        """Wait until the cluster has looked whole for a while, and record how that went: checkers judge it."""
        begun = self.recorder.now()
        since: list[float] = []

        def whole() -> bool:
            now = self.recorder.now()
            if self.situation.missing(now):
                since.clear()
                return self.options.stop.is_set()
            since.append(now)
            return self.options.stop.is_set() or now - since[0] >= WHOLE_SECONDS

        done = self.recorder.wait_for(whole, seconds)
        self.options.go_on()
        now = self.recorder.now()
        missing = () if done else tuple(self.situation.missing(now)) or ("it was whole only for a moment",)
        self.recorder.record(Wholeness(when, done, now - begun, missing))
        if not done:
            what = "steady" if when == BEFORE else "whole again"
            self.recorder.record(Note(f"not {what} after {seconds:g} s: {'; '.join(missing)}"))
        return done

    # -- one fault

    def break_(self, fault: Fault, expression: str, hold: Hold) -> tuple[str, ...]:
        """Break something, hold it, mend it. Returns the names of the nodes that were hit."""
        if self._reaper is not None and self._reaper.ensure():
            self.recorder.record(Note("the reaper had died; another was started before anything is broken"))
        self.must_be_written()
        self._faults += 1
        number = self._faults
        hit = self.resolve(expression)
        self._must_be_allowed(fault, [self.cluster.node(name) for name in hit])
        displaced = self.situation.instances_on(hit)
        leader = self.situation.leader()
        nodes = [self.cluster.node(name) for name in hit]
        values = parameters.read(fault)

        def stage(stage: Stage, detail: str = "") -> None:
            self.recorder.record(FaultStage(number, fault.name, hit, stage, values, detail))

        self._ledger.open(number, fault, hit)
        stage(Stage.DECIDED, expression)
        try:
            try:
                if self._dead_man is not None:
                    self._dead_man.arm(number, fault, nodes)
                fault.inject(self.cluster, nodes)
                stage(Stage.INJECTED)
                self._await_force(fault, nodes)
            except HarnessError as error:
                stage(Stage.FAILED, str(error))
            else:
                stage(Stage.IN_FORCE)
                self._check(DURING)
                self._hold(hold, displaced, hit, leader)
                self._check(DURING)
                self._still_in_force(number, fault, nodes, stage)
        finally:
            self._mend(number, fault, nodes, stage)
            self._ledger.close(number)
        return hit

    def resolve(self, expression: str) -> tuple[str, ...]:
        """Resolve a target expression by what is so now. Raises `HarnessError` where nothing is left to choose from."""
        return targets.resolve(
            targets.parse(expression),
            nodes=tuple(node.name for node in self.cluster.nodes),
            leader=self.situation.leader(),
            members=_members(self.cluster),
            hosting=self.situation.hosting(),
            rng=self._rng,
            spared=self._spared(),
        )

    def _spared(self) -> frozenset[str]:
        """Return the nodes that must never be broken, by the word of whoever runs them."""
        provider = self.cluster.provider
        return provider.spared(self.cluster.run_id) if isinstance(provider, Running) else frozenset()

    def _at_once(self) -> int | None:
        """Return how many nodes may be broken at the same time, by the word of whoever runs them; None where nobody else does."""
        provider = self.cluster.provider
        return provider.at_once(self.cluster.run_id) if isinstance(provider, Running) else None

    def _await_force(self, fault: Fault, nodes: Sequence[Node]) -> None:
        missing: list[str] = []

        def in_force() -> bool:
            missing[:] = [node.name for node in nodes if not fault.in_force(self.cluster, node)]
            return not missing

        try:
            wait_until(
                in_force,
                awaited=f"{fault.name} to be in force",
                seconds=IN_FORCE_SECONDS,
                clock=self.options.clock,
                every=0.02,
                stop=self.options.stop,
                saw=lambda: f"not in force on {', '.join(missing)}",
            )
        except Expired as error:
            raise FaultFailed(str(error)) from error

    def _still_in_force(self, number: int, fault: Fault, nodes: Sequence[Node], stage: Callable[..., None]) -> None:
        """Ask once more, just before mending: what something else undid in the meantime was not held, and nothing can be said of it."""
        # Also of nodes that are no targets, as at the other end of a cut.
        mended = self._dead_man.lost(number) if self._dead_man is not None else []
        if mended:
            stage(Stage.FAILED, f"not held to the end: {'; '.join(mended)}")
            return
        try:
            gone = [node.name for node in nodes if not fault.in_force(self.cluster, node)]
        except HarnessError as error:
            stage(Stage.FAILED, f"cannot be asked whether it is still in force when it was to be mended: {error}")
            return
        if gone:
            stage(Stage.FAILED, f"no longer in force on {', '.join(gone)} when it was to be mended: something else undid it")

    def _hold(self, hold: Hold, displaced: Sequence[str], hit: Sequence[str], leader: str | None) -> None:
        if not hold.until:
            self.pause(hold.seconds)
            return

        def seen() -> bool:
            if self.options.stop.is_set():
                return True
            if hold.until == RECOVERED:
                return self.situation.recovered(displaced, hit, self.recorder.now())
            now = self.situation.leader()
            return hold.until == LEADER_MOVED and now is not None and now != leader

        if self.recorder.wait_for(seen, hold.seconds):
            self.pause(LINGER_SECONDS)
        else:
            self.recorder.record(Note(f"held for {hold.seconds:g} s: not {hold.until.replace('-', ' ')} in that time"))

    def _mend(self, number: int, fault: Fault, nodes: Sequence[Node], stage: Callable[..., None]) -> None:
        """Heal, and only then stop the nodes' own timers: while anything may be left they are the last resort."""
        try:
            self._heal(fault, nodes, stage)
        except BaseException:
            if self._dead_man is not None:
                self._dead_man.let_go(number)
            raise
        if self._dead_man is not None:
            self._dead_man.disarm(number, fault, nodes)

    def _heal(self, fault: Fault, nodes: Sequence[Node], stage: Callable[..., None]) -> None:
        """Mend, and see that it is mended. Tried again when it fails; if it stays, that is a failure of the harness and said so loudly."""
        stage(Stage.HEALING)
        last: HarnessError | None = None
        for _ in range(HEAL_TRIES):
            try:
                fault.heal(self.cluster, nodes)
                wait_until(
                    lambda: not any(fault.in_force(self.cluster, node) for node in nodes),
                    awaited=f"nothing of {fault.name} to be left",
                    seconds=IN_FORCE_SECONDS,
                    clock=self.options.clock,
                    every=0.02,
                )
            except HarnessError as error:
                last = error
            else:
                stage(Stage.HEALED)
                return
        stage(Stage.FAILED, f"could not be healed: {last}")
        names = ", ".join(node.name for node in nodes)
        raise FaultFailed(f"{fault.name} on {names} could not be healed in {HEAL_TRIES} tries: {last}") from last

    # -- asking

    def _check(self, when: str) -> None:
        """Ask what the scenario wants to have asked at this moment."""
        for check in self.plan.checks:
            if when not in check.when:
                continue
            for name in self.resolve(check.on):
                node = self.cluster.node(name)
                try:
                    outcome, saw = checks.ask(node, check)
                except Unreachable as error:
                    outcome, saw = Outcome.UNKNOWN, str(error)
                self.recorder.record(Checked(str(check), name, when, outcome, saw))

    def _fingerprint(self, when: str) -> None:
        def take(node: Node) -> None:
            try:
                self.recorder.record(Fingerprinted(node.name, when, fingerprint.fingerprint(node, self.cluster.provider)))
            except HarnessError as error:
                self.recorder.record(Fingerprinted(node.name, when, {}, str(error)))

        with ThreadPoolExecutor(max_workers=len(self.cluster.nodes)) as pool:
            list(pool.map(take, self.cluster.nodes))

    def save_logs(self) -> None:
        """Keep the nodes' logs under ``logs/<node>/``. A node that cannot be asked is noted; the others are kept all the same."""
        mode = self.cluster.mode
        if not isinstance(mode, LogFiles):
            return
        logs: LogFiles = mode

        def take(node: Node) -> None:
            folder = self.folder / "logs" / node.name
            folder.mkdir(parents=True, exist_ok=True)
            try:
                for name, content in logs.logs(node).items():
                    (folder / Path(name).name).write_bytes(content)
            except HarnessError as error:
                (folder / "unreachable.txt").write_text(f"{error}\n", encoding="utf-8")

        with ThreadPoolExecutor(max_workers=len(self.cluster.nodes)) as pool:
            list(pool.map(take, self.cluster.nodes))
