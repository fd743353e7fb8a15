"""Reads torch files from strangers, and looks at them before anything in them is loaded.

torch.load(weights_only=True) runs no code of the file, yet a hostile one can still fill the memory or hang or end the
process: records that unpack to gigabytes, a zip directory that two readers find in different places, names such as
bytearray that allocate what they are told, tuples of tuples that take forever to hash. So the directory and the
pickle's instructions are read here first, and nothing is carried out. What to make of the contents is the reader's
business.
"""

import errno
import io
import pickletools
import struct
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import torch

from runtime.errors import UserError

# All that the pickle of a dictionary of tensors refers to.
TENSOR_NAMES = frozenset(
    {"collections.OrderedDict", "torch._utils._rebuild_tensor_v2"}
    | {
        f"torch.{kind}Storage"
        for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
    }
)
# One instruction of one byte can make an object of 200 bytes; a DrQ-v2 agent with its optimisers takes some 10⁴.
_MAX_INSTRUCTIONS = 200_000
# Values in a tuple, counted through the tuples inside it as often as they appear: what hashing or printing it costs.
_MAX_WEIGHT = 10_000
# What reading a file that isn't whole raises, of zipfile and torch.
NOT_WHOLE = (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, struct.error)
# How many values an instruction takes off the stack (None: all down to the mark), and how many it puts there: one that
# holds them, or none where they go into the value below. Those that work on marks and the memo are carried out apart.
_OF_TORCH: dict[str, tuple[int | None, int]] = {
    **dict.fromkeys("PROTO STOP MARK BINPUT LONG_BINPUT BINGET LONG_BINGET".split(), (0, 0)),
    **dict.fromkeys("NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE".split(), (0, 1)),
    **dict.fromkeys("SHORT_BINSTRING EMPTY_LIST EMPTY_DICT EMPTY_SET EMPTY_TUPLE GLOBAL".split(), (0, 1)),
    "TUPLE": (None, 1),
    "TUPLE1": (1, 1),
    "TUPLE2": (2, 1),
    "TUPLE3": (3, 1),
    "REDUCE": (2, 1),
    "NEWOBJ": (2, 1),
    "BINPERSID": (1, 1),
    "APPENDS": (None, 0),
    "SETITEMS": (None, 0),
    "APPEND": (1, 0),
    "SETITEM": (2, 0),
    "BUILD": (1, 0),
}
# With those of protocols 3 to 5, which torch.save doesn't use.
_OF_ALL = {
    **_OF_TORCH,
    **dict.fromkeys("SHORT_BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8 LONG4".split(), (0, 1)),
    "FRAME": (0, 0),
    "MEMOIZE": (0, 0),
    "STACK_GLOBAL": (2, 1),
}


def printable(text: str, length: int) -> str:
    """Words of a file, as far as they can be shown: they break no line and steer no terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split())[:length])


class ArchiveError(UserError):
    """A file that is gone, damaged, foreign, of another version, or hostile; the message names it."""


def _refusal(path: Path, trouble: str, error: Exception) -> UserError:
    """What to raise for `error`: where the system refused to read the file, nothing is known of its contents."""
    if isinstance(error, FileNotFoundError):
        return ArchiveError(f"{path}: no such file")
    if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before the file's begin
        return UserError(f"{path}: {error.strerror or error}")
    return ArchiveError(f"{path}: {trouble} ({printable(str(error), 120) or type(error).__name__})")


def read(path: Path) -> Any:
    """What torch.save wrote to `path`: tensors, on the CPU, and plain values. Raises ArchiveError, one line, for
    anything else, before it can do harm. Tensors may still be of odd kinds and extents: see `check_tensors`.
    """
    refuse_names(path, inspect(path), TENSOR_NAMES)
    return load_inspected(path)


def inspect(path: Path) -> frozenset[str]:
    """The names ("module.name") that the pickle inside the torch archive `path` refers to.

    Raises ArchiveError for what is no whole, uncompressed zip archive with one pickle (as files of torch before 1.6),
    for records that claim more bytes than the file has, and for what `names_in` refuses.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            size = file.seek(0, io.SEEK_END)
            _check_end(file, size)
            return names_in(io.BytesIO(archive.read(_check_records(archive.infolist(), size))))
    except NOT_WHOLE as error:
        if _is_cut_short(path):
            size = path.stat().st_size
            raise ArchiveError(f"{path}: cut short after {size:,} bytes; download or copy it again") from None
        raise _refusal(path, "not a whole torch archive", error) from None


