"""Images in [-1, 1], kept as bytes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import finite
from denoising_diffusion.data import Dataset
from denoising_diffusion.dequantisation import grey_levels
from denoising_diffusion.kinds.arranged import arranged, paired
from denoising_diffusion.kinds.base import Judgement, Kind, Moved, Names, Scoring, Shown
from denoising_diffusion.kinds.image_scores import image_scores
from denoising_diffusion.kinds.influences import of_images
from denoising_diffusion.report import Drawing, grid_frames, image_grid, thin, to_uint8
from denoising_diffusion.samplers import Step

if TYPE_CHECKING:
    from PIL.Image import Image

PER_CLASS = 8
UNLABELLED = 16
"""Images in a picture of a run without classes."""
_WALKED_PIXELS = 24_000
"""Of all images of a walk together."""


class Images(Kind):
    """Images of shape (c, h, w), c 1 or 3."""

    unit = "img"
    drawing = "tiles"
    half = True
    compares = True

    def shown(self, *, preview: bool, unlabelled: bool) -> Shown:
        per_class = PER_CLASS // 2 if preview else PER_CLASS
        return Shown(per_class * self.num_classes or UNLABELLED, ())

    def walked(self) -> Shown:
        pixels = self.facts.shape[-1] * self.facts.shape[-2]
        num = max(12, min(60, _WALKED_PIXELS // pixels))
        few = 0 < self.num_classes <= num
        return Shown(num // self.num_classes * self.num_classes if few else num, ())

    def default_num(self) -> int:
        return self.shown(preview=False, unlabelled=False).num

    def batch(self, on_cpu: bool) -> int:
        pixels = self.facts.shape[-1] * self.facts.shape[-2]
        return max(1, min(2_000, (400_000 if on_cpu else 4_000_000) // pixels))

    def encode(self, x: Tensor) -> np.ndarray:
        """uint8 (n, h, w, c)."""
        return to_uint8(x)

    def decode(self, stored: np.ndarray) -> Tensor:
        if stored.ndim != 4 or stored.dtype != np.uint8:
            raise ValueError(
                f"samples must be uint8 (n, h, w, c), got {stored.dtype} {stored.shape}"
            )
        return torch.from_numpy(stored.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1

    def levels(self, x: Tensor) -> int | None:
        return grey_levels(x)

    def picture(self, x: Tensor, names: Names) -> Drawing:
        """As square as it can be: rows of one class, or in order with a name above each image."""
        place = arranged(len(x), names)
        images = to_uint8(place.of(x))
        return image_grid.drawing(
            images, place.columns, row_names=place.row_names, names=place.names
        )

    def frames(self, steps: Sequence[Step], names: Names, of: str) -> "list[Image]":
        """The images of `picture`, at every time."""
        kept = [steps[i] for i in thin(len(steps))]
        captions = [f"t = {s.t:g}" for s in kept]
        place = paired(len(kept[0].x), names) if of == "both" else arranged(len(kept[0].x), names)
        return grid_frames(
            [place.of(_seen(s, of)) for s in kept],
            place.columns,
            captions,
            row_names=place.row_names,
            names=place.names,
        )

    def most(self, data: Dataset) -> int:
        return min(len(data.train), len(data.reference))

    def scores(self, samples: Tensor, names: Names, data: Dataset, how: Scoring) -> Judgement:
        finite("samples", samples, "n", *data.shape)
        self.check(data, len(samples))
        return image_scores(samples, names, data, how)

    def influences(self, samples: Tensor, names: Names, data: Dataset) -> list[Moved]:
        return of_images(samples, names, data)

    def comparison(self, columns: Tensor, rows: Names, headings: Sequence[str]) -> Drawing:
        images = to_uint8(columns.flatten(0, 1))
        return image_grid.drawing(images, columns.shape[1], row_names=rows, column_names=headings)


def _seen(step: Step, of: str) -> Tensor:
    parts = {"state": (step.x,), "estimate": (step.x_start,), "both": (step.x, step.x_start)}
    return torch.cat(parts[of])
