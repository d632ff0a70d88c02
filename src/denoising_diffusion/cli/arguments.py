"""The commands and their options; nothing here imports torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from denoising_diffusion.cli.looking import (
    Compare,
    Completion,
    Device,
    Export,
    Info,
    Recipes,
    Report,
    Table,
)
from denoising_diffusion.config import Problem, RunConfig, Sampling, TrainingConfig

_GRID = "label×guidance"


@dataclass(frozen=True)
class Settings:
    """All of a configuration that can be set."""

    data: dict[str, Any]
    """What is learned."""
    network: dict[str, Any]
    """The network."""
    schedule: dict[str, Any]
    """The forward process."""
    training: TrainingConfig
    """How the network is trained."""
    sampling: Sampling
    """How it is sampled when nothing else is asked for; num is for the evaluation."""

    @classmethod
    def of(cls, config: RunConfig) -> "Settings":
        """Those of this configuration."""
        c = config
        return cls(c.data, c.network, c.schedule, c.training, c.sampling)


@dataclass(frozen=True)
class Train:
    """Train a model from a recipe, then draw samples, an animation and a score.

    On a folder with the same configuration it goes on, or prints the table again if it is done.
    Every key of the configuration is an option; their defaults are those of the recipe.
    """

    recipe: Annotated[Positional[str], arg(metavar="RECIPE")]
    """The recipe; `ddpm recipes` lists them."""
    settings: Annotated[Settings, arg(name="")]
    """The configuration."""
    out: Annotated[Path | None, arg(metavar="PATH")] = None
    """The run folder; runs/RECIPE without it."""
    config: Annotated[Path | None, arg(metavar="PATH")] = None
    """A JSON file of keys that replace those of the recipe."""
    data: Annotated[Path | None, arg(metavar="PATH")] = None
    """Your own data: a folder of pictures for folder and sprites, points, .csv or .npy, for points,
    a folder of IDX files for numbers."""
    size: Annotated[int | None, arg(metavar="N")] = None
    """--data.size: pixels of the short side that your own pictures are brought to."""
    super_resolution: Annotated[int | None, arg(metavar="FACTOR")] = None
    """Learn to enlarge pictures by this factor, 2 or more, instead of drawing them from nothing."""
    label_column: Annotated[str | None, arg(metavar="NAME")] = None
    """The column of your own points that holds their classes."""
    init: Annotated[Path | None, arg(metavar="RUN")] = None
    """Begin with the weights of another run, where their shapes agree."""
    epochs: Annotated[int | None, arg(metavar="N")] = None
    """--training.epochs."""
    minutes: Annotated[float | None, arg(metavar="N")] = None
    """As many epochs as fit, so that all, from reading the data to the report, takes so long."""
    batch_size: Annotated[int | None, arg(metavar="N")] = None
    """--training.batch-size."""
    loss: Annotated[str | None, arg(metavar="mse|mae")] = None
    """--training.loss."""
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"] | None, arg(metavar="auto|float32|bfloat16")
    ] = None
    """--training.precision; auto measures which is faster."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """--training.seed."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Device = "auto"
    """Where the network runs."""
    no_evaluate: bool = False
    """Skip the evaluation at the end."""
    dry_run: bool = False
    """Say what would be trained, print the configuration and stop; nothing is written."""
    overwrite: bool = False
    """Move a run that is already in the folder to RUN.old and begin afresh."""


@dataclass(frozen=True)
class Distill:
    """Make of a finished run one that samples in a few steps.

    It trains on from the run's averaged weights by consistency with their own walk in many steps,
    into a folder of its own, which is a run as any other: ddpm resume, sample and evaluate take it.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run folder."""
    out: Annotated[Path | None, arg(metavar="PATH")] = None
    """The new run folder; RUN-distilled without it."""
    steps: Annotated[int, arg(metavar="N")] = 2
    """In which it samples, each an evaluation of the network: 1, 2, 4 or so."""
    guidance_scale: Annotated[float | None, arg(metavar="SCALE")] = None
    """Of the walk that it learns from; that of the run without it. 1 is off."""
    epochs: Annotated[int | None, arg(metavar="N")] = None
    """Passes over the training data; a fourth of those that the run has made without it."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """--training.seed of the new run."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Device = "auto"
    """Where the network runs."""
    no_evaluate: bool = False
    """Skip the evaluation at the end."""
    overwrite: bool = False
    """Move a run that is already in the folder to RUN.old and begin afresh."""


