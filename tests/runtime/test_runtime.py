"""Files that are whole or absent, or say what they aren't; devices by name."""

import hashlib
import json
import struct
import sys
import zipfile

import pytest
import torch

from runtime import archives, device, files, versions
from tests.processes import python


def test_an_interrupted_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "a.bin"
    files.atomic_write(path, b"old")
    with pytest.raises(RuntimeError):
        with files.atomic_file(path) as file:
            file.write(b"half of the n")
            raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert files.sha256_file(path) == hashlib.sha256(b"old").hexdigest()


def test_json_refuses_what_json_cannot_say(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()
    files.write_json(tmp_path / "a.json", {"x": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, None]}


def test_a_record_over_another_is_refused(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"a": torch.arange(6.0), "b": torch.ones(2, 3)}, path)
    whole = bytearray(path.read_bytes())
    directory = whole.index(b"PK\x01\x02")
    with zipfile.ZipFile(path) as archive:
        second = archive.infolist()[1]
    # The first record's entry now points where the second lies: both would be read from the same bytes.
    whole[directory + 42 : directory + 46] = struct.pack("<I", second.header_offset)
    path.write_bytes(whole)
    with pytest.raises(archives.ArchiveError, match="records overlap"):
        archives.inspect(path)


def test_devices():
    assert device.resolve("cpu").type == "cpu"
    assert device.resolve("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("unit", ["amx_bf16", "avx512_bf16", None])
def test_automatic_precision_is_bf16_only_where_the_processor_multiplies_it(unit, monkeypatch):
    monkeypatch.setattr(
        torch.cpu,
        "get_capabilities",
        lambda: {"avx512_f": True, "amx_bf16": False, "avx512_bf16": False} | {unit: True},
    )
    cpu = torch.device("cpu")
    assert device.resolve_precision("auto", cpu) == ("fp32" if unit is None else "bf16")
    assert [device.resolve_precision(name, cpu) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_automatic_precision_names_units_that_torch_reports():
    if torch.cpu.get_capabilities()["architecture"] != "x86_64":
        pytest.skip("units of x86-64")
    assert {"amx_bf16", "avx512_bf16"} <= torch.cpu.get_capabilities().keys()


def test_versions_name_what_a_result_depends_on():
    found = versions.versions()
    assert found["torch"].startswith("2.13.0") and found["mujoco"] == "3.17.0" and found["commit"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
@pytest.mark.parametrize("switch, mapped", [("1", False), ("0", True)])
def test_large_blocks_stay_on_the_heap_unless_switched_off(switch, mapped):
    code = """
import ctypes, re
from runtime.malloc import keep_large_blocks
keep_large_blocks()
libc = ctypes.CDLL("libc.so.6"); libc.malloc.restype = ctypes.c_void_p
address = libc.malloc(ctypes.c_size_t(256 << 20))
heap = next((l for l in open("/proc/self/maps") if l.rstrip().endswith("[heap]")), "0-0 ")
low, high = (int(x, 16) for x in heap.split()[0].split("-"))
print(not low <= address < high)
"""
    assert python("-c", code, SNN_KEEP_LARGE_BLOCKS=switch).stdout.strip() == str(mapped)


@pytest.mark.parametrize(("given", "policy"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_openmp_threads_sleep_unless_told_otherwise(given, policy):
    """Set before torch is imported, OpenMP itself says that it heard; the commands' modules import no torch before."""
    program = """
import sys
from pathlib import Path
import analyze, convert
assert "torch" not in sys.modules
from runtime.openmp import wait_asleep
wait_asleep()
import torch
torch.ones(8).sum()
"""
    said = python("-c", program, OMP_DISPLAY_ENV="true", OMP_WAIT_POLICY=given).stderr
    assert f"OMP_WAIT_POLICY = '{policy}'" in said
