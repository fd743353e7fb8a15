"""Records and trials for tests."""

import dataclasses

import numpy as np

from analysis.layers import NUMBERS
from analysis.trial import Trial, TrialRecord
from tests.evaluation.factories import episode_key


def record(decisions=6, dims=2, depth=2, seed=0, **given):
    """A record with random contents, those `given` excepted."""
    generator = np.random.default_rng(seed)
    uniform = lambda *shape: generator.uniform(-0.9, 0.9, shape)  # noqa: E731
    made = TrialRecord(
        actions=uniform(decisions, dims).astype(np.float32),
        reference=uniform(decisions, dims).astype(np.float32),
        after=uniform(decisions, dims).astype(np.float32),
        branched=np.ones(decisions, bool),
        rewards=uniform(decisions) + 1,
        branch_rewards=uniform(decisions) + 1,
        coordinates=uniform(decisions, 3),
        residual_cosines=uniform(decisions, depth).astype(np.float32),
        layers=np.abs(uniform(2, depth, NUMBERS)),
        capped=np.array(False),
    )
    return dataclasses.replace(made, **given)


def trial(alpha=0.5, episode=0, **given):
    return Trial(episode_key(alpha, episode), **given)
