"""The edge between the command line and the libraries: Hydra in, plain dictionaries out, one line for every mistake.

Exit codes: 0 done; 1 a job of a sweep failed, wherever it ran; 2 the command line or a file named on it is wrong;
130 stopped by Ctrl-C, 143 by SIGTERM; anything unforeseen keeps its traceback, because it is a fault of the program.
"""

from __future__ import annotations

import difflib
import errno
import functools
import os
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cli import launchers
from envs.tasks import is_gymnasium
from runtime import malloc
from runtime.errors import UserError

CONFIG_DIR = Path(__file__).resolve().parents[1] / "cfgs"

# What Hydra takes besides name=value.
_FLAGS = {
    "-h",
    "--help",
    "--hydra-help",
    "--version",
    "-c",
    "--cfg",
    "--resolve",
    "-p",
    "--package",
    "-r",
    "--run",
    "-m",
    "--multirun",
    "-sc",
    "--shell-completion",
    "-cp",
    "--config-path",
    "-cn",
    "--config-name",
    "-cd",
    "--config-dir",
    "--experimental-rerun",
    "-i",
    "--info",
}
# What the file system refuses, which is a person's to mend and no fault of the program.
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}

# The options that memory goes by.
_LOWER = {"train": "batch_size", "distill": "batch_size"}
_LOWER |= {"convert": "chunk or max_batch_bytes", "analyze": "chunk or max_batch_bytes"}

# What brings Hydra's plugins, which are optional.
_PLUGINS = ("joblib", "submitit_local", "submitit_slurm", "optuna")

Job = Callable[[dict[str, Any], Path], float | None]
OnFailure = Callable[[dict[str, Any], Path, str], None]


def main(config_name: str, on_failure: OnFailure | None = None) -> Callable[[Job], Callable[[], None]]:
    """Decorates `job(config, run_dir)` into a command-line program configured by cfgs/<config_name>.yaml.

    `config` is a plain nested dictionary with every interpolation resolved; `run_dir` is the absolute folder
    that Hydra's configuration names; what the job returns is what a sweeper that optimises sees. In a multirun no
    job may raise: Hydra 1.3 would skip its callbacks and end the sweep, so a job's UserError is printed, passed to
    `on_failure(config, run_dir, cause)`, and turned into exit code 1 once the sweep is over.
    """

    def decorate(job: Job) -> Callable[[], None]:
        failures: list[str] = []

        # Launchers may send this function to other processes, which see nothing of what it leaves in this one.
        def hydra_job(config: DictConfig) -> float | launchers.Failure | None:
            malloc.keep_large_blocks()
            hydra_config = HydraConfig.get()
            run_dir = Path(hydra_config.runtime.output_dir).absolute()
            is_sweep = hydra_config.mode == RunMode.MULTIRUN
            values: dict[str, Any] = {}
            try:
                values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
                _check_groups_of_options(config_name, values)
                return job(values, run_dir)
            except Exception as error:
                if _is_out_of_memory(error):
                    error = UserError(f"out of memory: {one_line(error):.100}; lower {_LOWER[config_name]}")
                # Not raised through Hydra, which would add lines of its own and end a sweep.
                if isinstance(error, user_errors()) or _is_refusal(error):
                    _say(error)
                elif is_sweep:
                    traceback.print_exc()
                else:
                    raise
                cause = one_line(error)
                if on_failure is not None and is_sweep:
                    on_failure(values, run_dir, cause)
                _remove_empty(run_dir)
                if is_sweep:
                    return launchers.Failure(cause, told=launchers.stderr())
                failures.append(cause)
                return None

        @functools.wraps(job)
        def program() -> None:
            failures.clear()
            # Before the first large tensor and before Hydra swallows exceptions into its own messages.
            malloc.keep_large_blocks()
            os.environ["HYDRA_FULL_ERROR"] = "1"
            _found_by_other_processes()
            try:
                _check_words(config_name, sys.argv[1:])
                # argparse takes no flag between options.
                sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in ("-m", "--multirun"))
                sys.argv[1:] += _observed(sys.argv[1:])
                with launchers.watched() as sweep:
                    _run(config_name, hydra_job, sweep)
            except KeyboardInterrupt as interrupt:
                terminated = interrupt.args == (signal.SIGTERM,)
                print("stopped by SIGTERM" if terminated else "stopped by Ctrl-C", file=sys.stderr)
                sys.exit(143 if terminated else 130)
            except user_errors() as error:
                _say(error, config_name)
                sys.exit(2)
            if sweep.failures:
                print(f"{len(sweep.failures)} job(s) of the sweep failed", file=sys.stderr)
                sys.exit(1)
            if failures:
                sys.exit(2)

        return program

    return decorate


