"""A strip of pictures on the way from one to another, each a picture file or a seed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denoising_diffusion import tables
from denoising_diffusion.checks import integer
from denoising_diffusion.config import NONE, Sampling
from denoising_diffusion.data.exact import read_exact
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.interpolation import slerp
from denoising_diffusion.report import Drawing
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.draw import origin
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.guided import guided, in_range, snapshot
from denoising_diffusion.run.request import check_means, completed, times_of
from denoising_diffusion.samplers import last
from denoising_diffusion.sampling import start

NUM = 9
MOST = 1000


@dataclass(frozen=True)
class End:
    """One end of the way: a seed, or a picture (1, c, h, w) in model space and what it is from."""

    seed: int | None
    picture: Tensor | None
    name: str
    origin: Origin


def strip(
    run: Run, wish: Sampling, ends: tuple[str, str], device: str
) -> tuple[Origin, str, Callable[[], Drawing]]:
    """What the strip is made from, the stem of its file, and how it is made.

    Pictures are encoded: the ODE is walked up from t = 1, the least time that was trained. Seeds
    are the noise of their sample 0. Mixes of the two are spherical, and drawn as every sample is.
    The network runs in float32 whatever the run's precision, for what is encoded must come back.

    Raises:
        ValueError: a sampler with chance, more than one label, none where the run knows nothing
            without one, fewer than two pictures, or an end that is neither a seed nor a picture of
            the run's size.
    """
    wish = _completed(run, wish)
    num = wish.num or NUM
    found = [_end(run, text) for text in ends]
    model = run.model(wish.average, device)
    of = {**origin(run, model, wish), "between": [end.origin for end in found]}

    def picture() -> Drawing:
        shares = torch.linspace(0, 1, num, dtype=torch.float64)
        x = _between(run, model, wish, found, shares)
        return run.kind.comparison(x[None], None, [f"{share:.2f}" for share in shares.tolist()])

    return of, f"between-{found[0].name}-{found[1].name}", picture


def _completed(run: Run, wish: Sampling) -> Sampling:
    check_means(run, "--between")
    options = tables.options_of(tables.resolve("sampler", wish.sampler))
    if wish.sampler == "ddpm" or wish.eta:
        named = f"ddim with eta {wish.eta:g}" if wish.eta else wish.sampler
        raise ValueError(f"--between takes a sampler without chance, ddim or heun, got {named}")
    if len(wish.label) > 1:
        raise ValueError(f"--between takes one --label, got {', '.join(wish.label)}")
    if run.kind.num_labels and not wish.label:
        if run.config.training.label_dropout == 0:
            raise ValueError("this run knows nothing without a label; say with --label which")
        wish = replace(wish, label=(NONE,))
    num = integer("num", NUM if wish.num is None else wish.num, 2, MOST)
    return completed(run, replace(wish, num=num, eta=0.0 if "eta" in options else None))


def _end(run: Run, text: str) -> End:
    if text.isdecimal():
        seed = integer("a seed of --between", int(text), 0, 2**63 - 1)
        return End(seed, None, str(seed), {"seed": seed})
    path = Path(text)
    try:
        pixels, sha256 = read_exact(path, run.facts.shape)
    except ValueError as error:
        raise ValueError(f"--between takes seeds and picture files; {error}") from None
    name = "".join(c if c.isalnum() else "_" for c in path.stem)[:40]
    return End(None, run.kind.decode(pixels[None]), name, {"picture": sha256})


def _between(
    run: Run, model: GaussianDiffusion, wish: Sampling, ends: list[End], shares: Tensor
) -> Tensor:
    sampler: Any = tables.resolve("sampler", wish.sampler)
    times = times_of(run, model.schedule, wish)
    down = sorted({*times, 1} - {0}, reverse=True)
    alpha = model.schedule.alpha[1].item()
    weak = None if wish.autoguidance == 1 else snapshot(run, model)

    def estimate(count: int) -> Denoiser:
        labels = run.kind.label_rows(wish.label, count)
        return in_range(guided(model, wish, labels, weak), wish, model.clip)

    def encoded(end: End) -> Tensor:
        noise, _ = start(model, 1, end.seed or 0, t=times[0])
        if end.picture is None:
            return noise
        x = alpha * end.picture.to(noise)
        return last(sampler(estimate(1), model.schedule, x, down[::-1])).x if len(down) > 1 else x

    first, second = (encoded(end) for end in ends)
    mixes = slerp(first, second, shares)[:, 0]
    size = run.kind.batch(mixes.device.type == "cpu")
    drawn = [
        last(sampler(estimate(len(part)), model.schedule, part, [*down, 0])).x
        for part in mixes.split(size)
    ]
    return torch.cat(drawn).cpu()
