"""Scoring a run, or samples in a file."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from denoising_diffusion import distributed
from denoising_diffusion.config import RunConfig
from denoising_diffusion.data import Dataset
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.jobs import pictures
from denoising_diffusion.jobs.drawing import draw_file, origin
from denoising_diffusion.jobs.evaluation import evaluate_points
from denoising_diffusion.jobs.image_scores import (
    ImageScoring,
    check_comparable,
    evaluate_images,
)
from denoising_diffusion.jobs.sampling import Plan, read_npz
from denoising_diffusion.run import RunFolder


def draw_evaluation(
    folder: RunFolder, config: RunConfig, data: Dataset, model: GaussianDiffusion, chosen: Plan
) -> Path:
    """Draw the samples of a plan into the run's folder, or find them there; the .npz.

    Several processes draw together.

    Raises:
        ValueError: the plan's samples could not be compared with the data.
    """
    facts = folder.facts(config)
    if len(facts.shape) == 3:
        check_comparable(data, facts.shape, chosen.num)
    key = hashlib.sha256(json.dumps(origin(model, chosen), sort_keys=True).encode()).hexdigest()
    file = folder.samples / f"evaluation-{key[:12]}.npz"
    if not distributed.broadcast_object(_readable(file)):
        draw_file(model, facts, chosen, file)
    return file


def score(
    file: Path,
    data: Dataset,
    model: GaussianDiffusion,
    chosen: Plan,
    how: ImageScoring | None = None,
) -> dict[str, Any]:
    """Score the samples that `draw_evaluation` drew; pictures lie beside them.

    One process does this, outside `distributed.processes`: it may train classifiers.
    """
    samples, labels = read_npz(file)
    return score_samples(data, samples, labels, how, file.with_suffix("")) | {
        "parameters": sum(p.numel() for p in model.parameters()),
        "sampler": chosen.sampling.sampler,
        "steps": chosen.steps,
        "network_evaluations": chosen.network_evaluations,
    }


def _readable(file: Path) -> bool:
    try:
        read_npz(file)
    except ValueError:
        return False
    return True


def score_samples(
    data: Dataset,
    samples: np.ndarray,
    labels: Sequence[str] | None,
    how: ImageScoring | None,
    pictures_at: Path | None,
) -> dict[str, Any]:
    """Score what an .npz holds; pictures of images go to PATH-confusion.png and the like."""
    x = torch.from_numpy(samples)
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).float() / 127.5 - 1
        scores, evidence = evaluate_images(data, x, labels, how)
        if pictures_at is not None:
            pictures.evaluation_pictures(evidence, data.class_names, pictures_at)
    else:
        scores = evaluate_points(data, x.float(), labels)
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in scores.items()}
