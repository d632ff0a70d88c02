"""Denoisers and the functions that make one denoiser out of another."""

from denoising_diffusion.guidance.autoguidance import autoguided
from denoising_diffusion.guidance.classifier_free import (
    UNLABELLED,
    ClassifierFreeGuidance,
    drop_labels,
)
from denoising_diffusion.guidance.denoisers import Denoiser, Limit, bound, check_limits, clipped
from denoising_diffusion.guidance.interval import is_within, within_interval
from denoising_diffusion.guidance.thresholding import thresholded

__all__ = [
    "UNLABELLED",
    "ClassifierFreeGuidance",
    "Denoiser",
    "Limit",
    "autoguided",
    "bound",
    "check_limits",
    "clipped",
    "drop_labels",
    "is_within",
    "thresholded",
    "within_interval",
]
