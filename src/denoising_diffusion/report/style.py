"""The look of all plots: one set of colours, one font size, no clutter."""

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
_FRAME = "#b8bec6"
_TEXT = "#30343a"
_DPI = 100


def new_figure(
    width: int, height: int, count: int = 1, columns: int | None = None
) -> "tuple[Figure, list[Axes]]":
    """A figure of `count` panels of this many pixels, by default in one row, and its axes.

    It is never part of a window.
    """
    from matplotlib.figure import Figure

    columns = count if columns is None else integer("columns", columns, 1, 100)
    rows = -(-count // columns)
    size = (columns * width / _DPI, rows * height / _DPI)
    figure = Figure(size, dpi=_DPI, layout="constrained")
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
    axes.tick_params(which="both", colors=_TEXT, labelsize=8, color=_FRAME)
    axes.tick_params(length=3)
    axes.set_title(title, fontsize=10, color=_TEXT)


def curve_axes(axes: "Axes", x_label: str = "", y_label: str = "", title: str = "") -> None:
    """Axes of a line plot: labels, a light grid, no frame above and to the right."""
    quiet(axes, title)
    axes.set_xlabel(x_label, fontsize=9, color=_TEXT)
    axes.set_ylabel(y_label, fontsize=9, color=_TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
