"""Training as a generator: any module, any loss, and a step that depends on (seed, k) alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from denoising_diffusion.distributed import all_sum, share, world_size
from denoising_diffusion.ema import EMA
from denoising_diffusion.seeds import stream

Batch = tuple[Tensor, ...]

BatchLoss = Callable[[nn.Module, Batch, torch.Generator], Tensor]
"""(model, batch, generator) -> the scalar to minimise; all its randomness is the generator's.

One of several processes gets its part of the global batch, and the generator that all of them get:
what is drawn per example is drawn for the global batch and cut by `distributed.share`. The value
must be a mean over the examples, for the global loss is the mean of the parts'.
"""


class TrainStep(NamedTuple):
    """What one optimiser step leaves: its number from 1, its loss (a scalar), its rate.

    The loss is that of the global batch, in every process.
    """

    step: int
    loss: Tensor
    lr: float


def train(
    model: nn.Module,
    loss: BatchLoss,
    data: Sequence[Tensor],
    optimizer: Optimizer,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    start: int = 0,
    ema: EMA | None = None,
    learning_rate: Callable[[int], float] | None = None,
    max_grad_norm: float | None = None,
) -> Iterator[TrainStep]:
    """Train in place, yielding after every optimiser step and EMA update.

    Step k draws its batch and its randomness from (seed, k) alone, so a run that is saved after
    step k and continued with `start=k` is the run that never stopped. Batches are cut from the
    endless concatenation of one permutation per epoch: always full, nothing dropped.

    Within `distributed.processes` every process calls it with equal arguments and takes its share
    of each batch. Gradients are averaged, so all hold the same weights after every step, and they
    equal those of one process to rounding. Every parameter must take part in the loss; buffers are
    those of the first process.

    Args:
        model: the module to train.
        loss: (model, batch, generator) -> scalar.
        data: tensors with one row per example, such as (images, labels).
        optimizer: over the model's parameters.
        steps: the step after which training ends, counted from the very beginning.
        batch_size: rows per step, of all processes together; may exceed the number of rows.
        seed: decides order and noise.
        start: the number of steps already taken.
        ema: updated after every step.
        learning_rate: from the step, counted from 1, to its rate; None leaves the optimiser's.
        max_grad_norm: averaged gradients are scaled down to this norm.

    Raises:
        ValueError: no data, tensors of unequal length, batch_size or steps below 1, start outside
            [0, steps], or a batch_size that is not divisible by the number of processes.
    """
    rows = len(data[0]) if data else 0
    if rows == 0 or any(len(d) != rows for d in data):
        raise ValueError(f"data must hold tensors of one length >= 1, got {[len(d) for d in data]}")
    if batch_size < 1 or steps < 1:
        raise ValueError(f"batch_size and steps must be >= 1, got {batch_size} and {steps}")
    if not 0 <= start <= steps:
        raise ValueError(f"start must lie in [0, {steps}], got {start}")
    share(batch_size)  # refuses here what would otherwise fail at the first step
    options = _Options(loss, optimizer, ema, learning_rate, max_grad_norm)
    return _steps(model, tuple(data), options, range(start, steps), batch_size, seed)


class _Options(NamedTuple):
    loss: BatchLoss
    optimizer: Optimizer
    ema: EMA | None
    learning_rate: Callable[[int], float] | None
    max_grad_norm: float | None


def _steps(
    model: nn.Module,
    data: Batch,
    options: _Options,
    todo: range,
    batch_size: int,
    seed: int,
) -> Iterator[TrainStep]:
    order, mine = _Order(len(data[0]), seed), share(batch_size)
    optimizer = options.optimizer
    scored = _scored(model, options.loss)
    for k in todo:
        if options.learning_rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate(k + 1)
        rows = order.rows(k * batch_size, batch_size)[mine]
        batch = tuple(d[rows.to(d.device)] for d in data)
        model.train()
        optimizer.zero_grad(set_to_none=True)
        value = scored(batch, stream(seed, "step", k))
        value.backward()
        if options.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        optimizer.step()
        if options.ema is not None:
            options.ema.update(model, k + 1)
        mean = all_sum(value.detach()) / world_size()
        yield TrainStep(k + 1, mean, float(optimizer.param_groups[0]["lr"]))


class _Scored(nn.Module):
    """A model and its loss as one module, because gradients are averaged around a forward call."""

    def __init__(self, model: nn.Module, loss: BatchLoss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self.loss(self.model, batch, generator)


def _scored(model: nn.Module, loss: BatchLoss) -> Callable[[Batch, torch.Generator], Tensor]:
    """(batch, generator) -> the loss of this process's part, whose gradient is that of all."""
    scored = _Scored(model, loss)
    return scored if world_size() == 1 else DistributedDataParallel(scored)


class _Order:
    """The endless concatenation of one permutation per epoch, read by position."""

    def __init__(self, rows: int, seed: int) -> None:
        self._rows, self._seed = rows, seed
        self._epoch, self._permutation = -1, torch.empty(0)

    def rows(self, first: int, count: int) -> Tensor:
        parts: list[Tensor] = []
        while count > 0:
            epoch, offset = divmod(first, self._rows)
            if epoch != self._epoch:
                generator = stream(self._seed, "order", epoch)
                self._epoch, self._permutation = (
                    epoch,
                    torch.randperm(self._rows, generator=generator),
                )
            part = self._permutation[offset : offset + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return torch.cat(parts)
