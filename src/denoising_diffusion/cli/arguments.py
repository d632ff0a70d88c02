"""The commands and their options; nothing here imports torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg, subcommand

_GRID = "label×guidance"


@dataclass(frozen=True)
class Train:
    """Train a model from a recipe, then draw samples, an animation and a score.

    On a folder with the same configuration it goes on, or prints the table again if it is done.
    """

    recipe: Annotated[Positional[str], arg(metavar="RECIPE")]
    """The recipe; `ddpm recipes` lists them."""
    out: Annotated[Path | None, arg(metavar="PATH")] = None
    """The run folder; runs/RECIPE without it."""
    config: Annotated[Path | None, arg(metavar="PATH")] = None
    """A JSON file of keys that replace those of the recipe."""
    data: Annotated[Path | None, arg(metavar="PATH")] = None
    """Your own points, .csv or .npy, for the recipe points; a folder of IDX files for numbers."""
    epochs: Annotated[int | None, arg(metavar="N")] = None
    """Passes over the training data."""
    batch_size: Annotated[int | None, arg(metavar="N")] = None
    """Examples per step."""
    loss: Annotated[Literal["mse", "mae"] | None, arg(metavar="mse|mae")] = None
    """Squared or absolute error."""
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"] | None, arg(metavar="auto|float32|bfloat16")
    ] = None
    """Precision of the network; auto measures which is faster."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Decides the initial weights, the order of the data and the noise."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the network runs."""
    no_evaluate: bool = False
    """Skip the evaluation at the end."""
    dry_run: bool = False
    """Print the configuration and stop; nothing is written."""
    overwrite: bool = False
    """Move a run that is already in the folder to RUN.old and begin afresh."""


@dataclass(frozen=True)
class Resume:
    """Go on with an interrupted run, or train a finished one for more epochs."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run folder."""
    epochs: Annotated[int | None, arg(metavar="N")] = None
    """The new total number of epochs."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the network runs."""
    no_evaluate: bool = False
    """Skip the evaluation at the end."""


@dataclass(frozen=True)
class SamplingOptions:
    """How samples are drawn."""

    num: Annotated[int | None, arg(metavar="N")] = None
    """The total number of samples."""
    label: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ()
    """Class names, repeated in order; none is unlabelled; without it all classes in turn."""
    guidance_scale: Annotated[float | None, arg(metavar="X")] = None
    """How strongly samples are pushed towards their labels; 1 is off."""
    sampler: Annotated[Literal["ddpm", "ddim"] | None, arg(metavar="ddpm|ddim")] = None
    """The sampler."""
    steps: Annotated[int | None, arg(metavar="N")] = None
    """Steps from noise to data."""
    eta: Annotated[float | None, arg(metavar="X")] = None
    """The share of chance in ddim, 0 to 1."""
    seed: int = 0
    """Sample i of a seed is the same in any batch."""
    raw_weights: bool = False
    """Take the weights as trained, not their average."""


@dataclass(frozen=True)
class Sample:
    """Draw samples from a run."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run folder."""
    options: Annotated[SamplingOptions, arg(name="")]
    """How samples are drawn."""
    out: Annotated[Path | None, arg(metavar="PATH")] = None
    """A .png or .npz file; RUN/samples/<sampler>-<steps>-g<scale>-s<seed>.png without it."""
    gif: Annotated[Path | None, arg(metavar="PATH")] = None
    """Also write the walk from noise to samples as an animation."""
    gif_of: Literal["state", "estimate", "both"] = "state"
    """What it shows: x_t, the estimate of x_0, or both, one above the other."""
    strip: Annotated[Literal["guidance", "forward"] | None, arg(metavar="guidance|forward")] = None
    """Instead of samples: one label at rising guidance, or training data at rising t."""
    grid: Annotated[Literal["label×guidance", "labelxguidance"] | None, arg(metavar=_GRID)] = None
    """Instead of samples: all labels at rising guidance, from the same noise."""
    overwrite: bool = False
    """Replace files that exist."""


@dataclass(frozen=True)
class Evaluate:
    """Score a run, or samples in an .npz file."""

    source: Annotated[Positional[Path], arg(metavar="RUN|FILE.npz")]
    """A run folder, or a file that `ddpm sample --out FILE.npz` wrote."""
    options: Annotated[SamplingOptions, arg(name="")]
    """How samples are drawn."""
    data: Annotated[str | None, arg(metavar="DATA")] = None
    """What to compare with: a name (digits, spiral, patterns, mnist, fashion-mnist), a folder of
    IDX files or a file of points."""
    classic: bool = False
    """Add the figures of DenoisingDiffusion.jl, which stretches the grey levels of every image."""
    lenet_seeds: Annotated[int, arg(metavar="N")] = 1
    """How many classifiers to train; the distance is the median over them."""
    json: bool = False
    """Print one JSON object and nothing else."""


@dataclass(frozen=True)
class Recipes:
    """List the recipes."""


@dataclass(frozen=True)
class Info:
    """Describe a run."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run folder."""


Command = (
    Annotated[Train, subcommand("train")]
    | Annotated[Resume, subcommand("resume")]
    | Annotated[Sample, subcommand("sample")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Recipes, subcommand("recipes")]
    | Annotated[Info, subcommand("info")]
)


def parse(arguments: list[str]) -> Train | Resume | Sample | Evaluate | Recipes | Info:
    """The command that these arguments name; the parser exits with 2 if they name none."""
    command: Train | Resume | Sample | Evaluate | Recipes | Info = tyro.cli(
        Command,  # pyright: ignore[reportArgumentType]
        prog="ddpm",
        description="Train, sample, judge and look at small denoising diffusion models.",
        args=arguments,
        config=(FlagCreatePairsOff,),
    )
    return command
