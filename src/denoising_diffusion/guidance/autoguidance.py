"""Autoguidance: away from a worse version of the same model."""

from typing import Annotated

from torch import Tensor

from denoising_diffusion.checks import checked, tensor
from denoising_diffusion.guidance.denoisers import Denoiser


@checked
def autoguided(
    denoise: Denoiser, weak: Denoiser, scale: Annotated[float, "[0, inf)"] = 1.0
) -> Denoiser:
    """A denoiser pushed away from a weaker one (Karras et al. 2024, arXiv:2406.02507, eq. 3).

    Estimates x_start as `weak + scale * (strong - weak)`. Both must know of the same conditions:
    what is pushed away from are the errors that the weak one makes more of, not other samples. An
    earlier state of the same training is such a model. At scale 1 the strong one alone is asked,
    and at 0 the weak one.

    Args:
        denoise: (x, t) -> x_start.
        weak: (x, t) -> x_start, of the same schedule.
        scale: finite and >= 0.

    Raises:
        TypeError: denoisers that cannot be called.
        ValueError: a scale that is negative or not finite.
    """
    if scale in (0, 1):
        return denoise if scale == 1 else weak

    def estimate(x: Tensor, t: Tensor) -> Tensor:
        worse = tensor("the answer of weak", weak(x, t), *x.shape)
        return worse + scale * (tensor("the answer of denoise", denoise(x, t), *x.shape) - worse)

    return estimate
