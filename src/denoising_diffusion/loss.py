"""The loss of diffusion training: times, noise, weights and dropped conditions."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from denoising_diffusion.checks import Count, checked, instance, number, sequence, tensor
from denoising_diffusion.data.rows import Rows, as_rows
from denoising_diffusion.diffusion import GaussianDiffusion, Loss, squared_error
from denoising_diffusion.distributed import all_sum, drawn, rank, world_size
from denoising_diffusion.guidance import UNLABELLED
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import stream

Batch = tuple[Tensor, ...]

Times = Callable[[Schedule, int, torch.Generator], Tensor]
"""(schedule, n, generator) -> n times in (0, T], on the host."""

Conditions = Callable[[Batch, torch.Generator], tuple[Tensor | None, ...]]
"""(batch, generator) -> what the network is called with beside x and t, each (b, ...) or None."""

Weight = Callable[[Tensor], Tensor]
"""ln(alpha² / sigma²) (b,), float64 on the host -> the weight of the squared error of x_start."""


Augment = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor | None]]
"""(x (b, ...), generator) -> x changed, and codes (b, k) for the network or None."""


def uniform_times(schedule: Schedule, n: int, generator: torch.Generator) -> Tensor:
    """Whole times, each of 1..T as likely as any other (Ho et al. 2020, algorithm 1)."""
    return torch.randint(1, schedule.num_timesteps + 1, (n,), generator=generator)


def labels(dropout: float = 0.0) -> Conditions:
    """All that follows x in a batch, rows hidden together with this probability.

    A hidden row is 0 throughout: the label of none. Training with it teaches one network the
    conditional and the unconditional model (Ho & Salimans 2022, algorithm 1).

    Raises:
        ValueError: dropout outside [0, 1].
    """
    number("label_dropout", dropout, "[0, 1]")

    def conditions(batch: Batch, generator: torch.Generator) -> tuple[Tensor, ...]:
        if dropout == 0 or len(batch) == 1:
            return batch[1:]
        hidden = drawn(len(batch[0]), lambda n: torch.rand(n, generator=generator)) < dropout
        return tuple(
            c.masked_fill(hidden.to(c.device).view(-1, *[1] * (c.ndim - 1)), UNLABELLED)
            for c in batch[1:]
        )

    return conditions


@checked
@dataclass(frozen=True)
class DiffusionLoss:
    """The loss of a training step, for `train`: a function of (model, batch, generator).

    Times, noise and hidden conditions come from the generator, are drawn for the batches of all
    processes together, and are moved to where the batch lies.

    Args:
        error: (answer, target) -> per element or per sample.
        times: how times are drawn.
        weight: of ln(alpha² / sigma²), on the squared error of x_start; the factor of the
            prediction's own error, weight · out², follows from it. None is 1 on the prediction's
            own error, which is Ho et al.'s simple loss for noise.
        conditions: what the network is called with beside x and t.
        augment: changes x; the codes of the changes, if it gives any, are the last condition, the
            second one if there is no other. Held-out data are never changed.

    Raises:
        TypeError: an argument that cannot be called; when called, a model that is no
            GaussianDiffusion.
    """

    error: Loss = squared_error
    times: Times = uniform_times
    weight: Weight | None = None
    conditions: Conditions = field(default_factory=labels)
    augment: Augment | None = None

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """The mean loss of a batch (x, ...): a scalar."""
        d: GaussianDiffusion = instance("the model of a DiffusionLoss", model, GaussianDiffusion)
        x, t, noise, conditions = self.draw(d, batch, generator)
        losses = d.p_losses(x, t, noise, *conditions, loss=self.error)
        if self.weight is not None:
            losses = losses * (self.weights(d, t) * d.x_start_factor(t)).to(losses)
        return losses.mean()

    def held_out(
        self, model: GaussianDiffusion, data: Rows, conditions: Conditions | None = None
    ) -> float:
        """The loss on held-out data that is told at the end of an epoch: `held_out_loss`."""
        return held_out_loss(model, data, self.error, conditions=conditions)

    def draw(
        self, d: GaussianDiffusion, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor | None, ...]]:
        """x, changed if it is to be, times (b,) on the host, noise and conditions."""
        x, codes = batch[0], None
        if self.augment is not None:
            x, codes = self.augment(x, generator)
            tensor("the answer of augment", x, *batch[0].shape)
        t = drawn(len(x), lambda n: self._times(d.schedule, n, generator))
        noise = drawn(len(x), lambda n: torch.randn(n, *x.shape[1:], generator=generator))
        shown = self.conditions((x, *batch[1:]), generator)
        conditions = sequence("the answer of conditions", shown)
        if codes is not None:
            conditions = (*(conditions or (None,)), codes)
        return x, t, noise.to(x.device), tuple(conditions)

    def weights(self, d: GaussianDiffusion, t: Tensor) -> Tensor:
        """The weight of the squared error of x_start at these times: (b,) on the host."""
        if self.weight is None:
            return torch.ones(len(t), dtype=torch.float64)
        alpha, sigma = d.schedule(t)
        weight = self.weight(2 * (alpha.log() - sigma.log()))
        return tensor("the answer of weight", weight, len(t))

    def _times(self, schedule: Schedule, n: int, generator: torch.Generator) -> Tensor:
        return tensor("the answer of times", self.times(schedule, n, generator), n, holds="numbers")


@checked
@torch.no_grad()
def held_out_loss(
    model: GaussianDiffusion,
    data: Rows,
    error: Loss = squared_error,
    *,
    rows: Count = 1000,
    conditions: Conditions | None = None,
) -> float:
    """The mean unweighted loss on held-out data, over draws of (t, noise) that never change.

    The times are spread evenly over 1..T, one stratum per example, so that two values differ by
    what was learned alone. Several processes score a part each, and all get the mean over all.

    Args:
        model: what is scored.
        data: rows (x, *conditions).
        error: as in `DiffusionLoss`.
        rows: examples at a time.
        conditions: as in `DiffusionLoss`; all that follows x in a row without it.

    Raises:
        TypeError: arguments of other types.
        ValueError: no data, or rows below 1.
    """
    data = as_rows(data)
    count, step = len(data), rows * world_size()
    generator = stream(0, "validation")
    strata = torch.randperm(count, generator=generator)
    t = 1 + strata * model.num_timesteps // count
    noise = torch.randn(count, *model.data_shape, generator=generator)
    total = 0.0
    for i in range(rank(), count, step):
        part = torch.arange(i, min(i + step, count), world_size())
        x, *given = data[part]
        if conditions is not None:
            given = sequence("the answer of conditions", conditions((x, *given), generator))
        losses = model.p_losses(x, t[part], noise[part].to(x.device), *given, loss=error)
        total += losses.double().sum().item()
    return all_sum(torch.tensor(total, dtype=torch.float64)).item() / count


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which a network runs in "float32" or "bfloat16" on this device."""
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()
