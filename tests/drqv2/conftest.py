"""Published agents, made once for all tests that need them."""

from pathlib import Path

import pytest

from tests import fuzz_snapshots


@pytest.fixture(scope="session")
def agents(tmp_path_factory) -> Path:
    """Real pickles with stepped optimisers, made by throw-away classes in a process of their own; folders by kind."""
    folder = tmp_path_factory.mktemp("published")
    fuzz_snapshots.write_published(folder, "relu", "layernorm_tanh", "gelu")
    return folder
