"""Samples of a run as a picture, a file or an animation."""

from dataclasses import replace
from pathlib import Path

from denoising_diffusion import distributed
from denoising_diffusion.jobs import pictures
from denoising_diffusion.jobs.drawing import draw_file
from denoising_diffusion.jobs.sampling import SampleOptions, draw, plan
from denoising_diffusion.run import RunFolder, load


def sample_run(
    path: Path,
    options: SampleOptions,
    *,
    out: Path | None = None,
    gif: Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
) -> list[Path]:
    """Draw samples from a run into a .png or .npz, and the walk into a .gif; the files written.

    Raises:
        ValueError: bad options, an unknown suffix, or no run.
        FileExistsError: a file is there already and `overwrite` is off.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    facts = folder.facts(config)
    classes = len(facts.class_names)
    default = 1000 * max(1, classes) if len(facts.shape) == 1 else 8 * classes if classes else 16
    chosen = plan(config, facts, options, default)
    out = folder.samples / f"{chosen.name}.png" if out is None else out
    for file, suffixes in ((out, (".png", ".npz")), (gif, (".gif",))):
        _check_target(file, suffixes, overwrite)
    model = load(path, ema=not options.raw_weights, device=device)
    out.parent.mkdir(parents=True, exist_ok=True)
    if gif is not None:
        gif.parent.mkdir(parents=True, exist_ok=True)
        shown = replace(chosen, num=min(chosen.num, pictures.MOST_ANIMATED))
        pictures.animate(model, facts, shown, gif, None)
    if out.suffix == ".npz":
        draw_file(model, facts, chosen, out)
    elif distributed.is_main():
        x = draw(model, chosen)
        pictures.save_picture(out, pictures.picture_of(facts, x, chosen.labels))
    return [out] if gif is None else [out, gif]


def _check_target(path: Path | None, suffixes: tuple[str, ...], overwrite: bool) -> None:
    if path is None:
        return
    if path.suffix not in suffixes:
        raise ValueError(f"{path}: the name must end in {' or '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; --overwrite replaces it")
