"""The table of Fréchet LeNet Distances on MNIST, row by row, into a folder and as Markdown.

    python benchmarks/numbers_table.py runs/table [ROW ...] [--threads N] [--print]

Every row is a file in FOLDER/rows; a row that is there is not made again, and one that was
interrupted goes on where it was. With --print nothing is computed. MNIST is found as for
`ddpm train numbers`.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from julia_ddim import julia_ddim, julia_grid

from denoising_diffusion import Run, recipe, stream, whole
from denoising_diffusion.config import RunConfig, Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.kinds.image_scores import image_scores
from denoising_diffusion.loss import autocast
from denoising_diffusion.metrics.score import to_json
from denoising_diffusion.progress import progress
from denoising_diffusion.run.draw import draw_file
from denoising_diffusion.run.prepare import load_data
from denoising_diffusion.run.request import completed
from denoising_diffusion.run.score import score
from denoising_diffusion.run.train import train_run
from denoising_diffusion.sampling import denoiser, start

HOW = Scoring(classic=True)
SEED_DDIM = "seed ddim"


@dataclass(frozen=True)
class Row:
    """One row: a network, how it is sampled, and what was published."""

    name: str
    run: str
    sampler: str = "ddpm"
    steps: int = 100
    eta: float | None = None
    ema: bool = False
    guidance_scale: float | None = None
    published: str = ""


RUNS: dict[str, RunConfig] = {
    "plain-mse": recipe("numbers-classic-plain"),
    "attention-mse": recipe("numbers-classic"),
    "plain-mae": replace(
        recipe("numbers-classic-plain"),
        training=replace(recipe("numbers-classic-plain").training, loss="mae"),
    ),
    "guided": recipe("numbers-guided-classic"),
    "numbers-unet": recipe("numbers-unet"),
    "numbers": recipe("numbers"),
}

ROWS = (
    Row("training data", "", published="0.5, 0.6"),
    Row("plain", "plain-mse", published="18.3"),
    Row("plain, EMA", "plain-mse", ema=True),
    Row("plain, EMA, DDIM", "plain-mse", "ddim", 25, 0.0, ema=True),
    Row("plain, seed's DDIM", "plain-mse", SEED_DDIM, 20, 1.0, published="23.5"),
    Row("plain, DDIM", "plain-mse", "ddim", 20, 1.0),
    Row("attention", "attention-mse", published="23.9"),
    Row("attention, EMA, DDIM", "attention-mse", "ddim", 25, 0.0, ema=True),
    Row("attention, seed's DDIM", "attention-mse", SEED_DDIM, 20, 1.0, published="26.3"),
    Row("attention, DDIM", "attention-mse", "ddim", 20, 1.0),
    Row("plain, absolute error", "plain-mae", published="39.3"),
    Row("guided", "guided", guidance_scale=2.0, published="7.0"),
    Row("guided, EMA, DDIM", "guided", "ddim", 25, 0.0, ema=True, guidance_scale=2.0),
    Row("numbers-unet", "numbers-unet", "ddim", 50, 0.0, ema=True),
    Row("numbers", "numbers", "ddim", 50, 0.0, ema=True),
    Row("random", "", published="> 337, 400"),
)


def main() -> None:
    """Make the rows that were asked for, then print all that there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", nargs="*", help="names of rows; all without any")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--print", action="store_true", dest="only_print")
    options = parser.parse_args()
    unknown = set(options.rows) - {r.name for r in ROWS}
    if unknown:
        parser.error(f"unknown rows {sorted(unknown)}; known are {[r.name for r in ROWS]}")
    if options.threads:
        torch.set_num_threads(options.threads)
    (options.folder / "rows").mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        file = _file(options.folder, row)
        wanted = not options.rows or row.name in options.rows
        if wanted and not options.only_print and not file.exists():
            found = measure(options.folder, row)
            beside = file.with_suffix(".tmp")
            beside.write_text(json.dumps(found, indent=2) + "\n")
            beside.replace(file)
    print(markdown(options.folder))


