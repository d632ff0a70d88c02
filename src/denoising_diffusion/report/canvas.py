"""Charts of points with axes that are drawn once: a histogram, a plane, or a corner of planes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from denoising_diffusion.checks import finite, instance, integer, number
from denoising_diffusion.report import style
from denoising_diffusion.report._checks import sequence
from denoising_diffusion.report.raster import Pixels, bars, depth_of_discs, paint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

Limits = tuple[float, float]

MOST_COLUMNS = 6
_BINS = 40
_LEFT, _BOTTOM, _TOP, _RIGHT = 66, 46, 28, 14
_GAP = 10


class _Panel(NamedTuple):
    """Where a panel lies, (left, top, width, height) in pixels, and what it shows: two columns, or
    the histogram of one.
    """

    place: tuple[int, int, int, int]
    x: int
    y: int

    def of(self, pixels: Pixels) -> Pixels:
        left, top, width, height = self.place
        return pixels[top : top + height, left : left + width]


class Canvas:
    """One histogram for one column, a plane for two, and a corner of planes for more.

    Args:
        names: of the columns.
        limits: (low, high) of every column; what lies beyond is cut off.
        behind: points (n, d) that every chart shows in grey: the data.
        classes: their names, in the legend; points are coloured by their labels.
        side: of a single panel, or of the whole corner, in pixels.
        most: columns that are shown, the first ones.
        bare: without ticks, names and a legend, for a small panel in a row.

    Raises:
        ValueError: no columns, another number of limits, limits that are not low < high, or points
            of another width or that are not finite.
        TypeError: arguments of other types.
    """

    def __init__(
        self,
        names: Sequence[str],
        limits: Sequence[Limits],
        *,
        behind: Tensor | None = None,
        classes: Sequence[str] = (),
        side: int = 400,
        most: int = MOST_COLUMNS,
        bare: bool = False,
    ) -> None:
        self._names, self._limits = _columns(names, limits)
        self._classes = tuple(sequence("classes", classes, str))
        self._bare = bool(bare)
        self._behind = None if behind is None else self._array("behind", behind)
        self._most = integer("most", most, 2, 20)
        shown = min(len(self._names), self._most)
        self._panels = _layout(shown, integer("side", side, 50, 4000), self._bare)
        self._radius = 2.0 if shown <= 2 and not self._bare else 1.4
        self._ground = self._background()

    def draw(self, points: Tensor, title: str = "", labels: Tensor | None = None) -> "Image":
        """Points (n, d) over the axes: an "RGB" picture, of one size for one canvas.

        Args:
            points: (n, d), n >= 0.
            title: above them.
            labels: (n,), k for the k-th class and 0 for none; None without classes.

        Raises:
            ValueError: points of another width or that are not finite, or labels of another length.
            TypeError: arguments of other types.
        """
        from PIL import Image

        x = self._array("points", points)
        which = np.zeros(len(x), np.int64) if labels is None else labels.cpu().numpy()
        if which.shape != (len(x),):
            raise ValueError(f"got labels of shape {which.shape} for {len(x)} points")
        pixels = self._ground.copy()
        layers = [(x[which == k], self._colour(int(k))) for k in np.unique(which)]
        for panel in self._panels:
            if panel.x == panel.y:
                self._histogram(panel.of(pixels), panel.x, layers, 0.55, len(x))
            else:
                self._scatter(panel, pixels, layers, 0.5)
        picture = Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
        _write(picture, self._panels[0].place[0], 7, instance("title", title, str), 13)
        return picture

    def _colour(self, label: int) -> tuple[float, float, float]:
        if label == 0:
            return style.rgb(style.NEUTRAL if self._classes else style.POINTS)
        return style.rgb(style.class_colour(label - 1, len(self._classes)))

    def _scatter(self, panel: _Panel, pixels: Pixels, layers: "_Layers", alpha: float) -> None:
        _, _, width, height = panel.place
        depths: list[Pixels] = []
        for x, _ in layers:
            (x_low, x_high), (y_low, y_high) = self._limits[panel.x], self._limits[panel.y]
            across = (x[:, panel.x] - x_low) / (x_high - x_low) * width
            down = (y_high - x[:, panel.y]) / (y_high - y_low) * height
            centres = np.stack([across, down], 1)
            depths.append(depth_of_discs(centres, height, width, self._radius, alpha))
        if depths:
            paint(panel.of(pixels), depths, [colour for _, colour in layers])

    def _histogram(
        self, ground: Pixels, column: int, layers: "_Layers", alpha: float, count: int
    ) -> None:
        """Bars of one layer over another, to the scale of the data, or their own without it."""
        own = [self._shares(x[:, column], column, count) for x, _ in layers]
        known = own if self._behind is None else [self._shares(self._behind[:, column], column)]
        tallest = 1.25 * float(np.max(np.sum(known, axis=0), initial=0)) or 1.0
        floor = np.zeros(_BINS)
        for share, (_, colour) in zip(own, layers, strict=True):
            bars(ground, share / tallest, colour, alpha, floor)
            floor = floor + share / tallest

    def _shares(
        self, x: NDArray[np.float64], column: int, count: int | None = None
    ) -> NDArray[np.float64]:
        """The share of the points in every bin."""
        found = np.histogram(x, _BINS, self._limits[column])[0]
        return found / max(1, len(x) if count is None else count)

    def _background(self) -> Pixels:
        """Axes, names and the data, which every picture of this canvas begins with."""
        from matplotlib.figure import Figure

        width = max(p.place[0] + p.place[2] for p in self._panels) + (4 if self._bare else _RIGHT)
        height = max(p.place[1] + p.place[3] for p in self._panels) + (4 if self._bare else _BOTTOM)
        corner, legend = len(self._names) > 2, self._legend()
        if self._classes and not corner and not self._bare:
            width += 28 + max(_text_width(text) for text, _ in legend)
        figure = Figure((width / style.DPI, height / style.DPI), dpi=style.DPI)
        for panel in self._panels:
            left, top, w, h = panel.place
            box = (left / width, 1 - (top + h) / height, w / width, h / height)
            self._dress(figure.add_axes(box), panel)
        picture = style.to_image(figure)
        if not self._bare:
            _place_legend(picture, legend, self._panels, corner, bool(self._classes))
        pixels = np.asarray(picture).astype(np.float32)
        if self._behind is not None:
            layer = [(self._behind, style.rgb(style.BEHIND))]
            for panel in self._panels:
                if panel.x == panel.y:
                    self._histogram(panel.of(pixels), panel.x, layer, 1.0, len(self._behind))
                else:
                    self._scatter(panel, pixels, layer, 0.6)
        return pixels

    def _dress(self, axes: "Axes", panel: _Panel) -> None:
        style.quiet(axes)
        histogram = panel.x == panel.y
        axes.set_xlim(self._limits[panel.x])
        axes.set_ylim((0, 1) if histogram else self._limits[panel.y])
        axes.locator_params(nbins=5 if panel.place[2] > 200 else 3)
        last = max(p.y for p in self._panels)
        single = len(self._panels) == 1
        if self._bare or (not single and panel.y != last):
            axes.set_xticks([])
        else:
            axes.set_xlabel(_short(self._names[panel.x]), fontsize=9, color=style.TEXT)
        if self._bare or histogram or (not single and panel.x != 0):
            axes.set_yticks([])
        else:
            axes.set_ylabel(_short(self._names[panel.y]), fontsize=9, color=style.TEXT)
        if histogram:
            axes.spines[["top", "left", "right"]].set_visible(False)

    def _legend(self) -> list[tuple[str, str]]:
        entries = [] if self._behind is None else [("data", style.BEHIND)]
        if self._classes:
            count = len(self._classes)
            entries += [
                (_short(n), style.class_colour(i, count)) for i, n in enumerate(self._classes)
            ]
        elif entries:
            entries.append(("samples", style.POINTS))
        if len(self._names) > self._most:
            entries.append((f"first {self._most} of {len(self._names)} columns", ""))
        return entries

    def _array(self, name: str, x: Tensor) -> NDArray[np.float64]:
        return finite(name, x, "n", len(self._names)).detach().cpu().double().numpy()


def side_by_side(pictures: "Sequence[Image]", columns: int) -> "Image":
    """Pictures of one size in a grid, row by row.

    Raises:
        ValueError: no pictures, of different sizes, or fewer than one column.
        TypeError: arguments of other types.
    """
    from PIL import Image

    if len({p.size for p in sequence("pictures", pictures, Image.Image)}) != 1:
        raise ValueError("pictures must hold at least one picture, all of one size")
    columns = min(integer("columns", columns, 1), len(pictures))
    width, height = pictures[0].size
    whole = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "white")
    for i, picture in enumerate(pictures):
        whole.paste(picture, (i % columns * width, i // columns * height))
    return whole


_Layers = list[tuple[NDArray[np.float64], tuple[float, float, float]]]


def _columns(
    names: Sequence[str], limits: Sequence[Limits]
) -> tuple[tuple[str, ...], tuple[Limits, ...]]:
    found = tuple(sequence("names", names, str))
    if not found or len(sequence("limits", limits)) != len(found):
        raise ValueError(f"limits must be one pair for each of names, got {len(limits)}")
    pairs: list[Limits] = []
    for i, pair in enumerate(limits):
        if len(sequence(f"limits[{i}]", pair)) != 2:
            raise ValueError(f"limits[{i}] must be two numbers, got {len(pair)}")
        low = number(f"limits[{i}][0]", pair[0])
        pairs.append((low, number(f"limits[{i}][1]", pair[1], f"({low}, inf)")))
    return found, tuple(pairs)


def _layout(shown: int, side: int, bare: bool) -> list[_Panel]:
    """The panels: the lower triangle of a square above two columns."""
    left, top = (4, 24) if bare else (_LEFT, _TOP)
    if shown <= 2:
        return [_Panel((left, top, side, side), 0, shown - 1)]
    one = (side - _GAP * (shown - 1)) // shown
    return [
        _Panel((left + x * (one + _GAP), top + y * (one + _GAP), one, one), x, y)
        for y in range(shown)
        for x in range(y + 1)
    ]


def _place_legend(
    picture: "Image", entries: list[tuple[str, str]], panels: list[_Panel], corner: bool, tall: bool
) -> None:
    """A column of entries right of the panel, or in the empty half of a corner; else one line."""
    from PIL import ImageDraw

    pen = ImageDraw.Draw(picture)
    right = max(p.place[0] + p.place[2] for p in panels)
    top = min(p.place[1] for p in panels)
    widest = max((_text_width(text) for text, _ in entries), default=0)
    column = corner or tall
    x = right - widest if corner else right + 24
    y = top + 8 if column else 15
    if not column:
        x = right - sum(_text_width(text) + 26 for text, _ in entries) + 20
    for text, colour in entries:
        if colour:
            pen.ellipse((x - 13, y - 4, x - 5, y + 4), fill=colour)
        _write(picture, x, y - 8, text, 12)
        x, y = (x, y + 19) if column else (x + _text_width(text) + 26, y)


def _text_width(text: str) -> int:
    from PIL import ImageFont

    return int(np.ceil(ImageFont.load_default(12).getlength(text)))


def _write(picture: "Image", x: int, y: int, text: str, size: int) -> None:
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    ImageDraw.Draw(picture).text((x, y), text, fill=style.TEXT, font=font)


def _short(name: str) -> str:
    return name if len(name) <= 18 else name[:17] + "…"
