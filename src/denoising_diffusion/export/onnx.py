"""A graph of ONNX, for whatever runs these."""

import contextlib
import importlib
import io
import json
import logging
import warnings
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.export.graph import check_against, graph_of


def onnx(model: GaussianDiffusion, metadata: dict[str, Any]) -> bytes:
    """The model as ONNX, compared with torch in ONNX Runtime before it is returned.

    Raises:
        ValueError: the packages of the extra are not installed.
        RuntimeError: it answers other than the model.
    """
    needed = ("onnx", "onnxscript", "onnxruntime")
    try:
        *_, runtime = map(importlib.import_module, needed)
    except ImportError as error:
        raise ValueError(
            f"onnx needs the package {error.name}: pip install 'denoising-diffusion[export]'"
        ) from None
    program, inputs = graph_of(model)
    with _quietly():
        made = torch.onnx.export(program, input_names=inputs.names, output_names=["x_start"])
    assert made is not None
    for key, value in (metadata | {"inputs": inputs.names}).items():
        made.model.metadata_props[key] = value if isinstance(value, str) else json.dumps(value)
    content = made.model_proto.SerializeToString()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def found(*given: Tensor) -> Tensor:
        named = {n: v.numpy() for n, v in zip(inputs.names, given, strict=True)}
        return torch.from_numpy(session.run(["x_start"], named)[0])

    check_against(model, found, "graph", (1, 2, 5))
    return content


@contextlib.contextmanager
def _quietly() -> Generator[None]:
    """Without what the exporter prints and warns of: its steps, and its own deprecations."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
