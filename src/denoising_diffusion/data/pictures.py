"""Pictures in files, all of one size, such as those that are to be enlarged."""

import warnings
from pathlib import Path

import numpy as np

from denoising_diffusion.files import open_regular, read_npz

_MOST_BYTES = 2**28
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


def read_pictures(path: Path, shape: tuple[int, int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pictures of a folder in the order of their names, of one file, or of an .npz.

    Args:
        path: a folder, a picture, or an .npz with `samples`, uint8 (n, h, w, c).
        shape: (c, h, w), which all must have; c is 1, and pictures in colour are made grey, or 3.

    Returns:
        uint8 (n, h, w, c), n at least 1, and the names of the files; none for an .npz.

    Raises:
        ValueError: nothing there, a file that cannot be read, or a picture of another size.
    """
    channels, height, width = shape
    if path.suffix == ".npz":
        stored = read_npz(path).get("samples")
        if stored is None or stored.dtype != np.uint8 or stored.ndim != 4 or len(stored) == 0:
            raise ValueError(f"{path} holds no samples uint8 (n, h, w, c)")
        if stored.shape[1:] != (height, width, channels):
            raise ValueError(
                f"{path} holds pictures of {_size(*stored.shape[1:])}, this run enlarges "
                f"{_size(height, width, channels)}"
            )
        return stored, ()
    files = [path]
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in _SUFFIXES)
        if not files:
            raise ValueError(f"{path} holds no pictures")
    pictures = [_decoded(file, channels) for file in files]
    for file, picture in zip(files, pictures, strict=True):
        if picture.shape != (height, width, channels):
            raise ValueError(
                f"{file} has {_size(*picture.shape)}, this run enlarges "
                f"{_size(height, width, channels)}"
            )
    return np.stack(pictures), tuple(file.stem for file in files)


def _decoded(file: Path, channels: int) -> np.ndarray:
    """A picture as uint8 (h, w, c), the right way up; what is transparent is white."""
    from PIL import Image, ImageOps

    try:
        with open_regular(file, _MOST_BYTES) as raw, warnings.catch_warnings():
            # Pillow only warns of pictures up to twice the size that it refuses.
            warnings.simplefilter("error")
            picture = ImageOps.exif_transpose(Image.open(raw))
            if picture.mode in ("I", "I;16", "F"):
                raise ValueError(f"its mode {picture.mode} has no 256 grey levels")
            seen = picture.convert("RGBA")
            paper = Image.new("RGBA", seen.size, "white")
            flat = Image.alpha_composite(paper, seen).convert("L" if channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as error:
        reason = str(error).removeprefix(f"{file}: ").splitlines()[0]
        raise ValueError(f"{file} is no picture that can be read: {reason}") from None
    return np.asarray(flat).reshape(flat.size[1], flat.size[0], channels)


def _size(height: int, width: int, channels: int) -> str:
    return f"{width} × {height} pixels and {channels} channel{'s' * (channels > 1)}"
