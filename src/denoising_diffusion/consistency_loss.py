"""Consistency training: a network that answers at once what a walk would end in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor, nn

from denoising_diffusion.checks import checked, instance, number, tensor
from denoising_diffusion.data.rows import Rows, as_rows
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.distributed import all_sum, rank, world_size
from denoising_diffusion.loss import Batch, Conditions, DiffusionLoss
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import stream

_SPREAD = 0.5
"""The share of training over which the gap shrinks to its least."""


def continuous_times(schedule: Schedule, n: int, generator: torch.Generator) -> Tensor:
    """Real times in [1, T], as likely everywhere and stratified: each of n equal parts has one."""
    strata = torch.randperm(n, generator=generator).double()
    share = (strata + torch.rand(n, generator=generator, dtype=torch.float64)) / n
    return 1 + share * (schedule.num_timesteps - 1)


def huber(prediction: Tensor, target: Tensor, *, c: float = 0.01) -> Tensor:
    """sqrt(e + c²) − c per sample, (b,), of the mean squared error e: the root of it for large
    errors, and e / 2c for small ones (Song & Dhariwal 2023, arXiv:2310.14189, eq. 7).

    Raises:
        ValueError: a c that is not above 0.
    """
    number("c", c, "(0, inf)")
    squared = (prediction - target).square().flatten(1).mean(1)
    return (squared + c**2).sqrt() - c


@checked
@dataclass(frozen=True)
class ConsistencyLoss(DiffusionLoss):
    """The loss of consistency training, for `train`: a sibling of `DiffusionLoss`.

    The estimate f(x_t, t) of a model is trained to be that of an earlier time r of the same x_0 and
    noise, f(x_r, r), which is not trained meanwhile and sees the same dropout (Geng et al. 2024,
    arXiv:2406.14548, eqs. 7-8; Song et al. 2023, arXiv:2303.01469):

        weight(λ_t) · error(f(x_t, t), f(x_r, r)) / (φ_t − φ_r), φ = atan2(sigma, alpha)

    f(x, 0) is x, which a prediction must hold by itself: skip = 1 and out = 0 there, as for v,
    noise, velocity and EDM's F, not for x_start. So where r is 0 the target is the data. With
    gap = 1 it always is, and the loss is one of denoising; as r / t = 1 − gap nears 1, what is
    learned is the end of the probability-flow ODE through x_t. The gap shrinks geometrically from
    1 to `gap` over the first half of training; times r below 1, of which a model knows nothing,
    are 0.

    Args:
        error: of two estimates of x_start, per element or per sample.
        times: how t is drawn; real times fill what lies between the whole ones.
        weight: as in `DiffusionLoss`.
        conditions: likewise; both estimates see the same.
        augment: likewise.
        progress: the share of training that is done, in [0, 1], asked at every step.
        gap: the least 1 − r / t, in (0, 1]; a short training wants a large one, for what is
            learned at r must have come up from 0 through all times between.

    Raises:
        TypeError: an argument that cannot be called; when called, a model that is no
            GaussianDiffusion.
        ValueError: a gap outside (0, 1]; when called, a prediction that is not x at t = 0.
    """

    progress: Callable[[], float] = field(default=lambda: 1.0, kw_only=True)
    gap: Annotated[float, "(0, 1]"] = field(default=1 / 4, kw_only=True)

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """The mean loss of a batch (x, ...): a scalar."""
        d: GaussianDiffusion = instance("the model of a ConsistencyLoss", model, GaussianDiffusion)
        x, t, noise, conditions = self.draw(d, batch, generator)
        gap = self.gap ** min(1.0, number("progress", self.progress(), "[0, 1]") / _SPREAD)
        return self.losses(d, x, t, noise, conditions, gap).mean()

    def losses(
        self,
        d: GaussianDiffusion,
        x_start: Tensor,
        t: Tensor,
        noise: Tensor,
        conditions: tuple[Tensor | None, ...] = (),
        gap: float | None = None,
    ) -> Tensor:
        """The loss of each sample, (b,), at times t (b,) on the host with this noise.

        Raises:
            ValueError: a prediction that is not x at t = 0.
        """
        _check_boundary(d)
        t = t.double()
        r = t * (1 - (self.gap if gap is None else gap))
        r = torch.where(r < 1, 0.0, r)
        with torch.random.fork_rng([x_start.device] if x_start.is_cuda else []), torch.no_grad():
            earlier = d.denoise(d.q_sample(x_start, r, noise), r.clamp(min=1), *conditions)
        data = (r == 0).to(x_start.device).view(-1, *[1] * (x_start.ndim - 1))
        target = torch.where(data, x_start, earlier)
        estimate = d.denoise(d.q_sample(x_start, t, noise), t, *conditions)
        errors = tensor("the answer of error", self.error(estimate, target))
        errors = errors if errors.ndim == 1 else errors.flatten(1).mean(1)
        angle, before = (torch.atan2(*reversed(d.schedule(v))) for v in (t, r))
        return errors * (self.weights(d, t) / (angle - before)).to(errors)

    @torch.no_grad()
    def held_out(
        self, model: GaussianDiffusion, data: Rows, conditions: Conditions | None = None
    ) -> float:
        """The mean loss on held-out data at the least gap, over draws that never change."""
        data = as_rows(data)
        count, step = len(data), 1000 * world_size()
        generator = stream(0, "validation")
        t = continuous_times(model.schedule, count, generator)
        noise = torch.randn(count, *model.data_shape, generator=generator)
        total = 0.0
        for i in range(rank(), count, step):
            part = torch.arange(i, min(i + step, count), world_size())
            rows = data[part]
            x, given = rows[0], rows[1:] if conditions is None else conditions(rows, generator)
            losses = self.losses(model, x, t[part], noise[part].to(x.device), given)
            total += losses.double().sum().item()
        return all_sum(torch.tensor(total, dtype=torch.float64)).item() / count


def _check_boundary(d: GaussianDiffusion) -> None:
    skip, out = d.coefficients(torch.tensor(0.0, dtype=torch.float64))
    if (skip.item(), out.item()) != (1.0, 0.0):
        raise ValueError(
            f"{d.prediction} prediction cannot be made consistent: at t = 0 its estimate is not x, "
            f"but {skip:g} x + {out:g} times its answer; v, noise, velocity and edm can"
        )
