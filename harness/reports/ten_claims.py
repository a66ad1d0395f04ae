"""The claims of the guide that this project comes from, and what runs have shown of each, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.core.plain import as_markdown
from harness.core.values import Verdict
from harness.reports.verdict_table import conviction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.runs.run import Run


@dataclass(frozen=True, slots=True)
class GuideClaim:
    """One of the guide's ten claims.

    `others` are further scenarios, and controls, that show something of it, and `differs` is where what runs showed is not what it says.
    """

    number: int
    text: str
    others: tuple[str, ...] = ()
    differs: str = ""

    def about(self, scenario: str) -> bool:
        """Whether a scenario shows something of this claim: one that has its number, or one of the others."""
        return scenario.startswith(f"{self.number:02}-") or scenario in self.others


CLAIMS: Final = (
    GuideClaim(1, "Static Ansible: a dead node's work does not come back until somebody runs the playbook again", ("nobody-replays",)),
    GuideClaim(2, "Ansible wires containers across hosts by explicit host ports and a ufw rule", ("ufw-past-docker",)),
    GuideClaim(3, 'fleet: Conflicts= means never two on one machine: "instant HA"', ("conflicts-missing", "instant-ha-of-one-copy")),
    GuideClaim(
        4,
        "fleet leans on etcd, and etcd fails when disk latency is high",
        ("slow-disk-leader", "slow-disk-majority", "slow-disk-below", "slow-disk-of-a-follower"),
    ),
    GuideClaim(
        5,
        "Mesos and Marathon: once running, bulletproof, holiday spikes without manual intervention",
        (
            *("spike", "agent-bounce", "agent-kill", "marathon-leader-kill", "master-leader-kill"),
            *("zookeeper-leader-kill", "zookeeper-majority-lost", "scale-beyond-room", "no-master-no-work"),
        ),
    ),
    GuideClaim(6, "hostPort: 0 needs service discovery (HAProxy) to find where containers landed", ("haproxy-lag", "haproxy-left-behind")),
    GuideClaim(
        7,
        "The Docker daemon hangs (again)",
        ("daemon-hang", "partition-during-daemon-hang", "unseen-by-http", "dies-unnoticed"),
    ),
    GuideClaim(
        8,
        "Noisy neighbour: somebody forks a thousand processes and your containers stall",
        ("neighbour-unbound",),
        "A thousand processes that end as soon as they are forked stall nobody on a kernel of today; what does is many that go on and want a "
        "processor. With limits it runs only where Docker has control groups to limit by: on virtual machines, and on hosts with version 2 alone.",
    ),
    GuideClaim(
        9,
        "fio's random writes tell whether a disk can carry etcd or ZooKeeper",
        ("quick-disk-elects-nobody",),
        "etcd's own figure, 10 ms for the 99th percentile of fdatasync, is where its documents begin to worry, and not where anybody is elected: "
        "that takes a write as long as an election timeout. ZooKeeper's leader speaks whatever its disk does.",
    ),
    GuideClaim(10, "The unit file cleans up after a crash", ("left-by-a-power-cut",)),
)


def markdown(runs: Iterable[Run]) -> str:
    """Return each claim with the runs about it: verdict, and what was measured, in the words of the checkers. Other runs are left out."""
    every = sorted(
        runs, key=lambda run: (run.plan.control is not None, run.plan.scenario, run.plan.mode, run.plan.provider, run.plan.seed, run.run_id)
    )
    lines = ["# The guide's claims, and what runs have shown of them", ""]
    for claim in CLAIMS:
        lines += [f"## {claim.number}. {as_markdown(claim.text)}", "", *_rows([run for run in every if claim.about(run.plan.scenario)]), ""]
        lines += [as_markdown(claim.differs), ""] if claim.differs else []
    return "\n".join(lines).rstrip() + "\n"


def _rows(runs: Sequence[Run]) -> Iterator[str]:
    if not runs:
        yield "No run of it is kept here."
        return
    several = len({run.plan.provider for run in runs}) > 1  # then it counts what nodes are: whether they share a kernel
    yield "| scenario | mode | seed | verdict | what was measured |"
    yield "|---|---|---|---|---|"
    for run in runs:
        mode = f"{run.plan.orchestrator} on {run.plan.provider}" if several else run.plan.orchestrator
        cells = (run.plan.scenario, mode, str(run.plan.seed), _verdict(run))
        yield f"| {' | '.join(map(as_markdown, cells))} | {'<br>'.join(_measured(run))} |"


def _verdict(run: Run) -> str:
    told = conviction(run)
    if told is None:
        return str(run.verdict)
    return f"{run.verdict}, as a control must" if told.right else f"{run.verdict}: {told.text}"


def _measured(run: Run) -> Iterator[str]:
    """Yield what each checker found, as Markdown."""
    for finding in run.findings:
        verdict = "" if finding.verdict is Verdict.HELD else f" ({finding.verdict})"
        yield f"**{as_markdown(finding.checker)}**{verdict}: {as_markdown(finding.summary)}"
