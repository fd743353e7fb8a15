"""Several policies side by side from the same initial state, with return so far and spike rate written above each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import envs
from envs import gl
from envs.video import check_ffmpeg, write_video
from evaluation.conversion import Conversion, ConversionRun
from evaluation.policies import Policy
from evaluation.summary import label

_HEIGHT, _WIDTH, _CAPTION, _GAP = 240, 320, 44, 4
_INK, _PAPER, _FAINT = (20, 24, 31), (248, 249, 250), (96, 103, 112)


def probe(render_device: int | None) -> None:
    """Raises UserError where no video could be made, because nothing renders or ffmpeg is missing."""
    check_ffmpeg()
    gl.implementation(render_device)


def comparison(conversion: Conversion, alpha: float, path: Path) -> None:
    """Writes the ANN, plain conversion and, where α isn't 0, CRPI side by side."""
    settings = conversion.run.settings
    alphas = sorted({0.0, alpha})
    spiking = [
        (f"{label(settings.neuron.name, settings.crpi.mode, value)}, T={settings.SNN_ts}", conversion.spiking_policy(1))
        for value in alphas
    ]
    side_by_side(
        path,
        [("ANN", conversion.run.ann), *spiking],
        lambda: _environment(conversion.run),
        alphas=[0.0, *alphas],
        seed=settings.seed,
    )


def _environment(run: ConversionRun) -> envs.Environment:
    return envs.make(
        run.policy.task,
        obs=run.policy.obs,
        frame_stack=run.policy.frame_stack,
        action_repeat=run.policy.action_repeat,
        max_decisions=run.settings.max_decisions,
        render_device=run.settings.render.device,
    )


def side_by_side(
    path: str | Path,
    policies: Sequence[tuple[str, Policy]],
    make_env: Callable[[], envs.Environment],
    *,
    alphas: Sequence[float],
    seed: int,
) -> None:
    """Writes an mp4 of one episode of each (label, policy) to `path`; each acts with its α of `alphas`.

    Policies must take batches of one. Every panel starts from the same initial state (stream "video") and stays at its
    last picture when its episode ends before the others'.
    """
    panels = [
        _Panel(label, policy, alpha, make_env(), seed) for (label, policy), alpha in zip(policies, alphas, strict=True)
    ]
    try:
        environment = panels[0].environment
        fps = 1.0 / (environment.control_timestep * environment.action_repeat)
        write_video(path, _frames(panels), fps)
    finally:
        for panel in panels:
            panel.environment.close()


def _frames(panels: Sequence[_Panel]) -> Iterator[np.ndarray]:
    yield _joined(panels)
    while not all(panel.over for panel in panels):
        for panel in panels:
            if not panel.over:
                panel.step()
        yield _joined(panels)


def _joined(panels: Sequence[_Panel]) -> np.ndarray:
    gap = np.full((_HEIGHT + _CAPTION, _GAP, 3), _PAPER, np.uint8)
    pictures: list[np.ndarray] = []
    for panel in panels:
        pictures += [gap, panel.picture] if pictures else [panel.picture]
    return np.concatenate(pictures, axis=1)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Pillow's own font has no Greek letters; matplotlib brings one that has.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


class _Panel:
    """One policy in its own environment, and the latest picture of it, uint8 [height, width, 3]."""

    def __init__(self, label: str, policy: Policy, alpha: float, environment: envs.Environment, seed: int):
        self.label, self.policy, self.environment = label, policy, environment
        self.over, self.total = False, 0.0
        self._spikes = 0
        triple = envs.episode_seed("video", seed, 0)
        self._observation = environment.reset(seed=triple).observation
        policy.reset(np.ones(1, bool), np.array([alpha]), np.zeros(1, np.int64))
        self.picture = self._draw(None)

    def step(self) -> None:
        action = self.policy.act(self._observation[None])[0]
        step = self.environment.step(action)
        self._observation, self.over = step.observation, step.last
        self.total += step.reward
        self.picture = self._draw(self._rate())

    def _rate(self) -> float | None:
        """Spikes per unit and simulation step of the latest decision, over all layers; None for the ANN."""
        layers = self.policy.activity(0)
        if not layers:
            return None
        spikes = sum(sum(layer.spikes) for layer in layers)
        latest, self._spikes = spikes - self._spikes, spikes
        return latest / sum(layer.units * len(layer.spikes) for layer in layers)

    def _draw(self, rate: float | None) -> np.ndarray:
        image = Image.new("RGB", (_WIDTH, _HEIGHT + _CAPTION), _PAPER)
        image.paste(Image.fromarray(self.environment.render(_HEIGHT, _WIDTH)), (0, _CAPTION))
        draw = ImageDraw.Draw(image)
        draw.text((8, 4), self.label, fill=_INK, font=_font(16))
        words = f"return so far {self.total:.1f}" + ("" if rate is None else f"   spike rate {100 * rate:.1f} %")
        draw.text((8, 25), words, fill=_FAINT, font=_font(12))
        return np.asarray(image)
