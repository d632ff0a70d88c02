"""Two runs beside one another: samples from the same noise, and differences of scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from denoising_diffusion import distributed
from denoising_diffusion.checks import integer
from denoising_diffusion.config import MOST_SEED
from denoising_diffusion.files import digest
from denoising_diffusion.kinds.base import Moved, Names
from denoising_diffusion.metrics import Score
from denoising_diffusion.metrics.influence import paired_difference
from denoising_diffusion.report import FORMATS, Drawing, beside
from denoising_diffusion.run.build import pick_device
from denoising_diffusion.run.draw import read_samples
from denoising_diffusion.run.figures import put_picture
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.request import completed
from denoising_diffusion.run.score import draw_evaluation
from denoising_diffusion.run.show import check_suffix, free, suffix_of, to_make


@dataclass(frozen=True)
class Comparison:
    """The differences of scores, A less B, each beside both; and samples side by side."""

    scores: list[Score]
    note: dict[str, Any]
    picture: Path


def compare_runs(
    a: Run,
    b: Run,
    *,
    num: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    format: str = "auto",
    overwrite: bool = False,
    device: str = "auto",
) -> Comparison:
    """Draw as many samples of both from the same noise, and compare both with the data of A.

    Each run draws in its own way: sampler, steps, guidance, average. One process does this.

    Args:
        a: a run.
        b: another, of data of the same kind and shape.
        num: of the samples; by default the fewer of what the runs are evaluated with.
        seed: sample i of both begins with the noise (seed, i).
        out: a .png, .svg or .pdf; in the folder of A, under a telling name, without it.
        format: of the picture: png, svg, pdf, or auto, what `out` ends in or png.
        overwrite: replace a file that exists.
        device: where the networks run.

    Raises:
        ValueError: data of different kinds or shapes, runs that enlarge pictures, a number that
            cannot be compared with the data, or another suffix.
        FileExistsError: something else is there already and may not be replaced.
    """
    _check_pair(a, b)
    check_suffix(out, FORMATS)
    suffix = suffix_of(out, format)
    integer("seed", seed, 0, MOST_SEED)
    data, place = a.data, pick_device(device)
    if num is None:
        own = [run.config.sampling.num or run.kind.default_num() for run in (a, b)]
        num = min(*own, a.kind.most(data))
    drawn: list[Path] = []
    for run in (a, b):
        wish = completed(run, replace(run.config.sampling, num=num, seed=seed, label=()))
        model = run.model(wish.average, place.type)
        drawn.append(draw_evaluation(run, model, wish, data))
    sets = [read_samples(a.kind, file) for file in drawn]
    moved = [{m.score.key: m for m in a.kind.influences(*s, data)} for s in sets]
    scores = [_difference(moved[0][k], moved[1][k]) for k in moved[0] if k in moved[1]]
    of = {"compared": [digest(file) for file in drawn], "names": [a.path.name, b.path.name]}
    path = out or free(a, a.samples / f"compare-{b.path.name}-s{seed}{suffix}", of)
    with to_make(a, {path: of}, overwrite) as missing:
        if missing:
            put_picture(a, path, _drawn(a, b, sets), of, "comparison")
    note = {"a": str(a.path), "b": str(b.path), "num_samples": num, "seed": seed}
    by = next((m.judge for m in moved[0].values() if m.judge is not None), None)
    return Comparison(scores, note if by is None else {**note, "judge": by}, path)


def _check_pair(a: Run, b: Run) -> None:
    if distributed.world_size() > 1:
        raise ValueError("runs are compared by one process")
    for run in (a, b):
        if run.config.factor is not None:
            raise ValueError(
                f"{run.path} enlarges pictures; compare takes runs that draw from noise"
            )
    ours, theirs = ((run.facts.kind, run.facts.shape) for run in (a, b))
    if ours != theirs:
        raise ValueError(
            f"{b.path} draws {theirs[0]} {theirs[1]} and {a.path} {ours[0]} {ours[1]}: they cannot "
            "be compared"
        )


def _difference(a: Moved, b: Moved) -> Score:
    """A less B, with the interval of pairs."""
    found = paired_difference(a.by, b.by)
    key, title, _, _, _, form = a.score
    both = {f"{key}.a": a.by.value, f"{key}.b": b.by.value}
    return Score(f"{key}.difference", f"{title}, A - B", found.value, found.interval, both, form)


def _drawn(a: Run, b: Run, sets: Sequence[tuple[Tensor, Names]]) -> Drawing:
    a.kind.show_behind(a.data)
    count = a.kind.default_num()
    pictures = [a.kind.picture(x[:count], names and names[:count]) for x, names in sets]
    return beside(pictures, [f"A: {a.path.name}", f"B: {b.path.name}"])
