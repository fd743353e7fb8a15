"""Networks that people have, and what conversion makes of them.

python -m tests.snn.zoo        prints the table of docs/tables/networks.md, in about five minutes of one core
python -m tests.snn.zoo 50     with 50 held-out inputs instead of 1,000

Weights are torch's own initial ones; layers and order of operations are those of the named code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import _pytree as pytree

import snn


@dataclass(frozen=True)
class Entry:
    """A network for inputs of `shape`; `reason`: what its refusal says; options of snn.convert."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    reason: str | None = None
    bytes: bool = False
    options: dict = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        converts = "hybrid" if self.options.get("hybrid") else "converts"
        return "refused" if self.reason else converts


def entry(
    shape: tuple[int, ...], make: Callable[[], nn.Module], reason: str | None = None, images: bool = False, **options
) -> Entry:
    return Entry(make, shape, reason, images, options)


class Net(nn.Module):
    """Modules, and the forward that uses them."""

    def __init__(self, forward, **parts: nn.Module | torch.Tensor) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, (nn.Module, nn.Parameter)):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x)


def mlp(*widths: int, end: bool = False) -> nn.Sequential:
    parts = [part for i, o in zip(widths, widths[1:]) for part in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*(parts if end else parts[:-1]))


def convs(*channels: int, stride: int = 1) -> list[nn.Module]:
    return [part for i, o in zip(channels, channels[1:]) for part in (nn.Conv2d(i, o, 3, stride, 1), nn.ReLU())]


def nature() -> list[nn.Module]:
    """The convolutions of DQN's network in Nature, for 36 x 36 images."""
    convolutions = nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3)
    return [part for convolution in convolutions for part in (convolution, nn.ReLU())] + [nn.Flatten()]


def trained(module: nn.Module) -> nn.Module:
    """BatchNorms as after training: statistics and factors that are not 0 and 1."""
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for value, low, high in (
                (part.running_mean, -0.2, 0.2),
                (part.running_var, 0.5, 1.5),
                (part.weight.data, 0.5, 1.5),
                (part.bias.data, -0.2, 0.2),
            ):
                value.uniform_(low, high)
    return module


def impala_block(channels: int) -> nn.Module:
    """IMPALA's residual block; in CleanRL's PPG a max-pool stands between blocks, here a stride or an average pool."""
    return Net(
        lambda m, x: m.conv1(F.relu(m.conv0(F.relu(x)))) + x,
        conv0=nn.Conv2d(channels, channels, 3, padding=1),
        conv1=nn.Conv2d(channels, channels, 3, padding=1),
    )


def impala(down: nn.Module) -> nn.Module:
    return Net(
        lambda m, x: m.head(F.relu(m.linear(F.relu(torch.flatten(m.blocks(m.down(m.conv(x / 255.0))), 1))))),
        conv=nn.Conv2d(3, 8, 3, padding=1),
        down=down,
        blocks=nn.Sequential(impala_block(8), impala_block(8)),
        linear=nn.Linear(8 * 36, 64),
        head=nn.Linear(64, 5),
    )


def drq_encoder(first: int = 9) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(first, 32, 3, 2),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
    )


def drq(trunk: nn.Module, hidden: int = 128) -> nn.Module:
    return Net(
        lambda m, x: m.policy(m.trunk(m.encoder(x / 255.0 - 0.5).reshape(x.shape[0], -1))),
        encoder=drq_encoder(),
        trunk=trunk,
        policy=mlp(50, hidden, hidden, 4),
    )


def drq_actor(*behind: nn.Module) -> nn.Module:
    """DrQ-v2's own, for [9, 84, 84], with `behind` its trunk's linear layer; the paper's has a ReLU there."""
    return drq(nn.Sequential(nn.Linear(39200, 50), *(behind or [nn.ReLU()])), hidden=1024)


