"""What every test may count on, however the run was started."""

import os
import signal
import subprocess

import pytest
from hypothesis import settings

from tests.processes import ROOT, python

# A loaded machine takes its time: no test depends on it.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# A script's background job is started with SIGINT ignored, and every process below it inherits that; the tests send
# Ctrl-C to programs of ours and to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before torch is imported. Tests run beside each other: threads that spin while they wait for each other would take
# the cores from them, and did so for two thirds of all processor time. What threads may change, tests set themselves.
# Nor does a GPU move any result: CUDA_VISIBLE_DEVICES=0 python -m pytest tests/cuda shows it to those that are for it.
os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "CUDA_VISIBLE_DEVICES": ""} | os.environ)


@pytest.fixture(scope="session")
def policies(tmp_path_factory):
    """obs → path of a small policy of cartpole_swingup, with weights that make it move."""
    from tests.drqv2.policy_files import write_small_policy  # which loads torch

    root = tmp_path_factory.mktemp("policies")
    return {obs: write_small_policy(root / f"{obs}.pt", obs=obs) for obs in ("state", "pixels")}


@pytest.fixture(scope="session")
def agents(tmp_path_factory):
    """Published agents: real pickles with stepped optimisers, made by throw-away classes in a process of their own;
    folders by kind."""
    folder = tmp_path_factory.mktemp("published")
    python("-W", "ignore", ROOT / "tests/drqv2/published_agent.py", folder, "relu", "layernorm_tanh", "gelu")
    return folder


@pytest.fixture
def disk_of(tmp_path):
    """size → the folder of a file system of that size, where this process may mount one."""
    folder = tmp_path / "disk"

    def mounted(size):
        folder.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        if subprocess.run(words, capture_output=True).returncode:
            pytest.skip("this process may not mount a tmpfs")
        return folder

    yield mounted
    subprocess.run(["umount", "-l", folder], capture_output=True)
