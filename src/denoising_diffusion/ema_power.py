"""The power-function average of EDM2."""

import numpy as np

from denoising_diffusion.checks import number
from denoising_diffusion.ema import Decay


def power(width: float) -> Decay:
    """Weights that grow with a power of the step, k^gamma, over all of training so far.

    The decay of step k is (1 − 1 / k)^(gamma + 1) (Karras et al. 2024, arXiv:2312.02696, eq. 4), so
    the initial weights are forgotten at the first step and the average covers the same share of a
    run however long it is: `width`, the relative standard deviation of its profile. gamma solves
    width² = (gamma + 1) / ((gamma + 2)² (gamma + 3)) (its appendix C).

    Args:
        width: in (0, 0.28); 0.05 and 0.10 are usual.

    Raises:
        ValueError: a width beyond these limits, above which the weights would fall with the step.
    """
    exponent = _gamma(number("power average", width, "(0, 0.28)")) + 1
    return lambda step: (1 - 1 / step) ** exponent


def _gamma(width: float) -> float:
    inverse = width**-2
    roots = np.roots([1, 7, 16 - inverse, 12 - inverse])
    return float(roots.real.max())
