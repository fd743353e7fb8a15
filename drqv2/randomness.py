"""All of training's randomness as pure functions of (seed, purpose, number).

No generator state exists, so none has to be saved: prefetching, interrupting and resuming can't change
what is drawn for step or update number N.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What the numbers are for; each purpose has a stream of its own."""

    INIT = 0  # network initialisation
    ACT = 1  # exploration, by decision
    SAMPLE = 2  # which transitions make a batch, by update
    SHIFT = 3  # image shifts of a batch, by update
    TARGET = 4  # smoothing noise of the target and actor steps, by update
    FLIP = 5  # signs of a batch's hidden_sign entries, by update


def generator(seed: int, purpose: Purpose, number: int) -> np.random.Generator:
    """The generator for decision or update `number`: counter-based (Philox), so making one costs microseconds."""
    return np.random.Generator(np.random.Philox(key=[seed, int(purpose)], counter=[0, 0, 0, number]))
