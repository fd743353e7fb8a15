"""A few of the files that tests/fuzz_snapshots.py makes by the thousand: one clear line each, and nothing runs."""

from pathlib import Path

import numpy as np
import pytest

from tests import fuzz_snapshots
from tests.drqv2.hostile import GENERATORS

FILES_OF_A_KIND = {"hostile_pickle": 60}  # of the others 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory, agents) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "cartpole_swingup"
    folder.mkdir()
    fuzz_snapshots.write_bases(folder, agents)
    return folder


@pytest.mark.parametrize("kind", sorted(GENERATORS))
def test_damaged_and_hostile_files_are_one_line_each(kind, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    bases = fuzz_snapshots.read_bases(folder)
    originals = [fuzz_snapshots.identity(folder / f"{name}.pt") for name in bases]
    assert originals[0] == originals[1] != originals[2]
    path, before = folder / "suspect.pt", fuzz_snapshots.memory("VmRSS")
    for number in range(FILES_OF_A_KIND.get(kind, 4)):
        path.write_bytes(GENERATORS[kind](bases, np.random.default_rng([9, number])))
        outcome, said = fuzz_snapshots.judge(kind, path, originals)
        assert outcome != "FAULT", f"number {number}: {said}"
        assert not list(tmp_path.iterdir()), "code in the file ran"
        assert fuzz_snapshots.memory("VmRSS") - before < 300
