"""CRPI's controls: what each puts in the residual's place, and that draws belong to the environment alone."""

import numpy as np
import pytest
import torch

import snn
from tests.snn.helpers import inputs, mlp

ROWS, DECISIONS = 4, 5
X = inputs(DECISIONS, ROWS, 6, seed=1)


def _make(mode, alpha=1.0, seed=3, **options):
    module = mlp(6, 60, 60, 3)
    thresholds = snn.calibrate(module, [inputs(200, 6, seed=7)])
    thresholds[1][:5] = 0
    return snn.convert(module, thresholds, "if", timesteps=6, crpi=snn.CRPI(alpha, mode, seed), **options)


def _starts(spiking, x):
    """(v[0] - v_base) / theta of the coming decision, per layer [B, units]; nan for dead units."""
    return [
        ((layer.v0 - info.theta / 2) / info.theta).numpy()
        for layer, info in zip(spiking.trace(x).layers, spiking.layers)
    ]


def _residuals(spiking, x):
    """The residuals, in units of theta, that the coming decision will leave."""
    return [
        (torch.maximum(layer.membranes[-1] - layer.v0, -layer.spikes.sum(0)) / info.theta).numpy()
        for layer, info in zip(spiking.trace(x).layers, spiking.layers)
    ]


def _clipped(values):
    return np.clip(values, -0.5, 0.5)


def test_shuffled_permutes_each_environments_residuals_across_live_units():
    spiking = _make("shuffled")
    assert all(np.nanmax(abs(start)) == 0 for start in _starts(spiking, X[0]))
    for k in range(DECISIONS - 1):
        left = _residuals(spiking, X[k])
        spiking(X[k])
        for layer, (start, residual) in enumerate(zip(_starts(spiking, X[k + 1]), left)):
            live = np.isfinite(start[0])
            assert live.sum() == (55 if layer == 1 else 60)
            for row in range(ROWS):
                a, b = start[row, live], _clipped(residual[row, live])
                np.testing.assert_allclose(np.sort(a), np.sort(b), atol=1e-12)
                assert (abs(a - b) > 1e-9).mean() > 0.2


def test_random_draws_from_the_episodes_residuals():
    spiking = _make("random")
    assert all(np.nanmax(abs(start)) == 0 for start in _starts(spiking, X[0]))
    shown = [[], []]
    for k in range(DECISIONS - 1):
        for layer, residual in enumerate(_residuals(spiking, X[k])):
            shown[layer].append(np.round(_clipped(residual), 9))
        spiking(X[k])
        for layer, start in enumerate(_starts(spiking, X[k + 1])):
            live = np.isfinite(start[0])
            for row in range(ROWS):
                drawn, seen = np.round(start[row, live], 9), [residual[row, live] for residual in shown[layer]]
                assert np.isin(drawn, seen).all()
                if k == DECISIONS - 2:  # not only of the last decision: no memory of any one
                    assert (~np.isin(drawn, seen[-1]) | np.isin(drawn, seen[:-1])).mean() > 0.3


def test_random_has_the_distribution_of_all_residuals_so_far():
    """Mean and spread of many draws against the residuals shown, weighted alike over decisions."""
    module = mlp(6, 4000, 3)
    thresholds = snn.calibrate(module, [inputs(200, 6, seed=7)])
    spiking = snn.convert(module, thresholds, "if", timesteps=6, crpi=snn.CRPI(1.0, "random"))
    x, shown = inputs(7, 1, 6, seed=2), []
    for k in range(6):
        shown.append(_residuals(spiking, x[k])[0])
        spiking(x[k])
    drawn = _starts(spiking, x[6])[0]
    seen = _clipped(np.concatenate(shown, 1))
    assert abs(np.nanmean(drawn) - np.nanmean(seen)) < 0.03
    assert abs(np.nanstd(drawn) - np.nanstd(seen)) < 0.03


def test_carry_keeps_the_membrane_unclipped():
    spiking, x = _make("carry"), 3 * X
    beyond = 0
    for k in range(DECISIONS - 1):
        ends = [layer.membranes[-1] for layer in spiking.trace(x[k]).layers]
        spiking(x[k])
        for layer, end, info in zip(spiking.trace(x[k + 1]).layers, ends, spiking.layers):
            assert torch.equal(layer.v0, end)
            beyond += int(((end - info.theta / 2).abs() > info.theta / 2).sum())
    assert beyond > 50


@pytest.mark.parametrize("mode", ["random", "shuffled"])
def test_draws_do_not_depend_on_neighbours_or_slots(mode):
    keys = [40, 41, 42, 43]
    together, alone, swapped = _make(mode), _make(mode), _make(mode)
    together.reset(keys=keys), alone.reset(keys=[42]), swapped.reset(keys=keys[::-1])
    outputs = torch.stack([together(step) for step in X])
    for k in range(DECISIONS):
        torch.testing.assert_close(alone(X[k, 2:3])[0], outputs[k, 2], rtol=0, atol=1e-9)
        torch.testing.assert_close(swapped(X[k].flip(0)).flip(0), outputs[k], rtol=0, atol=1e-9)


@pytest.mark.parametrize("mode", ["random", "shuffled"])
def test_draws_follow_seed_key_and_decision(mode):
    def run(seed=3, key=5, waste=0):
        spiking = _make(mode, seed=seed)
        spiking.reset([True], [key])
        for k in range(waste):
            spiking(X[k, :1])
        if waste:
            spiking.reset([True], [key])
        return torch.stack([spiking(step[:1]) for step in X])

    assert torch.equal(run(), run()) and torch.equal(run(), run(waste=3))
    assert not torch.equal(run(), run(seed=4)) and not torch.equal(run(), run(key=6))


@pytest.mark.parametrize("mode", ["random", "shuffled"])
def test_without_keys_a_second_episode_draws_anew(mode):
    spiking = _make(mode)
    first = torch.stack([spiking(step) for step in X])
    spiking.reset(np.ones(ROWS, bool))
    second = torch.stack([spiking(step) for step in X])
    assert torch.equal(first[0], second[0]) and not torch.equal(first[2], second[2])


@pytest.mark.parametrize("mode", ["residual", "random", "shuffled", "carry"])
def test_reset_of_some_leaves_the_others(mode):
    spiking, other = _make(mode), _make(mode)
    for k in range(3):
        spiking(X[k]), other(X[k])
    spiking.reset([False, True, False, False], keys=[0, 9, 0, 0])
    a, b = spiking(X[3]), other(X[3])
    keep = [0, 2, 3]
    assert torch.equal(a[keep], b[keep]) and not torch.equal(a[1], b[1])
    assert all(np.nanmax(abs(start[1])) > 0 for start in _starts(spiking, X[4]))
