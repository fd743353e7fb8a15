"""The sections around the numbers: jobs and their gaps, runs cut short, policies, provenance, videos."""

from __future__ import annotations

from collections import Counter

from report import method
from report.curves import Curves, OneAlpha
from report.document import Column, Entry, Section, Table, Text, Video, gap, number, plain, words
from report.evidence import Evidence
from report.jobs import STATUSES, Job

VIDEO = "video.mp4"
# A page that embeds more than this opens slowly or not at all; the rest is named with its place on disk.
MAX_VIDEO_BYTES = 60 * 2**20

_MEANING = {
    "ok": "finished",
    "cut short": "cut short by max_decisions",
    "failed": "failed",
    "damaged": "with a result that can't be read",
    "missing": "without a result",
    "skipped": "skipped for want of a policy",
}


def count(jobs: list[Job]) -> str:
    """ "36 jobs: 24 finished, 12 skipped for want of a policy"."""
    found = Counter(job.status for job in jobs)
    parts = ", ".join(f"{found[status]} {_MEANING[status]}" for status in STATUSES if found[status])
    return f"{len(jobs)} job{'s' if len(jobs) != 1 else ''}: {parts}."


def gaps(jobs: list[Job]) -> Section | None:
    """Every job that didn't finish, with its cause; None where all did."""
    lacking = sorted((job for job in jobs if job.status != "ok"), key=lambda job: STATUSES.index(job.status))
    if not lacking:
        return None
    columns = [Column(name, number=False) for name in ("Status", "Task", "Method", "CRPI", "Why", "Folder")]
    rows = []
    for job in lacking:
        network = method.network(job.config).label if job.config else "unknown"
        variants = " / ".join(variant.label for variant in method.variants(job.config)) if job.config else "unknown"
        status = gap(job.status, "")
        rows.append(
            [status, words(job.task), words(network), words(variants), words(job.reason), words(str(job.folder))]
        )
    return Section("Jobs without a comparable result", [Table("gaps", columns, rows)])


def cut_short(jobs: list[Job]) -> Section | None:
    """Sums of rewards of runs that max_decisions cut short: they are not returns."""
    rows = []
    for job in jobs:
        result = job.result
        if job.status != "cut short" or result is None or result.ann is None:
            continue
        network = method.network(job.config).label
        for rollouts in [result.ann, *(one for one in result.snn if one.stream == "report")]:
            name = "ANN" if rollouts.alpha is None else f"{network}, α={rollouts.alpha:g}"
            decisions = max(episode.decisions for episode in rollouts.episodes)
            sums = rollouts.mean_reward_sum()
            rows.append(
                [
                    words(job.task),
                    words(result.obs),
                    words(name),
                    number(decisions, str(decisions)),
                    number(sums, plain(sums)),
                ]
            )
    if not rows:
        return None
    columns = [
        Column("Task", number=False),
        Column("Observation", number=False),
        Column("Method", number=False),
        Column("Decisions", "after which every episode was cut short"),
        Column("Sum of rewards", "mean over the episodes; not a return"),
    ]
    warning = Text(
        "max_decisions cut these episodes short. Their sums of rewards are not returns and appear in no other table.",
        warning=True,
    )
    return Section("Runs cut short", [warning, Table("cut_short", columns, rows)])


def policies(evidence: Evidence) -> Section | None:
    """Which networks were converted; None where no job finished."""
    if not evidence.policies:
        return None
    columns = [
        Column("Task", number=False),
        Column("Observation", number=False),
        Column("Training seed"),
        Column("Frames", "environment steps of training"),
        Column("Multiply-accumulates", "of the ANN, per decision"),
        Column("SHA-256", number=False),
        Column("File", number=False),
    ]
    rows = []
    seeds = Counter((obs, task, policy.training_seed) for obs, task, policy in evidence.policies.values())
    for sha, (obs, task, policy) in sorted(evidence.policies.items(), key=lambda item: (item[1][:2], item[0])):
        seed = number(None) if policy.training_seed is None else number(policy.training_seed, str(policy.training_seed))
        macs = sum(layer.macs for layer in policy.macs)
        frames, costs = number(policy.frame, f"{policy.frame:,}"), number(macs, f"{macs:,}")
        rows.append([words(task), words(obs), seed, frames, costs, words(sha[:12]), words(policy.path)])
    blocks: list = [Table("policies", columns, rows)]
    twice = [f"{task} ({obs}, training seed {seed})" for (obs, task, seed), times in seeds.items() if times > 1]
    if twice:
        text = f"Different files stand for the same training seed: {', '.join(twice)}. They count as separate policies here."
        blocks.insert(0, Text(text, warning=True))
    return Section("Policies", blocks, folded=True)


