"""The one exception that reaches a user as a single line, and what such a line suggests for a misspelt word."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the person at the command line can put right.

    The message is one line that names the option or file, the value found and what would be right.
    `program.main` prints it without a traceback and exits with code 2.
    """


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """ "did you mean a or b? ": up to three of `known` that are nearest to `word`, ignoring case and dashes.

    Nothing where none is as near as `cutoff`, difflib's, from 0 to 1.
    """
    plain = {name.lower().replace("-", "_"): name for name in known}
    for similar in (1.0, 0.85, 0.7, cutoff):
        if matches := difflib.get_close_matches(word.lower().replace("-", "_"), plain, n=3, cutoff=similar):
            return f"did you mean {' or '.join(plain[match] for match in matches)}? "
    return ""
