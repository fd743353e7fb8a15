"""The command line of a script that needs no configuration files."""

import argparse
from typing import Any


def parser(description: str | None, arguments: dict[str, dict[str, Any]]) -> argparse.ArgumentParser:
    """`description` is shown as it is written; `arguments`: argparse's keywords by "name" or "--option"."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, keywords in arguments.items():
        made.add_argument(name, **keywords)
    return made
