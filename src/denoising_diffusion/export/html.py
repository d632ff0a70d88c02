"""One page that draws: the network, its schedule and all around it, for any browser."""

import base64
import hashlib
import math
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from denoising_diffusion.checks import one_of
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.export.estimate import Estimate, inputs_of
from denoising_diffusion.export.graph import expected_of
from denoising_diffusion.export.tape import Tape, tape_of
from denoising_diffusion.nn.super_resolution import SuperResolution

VALUES, MOST = 576, 16
"""Samples are drawn together that have at most so many values, in a square of at most so many."""

DRAWN = ("images", "points", "signals")
"""Kinds of data that the page can show."""

HALF, FULL = 1e-2, 1e-5
"""How far the page may be from torch in one evaluation, with weights in half precision and full."""


def html(model: GaussianDiffusion, metadata: dict[str, Any], *, float32: bool = False) -> bytes:
    """The page, which tests itself against torch's answer to one input whenever it is opened.

    Args:
        model: what draws.
        metadata: see `metadata_of`.
        float32: keep the weights as they are, at twice the size, rather than in half precision.

    Raises:
        ValueError: data that it cannot show, a model that needs pictures to draw from, an operation
            that the page cannot do, or weights that half precision would change too much.
    """
    if isinstance(model.denoise_fn, SuperResolution):
        raise ValueError("a page draws from noise alone, and this run enlarges pictures: take onnx")
    one_of("the data of a page", metadata["config"]["facts"]["kind"], DRAWN)
    side = min(MOST, max(1, math.isqrt(VALUES // math.prod(model.data_shape))))
    count = side**2
    estimate, names, example, answer = _example(model, count)
    tape = tape_of(estimate, example)
    if not float32:
        _check_half(estimate, example, answer)
    shown = {
        **_stored(tape, example, float32),
        "names": names,
        "test": {"given": [_text(v.double()) for v in example], "answer": _text(answer.double())},
        "kernel": base64.b64encode(_asset("kernel.wasm")).decode(),
        "tolerance": FULL if float32 else HALF,
        "count": count,
        "parameters": sum(p.numel() for p in model.parameters()),
        **metadata,
    }
    return _rendered(shown, metadata["config"]["facts"]["name"]).encode()


Example = tuple[Estimate, list[str], tuple[Tensor, ...], Tensor]


def _example(model: GaussianDiffusion, count: int) -> Example:
    """The estimate, the names of its inputs, random inputs at all kinds of times, the answer."""
    inputs = inputs_of(model, count)
    middle = 0.4 * model.num_timesteps + 0.5
    given = dict(zip(inputs.names, inputs.example, strict=True))
    given["t"] = torch.full((count,), middle)
    if "guidance_scale" in given:
        given["guidance_scale"] = torch.ones(count)
    asked = inputs._replace(example=tuple(given.values()))
    answer = expected_of(model, asked)
    given.pop("guidance_scale", None)
    estimate = Estimate(model).eval().requires_grad_(False)
    return estimate, list(given), tuple(given.values()), answer


def _check_half(estimate: Estimate, example: tuple[Tensor, ...], answer: Tensor) -> None:
    rounded = {k: v.half().float() for k, v in estimate.named_parameters()}
    with torch.no_grad():
        found = torch.func.functional_call(estimate, rounded, example)
    off = (found - answer).abs().max().item()
    if not off <= HALF:
        raise ValueError(
            f"half precision changes the answer by {off:.2g}, above {HALF:g}; take --float32"
        )


def _stored(tape: Tape, example: tuple[Tensor, ...], float32: bool) -> dict[str, Any]:
    """The tape in terms of JSON; numbers are little-endian, one after the other."""
    weights = [v.detach().flatten() for v in tape.weights.values()]
    constants = [v.detach().double().flatten() for v in tape.constants.values()]
    flat = torch.cat(weights).to(torch.float32 if float32 else torch.float16)
    return {
        "tape": [[i.op, i.given, i.number, i.shape, i.exact, i.how] for i in tape.instructions],
        "inputs": [list(v.shape) for v in example],
        "answer": tape.answer,
        "half": not float32,
        "weights": _text(flat),
        "weightShapes": [[n, list(v.shape)] for n, v in tape.weights.items()],
        "constants": _text(torch.cat(constants)),
        "constantShapes": [[n, list(v.shape)] for n, v in tape.constants.items()],
    }


def _text(values: Tensor) -> str:
    array = values.contiguous().numpy()
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _asset(name: str) -> bytes:
    return (resources.files("denoising_diffusion.export.page") / name).read_bytes()


def _rendered(shown: dict[str, Any], title: str) -> str:
    """The page; every text is escaped, and no script runs but our own, named by its digest."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    script = b"".join(map(_asset, ("network.js", "kernel.js", "walk.js", "page.js")))
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    return environment.from_string(_asset("page.html.j2").decode()).render(
        title=title,
        style=_asset("page.css").decode(),
        script=script.decode(),
        digest=digest,
        model=shown,
    )
