"""One-dimensional signals as lines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from denoising_diffusion.report import style
from denoising_diffusion.report._checks import titled

if TYPE_CHECKING:
    from PIL.Image import Image


def plot_lines(panels: Sequence[tuple[str, Tensor]], columns: int | None = None) -> "Image":
    """Signals over their positions 0..length - 1, in panels of 320 × 160 pixels with one y axis.

    Args:
        panels: a title, and one signal (c, length) or several (n, c, length), which are drawn over
            each other; every channel has its colour.
        columns: panels in a row; by default all.

    Raises:
        ValueError: no panels, fewer than one column, or signals of another shape, none, or not
            finite.
        TypeError: panels that are no pairs of a string and a tensor of numbers.
    """
    signals = [(title, _signals(x)) for title, x in titled(panels)]
    low, high = min(float(x.min()) for _, x in signals), max(float(x.max()) for _, x in signals)
    room = 0.06 * (high - low) or 1.0
    figure, places = style.new_figure(320, 160, len(signals), columns)
    for axes, (title, x) in zip(places, signals, strict=True):
        alpha = 1 if len(x) == 1 else 0.6
        for channel in range(x.shape[1]):
            colour = style.SERIES[channel % len(style.SERIES)]
            axes.plot(x[:, channel].T.numpy(), color=colour, linewidth=1.2, alpha=alpha)
        axes.set_ylim(low - room, high + room)
        style.curve_axes(axes, title=title)
    return style.to_image(figure)


def _signals(x: Tensor) -> Tensor:
    """Signals as (n, c, length) float64."""
    if x.ndim not in (2, 3) or x.numel() == 0:
        shape = tuple(x.shape)
        raise ValueError(
            f"signals of panels must have shape (c, length) or (n, c, length), got {shape}"
        )
    return x.detach().cpu().double().view(-1, *x.shape[-2:])
