"""What the code imports is pinned, and what is pinned is what is installed."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
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


def imported(files, late=False):
    """Third-party top-level module → a file that imports it; with `late` only what is imported inside a function."""
    modules, own = {}, OURS | {path.stem for path in files}
    for path in files:
        tree = ast.parse(path.read_text())
        first = set(tree.body)
        for node in ast.walk(tree):
            if late and node in first:
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in (name.split(".")[0] for name in names):
                if name not in sys.stdlib_module_names and name not in own:
                    modules.setdefault(name, path.relative_to(ROOT))
    return modules


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
def test_everything_imported_is_declared(files, names):
    modules, late, providers = imported(files), imported(files, late=True), metadata.packages_distributions()
    assert {"numpy", "torch"} <= set(modules)  # the search finds something
    for module, path in modules.items():
        distributions = {canonical(name) for name in providers.get(module, [module])}
        assert distributions & names or (module in late and distributions & OPTIONAL), (
            f"{path} imports {module}: name {' or '.join(distributions)} in pyproject.toml"
        )


def test_what_is_optional_is_imported_where_it_is_used():
    providers = metadata.packages_distributions()
    late = ROOT / "envs/gymnasium_env.py"  # a subclass of Gymnasium's Env, imported by policies where it is asked for
    for path in set(PROGRAMS) - {late}:
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in (name.split(".")[0] for name in names):
                distributions = {canonical(name) for name in providers.get(module, [])}
                assert not distributions or distributions - OPTIONAL, (
                    f"{path} imports {module} at once, which is not always installed"
                )


def test_what_is_declared_is_pinned_within_its_range_and_nothing_else_is():
    pinned = pins()
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    requirements = {canonical(Requirement(line).name): Requirement(line) for line in lines}
    assert requirements.keys() == pinned.keys()
    for name, version in pinned.items():
        assert requirements[name].specifier.contains(version, prereleases=True), (name, version)


def test_what_is_pinned_is_installed():
    for name, version in pins().items():
        assert metadata.version(name).split("+")[0] == version, name


def test_the_versions_that_the_project_is_built_on():
    pinned = pins()
    assert pinned["torch"] == "2.13.0"
    assert (pinned["dm-control"], pinned["mujoco"]) == ("1.0.50", "3.17.0")
    assert pinned["hydra-core"].startswith("1.3.") and pinned["numpy"].startswith("2.")


def test_no_task_needs_the_package_that_has_no_wheel():
    # scripts/labmaze stands in for it on Python 3.13 and later.
    code = (
        "import sys; sys.modules['labmaze'] = None; import envs\n"
        "for task in ('cheetah_run', 'reach_duplo'): envs.make(task, obs='state').reset()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
