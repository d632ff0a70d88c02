"""The look of all plots: one set of colours, one font size, no clutter."""

import colorsys
import contextlib
import functools
import importlib.util
import math
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoising_diffusion.checks import integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

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


TITLE, SMALL = 13, 12
"""Sizes of text, in pixels."""
LEAST = 512
"""The least width or height of a picture, in pixels."""
_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a class may be called $x
    "text.usetex": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "denoising-diffusion",
    "pdf.fonttype": 42,
}


@contextlib.contextmanager
def applied() -> Generator[None]:
    """The settings that all plots share, whatever the user's own are."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


@functools.cache
def font(size: int) -> "FreeTypeFont":
    """The font of all plots, for painted text of this size in pixels."""
    from PIL import ImageFont

    # Found without importing Matplotlib, which takes longer than a grid of images.
    found = importlib.util.find_spec("matplotlib")
    data = Path(found.origin).with_name("mpl-data") if found and found.origin else Path()
    if not data.exists():
        import matplotlib

        data = Path(matplotlib.get_data_path())
    file = str(data / "fonts" / "ttf" / "DejaVuSans.ttf")
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)


def text_width(text: str, size: int = SMALL) -> int:
    """In pixels, as it is painted."""
    return math.ceil(font(size).getlength(text))


def points(pixels: float) -> float:
    """A length in the unit of plots."""
    return pixels * 72 / DPI


def panels(figure: "Figure | SubFigure", count: int = 1, columns: int = 1) -> "list[Axes]":
    """The axes of as many panels in a grid, laid out by themselves."""
    figure.figure.set_layout_engine("constrained")
    rows = -(-count // columns)
    return [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def columns_of(count: int, columns: int | None) -> int:
    """Panels in a row: by default all."""
    return count if columns is None else integer("columns", columns, 1, 100)


def to_image(figure: "Figure") -> "Image":
    """The figure as an "RGB" picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    with applied():
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