def provenance(evidence: Evidence) -> Section:
    """Provenance: versions, machines and configurations behind the numbers."""
    results = [job.result for job in evidence.jobs if job.result is not None and job.result.status == "ok"]
    facts: dict[str, set[str]] = {}
    for result in results:
        for name, value in result.versions.items():
            facts.setdefault(name, set()).add(value)
        for name in ("device", "threads", "dtype", "chunk", "renderer"):
            facts.setdefault(name, set()).add(str(result.compute.get(name)))
        facts.setdefault("base seeds of the environments", set()).add(str(result.seeds.get("seed")))
        facts.setdefault("report episodes per policy", set()).add(str(len(result.ann.episodes) if result.ann else None))
        facts.setdefault("α chosen", set()).add(result.alpha.note if result.alpha else "")
    seconds = sum(result.timing.get("seconds", 0.0) for result in results)
    computed = sum(result.timing.get("episodes_computed", 0) for result in results)
    reused = sum(result.timing.get("episodes_reused", 0) for result in results)
    rows = [[words(name), Entry("; ".join(sorted(values)))] for name, values in facts.items()]
    rows.append([words("wall-clock time of the jobs"), Entry(f"{seconds:,.0f} s")])
    rows.append([words("episodes"), Entry(f"{computed:,.0f} computed, {reused:,.0f} taken from earlier runs")])
    blocks: list = [Table("provenance", [Column("What", number=False), Column("Value", number=False)], rows)]
    if evidence.conflicts:
        text = (
            f"{evidence.conflicts} episodes stand in two results with different outcomes (other code, machine or settings); "
            "the newer result counts."
        )
        blocks.insert(0, Text(text, warning=True))
    return Section("How this was computed", blocks, folded=True)


def one_alpha_table(found: list[OneAlpha], reported: dict[tuple[str, str], float], obs: str) -> Section | None:
    """One α for all tasks beside one for each. `reported`: (network label, mode) → APR of the one α over the report
    episodes, where every task played them."""
    if not found:
        return None
    columns = [
        Column("Method", number=False),
        Column("Episodes", number=False),
        Column("α per task", number=False),
        Column("APR %, α per task", "on the episodes named"),
        Column("One α", "the best for all tasks together, on the episodes named"),
        Column("APR %, one α", "on the episodes named"),
        Column("APR %, α = 0", "on the episodes named"),
        Column("APR %, one α, reported episodes", "where all tasks played them with this α"),
    ]
    rows = []
    for one in found:
        curves = one.curves
        name = curves.network.label + ("" if curves.mode == "residual" else f", {curves.mode}")
        fresh = reported.get((curves.network.label, curves.mode))
        rows.append(
            [
                words(name),
                words(stream(curves)),
                words(", ".join(f"{task} {alpha:g}" for task, alpha in one.per_task.items())),
                number(one.apr_per_task, f"{100 * one.apr_per_task:.2f}"),
                number(one.alpha, f"{one.alpha:g}"),
                number(one.apr, f"{100 * one.apr:.2f}"),
                number(one.apr_off, f"{100 * one.apr_off:.2f}" if one.apr_off is not None else None),
                number(fresh, f"{100 * fresh:.2f}" if fresh is not None else None),
            ]
        )
    note = Text(
        "Each APR but the last is measured on the episodes that the α was chosen on, so that it is optimistic, the one "
        "with an α per task more so. The ANN's returns are those of the report episodes."
    )
    return Section("One α for all tasks beside one for each", [note, Table(f"one_alpha_{obs}", columns, rows)])


def stream(curves: Curves) -> str:
    """Which episodes the curves are over, in words."""
    points = [point for points in curves.tasks.values() for point in points]
    episodes = sorted({point.episodes for point in points})
    kind = "reported" if curves.stream == "report" else "selection"
    return f"{kind}, {' to '.join(map(str, episodes[:: max(len(episodes) - 1, 1)]))} per task and α"


def videos(jobs: list[Job]) -> Section | None:
    """The videos that the jobs made, as far as a page can hold them."""
    blocks: list = []
    left_out, size = [], 0
    for job in jobs:
        path = job.folder / VIDEO
        if job.status not in ("ok", "cut short") or not path.is_file():
            continue
        size += path.stat().st_size
        caption = f"{job.task}: {method.network(job.config).label}"
        if size > MAX_VIDEO_BYTES:
            left_out.append(f"{caption} ({path})")
        else:
            blocks.append(Video(path, caption))
    if left_out:
        blocks.append(Text(f"Not embedded, because the page would grow too large: {'; '.join(left_out)}."))
    if not blocks:
        return None
    lead = Text(
        "ANN, plain conversion and CRPI from the same initial state, with the return so far and the spikes per unit and "
        "simulation step."
    )
    return Section("Videos", [lead, *blocks])
