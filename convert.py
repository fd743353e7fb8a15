"""Converts a trained policy to a spiking network and compares the returns of both.

    python convert.py env_name=quadruped_walk SNN_ts=32                    IF neurons with CRPI, beside the ANN
    python convert.py env_name=quadruped_walk SNN_ts=8 neuron=snm          another neuron: if, snm, mt, dc
    python convert.py env_name=quadruped_walk crpi.alpha=grid              α chosen from 0, 0.1, ..., 1
    python convert.py -m neuron=if,snm,mt,dc SNN_ts=2,8 crpi.alpha=0,0.5   a sweep, which ends in a report
    python convert.py -m +paper=table3 budget=quick                        the paper's Table 3 (docs/report.md)
    python convert.py +sweep=tune env_name=cheetah_run SNN_ts=2            options searched by Optuna (docs/cluster.md)

Finished episodes are kept: after Ctrl-C the same command resumes. cfgs/convert.yaml explains the options,
evaluation/result.py the contents of result.json.
"""

import sys
from pathlib import Path
from typing import Any

try:
    from cli import program
    from runtime import openmp
except ModuleNotFoundError as error:
    sys.exit(
        f"error: {error}; run make setup and use .venv/bin/python; where PYTHONSAFEPATH is set, set PYTHONPATH too"
    )
except KeyboardInterrupt:
    sys.exit(130)


def _failed(config: dict[str, Any], run_dir: Path, cause: str) -> None:
    from evaluation import result

    result.write_failure(config, cause, run_dir)


@program.main("convert", on_failure=_failed)
def main(config: dict[str, Any], run_dir: Path) -> float | None:
    openmp.wait_asleep()
    # Imported late so that a misspelt option is answered at once and not after torch has loaded.
    from evaluation import policy_choice, run, summary
    from evaluation.settings import ConvertSettings

    settings = ConvertSettings.from_dict(config)
    if reason := policy_choice.why_skipped(settings):
        print(f"skipped: {reason}")
        return None
    if settings.tune:
        return run.tune(settings, config, run_dir, say=program.quiet)
    if program.in_sweep():
        # One line for each job; the sweep ends in a table.
        run.convert(settings, config, run_dir, say=program.quiet, show=lambda result: print(summary.one_line(result)))
        return None
    done = run.convert(
        settings, config, run_dir, show=lambda result: print("\n".join(summary.lines(result)), flush=True)
    )
    for name in ("result.json", *done.artefacts):
        print(f"written: {run_dir / name}")
    return None


if __name__ == "__main__":
    main()
