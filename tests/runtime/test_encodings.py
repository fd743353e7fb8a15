"""Files are UTF-8 whatever the locale is: every text file that the source opens is opened as such."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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
