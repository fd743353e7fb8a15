"""Damaged and hostile snapshots, each a function of (base files, random numbers) → bytes.

A base is a whole file: "policy" and "snapshot" of this project, "published" as the published repositories write.
"""

import io
import json
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import torch

from drqv2.archive import FORMAT, _checksum

Bases = dict[str, bytes]
Random = np.random.Generator
WITNESS = "witness"  # what a file that gets code to run leaves in the working directory
TOUCH = f"touch {WITNESS}"

GENERATORS: dict[str, Callable[[Bases, Random], bytes]] = {}
# These may leave the weights as they were (padding, time stamps, records that nobody reads, an optimiser): then
# they must load unchanged.
MAY_BE_HARMLESS = {"flipped", "overwritten", "huge_declared", "lying_directory"}


def generator(make: Callable[[Bases, Random], bytes]) -> Callable[[Bases, Random], bytes]:
    GENERATORS[make.__name__] = make
    return make


def pick(random: Random, values):
    return values[int(random.integers(len(values)))]


# ---- damage ----


@generator
def truncated(bases: Bases, random: Random) -> bytes:
    whole = bases[pick(random, sorted(bases))]
    return whole[: int(random.integers(len(whole)))]


def flip(whole: bytes, random: Random) -> bytes:
    data = bytearray(whole)
    for place in random.integers(len(data), size=int(random.integers(1, 9))):
        data[place] ^= 1 << int(random.integers(8))
    return bytes(data)


@generator
def flipped(bases: Bases, random: Random) -> bytes:
    return flip(bases[pick(random, sorted(bases))], random)


@generator
def overwritten(bases: Bases, random: Random) -> bytes:
    """A stretch that is zero, random, missing or there twice, as broken disks and downloads leave it."""
    whole = bases[pick(random, sorted(bases))]
    start, length = int(random.integers(len(whole))), int(random.integers(1, 5000))
    middle = whole[start : start + length]
    return (
        whole[:start]
        + pick(random, [bytes(len(middle)), random.bytes(len(middle)), b"", middle * 2])
        + whole[start + length :]
    )


# ---- zip ----


