"""What all that is refused has in common."""

import contextlib
from collections.abc import Iterator

import pytest

from runtime.errors import UserError


@contextlib.contextmanager
def refused(words: str, kind: type[Exception] = UserError) -> Iterator[pytest.ExceptionInfo]:
    """What runs inside is refused in one line, in which `words`, a regular expression, are found."""
    with pytest.raises(kind, match=words or None) as refusal:
        yield refusal
    said = str(refusal.value)
    del refusal  # its frames would keep what the refused one had opened
    assert "\n" not in said
