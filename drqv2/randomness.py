"""All of training's randomness as pure functions of (seed, purpose, number).

No generator state exists, so none has to be saved: prefetching, interrupting and resuming can't change
what is drawn for step or update number N.
"""

import numpy as np

# What the numbers are for; each purpose has a stream of its own, as `envs.seeds.STREAMS` have.
PURPOSES = (
    "init",  # network initialisation
    "act",  # exploration, by decision
    "sample",  # which transitions make a batch, by update
    "shift",  # image shifts of a batch, by update
    "target",  # smoothing noise of the target and actor steps, by update
    "flip",  # signs of a batch's hidden_sign entries, by update
)


def generator(seed: int, purpose: str, number: int) -> np.random.Generator:
    """The generator for decision or update `number`: counter-based (Philox), so making one costs microseconds. Raises
    ValueError for an unknown purpose."""
    return np.random.Generator(np.random.Philox(key=[seed, PURPOSES.index(purpose)], counter=[0, 0, 0, number]))
