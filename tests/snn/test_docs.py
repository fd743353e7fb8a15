"""docs/neurons.md is true: its code runs, its own-neuron example needs the two files that it shows, no more, and the
codings of examples/own_neurons.py do what their words say."""

import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

import snn
import snn.rules
from examples import own_neurons
from tests.snn.helpers import inputs, mlp, sum_of

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "neurons.md").read_text()
FILES = {name: body for _, name, body in re.findall(r"```(\w+) file=(\S+)\n(.*?)```", TEXT, re.DOTALL)}
CODE = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))


@pytest.fixture
def ternary(tmp_path, monkeypatch):
    """The example's rule file where the package finds it."""
    (tmp_path / "ternary.py").write_text(FILES["ternary.py"])
    monkeypatch.setattr(snn.rules, "__path__", [*snn.rules.__path__, str(tmp_path)])
    yield
    sys.modules.pop("snn.rules.ternary", None)


def test_code_runs(ternary):
    torch.manual_seed(0)
    exec(compile(CODE, "docs/neurons.md", "exec"), {})


@pytest.mark.parametrize("coding", ["rate", "differential"])
def test_own_neuron(ternary, coding):
    module, x = mlp(4, 30, 30, 2), inputs(3, 20, 4)
    spiking = snn.convert(module, snn.calibrate(module, [*x]), "ternary", coding, 200, crpi=snn.CRPI(0.5))
    spikes = []
    for step in x:
        seen = spiking.trace(step)
        assert (seen.output - seen.ann_output).abs().max() < 0.03 * seen.ann_output.abs().max()
        torch.testing.assert_close(spiking(step), seen.output)
        spikes += [layer.spikes.flatten() for layer in seen.layers]
    assert (torch.cat(spikes) < 0).any()


def _played(coding, currents, v):
    """One IF neuron's spikes and decoded mean by the examples' words, in plain Python; returns v at the end, too."""
    rest, spikes = False, []
    for current in currents:
        v = (0.9 * v if coding == "leaky" else v) + current
        spikes.append(float(v >= 1 and not (coding == "resting" and rest)))
        rest = spikes[-1] > 0
        v -= spikes[-1]
    counted = spikes[1:] if coding == "late" else spikes
    return spikes, sum(counted) / len(counted), v


@pytest.mark.parametrize("coding", ["leaky", "resting", "late"])
def test_own_codings_and_carry_rule(coding):
    own, crpi = getattr(own_neurons, coding), snn.CRPI(1.0, mode=own_neurons.half)
    spiking = snn.convert(sum_of(1.0, dtype=torch.float64), [torch.ones(1)], "if", own, 7, crpi=crpi)
    kept = 0.0
    for current in (0.55, 0.3, 0.85, 0.1):
        start = 0.5 + kept
        spikes, mean, end = _played(coding, [current] * 7, start)
        x = torch.tensor([[current]], dtype=torch.float64)
        assert spiking.trace(x).layers[0].spikes.flatten().tolist() == spikes
        assert float(spiking(x)) == pytest.approx(mean, abs=1e-12)
        kept = 0.5 * (end - start)
        assert float(spiking.residuals()[0]) == pytest.approx(kept, abs=1e-12)


def test_registered_ones_are_known_by_name_and_saved(tmp_path, monkeypatch):
    for registry in (snn.codings._codings, snn.carry._rules):
        monkeypatch.setattr(registry, "_known", {})  # other tests know nothing of it
    snn.codings.register(own_neurons.leaky), snn.carry.register(own_neurons.half)
    module, x = mlp(2, 4, 1), inputs(3, 2)
    spiking = snn.convert(module, [torch.ones(4)], "if", "leaky", 5, crpi=snn.CRPI(1.0, mode="half"))
    snn.save(spiking, tmp_path / "network.safetensors")
    loaded = snn.load(tmp_path / "network.safetensors")
    assert all(torch.equal(loaded(x), spiking(x)) for _ in range(3))


def test_example_is_short_and_its_yaml_has_the_shipped_keys():
    assert len(FILES["ternary.py"].splitlines()) <= 30
    example = yaml.safe_load(FILES["ternary.yaml"])
    for name in ("if", "snm", "mt", "dc"):
        shipped = yaml.safe_load((ROOT / f"cfgs/neuron/{name}.yaml").read_text())
        assert shipped.keys() == example.keys() and shipped["name"] == name


def test_public_names_are_documented():
    for name in ("calibrate", "convert", "save", "load", "macs", "ConversionError", "Activity", "Trace"):
        assert f"snn.{name}" in TEXT
