"""Networks that people have convert within their bound, or are refused with the line that says why (see zoo.py)."""

from pathlib import Path

import pytest

import snn
from tests.refusals import refused
from tests.snn.zoo import ZOO, error, inputs

TABLE = Path(__file__).resolve().parents[2] / "docs" / "tables" / "networks.md"
HELD_OUT = {1: 1000, 2: 100, 3: 16, 4: 16}  # by the input's dimensions: images take their time
CONVERTS = [name for name, entry in ZOO.items() if entry.reason is None]


def test_the_table_names_the_networks_and_what_becomes_of_them():
    assert len(ZOO) >= 40 and len(CONVERTS) >= 30
    rows = [line.split(" | ") for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    assert [(row[0].removeprefix("| "), row[2]) for row in rows] == [(name, e.verdict) for name, e in ZOO.items()]
    bounds = [[float(cell.split(" %")[0]) for cell in row[3:]] for row in rows if "%" in row[3]]
    assert len(bounds) == len(CONVERTS) and all(one <= 2 and other <= 1 for one, other in bounds)


@pytest.mark.parametrize(("neuron", "bound"), [("if", 0.02), ("snm", 0.01)])
@pytest.mark.parametrize("name", CONVERTS)
def test_converts_within_its_bound(name, neuron, bound):
    held_out = HELD_OUT[len(ZOO[name].shape)]
    assert error(name, neuron, held_out) <= bound * (1 if held_out == 1000 else 1.25)


@pytest.mark.parametrize("name", sorted(set(ZOO) - set(CONVERTS)))
def test_is_refused_with_the_reason(name):
    entry = ZOO[name]
    options = {key: value for key, value in entry.options.items() if key != "hybrid"}
    with refused(entry.reason, snn.ConversionError):
        module, hybrid = entry.make().eval(), "hybrid" in entry.options
        thresholds = snn.calibrate(module, [inputs(entry, 4, 1)], hybrid=hybrid)
        snn.convert(module, thresholds, hybrid=hybrid, **options)
