"""What the code imports is pinned, and what is pinned is what is installed."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from tests.setup.test_architecture import ROOT, imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# They also import what they compare with: other implementations, other simulators.
HIDDEN = {"tests", "benchmarks", "examples"}
OURS = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/*.py")}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins():
    """Package name → version in requirements.txt; anything but an exact pin is an error."""
    versions = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line.startswith("./"):
            assert (ROOT / line.split(";")[0].strip() / "pyproject.toml").exists(), line
        elif line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][0-9.a-z]*)", line)
            assert match, f"{line!r} is no exact pin in pip's plain format"
            versions[canonical(match[1])] = match[2]
    return versions


def declared(*extras):
    """Canonical names of the dependencies (no extra given), or of those that the extras add."""
    lines = [line for extra in extras for line in EXTRAS[extra]] if extras else PROJECT["dependencies"]
    return {canonical(Requirement(line).name) for line in lines}


OPTIONAL = declared(*(set(EXTRAS) - {"programs", "test"}))


def sources(*folders):
    return [path for folder in folders for path in folder.rglob("*.py")]


PROGRAMS = [*ROOT.glob("*.py"), *sources(*(p for p in ROOT.iterdir() if p.is_dir() and p.name in OURS - HIDDEN))]


@pytest.mark.parametrize(
    "files, names",
    [
        (sources(ROOT / "snn"), declared()),
        (PROGRAMS, declared() | declared("programs")),
        (sources(ROOT / "tests"), declared() | declared(*EXTRAS)),
    ],
    ids=["snn", "programs", "tests"],
)
def test_everything_imported_is_declared_and_what_is_optional_is_imported_where_it_is_used(files, names):
    providers, own, seen = metadata.packages_distributions(), OURS | {path.stem for path in files}, set()
    for path in files:
        for module, at_once in imports(path).items():
            if module in sys.stdlib_module_names or module in own:
                continue
            seen.add(module)
            distributions = {canonical(name) for name in providers.get(module, [module])}
            # A subclass of Gymnasium's Env, imported by policies where it is asked for.
            late = not at_once or path == ROOT / "envs/gymnasium_env.py"
            assert distributions & names or (late and distributions & OPTIONAL), (
                f"{path} imports {module}: name {' or '.join(distributions)} in pyproject.toml, or import it later"
            )
    assert {"numpy", "torch"} <= seen  # the search finds something


def test_what_is_declared_is_pinned_within_its_range_and_installed_and_nothing_else_is():
    pinned = pins()
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    requirements = {canonical(Requirement(line).name): Requirement(line) for line in lines}
    assert requirements.keys() == pinned.keys()
    for name, version in pinned.items():
        assert requirements[name].specifier.contains(version, prereleases=True), (name, version)
        assert metadata.version(name).split("+")[0] == version, name


def test_no_task_needs_the_package_that_has_no_wheel():
    # scripts/labmaze stands in for it on Python 3.13 and later.
    code = (
        "import sys; sys.modules['labmaze'] = None; import envs\n"
        "for task in ('cheetah_run', 'reach_duplo'): envs.make(task, obs='state').reset()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
