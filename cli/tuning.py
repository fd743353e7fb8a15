"""The outcome of a search over convert.py's options: its best trial, and the command that reports on other episodes."""

import json
import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cli.command_line import CONFIG_DIR, flat, read
from evaluation.result import TRIAL
from runtime.errors import UserError


def is_search(config: DictConfig) -> bool:
    """Whether the sweeper chooses jobs by what earlier ones returned; Hydra's own sweeper knows them all beforehand."""
    return str(config.hydra.runtime.choices["hydra/sweeper"]) != "basic"


def check(config: DictConfig) -> None:
    """Raises UserError where the sweep is a search that can't be made."""
    if not is_search(config):
        return
    if not config.tune:
        raise UserError(
            "hydra/sweeper: a sweeper that optimises needs tune=true (as in +sweep=tune), which gives it the return "
            "of selection episodes; never tune on what you report"
        )
    if config.hydra.sweeper.get("storage") and int(metadata.version("sqlalchemy").partition(".")[0]) >= 2:
        raise UserError(
            f"hydra.sweeper.storage={config.hydra.sweeper.storage}: optuna 2 stores studies only with SQLAlchemy 1; "
            "pip install 'sqlalchemy<2' 'alembic<1.14', or leave it out: the same command replays the same trials "
            "from the store"
        )
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it talks in colours, to files too


def lines(sweep: Path) -> list[str]:
    """The trials of a finished search, in words for the terminal; none where no trial finished."""
    trials = [json.loads(path.read_text(encoding="utf-8")) for path in sweep.glob(f"*/{TRIAL}")]
    if not trials:
        return []
    best = max(trials, key=lambda trial: trial["value"])
    episodes = len({tuple(episode["seed"]) for episode in best["episodes"]})
    cut = ", cut short by max_decisions: no return" if any(episode["capped"] for episode in best["episodes"]) else ""
    return [
        f"best of {len(trials)} trials: {best['value']:.1f} on {episodes} selection episodes{cut}",
        "that figure chose the options, so it is optimistic; for one on other episodes:",
        f"    python convert.py {shlex.join(words(best['config'], best['alpha']))}",
    ]


def words(config: dict[str, Any], alpha: float) -> list[str]:
    """The command line of convert.py that makes this configuration, with one α and without the search."""
    given = flat(config) | {"tune": False, "crpi.alpha": alpha}
    neuron = config["neuron"]["name"]
    defaults = flat(read(CONFIG_DIR / "convert.yaml")) | flat(read(CONFIG_DIR / "neuron" / f"{neuron}.yaml"), "neuron.")
    changes = {name: value for name, value in given.items() if name != "env_name" and value != defaults.get(name)}
    return [
        f"env_name={config['env_name']}",  # also where it is the default
        *([] if neuron == "if" else [f"neuron={neuron}"]),
        *(
            f"{name}={_quoted(value) if isinstance(value, str) else json.dumps(value)}"
            for name, value in changes.items()
        ),
    ]


def _quoted(text: str) -> str:
    """As Hydra reads it: in quotes where it would take a comma for a sweep, or a sign or a space for what it is not."""
    if re.fullmatch(r"[\w./:~+-]+", text):
        return text
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + "\\'" * (found[2] == "'"), text) + "'"
