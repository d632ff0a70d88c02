"""The state of training as named tensors, and back; complete and fitting, or refused."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from denoising_diffusion.ema import EMA
from denoising_diffusion.run.folder import RAW, weights_prefix

_FLAT = StateDictOptions(flatten_optimizer_state_dict=True)


def training_state(
    model: nn.Module, averages: Mapping[str, EMA], optimizer: Optimizer
) -> dict[str, Tensor]:
    """All tensors that the rest of a run depends on, by name."""
    modules = {RAW: model} | {name: average.model for name, average in averages.items()}
    state = {
        weights_prefix(name) + k: v
        for name, module in modules.items()
        for k, v in module.state_dict().items()
    }
    return state | {f"optimizer.{k}": v for k, v in _slots(model, optimizer).items()}


def _slots(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers of every parameter, by the parameter's name."""
    flat = cast("dict[str, Any]", get_optimizer_state_dict(model, optimizer, options=_FLAT))
    return {k: torch.as_tensor(v) for k, v in flat.items() if k.startswith("state.")}


def restore_training_state(
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    averages: Mapping[str, EMA],
    optimizer: Optimizer,
) -> None:
    """Put the tensors of `training_state` back.

    Raises:
        ValueError: tensors that are missing, too many, or of another shape or type.
    """
    expected = training_state(model, averages, optimizer)
    check_same_tensors(tensors, expected)
    load_weights(model, tensors, weights_prefix(RAW))
    for name, average in averages.items():
        load_weights(average.model, tensors, weights_prefix(name))
    flat = cast("dict[str, Any]", get_optimizer_state_dict(model, optimizer, options=_FLAT))
    flat |= {k: tensors[f"optimizer.{k}"] for k in flat if k.startswith("state.")}
    set_optimizer_state_dict(model, optimizer, flat, options=_FLAT)


def check_same_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors of other names, shapes or types than expected.

    Raises:
        ValueError: the first that differs is named.
    """
    for name in [*expected, *found]:
        mine, theirs = found.get(name), expected.get(name)
        if mine is None or theirs is None:
            state = "is missing" if mine is None else "belongs to no part of it"
            raise ValueError(f"the stored weights do not fit the configuration: {name} {state}")
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            raise ValueError(
                f"the stored weights do not fit the configuration: {name} is {mine.dtype} "
                f"{tuple(mine.shape)}, not {theirs.dtype} {tuple(theirs.shape)}"
            )


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Load the tensors under this prefix into the model.

    Raises:
        ValueError: names, shapes or types that do not fit the model.
    """
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    check_same_tensors(own, model.state_dict())
    model.load_state_dict(own)
