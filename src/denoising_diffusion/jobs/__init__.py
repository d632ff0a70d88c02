"""Jobs: what each command does, as a function of a configuration and a folder."""

from denoising_diffusion.jobs.evaluation import evaluate_points, table
from denoising_diffusion.jobs.image_scores import ImageScoring, evaluate_images
from denoising_diffusion.jobs.prepare import read_data, with_facts
from denoising_diffusion.jobs.runs import TrainResult, resume_run, train_run
from denoising_diffusion.jobs.sample_run import Outputs, sample_run
from denoising_diffusion.jobs.sampling import SampleOptions, plan, read_npz
from denoising_diffusion.jobs.scoring import draw_evaluation, score, score_samples
from denoising_diffusion.jobs.training import Diverged, Interrupted

__all__ = [
    "Diverged",
    "ImageScoring",
    "Interrupted",
    "Outputs",
    "SampleOptions",
    "TrainResult",
    "draw_evaluation",
    "evaluate_images",
    "evaluate_points",
    "plan",
    "read_data",
    "read_npz",
    "resume_run",
    "sample_run",
    "score",
    "score_samples",
    "table",
    "train_run",
    "with_facts",
]
