"""A run in its folder: act, update, step, and at episode ends write down everything needed to go on.

What is learned, and who acts, is said by subclasses: `drqv2.trainer` (DrQ-v2) and `drqv2.distiller` (DAgger).
"""

import abc
import errno
import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import envs
from drqv2.episode_files import StoredEpisode
from drqv2.evaluator import Evaluator
from drqv2.learner import PolicyLearner
from drqv2.logger import TIMES, Logger
from drqv2.prefetch import Prefetcher
from drqv2.replay import Replay, ReplaySettings, bytes_per_decision
from drqv2.resumption import RunDir, check_room
from drqv2.settings import RunSettings
from drqv2.snapshot import POLICY, SNAPSHOT, holds_policy, policy_meta, policy_weights, write_policy
from envs import gl
from envs.vector import VectorEnv
from runtime.device import describe, prepare, resolve, resolve_precision
from runtime.errors import UserError

_THREADS = torch.get_num_threads()  # torch's own choice, before a run of a sweep changes it


class TrainingRun(abc.ABC):
    """One run in one folder. `step` counts decisions, `episode` finished episodes; frames are step · action_repeat."""

    METRICS: tuple[str, ...]  #: what the learner's updates measure: columns of train.csv
    STEP_SIZE: str  #: the option that sets the optimiser's step size

    def __init__(
        self,
        settings: RunSettings,
        first_update_frame: int,
        episode_decisions: int | None,
        nstep: int = 1,
        discount: float = 1.0,
    ) -> None:
        """
        Args:
            first_update_frame: from which on there are updates.
            episode_decisions: after how many decisions a training episode is cut short.
            nstep, discount: rewards per n-step return and the discount per decision of the transitions in the replay.
        """
        self.device = resolve(settings.device)
        # As computed here: on another machine the same word may mean another precision.
        precision = resolve_precision(settings.precision, self.device)
        self.settings = s = settings.model_copy(update={"precision": precision})
        prepare(self.device, precision, s.deterministic)
        torch.use_deterministic_algorithms(s.deterministic)
        self._first_update_step = first_update_frame // s.action_repeat
        self._pixels = s.obs == "pixels"
        torch.set_num_threads(s.threads or (_THREADS if self._pixels else 1))
        if self._pixels:
            gl.choose(s.render.device, self.device.index)
        make: dict[str, Any] = {
            "obs": s.obs,
            "frame_stack": s.frame_stack,
            "action_repeat": s.action_repeat,
            "render_device": s.render.device,
        }
        self.env = envs.make(s.task_name, seed=s.seed, max_decisions=episode_decisions, **make)
        if not self._pixels and len(self.env.observation_shape) != 1:
            raise UserError(
                f"task={s.task_name}: its observations are of shape {self.env.observation_shape}, but training from "
                "states takes vectors; register it with Gymnasium's FlattenObservation around it"
            )
        element = (3, *self.env.observation_shape[1:]) if self._pixels else self.env.observation_shape
        capacity = min(s.replay_buffer_size, s.num_train_steps)
        folder = Path(s.root) / s.task_name / s.name
        packed = self._pixels and s.replay_compression == "zstd"
        self.room = check_room(folder, capacity * bytes_per_decision(element, packed, self.env.action_dim))
        self._config = s.model_dump()
        self.run_dir = RunDir(folder, self._config)
        self.evaluator = Evaluator(
            lambda: VectorEnv(
                s.task_name,
                num_envs=s.num_eval_episodes,
                max_decisions=s.max_decisions,
                num_workers=s.eval_workers if self._pixels or s.eval_workers is not None else 0,
                **make,
            ),
            seed=s.seed,
            episodes=s.num_eval_episodes,
            remedy=self._remedy,
            fps=1.0 / (self.env.control_timestep * s.action_repeat),
        )
        self.step = self.episode = 0
        self._last_snapshot_step = 0
        self._last_eval_step = -1
        self._eval_episodes = 0
        try:
            self.replay = Replay(
                self.run_dir.path / "replay",
                ReplaySettings(
                    self.env.observation_shape, element, capacity, s.batch_size, nstep, discount, s.seed, packed
                ),
            )
            self.agent = self._make_learner()
            if s.start_from is not None:
                self.run_dir.begin_from(Path(s.start_from), self._config)
            self._resume()
        except (UserError, OSError) as error:
            self.run_dir.close()  # another run of this process may want the folder
            raise UserError(self._cause(error)) from None
        self._prefetch = Prefetcher(self._sample, self.device)

    # ---- what a kind of run says ----

    @abc.abstractmethod
    def _make_learner(self) -> PolicyLearner:
        """The networks and their optimisers."""

    @abc.abstractmethod
    def _act(self, time_step: envs.TimeStep) -> tuple[np.ndarray, np.ndarray]:
        """The action [A] to take at decision `step`, and what to store as this decision's action."""

    @abc.abstractmethod
    def _sample(self, update: int) -> dict[str, np.ndarray]:
        """The batch of update number `update`; called in a thread, ahead of its use."""

    # ---- the loop ----

    def run(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Trains to `num_train_frames` and returns true, or to the end of the episode in which `stop` becomes true.

        Raises UserError, which names the step and the last good snapshot, where numbers stop being finite, the disk
        refuses or a worker dies.
        """
        s = self.settings
        self._announce()
        if min(self.step, self._last_eval_step) >= s.num_train_steps:
            print(
                f"finished: {self.run_dir.path} holds a run of {self._frame} frames; raise num_train_frames to continue"
            )
            self.close()
            return True
        bar = tqdm(total=s.num_train_frames, initial=self._frame, unit="frame", disable=None if s.progress else True)
        try:
            while self.step < s.num_train_steps and not stop():
                before = self._frame
                self._play_episode()
                bar.update(self._frame - before)
            if finished := self.step >= s.num_train_steps:
                self._evaluate()
            if finished or self._last_snapshot_step != self.step:
                self._write_snapshot()
            return finished
        except KeyboardInterrupt as interrupt:
            whole = self._last_snapshot_step * s.action_repeat
            interrupt.add_note(f"at frame {self._frame:,}; the same command resumes from frame {whole:,}")
            raise
        except (UserError, OSError) as error:
            kept = "no snapshot was written yet"
            if self._last_snapshot_step:
                frame = self._last_snapshot_step * s.action_repeat
                kept = f"the last snapshot, of frame {frame}, is in {self.run_dir.path / SNAPSHOT}"
            raise UserError(f"stopped at step {self.step}: {self._cause(error)}; {kept}") from None
        finally:
            bar.close()
            self.close()

    def _play_episode(self) -> None:
        s, losses = self.settings, []
        times: defaultdict[str, float] = defaultdict(float)
        begun = time.monotonic()
        steps = [self.env.reset(envs.episode_seed("train", s.seed, self.episode))]
        actions: list[np.ndarray] = []
        while not steps[-1].last and self.step < s.num_train_steps:
            # Evaluations fall on fixed frames, as published, also inside an episode.
            if self._frame // s.eval_every_frames > (self._frame - s.action_repeat) // s.eval_every_frames:
                self._evaluate()
            clock = time.perf_counter()
            action, stored = self._act(steps[-1])
            clock = _lap(times, "act_ms", clock)
            if (
                self.step >= self._first_update_step
                and self.step % s.update_every_steps == 0
                and self.replay.sampleable
            ):
                update = self.step // s.update_every_steps
                batch = self._prefetch.take(update)
                clock = _lap(times, "sample_ms", clock)
                losses.append(self.agent.update(batch, self.step, update))
                clock = _lap(times, "update_ms", clock)
            if not np.isfinite(action).all():
                self._mean_losses(losses)  # a loss that went first says more
                raise UserError(f"action: not finite; {self._remedy}")
            rendered = self.env.render_seconds
            steps.append(self._checked(self.env.step(action)))
            _lap(times, "physics_ms", clock)
            times["render_ms"] += self.env.render_seconds - rendered
            actions.append(stored)
            self.step += 1
        if not steps[-1].last:
            self._mean_losses(losses)
            return  # the run's last decision came inside an episode: nothing whole to keep
        self._prefetch.invalidate()
        observations = np.stack([t.observation[-3:] if self._pixels else t.observation for t in steps])
        rewards, discounts = (
            np.array([getattr(t, name) for t in steps[1:]], np.float32) for name in ("reward", "discount")
        )
        episode = StoredEpisode(observations, np.stack(actions), rewards, discounts)
        self.replay.add(episode)
        self.agent.include(observations, episode.action)
        self.episode += 1
        times["physics_ms"] -= times["render_ms"]
        counts = {"sample_ms": max(1, len(losses)), "update_ms": max(1, len(losses))}
        row = self._row(sum(t.reward for t in steps), len(actions), steps[-1].capped) | {
            "buffer_size": len(self.replay),
            "fps": len(actions) * s.action_repeat / (time.monotonic() - begun),
            **{name: 1e3 * times[name] / counts.get(name, len(actions)) for name in TIMES},
            **self._mean_losses(losses),
        }
        self.logger.log("train", row)
        if (self.step - self._last_snapshot_step) * s.action_repeat >= s.snapshot_every_frames:
            self._write_snapshot()

    def _evaluate(self) -> None:
        if self.step == self._last_eval_step:
            return
        s = self.settings
        video = self.run_dir.path / "eval_video" / f"{self._frame}.mp4" if s.save_video else None
        row = self._row(*self.evaluator.run(self.agent.act_mean, self._eval_episodes, video))
        self._eval_episodes += s.num_eval_episodes
        self.logger.log("eval", row)
        self._last_eval_step = self.step

    # ---- what is written ----

    @property
    def _frame(self) -> int:
        return self.step * self.settings.action_repeat

    @property
    def _remedy(self) -> str:
        return f"{self.STEP_SIZE}={getattr(self.settings, self.STEP_SIZE)} may be too large"

    @property
    def _total_time(self) -> float:
        return time.monotonic() - self._began

    def _row(self, episode_return: float, decisions: float, capped: bool) -> dict[str, float]:
        return {
            "frame": self._frame,
            "step": self.step,
            "episode": self.episode,
            "capped": int(capped),
            "episode_length": decisions * self.settings.action_repeat,
            "episode_reward": float(episode_return),
            "total_time": self._total_time,
        }

    def _mean_losses(self, losses: list[dict[str, Tensor]]) -> dict[str, float]:
        if not losses:
            return {}
        # One transfer for the whole episode: reading each value would wait for the device at every update.
        means = torch.stack([torch.stack(tuple(metrics.values())) for metrics in losses]).mean(0).tolist()
        for name, value in zip(losses[0], means):
            if not math.isfinite(value):
                raise UserError(f"{name}: not finite; {self._remedy}")
        return dict(zip(losses[0], means))

    def _checked(self, step: envs.TimeStep) -> envs.TimeStep:
        for name, value in (("reward", step.reward), ("observation", 0 if self._pixels else step.observation)):
            if not np.isfinite(value).all():
                raise UserError(f"{name}: not finite in episode {self.episode}; the simulation became unstable")
        return step

    def _cause(self, error: UserError | OSError) -> str:
        if isinstance(error, UserError):
            return str(error)
        remedy = "; allow more of them (ulimit -n)" if error.errno == errno.EMFILE else ""
        return f"{error.filename or self.run_dir.path}: {error.strerror or error}{remedy}"

    def _write_snapshot(self) -> None:
        s = self.settings
        policy = policy_meta(
            task=s.task_name,
            obs=s.obs,
            frame_stack=s.frame_stack,
            action_repeat=s.action_repeat,
            observation_shape=self.env.observation_shape,
            action_dim=self.env.action_dim,
            feature_dim=s.feature_dim,
            hidden_dim=s.hidden_dim,
            actor_trunk=s.actor_trunk,
            frame=self._frame,
            config=self._config,
        )
        meta = {
            "policy": policy,
            "step": self.step,
            "episode": self.episode,
            "total_time": self._total_time,
            "last_eval_step": self._last_eval_step,
            "eval_episodes": self._eval_episodes,
            "replay": self.replay.index(),
            "csv_bytes": self.logger.sizes(),
        }
        tensors = self.agent.state()
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise UserError(f"{name}: not finite, so no snapshot is written; {self._remedy}")
        self.run_dir.write(meta, tensors, self.replay)
        write_policy(self.run_dir.path / POLICY, policy, policy_weights(tensors))
        self._last_snapshot_step = self.step

    def _resume(self) -> None:
        snapshot, sizes = self.run_dir.read(self.replay), None
        self._began = time.monotonic()
        if snapshot is not None:
            meta, tensors = snapshot
            config = meta["policy"]["config"]
            if self.settings.start_from is None and config["precision"] != self.settings.precision:
                raise UserError(
                    f"precision={self.settings.precision}: the run was computed in {config['precision']}; "
                    f"give precision={config['precision']}, or another name="
                )
            self.agent.load_state(tensors)
            self.step, self.episode = meta["step"], meta["episode"]
            self._began, sizes = self._began - meta["total_time"], meta["csv_bytes"]
            self._last_snapshot_step, self._last_eval_step = self.step, meta["last_eval_step"]
            # Before evaluations were counted, each had the number of its frame's multiple of eval_every_frames.
            last = self._last_eval_step * self.settings.action_repeat
            number = -(-last // config["eval_every_frames"]) + 1 if last >= 0 else 0
            self._eval_episodes = meta.get("eval_episodes", number * config["num_eval_episodes"])
            # The process may have been killed between the snapshot and the policy.
            policy = self.run_dir.path / POLICY, meta["policy"], policy_weights(tensors)
            if not holds_policy(*policy):
                write_policy(*policy)
        self.logger = Logger(
            self.run_dir.path,
            metrics=self.METRICS,
            use_tb=self.settings.use_tb,
            use_wandb=self.settings.use_wandb,
            config=self._config,
            sizes=sizes,
            frame=self._frame,
        )

    def _announce(self) -> None:
        s = self.settings
        begins = f"resuming at frame {self._frame}" if self.step else "starting"
        rendering = f", rendering with {gl.choose(s.render.device)}" if self._pixels else ""
        print(f"{begins}: {s.task_name} from {s.obs} on {describe(self.device)}, precision {s.precision}{rendering}")
        print(f"run folder: {self.run_dir.path}")
        print(self.room, flush=True)

    def close(self) -> None:
        """Ends threads and processes and closes files."""
        for part in (self._prefetch, self.replay, self.evaluator, self.env, self.run_dir, self.logger):
            part.close()


def _lap(times: dict[str, float], name: str, since: float) -> float:
    now = time.perf_counter()
    times[name] += now - since
    return now
