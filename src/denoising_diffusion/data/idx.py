"""Sets of IDX files, the form of MNIST: found, checked, and made data sets."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import integer, one_of
from denoising_diffusion.data.classes import MOST_CLASSES
from denoising_diffusion.data.idx_file import MOST_BYTES, parse_idx, read_idx
from denoising_diffusion.data.known import KNOWN, PARTS, download, find_files, namesakes, places
from denoising_diffusion.data.reading import as_path
from denoising_diffusion.data.rows import Dataset, in_memory
from denoising_diffusion.data.split import split_classes
from denoising_diffusion.files import cache_folder, read_bytes

__all__ = ["KNOWN", "PARTS", "IdxSet", "find_idx_set", "parse_idx", "read_idx_folder"]

_QMNIST_COLUMNS = 8

Split = Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"]


@dataclass(frozen=True, eq=False)
class IdxSet:
    """Four IDX files in memory.

    Args:
        name: as in `KNOWN`, or "idx" for any other set.
        train_images: (n, h, w) uint8.
        train_labels: (n,) integers, as they stand in the file.
        test_images: (m, h, w) uint8.
        test_labels: (m,) integers, none of which is missing among those to train on.
        fingerprint: the SHA-256 of all four files unpacked, in hexadecimal.
        notes: what was assumed.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> np.ndarray:
        """The labels that occur, in rising order: these are the classes."""
        return np.unique(self.train_labels)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The known names of the classes, or their labels."""
        known = KNOWN.get(self.name)
        return tuple(known.name_of(int(k)) if known else str(k) for k in self.labels)


def mnist(*, path: str | None = None, seed: int = 0) -> Dataset:
    """MNIST: 28×28 images of digits, a tenth of the training set held out, its test set apart.

    Args:
        path: a folder of IDX files in place of the set, whatever they hold; None to find the set
            itself (see `find_idx_set`).
        seed: of the split.

    Raises:
        TypeError, ValueError: no path, a seed that is no integer >= 0, or files that cannot be
            used (see `read_idx_folder`) or had (see `find_idx_set`).
    """
    return _dataset("mnist", path, seed)


def fashion_mnist(*, path: str | None = None, seed: int = 0) -> Dataset:
    """Fashion-MNIST: images of clothes in the form of MNIST; see `mnist`."""
    return _dataset("fashion-mnist", path, seed)


def kmnist(*, path: str | None = None, seed: int = 0) -> Dataset:
    """Kuzushiji-MNIST: images of ten cursive syllables of Japanese; see `mnist`."""
    return _dataset("kmnist", path, seed)


def qmnist(*, path: str | None = None, seed: int = 0) -> Dataset:
    """QMNIST: MNIST made again, with all 60,000 images to test with; see `mnist`."""
    return _dataset("qmnist", path, seed)


def emnist(*, split: Split = "balanced", path: str | None = None, seed: int = 0) -> Dataset:
    """EMNIST: letters and digits in the form of MNIST, upright; see `mnist`.

    Args:
        split: which of its sets: letters (a..z, either case), digits, mnist, or all of them, with
            (byclass) or without (bymerge, balanced) small letters that look like large ones.
        path: see `mnist`.
        seed: see `mnist`.
    """
    return _dataset(f"emnist-{split}", path, seed)


def _dataset(name: str, path: str | None, seed: int) -> Dataset:
    integer("seed", seed, 0)
    found = find_idx_set(name) if path is None else read_idx_folder(path, name)
    train = _tensors(found.train_images, found.train_labels, found.labels)
    parts = [tuple(x[i] for x in train) for i in split_classes(train[1], 0.1, seed)]
    return in_memory(
        found.name,
        "images",
        *parts,
        _tensors(found.test_images, found.test_labels, found.labels),
        class_names=found.class_names,
        clip=(-1.0, 1.0),
        fingerprint=found.fingerprint,
        notes=found.notes,
    )


def _tensors(images: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> tuple[Tensor, Tensor]:
    """(n, h, w) uint8 and (n,) -> (n, 1, h, w) float32 in [-1, 1] and (n,) int64 from 0."""
    scaled = torch.from_numpy(images.astype(np.float32))[:, None] / 127.5 - 1
    return scaled, torch.from_numpy(np.searchsorted(classes, labels))


def read_idx_folder(folder: str | Path, name: str = "mnist") -> IdxSet:
    """The four files of a set in this folder, each raw or packed; see `find_files`.

    A set is named by its content where that is known, else by the names of its files; those of
    KMNIST are MNIST's, and its content is known only as it is published, packed.

    Args:
        folder: where they lie.
        name: of the set that is expected; any other is read as well.

    Raises:
        TypeError: no path.
        ValueError: an unknown name, a file that is missing, damaged or of another type, images that
            are not (n, h, w) or without content, or labels that do not match them.
    """
    layout, files = find_files(as_path(folder), one_of("name", name, KNOWN))
    raws = [read_idx(file) for file in files]
    train, train_labels, test, test_labels = (
        parse_idx(raw, file, labels=bool(i % 2))
        for i, (raw, file) in enumerate(zip(raws, files, strict=True))
    )
    train_labels = _checked_labels(train, train_labels, files[0], files[1])
    test_labels = _checked_labels(test, test_labels, files[2], files[3])
    if train.shape[1:] != test.shape[1:]:
        raise ValueError(
            f"{files[2]} has images of shape {test.shape[1:]}, but {files[0]} has {train.shape[1:]}"
        )
    if len(extra := np.setdiff1d(test_labels, train_labels)):
        raise ValueError(f"{files[3]} has the label {extra[0]}, which {files[1]} lacks")
    if (count := len(np.unique(train_labels))) > MOST_CLASSES:
        raise ValueError(f"{files[1]} has {count:,} classes, at most {MOST_CLASSES:,} are learned")
    if KNOWN[layout].transposed:
        train, test = train.transpose(0, 2, 1), test.transpose(0, 2, 1)
    named, notes = _named(layout, name, raws, files)
    fingerprint = hashlib.sha256(b"".join(raws)).hexdigest()
    return IdxSet(named, train, train_labels, test, test_labels, fingerprint, notes)


def _checked_labels(
    images: np.ndarray, labels: np.ndarray, file: Path, label_file: Path
) -> np.ndarray:
    """The labels (n,) of images (n, h, w)."""
    if images.ndim != 3 or images.size == 0:
        raise ValueError(f"{file} must hold images (n, h, w), got shape {images.shape}")
    if labels.ndim == 2 and labels.shape[1] == _QMNIST_COLUMNS:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != len(images):
        raise ValueError(
            f"{label_file} has labels of shape {labels.shape}, but {file} has {len(images)} images"
        )
    return labels


def _named(
    layout: str, asked: str, raws: list[bytes], files: list[Path]
) -> tuple[str, tuple[str, ...]]:
    """The name of a set, and what is said of it."""
    alike = namesakes(layout)
    for name in alike:
        hashes = KNOWN[name].hashes
        if hashes and all(map(_is, hashes, raws, files)):
            return name, ()
    unknown = not all(content for _, content in KNOWN[layout].hashes)
    if len(alike) > 1 and not (layout == asked and unknown):
        return "idx", ()
    return layout, (f"taken for {layout} by where its files lie: their content is not checked",)


def _is(hashes: tuple[str, str], raw: bytes, file: Path) -> bool:
    """Whether this is a file of the set: by its content, or as it lies on the mirrors."""
    packed, content = hashes
    if content:
        return hashlib.md5(raw, usedforsecurity=False).hexdigest() == content
    raw = read_bytes(file, MOST_BYTES)
    return hashlib.md5(raw, usedforsecurity=False).hexdigest() == packed


def find_idx_set(name: str) -> IdxSet:
    """A known set: from the folders of DDPM_DATA, from the cache, or downloaded into it.

    DDPM_DATA lists folders, separated as in PATH; the files lie there, in a folder of the set's
    name, or as torchvision puts them. Files of another content are passed over.

    Raises:
        ValueError: an unknown name, or it is nowhere and cannot be downloaded; the message says
            which files go where.
    """
    one_of("name", name, KNOWN)
    for folder in places(name):
        try:
            layout, files = find_files(folder, name)
        except ValueError:
            continue
        found = read_idx_folder(folder, name) if layout == name else None
        # Files called like MNIST's are any set's: unless their content tells, their folder must.
        own = len(namesakes(name)) == 1 or _is_called(files[0], name)
        if found is not None and found.name == name and (own or not found.notes):
            return found
    cache = cache_folder() / name
    download(name, cache)
    found = read_idx_folder(cache, name)
    if found.name != name:
        raise ValueError(f"the files in {cache} are not {name}: their hashes differ; remove them")
    return found


def _is_called(file: Path, name: str) -> bool:
    return bool({name, KNOWN[name].torchvision} & {p.name for p in file.parents[:2]})
