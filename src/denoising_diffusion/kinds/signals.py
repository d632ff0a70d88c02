"""One-dimensional signals, kept in the user's own units."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import finite
from denoising_diffusion.config import NONE
from denoising_diffusion.data import Dataset, whole
from denoising_diffusion.data.rows import first
from denoising_diffusion.kinds.base import Judgement, Kind, Moved, Names, Scoring, Shown
from denoising_diffusion.kinds.influences import of_signals
from denoising_diffusion.metrics import Score
from denoising_diffusion.report import Drawing, plot_lines, thin
from denoising_diffusion.samplers import Step

if TYPE_CHECKING:
    from PIL.Image import Image

PER_PANEL = 5
"""Signals that are drawn over one another."""


class Signals(Kind):
    """Signals of shape (c, length)."""

    unit = "sig"
    drawing = "curves"

    def shown(self, *, preview: bool, unlabelled: bool) -> Shown:
        names = self.facts.class_names
        labels = (NONE, *names) if names and unlabelled else names
        return Shown(PER_PANEL * max(1, len(labels)), labels)

    def walked(self) -> Shown:
        return Shown(max(4, min(12, 2 * self.num_classes)), ())

    def default_num(self) -> int:
        return PER_PANEL * max(1, self.num_classes)

    def batch(self, on_cpu: bool) -> int:
        channels, length = self.facts.shape
        return max(1, min(2_000, 400_000 // (channels * length)))

    def encode(self, x: Tensor) -> np.ndarray:
        """(n, c, length) in the user's units: float64 where they lie off 0, else float32."""
        found = self._in_units(x).numpy()
        return found if self.facts.shift[0] else found.astype(np.float32)

    def decode(self, stored: np.ndarray) -> Tensor:
        if stored.ndim != 3 or stored.dtype.kind != "f":
            raise ValueError(
                f"samples must be float (n, c, length), got {stored.dtype} {stored.shape}"
            )
        x = torch.from_numpy(stored.astype(np.float64))
        return ((x - self.facts.shift[0]) / self.facts.scale[0]).float()

    def _in_units(self, x: Tensor) -> Tensor:
        return x.cpu().double() * self.facts.scale[0] + self.facts.shift[0]

    def picture(self, x: Tensor, names: Names) -> Drawing:
        """A panel for each class, some signals in each."""
        return _drawn(self._panels(x, names))

    def frames(self, steps: Sequence[Step], names: Names, of: str) -> "list[Image]":
        if of == "both":
            raise ValueError("states and estimates stand above each other for images alone")
        kept = [steps[i] for i in thin(len(steps))]
        return [
            _drawn(
                self._panels(s.x if of == "state" else s.x_start, names, f"  t = {s.t:g}")
            ).image()
            for s in kept
        ]

    def _panels(self, x: Tensor, names: Names, after: str = "") -> list[tuple[str, Tensor]]:
        signals = self._in_units(x)
        if names is None:
            return [(after.strip(), signals[:PER_PANEL])]
        order = [n for n in (NONE, *self.facts.class_names) if n in names]
        masks = {n: torch.tensor([v == n for v in names]) for n in order}
        titles = {NONE: "any"}
        return [(titles.get(n, n) + after, signals[m][:PER_PANEL]) for n, m in masks.items()]

    def scores(self, samples: Tensor, names: Names, data: Dataset, how: Scoring) -> Judgement:
        """How far the mean power spectrum lies from that of unseen data, over the classes' mean."""
        finite("samples", samples, "n", *data.shape)
        self.check(data, len(samples))
        unseen, seen = whole(data.reference), first(data.train, len(samples))
        if names is None or not data.labelled:
            return Judgement([_spectrum_score(samples, seen[0], unseen[0])])
        parts: dict[str, Score] = {}
        for k, name in enumerate(data.class_names, start=1):
            mine = torch.tensor([v == name for v in names])
            if bool(mine.any()):
                known, fresh = seen[0][seen[1] == k], unseen[0][unseen[1] == k]
                parts[name] = _spectrum_score(samples[mine], known, fresh)
        if not parts:
            raise ValueError(f"{data.name} are scored per class: draw samples with labels")
        named = [
            s._replace(
                key=f"classes.{name}.{s.key}",
                title=f"  {name}",
                beside={f"classes.{name}.{k}": v for k, v in s.beside.items()},
            )
            for name, s in parts.items()
        ]
        return Judgement([_mean(list(parts.values())), *named])

    def influences(self, samples: Tensor, names: Names, data: Dataset) -> list[Moved]:
        return of_signals(samples, names, data, power_spectra)


def _drawn(panels: list[tuple[str, Tensor]]) -> Drawing:
    return plot_lines.drawing(panels, columns=min(2, len(panels)))


def power_spectrum(x: Tensor) -> Tensor:
    """The mean over signals (n, c, length) of |DFT|² / length: (c, length // 2 + 1) float64."""
    return power_spectra(x).mean(0)


def power_spectra(x: Tensor) -> Tensor:
    """|DFT|² / length of signals (n, c, length): (n, c, length // 2 + 1) float64."""
    return torch.fft.rfft(x.double()).abs().square() / x.shape[-1]


def spectrum_error(x: Tensor, reference: Tensor) -> float:
    """Σ |P_x − P_ref| / Σ P_ref over channels and frequencies, of the mean power spectra P."""
    expected = power_spectrum(reference)
    return float((power_spectrum(x) - expected).abs().sum() / expected.sum())


def _spectrum_score(samples: Tensor, seen: Tensor, unseen: Tensor) -> Score:
    floor = spectrum_error(seen, unseen) if len(seen) else None
    value = spectrum_error(samples, unseen)
    return Score("spectrum_error", "error of the spectrum", value, None, {"floor": floor}, ".4f")


def _mean(scores: Sequence[Score]) -> Score:
    values = [s.value for s in scores if isinstance(s.value, float)]
    floors = [f for s in scores if (f := s.beside["floor"]) is not None]
    floor = sum(floors) / len(floors) if floors else None
    return scores[0]._replace(value=sum(values) / len(values), beside={"floor": floor})
