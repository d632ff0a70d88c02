"""Classes as pictures: what was read for what was asked, and shares."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from torch import Tensor

from denoising_diffusion.checks import checked, finite, tensor
from denoising_diffusion.report import style
from denoising_diffusion.report._checks import texts

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL = 46

Shares = Annotated[Tensor, finite, "c"]


@checked
def plot_confusion(
    matrix: Annotated[Tensor, finite, "c", "c"], class_names: Sequence[str]
) -> "Image":
    """A confusion matrix: rows were asked for, columns were read, every cell holds its count.

    A cell is the darker, the larger its share of its row, so that rare classes show as well.

    Args:
        matrix: (c, c) counts, from `metrics.confusion_matrix`.
        class_names: c names.

    Raises:
        ValueError: a matrix that is not square or holds negative counts, or another number of
            names.
        TypeError: arguments of other types.
    """
    count = len(matrix)
    if matrix.shape[1] != count or bool((matrix < 0).any()):
        shape = tuple(matrix.shape)
        raise ValueError(f"matrix must hold counts >= 0 in shape (c, c), got shape {shape}")
    _check_names(class_names, count)
    counts = matrix.detach().cpu().double()
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    side = _CELL * count + 90
    figure, (axes,) = style.new_figure(side, side)
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(count, count):
        share = float(shares[row, column])
        ink = "white" if share > 0.5 else "#30343a" if share > 0 else "#b8bec6"
        text = f"{counts[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=ink)
    style.curve_axes(axes, "read", "asked for")
    axes.grid(visible=False)
    axes.set_xticks(range(count), class_names, rotation=90 if max(map(len, class_names)) > 4 else 0)
    axes.set_yticks(range(count), class_names)
    return style.to_image(figure)


@checked
def plot_label_histogram(
    proportions: Shares, reference_proportions: Shares, class_names: Sequence[str]
) -> "Image":
    """The share of every class among samples, beside that among real data, as pairs of bars.

    Args:
        proportions: (c,), of samples, from `metrics.class_proportions`.
        reference_proportions: (c,), of real data.
        class_names: c names.

    Raises:
        ValueError: other shapes, values that are not finite, or another number of names.
        TypeError: arguments of other types.
    """
    count = len(proportions)
    tensor("reference_proportions", reference_proportions, count)
    _check_names(class_names, count)
    figure, (axes,) = style.new_figure(640, 360)
    places = np.arange(count)
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


def _check_names(class_names: Sequence[str], count: int) -> None:
    if not texts("class_names", class_names, count, "classes"):
        raise ValueError(f"got 0 class_names for {count} classes")
