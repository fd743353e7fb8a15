"""Trains a DrQ-v2 agent on a task of DeepMind Control or Gymnasium and writes snapshots that convert.py reads.

    python train.py task=cheetah_run                    from pixels, as published
    python train.py task=cheetah_run preset=cpu         from pixels, for a machine without a GPU
    python train.py task=cheetah_run preset=state       from the task's state, without a renderer
    python train.py task=cheetah_run seed=2             another seed, in its own run folder

Running the same command again resumes the run. cfgs/train.yaml explains the options.
"""

import sys
from pathlib import Path
from typing import Any

try:
    from cli import preemption, program
except ModuleNotFoundError as error:
    sys.exit(
        f"error: {error}; run make setup and use .venv/bin/python; where PYTHONSAFEPATH is set, set PYTHONPATH too"
    )
except KeyboardInterrupt:
    sys.exit(130)


@program.main("train")
def main(config: dict[str, Any], _: Path) -> None:
    # Imported late so that a misspelt option is answered at once and not after torch has loaded.
    from drqv2.settings import TrainSettings
    from drqv2.trainer import Trainer

    settings = TrainSettings.from_dict(config)
    signals = preemption.Preemption(settings.grace_seconds)
    if not Trainer(settings).run(signals.asked):
        signals.carry_out()


if __name__ == "__main__":
    main()
