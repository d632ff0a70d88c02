"""Grids of images, sharp at any size, with names beside the rows and a title above."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

_PAPER, _INK = 255, 40
_FONT_SIZE = 13
_MIN_TILE = 32


def to_uint8(x: Tensor) -> NDArray[np.uint8]:
    """Images (n, c, h, w) in [-1, 1] as bytes (n, h, w, c), cut to the range and rounded.

    Raises:
        ValueError: another number of dimensions.
    """
    if x.ndim != 4:
        raise ValueError(f"images must have shape (n, c, h, w), got {tuple(x.shape)}")
    levels = ((x.detach().cpu().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()


def image_grid(
    images: NDArray[np.uint8],
    columns: int,
    *,
    scale: int | None = None,
    border: int = 2,
    row_names: Sequence[str] | None = None,
    title: str | None = None,
) -> "Image":
    """One picture of all images, row by row, "L" for one channel and "RGB" for three.

    Tile (r, k) starts at x = border + k * (w * scale + border), y likewise, past names and title.

    Args:
        images: (n, h, w, c) bytes, c 1 or 3.
        columns: images in a row.
        scale: pixels drawn for a pixel; by default the least for tiles of 32 pixels.
        border: pixels between the tiles and around them.
        row_names: drawn to the left of the rows.
        title: drawn above.

    Raises:
        ValueError: another shape, no images, a number out of range, or more names than rows.
    """
    from PIL import Image

    scale = _checked_scale(images, columns, scale, border)
    _, height, width, channels = images.shape
    rows = -(-len(images) // columns)
    if row_names and len(row_names) > rows:
        raise ValueError(f"got {len(row_names)} names for {rows} rows")
    step_x, step_y = width * scale + border, height * scale + border
    left = max(map(_text_width, row_names)) + 8 if row_names else 0
    top = _FONT_SIZE + 8 if title else 0
    shape = (top + border + rows * step_y, left + border + columns * step_x, channels)
    grid = np.full(shape, _PAPER, dtype=np.uint8)
    for i, image in enumerate(images):
        y, x = top + border + i // columns * step_y, left + border + i % columns * step_x
        _paste(grid, image.repeat(scale, axis=0).repeat(scale, axis=1), y, x)
    picture = Image.fromarray(grid[..., 0] if channels == 1 else grid)
    for row, name in enumerate(row_names or ()):
        _write(picture, (4, top + row * step_y + step_y // 2), name)
    if title:
        _write(picture, (left + max(border, 2), top // 2), title)
    return picture


def grid_frames(
    states: Sequence[Tensor],
    columns: int,
    captions: Sequence[str] | None = None,
    *,
    scale: int | None = None,
    row_names: Sequence[str] | None = None,
) -> "list[Image]":
    """One grid for every tensor (n, c, h, w) in [-1, 1], its caption above: frames of a GIF.

    Raises:
        ValueError: another number of captions than of tensors, or as `to_uint8` and `image_grid`.
    """
    if captions is not None and len(captions) != len(states):
        raise ValueError(f"got {len(captions)} captions for {len(states)} frames")
    titles = captions if captions is not None else [None] * len(states)
    return [
        image_grid(to_uint8(x), columns, scale=scale, row_names=row_names, title=title)
        for x, title in zip(states, titles, strict=True)
    ]


def _checked_scale(images: NDArray[np.uint8], columns: int, scale: int | None, border: int) -> int:
    """The scale, chosen if it is None; complains about what `image_grid` cannot draw."""
    if images.ndim != 4 or images.shape[0] == 0 or images.shape[3] not in (1, 3):
        raise ValueError(f"images must have shape (n, h, w, 1 or 3), n >= 1, got {images.shape}")
    chosen = -(-_MIN_TILE // min(images.shape[1:3])) if scale is None else scale
    if columns < 1 or chosen < 1 or border < 0:
        raise ValueError(
            f"columns and scale must be >= 1 and border >= 0, got {columns}, {chosen}, {border}"
        )
    return chosen


def _paste(grid: NDArray[np.uint8], tile: NDArray[np.uint8], y: int, x: int) -> None:
    grid[y : y + tile.shape[0], x : x + tile.shape[1]] = tile


def _text_width(text: str) -> int:
    from PIL import ImageFont

    return int(np.ceil(ImageFont.load_default(_FONT_SIZE).getlength(text)))


def _write(picture: "Image", place: tuple[int, int], text: str) -> None:
    """Text whose left end is at this place, half of it above and half below."""
    from PIL import ImageDraw, ImageFont

    ink = _INK if picture.mode == "L" else (_INK, _INK, _INK)
    font = ImageFont.load_default(_FONT_SIZE)
    ImageDraw.Draw(picture).text(place, text, fill=ink, font=font, anchor="lm")
