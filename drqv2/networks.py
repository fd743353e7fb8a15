"""Encoder, actor and twin critic of DrQ-v2 (Yarats et al. 2021), and the deterministic policy made of the first two.

With the trunk `relu` the whole policy is convolutions, linear layers and ReLU, which is what ANN-to-SNN
conversion needs (Xu et al. 2026, Section 7.1); `layernorm_tanh` is the original DrQ-v2 actor. The critic's
trunk is always the original one: it is never converted.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PixelEncoder(nn.Module):
    """Four 3×3 convolutions of 32 channels, strides 2, 1, 1, 1, each with a ReLU; flattened output.

    Input: [B, C, H, W], uint8 or float in 0..255. Output: [B, repr_dim].
    """

    def __init__(self, observation_shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, height, width = observation_shape
        self.convnet = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 3),
            nn.ReLU(inplace=True),
        )
        with torch.no_grad():
            self.repr_dim = self.convnet(torch.zeros(1, channels, height, width)).numel()

    def forward(self, observation: Tensor) -> Tensor:
        features = self.convnet(observation / 255.0 - 0.5)
        return features.reshape(features.shape[0], -1)

    def fused(self, observation: Tensor) -> Tensor:
        """`forward` with the normalisation folded into the first convolution, equal up to rounding.

        It spares two passes over the largest tensor of an update, forwards and backwards. No convolution pads,
        which is what makes folding the offset into the bias exact.
        """
        first = self.convnet[0]
        assert isinstance(first, nn.Conv2d) and first.bias is not None
        weight, bias = first.weight / 255.0, first.bias - 0.5 * first.weight.sum((1, 2, 3))
        features = self.convnet[1:](F.conv2d(observation, weight, bias, stride=(2, 2)))
        return features.reshape(features.shape[0], -1)


class StateEncoder(nn.Identity):
    """Passes flat state observations [B, D] on unchanged, so that agents need no second code path."""

    def __init__(self, observation_shape: tuple[int, ...]) -> None:
        super().__init__()
        (self.repr_dim,) = observation_shape


def _trunk(kind: str, repr_dim: int, feature_dim: int) -> nn.Sequential:
    behind: dict[str, list[nn.Module]] = {
        "relu": [nn.ReLU(inplace=True)],
        "layernorm_tanh": [nn.LayerNorm(feature_dim), nn.Tanh()],
    }
    return nn.Sequential(nn.Linear(repr_dim, feature_dim), *behind[kind])


def _mlp(inputs: int, hidden_dim: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden_dim),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_dim, hidden_dim),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_dim, outputs),
    )


class Actor(nn.Module):
    """Maps encoded observations [B, repr_dim] to the action mean before tanh [B, action_dim]."""

    def __init__(self, repr_dim: int, action_dim: int, feature_dim: int, hidden_dim: int, trunk: str) -> None:
        super().__init__()
        self.trunk = _trunk(trunk, repr_dim, feature_dim)
        self.policy = _mlp(feature_dim, hidden_dim, action_dim)

    def forward(self, encoded: Tensor) -> Tensor:
        return self.policy(self.trunk(encoded))


class Critic(nn.Module):
    """Twin Q functions over one trunk: (the trunk's output [B, feature_dim], [B, action_dim]) → two tensors [B, 1]."""

    def __init__(self, repr_dim: int, action_dim: int, feature_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.trunk = _trunk("layernorm_tanh", repr_dim, feature_dim)
        self.Q1 = _mlp(feature_dim + action_dim, hidden_dim, 1)
        self.Q2 = _mlp(feature_dim + action_dim, hidden_dim, 1)

    def forward(self, features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        inputs = torch.cat([features, action], dim=-1)
        return self.Q1(inputs), self.Q2(inputs)


class PolicyNetwork(nn.Module):
    """The deterministic policy before its tanh: observation batch, as the environment gives it → [B, action_dim]."""

    def __init__(self, encoder: nn.Module, actor: Actor) -> None:
        super().__init__()
        self.encoder = encoder
        self.actor = actor

    def forward(self, observation: Tensor) -> Tensor:
        return self.actor(self.encoder(observation))


def make_encoder(observation_shape: tuple[int, ...]) -> PixelEncoder | StateEncoder:
    """A pixel encoder for images [C, H, W], the identity for flat states [D]."""
    return PixelEncoder(observation_shape) if len(observation_shape) == 3 else StateEncoder(observation_shape)


def make_policy(
    observation_shape: tuple[int, ...], action_dim: int, *, feature_dim: int, hidden_dim: int, trunk: str
) -> PolicyNetwork:
    """A policy network with PyTorch's own initial values, for weights to be loaded into."""
    encoder = make_encoder(observation_shape)
    return PolicyNetwork(encoder, Actor(encoder.repr_dim, action_dim, feature_dim, hidden_dim, trunk))


def orthogonal_(module: nn.Module) -> None:
    """DrQ-v2's initialisation: orthogonal weights (ReLU gain for convolutions), zero biases; for `module.apply`."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        gain = nn.init.calculate_gain("relu" if isinstance(module, nn.Conv2d) else "linear")
        nn.init.orthogonal_(module.weight, gain)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
