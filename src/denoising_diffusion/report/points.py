"""Scatter plots of points, alone, in panels or as frames, and their distance to a curve."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from denoising_diffusion.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

Panel = tuple[str, Tensor]
"""A title and points (n, d): of one column the other axis is 0, of many the first two are drawn."""

_SEGMENTS = 200


def scatter_frame(
    panels: Sequence[Panel],
    *,
    columns: int | None = None,
    limits: tuple[float, float] = (-2.0, 2.0),
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
        ValueError: no panels, fewer than one column, or points not of shape (n, d), d >= 1.
    """
    columns = len(panels) if columns is None else columns
    _check(panels, columns)
    rows = -(-len(panels) // columns)
    figure = style.new_figure(columns * panel_size, rows * panel_size)
    for i, (title, points) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1)
        _scatter(axes, title, points, limits, alpha)
    return style.to_image(figure)


def scatter_panels(
    panels: Sequence[Panel],
    *,
    limits: tuple[float, float] = (-2.0, 2.0),
    alpha: float = 0.5,
) -> "Image":
    """A row of panels without ticks, 225 pixels high and 200 wide each: the noising of data.

    Raises:
        ValueError: as `scatter_frame`.
    """
    _check(panels, len(panels))
    figure = style.new_figure(200 * len(panels), 225)
    for i, (title, points) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), i + 1)
        _scatter(axes, title, points, limits, alpha, size=4)
        axes.set_xticks([])
        axes.set_yticks([])
    return style.to_image(figure)


def closest_points(
    panels: Sequence[tuple[str, Tensor, Tensor]],
    curve: Sequence[Tensor],
    *,
    limits: tuple[float, float] = (-2.0, 2.0),
) -> "Image":
    """A row of panels: the ideal curve, and 200 black segments from points to their nearest place.

    Args:
        panels: a title, points (n, 2) and their nearest places on the curve (n, 2), from
            `metrics.points.closest_on_curve`; the first 200 are drawn.
        curve: the points (m, 2) of every arc in order, from `Curve.arc_points`.
        limits: of both axes.

    Raises:
        ValueError: no panels, or another number of places than of points.
    """
    from matplotlib.collections import LineCollection

    _check([(title, points) for title, points, _ in panels], len(panels))
    figure = style.new_figure(200 * len(panels), 225)
    for i, (title, points, places) in enumerate(panels):
        if points.shape != places.shape:
            shapes = f"{tuple(points.shape)} and {tuple(places.shape)}"
            raise ValueError(f"points and their places must have one shape, got {shapes}")
        axes = figure.add_subplot(1, len(panels), i + 1)
        for arc in curve:
            axes.plot(*_plane(arc).T, color=style.ACCENT, linewidth=1.5, zorder=1)
        ends = np.stack([_plane(points[:_SEGMENTS]), _plane(places[:_SEGMENTS])], axis=1)
        axes.add_collection(LineCollection(list(ends), colors=style.SEGMENTS, linewidths=0.6))
        _scatter(axes, title, points[:_SEGMENTS], limits, alpha=0.8, size=4)
        axes.set_xticks([])
        axes.set_yticks([])
    return style.to_image(figure)


def plot_distance(
    steps: Sequence[float], distances: Sequence[float], *, x_label: str = "t"
) -> "Image":
    """The mean distance to the curve against the time of the reverse process, noise at the left.

    Raises:
        ValueError: another number of steps than of distances, or none.
    """
    if len(steps) != len(distances) or not steps:
        raise ValueError(f"got {len(steps)} steps and {len(distances)} distances")
    figure = style.new_figure(640, 360)
    axes = figure.add_subplot()
    axes.plot(steps, distances, color=style.POINTS, linewidth=1.8)
    if steps[0] > steps[-1]:
        axes.invert_xaxis()
    axes.set_ylim(bottom=0)
    style.curve_axes(axes, x_label, "mean distance to the curve")
    return style.to_image(figure)


def _scatter(
    axes: "Axes",
    title: str,
    points: Tensor,
    limits: tuple[float, float],
    alpha: float,
    size: float = 7,
) -> None:
    """Points in one panel."""
    x, y = _plane(points).T
    axes.scatter(x, y, s=size, color=style.POINTS, alpha=alpha, linewidths=0, zorder=3)
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    axes.set_aspect("equal")
    axes.locator_params(nbins=5)
    style.quiet(axes)
    style.name_axes(axes, title)


def _plane(points: Tensor) -> NDArray[np.float64]:
    """Points (n, d) as (n, 2): a column of zeros is added, or columns are left out."""
    array = points.detach().cpu().double().numpy()
    return np.pad(array[:, :2], ((0, 0), (0, max(0, 2 - array.shape[1]))))


def _check(panels: Sequence[Panel], columns: int) -> None:
    if not panels:
        raise ValueError("there are no panels to draw")
    if columns < 1:
        raise ValueError(f"columns must be >= 1, got {columns}")
    for _, points in panels:
        if points.ndim != 2 or points.shape[1] == 0:
            raise ValueError(f"points must have shape (n, d), d >= 1, got {tuple(points.shape)}")
