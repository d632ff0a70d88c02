"""Samplers: generators that walk x along a list of times with any denoiser."""

from denoising_diffusion.samplers.base import Sampler, Step, counted, last
from denoising_diffusion.samplers.ddim import ddim
from denoising_diffusion.samplers.ddpm import ddpm
from denoising_diffusion.samplers.grids import time_grid

__all__ = ["Sampler", "Step", "counted", "ddim", "ddpm", "last", "time_grid"]
