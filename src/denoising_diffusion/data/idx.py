"""IDX files, the form of MNIST: read, checked, found on disk or downloaded."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from denoising_diffusion.data.cache import cache_folder

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


@dataclass(frozen=True)
class KnownSet:
    """A public set of IDX files.

    Args:
        mirrors: addresses that the file names with .gz are appended to, tried in order.
        packed: the MD5 of each .gz on the mirrors, in the order of `PARTS`.
        raw: the MD5 of each file unpacked; anyone may pack anew, so this decides.
        class_names: the classes in order.
    """

    mirrors: tuple[str, ...]
    packed: tuple[str, ...]
    raw: tuple[str, ...]
    class_names: tuple[str, ...]


KNOWN: dict[str, KnownSet] = {
    "mnist": KnownSet(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        packed=(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        raw=(
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
        class_names=tuple("0123456789"),
    ),
    "fashion-mnist": KnownSet(
        mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        packed=(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        raw=(
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
        class_names=(
            "t-shirt",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "boot",
        ),
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


def parse_idx(raw: bytes, path: str | Path) -> np.ndarray:
    """The array in an IDX file of bytes; `path` is for messages.

    Raises:
        ValueError: no IDX, another type than uint8, or another length than its header says.
    """
    if len(raw) < 4 or raw[0] or raw[1] or raw[2] not in _TYPES:
        raise ValueError(f"{path} is no IDX file: it begins with {raw[:4].hex() or 'nothing'}")
    if raw[2] != _UINT8:
        raise ValueError(f"{path} holds {_TYPES[raw[2]]}; only IDX files of uint8 are read")
    begin = 4 + 4 * raw[3]
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, begin, 4))
    expected = begin + int(np.prod(shape, dtype=np.int64))
    if len(raw) != expected:
        state = "cut short" if len(raw) < expected else "too long"
        raise ValueError(f"{path} is {state}: its header tells {expected} bytes, it has {len(raw)}")
    return np.frombuffer(raw, np.uint8, offset=begin).reshape(shape)


def read_idx_folder(folder: str | Path) -> IdxSet:
    """The four files of `PARTS` in this folder, each raw or .gz, named if their hashes are known.

    Raises:
        ValueError: a file that is missing, damaged or of another type, images that are not
            (n, h, w) or without content, or labels that do not match them.
    """
    files = [_find(Path(folder), part) for part in PARTS]
    raws = [_unpacked(file) for file in files]
    arrays = [parse_idx(raw, file) for raw, file in zip(raws, files, strict=True)]
    for i in (0, 2):
        _check_pair(arrays[i], arrays[i + 1], files[i], files[i + 1])
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise ValueError(
            f"{files[2]} has images of shape {arrays[2].shape[1:]}, but {files[0]} has "
            f"{arrays[0].shape[1:]}"
        )
    hashes = tuple(hashlib.md5(raw, usedforsecurity=False).hexdigest() for raw in raws)
    name = next((n for n, known in KNOWN.items() if known.raw == hashes), "idx")
    digest = hashlib.sha256()
    for raw in raws:
        digest.update(raw)
    train, train_labels, test, test_labels = arrays
    return IdxSet(name, train, train_labels, test, test_labels, digest.hexdigest())


def find_idx_set(name: str) -> IdxSet:
    """A known set: from the folders of DDPM_DATA, from the cache, or downloaded into it.

    DDPM_DATA lists folders, separated as in PATH; the files lie there or in a folder of the set's
    name. Files of another content are passed over.

    Raises:
        ValueError: an unknown name, or it is nowhere and cannot be downloaded; the message says
            which files go where.
    """
    if name not in KNOWN:
        raise ValueError(f"unknown set {name!r}; known are {', '.join(KNOWN)}")
    cache = cache_folder() / name
    listed = [Path(p) for p in os.environ.get("DDPM_DATA", "").split(os.pathsep) if p]
    for folder in [*(f for p in listed for f in (p / name, p)), cache]:
        if all(_spellings(folder, part) for part in PARTS):
            found = read_idx_folder(folder)
            if found.name == name:
                return found
    _download(name, KNOWN[name], cache)
    found = read_idx_folder(cache)
    if found.name != name:
        raise ValueError(f"the files in {cache} are not {name}: their hashes differ; remove them")
    return found


def _spellings(folder: Path, part: str) -> list[Path]:
    names = (part, part.replace("-idx", ".idx"))
    paths = [folder / (n + suffix) for n in names for suffix in ("", ".gz")]
    return [p for p in paths if p.is_file()]


def _find(folder: Path, part: str) -> Path:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; it should hold the IDX files {', '.join(PARTS)}")
    found = _spellings(folder, part)
    if not found:
        raise ValueError(f"{folder} lacks {part} (raw or .gz)")
    return found[0]


def _unpacked(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
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


def _download(name: str, known: KnownSet, folder: Path) -> None:
    """Fetch the .gz files that the folder lacks; whole, checked, or not at all."""
    for part, packed in zip(PARTS, known.packed, strict=True):
        _fetch([f"{base}{part}.gz" for base in known.mirrors], packed, folder, name)


def _fetch(addresses: Sequence[str], md5: str, folder: Path, name: str) -> None:
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
