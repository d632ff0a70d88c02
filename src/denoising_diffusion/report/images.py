"""Grids of images, sharp at any size, with names beside the rows and above, and a title."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoising_diffusion.checks import Count, checked, finite, sequence, shown, tensor
from denoising_diffusion.report import style
from denoising_diffusion.report._checks import texts
from denoising_diffusion.report.drawing import Drawing, Text, lettered, pictured

if TYPE_CHECKING:
    from PIL.Image import Image

_PAPER = 255
_LINE = 21
_MIN_TILE = 32
_NAMED_TILE = 96
"""Tiles are as wide as their names, up to this."""


def _pixels(name: str, value: Any) -> NDArray[np.uint8]:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
        raise TypeError(f"{name} must be an array of uint8, got {shown(value)}")
    if value.ndim != 4 or value.size == 0 or value.shape[3] not in (1, 3):
        raise ValueError(f"{name} must have shape (n, h, w, 1 or 3), n >= 1, got {value.shape}")
    return value


def to_uint8(x: Tensor) -> NDArray[np.uint8]:
    """Images (n, c, h, w) in [-1, 1] as bytes (n, h, w, c), cut to the range and rounded.

    Raises:
        ValueError: another number of dimensions, or values that are not finite.
        TypeError: anything but a tensor of numbers.
    """
    return _bytes("x", x)


@pictured
@checked
def image_grid(
    images: Annotated[NDArray[np.uint8], _pixels],
    columns: Annotated[int, 1, 10_000],
    *,
    scale: Annotated[int, 1, 1000] | None = None,
    border: Annotated[int, 0, 1000] = 2,
    row_names: Sequence[str] | None = None,
    column_names: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Drawing:
    """One picture of all images, row by row, "L" for one channel and "RGB" for three.

    Tile (r, k) starts at x = border + k * (w * scale + border), y likewise, past row names and
    title. Names above make room for themselves: columns are at least as wide as the widest.

    Args:
        images: (n, h, w, c) bytes, c 1 or 3.
        columns: images in a row.
        scale: pixels drawn for a pixel; by default the least for tiles of 32 pixels that together
            are 512 pixels wide or high, and that fill columns of wide names up to 96.
        border: pixels between the tiles and around them.
        row_names: drawn to the left of the rows, one each.
        column_names: drawn above the columns, one each.
        names: drawn above the images, one each.
        title: drawn above.

    Raises:
        ValueError: another shape, no images, a number out of range, or more or fewer names.
        TypeError: arguments of other types.
    """
    from PIL import Image

    count, height, width, channels = images.shape
    rows = -(-count // columns)
    longer = max(rows * height, columns * width)
    beside = texts("row_names", row_names, rows, "rows")
    heads = texts("column_names", column_names, columns, "columns")
    above = texts("names", names, count, "images")
    named = max([0, *(style.text_width(text) + 6 for text in (*heads, *above))])
    least = (-(-_MIN_TILE // min(height, width)), -(-style.LEAST // longer))
    scale = scale or max(*least, min(named, _NAMED_TILE) // width)
    wide, high = width * scale, height * scale
    cell = max(wide, named)
    band, under_title = _LINE * bool(above), _LINE * bool(title)
    step_x, step_y = cell + border, band + high + border
    left = max(map(style.text_width, beside)) + 8 if beside else 0
    top = under_title + _LINE * bool(heads)
    shape = (top + border + rows * step_y, left + border + columns * step_x, channels)
    grid = np.full(shape, _PAPER, dtype=np.uint8)
    xs = [left + border + k * step_x for k in range(columns)]
    ys = [top + border + r * step_y for r in range(rows)]
    for i, image in enumerate(images):
        y, x = ys[i // columns] + band, xs[i % columns] + (cell - wide) // 2
        grid[y : y + high, x : x + wide] = image.repeat(scale, axis=0).repeat(scale, axis=1)
    middle, line = cell / 2, _LINE / 2
    marks = [
        Text(left + max(border, 2), line, title or "", size=style.TITLE),
        *(Text(x + middle, under_title + line, n, "m") for x, n in zip(xs, heads, strict=False)),
        *(Text(4, y - border + (step_y + band) / 2, n) for y, n in zip(ys, beside, strict=False)),
        *(
            Text(xs[i % columns] + middle, ys[i // columns] + line, n, "m")
            for i, n in enumerate(above)
        ),
    ]
    return lettered(Image.fromarray(grid[..., 0] if channels == 1 else grid), marks)


def grid_frames(
    states: Sequence[Tensor],
    columns: int,
    captions: Sequence[str] | None = None,
    *,
    scale: int | None = None,
    row_names: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> "list[Image]":
    """One grid for every tensor (n, c, h, w) in [-1, 1], its caption above: frames of a GIF.

    Raises:
        ValueError, TypeError: another number of captions than of tensors, or as `to_uint8` and
            `image_grid`.
    """
    count = len(sequence("states", states))
    titles = texts("captions", captions, count, "frames") or [""] * count
    images = [_bytes(f"states[{i}]", x) for i, x in enumerate(states)]
    return [
        image_grid(x, columns, scale=scale, row_names=row_names, names=names, title=title)
        for x, title in zip(images, titles, strict=True)
    ]


@pictured
@checked
def pair_grid(
    samples: Tensor, neighbours: Tensor, *, columns: Count = 10, title: str | None = None
) -> Drawing:
    """Samples, and right below each its nearest training image; both (n, c, h, w) in [-1, 1].

    Args:
        samples: the upper row of every pair of rows.
        neighbours: the lower row, such as `train[memorisation(...).indices]`.
        columns: pairs side by side; fewer if there are fewer.
        title: drawn above.

    Raises:
        ValueError: other shapes, no images, values that are not finite, or fewer than one column.
        TypeError: arguments of other types.
    """
    upper, lower = _bytes("samples", samples), _bytes("neighbours", neighbours)
    tensor("neighbours", neighbours, *samples.shape)
    if len(upper) == 0:
        raise ValueError("samples holds no images")
    columns = min(columns, len(upper))
    # White tiles, the colour of the paper, fill up the last pair of rows.
    fill = [(0, -len(upper) % columns), (0, 0), (0, 0), (0, 0)]
    pairs = [
        np.pad(v, fill, constant_values=255).reshape(-1, columns, *v.shape[1:])
        for v in (upper, lower)
    ]
    images = np.stack(pairs, axis=1).reshape(-1, *upper.shape[1:])
    names = ["sample", "nearest"] * len(pairs[0])
    return image_grid.drawing(images, columns, row_names=names, title=title)


def _bytes(name: str, x: Tensor) -> NDArray[np.uint8]:
    levels = (finite(name, x, "n", "c", "h", "w").detach().cpu().float() + 1) * 127.5
    whole = levels.round().clamp(0, 255).to(torch.uint8)
    return whole.permute(0, 2, 3, 1).contiguous().numpy()
