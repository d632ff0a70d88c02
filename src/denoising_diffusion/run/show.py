"""The pictures of a run, and samples of it as a picture, a file or an animation."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from denoising_diffusion import distributed
from denoising_diffusion.config import Sampling
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import write, write_png
from denoising_diffusion.report import plot_history, write_gif
from denoising_diffusion.run.draw import completed, draw, draw_file, file_name, names_of, walk
from denoising_diffusion.run.folder import Run
from denoising_diffusion.samplers import Step
from denoising_diffusion.seeds import stream

if TYPE_CHECKING:
    from PIL.Image import Image

SCALES = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""The guidance scales of a strip."""
PANELS = 6
MOST_ANIMATED = 5000


@dataclass(frozen=True)
class Outputs:
    """Which files samples are written to.

    Args:
        out: with one of the suffixes of the kind; in the run's folder, under a telling name,
            without it.
        gif: also the walk as an animation.
        gif_of: what it shows: x_t, the estimate of x_start, or both, one above the other.
        strip: instead of samples, one label at rising guidance, or training data at rising t.
        grid: instead of samples, all labels at rising guidance.
        overwrite: replace files that exist.
    """

    out: Path | None = None
    gif: Path | None = None
    gif_of: Literal["state", "estimate", "both"] = "state"
    strip: Literal["guidance", "forward"] | None = None
    grid: bool = False
    overwrite: bool = False


def sample_run(run: Run, wish: Sampling, outputs: Outputs, *, device: str = "auto") -> list[Path]:
    """Draw samples from a run and write them; the files written.

    Raises:
        ValueError: bad options, an unknown suffix, or no run.
        FileExistsError: a file is there already and may not be replaced.
    """
    if outputs.strip is not None or outputs.grid:
        return [_compare(run, wish, outputs, device)]
    wish = completed(run, wish)
    out = outputs.out or run.samples / f"{file_name(run, wish)}.png"
    for file, suffixes in ((out, run.kind.suffixes), (outputs.gif, (".gif",))):
        _check_target(file, suffixes, outputs.overwrite)
    if outputs.gif is not None and (wish.num or 0) > MOST_ANIMATED:
        raise ValueError(f"--gif takes --num of at most {MOST_ANIMATED}, got {wish.num}")
    if outputs.gif is not None or out.suffix == ".png":
        _show_behind(run)
    model = run.model(wish.average, device)
    out.parent.mkdir(parents=True, exist_ok=True)
    if outputs.gif is not None and distributed.is_main():
        outputs.gif.parent.mkdir(parents=True, exist_ok=True)
        _write_walk(run, wish, list(walk(run, model, wish)), outputs.gif, outputs.gif_of)
    if out.suffix == ".npz":
        draw_file(run, model, wish, out)
    elif distributed.is_main() and out.suffix != ".png":
        write(out, run.kind.table(draw(run, model, wish), names_of(run, wish), out.suffix))
    elif distributed.is_main():
        write_png(out, run.kind.picture(draw(run, model, wish), names_of(run, wish)))
    return [out] if outputs.gif is None else [out, outputs.gif]


def _show_behind(run: Run) -> None:
    """Pictures over the data, where it is still there: a run can be sampled without."""
    if run.kind.backdrop:
        with contextlib.suppress(ValueError, OSError):
            run.kind.show_behind(run.data)


def _write_walk(run: Run, wish: Sampling, steps: Sequence[Step], path: Path, of: str) -> None:
    write_gif(run.kind.frames(steps, names_of(run, wish), of), path, fps=run.kind.fps)


