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

ZOO: dict[str, Entry] = {}


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


def entry(name: str, *shape: int, reason: str | None = None, images: bool = False, **options):
    def add(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        ZOO[name] = Entry(make, shape, reason, images, options)
        return make

    return add


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


# --- stable-baselines3 ------------------------------------------------------------------------------------------------
entry("sb3 TD3 / DDPG actor", 17)(lambda: nn.Sequential(*mlp(17, 400, 300, 6), nn.Tanh()))
entry("sb3 SAC actor: mean", 17)(
    lambda: Net(lambda m, x: m.mu(m.latent_pi(x)), latent_pi=mlp(17, 256, 256, end=True), mu=nn.Linear(256, 6))
)
entry("sb3 SAC actor: mean and clamped log_std", 17)(
    lambda: Net(
        lambda m, x: (lambda h: (m.mu(h), torch.clamp(m.log_std(h), -20, 2)))(m.latent_pi(x)),
        latent_pi=mlp(17, 256, 256, end=True),
        mu=nn.Linear(256, 6),
        log_std=nn.Linear(256, 6),
    )
)
entry("sb3 DQN on vectors", 8)(lambda: mlp(8, 64, 64, 4))
entry("sb3 PPO with ReLU: policy and value", 8)(
    lambda: Net(lambda m, x: {"pi": m.pi(x), "v": m.vf(x)}, pi=mlp(8, 64, 64, 2), vf=mlp(8, 64, 64, 1))
)
entry("sb3 NatureCNN, DQN", 4, 36, 36, images=True)(
    lambda: Net(
        lambda m, x: m.q(m.linear(m.cnn(x / 255.0))),
        cnn=nn.Sequential(*nature()),
        linear=nn.Sequential(nn.Linear(64, 512), nn.ReLU()),
        q=nn.Linear(512, 6),
    )
)
entry("sb3 PPO with Tanh", 8, reason="no ReLU|Tanh '.*hybrid=True")(
    lambda: nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
)
entry("sb3 combined extractor", 8, reason="dict.*wrap")(lambda: Net(lambda m, x: m.net(x["state"]), net=mlp(8, 64, 2)))

# --- CleanRL ----------------------------------------------------------------------------------------------------------
entry("CleanRL TD3 actor", 17)(
    lambda: Net(
        lambda m, x: torch.tanh(m.fc_mu(F.relu(m.fc2(F.relu(m.fc1(x)))))) * m.action_scale + m.action_bias,
        fc1=nn.Linear(17, 256),
        fc2=nn.Linear(256, 256),
        fc_mu=nn.Linear(256, 6),
        action_scale=torch.full((1, 6), 2.0),
        action_bias=torch.full((1, 6), 0.5),
    )
)
entry("CleanRL SAC actor", 17)(
    lambda: Net(
        lambda m, x: (lambda h: (m.mean(h), -5 + 0.5 * 7 * (torch.tanh(m.logstd(h)) + 1)))(
            F.relu(m.fc2(F.relu(m.fc1(x))))
        ),
        fc1=nn.Linear(17, 256),
        fc2=nn.Linear(256, 256),
        mean=nn.Linear(256, 6),
        logstd=nn.Linear(256, 6),
    )
)
entry("CleanRL SAC actor, mean alone", 17, output=0)(ZOO["CleanRL SAC actor"].make)
entry("CleanRL DQN", 4)(lambda: mlp(4, 120, 84, 2))
entry("CleanRL PPO-Atari", 4, 36, 36, images=True)(
    lambda: Net(
        lambda m, x: (lambda h: (m.actor(h), m.critic(h)))(m.network(x / 255.0)),
        network=nn.Sequential(*nature(), nn.Linear(64, 512), nn.ReLU()),
        actor=nn.Linear(512, 6),
        critic=nn.Linear(512, 1),
    )
)


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


entry("IMPALA blocks with average pooling", 3, 12, 12, images=True)(lambda: impala(nn.AvgPool2d(2)))
entry("IMPALA blocks with a strided convolution", 3, 12, 12, images=True)(lambda: impala(nn.Conv2d(8, 8, 3, 2, 1)))
entry("IMPALA blocks with max-pooling", 3, 12, 12, images=True, reason="MaxPool2d 'down'.*largest")(
    lambda: impala(nn.MaxPool2d(2))
)


# --- encoders of visual control ---------------------------------------------------------------------------------------
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


entry("DrQ-v2 actor, ReLU trunk, tanh", 9, 20, 20, images=True)(
    lambda: nn.Sequential(drq(nn.Sequential(nn.Linear(288, 50), nn.ReLU())), nn.Tanh())
)
entry("DrQ-v2 actor, LayerNorm-Tanh trunk (hybrid)", 9, 20, 20, images=True, hybrid=True)(
    lambda: drq(nn.Sequential(nn.Linear(288, 50), nn.LayerNorm(50), nn.Tanh()))
)
entry("DrQ-v2 actor, LayerNorm-Tanh trunk", 9, 20, 20, images=True, reason="LayerNorm '.*hybrid=True")(
    ZOO["DrQ-v2 actor, LayerNorm-Tanh trunk (hybrid)"].make
)
entry("SAC-AE encoder, ReLU output", 9, 20, 20, images=True)(
    lambda: Net(
        lambda m, x: m.fc(m.convs(x / 255.0).view(x.size(0), -1)),
        convs=nn.Sequential(*list(drq_encoder())),
        fc=nn.Linear(288, 50),
    )
)
entry("SAC-AE encoder, LayerNorm and tanh (hybrid)", 9, 20, 20, images=True, hybrid=True)(
    lambda: Net(
        lambda m, x: torch.tanh(m.ln(m.fc(m.convs(x / 255.0).view(x.size(0), -1)))),
        convs=drq_encoder(),
        fc=nn.Linear(288, 50),
        ln=nn.LayerNorm(50),
    )
)
entry("SAC-AE decoder: transposed convolutions", 50)(
    lambda: Net(
        lambda m, x: m.out(m.deconvs(F.relu(m.fc(x)).view(-1, 8, 5, 5))),
        fc=nn.Linear(50, 200),
        deconvs=nn.Sequential(nn.ConvTranspose2d(8, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 8, 3), nn.ReLU()),
        out=nn.ConvTranspose2d(8, 3, 3, stride=2, output_padding=1),
    )
)
entry("TD-MPC-like dynamics, Linear-LayerNorm-ReLU (hybrid)", 24, hybrid=True)(
    lambda: nn.Sequential(
        nn.Linear(24, 128),
        nn.LayerNorm(128),
        nn.ReLU(),
        nn.Linear(128, 128),
        nn.LayerNorm(128),
        nn.ReLU(),
        nn.Linear(128, 24),
    )
)
entry("TD-MPC2: LayerNorm and Mish", 24, reason="Mish|LayerNorm", hybrid=True)(
    lambda: nn.Sequential(nn.Linear(24, 128), nn.LayerNorm(128), nn.Mish(), nn.Linear(128, 24))
)
entry("observation clamped, scaled and permuted", 12, 12, 3)(
    lambda: Net(
        lambda m, x: m.head(m.convs((x.clamp(-2, 2) * 0.5).permute(0, 3, 1, 2)).mean((2, 3))),
        convs=nn.Sequential(*convs(3, 16, 16)),
        head=nn.Linear(16, 4),
    )
)

# --- classifiers and other structures ---------------------------------------------------------------------------------
entry("VGG with average pooling and BatchNorm", 3, 16, 16)(
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
    )
)
entry("VGG with max-pooling", 3, 16, 16, reason="MaxPool2d '2'.*AvgPool2d")(
    lambda: nn.Sequential(*convs(3, 16), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 10))
)


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


