"""Several policies side by side from the same initial state, with return so far and spike rate written above each."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import envs
from envs import gl
from envs.vector import VectorEnv
from envs.video import check_ffmpeg, write_video
from evaluation.conversion import Conversion
from evaluation.policies import BatchPolicy
from evaluation.summary import label

_HEIGHT, _WIDTH, _CAPTION, _GAP = 240, 320, 44, 4
_INK, _PAPER, _FAINT = (20, 24, 31), (248, 249, 250), (96, 103, 112)


def probe(render_device: int | None) -> None:
    """Raises UserError where no video could be made, because nothing renders or ffmpeg is missing."""
    check_ffmpeg()
    gl.implementation(render_device)


def comparison(conversion: Conversion, alpha: float, path: Path) -> None:
    """Writes an mp4 of one episode each of the ANN, plain conversion and, where α isn't 0, CRPI side by side.

    Every panel starts from the same initial state (stream "video") and stays at its last picture when its episode ends
    before the others'.
    """
    run, settings = conversion.run, conversion.run.settings
    alphas = sorted({0.0, alpha})
    named = [f"{label(settings.neuron.name, settings.crpi.mode, value)}, T={settings.SNN_ts}" for value in alphas]
    policies: list[BatchPolicy] = [run.ann, *(conversion.spiking_policy(1) for _ in alphas)]
    for policy, value in zip(policies, [0.0, *alphas]):
        policy.reset([0], [value], [0])
    with run.make_envs(len(policies)) as vector:
        frames = _frames(vector, policies, ["ANN", *named], settings.seed)
        write_video(path, frames, 1.0 / (vector.control_timestep * run.policy.action_repeat))


def _frames(
    vector: VectorEnv, policies: Sequence[BatchPolicy], captions: Sequence[str], seed: int
) -> Iterator[np.ndarray]:
    playing = np.arange(len(policies))
    vector.reset(playing, [envs.episode_seed("video", seed, 0)] * len(policies))
    returns, spikes = np.zeros(len(policies)), [0] * len(policies)
    pictures = vector.render(playing, _HEIGHT, _WIDTH)
    panels = [_panel(picture, caption, 0.0, "") for picture, caption in zip(pictures, captions)]
    yield _joined(panels)
    while len(playing):
        actions = [policies[place].act(vector.observations[[place]]) for place in playing.tolist()]
        step = vector.step(playing, np.concatenate(actions))
        returns[playing] += step.rewards
        for place, picture in zip(playing.tolist(), vector.render(playing, _HEIGHT, _WIDTH)):
            layers, before = policies[place].activity(0), spikes[place]
            spikes[place] = sum(sum(layer.spikes) for layer in layers)
            possible = sum(layer.units * len(layer.spikes) for layer in layers)
            rate = f"   spike rate {100 * (spikes[place] - before) / possible:.1f} %" if layers else ""
            panels[place] = _panel(picture, captions[place], returns[place], rate)
        yield _joined(panels)
        playing = playing[~step.lasts]


def _joined(panels: Sequence[np.ndarray]) -> np.ndarray:
    gap = np.full((_HEIGHT + _CAPTION, _GAP, 3), _PAPER, np.uint8)
    return np.concatenate([part for panel in panels for part in (gap, panel)][1:], axis=1)


def _panel(picture: np.ndarray, caption: str, so_far: float, rate: str) -> np.ndarray:
    """`picture` [height, width, 3] under two lines of text; `rate`: of the latest decision's spikes, in words."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT + _CAPTION), _PAPER)
    image.paste(Image.fromarray(picture), (0, _CAPTION))
    draw = ImageDraw.Draw(image)
    draw.text((8, 4), caption, fill=_INK, font=_font(16))
    draw.text((8, 25), f"return so far {so_far:.1f}{rate}", fill=_FAINT, font=_font(12))
    return np.asarray(image)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Pillow's own font has no Greek letters; matplotlib brings one that has.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
