"""Filling and undoing: a denoiser made to agree with what was observed of a sample."""

from denoising_diffusion.restoration.dps import dps
from denoising_diffusion.restoration.operators import (
    Mask,
    Operator,
    Separable,
    average_pooling,
    blur,
    grey_from_colour,
)
from denoising_diffusion.restoration.pigdm import pigdm
from denoising_diffusion.restoration.replacement import replacement

__all__ = [
    "Mask",
    "Operator",
    "Separable",
    "average_pooling",
    "blur",
    "dps",
    "grey_from_colour",
    "pigdm",
    "replacement",
]
