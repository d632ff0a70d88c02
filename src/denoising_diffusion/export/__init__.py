"""A trained model for those who have no Python, or nothing of this library: a file per target."""

from denoising_diffusion.export.export import export_run

__all__ = ["export_run"]
