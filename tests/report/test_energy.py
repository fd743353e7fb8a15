"""Energy from counts, against sums by hand. The counts themselves are proven in tests/snn."""

import pytest

from evaluation.result import MacsRecord
from report import energy, energy_sections
from report.energy import PRESETS
from tests.report.factories import MACS, evidence, layer, network, result

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


def test_policies_of_one_task_may_be_of_different_sizes(tmp_path):
    """As other programs' are: each is counted with its own layers, whichever was read last."""
    small, wide, deep = (result([9.0], {0.0: [5.0]}, alpha=0.0, sha=sha, training_seed=None) for sha in "abc")
    wide.conversion.layers[0] = layer("encoder.0", 500, dead=7)
    wide.policy.macs[0] = MacsRecord(name="encoder.0", kind="conv2d", macs=10000)
    deep.conversion.layers.append(layer("policy.1", 10))
    [episode] = deep.snn[0].episodes
    episode.spikes.append([4, 4]), episode.sops.append([80, 80]), episode.above_threshold.append(0.0)
    for found in (evidence(small, wide, deep), evidence(deep, wide, small)):
        [table] = energy_sections.layers(found, "pixels").blocks
        spikes = {(row[3].text, row[4].text): row[7].text for row in table.rows}
        assert spikes["encoder.0", "50"] == "0.04" and spikes["encoder.0", "500"] == "0.00"
        assert len(table.rows) == 2 + 2 + 3 and spikes["policy.1", "10"] == "0.08"
        ann, snn = energy_sections.per_decision(found, "pixels", tmp_path).blocks[1].rows
        assert ann[3].text == f"{(1520 + 10520 + 1520) / 3:,.0f}"
        assert snn[3].text == f"{(3 * 2 * 780 + 160) / 1500:.0f}"


def test_policies_of_one_size_share_the_rows_of_their_layers():
    one, other = (result([9.0], {0.0: [5.0]}, alpha=0.0, sha=sha) for sha in "ab")
    other.conversion.layers[1] = layer("policy.0", 10, dead=5).model_copy(update={"theta_max": 3.0})
    [table] = energy_sections.layers(evidence(one, other), "pixels").blocks
    assert [[entry.text for entry in row[3:7]] for row in table.rows] == [
        ["encoder.0", "50", "0", "0.1 to 2"],
        ["policy.0", "10", "3 to 5", "0.1 to 3"],
    ]
