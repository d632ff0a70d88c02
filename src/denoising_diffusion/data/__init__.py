"""Data sets: points on known curves, a user's own points, images; loaded, split and scaled."""

from denoising_diffusion.data.classes import in_proportion
from denoising_diffusion.data.clusters import clustered
from denoising_diffusion.data.curves import CURVES, Curve
from denoising_diffusion.data.load import load_dataset
from denoising_diffusion.data.patterns import make_moons, make_patterns, make_s_curve, make_spiral
from denoising_diffusion.data.points import read_points
from denoising_diffusion.data.rows import Dataset, Rows, as_rows, whole
from denoising_diffusion.data.split import split_validation

__all__ = [
    "CURVES",
    "Curve",
    "Dataset",
    "Rows",
    "as_rows",
    "clustered",
    "in_proportion",
    "load_dataset",
    "make_moons",
    "make_patterns",
    "make_s_curve",
    "make_spiral",
    "read_points",
    "split_validation",
    "whole",
]
