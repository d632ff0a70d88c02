"""Scatter plots of points, alone, in panels or as frames, and their distance to a curve."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from denoising_diffusion.checks import finite, instance, integer, number
from denoising_diffusion.report import style
from denoising_diffusion.report._checks import sequence, titled
from denoising_diffusion.report.drawing import Drawing, pictured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Panel = tuple[str, Tensor]
"""A title and points (n, d): of one column the other axis is 0, of many the first two are drawn."""

Limits = tuple[float, float]

_SEGMENTS = 200


@pictured
def scatter_frame(
    panels: Sequence[Panel],
    *,
    columns: int | None = None,
    limits: Limits = (-2.0, 2.0),
    panel_size: int = style.LEAST,
    alpha: float = 0.5,
) -> Drawing:
    """Panels of points in a grid, each in a square of equal aspect: one picture or one GIF frame.

    One panel makes a frame of the reverse process, four in two columns the guided picture.

    Args:
        panels: titles and points.
        columns: panels in a row; by default all.
        limits: of both axes, the same in every panel.
        panel_size: the side of a panel in pixels.
        alpha: the opacity of a point.

    Raises:
        ValueError: no panels, fewer than one column, points not of shape (n, d), d >= 1, or not
            finite, or a number out of range.
        TypeError: arguments of other types.
    """
    across = style.columns_of(len(titled(panels)), columns)
    side = integer("panel_size", panel_size, 50, 2000)
    clouds = [(title, _plane(points)) for title, points in panels]
    low, high = _limits(limits)
    number("alpha", alpha, "[0, 1]")

    def draw(figure: "Figure | SubFigure") -> None:
        for axes, (title, cloud) in zip(
            style.panels(figure, len(clouds), across), clouds, strict=True
        ):
            _scatter(axes, title, cloud, (low, high), alpha)

    return Drawing(across * side, -(-len(clouds) // across) * side, draw)


@pictured
def closest_points(
    panels: Sequence[tuple[str, Tensor, Tensor]],
    curve: Sequence[Tensor],
    *,
    limits: Limits = (-2.0, 2.0),
) -> Drawing:
    """A row of panels: the ideal curve, and 200 black segments from points to their nearest place.

    Args:
        panels: a title, points (n, 2) and their nearest places on the curve (n, 2), from
            `metrics.points.closest_on_curve`; the first 200 are drawn.
        curve: the points (m, 2) of every arc in order, from `Curve.arc_points`.
        limits: of both axes.

    Raises:
        ValueError: no panels, other shapes, or values that are not finite.
        TypeError: arguments of other types.
    """
    from matplotlib.collections import LineCollection

    arcs = [_plane(finite("an arc of the curve", arc)) for arc in sequence("curve", curve)]
    square = _limits(limits)
    shown: list[tuple[str, NDArray[np.float64]]] = []
    for title, points, nearest in titled(panels, 2):
        if points.shape != nearest.shape:
            shapes = f"{tuple(points.shape)} and {tuple(nearest.shape)}"
            raise ValueError(f"points and their places must have one shape, got {shapes}")
        ends = np.stack([_plane(v[:_SEGMENTS]) for v in (points, nearest)], axis=1)
        shown.append((title, ends))

    def draw(figure: "Figure | SubFigure") -> None:
        for axes, (title, ends) in zip(
            style.panels(figure, len(shown), len(shown)), shown, strict=True
        ):
            for arc in arcs:
                axes.plot(*arc.T, color=style.ACCENT, linewidth=1.5, zorder=1)
            axes.add_collection(LineCollection(list(ends), colors=style.SEGMENTS, linewidths=0.6))
            _scatter(axes, title, ends[:, 0], square, alpha=0.8, small=True)

    return Drawing(max(style.LEAST, 220 * len(shown)), 260, draw)


@pictured
def plot_distance(
    steps: Sequence[float], distances: Sequence[float], *, x_label: str = "t"
) -> Drawing:
    """The mean distance to the curve against the time of the reverse process, noise at the left.

    Raises:
        ValueError: another number of steps than of distances, none, or numbers that are not finite.
        TypeError: arguments of other types.
    """
    x = [number("a value of steps", v) for v in sequence("steps", steps)]
    y = [number("a value of distances", v) for v in sequence("distances", distances)]
    instance("x_label", x_label, str)
    if len(x) != len(y) or not x:
        raise ValueError(f"got {len(x)} steps and {len(y)} distances")

    def draw(figure: "Figure | SubFigure") -> None:
        (axes,) = style.panels(figure)
        axes.plot(x, y, color=style.POINTS, linewidth=1.8)
        if x[0] > x[-1]:
            axes.invert_xaxis()
        axes.set_ylim(bottom=0)
        style.curve_axes(axes, x_label, "mean distance to the curve")

    return Drawing(640, 360, draw)


def _limits(limits: Any) -> Limits:
    if len(sequence("limits", limits)) != 2:
        raise ValueError(f"limits must be two numbers, got {len(limits)}")
    low = number("limits[0]", limits[0])
    return low, number("limits[1]", limits[1], f"({low}, inf)")


def _scatter(
    axes: "Axes",
    title: str,
    points: NDArray[np.float64],
    limits: Limits,
    alpha: float,
    small: bool = False,
) -> None:
    """Points in one panel, of the columns x and y."""
    size = 4 if small else 7
    axes.scatter(*points.T, s=size, color=style.POINTS, alpha=alpha, linewidths=0, zorder=3)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.locator_params(nbins=3 if small else 5)
    style.quiet(axes, title)
    axes.set_xlabel("x", fontsize=9, color=style.TEXT)
    axes.set_ylabel("y", fontsize=9, color=style.TEXT)


def _plane(points: Tensor) -> NDArray[np.float64]:
    """Points (n, d) as (n, 2): a column of zeros is added, or columns are left out."""
    if points.ndim != 2 or points.shape[1] == 0:
        raise ValueError(
            f"points of panels must have shape (n, d), d >= 1, got {tuple(points.shape)}"
        )
    array = points.detach().cpu().double().numpy()
    return np.pad(array[:, :2], ((0, 0), (0, max(0, 2 - array.shape[1]))))
