"""Scoring a run, or samples in a file."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from denoising_diffusion import distributed, tables
from denoising_diffusion.config import Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import write_png
from denoising_diffusion.kinds import Kind, Scoring
from denoising_diffusion.metrics.score import table, to_json
from denoising_diffusion.run.build import count_parameters
from denoising_diffusion.run.draw import (
    completed,
    draw_file,
    evaluations,
    origin,
    read_samples,
)
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.prepare import facts_of, load_data


@dataclass(frozen=True)
class Evaluation:
    """Scores as the lines of a table and as JSON, and the files of their pictures."""

    text: str
    values: dict[str, Any]
    files: list[Path]


def draw_evaluation(run: Run, model: GaussianDiffusion, wish: Sampling, data: Dataset) -> Path:
    """Draw the samples of a completed request into the run's folder, or find them; the .npz.

    Several processes draw together.

    Raises:
        ValueError: the samples could not be compared with the data.
    """
    run.kind.check(data, wish.num or 0)
    key = hashlib.sha256(json.dumps(origin(run, model, wish), sort_keys=True).encode()).hexdigest()
    file = run.samples / f"evaluation-{key[:12]}.npz"
    if not distributed.broadcast_object(_readable(run.kind, file)):
        run.samples.mkdir(parents=True, exist_ok=True)
        draw_file(run, model, wish, file)
    return file


def _readable(kind: Kind, file: Path) -> bool:
    try:
        read_samples(kind, file)
    except ValueError:
        return False
    return True


def score(
    run: Run,
    model: GaussianDiffusion,
    wish: Sampling,
    data: Dataset,
    file: Path,
    how: Scoring | None = None,
) -> Evaluation:
    """Score the samples that `draw_evaluation` drew; pictures lie beside them.

    One process does this, outside `distributed.processes`: it may train classifiers.
    """
    note = {
        "parameters": count_parameters(model) or run.facts.parameters,
        "sampler": wish.sampler,
        "steps": wish.steps,
        "network_evaluations": evaluations(run, wish),
    }
    return score_file(run.kind, file, data, how, note, pictures_at=file.with_suffix(""))


def score_file(
    kind: Kind,
    file: Path,
    data: Dataset,
    how: Scoring | None,
    note: dict[str, Any],
    pictures_at: Path | None = None,
) -> Evaluation:
    """Score what an .npz holds; its pictures go to PATH-confusion.png and the like.

    Raises:
        ValueError: samples that cannot be read or compared with the data.
    """
    samples, names = read_samples(kind, file)
    found = kind.scores(samples, names, data, how or Scoring())
    note = {"num_samples": len(samples), **note}
    files: list[Path] = []
    if pictures_at is not None:
        for name, picture in found.pictures.items():
            files.append(pictures_at.with_name(f"{pictures_at.name}-{name}.png"))
            write_png(files[-1], picture)
    shown = {k: v for k, v in note.items() if v is not None}
    return Evaluation(table(found.scores, shown), to_json(found.scores, note), files)


def evaluate_run(
    run: Run,
    wish: Sampling,
    data: dict[str, Any] | None,
    how: Scoring,
    device: torch.device,
) -> Evaluation | None:
    """Draw what a request asks for and score it; None in all processes but the first.

    Args:
        run: what is scored.
        wish: how samples are drawn, not yet completed.
        data: what to compare with, as in a configuration; the run's own without it.
        how: how they are scored.
        device: where the network runs.

    Raises:
        ValueError: as `completed` and `draw_evaluation`.
    """
    wish = completed(run, wish, run.config.sampling.num)
    compared = run.data if data is None else load_data(data)
    with distributed.processes(device.type):
        model = run.model(wish.average, device.type)
        file = draw_evaluation(run, model, wish, compared)
    return score(run, model, wish, compared, file, how) if distributed.is_main() else None


def evaluate_file(file: Path, data: dict[str, Any] | None, how: Scoring) -> Evaluation:
    """Score samples in a file: against this data, or that of the run in whose folder it lies.

    Raises:
        ValueError: no data is named and the file lies in no run, or the samples cannot be compared.
    """
    if not file.exists():
        raise ValueError(f"{file} does not exist")
    near = [Run(p) for p in file.absolute().parents[:2] if Run(p).exists]
    if data is None and not near:
        raise ValueError(f"{file} lies in no run folder; say with --data what to compare with")
    compared = near[0].data if data is None else load_data(data)
    facts = near[0].facts if data is None else facts_of(compared)
    kind = tables.resolve("kind", facts.kind)(facts)
    unknown: dict[str, Any] = dict.fromkeys(
        ("parameters", "sampler", "steps", "network_evaluations")
    )
    return score_file(kind, file, compared, how, unknown)
