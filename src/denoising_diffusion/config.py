"""Configurations: frozen dataclasses with limits. Nothing here needs torch."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from denoising_diffusion import tables
from denoising_diffusion.checks import integer, number, one_of
from denoising_diffusion.files import FORMAT_VERSION, check_version
from denoising_diffusion.strict_json import merge, read_config
from denoising_diffusion.tables import Choice

NONE = "none"
"""The name of the absent label."""
MOST = 10**9
"""Of anything that is counted."""
MOST_SEED = 2**63 - 1
"""PyTorch's seeds end there; what is larger would fail after the work."""


def _count(name: str, value: int, low: int = 1) -> int:
    """The value, if it is an integer in low..MOST; a refusal names the limit that it passed."""
    return integer(name, integer(name, value, low), high=MOST)


TUNED = "tuned"
"""The times that ddpm tune stored in a run."""
REPAINT = "repaint"
"""The method of filling that is a sampler of its own."""
PER_INPUT = 16
"""Samples of each of the pictures that a super-resolution run is scored with."""


@dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained."""

    epochs: int = 100
    """Passes over the training data, or over epoch_size examples."""
    minutes: float | None = None
    """All that the run was planned to take, from which its epochs followed; null for no plan."""
    epoch_size: int | None = None
    """Examples in an epoch, for runs equally long with few rows and many; null is all, once."""
    batch_size: int = 32
    """Examples per step, of all processes together."""
    accumulate: int = 1
    """Parts, one after the other, of a process's examples of a step: less memory, the same step."""
    learning_rate: float = 1e-3
    """The optimiser's rate, at its highest."""
    optimizer: Choice = "adam"
    """What takes the steps: adam, or muon, for which about twice the rate of Adam is right."""
    decay: bool = False
    """Whether the rate falls along a half cosine to 0 at the last step."""
    warmup_steps: int = 0
    """Steps over which the rate rises from 0."""
    objective: Choice = "diffusion"
    """What is learned: diffusion, to undo noise, or consistency, to undo a part of it at once."""
    loss: Choice = "mse"
    """The error of an answer: mse, squared, or mae, absolute."""
    prediction: Choice = "noise"
    """What the network predicts."""
    times: Choice = "uniform"
    """How times are drawn."""
    weight: Choice | None = None
    """The weight of the squared error of x_start; null is 1 on the prediction's own error."""
    augment: Choice | None = None
    """Changed copies of the data; null for none."""
    label_dropout: float = 0.0
    """The share of labels, and of pictures to enlarge, hidden in training, as guidance needs."""
    ema_decay: float | None = None
    """The limit of the decay of the averaged weights; null for none."""
    averages: tuple[str, ...] = ()
    """Further averages of the weights, such as power-0.05."""
    snapshot: int | None = None
    """The epoch after which weights are kept apart, for autoguidance; null for none."""
    max_grad_norm: float | None = None
    """Gradients are scaled down to this norm; null for none."""
    init: str | None = None
    """The run whose weights it begins with, where their shapes agree; null for none."""
    seen: int = 0
    """Examples that those weights were trained with."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """The precision of the network; auto is resolved before the first step and written down."""
    seed: int = 0
    """Decides the initial weights, the order of the data and the noise."""

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("batch_size", 1), ("warmup_steps", 0), ("seen", 0)):
            _count(name, getattr(self, name), low)
        integer("seed", self.seed, 0, MOST_SEED)
        for name in ("epoch_size", "snapshot"):
            if getattr(self, name) is not None:
                _count(name, getattr(self, name))
        number("learning_rate", self.learning_rate, "(0, 10)")
        number("label_dropout", self.label_dropout, "[0, 1]")
        above = "(0, inf)"
        for name, limits in (("ema_decay", "[0, 1)"), ("max_grad_norm", above), ("minutes", above)):
            if getattr(self, name) is not None:
                number(name, getattr(self, name), limits)
        own = ("objective", "loss", "optimizer", "prediction", "times", "weight", "augment")
        for table in own:
            if getattr(self, table) is not None:
                tables.check(table, getattr(self, table), f"training.{table}")
        for name in self.averages:
            tables.numbered("average", name, "training.averages")

    @property
    def average_names(self) -> tuple[str, ...]:
        """The averages that a run keeps, the first being the one that samples."""
        return (*(("ema",) if self.ema_decay is not None else ()), *self.averages)


@dataclass(frozen=True)
class Sampling:
    """A request for samples: the one class that carries it, from the command line to the file."""

    sampler: str = "ddpm"
    """The sampler."""
    steps: int | None = None
    """Steps from T to 0; T without it."""
    times: str = "uniform"
    """How steps are spread: uniform (trailing) in t, log-snr, karras, or tuned by ddpm tune."""
    eta: float | None = None
    """The share of chance in ddim, 0 to 1."""
    guidance_scale: float = 1.0
    """How strongly samples are pushed towards their labels; 1 is off."""
    guidance_interval: tuple[float, float] | None = None
    """LOW HIGH: they are pushed only where LOW < sigma / alpha <= HIGH; null is everywhere."""
    autoguidance: float = 1.0
    """How strongly samples are pushed away from those of the run's own snapshot; 1 is off."""
    threshold: float | None = None
    """The share of values, such as 0.995, that decides how each estimate is scaled into the range
    of the data; null cuts."""
    clip: bool = True
    """Whether estimates of x_start are cut to the range of the data."""
    num: int | None = None
    """The total number of samples."""
    label: tuple[str, ...] = ()
    """Class names, repeated in order; none is unlabelled; without it all classes in turn."""
    seed: int = 0
    """Sample i of a seed is the same in any batch."""
    average: str | None = None
    """The weights: raw, ema, power-0.05, ... that the run keeps; its first average without it."""

    def __post_init__(self) -> None:
        tables.check("sampler", self.sampler, "sampler")
        one_of("times", self.times, (*tables.TABLES["grid"], TUNED))
        for name in ("guidance_scale", "autoguidance"):
            number(name, getattr(self, name), "[0, inf)")
        if self.guidance_interval is not None:
            low, high = (number("guidance_interval", v, "[0, inf)") for v in self.guidance_interval)
            if not low < high:
                raise ValueError(f"guidance_interval must be LOW below HIGH, got {low:g} {high:g}")
        if self.threshold is not None:
            number("threshold", self.threshold, "(0, 1]")
        integer("seed", self.seed, 0, MOST_SEED)
        for name in ("num", "steps"):
            if getattr(self, name) is not None:
                _count(name, getattr(self, name))
        if self.eta is not None:
            number("eta", self.eta, "[0, 1]")


