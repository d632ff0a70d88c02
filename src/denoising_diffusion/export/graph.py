"""A model as a graph of torch, and the comparison of what became of it with the model."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.export.estimate import Inputs, function_of, inputs_of
from denoising_diffusion.sampling import denoiser
from denoising_diffusion.super_resolution import given

TOLERANCE = 1e-4
"""The largest difference from torch, beside values of the size of x_start's largest."""


def graph_of(model: GaussianDiffusion) -> tuple[ExportedProgram, Inputs]:
    """The model with a batch of any size; a U-Net takes any size that its levels can halve."""
    inputs = inputs_of(model, 2)
    batch = Dim("batch")
    axes = ("height", "width")
    shapes: list[dict[int, Any]] = []
    for x, dims in zip(inputs.example, inputs.sizes, strict=True):
        whole = all(x.shape[i] % n == 0 and x.shape[i] > n for i, n in dims.items())
        sizes = dims if whole else {}
        names = axes if len(sizes) == 2 else ("length",)
        named = zip(names, sizes.items(), strict=False)
        shapes.append({0: batch} | {i: n * Dim(name) for name, (i, n) in named})
    program = torch.export.export(
        function_of(model),
        tuple(inputs.example),
        # Those behind x and t are one argument of forward's, which is absent without any.
        dynamic_shapes=(*shapes[:2], *([tuple(shapes[2:])] if shapes[2:] else [])),
        strict=False,
    )
    return program, inputs


def check_against(
    model: GaussianDiffusion, found: Callable[..., Tensor], what: str, batches: tuple[int, ...]
) -> float:
    """The largest difference of a function from the model, over its inputs of these batches.

    Raises:
        RuntimeError: it is beyond `TOLERANCE`, relative to the largest value where that is above 1.
    """
    found_off: list[Tensor] = []
    for seed, batch in enumerate(batches):
        inputs = inputs_of(model, batch, seed)
        expected = expected_of(model, inputs)
        off = (found(*inputs.example) - expected).abs() / expected.abs().amax().clamp(min=1)
        found_off.append(off.max())
    worst = torch.stack(found_off).max().item()  # which, unlike Python's, keeps what is no number
    if not worst <= TOLERANCE:
        raise RuntimeError(f"the {what} answers other than the model: it is {worst:.2g} off")
    return worst


@torch.no_grad()
def expected_of(model: GaussianDiffusion, inputs: Inputs) -> Tensor:
    """What the library itself answers, a sample at a time."""
    rows: list[Tensor] = []
    for values in zip(*(v.split(1) for v in inputs.example), strict=True):
        row = dict(zip(inputs.names, values, strict=True))
        asked, labels = model, row.get("labels")
        if "low" in row:
            network = given(model.denoise_fn, row["low"], row["level"].item(), labels)
            asked = GaussianDiffusion(
                model.schedule, model.data_shape, network, model.prediction, model.clip
            )
            labels = torch.ones(1, dtype=torch.long)
        scale = 1.0 if labels is None else row["guidance_scale"].item()
        denoise = denoiser(asked, labels=labels, guidance_scale=scale, clip=False)
        rows.append(denoise(row["x"], row["t"]))
    return torch.cat(rows)
