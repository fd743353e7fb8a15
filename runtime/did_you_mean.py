"""Suggestions for a misspelt word."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """ "did you mean a or b? ": up to three of `known` that are nearest to `word`, ignoring case and dashes.

    Nothing where none is as near as `cutoff`, difflib's, from 0 to 1.
    """
    plain = {name.lower().replace("-", "_"): name for name in known}
    for similar in (1.0, 0.85, 0.7, cutoff):
        if matches := difflib.get_close_matches(word.lower().replace("-", "_"), plain, n=3, cutoff=similar):
            return f"did you mean {' or '.join(plain[match] for match in matches)}? "
    return ""
