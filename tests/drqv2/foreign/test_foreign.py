"""Policies of other programs: the actions are theirs, to the last bit, and so are the spikes; what can't be one is one
line."""

import io
import json
import os
import pickle
import sys
import types
import zipfile

import gymnasium
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import snn
from drqv2.snapshot import load_policy
from tests.refusals import refused
from tests.snn.published import SpikingNeuron, decide

TASK, INPUTS, ACTIONS = "Hopper-v4", 11, 3


class Actor(nn.Module):
    """A throw-away class of the layout `names`: three layers and, in published files, two neurons."""

    def __init__(self, names, others=(), widths=(40, 30), neurons=True, inputs=INPUTS, actions=ACTIONS):
        super().__init__()
        sizes = (inputs, *widths, actions)
        for name, before, after in zip(names, sizes, sizes[1:]):
            setattr(self, name, nn.Linear(before, after))
        for name in others:
            setattr(self, name, nn.Linear(widths[-1], actions))
        if neurons:
            self.neuron1, self.neuron2 = SpikingNeuron(widths[0]), SpikingNeuron(widths[1])
        self.layers = [getattr(self, name) for name in names]

    def forward(self, state, first=F.relu, second=F.relu):
        return torch.tanh(self.layers[2](second(self.layers[1](first(self.layers[0](state))))))


def observations(count, seed=0, inputs=INPUTS):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, 1, inputs), np.float32))


def scaled(actor):
    """The state dict of one of CleanRL's actors, which hold the scale of their actions."""
    return actor.state_dict() | {"action_scale": torch.ones(ACTIONS), "action_bias": torch.zeros(ACTIONS)}


def cleanrl_td3(actor):
    return scaled(actor), {"fc1.weight": torch.zeros(4, 14)}, {"fc1.weight": torch.zeros(4, 14)}


