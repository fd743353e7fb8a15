import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import STREAMS, episode_seed
from runtime.errors import UserError

draws = st.tuples(st.sampled_from(STREAMS), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


@given(draws, draws)
def test_different_episodes_have_different_seeds(one, other):
    assert (episode_seed(*one) == episode_seed(*other)) == (one == other)


@given(draws)
def test_numpy_takes_every_seed(draw):
    seed = episode_seed(*draw)
    assert all(type(word) is int for word in seed)
    assert np.random.RandomState(seed).randint(2**31) == np.random.RandomState(list(seed)).randint(2**31)


@pytest.mark.parametrize("seed, episode, named", [(-1, 0, "seed=-1"), (2**32, 0, "seed="), (0, -5, "episode=-5")])
def test_out_of_range_is_refused(seed, episode, named):
    with pytest.raises(UserError, match=named):
        episode_seed("train", seed, episode)
