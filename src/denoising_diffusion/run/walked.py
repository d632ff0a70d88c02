"""What a page draws of a run's samples: the walk, real ones beside them, the nearest ones."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoising_diffusion.config import Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.data.rows import first
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.kinds.enlarged import SHOWN
from denoising_diffusion.metrics import memorisation
from denoising_diffusion.report import thin
from denoising_diffusion.report.page.values import packed, sheet
from denoising_diffusion.run.animate import walked
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.inputs import Inputs, shown_inputs
from denoising_diffusion.run.request import completed, has_means, names_of
from denoising_diffusion.samplers import Step
from denoising_diffusion.sampling import denoiser

SCALES = (0.0, 1.0, 2.0)
TIMES = 21
_LEGEND = 6
_FIELD = 17
_HEADS = 12
_NEAREST = 12
_REAL = 1_000
_TRIED = (
    (1.0, 64, 1),
    (1.0, 16, 1),
    (1.0, 8, 1),
    (0.5, 8, 1),
    (0.5, 8, 2),
    (0.25, 8, 2),
    (0, 6, 4),
)
"""Shares of the samples, levels of a channel, one in how many times: tried until a walk fits."""


@dataclass(frozen=True)
class Walk:
    """The states of the same samples at several guidance scales.

    Args:
        wish: the completed request.
        scales: of each walk.
        steps: of each walk, on the CPU.
        names: the class of each sample.
        inputs: what they are drawn from, of a super-resolution run.
    """

    wish: Sampling
    scales: list[float]
    steps: list[list[Step]]
    names: list[str] | None
    inputs: Inputs | None

    @property
    def samples(self) -> Tensor:
        """What the run draws by itself."""
        return self.steps[self.scales.index(self.wish.guidance_scale)][-1].x


def wish_of(run: Run) -> Sampling:
    """The completed request of the samples that a page shows."""
    num, labels = run.kind.walked()
    return completed(run, replace(run.config.sampling, num=num, label=labels))


def scales_of(run: Run) -> list[float]:
    """The guidance scales at which a page shows the walk, the run's own one among them."""
    own = run.config.sampling.guidance_scale
    guided = run.kind.num_classes > 0 and run.config.training.label_dropout > 0 and has_means(run)
    return sorted({own, *SCALES}) if guided and run.config.factor is None else [own]


def walk_of(run: Run, model: GaussianDiffusion) -> Walk:
    """Draw the samples of a page, at some of their times.

    Raises:
        ValueError: of a super-resolution run whose data is not there.
    """
    wish, inputs = shown_inputs(run, wish_of(run))
    scales, shown = scales_of(run), set(thin((wish.steps or 0) + 1, TIMES))

    def steps(scale: float) -> list[Step]:
        guided = replace(wish, guidance_scale=scale)
        states = enumerate(walked(run, model, guided, inputs))
        return [Step(s.t, s.x.cpu(), s.x_start.cpu()) for i, s in states if i in shown]

    return Walk(wish, scales, [steps(s) for s in scales], names_of(run, wish, inputs), inputs)


def shown_walk(run: Run, model: GaussianDiffusion, walk: Walk, budget: int) -> dict[str, Any]:
    """A walk as the page's script takes it, in at most so many bytes."""
    times = [_time(model, step.t) for step in walk.steps[0]]
    common = {"drawing": run.kind.drawing, "times": times, "field": None, "legend": []}
    if run.kind.drawing == "tiles":
        return {**common, **_tiles(run, walk, times, budget)}
    encode = run.kind.encode
    tabs = [
        {
            **_tab(walk, scale),
            "state": packed(np.stack([encode(s.x) for s in steps])),
            "estimate": packed(np.stack([encode(s.x_start) for s in steps])),
        }
        for scale, steps in zip(walk.scales, walk.steps, strict=True)
    ]
    return {**common, **_numbers(run, walk), "tabs": tabs, "field": _field(run, model, walk)}


def _time(model: GaussianDiffusion, t: float) -> dict[str, Any]:
    alpha, sigma = (float(v) for v in model.schedule(t))
    norm = alpha**2 + sigma**2
    return {
        "t": f"{t:g}",
        "signal": round(100 * alpha**2 / norm),
        "noise": round(100 * sigma**2 / norm),
    }


def _tiles(run: Run, walk: Walk, times: list[Any], budget: int) -> dict[str, Any]:
    count, classes = len(walk.samples), run.kind.num_classes
    kept, every, tabs = count, 1, list[dict[str, str]]()
    for share, levels, every in _TRIED:
        kept = max(2, int(count * share))
        for block in (SHOWN if walk.inputs else 1, classes if walk.names else 1):
            kept = kept // block * block or kept
        tabs = [
            {
                **_tab(walk, scale),
                "state": _sheet(run, [s.x[:kept] for s in steps], levels, every),
                "estimate": _sheet(run, [s.x_start[:kept] for s in steps], levels, every),
            }
            for scale, steps in zip(walk.scales, walk.steps, strict=True)
        ]
        if sum(len(tab["state"]) + len(tab["estimate"]) for tab in tabs) <= budget:
            break
    return {**_layout(run, walk, kept), "tabs": tabs, "times": _some(times, every)}


def _tab(walk: Walk, scale: float) -> dict[str, Any]:
    return {"scale": f"{scale:g}", "own": scale == walk.wish.guidance_scale}


def _sheet(run: Run, rows: list[Tensor], levels: int, every: int) -> str:
    return sheet([run.kind.encode(x) for x in _some(rows, every)], levels)


def _some(rows: list[Any], every: int) -> list[Any]:
    """One in so many rows, the last one among them."""
    return rows[::-1][::every][::-1]


