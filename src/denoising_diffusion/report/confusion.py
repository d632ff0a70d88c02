"""Classes and neighbours as pictures: what was read for what was asked, shares, pairs of images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from denoising_diffusion.report import style
from denoising_diffusion.report.images import image_grid, to_uint8

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL = 46


def plot_confusion(matrix: Tensor, class_names: Sequence[str]) -> "Image":
    """A confusion matrix: rows were asked for, columns were read, every cell holds its count.

    A cell is the darker, the larger its share of its row, so that rare classes show as well.

    Args:
        matrix: (c, c) counts, from `metrics.confusion_matrix`.
        class_names: c names.

    Raises:
        ValueError: a matrix that is not square or holds negative counts, or another number of
            names.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or bool((matrix < 0).any()):
        shape = tuple(matrix.shape)
        raise ValueError(f"matrix must hold counts >= 0 in shape (c, c), got shape {shape}")
    _check_names(class_names, len(matrix))
    counts = matrix.detach().cpu().double()
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    side = _CELL * len(counts) + 90
    figure = style.new_figure(side, side)
    axes = figure.add_subplot()
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        share = float(shares[row, column])
        ink = "white" if share > 0.5 else "#30343a" if share > 0 else "#b8bec6"
        text = f"{counts[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=ink)
    style.curve_axes(axes, "read", "asked for")
    axes.grid(visible=False)
    ticks = range(len(counts))
    long = max(map(len, class_names)) > 4
    axes.set_xticks(ticks, class_names, rotation=90 if long else 0)
    axes.set_yticks(ticks, class_names)
    return style.to_image(figure)


def plot_label_histogram(
    proportions: Tensor, reference_proportions: Tensor, class_names: Sequence[str]
) -> "Image":
    """The share of every class among samples, beside that among real data, as pairs of bars.

    Args:
        proportions: (c,), of samples, from `metrics.class_proportions`.
        reference_proportions: (c,), of real data.
        class_names: c names.

    Raises:
        ValueError: other shapes, or another number of names.
    """
    if proportions.ndim != 1 or proportions.shape != reference_proportions.shape:
        shapes = f"{tuple(proportions.shape)} and {tuple(reference_proportions.shape)}"
        raise ValueError(f"proportions must have one shape (c,), got {shapes}")
    _check_names(class_names, len(proportions))
    figure = style.new_figure(640, 360)
    axes = figure.add_subplot()
    places = np.arange(len(proportions))
    for values, shift, colour, label in (
        (proportions, -0.2, style.POINTS, "samples"),
        (reference_proportions, 0.2, style.ACCENT, "real data"),
    ):
        heights = values.detach().cpu().double().numpy()
        axes.bar(places + shift, heights, width=0.4, color=colour, label=label)
    axes.set_ylim(bottom=0)
    style.curve_axes(axes, "class", "share")
    axes.set_xticks(places, class_names, rotation=90 if max(map(len, class_names)) > 6 else 0)
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return style.to_image(figure)


def pair_grid(
    samples: Tensor, neighbours: Tensor, *, columns: int = 10, title: str | None = None
) -> "Image":
    """Samples, and right below each its nearest training image; both (n, c, h, w) in [-1, 1].

    Args:
        samples: the upper row of every pair of rows.
        neighbours: the lower row, such as `train[memorisation(...).indices]`.
        columns: pairs side by side; fewer if there are fewer.
        title: drawn above.

    Raises:
        ValueError: other shapes, no images, or fewer than one column.
    """
    if samples.shape != neighbours.shape:
        shapes = f"{tuple(samples.shape)} and {tuple(neighbours.shape)}"
        raise ValueError(f"samples and neighbours must have one shape, got {shapes}")
    upper, lower = to_uint8(samples), to_uint8(neighbours)
    if len(upper) == 0 or columns < 1:
        raise ValueError(f"pair_grid takes n >= 1 and columns >= 1, got {len(upper)}, {columns}")
    columns = min(columns, len(upper))
    # White tiles, the colour of the paper, fill up the last pair of rows.
    fill = [(0, -len(upper) % columns), (0, 0), (0, 0), (0, 0)]
    pairs = [
        np.pad(v, fill, constant_values=255).reshape(-1, columns, *v.shape[1:])
        for v in (upper, lower)
    ]
    images = np.stack(pairs, axis=1).reshape(-1, *upper.shape[1:])
    names = ["sample", "nearest"] * len(pairs[0])
    return image_grid(images, columns, row_names=names, title=title)


def _check_names(class_names: Sequence[str], count: int) -> None:
    if len(class_names) != count or count == 0:
        raise ValueError(f"got {len(class_names)} class names for {count} classes")
