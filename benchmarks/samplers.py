"""Distance against network evaluations and seconds, for every sampler, number of steps and grid.

    python benchmarks/samplers.py RUN [--out FOLDER] [--num N] [--steps ...] [--samplers ...]
        [--grids ...] [--guidance-scale S [--guidance-interval LOW HIGH]] [--points N] [--quick]
        [--docs docs/benchmarks.md]

RUN is any finished run of images; it is only read. A point is a line of FOLDER/points.jsonl; one
that is there is not drawn again, so the command may be stopped and given again, and --points N
takes N more. Guidance is the run's own unless a scale is given. Samples are compared with what was
held out (--against test for the test set): searching must not see the test set. One seed draws all.
"""

import argparse
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import measuring as m
import torch
from torch import Tensor

from denoising_diffusion import FeatureStatistics, Run, frechet_distance, whole
from denoising_diffusion.config import Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.kinds.image_scores import judges_for
from denoising_diffusion.metrics.encoder import encoder
from denoising_diffusion.metrics.frechet import frechet_with_error
from denoising_diffusion.report import style
from denoising_diffusion.run.draw import draw
from denoising_diffusion.run.request import completed, evaluations, labels_of
from denoising_diffusion.tables import TABLES

# The most telling first, for those who stop early.
STEPS = (10, 20, 5, 50, 7, 15, 30)
GRIDS = ("uniform", "karras", "log-snr")
QUICK = {"steps": (10, 5), "grids": ("uniform", "karras"), "num": 1000}


class Distance:
    """The Fréchet distance to real images: by a judge, or an encoder without classes."""

    def __init__(self, data: Dataset, how: Scoring) -> None:
        data = how.of(data)
        (self.train, *_), (real, *classes) = whole(data.train), whole(data.reference)
        if data.labelled:
            self.judge = judges_for(data, how, (real, classes[0] - 1))[0]
            self.features, self.name = self.judge.features, self.judge.name
        else:
            self.judge, self.name = None, "own encoder, seed 0"
            self.features = encoder(self.train, fingerprint=data.fingerprint).features
        self.real = FeatureStatistics.from_features(self.features(real))

    def floor(self, num: int) -> float:
        """That of as many training images."""
        rows = FeatureStatistics.from_features(self.features(self.train[:num]))
        return frechet_distance(rows, self.real)

    def of(self, images: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        """The distance of images (n, c, h, w), its interval, and how labels (n,) are followed."""
        found = frechet_with_error(self.features(images), self.real)
        score = {"distance": found.value, "interval": found.interval}
        if self.judge is not None and labels is not None:
            read = self.judge.read(images) == labels - 1
            score["label_agreement"] = read.double().mean().item()
        return score


def points(run: Run, options: argparse.Namespace) -> Iterator[Sampling]:
    """The requests, completed, in the order in which they are drawn."""
    own = run.config.sampling
    if options.guidance_scale is not None:
        interval = options.guidance_interval and tuple(options.guidance_interval)
        own = replace(own, guidance_scale=options.guidance_scale, guidance_interval=interval)
    for steps, grid, name in itertools.product(options.steps, options.grids, options.samplers):
        if steps <= run.config.schedule.get("timesteps", 100):
            wish = replace(own, sampler=name, steps=steps, times=grid)
            eta = own.eta if name == "ddim" else None
            yield completed(run, replace(wish, num=options.num, eta=eta))


def measure(run: Run, model: torch.nn.Module, wish: Sampling, distance: Distance) -> dict[str, Any]:
    """One point, and the time of a plain evaluation: seconds of different hours compare badly."""
    labels = classes_of(run, labels_of(run, wish))
    probe = torch.zeros(100, *model.data_shape), torch.full((100,), 1.0)
    with torch.no_grad():
        beside = min(m.seconds(lambda: model.denoise(*probe)) for _ in range(3))
    begin = time.perf_counter()
    x = draw(run, model, wish)
    spent = time.perf_counter() - begin
    x = run.kind.decode(run.kind.encode(x))  # the grey levels that are written
    return {
        **key_of(run, wish),
        "evaluations": evaluations(run, wish),
        "seconds_per_10000": spent * 10_000 / wish.num,
        "seconds_of_100_evaluations": beside,
        **distance.of(x, labels),
    }


def classes_of(run: Run, labels: Tensor | None) -> Tensor | None:
    """The class of each sample, counted from 1 in the order of the names; None without classes."""
    names = run.kind.label_names(labels)
    return (
        None if names is None else torch.tensor([1 + run.facts.class_names.index(n) for n in names])
    )


def key_of(run: Run, wish: Sampling) -> dict[str, Any]:
    """What a point is told apart by."""
    wanted = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(wish).items()}
    return {"weights": run.weights_of(wish.average), "request": wanted}


def front(found: Sequence[Mapping[str, Any]], cost: str) -> list[Mapping[str, Any]]:
    """The points that no other beats in both cost and distance, by rising cost."""
    kept: list[Mapping[str, Any]] = []
    for point in sorted(found, key=lambda p: (p[cost], p["distance"])):
        if not kept or point["distance"] < kept[-1]["distance"]:
            kept.append(point)
    return kept


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """All points, by evaluations; those of the front are bold."""
    best = front(found, "evaluations")
    rows = []
    for p in sorted(found, key=lambda p: (p["evaluations"], p["distance"])):
        value = f"{p['distance']:.2f} ± {p['interval']:.2f}"
        agreement = p.get("label_agreement")
        rows.append(
            (
                p["request"]["sampler"],
                str(p["request"]["steps"]),
                p["request"]["times"],
                str(p["evaluations"]),
                f"**{value}**" if p in best else value,
                "–" if agreement is None else f"{agreement:.1%}",
                f"{p['seconds_per_10000']:.0f}",
            )
        )
    head = ("sampler", "steps", "grid", "evaluations", "distance", "labels", "s per 10,000")
    return m.table(head, rows)


