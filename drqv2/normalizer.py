"""Running normalisation of state observations, for learning only: a policy on disk has it folded into its first layer.

States mix units: in finger_spin positions are below 1 and the spinner turns at 30 rad/s, and a learner without
normalisation sees little but the largest. It is off by default because DrQ-v2, on pixels, has nothing of the kind.
"""

import torch
from torch import Tensor, nn

NAME = "normalizer"  # of its tensors in a snapshot
FLOOR = 0.1  # least standard deviation that is divided by: dimensions that hardly move aren't blown up


class ObservationNormalizer(nn.Module):
    """x ↦ (x − mean) / max(standard deviation, FLOOR) per dimension, over every observation included so far.

    The identity before the first. Statistics are kept in float64 (Chan, Golub and LeVeque 1979, pairwise update).
    """

    count: Tensor
    mean: Tensor
    squares: Tensor  #: sum of squared deviations from the mean
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        zeros = torch.zeros(dim)
        for name, value in {"count": torch.zeros(()), "mean": zeros, "squares": zeros, "scale": 1 + zeros}.items():
            self.register_buffer(name, value.double())

    @torch.no_grad()
    def include(self, observations: Tensor) -> None:
        """Takes observations [N, D] into the statistics."""
        batch = observations.to(self.mean)
        number, mean = len(batch), batch.mean(0)
        total, apart = self.count + number, mean - self.mean
        self.squares += (batch - mean).square().sum(0) + apart.square() * (self.count * number / total)
        self.mean += apart * (number / total)
        self.count.copy_(total)
        self.scale.copy_((self.squares / total).sqrt().clamp(min=FLOOR).reciprocal())

    def forward(self, observation: Tensor) -> Tensor:
        """Normalises observations [B, D] in float32."""
        return (observation - self.mean.float()) * self.scale.float()


def fold(weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [F, D] and bias [F] on raw observations, for those of a linear layer on normalised ones."""
    folded = weight.double() * scale
    return folded.to(weight.dtype), (bias.double() - folded @ mean).to(bias.dtype)
