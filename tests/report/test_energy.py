"""Energy from counts, against sums by hand. The counts themselves are proven in tests/snn."""

import pytest

from evaluation.result import MacsRecord
from report import energy
from report.energy import PRESETS
from tests.report.factories import MACS, layer, network, result

PAPER, NM45 = PRESETS


def _cost(neuron="if"):
    found = result([1.0], {0.5: [1.0, 2.0]}, neuron=neuron, SNN_ts=3)
    return energy.cost(network(neuron=neuron, SNN_ts=3), MACS, found.conversion.layers, found.of(0.5).episodes)


def test_operations_are_per_decision_over_all_simulation_steps():
    cost = _cost()
    # Two episodes of 500 decisions, 700 and 80 operations at each of three steps per episode.
    assert cost.sops == pytest.approx(2 * 3 * (700 + 80) / 1000)
    assert (cost.macs, cost.analog, cost.analog_times) == (1520, 1000, 3)


@pytest.mark.parametrize("preset, mac, sop", [(PAPER, 12.5e-12, 77e-15), (NM45, 4.6e-12, 0.9e-12)])
def test_the_ann_and_three_sums(preset, mac, sop):
    spikes = 4.68 * sop
    expected = (1520 * mac, spikes, spikes + 1000 * mac, spikes + 3 * 1000 * mac)
    assert _cost().joules(preset) == pytest.approx(expected)


def test_differential_coding_gets_its_input_once():
    _, spikes_only, once, always = _cost("dc").joules(PAPER)
    assert always == once > spikes_only


def test_a_hybrid_has_analog_layers_behind_its_trunk_too():
    macs = [MacsRecord(name=name, kind="linear", macs=1) for name in ("conv", "trunk", "hidden", "action")]
    analog = energy.analog_layers(macs, [layer("conv", 5), layer("hidden", 5)])
    assert [one.name for one in analog] == ["conv", "hidden"]
