"""Looking at single environments between decisions: their residuals, and a trace of some of them."""

import pytest
import torch

import snn
from snn.layout import flatten
from tests.snn.helpers import PAIRS, ROWS, case, sum_of

CASE = case()


@pytest.mark.parametrize("mode", ["residual", "carry"])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_residuals_are_those_of_the_traced_decision(rule, coding, mode):
    spiking = CASE.convert(rule, coding, 6, 0.7, mode=mode)
    assert spiking.residuals() == []
    for step in CASE.x:
        seen = spiking.trace(step)
        spiking(step)
        for (_, theta), residual, layer in zip(CASE.layers, spiking.residuals(), seen.layers, strict=True):
            theta = torch.from_numpy(theta).view(-1, *[1] * (layer.v0.dim() - 2))
            end, sent = layer.membranes[-1], 6 * layer.decoded
            base = spiking.neuron.rule.v_base * theta
            expected = end - base if mode == "carry" else torch.maximum(end - layer.v0, -sent)
            expected = torch.where(theta > 0, expected / theta, torch.zeros_like(expected))
            torch.testing.assert_close(residual, flatten(expected))
    spiking.reset(torch.tensor([True, False, False, False, True]))
    for residual in spiking.residuals():
        # Dead units rest at 0, whatever the mode.
        assert (residual[[0, 4]] == 0).all() and residual.shape[0] == ROWS


def test_what_a_silent_unit_lacks_is_not_carried():
    """The residual is max(v[T] - v[0], -c[T]): of a current that only discharged, with nothing sent to take back,
    nothing stays, so that the next decision starts at theta / 2 and a current of 0.6 theta fires."""
    spiking = snn.convert(sum_of(1.0), [torch.ones(1)], timesteps=1, crpi=snn.CRPI(1.0))
    assert float(spiking(torch.tensor([[-5.0]]))) == 0.0 and float(spiking.residuals()[0]) == 0.0
    assert float(spiking(torch.tensor([[0.6]]))) == 1.0
    # What it did send can be taken back: 1.4 theta sends one spike and leaves the membrane 0.1 theta below its start.
    spiking.reset()
    spiking(torch.tensor([[0.9]]))
    assert float(spiking.residuals()[0]) == pytest.approx(-0.1)


def test_a_trace_of_some_environments_is_that_of_all():
    spiking = CASE.convert("snm", "rate", 6, torch.tensor([0.0, 0.3, 1.0, 0.5, 0.9]), mode="shuffled")
    for step in CASE.x:
        whole, part = spiking.trace(step), spiking.trace(step[[3, 1]], [3, 1])
        torch.testing.assert_close(part.output, whole.output[[3, 1]])
        torch.testing.assert_close(part.layers[0].v0, whole.layers[0].v0[[3, 1]])
        spiking(step)
