"""Zips with stable-baselines3's records and names, and VecNormalize pickles of throw-away classes of its names."""

import io
import json
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

import snn
from drqv2.snapshot import load_policy
from runtime.errors import UserError
from tests.drqv2.foreign.test_state_dicts import observations
from tests.refusals import refused

TASK, INPUTS, ACTIONS, HIDDEN = "Hopper-v4", 11, 3, (24, 20)
RELU = {"policy_kwargs": {":type:": "<class 'dict'>", "activation_fn": "<class 'torch.nn.modules.activation.ReLU'>"}}


def mlp(*sizes):
    """As stable-baselines3's create_mlp: a Linear and an activation for each hidden layer."""
    pairs = ((nn.Linear(before, after), nn.ReLU()) for before, after in zip(sizes, sizes[1:]))
    return nn.Sequential(*(module for pair in pairs for module in pair))


class Policies:
    """By algorithm: the modules under the names that they have in policy.pth, and what acts."""

    @staticmethod
    def sac():
        latent, mu, log_std = mlp(INPUTS, *HIDDEN), nn.Linear(HIDDEN[-1], ACTIONS), nn.Linear(HIDDEN[-1], ACTIONS)
        names = {"actor.latent_pi": latent, "actor.mu": mu, "actor.log_std": log_std, "critic.qf0": mlp(14, 5)}
        return names, lambda x: torch.tanh(mu(latent(x)))

    @staticmethod
    def td3():
        mu = nn.Sequential(*mlp(INPUTS, *HIDDEN), nn.Linear(HIDDEN[-1], ACTIONS), nn.Tanh())
        return {"actor.mu": mu, "actor_target.mu": mlp(INPUTS, 7), "critic.qf0": mlp(14, 5)}, mu

    @staticmethod
    def ppo():
        hidden, action = mlp(INPUTS, *HIDDEN), nn.Linear(HIDDEN[-1], ACTIONS)
        nn.init.normal_(action.weight)  # so that some actions are clipped
        names = {"mlp_extractor.policy_net": hidden, "mlp_extractor.value_net": mlp(INPUTS, 9), "action_net": action}
        return names, lambda x: action(hidden(x)).clamp(-1, 1)


def state_dict(names):
    tensors = {f"{name}.{key}": value for name, module in names.items() for key, value in module.state_dict().items()}
    return tensors | ({"log_std": torch.zeros(ACTIONS)} if "action_net" in names else {})


def write(path, tensors, data=None, **records):
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    contents = {"data": json.dumps(data or {}).encode(), "policy.pth": buffer.getvalue(), **records}
    with zipfile.ZipFile(path, "w") as archive:
        for name, record in contents.items():
            archive.writestr(name, record)
    return path


def vecnormalize(protocol=4, **changes):
    """The pickle of a VecNormalize, whose classes are gone again when it is read."""
    names = ("stable_baselines3.common.running_mean_std", "stable_baselines3.common.vec_env.vec_normalize")
    modules = {name: types.ModuleType(name) for name in names}
    classes = [
        type(name, (), {"__module__": module}) for name, module in zip(("RunningMeanStd", "VecNormalize"), names)
    ]
    for module, kind in zip(modules.values(), classes):
        setattr(module, kind.__name__, kind)
    moments, normalizer = (kind() for kind in classes)
    random = np.random.default_rng(3)
    vars(moments).update(mean=random.standard_normal(INPUTS), var=random.uniform(0.5, 2, INPUTS), count=1e4)
    vars(normalizer).update(obs_rms=moments, norm_obs=True, clip_obs=1.5, epsilon=np.float64(1e-8), num_envs=1)
    vars(normalizer).update(changes)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stable_baselines3", "stable_baselines3.common", names[1].rpartition(".")[0]):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        return pickle.dumps(normalizer, protocol=protocol), moments


@pytest.mark.parametrize("algorithm, data, squash", [("sac", {}, "tanh"), ("td3", {}, "tanh"), ("ppo", RELU, "clip")])
def test_an_agent_acts_here_as_it_did_there(tmp_path, algorithm, data, squash):
    names, act = getattr(Policies, algorithm)()
    policy = load_policy(write(tmp_path / "agent.zip", state_dict(names), data), task=TASK)
    assert policy.squash == squash and policy.origin.startswith("stable-baselines3")
    x = observations(60)[:, 0]
    with torch.no_grad():
        output = policy.network(x)
        ours = torch.tanh(output) if squash == "tanh" else output.clamp(-1, 1)
        torch.testing.assert_close(ours, act(x), rtol=0, atol=0)
    assert squash == "tanh" or (ours.abs() == 1).any()


PLACES = ("agent/vecnormalize.pkl", "vecnormalize.pkl", "vec_normalize.pkl", None)


