"""Policies in Python, for notebooks and scripts in the checkout: load one, convert it, let it act, plot its returns.

    import policies

    ann = policies.load("cartpole_swingup", obs="state")
    snn = ann.convert(neuron="if", timesteps=8, alpha=0.5)
    returns = {policy.name: policy.returns(episodes=10) for policy in (ann, snn)}
    policies.plot(returns)

What convert.py does, by the same code: episodes that either has played are found in results/cells by the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from tqdm import tqdm

import envs
from cli.command_line import composed
from cli.program import quiet
from drqv2.snapshot import LoadedPolicy
from evaluation.conversion import ConversionRun
from evaluation.progress import Progress
from evaluation.settings import ConvertSettings
from evaluation.summary import label
from runtime.errors import UserError

__all__ = ["Policy", "load", "plot"]


def load(task: str, obs: str = "pixels", snapshot: str | None = None, **options: Any) -> Policy:
    """The policy of a task: the newest run of yours in exp_local, else the one that ships.

    Args:
        task: as convert.py's env_name.
        obs: what the policy sees, "pixels" or "state".
        snapshot: "shipped", or a policy.pt, a run folder, a published DrQ-v2 snapshot.pt or, of Gymnasium's tasks,
            another program's policy (docs/gymnasium.md).
        options: others of cfgs/convert.yaml, such as run="state_seed2" or hybrid=True; those of a group as
            **{"calibration.steps": 1000}.

    Raises UserError, one line, where there is no such policy or an option is wrong.
    """
    return Policy({"env_name": task, "obs": obs, "snapshot": snapshot} | options, None)


class Policy:
    """A trained network, or its conversion. Made by `load` and `convert`.

    name: "ANN", "IF", "IF+CRPI α=0.5"
    """

    def __init__(self, options: dict[str, Any], alpha: float | None):
        self._alpha = alpha
        settings = _settings(options)
        self.name = "ANN" if alpha is None else label(settings.neuron.name, settings.crpi.mode, alpha)
        with ConversionRun(settings, say=quiet if alpha is not None else tqdm.write) as run:
            self._conversion = None if alpha is None else run.converted()
            self._policy = run.ann if self._conversion is None else self._conversion.spiking_policy(1)
        self.loaded: LoadedPolicy = run.policy  #: the file: its path, hash, frame and network
        # This very file from now on, whatever becomes the newest run.
        self._options = options | {"snapshot": str(run.policy.path), "run": None}
        self.reset()

    def convert(self, neuron: str = "if", timesteps: int = 32, alpha: float = 0.5, **options: Any) -> Policy:
        """The same policy as a spiking network. Thresholds are those in its file, or else measured by rollouts.

        Args:
            neuron: if, snm, mt, dc, or a file of yours in cfgs/neuron.
            timesteps: simulation steps T per decision.
            alpha: CRPI's α in [0, 2]; 0: plain conversion.
            options: as for `load`.

        Raises UserError or snn.ConversionError, one line, for a policy or neuron that can't be converted, or whose file
        has changed.
        """
        changed = {"neuron": neuron, "SNN_ts": timesteps, "crpi.alpha": alpha} | options
        converted = Policy(self._options | changed, float(alpha))
        self._check(converted.loaded)
        return converted

    def returns(self, episodes: int = 10, seed: int = 1) -> np.ndarray:
        """float64 [episodes]: sums of rewards over the episodes that convert.py reports under this seed.

        Raises UserError where the policy's file has changed, as that of a run that is still training does.
        """
        settings = _settings(self._options | {"num_eval_episodes": episodes, "seed": seed})
        with ConversionRun(settings, say=quiet) as run, Progress(quiet) as progress:
            self._check(run.policy)
            player = dataclasses.replace(self._conversion, run=run) if self._conversion else run
            keys = player.keys(self._alpha, "report")
            outcomes = player.rollouts().run(keys, progress)
        return np.array([outcomes[key.digest].reward_sum for key in keys])

    def _check(self, read: LoadedPolicy) -> None:
        if read.path == self.loaded.path and read.sha256 != self.loaded.sha256:
            raise UserError(f"{read.path}: has changed since it was loaded; load it again")

    def reset(self) -> None:
        """An episode starts: residues of earlier decisions are forgotten."""
        self._policy.reset([0], None if self._alpha is None else [self._alpha])

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action, float32 [A] in [-1, 1], for an observation as `env` gives it."""
        return self._policy.act(observation[None])[0]

    def env(self) -> Any:
        """A Gymnasium environment (`envs.gymnasium_env.GymnasiumEnv`) of the policy's task, as the policy sees it.

        Raises UserError where Gymnasium isn't installed.
        """
        try:
            from envs.gymnasium_env import GymnasiumEnv
        except ImportError:
            raise UserError("Policy.env needs Gymnasium, which isn't installed: pip install '.[gym]'") from None
        own = {name: getattr(self.loaded, name) for name in ("task", "obs", "frame_stack", "action_repeat")}
        return GymnasiumEnv(envs.make(**own))


def plot(returns: Mapping[str, np.ndarray], axis: Axes | None = None) -> Axes:
    """Draws each policy's episodes as points over its mean. Returns the axes, a new figure's unless given."""
    axis = axis or pyplot.subplots(figsize=(1.6 * len(returns) + 1, 3), layout="constrained")[1]
    axis.bar(list(returns), [float(np.mean(values)) for values in returns.values()], color="0.85")
    for place, values in enumerate(returns.values()):
        axis.plot(place + np.linspace(-0.2, 0.2, len(values)), values, "o", color=f"C{place}", markersize=4)
    axis.set(ylabel="return")
    if all(np.min(values) >= 0 for values in returns.values()):
        axis.set_ylim(bottom=0)
    axis.spines[["top", "right"]].set_visible(False)
    return axis


def _settings(options: dict[str, Any]) -> ConvertSettings:
    """convert.py's settings with these options, dots in their names as on the command line."""
    values = composed("convert", [f"neuron={options.get('neuron', 'if')}"])
    for name, value in options.items():
        *groups, last = name.split(".")
        place = values
        for group in groups:
            place = place.setdefault(group, {})
        if name != "neuron":
            place[last] = value
    return ConvertSettings.from_dict(values)
