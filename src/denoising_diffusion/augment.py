"""Changed copies of pictures to train on, and how the network is told what was changed."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from denoising_diffusion.checks import number, tensor
from denoising_diffusion.distributed import drawn

_CHANGES = 5
"""Moved, turned, scaled, mirrored, another hue: each is made or not."""


@dataclass(frozen=True, kw_only=True)
class PictureAugment:
    """Pictures moved, turned, scaled, mirrored and of another hue, each with a probability.

    With `condition` the network gets what was done as a code, which is 0 for a picture as it is,
    and samples are drawn with 0: so the changes do not leak into them (Karras et al. 2022,
    appendix F.2). What moves in from beyond the edge repeats it.

    Args:
        probability: of each change of a picture.
        shift: the most a picture is moved by, as a share of its sides, by whole pixels.
        rotate: the most it is turned by, in degrees.
        scale: the most it is scaled by: 0.1 is between 1 / 1.1 and 1.1.
        flip: whether it is mirrored, left to right.
        hue: the most its colours are turned by about grey, in degrees; grey stays as it is.
        condition: whether the network is told.

    Raises:
        TypeError, ValueError: a number beyond its limits.
    """

    probability: float = 0.5
    shift: float = 0.125
    rotate: float = 0.0
    scale: float = 0.0
    flip: bool = False
    hue: float = 0.0
    condition: bool = True

    def __post_init__(self) -> None:
        number("probability", self.probability, "[0, 1]")
        number("shift", self.shift, "[0, 1)")
        number("rotate", self.rotate, "[0, 180]")
        number("scale", self.scale, "[0, 1]")
        number("hue", self.hue, "[0, 180]")

    @property
    def width(self) -> int:
        """Values of the code; 0 if the network is not told."""
        return _CHANGES + 2 if self.condition else 0

    def __call__(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Pictures (b, c, h, w) in [-1, 1], changed, and their codes (b, width).

        Raises:
            ValueError: x of another shape.
        """
        tensor("x", x, "b", "c", "h", "w", holds="floats")
        size = 2 * _CHANGES + 1
        u = drawn(len(x), lambda n: torch.rand(n, size, generator=generator, dtype=torch.float64))
        made = (u[:, :_CHANGES] < self.probability).double()
        how = 2 * u[:, _CHANGES:] - 1
        height, width = x.shape[2:]
        extent = torch.tensor([width, height], dtype=torch.float64)
        moved = (how[:, :2] * self.shift * extent).round() * made[:, :1]
        turned = how[:, 2] * math.radians(self.rotate) * made[:, 1]
        scaled = how[:, 3] * math.log1p(self.scale) * made[:, 2]
        mirrored = made[:, 3] * self.flip
        hue = how[:, 4] * math.radians(self.hue) * made[:, 4] * (x.shape[1] == 3)
        changed = warped(x, moved, turned, scaled, mirrored)
        changed = with_hue(changed, hue) if x.shape[1] == 3 else changed
        if not self.condition:
            return changed, None
        code = torch.cat([moved / extent, torch.stack(
            [turned, scaled, mirrored, hue.sin(), 1 - hue.cos()], 1)], 1)  # fmt: skip
        return changed, code.to(x.device, x.dtype)


def warped(x: Tensor, moved: Tensor, turned: Tensor, scaled: Tensor, mirrored: Tensor) -> Tensor:
    """Pictures mirrored, scaled and turned about their middle, then moved; edges are repeated.

    Args:
        x: (b, c, h, w).
        moved: (b, 2) float64, pixels to the right and down.
        turned: (b,) float64, radians, clockwise as seen on the screen.
        scaled: (b,) float64, the logarithm of the factor.
        mirrored: (b,) float64, 1 for left to right, else 0.

    Returns:
        (b, c, h, w), bilinear between pixels; rows without a change are those of x.
    """
    changes = torch.stack([*moved.unbind(1), turned, scaled, mirrored])
    rows = changes.ne(0).any(0).nonzero().flatten()
    if not len(rows):
        return x
    moved, turned, scaled, mirrored = (v[rows] for v in (moved, turned, scaled, mirrored))
    height, width = x.shape[2:]
    # From a place in the answer back to one in x, in units of half the sides.
    cos, sin = (f(turned) / scaled.exp() for f in (torch.cos, torch.sin))
    side = 1 - 2 * mirrored
    ratio = height / width
    right, down = 2 * moved[:, 0] / width, 2 * moved[:, 1] / height
    back = torch.stack([torch.stack([side * cos, side * sin * ratio], 1),
                        torch.stack([-sin / ratio, cos], 1)], 1)  # fmt: skip
    offset = -back @ torch.stack([right, down], 1)[..., None]
    theta = torch.cat([back, offset], 2).to(x.device, x.dtype)
    some = x[rows.to(x.device)]
    grid = F.affine_grid(theta, list(some.shape), align_corners=False)
    answer = F.grid_sample(some, grid, padding_mode="border", align_corners=False)
    return x.index_copy(0, rows.to(x.device), answer)


def with_hue(x: Tensor, angle: Tensor) -> Tensor:
    """Colours (b, 3, h, w) in [-1, 1] turned by angles (b,) about the line of greys, and cut.

    By a third of a circle red becomes green, green blue, and blue red.
    """
    rows = angle.nonzero().flatten()
    if not len(rows):
        return x
    cos, sin = angle[rows].cos(), angle[rows].sin()
    even, odd = (1 - cos) / 3, sin / math.sqrt(3)
    same, next_, last = cos + even, even + odd, even - odd
    matrix = torch.stack([torch.stack([same, last, next_], 1), torch.stack([next_, same, last], 1),
                          torch.stack([last, next_, same], 1)], 1)  # fmt: skip
    rows = rows.to(x.device)
    turned = torch.einsum("bij,bjhw->bihw", matrix.to(x.device, x.dtype), x[rows])
    return x.index_copy(0, rows, turned.clamp(-1, 1))
