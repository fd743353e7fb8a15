"""Where the pretended device can't be had, its tests say why and are skipped."""

import shutil

import pytest
import torch


def pytest_collection_modifyitems(items):
    why = "needs g++ (apt-get install g++) to pretend a CUDA device" if shutil.which("g++") is None else None
    if torch.version.cuda is not None:
        why = "torch is built for CUDA: nothing to pretend; try python -m scripts.selfcheck"
    for item in items:
        if why and "tests/cuda/" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason=why))
