"""Writes a snapshot.pt as the published repositories do: a program of its own, because their modules have our names.

    python published_agent.py FOLDER KIND...

writes FOLDER/KIND/cartpole_swingup/snapshot.pt. A KIND is its trunk: relu, layernorm_tanh or gelu (which no published
agent has). Beside each snapshot lies expected.npz: observations, and the actions that the agent takes for them.
"""

import sys
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn

FEATURES, HIDDEN, ACTIONS = 6, 16, 1


def class_of(module: str, name: str, *bases: type) -> type:
    """An empty class that pickles as `module.name`."""
    home = sys.modules.setdefault(module, types.ModuleType(module))
    if not hasattr(home, name):
        setattr(home, name, type(name, bases, {"__module__": module}))
    return getattr(home, name)


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    middle = (nn.Linear(HIDDEN, HIDDEN), nn.ReLU(inplace=True))
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(inplace=True), *middle, nn.Linear(HIDDEN, outputs))


def main(folder: Path, trunk: str) -> None:
    torch.manual_seed(0)
    encoder, actor, critic, target = (
        class_of("drqv2", n, nn.Module)() for n in ("Encoder", "Actor", "Critic", "Critic")
    )
    agent, timer = class_of("drqv2", "DrQV2Agent")(), class_of("utils", "Timer")()
    convolutions = [nn.Conv2d(9, 32, 3, stride=2), nn.ReLU()]
    for _ in range(3):
        convolutions += [nn.Conv2d(32, 32, 3, stride=1), nn.ReLU()]
    encoder.convnet, encoder.repr_dim = nn.Sequential(*convolutions), 32 * 35 * 35
    squash = {
        "relu": [nn.ReLU(inplace=True)],
        "gelu": [nn.GELU()],
        "layernorm_tanh": [nn.LayerNorm(FEATURES), nn.Tanh()],
    }[trunk]
    actor.trunk = nn.Sequential(nn.Linear(encoder.repr_dim, FEATURES), *squash)
    actor.policy = mlp(FEATURES, ACTIONS)
    for network in (critic, target):
        network.trunk = nn.Sequential(nn.Linear(encoder.repr_dim, FEATURES), nn.LayerNorm(FEATURES), nn.Tanh())
        network.Q1, network.Q2 = mlp(FEATURES + ACTIONS, 1), mlp(FEATURES + ACTIONS, 1)
    agent.encoder, agent.actor, agent.critic, agent.critic_target = encoder, actor, critic, target
    agent.aug = class_of("drqv2", "RandomShiftsAug", nn.Module)()
    agent.aug.pad = 4
    agent.device, agent.training, agent.use_tb, agent.stddev_clip = torch.device("cpu"), True, False, 0.3
    agent.critic_target_tau, agent.update_every_steps, agent.num_expl_steps = 0.01, 2, 2000
    agent.stddev_schedule = "linear(1.0,0.1,100000)"
    agent.encoder_opt, agent.actor_opt, agent.critic_opt = (
        torch.optim.Adam(m.parameters(), lr=1e-2) for m in (encoder, actor, critic)
    )
    observations = np.random.default_rng(0).integers(256, size=(3, 9, 84, 84), dtype=np.uint8)

    def features() -> torch.Tensor:
        return encoder.convnet(torch.from_numpy(observations) / 255.0 - 0.5).flatten(1)

    for _ in range(2):
        encoded = features()
        loss = critic.Q1(torch.cat([critic.trunk(encoded), torch.ones(3, ACTIONS)], 1)).square().mean()
        loss += actor.policy(actor.trunk(encoded)).square().mean()
        loss.backward()
        for optimizer in (agent.encoder_opt, agent.actor_opt, agent.critic_opt):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    timer._start_time = timer._last_time = 1.5e9
    with torch.no_grad():
        actions = torch.tanh(actor.policy(actor.trunk(features()))).numpy()
    folder.mkdir(parents=True, exist_ok=True)
    payload = {"agent": agent, "timer": timer, "_global_step": 500, "_global_episode": 1}
    torch.save(payload, folder / "snapshot.pt")
    np.savez(folder / "expected.npz", observations=observations, actions=actions)


if __name__ == "__main__":
    for kind in sys.argv[2:]:
        main(Path(sys.argv[1]) / kind / "cartpole_swingup", kind)
