"""Distance against training time and images seen, for us and for two others' networks.

    python benchmarks/time_to_quality.py FOLDER [--images 810000] [--num 2000] [--arms ...]
        [--data mnist] [--threads N] [--docs docs/benchmarks.md]

Hours. It may be stopped at any time and given again: a point that is in FOLDER/points.jsonl is not
made again, and training goes on from its last checkpoint. The protocol is in docs/benchmarks.md.
"""

import argparse
import contextlib
import itertools
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import measuring as m
import scripts_of_others
import torch
from samplers import Distance, classes_of
from torch import Tensor, nn

from denoising_diffusion import Run, recipe, register
from denoising_diffusion.data import Dataset
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.report import style
from denoising_diffusion.run.build import build_diffusion
from denoising_diffusion.run.draw import draw
from denoising_diffusion.run.loop import Trainer
from denoising_diffusion.run.prepare import facts_of, learned, load_data, resolve_precision
from denoising_diffusion.run.request import completed, labels_of
from denoising_diffusion.run.stop import Interrupted

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
"""Of the images to be seen, after which an arm is scored."""
GOALS = (18.3, 5.0)
OURS = "ours"


class OurWay:
    """A network trained and sampled as the recipe `numbers` does, in a run folder of its own."""

    def __init__(
        self, folder: Path, data: Dataset, images: int, *, kind: str = "", labels: bool = True
    ) -> None:
        base = recipe("numbers")
        # Their networks take no label of any sort.
        clusters = {} if kind else {"clusters": base.data["clusters"]}
        source = {"name": data.name, "seed": 0, "labels": labels, **clusters}
        training = replace(base.training, epochs=1, epoch_size=images)
        told = bool(clusters) or labels
        sampling = base.sampling if told else replace(base.sampling, guidance_scale=1.0)
        network = {"kind": kind} if kind else base.network
        config = replace(base, data=source, training=training, sampling=sampling, network=network)
        self.run, self.data = Run(folder), data
        self.run.data = data
        if not self.run.exists:
            config = replace(config, facts=facts_of(learned(config, data)))
            model = build_diffusion(config)
            config = resolve_precision(config, model, learned(config, data), may_gain=True)
            self.run.create(config)
        model = build_diffusion(self.run.config)
        shown = learned(self.run.config, data)
        self.trainer = Trainer(self.run, model, shown, lambda *_: None)
        self.trainer.restore()

    @property
    def seen(self) -> tuple[int, float]:
        """Images, and seconds of training."""
        return self.trainer.step * self.run.config.training.batch_size, self.trainer.seconds

    def advance(self, images: int) -> None:
        """Train until so many images are seen."""
        steps = -(-images // self.run.config.training.batch_size)
        if self.trainer.step < steps:
            with contextlib.suppress(Interrupted):  # saved
                self.trainer.run_to_end(lambda: self.trainer.step >= steps)

    def sample(self, num: int) -> tuple[Tensor, Tensor | None]:
        """Images and their labels, if they were asked for."""
        wish = completed(self.run, self.run.config.sampling, num)
        wish = completed(self.run, replace(wish, num=num))
        model = self.trainer.sampling_model.eval()
        return draw(self.run, model, wish), classes_of(self.run, labels_of(self.run, wish))


def _called_by_us(make: Callable[[], nn.Module]) -> Callable[..., nn.Module]:
    """A row of the table of networks: times of 1..T become those of 1000 that it was made for."""

    class Wrapped(nn.Module):
        def __init__(self, num_timesteps: int) -> None:
            super().__init__()
            self.network, self.factor = make(), 1000 / num_timesteps

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            """x (b, c, h, w) and t (b,) -> as x."""
            return self.network(x, t * self.factor)

    return lambda shape, num_timesteps, num_classes: Wrapped(num_timesteps)


ARMS: dict[str, Callable[[Path, Dataset, int], Any]] = {
    OURS: OurWay,
    "ours, without labels": lambda *a: OurWay(*a, labels=False),
    "diffusers": scripts_of_others.Diffusers,
    "denoising-diffusion-pytorch": scripts_of_others.Lucidrains,
    "diffusers, our way": lambda *a: OurWay(*a, kind="diffusers-unet", labels=False),
    "denoising-diffusion-pytorch, our way": lambda *a: OurWay(
        *a, kind="lucidrains-unet", labels=False
    ),
}


def point(arm: Any, distance: Distance, images: int, num: int) -> dict[str, Any]:
    """Train an arm up to here, and score it."""
    arm.advance(images)
    seen, seconds = arm.seen
    begin = time.perf_counter()
    x, labels = arm.sample(num)
    spent = time.perf_counter() - begin
    x = ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
    return {"seen": seen, "seconds": seconds, "sampling_seconds": spent} | distance.of(x, labels)


def reached(found: Sequence[Mapping[str, Any]], goal: float) -> float | None:
    """The seconds of training until the distance is this small; a power law joins the points."""
    pairs = sorted((p["seconds"], p["distance"]) for p in found)
    if pairs and pairs[0][1] <= goal:
        return pairs[0][0]
    for (s, d), (t, e) in itertools.pairwise(pairs):
        if e <= goal:
            share = math.log(d / goal) / math.log(d / e)
            return s * (t / s) ** share
    return None


def tables(found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """All points, and the times to reach the goals with their ratios to ours."""
    rows = [
        (
            name,
            f"{p['seen']:,}",
            f"{p['seconds']:.0f}",
            f"{p['distance']:.2f} ± {p['interval']:.2f}",
            f"{p['sampling_seconds']:.0f}",
        )
        for name in names
        for p in _of(found, name)
    ]
    head = ("arm", "images seen", "s of training", "distance", "s of sampling")
    first = m.table(head, rows)
    ours = [reached(_of(found, OURS), goal) for goal in GOALS]
    rows = []
    for name in names:
        cells = []
        for goal, own in zip(GOALS, ours, strict=True):
            spent = reached(_of(found, name), goal)
            ratio = "" if spent is None or not own else f" ({spent / own:.1f} × ours)"
            cells.append("not reached" if spent is None else f"{spent:.0f} s{ratio}")
        rows.append((name, *cells))
    return f"{first}\n\n{m.table(('arm', *(f'until {g:g}' for g in GOALS)), rows)}"


def plot(found: Sequence[Mapping[str, Any]], names: Sequence[str], file: Path) -> None:
    """Distance against seconds of training, and against images seen."""
    figure, panels = m.panels(480, 380, 2)
    for axes, over in zip(panels, ("seconds", "seen"), strict=True):
        for i, name in enumerate(names):
            points = _of(found, name)
            x, y = [p[over] for p in points], [p["distance"] for p in points]
            axes.plot(x, y, "o-", color=style.SERIES[i], ms=4, lw=1.2, label=name)
        m.log_axes(axes)
    style.curve_axes(panels[0], "seconds of training", "Fréchet distance")
    style.curve_axes(panels[1], "images seen")
    panels[0].legend(frameon=False, fontsize=7)
    style.to_image(figure).save(file, optimize=True)


def _of(found: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return sorted((p for p in found if p["arm"] == name), key=lambda p: p["seen"])


def main() -> None:
    options = _options()
    register("network", "diffusers-unet", _called_by_us(m.diffusers_unet))
    register("network", "lucidrains-unet", _called_by_us(m.lucidrains_unet))
    data = load_data({"name": options.data, "seed": 0})
    distance = Distance(data, Scoring(against="held-out"))
    num = min(options.num, len(data.validation))
    file = options.folder / "points.jsonl"
    # Milestone by milestone, so that a machine that changes over the hours changes for all.
    for share in SHARES:
        images = max(1, round(share * options.images))
        for name in options.arms:
            key = {"arm": name, "data": data.name, "of": options.images, "images": images}
            key |= {"num": num}
            if any(key.items() <= p.items() for p in m.read_lines(file)):
                continue
            folder = options.folder / "".join(c if c.isalnum() else "-" for c in name)
            arm = ARMS[name](folder, data, options.images)
            found = key | point(arm, distance, images, num) | {"where": m.where()}
            m.add_line(file, found)
            print(
                f"{name}: {found['seen']:,} images, {found['seconds']:.0f} s: "
                f"{found['distance']:.2f}",
                file=sys.stderr,
                flush=True,
            )
    same = {"data": data.name, "of": options.images, "num": num}
    found = [p for p in m.read_lines(file) if same.items() <= p.items()]
    names = [n for n in ARMS if _of(found, n)]
    head = (
        f"{data.name}, {options.images:,} images to be seen, {num:,} samples against what is held "
        f"out, judge {distance.name}, floor {distance.floor(num):.2f}. {m.where_text(m.where())}."
    )
    text = f"{head}\n\n{tables(found, names)}"
    print(text)
    m.write_text(options.folder / "points.md", text + "\n")
    place = options.docs.parent if options.docs else options.folder
    plot(found, names, place / "time_to_quality.png")
    if options.docs:
        m.into_page(options.docs, "time to quality", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=810_000, help="that every arm will see")
    parser.add_argument("--num", type=int, default=2_000, help="samples of a point")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--data", default="mnist", help="mnist, or digits to try it out")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--docs", type=Path, help="the page whose tables are written, and a plot")
    options = parser.parse_args()
    for name in ("images", "num", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if options.threads:
        torch.set_num_threads(options.threads)
    return options


if __name__ == "__main__":
    main()
