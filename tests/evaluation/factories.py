"""Episodes for tests, and environments to play them in."""

import dataclasses
from collections import deque

import numpy as np

from evaluation.episode_store import ANN, Compute, EpisodeKey, Method, Source

OTHER = {str: "other", int: 987, float: 0.7, tuple: (("torch", "9"),), type(None): 3}
SNN = Method("snn", "if", "rate", None, 4, "residual", None, False, "theta")


def episode_key(alpha=0.5, episode=0, *, stream="report", seed=1, method=SNN, chunk=4, **compute):
    values = dict(
        device="cpu", threads=1, dtype=None, chunk=chunk, max_batch_bytes=1, renderer=None, packages=(), code=""
    )
    source = Source("abc", "cartpole_swingup", "state", 3, 2)
    method, alpha = (ANN, None) if alpha is None else (method, alpha)
    return EpisodeKey(source, method, alpha, stream, seed, episode, None, Compute(**(values | compute)))


def variants(value):
    """One changed copy of a (nested) dataclass for every field that it has."""
    for field in dataclasses.fields(value):
        old = getattr(value, field.name)
        others = variants(old) if dataclasses.is_dataclass(old) else [{**OTHER, bool: not old}[type(old)]]
        yield from (dataclasses.replace(value, **{field.name: other}) for other in others)


class Counting:
    """Environments whose course is a function of seed and actions. They are observed by their episode's number plus one
    and the sum of the actions so far; episode n lasts `length(n)` decisions, and that of number 4 is capped."""

    max_episode_decisions = 5

    def __init__(self, num_envs, length=lambda number: 3 + number % 3):
        self.num_envs, self._length = num_envs, length
        self.observations = np.zeros((num_envs, 2), np.float32)
        self.seeds = [None] * num_envs
        self.steps = np.zeros(num_envs, int)
        self.waiting = deque()
        self.resets = 0

    def reset(self, indices, seeds):
        assert len(indices) == len(seeds) == len(set(indices)) and not self.under_way() & set(indices)
        for index, seed in zip(indices, seeds):
            self.seeds[index], self.steps[index] = seed, 0
            self.observations[index] = [seed[2] + 1, 0]
        self.resets += len(indices)

    def step_async(self, indices, actions):
        assert len(set(indices)) == len(indices) and actions.shape == (len(indices), 1)
        assert not self.under_way() & set(indices)
        self.waiting.append((indices, actions))

    def under_way(self):
        return {index for indices, _ in self.waiting for index in indices}

    def step_wait(self):
        indices, actions = self.waiting.popleft()
        numbers = np.array([self.seeds[index][2] for index in indices])
        self.steps[indices] += 1
        self.observations[indices, 1] += actions[:, 0]
        lasts = self.steps[indices] >= [self._length(number) for number in numbers]
        rewards = self.observations[indices].sum(axis=1) / 64
        return rewards, np.ones(len(indices)), lasts, lasts & (numbers == 4)

    def close(self):
        pass
