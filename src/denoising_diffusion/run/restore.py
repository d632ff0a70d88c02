"""Filling and undoing with a run: samples that agree with a picture."""

import inspect
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from denoising_diffusion import tables
from denoising_diffusion.config import NONE, REPAINT, Problem, Sampling
from denoising_diffusion.data.exact import read_exact
from denoising_diffusion.guidance import Denoiser
from denoising_diffusion.kinds.base import Names
from denoising_diffusion.report import Drawing
from denoising_diffusion.restoration import Mask, Operator
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.given import Given
from denoising_diffusion.run.guided import in_range
from denoising_diffusion.run.request import check_means
from denoising_diffusion.run.show import Drawn, Outputs, sample_run
from denoising_diffusion.samplers import Sampler, Step
from denoising_diffusion.samplers.repaint import repaint
from denoising_diffusion.schedule import Schedule
from denoising_diffusion.seeds import RandnLike

ANSWERS = 8
"""Answers that are drawn when no number is given, and those in a row of a picture."""
ROUNDING = 1 / math.sqrt(12)
"""The standard deviation of what rounding to whole grey levels adds to a picture, in levels."""
LEVELS = 127.5
"""Grey levels in a unit of model space."""
WHITE = 128
"""The least grey level of a mask that is filled."""
JUMP = 10 / 250
"""The share of the steps that RePaint goes back at a time (Lugmayr et al. 2022, section 5)."""


@dataclass(frozen=True)
class Observed(Given):
    """An observation that samples are made to agree with.

    Args:
        of: what it was made from, in terms of JSON.
        name: begins the name of the default file.
        walking: makes of the request's sampler, which is handed a denoiser that clips nothing, the
            one that walks.
        show: draws samples, with their class names.
    """

    clips = True
    of: Origin
    name: str
    walking: Callable[[Sampler], Sampler]
    show: Callable[[Tensor, Names], Drawing]

    @property
    def origin(self) -> Origin:
        """What was observed, and how."""
        return {"given": self.of}

    def named(self, stem: str) -> str:
        """The problem before the stem."""
        return f"{self.name}-{stem}"

    def picture(self, x: Tensor, names: Names) -> Drawing:
        """Answers beside what was observed."""
        return self.show(x, names)

    def sampler(self, sampler: Sampler) -> Sampler:
        """The sampler that heeds the observation."""
        return self.walking(sampler)


def restore_run(
    run: Run, wish: Sampling, problem: Problem, outputs: Outputs, *, device: str = "auto"
) -> Drawn:
    """Draw samples that agree with a picture, and write them as `sample_run` does.

    Raises:
        ValueError: as `sample_run`; a run of something else than images, a picture or a mask that
            cannot be read, of another size or with other channels, an unknown operator, or one that
            the run's images do not have.
        FileExistsError: as `sample_run`.
    """
    what = "--inpaint" if problem.inpaint else "--restore"
    check_means(run, what)
    if not run.kind.compares:
        raise ValueError(f"{what} takes a run of images; this run has {run.facts.kind}")
    if outputs.strip is not None or outputs.grid or outputs.between is not None:
        raise ValueError(f"{what}, --strip, --grid and --between exclude each other")
    method = problem.method or "pigdm"
    wish = _settled(run, wish, method)
    make = _filling if problem.inpaint else _undoing
    return sample_run(run, wish, outputs, device=device, given=make(run, wish, problem, method))


def _settled(run: Run, wish: Sampling, method: str) -> Sampling:
    """The request with what is right for answers in place of what is right for samples.

    Without a label they are of the model that knows none: a picture does not tell its class.
    """
    wish = replace(wish, num=ANSWERS if wish.num is None else wish.num)
    if method == REPAINT:
        if wish.sampler not in ("ddpm", run.config.sampling.sampler):
            raise ValueError(
                f"method {REPAINT} is a sampler of its own, with steps like those of ddpm; it "
                f"takes no --sampler {wish.sampler}"
            )
        wish = replace(wish, sampler="ddpm")
    if wish.label or not run.kind.num_labels:
        return wish
    if run.config.training.label_dropout == 0:
        known = ", ".join(run.facts.class_names) or "no classes"
        raise ValueError(
            f"this run never trained without labels: say with --label what the picture shows, "
            f"of {known}"
        )
    # Guidance between two estimates that are the same changes nothing.
    return replace(wish, label=(NONE,), guidance_scale=1.0)


