"""Frames → an mp4 that browsers play."""

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from runtime.errors import UserError
from runtime.files import atomic_write


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Writes uint8 [height, width, 3] frames, all of one size, as H.264 to `path`: as a whole or not at all.

    Odd sizes are scaled to even ones, which the format asks for. For real time, `fps` is
    1 / (control_timestep * action_repeat) of the environment. Raises ValueError if there is no frame.
    """
    import imageio.v2 as imageio

    with tempfile.TemporaryDirectory() as folder:
        unfinished = Path(folder) / "video.mp4"
        count = 0
        with imageio.get_writer(unfinished, format="FFMPEG", fps=fps, codec="libx264", macro_block_size=2) as writer:
            for frame in frames:
                writer.append_data(frame)  # type: ignore[attr-defined]  # imageio's stub has no writers
                count += 1
        if count == 0:
            raise ValueError(f"{path}: a video needs at least one frame")
        atomic_write(path, unfinished.read_bytes())


def check_ffmpeg() -> None:
    """Raises UserError where `write_video` would find no program that encodes."""
    import imageio_ffmpeg

    try:
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-version"], capture_output=True, check=True, timeout=60)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        named = os.environ.get("IMAGEIO_FFMPEG_EXE")
        where = f"IMAGEIO_FFMPEG_EXE={named}: " if named else ""
        remedy = "unset it, or name a program that runs" if named else "pip install imageio-ffmpeg"
        raise UserError(f"{where}video=true needs ffmpeg, which can't be run ({error}); {remedy}") from None