def _compare(run: Run, wish: Sampling, outputs: Outputs, device: str) -> Path:
    if outputs.gif is not None or (outputs.strip is not None and outputs.grid):
        raise ValueError("--strip, --grid and --gif exclude each other")
    if not run.kind.compares:
        raise ValueError(f"strips and grids are pictures of images; this run has {run.facts.kind}")
    kind = "grid" if outputs.grid else str(outputs.strip)
    out = outputs.out or run.samples / f"{kind}-s{wish.seed}.png"
    _check_target(out, (".png",), outputs.overwrite)
    if outputs.strip == "forward":
        picture = _forward_strip(run, wish, run.model(wish.average, "cpu"))
    else:
        names = wish.label or run.facts.class_names[: None if outputs.grid else 1]
        picture = _guidance_grid(run, replace(wish, label=tuple(names)), device)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_png(out, picture)
    return out


def _guidance_grid(run: Run, wish: Sampling, device: str) -> "Image":
    """A row per label and a column per guidance scale, all from the noise of sample 0."""
    if wish.num is not None or wish.guidance_scale != run.config.sampling.guidance_scale:
        raise ValueError(
            "a strip or grid of guidance scales takes no --num and no --guidance-scale"
        )
    if not run.kind.num_classes:
        raise ValueError("guidance needs a run with classes")
    wishes = [
        [completed(run, replace(wish, label=(name,), num=1, guidance_scale=s)) for s in SCALES]
        for name in wish.label
    ]
    model = run.model(wish.average, device)
    rows = [torch.cat([draw(run, model, w) for w in row]) for row in wishes]
    return run.kind.comparison(torch.stack(rows), wish.label, [f"{s:g}" for s in SCALES])


def _forward_strip(run: Run, wish: Sampling, model: GaussianDiffusion) -> "Image":
    """Training data at times from 1 to T, a row per label, or of one example."""
    x = run.kind.examples(run.data, wish.label)
    total = model.num_timesteps
    times = [max(1, round(total * i / (PANELS - 1))) for i in range(PANELS)]
    noise = torch.randn(x.shape, generator=stream(wish.seed, "forward"))
    states = [model.q_sample(x, torch.full((len(x),), t), noise) for t in times]
    headings = [f"t = {t}" for t in times]
    return run.kind.comparison(torch.stack(states, dim=1), wish.label or None, headings)


def _check_target(path: Path | None, suffixes: tuple[str, ...], overwrite: bool) -> None:
    if path is None:
        return
    if path.suffix not in suffixes:
        raise ValueError(f"{path}: the name must end in {' or '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; --overwrite replaces it")


def small(run: Run, *, preview: bool) -> Sampling:
    """The completed request of a few samples to look at."""
    unlabelled = run.config.training.label_dropout > 0
    num, labels = run.kind.shown(preview=preview, unlabelled=unlabelled)
    return completed(run, replace(run.config.sampling, num=num, label=labels))


def preview(run: Run, model: GaussianDiffusion, epoch: int) -> None:
    """A picture of a few samples while training goes on."""
    run.kind.show_behind(run.data)
    wish = small(run, preview=True)
    picture = run.kind.picture(draw(run, model, wish), names_of(run, wish))
    write_png(run.samples / f"epoch-{epoch:04d}.png", picture)


def run_pictures(run: Run, model: GaussianDiffusion) -> list[Path]:
    """All pictures that end a run, drawn if one is missing, those to look at first."""
    shown = [run.path / name for name in ("samples.png", "reverse.gif", "estimate.gif")]
    history = run.path / "history.png"
    if not all(file.exists() for file in (*shown, history)):
        write_png(history, plot_history(run.read_history()))
        run.kind.show_behind(run.data)
        wish = small(run, preview=False)
        steps = list(walk(run, model, wish))
        _write_walk(run, wish, steps, shown[1], "state")
        _write_walk(run, wish, steps, shown[2], "estimate")
        for name, picture in run.kind.run_pictures(model, run.data, steps).items():
            shown.append(run.path / name)
            if isinstance(picture, list):
                write_gif(picture, shown[-1], fps=run.kind.fps)
            else:
                write_png(shown[-1], picture)
        write_png(shown[0], run.kind.picture(steps[-1].x, names_of(run, wish)))
    return [*shown, history]
