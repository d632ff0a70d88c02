"""Curves as the numbers of an inline SVG, which the template draws."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from denoising_diffusion.report.history import log_ticks

WIDTH, HEIGHT = 520, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 42
_MOST_POINTS = 400

Curve = tuple[str, Sequence[tuple[float, float]]]
"""A name and its points (x, y)."""


class Tick(NamedTuple):
    """A mark on an axis: where it stands, in the picture's units, and what it says."""

    at: float
    text: str


class Line(NamedTuple):
    """A curve: its name, the points of its path, and its last point."""

    name: str
    points: str
    end: tuple[float, float]


class Chart(NamedTuple):
    """All that a template needs to draw curves over axes with labels."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    box: tuple[int, int, int, int] = (_LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM)


def chart(
    title: str, curves: Sequence[Curve], x_label: str, y_label: str, *, log: bool = False
) -> Chart | None:
    """Curves over common axes; None if there is no point to draw.

    Args:
        title: what it shows, for those who do not see it too.
        curves: their points; those that are not finite are left out.
        x_label: of the axis to the right.
        y_label: of the axis upwards.
        log: whether the axis upwards is logarithmic, if all values are above 0.
    """
    kept = [(n, _finite(points)) for n, points in curves]
    kept = [(n, points) for n, points in kept if points]
    if not kept:
        return None
    xs = [x for _, points in kept for x, _ in points]
    ys = [y for _, points in kept for _, y in points]
    log = log and min(ys) > 0
    left, right = _room(min(xs), max(xs), 0)
    if log:
        low, high = min(ys) / 1.05, max(ys) * 1.05
        marks = log_ticks(low, high)
    else:
        low, high = _room(min(ys), max(ys), 0.05)
        marks = even_ticks(low, high)

    def over(x: float) -> float:
        return round(_LEFT + (x - left) / (right - left) * (WIDTH - _LEFT - _RIGHT), 1)

    def up(y: float) -> float:
        share = math.log(y / low) / math.log(high / low) if log else (y - low) / (high - low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    lines = [
        Line(
            name,
            " ".join(f"{over(x):g},{up(y):g}" for x, y in points),
            (over(points[-1][0]), up(points[-1][1])),
        )
        for name, points in kept
    ]
    # Where all stand at whole numbers, as epochs do, there is nothing between two of these.
    counted = all(float(x).is_integer() for x in xs)
    x_marks = [x for x in even_ticks(left, right) if not counted or x.is_integer()]
    x_ticks = [Tick(over(x), f"{x:g}") for x in x_marks]
    y_ticks = [Tick(up(y), f"{y:.4g}") for y in marks]
    return Chart(title, x_label, y_label, lines, x_ticks, y_ticks)


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    kept = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    every = -(-len(kept) // _MOST_POINTS) or 1
    return [*kept[:-1:every], *kept[-1:]]


def _room(low: float, high: float, share: float) -> tuple[float, float]:
    room = share * (high - low) if high > low else 0.5 * (abs(high) or 1.0)
    return low - room, high + room


def even_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most so many round numbers, evenly spaced, in low..high."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(s * power for s in (1, 2, 5, 10, 20) if (high - low) / (s * power) <= most - 1)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.10g}") for i in range(first, last + 1)]
