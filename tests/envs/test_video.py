import imageio.v2 as imageio
import numpy as np
import pytest

from envs.video import write_video


def frames(count, height=64, width=96):
    for number in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[:, : width // 2] = 40 * number
        frame[..., 0] = np.maximum(frame[..., 0], 200)
        yield frame


def test_what_is_written_can_be_read_back(tmp_path):
    path = tmp_path / "new folder" / "a.mp4"
    write_video(path, frames(5), fps=25)
    with imageio.get_reader(path) as reader:
        assert reader.get_meta_data()["fps"] == 25
        read = list(reader.iter_data())
    assert len(read) == 5
    for frame, expected in zip(read, frames(5)):
        assert np.abs(frame.astype(int) - expected).mean() < 8
    assert [file.name for file in path.parent.iterdir()] == ["a.mp4"]


def test_odd_sizes_work(tmp_path):
    write_video(tmp_path / "odd.mp4", frames(2, 33, 47), fps=10)
    with imageio.get_reader(tmp_path / "odd.mp4") as reader:
        assert sum(1 for _ in reader) == 2


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, frames(2), fps=10)
    before = path.read_bytes()

    def broken():
        yield from frames(2)
        raise RuntimeError("the policy failed")

    with pytest.raises(RuntimeError, match="the policy failed"):
        write_video(path, broken(), fps=10)
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(path, [], fps=10)
    assert path.read_bytes() == before and len([*tmp_path.iterdir()]) == 1
