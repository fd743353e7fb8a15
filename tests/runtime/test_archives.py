"""What is seen in a torch file before it is read; test_hostile.py and test_hostile_files.py try far more."""

import struct
import zipfile

import pytest
import torch

from runtime import archives


@pytest.fixture
def path(tmp_path):
    torch.save(
        {"a": torch.arange(6.0), "b": torch.ones(2, 3, dtype=torch.float16), "text": "x", "many": [1, 2.5, None, True]},
        tmp_path / "x.pt",
    )
    return tmp_path / "x.pt"


def test_tensors_and_plain_values_come_back(path):
    found = archives.read(path)
    assert torch.equal(found["a"], torch.arange(6.0)) and found["b"].shape == (2, 3)
    assert found["many"] == [1, 2.5, None, True]


def test_a_record_over_another_is_refused(path):
    whole = bytearray(path.read_bytes())
    directory = whole.index(b"PK\x01\x02")
    with zipfile.ZipFile(path) as archive:
        second = archive.infolist()[1]
    # The first record's entry now points where the second lies: both would be read from the same bytes.
    whole[directory + 42 : directory + 46] = struct.pack("<I", second.header_offset)
    path.write_bytes(whole)
    with pytest.raises(archives.ArchiveError, match="records overlap"):
        archives.inspect(path)


def test_a_flipped_number_is_seen_by_the_zips_own_sums(path):
    whole = path.read_bytes()
    place = whole.index(struct.pack("<3f", 1, 2, 3))
    path.write_bytes(whole[:place] + b"\x01" + whole[place + 1 :])
    with pytest.raises(archives.ArchiveError, match="checksum"):
        archives.read(path)
