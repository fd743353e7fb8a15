"""The house as CONTRIBUTING.md describes it: imports run downwards, the library stands alone, links lead somewhere."""

import ast
import re
import shutil
import sys
import tomllib
import zipfile
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from tests.processes import ROOT, python

ORDER = ["runtime", "snn", "envs", "drqv2", "evaluation", "analysis", "report", "cli", "policies"]
# package → what it may import of ours
BELOW = {name: set(ORDER[:place]) for place, name in enumerate(ORDER)} | {"snn": set(), "envs": {"runtime"}}
PROGRAMS = {"train", "distill", "convert", "analyze", "scripts", "tests", "benchmarks"}


def imports(path):
    """Top-level modules that a file imports; whether at once, not only inside a function."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), {}
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in (name.partition(".")[0] for name in names):
            found[name] = found.get(name, False) or node in tree.body
    return found


@pytest.mark.parametrize("package", BELOW)
def test_imports_run_downwards(package):
    forbidden = (set(BELOW) | PROGRAMS) - BELOW[package] - {package}
    forbidden |= set() if package in ("cli", "policies") else {"hydra", "omegaconf"}
    found = {path: forbidden & set(imports(path)) for path in (ROOT / package).rglob("*.py")}
    assert found and not any(found.values()), found


def test_the_top_level_holds_programs_only():
    assert {path.stem for path in ROOT.glob("*.py")} == {"train", "distill", "convert", "analyze"}


def test_what_pip_installs_is_snn_alone_and_works_alone(tmp_path):
    # From a copy: building leaves a folder in the source.
    shutil.copytree(ROOT / "snn", tmp_path / "source/snn", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "source")
    python("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, tmp_path / "source")
    (wheel,) = tmp_path.glob("snn_crpi-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        installed = {name for name in archive.namelist() if ".dist-info/" not in name}
        archive.extractall(tmp_path / "installed")
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "snn").rglob("*.py")}
    assert installed == ours | {"snn/py.typed"}
    code = (
        "import torch, snn; net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2));"
        "x = torch.rand(5, 3); print(snn.__file__, snn.convert(net, snn.calibrate(net, [x])).__call__(x).shape)"
    )
    printed = python("-c", code, cwd=tmp_path / "installed", PYTHONPATH=None).stdout
    assert str(tmp_path) in printed and "[5, 2]" in printed


def anchors(path):
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "checkpoints/README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere_and_programs_exist(page):
    text = page.read_text(encoding="utf-8")
    for name, anchor in re.findall(r"\]\((?!https?:)([^)\s#]*)#?([^)\s]*)\)", text):
        path = page.parent / name if name else page
        assert path.exists() and (not anchor or anchor in anchors(path)), f"{page.name}: {name}#{anchor}"
    files = set(re.findall(r"python ([\w/]+\.py)", text))
    files |= {name.replace(".", "/") for name in re.findall(r"python -m ([\w.]+)", text)} - {"venv", "pytest"}
    for name in files:
        assert any((ROOT / (name + end)).exists() for end in ("", ".py", "/__main__.py")), f"{page.name}: {name}"


def test_classes_and_places_that_contributing_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    source = "".join(path.read_text(encoding="utf-8") for package in BELOW for path in (ROOT / package).rglob("*.py"))
    named = re.findall(r"`([A-Z][a-z]\w+|ANNPolicy)`", text.partition("## Glossary")[2])
    assert len(named) > 10 and not [name for name in named if not re.search(rf"^class {name}\b", source, re.MULTILINE)]
    assert not [place for place in re.findall(r"`([a-z]\w*/[\w/]*(?:\.py)?)`", text) if not (ROOT / place).exists()]


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 700


# ---- what the code imports is pinned, and what is pinned is installed ----


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


PROGRAM_FILES = [*ROOT.glob("*.py"), *sources(*(p for p in ROOT.iterdir() if p.is_dir() and p.name in OURS - HIDDEN))]


@pytest.mark.parametrize(
    "files, names",
    [
        (sources(ROOT / "snn"), declared()),
        (PROGRAM_FILES, declared() | declared("programs")),
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
    python("-c", code)


# ---- text files are UTF-8 whatever the locale ----


ROOMS = ("snn", "envs", "drqv2", "evaluation", "analysis", "report", "cli", "runtime", "scripts", "benchmarks")


def without_encoding(source: str) -> list[int]:
    """The lines that open a file as text in whatever encoding the locale has."""
    lines = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        words = [
            word.value for word in ast.walk(call) if isinstance(word, ast.Constant) and isinstance(word.value, str)
        ]
        is_text = name in ("read_text", "write_text") or (
            isinstance(call.func, ast.Name)
            and name == "open"
            and not any(set("rwxab+") >= set(w) > {"b"} for w in words)
        )
        if is_text and not any(keyword.arg == "encoding" for keyword in call.keywords):
            lines.append(call.lineno)
    return lines


@pytest.mark.parametrize("room", ROOMS)
def test_every_text_file_is_opened_as_utf_8(room):
    files = [path for path in (ROOT / room).rglob("*.py") if "labmaze" not in path.parts]
    assert files
    assert {str(path): lines for path in files if (lines := without_encoding(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "line, bad",
    [
        ("path.read_text()", True),
        ("path.write_text('b')", True),
        ("open(path, 'w', newline='')", True),
        ("open(path, 'rb')", False),
        ("open(path, 'r+b' if end else 'wb', buffering=0)", False),
        ("open(path, encoding='utf-8')", False),
        ("os.open(folder, os.O_RDONLY)", False),
    ],
)
def test_the_scan_tells_them_apart(line, bad):
    assert bool(without_encoding(line)) == bad


# ---- the page of promises ----


def test_every_promise_names_a_test_that_there_is():
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    promises = [line for line in page.splitlines() if line.startswith("| ") and "tests/" in line]
    named = [match for line in promises for match in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", line)]
    assert len(promises) > 20 and len(named) >= len(promises)
    for file, name in named:
        assert f"def {name or 'test_'}" in (ROOT / file).read_text(encoding="utf-8"), (file, name)
