"""Consistency distillation: a network that answers at once what a walk would end in."""

import math
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor, nn

from denoising_diffusion.checks import Count, checked, instance, tensor
from denoising_diffusion.data.rows import Rows, as_rows
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.distributed import all_sum, rank, world_size
from denoising_diffusion.guidance import UNLABELLED, clipped, is_within
from denoising_diffusion.loss import Batch, Conditions, DiffusionLoss
from denoising_diffusion.samplers import time_grid
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import stream


def continuous_times(schedule: Schedule, n: int, generator: torch.Generator) -> Tensor:
    """Real times in [1, T], as likely everywhere and stratified: each of n equal parts has one."""
    strata = torch.randperm(n, generator=generator).double()
    share = (strata + torch.rand(n, generator=generator, dtype=torch.float64)) / n
    return 1 + share * (schedule.num_timesteps - 1)


@checked
@dataclass(frozen=True)
class ConsistencyLoss(DiffusionLoss):
    """The loss of multistep consistency distillation, for `train`: a sibling of `DiffusionLoss`.

    `time_grid` cuts [0, T] into `segments`. A model is trained to answer, at a time t of the
    segment that ends in s, with the estimate from which one step of DDIM leads to where the
    teacher's probability-flow ODE leads x_t at s (Heek et al. 2024, arXiv:2403.06807, algorithm 1;
    Song et al. 2023, arXiv:2303.01469). So DDIM with as many steps as there are segments draws
    what the teacher draws in many. With one segment that is one step.

    The teacher steps by DDIM from t to r, `hops` of which make a segment; from there on the
    model's own answer is trusted, which is not trained meanwhile and sees the same dropout:

        x_r = alpha_r D + sigma_r (x_t − alpha_t D) / sigma_t, D the teacher's estimate
        x_s likewise from x_r, by the model's estimate there, or x_r itself where r = s
        target = (x_s − sigma_s / sigma_t x_t) / (alpha_s − sigma_s / sigma_t alpha_t)

    Times r below 1, of which no model knows anything, are 0.

    Args:
        error: of two answers of the network, per element or per sample.
        times: how t is drawn; real times fill what lies between the whole ones.
        weight: as in `DiffusionLoss`.
        conditions: likewise; all estimates see the same.
        augment: likewise.
        teacher: a trained model, whose estimates are kept in its `clip`, if it has one.
        segments: how many, at least 1 and at most T.
        hops: steps of the teacher that make a segment, at least 1; more of them follow its ODE
            more exactly, and what is learned at the end of a segment takes longer to come up.
        guidance_scale: how strongly the teacher is pushed towards its labels, the first condition
            (Meng et al. 2023, arXiv:2210.03142, section 3.1); 1 is off. The model needs no
            guidance of its own then.
        guidance_interval: (low, high), it is pushed where low < sigma / alpha <= high alone.

    Raises:
        TypeError: an argument that cannot be called, a teacher that is no GaussianDiffusion; when
            called, such a model, or guidance without labels.
        ValueError: segments or hops below 1, a scale below 0, an interval that does not rise; when
            called, more segments than times.
    """

    teacher: GaussianDiffusion = field(kw_only=True)
    segments: Count = field(default=2, kw_only=True)
    hops: Count = field(default=8, kw_only=True)
    guidance_scale: Annotated[float, "[0, inf)"] = field(default=1.0, kw_only=True)
    guidance_interval: tuple[float, float] = field(default=(0.0, math.inf), kw_only=True)

    def __post_init__(self) -> None:
        low, high = self.guidance_interval
        if not 0 <= low < high:
            raise ValueError(f"guidance_interval must be LOW below HIGH, got {low:g} {high:g}")

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """The mean loss of a batch (x, ...): a scalar."""
        d: GaussianDiffusion = instance("the model of a ConsistencyLoss", model, GaussianDiffusion)
        x, t, noise, conditions = self.draw(d, batch, generator)
        return self.losses(d, x, t, noise, conditions).mean()

    def losses(
        self,
        d: GaussianDiffusion,
        x_start: Tensor,
        t: Tensor,
        noise: Tensor,
        conditions: tuple[Tensor | None, ...] = (),
    ) -> Tensor:
        """The loss of each sample, (b,), at times t (b,) on the host with this noise.

        Raises:
            ValueError: more segments than there are times.
        """
        t = t.double()
        x = d.q_sample(x_start, t, noise)
        with torch.random.fork_rng([x.device] if x.is_cuda else []), torch.no_grad():
            target = self.target(d, x, t, conditions)
        estimate = d.denoise(x, t, *conditions)
        skip, out = (v.to(x).view(-1, *[1] * (x.ndim - 1)) for v in d.coefficients(t))
        answer, wanted = ((v - skip * x) / out for v in (estimate, target))
        errors = tensor("the answer of error", self.error(answer, wanted))
        errors = errors if errors.ndim == 1 else errors.flatten(1).mean(1)
        if self.weight is None:
            return errors
        return errors * (self.weights(d, t) * d.x_start_factor(t)).to(errors)

    def target(
        self, d: GaussianDiffusion, x: Tensor, t: Tensor, conditions: tuple[Tensor | None, ...]
    ) -> Tensor:
        """The estimates of x_start (b, ...) that the model should give of x at times t (b,)."""
        r, s = self._earlier(d, t)
        now, then, end = (_rows(d, v, x) for v in (t, r, s))
        x_r = _moved(self.taught(x, t, conditions), x, now, then)
        own = d.denoise(x_r, r.clamp(min=1), *conditions)
        there = (r == s).to(x.device).view(-1, *[1] * (x.ndim - 1))
        x_s = torch.where(there, x_r, _moved(own, x_r, then, end))
        kept = end[1] / now[1]
        return (x_s - kept * x) / (end[0] - kept * now[0])

    def taught(self, x: Tensor, t: Tensor, conditions: tuple[Tensor | None, ...] = ()) -> Tensor:
        """The teacher's estimates of x_start (b, ...), guided and cut."""
        d, scale = self.teacher, self.guidance_scale
        estimate = d.denoise(x, t, *conditions)
        if scale != 1:
            labels = tensor("labels to guide by", conditions[0] if conditions else None, len(x))
            chosen = is_within(d.schedule, t, *self.guidance_interval).nonzero()[:, 0]
            if len(chosen):  # some layers of torch take no empty batch
                rows = chosen.to(x.device)
                others = [None if c is None else c[rows] for c in conditions[1:]]
                nothing = torch.full_like(labels[rows], UNLABELLED)
                without = d.denoise(x[rows], t[chosen], nothing, *others)
                pushed = without + scale * (estimate[rows] - without)
                estimate = estimate.index_copy(0, rows, pushed)
        return estimate if d.clip is None else clipped(lambda x, t: estimate, *d.clip)(x, t)

    def _earlier(self, d: GaussianDiffusion, t: Tensor) -> tuple[Tensor, Tensor]:
        """Where the teacher's step from t ends, and where the segment of t does."""
        ends = torch.tensor(time_grid(d.num_timesteps, self.segments), dtype=torch.float64).flip(0)
        place = torch.searchsorted(ends, t)
        s = ends[place - 1]
        r = torch.maximum(s, t - (ends[place] - s) / self.hops)
        return torch.where(r < 1, 0.0, r), s

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


def _rows(d: GaussianDiffusion, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    alpha, sigma = d.schedule(t)
    shape = (-1, *[1] * (like.ndim - 1))
    return alpha.to(like).view(shape), sigma.to(like).view(shape)


def _moved(
    x_start: Tensor, x: Tensor, now: tuple[Tensor, Tensor], then: tuple[Tensor, Tensor]
) -> Tensor:
    """x after a step of DDIM without chance, by this estimate."""
    # From time 0 no step is taken, and there is no noise to divide by.
    noise = (x - now[0] * x_start) / torch.where(now[1] > 0, now[1], 1.0)
    return then[0] * x_start + then[1] * noise
