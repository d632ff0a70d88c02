"""Scoring a run, or samples in a file."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from denoising_diffusion import distributed, tables
from denoising_diffusion.config import Sampling
from denoising_diffusion.data import Dataset
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.kinds import Kind, Scoring
from denoising_diffusion.metrics import Score, table, to_json
from denoising_diffusion.metrics.reference import reference_of
from denoising_diffusion.report import Drawing
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.build import count_parameters
from denoising_diffusion.run.draw import draw_file, origin, parts_of, read_samples
from denoising_diffusion.run.figures import put_picture
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.inputs import scored_inputs
from denoising_diffusion.run.prepare import facts_of, load_data
from denoising_diffusion.run.request import completed, evaluations
from denoising_diffusion.run.single import read_folder


@dataclass(frozen=True)
class Evaluation:
    """Scores, what is noted below them, and the pictures that belong to them, by name."""

    scores: list[Score]
    note: dict[str, Any]
    pictures: Mapping[str, Drawing] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The lines of a table."""
        return table(self.scores, {k: v for k, v in self.note.items() if v is not None})

    @property
    def values(self) -> dict[str, Any]:
        """As JSON."""
        return to_json(self.scores, self.note)

    def kept_in(self, run: Run, origin: Origin) -> None:
        """Put it behind the other evaluations of a run, made from this."""
        run.evaluations.add([s._asdict() for s in self.scores], self.note, origin)


def ending_request(run: Run) -> Sampling:
    """The completed request of the samples that a run is scored with in the end."""
    wanted, most = run.config.sampling.num or run.kind.default_num(), run.kind.most(run.data)
    return completed(run, replace(run.config.sampling, num=min(wanted, most)))


def draw_evaluation(run: Run, model: GaussianDiffusion, wish: Sampling, data: Dataset) -> Path:
    """Draw the samples of a completed request into the run's folder, or find them; the .npz.

    Several processes draw together.

    Raises:
        ValueError: the samples could not be compared with the data.
    """
    run.kind.check(data, wish.num or 0)
    inputs = scored_inputs(run, data, wish.num or 0)
    of = origin(run, model, wish, inputs)
    key = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()
    file = run.samples / f"evaluation-{key[:12]}.npz"
    with distributed.alone(file):
        if not distributed.broadcast_object(run.artefacts.current(file, of)):
            draw_file(run, model, wish, file, inputs)
        elif distributed.is_main():
            shutil.rmtree(parts_of(file), ignore_errors=True)
    return file


def score(
    run: Run,
    model: GaussianDiffusion,
    wish: Sampling,
    data: Dataset,
    file: Path,
    how: Scoring | None = None,
    format: str = "png",
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
    found = score_file(run.kind, file, data, how, note)
    of = evaluation_origin(run, model, wish, data, how)
    for name, picture in found.pictures.items():
        put_picture(run, score_picture(file, name, how, format), picture, of, name)
    # As it was asked: the labels of all samples would be a line as long as they are many.
    found.kept_in(run, {**of, "request": asdict(wish)})
    return found


def score_picture(file: Path, name: str, how: Scoring | None = None, format: str = "png") -> Path:
    """Where this picture of the scores of an .npz lies."""
    against = "-held-out" if how is not None and how.against == "held-out" else ""
    return file.with_name(f"{file.stem}{against}-{name}.{format}")


def evaluation_origin(
    run: Run, model: GaussianDiffusion, wish: Sampling, data: Dataset, how: Scoring | None = None
) -> Origin:
    """What scores depend on: the samples, the data, how they are compared, and the reference."""
    reference = reference_of(data.fingerprint)
    compared = {
        "data": data.fingerprint,
        "how": asdict(how or Scoring()),
        "reference": None if reference is None else reference["weights"],
    }
    return {**origin(run, model, wish), **compared}


def score_file(
    kind: Kind, file: Path, data: Dataset, how: Scoring | None, note: dict[str, Any]
) -> Evaluation:
    """Score what an .npz holds, or a folder of pictures.

    Raises:
        ValueError: samples that cannot be read or compared with the data.
    """
    single = file.is_dir()
    samples, names = read_folder(kind, data, file) if single else read_samples(kind, file)
    how = how or Scoring()
    found = kind.scores(samples, names, how.of(data), how)
    seen = {"judge": found.judge, "against": _against(how.of(data))}
    return Evaluation(found.scores, {"num_samples": len(samples), **seen, **note}, found.pictures)


def _against(data: Dataset) -> str:
    """What samples are compared with, for a table."""
    part = "held-out" if data.test is None else "test"
    return f"{data.name}, {len(data.reference):,} {part}"


def evaluate_run(
    run: Run,
    wish: Sampling,
    data: dict[str, Any] | None,
    how: Scoring,
    device: torch.device,
    format: str = "png",
) -> Evaluation | None:
    """Draw what a request asks for and score it; None in all processes but the first.

    Args:
        run: what is scored.
        wish: how samples are drawn, not yet completed; without a number as many as the run says,
            or as there is data to compare with.
        data: what to compare with, as in a configuration; the run's own without it.
        how: how they are scored.
        device: where the network runs.
        format: of the pictures that belong to scores: png, svg or pdf.

    Raises:
        ValueError: as `completed` and `draw_evaluation`.
    """
    compared = how.of(run.data if data is None else load_data(data))
    wanted = run.config.sampling.num or run.kind.default_num()
    wish = completed(run, wish, min(wanted, run.kind.most(compared)))
    with distributed.processes(device.type):
        model = run.model(wish.average, device.type)
        file = draw_evaluation(run, model, wish, compared)
    return score(run, model, wish, compared, file, how, format) if distributed.is_main() else None


def evaluate_file(file: Path, data: dict[str, Any] | None, how: Scoring) -> Evaluation:
    """Score samples in a file, or pictures in a folder, that anything made.

    They are compared with this data, or that of the run in whose folder they lie.

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
