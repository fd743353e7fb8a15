"""The learner against a plain restatement of DrQ-v2's update; and observed states before they are learned from."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.nn import functional as F

import envs
from drqv2 import state_augmentation
from drqv2.agent import DrQV2Agent
from drqv2.normalizer import FLOOR, ObservationNormalizer
from drqv2.randomness import generator
from drqv2.schedule import parse_schedule
from drqv2.snapshot import load_policy
from drqv2.trainer import Trainer
from tests.configs import train_settings
from tests.drqv2.runs import finished, small
from tests.refusals import refused

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
        noises = generator(4, "target", i).standard_normal((2, 8, 2), dtype=np.float32)
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


# ---- observed states, normalised and with random flips of what only states show ----


ROWS = hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-1000, 1000, width=32))


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_statistics_are_those_of_everything_included(parts):
    normalizer = ObservationNormalizer(3)
    for part in parts:
        normalizer.include(torch.from_numpy(part))
    everything = np.concatenate(parts).astype(np.float64)
    mean, deviation = everything.mean(0), np.maximum(everything.std(0), FLOOR)
    np.testing.assert_allclose(normalizer.mean, mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(1 / normalizer.scale, deviation, rtol=1e-6)
    np.testing.assert_allclose(
        normalizer(torch.from_numpy(parts[0])), (parts[0] - mean) / deviation, rtol=1e-4, atol=1e-3
    )


def test_nothing_included_changes_nothing():
    rows = torch.randn(4, 3)
    torch.testing.assert_close(ObservationNormalizer(3)(rows), rows, rtol=0, atol=0)


@pytest.mark.parametrize("trunk", ["relu", "layernorm_tanh"])
def test_an_update_is_the_plain_one_on_normalised_observations(trunk):
    ours, plain = (make_agent((7,), actor_trunk=trunk, normalize_observations=on) for on in (True, False))
    scale, offset = np.array([0.01, 1, 30, 1, 1, 5, 1], np.float32), np.arange(7, dtype=np.float32)
    seen = np.random.default_rng(0).standard_normal((300, 7), np.float32) * scale + offset
    ours.include(seen, seen)
    mean, deviation = seen.mean(0, dtype=np.float64), np.maximum(seen.std(0, dtype=np.float64), FLOOR)
    for i in range(3):
        batch = make_batch((7,), i)
        seen = {name: (batch[name].numpy() - mean) / deviation for name in ("observation", "next_observation")}
        normal = batch | {name: torch.from_numpy(rows.astype(np.float32)) for name, rows in seen.items()}
        want, got = plain.update(normal, 0, i), ours.update(batch, 0, i)
        assert {k: v.item() for k, v in got.items()} == pytest.approx(
            {k: v.item() for k, v in want.items()}, rel=1e-4, abs=1e-5
        )


def test_a_run_includes_every_observation_that_it_learns_from_and_writes_a_policy_on_raw_ones(tmp_path):
    run = finished(tmp_path, task_name="finger_spin", normalize_observations=True)
    everything = np.concatenate([episode.observation for episode in run.replay.episodes()]).astype(np.float64)
    np.testing.assert_allclose(run.agent.normalizer.mean, everything.mean(0), rtol=1e-9, atol=1e-12)
    assert int(run.agent.normalizer.count) == len(everything) == 6 * 11
    rows = everything[::3].astype(np.float32)
    want = run.agent.act_mean(rows)
    for name in ("policy.pt", "snapshot.pt"):
        got = torch.tanh(load_policy(run.run_dir.path / name).network(torch.from_numpy(rows)))
        np.testing.assert_allclose(got, want, atol=1e-5)
    plain = torch.tanh(run.agent.actor(torch.from_numpy(rows))).detach().numpy()
    assert np.abs(plain - want).max() > 1e-3  # without the fold it would be another policy


# ---- random flips ----


ENTRIES = [2, 3]  # finger_spin: the spinner's tip as seen from its hinge, x and z


def batch_of(rows: int, dim: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    names = ("observation", "next_observation", "action", "reward")
    return {name: random.uniform(0.5, 2.0, (rows, dim)).astype(np.float32) for name in names}


@given(st.sets(st.integers(0, 5), min_size=1), st.integers(0, 2**32 - 1), st.integers(0, 10**9))
def test_rows_come_out_as_they_were_or_with_just_these_entries_negated(entries, seed, update):
    before, passed = batch_of(16, 6), batch_of(16, 6)
    after = state_augmentation.flip(passed, sorted(entries), seed, update)
    again = state_augmentation.flip(before, sorted(entries), seed, update)
    want = np.where(np.isin(np.arange(6), sorted(entries)), -1, 1)
    for name in before:
        np.testing.assert_array_equal(passed[name], before[name])  # what was given is left alone
        np.testing.assert_array_equal(after[name], again[name])
        signs = {tuple(row) for row in after[name] / before[name]}
        assert signs <= {(1,) * 6, tuple(want)} if "observation" in name else signs == {(1,) * 6}


def test_half_the_rows_are_flipped_in_an_observation_and_its_successor_apart():
    before = batch_of(4000, 2)
    after = state_augmentation.flip(before, [1], seed=3, update=7)
    here, there = (after[name][:, 1] < 0 for name in ("observation", "next_observation"))
    counts = [(here & there).sum(), (here & ~there).sum(), (~here & there).sum(), (~here & ~there).sum()]
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 16.3  # chi-squared, 3 degrees of freedom: 1 in 1000


def test_a_run_learns_from_flipped_batches(tmp_path):
    run = finished(tmp_path, task_name="finger_spin", hidden_sign=ENTRIES)
    flipped, plain = run._sample(5), run.replay.sample(5)
    for name in ("observation", "next_observation"):
        np.testing.assert_array_equal(np.abs(flipped[name][:, ENTRIES]), np.abs(plain[name][:, ENTRIES]))
        np.testing.assert_array_equal(np.delete(flipped[name], ENTRIES, 1), np.delete(plain[name], ENTRIES, 1))
        assert (flipped[name] != plain[name]).any()


def test_entries_that_the_state_lacks_are_refused(tmp_path):
    with refused(r"hidden_sign=\[2, 9\]: the states of finger_spin have entries 0 to 8"):
        Trainer(small(tmp_path, task_name="finger_spin", hidden_sign=[2, 9]))


def test_the_spinner_turned_by_half_a_turn_looks_the_same_and_its_tip_changes_sign():
    env = envs.make("finger_spin")
    env.reset()
    np.testing.assert_allclose(env.state_observation[ENTRIES], env._simulator.physics.tip_position(), atol=1e-6)
    pictures, tips = [], []
    for turn in (0.0, np.pi, np.pi / 2):
        with env._simulator.physics.reset_context():
            env._simulator.physics.named.data.qpos["hinge"] = 0.7 + turn
        pictures.append(env.render(84, 84).astype(int))
        tips.append(env._simulator.physics.tip_position().copy())
    assert np.abs(pictures[0] - pictures[1]).max() <= 2 < np.abs(pictures[0] - pictures[2]).max()
    np.testing.assert_allclose(tips[1], -tips[0], atol=1e-9)
    assert np.abs(tips[0]).max() > 0.05
