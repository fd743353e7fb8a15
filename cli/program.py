"""The edge between the command line and the libraries: Hydra in, plain dictionaries out, one line for every mistake.

Exit codes: 0 done; 1 a job of a sweep failed, wherever it ran; 2 the command line or a file named on it is wrong;
130 stopped by Ctrl-C, 143 by SIGTERM; anything unforeseen keeps its traceback, because it is a fault of the program.
"""

import errno
import functools
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from cli import command_line, help_text, sweep, terminal
from cli.sweep import Failure, SweepProgress
from runtime import malloc
from runtime.errors import UserError

# What the file system refuses, which is a person's to mend and no fault of the program.
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
# Flags that Hydra answers by itself.
_COMPLETION = {"-sc", "--shell-completion"}
_OF_HYDRA = {*_COMPLETION, "-c", "--cfg", "-i", "--info"}

Job = Callable[[dict[str, Any], Path], float | None]
OnFailure = Callable[[dict[str, Any], Path, str], None]


def main(config_name: str, on_failure: OnFailure | None = None) -> Callable[[Job], Callable[[], None]]:
    """Decorates `job(config, run_dir)` into a command-line program configured by cfgs/<config_name>.yaml.

    `config` is a plain nested dictionary with every interpolation resolved; `run_dir` is the absolute folder
    that Hydra's configuration names; what the job returns is what a sweeper that optimises sees. In a sweep
    what a job raises fails that job alone, and `on_failure(config, run_dir, cause)` is called.
    """

    def decorate(job: Job) -> Callable[[], None]:
        @functools.wraps(job)
        def program() -> None:
            _prepare()
            try:
                sys.exit(_run(config_name, sys.argv[1:], job, on_failure))
            except KeyboardInterrupt as interrupt:
                terminated = interrupt.args == (signal.SIGTERM,)
                notes = "".join(f"; {note}" for note in getattr(interrupt, "__notes__", ()))
                print(f"stopped by {'SIGTERM' if terminated else 'Ctrl-C'}{notes}", file=sys.stderr)
                sys.exit(143 if terminated else 130)
            except user_errors() as error:
                say(one_line(error))
                sys.exit(2)
            except OSError as error:  # of Hydra's making: what a job raises never gets here
                say(f"hydra.run.dir, hydra.sweep.dir: {one_line(error)}; name a folder that can be written")
                sys.exit(2)

        return program

    return decorate


def in_sweep() -> bool:
    """Whether the running job belongs to a sweep, whose jobs have one line each on the terminal."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def quiet(line: str) -> None:
    """Swallows a library's messages, where they would stand between the lines that are wanted."""


def _run(config_name: str, argv: list[str], job: Job, on_failure: OnFailure | None) -> int:
    """Does what the command line asks; returns the exit code."""
    flags = {word.partition("=")[0] for word in argv if word.startswith("-")}
    if flags & _OF_HYDRA:
        if not flags & _COMPLETION:
            # As a run reads them, whose configuration is asked for.
            given = [word for word in argv if "=" in word and not word.startswith("-")]
            others = [word for word in argv if word not in given]
            sys.argv[1:] = [*others, *map(sweep.word, command_line.check(config_name, given))]
        hydra.main(version_base="1.3", config_path=str(command_line.CONFIG_DIR), config_name=config_name)(
            lambda _: None
        )()
    elif "-h" in flags or "--help" in flags:
        print(help_text.usage(config_name, sys.modules[job.__module__].__doc__ or ""))
    elif "--version" in flags:
        print(help_text.version())
    elif unknown := sorted(flags - {"-m", "--multirun"}):
        raise UserError(f"{unknown[0]}: unknown flag; options are written name=value, and --help lists the flags")
    else:
        overrides = command_line.check(config_name, [word for word in argv if not word.startswith("-")])
        with hydra.initialize_config_dir(str(command_line.CONFIG_DIR), version_base="1.3", job_name=config_name):
            return _run_jobs(config_name, overrides, bool(flags), job, on_failure)
    return 0


