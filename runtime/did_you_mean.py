"""Suggestions for a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Up to three of `known` that are nearest to `word`, ignoring case and dashes."""
    plain = {name.lower().replace("-", "_"): name for name in known}
    for similar in (1.0, 0.85, 0.7, cutoff):
        if matches := difflib.get_close_matches(word.lower().replace("-", "_"), plain, n=3, cutoff=similar):
            return [plain[match] for match in matches]
    return []


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """ "did you mean a or b? ", or nothing."""
    names = near(word, known, cutoff)
    return f"did you mean {' or '.join(names)}? " if names else ""
