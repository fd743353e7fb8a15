"""Spiking networks from trained ReLU networks: neurons, codings, CRPI, calibration, conversion.

Knows nothing of reinforcement learning or of environments: any feed-forward ReLU torch module will do. See
docs/neurons.md and docs/conversion.md.
"""

from snn import carry, codings, rules
from snn.activity import Activity
from snn.calibration import calibrate
from snn.carry import CRPI, CarryRule
from snn.checks import ConversionError
from snn.codings import Coding
from snn.convert import convert
from snn.files import load, save
from snn.macs import LayerMacs, macs
from snn.network import LayerInfo, SpikingNetwork
from snn.neuron_modules import DC, IF, MT, SNM, SpikingNeuron
from snn.reference import LayerTrace, Trace
from snn.rules import Rule

__version__ = "1.0.0"

__all__ = [
    "CRPI",
    "DC",
    "IF",
    "MT",
    "SNM",
    "Activity",
    "CarryRule",
    "Coding",
    "ConversionError",
    "LayerInfo",
    "LayerMacs",
    "LayerTrace",
    "Rule",
    "SpikingNetwork",
    "SpikingNeuron",
    "Trace",
    "calibrate",
    "carry",
    "codings",
    "convert",
    "load",
    "macs",
    "rules",
    "save",
]
