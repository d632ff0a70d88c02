"""Between two noises: mixes that are as large as noise is."""

import math
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import checked, finite, tensor

_SMALL = 1e-6
"""Below this angle a mix is linear, and this near to half a turn there is no way to choose."""


@checked
def slerp(
    a: Annotated[Tensor, finite, "b", ...], b: Tensor, shares: Annotated[Tensor, finite, "n"]
) -> Tensor:
    """Spherical interpolation of each sample of a to that of b (Shoemake 1985): (n, b, ...).

    With the angle Ω between the two it is (sin((1 − s) Ω) a + sin(s Ω) b) / sin Ω. Of two noises of
    equal norm every mix has this norm, where that of a linear mix falls to 0.71 for independent
    ones, whose variance is half that of noise.

    Args:
        a: (b, ...), floating point.
        b: in the shape of a.
        shares: (n,), of b: 0 is a and 1 is b.

    Raises:
        TypeError, ValueError: arguments of other types or shapes, a sample that is 0, or two that
            point in opposite directions, between which every way is as short.
    """
    tensor("b", finite("b", b), *a.shape, holds="floats")
    one, two = (v.cpu().double().flatten(1) for v in (a, b))
    norms = one.norm(dim=1), two.norm(dim=1)
    if not bool((torch.minimum(*norms) > 0).all()):
        raise ValueError("a and b must not hold a sample that is 0: it has no direction")
    u, v = one / norms[0][:, None], two / norms[1][:, None]
    # Exact near 0 and near π too, where the arc cosine loses half the digits.
    angle = 2 * torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1))
    if not bool((angle < math.pi - _SMALL).all()):
        raise ValueError(
            "a and b must not hold samples that point in opposite directions, got an angle of "
            f"{angle.max().item():.6g}"
        )
    share = shares.cpu().double()[:, None]
    parts = [
        torch.where(angle < _SMALL, s, torch.sin(s * angle) / torch.sin(angle))[..., None]
        for s in (1 - share, share)
    ]
    return (parts[0] * one + parts[1] * two).view(-1, *a.shape).to(a)
