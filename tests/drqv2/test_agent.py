"""The learner against a plain restatement of DrQ-v2's update, and the image shifts against bilinear resampling."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from drqv2.agent import DrQV2Agent
from drqv2.randomness import Purpose, generator
from drqv2.schedule import parse_schedule
from tests.configs import train_settings

LEARNER = {"hidden_dim": 64, "lr": 1e-3, "num_expl_steps": 10, "stddev_schedule": "linear(1.0,0.1,100)", "seed": 4}


def make_agent(shape=(9, 84, 84), **changes) -> DrQV2Agent:
    """With actions of two numbers."""
    return DrQV2Agent(train_settings(Path(), **LEARNER | changes), shape, 2, torch.device("cpu"))


def make_batch(shape, seed: int, size: int = 8) -> dict[str, torch.Tensor]:
    random = np.random.default_rng(seed)

    def observe():
        if len(shape) == 3:
            return torch.from_numpy(random.integers(256, size=(size, *shape), dtype=np.uint8))
        return torch.from_numpy(random.standard_normal((size, *shape), dtype=np.float32))

    def rows(n):
        return torch.from_numpy(random.uniform(-1, 1, (size, n)).astype(np.float32))

    values = observe(), rows(2), rows(1), rows(1).abs(), observe()
    return dict(zip(("observation", "action", "reward", "discount", "next_observation"), values))


class Restatement:
    """DrQ-v2's update written straight from the paper and the published order of operations: separate optimisers,
    no shared shortcuts, plain modules."""

    def __init__(self, agent: DrQV2Agent) -> None:
        self.encoder, self.actor = copy.deepcopy(agent.encoder), copy.deepcopy(agent.actor)
        self.critic, self.target = copy.deepcopy(agent.critic), copy.deepcopy(agent.critic)
        self.optimizers = {
            name: torch.optim.Adam(parameters, lr=1e-3)
            for name in ("encoder", "actor", "critic")
            if (parameters := list(getattr(self, name).parameters()))  # a state encoder has none
        }

    def update(self, batch: dict[str, torch.Tensor], std: float, noises: np.ndarray) -> dict[str, float]:
        noise = [torch.clamp(torch.from_numpy(n) * std, -0.3, 0.3) for n in noises]
        obs = self.encoder(batch["observation"].float())
        with torch.no_grad():
            next_obs = self.encoder(batch["next_observation"].float())
            next_action = torch.clamp(torch.tanh(self.actor(next_obs)) + noise[0], -1 + 1e-6, 1 - 1e-6)
            q1, q2 = self.target(self.target.trunk(next_obs), next_action)
            target = batch["reward"] + batch["discount"] * torch.minimum(q1, q2)
        q1, q2 = self.critic(self.critic.trunk(obs), batch["action"])
        critic_loss = F.mse_loss(q1, target) + F.mse_loss(q2, target)
        learners = [self.optimizers[name] for name in ("critic", "encoder") if name in self.optimizers]
        for optimizer in learners:
            optimizer.zero_grad()
        critic_loss.backward()
        for optimizer in learners:
            optimizer.step()
        mean = torch.tanh(self.actor(obs.detach()))
        sample = mean + noise[1]
        sample = sample - sample.detach() + torch.clamp(sample, -1 + 1e-6, 1 - 1e-6).detach()
        actor_loss = -torch.minimum(*self.critic(self.critic.trunk(obs.detach()), sample)).mean()
        self.optimizers["actor"].zero_grad()
        actor_loss.backward()
        self.optimizers["actor"].step()
        with torch.no_grad():
            for ours, theirs in zip(self.target.parameters(), self.critic.parameters()):
                ours.copy_(0.01 * theirs + 0.99 * ours)
        return {
            "critic_loss": critic_loss.item(),
            "actor_loss": actor_loss.item(),
            "critic_target_q": target.mean().item(),
        }


@pytest.mark.parametrize("shape, trunk", [((9, 84, 84), "layernorm_tanh"), ((9, 84, 84), "relu"), ((7,), "relu")])
def test_five_updates_equal_the_published_algorithm(shape, trunk):
    agent = make_agent(shape, actor_trunk=trunk)
    plain = Restatement(agent)
    for i in range(5):
        batch = make_batch(shape, seed=i)
        step = 10 * i
        noises = generator(4, Purpose.TARGET, i).standard_normal((2, 8, 2), dtype=np.float32)
        want = plain.update(batch, 1.0 - 0.9 * step / 100, noises)
        got = agent.update(batch, step, i)
        for name, value in want.items():
            assert got[name].item() == pytest.approx(value, abs=1e-4, rel=1e-4), (i, name)
    for ours, theirs in zip(agent.critic_target.parameters(), plain.target.parameters()):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_bf16_convolutions_stay_close_to_fp32():
    full, half = make_agent(), make_agent(precision="bf16")
    for i in range(5):
        batch = make_batch((9, 84, 84), seed=i)
        want, got = full.update(batch, 0, i), half.update(batch, 0, i)
        # The first loss differs by rounding alone; after it the weights drift apart, at ten times the usual step size.
        assert got["critic_loss"].item() == pytest.approx(want["critic_loss"].item(), rel=0.1 if i else 1e-3)


def test_acting_is_uniform_first_then_mean_plus_scheduled_noise():
    agent = make_agent((7,))
    observation = np.ones(7, np.float32)
    early = np.stack([agent.act_explore(observation, step) for step in range(10)])
    assert len(np.unique(early)) == 20 and np.abs(early).max() <= 1
    mean = agent.act_mean(observation[None])[0]
    late = np.stack([agent.act_explore(observation, step) for step in range(1000, 3000)])
    assert np.std(late - mean, axis=0) == pytest.approx([0.1, 0.1], rel=0.1)
    np.testing.assert_array_equal(late[5], agent.act_explore(observation, 1005))


@pytest.mark.parametrize("shape", [(7,), (9, 84, 84)])
def test_state_survives_a_round_trip_and_training_goes_on_alike(shape):
    first, second = make_agent(shape), make_agent(shape)
    for i in range(2):
        first.update(make_batch(shape, i), 0, i)
    # As files hold them: without the memory layout that convolutions are kept in.
    second.load_state(
        {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in first.state().items()}
    )
    for i in range(2, 5):
        a, b = (agent.update(make_batch(shape, i), 0, i) for agent in (first, second))
        assert {k: v.item() for k, v in a.items()} == {k: v.item() for k, v in b.items()}


@pytest.mark.parametrize(
    "text, at, value", [("0.2", 50, 0.2), ("linear(1.0,0.1,100)", 50, 0.55), ("linear(1, 0.1, 100)", 10**6, 0.1)]
)
def test_schedules(text, at, value):
    assert parse_schedule(text)(at) == pytest.approx(value)