entry("ResNet of basic blocks, adaptive pooling", 3, 12, 12)(
    lambda: trained(
        nn.Sequential(
            *convs(3, 8),
            BasicBlock(8, 8),
            BasicBlock(8, 16, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 10),
        )
    )
)
entry("MLP with skip connections", 12)(
    lambda: Net(
        lambda m, x: m.c((lambda h: h + F.relu(m.b(h)))(F.relu(m.a(x)))),
        a=nn.Linear(12, 64),
        b=nn.Linear(64, 64),
        c=nn.Linear(64, 3),
    )
)
entry("DenseNet-like MLP: concatenated layers and input", 12)(
    lambda: Net(
        lambda m, x: m.c(torch.cat([x, F.relu(m.a(x)), F.relu(m.b(torch.cat([x, F.relu(m.a(x))], 1)))], 1)),
        a=nn.Linear(12, 32),
        b=nn.Linear(44, 32),
        c=nn.Linear(76, 3),
    )
)
entry("Inception-like: branches joined by channel", 3, 10, 10)(
    lambda: Net(
        lambda m, x: m.head(torch.cat([F.relu(m.a(x)), F.relu(m.b(x)), m.pool(x)], 1).mean([2, 3])),
        a=nn.Conv2d(3, 8, 1),
        b=nn.Conv2d(3, 8, 3, padding=1),
        pool=nn.AvgPool2d(3, 1, 1),
        head=nn.Linear(19, 4),
    )
)
entry("U-Net-like: upsampling, padding and a skip", 2, 8, 8)(
    lambda: Net(
        lambda m, x: (lambda h: m.c(torch.cat([h, m.up(F.relu(m.b(m.pool(h))))], 1)))(
            F.relu(m.a(F.pad(x, (1, 1, 1, 1))))
        ),
        a=nn.Conv2d(2, 8, 3),
        b=nn.Conv2d(8, 8, 3, padding=1),
        c=nn.Conv2d(16, 1, 1),
        pool=nn.AvgPool2d(2),
        up=nn.Upsample(scale_factor=2),
    )
)
entry("MobileNet-like: depthwise convolutions, ReLU6", 3, 12, 12)(
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
    )
)
entry("Hardtanh(0, 1) network", 12)(
    lambda: nn.Sequential(nn.Linear(12, 64), nn.Hardtanh(0, 1), nn.Linear(64, 64), nn.Hardtanh(0, 1), nn.Linear(64, 3))
)
entry("ReLU6 under differential coding", 12, reason="ends at 6.*no upper bound", neuron="dc")(
    lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU6(), nn.Linear(8, 2))
)
entry("clamp(min=0) for ReLU", 12)(
    lambda: Net(lambda m, x: m.b(m.a(x).clamp(min=0)), a=nn.Linear(12, 64), b=nn.Linear(64, 3))
)
entry("BatchNorm behind ReLU", 12)(
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
    )
)
entry("low-rank layers: Linear-Linear", 12)(
    lambda: nn.Sequential(
        nn.Linear(12, 8),
        nn.Linear(8, 64),
        nn.ReLU(),
        nn.Linear(64, 8, bias=False),
        nn.Linear(8, 64),
        nn.ReLU(),
        nn.Linear(64, 3),
    )
)
entry("1-d convolutions over a history of states", 6, 16)(
    lambda: nn.Sequential(
        nn.Conv1d(6, 32, 5, 2),
        nn.ReLU(),
        nn.Conv1d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool1d(2),
        nn.Flatten(),
        nn.Linear(96, 4),
    )
)
entry("3-d convolutions over frames", 1, 4, 8, 8)(
    lambda: nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool3d(2),
        nn.Conv3d(8, 8, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, 4),
    )
)
entry("1-d autoencoder, transposed", 4, 12)(
    lambda: nn.Sequential(
        nn.Conv1d(4, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose1d(8, 8, 4, 2, 1), nn.ReLU(), nn.Conv1d(8, 4, 1)
    )
)
entry("weights shared by two layers", 12)(
    lambda: Net(
        lambda m, x: m.c(F.relu(m.b(F.relu(m.b(F.relu(m.a(x))))))),
        a=nn.Linear(12, 32),
        b=nn.Linear(32, 32),
        c=nn.Linear(32, 3),
    )
)
entry("dueling heads of one trunk", 8)(
    lambda: Net(
        lambda m, x: (lambda h: (lambda v, a: v + (a - a.mean(1, keepdim=True)))(m.v(h), m.a(h)))(m.trunk(x)),
        trunk=mlp(8, 64, 64, end=True),
        v=mlp(64, 32, 1),
        a=mlp(64, 32, 4),
    )
)
entry("mean and log_std by chunk", 17)(
    lambda: Net(lambda m, x: (lambda h: (h[0], h[1]))(m.net(x).chunk(2, dim=-1)), net=mlp(17, 128, 128, 12))
)
entry("weight-normed layers", 12)(
    lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(12, 64)),
        nn.ReLU(),
        nn.utils.parametrizations.spectral_norm(nn.Linear(64, 64)).eval(),
        nn.ReLU(),
        nn.Linear(64, 3),
    )
)

