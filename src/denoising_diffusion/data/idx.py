"""IDX files, the form of MNIST: read, checked, found on disk or downloaded."""

import gzip
import hashlib
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import integer, one_of, shown
from denoising_diffusion.data.reading import as_path, read_bytes
from denoising_diffusion.data.rows import Dataset, in_memory
from denoising_diffusion.data.split import split_validation
from denoising_diffusion.files import cache_folder

PARTS: tuple[str, ...] = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""The names of the four files of a set."""

_UINT8 = 0x08
_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32"}
_TYPES[0x0E] = "float64"
_MOST_DIMENSIONS = 32  # of numpy's arrays


@dataclass(frozen=True)
class KnownSet:
    """A public set of IDX files.

    Args:
        mirrors: addresses that the file names with .gz are appended to, tried in order.
        hashes: of each of `PARTS` the MD5 of the .gz on the mirrors, and of the file unpacked;
            anyone may pack anew, so the latter decides.
        class_names: the classes in order.
    """

    mirrors: tuple[str, ...]
    hashes: tuple[tuple[str, str], ...]
    class_names: tuple[str, ...]


_CLOTHES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot",
)  # fmt: skip

KNOWN: dict[str, KnownSet] = {
    "mnist": KnownSet(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        hashes=(
            ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
            ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
            ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
            ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
        ),
        class_names=tuple("0123456789"),
    ),
    "fashion-mnist": KnownSet(
        mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        hashes=(
            ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
            ("25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
            ("bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
            ("bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
        ),
        class_names=_CLOTHES,
    ),
}
"""The sets that are known by name."""


@dataclass(frozen=True, eq=False)
class IdxSet:
    """Four IDX files in memory.

    Args:
        name: as in `KNOWN`, or "idx" for any other set.
        train_images: (n, h, w) uint8.
        train_labels: (n,) uint8.
        test_images: (m, h, w) uint8.
        test_labels: (m,) uint8.
        fingerprint: the SHA-256 of all four files unpacked, in hexadecimal.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    fingerprint: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """The known names, or the numbers from 0 to the largest label."""
        if self.name in KNOWN:
            return KNOWN[self.name].class_names
        largest = int(max(self.train_labels.max(), self.test_labels.max()))
        return tuple(str(i) for i in range(largest + 1))


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


def _dataset(name: str, path: str | None, seed: int) -> Dataset:
    integer("seed", seed, 0)
    found = find_idx_set(name) if path is None else read_idx_folder(path)
    images, classes = _tensors(found.train_images, found.train_labels)
    parts = [(images[i], classes[i]) for i in split_validation(len(images), 0.1, seed)]
    return in_memory(
        found.name,
        "images",
        *parts,
        _tensors(found.test_images, found.test_labels),
        class_names=found.class_names,
        clip=(-1.0, 1.0),
        fingerprint=found.fingerprint,
    )


def _tensors(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    """(n, h, w) and (n,) uint8 -> (n, 1, h, w) float32 in [-1, 1] and (n,) int64."""
    scaled = torch.from_numpy(images.astype(np.float32))[:, None] / 127.5 - 1
    return scaled, torch.from_numpy(labels.astype(np.int64))


def parse_idx(raw: bytes, path: str | Path) -> np.ndarray:
    """The array in an IDX file of bytes; `path` is for messages.

    Raises:
        TypeError: no bytes.
        ValueError: no IDX, another type than uint8, or another length than its header says.
    """
    if type(raw) is not bytes:
        raise TypeError(f"raw must be bytes, got {shown(raw)}")
    known = len(raw) >= 4 and not raw[0] and not raw[1] and raw[2] in _TYPES
    if not known or raw[3] > _MOST_DIMENSIONS:
        raise ValueError(f"{path} is no IDX file: it begins with {raw[:4].hex() or 'nothing'}")
    if raw[2] != _UINT8:
        raise ValueError(f"{path} holds {_TYPES[raw[2]]}; only IDX files of uint8 are read")
    begin = 4 + 4 * raw[3]
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, begin, 4))
    expected = begin + math.prod(shape)
    if len(raw) != expected:
        state = "cut short" if len(raw) < expected else "too long"
        raise ValueError(f"{path} is {state}: its header tells {expected} bytes, it has {len(raw)}")
    return np.frombuffer(raw, np.uint8, offset=begin).reshape(shape)


