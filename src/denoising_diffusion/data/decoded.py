"""The pictures of a listing as one array of bytes: decoded once, in parallel, then kept."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from denoising_diffusion import memory
from denoising_diffusion.data.framing import Frame, Wish, frame_of
from denoising_diffusion.data.listing import Listing, readable
from denoising_diffusion.data.picture import Header, read_header, read_picture
from denoising_diffusion.files import cache_folder, read_json, write_json, write_parts
from denoising_diffusion.locks import locked
from denoising_diffusion.progress import progress
from denoising_diffusion.warn import warn

T = TypeVar("T")

_VERSION = 1
"""Of what is made of a picture: with another, kept ones are made again."""
_CHUNK = 128
_NAMED = 20
_HOUR = 3600.0


class Decoded(NamedTuple):
    """Pictures (n, h, w, c) uint8, in memory or mapped; c is 1 if all are grey.

    `skipped` are the numbers of those in the listing that could not be read, `digest` is the
    SHA-256 of the rest.
    """

    pixels: np.ndarray
    skipped: list[int]
    digest: str
    notes: tuple[str, ...]


def decoded(listing: Listing, wish: Wish) -> Decoded:
    """The pictures of a listing: from the cache, or decoded and put there.

    They are kept under the folder's path, for these options, and used as long as names, sizes and
    times of the files are the same. Where DDPM_NO_CACHE is set nothing is kept.

    Raises:
        ValueError: no picture can be read, or they fit neither on the disk nor into memory.
    """
    if os.environ.get("DDPM_NO_CACHE"):
        return _in_memory(listing, wish)
    key = {"listing": listing.signature, "version": _VERSION, **asdict(wish)}
    named = json.dumps([os.fsencode(os.path.abspath(listing.folder)).hex(), asdict(wish)])
    place = cache_folder() / "folders" / hashlib.sha256(named.encode()).hexdigest()[:32]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with locked(place, wait=_HOUR):
            return _kept(place, key) or _keep(place, key, listing, wish)
    except OSError as error:
        warn(f"the decoded pictures cannot be kept: {error}")
        return _in_memory(listing, wish)


def _notes_of(place: Path) -> Path:
    return place.with_suffix(".json")


def _kept(place: Path, key: dict[str, Any]) -> Decoded | None:
    """What an earlier call has left there, if it is of the same files and whole."""
    try:
        notes = read_json(_notes_of(place))
        if notes["key"] != key:
            return None
        pixels = _opened(place, tuple(notes["shape"]))
        if pixels is None or _digest(pixels) != notes["digest"]:
            return None
        return Decoded(pixels, notes["skipped"], notes["digest"], tuple(notes["notes"]))
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _opened(place: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    if place.stat().st_size != prod(shape):
        return None
    if _fits(prod(shape)):
        return np.fromfile(place, np.uint8).reshape(shape)
    return np.memmap(place, np.uint8, "r", shape=shape)


def _fits(count: int) -> bool:
    return 2 * count < memory.available()


def _digest(pixels: np.ndarray) -> str:
    found = hashlib.sha256(str(pixels.shape).encode())
    for i in range(0, len(pixels), 4096):
        found.update(np.ascontiguousarray(pixels[i : i + 4096]).data)
    return found.hexdigest()


def _keep(place: Path, key: dict[str, Any], listing: Listing, wish: Wish) -> Decoded:
    work = _Work(listing, wish)
    write_parts(place, work.parts())
    mapped = np.memmap(place, np.uint8, "r", shape=work.shape)
    if work.grey:
        write_parts(place, (row[..., 0].tobytes() for row in _pieces(mapped)))
    pixels = _opened(place, work.grey_shape)
    assert pixels is not None
    found = Decoded(pixels, work.skipped, _digest(pixels), work.notes())
    kept = {**found._asdict(), "key": key, "shape": list(pixels.shape)}
    write_json(_notes_of(place), {k: v for k, v in kept.items() if k != "pixels"})
    return found


def _in_memory(listing: Listing, wish: Wish) -> Decoded:
    work = _Work(listing, wish)
    need = len(listing.names) * prod(work.frame.shape)
    if not _fits(need):
        raise ValueError(
            f"{listing.folder}: the pictures take {memory.size(need)}, and there is neither a "
            "cache that can be written nor as much memory; set XDG_CACHE_HOME, or take --size"
        )
    pixels = np.frombuffer(b"".join(work.parts()), np.uint8).reshape(work.shape)
    pixels = pixels[..., :1].copy() if work.grey else pixels
    return Decoded(pixels, work.skipped, _digest(pixels), work.notes())


def _pieces(values: Sequence[T] | np.ndarray) -> Iterator[Any]:
    return (values[i : i + _CHUNK] for i in range(0, len(values), _CHUNK))


@dataclass
class _Work:
    """The decoding of a listing: what each file says first, then its pixels, in order."""

    listing: Listing
    wish: Wish
    skipped: list[int] = field(default_factory=list[int])
    reasons: list[str] = field(default_factory=list[str])
    grey: bool = True

    def __post_init__(self) -> None:
        names = self.listing.names
        self.headers: list[Header | str] = list(
            _each(lambda i: _tried(read_header, self._path(i)), len(names), "looking at pictures")
        )
        good = [h for h in self.headers if isinstance(h, Header)]
        if not good:
            raise ValueError(f"{self.listing.folder} holds no picture that can be read: "
                             f"{self._failed(list(range(len(names))), self.headers)}")  # fmt: skip
        self.frame: Frame = frame_of(good, self.wish)

    def _path(self, i: int) -> Path:
        return self.listing.folder / self.listing.names[i]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the pixels, in colour."""
        return (len(self.listing.names) - len(self.skipped), *self.frame.shape)

    @property
    def grey_shape(self) -> tuple[int, ...]:
        """Of the pixels, with one channel if all are grey."""
        return (*self.shape[:-1], 1 if self.grey else 3)

    def parts(self) -> Iterator[bytes]:
        """The pixels of one picture after the other, in colour; those unreadable are left out."""
        height, width, _ = self.frame.shape
        fit, background = self.wish.fit, self.wish.background

        def read(i: int) -> np.ndarray | str:
            header = self.headers[i]
            if isinstance(header, str):
                return header
            return _tried(read_picture, self._path(i), height, width, fit, background)

        for i, found in enumerate(_each(read, len(self.headers), "decoding pictures")):
            if isinstance(found, str):
                self.skipped.append(i)
                self.reasons.append(found)
                continue
            self.grey = self.grey and bool((found == found[..., :1]).all())
            yield found.tobytes()
        if len(self.skipped) == len(self.headers):
            names = self._failed(self.skipped, self.reasons)
            raise ValueError(f"{self.listing.folder} holds no picture that can be read: {names}")

    def notes(self) -> tuple[str, ...]:
        """What the user should know of them."""
        lost = set(self.skipped)
        read = [h for i, h in enumerate(self.headers) if i not in lost and isinstance(h, Header)]
        notes = self.frame.notes(read, self.wish, grey=self.grey)
        if self.skipped:
            names = self._failed(self.skipped, self.reasons)
            notes.append(f"unreadable, skipped: {len(self.skipped):,}: {names}")
        return tuple(notes)

    def _failed(self, rows: list[int], reasons: Sequence[Any]) -> str:
        pairs = zip(rows[:_NAMED], reasons, strict=False)
        named = [f"{readable(self.listing.names[i])} ({reason})" for i, reason in pairs]
        return ", ".join(named) + (", ..." if len(rows) > _NAMED else "")


def _tried(ask: Callable[..., T], *arguments: Any) -> T | str:
    """The answer, or why there is none."""
    try:
        return ask(*arguments)
    except ValueError as error:
        return str(error)


def _each(ask: Callable[[int], T], count: int, label: str) -> Iterator[T]:
    """The answers in order, found by several threads, of which few wait to be taken.

    Decoding and scaling let other threads run, so these are enough.
    """
    import warnings

    workers = min(32, os.cpu_count() or 1)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        # What is said of pictures that are too large, damaged, ... is an answer here.
        warnings.simplefilter("ignore")
        groups = range(0, count, workers * _CHUNK)
        answers = (
            answer
            for first in groups
            for answer in pool.map(ask, range(first, min(count, first + workers * _CHUNK)))
        )
        yield from progress(answers, count, label)
