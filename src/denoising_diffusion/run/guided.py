"""The denoiser of a request: its guidance, and what keeps estimates in the range of the data."""

from torch import Tensor

from denoising_diffusion.config import Sampling
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import read_tensors
from denoising_diffusion.guidance import (
    ClassifierFreeGuidance,
    Denoiser,
    Limit,
    autoguided,
    bound,
    clipped,
    thresholded,
    within_interval,
)
from denoising_diffusion.run.build import build_diffusion
from denoising_diffusion.run.checkpoint import load_weights
from denoising_diffusion.run.folder import RAW, Run, weights_prefix


def guided(
    model: GaussianDiffusion,
    wish: Sampling,
    labels: Tensor | None,
    weak: GaussianDiffusion | None = None,
) -> Denoiser:
    """The denoiser of a completed request, which may leave the range of the data.

    Args:
        model: what is sampled.
        wish: how.
        labels: of the samples, (b,); None without classes.
        weak: the snapshot that autoguidance pushes away from.
    """
    given = () if labels is None else (labels,)
    plain = bound(model.denoise, *given)
    pushed = plain
    if weak is not None:
        pushed = autoguided(plain, bound(weak.denoise, *given), wish.autoguidance)
    elif labels is not None:
        pushed = ClassifierFreeGuidance(model.denoise, labels, wish.guidance_scale)
    if wish.guidance_interval is None:
        return pushed
    return within_interval(pushed, plain, model.schedule, *wish.guidance_interval)


def in_range(denoise: Denoiser, wish: Sampling, limits: tuple[Limit, Limit] | None) -> Denoiser:
    """The denoiser with its estimates kept in the range of the data, as the request says."""
    if not wish.clip:
        return denoise
    limits = limits or (-1.0, 1.0)
    if wish.threshold is None:
        return clipped(denoise, *limits)
    return thresholded(denoise, wish.threshold, *limits)


def snapshot(run: Run, beside: GaussianDiffusion) -> GaussianDiffusion:
    """The model with the weights that the run kept apart, where this one lies.

    Raises:
        ValueError: they are not there yet, or damaged.
    """
    if not run.snapshot_file.exists():
        raise ValueError(
            f"{run.path} has no {run.snapshot_file.name} to be guided by; it is written after "
            f"epoch {run.config.training.snapshot}"
        )
    model = build_diffusion(run.config)
    load_weights(model, read_tensors(run.snapshot_file).tensors, weights_prefix(RAW))
    return model.to(next(beside.parameters()).device).requires_grad_(False).eval()
