"""Drawing samples from a run, and the files they are written to."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.config import DataFacts, RunConfig, SamplingConfig
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.jobs.prepare import autocast
from denoising_diffusion.jobs.progress import progress
from denoising_diffusion.report import to_uint8
from denoising_diffusion.run import write_atomically
from denoising_diffusion.samplers import Step, ddim, ddpm, time_grid
from denoising_diffusion.sampling import denoiser, start

NONE = "none"
"""The name of the absent label at the command line."""


@dataclass(frozen=True)
class SampleOptions:
    """What was asked for; None is the run's own default."""

    num: int | None = None
    labels: tuple[str, ...] = ()
    guidance_scale: float | None = None
    sampler: str | None = None
    steps: int | None = None
    eta: float | None = None
    seed: int = 0
    raw_weights: bool = False


@dataclass(frozen=True)
class Plan:
    """What will be drawn, checked against the run."""

    sampling: SamplingConfig
    num: int
    seed: int
    labels: Tensor | None
    clip: tuple[float, float] | None
    timesteps: int
    precision: str

    @property
    def steps(self) -> int:
        """Steps from T to 0."""
        return self.sampling.steps or self.timesteps

    @property
    def network_evaluations(self) -> int:
        """Rows that the network evaluates per sample; a guided step counts two."""
        guided = self.labels is not None and self.sampling.guidance_scale not in (0, 1)
        return self.steps * (2 if guided else 1)

    @property
    def name(self) -> str:
        """The stem of the default file."""
        s = self.sampling
        return f"{s.sampler}-{self.steps}-g{s.guidance_scale:g}-s{self.seed}"


def plan(config: RunConfig, facts: DataFacts, options: SampleOptions, num: int) -> Plan:
    """Check the options against the run and fill in its defaults; `num` is the default number.

    Raises:
        ValueError: an option beyond its limits, an unknown label, or a label or a guidance scale
            for a run without classes.
    """
    given = {
        "sampler": options.sampler,
        "steps": options.steps,
        "eta": options.eta,
        "guidance_scale": options.guidance_scale,
    }
    sampling = replace(config.sampling, **{k: v for k, v in given.items() if v is not None})
    num = num if options.num is None else options.num
    if num < 1:
        raise ValueError(f"num must be at least 1, got {num}")
    if options.seed < 0:
        raise ValueError(f"seed must be at least 0, got {options.seed}")
    if sampling.sampler == "ddpm" and options.eta not in (None, 1.0):
        raise ValueError("eta belongs to the sampler ddim; ddpm is its case eta = 1")
    timesteps = config.schedule.timesteps
    if sampling.steps is not None:
        time_grid(timesteps, sampling.steps)
    if not facts.class_names and sampling.guidance_scale != 1:
        raise ValueError(f"guidance_scale {sampling.guidance_scale:g} needs a run with classes")
    labels = label_rows(facts.class_names, options.labels, num)
    _check_unlabelled(config, labels, sampling.guidance_scale)
    return Plan(
        sampling,
        num,
        options.seed,
        labels,
        facts.clip if sampling.clip else None,
        timesteps,
        config.training.precision,
    )


def _check_unlabelled(config: RunConfig, labels: Tensor | None, guidance_scale: float) -> None:
    """Refuse what needs the unlabelled model of a run that never trained one."""
    if labels is None or config.training.label_dropout > 0:
        return
    if guidance_scale != 1 or bool((labels == 0).any()):
        raise ValueError(
            f"this run was trained with label_dropout 0, without unlabelled samples, so it takes "
            f"neither the label {NONE} nor a guidance_scale other than 1, got {guidance_scale:g}"
        )


