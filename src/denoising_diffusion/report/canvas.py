"""Charts of points with axes that are drawn once: a histogram, a plane, or a corner of planes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from denoising_diffusion.checks import finite, instance, integer
from denoising_diffusion.report import panels, style
from denoising_diffusion.report._checks import sequence
from denoising_diffusion.report.drawing import Dot, Drawing, Text, letter, write_on
from denoising_diffusion.report.panels import Limits, Panel, short
from denoising_diffusion.report.raster import Pixels, bars, depth_of_discs, paint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from PIL.Image import Image

MOST_COLUMNS = 6
_BINS = 40


class Canvas:
    """One histogram for one column, a plane for two, and a corner of planes for more.

    Args:
        names: of the columns.
        limits: (low, high) of every column; what lies beyond is cut off.
        behind: points (n, d) that every chart shows in grey: the data.
        classes: their names, in the legend; points are coloured by their labels.
        side: of a single panel, or of the whole corner, in pixels.
        most: columns that are shown, the first ones.
        bare: without a legend, for a small panel in a row.

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
        side: int = 440,
        most: int = MOST_COLUMNS,
        bare: bool = False,
    ) -> None:
        self._names, self._limits = panels.named_limits(names, limits)
        self._classes = tuple(sequence("classes", classes, str))
        self._bare = bool(bare)
        self._behind = None if behind is None else self._array("behind", behind)
        self._most = integer("most", most, 2, 20)
        shown = min(len(self._names), self._most)
        self._panels = panels.layout(shown, integer("side", side, 50, 4000), self._bare)
        self._radius = 2.0 if shown <= 2 and not self._bare else 1.4
        self._size, self._marks = self._frame()
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
        return self.drawing(points, title, labels).image()

    def drawing(self, points: Tensor, title: str = "", labels: Tensor | None = None) -> Drawing:
        """What `draw` gives the pixels of, with true axes and dots on paper.

        Raises:
            ValueError, TypeError: as `draw`.
        """
        x = self._array("points", points)
        which = np.zeros(len(x), np.int64) if labels is None else labels.cpu().numpy()
        if which.shape != (len(x),):
            raise ValueError(f"got labels of shape {which.shape} for {len(x)} points")
        layers = [(x[which == k], self._colour(int(k))) for k in np.unique(which)]
        place = self._panels[0].place[0], panels.TOP // 2
        named = Text(*place, instance("title", title, str), size=style.TITLE)
        return Drawing(
            *self._size,
            lambda figure: self._plot(figure, layers, named),
            lambda: self._painted(layers, named),
        )

    def _painted(self, layers: "_Layers", title: Text) -> "Image":
        from PIL import Image

        pixels = self._ground.copy()
        for panel in self._panels:
            if panel.x == panel.y:
                self._histogram(panel.of(pixels), panel.x, layers, 0.55)
            else:
                self._scatter(panel, pixels, layers, 0.5)
        picture = Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
        write_on(picture, [title])
        return picture

    def _plot(self, figure: "Figure | SubFigure", layers: "_Layers", title: Text) -> None:
        """The same in axes of a figure."""
        behind = self._behind_layers()
        for panel in self._panels:
            axes = self._axes(figure, panel)
            for order, (group, alpha) in enumerate(((behind, 1.0), (layers, 0.55))):
                if panel.x == panel.y:
                    edges = np.linspace(*self._limits[panel.x], _BINS + 1)
                    tops = self._stacked(panel.x, group)
                    for low, high, (_, colour) in zip(tops, tops[1:], group, strict=False):
                        kind: dict[str, Any] = {
                            "color": np.divide(colour, 255),
                            "alpha": alpha,
                            "zorder": order,
                        }
                        axes.stairs(high, edges, baseline=low, fill=True, **kind)
                else:
                    area = style.points(2 * self._radius) ** 2
                    for x, colour in group:
                        at = x[:, panel.x], x[:, panel.y]
                        kind = {"color": [np.divide(colour, 255)], "zorder": 1 + order}
                        axes.scatter(*at, s=area, alpha=0.6 - 0.1 * order, linewidths=0, **kind)
        letter(figure, self._size, [*self._marks, title])

    def _behind_layers(self) -> "_Layers":
        return [] if self._behind is None else [(self._behind, style.rgb(style.BEHIND))]

    def _colour(self, label: int) -> tuple[float, float, float]:
        if label == 0:
            return style.rgb(style.NEUTRAL if self._classes else style.POINTS)
        return style.rgb(style.class_colour(label - 1, len(self._classes)))

    def _scatter(self, panel: Panel, pixels: Pixels, layers: "_Layers", alpha: float) -> None:
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

    def _histogram(self, ground: Pixels, column: int, layers: "_Layers", alpha: float) -> None:
        """Bars of one layer over another."""
        tops = self._stacked(column, layers) / self._tallest(column)
        for low, high, (_, colour) in zip(tops, tops[1:], layers, strict=False):
            bars(ground, high - low, colour, alpha, low)

    def _stacked(self, column: int, layers: "_Layers") -> NDArray[np.float64]:
        """The upper ends of the bars of all layers, (layers + 1, bins), of which the first are 0.

        They are to the scale of the data, or of themselves without it.
        """
        count = sum(len(x) for x, _ in layers)
        shares = [self._shares(x[:, column], column, count) for x, _ in layers]
        tops = np.cumsum([np.zeros(_BINS), *shares], axis=0)
        return tops if self._behind is not None else tops / (1.25 * tops[-1].max(initial=0) or 1.0)

    def _tallest(self, column: int) -> float:
        """The height of the axis of a histogram."""
        if self._behind is None:
            return 1.0
        return 1.25 * float(self._shares(self._behind[:, column], column).max(initial=0)) or 1.0

    def _shares(
        self, x: NDArray[np.float64], column: int, count: int | None = None
    ) -> NDArray[np.float64]:
        """The share of the points in every bin."""
        found = np.histogram(x, _BINS, self._limits[column])[0]
        return found / max(1, len(x) if count is None else count)

    def _frame(self) -> tuple[tuple[int, int], list[Text | Dot]]:
        """The size of the whole, and what stands in its legend."""
        right, bottom = (
            (panels.GAP, panels.BARE_BOTTOM) if self._bare else (panels.RIGHT, panels.BOTTOM)
        )
        width = max(p.place[0] + p.place[2] for p in self._panels) + right
        height = max(p.place[1] + p.place[3] for p in self._panels) + bottom
        if self._bare:
            return (width, height), []
        corner, entries = len(self._names) > 2, self._legend()
        if self._classes and not corner:
            width += 28 + max(style.text_width(text) for text, _ in entries)
        tall = bool(self._classes)
        return (width, height), panels.legend(entries, self._panels, corner, tall)

    def _background(self) -> Pixels:
        """Axes, names and the data, which every picture of this canvas begins with."""

        def draw(figure: "Figure | SubFigure") -> None:
            for panel in self._panels:
                self._axes(figure, panel)

        picture = Drawing(*self._size, draw).image()
        write_on(picture, self._marks)
        pixels = np.asarray(picture).astype(np.float32)
        layers = self._behind_layers()
        for panel in self._panels if layers else ():
            if panel.x == panel.y:
                self._histogram(panel.of(pixels), panel.x, layers, 1.0)
            else:
                self._scatter(panel, pixels, layers, 0.6)
        return pixels

    def _axes(self, figure: "Figure | SubFigure", panel: Panel) -> "Axes":
        (left, top, w, h), (width, height) = panel.place, self._size
        axes = figure.add_axes((left / width, 1 - (top + h) / height, w / width, h / height))
        self._dress(axes, panel)
        return axes

    def _dress(self, axes: "Axes", panel: Panel) -> None:
        style.quiet(axes)
        histogram, single = panel.x == panel.y, len(self._panels) == 1
        axes.set_xlim(self._limits[panel.x])
        axes.set_ylim((0, self._tallest(panel.x)) if histogram else self._limits[panel.y])
        axes.locator_params(nbins=5 if panel.place[2] > 200 else 3)
        if single or panel.y == max(p.y for p in self._panels):
            axes.set_xlabel(short(self._names[panel.x]), fontsize=9, color=style.TEXT)
        else:
            axes.set_xticks([])
        scaled = histogram and single
        if (histogram and not scaled) or (not single and panel.x != 0):
            axes.set_yticks([])
        else:
            name = "share of points in a bar" if scaled else short(self._names[panel.y])
            axes.set_ylabel(name, fontsize=9, color=style.TEXT)
        if scaled and self._behind is None:
            axes.set_yticks([])  # every picture has its own scale
        if histogram:
            shown = ["top", "right"] if scaled else ["top", "left", "right"]
            axes.spines[shown].set_visible(False)

    def _legend(self) -> list[tuple[str, str]]:
        entries = [] if self._behind is None else [("data", style.BEHIND)]
        if self._classes:
            count = len(self._classes)
            entries += [
                (short(n), style.class_colour(i, count)) for i, n in enumerate(self._classes)
            ]
        elif entries:
            entries.append(("samples", style.POINTS))
        if len(self._names) > self._most:
            entries.append((f"first {self._most} of {len(self._names)} columns", ""))
        return entries

    def _array(self, name: str, x: Tensor) -> NDArray[np.float64]:
        return finite(name, x, "n", len(self._names)).detach().cpu().double().numpy()


_Layers = list[tuple[NDArray[np.float64], tuple[float, float, float]]]