def _is_cut_short(path: Path) -> bool:
    """Whether a zip archive begins in `path` and its directory, which stands at the end, is lacking."""
    if not path.is_file() or zipfile.is_zipfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def load_inspected(path: Path) -> Any:
    """torch.load of a file that `inspect` let pass. Raises ArchiveError where torch can't read it, or a record isn't
    what its checksum in the zip says, which torch.load doesn't look at.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            altered = archive.testzip()
        if altered is not None:
            raise ValueError(f"damaged: the checksum of {altered!r:.80} doesn't match its contents")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files; each means the same here
        raise _refusal(path, "can't be read as tensors and plain values", error) from None


def check_tensors(path: Path, tensors: dict[str, Any]) -> None:
    """Raises ArchiveError for what is no dense tensor, or holds more elements, taken together, than the file has bytes
    for.
    """
    for name, tensor in tensors.items():
        # A view of huge extent over few bytes would unfold when copied.
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or not tensor.is_contiguous():
            raise ArchiveError(f"{path}: {printable(name, 80)} is not a dense tensor; refused")
    if sum(tensor.nbytes for tensor in tensors.values()) > path.stat().st_size:
        raise ArchiveError(f"{path}: its tensors claim more bytes than the file has; refused")


def names_in(pickle: BinaryIO, torch_only: bool = True) -> frozenset[str]:
    """The names that a pickle of torch.save refers to, found by following its instructions without obeying them.

    torch_only False: let the instructions of newer pickles pass too, whose names (STACK_GLOBAL) are not found: for
    readers to whom every name is the same. The stack holds the weight of each value in place of the value. Raises
    ValueError for instructions that torch.save never writes, for too many, and for tuples too heavy to handle.
    """
    known = _OF_TORCH if torch_only else _OF_ALL
    names: set[str] = set()
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[int, int] = {}
    try:
        argument: Any
        for count, (instruction, argument, _) in enumerate(pickletools.genops(pickle)):
            name = instruction.name
            if name not in known:
                raise ValueError(f"its pickle holds the instruction {name}, which torch never writes")
            if name == "GLOBAL":
                names.add(argument.replace(" ", ".", 1))
            if name == "MARK":
                marks.append(len(stack))
            elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
                memo[len(memo) if argument is None else argument] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            else:
                number, kept = known[name]
                start = marks.pop() if number is None else len(stack) - number
                stack[start:] = [1 + sum(stack[start:])] * kept
            # An unpickler that keeps values in an array makes it as long as the largest place asks for.
            place = argument if name == "LONG_BINPUT" else 0
            if max(count, place) > _MAX_INSTRUCTIONS or (stack and stack[-1] > _MAX_WEIGHT):
                raise ValueError("its pickle is longer than that of any file of tensors")
    except (IndexError, KeyError):
        raise ValueError("its pickle is damaged") from None
    return frozenset(names)


def refuse_names(path: Path, names: Collection[str], allowed: Collection[str]) -> None:
    """Raises ArchiveError that says which of `names` are not `allowed`."""
    foreign = sorted(set(names) - set(allowed))
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        listed = ", ".join(printable(name, 80) for name in foreign[:3])
        raise ArchiveError(
            f"{path}: refers to {listed}{more}, which no file of tensors needs; refused, nothing in it was run"
        )


def _check_end(file: BinaryIO, size: int) -> None:
    """Python's reader and torch's search for the directory in different ways; where it can only be in one place, they
    agree.
    """
    file.seek(max(0, size - 98))
    tail = file.read()
    signature, entries, length, offset, comment = struct.unpack("<4s6xHIIH", tail[-22:])
    end = size - 22
    if signature != b"PK\x05\x06" or comment:
        raise ValueError("bytes follow its directory")
    if tail[-42:-38] == b"PK\x06\x07":
        end = size - 98
        (pointed,) = struct.unpack("<8xQ4x", tail[-42:-22])
        signature, entries64, length64, offset64 = struct.unpack("<4s28xQQQ", tail[:56])
        agree = all(
            short in (long, 2**bits - 1)
            for short, long, bits in ((entries, entries64, 16), (length, length64, 32), (offset, offset64, 32))
        )
        if pointed != end or signature != b"PK\x06\x06" or not agree:
            raise ValueError("its two directories differ")
        length, offset = length64, offset64
    if offset + length != end:
        raise ValueError("its directory isn't where it says")


def _check_records(records: list[zipfile.ZipInfo], size: int) -> zipfile.ZipInfo:
    """The record that is the pickle."""
    if any(r.compress_type != zipfile.ZIP_STORED or r.file_size != r.compress_size for r in records):
        raise ValueError("it holds compressed records, which torch never writes; refused")
    if sum(r.file_size for r in records) > size:
        raise ValueError("its records claim more bytes than the file has; refused")
    # Each has a header of 30 bytes and its name before it.
    starts = sorted((r.header_offset, r.header_offset + 30 + r.file_size) for r in records)
    if any(end > start for (_, end), (start, _) in zip(starts, [*starts[1:], (size, size)])):
        raise ValueError("its records overlap; refused")
    # torch compares without regard to case and takes the first record's folder for all.
    names = [r.filename.lower() for r in records]
    folder = names[0].partition("/")[0] if names else ""
    if (
        len(set(names)) < len(names)
        or f"{folder}/data.pkl" not in names
        or not all(n.startswith(f"{folder}/") for n in names)
    ):
        raise ValueError("it isn't laid out as torch writes it")
    return records[names.index(f"{folder}/data.pkl")]