def label_rows(class_names: tuple[str, ...], names: tuple[str, ...], num: int) -> Tensor | None:
    """The labels of `num` samples, (num,): the names repeated in order, or all classes in turn.

    Raises:
        ValueError: an unknown name, or any name but "none" for a run without classes.
    """
    rows = {NONE: 0} | {name: i + 1 for i, name in enumerate(class_names)}
    for name in names:
        if name not in rows:
            known = ", ".join(class_names) or "no classes"
            raise ValueError(f"unknown label {name!r}; this run has {known}, and {NONE}")
    if not class_names:
        return None
    chosen = [rows[n] for n in names] if names else list(range(1, len(class_names) + 1))
    return torch.tensor(chosen).repeat(-(-num // len(chosen)))[:num]


def walk(
    diffusion: GaussianDiffusion, plan: Plan, first: int = 0, num: int | None = None
) -> Iterator[Step]:
    """The steps of samples first .. first + num - 1 of the plan, in the model's space."""
    num = plan.num - first if num is None else num
    labels = None if plan.labels is None else plan.labels[first : first + num]
    s = plan.sampling
    estimate = denoiser(
        diffusion,
        labels=labels,
        guidance_scale=s.guidance_scale,
        clip=False if plan.clip is None else plan.clip,
    )
    x, noise = start(diffusion, num, plan.seed, first)
    times = time_grid(plan.timesteps, plan.steps)

    def at_precision(x: Tensor, t: Tensor) -> Tensor:
        with autocast(plan.precision, x.device):
            return estimate(x, t)

    if s.sampler == "ddpm":
        return ddpm(at_precision, diffusion.schedule, x, times, randn_like=noise)
    return ddim(at_precision, diffusion.schedule, x, times, eta=s.eta, randn_like=noise)


def batch_size(diffusion: GaussianDiffusion) -> int:
    """How many samples are drawn at a time: what keeps the memory small and a kill cheap."""
    if len(diffusion.data_shape) == 1:
        return 10_000
    pixels = diffusion.data_shape[-1] * diffusion.data_shape[-2]
    on_cpu = next(diffusion.parameters(), torch.empty(0)).device.type == "cpu"
    return max(1, min(2_000, (400_000 if on_cpu else 4_000_000) // pixels))


def draw_pieces(
    diffusion: GaussianDiffusion,
    plan: Plan,
    firsts: Sequence[int],
    batch: int,
    done: Callable[[int, Tensor], None],
) -> None:
    """Draw the samples from each of these numbers on, `batch` at a time; `done` takes them."""

    def steps() -> Iterator[Step]:
        for first in firsts:
            x = torch.empty(0)
            for step in walk(diffusion, plan, first, min(batch, plan.num - first)):
                x = step.x
                yield step
            done(first, x.cpu())

    for _ in progress(steps(), len(firsts) * plan.steps, "sampling"):
        pass


def draw(diffusion: GaussianDiffusion, plan: Plan) -> Tensor:
    """All samples of the plan, (num, *data), in the model's space, on the CPU."""
    rows: list[Tensor] = []
    batch = batch_size(diffusion)
    firsts = range(0, plan.num, batch)
    draw_pieces(diffusion, plan, firsts, batch, lambda _, x: rows.append(x))
    return torch.cat(rows)


def to_data(facts: DataFacts, x: Tensor) -> Tensor:
    """From the model's space to the user's units."""
    scale, shift = (torch.tensor(v, dtype=x.dtype) for v in (facts.scale, facts.shift))
    return x * scale + shift


def write_npz(path: Path, facts: DataFacts, plan: Plan, x: Tensor) -> None:
    """Write samples, labels and seeds without pickling.

    `samples` are uint8 (n, h, w, c), or float32 (n, d) in the user's units; `labels` are class
    names, absent without classes; `seeds` is (n, 2): seed and index of each sample.
    """
    points = len(facts.shape) == 1
    samples = to_data(facts, x).numpy().astype(np.float32) if points else to_uint8(x)
    index = np.arange(plan.num, dtype=np.int64)
    arrays: dict[str, Any] = {
        "samples": samples,
        "seeds": np.stack([np.full_like(index, plan.seed), index], 1),
    }
    names = label_names(facts.class_names, plan.labels)
    if names is not None:
        arrays["labels"] = np.array(names)
    write_atomically(path, lambda p: _save_npz(p, arrays))


def _save_npz(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def label_names(class_names: tuple[str, ...], labels: Tensor | None) -> list[str] | None:
    """The names of these labels."""
    if labels is None:
        return None
    return [(NONE, *class_names)[int(i)] for i in labels]


def read_npz(path: Path) -> tuple[np.ndarray, Sequence[str] | None]:
    """Samples and labels of a file of `write_npz`.

    Raises:
        ValueError: missing, no .npz, or without samples of a shape and type we write.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            samples = file["samples"]
            labels = [str(v) for v in file["labels"]] if "labels" in file else None
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no readable .npz of samples: {error}") from None
    images = samples.ndim == 4 and samples.dtype == np.uint8
    if not (images or (samples.ndim == 2 and samples.dtype.kind == "f")):
        raise ValueError(
            f"{path}: samples must be uint8 (n, h, w, c) or float (n, d), got {samples.dtype} "
            f"{samples.shape}"
        )
    if labels is not None and len(labels) != len(samples):
        raise ValueError(f"{path} has {len(samples)} samples and {len(labels)} labels")
    return samples, labels