def _layout(run: Run, walk: Walk, count: int) -> dict[str, Any]:
    """Where tiles stand: a column for each of a few classes, its name above."""
    names, classes = walk.names, run.kind.num_classes
    heads = None
    columns = SHOWN if walk.inputs else max(1, round(count**0.5))
    if names and walk.inputs is None and 1 < classes <= min(_HEADS, count):
        columns, heads = classes, names[:classes]
    return {
        "tile": list(run.facts.shape[-2:]),
        "columns": columns,
        "heads": heads,
        "order": list(range(count)),
    }


def _numbers(run: Run, walk: Walk) -> dict[str, Any]:
    """How points and signals are drawn: axes, colours, and the names of these."""
    order = list(run.facts.class_names)
    groups = [order.index(n) if n in order else 0 for n in walk.names] if walk.names else None
    found: dict[str, Any] = {
        "axes": [list(axis) for axis in run.kind.axes()],
        "count": len(walk.samples),
        "groups": groups,
        "legend": order if groups and len(order) <= _LEGEND else [],
    }
    if run.kind.drawing == "curves":
        values = run.kind.encode(walk.samples)
        room = 0.25 * float(values.max() - values.min()) or 1.0
        channels, length = run.facts.shape
        found |= {"channels": channels, "length": length}
        found["range"] = [float(values.min()) - room, float(values.max()) + room]
    return found


@torch.no_grad()
def _field(run: Run, model: GaussianDiffusion, walk: Walk) -> dict[str, Any] | None:
    """Where the network would move a point on a lattice, at each time; for two columns alone."""
    axes = run.kind.axes()
    unlabelled = run.kind.num_labels == 0 or run.config.training.label_dropout > 0
    if len(axes) != 2 or not unlabelled:
        return None
    across, up = (np.linspace(low, high, _FIELD + 2)[1:-1] for _, low, high in axes)
    at = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    device = next(model.parameters(), torch.empty(0)).device
    x = run.kind.decode(at).to(device)
    labels = torch.zeros(len(x), dtype=torch.int64) if run.kind.num_labels else None
    estimate = denoiser(model, labels=labels, clip=walk.wish.clip)
    to: list[NDArray[Any]] = []
    for step in walk.steps[0]:
        t = torch.full((len(x),), max(step.t, 1e-3), device=device)
        to.append(run.kind.encode(estimate(x, t).cpu()))
    return {"at": packed(at), "to": packed(np.stack(to))}


def real_like(run: Run, walk: Walk) -> Tensor:
    """Data that was never trained on, of the classes of the samples in turn.

    Images in columns of one class each are as many as are of the right class, from the first on.
    """
    if walk.inputs is not None and walk.inputs.truth is not None:
        return walk.inputs.truth.repeat_interleave(walk.inputs.per_input, 0)
    x, *labels = first(run.data.reference, _REAL)
    order, names = list(run.data.class_names), walk.names
    if not names or not labels or any(n not in order for n in names):
        return x[: len(walk.samples)].cpu()
    waiting = {n: (labels[0] == order.index(n) + 1).nonzero()[:, 0].tolist() for n in set(names)}
    rows: list[int] = []
    for name in names:
        if waiting[name]:
            rows.append(waiting[name].pop(0))
        elif rows and run.kind.drawing == "tiles" and len(order) <= _HEADS:
            break
    return x[torch.tensor(rows, dtype=torch.int64)].cpu()


def shown_sets(run: Run, walk: Walk, real: Tensor) -> dict[str, Any]:
    """Samples, and what is real, as the page's script takes them."""
    parts = [("Generated", walk.samples), ("Real, never trained on", real)]
    if walk.inputs is not None:
        low = walk.inputs.low.repeat_interleave(walk.inputs.per_input, 0)
        factor = run.config.factor or 1
        given = low.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        parts = [("Given", given), ("Generated", walk.samples), ("The truth", real)]
    layout = {"drawing": run.kind.drawing}
    if run.kind.drawing == "tiles":
        least = min(len(x) for _, x in parts)
        layout |= _layout(run, walk, least)
        values: list[Any] = [sheet([run.kind.encode(x[:least])]) for _, x in parts]
    else:
        layout |= _numbers(run, walk)
        values = [packed(run.kind.encode(x)) for _, x in parts]
    groups = layout.get("groups")
    shown = [
        {"title": title, "said": f"{len(x)} examples", "values": v, "count": len(x),
         "groups": groups if len(x) == len(walk.samples) else None}
        for (title, x), v in zip(parts, values, strict=True)
    ]  # fmt: skip
    return {"legend": [], **layout, "parts": shown}


def shown_nearest(run: Run, data: Dataset, samples: Tensor) -> dict[str, Any] | None:
    """The samples that come nearest to a training image, above it; for images alone."""
    if run.kind.drawing != "tiles" or run.config.factor is not None:
        return None
    unseen = first(data.validation, _REAL)[0].cpu()
    found = memorisation(samples, data.train, unseen)
    grey = 127.5 / samples[0].numel() ** 0.5
    chosen = found.sample_distances.argsort()[:_NEAREST]
    near = run.kind.encode(data.train[found.indices[chosen]][0].cpu())
    median = grey * float(found.held_out_distances.median())
    texts = [f"{grey * float(d):.0f}" for d in found.sample_distances[chosen]]
    return {
        "values": sheet([run.kind.encode(samples[chosen]), near]),
        "tile": list(run.facts.shape[-2:]),
        "under": texts,
        "most": 72,
        "said": "distances " + ", ".join(texts),
        "how": "Each pair is a sample and, below it, the training example nearest to it; then "
        "their distance, in grey levels of 255 (root mean square), the nearest first. Unseen data "
        f"lies {median:.0f} from its own nearest training example, in the median: samples much "
        "nearer than that would be copies.",
    }