def _filling(run: Run, wish: Sampling, problem: Problem, method: str) -> Observed:
    assert problem.inpaint is not None and problem.mask is not None
    shape = run.facts.shape
    picture, of_picture = read_exact(problem.inpaint, shape)
    mask, of_mask = read_exact(problem.mask, (1, *shape[1:]))
    if not (mask >= WHITE).any():
        raise ValueError(f"{problem.mask} is black everywhere: there is nothing to fill")
    x = run.kind.decode(picture[None])
    known = torch.from_numpy(mask[..., 0] < WHITE).expand(shape)
    operator = Mask(known)
    observation = operator.apply(x)
    heeding = _heeding(run, wish, method, observation, operator)
    steps = wish.steps or run.config.schedule.get("timesteps", 100)
    jumping = partial(repaint, observation=x, known=known, jump=max(1, round(JUMP * steps)))

    def keeping(sampler: Sampler) -> Sampler:
        walk = heeding(jumping if method == REPAINT else sampler)
        return lambda *args, **options: _keep(walk(*args, **options), known, x)

    origin = {"picture": of_picture, "mask": of_mask, "method": method}
    shown = {"picture": x, "given": operator.adjoint(observation)}
    return Observed(origin, f"inpaint-{method}", keeping, partial(_strips, run, shown))


def _undoing(run: Run, wish: Sampling, problem: Problem, method: str) -> Observed:
    assert problem.restore is not None and problem.operator is not None
    shape = run.facts.shape
    operator = operator_named(problem.operator, shape)
    seen = tuple(operator.apply(torch.zeros(1, *shape)).shape[1:])
    picture, of_picture = read_exact(problem.restore, seen)
    observation = run.kind.decode(picture[None])
    noise = math.hypot(problem.observation_noise or 0.0, ROUNDING) / LEVELS
    heeding = _heeding(run, wish, method, observation, operator, noise)
    origin = {"picture": of_picture, "operator": problem.operator, "noise": noise, "method": method}
    # What is smaller or has fewer channels is drawn as wide, which Aᵀ does but for its scale.
    spread = operator.adjoint(observation) / operator.adjoint(torch.ones_like(observation))
    shown = {"given": observation if seen == shape else spread}
    return Observed(origin, f"{problem.operator}-{method}", heeding, partial(_strips, run, shown))


def operator_named(name: str, shape: tuple[int, ...]) -> Operator:
    """The operator that a name such as pool4, blur1.5 or grey stands for, on samples of this shape.

    Raises:
        ValueError: an unknown name, a number too many, too few or beyond its limits, or samples
            that it does not take.
    """
    table = tables.TABLES["operator"]
    forms = {n: len(inspect.signature(tables.resolve("operator", n)).parameters) for n in table}
    found = re.fullmatch(r"([a-z_-]+)([0-9.]*)", name)
    head, number = found.groups() if found else ("", "")
    try:
        if forms[head] != 1 + bool(number):
            raise KeyError
        given = [float(number) if "." in number else int(number)] if number else []
        return tables.resolve("operator", head)(shape, *given)
    except KeyError:
        known = ", ".join(n + "NUMBER" * (count > 1) for n, count in forms.items())
        raise ValueError(f"operator must be one of {known}, got {name!r}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"operator {name}: {error}") from None


def _heeding(
    run: Run,
    wish: Sampling,
    method: str,
    observation: Tensor,
    operator: Operator,
    noise: float = 0.0,
) -> Callable[[Sampler], Sampler]:
    """What makes of a sampler one that heeds the observation; estimates are clipped last."""

    def heeding(sampler: Sampler) -> Sampler:
        def walk(
            denoise: Denoiser,
            schedule: Schedule,
            x: Tensor,
            times: Sequence[float],
            *,
            randn_like: RandnLike,
        ) -> Iterator[Step]:
            if method != REPAINT:
                guide = tables.resolve("method", method)
                denoise = guide(denoise, schedule, observation, operator, noise=noise)
            denoise = in_range(denoise, wish, run.facts.clip)
            return sampler(denoise, schedule, x, times, randn_like=randn_like)

        return walk

    return heeding


def _keep(steps: Iterator[Step], known: Tensor, picture: Tensor) -> Iterator[Step]:
    """The steps, of which the last has the known pixels of the picture, to the bit."""
    for step in steps:
        if step.t == 0:
            x = torch.where(known.to(step.x.device), picture.to(step.x), step.x)
            step = Step(step.t, x, x)
        yield step


def _strips(run: Run, shown: dict[str, Tensor], x: Tensor, names: Names) -> Drawing:
    """What was given, and answers beside it: a row per class if each has as many, or rows of
    `ANSWERS`.
    """
    kinds = list(dict.fromkeys(names or ()))
    count = len(x)
    by_class = len(kinds) > 1 and list(names or ()) == kinds * (count // len(kinds))
    width = count // len(kinds) if by_class else min(count, ANSWERS)
    order = [i for k in range(len(kinds)) for i in range(k, count, len(kinds))]
    answers = x[order] if by_class else x
    white = torch.ones(-count % width, *x.shape[1:])
    table = torch.cat([answers, white]).unflatten(0, (-1, width))
    given = torch.cat(list(shown.values())).expand(len(table), -1, *x.shape[1:])
    headings = [*shown, *map(str, range(1, width + 1))]
    return run.kind.comparison(torch.cat([given, table], 1), kinds if by_class else None, headings)
