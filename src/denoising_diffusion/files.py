"""Files that are whole or absent: the one place that writes any; nothing is ever unpickled."""

import contextlib
import hashlib
import io
import json
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from denoising_diffusion import locks, strict_json

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

FORMAT_VERSION = 2
"""Of our safetensors files and configurations; version 0.1.0 of the package wrote 1."""

_MOST_JSON = 2**26
_MOST_WEIGHTS = 2**40
_BINARY = getattr(os, "O_BINARY", 0)  # of Windows


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/denoising-diffusion, or the same in ~/.cache or, without a home, in /tmp."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(base) if base else Path.home() / ".cache"
    except RuntimeError:
        folder = Path(tempfile.gettempdir())
    return folder / "denoising-diffusion"


def write(path: str | Path, content: bytes) -> None:
    """Put a file in its place, whole or not at all: written beside, flushed to disk, renamed.

    Raises:
        OSError: it cannot be written; the error names the path itself.
    """
    write_parts(path, [content])


def write_parts(path: str | Path, parts: Iterable[bytes]) -> None:
    """`write` what comes in parts, of which no more than one is kept in memory."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        locks.sweep(path)
        with beside.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        locks.replace(beside, path)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def digest_of(content: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def digest(path: Path) -> str | None:
    """SHA-256 of a file, or None where there is none that can be read."""
    try:
        with open_regular(path, _MOST_WEIGHTS) as file:
            return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    except (ValueError, OSError):
        return None


def digest_of_tensors(tensors: "Mapping[str, Tensor]") -> str:
    """SHA-256 of the names and the bytes of tensors, in whatever order they come."""
    import torch

    found = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def open_regular(path: str | Path, most: int) -> BinaryIO:
    """A regular file of at most `most` bytes, open for reading.

    A pipe would be waited for and a device may never end: they are not opened as such.

    Raises:
        ValueError: the reason why it cannot be read, after its name.
    """
    try:
        # Without O_NONBLOCK the opening of a pipe waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    except OSError as error:
        known = isinstance(error, FileNotFoundError)
        reason = "no such file" if known else f"cannot be read: {error.strerror}"
        raise ValueError(f"{path}: {reason}") from None
    except ValueError:
        raise ValueError(f"{str(path)!r}: no file has such a name") from None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_size <= most:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path}: holds {found.st_size:,} bytes, at most {most:,} are read")
    what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
    raise ValueError(f"{path}: cannot be read: it is {what}, not a regular file")


def read_bytes(path: str | Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes; errors are those of `open_regular`."""
    with open_regular(path, most) as file:
        try:
            content = file.read(os.fstat(file.fileno()).st_size + 1)
        except OSError as error:
            raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
        if len(content) != os.fstat(file.fileno()).st_size:
            raise ValueError(f"{path}: cannot be read: it changes meanwhile")
    return content


def write_json(path: str | Path, value: object) -> None:
    """Write a value as indented JSON."""
    write(path, as_json(value))


def as_json(value: object) -> bytes:
    """A value as indented JSON."""
    return strict_json.utf8(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ValueError: it is missing, no JSON, or no object.
    """
    content = read_bytes(path, _MOST_JSON)
    try:
        value = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=_once, parse_int=strict_json.integer_of
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold one JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys, each of which may come once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(k for k in keys if keys.count(k) > 1)} is given twice")
    return found


def as_png(picture: "Image", texts: Any = None) -> bytes:
    """A picture as the content of a .png, with Pillow's PngInfo of texts about it."""
    content = io.BytesIO()
    picture.save(content, format="PNG", optimize=True, pnginfo=texts)
    return content.getvalue()


def as_npz(arrays: "Mapping[str, np.ndarray]") -> bytes:
    """Arrays as the content of a compressed .npz; equal arrays are equal bytes."""
    import numpy as np

    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    return content.getvalue()


def read_npz(path: str | Path) -> "dict[str, np.ndarray]":
    """The arrays of an .npz.

    Raises:
        ValueError: it is missing, damaged, or holds Python objects.
    """
    import numpy as np

    with open_regular(path, _MOST_WEIGHTS) as raw:
        try:
            most = 2**26 + 100 * os.fstat(raw.fileno()).st_size
            claimed = sum(member.file_size for member in zipfile.ZipFile(raw).infolist())
            if claimed > most:
                raise ValueError(f"it claims {claimed:,} bytes, at most {most:,} are taken from it")
            raw.seek(0)
            file = np.load(raw, allow_pickle=False)
            return {key: file[key] for key in file.files}
        except (
            OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError,
            zipfile.BadZipFile, zlib.error,
        ) as error:  # fmt: skip
            raise ValueError(f"{path} is no readable .npz: {error}") from None


class Stored(NamedTuple):
    """The tensors and the notes of one file."""

    tensors: "dict[str, Tensor]"
    notes: dict[str, Any]


def as_tensors(tensors: "Mapping[str, Tensor]", notes: Mapping[str, Any]) -> bytes:
    """A safetensors file with these notes in its metadata; equal content is equal bytes.

    The note `sha256` is added: that of the tensors, which reading compares.
    """
    from safetensors.torch import save

    whole = {k: v.detach().to("cpu").contiguous().clone() for k, v in tensors.items()}
    added = {"format_version": FORMAT_VERSION, "sha256": digest_of_tensors(whole)}
    # One key alone: several would come in another order every time.
    text = json.dumps({**notes, **added}, sort_keys=True)
    return save(whole, metadata={"notes": text})


def write_tensors(
    path: str | Path, tensors: "Mapping[str, Tensor]", notes: Mapping[str, Any]
) -> None:
    """Write a file of `as_tensors`, whole or not at all."""
    write(path, as_tensors(tensors, notes))


def read_notes(path: str | Path) -> dict[str, Any]:
    """The notes of a file of `write_tensors`, without torch; errors are those of `read_tensors`."""
    return _opened(path, "numpy").notes


def read_tensors(path: str | Path) -> Stored:
    """Read a file of `write_tensors`.

    Raises:
        ValueError: the file is missing, cut short, changed or no safetensors file, or its format
            version is not ours.
    """
    stored = _opened(path, "pt")
    if stored.notes.get("sha256") != digest_of_tensors(stored.tensors):
        raise ValueError(f"{path} is damaged: its tensors are not those that were written")
    return stored


def _opened(path: str | Path, framework: str) -> Stored:
    from safetensors import SafetensorError, safe_open

    given: Any = path
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"path must be a str or PathLike, got {type(path).__name__}")
    try:
        open_regular(path, _MOST_WEIGHTS).close()
        with safe_open(path, framework=framework) as file:
            metadata: dict[str, str] = file.metadata() or {}
            names = file.keys() if framework == "pt" else ()
            tensors = {k: file.get_tensor(k) for k in names}
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from None
    try:
        notes = json.loads(metadata["notes"]) if "notes" in metadata else metadata
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is damaged: its notes are no JSON") from None
    if not isinstance(notes, dict):
        raise ValueError(f"{path} is damaged: its notes are no JSON object")
    check_version(path, notes.get("format_version"))
    return Stored(tensors, notes)


def check_version(path: str | Path, version: object) -> None:
    """Refuse a file of another format by its name, with the remedy.

    Raises:
        ValueError: the version is not `FORMAT_VERSION`.
    """
    if version != FORMAT_VERSION:
        older = version in (None, 1, "1")
        remedy = "; train it again, or use version 0.1.0, which wrote it" if older else ""
        raise ValueError(
            f"{path} has format version {version or 1}, this program reads {FORMAT_VERSION}{remedy}"
        )
