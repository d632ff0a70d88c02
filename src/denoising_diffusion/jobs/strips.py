"""Pictures that compare: guidance from the same noise, and data on its way into noise."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from denoising_diffusion.config import DataFacts, RunConfig
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.jobs.pictures import save_picture
from denoising_diffusion.jobs.prepare import read_data
from denoising_diffusion.jobs.sampling import Plan, SampleOptions, draw, plan
from denoising_diffusion.report import image_grid, to_uint8
from denoising_diffusion.seeds import stream

SCALES = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""The guidance scales of a strip."""
PANELS = 6


def guidance_plans(config: RunConfig, facts: DataFacts, options: SampleOptions) -> list[Plan]:
    """One plan per guidance scale, of one sample for every label; their noise is the same.

    Raises:
        ValueError: no images, as `plan`, or a number or a scale, which are the strip's own.
    """
    _check_images(facts)
    if options.num is not None or options.guidance_scale is not None:
        raise ValueError(
            "a strip or grid of guidance scales takes no --num and no --guidance-scale"
        )
    labels = options.labels or facts.class_names
    chosen = replace(options, labels=labels)
    if not facts.class_names:
        raise ValueError("guidance needs a run with classes")
    return [
        plan(config, facts, replace(chosen, guidance_scale=scale), len(labels)) for scale in SCALES
    ]


def guidance_grid(
    model: GaussianDiffusion, plans: list[Plan], names: tuple[str, ...], out: Path
) -> None:
    """A picture with a row per label and a column per plan."""
    columns = torch.stack([_same_noise(model, p) for p in plans], dim=1)
    title = "guidance  " + ", ".join(f"{p.sampling.guidance_scale:g}" for p in plans)
    save_picture(
        out,
        image_grid(to_uint8(columns.flatten(0, 1)), len(plans), row_names=names, title=title),
    )


def _same_noise(model: GaussianDiffusion, plan: Plan) -> Tensor:
    """The plan's samples, (num, c, h, w), all from the noise of sample 0."""
    assert plan.labels is not None
    return torch.cat(
        [draw(model, replace(plan, num=1, labels=label[None])) for label in plan.labels]
    )


def forward_strip(
    model: GaussianDiffusion, config: RunConfig, facts: DataFacts, options: SampleOptions, out: Path
) -> None:
    """A picture of training images at times from 1 to T, a row per label, or of one image.

    Raises:
        ValueError: no images, or an unknown label.
    """
    _check_images(facts)
    data = read_data(config)
    rows = [0]
    if options.labels:
        assert data.train_labels is not None
        for name in options.labels:
            if name not in data.class_names:
                raise ValueError(f"unknown label {name!r}; known are {', '.join(data.class_names)}")
        wanted = [data.class_names.index(n) for n in options.labels]
        rows = [int((data.train_labels == k).nonzero()[0]) for k in wanted]
    x = data.train[torch.tensor(rows)]
    total = model.num_timesteps
    times = [max(1, round(total * i / (PANELS - 1))) for i in range(PANELS)]
    noise = torch.randn(x.shape, generator=stream(options.seed, "forward"))
    panels = [model.q_sample(x, torch.full((len(x),), t), noise) for t in times]
    grid = torch.stack(panels, dim=1).flatten(0, 1)
    title = "t = " + ", ".join(map(str, times))
    names = options.labels or None
    save_picture(out, image_grid(to_uint8(grid), PANELS, row_names=names, title=title))


def _check_images(facts: DataFacts) -> None:
    if len(facts.shape) != 3:
        raise ValueError("strips and grids are pictures of images; this run has points")
