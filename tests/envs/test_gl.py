import os
import re

import pytest

import envs
from envs import gl
from tests import processes
from tests.refusals import refused


@pytest.fixture
def undecided(monkeypatch):
    """An environment in which nobody has chosen yet, restored afterwards."""
    for name in ("MUJOCO_GL", "MUJOCO_EGL_DEVICE_ID"):
        monkeypatch.setenv(name, "")  # so that monkeypatch puts back what `choose` will set
        monkeypatch.delenv(name)


def python(code, **variables):
    """What `code` prints in a new interpreter in which of the rendering variables only `variables` are set."""
    return processes.python("-c", code, **{"MUJOCO_GL": None, "PYOPENGL_PLATFORM": None} | variables).stdout


STATE_ONLY = """
import sys, numpy as np, envs
environment = envs.make("cheetah_run", obs="state")
environment.reset((0, 0, 0))
environment.step(np.zeros(6, np.float32))
print(sorted(name for name in sys.modules if name.split(".")[0] in ("OpenGL", "glfw", "torch")))
"""


# egl with such a device: the import of dm_control would fail, if it were left to open it
@pytest.mark.parametrize("variables", [{"MUJOCO_GL": "disable"}, {}, {"MUJOCO_GL": "egl", "MUJOCO_EGL_DEVICE_ID": "9"}])
def test_state_loads_no_renderer(variables):
    assert python(STATE_ONLY, **variables) == "[]\n"


def test_state_can_be_pictured():
    told = python(STATE_ONLY + "import os; print(environment.render(84, 84).std() > 1, os.environ['MUJOCO_GL'])")
    assert told.split("\n")[1] in ("True egl", "True osmesa")


def test_the_package_itself_loads_nothing_heavy():
    heavy = "{'dm_control', 'mujoco', 'torch', 'OpenGL', 'imageio', 'hydra', 'omegaconf'}"
    assert python(f"import sys, envs, envs.vector, envs.video; print({heavy} & set(sys.modules))") == "set()\n"


@pytest.mark.parametrize("works, chosen", [({"egl", "osmesa"}, "egl"), ({"egl"}, "egl"), ({"osmesa"}, "osmesa")])
def test_egl_comes_before_osmesa(undecided, monkeypatch, works, chosen):
    monkeypatch.setattr(gl, "_renderer", lambda backend, device: "one" if backend in works else None)
    assert gl.choose() == chosen
    assert os.environ["MUJOCO_GL"] == chosen  # for dm_control and for workers
    monkeypatch.setattr(gl, "_renderer", lambda *_: pytest.fail("probed twice"))
    assert gl.choose() == chosen


def test_where_nothing_renders_one_line_names_the_packages(undecided, monkeypatch):
    monkeypatch.setattr(gl, "_renderer", lambda *_: None)
    with refused("apt-get install libegl1.*libosmesa6"):
        envs.make("cheetah_run")
    assert "MUJOCO_GL" not in os.environ
    envs.make("cheetah_run", obs="state").close()


@pytest.mark.parametrize("value, backend", [("egl", "egl"), ("osmesa", "osmesa"), ("glfw", "glfw"), ("on", "glfw")])
def test_the_users_choice_wins(undecided, monkeypatch, value, backend):
    monkeypatch.setenv("MUJOCO_GL", value)
    monkeypatch.setattr(gl, "_renderer", lambda *_: pytest.fail("probed although the user has chosen"))
    assert gl.choose() == backend
    assert os.environ["MUJOCO_GL"] == value


@pytest.mark.parametrize(
    "value, words", [("disable", "switches rendering off"), ("elg", "must be egl, osmesa or glfw")]
)
def test_a_choice_that_cannot_render_is_refused(undecided, monkeypatch, value, words):
    monkeypatch.setenv("MUJOCO_GL", value)
    with refused(f"MUJOCO_GL={value}.*{words}"):
        envs.make("cheetah_run")


@pytest.mark.parametrize(
    "settings, variables, words",
    [
        ("obs='state'", {"MUJOCO_GL": "off"}, "MUJOCO_GL=off switches rendering off"),
        ("obs='pixels'", {"MUJOCO_GL": "glfw", "DISPLAY": ""}, "MUJOCO_GL=glfw .*can't render"),
        ("render_device=9", {"MUJOCO_GL": "egl"}, r"MUJOCO_GL=egl \(device 9\) can't render"),
    ],
)
def test_what_cannot_render_says_so_when_a_picture_is_asked_for(settings, variables, words):
    code = f"import envs; one = envs.make('cheetah_run', {settings}); one.reset(); one.render()"
    said = processes.python("-c", code, code=1, **{"PYOPENGL_PLATFORM": None} | variables).stderr
    assert re.search(f"^runtime.errors.UserError: {words}", said, re.MULTILINE), said


def test_render_device_becomes_the_egl_device(undecided, monkeypatch):
    monkeypatch.setattr(gl, "_renderer", lambda backend, device: "one" if device == "3" else None)
    assert (gl.choose(3), gl.device()) == ("egl", "3")
    for device, words in ((-1, "render.device=-1"), (9, "render.device=9 .*egl")):
        monkeypatch.delenv("MUJOCO_GL", raising=False)
        with refused(words):
            gl.choose(device)
