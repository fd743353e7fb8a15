"""Our side of the benchmarks starts and answers, so that no change elsewhere breaks them unseen. Nothing is timed."""

import contextlib

import pytest

from benchmarks import contenders
from tests.cli.command import run

OURS = {
    "an update, fp32": "train_speed --serve updates_ours --variant fp32 --batch-size 4 --folder {}",
    "a decision, random weights": "rollout_speed --serve network_ours --method DC --dtype fp32 --timesteps 2 --batch 2",
    "a decision, a policy that ships": (
        "rollout_speed --serve network_ours --method IF --timesteps 2 --batch 2 --trained cartpole_swingup"
    ),
}


@pytest.mark.parametrize("words", OURS.values(), ids=OURS)
def test_it_answers_with_what_it_measured(words, tmp_path):
    benchmark, _, options = words.format(tmp_path).partition(" ")
    with contextlib.closing(contenders.Contender(benchmark, options)) as contender:
        assert contender.ask(2) > 0


def test_figures_are_taken_in_turns_and_compared(capsys, tmp_path):
    left = [4.0, 1.0, 8.0, 2.0, 6.0, 4.0]
    figures = contenders.in_turns(3, {"peer, tuned": lambda: left.pop(0), "ours": lambda: left.pop(0)})
    assert figures == {"peer, tuned": [4.0, 8.0, 6.0], "ours": [1.0, 2.0, 4.0]}
    for higher, ratio in ((True, "0.33×"), (False, "3.00×")):
        head, _, *rows = contenders.table(figures, "ms", ["peer, tuned"], higher).splitlines()
        assert head == "| | ms, median (min-max) | against the peer tuned |"
        assert rows == ["| peer, tuned | 6.0 (4.0-8.0) | 1.00× |", f"| ours | 2.0 (1.0-4.0) | {ratio} |"]


def test_the_replay_is_filled_to_the_size_asked_for(tmp_path):
    words = "--tasks cheetah_run --decisions 200 --episodes 2 --rounds 1 --max-decisions 20".split()
    done = run("-m", "benchmarks.replay_size", *words, cwd=tmp_path)
    task, decisions, _, size, *_ = (cell.strip() for cell in done.stdout.strip().splitlines()[-1].strip("|").split("|"))
    assert (task, decisions) == ("cheetah_run", "200")
    assert 1000 < float(size.replace(",", "")) < 21168  # packed: less than a raw frame a decision
