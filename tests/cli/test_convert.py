"""convert.py and analyze.py as a user runs them: tiny budgets, real environments, the software renderer."""

import re
import signal
from pathlib import Path

import numpy as np
import pytest

from analysis.document import Analysis
from evaluation import result as results
from evaluation import run as evaluation_run
from tests.cli.command import TINY, run, run_here, start
from tests.processes import wait_for


def _found(cwd):
    return [results.read(path) for path in sorted(cwd.glob("results/**/result.json"), key=lambda p: p.stat().st_mtime)]


@pytest.mark.parametrize("obs", ["state", "pixels"])
def test_one_run_after_training_no_file_moved(cwd, obs):
    done = run("convert.py", *TINY, f"obs={obs}", "crpi.alpha=[0,0.5,1]", "crpi.select_episodes=1", cwd=cwd)
    [result] = _found(cwd)
    assert (result.status, result.obs, result.alpha.requested) == ("ok", obs, [0.0, 0.5, 1.0])
    snapshot = cwd / "exp_local" / "cartpole_swingup" / f"{obs}_seed1" / "snapshot.pt"
    assert f"{snapshot} (sha256 {result.policy.sha256[:12]}" in done.stdout
    assert re.search(r"^ANN .*100\.0 %", done.stdout, re.M) and re.search(r"^IF ", done.stdout, re.M)
    assert re.search(r"^α = \S+ was best on 1 selection episode; the table shows 2 other episodes$", done.stdout, re.M)
    assert "not returns" in done.stdout, "capped sums must not pass for returns"
    assert not list(cwd.rglob("report.html")) and not list(cwd.rglob("sweep.json")), "a single run has no report"
    [npy] = cwd.glob("results/**/returns.npy")
    assert np.load(npy).shape == (3,)
    written = re.search(r"^written: (.*)$", done.stdout, re.M)[1]
    assert Path(written).is_absolute() and Path(written).parent == npy.parent


@pytest.mark.parametrize(("obs", "steps"), [("state", (2, 8)), ("pixels", (2,))])
def test_the_sweep_of_all_neurons(cwd, obs, steps):
    swept = f"SNN_ts={','.join(map(str, steps))}"
    words = ("-m", *TINY, f"obs={obs}", "neuron=if,snm,mt,dc", swept, "crpi.alpha=0,0.5")
    run("convert.py", *words, cwd=cwd)
    found = _found(cwd)
    assert {(r.conversion.neuron, r.conversion.timesteps, r.alpha.chosen) for r in found} == {
        (neuron, timesteps, alpha)
        for neuron in ("if", "snm", "mt", "dc")
        for timesteps in steps
        for alpha in (0.0, 0.5)
    }
    assert len(found) == 8 * len(steps) and len({r.ann.model_dump_json() for r in found}) == 1
    assert sum(r.timing["episodes_computed"] for r in found) == 2 + len(found) * 2, "the ANN's episodes are played once"
    if obs == "pixels":
        return  # takes long, and the store knows no kinds of observation
    run("convert.py", *words, cwd=cwd)
    assert len(_found(cwd)) == 32
    assert sum(r.timing["episodes_computed"] for r in _found(cwd)[16:]) == 0


def test_a_wrong_value_and_a_fault_of_the_program_leave_a_sweeps_other_jobs_alone(cwd, capsys, monkeypatch):
    def convert(settings, *rest, **more):
        return 1 / 0 if settings.SNN_ts == 3 else real(settings, *rest, **more)

    real = evaluation_run.convert
    monkeypatch.setattr(evaluation_run, "convert", convert)
    words = ("-m", *TINY, "obs=state", "SNN_ts=3,2", "crpi.alpha=0,9,0.5")
    code, stderr = run_here("convert", words, cwd, capsys, monkeypatch)
    found = _found(cwd)
    assert (code, [result.status for result in found]) == (1, ["failed"] * 3 + ["ok", "failed", "ok"])
    for number, cause in ((0, "division"), (1, "crpi.alpha=9"), (2, "division"), (4, "crpi.alpha=9")):
        assert cause in found[number].cause and found[number].cause in stderr
    assert found[4].config["crpi"]["alpha"] == 9
    [report] = cwd.glob("results/sweeps/*/report/report.md")
    assert "6 jobs: 2 cut short by max\\_decisions, 4 failed." in report.read_text()


