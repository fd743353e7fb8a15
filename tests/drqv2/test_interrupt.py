"""Ctrl-C in training: the line that the command line prints says where the run stopped and from where it goes on."""

from __future__ import annotations

import pytest

from drqv2.trainer import Trainer
from tests.configs import train_settings


def test_ctrl_c_tells_the_frame_and_that_of_the_snapshot(tmp_path):
    episodes = iter(range(100))

    def stop() -> bool:
        if next(episodes) == 3:
            raise KeyboardInterrupt
        return False

    # Episodes of 20 decisions, 40 frames; a snapshot at the end of the second.
    settings = train_settings(tmp_path, snapshot_every_frames=80, eval_every_frames=400)
    with pytest.raises(KeyboardInterrupt) as interrupt:
        Trainer(settings).run(stop)
    assert interrupt.value.__notes__ == ["at frame 120; the same command goes on from frame 80"]
