"""What steps a task: a simulator of dm_control (`envs.suite`) or of Gymnasium (`envs.gymnasium_task`)."""

from typing import Any, NamedTuple, Protocol

import numpy as np

from envs import tasks


class DivergedError(Exception):
    """The simulation became unstable, so that its state means nothing; the message says how it showed."""


class TimeStep(NamedTuple):
    """What an environment returns after a reset or a decision, and its simulator, which observes the state, after an
    environment step."""

    observation: np.ndarray  #: uint8 [3 * frame_stack, 84, 84], oldest frame first, or float32 [D]
    reward: float  #: sum over the repeated steps, each weighted by the discount so far in the decision; 0 at a reset
    discount: float  #: product over the repeated steps; 0 after a true end, 1 after a time limit
    last: bool  #: the episode is over: reset before the next step
    capped: bool = False  #: it is over only because of `max_decisions`


class Simulator(Protocol):
    """One task's simulator, stepped by environment steps."""

    low: np.ndarray  #: float32 [A], least control
    high: np.ndarray  #: float32 [A], largest control
    state_shape: tuple[int, ...]  #: of the state observation
    time_limit_steps: int  #: environment steps after which an episode ends by the task's own time limit
    control_timestep: float  #: simulated seconds per environment step

    def reset(self, seed: tuple[int, int, int] | None) -> np.ndarray:
        """Starts an episode that is a function of `seed` (None: of the random state as it is); returns the state
        observation. Raises DivergedError."""

    def step(self, control: np.ndarray) -> TimeStep:
        """One environment step under `control` (float64 [A], within the bounds). Raises DivergedError."""

    def save(self) -> Any:
        """All that the episode's further course depends on. Plain arrays and values: it may cross processes."""

    def restore(self, saved: Any) -> None:
        """Goes to where a simulator of the same task was when it made `saved`."""

    def coordinates(self) -> np.ndarray:
        """See `envs.mujoco_state.coordinates`."""

    def render(self, height: int, width: int, device: int | None) -> np.ndarray:
        """uint8 [height, width, 3] picture of the current state. Raises UserError if nothing renders."""

    def close(self) -> None:
        """Frees the simulator. May be called again."""


def load(task: str, seed: int) -> Simulator:
    """The simulator of `task`, its random state seeded by `seed`."""
    if tasks.is_gymnasium(task):
        from envs.gymnasium_task import GymnasiumTask

        return GymnasiumTask(task, seed)
    from envs.suite import SuiteTask

    return SuiteTask(task, seed)
