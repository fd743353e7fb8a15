"""Turns the options `device` and `precision` into what this machine has, with a line for the user where it can't be
had.
"""

import os

import torch

from runtime.errors import UserError

_CUBLAS, _REPEATABLE = "CUBLAS_WORKSPACE_CONFIG", (":4096:8", ":16:8")  # as torch documents them


def resolve(name: str) -> torch.device:
    """The torch device for `name`: "auto" (CUDA where present, else CPU), "cpu", "cuda" (the first one), "cuda:N".

    Raises UserError for any other name and for a CUDA device that this machine lacks.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError
    except RuntimeError:
        raise UserError(f"device={name}: unknown device; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cpu":
        return device
    count, index = torch.cuda.device_count() if torch.cuda.is_available() else 0, device.index or 0
    if count == 0:
        raise UserError(f"device={name}: this machine has no CUDA device that torch can use; use device=cpu or auto")
    if index >= count:
        raise UserError(f"device={name}: this machine has {count} CUDA device(s); use cuda:0 to cuda:{count - 1}")
    return torch.device("cuda", index)


def resolve_precision(name: str, device: torch.device) -> str:
    """ "fp32", "tf32" or "bf16" for `name`: one of them, "published" or "auto".

    published  tf32 on a GPU that has it, else fp32: what torch did by itself when DrQ-v2 was published
    auto       bf16 where `device` multiplies it in hardware, else fp32: elsewhere torch computes in bf16 too, many
               times slower than in float32
    Raises UserError for tf32 where `device` doesn't have it.
    """
    has_tf32 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if name == "published":
        return "tf32" if has_tf32 else "fp32"
    if name == "tf32" and not has_tf32:
        raise UserError(f"precision=tf32: {describe(device)} does not compute in it; use fp32, or published")
    if name != "auto":
        return name
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(unit, False) for unit in ("amx_bf16", "avx512_bf16"))
    return "bf16" if native else "fp32"


def prepare(device: torch.device, precision: str, repeatable: bool) -> None:
    """Settles for this process how `device`, of `resolve`, computes.

    precision   float32 numbers are multiplied as such, unless it is "tf32". By itself torch rounds what convolutions
                multiply on a GPU to tf32's 10 bits of mantissa.
    repeatable  the same numbers give the same bits, every time. Raises UserError where the environment forbids it.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.deterministic = repeatable
    if device.type == "cuda":
        # cuBLAS reads it once, when it begins to work, and divides its sums differently from run to run without it.
        space = os.environ.setdefault(_CUBLAS, _REPEATABLE[0])
        if repeatable and space not in _REPEATABLE:
            raise UserError(f"{_CUBLAS}={space}: results would differ from run to run; use {' or '.join(_REPEATABLE)}")
        # Page-locked memory, streams and libraries besides torch go by the current device.
        torch.cuda.set_device(device)


def describe(device: torch.device) -> str:
    """The device's name for logs and results, e.g. "cpu (2 threads)" or "cuda:0 (NVIDIA ...)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"
