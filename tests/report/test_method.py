"""What a configuration is about, however wrong it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report import method
from report.method import OFF, Variant
from tests.report.factories import config, network, result


@pytest.mark.parametrize(
    "changes, label",
    [
        (dict(SNN_ts=32), "IF, T=32"),
        (dict(neuron="dc"), "DC, T=2"),
        (dict(neuron={"name": "mt", "rule": "mt", "coding": "rate", "n_thresholds": 6}), "MT, T=2, n=6"),
        (
            dict(neuron={"name": "snm", "rule": "snm", "coding": "differential"}),
            "SNM, T=2, snm rule, differential coding",
        ),
        (dict(calibration={"steps": 500, "percentile": 99.9}), "IF, T=2, θ over 500 decisions, θ at 99.9 %"),
        (dict(hybrid=True, dtype="bfloat16"), "IF, T=2, hybrid, bfloat16"),
    ],
)
def test_labels(changes, label):
    assert network(**changes).label == label


@pytest.mark.parametrize(
    "changes, expected",
    [
        (dict(alpha=0), [OFF]),
        (dict(alpha=[0.0]), [OFF]),
        (dict(alpha=0.5, mode="carry"), [OFF, Variant("carry", "given", 0.5)]),
        (dict(alpha="grid"), [OFF, Variant("residual", "honest")]),
        (dict(alpha=[0.2, 0.4]), [OFF, Variant("residual", "honest")]),
        (dict(alpha=[0.2, 0.4], select="paper"), [OFF, Variant("residual", "paper")]),
        (dict(alpha=[0, 0.4], select="paper"), [OFF, Variant("residual", "paper")]),
    ],
)
def test_what_a_job_reports(changes, expected):
    assert [one.variant for one in method.of_config(config(**changes))] == expected


anything = st.sampled_from(
    [None, True, 0, -1, 2.0, 2.5, 1e300, "", "grid", "x|*", [], [None], ["a", 1], {}, {"name": None}, {"a": []}]
)


@given(
    st.dictionaries(st.sampled_from(sorted(config())), anything),
    st.dictionaries(st.sampled_from(["alpha", "mode", "select"]), anything),
)
def test_no_value_that_a_user_can_type_breaks_a_report(values, crpi):
    methods = method.of_config(config() | values)
    methods += method.of_config(config() | {"crpi": config()["crpi"] | crpi})
    assert all(one.label and one.carried for one in methods)
    assert sorted({*methods, method.ann("pixels"), *method.of_config(config())}, key=lambda one: one.order)


def test_a_finished_job_is_what_was_computed_and_not_what_its_configuration_says():
    done = result([1.0], {0.0: [1.0], 0.5: [2.0]}, alpha=[0.0, 0.5], neuron="mt", SNN_ts=4, mode="carry")
    told = method.of_result(done)
    assert told == method.of_config(done.config)
    done.config = config(obs="state", alpha=0.0)
    assert method.of_result(done) == told
