"""scripts/setup.sh on machines that lack things, played by stand-ins for python, pip, apt-get, sudo and id."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = "sh true cat cut dirname env id sha256sum basename touch grep mkdir chmod cp rm".split()

# Answers as a Python of version $VERSION would; notes each use; `-m venv DIR` makes a .venv of the same kind.
PYTHON = """#!/bin/sh
echo "python $*" >> "$LOG"
case "$*" in
    --version) echo "Python $VERSION" ;;
    *version_info*) [ "$VERSION" != 3.10.2 ] ;;
    *"import ensurepip"*) [ -e "$STATE/venv" ] ;;
    "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"gl.choose"*) [ -e "$STATE/gl" ] ;;
    *urlopen*) false ;;
    *"pip install"*) [ -e "$STATE/network" ] ;;
    *) true ;;
esac
"""
APT = """#!/bin/sh
echo "apt-get $*" >> "$LOG"
case "$*" in
    *venv*) touch "$STATE/venv" ;;
    *libosmesa6*) [ ! -e "$STATE/osmesa helps" ] || touch "$STATE/gl" ;;
    *libegl1*) [ ! -e "$STATE/egl helps" ] || touch "$STATE/gl" ;;
esac
"""


class Machine:
    """A clone in a folder with spaces, and a PATH with nothing but what is put there."""

    version = "3.11.7"

    def __init__(self, folder):
        self.clone, self.bin, self.state = folder / "my clone", folder / "the tools", folder / "state"
        for path in (self.clone / "scripts", self.clone / ".ci", self.bin, self.state):
            path.mkdir(parents=True)
        for name in ("scripts/setup.sh", ".ci/run", "requirements.txt", "Makefile"):
            shutil.copy(ROOT / name, self.clone / name)
        for name in NEEDED:
            (self.bin / name).symlink_to(shutil.which(name))
        self.log = folder / "log"
        self.tool("python3", PYTHON)
        self.have("network", "venv", "gl")

    def tool(self, name, text):
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def have(self, *things):
        for thing in things:
            (self.state / thing).touch()

    def lack(self, *things):
        for thing in things:
            (self.state / thing).unlink()

    def as_user(self, sudo="exit 1"):
        self.tool("id", "#!/bin/sh\necho 1000\n")
        self.tool("sudo", f'#!/bin/sh\necho "sudo $*" >> "$LOG"\n{sudo}\n')

    def as_root(self):
        self.tool("id", "#!/bin/sh\necho 0\n")
        self.tool("apt-get", APT)
        self.tool("apt-cache", '#!/bin/sh\n[ -e "$STATE/osmesa packaged" ]\n')

    def set_up(self, words=("sh", "scripts/setup.sh"), code=0, **variables):
        self.log.write_text("")
        given = {"PATH": str(self.bin), "LOG": str(self.log), "STATE": str(self.state), "VERSION": self.version}
        done = subprocess.run(
            words, cwd=self.clone, env=given | variables, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == code, done.stderr
        return done

    @property
    def used(self):
        """What the last set-up called."""
        return self.log.read_text()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_later_runs_do_only_what_is_not_done_yet(machine):
    machine.lack("network")
    assert "pip could not install" in machine.set_up(code=1).stderr
    machine.have("network")
    machine.set_up()
    assert machine.used.count("pip install") == 1 and "requirements.txt" in machine.used
    machine.lack("network", "gl")
    second = machine.set_up()
    assert (second.stdout, second.stderr) == ("", "")
    assert "pip install" not in machine.used and "gl.choose" not in machine.used and "-m venv" not in machine.used
    machine.have("network", "gl")
    with open(machine.clone / "requirements.txt", "a") as file:
        file.write("six==1.17.0\n")
    machine.set_up()
    assert "pip install" in machine.used and "-m venv" not in machine.used
    (machine.clone / ".venv/bin/python").unlink()
    machine.set_up()
    assert "-m venv --clear .venv" in machine.used


def test_an_old_python_is_named_with_the_remedy(machine):
    machine.version = "3.10.2"
    said = machine.set_up(code=1).stderr
    assert said.count("\n") == 1 and "needs Python 3.11 or newer, found Python 3.10.2" in said and "PYTHON=" in said
    assert not (machine.clone / ".venv").exists()


def test_a_newer_python_under_its_own_name_is_found(machine):
    machine.tool("python3.12", PYTHON)
    machine.tool("python3", PYTHON.replace('"$VERSION" != 3.10.2', "1 = 2"))
    machine.set_up()
    assert shutil.which("python", path=machine.clone / ".venv/bin")


def test_no_python_and_no_rights(machine):
    (machine.bin / "python3").unlink()
    machine.as_user()
    machine.tool("apt-get", APT)
    said = machine.set_up(code=1).stderr
    assert said.count("\n") == 1 and "apt-get install python3 python3-venv" in said


@pytest.mark.parametrize(
    "lacking, having, used, unused",
    [
        ("venv", (), "python3-venv", "libegl1"),
        ("gl", ("egl helps", "osmesa packaged"), "libegl1", "libosmesa6"),
        ("gl", ("osmesa helps", "osmesa packaged"), "libosmesa6", "python3-venv"),
    ],
    ids=["Python's venv", "EGL first", "OSMesa as the fallback where it is packaged"],
)
def test_root_gets_what_is_lacking(machine, lacking, having, used, unused):
    machine.lack(lacking)
    machine.have(*having)
    machine.as_root()
    machine.set_up()
    installed = [line for line in machine.used.splitlines() if line.startswith("apt-get install -y")]
    assert used in installed[-1] and unused not in machine.used
    assert lacking != "gl" or "libegl1" in installed[0]


def test_nothing_renders_even_after_installing_but_who_sets_mujoco_gl_has_decided(machine):
    machine.lack("gl")
    machine.as_root()
    assert "neither EGL nor OSMesa renders" in machine.set_up(code=1).stderr
    assert "libosmesa6" not in machine.used
    machine.set_up(MUJOCO_GL="glfw")
    assert "gl.choose" not in machine.used


@pytest.mark.parametrize("sudo", [True, False])
def test_without_root_sudo_is_used_where_it_asks_nothing_else_one_line_says_what_to_install(machine, sudo):
    machine.lack("gl")
    machine.have("egl helps")
    machine.as_root()
    machine.as_user(sudo='[ "$1" = -n ] && shift\nexec "$@"' if sudo else "exit 1")
    said = machine.set_up(code=int(not sudo)).stderr
    assert ("sudo env DEBIAN_FRONTEND=noninteractive apt-get install" in machine.used) == sudo
    assert sudo or said.count("\n") == 1 and "apt-get install libegl1" in said


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize(
    "target, last",
    [
        ("check", "python -m mypy"),
        ("test", "python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder tests"),
        (
            "demo",
            "python convert.py env_name=cartpole_swingup obs=state SNN_ts=8 crpi.alpha=grid video=true "
            "hydra.run.dir=results/demo",
        ),
        ("setup", None),
    ],
)
def test_make_targets_set_up_first_and_work_in_a_path_with_spaces(machine, target, last):
    (machine.bin / "make").symlink_to(shutil.which("make"))
    machine.set_up(words=("make", target))
    lines = machine.used.splitlines()
    assert any("pip install" in line for line in lines)
    assert last is None or lines[-1] == last


def test_ci_runs_checks_and_tests_from_anywhere(machine):
    assert os.access(ROOT / ".ci/run", os.X_OK)
    machine.tool("make", '#!/bin/sh\necho "make $* in $(pwd)" >> "$LOG"\n[ "$1" = check ] || exit 7\n')
    ran = machine.set_up(words=("sh", "-c", f"cd /; '{machine.clone}/.ci/run'"), code=7)
    assert machine.used == f"make check in {machine.clone}\nmake test in {machine.clone}\n", ran.stderr
