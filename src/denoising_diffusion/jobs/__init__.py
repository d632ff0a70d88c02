"""Jobs: what each command does, as a function of a configuration and a folder."""

from denoising_diffusion.jobs.evaluation import evaluate_images, evaluate_points, table
from denoising_diffusion.jobs.prepare import read_data, with_facts
from denoising_diffusion.jobs.runs import (
    TrainResult,
    resume_run,
    sample_run,
    score,
    train_run,
)
from denoising_diffusion.jobs.sampling import SampleOptions, plan, read_npz
from denoising_diffusion.jobs.training import Diverged, Interrupted

__all__ = [
    "Diverged",
    "Interrupted",
    "SampleOptions",
    "TrainResult",
    "evaluate_images",
    "evaluate_points",
    "plan",
    "read_data",
    "read_npz",
    "resume_run",
    "sample_run",
    "score",
    "table",
    "train_run",
    "with_facts",
]
