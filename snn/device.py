"""What a GPU asks of the code around it: no waiting for copies, and divisions that round as everywhere else."""

import numpy as np
import torch
from torch import Tensor


def placed(array: np.ndarray, device: torch.device) -> Tensor:
    """`array` on `device`. A GPU fetches it from a copy in page-locked memory while the host goes on; on the CPU the
    tensor shares the array's memory."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def beside(number: float, values: Tensor) -> Tensor:
    """`number` as a 0-d tensor of the type and on the device of `values`, to divide them by. CUDA multiplies by the
    rounded reciprocal of a Python number, which may differ from the quotient in the last bit."""
    return values.new_full((), number)


def batch_bytes(device: torch.device) -> int:
    """The bound on a chunk's currents and spikes where none is given. On a CPU caches decide, on a GPU the number of
    launches: each further piece repeats all of a decision's."""
    return (512 if device.type == "cuda" else 64) * 2**20