def read_idx_folder(folder: str | Path) -> IdxSet:
    """The four files of `PARTS` in this folder, each raw or .gz, named if their hashes are known.

    Raises:
        TypeError: no path.
        ValueError: a file that is missing, damaged or of another type, images that are not
            (n, h, w) or without content, or labels that do not match them.
    """
    where = as_path(folder)
    files = [_find(where, part) for part in PARTS]
    raws = [_unpacked(file) for file in files]
    arrays = [parse_idx(raw, file) for raw, file in zip(raws, files, strict=True)]
    for i in (0, 2):
        _check_pair(arrays[i], arrays[i + 1], files[i], files[i + 1])
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise ValueError(
            f"{files[2]} has images of shape {arrays[2].shape[1:]}, but {files[0]} has "
            f"{arrays[0].shape[1:]}"
        )
    hashes = [hashlib.md5(raw, usedforsecurity=False).hexdigest() for raw in raws]
    names = (n for n, known in KNOWN.items() if [raw for _, raw in known.hashes] == hashes)
    fingerprint = hashlib.sha256(b"".join(raws)).hexdigest()
    train, train_labels, test, test_labels = arrays
    return IdxSet(next(names, "idx"), train, train_labels, test, test_labels, fingerprint)


def find_idx_set(name: str) -> IdxSet:
    """A known set: from the folders of DDPM_DATA, from the cache, or downloaded into it.

    DDPM_DATA lists folders, separated as in PATH; the files lie there or in a folder of the set's
    name. Files of another content are passed over.

    Raises:
        ValueError: an unknown name, or it is nowhere and cannot be downloaded; the message says
            which files go where.
    """
    known = KNOWN[one_of("name", name, KNOWN)]
    for folder in _places(name):
        if all(_spellings(folder, part) for part in PARTS):
            found = read_idx_folder(folder)
            if found.name == name:
                return found
    cache = cache_folder() / name
    for part, (packed, _) in zip(PARTS, known.hashes, strict=True):
        _download([f"{base}{part}.gz" for base in known.mirrors], packed, cache, name)
    found = read_idx_folder(cache)
    if found.name != name:
        raise ValueError(f"the files in {cache} are not {name}: their hashes differ; remove them")
    return found


def _places(name: str) -> Iterator[Path]:
    for listed in os.environ.get("DDPM_DATA", "").split(os.pathsep):
        if listed:
            yield from (Path(listed) / name, Path(listed))
    yield cache_folder() / name


def _spellings(folder: Path, part: str) -> list[Path]:
    names = (part, part.replace("-idx", ".idx"))
    paths = [folder / (n + suffix) for n in names for suffix in ("", ".gz")]
    return [p for p in paths if os.path.isfile(p)]  # raises nothing, as p.is_file() would


def _find(folder: Path, part: str) -> Path:
    if not os.path.isdir(folder):
        raise ValueError(f"{folder} is no folder; it should hold the IDX files {', '.join(PARTS)}")
    found = _spellings(folder, part)
    if not found:
        raise ValueError(f"{folder} lacks {part} (raw or .gz)")
    return found[0]


def _unpacked(path: Path) -> bytes:
    raw = read_bytes(path)
    try:
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def _check_pair(images: np.ndarray, labels: np.ndarray, file: Path, label_file: Path) -> None:
    if images.ndim != 3 or images.size == 0:
        raise ValueError(f"{file} must hold images (n, h, w), got shape {images.shape}")
    if labels.ndim != 1 or len(labels) != len(images):
        raise ValueError(
            f"{label_file} has labels of shape {labels.shape}, but {file} has {len(images)} images"
        )


def _download(addresses: list[str], md5: str, folder: Path, name: str) -> None:
    """Fetch a file that the folder lacks; whole, checked, or not at all."""
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("ERROR")
    reasons: list[str] = []
    for address in addresses:
        file = address.rsplit("/", 1)[1]
        try:
            pooch.retrieve(address, known_hash=f"md5:{md5}", fname=file, path=folder)
            return
        except (RequestException, OSError, ValueError) as error:
            wrong = isinstance(error, ValueError) and "hash" in str(error)
            reason = "its hash does not match" if wrong else type(error).__name__
            reasons.append(f"{address}: {reason}")
    raise ValueError(
        f"{name} is not on this machine and could not be downloaded ({'; '.join(reasons)}); put "
        f"{', '.join(p + '[.gz]' for p in PARTS)} into {folder}, or name their folder with "
        "--data or in DDPM_DATA"
    )
