"""Kernels where numba may write nowhere, or only to a full disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import numba.core.caching as caching, sys
if {nowhere}:  # as in a container whose user owns neither the installation nor a home
    caching.CacheImpl._locator_classes = []
import torch, snn
network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
spiking = snn.convert(network, [torch.ones(3)], timesteps=4)
print(spiking(torch.ones(1, 2)).shape)
"""


@pytest.mark.parametrize("nowhere", [True, False])
def test_without_room_for_a_cache_there_is_a_line_and_the_kernels_work(tmp_path, nowhere):
    folder = tmp_path / "full"
    folder.mkdir()
    if (
        not nowhere
        and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], capture_output=True).returncode
    ):
        pytest.skip("this process may not mount a tmpfs")
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(nowhere=nowhere)],
            cwd=ROOT,
            env=os.environ | {"NUMBA_CACHE_DIR": str(folder)},
            capture_output=True,
            text=True,
        )
    finally:
        if not nowhere:
            subprocess.run(["umount", "-l", folder], check=True)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([1, 1])" in done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("numba: compiled code can't be kept (") and "NUMBA_CACHE_DIR=" in line
    assert ("no locator available" if nowhere else f"{folder}") in line