@dataclass(frozen=True)
class Problem:
    """What is known of the samples beforehand: a picture with a hole, or one that was spoilt."""

    inpaint: Path | None = None
    """Fill what is white in --mask in this picture, which has the size of the run's."""
    mask: Path | None = None
    """A picture of the same size: white is filled, black is kept."""
    restore: Path | None = None
    """Undo --operator on this picture, which has the size that the operator leaves."""
    operator: str | None = None
    """What was done to it: pool4, the means of blocks of 4 × 4; blur1.5, a Gaussian blur of 1.5
    pixels; or grey, without its colours."""
    observation_noise: float | None = None
    """The standard deviation of noise in the picture of --restore, in grey levels; 0 without it."""
    method: str | None = None
    """How: replacement, dps, pigdm, or repaint, which fills alone; pigdm without it."""

    def __post_init__(self) -> None:
        if (self.inpaint is None) != (self.mask is None):
            raise ValueError("--inpaint and --mask go together: a picture, and what to fill in it")
        if (self.restore is None) != (self.operator is None):
            raise ValueError("--restore and --operator go together: a picture, and what spoilt it")
        if self.inpaint is not None and self.restore is not None:
            raise ValueError("--inpaint and --restore exclude each other")
        if self.observation_noise is not None:
            number("observation_noise", self.observation_noise, "[0, 255]")
            if self.restore is None:
                raise ValueError("--observation-noise goes with --restore")
        if self.method is not None:
            one_of("method", self.method, (*tables.TABLES["method"], REPAINT))
            if self.inpaint is None and (self.restore is None or self.method == REPAINT):
                raise ValueError(
                    f"--method {self.method} goes with --inpaint"
                    + " or --restore" * (self.method != REPAINT)
                )


