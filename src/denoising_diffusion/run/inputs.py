"""The pictures that samples of a super-resolution run are drawn from."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from denoising_diffusion.config import PER_INPUT, Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.data.rows import first
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import digest_of, digest_of_tensors
from denoising_diffusion.kinds import Kind
from denoising_diffusion.kinds.base import Names
from denoising_diffusion.kinds.enlarged import SHOWN, Enlarged
from denoising_diffusion.report import Drawing
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.given import Given
from denoising_diffusion.seeds import stream
from denoising_diffusion.super_resolution import given, noised, pooled


@dataclass(frozen=True)
class Inputs(Given):
    """Pictures, and how many samples are drawn from each, one after the other.

    Args:
        kind: of the run.
        count: the number of pictures.
        per_input: the number of samples of each.
        of: what the pictures are or are made from, in terms of JSON.
        load: gives them, (count, c, h, w) in [-1, 1]; called once, when they are needed.
        names: of the pictures; none where they have none.
        truth: the images that they were made from, (count, *shape), where these are known.
        level: of the noise that is added to them (see `super_resolution.low_resolution`).
    """

    kind: Enlarged
    count: int
    per_input: int
    of: Origin
    load: Callable[[], Tensor]
    names: tuple[str, ...] = ()
    truth: Tensor | None = None
    level: float = 0.0

    @cached_property
    def low(self) -> Tensor:
        """The pictures."""
        return self.load()

    @property
    def num(self) -> int:
        """The number of samples."""
        return self.count * self.per_input

    @property
    def origin(self) -> Origin:
        """Digests and numbers of them."""
        return {"inputs": {**self.of, "per_input": self.per_input, "level": self.level}}

    def named(self, stem: str) -> str:
        """The stem, and what tells these pictures from others."""
        digest = digest_of(json.dumps(self.origin).encode())
        return f"{stem}-from-{digest[:12]}"

    def labels(self, kind: Kind, wish: Sampling) -> Tensor | None:
        """Those of one picture are equal."""
        labels = kind.label_rows(wish.label, self.count)
        return None if labels is None else labels.repeat_interleave(self.per_input)

    def bound(
        self, model: GaussianDiffusion, seed: int, labels: Tensor | None
    ) -> tuple[GaussianDiffusion, Tensor | None]:
        """The model with the picture of every sample bound as its label, and these labels (num,).

        Args:
            model: of a super-resolution run.
            seed: decides the noise that is added to the pictures, apart for every sample.
            labels: the classes of the samples, (num,), where the run has any.
        """
        low = self.low.repeat_interleave(self.per_input, 0)
        if self.level:
            streams = (stream(seed, "low-resolution", i) for i in range(self.num))
            noise = torch.stack([torch.randn(low.shape[1:], generator=g) for g in streams])
            low = noised(low, torch.full((self.num,), self.level), noise)
        device = next(model.parameters(), low).device
        network = given(model.denoise_fn, low.to(device), self.level, labels)
        enlarging = GaussianDiffusion(
            model.schedule, model.data_shape, network, model.prediction, model.clip
        )
        return enlarging, 1 + torch.arange(self.num)

    def picture(self, x: Tensor, names: Names) -> Drawing:
        """Samples (num, *shape) beside the pictures that they were drawn from."""
        del names
        return self.kind.picture_beside(self.low, x, self.truth, self.names)


def held_out(run: Run, data: Dataset, num: int, per_input: int) -> Inputs | None:
    """As many images that the run never saw, made smaller; None for a run that enlarges nothing.

    Args:
        run: what is sampled.
        data: whose first reference images are taken.
        num: the number of samples.
        per_input: of each picture.
    """
    kind = run.kind
    if not isinstance(kind, Enlarged):
        return None
    truth = first(data.reference, max(1, num // per_input))[0].cpu()
    return of_pictures(kind, pooled(truth, kind.factor), per_input, truth=truth)


def shown_inputs(run: Run, wish: Sampling) -> tuple[Sampling, Inputs | None]:
    """A request for samples to show, and the `held_out` pictures that they are drawn from.

    Where fewer pictures were held out, the request is for as many samples as there are of them.
    """
    if run.config.factor is None:
        return wish, None
    found = held_out(run, run.data, wish.num or 0, SHOWN)
    return (wish, None) if found is None else (replace(wish, num=found.num), found)


def scored_inputs(run: Run, data: Dataset, num: int) -> Inputs | None:
    """Those that a run is scored with."""
    return None if run.config.factor is None else held_out(run, data, num, PER_INPUT)


def of_pictures(
    kind: Enlarged,
    low: Tensor,
    per_input: int,
    *,
    names: tuple[str, ...] = (),
    truth: Tensor | None = None,
) -> Inputs:
    """The inputs that these pictures (n, c, h, w) are."""
    stored = torch.from_numpy(kind.encode(low))
    of = {"sha256": digest_of_tensors({"pictures": stored}), "count": len(low)}
    return Inputs(kind, len(low), per_input, of, lambda: low, names, truth)
