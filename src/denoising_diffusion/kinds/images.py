"""Images in [-1, 1], kept as bytes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import finite
from denoising_diffusion.data import Dataset
from denoising_diffusion.kinds.base import Judgement, Kind, Names, Scoring, Shown, square
from denoising_diffusion.kinds.image_scores import image_scores
from denoising_diffusion.report import grid_frames, image_grid, thin, to_uint8
from denoising_diffusion.samplers import Step

if TYPE_CHECKING:
    from PIL.Image import Image

PER_CLASS = 8
UNLABELLED = 16
"""Images in a picture of a run without classes."""
MOST_NAMED = 100
"""Above this number of images, asked for in no order of classes, names would fill the picture."""


class Images(Kind):
    """Images of shape (c, h, w), c 1 or 3."""

    unit = "img"
    half = True
    compares = True

    def shown(self, *, preview: bool, unlabelled: bool) -> Shown:
        per_class = PER_CLASS // 2 if preview else PER_CLASS
        return Shown(per_class * self.num_classes or UNLABELLED, ())

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

    def picture(self, x: Tensor, names: Names) -> "Image":
        """A row per class where classes came in turn, as many of each; else in their order."""
        images = to_uint8(x)
        columns = square(len(images))
        if names is None:
            return image_grid(images, columns)
        kinds = list(dict.fromkeys(names))
        in_turn = list(names) == kinds * (len(names) // len(kinds))
        if in_turn and len(names) > len(kinds):
            by_class = [i for k in range(len(kinds)) for i in range(k, len(names), len(kinds))]
            return image_grid(images[by_class], len(names) // len(kinds), row_names=kinds)
        return image_grid(images, columns, names=names if len(names) <= MOST_NAMED else None)

    def columns(self, count: int) -> int:
        """The columns of a frame of so many images."""
        return self.num_classes or square(count)

    def frames(self, steps: Sequence[Step], names: Names, of: str) -> "list[Image]":
        kept = [steps[i] for i in thin(len(steps))]
        captions = [f"t = {s.t:g}" for s in kept]
        if of == "both":
            pairs = [torch.cat([s.x, s.x_start]) for s in kept]
            return grid_frames(pairs, len(kept[0].x), captions, row_names=("x_t", "x_0"))
        columns = self.columns(len(kept[0].x))
        return grid_frames([s.x if of == "state" else s.x_start for s in kept], columns, captions)

    def most(self, data: Dataset) -> int:
        if not data.labelled:
            raise ValueError(f"data {data.name} has no classes to train a classifier on")
        return min(len(data.train), len(data.reference))

    def scores(self, samples: Tensor, names: Names, data: Dataset, how: Scoring) -> Judgement:
        finite("samples", samples, "n", *data.shape)
        self.check(data, len(samples))
        return image_scores(samples, names, data, how)

    def comparison(self, columns: Tensor, rows: Names, headings: Sequence[str]) -> "Image":
        images = to_uint8(columns.flatten(0, 1))
        return image_grid(images, columns.shape[1], row_names=rows, column_names=headings)
