"""A folder to run conversions in, with small policies where train.py would have left them."""

import pytest
import torch

from tests.drqv2.foreign.test_foreign import Actor
from tests.drqv2.policy_files import write_small_policy


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with runs as train.py leaves them, one from state and one from pixels. Its name has a space."""
    folder = tmp_path_factory.mktemp("small policies")
    for obs in ("state", "pixels"):
        write_small_policy(folder / "exp_local" / "cartpole_swingup" / f"{obs}_seed1" / "snapshot.pt", obs=obs)
    return folder


@pytest.fixture
def cwd(home, tmp_path):
    """A folder of the test's own, with those runs in it."""
    (tmp_path / "exp_local").symlink_to(home / "exp_local")
    return tmp_path


@pytest.fixture
def actor(tmp_path):
    """A folder of the test's own, with the authors' kind of actor for Reacher-v5 in it."""
    torch.manual_seed(5)
    torch.save(Actor(("l1", "l2", "l3"), inputs=10, actions=2).state_dict(), tmp_path / "actor")
    return tmp_path
