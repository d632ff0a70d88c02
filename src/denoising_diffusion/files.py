"""Files that are whole or absent: the one place that writes any; nothing is ever unpickled."""

import io
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

FORMAT_VERSION = 2
"""Of our safetensors files and configurations; version 0.1.0 of the package wrote 1."""

_BINARY = getattr(os, "O_BINARY", 0)  # of Windows


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/denoising-diffusion, or the same in ~/.cache; it need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "denoising-diffusion"


def write(path: str | Path, content: bytes) -> None:
    """Put a file in its place, whole or not at all: written beside, flushed to disk, renamed."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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
    """The content of a regular file of at most `most` bytes.

    Raises:
        ValueError: as `open_regular`.
    """
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
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write(path, text.encode())


def read_json(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ValueError: it is missing, no JSON, or no object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold one JSON object")
    return value


def write_png(path: str | Path, picture: "Image", **texts: str) -> None:
    """Write a picture as PNG; the texts stand in its metadata."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    content = io.BytesIO()
    picture.save(content, format="PNG", optimize=True, pnginfo=info)
    write(path, content.getvalue())


def write_npz(path: str | Path, arrays: "Mapping[str, np.ndarray]") -> None:
    """Write arrays as a compressed .npz."""
    import numpy as np

    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write(path, content.getvalue())


def read_npz(path: str | Path) -> "dict[str, np.ndarray]":
    """The arrays of an .npz.

    Raises:
        ValueError: it is missing, damaged, or holds Python objects.
    """
    import numpy as np

    try:
        with Path(path).open("rb") as raw:
            file = np.load(raw, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array, not an archive of them")
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except (
        OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise ValueError(f"{path} is no readable .npz: {error}") from None


class Stored(NamedTuple):
    """The tensors and the notes of one file."""

    tensors: "dict[str, Tensor]"
    notes: dict[str, Any]


def write_tensors(
    path: str | Path, tensors: "Mapping[str, Tensor]", notes: Mapping[str, Any]
) -> None:
    """Write a safetensors file with these notes in its metadata; equal content is equal bytes."""
    from safetensors.torch import save

    whole = {k: v.detach().to("cpu").contiguous().clone() for k, v in tensors.items()}
    # One key alone: several would come in another order every time.
    text = json.dumps({"format_version": FORMAT_VERSION, **notes}, sort_keys=True)
    write(path, save(whole, metadata={"notes": text}))


def read_notes(path: str | Path) -> dict[str, Any]:
    """The notes of a file of `write_tensors`, without its tensors and without torch.

    Raises:
        ValueError: as `read_tensors`.
    """
    return _opened(path, "numpy").notes


def read_tensors(path: str | Path) -> Stored:
    """Read a file of `write_tensors`.

    Raises:
        ValueError: the file is missing, cut short or no safetensors file, or its format version
            is not ours.
    """
    return _opened(path, "pt")


def _opened(path: str | Path, framework: str) -> Stored:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            metadata: dict[str, str] = file.metadata() or {}
            names = file.keys() if framework == "pt" else ()
            tensors = {k: file.get_tensor(k) for k in names}
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from None
    try:
        notes = json.loads(metadata["notes"]) if "notes" in metadata else metadata
    except ValueError:
        raise ValueError(f"{path} is damaged: its notes are no JSON") from None
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
