"""Points and bars painted into arrays: a frame takes milliseconds, where a plot takes a tenth of a
second.
"""

import math

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
"""(height, width, 3), in [0, 255]; what is painted changes it in place."""


def depth_of_discs(
    centres: NDArray[np.float64], height: int, width: int, radius: float, alpha: float
) -> Pixels:
    """How thickly discs cover every pixel: (height, width), additive, 1 - exp(-depth) opaque.

    n discs over each other leave (1 - alpha)^n of the ground, in any order. Their edge is one
    pixel wide, so that they move smoothly; those beyond the panel are cut off by it.

    Args:
        centres: (n, 2), to the right of and below the upper left corner, in pixels.
        height: of the panel.
        width: of the panel.
        radius: in pixels.
        alpha: the opacity of one disc, below 1.
    """
    reach = math.ceil(radius + 0.5)
    near = (centres > -reach - 1).all(1) & (centres < [width + reach + 1, height + reach + 1]).all(
        1
    )
    centres = centres[near]
    span = np.arange(-reach, reach + 1)
    steps = np.stack(np.meshgrid(span, span), -1).reshape(1, -1, 2)
    pixel = np.floor(centres)[:, None] + steps
    away = np.hypot(*np.moveaxis(pixel + 0.5 - centres[:, None], -1, 0))
    depth = -np.log1p(-alpha * np.clip(radius + 0.5 - away, 0, 1))
    x, y = np.moveaxis(pixel.astype(np.int64), -1, 0)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (depth > 0)
    total = np.bincount(y[inside] * width + x[inside], depth[inside], height * width)
    return total.reshape(height, width).astype(np.float32)


def paint(ground: Pixels, depths: list[Pixels], colours: list[tuple[float, float, float]]) -> None:
    """Lay layers over a panel (h, w, 3), none above another: they share a pixel by their depth.

    Args:
        ground: the panel, changed in place.
        depths: (h, w) each.
        colours: of the layers, in [0, 255].
    """
    total = np.sum(depths, axis=0)
    covered = total > 0
    layers = np.stack([depth[covered] for depth in depths], axis=1)
    thick = layers.sum(1, keepdims=True)
    seen = np.exp(-thick)
    mixed = layers @ np.array(colours, np.float32) / thick
    ground[covered] = ground[covered] * seen + (1 - seen) * mixed


def bars(
    ground: Pixels, heights: NDArray[np.float64], colour: tuple[float, float, float], alpha: float,
    floor: NDArray[np.float64] | None = None,
) -> None:  # fmt: skip
    """Bars over the whole width of a panel, as shares of its height, above a floor of such bars."""
    height, width, _ = ground.shape
    bin_of = np.arange(width) * len(heights) // width
    base = np.zeros_like(heights) if floor is None else floor
    # Of the pixel at this height, the share that lies between the floor and the top of its bar.
    row = height - 1 - np.arange(height)[:, None]
    top = np.clip((base + heights)[bin_of] * height - row, 0, 1)
    below = np.clip(base[bin_of] * height - row, 0, 1)
    cover = (alpha * (top - below)).astype(np.float32)[..., None]
    ground *= 1 - cover
    ground += cover * np.array(colour, np.float32)
