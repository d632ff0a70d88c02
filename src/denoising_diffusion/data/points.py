"""Points from a file of the user's."""

import csv
import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoising_diffusion.data.reading import as_path, read_bytes
from denoising_diffusion.data.rows import Dataset, fingerprint_of, in_memory
from denoising_diffusion.data.split import split_validation

MIN_ROWS = 10
"""The fewest points that a file may hold."""


def points(*, path: str | None = None, seed: int = 0) -> Dataset:
    """The points in a file, a tenth of them held out.

    Every column is scaled to mean 0 and standard deviation 1 over the training part.

    Args:
        path: the .csv or .npy file.
        seed: of the split.

    Raises:
        TypeError, ValueError: no path, a seed that is no integer >= 0, or a file that cannot be
            used (see `read_points`) or has a constant column.
    """
    if path is None:
        raise ValueError("the data set 'points' needs the path of a .csv or .npy file, got None")
    raw = read_points(path)
    train, held_out = split_validation(len(raw), 0.1, seed)
    reference = raw[train].double()
    constant = (reference.amax(0) == reference.amin(0)).nonzero()
    if len(constant):
        column = int(constant[0]) + 1
        raise ValueError(f"{path}: column {column} is constant, so it cannot be scaled; remove it")
    shift, scale = reference.mean(0), reference.std(0, correction=0)
    scaled = ((raw.double() - shift) / scale).float()
    return in_memory(
        "points",
        "points",
        (scaled[train],),
        (scaled[held_out],),
        shift=tuple(shift.tolist()),
        scale=tuple(scale.tolist()),
        fingerprint=fingerprint_of(raw),
    )


def read_points(path: str | Path) -> Tensor:
    """The points in a .csv file (a header line may come first) or a .npy file: (n, d) float32.

    Integers are read as well as floats. A .npy file is never unpickled.

    Raises:
        TypeError: no path.
        ValueError: in one line that names the file: it cannot be read or has another suffix; is
            not numeric, is ragged, or not two-dimensional; has fewer than 10 rows or no column;
            holds a number that is not finite in float32 (rows count from 1, the header excluded).
    """
    path = as_path(path)
    readers = {".csv": _read_csv, ".npy": _read_npy}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}, expected .csv or .npy")
    array = reader(path)
    if array.ndim != 2:
        raise ValueError(f"{path}: expected an array of shape (n, d), got {array.shape}")
    if len(array) < MIN_ROWS:
        raise ValueError(f"{path}: expected at least {MIN_ROWS} rows, got {len(array)}")
    if array.shape[1] == 0:
        raise ValueError(f"{path}: the rows are empty")
    with np.errstate(over="ignore"):
        found = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise ValueError(f"{path}: row {bad[0] + 1} holds a number that is not finite")
    return torch.from_numpy(found)


def _read_npy(path: Path) -> NDArray[np.generic]:
    """The array in a .npy file, if it is one of numbers."""
    content = io.BytesIO(read_bytes(path))
    try:
        array = np.lib.format.read_array(content, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        reason = "it holds Python objects" if "Object arrays" in str(error) else "no .npy data"
        raise ValueError(f"{path}: not numeric, {reason}") from error
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{path}: not numeric, its type is {array.dtype}")
    return array


def _read_csv(path: Path) -> NDArray[np.generic]:
    """The numbers in a .csv file: (n, d) float64."""
    content = read_bytes(path)
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        lines = [(reader.line_num, fields) for fields in reader if any(map(str.strip, fields))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not numeric, no text in comma-separated values") from error
    if lines and not any(_is_number(field) for field in lines[0][1]):
        del lines[0]  # the header
    for number, fields in lines:
        if len(fields) != len(lines[0][1]):
            expected = f"{len(fields)} columns, not {len(lines[0][1])}"
            raise ValueError(f"{path}: ragged, line {number} has {expected}")
        for field in fields:
            if not _is_number(field):
                raise ValueError(f"{path}: not numeric, line {number} holds {field!r}")
    rows = [[float(field) for field in fields] for _, fields in lines]
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1 if rows else 1)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
