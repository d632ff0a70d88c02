"""What is checked before anything is written: that a run can come to its end on this machine."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from denoising_diffusion import distributed, memory, tables
from denoising_diffusion.config import RunConfig, Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.data.rows import first
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.memory import size
from denoising_diffusion.run.build import (
    build_averages,
    build_diffusion,
    build_loss,
    build_network,
    count_parameters,
    has_teacher,
    take_over,
)
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.prepare import facts_of, learned
from denoising_diffusion.run.request import completed

_VALUE = 4  # bytes


@dataclass(frozen=True)
class Preflight:
    """What a run will be: its configuration with facts, its model, and a report in lines."""

    config: RunConfig
    model: GaussianDiffusion
    report: list[str]


def preflight(
    config: RunConfig, data: Dataset, out: Path, device: torch.device, *, evaluate: bool
) -> Preflight:
    """Build what will be trained, take one step on one example, and ask whether all of it fits.

    Args:
        config: without facts.
        data: with classes, even if they are not learned.
        out: where the run will be.
        device: where it will be trained.
        evaluate: whether it will be scored.

    Raises:
        ValueError: data that the network cannot take, too little of it, sampling that the model
            cannot do, or more memory or disk than there is.
    """
    seen = learned(config, data)
    for part, rows in (("training", seen.train), ("held-out", seen.validation)):
        if len(rows) == 0:
            raise ValueError(f"data {data.name} has no {part} examples, it is too small")
    config = replace(config, facts=facts_of(seen))
    _check_buildable(config, device)
    model = build_diffusion(config)
    if has_teacher(config) and not config.training.init:
        raise ValueError(
            f"training.objective {tables.name_of(config.training.objective, 'training.objective')} "
            "needs training.init, a run whose model teaches"
        )
    begin = [take_over(model, config.training.init)] if config.training.init else []
    build_averages(config, model)
    assert config.facts is not None
    config = replace(config, facts=replace(config.facts, parameters=count_parameters(model)))
    request = _check_sampling(config, data, out, evaluate)
    needed = _check_memory(config, model, seen, device)
    disk = _check_disk(config, out, request)
    report = [
        *data.notes,
        _about(config, model),
        *begin,
        request.text,
        f"about {needed} of memory, {disk} of disk",
    ]
    return Preflight(config, model.to(device), report)


def _about(config: RunConfig, model: GaussianDiffusion) -> str:
    facts = config.facts
    assert facts is not None
    classes = f", {len(facts.class_names)} classes" if facts.class_names else ""
    classes += f", {len(facts.clusters)} clusters" if facts.clusters else ""
    shape = " × ".join(map(str, facts.shape))
    return (
        f"{facts.num_train:,} {facts.kind} of shape {shape}{classes} to learn from, "
        f"{facts.parameters:,} parameters{_levels(model)}, {_length(config)}"
    )


def _length(config: RunConfig) -> str:
    minutes = config.training.minutes
    return f"{config.total_steps:,} steps" if minutes is None else f"{minutes:g} minutes"


def _levels(model: GaussianDiffusion) -> str:
    """What a network tells of its levels, if it has any."""
    widths = getattr(model.denoise_fn, "widths", None)
    return f" on {len(widths)} levels of {', '.join(map(str, widths))} channels" if widths else ""


def _check_buildable(config: RunConfig, device: torch.device) -> None:
    """Refuse a network that would not fit, counted without making it."""
    timesteps = tables.bound("schedule", config.schedule)().num_timesteps
    try:
        with torch.device("meta"):
            count = count_parameters(build_network(config, timesteps))
    except NotImplementedError:  # it looks at values while it is built
        return
    except (RuntimeError, MemoryError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"network {config.network} cannot be built: {reason}") from None
    need, there = _state(config, count), available_memory(device)
    if need > there:
        raise ValueError(
            f"network has {count:,} parameters, which need {size(need)} of memory to train, "
            f"{size(there)} are free; take a smaller one"
        )


def _state(config: RunConfig, parameters: int) -> int:
    """Bytes of weights, gradients, two moments of the optimiser and the averages."""
    return _VALUE * parameters * (4 + len(config.training.average_names))


@dataclass(frozen=True)
class _Request:
    wish: Sampling
    text: str


def _check_sampling(config: RunConfig, data: Dataset, out: Path, evaluate: bool) -> _Request:
    """The request that ends the run, completed, if the run will be able to answer it."""
    run = Run(out)
    run.config = config
    kind = run.kind
    wanted = config.sampling.num or kind.default_num()
    most = kind.most(data) if evaluate else wanted
    wish = completed(run, replace(config.sampling, num=min(wanted, most)))
    if evaluate:
        kind.check(data, wish.num or 0)
    fewer = f", not {wanted:,}: there is no more data to compare with" if most < wanted else ""
    text = f"{wish.num:,} samples {'will be scored' if evaluate else 'can be drawn'}{fewer}"
    return _Request(wish, text)


def _check_memory(
    config: RunConfig, model: GaussianDiffusion, data: Dataset, device: torch.device
) -> str:
    """The memory that training will take, as words, if there is as much."""
    state = _state(config, count_parameters(model))
    row = saved_bytes(model, lambda: _one_loss(config, model, data))
    at_once = distributed.world_size() * config.training.accumulate
    batch = -(-config.training.batch_size // at_once)
    need, there = state + row * batch, available_memory(device)
    if need <= there:
        return size(need)
    fits = (there - state) // row if row else 0
    remedy = f"take a --batch-size of at most {fits:,}" if fits > 0 else "take a smaller network"
    raise ValueError(
        f"training with a batch_size of {batch:,} needs about {size(need)} of memory, "
        f"{size(there)} are free; {remedy}"
    )


def _one_loss(config: RunConfig, model: GaussianDiffusion, data: Dataset) -> None:
    """The loss of one example; what the network cannot take fails here."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):  # dropout draws from torch's own
        build_loss(config, model)(model, first(data.train, 1), generator)


def saved_bytes(model: nn.Module, forward: Callable[[], object]) -> int:
    """Bytes beside the model's own that autograd keeps for the backward pass of `forward`."""
    kept: dict[int, int] = {}
    own = {value.untyped_storage().data_ptr() for value in model.state_dict().values()}

    def note(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        forward()
    return sum(size for place, size in kept.items() if place not in own)


def available_memory(device: torch.device) -> int:
    """Bytes that can be had: free on the GPU, or available to this process on the machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return memory.available()


def check_room(shape: tuple[int, ...], num: int) -> None:
    """Refuse more samples than memory takes when they are put together in the end.

    Raises:
        ValueError: how many it takes is said.
    """
    row = 3 * _VALUE * torch.Size(shape).numel()
    there = available_memory(torch.device("cpu"))
    if num * row > there:
        raise ValueError(
            f"num must be at most {there // row:,} here, which {size(there)} of free memory take, "
            f"got {num:,}"
        )


def _check_disk(config: RunConfig, out: Path, request: _Request) -> str:
    """The disk that the run will take, as words, if there is as much."""
    facts = config.facts
    assert facts is not None
    average = len(config.training.average_names)
    # A checkpoint is written beside the one that it replaces.
    models = 2 * (3 + average) + 1 + (config.training.snapshot is not None)
    weights = _VALUE * facts.parameters * models
    need = weights + 2 * _VALUE * (request.wish.num or 0) * torch.Size(facts.shape).numel()
    there = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    if need > free:
        raise ValueError(
            f"{out}: the run needs about {size(need)} of disk, {size(free)} are free there"
        )
    return size(need)