def plot(found: Sequence[Mapping[str, Any]], floor: float, file: Path) -> None:
    """Distance against evaluations and against seconds, with the front and the floor."""
    names = [n for n in TABLES["sampler"] if any(p["request"]["sampler"] == n for p in found)]
    marks = dict(zip((*GRIDS, "trailing", "tuned"), "os^Dv", strict=True))
    figure, panels = m.panels(520, 420, 2)
    costs = ("evaluations", "seconds_per_10000")
    for axes, cost in zip(panels, costs, strict=True):
        for i, name in enumerate(names):
            colour = style.class_colour(i, len(names))
            for p in found:
                if p["request"]["sampler"] == name:
                    mark = marks[p["request"]["times"]]
                    axes.plot(p[cost], p["distance"], mark, color=colour, ms=5, alpha=0.8)
        best = front(found, cost)
        x, y = [p[cost] for p in best], [p["distance"] for p in best]
        axes.step(x, y, where="post", color=style.TEXT, lw=1, zorder=0)
        axes.axhline(floor, color=style.NEUTRAL, lw=0.8, ls="--")
        m.log_axes(axes)
    style.curve_axes(panels[0], "network evaluations a sample", "Fréchet distance")
    style.curve_axes(panels[1], "seconds per 10,000 samples")
    for i, name in enumerate(names):
        colour = style.class_colour(i, len(names))
        panels[1].plot([], [], "o", color=colour, label=name)
    for grid in {p["request"]["times"]: None for p in found}:
        panels[1].plot([], [], marks[grid], color=style.NEUTRAL, label=grid)
    panels[1].plot([], [], "--", color=style.NEUTRAL, label="floor")
    panels[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    style.to_image(figure).save(file, optimize=True)


def main() -> None:
    options = _options()
    run = Run(options.run)
    if run.facts.kind != "images" or run.config.factor is not None:
        raise SystemExit(f"{run.path} is no run of images that are drawn from noise alone")
    model = run.model(device="cpu")
    how = Scoring(against=options.against)
    compared = how.of(run.data)
    most = run.kind.most(compared)
    options.num = min(options.num or (QUICK["num"] if options.quick else 10_000), most)
    distance = Distance(run.data, how)
    floor, file = distance.floor(options.num), options.out / "points.jsonl"
    asked = list(points(run, options))
    there = [p | {"against": options.against} for p in (key_of(run, w) for w in asked)]
    missing = [w for w, k in zip(asked, there, strict=True) if _found(file, k) is None]
    for i, wish in enumerate(missing[: options.points]):
        found = measure(run, model, wish, distance) | {"against": options.against}
        m.add_line(file, found)
        print(
            f"{i + 1} of {len(missing)}: {wish.sampler} {wish.steps} {wish.times}, "
            f"{found['evaluations']} evaluations: {found['distance']:.2f}, "
            f"{found['seconds_per_10000']:.0f} s per 10,000",
            flush=True,
        )
    done = [p for k in there if (p := _found(file, k)) is not None]
    head = (
        f"{options.num:,} samples of `{run.config.recipe}` against {len(compared.reference):,} of "
        f"{options.against}, judge {distance.name}, floor {floor:.2f}, seed {asked[0].seed}. "
        f"{m.where_text(m.where())}."
    )
    text = f"{head}\n\n{table(done)}"
    print(f"\n{text}")
    picture = options.docs.with_name("pareto.png") if options.docs else options.out / "pareto.png"
    plot(done, floor, picture)
    m.write_text(options.out / "points.md", text + "\n")
    if options.docs:
        m.into_page(options.docs, "samplers", text)


def _found(file: Path, key: Mapping[str, Any]) -> dict[str, Any] | None:
    return next((p for p in m.read_lines(file) if key.items() <= p.items()), None)


def _options() -> argparse.Namespace:
    names = list(TABLES["sampler"])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, help="a folder; runs/samplers-NAME of RUN without it")
    parser.add_argument("--num", type=int, help="samples of a point; as many as can be compared")
    parser.add_argument("--steps", type=int, nargs="+")
    parser.add_argument("--samplers", nargs="+", choices=names, default=names)
    parser.add_argument("--grids", nargs="+", choices=list(TABLES["grid"]))
    parser.add_argument("--guidance-scale", type=float, help="in place of the run's own guidance")
    parser.add_argument("--guidance-interval", type=float, nargs=2, metavar=("LOW", "HIGH"))
    parser.add_argument("--points", type=int, help="how many more are drawn at most")
    parser.add_argument("--against", choices=("held-out", "test"), default="held-out")
    parser.add_argument("--quick", action="store_true", help="5 and 10 steps, 1,000 samples")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--docs", type=Path, help="the page whose table is written, and the plot")
    options = parser.parse_args()
    for name in ("num", "points", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if options.guidance_interval and options.guidance_scale is None:
        parser.error("--guidance-interval needs --guidance-scale")
    if options.threads:
        torch.set_num_threads(options.threads)
    options.steps = options.steps or (QUICK["steps"] if options.quick else STEPS)
    options.grids = options.grids or (QUICK["grids"] if options.quick else GRIDS)
    options.out = options.out or Path("runs") / f"samplers-{options.run.resolve().name}"
    return options


if __name__ == "__main__":
    main()