@dataclass(frozen=True)
class Facts:
    """What was found in the data before the first step; a run needs no data to sample."""

    kind: str
    """What the data is, such as images or points."""
    shape: tuple[int, ...]
    """The shape of one example."""
    class_names: tuple[str, ...]
    """Names of the classes, empty without labels."""
    shift: tuple[float, ...]
    """With scale: data = scale · model + shift, per column or one for all."""
    scale: tuple[float, ...]
    """See shift."""
    clip: tuple[float | tuple[float, ...], float | tuple[float, ...]]
    """The range of the data in the model's space, low and high: one number or one per column."""
    num_train: int
    """Number of training examples."""
    fingerprint: str
    """SHA-256 of the data."""
    name: str
    """What the data is known as; idx for IDX files of unknown content."""
    parameters: int = 0
    """Trainable values of the network."""
    columns: tuple[str, ...] = ()
    """The names of the columns of points, where they have any."""
    clusters: tuple[tuple[int, float], ...] = ()
    """What the network is told instead of a class: the class of each, from 1, and its share."""

    def __post_init__(self) -> None:
        tables.check("kind", self.kind, "facts.kind")


@dataclass(frozen=True)
class RunConfig:
    """All that decides a run."""

    recipe: str
    """The recipe it began from."""
    data: dict[str, Any]
    """What is learned: the name of a data source and its options; with labels false, no classes,
    with clusters n, the network is told one of n, and with pooled n, images are n times smaller."""
    network: dict[str, Any]
    """The kind of the network and its options."""
    schedule: dict[str, Any] = field(default_factory=lambda: {"kind": "cosine", "timesteps": 100})
    """The kind of the forward process and its options."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is trained."""
    sampling: Sampling = field(default_factory=Sampling)
    """How it is sampled when nothing else is asked for; num is for the evaluation."""
    fast: dict[str, Any] = field(default_factory=dict[str, Any])
    """The keys of sampling that --fast lays over it; empty for a rule that holds for any run."""
    facts: Facts | None = None
    """Found in the data before the first step."""
    format_version: int = FORMAT_VERSION
    """Of this file."""

    def __post_init__(self) -> None:
        check_version("the configuration", self.format_version)
        tables.check("data", self.data, "data.name")
        tables.check("network", self.network, "network.kind")
        tables.check("schedule", self.schedule, "schedule.kind")
        if TUNED in (self.sampling.times, self.fast_sampling.times):
            raise ValueError(
                "sampling.times of a configuration cannot be tuned, which needs a trained run: "
                "ddpm tune RUN, then ddpm sample RUN --times tuned"
            )
        steps, timesteps = self.sampling.steps, self.schedule.get("timesteps", 100)
        if steps is not None and steps > timesteps:
            raise ValueError(
                f"sampling.steps must be at most schedule.timesteps, {timesteps}, got {steps}"
            )

    @property
    def fast_sampling(self) -> Sampling:
        """`sampling` with the keys of `fast` over it."""
        return read_config(Sampling, merge(asdict(self.sampling), self.fast), "fast")

    @property
    def factor(self) -> int | None:
        """How many times pictures are enlarged that samples are drawn from; None for none."""
        enlarges = tables.name_of(self.network, "network.kind") == "super-resolution"
        return integer("network.factor", self.network.get("factor"), 2) if enlarges else None

    @property
    def epoch_size(self) -> int:
        """Examples in an epoch."""
        assert self.facts is not None
        return self.training.epoch_size or self.facts.num_train

    def epoch_end(self, epoch: int) -> int:
        """The step with which this epoch is complete, counted from 1."""
        return math.ceil(epoch * self.epoch_size / self.training.batch_size)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; it needs the facts."""
        return self.epoch_end(self.training.epochs)
