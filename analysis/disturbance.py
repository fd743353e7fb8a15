"""Disturbances of the ANN: errors of a converted network's size in other arrangements, and the smallest possible one.

gaussian  independent Gaussian noise with mean zero and the errors' second moment E[δ δᵀ]: their size and their
          directions, but no bias and no memory
shuffled  the errors that the network made in another episode, in random order: all of their distribution, bias
          included, but no memory
ordered   the same errors in the order in which they were made: their memory too, but no tie to the present state
flipped   the error that the network makes in the present state, with a random sign: as large as its errors are in each
          state, which noise is not, but pointing here and there
ulp       each action moved by one unit in the last place towards 0: the control for chaos

Shuffled and ordered errors are another episode's, because errors replayed in their own order from the very state that
they began in would only play that episode again.
"""

import numpy as np

from analysis.trial import GAUSSIAN, SHUFFLED


def noise(kind: str, errors: np.ndarray, decisions: int, seed: tuple[int, ...]) -> np.ndarray:
    """What to add to each of `decisions` actions: float64 [decisions, A], made from the recorded `errors` [K, A].

    A function of its arguments alone. If there are more decisions than errors, these are used again from the start.
    """
    generator = np.random.default_rng(seed)
    if kind == GAUSSIAN:
        second_moment = errors.T @ errors / len(errors)
        return generator.multivariate_normal(np.zeros(errors.shape[1]), second_moment, decisions, method="eigh")
    if kind == SHUFFLED:
        errors = generator.permutation(errors)
    return np.resize(errors, (decisions, errors.shape[1]))


def signs(decisions: int, seed: tuple[int, ...]) -> np.ndarray:
    """A random sign for each decision, float64 [decisions, 1]."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], (decisions, 1))


def add(actions: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Actions float32 [n, A] in [-1, 1]: `actions` plus `added`, all [n, A].

    Where the sum would leave the range, the component is subtracted instead of added: clipping would make the
    disturbance smaller than the errors that it stands for, most of all in policies that act at their bounds.
    """
    return np.clip(actions + np.where(np.abs(actions + added) > 1.0, -added, added), -1.0, 1.0).astype(np.float32)


def one_ulp(actions: np.ndarray) -> np.ndarray:
    """The float32 neighbours of `actions` towards 0 (of 0: the smallest positive number)."""
    actions = np.asarray(actions, np.float32)
    return np.nextafter(actions, np.where(actions == 0, np.float32(1), np.float32(0)), dtype=np.float32)
