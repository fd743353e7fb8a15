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


@pytest.mark.parametrize("size, written", [((64, 96), (64, 96)), ((33, 47), (34, 48))])
def test_what_is_written_can_be_read_back_also_of_odd_sizes(tmp_path, size, written):
    path = tmp_path / "new folder" / "a.mp4"
    write_video(path, frames(5, *size), fps=25)
    with imageio.get_reader(path) as reader:
        assert reader.get_meta_data()["fps"] == 25
        read = np.stack(list(reader.iter_data()))
    assert read.shape == (5, *written, 3)
    if size == written:
        assert (np.abs(read.astype(int) - np.stack(list(frames(5)))).mean((1, 2, 3)) < 8).all()
    assert [file.name for file in path.parent.iterdir()] == ["a.mp4"]


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
