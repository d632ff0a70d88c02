"""The look of all plots: one set of colours, one font size, no clutter."""

import colorsys
from typing import TYPE_CHECKING

from denoising_diffusion.checks import integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

POINTS = "#2f6db5"
ACCENT = "#e07b39"
SERIES = (POINTS, ACCENT, "#3f9b6c", "#b8485c", "#7f63b8", "#8a6d3b")
"""The colours of several lines in one plot."""
SEGMENTS = "#000000"
BEHIND = "#c3c9d2"
"""The data behind samples."""
NEUTRAL = "#5b626c"
"""Samples without a class, among those with one."""
_FRAME = "#b8bec6"
TEXT = "#30343a"
DPI = 100


def new_figure(
    width: int, height: int, count: int = 1, columns: int | None = None
) -> "tuple[Figure, list[Axes]]":
    """A figure of `count` panels of this many pixels, by default in one row, and its axes.

    It is never part of a window.
    """
    from matplotlib.figure import Figure

    columns = count if columns is None else integer("columns", columns, 1, 100)
    rows = -(-count // columns)
    size = (columns * width / DPI, rows * height / DPI)
    figure = Figure(size, dpi=DPI, layout="constrained")
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def to_image(figure: "Figure") -> "Image":
    """The figure as an "RGB" picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    size = canvas.get_width_height()
    return Image.frombytes("RGBA", size, bytes(canvas.buffer_rgba())).convert("RGB")


def quiet(axes: "Axes", title: str = "") -> None:
    """Grey frame and dark text in a small size."""
    for spine in axes.spines.values():
        spine.set_color(_FRAME)
        spine.set_linewidth(0.8)
    axes.tick_params(which="both", colors=TEXT, labelsize=8, color=_FRAME)
    axes.tick_params(length=3)
    axes.set_title(title, fontsize=10, color=TEXT)


def curve_axes(axes: "Axes", x_label: str = "", y_label: str = "", title: str = "") -> None:
    """Axes of a line plot: labels, a light grid, no frame above and to the right."""
    quiet(axes, title)
    axes.set_xlabel(x_label, fontsize=9, color=TEXT)
    axes.set_ylabel(y_label, fontsize=9, color=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)


def class_colour(index: int, count: int) -> str:
    """The colour of one of several classes: of `SERIES`, or of a circle of hues for more."""
    if count <= len(SERIES):
        return SERIES[index]
    parts = colorsys.hsv_to_rgb(index / count, 0.6, 0.75 if index % 2 else 0.6)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def rgb(colour: str) -> tuple[float, float, float]:
    """The three parts of a colour "#rrggbb", in 0..255."""
    red, green, blue = (float(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return red, green, blue
