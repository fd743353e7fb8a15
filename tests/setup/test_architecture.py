"""The house as CONTRIBUTING.md describes it: imports run downwards, the library stands alone, links lead somewhere."""

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = ["runtime", "snn", "envs", "drqv2", "evaluation", "analysis", "report", "cli", "policies"]
# package → what it may import of ours
BELOW = {name: set(ORDER[:place]) for place, name in enumerate(ORDER)} | {"snn": set(), "envs": {"runtime"}}
TEXT = {"capture_output": True, "text": True, "cwd": ROOT}
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
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path]
    # From a copy: building leaves a folder in the source.
    for name in subprocess.run(["git", "ls-files", "snn", "*.toml", "README.md", "LICENSE"], **TEXT).stdout.split():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*pip, tmp_path / "source"], check=True)
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
    ran = subprocess.run([sys.executable, "-c", code], **TEXT | {"cwd": tmp_path / "installed"})
    assert str(tmp_path) in ran.stdout and "[5, 2]" in ran.stdout, ran.stderr


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
