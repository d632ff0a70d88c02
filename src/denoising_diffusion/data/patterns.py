"""Points drawn from the curves, and data sets of them."""

import torch
from torch import Tensor

from denoising_diffusion import seeds
from denoising_diffusion.checks import integer
from denoising_diffusion.data.curves import CURVES, MOONS, S_CURVE, SPIRAL, Curve
from denoising_diffusion.data.rows import Dataset, in_memory

PATTERNS: tuple[str, ...] = ("spiral", "s-curve", "moons")
"""The classes of `make_patterns`, in order."""

_ON_CURVES = {"spiral": ("spiral",), "patterns": PATTERNS}


def curves_of(name: str) -> dict[str, Curve]:
    """The curves that a data set of this name is drawn from, by name: none but for our own.

    A class of the user's may well be called as a curve is.
    """
    return {curve: CURVES[curve] for curve in _ON_CURVES.get(name, ())}


def make_spiral(n: int, generator: torch.Generator | None = None) -> Tensor:
    """n points of the spiral, (n, 2) float32; see `Curve.sample`."""
    return SPIRAL.sample(n, generator)


def make_s_curve(n: int, generator: torch.Generator | None = None) -> Tensor:
    """n points of the S-curve, (n, 2) float32; see `Curve.sample`."""
    return S_CURVE.sample(n, generator)


def make_moons(n: int, generator: torch.Generator | None = None) -> Tensor:
    """n points of the two moons, (n, 2) float32; see `Curve.sample`."""
    return MOONS.sample(n, generator)


def make_patterns(
    n_per_class: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Points of the spiral, the S-curve and the moons in turn, and their classes 0, 1, 2.

    The classes alternate, so any first rows are balanced to within one point.

    Returns:
        points (3 * n_per_class, 2) float32 and classes (3 * n_per_class,) int64.

    Raises:
        TypeError, ValueError: as `Curve.sample`.
    """
    integer("n_per_class", n_per_class, 0)
    points = torch.stack([CURVES[name].sample(n_per_class, generator) for name in PATTERNS], dim=1)
    return points.flatten(0, 1), torch.arange(len(PATTERNS)).repeat(n_per_class)


def spiral(*, size: int = 100_000, seed: int = 0) -> Dataset:
    """Points of the spiral, drawn afresh.

    Args:
        size: how many are drawn to train on; a tenth as many are drawn in addition, from another
            stream, and held out.
        seed: of the points.

    Raises:
        TypeError, ValueError: the size is no integer in 10..10⁸, or the seed none >= 0.
    """
    parts = [(make_spiral(n, generator),) for n, generator in _draws(size, seed)]
    return in_memory("spiral", "points", *parts)


def patterns(*, size: int = 100_000, seed: int = 0) -> Dataset:
    """Points of the three curves, which are its classes, in turn.

    Args:
        size: as for `spiral`, of all classes together.
        seed: of the points.

    Raises:
        TypeError, ValueError: as `spiral`.
    """
    drawn = [(n, make_patterns(-(-n // len(PATTERNS)), g)) for n, g in _draws(size, seed)]
    parts = [(points[:n], classes[:n]) for n, (points, classes) in drawn]
    return in_memory("patterns", "points", *parts, class_names=PATTERNS)


def _draws(size: int, seed: int) -> list[tuple[int, torch.Generator]]:
    """How many points to draw, and with what: to train on, and to hold out."""
    integer("size", size, 10, 10**8)
    streams = (seeds.stream(seed, purpose) for purpose in ("data/train", "data/validation"))
    return list(zip((size, size // 10), streams, strict=True))
