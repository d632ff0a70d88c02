"""Metrics of features, neighbours and classes, and of how clouds of points lie."""

from denoising_diffusion.metrics.fidelity import psnr as psnr
from denoising_diffusion.metrics.fidelity import ssim as ssim
from denoising_diffusion.metrics.frechet import FeatureStatistics as FeatureStatistics
from denoising_diffusion.metrics.frechet import FrechetEstimate as FrechetEstimate
from denoising_diffusion.metrics.frechet import frechet_distance as frechet_distance
from denoising_diffusion.metrics.frechet import frechet_with_error as frechet_with_error
from denoising_diffusion.metrics.kernel import KernelEstimate as KernelEstimate
from denoising_diffusion.metrics.kernel import kernel_distance as kernel_distance
from denoising_diffusion.metrics.labels import class_proportions as class_proportions
from denoising_diffusion.metrics.labels import confusion_matrix as confusion_matrix
from denoising_diffusion.metrics.labels import proportion_error as proportion_error
from denoising_diffusion.metrics.neighbours import DensityCoverage as DensityCoverage
from denoising_diffusion.metrics.neighbours import Memorisation as Memorisation
from denoising_diffusion.metrics.neighbours import PrecisionRecall as PrecisionRecall
from denoising_diffusion.metrics.neighbours import density_coverage as density_coverage
from denoising_diffusion.metrics.neighbours import memorisation as memorisation
from denoising_diffusion.metrics.neighbours import nearest as nearest
from denoising_diffusion.metrics.neighbours import precision_recall as precision_recall
from denoising_diffusion.metrics.points import arc_histogram_tv as arc_histogram_tv
from denoising_diffusion.metrics.points import closest_on_curve as closest_on_curve
from denoising_diffusion.metrics.points import curve_distances as curve_distances
from denoising_diffusion.metrics.points import mean_curve_distance as mean_curve_distance
from denoising_diffusion.metrics.points import nearest_distance as nearest_distance
from denoising_diffusion.metrics.random_convolutions import (
    RandomConvolutions as RandomConvolutions,
)
from denoising_diffusion.metrics.score import Score as Score
from denoising_diffusion.metrics.score import table as table
from denoising_diffusion.metrics.score import to_json as to_json
from denoising_diffusion.metrics.sliced import Sliced as Sliced
from denoising_diffusion.metrics.sliced import directions as directions
from denoising_diffusion.metrics.sliced import sliced_wasserstein as sliced_wasserstein
from denoising_diffusion.metrics.sliced import wasserstein as wasserstein
from denoising_diffusion.metrics.whitened import Whitened as Whitened
