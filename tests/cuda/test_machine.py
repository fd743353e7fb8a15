"""What is settled before a GPU computes, and what is said where its memory runs out."""

import ctypes
import os
import sys
from types import SimpleNamespace

import pytest
import torch

from cli import program
from envs import gl
from runtime import device as devices
from tests.cuda.gpu import gpu
from tests.refusals import refused

CUDA = torch.device("cuda:0")


def test_devices_and_precisions(monkeypatch):
    with gpu() as log:
        assert {str(devices.resolve(name)) for name in ("auto", "cuda", "cuda:0")} == {"cuda:0"}
        words = ("published", "auto", "fp32", "tf32", "bf16")
        assert [devices.resolve_precision(w, CUDA) for w in words] == ["tf32", "bf16", "fp32", "tf32", "bf16"]
        devices.prepare(CUDA, "tf32", repeatable=False)
        assert log.devices == ["cuda:0"]
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
        assert devices.resolve_precision("published", CUDA) == "fp32"
        with refused(r"precision=tf32: cuda:0 \(.+\) does not .* use fp32"):
            devices.resolve_precision("tf32", CUDA)
    with refused("precision=tf32: cpu"):
        devices.resolve_precision("tf32", torch.device("cpu"))


def test_repeatable_results_need_cublas_workspaces(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with gpu():
        devices.prepare(CUDA, "fp32", repeatable=True)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8" and torch.backends.cudnn.deterministic
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
        devices.prepare(CUDA, "fp32", repeatable=False)
        with refused("CUBLAS_WORKSPACE_CONFIG=:0:0: .* use :4096:8 or :16:8"):
            devices.prepare(CUDA, "fp32", repeatable=True)


@pytest.fixture
def egl(monkeypatch):
    """An EGL of three devices: a renderer without CUDA, then CUDA's 1 and 0."""
    numbers = {101: None, 102: 1, 103: 0}
    pointer, to = ctypes.c_void_p, ctypes.POINTER

    @ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, to(pointer), to(ctypes.c_int))
    def query_devices(most, devices, count):
        for i, handle in enumerate(numbers):
            devices[i] = handle
        count[0] = len(numbers)
        return 1

    @ctypes.CFUNCTYPE(ctypes.c_uint, pointer, ctypes.c_int, to(ctypes.c_ssize_t))
    def query_attribute(handle, attribute, value):
        if attribute != 0x323A or numbers[handle] is None:
            return 0
        value[0] = numbers[handle]
        return 1

    functions = {b"eglQueryDevicesEXT": query_devices, b"eglQueryDeviceAttribEXT": query_attribute}
    address = lambda name: ctypes.cast(functions[name], pointer).value  # noqa: E731
    monkeypatch.setattr(gl.ctypes, "CDLL", lambda name: SimpleNamespace(eglGetProcAddress=address))
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.delenv("MUJOCO_EGL_DEVICE_ID", raising=False)
    return functions


def test_pictures_are_rendered_on_the_gpu_that_computes(egl, monkeypatch):
    for cuda, device in ((0, "2"), (1, "1"), (0, "2"), (7, "default")):
        gl.choose(None, cuda)
        assert gl.device() == device
    gl.choose(0, 1)
    assert gl.device() == "0", "render.device comes first"
    gl.choose(None, 1)
    assert gl.device() == "0", "what the user set is kept"
    monkeypatch.delenv("MUJOCO_EGL_DEVICE_ID")
    egl[b"eglQueryDeviceAttribEXT"] = ctypes.c_void_p()
    gl.choose(None, 1)
    assert gl.device() == "default"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError("Unable to allocate 3 GiB"),
    ],
)
@pytest.mark.parametrize(("name", "option"), [("train", "batch_size"), ("convert", "chunk or max_batch_bytes")])
def test_where_memory_runs_out_one_line_names_the_option(error, name, option, monkeypatch, tmp_path, capsys):
    @program.main(name)
    def job(config, run_dir):
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py"])
    with pytest.raises(SystemExit) as ended:
        job()
    line = capsys.readouterr().err
    assert ended.value.code == 2 and line.startswith("error: out of memory: ") and line.endswith(f"; lower {option}\n")
