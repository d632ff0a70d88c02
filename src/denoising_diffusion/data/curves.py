"""Plane curves that data is drawn from, with the exact law of the data along them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from denoising_diffusion.checks import function, integer, number, shown

_FINE = 100_001  # points per arc for exact quantities: chords of this length err by less than 1e-9
_MOST = 10**9  # points that anyone asks for; sizes beyond 2**63 would fail inside torch


@dataclass(frozen=True)
class Arc:
    """One smooth piece of a curve, traversed by a uniformly distributed parameter.

    Args:
        place: parameters of shape (n,), float64 -> points of shape (n, 2), not yet normalised.
        low: where the parameter starts.
        high: where it ends.

    Raises:
        TypeError, ValueError: a place that is no function, or ends that are no finite numbers.
    """

    place: Callable[[Tensor], Tensor]
    low: float
    high: float

    def __post_init__(self) -> None:
        function("place", self.place)
        number("low", self.low)
        number("high", self.high)


@dataclass(frozen=True)
class Curve:
    """A curve of one or more arcs, each with the same share of the data.

    Both coordinates are multiplied by `scale`, then moved by `shift`, so that the longer side of
    the ideal curve spans [-1, 1].

    Args:
        name: as in `CURVES`.
        arcs: the pieces in order; consecutive ones need not touch.
        scale: the factor of both coordinates.
        shift: what is added to both coordinates after scaling.

    Raises:
        TypeError, ValueError: arcs that are no tuple of `Arc`, or a scale or shift that is no
            finite number.
    """

    name: str
    arcs: tuple[Arc, ...]
    scale: float
    shift: float

    def __post_init__(self) -> None:
        if type(self.arcs) is not tuple or {type(arc) for arc in self.arcs} != {Arc}:
            raise TypeError(f"arcs must be a tuple of one Arc or more, got {shown(self.arcs)}")
        number("scale", self.scale)
        number("shift", self.shift)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n points in random order: (n, 2) float32; arcs differ by one point at most.

        Without a generator, torch's global one draws.

        Raises:
            TypeError, ValueError: n is no integer in 0..10⁹, or the generator none of the CPU's.
        """
        integer("n", n, 0, _MOST)
        _check_generator(generator)
        u = torch.rand(n, generator=generator, dtype=torch.float64)
        order = torch.randperm(n, generator=generator)
        parts = [
            self._place(arc, arc.low + (arc.high - arc.low) * share)
            for arc, share in zip(self.arcs, u.tensor_split(len(self.arcs)), strict=True)
        ]
        return torch.cat(parts)[order].float()

    def arc_points(self, points_per_arc: int = 2000) -> list[Tensor]:
        """For every arc, dense points in order along it: (points_per_arc, 2) float64.

        Raises:
            TypeError, ValueError: points_per_arc is no integer in 2..10⁹.
        """
        integer("points_per_arc", points_per_arc, 2, _MOST)
        grids = [
            torch.linspace(a.low, a.high, points_per_arc, dtype=torch.float64) for a in self.arcs
        ]
        return [self._place(arc, grid) for arc, grid in zip(self.arcs, grids, strict=True)]

    def polyline(self, points_per_arc: int = 2000) -> tuple[Tensor, Tensor]:
        """Dense ideal points (m, 2) and the fraction of the curve's length up to each, (m,).

        The gap between two arcs has no length: the fraction is equal on both of its sides, which
        is how `metrics` tells a gap from a piece of the curve. Both are float64.

        Raises:
            TypeError, ValueError: as `arc_points`.
        """
        arcs = self.arc_points(points_per_arc)
        zero = torch.zeros(1, dtype=torch.float64)
        steps = torch.cat([torch.cat([zero, arc.diff(dim=0).norm(dim=1)]) for arc in arcs])
        length = steps.cumsum(0)
        return torch.cat(arcs), length / length[-1]

    def arc_bin_probabilities(self, bins: int = 50) -> Tensor:
        """The expected share of data in each of `bins` equal stretches of the curve's length.

        Shape (bins,), float64, exact to 1e-6: the stretches are mapped back to the parameter,
        whose law is uniform on every arc.

        Raises:
            TypeError, ValueError: bins is no integer in 1..10⁹.
        """
        integer("bins", bins, 1, _MOST)
        _, fraction = self.polyline(_FINE)
        edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
        below = torch.zeros_like(edges)  # the share of data before each edge
        for part in fraction.split(_FINE):
            right = torch.searchsorted(part, edges).clamp(1, _FINE - 1)
            within = (edges - part[right - 1]) / (part[right] - part[right - 1])
            below += ((right - 1 + within) / (_FINE - 1)).clamp(0, 1) / len(self.arcs)
        return below.diff()

    def _place(self, arc: Arc, parameter: Tensor) -> Tensor:
        """Normalised points (n, 2) at these parameters (n,) of the arc."""
        return arc.place(parameter) * self.scale + self.shift


def _check_generator(value: Any) -> None:
    if value is None or (isinstance(value, torch.Generator) and value.device.type == "cpu"):
        return
    raise TypeError(f"generator must be a torch.Generator of the CPU or None, got {shown(value)}")


def _spiral(t: Tensor) -> Tensor:
    return torch.stack([t * t.cos(), t * t.sin()], dim=1)


def _s_curve(t: Tensor) -> Tensor:
    return torch.stack([t.sin(), t.sign() * (t.cos() - 1)], dim=1)


def _upper_moon(theta: Tensor) -> Tensor:
    return torch.stack([theta.cos(), theta.sin()], dim=1)


def _lower_moon(theta: Tensor) -> Tensor:
    return torch.stack([1 - theta.cos(), 0.5 - theta.sin()], dim=1)


SPIRAL = Curve(
    "spiral", (Arc(_spiral, 1.5 * math.pi, 4.5 * math.pi),), scale=1 / (4 * math.pi), shift=-1 / 8
)
"""A spiral of one and a half turns, t in U(1.5π, 4.5π): the Swiss roll seen from its end."""

S_CURVE = Curve("s-curve", (Arc(_s_curve, -1.5 * math.pi, 1.5 * math.pi),), scale=0.5, shift=0.0)
"""Two three-quarter circles that make an S, at constant density."""

MOONS = Curve(
    "moons",
    (Arc(_upper_moon, 0.0, math.pi), Arc(_lower_moon, 0.0, math.pi)),
    scale=2 / 3,
    shift=-1 / 3,
)
"""Two interleaving half circles with half of the data each, at constant density."""

CURVES: dict[str, Curve] = {curve.name: curve for curve in (SPIRAL, S_CURVE, MOONS)}
"""The curves by name."""
