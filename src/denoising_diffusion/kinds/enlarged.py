"""Images that are drawn from smaller ones, several from each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from denoising_diffusion.checks import finite
from denoising_diffusion.config import PER_INPUT, Facts
from denoising_diffusion.data import Dataset
from denoising_diffusion.data.rows import first
from denoising_diffusion.kinds.base import Judgement, Names, Scoring, Shown
from denoising_diffusion.kinds.images import Images
from denoising_diffusion.metrics import Score
from denoising_diffusion.metrics.fidelity import psnr, ssim
from denoising_diffusion.report import Drawing, image_grid, to_uint8
from denoising_diffusion.super_resolution import bicubic, pooled

SHOWN = 4
"""Samples of each of the pictures that a run shows."""
PICTURES = 8
_LEVELS = 127.5


class Enlarged(Images):
    """Images (c, h, w) drawn from pictures (c, h / factor, w / factor).

    Args:
        facts: of the run.
        factor: how many times larger the images are.
    """

    def __init__(self, facts: Facts, factor: int) -> None:
        super().__init__(facts)
        self.factor = factor

    @property
    def low_shape(self) -> tuple[int, ...]:
        """The shape of a picture."""
        c, h, w = self.facts.shape
        return c, h // self.factor, w // self.factor

    def shown(self, *, preview: bool, unlabelled: bool) -> Shown:
        return Shown(PICTURES * SHOWN, ())

    def walked(self) -> Shown:
        return Shown(SHOWN * max(3, super().walked().num // SHOWN), ())

    def most(self, data: Dataset) -> int:
        return PER_INPUT * len(data.reference)

    def check(self, data: Dataset, num: int) -> None:
        if num % PER_INPUT:
            raise ValueError(
                f"num must be {PER_INPUT} samples for each of some pictures, got {num}"
            )
        super().check(data, num)

    def picture_beside(
        self, low: Tensor, x: Tensor, truth: Tensor | None, names: Sequence[str]
    ) -> Drawing:
        """A row per picture: itself, what was drawn from it, what is true if known, and bicubic.

        Args:
            low: (n, *low_shape) in [-1, 1].
            x: (n * k, c, h, w), k samples of each, in its order.
            truth: (n, c, h, w).
            names: of the pictures, drawn beside them; or none.
        """
        columns = [*x.view(len(low), -1, *x.shape[1:]).unbind(1)]
        heads = ["input", *["sample"] * len(columns)]
        if truth is not None:
            columns.append(truth)
            heads.append("truth")
        large = low.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)
        columns = [large, *columns, bicubic(low, self.factor)]
        images = to_uint8(torch.stack(columns, 1).flatten(0, 1))
        return image_grid.drawing(
            images, len(columns), column_names=[*heads, "bicubic"], row_names=names or None
        )

    def scores(self, samples: Tensor, names: Names, data: Dataset, how: Scoring) -> Judgement:
        """Samples, `PER_INPUT` for each of the first pictures of the reference, against these."""
        finite("samples", samples, "n", *data.shape)
        self.check(data, len(samples))
        truth = first(data.reference, len(samples) // PER_INPUT)[0].cpu()
        return Judgement(enlarged_scores(samples, truth, self.factor))


def enlarged_scores(samples: Tensor, truth: Tensor, factor: int) -> list[Score]:
    """Scores of samples (n * k, c, h, w), k for each true image (n, c, h, w); all in [-1, 1]."""
    low = pooled(truth, factor)
    each = samples.view(len(truth), -1, *truth.shape[1:])
    k = each.shape[1]
    mean, cubic = each.mean(1), bicubic(low, factor)
    scores: list[Score] = []
    for key, title, form, of in (("psnr", "PSNR", ".2f", psnr), ("ssim", "SSIM", ".4f", ssim)):
        value, interval = _mean_of(of(mean, truth))
        singles = torch.stack([of(x, truth) for x in each.unbind(1)])
        beside = {
            f"{key}_single": singles.mean().item(),
            f"{key}_bicubic": of(cubic, truth).mean().item(),
        }
        unit = " in dB" if key == "psnr" else ""
        text = f"{title}{unit}, mean of {k} samples"
        scores.append(Score(key, text, value, interval, beside, form))
    small = pooled(samples, factor).view(len(truth), k, *low.shape[1:])
    off = (small - low[:, None]) * _LEVELS
    drift = (each.mean((3, 4)) - low.mean((2, 3))[:, None]) * _LEVELS
    spread = each.std(1).square().mean().sqrt().item() * _LEVELS if k > 1 else None
    return [
        *scores,
        Score("consistency", "consistency, grey levels RMS", _rms(off), form=".2f"),
        Score("colour", "drift of a channel's mean, grey levels RMS", _rms(drift), form=".2f"),
        Score("colour_bias", "  its mean", drift.double().mean((0, 1)).tolist(), form="+.2f"),
        Score("spread", "spread of samples of one picture, grey levels", spread, form=".2f"),
    ]


def _mean_of(values: Tensor) -> tuple[float, float]:
    """The mean of values (n,), one per picture, and half the width of its 95 % interval."""
    spread = values.std().item() if len(values) > 1 else float("nan")
    return values.mean().item(), 1.96 * spread / len(values) ** 0.5


def _rms(x: Tensor) -> float:
    return x.double().square().mean().sqrt().item()