def test_a_sweep_says_what_failed_behind_a_result(cwd):
    (cwd / "swept/0/spiking.safetensors").mkdir(parents=True)
    words = ("-m", *TINY, "obs=state", "crpi.alpha=0", "save=true", "hydra.sweep.dir=swept")
    done = run("convert.py", *words, cwd=cwd)
    [line] = [line for line in done.stdout.splitlines() if "result.json is complete" in line]
    assert line.startswith("[1/1] ") and "spiking.safetensors: not written" in line


def test_a_failure_that_can_not_be_recorded_leaves_the_sweep_its_report(cwd, capsys, monkeypatch):
    """As on a full disk: here the first job's result.json is a folder."""
    (cwd / "swept/0/result.json").mkdir(parents=True)
    words = ("-m", "snapshot=absent.pt", "SNN_ts=1,2", "hydra.sweep.dir=swept")
    code, stderr = run_here("convert", words, cwd, capsys, monkeypatch)
    assert code == 1 and stderr.count("absent.pt: no such file") == 2 and "hydra.run.dir" not in stderr
    assert (cwd / "swept/report/report.html").is_file()


@pytest.mark.parametrize(
    "sent, code, said", [("SIGINT", 130, "stopped by Ctrl-C"), ("SIGTERM", 143, "stopped by SIGTERM")]
)
def test_a_stop_keeps_finished_episodes_and_the_same_command_goes_on(cwd, sent, code, said):
    words = (*TINY, "obs=state", "num_workers=1", "max_decisions=100", "num_eval_episodes=6")
    process = start("convert.py", *words, cwd=cwd)
    wait_for(lambda: len(list(cwd.glob("results/cells/*/*.json"))) >= 2, process)
    process.send_signal(signal.Signals[sent])
    assert process.output(code, timeout=60).stdout.splitlines()[-1] == said
    kept = len(list(cwd.glob("results/cells/*/*.json")))
    assert 2 <= kept < 18 and not _found(cwd)
    run("convert.py", *words, cwd=cwd)
    [result] = _found(cwd)
    assert result.timing["episodes_reused"] == kept and result.timing["episodes_computed"] == 18 - kept


# ---- analyze.py ----


WORDS = (*TINY, "crpi.select_episodes=1", "crpi.alpha=[0,0.5]", "layer_decisions=1")


def test_one_run_after_training_on_pixels(cwd):
    done = run("analyze.py", *WORDS, cwd=cwd)
    [path] = cwd.glob("results/analysis/cartpole_swingup/*/analysis.json")
    found = Analysis.read(path)
    assert (found.obs, found.capped, len(found.methods[0].layers)) == ("pixels", True, 7)
    for name in ("report.md", "report.html", "figures/growth.png"):
        assert (path.parent / name).stat().st_size > 1000
    assert f"written: {path.parent / 'report.html'}" in done.stdout and "IF: " in done.stdout


def test_a_sweep_from_state_with_another_neuron_and_a_second_one_from_the_store(cwd):
    words = ("-m", *WORDS, "obs=state", "SNN_ts=2,3", "neuron=mt", "num_workers=1")
    run("analyze.py", *words, cwd=cwd)
    run("analyze.py", *words[:-1], cwd=cwd)
    found = [Analysis.read(path) for path in cwd.glob("results/analysis/sweeps/*/*/analysis.json")]
    made = [(one.conversion.timesteps, one.timing["trials_played"] == 0) for one in found]
    assert sorted(made) == [(2, False), (2, True), (3, False), (3, True)]
    assert {(one.conversion.rule, one.conversion.n_thresholds) for one in found} == {("mt", 4)}


def test_ctrl_c_keeps_finished_episodes_and_the_same_command_goes_on(cwd):
    words = (*WORDS, "obs=state", "max_decisions=100")
    process = start("analyze.py", *words, cwd=cwd)
    wait_for(lambda: len(list(cwd.glob("results/cells/analysis/*/*.npz"))) >= 4, process)
    process.send_signal(signal.SIGINT)
    process.output(130, timeout=60)
    kept = len(list(cwd.glob("results/cells/analysis/*/*.npz")))
    run("analyze.py", *words, cwd=cwd)
    [path] = cwd.glob("results/analysis/cartpole_swingup/*/analysis.json")
    timing = Analysis.read(path).timing
    assert timing["trials_reused"] == kept and timing["trials_played"] > 0
