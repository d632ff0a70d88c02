"""Configurations: frozen dataclasses with limits. Nothing here needs torch."""

from dataclasses import dataclass, field
from typing import Literal


def _at_least(config: object, low: float, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value < low:
            raise ValueError(f"{name} must be at least {low:g}, got {value}")


def _within(config: object, low: float, high: float, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not low <= value <= high:
            raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {value}")


@dataclass(frozen=True)
class DataConfig:
    """What is learned."""

    name: Literal["digits", "spiral", "patterns", "points", "mnist", "fashion-mnist"]
    """The set of data."""
    path: str | None = None
    """The file of a user's own points, or a folder of IDX files."""
    labels: bool = True
    """Whether the classes are learned, where the data has any."""
    size: int = 100_000
    """How many training points are drawn; for spiral and patterns alone."""
    seed: int = 0
    """Decides the split into training and held-out data, and the points that are drawn."""

    def __post_init__(self) -> None:
        _at_least(self, 0, "seed")
        _at_least(self, 30, "size")
        if self.name == "points" and self.path is None:
            raise ValueError("data 'points' needs the path of a file, got path None")
        if self.name in ("digits", "spiral", "patterns") and self.path is not None:
            raise ValueError(f"data {self.name!r} takes no path, got path {self.path!r}")


@dataclass(frozen=True)
class ScheduleConfig:
    """The forward process."""

    kind: Literal["cosine", "linear"] = "cosine"
    """The shape of the betas."""
    timesteps: int = 100
    """T."""
    s: float = 0.008
    """The offset of the cosine schedule."""
    beta_start: float = 1e-4
    """The first beta of the linear schedule at T = 1000."""
    beta_end: float = 0.02
    """The last beta of the linear schedule at T = 1000."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "timesteps")


@dataclass(frozen=True)
class UNetConfig:
    """A U-Net for images."""

    kind: Literal["unet"] = "unet"
    """Tells the networks apart."""
    model_channels: int = 16
    """Channels at full size."""
    channel_multipliers: tuple[int, ...] = (1, 2, 4)
    """Channels of each level, as multiples of model_channels."""
    num_blocks_per_level: int = 1
    """Blocks on each way of each level."""
    block_groups: int = 8
    """Groups of the group normalisation."""
    num_attention_heads: int = 4
    """Heads of the attention in the middle."""
    middle_attention: bool = True
    """Whether there is attention in the middle."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "model_channels", "num_blocks_per_level", "block_groups")


@dataclass(frozen=True)
class MLPConfig:
    """A perceptron for points."""

    kind: Literal["mlp"] = "mlp"
    """Tells the networks apart."""
    hidden: int = 16
    """Width of every hidden layer; even, at least 4."""
    num_layers: int = 3
    """Number of hidden layers."""
    num_octaves: int = 0
    """Frequencies of the coordinates that are added to them."""

    def __post_init__(self) -> None:
        _at_least(self, 4, "hidden")
        _within(self, 0, 8, "num_octaves")
        _at_least(self, 1, "num_layers")


@dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained."""

    epochs: int = 100
    """Passes over the training data."""
    batch_size: int = 32
    """Examples per step."""
    learning_rate: float = 1e-3
    """Adam's rate, at its highest."""
    decay: bool = False
    """Whether the rate falls along a half cosine to 0 at the last step."""
    warmup_steps: int = 0
    """Steps over which the rate rises from 0."""
    loss: Literal["mse", "mae"] = "mse"
    """Squared or absolute error."""
    prediction: Literal["noise", "x_start", "v"] = "noise"
    """What the network predicts."""
    label_dropout: float = 0.0
    """The share of labels hidden in training, so that the model can also go without them."""
    ema_decay: float | None = None
    """The limit of the decay of the averaged weights; null for none."""
    max_grad_norm: float | None = None
    """Gradients are scaled down to this norm; null for none."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """The precision of the network; auto is resolved before the first step and written down."""
    seed: int = 0
    """Decides the initial weights, the order of the data and the noise."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "epochs", "batch_size")
        _at_least(self, 0, "seed", "warmup_steps")
        _within(self, 0, 1, "label_dropout")
        if not 0 < self.learning_rate < 10:
            raise ValueError(f"learning_rate must lie in (0, 10), got {self.learning_rate}")
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie in [0, 1), got {self.ema_decay}")
        if self.max_grad_norm is not None and not self.max_grad_norm > 0:
            raise ValueError(f"max_grad_norm must be above 0, got {self.max_grad_norm}")


@dataclass(frozen=True)
class SamplingConfig:
    """How samples are drawn when nothing else is asked for."""

    sampler: Literal["ddpm", "ddim"] = "ddpm"
    """The sampler."""
    steps: int | None = None
    """Steps from T to 0; null for T."""
    eta: float = 0.0
    """The share of chance in ddim."""
    guidance_scale: float = 1.0
    """How strongly samples are pushed towards their labels; 1 is off."""
    clip: bool = True
    """Whether estimates of x_start are cut to the range of the data."""
    num: int = 1000
    """How many samples an evaluation draws."""

    def __post_init__(self) -> None:
        _within(self, 0, 1, "eta")
        _at_least(self, 0, "guidance_scale")
        _at_least(self, 2, "num")
        if self.steps is not None:
            _at_least(self, 1, "steps")


@dataclass(frozen=True)
class DataFacts:
    """What was found in the data before the first step; a run needs no data to sample."""

    shape: tuple[int, ...]
    """The shape of one example."""
    class_names: tuple[str, ...]
    """Names of the classes, empty without labels."""
    shift: tuple[float, ...]
    """With scale: data = scale · model + shift, per column or one for all."""
    scale: tuple[float, ...]
    """See shift."""
    clip: tuple[float, float]
    """The range of the data in the model's space."""
    num_train: int
    """Number of training examples."""
    fingerprint: str
    """SHA-256 of the data."""
    name: str = ""
    """What the data is known as; idx for IDX files of unknown content."""


@dataclass(frozen=True)
class RunConfig:
    """All that decides a run."""

    recipe: str
    """The recipe it began from."""
    data: DataConfig
    """What is learned."""
    network: UNetConfig | MLPConfig
    """The network."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """The forward process."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is trained."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How it is sampled."""
    facts: DataFacts | None = None
    """Found in the data before the first step."""

    def __post_init__(self) -> None:
        steps = self.sampling.steps
        if steps is not None and steps > self.schedule.timesteps:
            raise ValueError(
                f"sampling.steps must be at most schedule.timesteps, {self.schedule.timesteps}, "
                f"got {steps}"
            )
