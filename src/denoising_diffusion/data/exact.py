"""One picture of the user's, as bytes in the shape of a sample."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from denoising_diffusion.files import digest_of, read_bytes

if TYPE_CHECKING:
    from PIL import Image

_MOST_BYTES = 2**28


def read_exact(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], str]:
    """The picture in a file as uint8 (h, w, c), turned as its EXIF says, and the file's SHA-256.

    Any mode of eight bits that becomes what is wanted without a loss: palettes and opaque colours
    do, and colours become grey if they are grey.

    Args:
        path: of the file, in any format that Pillow reads; of several frames the first is taken.
        shape: (c, h, w) that it must have, c 1 or 3.

    Raises:
        ValueError: it cannot be read, has another size, or a mode that cannot become c channels.
    """
    from PIL import Image, ImageOps

    channels, height, width = shape
    content = read_bytes(path, _MOST_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            image = Image.open(io.BytesIO(content))
            mode, size = image.mode, image.size
            if sorted(size) == sorted((width, height)):  # else it need not be decoded
                image = ImageOps.exif_transpose(image)
                size = image.size
            colours, clear = (_decoded if size == (width, height) else _nothing)(image)
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} is no picture") from None
    except Exception as error:  # decoders fail in their own ways, one for every format
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no readable picture: {reason}") from None
    if size != (width, height):
        raise ValueError(f"{path} is {size[0]} × {size[1]} pixels, it must be {width} × {height}")
    grey = bool((colours == colours[..., :1]).all())
    wrong = "values of more than 8 bits" if mode[0] in "IF" else "transparency" * clear
    wrong = wrong or "colours" * (channels == 1 and not grey)
    if wrong:
        what = "grey" if channels == 1 else "colours"
        raise ValueError(f"{path}, of mode {mode}, has {wrong}: it cannot become {what} of 8 bits")
    return colours[..., :channels].copy(), digest_of(content)


def _decoded(image: "Image.Image") -> tuple[NDArray[np.uint8], bool]:
    """Its colours, (h, w, 3), and whether one sees through any of its pixels."""
    clear = image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255
    return np.asarray(image.convert("RGB")), bool(clear)


def _nothing(image: "Image.Image") -> tuple[NDArray[np.uint8], bool]:
    return np.zeros((0, 0, 3), np.uint8), False
