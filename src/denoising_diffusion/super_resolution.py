"""Low-resolution pictures: how they are made, and given to a network that enlarges them."""

import hashlib
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from denoising_diffusion.checks import checked, finite, integer, number
from denoising_diffusion.data.rows import Dataset, Rows
from denoising_diffusion.diffusion import DenoiseFn
from denoising_diffusion.distributed import drawn
from denoising_diffusion.guidance import UNLABELLED
from denoising_diffusion.loss import Batch, Conditions
from denoising_diffusion.nn.super_resolution import HIDDEN, ByNumber

MOST_NOISE = 0.3
"""The highest level of noise that pictures are given in training."""


@checked
def pooled(x: Tensor, factor: int) -> Tensor:
    """Images (n, c, h, w) in [-1, 1] made smaller: the mean of each factor x factor pixels.

    Means are rounded to whole grey levels of 0..255, as a file would hold them, halves to even.

    Raises:
        TypeError, ValueError: x is no such tensor, or the factor is below 2 or divides not both h
            and w.
    """
    finite("x", x, "n", "c", "h", "w")
    integer("factor", factor, 2)
    if x.shape[2] % factor or x.shape[3] % factor:
        raise ValueError(f"factor {factor} must divide height and width, got {tuple(x.shape[2:])}")
    return _pooled(x, factor)


def _pooled(x: Tensor, factor: int) -> Tensor:
    levels = F.avg_pool2d((x.float() + 1) * 127.5, factor)
    # A mean halfway between two levels is just that only when float32's error is rounded away.
    exact = (levels * 2**12).round() / 2**12
    return (exact.round().clamp(0, 255) / 127.5 - 1).to(x.dtype)


def made_smaller(data: Dataset, factor: int) -> Dataset:
    """The data set with its images `pooled`: what the first model of a cascade learns.

    Raises:
        TypeError, ValueError: no images, or a factor that does not divide their sizes.
    """
    text = f"{data.fingerprint} pooled {factor}"
    test = None if data.test is None else _Pooled(data.test, factor)
    found = replace(
        data,
        train=_Pooled(data.train, factor),
        validation=_Pooled(data.validation, factor),
        test=test,
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )
    if any(n < 2 for n in found.shape[1:]):
        raise ValueError(f"data.pooled leaves images of {found.shape[2]} × {found.shape[1]}")
    return found


@dataclass(frozen=True)
class _Pooled:
    rows: Rows
    factor: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor, /) -> tuple[Tensor, ...]:
        x, *others = self.rows[rows]
        return pooled(x, self.factor), *others


@checked
def bicubic(low: Tensor, factor: int) -> Tensor:
    """Pictures (n, c, h, w) enlarged by cubic convolution (Keys 1981, a = -1/2), in [-1, 1]."""
    finite("low", low, "n", "c", "h", "w")
    # Without antialias torch takes a = -3/4, unlike Keys, Pillow and MATLAB.
    large = F.interpolate(
        low, scale_factor=integer("factor", factor, 2), mode="bicubic", antialias=True
    )
    return large.clamp(-1, 1)


@checked
def noised(low: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """sqrt(1 - level²) low + level noise: pictures (b, ...) at levels (b,), with unit variance."""
    level = level.to(low).view(-1, *[1] * (low.ndim - 1))
    return (1 - level**2).sqrt() * low + level * noise


def low_resolution(
    factor: int, *, noise: float = MOST_NOISE, dropout: float = 0.1, label_dropout: float = 0.0
) -> Conditions:
    """The conditions of a network that enlarges: pictures `pooled` from x, their levels, labels.

    Half of the pictures stay as they are. The level of the others is uniform in [0, noise], and
    the network is told (Ho et al. 2022, arXiv:2106.15282, section 4.2), so that it can enlarge
    pictures that are not quite like those made from data, such as another model's. With
    probability `dropout` picture and labels are hidden, so that one network learns to draw without
    (Ho & Salimans 2022); of the other rows, labels alone are with `label_dropout`.

    Args:
        factor: how many times larger images are than the pictures, at least 2.
        noise: the highest level; 0 for none.
        dropout: the share of rows in which nothing is given.
        label_dropout: the share of the others in which labels are not.

    Returns:
        (batch, generator) -> (low (b, c, h / factor, w / factor), level (b,), labels (b,) or None).

    Raises:
        TypeError, ValueError: a factor below 2, or shares outside [0, 1].
    """
    integer("factor", factor, 2)
    for name, value in (("noise", noise), ("dropout", dropout), ("label_dropout", label_dropout)):
        number(name, value, "[0, 1]")

    def conditions(batch: Batch, generator: torch.Generator) -> tuple[Tensor | None, ...]:
        low = _pooled(batch[0], factor)
        if noise == dropout == label_dropout == 0:
            return low, low.new_zeros(len(low)), *(batch[1:] or (None,))
        u = drawn(len(low), lambda n: torch.rand(n, 3, generator=generator))
        eps = drawn(len(low), lambda n: torch.randn(n, *low.shape[1:], generator=generator))
        hidden = (u[:, 0] < dropout).to(low.device)
        nameless = hidden | (u[:, 1] < label_dropout).to(low.device)
        level = noise * (2 * u[:, 2] - 1).clamp(min=0).to(low)
        low = noised(low, level, eps.to(low)).masked_fill(hidden[:, None, None, None], 0)
        named = tuple(c.masked_fill(nameless.to(c.device), UNLABELLED) for c in batch[1:])
        return low, level.masked_fill(hidden, HIDDEN), *(named or (None,))

    return conditions


def given(
    network: DenoiseFn, low: Tensor, level: float = 0.0, labels: Tensor | None = None
) -> ByNumber:
    """The network with these pictures (n, c, h, w) bound as the labels 1..n; 0 is none given.

    Args:
        network: a `SuperResolution`.
        low: as `pooled` makes them, noised already as far as the level says, on its device.
        level: of the noise in them, in [0, 1).
        labels: (n,), for a network with classes.
    """
    levels = torch.full((1 + len(low),), number("level", level, "[0, 1)"), device=low.device)
    levels[0] = HIDDEN
    parts = [F.pad(low, (0, 0, 0, 0, 0, 0, 1, 0)), levels]
    if labels is not None:
        parts.append(F.pad(labels.to(low.device), (1, 0), value=UNLABELLED))
    return ByNumber(network, *parts)
