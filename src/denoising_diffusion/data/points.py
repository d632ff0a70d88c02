"""Points from a file of the user's."""

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.data.classes import classes_of, rare
from denoising_diffusion.data.reading import as_path, read_npy
from denoising_diffusion.data.rows import Dataset, fingerprint_of, in_memory
from denoising_diffusion.data.split import split_classes, split_validation
from denoising_diffusion.data.table import read_table

MIN_ROWS = 10
"""The fewest points that a file may hold."""

_TABLES = (".csv", ".tsv")


def points(*, path: str | None = None, label_column: str | None = None, seed: int = 0) -> Dataset:
    """The points in a file, a tenth of them held out.

    Every column is scaled to mean 0 and standard deviation 1 over the training part.

    Args:
        path: the .csv, .tsv or .npy file.
        label_column: the name of the column of classes in a .csv file, which are then learned: text
            or whole numbers. Every class has at least one row to train on.
        seed: of the split.

    Raises:
        TypeError, ValueError: no path, a seed that is no integer >= 0, a file that cannot be used
            (see `read_points`), classes that are none (see `classes_of`), or a column that cannot
            be scaled: it is constant, or differs by less than float64 tells apart.
    """
    if path is None:
        raise ValueError("the data set 'points' needs the path of a .csv or .npy file, got None")
    raw, columns, cells, notes = _read(path, label_column)
    names: tuple[str, ...] = ()
    labels: tuple[Tensor, ...] = ()
    train, held_out = split_validation(len(raw), 0.1, seed)
    if cells is not None:
        names, classes = classes_of(cells, f"{path}: column {label_column!r}")
        labels, notes = (classes,), (*notes, *rare(names, classes))
        train, held_out = split_classes(classes, 0.1, seed)
    shift, scale = _scaling(path, raw[train], columns)
    scaled = ((raw - shift) / scale).float()
    return in_memory(
        "points",
        "points",
        *((scaled[rows], *(k[rows] for k in labels)) for rows in (train, held_out)),
        class_names=names,
        shift=tuple(shift.tolist()),
        scale=tuple(scale.tolist()),
        fingerprint=fingerprint_of(raw, *labels),
        columns=columns,
        notes=notes,
    )


def read_points(path: str | Path) -> Tensor:
    """The points in a .csv or .tsv file (see `read_table`) or a .npy file: (n, d) float64.

    Integers are read as well as floats. A .npy file is never unpickled.

    Raises:
        TypeError: no path.
        ValueError: in one line that names the file: it cannot be read or has another suffix; is
            not numeric, is ragged, or not two-dimensional; has fewer than 10 rows or no column;
            holds a number that is not finite (rows of .npy count from 1).
    """
    return _read(path, None).values


class _Read(NamedTuple):
    values: Tensor
    columns: tuple[str, ...]
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


def _read(path: str | Path, label_column: str | None) -> _Read:
    path = as_path(path)
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        table = read_table(path, label_column)
        array, columns, classes, notes = table.values, table.columns, table.classes, table.notes
    elif suffix != ".npy":
        hint = "; save one array with numpy.save" if suffix == ".npz" else ""
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}, expected .csv or .npy{hint}")
    elif label_column is not None:
        raise ValueError(f"{path}: label_column is {label_column!r}, but .npy names no columns")
    else:
        array, columns, classes, notes = read_npy(path), (), None, ()
    if array.ndim != 2:
        raise ValueError(f"{path}: expected an array of shape (n, d), got {array.shape}")
    if len(array) < MIN_ROWS:
        raise ValueError(f"{path}: expected at least {MIN_ROWS} rows, got {len(array)}")
    if array.shape[1] == 0:
        raise ValueError(f"{path}: the rows are empty")
    values = torch.from_numpy(array)
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        row, column = (bad[0] + 1).tolist()
        raise ValueError(f"{path}: row {row} holds a number that is not finite in column {column}")
    return _Read(values.contiguous(), columns, classes, notes)


def _scaling(path: str, x: Tensor, columns: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the columns (n, d) float64, if all can be scaled by them."""
    # Means of what is left after the first row keep digits that those of large numbers lose.
    offset = x[0]
    shift, scale = (x - offset).mean(0) + offset, (x - offset).std(0, correction=0)
    largest = x.abs().amax(0).tolist()
    for i in range(x.shape[1]):
        name, it = f"column {i + 1}", repr(columns[i]) if columns else "it"
        if bool(x[:, i].amax() == x[:, i].amin()):
            raise ValueError(f"{path}: {name} is constant, so {it} cannot be scaled; remove it")
        if not bool((shift[i].abs() + scale[i]).isfinite()):
            raise ValueError(f"{path}: {name} spreads beyond float64, so {it} cannot be scaled")
        if float(scale[i]) < 1000 * math.ulp(largest[i]):
            raise ValueError(
                f"{path}: {name} differs by {float(scale[i]):.3g} around {float(x[0, i]):.6g}, so "
                f"{it} has few digits in float64; subtract an offset"
            )
    return shift, scale
