"""What `--fast` asks a run for: samples in at most ten evaluations of the network each."""

from dataclasses import fields, replace

from denoising_diffusion.config import Sampling
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.request import completed, evaluations

MOST = 10
"""Evaluations of the network for a sample, of which a guided step takes two."""
_FIRST_ORDER = ("ddpm", "ddim")
"""Samplers in whose place one of order 2 does better in so few steps."""
_FREE = ("num", "label", "seed", "average", "clip", "threshold")
"""What may still be chosen beside it."""


def fast_sampling(run: Run) -> Sampling:
    """The request, not yet completed, without a number.

    It is that of the configuration's part `fast`. Where there is none, it is what the run draws by
    itself if this takes no more than ten evaluations; else as many steps of it as ten allow, half
    of them where all are guided, with DPM-Solver++ 2M in place of DDPM and DDIM.

    Raises:
        ValueError: as `completed`.
    """
    config, timesteps = run.config, run.config.schedule.get("timesteps", 100)
    wish = replace(config.fast_sampling, num=None)
    if (wish.guidance_scale, wish.autoguidance) == (1, 1):
        wish = replace(wish, guidance_interval=None)
    if config.fast:
        return replace(wish, steps=min(wish.steps or timesteps, timesteps))
    if _count(run, wish) <= MOST:
        return wish
    if wish.sampler in _FIRST_ORDER:
        wish = replace(wish, sampler="dpmpp-2m", eta=None)
    tried = (replace(wish, steps=n) for n in range(min(MOST, timesteps), 0, -1))
    return next(w for w in tried if w.steps == 1 or _count(run, w) <= MOST)


def _count(run: Run, wish: Sampling) -> int:
    return evaluations(run, completed(run, wish))


def about_fast(run: Run, wish: Sampling) -> str:
    """What was chosen, and why, on one line."""
    full = completed(run, wish)
    why = "as the configuration says" if run.config.fast else f"by rule: at most {MOST}"
    return (
        f"--fast: {full.sampler}, {full.steps} steps, {evaluations(run, full)} evaluations of the "
        f"network a sample, {why}"
    )


def check_fast(wish: Sampling, own: Sampling) -> None:
    """Refuse a request that asks otherwise in what `--fast` decides.

    Args:
        wish: what was asked for.
        own: `fast_sampling`.

    Raises:
        ValueError: the first option that differs is named.
    """
    for field in fields(Sampling):
        if field.name not in _FREE and getattr(wish, field.name) != getattr(own, field.name):
            option = field.name.replace("_", "-")
            raise ValueError(f"--fast decides steps and guidance by itself: it takes no --{option}")