@pytest.mark.parametrize("place, protocol", list(zip(PLACES, (3, 4, 5, 4))))
def test_normalised_observations_are_normalised_here_and_convert(tmp_path, place, protocol):
    names, act = Policies.ppo()
    contents, moments = vecnormalize(protocol)
    records = {}
    if place is None:
        records["vecnormalize.pkl"] = contents
    else:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(contents)
    path = write(tmp_path / "agent.zip", state_dict(names), RELU, **records)
    policy = load_policy(path, task=TASK)
    assert policy.origin.endswith(f"observations normalised by {(place or PLACES[0]).rpartition('/')[2]}")
    x = observations(60)[:, 0] * 2
    theirs = np.clip((x.numpy() - moments.mean) / np.sqrt(moments.var + 1e-8), -1.5, 1.5).astype(np.float32)
    assert (np.abs(theirs) == 1.5).any()
    with torch.no_grad():
        torch.testing.assert_close(policy.network(x).clamp(-1, 1), act(torch.from_numpy(theirs)), rtol=1e-5, atol=1e-5)
    spiking = snn.convert(policy.network, snn.calibrate(policy.network, [x]), "if", timesteps=512)
    torch.testing.assert_close(spiking(x), policy.network(x), rtol=0, atol=0.1)
    # Other statistics make another policy.
    before = policy.sha256
    if place is not None:
        (tmp_path / place).write_bytes(vecnormalize(clip_obs=2.0)[0])
        assert load_policy(path, task=TASK).sha256 != before


def test_statistics_that_are_not_used_leave_observations_as_they_are(tmp_path):
    names, act = Policies.sac()
    (tmp_path / "vecnormalize.pkl").write_bytes(vecnormalize(norm_obs=False)[0])
    policy, x = load_policy(write(tmp_path / "agent.zip", state_dict(names)), task=TASK), observations(9)[:, 0]
    with torch.no_grad():
        torch.testing.assert_close(torch.tanh(policy.network(x)), act(x), rtol=0, atol=0)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("ran",)


class Heavy:
    """Tuples of tuples, which would take for ever to hash."""

    def __reduce__(self):
        value = ()
        for _ in range(60):
            value = (value, value)
        return dict, ([(value, 1)],)


@pytest.mark.parametrize(
    "contents",
    [
        pickle.dumps(Bomb()),
        pickle.dumps({"obs_rms": Bomb()}),
        pickle.dumps(Heavy()),
        b"",
        b"cos\nsystem\n(S'mkdir ran'\ntR.",
        b"\x80\x04K\x01r\xff\xff\xff\x7f.",  # a place in the unpickler's array that takes 32 GB
        vecnormalize()[0][:-40],
        vecnormalize(obs_rms=None)[0],
        vecnormalize(clip_obs=float("nan"))[0],
        bytes(2_000_000),
    ],
)
def test_a_pickle_that_is_no_vecnormalize_runs_nothing(tmp_path, monkeypatch, contents):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vecnormalize.pkl").write_bytes(contents)
    path = write(tmp_path / "agent.zip", state_dict(Policies.sac()[0]))
    with refused(r"vecnormalize.pkl: not the VecNormalize statistics of a Box .*nothing was run"):
        load_policy(path, task=TASK)
    assert not (tmp_path / "ran").exists()


def without(names, part):
    return {name: value for name, value in state_dict(names).items() if not name.startswith(part)}


@pytest.mark.parametrize(
    "tensors, data, words",
    [
        (state_dict(Policies.ppo()[0]), {}, "PPO or A2C with Tanh units, which no spiking neuron can represent"),
        (state_dict(Policies.sac()[0]), {"policy_kwargs": {"activation_fn": "<class 'x.ELU'>"}}, "with ELU units"),
        (
            without(Policies.sac()[0], "actor.mu") | {"actor.mu.0.weight": torch.zeros(3, 20)},
            {},
            "trained with use_sde",
        ),
        (without(Policies.ppo()[0], "log_std"), RELU, "no policy with continuous actions"),
        (
            state_dict(Policies.sac()[0]) | {"actor.features_extractor.cnn.0.weight": torch.zeros(1)},
            {},
            "observes images",
        ),
        (state_dict({"actor.mu": mlp(17, 8, 3)}), {}, r"Hopper-v4 observes \(11,\)"),
        (without(Policies.sac()[0], "actor.latent_pi.2.weight"), {}, "don't fit observations"),
    ],
)
def test_what_cannot_be_converted_is_one_line(tmp_path, tensors, data, words):
    path = write(tmp_path / "agent.zip", tensors, data)
    with refused(words) as refusal:
        load_policy(path, task=TASK)
    assert str(refusal.value).startswith(str(path))


def test_damaged_zips_are_one_line(tmp_path):
    whole = write(tmp_path / "agent.zip", state_dict(Policies.sac()[0]))
    weights = whole.read_bytes()
    for position in range(0, len(weights), len(weights) // 25):
        (tmp_path / "cut.zip").write_bytes(weights[:position])
        with pytest.raises(UserError):
            load_policy(tmp_path / "cut.zip", task=TASK)
    foreign = write(tmp_path / "foreign.zip", {"a": Bomb()})
    with refused(f"foreign.zip: policy.pth: refers to {os.mkdir.__module__}.mkdir"):
        load_policy(foreign, task=TASK)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", "{}")
        archive.writestr("policy.pth", bytes(10**6))
    with refused("packed.zip: policy.pth: compressed"):
        load_policy(tmp_path / "packed.zip", task=TASK)
