"""Classes as pictures: what was read for what was asked, and shares."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from torch import Tensor

from denoising_diffusion.checks import checked, finite, tensor
from denoising_diffusion.report import style
from denoising_diffusion.report._checks import texts
from denoising_diffusion.report.drawing import Drawing, pictured

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_CELL = 46

Shares = Annotated[Tensor, finite, "c"]


@pictured
@checked
def plot_confusion(
    matrix: Annotated[Tensor, finite, "c", "c"], class_names: Sequence[str]
) -> Drawing:
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
    side = max(style.LEAST, _CELL * count + 90)

    def draw(figure: "Figure | SubFigure") -> None:
        (axes,) = style.panels(figure)
        axes.pcolormesh(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
        axes.set(aspect="equal", xlim=(0, count), ylim=(count, 0))
        for row, column in np.ndindex(count, count):
            share = float(shares[row, column])
            ink = "white" if share > 0.5 else style.TEXT if share > 0 else "#b8bec6"
            text = f"{counts[row, column]:.0f}"
            axes.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9, color=ink
            )
        style.curve_axes(axes, "read", "asked for")
        axes.grid(visible=False)
        middles = np.arange(count) + 0.5
        turned = 90 if max(map(len, class_names)) > 4 else 0
        axes.set_xticks(middles, class_names, rotation=turned)
        axes.set_yticks(middles, class_names)

    return Drawing(side, side, draw)


@pictured
@checked
def plot_label_histogram(
    proportions: Shares, reference_proportions: Shares, class_names: Sequence[str]
) -> Drawing:
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
    both = (proportions, reference_proportions)
    samples, real = (v.detach().cpu().double().numpy() for v in both)

    def draw(figure: "Figure | SubFigure") -> None:
        (axes,) = style.panels(figure)
        places = np.arange(count)
        for heights, shift, colour, label in (
            (samples, -0.2, style.POINTS, "samples"),
            (real, 0.2, style.ACCENT, "real data"),
        ):
            axes.bar(places + shift, heights, width=0.4, color=colour, label=label)
        axes.set_ylim(bottom=0)
        style.curve_axes(axes, "class", "share")
        turned = 90 if max(map(len, class_names)) > 6 else 0
        axes.set_xticks(places, class_names, rotation=turned)
        axes.grid(visible=False, axis="x")
        figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=9)

    return Drawing(640, 360, draw)


def _check_names(class_names: Sequence[str], count: int) -> None:
    if not texts("class_names", class_names, count, "classes"):
        raise ValueError(f"got 0 class_names for {count} classes")
