"""analyze.py as a user runs it: tiny budgets, real environments, the software renderer."""

import signal

from analysis.document import Analysis
from tests.cli.command import TINY, run, start
from tests.processes import wait_for

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
