"""Distils a pixel policy from a trained state policy of the same task, in about an hour without a GPU.

    python distill.py task=reacher_easy                    from the newest state run, else the shipped policy
    python distill.py task=reacher_easy teacher=policy.pt  from another teacher

Writes the same run folder, snapshots and CSVs as train.py, where convert.py finds them. Running the same command again
resumes the run. cfgs/distill.yaml explains the options.
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


@program.main("distill")
def main(config: dict[str, Any], _: Path) -> None:
    # Imported late so that a misspelt option is answered at once and not after torch has loaded.
    from drqv2.distiller import Distiller
    from drqv2.settings import DistillSettings
    from drqv2.snapshot import load_policy
    from drqv2.stored_thresholds import weights_sha256
    from evaluation import policy_choice

    teacher = load_policy(
        policy_choice.find(config["task_name"], "state", config["teacher"], str(config["root"]), "teacher")
    )
    facts = [f"{teacher.frame:,} frames" if teacher.frame else None, policy_choice.last_evaluation(teacher)]
    print(f"teacher {teacher.path} ({', '.join(filter(None, facts))})", flush=True)
    digest = weights_sha256(teacher.network.state_dict())
    given = {"obs": "pixels", "teacher": str(teacher.path), "teacher_sha256": digest}
    settings = DistillSettings.from_dict(config | given)
    signals = preemption.Preemption(settings.grace_seconds)
    if not Distiller(settings, teacher).run(signals.asked):
        signals.carry_out()


if __name__ == "__main__":
    main()
