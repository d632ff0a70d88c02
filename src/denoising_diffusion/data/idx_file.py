"""One IDX file: read, unpacked, parsed; what it claims is checked first."""

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from denoising_diffusion.checks import shown
from denoising_diffusion.files import open_regular

MOST_BYTES = 1 << 30
"""The largest file that is read, unpacked; its pixels become four times as many bytes."""

_TYPES = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MOST_DIMENSIONS = 32  # of numpy's arrays
_LONGEST_HEADER = 4 + 4 * _MOST_DIMENSIONS
_GZIP = b"\x1f\x8b"


def parse_idx(raw: bytes, path: str | Path, *, labels: bool = False) -> np.ndarray:
    """The array in an IDX file of bytes; `path` is for messages.

    Args:
        raw: the content, unpacked.
        path: where it comes from.
        labels: whether integers of any width are taken, else uint8 alone.

    Raises:
        TypeError: no bytes.
        ValueError: no IDX, another type, or another length than its header says.
    """
    if type(raw) is not bytes:
        raise TypeError(f"raw must be bytes, got {shown(raw)}")
    begin, shape, dtype = _header(raw, path)
    if not (dtype == np.uint8 or (labels and dtype.kind in "iu")):
        what = "integers" if labels else "uint8"
        raise ValueError(f"{path} holds {dtype.name}; only IDX files of {what} are read")
    expected = begin + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        state = "cut short" if len(raw) < expected else "too long"
        has = f"{'' if len(raw) < expected else 'at least '}{len(raw)}"
        raise ValueError(f"{path} is {state}: its header tells {expected} bytes, it has {has}")
    found = np.frombuffer(raw, dtype, offset=begin).reshape(shape)
    return found.astype(dtype.newbyteorder("="), copy=False)


def _header(raw: bytes, path: str | Path) -> tuple[int, tuple[int, ...], np.dtype]:
    """Where the data begins, its shape and its type."""
    known = len(raw) >= 4 and not raw[0] and not raw[1] and raw[2] in _TYPES
    if not known or raw[3] > _MOST_DIMENSIONS:
        raise ValueError(f"{path} is no IDX file: it begins with {raw[:4].hex() or 'nothing'}")
    begin = 4 + 4 * raw[3]
    sizes = (int.from_bytes(raw[i : i + 4], "big") for i in range(4, begin, 4))
    return begin, tuple(sizes), _TYPES[raw[2]]


def read_idx(path: Path) -> bytes:
    """What is in a file, packed or not; no more is unpacked than its header tells, and one byte."""
    with open_regular(path, MOST_BYTES) as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if packed else file
        try:
            head = stream.read(_LONGEST_HEADER)
            begin, shape, dtype = _header(head, path)
            expected = begin + math.prod(shape) * dtype.itemsize
            if expected > MOST_BYTES:
                raise ValueError(
                    f"{path}: its header tells {expected:,} bytes, at most {MOST_BYTES:,} are read"
                )
            return head + _at_most(stream, expected + 1 - len(head))
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: cannot be read: {error}") from None


def _at_most(stream: BinaryIO | gzip.GzipFile, count: int) -> bytes:
    """The next bytes; a piece at a time, since memory for all of them would be taken at once."""
    pieces: list[bytes] = []
    while count > 0 and (piece := stream.read(min(count, 1 << 20))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
