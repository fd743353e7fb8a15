"""What a folder holds: finished, failed, missing, damaged, skipped."""

import json
import os

import pytest

from evaluation import result as results
from evaluation.result import RESULT
from report.evidence import gather
from report.jobs import PLAN, PlannedJob, SweepPlan, collect
from tests.refusals import refused
from tests.report.factories import config, failed, result, write_plan

DONE = dict(ann=[1.0], snn={0.0: [1.0], 0.5: [2.0]})


@pytest.fixture
def sweep(tmp_path):
    """A sweep of eleven jobs whose parent died: 0 finished, 1 failed, 2 half-written, 3 empty, 4 skipped, the others
    never started."""
    folder = tmp_path / "sweep"
    write_plan(folder, {str(i): config(SNN_ts=i + 1) for i in range(11)}, {"4": "no trained policy"})
    results.write(result(**DONE, SNN_ts=1), folder / "0")
    results.write(failed(config(SNN_ts=2)), folder / "1")
    whole = results.write(result(**DONE, SNN_ts=3), folder / "2")
    whole.write_bytes(whole.read_bytes()[:300])
    (folder / "3").mkdir()
    (folder / "3" / ".result.json.x1.tmp").write_text('{"status": "ok"')
    return folder


def test_every_job_is_found_as_what_it_is(sweep):
    jobs, notes = collect([sweep])
    assert [job.status for job in jobs] == ["ok", "failed", "damaged", "missing", "skipped", *["missing"] * 6]
    assert [int(job.folder.name) for job in jobs] == list(range(11)), "10 comes after 9"
    assert jobs[1].reason == "no such thing" and jobs[4].reason == "no trained policy"
    assert "not a readable result" in jobs[2].reason and jobs[2].config["SNN_ts"] == 3
    assert notes == []
    assert len(collect([sweep, sweep / "0", sweep.parent])[0]) == 11, "a folder within another counts once"


def test_what_another_sweep_finished_is_not_missing(sweep, tmp_path):
    other = tmp_path / "other"
    for name, changes in {"0": dict(SNN_ts=8, num_workers=7, num_envs=40), "1": dict(SNN_ts=9, seed=2)}.items():
        results.write(result(**DONE, **changes), other / name)
    missing = [job.folder.name for job in collect([sweep, other])[0] if job.status == "missing"]
    assert missing == ["3", "5", "6", "8", "9", "10"], "7 ran elsewhere; 8 did with another seed"


HOSTILE = ["[" * 100_000, '{"a":' * 100_000, "\x00", "1e999", '{"version": NaN}']


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 99, "command": [], "jobs": []}', '{"version": 1}', *HOSTILE])
def test_damaged_files_are_told_in_a_line_and_what_lies_beside_them_is_reported(sweep, text):
    for path in (sweep / PLAN, sweep / "0" / RESULT):
        path.write_text(text)
    jobs, notes = collect([sweep])
    assert [job.status for job in jobs] == ["damaged", "failed", "damaged"]
    assert len(notes) == 1 and "not a readable plan" in notes[0]
    assert all(len(line) < 400 and "\n" not in line for line in (jobs[0].reason, *notes))


def test_plans_come_back_as_written(tmp_path):
    plan = write_plan(tmp_path, {"0": {"b": [1, None, float("nan")]}, "1": {}}, {"1": "why"})
    assert plan.jobs[0].config == {"b": [1, None, "nan"]}, "a refused option may be what JSON can't hold"
    assert SweepPlan.read(tmp_path / PLAN) == plan
    assert json.loads((tmp_path / "sweep.json").read_text())["version"] == 1


@pytest.mark.parametrize("names", [("a", "a"), ("a", "b/../a"), ("a", "../b"), ("a", "/tmp/b")])
def test_jobs_that_would_overwrite_each_other_are_refused(names, tmp_path):
    with refused(r"\Ahydra\.sweep\.subdir.*a folder of its own.*\Z"):
        SweepPlan.of([], [PlannedJob(folder=name, config={}) for name in names])


def test_a_plan_that_leads_out_of_its_folder_is_told_and_not_followed(tmp_path):
    results.write(result(**DONE), tmp_path / "elsewhere")
    write_plan(tmp_path / "sweep", {"0": config()})
    plan = tmp_path / "sweep" / PLAN
    plan.write_text(plan.read_text().replace('"folder": "0"', '"folder": "../elsewhere"'))
    results.write(result(**DONE), tmp_path / "sweep" / "1")
    jobs, notes = collect([tmp_path / "sweep"])
    assert [job.folder.name for job in jobs] == ["1"] and "outside: ../elsewhere" in notes[0]


def test_results_that_a_sweep_did_not_plan_are_foreign(tmp_path):
    """A second sweep of two jobs into the folder of a first one of three, cut off after its first job."""
    for number, steps in enumerate((1, 2, 3)):
        results.write(result(**DONE, SNN_ts=steps), tmp_path / str(number))
    write_plan(tmp_path, {"0": config(SNN_ts=1), "1": config(SNN_ts=9)})
    jobs = collect([tmp_path])[0]
    assert [job.status for job in jobs] == ["ok", "missing", "foreign"]
    assert "the result of another sweep, which differs in SNN_ts" in jobs[1].reason
    assert [method.network.timesteps for method in gather(jobs).methods("pixels")] == [1, 1, 9, 9]


def test_a_result_that_is_no_file_is_damaged(tmp_path):
    write_plan(tmp_path, {"0": config(), "1": config()})
    (tmp_path / "0").mkdir()
    os.mkfifo(tmp_path / "0" / RESULT)
    (tmp_path / "1" / RESULT).mkdir(parents=True)
    assert [(job.status, job.reason) for job in collect([tmp_path])[0]] == [("damaged", "not a file")] * 2