class BasicBlock(nn.Module):
    """ResNet's, whose ReLU module is used twice."""

    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.down = (
            None if i == o and stride == 1 else nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
        )

    def forward(self, x):
        identity = x if self.down is None else self.down(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


def cleanrl_sac() -> nn.Module:
    return Net(
        lambda m, x: (lambda h: (m.mean(h), -5 + 0.5 * 7 * (torch.tanh(m.logstd(h)) + 1)))(
            F.relu(m.fc2(F.relu(m.fc1(x))))
        ),
        fc1=nn.Linear(17, 256),
        fc2=nn.Linear(256, 256),
        mean=nn.Linear(256, 6),
        logstd=nn.Linear(256, 6),
    )


def drq_layernorm() -> nn.Module:
    return drq(nn.Sequential(nn.Linear(288, 50), nn.LayerNorm(50), nn.Tanh()))


# Its order is that of docs/tables/networks.md.
ZOO: dict[str, Entry] = {
    # stable-baselines3
    "sb3 TD3 / DDPG actor": entry((17,), lambda: nn.Sequential(*mlp(17, 400, 300, 6), nn.Tanh())),
    "sb3 SAC actor: mean": entry(
        (17,),
        lambda: Net(lambda m, x: m.mu(m.latent_pi(x)), latent_pi=mlp(17, 256, 256, end=True), mu=nn.Linear(256, 6)),
    ),
    "sb3 SAC actor: mean and clamped log_std": entry(
        (17,),
        lambda: Net(
            lambda m, x: (lambda h: (m.mu(h), torch.clamp(m.log_std(h), -20, 2)))(m.latent_pi(x)),
            latent_pi=mlp(17, 256, 256, end=True),
            mu=nn.Linear(256, 6),
            log_std=nn.Linear(256, 6),
        ),
    ),
    "sb3 DQN on vectors": entry((8,), lambda: mlp(8, 64, 64, 4)),
    "sb3 PPO with ReLU: policy and value": entry(
        (8,), lambda: Net(lambda m, x: {"pi": m.pi(x), "v": m.vf(x)}, pi=mlp(8, 64, 64, 2), vf=mlp(8, 64, 64, 1))
    ),
    "sb3 NatureCNN, DQN": entry(
        (4, 36, 36),
        lambda: Net(
            lambda m, x: m.q(m.linear(m.cnn(x / 255.0))),
            cnn=nn.Sequential(*nature()),
            linear=nn.Sequential(nn.Linear(64, 512), nn.ReLU()),
            q=nn.Linear(512, 6),
        ),
        images=True,
    ),
    "sb3 PPO with Tanh": entry(
        (8,),
        lambda: nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2)),
        reason="no ReLU|Tanh '.*hybrid=True",
    ),
    "sb3 combined extractor": entry(
        (8,), lambda: Net(lambda m, x: m.net(x["state"]), net=mlp(8, 64, 2)), reason="dict.*wrap"
    ),
    # CleanRL
    "CleanRL TD3 actor": entry(
        (17,),
        lambda: Net(
            lambda m, x: torch.tanh(m.fc_mu(F.relu(m.fc2(F.relu(m.fc1(x)))))) * m.action_scale + m.action_bias,
            fc1=nn.Linear(17, 256),
            fc2=nn.Linear(256, 256),
            fc_mu=nn.Linear(256, 6),
            action_scale=torch.full((1, 6), 2.0),
            action_bias=torch.full((1, 6), 0.5),
        ),
    ),
    "CleanRL SAC actor": entry((17,), cleanrl_sac),
    "CleanRL SAC actor, mean alone": entry((17,), cleanrl_sac, output=0),
    "CleanRL DQN": entry((4,), lambda: mlp(4, 120, 84, 2)),
    "CleanRL PPO-Atari": entry(
        (4, 36, 36),
        lambda: Net(
            lambda m, x: (lambda h: (m.actor(h), m.critic(h)))(m.network(x / 255.0)),
            network=nn.Sequential(*nature(), nn.Linear(64, 512), nn.ReLU()),
            actor=nn.Linear(512, 6),
            critic=nn.Linear(512, 1),
        ),
        images=True,
    ),
    "IMPALA blocks with average pooling": entry((3, 12, 12), lambda: impala(nn.AvgPool2d(2)), images=True),
    "IMPALA blocks with a strided convolution": entry(
        (3, 12, 12), lambda: impala(nn.Conv2d(8, 8, 3, 2, 1)), images=True
    ),
    "IMPALA blocks with max-pooling": entry(
        (3, 12, 12), lambda: impala(nn.MaxPool2d(2)), images=True, reason="MaxPool2d 'down'.*largest"
    ),
    "DrQ-v2 actor, ReLU trunk, tanh": entry(
        (9, 20, 20), lambda: nn.Sequential(drq(nn.Sequential(nn.Linear(288, 50), nn.ReLU())), nn.Tanh()), images=True
    ),
    "DrQ-v2 actor, LayerNorm-Tanh trunk (hybrid)": entry((9, 20, 20), drq_layernorm, images=True, hybrid=True),
    "DrQ-v2 actor, LayerNorm-Tanh trunk": entry(
        (9, 20, 20), drq_layernorm, images=True, reason="LayerNorm '.*hybrid=True"
    ),
    "SAC-AE encoder, ReLU output": entry(
        (9, 20, 20),
        lambda: Net(
            lambda m, x: m.fc(m.convs(x / 255.0).view(x.size(0), -1)),
            convs=nn.Sequential(*list(drq_encoder())),
            fc=nn.Linear(288, 50),
        ),
        images=True,
    ),
    "SAC-AE encoder, LayerNorm and tanh (hybrid)": entry(
        (9, 20, 20),
        lambda: Net(
            lambda m, x: torch.tanh(m.ln(m.fc(m.convs(x / 255.0).view(x.size(0), -1)))),
            convs=drq_encoder(),
            fc=nn.Linear(288, 50),
            ln=nn.LayerNorm(50),
        ),
        images=True,
        hybrid=True,
    ),
    "SAC-AE decoder: transposed convolutions": entry(
        (50,),
        lambda: Net(
            lambda m, x: m.out(m.deconvs(F.relu(m.fc(x)).view(-1, 8, 5, 5))),
            fc=nn.Linear(50, 200),
            deconvs=nn.Sequential(nn.ConvTranspose2d(8, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 8, 3), nn.ReLU()),
            out=nn.ConvTranspose2d(8, 3, 3, stride=2, output_padding=1),
        ),
    ),
    "TD-MPC-like dynamics, Linear-LayerNorm-ReLU (hybrid)": entry(
        (24,),
        lambda: nn.Sequential(
            nn.Linear(24, 128),
            nn.LayerNorm(128),
            nn.ReLU(),
            nn.Linear(128, 128),
            nn.LayerNorm(128),
            nn.ReLU(),
            nn.Linear(128, 24),
        ),
        hybrid=True,
    ),
    "TD-MPC2: LayerNorm and Mish": entry(
        (24,),
        lambda: nn.Sequential(nn.Linear(24, 128), nn.LayerNorm(128), nn.Mish(), nn.Linear(128, 24)),
        reason="Mish|LayerNorm",
        hybrid=True,
    ),
    "observation clamped, scaled and permuted": entry(
        (12, 12, 3),
        lambda: Net(
            lambda m, x: m.head(m.convs((x.clamp(-2, 2) * 0.5).permute(0, 3, 1, 2)).mean((2, 3))),
            convs=nn.Sequential(*convs(3, 16, 16)),
            head=nn.Linear(16, 4),
        ),
    ),
    # classifiers and other structures
    "VGG with average pooling and BatchNorm": entry(
        (3, 16, 16),
        lambda: trained(
            nn.Sequential(
                nn.Conv2d(3, 16, 3, padding=1),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.Conv2d(16, 16, 3, padding=1),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Conv2d(16, 32, 3, padding=1),
                nn.BatchNorm2d(32),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Flatten(),
                nn.Linear(512, 64),
                nn.ReLU(),
                nn.Dropout(0.5),
                nn.Linear(64, 10),
            )
        ),
    ),
    "VGG with max-pooling": entry(
        (3, 16, 16),
        lambda: nn.Sequential(*convs(3, 16), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 10)),
        reason="MaxPool2d '2'.*AvgPool2d",
    ),
    "ResNet of basic blocks, adaptive pooling": entry(
        (3, 12, 12),
        lambda: trained(
            nn.Sequential(
                *convs(3, 8),
                BasicBlock(8, 8),
                BasicBlock(8, 16, 2),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(16, 10),
            )
        ),
    ),
    "MLP with skip connections": entry(
        (12,),
        lambda: Net(
            lambda m, x: m.c((lambda h: h + F.relu(m.b(h)))(F.relu(m.a(x)))),
            a=nn.Linear(12, 64),
            b=nn.Linear(64, 64),
            c=nn.Linear(64, 3),
        ),
    ),
    "DenseNet-like MLP: concatenated layers and input": entry(
        (12,),
        lambda: Net(
            lambda m, x: m.c(torch.cat([x, F.relu(m.a(x)), F.relu(m.b(torch.cat([x, F.relu(m.a(x))], 1)))], 1)),
            a=nn.Linear(12, 32),
            b=nn.Linear(44, 32),
            c=nn.Linear(76, 3),
        ),
    ),
    "Inception-like: branches joined by channel": entry(
        (3, 10, 10),
        lambda: Net(
            lambda m, x: m.head(torch.cat([F.relu(m.a(x)), F.relu(m.b(x)), m.pool(x)], 1).mean([2, 3])),
            a=nn.Conv2d(3, 8, 1),
            b=nn.Conv2d(3, 8, 3, padding=1),
            pool=nn.AvgPool2d(3, 1, 1),
            head=nn.Linear(19, 4),
        ),
    ),
    "U-Net-like: upsampling, padding and a skip": entry(
        (2, 8, 8),
        lambda: Net(
            lambda m, x: (lambda h: m.c(torch.cat([h, m.up(F.relu(m.b(m.pool(h))))], 1)))(
                F.relu(m.a(F.pad(x, (1, 1, 1, 1))))
            ),
            a=nn.Conv2d(2, 8, 3),
            b=nn.Conv2d(8, 8, 3, padding=1),
            c=nn.Conv2d(16, 1, 1),
            pool=nn.AvgPool2d(2),
            up=nn.Upsample(scale_factor=2),
        ),
    ),
    "MobileNet-like: depthwise convolutions, ReLU6": entry(
        (3, 12, 12),
        lambda: trained(
            nn.Sequential(
                nn.Conv2d(3, 16, 3, 2, 1),
                nn.BatchNorm2d(16),
                nn.ReLU6(),
                nn.Conv2d(16, 16, 3, 1, 1, groups=16),
                nn.BatchNorm2d(16),
                nn.ReLU6(),
                nn.Conv2d(16, 32, 1),
                nn.BatchNorm2d(32),
                nn.ReLU6(),
                nn.AdaptiveAvgPool2d((1, 1)),
                nn.Flatten(),
                nn.Linear(32, 10),
            )
        ),
    ),
    "Hardtanh(0, 1) network": entry(
        (12,),
        lambda: nn.Sequential(
            nn.Linear(12, 64), nn.Hardtanh(0, 1), nn.Linear(64, 64), nn.Hardtanh(0, 1), nn.Linear(64, 3)
        ),
    ),
    "ReLU6 under differential coding": entry(
        (12,),
        lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU6(), nn.Linear(8, 2)),
        reason="ends at 6.*no upper bound",
        neuron="dc",
    ),
    "clamp(min=0) for ReLU": entry(
        (12,), lambda: Net(lambda m, x: m.b(m.a(x).clamp(min=0)), a=nn.Linear(12, 64), b=nn.Linear(64, 3))
    ),
    "BatchNorm behind ReLU": entry(
        (12,),
        lambda: trained(
            nn.Sequential(
                nn.Linear(12, 64),
                nn.ReLU(),
                nn.BatchNorm1d(64),
                nn.Linear(64, 64),
                nn.ReLU(),
                nn.BatchNorm1d(64),
                nn.Linear(64, 3),
            )
        ),
    ),
    "low-rank layers: Linear-Linear": entry(
        (12,),
        lambda: nn.Sequential(
            nn.Linear(12, 8),
            nn.Linear(8, 64),
            nn.ReLU(),
            nn.Linear(64, 8, bias=False),
            nn.Linear(8, 64),
            nn.ReLU(),
            nn.Linear(64, 3),
        ),
    ),
    "1-d convolutions over a history of states": entry(
        (6, 16),
        lambda: nn.Sequential(
            nn.Conv1d(6, 32, 5, 2),
            nn.ReLU(),
            nn.Conv1d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool1d(2),
            nn.Flatten(),
            nn.Linear(96, 4),
        ),
    ),
    "3-d convolutions over frames": entry(
        (1, 4, 8, 8),
        lambda: nn.Sequential(
            nn.Conv3d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool3d(2),
            nn.Conv3d(8, 8, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(72, 4),
        ),
    ),
    "1-d autoencoder, transposed": entry(
        (4, 12),
        lambda: nn.Sequential(
            nn.Conv1d(4, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose1d(8, 8, 4, 2, 1), nn.ReLU(), nn.Conv1d(8, 4, 1)
        ),
    ),
    "weights shared by two layers": entry(
        (12,),
        lambda: Net(
            lambda m, x: m.c(F.relu(m.b(F.relu(m.b(F.relu(m.a(x))))))),
            a=nn.Linear(12, 32),
            b=nn.Linear(32, 32),
            c=nn.Linear(32, 3),
        ),
    ),
    "dueling heads of one trunk": entry(
        (8,),
        lambda: Net(
            lambda m, x: (lambda h: (lambda v, a: v + (a - a.mean(1, keepdim=True)))(m.v(h), m.a(h)))(m.trunk(x)),
            trunk=mlp(8, 64, 64, end=True),
            v=mlp(64, 32, 1),
            a=mlp(64, 32, 4),
        ),
    ),
    "mean and log_std by chunk": entry(
        (17,), lambda: Net(lambda m, x: (lambda h: (h[0], h[1]))(m.net(x).chunk(2, dim=-1)), net=mlp(17, 128, 128, 12))
    ),
    "weight-normed layers": entry(
        (12,),
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(12, 64)),
            nn.ReLU(),
            nn.utils.parametrizations.spectral_norm(nn.Linear(64, 64)).eval(),
            nn.ReLU(),
            nn.Linear(64, 3),
        ),
    ),
    "two linear maps in a row, BatchNorm behind ReLU": entry(
        (12,),
        lambda: trained(nn.Sequential(*mlp(12, 48, end=True), nn.BatchNorm1d(48), nn.Linear(48, 16), *mlp(16, 48, 3))),
    ),
    "3-d convolutions of stacked frames, pooled to one place": entry(
        (8, 6, 6),
        lambda: nn.Sequential(
            nn.Unflatten(1, (2, 4)),
            nn.Conv3d(2, 8, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool3d(2),
            nn.Conv3d(8, 8, 2),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        ),
    ),
    "1-d convolutions over clipped states, clamp for ReLU": entry(
        (16, 6),
        lambda: Net(
            lambda m, x: m.head(
                m.wide(m.pool(m.conv(x.clamp(-0.5, 0.5).permute(0, 2, 1)).clamp(min=0))).clamp(min=0).mean(2)
            ),
            conv=nn.Conv1d(6, 16, 3),
            pool=nn.AvgPool1d(2),
            wide=nn.Conv1d(16, 16, 3),
            head=nn.Linear(16, 4),
        ),
    ),
    "one ReLU module for all layers, dict of heads, one kept": entry(
        (8,),
        lambda: Net(
            lambda m, x: (lambda h: {"pi": m.pi(h), "v": m.v(h)})(m.relu(m.b(m.relu(m.a(x))))),
            a=nn.Linear(8, 64),
            b=nn.Linear(64, 64),
            relu=nn.ReLU(),
            pi=nn.Linear(64, 2),
            v=nn.Linear(64, 1),
        ),
        output="pi",
    ),
    "ReLU6 and Hardtanh(0, 2) in one MLP": entry(
        (12,),
        lambda: nn.Sequential(
            nn.Linear(12, 64), nn.ReLU6(), nn.Linear(64, 64), nn.Hardtanh(0, 2), nn.Linear(64, 3), nn.Sigmoid()
        ),
    ),
    "TD-MPC-like encoder of images, LayerNorm before ReLU (hybrid)": entry(
        (3, 10, 10),
        lambda: Net(
            lambda m, x: m.tail(m.convs(x / 255.0).flatten(1)),
            convs=nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU()),
            tail=nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh()),
        ),
        images=True,
        hybrid=True,
    ),
    # refused
    "LeakyReLU": entry(
        (12,), lambda: nn.Sequential(nn.Linear(12, 8), nn.LeakyReLU(), nn.Linear(8, 2)), reason="LeakyReLU '1'.*slope"
    ),
    "GELU": entry((12,), lambda: nn.Sequential(nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 2)), reason="GELU '1'.*slope"),
    "SiLU": entry((12,), lambda: nn.Sequential(nn.Linear(12, 8), nn.SiLU(), nn.Linear(8, 2)), reason="SiLU '1'.*slope"),
    "LSTM": entry((12,), lambda: Net(lambda m, x: m.l(x)[0], l=nn.LSTM(12, 8)), reason="LSTM|getitem"),
    "data-dependent branch": entry(
        (12,), lambda: Net(lambda m, x: m.net(x) if x.sum() > 0 else x, net=mlp(12, 8, 2)), reason="branch on values"
    ),
    "entities [B, N, F]": entry((5, 12), lambda: mlp(12, 8, 2), reason=r"Linear '0' gets 2-d values, \(5, 12\)"),
}


