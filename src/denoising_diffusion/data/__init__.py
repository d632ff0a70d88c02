"""Data sets: points on known curves, a user's own points, digits; loaded, split and scaled."""

from denoising_diffusion.data.cache import cache_folder
from denoising_diffusion.data.curves import CURVES, Curve
from denoising_diffusion.data.dataset import Dataset, load_dataset
from denoising_diffusion.data.points import (
    make_moons,
    make_patterns,
    make_s_curve,
    make_spiral,
    read_points,
)
from denoising_diffusion.data.split import split_validation

__all__ = [
    "CURVES",
    "Curve",
    "Dataset",
    "cache_folder",
    "load_dataset",
    "make_moons",
    "make_patterns",
    "make_s_curve",
    "make_spiral",
    "read_points",
    "split_validation",
]
