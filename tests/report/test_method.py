"""What a configuration is about, however wrong it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report import method
from report.method import OFF, Variant
from tests.report.factories import config


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
    assert method.network(config() | config(**changes)).label == label


@pytest.mark.parametrize(
    "changes, expected",
    [
        (dict(alpha=0), [OFF]),
        (dict(alpha=[0.0]), [OFF]),
        (dict(alpha=0.5, mode="carry"), [Variant("carry", "given", 0.5)]),
        (dict(alpha="grid"), [OFF, Variant("residual", "honest")]),
        (dict(alpha=[0.2, 0.4]), [OFF, Variant("residual", "honest")]),
        (dict(alpha=[0.2, 0.4], select="paper"), [Variant("residual", "paper")]),
        (dict(alpha=[0, 0.4], select="paper"), [OFF, Variant("residual", "paper")]),
    ],
)
def test_what_a_job_reports(changes, expected):
    assert method.variants(config(**changes)) == expected


anything = st.sampled_from(
    [None, True, 0, -1, 2.0, 2.5, 1e300, "", "grid", "x|*", [], [None], ["a", 1], {}, {"name": None}, {"a": []}]
)


@given(st.dictionaries(st.sampled_from(sorted(config())), anything))
def test_no_value_that_a_user_can_type_breaks_a_report(values):
    network, variants = method.network(config() | values), method.variants(config() | values)
    assert network.label and all(variant.label for variant in variants)
    (
        hash((network, *variants)),
        sorted([network.order, method.network(config()).order]),
        [variant.order for variant in variants],
    )


@given(st.dictionaries(st.sampled_from(["alpha", "mode", "select"]), anything))
def test_nor_does_any_value_of_crpi(values):
    assert all(variant.label for variant in method.variants(config() | {"crpi": config()["crpi"] | values}))
