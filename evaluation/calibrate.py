"""Thresholds from the ANN's own behaviour, kept on disk by what they were computed from.

θ = the largest ReLU output per channel or unit over `steps` decisions of the ANN (Xu et al. 2026, section 7), on the
calibration stream of environment seeds, which no reported or selection episode shares.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import torch
from torch import nn

import envs
import snn
from evaluation.policies import Policy
from evaluation.rollout import VectorEnvironment
from runtime.errors import UserError
from runtime.files import atomic_file