def _run(config_name: str, hydra_job: Callable[[DictConfig], Any], sweep: launchers.Sweep) -> None:
    """Hydra's own part. Raises UserError for folders that can't be written, and for a sweep that its sweeper gave up."""
    try:
        hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)(hydra_job)()
    except OSError as error:  # of Hydra's making: what the job raises never gets here as one
        if error.filename is None:
            raise
        raise UserError(
            f"hydra.run.dir, hydra.sweep.dir: {error.filename}: {error.strerror}; name a folder that can be written"
        ) from None
    except Exception as error:
        if not sweep.failures:
            raise
        # An optimiser whose every trial failed.
        print(f"error: the sweep ended without a report ({one_line(error)})", file=sys.stderr)


def _observed(words: list[str]) -> list[str]:
    """obs=state where the words name Gymnasium's tasks, which are always observed so, and leave `obs` open."""
    names = [word.partition("=")[0] for word in words]
    listed = [word.partition("=")[2].split(",") for word in words if word.startswith("env_name=")]
    known = bool(listed) and all(is_gymnasium(task) for task in listed[-1])
    return ["obs=state"] if known and "obs" not in names else []


def _found_by_other_processes() -> None:
    """Jobs that a launcher starts elsewhere, in whatever folder, must find the project's modules."""
    here, known = str(CONFIG_DIR.parent), os.environ.get("PYTHONPATH", "")
    if here not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, known]))


def end_on_sigterm() -> None:
    """Makes a scheduler's SIGTERM end the program as Ctrl-C does: files are closed, what was written last stands."""

    def interrupt(*_: Any) -> None:
        # Not by way of SIGINT, which shells make background jobs ignore.
        raise KeyboardInterrupt(signal.SIGTERM)

    signal.signal(signal.SIGTERM, interrupt)


def _remove_empty(run_dir: Path) -> None:
    """Takes back the folders that Hydra made for a job before it could refuse its options."""
    here = Path.cwd()
    for folder in (run_dir, *run_dir.parents):
        if here not in folder.parents:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def user_errors() -> tuple[type[Exception], ...]:
    """The exceptions that are a person's to mend: ours, the converter's, Hydra's and OmegaConf's."""
    errors: tuple[type[Exception], ...] = (UserError, HydraException, OmegaConfBaseException)
    # Only a program that has loaded the converter can meet its error; loading it here would cost the others torch.
    if "snn" in sys.modules:
        errors += (sys.modules["snn"].ConversionError,)
    return errors


def one_line(error: BaseException, config_name: str | None = None) -> str:
    """The error's message on a single line; Hydra's and OmegaConf's are reduced to what names the option, with a remedy."""
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return f"{error.filename or 'disk'}: {error.strerror}"
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    lines = [
        line
        for line in lines
        if not re.match(r"(full_key|object_type|reference_type|See https?:|provider=|Config search path)", line)
    ]
    if not lines:
        return type(error).__name__
    if isinstance(error, UserError):
        return " ".join(lines)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: {lines[-1]}; write name=value, and quote what holds special characters: \"name='value'\""
    if match := re.match(r"Could not override '(.*)'\.", lines[0]):
        return _unknown(match[1], config_name)
    if match := re.match(r"In '.*': Could not find 'hydra/(?:launcher|sweeper)/(\w+)'", lines[0]):
        if match[1] in _PLUGINS:
            return f"{match[1]}: this plugin of Hydra's is not installed; pip install -r requirements.txt"
    if match := re.match(r"Missing mandatory value: (.*)", lines[0]):
        return f"{match[1]}=???: has no value; give {match[1]}=..."
    return " ".join(re.sub(r"^Available options in '(.*)':$", r"Choose one of:", line) for line in lines)


