"""A picture that is painted as pixels for a screen, or drawn as lines and text for paper."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, cast

import numpy as np

from denoising_diffusion.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure
    from PIL.Image import Image

P = ParamSpec("P")


@dataclass(frozen=True)
class Drawing:
    """A picture of which pixels and lines are two views.

    Args:
        width: in pixels.
        height: in pixels.
        draw: fills a figure of this size, or a part of one.
        paint: gives the pixels; without it they are those of the figure.
    """

    width: int
    height: int
    draw: "Callable[[Figure | SubFigure], None]"
    paint: "Callable[[], Image] | None" = None

    def image(self) -> "Image":
        """The pixels, "RGB" or "L"."""
        return style.to_image(self.figure()) if self.paint is None else self.paint()

    def figure(self) -> "Figure":
        """A figure, which is never part of a window."""
        from matplotlib.figure import Figure

        with style.applied():
            size = (self.width / style.DPI, self.height / style.DPI)
            figure = Figure(size, dpi=style.DPI)
            self.draw(figure)
        return figure


class Pictured(Protocol[P]):
    """A function that gives a picture, with the one that gives its drawing as an attribute."""

    drawing: Callable[P, Drawing]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> "Image":
        """The pixels of the drawing."""
        ...


def pictured(make: Callable[P, Drawing]) -> Pictured[P]:
    """The function that gives the pixels of what `make` draws."""

    @functools.wraps(make)
    def picture(*args: P.args, **kwargs: P.kwargs) -> "Image":
        return make(*args, **kwargs).image()

    found = cast(Any, picture)
    found.drawing = make
    found.__signature__ = inspect.signature(make).replace(return_annotation="Image")
    return found


class Text(NamedTuple):
    """Text of which this place is the left end or the middle ("l", "m"), half of it above."""

    x: float
    y: float
    text: str
    across: str = "l"
    size: int = style.SMALL


class Dot(NamedTuple):
    """A disc in a legend."""

    x: float
    y: float
    colour: str


_RADIUS = 4


def lettered(ground: "Image", marks: "Sequence[Text | Dot]") -> Drawing:
    """Pixels with text over them; on paper the text is text, and each pixel as sharp as here."""

    def paint() -> "Image":
        whole = ground.copy()
        write_on(whole, marks)
        return whole

    def draw(figure: "Figure | SubFigure") -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        place = (0, ground.width, ground.height, 0)
        # A map of greys would round some of them.
        pixels = np.asarray(ground.convert("RGB"))
        axes.imshow(pixels, extent=place, interpolation="none", aspect="auto")
        axes.set_axis_off()
        letter(figure, ground.size, marks)

    return Drawing(*ground.size, draw, paint)


def write_on(picture: "Image", marks: "Sequence[Text | Dot]") -> None:
    """Paint marks over the pixels."""
    from PIL import ImageColor, ImageDraw

    pen = ImageDraw.Draw(picture)
    for mark in marks:
        if isinstance(mark, Dot):
            x, y, r = mark.x, mark.y, _RADIUS
            pen.ellipse((x - r, y - r, x + r, y + r), fill=mark.colour)
        else:
            ink = ImageColor.getcolor(style.TEXT, picture.mode)
            pen.text(mark[:2], mark.text, ink, style.font(mark.size), f"{mark.across}m")


def letter(
    figure: "Figure | SubFigure", size: tuple[int, int], marks: "Sequence[Text | Dot]"
) -> None:
    """Draw marks on a figure of this size in pixels."""
    width, height = size
    axes = figure.add_axes((0, 0, 1, 1), zorder=5)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.patch.set_alpha(0)
    axes.set_axis_off()
    dots = [m for m in marks if isinstance(m, Dot)]
    if dots:
        area = style.points(2 * _RADIUS) ** 2
        places = ([d.x for d in dots], [d.y for d in dots])
        axes.scatter(*places, s=area, c=[d.colour for d in dots], linewidths=0)
    for mark in marks:
        if isinstance(mark, Text) and mark.text:
            ends = {"l": "left", "m": "center", "r": "right"}
            axes.text(
                mark.x,
                mark.y,
                mark.text,
                fontsize=style.points(mark.size),
                color=style.TEXT,
                ha=ends[mark.across],
                va="center_baseline",
            )
