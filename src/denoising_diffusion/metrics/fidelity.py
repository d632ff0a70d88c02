"""How near images come to others pixel by pixel: PSNR and SSIM."""

import torch
import torch.nn.functional as F
from torch import Tensor

from denoising_diffusion.checks import checked, finite

_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


@checked
def psnr(images: Tensor, truth: Tensor) -> Tensor:
    """The peak signal-to-noise ratio of each image, 10 log10(range² / mean squared error), in dB.

    Args:
        images: (n, c, h, w) in [-1, 1].
        truth: likewise, what they should be.

    Returns:
        (n,) float64 on the host; infinite for equal images.

    Raises:
        TypeError, ValueError: no such tensors, or of unequal shapes.
    """
    x, y = _pair(images, truth)
    return -10 * (x - y).square().flatten(1).mean(1).log10()


@checked
def ssim(images: Tensor, truth: Tensor) -> Tensor:
    """The mean structural similarity of each image (Wang et al. 2004, eq. 13 and section III-C).

    Means, variances and covariance are those in a Gaussian window of 11×11 and sigma 1.5, which
    moves within the image; K1 is 0.01 and K2 0.03. Where an image is smaller than the window, this
    is cut to the largest odd size that fits. Channels are averaged.

    Args:
        images: (n, c, h, w) in [-1, 1].
        truth: likewise.

    Returns:
        (n,) float64 on the host, at most 1, which equal images have.

    Raises:
        TypeError, ValueError: no such tensors, or of unequal shapes.
    """
    x, y = _pair(images, truth)
    kernel = _window(min(_WINDOW, x.shape[2], x.shape[3]))
    mean_x, mean_y = _blurred(x, kernel), _blurred(y, kernel)
    var_x = _blurred(x * x, kernel) - mean_x**2
    var_y = _blurred(y * y, kernel) - mean_y**2
    covariance = _blurred(x * y, kernel) - mean_x * mean_y
    c1, c2 = _K1**2, _K2**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return (luminance * structure).flatten(1).mean(1)


def _pair(images: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Both as float64 in [0, 1] on the host."""
    x = finite("images", images, "n", "c", "h", "w")
    y = finite("truth", truth, *x.shape)
    first, second = ((v.detach().cpu().double() + 1) / 2 for v in (x, y))
    return first, second


def _window(size: int) -> Tensor:
    """The Gaussian's weights along one axis, which add up to 1; the largest odd size."""
    size -= 1 - size % 2
    at = torch.arange(size, dtype=torch.float64) - size // 2
    weights = (-(at**2) / (2 * _SIGMA**2)).exp()
    return weights / weights.sum()


def _blurred(x: Tensor, kernel: Tensor) -> Tensor:
    """Weighted means in the windows that lie within the images."""
    flat = x.flatten(0, 1).unsqueeze(1)
    down = F.conv2d(flat, kernel.view(1, 1, -1, 1))
    across = F.conv2d(down, kernel.view(1, 1, 1, -1))
    return across.view(*x.shape[:2], *across.shape[2:])
