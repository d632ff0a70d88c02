"""Training as a generator: any module, any loss, and a step that depends on (seed, k) alone."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from denoising_diffusion.checks import Count, Positive, checked, instance, number, tensor
from denoising_diffusion.data.rows import Rows, as_rows
from denoising_diffusion.distributed import all_sum, part, rank, share, world_size
from denoising_diffusion.ema import EMA
from denoising_diffusion.seeds import drawing, stream

Batch = tuple[Tensor, ...]

BatchLoss = Callable[[nn.Module, Batch, torch.Generator], Tensor]
"""(model, batch, generator) -> the scalar to minimise; all its randomness is the generator's.

One of several processes gets its part of the global batch, and the generator that all of them get:
what is drawn per example is drawn for the global batch, by `distributed.drawn`. The value must be a
mean over the examples, for the global loss is the mean of the parts'.
"""


class TrainStep(NamedTuple):
    """What one optimiser step leaves: its number from 1, its loss (a scalar), its rate.

    The loss is that of the global batch, in every process.
    """

    step: int
    loss: Tensor
    lr: float


@checked
def train(
    model: nn.Module,
    loss: BatchLoss,
    data: Rows | Sequence[Tensor],
    optimizer: Optimizer,
    *,
    steps: Count,
    batch_size: Count,
    seed: Annotated[int, 0],
    accumulate: Count = 1,
    start: int = 0,
    averages: Mapping[str, EMA] | None = None,
    learning_rate: Callable[[int], float] | None = None,
    max_grad_norm: Positive | None = None,
) -> Iterator[TrainStep]:
    """Train in place, yielding after every optimiser step and the update of the averages.

    Step k draws its batch and its randomness from (seed, k) alone, so a run that is saved after
    step k and continued with `start=k` is the run that never stopped. Batches are cut from the
    endless concatenation of one permutation per epoch: always full, nothing dropped.

    Within `distributed.processes` every process calls it with equal arguments and takes its share
    of each batch. Gradients are averaged, so all hold the same weights after every step, and they
    equal those of one process to rounding. Every parameter must take part in the loss; buffers are
    those of the first process.

    Args:
        model: the module to train.
        loss: (model, batch, generator) -> scalar, such as `DiffusionLoss()`.
        data: `Rows`, or tensors with one row per example, such as (images, labels).
        optimizer: over parameters of the model.
        steps: the step after which training ends, counted from the very beginning.
        batch_size: rows per step, of all processes together; may exceed the number of rows.
        seed: decides order and noise.
        accumulate: in how many parts, one after the other, a process takes its rows of a batch;
            they differ by at most one row. The step is that of one part up to the order of sums,
            in as many times less memory; a network's own dropout draws other masks.
        start: the number of steps already taken.
        averages: by name, each updated after every step.
        learning_rate: from the step, counted from 1, to its rate; None leaves the optimiser's.
        max_grad_norm: averaged gradients are scaled down to this norm.

    Raises:
        TypeError: an argument of another type.
        ValueError: no data, tensors of unequal length, batch_size or steps below 1, start outside
            [0, steps], a norm that is not above 0, an optimiser that holds no parameter of the
            model, a batch_size that is not divisible by the number of processes, or more parts
            than a process has rows.
    """
    rows = as_rows(data)
    if not 0 <= start <= steps:
        raise ValueError(f"start must lie in [0, {steps}], got {start}")
    parts = batch_parts(batch_size, accumulate)  # refused here, not at the first step
    own = {id(p) for p in model.parameters()}
    if not any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(
            "optimizer holds no parameter of the model, so nothing would be trained, got "
            f"{type(optimizer).__name__} over others"
        )
    for name, average in (averages or {}).items():
        instance(f"averages[{name!r}]", average, EMA)

    def walk() -> Iterator[TrainStep]:
        order, scored = _Order(len(rows), seed), _Scored(model, loss, parts)
        device = next(model.parameters()).device
        for k in range(start, steps):
            if learning_rate is not None:
                rate = number("learning_rate", learning_rate(k + 1), "[0, inf)")
                for group in optimizer.param_groups:
                    group["lr"] = rate
            numbers = order.rows(k * batch_size, batch_size)
            model.train()
            optimizer.zero_grad(set_to_none=True)
            with drawing(seed, f"dropout {rank()}", k, device):
                value = scored.backward(rows, numbers, lambda k=k: stream(seed, "step", k))
            if max_grad_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
            optimizer.step()
            for average in (averages or {}).values():
                average.update(model, k + 1)
            mean = all_sum(value) / world_size()
            yield TrainStep(k + 1, mean, float(optimizer.param_groups[0]["lr"]))

    return walk()


def batch_parts(batch_size: int, accumulate: int) -> list[slice]:
    """The rows of a global batch that this process takes, in as many parts as it takes them in.

    Raises:
        ValueError: a batch that the processes cannot share, or more parts than rows.
    """
    mine = share(batch_size)
    count = mine.stop - mine.start
    if accumulate > count:
        raise ValueError(
            f"accumulate must be at most {count}, the rows of a process, got {accumulate}"
        )
    edges = [mine.start + count * i // accumulate for i in range(accumulate + 1)]
    return [slice(low, high) for low, high in pairwise(edges)]


class _Loss(nn.Module):
    """A model and its loss as one module, because gradients are averaged around a forward call."""

    def __init__(self, model: nn.Module, loss: BatchLoss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        value = tensor("the answer of loss", self.loss(self.model, batch, generator))
        if value.ndim:
            raise ValueError(f"the answer of loss must be a scalar, got {tuple(value.shape)}")
        return value


class _Scored:
    """The loss of this process's rows of a batch, whose gradient is that of all processes."""

    def __init__(self, model: nn.Module, loss: BatchLoss, parts: Sequence[slice]) -> None:
        self.device, self.parts = next(model.parameters()).device, parts
        own = _Loss(model, loss)
        self.loss = own if world_size() == 1 else DistributedDataParallel(own)

    def backward(
        self, rows: Rows, numbers: Tensor, generator: Callable[[], torch.Generator]
    ) -> Tensor:
        """Add the gradient of the mean loss of these rows, part by part; the loss."""
        total = torch.zeros((), device=self.device)
        count = self.parts[-1].stop - self.parts[0].start
        for mine in self.parts:
            batch = tuple(x.to(self.device) for x in rows[numbers[mine]])
            with part(mine, len(numbers)), self._sent(mine is self.parts[-1]):
                # Every part begins anew with the draws of the whole batch, and takes its own.
                value = self.loss(batch, generator()) * ((mine.stop - mine.start) / count)
                value.backward()
            total = total + value.detach()
        return total

    def _sent(self, last: bool) -> contextlib.AbstractContextManager[object]:
        """Processes exchange gradients once, with the last part."""
        if not last and isinstance(self.loss, DistributedDataParallel):
            return self.loss.no_sync()
        return contextlib.nullcontext()


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
                drawn = torch.randperm(self._rows, generator=stream(self._seed, "order", epoch))
                self._epoch, self._permutation = epoch, drawn
            part = self._permutation[offset : offset + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return torch.cat(parts)
