"""An environment's result is its own, whatever the batch, the chunks and the neighbours; and what can be seen of it."""

import pytest
import torch

from snn.device import batch_bytes
from snn.memory_layout import flatten
from tests.snn.helpers import PAIRS, ROWS, case, same_activity

CASE, FLAT = case(), case(conv=False)
X = CASE.x


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_small_chunks_change_nothing(rule, coding):
    """Cut by memory over environments and over time: the same spikes, residuals and outputs."""
    whole = CASE.convert(rule, coding, 9, 0.7)
    per_step = max(layer.spikes[0, 0].numel() for layer in whole.trace(X[0]).layers) * 8 * 2
    for max_bytes in (per_step, 3 * per_step, 20 * per_step):
        cut = CASE.convert(rule, coding, 9, 0.7, max_batch_bytes=max_bytes)
        whole.reset(), whole.record(), cut.record()
        whole.reset_activity()
        for step in X:
            torch.testing.assert_close(cut(step), whole(step), rtol=0, atol=1e-9)
        same_activity(cut, whole)


def test_slots_left_out_keep_their_state():
    spiking, alone = (FLAT.convert("if", "rate", 6, 1.0) for _ in range(2))
    spiking(FLAT.x[0]), alone(FLAT.x[0, 2:3])
    spiking(FLAT.x[1][[0, 4]], slots=[0, 4])
    y = spiking(FLAT.x[2][[2]], slots=[2])
    torch.testing.assert_close(y, alone(FLAT.x[2, 2:3]), rtol=0, atol=1e-9)


def test_the_memory_bound_is_the_devices_where_none_is_given():
    assert CASE.convert("if", "rate", 6).max_batch_bytes == 64 * 2**20
    assert batch_bytes(torch.device("cuda")) == 512 * 2**20


def test_batch_size_may_change_after_reset():
    spiking, fresh = (CASE.convert("if", "rate", 3, 1.0) for _ in range(2))
    spiking(X[0])
    spiking.reset()
    torch.testing.assert_close(spiking(X[1][:2]), fresh(X[1][:2]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["residual", "random", "shuffled", "carry"])
def test_state_can_be_taken_and_put_back(mode):
    spiking = CASE.convert("snm", "rate", 6, 1.0, mode=mode)
    before = spiking.get_state()
    fresh = spiking(X[0])
    state = spiking.get_state()
    spiking(X[1])
    spiking.set_state(before)
    assert torch.equal(fresh, spiking(X[0]))
    first = spiking(X[1]), spiking(X[2])
    spiking.set_state(state)
    assert torch.equal(first[0], spiking(X[1])) and torch.equal(first[1], spiking(X[2]))


# ---- residuals, and a trace of some environments ----


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
