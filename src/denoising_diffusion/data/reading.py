"""Files of the user's: paths, and arrays of numbers in .npy."""

import os
import warnings
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from denoising_diffusion.checks import shown
from denoising_diffusion.files import open_regular

MOST_BYTES = 4 << 30
"""The largest file that is read: its numbers become four times as many bytes, or more."""

_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    # It differs in the encoding of its text alone, and no type of numbers has other than ASCII.
    (3, 0): np.lib.format.read_array_header_2_0,
}


def as_path(path: Any) -> Path:
    """The path.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a path, got {shown(path)}")
    return Path(path)


def read_npy(path: Path) -> NDArray[np.float64]:
    """The array of numbers in a .npy file, float64; what its header claims is checked first.

    Integers and floating point numbers of any width and order of bytes are read; nothing is ever
    unpickled.

    Raises:
        ValueError: it cannot be read, holds something else, or less or more than it claims.
    """
    with open_regular(path, MOST_BYTES) as file:
        shape, fortran, dtype = _header(file, path)
        expected = prod(shape) * dtype.itemsize
        held = os.fstat(file.fileno()).st_size - file.tell()
        if held != expected:
            state = "cut short" if held < expected else "too long"
            raise ValueError(
                f"{path} is {state}: its header tells {expected} bytes of data, it has {held}"
            )
        flat = np.frombuffer(file.read(expected), dtype)
    with np.errstate(over="ignore"):
        return flat.reshape(shape, order="F" if fortran else "C").astype(np.float64)


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type; the file stands at the data."""
    if file.read(4) == b"PK\x03\x04":
        raise ValueError(f"{path}: not numeric, no .npy data but an .npz archive of several arrays")
    file.seek(0)
    try:
        read = _READERS[np.lib.format.read_magic(file)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran, dtype = read(file)
    except Exception as error:  # numpy parses Python there, which fails in a dozen ways
        raise ValueError(f"{path}: not numeric, no .npy data") from error
    if dtype.hasobject:
        raise ValueError(f"{path}: not numeric, it holds Python objects")
    if dtype.kind not in "iuf":
        raise ValueError(f"{path}: not numeric, its type is {dtype}")
    if any(n < 0 for n in shape):
        raise ValueError(f"{path}: not numeric, no .npy data: its shape is {shape}")
    return shape, fortran, dtype