LAYOUTS = {
    "ANN2SNN-CRPI's TD3 or DDPG": (Actor(("l1", "l2", "l3")), Actor.state_dict),
    "ANN2SNN-CRPI's SAC": (Actor(("fc1", "fc2", "fc_mu"), ("fc_std",)), Actor.state_dict),
    "CleanRL's TD3 or DDPG": (Actor(("fc1", "fc2", "fc_mu"), neurons=False), cleanrl_td3),
    "CleanRL's SAC": (Actor(("fc1", "fc2", "fc_mean"), ("fc_logstd",), neurons=False), scaled),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_known_layout_acts_here_as_it_did_there(tmp_path, layout):
    actor, contents = LAYOUTS[layout]
    path = tmp_path / "actor"
    torch.save(contents(actor), path)
    policy = load_policy(path, task=TASK)
    assert policy.origin.startswith(("CleanRL" if "CleanRL" in layout else "DDPG", "SAC actor"))
    assert (policy.task, policy.obs, policy.action_repeat, policy.squash) == (TASK, "state", 1, "tanh")
    assert (policy.observation_shape, policy.action_dim) == ((INPUTS,), ACTIONS)
    with torch.no_grad():
        for observation in observations(30):
            assert torch.equal(torch.tanh(policy.network(observation)), actor(observation))


@pytest.mark.parametrize("layout", ["ANN2SNN-CRPI's TD3 or DDPG", "ANN2SNN-CRPI's SAC"])
@pytest.mark.parametrize("timesteps, rate", [(4, 0.0), (8, 0.5), (16, 1.0)])
def test_the_published_conversion_and_ours_agree_to_the_last_bit(tmp_path, layout, timesteps, rate):
    actor, _ = LAYOUTS[layout]
    neurons = [actor.neuron1, actor.neuron2]
    torch.save(actor.state_dict(), tmp_path / "actor")
    network = load_policy(tmp_path / "actor", task=TASK).network
    with torch.no_grad():
        for observation in observations(200, seed=1):
            actor(observation, actor.neuron1.measure, actor.neuron2.measure)
        thresholds = snn.calibrate(network, list(observations(200, seed=1)))
        for neuron, theta in zip(neurons, thresholds, strict=True):
            assert torch.equal(neuron.thre, theta)
            neuron.rate = rate
        ours = snn.convert(network, thresholds, "if", timesteps=timesteps, crpi=snn.CRPI(rate))
        for episode in range(3):
            ours.reset()
            for neuron in neurons * 2:
                neuron.reset()
            for observation in observations(25, seed=2 + episode):
                assert torch.equal(ours(observation), decide(actor.layers, neurons, observation, timesteps))


def chain(path, *modules):
    network = nn.Sequential(*modules)
    torch.save(dict(network.state_dict()), path)
    return network


def linears(inputs=INPUTS, actions=ACTIONS):
    return nn.Linear(inputs, 20), nn.ReLU(), nn.Linear(20, 16, bias=False), nn.ReLU(), nn.Linear(16, actions)


@pytest.mark.parametrize("task, high", [("Hopper-v4", 1.0), ("Pusher-v5", 2.0)])
@pytest.mark.parametrize("squash", ["tanh", "clip"])
def test_one_line_says_what_a_plain_state_dict_is(tmp_path, task, high, squash):
    size = {"Hopper-v4": (11, 3), "Pusher-v5": (23, 7)}[task]
    network = chain(tmp_path / "plain.pth", *linears(*size))
    policy = load_policy(tmp_path / "plain.pth", task=task, network=f"relu-{squash}")
    other = load_policy(tmp_path / "plain.pth", task=task, network={"tanh": "relu-clip", "clip": "relu-tanh"}[squash])
    assert policy.squash == squash and policy.sha256 != other.sha256  # another policy, from the same file
    x = observations(50, inputs=size[0])[:, 0] * 3
    with torch.no_grad():
        output, ours = network(x), policy.network(x)
    # A Gaussian's mean is in the task's own units; actions of a policy here are in [-1, 1].
    theirs, ours = (output, ours) if squash == "tanh" else (output.clamp(-high, high), ours.clamp(-1, 1) * high)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


class Pictures(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
    observation_space = gymnasium.spaces.Box(0, 255, (3, 12, 12), np.uint8)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, render_mode=None):
        pass

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.integers(256, size=(3, 12, 12), dtype=np.uint8), {}


def test_convolutions_take_their_strides_from_the_line(tmp_path, monkeypatch):
    gymnasium.register("Pictures-v0", Pictures, max_episode_steps=5, disable_env_checker=True)
    try:
        modules = (
            nn.Conv2d(3, 4, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(45, 2),
        )
        network = chain(tmp_path / "cnn.pth", *modules)
        policy = load_policy(tmp_path / "cnn.pth", task="Pictures-v0", network="relu-tanh-2-1")
        x = torch.rand(4, 3, 12, 12)
        assert policy.observation_shape == (3, 12, 12)
        with torch.no_grad():
            assert torch.equal(policy.network(x), network(x))
        with refused("network=relu-tanh-2: .* has 2 convolutions; give each one's stride"):
            load_policy(tmp_path / "cnn.pth", task="Pictures-v0", network="relu-tanh-2")
    finally:
        gymnasium.registry.pop("Pictures-v0")


def tensors(**changes):
    return Actor(("l1", "l2", "l3"), neurons=False).state_dict() | changes


@pytest.mark.parametrize(
    "contents, task, network, words",
    [
        (tensors(), "HalfCheetah-v4", None, r"first layer takes 11 .* HalfCheetah-v4 observes \(17,\) and takes 6"),
        (Actor(("l1", "l2", "l3"), actions=4).state_dict(), TASK, None, r"computes \(4,\) actions; Hopper-v4"),
        (tensors(), "cheetah_run", None, "read for Gymnasium's tasks, .*not for cheetah_run"),
        (tensors(), TASK, "relu-tanh", r"^network=relu-tanh: .* as it says itself"),
        (tensors(**{"l2.weight": torch.full((30, 40), np.nan)}), TASK, None, "NaN or infinity"),
        (
            nn.Sequential(*linears()).state_dict(),
            TASK,
            None,
            "say its activation and squashing, such as network=relu-tanh",
        ),
        (nn.Sequential(*linears()).state_dict(), TASK, "tanh-tanh", "^network=tanh-tanh: a network of tanh units"),
        (nn.Sequential(*linears()).state_dict(), TASK, "relu", "^network=relu: must be relu-tanh or relu-clip"),
        (nn.Sequential(*linears()).state_dict(), TASK, "relu-clip-x", "^network=relu-clip-x: must be"),
        (nn.Sequential(nn.Linear(11, 4), nn.LayerNorm(4)).state_dict(), TASK, "relu-tanh", r": 1 of shape \(4,\)"),
        ({"log_std": torch.zeros(3)}, TASK, "relu-tanh", "log_std belongs to no linear layer"),
        ({"actor_mean.0.weight": torch.zeros(4, 11)}, TASK, None, "CleanRL's PPO actor, a network of tanh units"),
        (scaled(LAYOUTS["CleanRL's SAC"][0]) | {"action_scale": torch.full((3,), 2.0)}, TASK, None, "other bounds"),
        ([1, 2], TASK, None, "neither a policy of this project nor a state dict"),
        ({"l1.weight": torch.zeros(1).expand(40, 11)}, TASK, "relu-tanh", "not a dense tensor"),
    ],
)
def test_what_is_no_policy_for_this_task_is_one_line(tmp_path, contents, task, network, words):
    torch.save(contents, tmp_path / "file.pt")
    with refused(words):
        load_policy(tmp_path / "file.pt", task=task, network=network)


# ---- stable-baselines3's zips, and VecNormalize pickles of throw-away classes of its names ----


HIDDEN = (24, 20)
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
def test_normalised_observations_are_normalised_here(tmp_path, place, protocol):
    names, act = Policies.ppo()
    contents, moments = vecnormalize(protocol)
    records = {} if place else {"vecnormalize.pkl": contents}
    if place is not None:
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
    # Other statistics make another policy.
    if place is not None:
        (tmp_path / place).write_bytes(vecnormalize(clip_obs=2.0)[0])
        assert load_policy(path, task=TASK).sha256 != policy.sha256


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
    weights = write(tmp_path / "agent.zip", state_dict(Policies.sac()[0])).read_bytes()
    for position in range(0, len(weights), len(weights) // 25):
        (tmp_path / "cut.zip").write_bytes(weights[:position])
        with refused("cut.zip"):
            load_policy(tmp_path / "cut.zip", task=TASK)
    with refused(f"foreign.zip: policy.pth: refers to {os.mkdir.__module__}.mkdir"):
        load_policy(write(tmp_path / "foreign.zip", {"a": Bomb()}), task=TASK)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", "{}")
        archive.writestr("policy.pth", bytes(10**6))
    with refused("packed.zip: policy.pth: compressed"):
        load_policy(tmp_path / "packed.zip", task=TASK)
