"""Augment state observations by random sign flips: for entries whose common sign no camera sees.

finger_spin's state holds the tip of a spinner that looks, and behaves, the same turned by 180 degrees. A policy that
uses the difference is as good as any, but one from pixels can't be taught by it: in one picture it does two things.
Flipping the entries' signs at random in every batch, in an observation and its successor apart, is to states what
DrQ-v2's random shifts are to images (Yarats et al. 2021, Section 3.1): values and actions come out the same for both.
"""

from collections.abc import Sequence

import numpy as np

from drqv2.randomness import generator


def flip(batch: dict[str, np.ndarray], entries: Sequence[int], seed: int, update: int) -> dict[str, np.ndarray]:
    """The batch of update number `update` with `entries` of observation and next_observation [B, D] negated in rows
    drawn for each of the two, half of them on average; the given arrays stay as they are."""
    keys = ("observation", "next_observation")
    flips = generator(seed, "flip", update).integers(2, size=(len(keys), len(batch["action"])))
    flipped = dict(batch)
    for key, signs in zip(keys, 1 - 2 * flips.astype(np.float32)):
        flipped[key] = batch[key].copy()
        flipped[key][:, list(entries)] *= signs[:, None]
    return flipped
