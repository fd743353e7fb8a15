"""Looking at single environments between decisions: their residuals, and a trace of some of them."""

import pytest
import torch

from snn.layout import flatten
from tests.snn.helpers import PAIRS, ROWS, case

CASE = case()


@pytest.mark.parametrize("mode", ["residual", "carry"])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_residuals_are_those_of_the_traced_decision(rule, coding, mode):
    spiking = CASE.convert(rule, coding, 6, 0.7, mode=mode)
    assert spiking.residuals() == []
    for step in CASE.x:
        seen = spiking.trace(step)
        spiking(step)
        for index, (residual, layer) in enumerate(zip(spiking.residuals(), seen.layers, strict=True)):
            theta, end, sent = CASE.theta(index, layer.v0), layer.membranes[-1], 6 * layer.decoded
            base = spiking.neuron.rule.v_base * theta
            expected = end - base if mode == "carry" else torch.maximum(end - layer.v0, -sent)
            expected = torch.where(theta > 0, expected / theta, torch.zeros_like(expected))
            torch.testing.assert_close(residual, flatten(expected))
    spiking.reset(torch.tensor([True, False, False, False, True]))
    for residual in spiking.residuals():
        # Dead units rest at 0, whatever the mode.
        assert (residual[[0, 4]] == 0).all() and residual.shape[0] == ROWS


def test_a_trace_of_some_environments_is_that_of_all():
    spiking = CASE.convert("snm", "rate", 6, torch.tensor([0.0, 0.3, 1.0, 0.5, 0.9]), mode="shuffled")
    for step in CASE.x:
        whole, part = spiking.trace(step), spiking.trace(step[[3, 1]], [3, 1])
        torch.testing.assert_close(part.output, whole.output[[3, 1]])
        torch.testing.assert_close(part.layers[0].v0, whole.layers[0].v0[[3, 1]])
        spiking(step)


def test_a_trace_of_an_environment_not_yet_known_leaves_the_others_their_residuals():
    spiking = CASE.convert("if", "rate", 6, 1.0)
    spiking(CASE.x[0])
    alone, beside = spiking.trace(CASE.x[1, :2], [0, 1]), spiking.trace(CASE.x[1, :3], [0, 1, 7])
    torch.testing.assert_close(beside.layers[0].v0[:2], alone.layers[0].v0)
