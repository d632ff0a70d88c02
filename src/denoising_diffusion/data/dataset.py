"""Data sets by name: what a run trains on, what it holds out, and how to undo the scaling."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion import seeds
from denoising_diffusion.data.digits import load_digits_images
from denoising_diffusion.data.idx import KNOWN, IdxSet, find_idx_set, read_idx_folder
from denoising_diffusion.data.points import (
    MIN_ROWS,
    PATTERNS,
    make_patterns,
    make_spiral,
    read_points,
)
from denoising_diffusion.data.split import split_validation

NAMES: tuple[str, ...] = ("digits", "spiral", "patterns", "points", "mnist", "fashion-mnist")
"""The names that `load_dataset` knows."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in model space, the space of the network, with the way back to its own units.

    Args:
        name: as in `NAMES`, or "idx" for IDX files of unknown content.
        train: the samples to train on, (n, ...) float32.
        validation: the samples held out, (m, ...) float32.
        train_labels: their classes (n,) int64, counted from 0, or None.
        validation_labels: likewise (m,).
        class_names: the names of the classes in order; empty without labels.
        shift: one number, or one per column of points.
        scale: likewise.
        clip: (low, high), the range of the data in model space.
        fingerprint: the SHA-256 of the raw data in hexadecimal.
        test: samples that training never sees in any way, (k, ...) float32, or None.
        test_labels: likewise (k,).
    """

    name: str
    train: Tensor
    validation: Tensor
    train_labels: Tensor | None
    validation_labels: Tensor | None
    class_names: tuple[str, ...]
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    clip: tuple[float, float]
    fingerprint: str
    test: Tensor | None = None
    test_labels: Tensor | None = None

    @property
    def reference(self) -> Tensor:
        """The real samples to compare with: the test set, or what was held out."""
        return self.validation if self.test is None else self.test

    @property
    def reference_labels(self) -> Tensor | None:
        """The classes of `reference`."""
        return self.validation_labels if self.test is None else self.test_labels

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self.train.shape[1:])

    def to_data(self, x: Tensor) -> Tensor:
        """x of shape (b, ...) from model space to the units of the data: x * scale + shift."""
        return x * x.new_tensor(self.scale) + x.new_tensor(self.shift)


def load_dataset(name: str, path: str | Path | None, *, seed: int, size: int) -> Dataset:
    """The data set of this name.

    Args:
        name: "digits", half of them held out; "spiral" and "patterns" (three classes of curves),
            drawn afresh; "points", read from `path`, a tenth held out, every column scaled to
            mean 0 and standard deviation 1 over the training part; or "mnist" and
            "fashion-mnist", a tenth of the training set held out, their test sets apart.
        path: the .csv or .npy file of "points"; a folder of IDX files in place of the set that
            is named, whatever they hold; None for the others.
        seed: of the split, and of the points that are drawn.
        size: how many points of "spiral" and "patterns" (all classes together) to train on; a
            tenth as many are drawn in addition, from another stream, and held out. The others
            ignore it.

    Raises:
        ValueError: an unknown name; a path that is missing or not wanted; fewer than 10 points;
            a file that cannot be used (see `read_points`) or has a constant column.
    """
    if name not in NAMES:
        raise ValueError(f"unknown data set {name!r}, expected one of: {', '.join(NAMES)}")
    if name == "points":
        if path is None:
            raise ValueError("the data set 'points' needs the path of a .csv or .npy file")
        return _points(Path(path), seed)
    if name in KNOWN:
        return _idx(find_idx_set(name) if path is None else read_idx_folder(path), seed)
    if path is not None:
        raise ValueError(f"the data set {name!r} takes no path, got {str(path)!r}")
    if name == "digits":
        return _digits(seed)
    if size < MIN_ROWS:
        raise ValueError(f"size must be >= {MIN_ROWS}, got {size}")
    return _spiral(seed, size) if name == "spiral" else _patterns(seed, size)


def _digits(seed: int) -> Dataset:
    images, labels = load_digits_images()
    train, held_out = split_validation(len(images), 0.5, seed)
    return Dataset(
        name="digits",
        train=images[train],
        validation=images[held_out],
        train_labels=labels[train],
        validation_labels=labels[held_out],
        class_names=tuple("0123456789"),
        shift=(0.0,),
        scale=(1.0,),
        clip=(-1.0, 1.0),
        fingerprint=_fingerprint(images, labels),
    )


def _idx(found: IdxSet, seed: int) -> Dataset:
    images, labels = _grey(found.train_images), torch.from_numpy(found.train_labels.copy()).long()
    train, held_out = split_validation(len(images), 0.1, seed)
    return Dataset(
        name=found.name,
        train=images[train],
        validation=images[held_out],
        train_labels=labels[train],
        validation_labels=labels[held_out],
        class_names=found.class_names,
        shift=(0.0,),
        scale=(1.0,),
        clip=(-1.0, 1.0),
        fingerprint=found.fingerprint,
        test=_grey(found.test_images),
        test_labels=torch.from_numpy(found.test_labels.copy()).long(),
    )


def _grey(images: np.ndarray) -> Tensor:
    """(n, h, w) uint8 -> (n, 1, h, w) float32 in [-1, 1]."""
    return torch.from_numpy(images.copy())[:, None].float() / 127.5 - 1


def _spiral(seed: int, size: int) -> Dataset:
    train = make_spiral(size, seeds.stream(seed, "data/train"))
    held_out = make_spiral(size // 10, seeds.stream(seed, "data/validation"))
    return Dataset(
        name="spiral",
        train=train,
        validation=held_out,
        train_labels=None,
        validation_labels=None,
        class_names=(),
        shift=(0.0,),
        scale=(1.0,),
        clip=_range(train),
        fingerprint=_fingerprint(train, held_out),
    )


def _patterns(seed: int, size: int) -> Dataset:
    def draw(n: int, purpose: str) -> tuple[Tensor, Tensor]:
        points, labels = make_patterns(-(-n // len(PATTERNS)), seeds.stream(seed, purpose))
        return points[:n], labels[:n]

    train, train_labels = draw(size, "data/train")
    held_out, held_out_labels = draw(size // 10, "data/validation")
    return Dataset(
        name="patterns",
        train=train,
        validation=held_out,
        train_labels=train_labels,
        validation_labels=held_out_labels,
        class_names=PATTERNS,
        shift=(0.0,),
        scale=(1.0,),
        clip=_range(train),
        fingerprint=_fingerprint(train, train_labels, held_out, held_out_labels),
    )


def _points(path: Path, seed: int) -> Dataset:
    points = read_points(path)
    train, held_out = split_validation(len(points), 0.1, seed)
    reference = points[train].double()
    constant = (reference.amax(0) == reference.amin(0)).nonzero()
    if len(constant):
        column = int(constant[0]) + 1
        raise ValueError(f"{path}: column {column} is constant, so it cannot be scaled; remove it")
    shift, scale = reference.mean(0), reference.std(0, correction=0)
    scaled = ((points.double() - shift) / scale).float()
    return Dataset(
        name="points",
        train=scaled[train],
        validation=scaled[held_out],
        train_labels=None,
        validation_labels=None,
        class_names=(),
        shift=tuple(shift.tolist()),
        scale=tuple(scale.tolist()),
        clip=_range(scaled[train]),
        fingerprint=_fingerprint(points),
    )


def _range(x: Tensor) -> tuple[float, float]:
    """The least and the greatest number in x."""
    return float(x.min()), float(x.max())


def _fingerprint(*tensors: Tensor) -> str:
    """The SHA-256 of the tensors' bytes in hexadecimal."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
