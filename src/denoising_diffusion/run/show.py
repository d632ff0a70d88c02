"""Samples of a run as a picture, a file or an animation."""

import contextlib
import shutil
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from denoising_diffusion import distributed
from denoising_diffusion.checks import one_of
from denoising_diffusion.config import Sampling
from denoising_diffusion.report import ANIMATIONS, FORMATS, Drawing, check_animation
from denoising_diffusion.run import between
from denoising_diffusion.run.animate import frames_of
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.draw import draw, draw_file, origin, parts_of
from denoising_diffusion.run.figures import put_frames, put_picture
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.given import Given
from denoising_diffusion.run.preflight import check_room
from denoising_diffusion.run.request import completed, file_name, names_of
from denoising_diffusion.seeds import stream

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
        format: of a picture: png, svg, pdf, or auto, what `out` ends in or png.
        gif: also the walk as an animation, a .gif, .apng, .webp or .mp4.
        gif_of: what it shows: x_t, the estimate of x_start, or both, one above the other.
        strip: instead of samples, one label at rising guidance, or training data at rising t.
        grid: instead of samples, all labels at rising guidance.
        between: instead of samples, a way between two ends, each a picture file or a seed.
        overwrite: replace files that exist.
    """

    out: Path | None = None
    format: str = "auto"
    gif: Path | None = None
    gif_of: Literal["state", "estimate", "both"] = "state"
    strip: Literal["guidance", "forward"] | None = None
    grid: bool = False
    between: tuple[str, str] | None = None
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

    A super-resolution run needs the pictures that they are drawn from.

    Raises:
        ValueError: bad options, an unknown suffix, no run, or another command that is writing.
        FileExistsError: something else is there already and may not be replaced.
    """
    if outputs.strip is not None or outputs.grid or outputs.between is not None:
        return _compare(run, wish, outputs, device)
    wish = completed(run, wish)
    check_room(run.facts.shape, wish.num or 0)
    if outputs.gif is not None and (wish.num or 0) > MOST_ANIMATED:
        raise ValueError(f"--gif takes --num of at most {MOST_ANIMATED}, got {wish.num}")
    check_suffix(outputs.out, run.kind.suffixes)
    check_suffix(outputs.gif, ANIMATIONS)
    suffix = suffix_of(outputs.out, outputs.format)
    if outputs.gif is not None:
        check_animation(outputs.gif.suffix)
    model = run.model(wish.average, device)
    of = origin(run, model, wish, given)
    out = outputs.out or free(run, run.samples / f"{file_name(run, wish, given)}{suffix}", of)
    wanted = {out: of}
    if outputs.gif is not None:
        wanted[outputs.gif] = {**of, "gif": outputs.gif_of}
    with to_make(run, wanted, outputs.overwrite) as missing:
        if outputs.gif in missing and distributed.is_main():
            _show_behind(run)
            frames = frames_of(run, model, wish, outputs.gif_of, given)
            put_frames(run, outputs.gif, frames, wanted[outputs.gif], f"walk ({outputs.gif_of})")
        if out in missing and out.suffix == ".npz":
            draw_file(run, model, wish, out, given)
        elif out in missing and out.suffix not in FORMATS and distributed.is_main():
            x = draw(run, model, wish)
            run.artefacts.put(out, run.kind.table(x, names_of(run, wish), out.suffix), of)
        elif out in missing and distributed.is_main():
            _show_behind(run)
            picture = picture_of(run, wish, draw(run, model, wish, given), given)
            put_picture(run, out, picture, of)
    return Drawn(list(wanted), missing)


def picture_of(run: Run, wish: Sampling, x: Tensor, given: Given | None) -> Drawing:
    """Samples of a completed request, drawn."""
    show = run.kind.picture if given is None else given.picture
    return show(x, names_of(run, wish, given))


def _show_behind(run: Run) -> None:
    """Pictures over the data, where it is still there: a run can be sampled without."""
    if run.kind.backdrop:
        with contextlib.suppress(ValueError, OSError):
            run.kind.show_behind(run.data)


@contextlib.contextmanager
def to_make(run: Run, wanted: Mapping[Path, Origin], overwrite: bool) -> Generator[list[Path]]:
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


