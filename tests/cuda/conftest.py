"""Where there is no g++ to build the pretended device with, its tests say so and are skipped."""

import shutil

import pytest


def pytest_collection_modifyitems(items):
    if shutil.which("g++") is None:
        for item in items:
            if "tests/cuda/" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason="needs g++ (apt-get install g++) to pretend a CUDA device"))
