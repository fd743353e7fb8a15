"""Spiking networks from trained ReLU networks: neurons, codings, CRPI, calibration, conversion.

Knows nothing of reinforcement learning or of environments: any feed-forward ReLU torch module will do. See
docs/neurons.md.
"""

from snn import rules
from snn.activity import Activity
from snn.calibration import calibrate
from snn.convert import convert
from snn.errors import ConversionError
from snn.info import LayerInfo
from snn.network import SpikingNetwork
from snn.rules import Rule
from snn.trace import LayerTrace, Trace

__all__ = [
    "Activity", "ConversionError", "LayerInfo", "LayerTrace", "Rule", "SpikingNetwork", "Trace", "calibrate",
    "convert", "rules",
]  # fmt: skip
