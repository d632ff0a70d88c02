"""Features of images that nothing was trained for: random convolutions on several scales."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from denoising_diffusion.checks import Count, checked
from denoising_diffusion.metrics._checks import rows
from denoising_diffusion.seeds import stream

_WIDTH = 32
_LEAST = 4
"""Scales end before a side would have fewer pixels."""
_PART = 200
"""Images that are read at a time."""


@dataclass(frozen=True, eq=False)
class RandomConvolutions:
    """Two layers of fixed random 3×3 filters at every scale: the mean and deviation of each map.

    An image is halved again and again; at each size 32 filters, GELU, and 32 more on half that size
    see patches of 3 to 8 pixels, and of twice as many each time. Random filters are enough to make
    textures from (Ustyuzhaninov et al. 2016) and see much of what trained ones do (Saxe et al.
    2011); what they see does not depend on data, labels or a course of training. So they are a
    second opinion on features that were learned.

    Args:
        first: (32, c, 3, 3).
        second: (32, 32, 3, 3).
    """

    first: Tensor
    second: Tensor

    @classmethod
    @checked
    def of(cls, channels: Count) -> "RandomConvolutions":
        """The filters for images of so many channels, always the same.

        Raises:
            ValueError, TypeError: channels are no integer >= 1.
        """
        generator = stream(0, "random convolutions")
        first = torch.randn(_WIDTH, channels, 3, 3, generator=generator) / (9 * channels) ** 0.5
        second = torch.randn(_WIDTH, _WIDTH, 3, 3, generator=generator) * (2 / (9 * _WIDTH)) ** 0.5
        return cls(first, second)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] -> (n, 128 per scale), float32.

        Raises:
            ValueError: another shape, no images, or values that are not finite.
            TypeError: anything but a tensor of numbers.
        """
        images = rows("x", x, self.first.shape[1], "h", "w").to("cpu", torch.float32)
        return torch.cat([self._read(part) for part in images.split(_PART)])

    def _read(self, x: Tensor) -> Tensor:
        found: list[Tensor] = []
        while True:
            fine = _convolved(x, self.first)
            coarse = _convolved(_halved(fine), self.second)
            for maps in (fine.flatten(2), coarse.flatten(2)):
                found += [maps.mean(2), maps.std(2, correction=0)]
            x = _halved(x)
            if min(x.shape[2:]) < _LEAST:
                return torch.cat(found, 1)


def _convolved(x: Tensor, filters: Tensor) -> Tensor:
    return functional.gelu(functional.conv2d(functional.pad(x, (1,) * 4, "replicate"), filters))


def _halved(x: Tensor) -> Tensor:
    """The means of 2×2 pixels; an odd side's last row counts alone."""
    return functional.avg_pool2d(x, 2, ceil_mode=True)
