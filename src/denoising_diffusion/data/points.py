"""Points: drawn from the curves, or read from a file of the user's."""

import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoising_diffusion.data.curves import CURVES, MOONS, S_CURVE, SPIRAL

PATTERNS: tuple[str, ...] = ("spiral", "s-curve", "moons")
"""The classes of `make_patterns`, in the order of their labels."""

MIN_ROWS = 10
"""The fewest points that a file may hold."""


def make_spiral(n: int, generator: torch.Generator | None = None) -> Tensor:
    """n points of the spiral, (n, 2) float32; without a generator, torch's global one draws."""
    return SPIRAL.sample(n, generator)


def make_s_curve(n: int, generator: torch.Generator | None = None) -> Tensor:
    """n points of the S-curve, (n, 2) float32; without a generator, torch's global one draws."""
    return S_CURVE.sample(n, generator)


def make_moons(n: int, generator: torch.Generator | None = None) -> Tensor:
    """n points of the two moons, (n, 2) float32; without a generator, torch's global one draws."""
    return MOONS.sample(n, generator)


def make_patterns(
    n_per_class: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Points of the spiral, the S-curve and the moons in turn, and their classes 0, 1, 2.

    The classes alternate, so any first rows are balanced to within one point.

    Returns:
        points (3 * n_per_class, 2) float32 and labels (3 * n_per_class,) int64.
    """
    points = torch.stack([CURVES[name].sample(n_per_class, generator) for name in PATTERNS], dim=1)
    return points.flatten(0, 1), torch.arange(len(PATTERNS)).repeat(n_per_class)


def read_points(path: str | Path) -> Tensor:
    """The points in a .csv file (a header line may come first) or a .npy file: (n, d) float32.

    Integers are read as well as floats. A .npy file is never unpickled.

    Raises:
        ValueError: in one line that names the file: it is missing or has another suffix; is not
            numeric, is ragged, or not two-dimensional; has fewer than 10 rows or no column; holds
            a number that is not finite in float32 (rows count from 1, the header excluded).
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".npy": _read_npy}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}, expected .csv or .npy")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    array = reader(path)
    if array.ndim != 2:
        raise ValueError(f"{path}: expected an array of shape (n, d), got {array.shape}")
    if len(array) < MIN_ROWS:
        raise ValueError(f"{path}: expected at least {MIN_ROWS} rows, got {len(array)}")
    if array.shape[1] == 0:
        raise ValueError(f"{path}: the rows are empty")
    with np.errstate(over="ignore"):
        points = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise ValueError(f"{path}: row {bad[0] + 1} holds a number that is not finite")
    return torch.from_numpy(points)


def _read_npy(path: Path) -> NDArray[np.generic]:
    """The array in a .npy file, if it is one of numbers."""
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        reason = "it holds Python objects" if "Object arrays" in str(error) else "no .npy data"
        raise ValueError(f"{path}: not numeric, {reason}") from error
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{path}: not numeric, its type is {array.dtype}")
    return array


def _read_csv(path: Path) -> NDArray[np.generic]:
    """The numbers in a .csv file: (n, d) float64."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
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