def zipped(records: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return out.getvalue()


def unzipped(whole: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@generator
def compressed(bases: Bases, random: Random) -> bytes:
    """Zip bombs: the right records and one of zeros, squeezed."""
    records = unzipped(bases[pick(random, ["policy", "published"])])
    name = pick(random, [pick(random, sorted(records)), "archive/data/9"])
    records[name] = bytes(int(random.integers(1, 16)) * 2**20)
    return zipped(records, pick(random, [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))


@generator
def lying_directory(bases: Bases, random: Random) -> bytes:
    """Sizes in the directory that the file doesn't have."""
    whole = bytearray(bases[pick(random, ["policy", "snapshot", "published"])])
    start = whole.index(b"PK\x01\x02")  # of the directory
    place = pick(random, [start + found.start() for found in re.finditer(b"PK\x01\x02", whole[start:])])
    size = struct.pack("<I", pick(random, [2**31 - 1, 2**32 - 2, 10**9, 0]))
    for offset in pick(random, [(24,), (20,), (20, 24), (42,)]):
        whole[place + offset : place + offset + 4] = size
    return bytes(whole)


@generator
def two_directories(bases: Bases, random: Random) -> bytes:
    """A second archive behind, before or inside the comment of the first: readers may disagree which one counts."""
    good = bases[pick(random, ["policy", "published"])]
    bomb = zipped({"archive/data.pkl": bytes(int(random.integers(1, 32)) * 2**20)}, zipfile.ZIP_DEFLATED)
    in_comment = bomb[:-2] + struct.pack("<H", min(len(good), 65535)) + good[-65535:]
    return pick(random, [good + bomb, bomb + good, in_comment, good + random.bytes(int(random.integers(1, 200)))])


@generator
def odd_layout(bases: Bases, random: Random) -> bytes:
    """Records twice, in two folders, in another case, missing, or as torch.jit writes them."""
    records = list(unzipped(bases["policy"]).items())
    folder, pickled = records[0][0].partition("/")[0], records[0][1]
    layouts = [
        [*records, (f"{folder}/DATA.pkl", pickled)],
        [("elsewhere/data.pkl", pickled), *records],
        [record for record in records if "data" not in record[0]],
        [(f"{folder}/code.pkl", pickled), *records[1:], (f"{folder}/constants.pkl", pickle.dumps(()))],
        [(name.replace(f"{folder}/", ""), data) for name, data in records],
    ]
    return zipped(dict(pick(random, layouts)))


# ---- pickles that ask for code or memory ----


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def integer(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def nested(depth: int) -> bytes:
    """A tuple of itself twice, `depth` levels deep: 2**depth values to whoever walks it."""
    return b"K\x01" + b"".join(b"q\x00h\x00h\x00\x86" if level else b"q\x00h\x00\x86" for level in range(depth))


def calls(random: Random) -> bytes:
    """A pickled value that no snapshot needs."""
    huge = pick(random, [10**9, 10**10, 10**12, 2**40])
    return pick(
        random,
        [
            call("os", "system", text(TOUCH)),
            call("posix", "system", text(TOUCH)),
            call("subprocess", "getoutput", text(TOUCH)),
            call("builtins", "eval", text(f"open({WITNESS!r}, 'w')")),
            call("__builtin__", "exec", text(f"open({WITNESS!r}, 'w')")),
            call("builtins", "getattr", call("builtins", "__import__", text("os")), text("system")),
            call("webbrowser", "open", text("http://localhost")),
            call("torch", "load", text("/etc/passwd")),
            call("torch.hub", "load", text("a/b"), text("c")),
            call("builtins", "bytearray", integer(huge)),
            call("torch", "Tensor", integer(huge)),
            call("torch", "FloatTensor", integer(huge)),
            call("builtins", "set", b"]" + b"(" + b"\x8f" * 200_000 + b"e"),
            call("collections", "OrderedDict", b"]" + b"(" + nested(int(random.integers(20, 60))) + b"K\x01\x86e"),
            call(
                "torch._utils",
                "_rebuild_meta_tensor_no_storage",
                call("torch", "float32"),
                b"(" + integer(huge) + b"t",
                b")",
                b"\x89",
            ),
            b"(" * 400_000,
            b"}" * 600_000,
            b"}" + nested(int(random.integers(25, 60))) + b"K\x01s",
            b"K\x01" + b"\x85" * 200_000,
            text("os") + text("system") + b"\x93" + text(TOUCH) + b"\x85R",
            b"(ios\nsystem\n",
            b"(" + text(TOUCH) + b"ios\nsystem\n",
            b"\x82\x01)R",
            b"K\x01r\xff\xff\xff\x7f",
            b"\x8b\xff\xff\xff\x7f\x01",
            b"\x8e" + struct.pack("<Q", 2**40),
            b"X\xff\xff\xff\xff",
            b"h\x7f",
            b"R" * 5,
            b"(" + text("storage") + b"c__builtin__\nset\n" + text("0") + text("cpu") + integer(huge) + b"tQ",
        ],
    )


@generator
def hostile_pickle(bases: Bases, random: Random) -> bytes:
    """Alone, in an archive of its own, or inside the pickle of a good one."""
    value = calls(random)
    alone = b"\x80\x02" + value + b"."
    records = unzipped(bases[pick(random, ["policy", "snapshot", "published"])])
    name = next(name for name in records if name.endswith("data.pkl"))
    # Under a key of its own at the start of the payload's dictionary.
    start = records[name].index(b"(X") + 1
    records[name] = records[name][:start] + text("x") + value + records[name][start:]
    archive = zipped({"archive/data.pkl": alone, "archive/version": b"3\n", "archive/data/0": b"\0" * 64})
    return pick(random, [alone, archive, zipped(records)])


# ---- right form, wrong contents ----


def contents(whole: bytes) -> dict:
    return torch.load(io.BytesIO(whole), weights_only=True)


def saved(payload: object, **options) -> bytes:
    out = io.BytesIO()
    torch.save(payload, out, **options)
    return out.getvalue()


def signed(payload: dict) -> bytes:
    """With a checksum that fits: the writer meant it."""
    return saved(payload | {"checksum": _checksum(payload["meta"], payload["tensors"])})


# What nothing that is described in words and numbers is.
ODD = (0, -1, 2, 2**31, 2**63, 10**30, 1.5, float("nan"), "x", "", None, [], {}, True, [1], "\x1b[2J\n", "a" * 10**6)


@generator
def wrong_meta(bases: Bases, random: Random) -> bytes:
    payload = contents(bases["policy"])
    texts = [
        "",
        "[]",
        "null",
        "{",
        '{"policy": 1}',
        "[" * 100_000,
        "9" * 10_000,
        '{"policy": ' * 5000 + "1" + "}" * 5000,
        "\udc80",
        "{}" * 10,
    ]
    return signed(payload | {"meta": pick(random, texts)})


@generator
def wrong_form(bases: Bases, random: Random) -> bytes:
    """Another version or kind, keys missing or of other types, another program's files."""
    payload = contents(bases[pick(random, ["policy", "snapshot"])])
    tensors = payload["tensors"]
    key = pick(random, sorted(payload))
    return pick(
        random,
        [
            saved(payload | {"version": pick(random, [0, 2, 99, -1, 2**60, "1", None, 1.5, [1]])}),
            saved(payload | {"format": pick(random, ["", f"{FORMAT}/else", FORMAT, None, 3, [1]])}),
            saved(payload | {"checksum": pick(random, ["", "0" * 64, None, 3])}),
            saved({k: v for k, v in payload.items() if k != key}),
            saved(
                payload
                | {"tensors": pick(random, [list(tensors.values()), None, {}, {3: torch.ones(1)}, {"encoder.x": 3}])}
            ),
            saved(tensors),
            saved(list(tensors.values())),
            saved(torch.ones(3)),
            saved(None),
            b"",
            b"\0" * 100,
            random.bytes(int(random.integers(1, 2000))),
            b"PK\x05\x06" + bytes(18),
            json.dumps({"format": FORMAT}).encode(),
            pickle.dumps({"agent": 1}),
            saved({"agent": {"encoder": 1}, "timer": None}),
        ],
    )


@generator
def odd_tensors(bases: Bases, random: Random) -> bytes:
    """Views of huge extent over few bytes, and kinds of tensors that aren't plain arrays."""
    payload = contents(bases["policy"])
    tensors = dict(payload["tensors"])
    name = pick(random, sorted(tensors))
    shared = torch.zeros(2**18)
    odd = pick(
        random,
        [
            torch.zeros(1).expand(10**12),
            torch.zeros(1, 1).expand(10**6, 10**6),
            torch.as_strided(torch.zeros(10), (10**9, 2), (0, 1)),
            torch.empty(10**12, device="meta"),
            torch.sparse_coo_tensor([[0]], [1.0], (10**9,), check_invariants=True),
            torch.zeros(4, dtype=torch.complex64),
            torch.zeros(3, requires_grad=True),
            torch.nn.Parameter(torch.zeros(3)),
            torch.zeros(3, dtype=torch.float8_e5m2),
            torch.zeros(6, 4).t(),
        ],
    )
    if random.random() < 0.2:  # one storage that counts a thousand times
        tensors |= {f"actor.{i}": shared for i in range(1000)}
    tensors[name] = odd
    return saved(payload | {"tensors": tensors})


@generator
def huge_declared(bases: Bases, random: Random) -> bytes:
    """Numbers inside the pickle, of elements, sizes, strides or offsets, made huge or negative."""
    records = unzipped(bases[pick(random, ["policy", "snapshot", "published"])])
    name = next(name for name in records if name.endswith("data.pkl"))
    data = records[name]
    places = [
        (place, info.name)
        for info, _, place in pickletools.genops(data)
        if info.name in ("BININT1", "BININT2", "BININT")
    ]
    agent = b"DrQV2Agent" in data
    first = data.index(b"encoder") if agent else data.index(b"_rebuild_tensor_v2")
    last = data.index(b"encoder_opt") if agent else len(data)
    place, kind = pick(random, [p for p in places if first < p[0] < last])
    width = {"BININT1": 2, "BININT2": 3, "BININT": 5}[kind]
    value = integer(pick(random, [2**31, 2**40, 2**62, -1, -(2**40), 10**7]))
    records[name] = data[:place] + value + data[place + width :]
    return zipped(records)
