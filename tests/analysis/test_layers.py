"""A layer taken apart: the parts against closed forms, and their sum against the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis import layers
from analysis.layers import PARTS
from snn import neuron as neurons
from tests.snn.helpers import PAIRS, ROWS, case

CASE = case()

T = 6


@given(st.floats(-3, 5), st.floats(0.01, 3), st.floats(0, 1), st.integers(1, 40))
def test_the_response_of_if_is_the_floor_at_t_levels(current, theta, start, steps):
    value = (steps * current + start * theta) / theta
    if abs(value - round(value)) < 1e-6:
        return  # a tie, which rounding decides
    one = lambda number: torch.tensor([number], dtype=torch.float64)  # noqa: E731
    found = layers.response(neurons.make("if", "rate", 1), one(current), one(start * theta), one(theta), steps)
    assert float(found) == pytest.approx(theta * np.clip(np.floor(value), 0, steps) / steps, abs=1e-9)


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_the_first_layer_gets_a_constant_current_so_nothing_of_its_error_is_unevenness(rule, coding):
    spiking = CASE.convert(rule, coding, T, 0.0)
    first = layers.take_apart(spiking, spiking.trace(CASE.x[0]))[:, 0]
    squares = dict(zip(("relu", "error", "inherited", *PARTS), first.T))
    assert (squares["error"] > 0).all() and (squares["inherited"] < 1e-20).all()
    np.testing.assert_allclose(squares["unevenness"], 0, atol=1e-18)
    np.testing.assert_array_equal(squares["carry"], 0)


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_the_parts_add_up_to_the_error_under_crpi_too(rule, coding):
    spiking = CASE.convert(rule, coding, T, 1.0)
    spiking(CASE.x[0])
    seen = spiking.trace(CASE.x[1])
    found = layers.take_apart(spiking, seen)
    assert found.shape == (ROWS, len(seen.layers), layers.NUMBERS)
    # Σ part · error = error², over the units' means, since the parts add up unit by unit.
    np.testing.assert_allclose(found[:, :, 3 + len(PARTS) :].sum(axis=2), found[:, :, 1], rtol=1e-9, atol=1e-15)
    assert (found[:, :, 3 + PARTS.index("carry")] > 0).any(), "CRPI moves the start"
    for index, layer in enumerate(seen.layers):
        mean = layer.currents.mean(0).clamp(min=0)
        above = (mean - CASE.theta(index, mean)).clamp(min=0)
        squares = [(part**2).flatten(1).mean(1) for part in (mean, layer.decoded - mean, mean - layer.ann, above)]
        np.testing.assert_allclose(found[:, index, :4], torch.stack(squares, 1))


def test_cosines_of_neighbouring_residuals_by_row_and_layer():
    before = [torch.tensor([[1.0, 0.0], [0.0, 0.0], [3.0, 4.0]]), torch.tensor([[1.0], [1.0], [1.0]])]
    now = [torch.tensor([[1.0, 1.0], [1.0, 0.0], [-3.0, -4.0]]), torch.tensor([[2.0], [2.0], [-2.0]])]
    found = layers.row_cosines(before, now, np.array([2, 0, 1]))
    np.testing.assert_allclose(found, [[-1, -1], [2**-0.5, 1], [np.nan, 1]], rtol=1e-6)
