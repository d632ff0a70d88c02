"""The pictures of a run: grids and animations of images, clouds and their distance to a curve."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from denoising_diffusion.config import DataFacts
from denoising_diffusion.data import CURVES, Curve, Dataset
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.jobs.image_scores import Evidence
from denoising_diffusion.jobs.sampling import Plan, draw, label_names, to_data, walk
from denoising_diffusion.metrics import closest_on_curve, mean_curve_distance
from denoising_diffusion.report import (
    closest_points,
    grid_frames,
    image_grid,
    pair_grid,
    plot_confusion,
    plot_distance,
    plot_label_histogram,
    scatter_frame,
    scatter_panels,
    thin,
    to_uint8,
    write_gif,
)
from denoising_diffusion.run import write_atomically
from denoising_diffusion.samplers import Step
from denoising_diffusion.seeds import stream

PANELS = 5
POINTS_SHOWN = 1000
PER_CLASS = 8
MOST_ANIMATED = 5000
PAIRS = 10


def save_picture(path: Path, picture: Image) -> None:
    """Write a PNG, whole or not at all."""
    write_atomically(path, lambda p: picture.save(p, format="PNG"))


def picture_of(facts: DataFacts, x: Tensor, labels: Tensor | None) -> Image:
    """Samples as one picture: images in a grid, a row per class, or points in a panel per class."""
    if len(facts.shape) == 1:
        panels = _panels(facts, x, labels)
        return scatter_frame(
            panels, columns=_columns(len(panels)), limits=_limits(facts, [p for _, p in panels])
        )
    if labels is None or len(x) > 400:
        return image_grid(to_uint8(x), _columns(len(x)))
    order = torch.argsort(labels, stable=True)
    names = label_names(facts.class_names, labels[order]) or []
    counts = [names.count(n) for n in dict.fromkeys(names)]
    if len(set(counts)) > 1:
        return image_grid(to_uint8(x[order]), _columns(len(x)))
    return image_grid(to_uint8(x[order]), counts[0], row_names=list(dict.fromkeys(names)))


def animate(
    diffusion: GaussianDiffusion,
    facts: DataFacts,
    plan: Plan,
    state: Path | None,
    estimate: Path | None,
) -> list[Step]:
    """Write the walk of the plan's samples as GIFs: x_t, and the estimate of x_start.

    Returns:
        the steps, the first holding the noise that the walk began from.
    """
    steps = list(walk(diffusion, plan))
    for path, tensors in (
        (state, [s.x for s in steps]),
        (estimate, [s.x_start for s in steps]),
    ):
        if path is not None:
            _write_walk(path, facts, plan, tensors, [s.t for s in steps])
    return steps


def animate_one(
    diffusion: GaussianDiffusion, facts: DataFacts, plan: Plan, path: Path, what: str
) -> None:
    """Write one GIF of the walk: of its "state", its "estimate", or "both", one above the other.

    Raises:
        ValueError: "both" for points.
    """
    if what != "both":
        state, estimate = (path, None) if what == "state" else (None, path)
        animate(diffusion, facts, plan, state, estimate)
        return
    if len(facts.shape) == 1:
        raise ValueError("states and estimates stand above each other for images alone")
    steps = list(walk(diffusion, plan))
    kept = [steps[i] for i in thin(len(steps))]
    frames = grid_frames(
        [torch.cat([s.x, s.x_start]) for s in kept],
        plan.num,
        [f"t = {s.t:g}" for s in kept],
        row_names=("x_t", "x_0"),
    )
    write_gif(frames, path, fps=10)


def _write_walk(
    path: Path, facts: DataFacts, plan: Plan, states: Sequence[Tensor], times: Sequence[float]
) -> None:
    kept = thin(len(states))
    captions = [f"t = {times[i]:g}" for i in kept]
    if len(facts.shape) == 1:
        limits = _limits(facts, [to_data(facts, states[-1])])
        frames = [
            _cloud(facts, states[i], plan.labels, caption, limits)
            for i, caption in zip(kept, captions, strict=True)
        ]
        write_gif(frames, path, fps=8)
        return
    columns = len(facts.class_names) if facts.class_names else _columns(len(states[0]))
    write_gif(grid_frames([states[i] for i in kept], columns, captions), path, fps=10)


def _cloud(
    facts: DataFacts, x: Tensor, labels: Tensor | None, caption: str, limits: tuple[float, float]
) -> Image:
    panels = [
        (f"{name}  {caption}" if name else caption, p) for name, p in _panels(facts, x, labels)
    ]
    return scatter_frame(panels, columns=_columns(len(panels)), limits=limits)


def _panels(facts: DataFacts, x: Tensor, labels: Tensor | None) -> list[tuple[str, Tensor]]:
    points = to_data(facts, x.cpu())
    if labels is None:
        return [("", points[:POINTS_SHOWN])]
    names = ("any", *facts.class_names)
    rows = sorted({int(v) for v in labels})
    return [(names[r], points[labels == r][:POINTS_SHOWN]) for r in rows]


def _columns(count: int) -> int:
    return max(1, round(count**0.5)) if count > 3 else count


def _limits(facts: DataFacts, points: Sequence[Tensor]) -> tuple[float, float]:
    """The seed's square (-2, 2) where it holds the cloud, else a square around it."""
    span = 1.1 * max(float(p.abs().max()) if p.numel() else 0.0 for p in points)
    return (-2.0, 2.0) if 0.4 < span <= 2 else (-span, span)


