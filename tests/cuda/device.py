"""device.cpp, compiled: what torch's autograd asks of a CUDA device."""

import ctypes
import hashlib
import importlib.util
import os
import runpy
import subprocess
from pathlib import Path


def load() -> None:
    """Has g++ build device.cpp, once a machine, and loads it. For autograd it must come before torch. A torch that is
    built for CUDA has all this itself."""
    torch_folder = Path(importlib.util.find_spec("torch").origin).parent
    if runpy.run_path(str(torch_folder / "version.py"))["cuda"] is not None:
        return
    source = Path(__file__).with_name("device.cpp")
    digest = hashlib.sha256(source.read_bytes() + (torch_folder / "version.py").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pretended-cuda"
    library = cache / f"{digest}.so"
    if not library.exists():
        cache.mkdir(parents=True, exist_ok=True)
        mine = cache / f"{digest}.{os.getpid()}"
        folders = [f"-I{torch_folder}/include", f"-I{torch_folder}/include/torch/csrc/api/include"]
        subprocess.run(["g++", "-shared", "-fPIC", "-std=c++20", *folders, source, "-o", mine], check=True)
        mine.replace(library)
    for file in (
        *(torch_folder / "lib" / f"lib{name}.so" for name in ("torch_global_deps", "c10", "torch_cpu")),
        library,
    ):
        ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
