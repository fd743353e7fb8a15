"""An environment of this package as Gymnasium's: reset and step with five values, spaces, pictures.

The other direction, Gymnasium's tasks in this package, is `envs.gymnasium_task`.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.environment import Environment
from envs.seeds import episode_seed


class GymnasiumEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """`environment` under Gymnasium's interface. A step is a decision, `action_repeat` environment steps.

    Observations are uint8 [3 * frame_stack, 84, 84] or float32 [D], actions float32 [A] in [-1, 1]. `terminated` is a
    true end (discount 0), `truncated` a time limit. `reset(seed=s)` starts the first report episode that convert.py
    plays under seed=s; without a seed the task's random state goes on.
    """

    def __init__(self, environment: Environment):
        self.metadata = {"render_modes": ["rgb_array"]}
        self.render_mode = "rgb_array"
        self._environment = environment
        shape, pixels = environment.observation_shape, environment.obs == "pixels"
        self.observation_space = spaces.Box(0, 255, shape, np.uint8) if pixels else spaces.Box(-np.inf, np.inf, shape)
        self.action_space = spaces.Box(-1.0, 1.0, (environment.action_dim,))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self._environment.reset(None if seed is None else episode_seed("report", seed, 0)).observation, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Raises what `Environment.step` raises."""
        step = self._environment.step(action)
        terminated = step.last and step.discount == 0.0
        return step.observation, float(step.reward), terminated, step.last and not terminated, {}

    def render(self) -> np.ndarray:  # type: ignore[override]  # of Gymnasium's kinds of picture only this one
        """uint8 [240, 320, 3]."""
        return self._environment.render()

    def close(self) -> None:
        self._environment.close()
