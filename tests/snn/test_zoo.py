"""Networks that people have convert within their bound, or are refused with the line that says why (see zoo.py)."""

import pytest
import torch

import snn
from tests.snn.zoo import HELD_OUT, ZOO, error, inputs

CONVERTS = [name for name, entry in ZOO.items() if entry.reason is None]


def test_the_zoo_is_large_enough():
    assert len(ZOO) >= 40 and len(CONVERTS) >= 30


@pytest.mark.parametrize(("neuron", "bound"), [("if", 0.02), ("snm", 0.01)])
@pytest.mark.parametrize("name", CONVERTS)
def test_converts_within_its_bound(name, neuron, bound):
    held_out = HELD_OUT[len(ZOO[name].shape)]
    assert error(name, neuron, held_out) <= bound * (1 if held_out == 1000 else 1.25)


@pytest.mark.parametrize("name", sorted(set(ZOO) - set(CONVERTS)))
def test_is_refused_with_the_reason(name):
    entry = ZOO[name]
    options = {key: value for key, value in entry.options.items() if key != "hybrid"}
    with pytest.raises(snn.ConversionError, match=entry.reason) as refusal:
        module, hybrid = entry.make().eval(), "hybrid" in entry.options
        thresholds = snn.calibrate(module, [inputs(entry, 4, 1)], hybrid=hybrid)
        snn.convert(module, thresholds, hybrid=hybrid, **options)
    assert "\n" not in str(refusal.value)
    torch.manual_seed(0)
