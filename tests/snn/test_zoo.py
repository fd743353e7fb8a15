"""Networks that people have convert within their bound, or are refused with the line that says why (see zoo.py)."""

from collections import Counter
from pathlib import Path

import pytest

import snn
from snn.graph.tracing import trace
from tests.snn.zoo import ZOO, error, inputs

TABLE = Path(__file__).resolve().parents[2] / "docs" / "tables" / "networks.md"
HELD_OUT = {1: 1000, 2: 100, 3: 16, 4: 16}  # by the input's dimensions: images take their time
CONVERTS = [name for name, entry in ZOO.items() if entry.reason is None]


def test_the_zoo_is_large_enough_and_has_each_kind_twice():
    assert len(ZOO) >= 40 and len(CONVERTS) >= 30
    seen = Counter()
    for name in CONVERTS:
        options = {key: value for key, value in ZOO[name].options.items() if key != "timesteps"}
        graph = trace(ZOO[name].make().eval(), **options)
        ops = [graph.op(value) for value in graph.values]
        before = [graph.op(i) if (i := graph.inputs(value)[0]) else None for value in graph.values]
        kinds = {op.kind.rstrip("123d") if "transpose" in op.kind or "adaptive" in op.kind else op.kind for op in ops}
        kinds |= {f"{a.kind}-{op.kind}" for op, a in zip(ops, before) if a is not None}
        kinds |= {"ceiling" for op in ops if op.kind == "relu" and op.args["ceiling"]}
        kinds |= {"analog clamp" for op, a in zip(ops, before) if op.kind == "clamp" and a is None}
        kinds |= {"shaped" for op in ops if op.kind in ("reshape", "unflatten")}
        kinds |= {"heads", type(graph.outputs).__name__} if isinstance(graph.outputs, (tuple, dict)) else set()
        kinds |= {"one of several"} if "output" in options else set()
        relus = [op.name.rstrip("_0123456789") for op in ops if op.kind == "relu"]
        kinds |= {"ReLU used twice"} if len(set(relus)) < len(relus) else set()
        seen.update(kinds)
    wanted = ["linear-linear", "relu-scale_shift", "conv1d", "conv2d", "conv3d", "conv_transpose", "avg_pool1d"]
    wanted += ["avg_pool2d", "avg_pool3d", "adaptive_avg_pool", "mean", "permute", "add", "cat", "heads", "shaped"]
    wanted += ["tuple", "one of several", "analog clamp", "arith", "ceiling", "layernorm-relu", "ReLU used twice"]
    assert not {kind: seen[kind] for kind in wanted if seen[kind] < 2}


def test_the_table_names_the_networks_and_what_becomes_of_them():
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
    with pytest.raises(snn.ConversionError, match=entry.reason) as refusal:
        module, hybrid = entry.make().eval(), "hybrid" in entry.options
        thresholds = snn.calibrate(module, [inputs(entry, 4, 1)], hybrid=hybrid)
        snn.convert(module, thresholds, hybrid=hybrid, **options)
    assert "\n" not in str(refusal.value)
