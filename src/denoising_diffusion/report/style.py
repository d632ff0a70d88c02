"""The look of all plots: one set of colours, one font size, no clutter."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

POINTS = "#2f6db5"
ACCENT = "#e07b39"
SEGMENTS = "#000000"
_FRAME = "#b8bec6"
_TEXT = "#30343a"
_DPI = 100


def new_figure(width: int, height: int) -> "Figure":
    """An empty figure of this many pixels that is never part of a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width / _DPI, height / _DPI), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def to_image(figure: "Figure") -> "Image":
    """The figure as an "RGB" picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    width, height = canvas.get_width_height()
    return Image.frombytes("RGBA", (width, height), bytes(canvas.buffer_rgba())).convert("RGB")


def quiet(axes: "Axes") -> None:
    """Grey frame and dark text in a small size."""
    for spine in axes.spines.values():
        spine.set_color(_FRAME)
        spine.set_linewidth(0.8)
    axes.tick_params(colors=_TEXT, labelsize=8, length=3, color=_FRAME)


def name_axes(axes: "Axes", title: str) -> None:
    """The title of one panel."""
    axes.set_title(title, fontsize=10, color=_TEXT)


def curve_axes(axes: "Axes", x_label: str, y_label: str) -> None:
    """Axes of a line plot: labels, a light grid, no frame above and to the right."""
    quiet(axes)
    axes.set_xlabel(x_label, fontsize=9, color=_TEXT)
    axes.set_ylabel(y_label, fontsize=9, color=_TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
