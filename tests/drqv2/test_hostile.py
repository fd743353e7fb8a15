"""A few of the files that tests/fuzz_snapshots.py makes by the thousand: one clear line each, and nothing runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import fuzz_snapshots
from tests.drqv2.hostile import GENERATORS

FILES_OF_A_KIND = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory, agents) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "cartpole_swingup"
    folder.mkdir()
    fuzz_snapshots.write_bases(folder, agents)
    return folder


@pytest.fixture(scope="module")
def bases(folder) -> dict[str, bytes]:
    return fuzz_snapshots.read_bases(folder)


@pytest.fixture(scope="module")
def originals(folder) -> list[dict]:
    found = [fuzz_snapshots.identity(folder / f"{name}.pt") for name in fuzz_snapshots.BASES]
    assert found[0] == found[1] != found[2]
    return found


@pytest.mark.parametrize("kind", sorted(GENERATORS))
def test_damaged_and_hostile_files_are_one_line_each(kind, bases, originals, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for number in range(FILES_OF_A_KIND):
        path = folder / "suspect.pt"
        path.write_bytes(GENERATORS[kind](bases, np.random.default_rng([9, number])))
        before = fuzz_snapshots.memory("VmRSS")
        outcome, said = fuzz_snapshots.judge(kind, path, originals)
        assert outcome != "FAULT", f"number {number}: {said}"
        assert not list(tmp_path.iterdir()), "code in the file ran"
        assert fuzz_snapshots.memory("VmRSS") - before < 300
