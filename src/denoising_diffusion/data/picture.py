"""One picture of the user's: whatever its mode, upright, over a background, cut and resized."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from denoising_diffusion.files import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES = 256 << 20
_ORIENTATION = 0x0112
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")

Fit = Literal["crop", "pad"]


class Header(NamedTuple):
    """What a file says of its picture before it is decoded; upright."""

    width: int
    height: int
    mode: str


def read_header(path: Path) -> Header:
    """Size and mode of the picture in a file.

    Raises:
        ValueError: the reason why it cannot be read, without its name.
    """
    return _read(path, _header)


def read_picture(path: Path, height: int, width: int, fit: Fit, background: str) -> np.ndarray:
    """The picture in a file, (height, width, 3) uint8.

    The first of several frames, turned upright as its EXIF data say, laid over the background where
    it is transparent, and scaled as a whole, in its own proportions: to cover the size, and cut in
    the middle (crop), or to fit into it, with the background around it (pad).

    Raises:
        ValueError: the reason why it cannot be read, without its name.
    """
    wish = {"height": height, "width": width, "fit": fit, "background": background}
    return _read(path, partial(_pixels, **wish))


def _read(path: Path, ask: Any) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with open_regular(path, MOST_BYTES) as file, Image.open(file) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or 2**30):
                raise Image.DecompressionBombError
            return ask(image)
    except UnidentifiedImageError:
        raise ValueError("no picture") from None
    except Image.DecompressionBombError:
        raise ValueError("too many pixels") from None
    except MemoryError:
        raise ValueError("too little memory for it") from None
    except Exception as error:  # decoders fail in a dozen ways
        reason = str(error).removeprefix(f"{path}: ").partition("\n")[0]
        raise ValueError(reason or type(error).__name__) from None


def _header(image: "Image") -> Header:
    from PIL import Image

    # Not image.getexif(), which decodes a whole .png in search of it.
    turned = Image.Image.getexif(image).get(_ORIENTATION, 1) in (5, 6, 7, 8)
    turned = turned and image.format != "TIFF"  # whose size is that of the upright picture
    width, height = image.size
    return Header(height, width, image.mode) if turned else Header(width, height, image.mode)


def _pixels(image: "Image", height: int, width: int, fit: Fit, background: str) -> np.ndarray:
    from PIL import ImageOps

    image.draft("RGB", (2 * width, 2 * height))  # a .jpg need not be decoded in full
    image.load()  # a .tif is turned by that, and says so only afterwards
    upright = ImageOps.exif_transpose(image)
    return np.asarray(_fitted(_flat(upright, background), height, width, fit, background))


def _flat(image: "Image", background: str) -> "Image":
    """The picture as RGB."""
    from PIL import Image

    if image.mode in _DEEP:
        return Image.fromarray(_as_bytes(np.asarray(image))).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    below = Image.new("RGBA", image.size, background)
    below.alpha_composite(image.convert("RGBA"))
    return below.convert("RGB")


def _as_bytes(values: np.ndarray) -> np.ndarray:
    """Grey levels of 16 bits, or fractions, as bytes."""
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(values * 255.0).astype(np.uint8)
    if values.dtype.kind == "f" or low < 0 or high > 65535:
        raise ValueError(f"its values lie in {low:g}..{high:g}")
    return np.rint(values / 257.0).astype(np.uint8)


def _fitted(image: "Image", height: int, width: int, fit: Fit, background: str) -> "Image":
    """The picture (RGB) in this size, its proportions kept."""
    from PIL import Image

    if image.size == (width, height):
        return image
    ratios = image.width / width, image.height / height
    scale = min(ratios) if fit == "crop" else max(ratios)
    how = Image.Resampling.LANCZOS if scale > 1 else Image.Resampling.BICUBIC
    if fit == "crop":
        left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
        if scale == 1:
            left, top = left // 1, top // 1
        box = (left, top, left + scale * width, top + scale * height)
        return image.resize((width, height), how, box, reducing_gap=3.0)
    inner = max(1, round(image.width / scale)), max(1, round(image.height / scale))
    whole = Image.new("RGB", (width, height), background)
    resized = image.resize(inner, how, reducing_gap=3.0)
    whole.paste(resized, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return whole