def forward_pictures(data: Dataset, diffusion: GaussianDiffusion, folder: Path) -> list[Path]:
    """forward.png and forward.gif: how the data of a cloud of points drowns in noise."""
    generator = stream(0, "forward")
    x = data.train[torch.randperm(len(data.train), generator=generator)[:POINTS_SHOWN]]
    total = diffusion.num_timesteps

    def noised(t: int) -> Tensor:
        noise = torch.randn(x.shape, generator=generator)
        return data.to_data(diffusion.q_sample(x, torch.full((len(x),), t), noise))

    shown = [max(1, -(-total * k // (PANELS - 1))) for k in range(PANELS)]
    clean = data.to_data(x)
    span = 1.1 * float(clean.abs().max())
    limits = (-2.0, 2.0) if 0.4 < span <= 2 else (-span, span)
    picture = scatter_panels([(f"t = {t}", noised(t)) for t in shown], limits=limits)
    files = [folder / "forward.png", folder / "forward.gif"]
    save_picture(files[0], picture)
    times = [i + 1 for i in thin(total, 50)]
    frames = [scatter_frame([(f"t = {t}", noised(t))], limits=limits) for t in times]
    write_gif(frames, files[1], fps=8)
    return files


def curve_pictures(
    curve: Curve, facts: DataFacts, steps: Sequence[Step], folder: Path
) -> list[Path]:
    """closest.png and distance.png: the walk's points, their nearest curve points, the distance."""
    clouds = [to_data(facts, s.x.cpu()) for s in steps]
    shown = [round(i * (len(steps) - 1) / (PANELS - 1)) for i in range(PANELS)]
    polyline = curve.polyline()
    panels = [
        (f"t = {steps[i].t:g}", clouds[i], closest_on_curve(clouds[i], polyline)[0]) for i in shown
    ]
    files = [folder / "closest.png", folder / "distance.png"]
    save_picture(files[0], closest_points(panels, curve.arc_points()))
    distances = [mean_curve_distance(c, curve) for c in clouds]
    walked = list(range(1, len(steps) + 1))
    save_picture(files[1], plot_distance(walked, distances, x_label="step"))
    return files


def write_pictures(
    diffusion: GaussianDiffusion, data: Dataset, facts: DataFacts, small: Plan, folder: Path
) -> list[Path]:
    """All pictures that end a run: samples.png, reverse.gif, estimate.gif, and those of points."""
    files = [folder / name for name in ("samples.png", "reverse.gif", "estimate.gif")]
    steps = animate(diffusion, facts, small, files[1], files[2])
    save_picture(files[0], picture_of(facts, steps[-1].x, small.labels))
    if len(facts.shape) == 1:
        files += forward_pictures(data, diffusion, folder)
    if data.name == "spiral":
        files += curve_pictures(CURVES["spiral"], facts, steps, folder)
    return files


def evaluation_pictures(evidence: Evidence, class_names: Sequence[str], path: Path) -> list[Path]:
    """PATH-classes.png, PATH-confusion.png where labels were asked for, PATH-nearest.png."""
    files = [path.with_name(f"{path.name}-{n}.png") for n in ("classes", "nearest", "confusion")]
    proportions, real = evidence.proportions, evidence.reference_proportions
    save_picture(files[0], plot_label_histogram(proportions, real, class_names))
    nearest = evidence.distances.argsort()[: 2 * PAIRS]
    pairs = pair_grid(evidence.samples[nearest], evidence.nearest[nearest])
    save_picture(files[1], pairs)
    if evidence.confusion is None:
        return files[:2]
    save_picture(files[2], plot_confusion(evidence.confusion, class_names))
    return files


def preview(diffusion: GaussianDiffusion, facts: DataFacts, small: Plan, path: Path) -> None:
    """A picture of a few samples while training goes on."""
    save_picture(path, picture_of(facts, draw(diffusion, small), small.labels))
