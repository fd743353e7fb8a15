"""One environment: a task with action repeat, frame stack and actions in [-1, 1].

Semantics follow facebookresearch/drqv2, dmc.py, with one difference: a terminal discount of 0 stays 0.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any, NamedTuple

import numpy as np

from envs import gl, seeds, simulator, tasks
from envs.state import State
from runtime.errors import UserError

PIXELS = 84  # height and width of an observation, in pixels
OBSERVATIONS = ("pixels", "state")


class TimeStep(NamedTuple):
    """What an environment returns after a reset or a decision."""

    observation: np.ndarray  #: uint8 [3 * frame_stack, 84, 84], oldest frame first, or float32 [D]
    reward: float  #: sum over the repeated steps, each weighted by the discount so far in the decision; 0 at a reset
    discount: float  #: product over the repeated steps; 0 after a true end, 1 after a time limit
    first: bool  #: this is a reset's
    last: bool  #: the episode is over: reset before the next step
    capped: bool  #: it is over only because of `max_decisions`


class Environment:
    """A task that acts and observes once per decision. Made by `envs.make`."""

    def __init__(
        self,
        task: str,
        *,
        obs: str,
        seed: int,
        frame_stack: int,
        action_repeat: int,
        max_decisions: int | None,
        render_device: int | str | None,
    ):
        tasks.check(task)
        if obs not in OBSERVATIONS:
            raise UserError(f"obs={obs}: must be pixels or state")
        if not 0 <= seed < 2**32:
            raise UserError(f"seed={seed}: must be an integer from 0 to {2**32 - 1}")
        for name, value in (
            ("frame_stack", frame_stack),
            ("action_repeat", action_repeat),
            ("max_decisions", max_decisions),
        ):
            if value is not None and value < 1:
                raise UserError(f"{name}={value}: must be at least 1")
        if obs == "pixels" and tasks.is_gymnasium(task):
            raise UserError(
                f"obs=pixels: Gymnasium's tasks are observed by their states here; write obs=state for {task}"
            )
        self.task, self.obs = task, obs
        self.frame_stack, self.action_repeat, self.max_decisions = frame_stack, action_repeat, max_decisions
        self._render_device = render_device
        if obs == "pixels":
            gl.choose(render_device)
        self._simulator = simulator.load(task, seed)
        self._low = self._simulator.low
        self._scale = (self._simulator.high - self._low) / 2.0
        self.action_dim = len(self._low)
        self._frames: deque[np.ndarray] = deque(maxlen=frame_stack)
        self._decisions = 0
        self._over = True
        self._observation: np.ndarray = np.zeros(0)  # a placeholder until the first reset
        self._features: np.ndarray | None = None
        self.render_seconds = 0.0  #: wall-clock time that observations have taken to render so far
        self._seed: tuple[int, ...] | None = None  # of the episode, where it has one

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """(3 * frame_stack, 84, 84) for pixels, (D,) for state (a Gymnasium task's own shape)."""
        return (3 * self.frame_stack, PIXELS, PIXELS) if self.obs == "pixels" else self._simulator.state_shape

    @property
    def observation_dtype(self) -> np.dtype:
        """uint8 for pixels, float32 for state."""
        return np.dtype(np.uint8 if self.obs == "pixels" else np.float32)

    @property
    def max_episode_decisions(self) -> int:
        """Decisions in an episode that runs into the task's own time limit, or into `max_decisions` before."""
        limit = math.ceil(self._simulator.time_limit_steps / self.action_repeat)
        return min(limit, self.max_decisions or limit)

    @property
    def control_timestep(self) -> float:
        """Simulated seconds per environment step; a decision is `action_repeat` of them."""
        return self._simulator.control_timestep

    @property
    def physics(self) -> Any:
        """dm_control's physics; for pictures use `render`, since dm_control's own rendering stays switched off.

        Tasks of dm_control.manipulation make a new one at every reset: don't keep it. Gymnasium's tasks have none.
        """
        return self._simulator.physics  # type: ignore[attr-defined]  # of dm_control's simulators alone

    @property
    def state_observation(self) -> np.ndarray:
        """float32 [D]: what the newest TimeStep would have observed with obs=state, whatever this environment observes.

        Raises RuntimeError before the first reset.
        """
        if self._features is None:
            raise RuntimeError(f"{self.task}: there is no state before the first reset")
        return self._features

    def reset(self, seed: tuple[int, ...] | None = None) -> TimeStep:
        """Starts an episode. With a seed tuple (see `envs.episode_seed`) the episode is a function of it and of the
        actions alone; without, the task's random state goes on from where it is. Raises UserError as `step` does."""
        self._seed, self._decisions, self._over = seed, 0, True
        try:
            features = self._simulator.reset(seed)
        except simulator.DivergedError as error:
            raise self._diverged(error) from error
        self._over = False
        self._frames.clear()
        return TimeStep(self._observe(features), 0.0, 1.0, first=True, last=False, capped=False)

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
            try:
                step = self._simulator.step(control)
            except simulator.DivergedError as error:
                self._over = True
                raise self._diverged(error) from error
            reward += step.reward * discount
            discount *= step.discount
            if step.last:
                break
        self._decisions += 1
        capped = not step.last and self._decisions == self.max_decisions
        self._over = step.last or capped
        return TimeStep(self._observe(step.features), reward, discount, first=False, last=self._over, capped=capped)

    def save_state(self) -> State:
        """All that the episode's further course depends on, for `restore_state`. Changes nothing here.

        Raises RuntimeError before the first reset.
        """
        return State(
            features=self.state_observation,
            simulator=self._simulator.save(),
            coordinates=self._simulator.coordinates(),
            decisions=self._decisions,
            over=self._over,
            frames=tuple(self._frames),
            observation=self._observation,
        )

    def restore_state(self, state: State) -> np.ndarray:
        """Goes to a state that an environment made with the same arguments saved, this one or another; returns the
        observation there. From then on both do the same, bit for bit, if they are given the same actions."""
        self._simulator.restore(state.simulator)
        self._decisions, self._over, self._seed = state.decisions, state.over, None
        self._frames.clear()
        self._frames.extend(state.frames)
        self._observation, self._features = state.observation, state.features
        return state.observation

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

    def _diverged(self, error: simulator.DivergedError) -> UserError:
        return UserError(
            f"{self.task}: the simulation became unstable at decision {self._decisions} of "
            f"{seeds.describe(self._seed)} ({error}); run again, or with another seed"
        )

    def _observe(self, features: np.ndarray) -> np.ndarray:
        self._features = features
        if self.obs == "state":
            self._observation = features
        else:
            begun = time.perf_counter()
            frame = self.render(PIXELS, PIXELS).transpose(2, 0, 1)
            self.render_seconds += time.perf_counter() - begun
            # The first frame of an episode fills the whole stack.
            self._frames.extend([frame] * (self.frame_stack - len(self._frames) or 1))
            self._observation = np.concatenate(self._frames)
        return self._observation
