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
    beyond = reach + 1
    near = ((centres > -beyond) & (centres < [width + beyond, height + beyond])).all(1)
    corner = np.floor(centres[near])
    place = (centres[near] - corner - 0.5).astype(np.float32)[..., None]
    span = np.arange(-reach, reach + 1)
    across, down = np.moveaxis((span.astype(np.float32) - place) ** 2, 1, 0)
    x, y = np.moveaxis(corner.astype(np.int64)[..., None] + span, 1, 0)
    seen = (radius + 0.5 - np.sqrt(down[:, :, None] + across[:, None, :])).clip(0, 1)
    seen *= ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    pixel, inside = y[:, :, None] * width + x[:, None, :], seen > 0
    depth = -np.log1p(-alpha * seen[inside])
    total = np.bincount(pixel[inside], depth, height * width)
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
    base = np.zeros_like(heights) if floor is None else floor
    tallest = float((base + heights).max(initial=0))
    ground = ground[max(0, math.floor(height * (1 - tallest))) :]
    # Of the pixel at this height, the share that lies between the floor and the top of its bar.
    row = np.arange(len(ground) - 1, -1, -1)[:, None]
    top = np.clip((base + heights) * height - row, 0, 1)
    below = np.clip(base * height - row, 0, 1)
    of_bins = (alpha * (top - below)).astype(np.float32)
    cover = of_bins[:, np.arange(width) * len(heights) // width, None]
    ground *= 1 - cover
    ground += cover * np.array(colour, np.float32)
