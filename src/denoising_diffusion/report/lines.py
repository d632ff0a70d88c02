"""One-dimensional signals as lines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from denoising_diffusion.report import style
from denoising_diffusion.report._checks import titled
from denoising_diffusion.report.drawing import Drawing, pictured

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 10, 28, 44
"""Around the axes of a panel, in pixels."""
_NAMED = 3
"""Channels that have room for their names."""


@pictured
def plot_lines(panels: Sequence[tuple[str, Tensor]], columns: int | None = None) -> Drawing:
    """Signals over their positions 0..length - 1, with one y axis.

    Panels are 320 × 200 pixels, or 640 × 320 if one stands in a row.

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
    across = style.columns_of(len(signals), columns)
    width, height = (640, 320) if across == 1 else (320, 200)
    size = across * width, -(-len(signals) // across) * height

    def draw(figure: "Figure | SubFigure") -> None:
        for i, (title, x) in enumerate(signals):
            left, top = i % across * width, i // across * height
            box = (
                (left + _LEFT) / size[0],
                1 - (top + height - _BOTTOM) / size[1],
                (width - _LEFT - _RIGHT) / size[0],
                (height - _TOP - _BOTTOM) / size[1],
            )
            axes = figure.add_axes(box)
            alpha = 1 if len(x) == 1 else 0.6
            for channel in range(x.shape[1]):
                colour = style.SERIES[channel % len(style.SERIES)]
                lines = axes.plot(x[:, channel].T.numpy(), color=colour, lw=1.2, alpha=alpha)
                lines[0].set_label(f"channel {channel + 1}")
            axes.set_ylim(low - room, high + room)
            axes.locator_params(axis="y", nbins=5)
            style.curve_axes(axes, "position", "value")
            axes.set_title(title, fontsize=10, color=style.TEXT, loc="left")
            if 1 < x.shape[1] <= _NAMED:
                over: dict[str, Any] = {
                    "bbox_to_anchor": (1, 1),
                    "ncols": x.shape[1],
                    "borderaxespad": 0.2,
                }
                axes.legend(loc="lower right", fontsize=7, handlelength=1, frameon=False, **over)

    return Drawing(*size, draw)


def _signals(x: Tensor) -> Tensor:
    """Signals as (n, c, length) float64."""
    if x.ndim not in (2, 3) or x.numel() == 0:
        shape = tuple(x.shape)
        raise ValueError(
            f"signals of panels must have shape (c, length) or (n, c, length), got {shape}"
        )
    return x.detach().cpu().double().view(-1, *x.shape[-2:])
