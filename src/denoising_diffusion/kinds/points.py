"""Points in few dimensions, kept in the user's own units."""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import finite
from denoising_diffusion.config import NONE, Facts
from denoising_diffusion.data import Curve, Dataset, whole
from denoising_diffusion.data.patterns import curves_of
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.kinds.base import Judgement, Kind, Moved, Names, Scoring, Shown, square
from denoising_diffusion.kinds.influences import of_points
from denoising_diffusion.kinds.point_scores import point_scores
from denoising_diffusion.metrics import mean_curve_distance
from denoising_diffusion.metrics.points import closest_on_curve
from denoising_diffusion.report import (
    Canvas,
    Drawing,
    closest_points,
    plot_distance,
    side_by_side,
    thin,
)
from denoising_diffusion.report.canvas import MOST_COLUMNS
from denoising_diffusion.samplers import Step
from denoising_diffusion.seeds import stream

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 1000
"""Points in a panel."""
PREVIEWED = 500
"""Points in a preview of a user's data."""
PANELS = 5
_MOVING = 500
"""Points in an animation of a user's data: a second for sixty frames."""
_WALKED = 400
"""Points of a walk on a page."""
_BEHIND = 2000
"""Points of the data behind them."""
_FORWARD_FRAMES = 50
_SQUARE = ((-2.0, 2.0), (-2.0, 2.0))
"""The original's limits, for the built-in curves."""


