"""Damaged and hostile files of policies and of networks: one clear line each, and nothing in them runs.

Many more of each kind: FILES=1000 .venv/bin/python -m pytest -q tests/hostile
"""

import os

import numpy as np
import pytest

from tests.hostile import networks, snapshots
from tests.hostile.judge import identity, judge, memory, write_bases

GENERATORS = snapshots.GENERATORS | networks.GENERATORS
FILES_OF_A_KIND = {"hostile_pickle": 60}  # of the others 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory, agents):
    folder = tmp_path_factory.mktemp("hostile") / "cartpole_swingup"  # a published agent's task is its folder
    folder.mkdir()
    write_bases(folder, agents / "relu/cartpole_swingup/snapshot.pt")
    return folder


def test_the_judge_knows_whole_files_from_others(folder):
    policy, snapshot, published = (identity(folder / f"{name}.pt") for name in ("policy", "snapshot", "published"))
    assert policy == snapshot != published
    network = identity(folder / "network.pt", "network")
    for kind in networks.MAY_BE_HARMLESS:
        assert judge(kind, folder / "network.pt", [network]) == ("unchanged", "")
        assert judge(kind, folder / "network.pt", [network | {"decided": []}])[0] == "FAULT"


@pytest.mark.parametrize("kind", GENERATORS)
def test_damaged_and_hostile_files_are_one_line_each(kind, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = ["network"] if kind in networks.GENERATORS else ["policy", "snapshot", "published"]
    bases = {name: (folder / f"{name}.pt").read_bytes() for name in names}
    originals = [identity(folder / f"{name}.pt", name) for name in names]
    path, before = folder / "suspect.pt", memory("VmRSS")
    for number in range(int(os.environ.get("FILES", FILES_OF_A_KIND.get(kind, 4)))):
        path.write_bytes(GENERATORS[kind](bases, np.random.default_rng([9, number])))
        outcome, said = judge(kind, path, originals)
        assert outcome != "FAULT", f"number {number}: {said}"
        assert not list(tmp_path.iterdir()), "code in the file ran"
        assert memory("VmRSS") - before < 300
