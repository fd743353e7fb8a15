"""One environment: a task with action repeat, frame stack and actions in [-1, 1].

Semantics follow facebookresearch/drqv2, dmc.py, with one difference: a terminal discount of 0 stays 0.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from envs import gl, seeds, simulator, tasks
from envs.simulator import TimeStep
from runtime.errors import UserError

PIXELS = 84  # height and width of an observation, in pixels


class State(NamedTuple):
    """Everything that an episode's further course depends on, so that it can be branched: stepped on in a second
    environment, from any decision. Plain arrays and values: it may cross processes."""

    simulator: Any  #: what the task's simulator saved
    coordinates: np.ndarray  #: float64 [S], see `envs.mujoco_state.coordinates`
    decisions: int  #: since the episode started
    over: bool  #: the episode has ended
    frames: tuple[np.ndarray, ...]  #: the frame stack, oldest first; empty for obs=state
    features: np.ndarray  #: float32 [D]: `Environment.state_observation`


class Environment:
    """A task that acts and observes once per decision."""

    def __init__(
        self,
        task: str,
        *,
        obs: str = "pixels",
        seed: int = 0,
        frame_stack: int = 3,
        action_repeat: int = 2,
        max_decisions: int | None = None,
        render_device: int | None = None,
    ):
        """
        Args:
            task: one of `envs.TASKS`, or the id of a Gymnasium environment, such as HalfCheetah-v4.
            obs: "pixels" (uint8 [3 * frame_stack, 84, 84]; not of Gymnasium's tasks) or "state" (float32 [D], a
                Gymnasium task's in its own shape; needs no renderer and ignores frame_stack).
            seed: of the task's random state, until a `reset` brings its own.
            frame_stack: frames per observation.
            action_repeat: environment steps per decision.
            max_decisions: ends episodes early, marked `capped`; for tests and smoke runs.
            render_device: index of the EGL device to render on.

        Raises UserError for a value that is out of range and if pixels are asked for where nothing renders.
        """
        tasks.check(task)
        if obs not in ("pixels", "state"):
            raise UserError(f"obs={obs}: must be pixels or state")
        seeds.check("seed", seed)
        counts = {"frame_stack": frame_stack, "action_repeat": action_repeat, "max_decisions": max_decisions}
        for name, value in counts.items():
            if value is not None and value < 1:
                raise UserError(f"{name}={value}: must be at least 1")
        if obs == "pixels" and tasks.is_gymnasium(task):
            raise UserError(
                f"obs=pixels: Gymnasium's tasks are observed by their states here; write obs=state for {task}"
            )
        self.task, self.obs = task, obs
        self.frame_stack, self.action_repeat, self.max_decisions = frame_stack, action_repeat, max_decisions
        self._render_device = render_device
        pixels = obs == "pixels"
        if pixels:
            gl.choose(render_device)
        self._simulator = simulator.load(task, seed)
        self._low = self._simulator.low
        self._scale = (self._simulator.high - self._low) / 2.0
        self.action_dim = len(self._low)
        #: (3 * frame_stack, 84, 84) for pixels, (D,) for state (a Gymnasium task's own shape)
        self.observation_shape = (3 * frame_stack, PIXELS, PIXELS) if pixels else self._simulator.state_shape
        self.observation_dtype = np.dtype(np.uint8 if pixels else np.float32)
        limit = math.ceil(self._simulator.time_limit_steps / action_repeat)
        #: decisions in an episode that runs into the task's own time limit, or into `max_decisions` before
        self.max_episode_decisions = min(limit, max_decisions or limit)
        #: simulated seconds per environment step; a decision is `action_repeat` of them
        self.control_timestep = self._simulator.control_timestep
        self.render_seconds = 0.0  #: wall-clock time that observations have taken to render so far
        #: float32 [D]: what the newest TimeStep would have observed with obs=state, whatever this environment observes
        self.state_observation: np.ndarray
        self._frames: deque[np.ndarray] = deque(maxlen=frame_stack)
        self._decisions = 0
        self._over = True
        self._seed: tuple[int, int, int] | None = None  # of the episode, where it has one

    def reset(self, seed: tuple[int, int, int] | None = None) -> TimeStep:
        """Starts an episode. With a seed tuple (see `envs.episode_seed`) the episode is a function of it and of the
        actions alone; without, the task's random state goes on from where it is. Raises UserError as `step` does."""
        self._seed, self._decisions = seed, 0
        features = self._advance(self._simulator.reset, seed)
        self._over = False
        self._frames.clear()
        return TimeStep(self._observe(features), 0.0, 1.0, last=False)

    def step(self, action: np.ndarray) -> TimeStep:
        """Repeats `action` (float32 [A] in [-1, 1]) for `action_repeat` environment steps, or until the episode ends.

        Raises RuntimeError if the episode is over, ValueError for an action of the wrong shape or that is not finite,
        UserError where the simulation diverges: the episode is then over, and a reset starts the next.
        """
        if self._over:
            raise RuntimeError(f"{self.task}: the episode is over; reset before the next step")
        control = self._control(action)
        reward, discount = 0.0, 1.0
        for _ in range(self.action_repeat):
            step = self._advance(self._simulator.step, control)
            reward += step.reward * discount
            discount *= step.discount
            if step.last:
                break
        self._decisions += 1
        capped = not step.last and self._decisions == self.max_decisions
        self._over = step.last or capped
        return TimeStep(self._observe(step.observation), reward, discount, self._over, capped)

    def save_state(self) -> State:
        """All that the episode's further course depends on, for `restore_state`. Changes nothing here. Not before the
        first reset."""
        return State(
            simulator=self._simulator.save(),
            coordinates=self._simulator.coordinates(),
            decisions=self._decisions,
            over=self._over,
            frames=tuple(self._frames),
            features=self.state_observation,
        )

    def restore_state(self, state: State) -> TimeStep:
        """Goes to a state that an environment made with the same arguments saved, this one or another; returns what is
        observed there. From then on both do the same, bit for bit, if they are given the same actions."""
        self._simulator.restore(state.simulator)
        self._decisions, self._over, self._seed = state.decisions, state.over, None
        self._frames = deque(state.frames, self.frame_stack)
        self.state_observation = state.features
        return TimeStep(self._observation(), 0.0, 1.0, self._over)

    def render(self, height: int = 240, width: int = 320) -> np.ndarray:
        """uint8 [height, width, 3] picture of the current state, by the camera that the task is observed through.

        Works with obs=state as well: the renderer is made at the first call. Raises UserError if nothing renders.
        """
        return self._simulator.render(height, width, self._render_device)

    def close(self) -> None:
        """Frees the simulator and this environment's share of the renderer. May be called again."""
        self._simulator.close()

    def _control(self, action: np.ndarray) -> np.ndarray:
        action = np.asarray(action, np.float32)
        if action.shape != (self.action_dim,):
            raise ValueError(f"{self.task}: action of shape {action.shape}, not ({self.action_dim},)")
        if not np.isfinite(action).all():
            raise ValueError(f"{self.task}: action at decision {self._decisions} is not finite: {action}")
        scaled = self._low + self._scale.astype(np.float64) * (action.astype(np.float64) + 1.0)
        return scaled.astype(np.float32).astype(np.float64)

    def _advance(self, method: Callable[[Any], Any], argument: Any) -> Any:
        """Calls a method of the simulator's that steps it."""
        try:
            return method(argument)
        except simulator.DivergedError as error:
            self._over = True
            raise UserError(
                f"{self.task}: the simulation became unstable at decision {self._decisions} of "
                f"{seeds.describe(self._seed)} ({error}); run again, or with another seed"
            ) from error

    def _observe(self, features: np.ndarray) -> np.ndarray:
        self.state_observation = features
        if self.obs == "pixels":
            begun = time.perf_counter()
            frame = self.render(PIXELS, PIXELS).transpose(2, 0, 1)
            self.render_seconds += time.perf_counter() - begun
            # The first frame of an episode fills the whole stack.
            self._frames.extend([frame] * (self.frame_stack - len(self._frames) or 1))
        return self._observation()

    def _observation(self) -> np.ndarray:
        return np.concatenate(self._frames) if self.obs == "pixels" else self.state_observation