def free(run: Run, path: Path, of: Origin) -> Path:
    """The path, or the first with a number behind it where nothing else lies."""
    number, found = 1, path
    while found.exists() and not run.artefacts.current(found, of):
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return distributed.broadcast_object(found)


def check_suffix(path: Path | None, suffixes: tuple[str, ...]) -> None:
    """Refuse a file of another suffix than these."""
    if path is not None and path.suffix not in suffixes:
        raise ValueError(f"{path}: the name must end in {' or '.join(suffixes)}")


def suffix_of(path: Path | None, format: str) -> str:
    """The suffix of a picture for which a path or a format may be given.

    Raises:
        ValueError: they disagree, or the format is unknown.
    """
    one_of("format", format, ("auto", *(suffix[1:] for suffix in FORMATS)))
    if path is None:
        return ".png" if format == "auto" else f".{format}"
    if format != "auto" and path.suffix != f".{format}":
        raise ValueError(f"--format {format} and {path} disagree: give one of them")
    return path.suffix


def _compare(run: Run, wish: Sampling, outputs: Outputs, device: str) -> Drawn:
    if sum(map(bool, (outputs.strip, outputs.grid, outputs.between, outputs.gif))) > 1:
        raise ValueError("--strip, --grid, --between and --gif exclude each other")
    if not run.kind.compares:
        raise ValueError(f"strips and grids are pictures of images; this run has {run.facts.kind}")
    kind = "grid" if outputs.grid else outputs.strip or "between"
    stem = f"{kind}-s{wish.seed}"
    check_suffix(outputs.out, FORMATS)
    suffix = suffix_of(outputs.out, outputs.format)
    if outputs.strip == "forward":
        of, draw_it = _forward_strip(run, wish)
    elif outputs.between is not None:
        of, stem, draw_it = between.strip(run, wish, outputs.between, device)
    else:
        names = wish.label or run.facts.class_names[: None if outputs.grid else 1]
        of, draw_it = _guidance_grid(run, replace(wish, label=tuple(names)), device)
    of["picture"] = kind
    out = outputs.out or free(run, run.samples / f"{stem}{suffix}", of)
    with to_make(run, {out: of}, outputs.overwrite) as missing:
        if missing and distributed.is_main():
            put_picture(run, out, draw_it(), of, kind)
    return Drawn([out], missing)


Comparison = tuple[Origin, Callable[[], Drawing]]
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
        [completed(run, replace(_scaled(wish, s), label=(name,), num=1)) for s in SCALES]
        for name in wish.label
    ]
    model = run.model(wish.average, device)

    def picture() -> Drawing:
        headings = [f"guidance {s:g}" for s in SCALES]
        rows = [torch.cat([draw(run, model, w) for w in row]) for row in wishes]
        return run.kind.comparison(torch.stack(rows), wish.label, headings)

    of = {**origin(run, model, wishes[0][0]), "labels": list(wish.label), "scales": list(SCALES)}
    return of, picture


def _scaled(wish: Sampling, scale: float) -> Sampling:
    """The request at this guidance scale; at 1 there is nothing to keep in an interval."""
    interval = None if scale == 1 else wish.guidance_interval
    return replace(wish, guidance_scale=scale, guidance_interval=interval)


def _forward_strip(run: Run, wish: Sampling) -> Comparison:
    """Training data at times from 1 to T, a row per label, or of one example."""
    own = replace(run.config.sampling, num=None, label=wish.label, seed=wish.seed)
    if replace(wish, num=None) != own or wish.num is not None:
        raise ValueError("--strip forward shows training data: it takes --label and --seed alone")
    model = run.model(wish.average, "cpu")
    x = run.kind.examples(run.data, wish.label)

    def picture() -> Drawing:
        total = model.num_timesteps
        times = [max(1, round(total * i / (PANELS - 1))) for i in range(PANELS)]
        noise = torch.randn(x.shape, generator=stream(wish.seed, "forward"))
        states = [model.q_sample(x, torch.full((len(x),), t), noise) for t in times]
        headings = [f"t = {t}" for t in times]
        return run.kind.comparison(torch.stack(states, dim=1), wish.label or None, headings)

    labels: list[Any] = list(wish.label)
    return {"data": run.facts.fingerprint, "labels": labels, "seed": wish.seed}, picture
