"""Scatter plots of points, alone, in panels or as frames, and their distance to a curve."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from denoising_diffusion.checks import finite, instance, integer, number
from denoising_diffusion.report import style
from denoising_diffusion.report._checks import sequence, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

Panel = tuple[str, Tensor]
"""A title and points (n, d): of one column the other axis is 0, of many the first two are drawn."""

Limits = tuple[float, float]

_SEGMENTS = 200


def scatter_frame(
    panels: Sequence[Panel],
    *,
    columns: int | None = None,
    limits: Limits = (-2.0, 2.0),
    panel_size: int = 320,
    alpha: float = 0.5,
) -> "Image":
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
    side = integer("panel_size", panel_size, 50, 2000)
    figure, places = style.new_figure(side, side, len(titled(panels)), columns)
    for axes, (title, points) in zip(places, panels, strict=True):
        _scatter(axes, title, points, limits, alpha)
    return style.to_image(figure)


def closest_points(
    panels: Sequence[tuple[str, Tensor, Tensor]],
    curve: Sequence[Tensor],
    *,
    limits: Limits = (-2.0, 2.0),
) -> "Image":
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
    figure, places = style.new_figure(200, 225, len(titled(panels, 2)))
    for axes, (title, points, nearest) in zip(places, panels, strict=True):
        if points.shape != nearest.shape:
            shapes = f"{tuple(points.shape)} and {tuple(nearest.shape)}"
            raise ValueError(f"points and their places must have one shape, got {shapes}")
        for arc in arcs:
            axes.plot(*arc.T, color=style.ACCENT, linewidth=1.5, zorder=1)
        ends = np.stack([_plane(v[:_SEGMENTS]) for v in (points, nearest)], axis=1)
        axes.add_collection(LineCollection(list(ends), colors=style.SEGMENTS, linewidths=0.6))
        _scatter(axes, title, points[:_SEGMENTS], limits, alpha=0.8, small=True)
    return style.to_image(figure)


def plot_distance(
    steps: Sequence[float], distances: Sequence[float], *, x_label: str = "t"
) -> "Image":
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
    figure, (axes,) = style.new_figure(640, 360)
    axes.plot(x, y, color=style.POINTS, linewidth=1.8)
    if x[0] > x[-1]:
        axes.invert_xaxis()
    axes.set_ylim(bottom=0)
    style.curve_axes(axes, x_label, "mean distance to the curve")
    return style.to_image(figure)


def _scatter(
    axes: "Axes", title: str, points: Tensor, limits: Any, alpha: float, small: bool = False
) -> None:
    """Points in one panel; a small one has no ticks."""
    if len(sequence("limits", limits)) != 2:
        raise ValueError(f"limits must be two numbers, got {len(limits)}")
    low = number("limits[0]", limits[0])
    high = number("limits[1]", limits[1], f"({low}, inf)")
    x, y = _plane(points).T
    number("alpha", alpha, "[0, 1]")
    size = 4 if small else 7
    axes.scatter(x, y, s=size, color=style.POINTS, alpha=alpha, linewidths=0, zorder=3)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.locator_params(nbins=5)
    style.quiet(axes, title)
    if small:
        axes.set(xticks=[], yticks=[])


def _plane(points: Tensor) -> NDArray[np.float64]:
    """Points (n, d) as (n, 2): a column of zeros is added, or columns are left out."""
    if points.ndim != 2 or points.shape[1] == 0:
        raise ValueError(
            f"points of panels must have shape (n, d), d >= 1, got {tuple(points.shape)}"
        )
    array = points.detach().cpu().double().numpy()
    return np.pad(array[:, :2], ((0, 0), (0, max(0, 2 - array.shape[1]))))
