"""Runs: the folder in which one lives, and what can be done with it."""

from denoising_diffusion.run.folder import Run, load

__all__ = ["Run", "load"]
