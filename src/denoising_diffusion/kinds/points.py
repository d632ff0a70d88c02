"""Points in few dimensions, kept in the user's own units."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import finite
from denoising_diffusion.config import NONE
from denoising_diffusion.data import CURVES, Curve, Dataset, whole
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.kinds.base import Judgement, Kind, Names, Scoring, Shown, square
from denoising_diffusion.kinds.point_scores import point_scores
from denoising_diffusion.metrics import mean_curve_distance
from denoising_diffusion.metrics.points import closest_on_curve
from denoising_diffusion.report import (
    closest_points,
    plot_distance,
    scatter_frame,
    scatter_panels,
    thin,
)
from denoising_diffusion.samplers import Step
from denoising_diffusion.seeds import stream

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 1000
"""Points in a panel."""
PANELS = 5
_FORWARD_FRAMES = 50


class Points(Kind):
    """Points of shape (d,); the first two columns are drawn."""

    unit = "pt"
    fps = 8

    def shown(self, *, preview: bool, unlabelled: bool) -> Shown:
        names = self.facts.class_names
        labels = (NONE, *names) if names and unlabelled else names
        return Shown(SHOWN * max(1, len(labels)), labels)

    def default_num(self) -> int:
        return 1000 * max(1, self.num_classes)

    def batch(self, on_cpu: bool) -> int:
        return 10_000

    def encode(self, x: Tensor) -> np.ndarray:
        """(n, d) in the user's units: float64, or float32 where they are the model's own."""
        return self._in_units(x).numpy()

    def decode(self, stored: np.ndarray) -> Tensor:
        if stored.ndim != 2 or stored.dtype.kind != "f":
            raise ValueError(f"samples must be float (n, d), got {stored.dtype} {stored.shape}")
        scale, shift = self._scaling()
        return ((torch.from_numpy(stored.astype(np.float64)) - shift) / scale).float()

    def _scaling(self) -> tuple[Tensor, Tensor]:
        facts = self.facts
        scale, shift = (torch.tensor(v, dtype=torch.float64) for v in (facts.scale, facts.shift))
        return scale, shift

    def _in_units(self, x: Tensor) -> Tensor:
        if not any(self.facts.shift) and set(self.facts.scale) == {1.0}:
            return x.cpu().float()
        scale, shift = self._scaling()
        return x.cpu().double() * scale + shift

    def picture(self, x: Tensor, names: Names) -> "Image":
        """A panel for each class."""
        panels = self._panels(x, names)
        limits = _limits([p for _, p in panels])
        return scatter_frame(panels, columns=square(len(panels)), limits=limits)

    def frames(self, steps: Sequence[Step], names: Names, of: str) -> "list[Image]":
        if of == "both":
            raise ValueError("states and estimates stand above each other for images alone")
        states = [s.x if of == "state" else s.x_start for s in steps]
        limits = _limits([self._in_units(states[-1])])
        frames: list[Image] = []
        for i in thin(len(steps)):
            panels = [
                (f"{name}  t = {steps[i].t:g}".strip(), p)
                for name, p in self._panels(states[i], names)
            ]
            frames.append(scatter_frame(panels, columns=square(len(panels)), limits=limits))
        return frames

    def _panels(self, x: Tensor, names: Names) -> list[tuple[str, Tensor]]:
        points = self._in_units(x)
        if names is None:
            return [("", points[:SHOWN])]
        order = (NONE, *self.facts.class_names)
        rows = {n: [i for i, v in enumerate(names) if v == n] for n in order}
        return [
            ("any" if n == NONE else n, points[torch.tensor(r)][:SHOWN])
            for n, r in rows.items()
            if r
        ]

    def scores(self, samples: Tensor, names: Names, data: Dataset, how: Scoring) -> Judgement:
        finite("samples", samples, "n", *data.shape)
        self.check(data, len(samples))
        return point_scores(samples, names, data)

    def run_pictures(
        self, model: GaussianDiffusion, data: Dataset, steps: Sequence[Step]
    ) -> "dict[str, Image | list[Image]]":
        """The data drowning in noise; along a known curve, where the walk comes near it."""
        pictures = self._forward(model, whole(data.train)[0])
        if not data.class_names and data.name in CURVES:
            pictures |= self._approach(CURVES[data.name], steps)
        return pictures

    def _forward(self, model: GaussianDiffusion, data: Tensor) -> "dict[str, Image | list[Image]]":
        generator = stream(0, "forward")
        x = data[torch.randperm(len(data), generator=generator)[:SHOWN]]
        total = model.num_timesteps
        limits = _limits([self._in_units(x)])

        def noised(t: int) -> tuple[str, Tensor]:
            noise = torch.randn(x.shape, generator=generator)
            state = model.q_sample(x, torch.full((len(x),), t), noise)
            return f"t = {t}", self._in_units(state)

        shown = [max(1, -(-total * k // (PANELS - 1))) for k in range(PANELS)]
        frames = [i + 1 for i in thin(total, _FORWARD_FRAMES)]
        return {
            "forward.png": scatter_panels([noised(t) for t in shown], limits=limits),
            "forward.gif": [scatter_frame([noised(t)], limits=limits) for t in frames],
        }

    def _approach(self, curve: Curve, steps: Sequence[Step]) -> "dict[str, Image | list[Image]]":
        clouds = [self._in_units(s.x) for s in steps]
        shown = [round(i * (len(steps) - 1) / (PANELS - 1)) for i in range(PANELS)]
        polyline = curve.polyline()
        panels = [
            (f"t = {steps[i].t:g}", clouds[i], closest_on_curve(clouds[i], polyline)[0])
            for i in shown
        ]
        distances = [mean_curve_distance(c, curve) for c in clouds]
        walked = list(range(1, len(steps) + 1))
        return {
            "closest.png": closest_points(panels, curve.arc_points()),
            "distance.png": plot_distance(walked, distances, x_label="step"),
        }


def _limits(points: Sequence[Tensor]) -> tuple[float, float]:
    """The original's square (-2, 2) where it holds the cloud, else a square around it."""
    span = 1.1 * max(float(p.abs().max()) if p.numel() else 0.0 for p in points)
    return (-2.0, 2.0) if 0.4 < span <= 2 else (-span, span)
