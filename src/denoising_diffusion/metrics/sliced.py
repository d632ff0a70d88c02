"""The sliced Wasserstein distance: how far two clouds of points are apart, seen along lines."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from denoising_diffusion.checks import integer
from denoising_diffusion.metrics._checks import rows
from denoising_diffusion.seeds import stream

# Values (rows times lines) sorted at a time, so that memory does not grow with the clouds.
_CHUNK = 2**22


class Sliced(NamedTuple):
    """A sliced Wasserstein distance and half the width of its 95 % interval."""

    distance: float
    interval: float


def directions(d: int, count: int = 128, seed: int = 0) -> Tensor:
    """At least `count` lines to look along: (n, d) float64 of length 1; one line if d is 1.

    They are whole orthonormal bases, the axes first and then random ones, so that the mean of the
    squared projections of a vector is its squared length over d, exactly: less variance than lines
    drawn one by one (Rowland et al. 2019, "Orthogonal estimation of Wasserstein distances").

    Raises:
        TypeError, ValueError: no integers, d or count below 1, or a seed below 0.
    """
    integer("d", d, 1, 2**14)
    wanted = 1 if d == 1 else max(2, -(-integer("count", count, 1, 2**20) // d))
    generator = stream(integer("seed", seed, 0), "directions")
    bases = [torch.eye(d, dtype=torch.float64)]
    for _ in range(wanted - 1):
        q, r = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
        bases.append((q * r.diagonal().sign()).T)  # uniform over all bases (Mezzadri 2007)
    return torch.cat(bases)


def wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """The Wasserstein-1 distance between the columns of x (n, d) and y (m, d): (d,) float64.

    It is the integral of |F - G| over the two empirical distribution functions, exact for any n
    and m.

    Raises:
        ValueError: other shapes, no rows, or values that are not finite.
        TypeError: anything but tensors of numbers.
    """
    x, y = _pair(x, y)
    parts = [part[2] for part in _lines(x, y, torch.eye(x.shape[1], dtype=torch.float64))]
    return torch.cat(parts)


def sliced_wasserstein(x: Tensor, y: Tensor, *, lines: Tensor | None = None) -> Sliced:
    """The mean of `wasserstein` over projections on lines (Bonneel et al. 2015, with order 1).

    Order 1 is in the units of the data, and one far point moves it by no more than its distance
    over n: order 2 of a heavy tail is all tail. The interval is that of the rows, by the law of
    large samples (del Barrio et al. 1999): Var(phi(x)) / n + Var(psi(y)) / m, where phi and psi are
    the derivatives of the distance by the weight of a row (Kantorovich's potentials). For two sets
    of one law it is only the order of magnitude, for there the distance has no derivative.

    Args:
        x: (n, d).
        y: (m, d); n and m may differ.
        lines: (k, d), of length 1; by default `directions(d)`.

    Raises:
        ValueError: other shapes, no rows, or values that are not finite.
        TypeError: anything but tensors of numbers.
    """
    x, y = _pair(x, y)
    lines = directions(x.shape[1]) if lines is None else rows("lines", lines, x.shape[1]).double()
    distance, *potentials = sliced_potentials(x, y, lines)
    variance = sum(float(p.var(correction=0)) / len(p) for p in potentials)
    return Sliced(distance, 1.96 * variance**0.5)


def sliced_potentials(x: Tensor, y: Tensor, lines: Tensor) -> tuple[float, Tensor, Tensor]:
    """The distance, and its derivative by the weight of every row of x, (n,), and of y, (m,).

    The derivatives are known up to a constant. Arguments and errors are those of
    `sliced_wasserstein`.
    """
    x, y = _pair(x, y)
    distance, potential = 0.0, torch.zeros(len(x) + len(y), dtype=torch.float64)
    for order, sloped, values in _lines(x, y, lines):
        distance += float(values.sum()) / len(lines)
        # A row at place k takes part in F or G at all later places.
        later = torch.cat([sloped.flip(0).cumsum(0).flip(0), torch.zeros(1, sloped.shape[1])])
        placed = torch.zeros_like(later).scatter_(0, order, later)
        potential += placed.sum(1) / len(lines)
    phi, psi = potential.split([len(x), len(y)])
    return distance, phi, psi


def _lines(x: Tensor, y: Tensor, lines: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For some lines at a time, k of them, with N = n + m rows of both sets:

    the order (N, k) of all rows along them, sign(F - G) times the gap after each place (N - 1, k),
    and the distance (k,).
    """
    both = torch.cat([x, y])
    weight = torch.cat([x.new_full((len(x),), 1 / len(x)), y.new_full((len(y),), -1 / len(y))])
    for part in lines.split(max(1, _CHUNK // len(both))):
        along, order = (both @ part.T).sort(dim=0)
        apart = weight[order].cumsum(0)[:-1]
        # Rounding leaves F - G some 1e-16 where it is 0: it has no sign there.
        apart[apart.abs() < 1e-12] = 0
        sloped = along.diff(dim=0) * apart.sign()
        yield order, sloped, (sloped * apart).sum(0)


def _pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    rows("y", y, rows("x", x, "d").shape[1])
    return x.detach().cpu().double(), y.detach().cpu().double()
