"""Views of images: two that show the same thing, and one that spoils it."""

import torch
from torch import Tensor
from torch.nn import functional

_SHIFT = 0.15
"""The furthest shift, as a share of the shorter side."""


def shown_anew(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (n, c, h, w), shifted by some pixels and a patch of a ninth of each covered.

    Edges are repeated; a patch has the mean colour of its image. Colours, sharpness and noise stay
    as they are, so that a network which is to recognise an image in such views goes on seeing them.
    """
    return _covered(_shifted(x, generator), generator)


def spoilt(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (n, c, h, w) with one of three faults each: noise, blur, or half of another image.

    The deviation of the noise is in [0.05, 0.45]; blur is the mean of 3×3 pixels, by 0.3 to all;
    the lower or the right half is another image's.
    """
    n, _, h, w = x.shape
    fault = torch.randint(3, (n, 1, 1, 1), generator=generator)
    strength = torch.rand(n, 1, 1, 1, generator=generator)
    noise = torch.randn(x.shape, generator=generator)
    noisy = (x + (0.05 + 0.4 * strength) * noise).clamp(-1, 1)
    soft = functional.avg_pool2d(_padded(x, 1), 3, stride=1)
    lower = (torch.arange(h) >= h // 2)[:, None].expand(h, w)
    right = (torch.arange(w) >= w // 2)[None].expand(h, w)
    half = torch.where(torch.rand(n, 1, 1, 1, generator=generator) < 0.5, lower, right)
    mixed = torch.where(half, x.roll(1, 0), x)
    blurred = x + (0.3 + 0.7 * strength) * (soft - x)
    return torch.where(fault == 0, noisy, torch.where(fault == 1, blurred, mixed))


def _shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    n, c, h, w = x.shape
    reach = max(1, round(_SHIFT * min(h, w)))
    down, right = torch.randint(2 * reach + 1, (2, n, 1), generator=generator)
    rows, columns = down + torch.arange(h), right + torch.arange(w)
    image, channel = torch.arange(n)[:, None, None, None], torch.arange(c)[None, :, None, None]
    return _padded(x, reach)[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _covered(x: Tensor, generator: torch.Generator) -> Tensor:
    inside = [_some(len(x), side, generator) for side in x.shape[2:]]
    patch = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(patch, x.mean((2, 3), keepdim=True), x)


def _some(n: int, side: int, generator: torch.Generator) -> Tensor:
    """A third of the side in a row, (n, side)."""
    third = side // 3
    first = torch.randint(side - third + 1, (n, 1), generator=generator)
    place = torch.arange(side)
    return (place >= first) & (place < first + third)


def _padded(x: Tensor, width: int) -> Tensor:
    return functional.pad(x, (width,) * 4, mode="replicate")
