"""Rollouts: an episode's outcome is its key's alone, whatever shares the batch, and nothing is played twice."""

from contextlib import closing

import numpy as np
import pytest

from evaluation.episode_store import ANN, EpisodeStore, LayerActivity
from evaluation.progress import Progress, readable
from evaluation.rollout import Environments, Rollouts
from tests.evaluation.factories import Counting, episode_key
from tests.refusals import refused


class Remembering:
    """Acts by its α, its episode's key and how often it acted in each row since that row's reset."""

    def __init__(self, method, chunk):
        self.method = method
        self.calls = np.zeros(chunk)
        self.alphas, self.keys = np.zeros(chunk), np.zeros(chunk, np.int64)
        self.shapes = set()

    def reset(self, rows, alphas=None, keys=None):
        self.calls[rows] = 0
        self.alphas[rows], self.keys[rows] = alphas, keys

    def act(self, observations, rows):
        self.shapes.add(observations.shape)
        self.calls[rows] += 1
        own = (self.method != ANN) * (self.alphas + self.calls + self.keys % 7)
        return (observations[:, :1] / 16 + own[:, None]).astype(np.float32)

    def activity(self, row):
        spikes = [int(self.calls[row]), 0, 0, 0]
        layer = LayerActivity(name="l", units=1, spikes=spikes, sops=[0] * 4, above_threshold=0.0)
        return [] if self.method == ANN else [layer]


class House:
    """Rollouts on the fakes, remembering what was made."""

    def __init__(self, root, num_envs=4, environment=Counting, policy=Remembering):
        self.environments, self.policies = [], []
        self.pool = Environments(lambda count: self._made(self.environments, environment(count)), num_envs)
        make_policy = lambda method: self._made(self.policies, policy(method, 4))  # noqa: E731
        self.rollouts = Rollouts(self.pool, make_policy, chunk=4, store=EpisodeStore(root))

    def _made(self, things, new):
        things.append(new)
        return new

    def run(self, keys, progress=None):
        with closing(self.pool):
            outcomes = self.rollouts.run(keys, progress)
        return {key: outcome.model_copy(update={"made": {}}) for key, outcome in outcomes.items()}


SWEEP = [episode_key(alpha, episode) for alpha in (None, 0.0, 0.5) for episode in range(7)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Every key of the sweep by itself."""
    return {c.digest: House(tmp_path_factory.mktemp("alone")).run([c])[c.digest] for c in SWEEP}


@pytest.mark.parametrize("num_envs", [1, 3, 4, 8, 11])
def test_company_changes_nothing(tmp_path, alone, num_envs):
    house = House(tmp_path, num_envs=num_envs)
    assert house.run(SWEEP) == alone
    assert {shape for policy in house.policies for shape in policy.shapes} == {(4, 2)}
    assert house.environments[0].num_envs == num_envs and house.environments[0].resets == len(SWEEP)


def test_an_episode_is_summed_by_hand(alone):
    # Episode 1: observation [2, x], 4 decisions of the ANN, which adds 2 / 16 to x each time.
    outcome = alone[episode_key(None, 1).digest]
    assert outcome.reward_sum == sum((2 + 0.125 * step) / 64 for step in (1, 2, 3, 4))
    assert (outcome.decisions, outcome.capped, outcome.layers) == (4, False, [])
    assert alone[episode_key(0.5, 1).digest].layers[0].spikes == [4, 0, 0, 0]
    assert alone[episode_key(0.5, 4).digest].capped and not alone[episode_key(0.5, 1).digest].capped


def test_a_second_sweep_plays_only_what_is_new_or_damaged(tmp_path, alone):
    House(tmp_path).run(SWEEP[:10])
    EpisodeStore(tmp_path).path(SWEEP[3]).write_text("{")
    house = House(tmp_path)
    assert house.run(SWEEP) == alone and house.environments[0].resets == len(SWEEP) - 9
    third = House(tmp_path)
    assert third.run(SWEEP) == alone and not third.environments


def test_a_reward_that_is_not_finite_stops_the_run_and_is_not_kept(tmp_path):
    class Broken(Remembering):
        def act(self, observations, rows):
            return np.full((4, 1), np.inf)

    house = House(tmp_path, policy=Broken)
    with refused("not finite"):
        house.run(SWEEP[:1])
    assert EpisodeStore(tmp_path).get(SWEEP[0]) is None


def test_progress_counts_cells_and_says_an_estimate_only_of_long_sweeps(tmp_path, monkeypatch):
    clock = iter(range(0, 10**6, 50))
    monkeypatch.setattr("evaluation.progress.time.monotonic", lambda: next(clock))
    lines = []
    with Progress(say=lines.append) as progress:
        progress.plan(len(SWEEP), 4)
        House(tmp_path).run(SWEEP, progress)
        assert progress._done == len(SWEEP) and progress._bar.n == progress._bar.total
    assert len(lines) == 1 and "21 episodes" in lines[0] and "min" in lines[0]


def test_progress_learns_how_early_episodes_end():
    """Of four a lane at once, those that end early end first, and say too little of the others."""
    with Progress() as progress:
        progress.plan(40, 1000)
        assert progress._bar.total == 40_000
        for _ in range(100):
            progress.advance(4)
        progress.finish(100)
        assert progress._bar.total == 100 + 39 * 400
        for _ in range(3):
            progress.finish(100)
        assert progress._bar.total == 40 * 100
        progress.plan(2, 1000)  # more of the same kind
        assert progress._bar.total == 6 * 100


@pytest.mark.parametrize("seconds, text", [(5, "5 s"), (100, "2 min"), (3 * 3600 + 600, "3 h 10 min")])
def test_durations_are_written_for_people(seconds, text):
    assert readable(seconds) == text
