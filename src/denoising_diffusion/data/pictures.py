"""Pictures that are all of one size, such as those that are to be enlarged."""

from pathlib import Path

import numpy as np

from denoising_diffusion.data.listing import list_pictures, readable
from denoising_diffusion.data.picture import read_header, read_picture
from denoising_diffusion.files import read_npz
from denoising_diffusion.warn import warn


def read_pictures(path: Path, shape: tuple[int, int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pictures of a folder in the order of their names, of one file, or of an .npz.

    Args:
        path: a folder, a picture, or an .npz with `samples`, uint8 (n, h, w, c).
        shape: (c, h, w), which all must have; c is 3, or 1: then pictures in colour are made grey.

    Returns:
        uint8 (n, h, w, c), n at least 1, and the names of the files; none for an .npz.

    Raises:
        ValueError: nothing there, a file that cannot be read, or a picture of another size.
    """
    channels, height, width = shape
    if path.suffix == ".npz":
        return _stored(path, (height, width, channels)), ()
    folder, names = path.parent, (path.name,)
    if path.is_dir():
        listing = list_pictures(path)
        folder, names = path, listing.names
        for note in listing.notes:
            warn(note)
    pictures = [_decoded(folder / name, height, width, channels) for name in names]
    return np.stack(pictures), tuple(readable(Path(name).stem) for name in names)


def _stored(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    found = read_npz(path).get("samples")
    if found is None or found.dtype != np.uint8 or found.ndim != 4 or len(found) == 0:
        raise ValueError(f"{path} holds no samples uint8 (n, h, w, c)")
    if found.shape[1:] != shape:
        sizes = (" × ".join(map(str, s)) for s in (found.shape[1:], shape))
        raise ValueError("{} holds pictures of {}, but {} are enlarged here".format(path, *sizes))
    return found


def _decoded(file: Path, height: int, width: int, channels: int) -> np.ndarray:
    """A picture as uint8 (h, w, c), the right way up; what is transparent is white."""
    from PIL import Image

    try:
        header = read_header(file)
        if (header.height, header.width) != (height, width):
            raise ValueError(
                f"it has {header.width} × {header.height} pixels, {width} × {height} are enlarged"
            )
        pixels = read_picture(file, height, width, "crop", "white")
    except ValueError as error:
        reason = str(error).removeprefix(f"{file}: ")
        raise ValueError(f"{file} cannot be enlarged: {reason}") from None
    return pixels if channels == 3 else np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
