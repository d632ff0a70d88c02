"""Pictures: grids of images, clouds of points, counts of classes, curves of loss, animations."""

from denoising_diffusion.report.confusion import pair_grid, plot_confusion, plot_label_histogram
from denoising_diffusion.report.gif import thin, write_gif
from denoising_diffusion.report.history import plot_history
from denoising_diffusion.report.images import grid_frames, image_grid, to_uint8
from denoising_diffusion.report.points import (
    closest_points,
    plot_distance,
    scatter_frame,
    scatter_panels,
)

__all__ = [
    "closest_points",
    "grid_frames",
    "image_grid",
    "pair_grid",
    "plot_confusion",
    "plot_distance",
    "plot_history",
    "plot_label_histogram",
    "scatter_frame",
    "scatter_panels",
    "thin",
    "to_uint8",
    "write_gif",
]
