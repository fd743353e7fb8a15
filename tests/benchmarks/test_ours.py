"""Our side of the benchmarks starts and answers, so that no change elsewhere breaks them unseen. Nothing is timed."""

import subprocess

import pytest

from benchmarks import machine

OURS = {
    "an update, fp32": "train_speed --serve ours --variant fp32 --batch-size 4 --folder {}",
    "a decision, random weights": "rollout_speed --serve ours --method DC --dtype fp32 --timesteps 2 --batch 2",
    "a decision, a policy that ships": (
        "rollout_speed --serve ours --method IF --timesteps 2 --batch 2 --trained cartpole_swingup"
    ),
}


@pytest.mark.parametrize("words", OURS.values(), ids=OURS)
def test_it_answers_with_milliseconds(words, tmp_path):
    benchmark, *options = (word.format(tmp_path) for word in words.split())
    done = subprocess.run(
        **machine.process(benchmark, options, tmp_path), stderr=subprocess.PIPE, input="2\n", timeout=300
    )
    assert done.returncode == 0, done.stderr
    ready, milliseconds = done.stdout.split()[-2:]
    assert ready == "ready" and float(milliseconds) > 0


def test_the_replay_is_filled_to_the_size_asked_for(tmp_path):
    words = "--tasks cheetah_run --decisions 200 --episodes 2 --rounds 1 --max-decisions 20".split()
    done = subprocess.run(**machine.process("replay_size", words, tmp_path), stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == 0, done.stderr
    task, decisions, _, size, *_ = (cell.strip() for cell in done.stdout.strip().splitlines()[-1].strip("|").split("|"))
    assert (task, decisions) == ("cheetah_run", "200")
    assert 1000 < float(size.replace(",", "")) < 21168  # packed: less than a raw frame a decision
