"""A folder of pictures of the user's."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import instance, integer, one_of
from denoising_diffusion.data.classes import classes_of_names, rare
from denoising_diffusion.data.decoded import decoded
from denoising_diffusion.data.framing import LARGEST_SIDE, LEAST_SIDE, Wish
from denoising_diffusion.data.listing import list_pictures
from denoising_diffusion.data.picture import Fit
from denoising_diffusion.data.reading import as_path
from denoising_diffusion.data.rows import Dataset, Rows
from denoising_diffusion.data.split import split_classes, split_validation

MIN_PICTURES = 10
_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}
_FEW = 1000
"""Fewer pictures than these a network of the usual size learns by heart."""


def folder(
    *,
    path: str | None = None,
    size: int = 0,
    fit: Fit = "crop",
    background: str = "white",
    seed: int = 0,
) -> Dataset:
    """The pictures in a folder, a tenth of them held out; sub-folders are their classes.

    All are brought to one size in their own proportions: that of the short side is `size`, and
    they keep their shape if it is the same for all, or become squares. If all are grey they have
    one channel, else three. They are decoded once and kept (see `decoded`).

    Args:
        path: the folder.
        size: pixels of the short side, 4..1024; 0 for the most common one, at most 64.
        fit: "crop" to cut off what reaches beyond, "pad" to put background beside what is short.
        background: the colour behind transparent and beside padded pictures: a name or #rrggbb.
        seed: of the split.

    Raises:
        TypeError, ValueError: no path, another option beyond its limits, or a folder with fewer
            than 10 pictures that can be read, or whose sub-folders are `train`, `test` and so on.
    """
    if path is None:
        raise ValueError("the data set 'folder' needs the path of a folder of pictures, got None")
    integer("seed", seed, 0)
    if integer("size", size, 0) and not LEAST_SIDE <= size <= LARGEST_SIDE:
        raise ValueError(f"size must lie in {LEAST_SIDE}..{LARGEST_SIDE}, or be 0, got {size}")
    one_of("fit", fit, ("crop", "pad"))
    wish = Wish(size, fit, _colour("background", background))
    listing = list_pictures(as_path(path))
    _check_classes(path, listing.cells or ())
    found = decoded(listing, wish)
    if (count := len(found.pixels)) < MIN_PICTURES:
        raise ValueError(
            f"{path} holds {count} pictures that can be read, at least {MIN_PICTURES} are needed"
            + "".join(f"; {note}" for note in found.notes if note.startswith("unreadable"))
        )
    names: tuple[str, ...] = ()
    labels, notes = None, [*listing.notes, *found.notes]
    if listing.cells is not None:
        lost = set(found.skipped)
        cells = [cell for i, cell in enumerate(listing.cells) if i not in lost]
        names, classes = classes_of_names(cells, f"{path}: its sub-folders")
        labels, notes = classes + 1, [*notes, *_counts(names, classes), *rare(names, classes)]
        parts = split_classes(classes, 0.1, seed)
    else:
        parts = split_validation(count, 0.1, seed)
    if count < _FEW:
        notes.append(f"only {count:,} pictures: samples may be copies; compare the nearest ones")
    text = f"{found.digest} {names} {None if labels is None else labels.tolist()}"
    train, held_out = (Pictures(found.pixels, labels, rows) for rows in parts)
    return Dataset(
        "folder", "images", train, held_out, names, (0.0,), (1.0,), (-1.0, 1.0),
        hashlib.sha256(text.encode()).hexdigest(), notes=tuple(notes),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pictures(Rows):
    """Rows of pictures that stay bytes until they are asked for.

    Args:
        pixels: (n, h, w, c) uint8, in memory or mapped.
        labels: (n,) int64, or None.
        numbers: of the rows, (m,) int64.
    """

    pixels: np.ndarray
    labels: Tensor | None
    numbers: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Tensor, /) -> tuple[Tensor, ...]:
        numbers = self.numbers[rows]
        # A mapped file is read in its order, then put into the one that was asked for.
        order, back = numbers.sort()
        pixels = torch.from_numpy(self.pixels[order.numpy()])[back.argsort()]
        x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        return (x,) if self.labels is None else (x, self.labels[numbers])


def _check_classes(path: str, cells: Sequence[str]) -> None:
    """Refuse sub-folders that are called as parts of a data set are, not as classes."""
    names = list(dict.fromkeys(cells))
    if names and _SPLITS.issuperset(name.lower() for name in names):
        raise ValueError(
            f"{path}: its sub-folders {', '.join(names)} are parts of a data set, not classes; "
            f"take one of them, such as {path}/{names[-1]}"
        )


def _colour(name: str, value: str) -> str:
    from PIL import ImageColor

    try:
        ImageColor.getrgb(instance(name, value, str))
    except ValueError:
        raise ValueError(f"{name} must be a colour such as white, got {value!r}") from None
    return value


def _counts(names: tuple[str, ...], classes: Tensor) -> list[str]:
    counts = classes.bincount(minlength=len(names)).tolist()
    shown = [f"{name} {n:,}" for name, n in zip(names, counts, strict=True)]
    return [f"{len(names)} classes: {', '.join(shown[:20])}{', ...' if len(names) > 20 else ''}"]