class Points(Kind):
    """Points of shape (d,)."""

    unit = "pt"
    drawing = "points"
    fps = 8
    backdrop = True
    suffixes: ClassVar[tuple[str, ...]] = (*Kind.suffixes, ".csv", ".npy")

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._data: Tensor | None = None
        self._canvases: dict[tuple[bool, bool, bool], Canvas] = {}
        known = facts.class_names or (facts.name,)
        self._on_curves = any(name in curves_of(facts.name) for name in known)

    def show_behind(self, data: Dataset) -> None:
        """Draw pictures over the training data of a user; the built-in curves are known."""
        if not self._on_curves and self._data is None:
            self._data = self._in_units(_some(whole(data.train)[0], _BEHIND)).double()
            self._canvases.clear()

    def shown(self, *, preview: bool, unlabelled: bool) -> Shown:
        names = self.facts.class_names
        if not self._on_curves:
            return Shown(PREVIEWED if preview else SHOWN, names)
        labels = (NONE, *names) if names and unlabelled else names
        return Shown(SHOWN * max(1, len(labels)), labels)

    def walked(self) -> Shown:
        return Shown(_WALKED, ())

    def axes(self) -> Sequence[tuple[str, float, float]]:
        limits = zip(column_names(self.facts), self._limits(), strict=True)
        return [(name, low, high) for name, (low, high) in limits]

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

    def table(self, x: Tensor, names: Names, suffix: str) -> bytes:
        """.npy of `encode`, or .csv under the names of the columns: numbers as short as they are
        exact, and a column "label" where there are classes.
        """
        values, content = self.encode(x), io.BytesIO()
        if suffix == ".npy":
            np.lib.format.write_array(content, values, allow_pickle=False)
            return content.getvalue()
        text = io.TextIOWrapper(content, encoding="utf-8", newline="")
        rows = csv.writer(text, lineterminator="\n")
        extra = [] if names is None else [[name] for name in names]
        rows.writerow([*column_names(self.facts), *(["label"] if extra else [])])
        for i, row in enumerate(values):
            rows.writerow([*(str(v) for v in row), *(extra[i] if extra else [])])
        text.flush()
        return content.getvalue()

    def _scaling(self) -> tuple[Tensor, Tensor]:
        facts = self.facts
        scale, shift = (torch.tensor(v, dtype=torch.float64) for v in (facts.scale, facts.shift))
        return scale, shift

    def _in_units(self, x: Tensor) -> Tensor:
        if not any(self.facts.shift) and set(self.facts.scale) == {1.0}:
            return x.cpu().float()
        scale, shift = self._scaling()
        return x.cpu().double() * scale + shift

    def picture(self, x: Tensor, names: Names) -> Drawing:
        """Points over the data; a panel for each class of the built-in curves."""
        return self._drawn(self._canvas(names), x, names, "")

    def frames(self, steps: Sequence[Step], names: Names, of: str) -> "list[Image]":
        if of == "both":
            raise ValueError("states and estimates stand above each other for images alone")
        canvas, few = self._canvas(names, moving=True), None if self._on_curves else _MOVING
        names = names and names[:few]
        return [
            self._drawn(
                canvas, (s.x if of == "state" else s.x_start)[:few], names, f"t = {s.t:g}"
            ).image()
            for s in (steps[i] for i in thin(len(steps)))
        ]

    def _canvas(self, names: Names = None, *, moving: bool = False, bare: bool = False) -> Canvas:
        """Axes for one picture, for those of an animation, or bare ones for a row; made once."""
        several = self._on_curves and names is not None and len(set(names)) > 1
        key = (moving, bare, several)
        if key not in self._canvases:
            classes = () if self._on_curves or bare else self.facts.class_names
            columns = min(*self.facts.shape, 3 if bare else 5 if moving else MOST_COLUMNS)
            least, each = (340 if several else 440), (100 if moving else 130)
            self._canvases[key] = Canvas(
                column_names(self.facts),
                self._limits(),
                behind=None if bare else self._data,
                classes=classes,
                side=180 if bare else max(least, each * columns),
                most=max(2, columns),
                bare=bare,
            )
        return self._canvases[key]

    def _limits(self) -> Sequence[tuple[float, float]]:
        """Where the data lies, without its furthest two hundredths, and some room around."""
        if self._on_curves:
            return _SQUARE
        if self._data is None:
            low, high = self._in_units(torch.full((2, *self.facts.shape), 3.0)).unbind()
            low = 2 * torch.tensor(self.facts.shift, dtype=torch.float64) - high
        else:
            ends = torch.tensor([0.005, 0.995], dtype=torch.float64)
            low, high = self._data.quantile(ends, dim=0)
        # A column that hardly ever moves still has limits.
        room = torch.maximum(0.15 * (high - low), 0.5 * self._scaling()[0])
        return list(zip((low - room).tolist(), (high + room).tolist(), strict=True))

    def _drawn(self, canvas: Canvas, x: Tensor, names: Names, title: str) -> Drawing:
        points = self._in_units(x)
        order = (NONE, *self.facts.class_names)
        labels = None if names is None else torch.tensor([order.index(n) for n in names])
        if labels is None or not self._on_curves:
            labels = None if labels is None else labels[: 2 * SHOWN]
            return canvas.drawing(points[: 2 * SHOWN], title, labels)
        parts = [
            canvas.drawing(
                points[labels == k][:SHOWN],
                f"{'any' if name == NONE else name}  {title}".strip(),
            )
            for k, name in enumerate(order)
            if bool((labels == k).any())
        ]
        return side_by_side(parts, square(len(parts)))

    def scores(self, samples: Tensor, names: Names, data: Dataset, how: Scoring) -> Judgement:
        finite("samples", samples, "n", *data.shape)
        self.check(data, len(samples))
        return point_scores(samples, names, data)

    def influences(self, samples: Tensor, names: Names, data: Dataset) -> list[Moved]:
        return of_points(samples, names, data)

    def run_pictures(
        self, model: GaussianDiffusion, data: Dataset, steps: Sequence[Step]
    ) -> "dict[str, Drawing | list[Image]]":
        """The data drowning in noise; along a known curve, where the walk comes near it."""
        pictures = self._forward(model, whole(data.train)[0])
        curve = curves_of(data.name).get(data.name)
        if curve is not None:
            pictures |= self._approach(curve, steps)
        return pictures

    def _forward(
        self, model: GaussianDiffusion, data: Tensor
    ) -> "dict[str, Drawing | list[Image]]":
        generator = stream(0, "forward")
        x = _some(data, SHOWN if self._on_curves else _MOVING)
        total = model.num_timesteps
        canvas, small = self._canvas(moving=True), self._canvas(bare=True)

        def noised(canvas: Canvas, t: int) -> Drawing:
            noise = torch.randn(x.shape, generator=generator)
            state = model.q_sample(x, torch.full((len(x),), t), noise)
            return canvas.drawing(self._in_units(state), f"t = {t}")

        shown = [max(1, -(-total * k // (PANELS - 1))) for k in range(PANELS)]
        frames = [i + 1 for i in thin(total, _FORWARD_FRAMES)]
        return {
            "forward.png": side_by_side([noised(small, t) for t in shown], PANELS),
            "forward.gif": [noised(canvas, t).image() for t in frames],
        }

    def _approach(self, curve: Curve, steps: Sequence[Step]) -> "dict[str, Drawing | list[Image]]":
        clouds = [self._in_units(s.x) for s in steps]
        shown = [round(i * (len(steps) - 1) / (PANELS - 1)) for i in range(PANELS)]
        polyline = curve.polyline()
        panels = [
            (f"t = {steps[i].t:g}", clouds[i], closest_on_curve(clouds[i], polyline)[0])
            for i in shown
        ]
        distances = [mean_curve_distance(c, curve) for c in clouds]
        walked = list(range(len(steps)))
        return {
            "closest.png": closest_points.drawing(panels, curve.arc_points()),
            "distance.png": plot_distance.drawing(walked, distances, x_label="step"),
        }


def column_names(facts: Facts) -> tuple[str, ...]:
    """The names of the columns: those of the file, else x, y, z, or x1, x2, ... of more."""
    (count,) = facts.shape
    if facts.columns:
        return facts.columns
    return ("x", "y", "z")[:count] if count <= 3 else tuple(f"x{i + 1}" for i in range(count))


def _some(x: Tensor, count: int) -> Tensor:
    """As many rows, drawn without order, or all of them."""
    return x[torch.randperm(len(x), generator=stream(0, "forward"))[:count]]
