"""--help and --version: a program's own docstring, and its options with the sentences beside them in cfgs/."""

from cli.command_line import ADDED_GROUPS, CONFIG_DIR, choices, groups
from runtime.versions import versions


def version() -> str:
    """The toolkit's version, and what results depend on."""
    import snn

    return f"snn-crpi {snn.__version__} ({', '.join(f'{name} {value}' for name, value in versions().items())})"


def usage(program: str, docstring: str) -> str:
    """What the program does, examples, groups and options."""
    added = [f"+{group}" for group in ADDED_GROUPS.get(program, ())]
    lines = [
        docstring.strip(),
        "",
        "Options, written name=value; -m runs every combination of values given as name=a,b:",
        *_options(program),
        "",
        "Groups, each a file of cfgs/ that sets several options:",
        *(f"  {group}={'|'.join(choices(group.strip('+')))}" for group in groups(program) + added),
        "",
        "Flags: -m, --multirun  --version  --cfg job (the configuration)  -sc install=bash (completion)",
    ]
    return "\n".join(lines)


def _options(program: str) -> list[str]:
    """The lines of cfgs/<program>.yaml, as they are written on the command line, under the file's own headings."""
    lines: list[str] = []
    group = ""
    text = (CONFIG_DIR / f"{program}.yaml").read_text(encoding="utf-8")
    for line in text.partition("\nhydra:")[0].splitlines()[1:]:
        code, _, sentence = line.partition("#")
        name, _, value = (part.strip() for part in code.partition(":"))
        if not name:
            lines += ["", f"  {sentence.strip()}"] if sentence else []
        elif not code.startswith(" "):
            group = "" if value else f"{name}."
        if value and name and not name.startswith("-"):
            lines.append(f"  {group * code.startswith(' ')}{name}={value}".ljust(34) + f"  {sentence.strip()}")
    return lines
