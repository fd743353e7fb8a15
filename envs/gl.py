"""Which OpenGL backend renders: chosen once, before dm_control is imported.

dm_control and mujoco read MUJOCO_GL when they are imported, so nothing in `envs` imports them at module level:
`choose` runs first and leaves its answer in the environment, where worker processes find it as well.
"""

import ctypes
import functools
import os
import subprocess
import sys

from runtime.errors import UserError

# Spellings that dm_control accepts → the canonical name.
_SPELLINGS = {
    "egl": "egl",
    "osmesa": "osmesa",
    **dict.fromkeys(("glfw", "on", "enable", "enabled", "true", "1", ""), "glfw"),
    **dict.fromkeys(("off", "disable", "disabled", "false", "0"), "disable"),
}

_INSTALL = (
    "on Debian or Ubuntu install it with: apt-get install libegl1 libgl1 libgl1-mesa-dri (or libosmesa6 where packaged)"
)

# Draws one lit box, says what drew it, and looks whether anything but background came back.
_PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 3"/><geom type="box" size="1 1 1" rgba="1 1 1 1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data)
    from OpenGL import GL
    print(GL.glGetString(GL.GL_RENDERER).decode())
    raise SystemExit(0 if renderer.render().any() else 1)
"""

_DEVICE = "MUJOCO_EGL_DEVICE_ID"
_EGL_CUDA_DEVICE_NV = 0x323A
_matched: str | None = None  # what `choose` itself wrote there for a CUDA device


def choose(render_device: int | None = None, cuda_device: int | None = None) -> str:
    """Settles on a backend, writes it to MUJOCO_GL and returns its name: "egl", "osmesa" or "glfw".

    A MUJOCO_GL that is set already is respected. Otherwise EGL is tried, then OSMesa, each by really rendering in a
    subprocess, since a library that loads may still find no device. `render_device` (an index of EGL devices) goes
    to MUJOCO_EGL_DEVICE_ID; whoever names one gets EGL or nothing. Where neither names one, EGL renders on the GPU that
    CUDA calls `cuda_device`, if it is told and found.

    Raises UserError if MUJOCO_GL switches rendering off or is misspelt, if `render_device` is negative, or if
    nothing renders.
    """
    global _matched
    if render_device is not None:
        if render_device < 0:
            raise UserError(f"render.device={render_device}: must be the index of an EGL device: 0, 1, ...")
        os.environ[_DEVICE] = str(render_device)
    elif cuda_device is not None and os.environ.get(_DEVICE) in (None, _matched):
        # Another run of this process may have matched another GPU.
        os.environ.pop(_DEVICE, None)
        if (index := _egl_index(cuda_device)) is not None:
            _matched = os.environ[_DEVICE] = str(index)
    if (asked := os.environ.get("MUJOCO_GL")) is not None:
        if asked not in _SPELLINGS:
            raise UserError(f"MUJOCO_GL={asked}: must be egl, osmesa or glfw")
        if _SPELLINGS[asked] == "disable":
            raise UserError(
                f"MUJOCO_GL={asked} switches rendering off: unset it, or set egl or osmesa, or use obs=state"
            )
        return _SPELLINGS[asked]
    candidates = ("egl", "osmesa") if render_device is None else ("egl",)
    for backend in candidates:
        if _renderer(backend, device()) is not None:
            os.environ["MUJOCO_GL"] = backend
            return backend
    where = "" if render_device is None else f" on render.device={render_device}"
    raise UserError(
        f"no headless OpenGL renders here{where} (tried {' and '.join(candidates)}); {_INSTALL}; obs=state needs none"
    )


def implementation(render_device: int | None = None, cuda_device: int | None = None) -> str:
    """The backend, and OpenGL's name of what draws behind it: "egl, llvmpipe (LLVM 15.0.6, 256 bits)". Two of them draw
    pictures that differ in single values.

    Raises UserError as `choose` does, and where the user's own choice doesn't render: tried in a subprocess.
    """
    backend = choose(render_device, cuda_device)
    name = _renderer(backend, device())
    if name is None:
        raise failed(backend, RuntimeError("the first picture was empty"))
    return f"{backend}, {name}"


def device() -> str:
    """The EGL device in use: MUJOCO_EGL_DEVICE_ID or "default"."""
    return os.environ.get(_DEVICE, "default")


def failed(backend: str, cause: Exception) -> UserError:
    """The error for a chosen `backend` that can't render."""
    return UserError(f"MUJOCO_GL={backend} (device {device()}) can't render: {cause}; unset MUJOCO_GL, or {_INSTALL}")


def _egl_index(cuda_device: int) -> int | None:
    """The index in EGL's list of the GPU that CUDA calls `cuda_device`: the two number GPUs in orders of their own.

    None where EGL or its extension EGL_NV_device_cuda is missing, or no device of EGL's is that one.
    """
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return None
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    addresses = [egl.eglGetProcAddress(name) for name in (b"eglQueryDevicesEXT", b"eglQueryDeviceAttribEXT")]
    if not all(addresses):
        return None
    pointer, boolean, integer, attribute = ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_ssize_t
    to = ctypes.POINTER
    query_devices = ctypes.CFUNCTYPE(boolean, integer, to(pointer), to(integer))(addresses[0])
    query_attribute = ctypes.CFUNCTYPE(boolean, pointer, integer, to(attribute))(addresses[1])
    devices, count, number = (pointer * 64)(), integer(), attribute()
    query_devices(len(devices), devices, count)
    for index, handle in enumerate(devices[: count.value]):
        if query_attribute(handle, _EGL_CUDA_DEVICE_NV, number) and number.value == cuda_device:
            return index
    return None


@functools.cache
def _renderer(backend: str, device: str) -> str | None:
    """What OpenGL calls itself; None where it doesn't render."""
    environment = {**os.environ, "MUJOCO_GL": backend}
    # Left over from another backend it would make the import of this one fail.
    environment.pop("PYOPENGL_PLATFORM", None)
    try:
        # -P: a file of the user's working directory must not shadow a package.
        probe = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE], env=environment, capture_output=True, text=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        return None
    return probe.stdout.strip()[:80] if probe.returncode == 0 else None
