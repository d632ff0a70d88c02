"""Samples of a run as a picture, a file or an animation."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from denoising_diffusion import distributed
from denoising_diffusion.config import DataFacts, RunConfig
from denoising_diffusion.jobs import pictures, strips
from denoising_diffusion.jobs.drawing import draw_file
from denoising_diffusion.jobs.sampling import SampleOptions, draw, plan
from denoising_diffusion.run import RunFolder, load


@dataclass(frozen=True)
class Outputs:
    """Which files samples are written to.

    Args:
        out: .png or .npz; in the run's folder, under a telling name, without it.
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


def sample_run(
    path: Path, options: SampleOptions, outputs: Outputs, *, device: str = "auto"
) -> list[Path]:
    """Draw samples from a run and write them; the files written.

    Raises:
        ValueError: bad options, an unknown suffix, or no run.
        FileExistsError: a file is there already and may not be replaced.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    facts = folder.facts(config)
    if outputs.strip is not None or outputs.grid:
        return _compare(folder, config, facts, options, outputs, device)
    classes = len(facts.class_names)
    default = 1000 * max(1, classes) if len(facts.shape) == 1 else 8 * classes if classes else 16
    chosen = plan(config, facts, options, default)
    out = folder.samples / f"{chosen.name}.png" if outputs.out is None else outputs.out
    for file, suffixes in ((out, (".png", ".npz")), (outputs.gif, (".gif",))):
        _check_target(file, suffixes, outputs.overwrite)
    if outputs.gif is not None and chosen.num > pictures.MOST_ANIMATED:
        raise ValueError(f"--gif takes --num of at most {pictures.MOST_ANIMATED}, got {chosen.num}")
    model = load(path, ema=not options.raw_weights, device=device)
    out.parent.mkdir(parents=True, exist_ok=True)
    if outputs.gif is not None and distributed.is_main():
        outputs.gif.parent.mkdir(parents=True, exist_ok=True)
        pictures.animate_one(model, facts, chosen, outputs.gif, outputs.gif_of)
    if out.suffix == ".npz":
        draw_file(model, facts, chosen, out)
    elif distributed.is_main():
        x = draw(model, chosen)
        pictures.save_picture(out, pictures.picture_of(facts, x, chosen.labels))
    return [out] if outputs.gif is None else [out, outputs.gif]


def _compare(
    folder: RunFolder,
    config: RunConfig,
    facts: DataFacts,
    options: SampleOptions,
    outputs: Outputs,
    device: str,
) -> list[Path]:
    if outputs.gif is not None or (outputs.strip is not None and outputs.grid):
        raise ValueError("--strip, --grid and --gif exclude each other")
    kind = "grid" if outputs.grid else str(outputs.strip)
    out = outputs.out or folder.samples / f"{kind}-s{options.seed}.png"
    _check_target(out, (".png",), outputs.overwrite)
    if outputs.strip == "forward":
        model = load(folder.path, ema=not options.raw_weights, device="cpu")
        strips.forward_strip(model, config, facts, options, out)
        return [out]
    names = options.labels or (facts.class_names if outputs.grid else facts.class_names[:1])
    plans = strips.guidance_plans(config, facts, replace(options, labels=names))
    model = load(folder.path, ema=not options.raw_weights, device=device)
    out.parent.mkdir(parents=True, exist_ok=True)
    strips.guidance_grid(model, plans, names, out)
    return [out]


def _check_target(path: Path | None, suffixes: tuple[str, ...], overwrite: bool) -> None:
    if path is None:
        return
    if path.suffix not in suffixes:
        raise ValueError(f"{path}: the name must end in {' or '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; --overwrite replaces it")
