"""A program of torch.export, for programs that have torch and not this library."""

import io
import json
from typing import Any

import torch
from torch import Tensor
from torch.export import load, save

from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.export.graph import check_against, graph_of

METADATA = "metadata.json"
"""The name of the metadata among the extra files of the archive."""


def pt2(model: GaussianDiffusion, metadata: dict[str, Any]) -> bytes:
    """The archive that `torch.export.load` reads, compared with the model before it is returned.

    Raises:
        RuntimeError: it answers other than the model.
    """
    program, inputs = graph_of(model)
    metadata = metadata | {"inputs": inputs.names}
    # Examples would be stored as a pickle.
    program._example_inputs = None
    file = io.BytesIO()
    save(program, file, extra_files={METADATA: json.dumps(metadata)})
    file.seek(0)
    loaded = load(file).module()

    def found(*given: Tensor) -> Tensor:
        with torch.no_grad():
            return loaded(*given)

    check_against(model, found, "program", (1, 2, 5))
    return file.getvalue()
