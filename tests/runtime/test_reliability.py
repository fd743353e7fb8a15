"""The page of promises names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_promise_names_a_test_that_there_is():
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    promises = [line for line in page.splitlines() if line.startswith("| ") and "tests/" in line]
    named = [match for line in promises for match in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", line)]
    assert len(promises) > 20 and len(named) >= len(promises)
    for file, name in named:
        assert f"def {name or 'test_'}" in (ROOT / file).read_text(encoding="utf-8"), (file, name)
