"""Our side of the benchmarks starts and answers, so that no change elsewhere breaks them unseen. Nothing is timed."""

import pytest

from benchmarks import contenders
from tests.cli.command import run

DECISION = {"timesteps": 2, "batch": 2}
OURS = {
    "an update, fp32": ("train_speed", "updates_ours", {"variant": "fp32", "batch_size": 4}),
    "a decision, random weights": (
        "rollout_speed",
        "network_ours",
        DECISION | {"method": "DC", "dtype": None, "trained": None},
    ),
    "a decision, a policy that ships": (
        "rollout_speed",
        "network_ours",
        DECISION | {"method": "IF", "dtype": "bfloat16", "trained": "cartpole_swingup"},
    ),
}


@pytest.mark.parametrize("benchmark, function, arguments", OURS.values(), ids=OURS)
def test_it_answers_with_what_it_measured(benchmark, function, arguments, tmp_path):
    if benchmark == "train_speed":
        arguments = arguments | {"scratch": str(tmp_path)}
    with contenders.Contender(benchmark, function, **arguments) as contender:
        assert contender.ask(2) > 0


def test_figures_are_taken_in_turns_and_compared(capsys, tmp_path):
    left = [4.0, 1.0, 8.0, 2.0, 6.0, 4.0]
    figures = contenders.in_turns(3, {"peer, tuned": lambda: left.pop(0), "ours": lambda: left.pop(0)})
    assert figures == {"peer, tuned": [4.0, 8.0, 6.0], "ours": [1.0, 2.0, 4.0]}
    for higher, ratio in ((True, "0.33×"), (False, "3.00×")):
        head, _, *rows = contenders.table(figures, "ms", ["peer, tuned"], higher).splitlines()
        assert head == "|  | ms, median (min-max) | against the peer tuned |"
        assert rows == ["| peer, tuned | 6.0 (4.0-8.0) | 1.00× |", f"| ours | 2.0 (1.0-4.0) | {ratio} |"]


def test_the_replay_is_filled_to_the_size_asked_for(tmp_path):
    words = "--tasks cheetah_run --decisions 200 --episodes 2 --rounds 1 --max-decisions 20".split()
    done = run("-m", "benchmarks.replay_size", *words, cwd=tmp_path)
    task, decisions, _, size, *_ = (cell.strip() for cell in done.stdout.strip().splitlines()[-1].strip("|").split("|"))
    assert (task, decisions) == ("cheetah_run", "200")
    assert 1000 < float(size.replace(",", "")) < 21168  # packed: less than a raw frame a decision