@dataclass(frozen=True)
class Resume:
    """Go on with an interrupted run, or train a finished one for more epochs."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run folder."""
    epochs: Annotated[int | None, arg(metavar="N")] = None
    """The new total number of epochs."""
    data: Annotated[Path | None, arg(metavar="PATH")] = None
    """Where the data is now, if it has moved; it must be the same."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Device = "auto"
    """Where the network runs."""
    no_evaluate: bool = False
    """Skip the evaluation at the end."""


@dataclass(frozen=True)
class Sample:
    """Draw samples from a run; what is not given is as the run's configuration says."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run folder."""
    sampling: Annotated[Sampling, arg(name="")] = field(default_factory=Sampling)
    """How samples are drawn."""
    problem: Annotated[Problem, arg(name="")] = field(default_factory=Problem)
    """What is known of them beforehand."""
    fast: bool = False
    """In at most ten evaluations of the network each, as the configuration says or by rule."""
    raw_weights: bool = False
    """--average raw: the weights as trained."""
    source: Annotated[Path | None, arg(name="from", metavar="PICTURES|FILE.npz")] = None
    """Of a super-resolution run: what to enlarge; held-out pictures of its data without it."""
    per_input: Annotated[int | None, arg(metavar="K")] = None
    """Samples of each picture that is enlarged."""
    then: Annotated[Path | None, arg(metavar="RUN")] = None
    """A super-resolution run that enlarges what this run draws."""
    out: Annotated[str | None, arg(metavar="PATH")] = None
    """A .png, .svg, .pdf or .npz file, or a folder for single pictures, which ends in / or is there
    already; RUN/samples/<sampler>-<steps>-g<scale>-s<seed>.png without it."""
    format: Annotated[Literal["auto", "png", "svg", "pdf"], arg(metavar="png|svg|pdf")] = "auto"
    """Of a picture: what --out ends in, or png; svg and pdf are for papers."""
    gif: Annotated[Path | None, arg(metavar="PATH", aliases=("--animate",))] = None
    """Also write the walk from noise to samples as an animation: a .gif, .apng, .webp or .mp4."""
    gif_of: Literal["state", "estimate", "both"] = "state"
    """What it shows: x_t, the estimate of x_0, or both, one above the other."""
    strip: Annotated[Literal["guidance", "forward"] | None, arg(metavar="guidance|forward")] = None
    """Instead of samples: one label at rising guidance, or training data at rising t."""
    grid: Annotated[Literal["label×guidance", "labelxguidance"] | None, arg(metavar=_GRID)] = None
    """Instead of samples: all labels at rising guidance, from the same noise."""
    between: Annotated[tuple[str, str] | None, arg(metavar="A B")] = None
    """Instead of samples: a way from A to B, each a picture file of the run's size or a seed."""
    overwrite: bool = False
    """Replace files that exist."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Device = "auto"
    """Where the network runs."""


@dataclass(frozen=True)
class Tune:
    """Find the times at which a number of steps does best, for ddpm sample RUN --times tuned."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run folder; the times go to RUN/grids."""
    sampling: Annotated[Sampling, arg(name="")] = field(default_factory=Sampling)
    """How samples are drawn; --num, up to 256, are fitted."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Device = "auto"
    """Where the network runs."""


@dataclass(frozen=True)
class Evaluate:
    """Score a run, samples in an .npz file, or a folder of pictures that anything made."""

    source: Annotated[Positional[Path], arg(metavar="RUN|FILE.npz|FOLDER")]
    """A run folder, a file that `ddpm sample --out FILE.npz` wrote, or a folder of pictures of the
    data's size: of sub-folders called as classes, or with names as `ddpm sample --out FOLDER/`
    gives."""
    sampling: Annotated[Sampling, arg(name="")] = field(default_factory=Sampling)
    """How samples are drawn."""
    fast: bool = False
    """Samples in at most ten evaluations of the network each, as of ddpm sample --fast."""
    raw_weights: bool = False
    """--average raw: the weights as trained."""
    data: Annotated[str | None, arg(metavar="DATA")] = None
    """What to compare with: a name (digits, spiral, patterns, mnist, fashion-mnist, kmnist, ...), a
    folder of IDX files or a file such as the run learned from."""
    likelihood: bool = False
    """Instead of scoring samples: how likely held-out data are, in bits per dimension."""
    classic: bool = False
    """Add the figures of DenoisingDiffusion.jl, which stretches the grey levels of every image."""
    against: Annotated[Literal["test", "held-out"], arg(metavar="test|held-out")] = "test"
    """What to compare with: the test set, where there is one, or what was held out of training."""
    lenet_seeds: Annotated[int | None, arg(metavar="N")] = None
    """Train classifiers here, of seeds 0 to N - 1; the distance is the median over them. Without it
    the reference judges MNIST and Fashion-MNIST, and one classifier other pictures."""
    format: Annotated[Literal["png", "svg", "pdf"], arg(metavar="png|svg|pdf")] = "png"
    """Of the pictures of a run's scores, which lie in RUN/samples."""
    json: bool = False
    """Print one JSON object and nothing else."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Device = "auto"
    """Where the network runs."""


@dataclass(frozen=True)
class Demo:
    """Train the recipe digits, about a minute, and say what to look at and what to try next.

    It needs no files and no network. Given again it goes on, or says that it is there already.
    """

    out: Annotated[Path, arg(metavar="DIR")] = Path("runs/digits")
    """The run folder."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Device = "auto"
    """Where the network runs."""


COMMANDS: dict[str, type[Any]] = {
    "demo": Demo,
    "train": Train,
    "distill": Distill,
    "resume": Resume,
    "tune": Tune,
    "sample": Sample,
    "evaluate": Evaluate,
    "compare": Compare,
    "table": Table,
    "recipes": Recipes,
    "info": Info,
    "report": Report,
    "export": Export,
    "completion": Completion,
}
