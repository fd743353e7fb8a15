"""The edge between the command line and the libraries: Hydra in, plain dictionaries out, one line for every mistake.

Exit codes: 0 done; 1 a job of a sweep failed; 2 the command line or a file named on it is wrong;
130 stopped by Ctrl-C; anything unforeseen keeps its traceback, because it is a fault of the program.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any, Callable

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runtime import malloc
from runtime.errors import UserError

CONFIG_DIR = Path(__file__).resolve().parent / "cfgs"

Job = Callable[[dict[str, Any], Path], None]
OnFailure = Callable[[dict[str, Any], Path, str], None]


def main(config_name: str, on_failure: OnFailure | None = None) -> Callable[[Job], Callable[[], None]]:
    """Decorates `job(config, run_dir)` into a command-line program configured by cfgs/<config_name>.yaml.

    `config` is a plain nested dictionary with every interpolation resolved; `run_dir` is the absolute folder
    that Hydra's configuration names. In a multirun no job may raise: Hydra 1.3 would skip its callbacks and
    end the sweep, so a job's UserError is printed, passed to `on_failure(config, run_dir, cause)`, and turned
    into exit code 1 once the sweep is over.
    """

    def decorate(job: Job) -> Callable[[], None]:
        failures: list[str] = []
        is_sweep = False

        def hydra_job(config: DictConfig) -> None:
            nonlocal is_sweep
            values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
            hydra_config = HydraConfig.get()
            run_dir = Path(hydra_config.runtime.output_dir).absolute()
            is_sweep = hydra_config.mode == RunMode.MULTIRUN
            try:
                job(values, run_dir)
            except Exception as error:
                # Not raised through Hydra, which would add lines of its own and end a sweep.
                if isinstance(error, user_errors()):
                    _say(error)
                elif is_sweep:
                    traceback.print_exc()
                else:
                    raise
                failures.append(one_line(error))
                if on_failure is not None and is_sweep:
                    on_failure(values, run_dir, one_line(error))
                _remove_empty(run_dir)

        @functools.wraps(job)
        def program() -> None:
            failures.clear()
            # Before the first large tensor and before Hydra swallows exceptions into its own messages.
            malloc.keep_large_blocks()
            os.environ["HYDRA_FULL_ERROR"] = "1"
            try:
                _refuse_old_spellings(sys.argv[1:])
                hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)(hydra_job)()
            except KeyboardInterrupt:
                print("stopped by Ctrl-C", file=sys.stderr)
                sys.exit(130)
            except user_errors() as error:
                _say(error)
                sys.exit(2)
            if failures and is_sweep:
                print(f"{len(failures)} job(s) of the sweep failed", file=sys.stderr)
                sys.exit(1)
            if failures:
                sys.exit(2)

        return program

    return decorate


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


def one_line(error: BaseException) -> str:
    """The error's message on a single line; Hydra's and OmegaConf's are reduced to the part that names the option."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if isinstance(error, UserError) or len(lines) == 1:
        return " ".join(lines)
    lines = [line for line in lines if not re.match(r"(full_key|object_type|reference_type|See https?:)", line)]
    return " ".join(re.sub(r"^Available options in '(.*)':$", r"Choose one of:", line) for line in lines)


def _say(error: BaseException) -> None:
    print(f"error: {one_line(error)}", file=sys.stderr)


def _refuse_old_spellings(words: list[str]) -> None:
    for word in words:
        match = re.match(r"(task|agent|neuron|preset)@_global_=(.*)", word)
        if match:
            raise UserError(f"{word}: this is the spelling of older Hydra releases; write {match[1]}={match[2]}")
