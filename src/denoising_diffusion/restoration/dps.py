"""Diffusion posterior sampling."""

from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import Positive, checked
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.restoration.operators import Operator, residual
from denoising_diffusion.schedule import Schedule


@checked
def dps(
    denoise: Denoiser,
    schedule: Schedule,
    observation: Tensor,
    operator: Operator,
    *,
    noise: Annotated[float, "[0, inf)"] = 0.0,
    scale: Positive = 8.0,
) -> Denoiser:
    """The denoiser moved down the slope of what A x_start misses of the observation y (Chung et al.
    2023, arXiv:2209.14687, algorithm 1).

    The paper's step from t to t − 1 takes 2 zeta ∇ ‖y − A x_start‖ from x. The shift of x_start by
    which `ddpm` does the same is that over alpha_s b / sigma_t², the share of x_start in the step,
    so that any sampler can take it, in steps of any length. Here 2 zeta = scale √m / T for m
    observed values and T timesteps: the scale does not change with the size of a picture, as their
    zeta (1 for 1,000 steps) does.

    The step has one length however much is missed and however certain y is: noise is not asked
    for, y is met within about a step, and spreads come out too small or too large with the scale.
    Of samples in the plane with two modes, of which an observed first coordinate leaves shares of
    0.17 and 0.83, it draws 0.24 and 0.76 with `ddpm`, and 0.31 and 0.69 with `ddim`, in 200 steps.

    Every estimate takes a backward pass through the network.

    Args:
        denoise: (x, t) -> x_start, differentiable by x; samples must not depend on one another.
        schedule: the forward process.
        observation: y, (1, *observed) for all samples or (b, *observed).
        operator: A, of which `apply` alone is used.
        noise: not used; every method is called with it.
        scale: how far, in all, a value can be moved.

    Raises:
        TypeError: arguments of other types.
        ValueError: a scale that is not above 0; when called, an observation of another shape than
            A x has.
    """

    def guided(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.at(t, like=x)
        alpha_s, sigma_s = schedule.at((t - 1).clamp(min=0), like=x)
        added = sigma**2 - (alpha / alpha_s * sigma_s) ** 2
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            x_start = denoise(x, t)
            missed = residual(operator, observation, x_start).flatten(1)
            norm = torch.linalg.vector_norm(missed, dim=1)
            (gradient,) = torch.autograd.grad(norm.sum(), x)
        step = scale * missed.shape[1] ** 0.5 / schedule.num_timesteps
        return x_start.detach() - step * sigma**2 / (alpha_s * added) * gradient

    return guided
