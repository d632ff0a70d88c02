"""Train, sample, judge and look at small denoising diffusion models.

Every public name can be imported from here; naming it loads the module that holds it, and importing
the package alone loads nothing.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_MODULES = {
    "schedule": ("Schedule", "cosine_beta_schedule", "linear_beta_schedule"),
    "diffusion": ("GaussianDiffusion", "Prediction", "absolute_error", "squared_error"),
    "guidance": ("ClassifierFreeGuidance", "Denoiser", "clipped", "drop_labels"),
    "samplers": ("Step", "ddim", "ddpm", "time_grid"),
    "sampling": (
        "ddim_sample",
        "ddim_sample_loop",
        "p_sample",
        "p_sample_loop",
        "p_sample_loop_all",
    ),
    "training": ("TrainStep", "train"),
    "ema": ("EMA",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

if TYPE_CHECKING:
    from denoising_diffusion.diffusion import (
        GaussianDiffusion,
        Prediction,
        absolute_error,
        squared_error,
    )
    from denoising_diffusion.ema import EMA
    from denoising_diffusion.guidance import (
        ClassifierFreeGuidance,
        Denoiser,
        clipped,
        drop_labels,
    )
    from denoising_diffusion.samplers import Step, ddim, ddpm, time_grid
    from denoising_diffusion.sampling import (
        ddim_sample,
        ddim_sample_loop,
        p_sample,
        p_sample_loop,
        p_sample_loop_all,
    )
    from denoising_diffusion.schedule import (
        Schedule,
        cosine_beta_schedule,
        linear_beta_schedule,
    )
    from denoising_diffusion.training import TrainStep, train

__all__ = [
    "EMA",
    "ClassifierFreeGuidance",
    "Denoiser",
    "GaussianDiffusion",
    "Prediction",
    "Schedule",
    "Step",
    "TrainStep",
    "absolute_error",
    "clipped",
    "cosine_beta_schedule",
    "ddim",
    "ddim_sample",
    "ddim_sample_loop",
    "ddpm",
    "drop_labels",
    "linear_beta_schedule",
    "p_sample",
    "p_sample_loop",
    "p_sample_loop_all",
    "squared_error",
    "time_grid",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
