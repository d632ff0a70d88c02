"""How close generated points lie to the curve, or the data, that they should come from."""

import torch
from torch import Tensor

from denoising_diffusion.checks import finite, instance
from denoising_diffusion.data.curves import Curve
from denoising_diffusion.metrics._checks import rows
from denoising_diffusion.metrics.neighbours import nearest

# (point, segment) pairs at a time, so memory does not grow with the number of points
_CHUNK = 2**20

Polyline = tuple[Tensor, Tensor]
"""Points (m, 2) in order, and the fraction of the length up to each, (m,): `Curve.polyline()`."""


def closest_on_curve(points: Tensor, polyline: Polyline) -> tuple[Tensor, Tensor]:
    """The nearest place on the polyline to every point of shape (n, 2), n >= 1.

    Segments without length in the fractions are gaps between arcs, and no part of the curve.

    Returns:
        places (n, 2) and the fraction of the length up to each (n,), float64.

    Raises:
        ValueError: other shapes, no points, no segment, or values that are not finite.
        TypeError: anything but tensors of numbers.
    """
    rows("points", points, 2)
    ideal, fraction = _polyline(polyline)
    step, width = ideal.diff(dim=0), fraction.diff()
    real = (width > 0) & (step.square().sum(1) > 0)
    if not bool(real.any()):
        raise ValueError("polyline has no segment with a length")
    start, step, low, width = ideal[:-1][real], step[real], fraction[:-1][real], width[real]
    square = step.square().sum(1)
    places: list[Tensor] = []
    fractions: list[Tensor] = []
    for x in points.detach().to("cpu", torch.float64).split(max(1, _CHUNK // len(start))):
        offset_x, offset_y = x[:, :1] - start[:, 0], x[:, 1:] - start[:, 1]
        along = ((offset_x * step[:, 0] + offset_y * step[:, 1]) / square).clamp(0, 1)
        away_x, away_y = offset_x - along * step[:, 0], offset_y - along * step[:, 1]
        best = (away_x.square() + away_y.square()).argmin(1)
        part = along.gather(1, best[:, None])
        places.append(start[best] + part * step[best])
        fractions.append(low[best] + part[:, 0] * width[best])
    return torch.cat(places), torch.cat(fractions)


def curve_distances(points: Tensor, polyline: Polyline) -> tuple[Tensor, Tensor]:
    """The exact distance of every point (n, 2) to the polyline, and where along it that is.

    Returns:
        distances (n,) and the fraction of the length up to the nearest place (n,), float64.

    Raises:
        ValueError, TypeError: as `closest_on_curve`.
    """
    places, fraction = closest_on_curve(points, polyline)
    return (points.detach().to("cpu", torch.float64) - places).norm(dim=1), fraction


def mean_curve_distance(points: Tensor, curve: Curve) -> float:
    """The mean distance of points (n, 2) to the ideal curve.

    Raises:
        ValueError: points of another shape, none, or not finite.
        TypeError: anything but a tensor of numbers and a `Curve`.
    """
    return float(_along(points, curve)[0].mean())


def arc_histogram_tv(points: Tensor, curve: Curve, bins: int = 50) -> float:
    """Total variation, in [0, 1], between where points (n, 2) and where data lie along the curve.

    Points are counted at their nearest place, in bins of equal length; the law of the data is
    exact. Even fresh data has about sqrt(bins / (2π n)), so compare sets of one size.

    Raises:
        ValueError: points of another shape, none, or not finite; or fewer than one bin.
        TypeError: anything but a tensor of numbers, a `Curve` and an integer.
    """
    _, fraction = _along(points, curve)
    expected = curve.arc_bin_probabilities(bins)
    counts = torch.bincount((fraction * bins).long().clamp(0, bins - 1), minlength=bins)
    return float(0.5 * (counts / len(points) - expected).abs().sum())


def nearest_distance(points: Tensor, reference: Tensor) -> float:
    """The mean distance of points (n, d) to the nearest row of the reference (m, d).

    Raises:
        ValueError: other shapes, no points on either side, or values that are not finite.
        TypeError: anything but tensors of numbers.
    """
    return float(nearest(rows("points", points, "d"), reference)[0].mean())


def _along(points: Tensor, curve: Curve) -> tuple[Tensor, Tensor]:
    return curve_distances(points, instance("curve", curve, Curve).polyline())


def _polyline(value: Polyline) -> Polyline:
    if len(instance("polyline", value, tuple)) != 2:
        raise ValueError(f"polyline must hold two tensors, got {len(value)}")
    ideal = rows("polyline[0]", value[0], 2)
    fraction = finite("polyline[1]", value[1], len(ideal))
    return ideal.to("cpu", torch.float64), fraction.to("cpu", torch.float64)
