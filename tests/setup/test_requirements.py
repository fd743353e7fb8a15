"""What the code imports is pinned, and what is pinned is what is installed."""

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/__init__.py")}
OURS |= {"tests", "benchmarks", "scripts"} | {path.stem for path in ROOT.glob("scripts/*.py")}
EXTRAS = ("requirements-cluster.txt", "requirements-optuna.txt", "requirements-nir.txt")


def pins(name):
    """Package name → version of a requirements file; anything but an exact pin is an error."""
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("-r "):
            found |= pins(line[3:].strip())
        elif line.startswith("./"):
            assert (ROOT / line.split(";")[0].strip() / "pyproject.toml").exists(), line
        elif line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][0-9.]*)", line)
            assert match, f"{name}: {line!r} is no exact pin in pip's plain format"
            found[canonical(match[1])] = match[2]
    return found


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(files, late=False):
    """Third-party top-level module → a file that imports it; with `late` only what is imported inside a function."""
    found, own = {}, OURS | {path.stem for path in files}
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
                    found.setdefault(name, path.relative_to(ROOT))
    return found


def sources(*folders):
    return [path for folder in folders for path in folder.rglob("*.py")]


def packages():
    hidden = {"tests", "benchmarks"}  # benchmarks also import the implementation that they compare with
    return [*ROOT.glob("*.py"), *sources(*(p for p in ROOT.iterdir() if p.is_dir() and p.name in OURS - hidden))]


@pytest.mark.parametrize(
    "files, requirements", [(packages(), "requirements.txt"), (sources(ROOT / "tests"), "requirements-test.txt")]
)
def test_everything_imported_is_pinned(files, requirements):
    pinned, providers = pins(requirements), metadata.packages_distributions()
    modules, late = imported(files), imported(files, late=True)
    assert {"numpy", "torch"} <= set(modules)  # the search finds something
    optional = {name for extra in EXTRAS for name in pins(extra)}
    for module, path in modules.items():
        distributions = {canonical(name) for name in providers.get(module, [module])}
        assert distributions & set(pinned) or (module in late and distributions & optional), (
            f"{path} imports {module}: pin {' or '.join(distributions)} in {requirements}"
        )


def test_what_is_optional_is_imported_where_it_is_used():
    optional = {name for extra in EXTRAS for name in pins(extra)} - set(pins("requirements.txt"))
    providers = metadata.packages_distributions()
    for path in packages():
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in (name.split(".")[0] for name in names):
                found = {canonical(name) for name in providers.get(module, [])}
                assert not found or found - optional, f"{path} imports {module} at once, which is not always installed"


def test_what_is_pinned_is_installed():
    for name, version in pins("requirements-test.txt").items():
        assert metadata.version(name).split("+")[0] == version, name


def test_tests_install_every_extra():
    assert {path.name for path in ROOT.glob("requirements-*.txt")} == {"requirements-test.txt", *EXTRAS}
    assert all(pins(extra).items() <= pins("requirements-test.txt").items() for extra in EXTRAS)


def test_the_versions_that_the_project_is_built_on():
    pinned = pins("requirements.txt")
    assert pinned["torch"] == "2.13.0"
    assert (pinned["dm-control"], pinned["mujoco"]) == ("1.0.50", "3.17.0")
    assert pinned["hydra-core"].startswith("1.3.") and pinned["numpy"].startswith("2.")
    assert {"imageio", "imageio-ffmpeg", "tensorboard", "tqdm", "matplotlib"} <= set(pinned)
    assert not {"pytest", "hypothesis"} & set(pinned)


def test_no_task_needs_the_package_that_has_no_wheel():
    # scripts/labmaze stands in for it on Python 3.13 and later.
    code = (
        "import sys; sys.modules['labmaze'] = None; import envs\n"
        "for task in ('cheetah_run', 'reach_duplo'): envs.make(task, obs='state').reset()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
