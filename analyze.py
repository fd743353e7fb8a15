"""Measures why a converted policy loses return: whether its errors grow from decision to decision, and why.

    python analyze.py env_name=quadruped_walk SNN_ts=16                    IF neurons, α = 0 beside the best α
    python analyze.py env_name=quadruped_walk obs=state neuron=snm SNN_ts=8
    python analyze.py env_name=quadruped_walk crpi.alpha=0.5               α = 0 beside this one
    python analyze.py -m env_name=cartpole_swingup,reacher_easy obs=state SNN_ts=16,32

Writes analysis.json (described in analysis/document.py), report.md and report.html with figures. Finished episodes are
kept: after Ctrl-C the same command resumes. cfgs/analyze.yaml explains the options, docs/analysis.md the figures.
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


@program.main("analyze")
def main(config: dict[str, Any], run_dir: Path) -> None:
    openmp.wait_asleep()
    # Imported late so that a misspelt option is answered at once and not after torch has loaded.
    from analysis import study
    from evaluation.settings import AnalyzeSettings
    from report.analysis import page

    analysis = study.run(AnalyzeSettings.from_dict(config), config, run_dir)
    path = page.write(analysis, run_dir)
    print("\n".join(page.summary(analysis)))
    print(f"written: {path}")


if __name__ == "__main__":
    main()
