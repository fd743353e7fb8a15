"""The sections on the jobs behind the numbers: gaps, runs cut short, videos, policies, provenance."""

import itertools
from collections import Counter, defaultdict

from evaluation.result import VIDEO
from report.evidence import Evidence
from report.jobs import STATUSES, Job
from report.pages import Column, Entry, Section, Table, Text, Video, count, gap, head, number, section, words

# A page that embeds more than this opens slowly or not at all; the rest is named with its place on disk.
MAX_VIDEO_BYTES = 60 * 2**20


def summary(jobs: list[Job]) -> str:
    """ "36 jobs: 24 finished, 12 skipped for want of a policy." """
    times = Counter(job.status for job in jobs)
    parts = ", ".join(f"{times[status]} {meaning}" for status, meaning in STATUSES.items() if times[status])
    return f"{len(jobs)} job{'s' if len(jobs) != 1 else ''}: {parts}."


def gaps(jobs: list[Job]) -> Section | None:
    """Every job that didn't finish, with its cause; None where all did."""
    lacking = sorted((job for job in jobs if job.status != "ok"), key=lambda job: list(STATUSES).index(job.status))
    table = Table(
        "gaps",
        columns=head("Status", "Task", "Method", "CRPI", "Why", "Folder"),
        rows=[[gap(job.status), *map(words, (job.task, *_names(job), job.reason, str(job.folder)))] for job in lacking],
    )
    return section("Jobs without a comparable result", table)


def _names(job: Job) -> tuple[str, str]:
    """The job's network, and what it carries."""
    if not job.methods:
        return "unknown", "unknown"
    return job.methods[0].network.label, " / ".join(method.carried for method in job.methods)


def cut_short(jobs: list[Job]) -> Section | None:
    """Sums of rewards of the runs that max_decisions cut short; None where there are none."""
    rows = []
    for job, result in [(job, job.result) for job in jobs if job.status == "cut short" and job.result]:
        for rollouts in filter(None, [result.ann, *(tried for tried in result.snn if tried.stream == "report")]):
            name = "ANN" if rollouts.alpha is None else f"{_names(job)[0]}, α={rollouts.alpha:g}"
            longest = max(episode.decisions for episode in rollouts.episodes)
            rows.append([*map(words, (job.task, job.obs, name)), count(longest), number(rollouts.mean_reward_sum())])
    if not rows:
        return None
    warning = Text(
        "max_decisions cut these episodes short. A sum of rewards over part of an episode is not a return, so these "
        "runs stand in no other table.",
        warning=True,
    )
    columns = [
        *head("Task", "Observation", "Method"),
        Column("Decisions", "after which every episode was cut short"),
        Column("Sum of rewards", "mean over the episodes; not a return"),
    ]
    return section("Runs cut short", warning, Table("cut_short", columns, rows))


def policies(evidence: Evidence) -> Section | None:
    """Which networks were converted; None where no job finished."""
    seeds = Counter((task, obs, policy.training_seed) for obs, task, policy in evidence.policies.values())
    twice = [
        f"{task} ({obs}, training seed {seed})"
        for (task, obs, seed), times in seeds.items()
        if seed is not None and times > 1
    ]
    text = f"Several files claim the same training seed: {', '.join(twice)}. They count as separate policies here."
    table = Table(
        "policies",
        columns=[
            *head("Task", "Observation"),
            Column("Training seed"),
            Column("Frames", "environment steps of training"),
            Column("Multiply-accumulates", "of the ANN, per decision"),
            *head("SHA-256", "File"),
        ],
        rows=[
            [
                words(task),
                words(obs),
                number(policy.training_seed, str),
                count(policy.frame),
                count(sum(layer.macs for layer in policy.macs)),
                words(sha[:12]),
                words(policy.path, policy.route or ""),
            ]
            for sha, (obs, task, policy) in sorted(evidence.policies.items(), key=lambda item: (item[1][:2], item[0]))
        ],
    )
    weak = [f"{task}: {policy.weak}" for _, task, policy in evidence.policies.values() if policy.weak]
    warnings = [Text(warning, warning=True) for warning in weak]
    return section("Policies", Text(text, warning=True) if twice else None, table, *warnings, folded=True)


def provenance(evidence: Evidence) -> Section | None:
    """Versions, machines, seeds, and what it took."""
    facts: dict[str, set[str]] = defaultdict(set)
    results = [job.result for job in evidence.jobs if job.status == "ok" and job.result]
    for result in results:
        compute = {name: result.compute.get(name) for name in ("device", "threads", "dtype", "chunk", "renderer")}
        for name, value in {
            **result.versions,
            **compute,
            "base seeds of the environments": result.seeds.get("seed"),
            "report episodes per policy": len(result.ann.episodes) if result.ann else None,
            "α chosen": result.alpha.note if result.alpha else "",
        }.items():
            facts[name].add(str(value))
    seconds, computed, reused = (
        sum(result.timing.get(name, 0) for result in results)
        for name in ("seconds", "episodes_computed", "episodes_reused")
    )
    facts["wall-clock time of the jobs"] = {f"{seconds:,.0f} s"}
    facts["episodes"] = {f"{computed:,.0f} computed, {reused:,.0f} taken from earlier runs"}
    rows = [[words(name), Entry("; ".join(sorted(values)))] for name, values in facts.items()]
    text = (
        f"{evidence.conflicts} episodes stand in two results with different outcomes (other code, machine or "
        "settings); the newer result counts."
    )
    conflicts = Text(text, warning=True) if evidence.conflicts else None
    return section("Provenance", conflicts, Table("provenance", head("What", "Value"), rows), folded=True)


def videos(jobs: list[Job]) -> Section | None:
    """The videos that the jobs made, as far as a page can hold them."""
    made = {path: job for job in jobs if job.status in ("ok", "cut short") and (path := job.artefact(VIDEO))}
    if not made:
        return None
    captions = {path: f"{job.task}: {_names(job)[0]}" for path, job in made.items()}
    sizes = itertools.accumulate(path.stat().st_size for path in made)
    embedded = [path for path, size in zip(made, sizes) if size <= MAX_VIDEO_BYTES]
    others = [f"{caption} ({path})" for path, caption in captions.items() if path not in embedded]
    lead = Text(
        "ANN, plain conversion and CRPI from the same initial state, with the return so far and the spikes per unit "
        "and simulation step."
    )
    rest = Text(f"Not embedded, because the page would grow too large: {'; '.join(others)}.") if others else None
    return section("Videos", lead, *(Video(path, captions[path]) for path in embedded), rest)
