"""A model as one function of tensors, its schedule inside, as a graph can hold it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.guidance import UNLABELLED
from denoising_diffusion.nn.super_resolution import HIDDEN, SuperResolution
from denoising_diffusion.nn.unet import UNet
from denoising_diffusion.schedule import look_up


class Estimate(nn.Module):
    """(x (b, ...), t (b,), *conditions) -> x_start, the numbers of `GaussianDiffusion.denoise`.

    What that asks of times on the host no graph could ask: t must lie in (0, T]. Coefficients are
    formed in float64 and cast last, between the rows of the schedule too.

    Args:
        model: what is exported.
    """

    alpha: Tensor
    sigma: Tensor
    angle: Tensor
    norm: Tensor

    def __init__(self, model: GaussianDiffusion) -> None:
        super().__init__()
        schedule = model.schedule
        rows = (
            schedule.alpha,
            schedule.sigma,
            torch.atan2(schedule.sigma, schedule.alpha),
            torch.hypot(schedule.alpha, schedule.sigma),
        )
        for name, row in zip(("alpha", "sigma", "angle", "norm"), rows, strict=True):
            self.register_buffer(name, row.double())
        self.network = model.denoise_fn
        self.prediction = model._prediction

    def forward(self, x: Tensor, t: Tensor, *conditions: Tensor) -> Tensor:
        """The estimate, not clipped."""
        alpha, sigma = look_up((self.alpha, self.sigma, self.angle, self.norm), t.double())
        skip, out = self.prediction.coefficients(alpha, sigma)
        shape = (-1, *[1] * (x.ndim - 1))
        skip, out, alpha, sigma = (v.to(x.dtype).view(shape) for v in (skip, out, alpha, sigma))
        seen, time = self.prediction.inputs(x, t, alpha, sigma)
        return skip * x + out * self.network(seen, time.to(x.dtype), *conditions)


class Guided(nn.Module):
    """(x, t, *conditions, guidance_scale (b,)) -> the guided estimate of x_start.

    Both estimates are always made, in one batch of 2b: a graph has no branches. `conditions` are
    those of the network, and those of nothing given stand beside them.

    Args:
        estimate: of the model.
    """

    def __init__(self, estimate: Estimate) -> None:
        super().__init__()
        self.estimate = estimate
        # In the order of `conditions_of`.
        enlarges = isinstance(estimate.network, SuperResolution)
        self.nothing = (0.0, HIDDEN, UNLABELLED) if enlarges else (UNLABELLED,)

    def forward(self, x: Tensor, t: Tensor, *rest: Tensor) -> Tensor:
        """uncond + guidance_scale · (cond - uncond), not clipped."""
        *conditions, scale = rest
        nothing = [torch.full_like(c, v) for c, v in zip(conditions, self.nothing, strict=False)]
        both = [torch.cat([c, n]) for c, n in zip(conditions, nothing, strict=True)]
        answers = self.estimate(torch.cat([x, x]), torch.cat([t, t]), *both)
        cond, uncond = answers.unflatten(0, (2, x.shape[0])).unbind()
        return uncond + scale.view(-1, *[1] * (x.ndim - 1)) * (cond - uncond)


class Inputs(NamedTuple):
    """What an exported function is called with: names, example tensors, and what is dynamic."""

    names: tuple[str, ...]
    example: tuple[Tensor, ...]
    sizes: tuple[dict[int, int], ...]
    """Of each input its axes beyond the batch that may have other sizes, and what divides these."""


def inputs_of(model: GaussianDiffusion, batch: int, seed: int = 0) -> Inputs:
    """Random inputs for so many samples: times from 1 to T, guidance scales 0, 1 and 2 in turn.

    A single sample is at T.
    """
    generator = torch.Generator().manual_seed(seed)
    shape, network, last = model.data_shape, model.denoise_fn, model.num_timesteps
    t = torch.linspace(last, 1, batch)
    named: dict[str, tuple[Tensor, dict[int, int]]] = {
        "x": (torch.randn(batch, *shape, generator=generator), {}),
        "t": (t, {}),
    }
    divisor = getattr(network, "divisor", 1)
    if isinstance(network, UNet):
        named["x"][1].update({i + 2: divisor for i in range(network.dims)})
    if isinstance(network, SuperResolution):
        factor = network.factor
        low = torch.rand(batch, shape[0], *(n // factor for n in shape[1:]), generator=generator)
        named["low"] = (2 * low - 1, {})
        named["level"] = (torch.linspace(0, 0.5, batch), {})
        named["x"][1].clear()
    num_classes = getattr(network, "num_classes", None)
    if num_classes is not None:
        named["labels"] = (torch.arange(batch) % (num_classes + 1), {})
    if len(named) > 2:
        named["guidance_scale"] = (torch.arange(batch).float() % 3, {})
    tensors, sizes = zip(*named.values(), strict=True)
    return Inputs(tuple(named), tensors, sizes)


def function_of(model: GaussianDiffusion) -> nn.Module:
    """What is exported: `Guided` where there is anything to guide towards, else `Estimate`."""
    estimate = Estimate(model).eval().requires_grad_(False)
    return Guided(estimate).eval() if len(inputs_of(model, 1).names) > 2 else estimate
