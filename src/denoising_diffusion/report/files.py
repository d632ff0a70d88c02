"""Files that are whole or absent: written beside, then renamed."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


@contextmanager
def replacing(path: str | Path) -> Generator[Path]:
    """A path beside `path` to write to; it takes the place of `path` if nothing is raised."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_png(image: "Image", path: str | Path) -> None:
    """Save the picture as a PNG file, whole or not at all."""
    with replacing(path) as beside:
        image.save(beside, format="PNG", optimize=True)