def inputs(entry: Entry, count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if entry.bytes:
        return torch.randint(0, 256, (count, *entry.shape), generator=generator).float()
    return 2 * torch.rand(count, *entry.shape, generator=generator) - 1


def flat(outputs) -> torch.Tensor:
    return torch.cat([output.flatten(1) for output in pytree.tree_leaves(outputs)], 1)


@torch.no_grad()
def error(name: str, neuron: str, held_out: int, timesteps: int = 256) -> float:
    """RMS over held-out inputs, divided by the ANN's RMS. Thresholds: the maxima over 20 times as many inputs."""
    torch.manual_seed(0)
    entry = ZOO[name]
    module = entry.make().eval()
    options = dict(entry.options)
    calibration = {key: options[key] for key in ("hybrid", "output") if key in options}
    thresholds = snn.calibrate(module, inputs(entry, 20 * held_out, 1).split(500), **calibration)
    spiking = snn.convert(module, thresholds, neuron, timesteps=timesteps, **options)
    x = inputs(entry, held_out, 2)
    expected = module(x)
    expected = flat(expected if "output" not in options else expected[options["output"]])
    return float((flat(spiking(x)) - expected).pow(2).mean().sqrt() / expected.pow(2).mean().sqrt())


def main() -> None:
    print("| network | input | verdict | IF | SNM |\n|---|---|---|---|---|")
    held_out = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for name, entry in ZOO.items():
        errors = [f"{100 * error(name, neuron, held_out):.2f} % " for neuron in ("if", "snm") if not entry.reason]
        columns = "| ".join(errors or ["", ""])
        print(f"| {name} | {'×'.join(map(str, entry.shape))} | {entry.verdict} | {columns}|", flush=True)


if __name__ == "__main__":
    main()
