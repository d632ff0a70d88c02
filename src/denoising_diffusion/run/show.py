"""The pictures of a run, and samples of it as a picture, a file or an animation."""

import contextlib
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from denoising_diffusion import distributed
from denoising_diffusion.config import Sampling
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.files import as_png, write
from denoising_diffusion.report import as_gif, plot_history, thin
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.draw import (
    completed,
    draw,
    draw_file,
    file_name,
    names_of,
    origin,
    parts_of,
    walk,
)
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.given import Given
from denoising_diffusion.run.preflight import check_room
from denoising_diffusion.samplers import Step
from denoising_diffusion.seeds import stream

if TYPE_CHECKING:
    from PIL.Image import Image

SCALES = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""The guidance scales of a strip."""
PANELS = 6
MOST_ANIMATED = 5000
_LAST = "samples.png"
_SHOWN = (_LAST, "reverse.gif", "estimate.gif")


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


@dataclass(frozen=True)
class Drawn:
    """The files that were asked for, and those of them that had to be made."""

    files: list[Path]
    made: list[Path]


def sample_run(
    run: Run,
    wish: Sampling,
    outputs: Outputs,
    *,
    device: str = "auto",
    given: Given | None = None,
) -> Drawn:
    """Draw samples from a run and write them; what is there already, of the same, stays.

    Raises:
        ValueError: bad options, an unknown suffix, no run, or another command that is writing.
        FileExistsError: something else is there already and may not be replaced.
    """
    if outputs.strip is not None or outputs.grid:
        return _compare(run, wish, outputs, device)
    wish = completed(run, wish)
    check_room(run.facts.shape, wish.num or 0)
    if outputs.gif is not None and (wish.num or 0) > MOST_ANIMATED:
        raise ValueError(f"--gif takes --num of at most {MOST_ANIMATED}, got {wish.num}")
    _check_suffix(outputs.out, run.kind.suffixes)
    _check_suffix(outputs.gif, (".gif",))
    model = run.model(wish.average, device)
    of = origin(run, model, wish, given)
    begin = "" if given is None else f"{given.name}-"
    out = outputs.out or _free(run, run.samples / f"{begin}{file_name(run, wish)}.png", of)
    wanted = {out: of}
    if outputs.gif is not None:
        wanted[outputs.gif] = {**of, "gif": outputs.gif_of}
    with _to_make(run, wanted, outputs.overwrite) as missing:
        if outputs.gif in missing and distributed.is_main():
            _show_behind(run)
            frames = _frames(run, wish, walk(run, model, wish, given=given), outputs.gif_of)
            run.artefacts.put(outputs.gif, as_gif(frames, fps=run.kind.fps), wanted[outputs.gif])
        if out in missing and out.suffix == ".npz":
            draw_file(run, model, wish, out, given)
        elif out in missing and out.suffix != ".png" and distributed.is_main():
            x = draw(run, model, wish, given)
            run.artefacts.put(out, run.kind.table(x, names_of(run, wish), out.suffix), of)
        elif out in missing and distributed.is_main():
            _show_behind(run)
            show = run.kind.picture if given is None else given.picture
            picture = show(draw(run, model, wish, given), names_of(run, wish))
            run.artefacts.put(out, as_png(picture), of)
    return Drawn(list(wanted), missing)


def _show_behind(run: Run) -> None:
    """Pictures over the data, where it is still there: a run can be sampled without."""
    if run.kind.backdrop:
        with contextlib.suppress(ValueError, OSError):
            run.kind.show_behind(run.data)


def _frames(run: Run, wish: Sampling, steps: Iterator[Step], of: str) -> "list[Image]":
    """The frames of a walk, of which no more steps are kept than are shown."""
    shown = set(thin(wish.steps or 1))
    kept = [step for i, step in enumerate(steps) if i in shown]
    return run.kind.frames(kept, names_of(run, wish), of)


@contextlib.contextmanager
def _to_make(run: Run, wanted: Mapping[Path, Origin], overwrite: bool) -> Generator[list[Path]]:
    """Those of these files that must be made, while no other command writes them.

    Raises:
        FileExistsError: something else is there and may not be replaced.
    """
    with contextlib.ExitStack() as stack:
        for path in wanted:
            stack.enter_context(distributed.alone(path))
        missing: list[Path] = []
        for path, of in wanted.items():
            current = run.artefacts.current(path, of)
            if path.exists() and not overwrite and not current:
                raise FileExistsError(f"{path} exists; --overwrite replaces it")
            if overwrite or not current:
                missing.append(path)
            elif distributed.is_main():
                shutil.rmtree(parts_of(path), ignore_errors=True)
        yield distributed.broadcast_object(missing)


def _free(run: Run, path: Path, of: Origin) -> Path:
    """The path, or the first with a number behind it where nothing else lies."""
    number, found = 1, path
    while found.exists() and not run.artefacts.current(found, of):
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return distributed.broadcast_object(found)


def _check_suffix(path: Path | None, suffixes: tuple[str, ...]) -> None:
    if path is not None and path.suffix not in suffixes:
        raise ValueError(f"{path}: the name must end in {' or '.join(suffixes)}")


def _compare(run: Run, wish: Sampling, outputs: Outputs, device: str) -> Drawn:
    if outputs.gif is not None or (outputs.strip is not None and outputs.grid):
        raise ValueError("--strip, --grid and --gif exclude each other")
    if not run.kind.compares:
        raise ValueError(f"strips and grids are pictures of images; this run has {run.facts.kind}")
    kind = "grid" if outputs.grid else str(outputs.strip)
    _check_suffix(outputs.out, (".png",))
    if outputs.strip == "forward":
        of, draw_it = _forward_strip(run, wish)
    else:
        names = wish.label or run.facts.class_names[: None if outputs.grid else 1]
        of, draw_it = _guidance_grid(run, replace(wish, label=tuple(names)), device)
    of["picture"] = kind
    out = outputs.out or _free(run, run.samples / f"{kind}-s{wish.seed}.png", of)
    with _to_make(run, {out: of}, outputs.overwrite) as missing:
        if missing and distributed.is_main():
            run.artefacts.put(out, as_png(draw_it()), of)
    return Drawn([out], missing)


Comparison = tuple[Origin, Callable[[], "Image"]]
"""What a picture is made from, and how."""


def _guidance_grid(run: Run, wish: Sampling, device: str) -> Comparison:
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

    def picture() -> "Image":
        rows = [torch.cat([draw(run, model, w) for w in row]) for row in wishes]
        return run.kind.comparison(torch.stack(rows), wish.label, [f"{s:g}" for s in SCALES])

    of = {**origin(run, model, wishes[0][0]), "labels": list(wish.label), "scales": list(SCALES)}
    return of, picture


def _forward_strip(run: Run, wish: Sampling) -> Comparison:
    """Training data at times from 1 to T, a row per label, or of one example."""
    own = replace(run.config.sampling, num=None, label=wish.label, seed=wish.seed)
    if replace(wish, num=None) != own or wish.num is not None:
        raise ValueError("--strip forward shows training data: it takes --label and --seed alone")
    model = run.model(wish.average, "cpu")
    x = run.kind.examples(run.data, wish.label)

    def picture() -> "Image":
        total = model.num_timesteps
        times = [max(1, round(total * i / (PANELS - 1))) for i in range(PANELS)]
        noise = torch.randn(x.shape, generator=stream(wish.seed, "forward"))
        states = [model.q_sample(x, torch.full((len(x),), t), noise) for t in times]
        headings = [f"t = {t}" for t in times]
        return run.kind.comparison(torch.stack(states, dim=1), wish.label or None, headings)

    labels: list[Any] = list(wish.label)
    return {"data": run.facts.fingerprint, "labels": labels, "seed": wish.seed}, picture


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
    write(run.samples / f"epoch-{epoch:04d}.png", as_png(picture))


def pictures(run: Run, model: GaussianDiffusion) -> list[Path] | None:
    """The pictures that end a run, those to look at first; None if one of them is missing."""
    of = _pictures_origin(run, model)
    files = run.artefacts.recorded(of)
    if run.path / _LAST not in files or not all(run.artefacts.current(f, of) for f in files):
        return None
    shown = [run.path / name for name in _SHOWN]
    return [*shown, *(f for f in files if f not in shown)]


def _pictures_origin(run: Run, model: GaussianDiffusion) -> Origin:
    return {**origin(run, model, small(run, preview=False)), "picture": "run"}


def draw_pictures(run: Run, model: GaussianDiffusion) -> None:
    """Draw the pictures that end a run; that of the samples comes last."""
    of = _pictures_origin(run, model)
    run.kind.show_behind(run.data)
    wish = small(run, preview=False)
    steps = list(walk(run, model, wish))
    names = names_of(run, wish)
    made: Mapping[str, Image | list[Image]] = {
        "history.png": plot_history(run.history.read()),
        "reverse.gif": run.kind.frames(steps, names, "state"),
        "estimate.gif": run.kind.frames(steps, names, "estimate"),
        **run.kind.run_pictures(model, run.data, steps),
        _LAST: run.kind.picture(steps[-1].x, names),
    }
    for name, picture in made.items():
        frames = isinstance(picture, list)
        content = as_gif(picture, fps=run.kind.fps) if frames else as_png(picture)
        run.artefacts.put(run.path / name, content, of)
