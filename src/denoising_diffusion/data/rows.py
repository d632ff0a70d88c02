"""Rows, anything that gives examples by number, and data sets in the space of the network."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from denoising_diffusion.checks import integer, one_of, shown, tensor
from denoising_diffusion.tables import TABLES

Limit = float | tuple[float, ...]
"""One number, or one for each column, which is the last axis."""

NONE = "none"
"""The name of the absent label, which no class may have; `config` has the same."""


@runtime_checkable
class Rows(Protocol):
    """Examples by number; torch's TensorDataset is one, and so is a folder that decodes lazily."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    def __getitem__(self, rows: Tensor, /) -> tuple[Tensor, ...]:
        """The rows of these numbers (b,) int64: tensors (b, ...), such as images and labels."""
        ...


def as_rows(data: Rows | Sequence[Tensor]) -> Rows:
    """The data itself, or a TensorDataset of a tuple or list of tensors, one row per example.

    What is neither is found out by asking for the first row.

    Raises:
        ValueError: no row at all, or tensors of unequal length.
        TypeError: neither rows nor tensors.
    """
    given: Any = data
    if isinstance(given, list | tuple):
        lengths = [len(tensor(f"data[{i}]", x, "n", ...)) for i, x in enumerate(given)]
    else:
        lengths = [_count("data", given)]
    if len(set(lengths)) != 1 or lengths[0] < 1:
        raise ValueError(f"data must hold tensors of one length >= 1, got {lengths}")
    return TensorDataset(*given) if isinstance(given, list | tuple) else given


def _count(name: str, rows: Any) -> int:
    """The number of rows, if they are such: the first is asked for, where there is one."""
    refusal = TypeError(f"{name} must be Rows, such as a TensorDataset, got {shown(rows)}")
    try:
        count = len(rows)
        plain = isinstance(rows, list | tuple | dict | str | bytes)
        row = rows[torch.zeros(1, dtype=torch.int64)] if count or plain else (torch.zeros(1),)
    except (TypeError, LookupError) as error:
        raise refusal from error
    if not isinstance(row, tuple) or not row or not all(_is_one(x) for x in row):
        raise refusal
    return count


def _is_one(x: Any) -> bool:
    return isinstance(x, Tensor) and x.shape[:1] == (1,)


def first(rows: Rows, n: int) -> tuple[Tensor, ...]:
    """The first n rows, or all where there are fewer: tensors (n, ...).

    Raises:
        TypeError, ValueError: no `Rows`, or n is no integer >= 0.
    """
    return rows[torch.arange(min(integer("n", n, 0), _count("rows", rows)))]


def whole(rows: Rows) -> tuple[Tensor, ...]:
    """All rows: tensors (n, ...).

    Raises:
        TypeError: no `Rows`.
    """
    return first(rows, _count("rows", rows))


_BLOCK = 2**24
"""Values of a block: 64 MiB of float32."""
_ROUND = 1000
"""Where so many rows are no more, they come in so many, so that no batch of a network changes."""


