"""Pictures of a simulator. One OpenGL context per task and process, however many environments share it.

A context holds textures, meshes and a shadow map, 20-100 MB with Mesa, and none of it depends on an environment's
state; what does (poses, sizes, colours) is copied from the environment's model and data before each picture.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from envs import gl
from runtime.errors import UserError

_LARGEST = 4096  # pixels a side
# Backend → its module and class below dm_control._render, whose own Renderer was settled when dm_control was imported:
# for obs=state before anyone knew that a picture would be asked for.
_CONTEXTS = {
    "egl": ("pyopengl.egl_renderer", "EGLContext"),
    "osmesa": ("pyopengl.osmesa_renderer", "OSMesaContext"),
    "glfw": ("glfw_renderer", "GLFWContext"),
}

_shared: dict[str, Renderer] = {}


def acquire(task: str, model: Any) -> Renderer:
    """The process's renderer for `task`, made from `model` at the first call. Give it back with `release`.

    Raises UserError if OpenGL can't render (see `gl.choose`).
    """
    if task not in _shared:
        _shared[task] = Renderer(model)
    _shared[task].users += 1
    return _shared[task]


def release(task: str) -> None:
    """Gives back one `acquire`; the last one frees the context."""
    renderer = _shared[task]
    renderer.users -= 1
    if renderer.users == 0:
        del _shared[task]
        renderer.free()


class Renderer:
    """Draws with MuJoCo's default visual options, as dm_control's `physics.render` does, into an offscreen buffer."""

    def __init__(self, model: Any):
        import mujoco
        from dm_control.mujoco import wrapper

        self._mujoco = mujoco
        self.users = 0
        self._size = model.vis.global_.offheight, model.vis.global_.offwidth
        backend = gl.choose()
        module, name = _CONTEXTS[backend]
        try:
            context = getattr(importlib.import_module(f"dm_control._render.{module}"), name)
            self._gl = context(max_width=self._size[1], max_height=self._size[0])
            self._context = wrapper.MjrContext(model, self._gl)
        except (mujoco.FatalError, ImportError, RuntimeError, AttributeError, OSError) as error:
            raise gl.failed(backend, error) from error
        self._scene = wrapper.MjvScene(model=model)
        self._option = wrapper.MjvOption()
        self._perturb = wrapper.MjvPerturb()
        self._camera = wrapper.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED

    def render(self, physics: Any, height: int, width: int, camera: int | str) -> np.ndarray:
        """uint8 [height, width, 3] picture of `physics` (whose model must be of this renderer's task)."""
        if not (1 <= height <= _LARGEST and 1 <= width <= _LARGEST):
            raise UserError(f"picture of {height}x{width} (height x width): both must be from 1 to {_LARGEST}")
        mujoco, model, data = self._mujoco, physics.model, physics.data
        self._camera.fixedcamid = model.name2id(camera, "camera") if isinstance(camera, str) else camera
        mujoco.mjv_updateScene(
            model.ptr,
            data.ptr,
            self._option.ptr,
            self._perturb.ptr,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        picture = np.empty((height, width, 3), np.uint8)
        with self._gl.make_current() as thread:
            thread.call(self._draw, picture)
        # OpenGL's first row is the lowest.
        return np.ascontiguousarray(picture[::-1])

    def free(self) -> None:
        """Frees the OpenGL context; the renderer can't be used afterwards."""
        self._context.free()
        self._gl.free()

    def _draw(self, picture: np.ndarray) -> None:
        height, width, _ = picture.shape
        if self._size != (height, width):
            # The whole buffer is cleared and resolved for each picture: one that is too large costs 10-15 %.
            self._mujoco.mjr_resizeOffscreen(width, height, self._context.ptr)
            self._size = height, width
        viewport = self._mujoco.MjrRect(0, 0, width, height)
        self._mujoco.mjr_render(viewport, self._scene, self._context.ptr)
        self._mujoco.mjr_readPixels(picture, None, viewport, self._context.ptr)
