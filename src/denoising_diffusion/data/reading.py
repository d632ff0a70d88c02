"""Files of the user's as bytes."""

import os
from pathlib import Path
from typing import Any

from denoising_diffusion.checks import shown


def as_path(path: Any) -> Path:
    """The path.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a path, got {shown(path)}")
    return Path(path)


def read_bytes(path: Path) -> bytes:
    """The content of a regular file; a pipe would be waited for, and a device may never end.

    Raises:
        ValueError: the reason why it cannot be read, after its name.
    """
    reason = "no such file, or no regular one"
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    raise ValueError(f"{path}: {reason}")