def blocks(rows: Rows, name: str = "rows") -> Iterator[tuple[Tensor, ...]]:
    """All rows in their order, some at a time: tensors (b, ...), the first of at most 64 MiB.

    Raises:
        TypeError: no `Rows`; the name is that of the argument.
    """
    count = _count(name, rows)
    if not count:
        return
    values = rows[torch.zeros(1, dtype=torch.int64)][0].numel()
    most = max(1, _BLOCK // values)
    size = most // _ROUND * _ROUND or most
    for low in range(0, count, size):
        yield rows[torch.arange(low, min(low + size, count))]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in model space, the space of the network, with the way back to its own units.

    Its rows are (x,) or (x, labels): samples (b, ...) float32 and int64 labels (b,), 1..n in the
    order of the names; 0 means none.

    Args:
        name: what it is known as; "idx" for IDX files of unknown content.
        kind: of the data, a name of the table "kind": "images" or "points".
        train: the samples to train on.
        validation: the samples held out, of which a small set may have none.
        class_names: the names of the classes in order; empty without labels.
        shift: one number, or one per column of points.
        scale: likewise.
        clip: (low, high), the range of the data in model space; each is one number, or a tuple of
            one per column of points.
        fingerprint: the SHA-256 of the raw data in hexadecimal.
        test: samples that training never sees in any way, or None.
        columns: the names of the columns of points; empty where there are none.
        notes: what was guessed, dropped or skipped while the data was read, for the user.
        clusters: that the labels of the rows are then the numbers of, 1..k in this order: the class
            of each, counted from 1 and 0 without classes, and its share of the training data.

    Raises:
        TypeError: parts that are no `Rows`, or names or numbers that are no tuple.
        ValueError: an unknown kind, rows that hold labels without names of classes or the
            reverse, or names that occur twice or are that of the absent label.
    """

    name: str
    kind: str
    train: Rows
    validation: Rows
    class_names: tuple[str, ...]
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    clip: tuple[Limit, Limit]
    fingerprint: str
    test: Rows | None = None
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    clusters: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        one_of("kind", self.kind, TABLES["kind"])
        for name in ("class_names", "shift", "scale", "clip", "columns", "notes", "clusters"):
            if not isinstance(getattr(self, name), tuple):
                raise TypeError(f"{name} must be a tuple, got {shown(getattr(self, name))}")
        _count("train", self.train)
        _count("validation", self.validation)
        if self.test is not None:
            _count("test", self.test)
        if len(first(self.train, 1)) != 1 + bool(self.labelled or self.clusters):
            raise ValueError("train must yield labels if there are class_names and else x alone")
        if len(set(self.class_names)) != len(self.class_names) or NONE in self.class_names:
            raise ValueError(
                f"class_names must differ from each other and from {NONE!r}, the absent label"
            )

    @property
    def reference(self) -> Rows:
        """The real samples to compare with: the test set, or what was held out."""
        return self.validation if self.test is None else self.test

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(first(self.train, 1)[0].shape[1:])

    @property
    def labelled(self) -> bool:
        """Whether the rows hold labels."""
        return bool(self.class_names)

    def without_labels(self) -> "Dataset":
        """The same samples, with rows of x alone."""
        train, validation = _Samples(self.train), _Samples(self.validation)
        test = None if self.test is None else _Samples(self.test)
        return replace(
            self, train=train, validation=validation, test=test, class_names=(), clusters=()
        )

    def to_data(self, x: Tensor) -> Tensor:
        """x of shape (b, ...), floating point, from model space to the units of the data.

        The answer is float64, on the CPU, unless these are the units of the model: few digits of a
        date or of a place on a map would be left in float32.

        Raises:
            TypeError, ValueError: no tensor of floating point numbers, or samples of another shape.
        """
        tensor("x", x, "b", *self.shape, holds="floats")
        if not any(self.shift) and set(self.scale) == {1.0}:
            return x
        scale, shift = (torch.tensor(v, dtype=torch.float64) for v in (self.scale, self.shift))
        return x.cpu().double() * scale + shift


@dataclass(frozen=True)
class _Samples:
    """Rows without their labels."""

    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor, /) -> tuple[Tensor, ...]:
        return self.rows[rows][:1]


def in_memory(
    name: str,
    kind: str,
    *parts: tuple[Tensor, ...],
    class_names: tuple[str, ...] = (),
    shift: tuple[float, ...] = (0.0,),
    scale: tuple[float, ...] = (1.0,),
    clip: tuple[Limit, Limit] | None = None,
    fingerprint: str | None = None,
    columns: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Dataset:
    """A data set of tensors: (x,) or (x, classes) to train on, held out and, if any, to test with.

    Classes (n,) int64 are counted from 0, as files do, and become the labels 1..n: here alone.
    Without a clip it is the range of what is trained on, of each column where there are such;
    without a fingerprint, that of the parts.
    """
    seen = parts[0][0]
    clip = clip or _range(seen)
    fingerprint = fingerprint or fingerprint_of(*chain(*parts))
    rows = [TensorDataset(x, *(k + 1 for k in classes)) for x, *classes in parts]
    train, validation, test = rows if len(rows) == 3 else (*rows, None)
    return Dataset(
        name, kind, train, validation, class_names, shift, scale, clip, fingerprint, test,
        columns, notes,
    )  # fmt: skip


def _range(x: Tensor) -> tuple[Limit, Limit]:
    """The range of samples; of each column where a sample is a row of them."""
    if x.ndim == 2:
        return tuple(x.amin(0).tolist()), tuple(x.amax(0).tolist())
    return float(x.min()), float(x.max())


def fingerprint_of(*tensors: Tensor) -> str:
    """The SHA-256 of the tensors' bytes in hexadecimal."""
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()


def on_device(rows: Rows, device: torch.device) -> Rows:
    """The rows, lying on this device where they are tensors; others stay as they are."""
    if not isinstance(rows, TensorDataset):
        return rows
    return TensorDataset(*(x.to(device) for x in rows.tensors))
