"""The paper's figures against each other, and energy from counts against sums by hand."""

import pytest

from evaluation import statistics
from evaluation.result import MacsRecord
from report import energy, energy_sections, paper
from report.energy import PRESETS
from report.method import OFF, ReportMethod, Variant
from tests.report.factories import MACS, evidence, layer, network, result

ON = Variant("residual", "honest")


def test_the_table_has_every_method_off_and_on():
    pairs = {("if", 32), ("if", 64), ("snm", 8), ("snm", 16), ("mt", 2), ("dc", 2)}
    converted = {(row.neuron, row.timesteps, row.crpi) for row in paper.TABLE3[1:]}
    assert converted == {(*pair, crpi) for pair in pairs for crpi in (False, True)}
    assert paper.ANN.neuron == "ann" and len(paper.TASKS) == 6
    # 13 rows give returns per task; the three trained directly print an APR alone, which nothing here can check.
    assert [entry[2] for entry in paper.TRAINED_DIRECTLY] == [54.19, 61.25, 68.54]


@pytest.mark.parametrize("row", paper.TABLE3, ids=lambda row: f"{row.neuron}-{row.timesteps}-{row.crpi}")
def test_every_printed_apr_follows_from_the_printed_returns(row):
    snn = {task: [[mean]] for task, (mean, _) in row.returns.items()}
    ann = {task: [[mean]] for task, (mean, _) in paper.ANN.returns.items()}
    assert 100 * statistics.average_performance_ratio(snn, ann).value == pytest.approx(row.apr, abs=0.05)
    assert row.apr_over(paper.TASKS) == row.apr


def test_apr_over_some_tasks():
    row = paper.row(ReportMethod(network(SNN_ts=32), ON))
    assert row.apr_over(["cheetah_run", "finger_spin"]) == pytest.approx(100 * (411 / 733 + 831 / 976) / 2)
    assert row.apr_over(["cheetah_run", "walker_run"]) is None and row.apr_over([]) is None


@pytest.mark.parametrize(
    "changes",
    [
        dict(SNN_ts=16),
        dict(SNN_ts=32, dtype="bfloat16"),
        dict(SNN_ts=32, hybrid=True),
        dict(neuron={"name": "mt", "rule": "mt", "coding": "rate", "n_thresholds": 8}, SNN_ts=2),
        dict(SNN_ts=32, calibration={"steps": 5000, "percentile": 99.0}),
    ],
)
def test_what_the_paper_did_not_run_has_no_figure_of_it(changes):
    other = network(**changes)
    assert paper.row(ReportMethod(other, OFF)) is None and paper.energy(other) is None


def test_a_control_is_never_beside_the_papers_crpi():
    assert paper.row(ReportMethod(network(SNN_ts=32), ON)).crpi is True
    assert paper.row(ReportMethod(network(SNN_ts=32), Variant("random", "honest"))) is None


def test_table_4_follows_from_its_operations():
    preset = next(preset for preset in PRESETS if preset.name == "paper")
    spiking = [paper.energy(network(neuron=neuron, SNN_ts=steps)) for neuron, steps in (("if", 32), ("mt", 2))]
    for figure, joules in ((paper.ANN_ENERGY, preset.mac), *((figure, preset.sop) for figure in spiking)):
        assert figure.operations * joules * 1e6 == pytest.approx(figure.microjoules, rel=3e-3)


# ---- energy; the counts themselves are proven in tests/snn ----


PAPER, NM45 = PRESETS


def _cost(neuron="if"):
    found = result([1.0], {0.5: [1.0, 2.0]}, neuron=neuron, SNN_ts=3)
    return energy.cost(network(neuron=neuron, SNN_ts=3), MACS, found.conversion.layers, found.of(0.5).episodes)


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
