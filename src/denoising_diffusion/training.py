"""Training as a generator: any module, any loss, and a step that depends on (seed, k) alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from denoising_diffusion.ema import EMA
from denoising_diffusion.seeds import stream

Batch = tuple[Tensor, ...]

BatchLoss = Callable[[nn.Module, Batch, torch.Generator], Tensor]
"""(model, batch, generator) -> the scalar to minimise; all its randomness is the generator's."""


class TrainStep(NamedTuple):
    """What one optimiser step leaves: its number from 1, its loss (a scalar), its rate."""

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

    Args:
        model: the module to train.
        loss: (model, batch, generator) -> scalar.
        data: tensors with one row per example, such as (images, labels).
        optimizer: over the model's parameters.
        steps: the step after which training ends, counted from the very beginning.
        batch_size: rows per step; may exceed the number of rows.
        seed: decides order and noise.
        start: the number of steps already taken.
        ema: updated after every step.
        learning_rate: from the step, counted from 1, to its rate; None leaves the optimiser's.
        max_grad_norm: gradients are scaled down to this norm.

    Raises:
        ValueError: no data, tensors of unequal length, batch_size or steps below 1, start outside
            [0, steps].
    """
    rows = len(data[0]) if data else 0
    if rows == 0 or any(len(d) != rows for d in data):
        raise ValueError(f"data must hold tensors of one length >= 1, got {[len(d) for d in data]}")
    if batch_size < 1 or steps < 1:
        raise ValueError(f"batch_size and steps must be >= 1, got {batch_size} and {steps}")
    if not 0 <= start <= steps:
        raise ValueError(f"start must lie in [0, {steps}], got {start}")
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
    order = _Order(len(data[0]), seed)
    optimizer = options.optimizer
    for k in todo:
        if options.learning_rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate(k + 1)
        rows = order.rows(k * batch_size, batch_size)
        batch = tuple(d[rows.to(d.device)] for d in data)
        model.train()
        optimizer.zero_grad(set_to_none=True)
        value = options.loss(model, batch, stream(seed, "step", k))
        value.backward()
        if options.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        optimizer.step()
        if options.ema is not None:
            options.ema.update(model, k + 1)
        yield TrainStep(k + 1, value.detach(), float(optimizer.param_groups[0]["lr"]))


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