def measure(folder: Path, row: Row) -> dict:
    """All figures of one row."""
    if not row.run:
        return _without_a_model(row)
    run = Run(folder / row.run)
    if not run.finished:
        train_run(RUNS[row.run], run.path, evaluate=False, say=print)
    wish = Sampling(
        num=10_000,
        sampler="ddim" if row.sampler == SEED_DDIM else row.sampler,
        steps=row.steps,
        eta=row.eta,
        guidance_scale=row.guidance_scale or 1.0,
        average="ema" if row.ema else "raw",
    )
    wish = completed(run, wish)
    model = run.model(wish.average)
    file = folder / "rows" / f"{_stem(row)}.npz"
    begin = time.monotonic()
    if row.sampler == SEED_DDIM:
        x = _by_julia_ddim(run, model, wish)
        scores = _scored(x, run.data)
    else:
        resumed = file.with_name(f".{file.name}.parts").exists() or file.exists()
        if not file.exists():
            draw_file(run, model, wish, file)
        begin = None if resumed else begin
        scores = score(run, model, wish, run.data, file, HOW).values
    notes = run.read_checkpoint().notes
    training = run.config.training
    return {
        "scores": scores,
        "parameters": run.facts.parameters,
        "images_seen": notes["step"] * training.batch_size,
        "precision": training.precision,
        "train_seconds": notes["seconds"],
        "sample_and_score_seconds": None if begin is None else round(time.monotonic() - begin),
        "seed": training.seed,
        "hardware": _hardware(),
    }


def _by_julia_ddim(run: Run, model: torch.nn.Module, wish: Sampling) -> torch.Tensor:
    times = julia_grid(model.num_timesteps, wish.steps, end=0)
    estimate = denoiser(model, clip=False)

    def at_precision(x, t):
        with autocast(run.config.training.precision, x.device):
            return estimate(x, t)

    rows = []
    for first in progress(range(0, wish.num, 500), wish.num // 500, "sampling"):
        x, noise = start(model, 500, wish.seed, first)
        *_, last = julia_ddim(at_precision, model.schedule, x, times, eta=1.0, randn_like=noise)
        rows.append(last.x.clamp(-1, 1))
    return torch.cat(rows)


def _without_a_model(row: Row) -> dict:
    data = load_data(recipe("numbers").data)
    if row.name == "training data":
        images = whole(data.train)[0][:10_000]
    else:
        images = torch.rand(10_000, *data.shape, generator=stream(1, "random")) * 2 - 1
    return {"scores": _scored(images, data), "hardware": _hardware()}


def _scored(x: torch.Tensor, data: Dataset) -> dict:
    found = image_scores(x, None, data, HOW)
    return to_json(found.scores, {"judge": found.judge})


def markdown(folder: Path) -> str:
    """The rows that are there as a table."""
    head = (
        "row", "parameters", "images seen", "sampler", "weights", "FLD", "classic FLD",
        "published", "label agreement", "training", "sampling and scoring",
    )  # fmt: skip
    lines = [head, tuple("---" for _ in head)]
    for row in ROWS:
        if _file(folder, row).exists():
            lines.append(_cells(row, json.loads(_file(folder, row).read_text())))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(row: Row, found: dict) -> tuple[str, ...]:
    s = found["scores"]
    classic = s["classic"]
    random = row.name == "random"
    eta = "" if row.eta is None else f", η = {row.eta:g}"
    guidance = "" if row.guidance_scale is None else f", γ = {row.guidance_scale:g}"
    agreement = s["label_agreement"]
    train, sample = found.get("train_seconds"), found.get("sample_and_score_seconds")
    return (
        row.name,
        f"{found['parameters']:,}" if row.run else "–",
        f"{found['images_seen']:,}" if row.run else "–",
        f"{row.sampler} {row.steps}{eta}{guidance}" if row.run else "–",
        ("EMA" if row.ema else "raw") if row.run else "–",
        _pair(s),
        f"{classic['random']:.1f}" if random else _pair(classic),
        row.published or "–",
        "–" if agreement is None else f"{agreement:.2%}",
        "–" if train is None else f"{train / 60:.0f} min",
        "–" if sample is None else f"{sample / 60:.0f} min",
    )  # fmt: skip


def _pair(s: dict) -> str:
    return f"{s['fld']:.2f} ± {s['fld_interval']:.2f}"


def _stem(row: Row) -> str:
    return "".join(c if c.isalnum() else "-" for c in row.name)


def _file(folder: Path, row: Row) -> Path:
    return folder / "rows" / f"{_stem(row)}.json"


def _hardware() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"


if __name__ == "__main__":
    main()
