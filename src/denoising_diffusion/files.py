"""Files that are whole or absent: the one place that writes any; nothing is ever unpickled."""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

FORMAT_VERSION = 2
"""Of our safetensors files and configurations; version 0.1.0 of the package wrote 1."""


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

    given: Any = path
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"path must be a str or PathLike, got {type(path).__name__}")
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
