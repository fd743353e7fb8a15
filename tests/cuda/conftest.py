"""Where no CUDA device can be had, these tests say why and are skipped."""

import shutil

import pytest
import torch

from tests.cuda.gpu import REAL


def pytest_collection_modifyitems(items):
    why = None
    if torch.version.cuda is not None and not REAL:
        why = "torch is built for CUDA and sees no GPU; tests see one that CUDA_VISIBLE_DEVICES names"
    elif not REAL and shutil.which("g++") is None:
        why = "needs g++ (apt-get install g++) to pretend a CUDA device"
    for item in items:
        if why and "tests/cuda/" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason=why))
