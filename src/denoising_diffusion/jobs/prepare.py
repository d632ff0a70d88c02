"""What comes before the first step: the data, its facts, the precision."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from denoising_diffusion.config import DataFacts, RunConfig
from denoising_diffusion.data import Dataset, load_dataset
from denoising_diffusion.diffusion import GaussianDiffusion, absolute_error, squared_error
from denoising_diffusion.distributed import all_sum, broadcast_object, rank, share, world_size
from denoising_diffusion.guidance import drop_labels
from denoising_diffusion.run import build_diffusion
from denoising_diffusion.seeds import stream
from denoising_diffusion.training import Batch, BatchLoss, train

LOSSES = {"mse": squared_error, "mae": absolute_error}
Precision = Literal["float32", "bfloat16"]


def read_data(config: RunConfig) -> Dataset:
    """The data of a configuration."""
    data = config.data
    return load_dataset(data.name, data.path, seed=data.seed, size=data.size)


def with_facts(config: RunConfig, data: Dataset) -> RunConfig:
    """The configuration with what was found in its data written down."""
    facts = DataFacts(
        shape=tuple(data.train.shape[1:]),
        class_names=data.class_names if config.data.labels else (),
        shift=data.shift,
        scale=data.scale,
        clip=data.clip,
        num_train=len(data.train),
        fingerprint=data.fingerprint,
        name=data.name,
    )
    return replace(config, facts=facts)


def training_tensors(config: RunConfig, data: Dataset) -> Batch:
    """(examples,) or (examples, labels); the one place where class k becomes label k + 1."""
    return _with_labels(config, data.train, data.train_labels)


def validation_tensors(config: RunConfig, data: Dataset) -> Batch:
    """The same for the held-out examples."""
    return _with_labels(config, data.validation, data.validation_labels)


def _with_labels(config: RunConfig, x: Tensor, classes: Tensor | None) -> Batch:
    return (x,) if classes is None or not config.data.labels else (x, classes + 1)


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which the network runs at this precision."""
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def diffusion_loss(config: RunConfig) -> BatchLoss:
    """The loss of a training step: t, noise and dropped labels from the step's generator.

    They are drawn for the global batch, whatever part of it this process holds, so that an example
    meets the same draws in any number of processes.
    """
    training = config.training
    error = LOSSES[training.loss]

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        assert isinstance(model, GaussianDiffusion)
        x, conditions = batch[0], batch[1:]
        total = len(x) * world_size()
        mine = share(total)
        t = torch.randint(1, model.num_timesteps + 1, (total,), generator=generator)
        noise = torch.randn(total, *x.shape[1:], generator=generator)
        if training.label_dropout > 0:
            # Repeated, they have the global length, and this process's rows are its own labels.
            conditions = tuple(
                drop_labels(c.repeat(world_size()), training.label_dropout, generator)[mine]
                for c in conditions
            )
        t, noise = t[mine].to(x.device), noise[mine].to(x.device)
        with autocast(training.precision, x.device):
            return model.p_losses(x, t, noise, *conditions, loss=error).mean()

    return loss


@torch.no_grad()
def validation_loss(model: GaussianDiffusion, batch: Batch, config: RunConfig) -> float:
    """The mean loss on held-out data, over draws of (t, noise) that never change.

    The times are spread evenly over 1..T, one stratum per example, so that two values differ by
    what was learned alone. Several processes score a part each, and all get the mean over all.
    """
    x, conditions = batch[0], batch[1:]
    generator = stream(0, "validation")
    strata = torch.randperm(len(x), generator=generator)
    t = (1 + strata * model.num_timesteps // len(x)).to(x.device)
    noise = torch.randn(x.shape, generator=generator).to(x.device)
    error = LOSSES[config.training.loss]
    total = 0.0
    step = world_size()
    for i in range(rank(), len(x), 1000 * step):
        part = slice(i, i + 1000 * step, step)
        with autocast(config.training.precision, x.device):
            losses = model.p_losses(
                x[part], t[part], noise[part], *(c[part] for c in conditions), loss=error
            )
        total += losses.double().sum().item()
    return all_sum(torch.tensor(total, dtype=torch.float64)).item() / len(x)


def resolve_precision(config: RunConfig, data: Batch, device: torch.device) -> RunConfig:
    """The configuration with "auto" replaced by the precision that a measurement found faster.

    Points stay in float32: their networks are too small to gain. bfloat16 must be at least a tenth
    faster over a few training steps of a network that is then thrown away. Several processes take
    these steps together, and the clock of the first decides.
    """
    training = config.training
    if training.precision != "auto":
        return config
    choice: Precision = "float32"
    if data[0].ndim == 4:
        seconds = {p: _seconds_per_step(config, p, data, device) for p in ("float32", "bfloat16")}
        if seconds["float32"] > 1.1 * seconds["bfloat16"]:
            choice = "bfloat16"
    choice = broadcast_object(choice)
    return replace(config, training=replace(training, precision=choice))


def _seconds_per_step(
    config: RunConfig, precision: Precision, data: Batch, device: torch.device
) -> float:
    assert config.facts is not None
    trial = replace(config, training=replace(config.training, precision=precision))
    model = build_diffusion(trial, config.facts).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    steps = train(
        model,
        diffusion_loss(trial),
        data,
        optimizer,
        steps=8,
        batch_size=config.training.batch_size,
        seed=0,
    )
    times = [_timed(lambda: next(steps).loss.item()) for _ in range(8)]
    return sorted(times[2:])[len(times[2:]) // 2]


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