def _run_jobs(
    config_name: str, overrides: list[Override], multirun: bool, job: Job, on_failure: OnFailure | None
) -> int:
    engine, given = GlobalHydra.instance().hydra, [sweep.word(override) for override in overrides]
    assert engine is not None
    if multirun or engine.get_mode(config_name, given) == RunMode.MULTIRUN:
        task = functools.partial(_task, job, on_failure)
        failures = sweep.run(config_name, overrides, task, reported=on_failure is not None)
        for line in failures:
            say(line)
        return 1 if failures else 0
    for override in overrides:
        if override.is_sweep_override():
            name, _, values = sweep.word(override).partition("=")
            listed = f"; a list is written {name}=[{values}]" if name == "crpi.alpha" else ""
            raise UserError(f"{sweep.word(override)}: to run each of these values add -m{listed}")
    returned = engine.run(config_name, _task(job, None, None), given, with_log_configuration=False).return_value
    if isinstance(returned, Failure) and returned.refused:
        raise UserError(returned.cause)
    return 1 if isinstance(returned, Failure) else 0


def _task(job: Job, on_failure: OnFailure | None, progress: SweepProgress | None) -> Callable[[DictConfig], Any]:
    """What Hydra runs. Launchers may send it to other processes, which see nothing of what it leaves in this one."""

    def task(config: DictConfig) -> float | Failure | None:
        _prepare()
        settings = HydraConfig.get()
        run_dir = Path(settings.runtime.output_dir).absolute()
        with terminal.labelled(progress.label(settings.job.num, settings.overrides.task) if progress else ""):
            values: dict[str, Any] = {}
            try:
                values = command_line.plain(config)
                return job(values, run_dir)
            except Exception as error:
                if _is_out_of_memory(error):
                    lower = "batch_size" if "batch_size" in values else "chunk or max_batch_bytes"
                    error = UserError(f"out of memory: {one_line(error):.100}; lower {lower}")
                # Not raised through Hydra, which would add lines of its own and end a sweep.
                refused = isinstance(error, user_errors()) or (isinstance(error, OSError) and error.errno in _REFUSALS)
                if not refused:
                    traceback.print_exc()
                failure = Failure(one_line(error), refused)
                if progress:
                    print(f"failed: {failure.cause}", flush=True)
                if on_failure is not None:
                    with suppress(OSError):  # a full disk takes no record either: the report calls the job missing
                        on_failure(values, run_dir, failure.cause)
                return failure
            finally:
                _remove_empty(run_dir)
                if progress:
                    progress.done(settings.job.num)

    return task


def _prepare() -> None:
    """What each process needs that runs jobs, wherever a launcher starts it; before the first large tensor.

    A scheduler's SIGTERM then ends a program as Ctrl-C does: files are closed, what was written last is kept.
    """
    malloc.keep_large_blocks()
    terminal.outlast()
    signal.signal(signal.SIGTERM, _interrupt)
    # Jobs that a launcher starts elsewhere, in whatever folder, must find the project's modules.
    here, known = str(command_line.CONFIG_DIR.parent), os.environ.get("PYTHONPATH", "")
    if here not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, known]))


def _interrupt(*_: Any) -> None:
    # Not by way of SIGINT, which shells make background jobs ignore.
    raise KeyboardInterrupt(signal.SIGTERM)


def _remove_empty(run_dir: Path) -> None:
    """Takes back the folders that Hydra made for a job which left nothing in them."""
    if Path.cwd() in run_dir.parents:
        with suppress(OSError):  # the first that isn't empty
            os.removedirs(os.path.relpath(run_dir))


def user_errors() -> tuple[type[Exception], ...]:
    """The exceptions that a user can put right: ours, the converter's, Hydra's and OmegaConf's."""
    # Only a program that has loaded the converter can meet its error; loading it here would cost the others torch.
    converter = [sys.modules["snn"].ConversionError] if "snn" in sys.modules else []
    return UserError, HydraException, OmegaConfBaseException, *converter


def one_line(error: BaseException) -> str:
    """The error's message on a single line; what Hydra and OmegaConf say is reduced to its first sentence."""
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}=???: has no value; give {error.full_key}=..."
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return f"{error.filename or 'disk'}: {error.strerror}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    is_long = isinstance(error, (HydraException, OmegaConfBaseException))
    return " ".join(lines[: 1 if is_long else None]) or type(error).__name__


def say(line: str) -> None:
    """Prints an error line."""
    # Words of a damaged file may stand in it: they break no line and steer no terminal.
    print("error: " + "".join(letter if letter.isprintable() else "?" for letter in line), file=sys.stderr)


def _is_out_of_memory(error: Exception) -> bool:
    # Torch has a class for a GPU's memory, and none for the CPU's and for page-locked memory.
    said = isinstance(error, RuntimeError) and re.search("out of memory|can't allocate memory", str(error))
    return bool(said) or isinstance(error, MemoryError)
