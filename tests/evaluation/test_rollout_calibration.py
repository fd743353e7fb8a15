"""Thresholds: which observations they are taken from, and that they are computed once."""

import copy
import dataclasses
import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import envs
from drqv2.stored_thresholds import StoredCalibration
from envs.vector import VectorEnv
from evaluation import rollout_calibration
from evaluation.policies import ANNPolicy
from evaluation.rollout_calibration import Calibration, ThresholdStore
from tests.evaluation.factories import Counting, episode_key, variants

CPU = torch.device("cpu")


def _seen(steps, length=5):
    """(episode, decision) of each observation, by a policy that acts 1 in four environments."""
    policy = SimpleNamespace(reset=lambda rows: None, act=lambda rows: np.ones((len(rows), 1), np.float32))
    vector = Counting(4, length=lambda number: length)
    batches = list(rollout_calibration.observations(vector, policy, chunk=4, steps=steps, seed=3))
    assert {seed[:2] for seed in vector.seeds if seed} == {envs.episode_seed("calibration", 3, 0)[:2]}
    return [(episode - 1, decision) for batch in batches for episode, decision in batch.tolist()]


@pytest.mark.parametrize("steps", [1, 3, 10, 11, 20, 37])
def test_exactly_the_asked_decisions_of_the_first_episodes(steps):
    seen = _seen(steps)
    assert len(seen) == len(set(seen)) == steps
    assert {episode for episode, _ in seen} <= set(range(-(-steps // 5) + 4))


@pytest.mark.parametrize("steps, length", [(20, 5), (10, 5), (16, 2), (24, 2)])
def test_whole_episodes_are_seen_and_those_that_end_early_followed_by_others(steps, length):
    assert sorted(_seen(steps, length)) == [(number // length, number % length) for number in range(steps)]


def _reordered(network, order):
    """The same function as `network`, its hidden units in another order: sums come out otherwise in the last digits."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        other[0].weight.copy_(network[0].weight[order])
        other[0].bias.copy_(network[0].bias[order])
        other[2].weight.copy_(network[2].weight[:, order])
    return other


def test_another_machines_last_digits_change_neither_the_episodes_nor_the_thresholds(tmp_path):
    """Stands in for other processor instructions, which add up in another order as well."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 200), nn.ReLU(), nn.Linear(200, 1))
    order = torch.randperm(200)

    def seen(network, dtype):
        with VectorEnv("cartpole_swingup", num_envs=2, obs="state", num_workers=0) as vector:
            policy = ANNPolicy(network, CPU, dtype=dtype)
            return list(rollout_calibration.observations(vector, policy, chunk=2, steps=600, seed=1))

    def both(dtype):
        return seen(network, dtype), seen(_reordered(network, order), dtype)

    ours, theirs = both(rollout_calibration.DTYPE)
    np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(*both(torch.float32)), "or the test says nothing"
    found = [
        rollout_calibration.thresholds(_calibration(), each, lambda: iter(ours), CPU, tmp_path / name)[0][0]
        for name, each in (("ours", network), ("theirs", _reordered(network, order)))
    ]
    assert torch.equal(found[0][order], found[1]) and found[0].dtype == torch.float32


PACKAGES = {"torch": "2.13.0+cpu", "numpy": "2.3", "mujoco": "3.17.0", "dm_control": "1.0.50", "numba": "0.62"}
BASE = episode_key(packages=tuple(PACKAGES.items()))


def _calibration(**changes):
    values = dict(
        source=BASE.source, steps=9, percentile=None, hybrid=False, seed=3, max_decisions=None, compute=BASE.compute
    )
    return Calibration(**(values | changes))


def _network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


BATCHES = [np.array([[0.5, -1.0], [2.0, 3.0]], np.float32), np.array([[-4.0, 1.0]], np.float32)]


def _signed(*thresholds):
    """An entry as a writer makes it, whose checksum is right."""
    return ThresholdStore("nowhere").encode(_calibration(), list(thresholds))


def _zip(pickle: bytes, compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickle)
    return buffer.getvalue()


BAD = {
    "empty": b"",
    "cut": _signed(torch.ones(3))[:-200],
    "no archive": b"PK\x03\x04 no",
    "unpacks to 50 MB": _zip(bytes(50_000_000), zipfile.ZIP_DEFLATED),
    # A tuple of two equal tuples of two equal tuples ...: a kilobyte that takes forever to hash or print.
    "nested": _zip(b"\x80\x02)" + b"2\x86" * 400 + b".", zipfile.ZIP_STORED),
    "NaN": _signed(torch.tensor([1.0, float("nan")])),
    "negative": _signed(torch.tensor([1.0, -1.0])),
    "integers": _signed(torch.tensor([1, 2])),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_entry_is_said_and_measured_anew_before_it_can_do_harm(tmp_path, bad):
    lines = []
    store = ThresholdStore(tmp_path, lines.append)
    path = store.path(_calibration())
    path.parent.mkdir(parents=True)
    path.write_bytes(bad)
    assert store.get(_calibration()) is None
    assert len(lines) == 1 and str(path) in lines[0]


def test_thresholds_are_the_largest_activations_computed_once_and_anew_when_damaged(tmp_path):
    played, lines = [], []

    def found():
        rollout = lambda: played.append(1) or iter(BATCHES)  # noqa: E731
        thresholds, origin = rollout_calibration.thresholds(
            _calibration(), _network(), rollout, CPU, tmp_path, lines.append
        )
        return [theta.tolist() for theta in thresholds], origin

    first = found()
    expected = _network()[:2](torch.from_numpy(np.concatenate(BATCHES))).amax(0)
    assert first == ([pytest.approx(expected.tolist(), rel=1e-6)], "rollouts")
    assert found() == first and len(played) == 1 and not lines
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    path.write_bytes(path.read_bytes()[:-200])
    assert found() == found() == first and len(played) == 2
    assert len(lines) == 1 and str(path) in lines[0]


def test_every_setting_has_thresholds_of_its_own():
    digests = [changed.digest for changed in (_calibration(), *variants(_calibration()))]
    assert len(set(digests)) == len(digests) > 15


def test_the_hash_tells_any_change_of_the_thresholds():
    thetas = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
    variants = [
        thetas,
        thetas[::-1],
        [thetas[0]],
        [thetas[0].double(), thetas[1]],
        [thetas[0] + 1e-6, thetas[1]],
        [torch.tensor([1.0]), torch.tensor([2.0, 3.0])],
    ]
    assert len({rollout_calibration.sha256(variant) for variant in variants}) == len(variants)


def _stored(**changes):
    """What a policy's file carries: thresholds that no rollout gives, under settings of `_calibration(**changes)`."""
    calibration = _calibration(**changes)
    return StoredCalibration([torch.tensor([5.0, 6.0, 7.0])], calibration.settings, calibration.made, "")


def _found(stored, tmp_path, **changes):
    """Whether the thresholds are those of the file, and what is said of them."""
    lines = []
    [theta], origin = rollout_calibration.thresholds(
        _calibration(**changes), _network(), lambda: iter(BATCHES), CPU, tmp_path, lines.append, stored
    )
    [line] = lines
    used = theta.tolist() == [5.0, 6.0, 7.0]
    assert (origin, any(tmp_path.iterdir())) == (("policy file", False) if used else ("rollouts", True))
    return used, line


def _compute(**changes):
    return {"compute": dataclasses.replace(BASE.compute, **changes)}


def _packages(**versions):
    return _compute(packages=tuple((PACKAGES | versions).items()))


USED = "thresholds: those in the policy's file (9 decisions"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, USED),
        (_compute(device="NVIDIA H100", threads=7, renderer="osmesa", code="changed"), USED),
        (_packages(torch="2.13.0+cu130"), USED),
        (_packages(numba="9.9"), USED),
        (_packages(torch="2.13.1+cpu"), 'here "2.13.1"'),
        (_packages(mujoco="9.9"), 'here "9.9"'),
        (_compute(chunk=5), "chunk="),
        ({"steps": 10}, "steps=9, here 10"),
        ({"percentile": 99.9}, "percentile=null, here 99.9"),
        ({"seed": 4}, "seed=3, here 4"),
        ({"hybrid": True}, "hybrid=false, here true"),
        ({"max_decisions": 5}, "max_decisions=null, here 5"),
        ({"source": dataclasses.replace(BASE.source, action_repeat=3)}, "action_repeat="),
        ({"source": dataclasses.replace(BASE.source, task="other")}, "task="),
    ],
)
def test_what_the_policys_file_carries_is_used_where_the_settings_are_the_same(tmp_path, changes, words):
    """Whatever the machine, and the build of a release."""
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    used, line = _found(_stored(), tmp_path / "one", **changes)
    assert words in line and used == (words == USED) != ("are not used" in line)
    assert _found(_stored(**changes), tmp_path / "other")[0] == used, "the other way round it's the same"


@pytest.mark.parametrize("broken", [{"seed": True}, {"more": 1}, {"version": rollout_calibration.VERSION + 1}])
def test_settings_that_only_look_the_same_are_others(tmp_path, broken):
    stored = _stored(seed=1)
    other = dataclasses.replace(stored, settings=stored.settings | broken)
    assert [_found(each, tmp_path, seed=1)[0] for each in (stored, other)] == [True, False]
