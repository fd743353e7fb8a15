"""An environment's result is its own: whatever the batch, the chunks and the neighbours."""

import numpy as np
import pytest
import torch

import snn
from snn import simulate
from snn.cpu import events
from snn.device import batch_bytes
from snn.recurrence import by_torch
from tests.snn import oracle
from tests.snn.helpers import PAIRS, batch, converted, inputs, mlp

DECISIONS, ROWS = 4, 5


def _setup(seed=11, conv=True):
    layers, readout, shape = oracle.random_network(seed, conv, False)
    x = torch.stack([batch(oracle.observations(seed + k, shape, ROWS, False)) for k in range(DECISIONS)])
    return layers, readout, x


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_alpha_and_reset_per_environment_equal_separate_runs(rule, coding):
    layers, readout, x = _setup()
    alphas = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    ends = [1, 2, 3, 0, 2]  # each environment's episode ends after another decision
    together = converted(layers, readout, rule, coding, 6, alphas)
    alone = [converted(layers, readout, rule, coding, 6, float(alpha)) for alpha in alphas.double()]
    for k in range(DECISIONS):
        y = together(x[k])
        for row, one in enumerate(alone):
            torch.testing.assert_close(one(x[k, row : row + 1])[0], y[row], rtol=0, atol=1e-9)
        over = torch.tensor([end == k for end in ends])
        together.reset(over)
        for row, one in enumerate(alone):
            if over[row]:
                one.reset()


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_small_chunks_change_nothing(rule, coding):
    """Cut by memory over environments and over time: the same spikes, residuals and outputs."""
    layers, readout, x = _setup()
    whole = converted(layers, readout, rule, coding, 9, 0.7)
    per_step = max(whole.trace(x[0]).layers[i].spikes[0, 0].numel() for i in range(len(layers))) * 8 * 2
    for max_bytes in (per_step, 3 * per_step, 20 * per_step):
        cut = converted(layers, readout, rule, coding, 9, 0.7, max_batch_bytes=max_bytes)
        whole.reset(), whole.record(), cut.record()
        whole.reset_activity()
        for step in x:
            torch.testing.assert_close(cut(step), whole(step), rtol=0, atol=1e-9)
        for a, b in zip(cut.activity(), whole.activity()):
            np.testing.assert_array_equal(a.spikes, b.spikes)
            np.testing.assert_array_equal(a.sops, b.sops)
            np.testing.assert_array_equal(a.above, b.above)


def test_fixed_chunk_makes_a_slot_independent_of_the_rest():
    """Bit-identical in float32 for any company, as long as chunk, slot and threads stay the same."""
    module = mlp(20, 300, 300, 4, dtype=torch.float32)
    x = inputs(DECISIONS, 11, 20, seed=5, dtype=torch.float32)
    thresholds = snn.calibrate(module, [*x])

    def run(slots, noise):
        spiking = snn.convert(module, thresholds, "mt", "differential", 8, crpi=snn.CRPI(0.5), chunk_rows=4)
        spiking.reset(np.ones(11, dtype=bool))
        out = []
        for step in x:
            step = step.clone()
            step[[i for i in range(11) if i != 6]] += noise
            out.append(dict(zip(slots, spiking(step[slots], slots=slots), strict=True))[6])
        return torch.stack(out)

    alone = run([6], 0.0)
    for slots, noise in (([6, 0, 10], 0.0), (list(range(11)), 0.0), (list(range(11)), 1e3), ([7, 6, 5, 4], 3.0)):
        assert torch.equal(run(slots, noise), alone)


def test_slots_left_out_keep_their_state():
    layers, readout, x = _setup(conv=False)
    spiking, alone = (converted(layers, readout, "if", "rate", 6, 1.0) for _ in range(2))
    spiking(x[0]), alone(x[0, 2:3])
    spiking(x[1][[0, 4]], slots=[0, 4])
    y = spiking(x[2][[2]], slots=[2])
    torch.testing.assert_close(y, alone(x[2, 2:3]), rtol=0, atol=1e-9)


def test_the_memory_bound_is_the_devices_where_none_is_given():
    layers, readout, _ = _setup()
    assert converted(layers, readout, "if", "rate", 6).max_batch_bytes == 64 * 2**20
    assert batch_bytes(torch.device("cuda")) == 512 * 2**20


def test_memory_bound_too_small_for_one_step():
    layers, readout, x = _setup()
    with pytest.raises(snn.ConversionError, match="max_batch_bytes=8 is less than"):
        converted(layers, readout, "if", "rate", 6, max_batch_bytes=8)(x[0])


