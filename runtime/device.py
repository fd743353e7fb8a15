"""Turns the options `device` and `precision` into what this machine has, with a line for the user where it can't be had."""

from __future__ import annotations

import torch

from runtime.errors import UserError


def resolve(name: str) -> torch.device:
    """The torch device for `name`: "auto" (CUDA where present, else CPU), "cpu", "cuda", "cuda:N".

    Raises UserError for any other name and for a CUDA device that this machine lacks.
    """
    name = str(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"device={name}: unknown device; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise UserError(
                f"device={name}: this machine has no CUDA device that torch can use; use device=cpu or auto"
            )
        if device.index is not None and device.index >= count:
            raise UserError(f"device={name}: this machine has {count} CUDA device(s); use cuda:0 to cuda:{count - 1}")
    return device


def resolve_precision(name: str, device: torch.device) -> str:
    """ "fp32" or "bf16" for `name`: either of them, or "auto", which is bf16 where `device` multiplies it in hardware.

    Where it doesn't, torch still computes in bf16, many times slower than in float32.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(unit, False) for unit in ("amx_bf16", "avx512_bf16"))
    return "bf16" if native else "fp32"


def describe(device: torch.device) -> str:
    """The device's name for logs and results, e.g. "cpu (2 threads)" or "cuda:0 (NVIDIA ...)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"