entry("two linear maps in a row, BatchNorm behind ReLU", 12)(
    lambda: trained(nn.Sequential(*mlp(12, 48, end=True), nn.BatchNorm1d(48), nn.Linear(48, 16), *mlp(16, 48, 3)))
)
entry("3-d convolutions of stacked frames, pooled to one place", 8, 6, 6)(
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
    )
)
entry("1-d convolutions over clipped states, clamp for ReLU", 16, 6)(
    lambda: Net(
        lambda m, x: m.head(
            m.wide(m.pool(m.conv(x.clamp(-0.5, 0.5).permute(0, 2, 1)).clamp(min=0))).clamp(min=0).mean(2)
        ),
        conv=nn.Conv1d(6, 16, 3),
        pool=nn.AvgPool1d(2),
        wide=nn.Conv1d(16, 16, 3),
        head=nn.Linear(16, 4),
    )
)
entry("one ReLU module for all layers, dict of heads, one kept", 8, output="pi")(
    lambda: Net(
        lambda m, x: (lambda h: {"pi": m.pi(h), "v": m.v(h)})(m.relu(m.b(m.relu(m.a(x))))),
        a=nn.Linear(8, 64),
        b=nn.Linear(64, 64),
        relu=nn.ReLU(),
        pi=nn.Linear(64, 2),
        v=nn.Linear(64, 1),
    )
)
entry("ReLU6 and Hardtanh(0, 2) in one MLP", 12)(
    lambda: nn.Sequential(
        nn.Linear(12, 64), nn.ReLU6(), nn.Linear(64, 64), nn.Hardtanh(0, 2), nn.Linear(64, 3), nn.Sigmoid()
    )
)
entry("TD-MPC-like encoder of images, LayerNorm before ReLU (hybrid)", 3, 10, 10, images=True, hybrid=True)(
    lambda: Net(
        lambda m, x: m.tail(m.convs(x / 255.0).flatten(1)),
        convs=nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU()),
        tail=nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh()),
    )
)

# --- refused ----------------------------------------------------------------------------------------------------------
entry("LeakyReLU", 12, reason="LeakyReLU '1'.*slope")(
    lambda: nn.Sequential(nn.Linear(12, 8), nn.LeakyReLU(), nn.Linear(8, 2))
)
entry("GELU", 12, reason="GELU '1'.*slope")(lambda: nn.Sequential(nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 2)))
entry("SiLU", 12, reason="SiLU '1'.*slope")(lambda: nn.Sequential(nn.Linear(12, 8), nn.SiLU(), nn.Linear(8, 2)))
entry("LSTM", 12, reason="LSTM|getitem")(lambda: Net(lambda m, x: m.l(x)[0], l=nn.LSTM(12, 8)))
entry("data-dependent branch", 12, reason="branch on values")(
    lambda: Net(lambda m, x: m.net(x) if x.sum() > 0 else x, net=mlp(12, 8, 2))
)
entry("entities [B, N, F]", 5, 12, reason=r"Linear '0' gets 2-d values, \(5, 12\)")(lambda: mlp(12, 8, 2))


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