def _say(error: BaseException, config_name: str | None = None) -> None:
    # Words of a damaged file may stand in it: they break no line and steer no terminal.
    line = "".join(letter if letter.isprintable() else "?" for letter in one_line(error, config_name))
    print(f"error: {line}", file=sys.stderr)


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _REFUSALS


def _is_out_of_memory(error: Exception) -> bool:
    # Torch has a class for a GPU's memory, and none for the CPU's and for page-locked memory.
    said = isinstance(error, RuntimeError) and re.search("out of memory|can't allocate memory", str(error))
    return bool(said) or isinstance(error, MemoryError)


def _known(config_name: str) -> list[str]:
    """The options of a program as written on the command line, and the groups of cfgs/."""

    def flat(prefix: str, values: dict[str, Any]) -> list[str]:
        names = []
        for key, value in values.items():
            names += flat(f"{prefix}{key}.", value) if isinstance(value, dict) else [f"{prefix}{key}"]
        return names

    options = {key: value for key, value in _defaults(config_name).items() if key not in ("defaults", "hydra")}
    return [*flat("", options), *_groups()]


def _defaults(config_name: str) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(CONFIG_DIR / f"{config_name}.yaml"))


def _groups() -> list[str]:
    return sorted(path.name for path in CONFIG_DIR.iterdir() if path.is_dir())


def _unknown(name: str, config_name: str | None) -> str:
    word = next((word for word in sys.argv[1:] if word.lstrip("+").partition("=")[0] == name), name)
    if config_name is None:
        return f"{word}: unknown option"
    near = difflib.get_close_matches(name, _known(config_name), n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{word}: unknown option; {meant}cfgs/{config_name}.yaml lists them all"


def _check_words(config_name: str, words: list[str]) -> None:
    """Refuses words that Hydra would take for something else than was meant, or answer with more than a line."""
    for word in words:
        if match := re.match(r"(\w+)@_global_=(.*)", word):
            raise UserError(f"{word}: this is the spelling of older Hydra releases; write {match[1]}={match[2]}")
        if word.startswith("-") and word.partition("=")[0] not in _FLAGS:
            raise UserError(f"{word}: unknown flag; options are written name=value, and --help lists the flags")
        if word.startswith("~"):
            raise UserError(
                f"{word}: no option can be left out; to change one write {word[1:].partition('=')[0]}=value"
            )
        name, equals, value = word.lstrip("+").partition("=")
        if (name, value) == ("hydra/launcher", "submitit_slurm") and shutil.which("srun") is None:
            raise UserError(
                f"{word}: no srun is found here; start it on a machine of a Slurm cluster, or choose joblib or submitit_local"
            )
        if equals and not name:
            raise UserError(f"{word}: names no option; write name=value")
        if word.startswith("+") and name not in _groups() and not name.startswith("hydra"):
            if name in _known(config_name):
                raise UserError(f"{word}: the option is there already; write {name}={value}")
            raise UserError(_unknown(name, config_name))
        if equals and name in _groups() and re.fullmatch(r"|null|true|false|[-+.\d]+|\{.*\}", value, re.I):
            choices = sorted(path.stem for path in (CONFIG_DIR / name).glob("*.yaml"))
            raise UserError(f"{word}: must name a file of cfgs/{name}: {', '.join(choices)}")


def _check_groups_of_options(config_name: str, values: dict[str, Any]) -> None:
    """Refuses a plain value where the program's configuration has several options under one name."""
    for key, default in _defaults(config_name).items():
        if isinstance(default, dict) and key in values and not isinstance(values[key], dict):
            options = ", ".join(f"{key}.{name}" for name in default)
            raise UserError(f"{key}={values[key]}: {key} is not an option but several: {options}")
