"""Arrays as the text of a page: sheets of pictures and packed numbers."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoising_diffusion import files
from denoising_diffusion.checks import integer


def sheet(rows: Sequence[NDArray[np.uint8]], levels: int = 256) -> str:
    """Images as one PNG in a data URI: row i holds the images rows[i], side by side.

    Args:
        rows: (n, h, w, 1 or 3) bytes each, of one shape.
        levels: of a channel, 2..256, evenly spaced: noise of fewer levels takes fewer bytes.

    Raises:
        ValueError: levels out of range.
    """
    from PIL import Image

    integer("levels", levels, 2, 256)
    tiles = np.stack(rows)
    count, n, height, width, channels = tiles.shape
    flat = tiles.transpose(0, 2, 1, 3, 4).reshape(count * height, n * width, channels)
    index = np.rint(np.arange(256) * (levels - 1) / 255)
    shades = np.rint(index * 255 / (levels - 1)).astype(np.uint8)
    flat = shades[flat]
    picture = Image.fromarray(flat[..., 0] if channels == 1 else flat)
    return "data:image/png;base64," + base64.b64encode(files.as_png(picture)).decode()


def packed(x: NDArray[Any]) -> dict[str, Any]:
    """Numbers of any shape as 16-bit integers between their own ends, in base64.

    The k-th is low + (high − low) · data[k] / 65535, in C order, two bytes each, the lower first.

    Raises:
        ValueError: no numbers, or some that are not finite.
    """
    if x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"numbers to pack must be finite, and some, got shape {x.shape}")
    low, high = float(x.min()), float(x.max())
    share = (x.astype(np.float64) - low) / ((high - low) or 1.0)
    data = np.rint(share * 65535).astype("<u2").tobytes()
    text = base64.b64encode(data).decode()
    return {"low": low, "high": high, "shape": list(x.shape), "data": text}