@pytest.mark.parametrize(
    ("rows", "slots", "message"),
    [(4, None, "5 environments are running"), (2, [1, 1], "different whole numbers"), (2, [-1, 0], "different")],
)
def test_wrong_rows(rows, slots, message):
    layers, readout, x = _setup()
    spiking = converted(layers, readout, "if", "rate", 3)
    spiking(x[0])
    with pytest.raises(snn.ConversionError, match=message):
        spiking(x[1][:rows], slots=slots)


def test_batch_size_may_change_after_reset():
    layers, readout, x = _setup()
    spiking = converted(layers, readout, "if", "rate", 3, 1.0)
    spiking(x[0])
    spiking.reset()
    fresh = converted(layers, readout, "if", "rate", 3, 1.0)
    torch.testing.assert_close(spiking(x[1][:2]), fresh(x[1][:2]), rtol=0, atol=1e-12)


def test_state_can_be_taken_and_put_back():
    layers, readout, x = _setup()
    for mode in ("residual", "random", "shuffled", "carry"):
        spiking = converted(layers, readout, "snm", "rate", 6, 1.0, mode=mode)
        spiking(x[0])
        state = spiking.get_state()
        first = spiking(x[1]), spiking(x[2])
        spiking.set_state(state)
        assert torch.equal(first[0], spiking(x[1])) and torch.equal(first[1], spiking(x[2]))


def test_trace_carries_nothing():
    layers, readout, x = _setup()
    spiking, untouched = (converted(layers, readout, "mt", "rate", 6, 1.0, mode="shuffled") for _ in range(2))
    for step in x:
        seen = spiking.trace(step)
        y = spiking(step)
        assert torch.equal(y, untouched(step))
        torch.testing.assert_close(seen.output, y)


@pytest.mark.parametrize("alpha", [-0.1, 2.1, float("nan"), [[0.5]], [0.1, 3.0]])
def test_wrong_alpha(alpha):
    with pytest.raises(snn.ConversionError, match="alpha="):
        converted(*_setup()[:2], "if", "rate", 3, alpha)


def test_alpha_for_too_few_environments():
    layers, readout, x = _setup()
    with pytest.raises(snn.ConversionError, match="2 values for 5"):
        converted(layers, readout, "if", "rate", 3, [0.1, 0.2])(x[0])


def test_wrong_mask_and_keys():
    layers, readout, x = _setup()
    spiking = converted(layers, readout, "if", "rate", 3)
    spiking(x[0])
    for mask in ([True], [1, 0, 1, 0, 1]):
        with pytest.raises(snn.ConversionError, match="mask"):
            spiking.reset(mask)
    with pytest.raises(snn.ConversionError, match="keys"):
        spiking.reset([True] * 5, keys=[1, 2])
    with pytest.raises(snn.ConversionError, match="key=-1"):
        spiking.reset([True] * 5, keys=[1, 2, 3, 4, -1])


def test_input_that_is_not_finite_or_has_no_batch():
    layers, readout, x = _setup(conv=False)
    spiking = converted(layers, readout, "if", "rate", 3)
    with pytest.raises(snn.ConversionError, match="not finite"):
        spiking(torch.full_like(x[0], float("nan")))
    with pytest.raises(snn.ConversionError, match="batch"):
        spiking(x[0, 0])
    with pytest.raises(snn.ConversionError, match="shape"):
        spiking(x[0][:, :-1] if x.shape[-1] > 1 else torch.cat([x[0], x[0]], 1))


@pytest.mark.parametrize("mode", ["residual", "shuffled"])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_whole_network_by_torch_operations(rule, coding, mode, monkeypatch):
    """What runs on other devices, run here: the same bits as the compiled way, over chunks of rows and steps."""
    layers, readout, x = _setup()
    options = {"mode": mode, "max_batch_bytes": 12_000}
    compiled, plain = (converted(layers, readout, rule, coding, 7, 0.6, **options) for _ in range(2))
    compiled.record(), plain.record()
    expected = [compiled(step) for step in x]
    monkeypatch.setattr(events, "prepared", lambda *_: None)
    monkeypatch.setattr(simulate, "advance", by_torch)
    for step, y in zip(x, expected, strict=True):
        assert torch.equal(plain(step), y)
    for a, b in zip(compiled.activity(), plain.activity(), strict=True):
        np.testing.assert_array_equal(a.spikes, b.spikes)
        np.testing.assert_array_equal(a.sops, b.sops)
        np.testing.assert_array_equal(a.above, b.above)
