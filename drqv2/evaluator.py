"""Returns of a policy over whole episodes, for the learning curve."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs.seeds import episode_seed
from envs.vector import VectorEnv
from envs.video import write_video
from runtime.errors import UserError

VIDEO_SCALE = 3  # observations are 84 pixels wide: too small to look at


@dataclass
class Evaluator:
    """Plays `episodes` episodes side by side, one environment each.

    The environments are made at the first evaluation and kept: making them costs seconds. `remedy` ends the message for
    actions that are not finite.
    """

    make_envs: Callable[[], VectorEnv]
    seed: int
    episodes: int
    fps: float
    remedy: str
    _envs: VectorEnv | None = None

    def run(self, act: Callable[[np.ndarray], np.ndarray], first: int, video: Path | None) -> tuple[float, float, bool]:
        """An evaluation's mean return, mean decisions, and whether any episode was cut by max_decisions.

        `act` maps observations [B, ...] to actions [B, A]. `first`: how many episodes earlier evaluations have played,
        so that each has environment seeds of its own.
        With `video`, the first episode is written there.
        """
        if self._envs is None:
            self._envs = self.make_envs()
        envs, count, capped = self._envs, self.episodes, False
        envs.reset(range(count), [episode_seed("eval", self.seed, first + i) for i in range(count)])
        returns, lengths = np.zeros(count), np.zeros(count)
        frames: list[np.ndarray] = []
        live = np.arange(count)
        while live.size:
            if video is not None and live[0] == 0:
                frames.append(self._picture(envs))
            # All rows, finished ones included: a fixed batch shape keeps the arithmetic the same to the end.
            actions = act(envs.observations)[live]
            if not np.isfinite(actions).all():
                raise UserError(f"action: not finite in evaluation; {self.remedy}")
            rewards, _, lasts, caps = envs.step(live.tolist(), actions)
            returns[live] += rewards
            lengths[live] += 1
            capped = capped or bool(caps.any())
            live = live[~lasts]
        if video is not None:
            write_video(video, frames, self.fps)
        return returns.mean(), lengths.mean(), capped

    def _picture(self, envs: VectorEnv) -> np.ndarray:
        observation = envs.observations[0]
        if observation.ndim == 3:  # the newest of the stacked frames is what the camera sees now
            newest = observation[-3:].transpose(1, 2, 0)
            return newest.repeat(VIDEO_SCALE, axis=0).repeat(VIDEO_SCALE, axis=1)
        return envs.render([0], height=240, width=320)[0]

    def close(self) -> None:
        """Ends the environments' processes."""
        if self._envs is not None:
            self._envs.close()
