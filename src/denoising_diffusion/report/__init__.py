"""Pictures: grids of images, clouds of points, counts of classes, curves of loss, animations."""

from denoising_diffusion.report.animation import ANIMATIONS as ANIMATIONS
from denoising_diffusion.report.animation import as_animation as as_animation
from denoising_diffusion.report.animation import check_animation as check_animation
from denoising_diffusion.report.beside import beside as beside
from denoising_diffusion.report.beside import side_by_side as side_by_side
from denoising_diffusion.report.canvas import Canvas as Canvas
from denoising_diffusion.report.confusion import plot_confusion as plot_confusion
from denoising_diffusion.report.confusion import plot_label_histogram as plot_label_histogram
from denoising_diffusion.report.drawing import Drawing as Drawing
from denoising_diffusion.report.encoding import FORMATS as FORMATS
from denoising_diffusion.report.encoding import encoded as encoded
from denoising_diffusion.report.gif import as_gif as as_gif
from denoising_diffusion.report.gif import thin as thin
from denoising_diffusion.report.gif import write_gif as write_gif
from denoising_diffusion.report.history import plot_history as plot_history
from denoising_diffusion.report.images import grid_frames as grid_frames
from denoising_diffusion.report.images import image_grid as image_grid
from denoising_diffusion.report.images import pair_grid as pair_grid
from denoising_diffusion.report.images import to_uint8 as to_uint8
from denoising_diffusion.report.lines import plot_lines as plot_lines
from denoising_diffusion.report.points import closest_points as closest_points
from denoising_diffusion.report.points import plot_distance as plot_distance
from denoising_diffusion.report.points import scatter_frame as scatter_frame
