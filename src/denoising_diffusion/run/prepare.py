"""What comes before the first step: the data, its facts, the precision."""

import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from denoising_diffusion import tables
from denoising_diffusion.config import Facts, RunConfig
from denoising_diffusion.data import Dataset
from denoising_diffusion.data.clusters import clustered
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.distributed import broadcast_object
from denoising_diffusion.loss import autocast
from denoising_diffusion.run.build import build_loss, build_optimizer
from denoising_diffusion.super_resolution import made_smaller
from denoising_diffusion.training import Batch, BatchLoss, train


def load_data(data: Mapping[str, Any]) -> Dataset:
    """The data of a configuration, with classes even if they are not to be learned.

    Raises:
        ValueError: an unknown source, or options that it does not take.
    """
    own = {k: v for k, v in data.items() if k not in ("labels", "pooled", "clusters")}
    found = tables.bound("data", own)()
    return found if data.get("pooled") is None else made_smaller(found, data["pooled"])


def learned(config: RunConfig, data: Dataset) -> Dataset:
    """The data as the network sees it: without classes if they are not to be learned, or cut into
    clusters, of the classes if these are.
    """
    seen = data if config.data.get("labels", True) else data.without_labels()
    clusters = config.data.get("clusters")
    return seen if clusters in (None, 0) else clustered(seen, clusters)


def facts_of(data: Dataset) -> Facts:
    """What a run writes down of its data."""
    return Facts(
        kind=data.kind,
        shape=data.shape,
        class_names=data.class_names,
        shift=data.shift,
        scale=data.scale,
        clip=data.clip,
        num_train=len(data.train),
        fingerprint=data.fingerprint,
        name=data.name,
        columns=data.columns,
        clusters=data.clusters,
    )


def at_precision(loss: BatchLoss, precision: str) -> BatchLoss:
    """The loss with its network run at this precision."""

    def cast(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        with autocast(precision, batch[0].device):
            return loss(model, batch, generator)

    return cast


def resolve_precision(
    config: RunConfig, model: GaussianDiffusion, data: Dataset, may_gain: bool
) -> RunConfig:
    """The configuration with "auto" replaced by the precision that a measurement found faster.

    bfloat16 must be at least a tenth faster, in the best of several rounds taken in turn, so that a
    busy neighbour cannot decide. Several processes take the steps together, and the clock of the
    first counts.

    Args:
        config: of the run.
        model: what will be trained; copies of it take the steps.
        data: what it will learn.
        may_gain: False for networks too small to gain, which stay in float32.
    """
    training = config.training
    if training.precision != "auto":
        return config
    choice: Literal["float32", "bfloat16"] = "float32"
    if may_gain:
        seconds = measure(config, model, data)
        if seconds["float32"] > 1.1 * seconds["bfloat16"]:
            choice = "bfloat16"
    choice = broadcast_object(choice)
    return replace(config, training=replace(training, precision=choice))


def measure(
    config: RunConfig, model: GaussianDiffusion, data: Dataset, rounds: int = 8
) -> dict[str, float]:
    """Seconds of a training step at each precision: the best of several rounds, in turn."""
    walks = {
        precision: train(
            trial := copy.deepcopy(model),
            at_precision(build_loss(config, trial), precision),
            data.train,
            build_optimizer(config, trial),
            steps=rounds,
            batch_size=config.training.batch_size,
            seed=0,
            accumulate=config.training.accumulate,
        )
        for precision in ("float32", "bfloat16")
    }
    best = dict.fromkeys(walks, float("inf"))
    for i in range(rounds):
        for precision, steps in walks.items():
            begin = time.perf_counter()
            next(steps).loss.item()
            if i > 1:  # the first steps warm up
                best[precision] = min(best[precision], time.perf_counter() - begin)
    return best
