"""From a configuration to the objects it describes."""

import inspect
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from denoising_diffusion import tables
from denoising_diffusion.checks import one_of
from denoising_diffusion.config import RunConfig
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.ema import EMA
from denoising_diffusion.loss import Conditions, DiffusionLoss, labels
from denoising_diffusion.run.folder import Run
from denoising_diffusion.super_resolution import low_resolution


def build_diffusion(config: RunConfig) -> GaussianDiffusion:
    """The model of a configuration with facts; the training seed decides its initial weights.

    Raises:
        ValueError: options that a network, a schedule or a prediction does not take.
    """
    assert config.facts is not None
    facts = config.facts
    schedule = tables.bound("schedule", config.schedule)()
    network = build_network(config, schedule.num_timesteps)
    prediction = config.training.prediction
    return GaussianDiffusion(schedule, facts.shape, network, prediction, facts.clip)


def take_over(model: GaussianDiffusion, path: str) -> str:
    """Put the weights of another run into a model, where names and shapes agree; what was taken.

    Raises:
        ValueError: no trained run, or none of its weights fits.
    """
    theirs = dict(Run(path).model(device="cpu").named_parameters())
    mine = dict(model.named_parameters())
    fits = [n for n, p in mine.items() if n in theirs and theirs[n].shape == p.shape]
    if not fits:
        raise ValueError(f"training.init: no weights of {path} fit into this network")
    with torch.no_grad():
        for name in fits:
            mine[name].copy_(theirs[name])
    return f"begins with {len(fits)} of {len(mine)} tensors of weights from {path}"


def build_network(config: RunConfig, num_timesteps: int) -> nn.Module:
    """The network of `build_diffusion`.

    Raises:
        ValueError: options that it does not take.
    """
    assert config.facts is not None
    facts = config.facts
    make = tables.bound("network", config.network)
    # It is told how examples were changed if it can be.
    width = getattr(augment_of(config), "width", 0)
    told = {"augmentations": width} if width else {}
    if told and "augmentations" not in inspect.signature(make).parameters:
        name = config.network.get("kind")
        raise ValueError(f"network {name} cannot be told of training.augment; set condition false")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        # A network may fit its size to the number of examples.
        sized = "num_rows" in inspect.signature(make).parameters
        rows = {"num_rows": facts.num_train} if sized else {}
        labels = len(facts.clusters or facts.class_names) or None
        return make(facts.shape, num_timesteps, labels, **rows, **told)


def build_loss(config: RunConfig, teacher: GaussianDiffusion | None = None) -> DiffusionLoss:
    """The loss of a training step.

    Args:
        config: of the run.
        teacher: whose estimates are learned from, for a loss that has one.
    """
    training = config.training
    make = tables.bound("objective", training.objective, "training.objective")
    return make(
        tables.bound("loss", training.loss, "training.loss"),
        tables.bound("times", training.times, "training.times"),
        None if training.weight is None else tables.bound("weight", training.weight),
        build_conditions(config),
        augment_of(config),
        **({"teacher": teacher} if has_teacher(config) else {}),
    )


def has_teacher(config: RunConfig) -> bool:
    """Whether the run learns from the estimates of the model that it began with."""
    make = tables.bound("objective", config.training.objective, "training.objective")
    return "teacher" in inspect.signature(make).parameters


def build_optimizer(config: RunConfig, model: nn.Module) -> Optimizer:
    """What takes the steps of training."""
    own = config.training
    make = tables.bound("optimizer", own.optimizer, "training.optimizer")
    return make(model, own.learning_rate)


def build_conditions(config: RunConfig) -> Conditions:
    """What the network is called with beside x and t in training, some of it hidden or noised."""
    share = config.training.label_dropout
    if config.factor is None:
        return labels(share)
    return low_resolution(config.factor, dropout=share, label_dropout=share)


def held_out_conditions(config: RunConfig) -> Conditions:
    """The same as it is, as the held-out loss wants it."""
    if config.factor is None:
        return labels()
    return low_resolution(config.factor, noise=0, dropout=0)


def augment_of(config: RunConfig) -> Any:
    """What changes the examples, or None."""
    choice = config.training.augment
    return None if choice is None else tables.bound("augment", choice, "training.augment")()


def build_averages(config: RunConfig, model: GaussianDiffusion) -> dict[str, EMA]:
    """The averages that the run keeps, by name."""
    averages: dict[str, EMA] = {}
    for name in config.training.average_names:
        if name == "ema":
            table, number = "ema", config.training.ema_decay
        else:
            table, number = tables.numbered("average", name, "training.averages")
        try:
            averages[name] = EMA(model, tables.bound("average", table)(number))
        except ValueError as error:
            raise ValueError(f"training.averages, {name}: {error}") from None
    return averages


def count_parameters(module: nn.Module) -> int:
    """The number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def pick_device(name: str) -> torch.device:
    """The device of this name; "auto" is the first of cuda, mps, cpu that is there.

    Raises:
        ValueError: an unknown name, or a device that this machine lacks.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    one_of("device", name, ("auto", *present))
    if name == "auto":
        name = next(n for n, there in present.items() if there)
    if not present[name]:
        raise ValueError(f"device {name} is not available here; take auto or cpu")
    return torch.device(name)
