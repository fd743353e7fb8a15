"""Sweeps that end in a report, and `python -m report` on what a dead sweep left, as a user runs them."""

import itertools
import signal

import hydra
import pytest

from cli import command_line, sweep
from evaluation import result as results
from tests.cli.command import TINY, run, run_here, start
from tests.drqv2.policy_files import write_small_policy
from tests.processes import wait_for

WORDS = (*TINY, "obs=state", "crpi.select_episodes=1", "hydra.sweep.dir=swept")


@pytest.fixture
def home(tmp_path):
    """A folder with a run from state of two training seeds, as train.py leaves them."""
    for seed in (1, 2):
        path = tmp_path / "exp_local" / "cartpole_swingup" / f"state_seed{seed}" / "snapshot.pt"
        write_small_policy(path, obs="state", seed=seed)
    return tmp_path


def test_a_sweep_of_the_paper_ends_in_its_report(home):
    given = (
        "+paper=table3",
        "budget=quick",
        *WORDS,
        "env_name=cartpole_swingup,cheetah_run",
        "run=state_seed1,state_seed2",
    )
    done = run("convert.py", "-m", *given, "method=mt_2,dc_2", "video=true", cwd=home)
    first, second = [line for line in done.stdout.splitlines() if "HYDRA" not in line][:2]
    assert first == "skipped for want of a trained policy (jobs): cheetah_run (4)"
    # Two policies: the ANN twice 2 episodes, and for both methods six α in selection and two in the report.
    assert second.startswith(f"4 jobs, at most {2 * 2 + 2 * 2 * (6 + 2 * 2)} episodes of"), second
    assert "/8 env_name=cartpole_swingup method=dc_2 run=state_seed2] " in done.stdout
    folder = home / "swept/report"
    assert f"report: {folder / 'report.html'}" in done.stdout
    text = (folder / "report.md").read_text()
    assert "8 jobs: 4 cut short by max\\_decisions, 4 skipped for want of a policy." in text
    assert "is not a return" in text
    assert (folder / "report.html").read_text().count('src="data:video/mp4;base64,') == 4


def test_whole_episodes_are_returns_and_a_second_sweep_reuses_them(home):
    given = ("-m", *WORDS, "max_decisions=null", "num_eval_episodes=1", "neuron=mt", "crpi.alpha=0,0.5", "chunk=1")
    run("convert.py", *given, cwd=home)
    text = (home / "swept/report/report.md").read_text()
    [table, *_] = [line for line in text.splitlines() if line.startswith("| MT, T=2")]
    assert table.startswith("| MT, T=2, θ over 8 decisions | no |") and "cut short" not in table
    operations = sum(map(sum, results.read(home / "swept/0").snn[0].episodes[0].sops)) / 500
    assert f"| {operations:,.0f} " in text
    run("convert.py", *given, "hydra.sweep.dir=again", cwd=home)
    assert results.read(home / "again/1").timing["episodes_computed"] == 0
    run("-m", "report", "swept", "again", "--out", "both", cwd=home)
    assert table in (home / "both" / "report.md").read_text(), "the same episodes in two sweeps count once"


def test_a_sweep_whose_parent_died(home):
    given = ("-m", *WORDS, "env_name=cartpole_swingup", "neuron=if,snm,mt,dc", "SNN_ts=2,4,8", "crpi.alpha=0.5")
    process = start("convert.py", *given, cwd=home)
    wait_for((home / "swept/1/result.json").exists, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (home / "swept/report").exists()
    assert run("-m", "report", "swept", cwd=home).stderr == ""
    text = (home / "swept/report/report.md").read_text()
    left = len(list(home.glob("swept/*/result.json")))
    assert 2 <= left < 12 and f"12 jobs: {left} cut short by max\\_decisions, {12 - left} without a result." in text


PAPER = {
    "table3": {("if", 32), ("if", 64), ("snm", 8), ("snm", 16), ("mt", 2), ("dc", 2)},
    "figure5": {("if", 32)},
    "table4": {("if", 32), ("mt", 2)},
    "timesteps": {(neuron, steps) for neuron in ("if", "snm", "mt", "dc") for steps in (2, 4, 8, 16, 32, 64)},
    "controls": {("if", 32)},
}


@pytest.mark.parametrize("name, budget", [(name, budget) for name in PAPER for budget in ("quick", "paper")])
def test_each_sweep_of_the_paper_plans_what_it_says(name, budget):
    few = ("env_name=cheetah_run",) if name == "timesteps" else ()
    given = [f"+paper={name}", f"budget={budget}", "obs=state", "run=none", *few]
    with hydra.initialize_config_dir(str(command_line.CONFIG_DIR), version_base="1.3"):
        config = hydra.compose("convert", given, return_hydra_config=True)
        jobs = sweep.planned("convert", sweep.swept(config, command_line.check("convert", given)))
    modes = {"residual", "random", "shuffled", "carry"} if name == "controls" else {"residual"}
    alpha, episodes = ([0, 0.2, 0.4, 0.6, 0.8, 1.0], 10) if budget == "quick" else ("grid", 50)
    if name == "controls":  # random and shuffled would choose the end of the paper's grid
        alpha = [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0]
    alike = {"obs": "state", "num_eval_episodes": episodes}
    crpi = {"alpha": alpha, "select": "paper" if name == "figure5" else "honest"}
    planned = set()
    for job in jobs:
        assert job.config | alike == job.config and job.config["crpi"] | crpi == job.config["crpi"]
        assert "no such run" in job.skipped  # a run of this name exists nowhere, also where checkpoints ship
        planned.add(
            (job.config["env_name"], (job.config["neuron"]["name"], job.config["SNN_ts"]), job.config["crpi"]["mode"])
        )
    tasks = {task for task, *_ in planned}
    assert len(tasks) == (1 if few else 6) and len(jobs) == len(planned)
    assert planned == set(itertools.product(tasks, PAPER[name], modes))


def test_a_sweep_without_any_policy_says_so_and_is_no_failure(tmp_path, capsys, monkeypatch):
    given = ("+paper=table4", "run=none", "hydra.sweep.dir=swept")
    assert run_here("convert", given, tmp_path, capsys, monkeypatch) == (0, "")
    text = (tmp_path / "swept" / "report" / "report.md").read_text()
    assert "12 jobs: 12 skipped for want of a policy." in text and "paper 823 ± 8" in text
    assert not list((tmp_path / "swept").glob("*/result.json"))
