"""The commands that look at what is there, and their options; nothing here imports torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Compare:
    """Draw samples of two runs from the same noise, side by side, and compare their scores.

    Each run draws in its own way. The interval of a difference is that of pairs: what both owe to
    the noise cancels.
    """

    first: Annotated[Positional[Path], arg(metavar="A")]
    """A run folder."""
    second: Annotated[Positional[Path], arg(metavar="B")]
    """Another, of data of the same kind and shape; both are compared with the data of A."""
    num: Annotated[int | None, arg(metavar="N")] = None
    """The number of samples of each that are scored; as many as their evaluations took without
    it."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Sample i of both begins with the same noise."""
    out: Annotated[Path | None, arg(metavar="PATH")] = None
    """A .png, .svg or .pdf file; A/samples/compare-B-s0.png without it."""
    format: Annotated[Literal["auto", "png", "svg", "pdf"], arg(metavar="png|svg|pdf")] = "auto"
    """Of the picture: what --out ends in, or png; svg and pdf are for papers."""
    overwrite: bool = False
    """Replace a file that exists."""
    json: bool = False
    """Print one JSON object and nothing else."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Device = "auto"
    """Where the networks run."""


@dataclass(frozen=True)
class Table:
    """Print the scores of runs as one table; runs that differ by their seed alone are one row.

    ± is the standard deviation over seeds, or half the width of the 95 % interval of a single run.
    """

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")]
    """The run folders."""
    scores: Annotated[tuple[str, ...], arg(metavar="KEY...")] = ()
    """The scores, by their keys in evaluation.json; all that the runs share without it."""
    latex: bool = False
    """As a LaTeX tabular, with the package booktabs."""
    csv: bool = False
    """As comma-separated values, with the numbers as exact as they are."""
    markdown: bool = False
    """As a Markdown table."""


@dataclass(frozen=True)
class Recipes:
    """List the recipes."""


@dataclass(frozen=True)
class Info:
    """Describe a run."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run folder."""


@dataclass(frozen=True)
class Report:
    """Write one page of HTML about a run, or about several side by side."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")]
    """The run folders."""
    out: Annotated[Path | None, arg(metavar="FILE.html")] = None
    """The file; RUN/report.html without it."""
    figures: Annotated[Literal["svg", "pdf"] | None, arg(metavar="svg|pdf")] = None
    """Instead: the pictures that end a run, as drawings for papers in RUN/figures."""
    overwrite: bool = False
    """Replace a file that exists."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""
    device: Device = "auto"
    """Where the network runs."""


@dataclass(frozen=True)
class Export:
    """Write the trained model as a file that needs nothing of this library.

    What is written was compared with the model first.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run folder."""
    to: Annotated[str, arg(metavar="html|onnx|pt2|hub")] = "html"
    """html, one page that draws, for any browser; onnx, for ONNX Runtime and the like; pt2, for
    torch alone; or hub, a model folder with a card."""
    out: Annotated[Path | None, arg(metavar="FILE|FOLDER")] = None
    """The file, or the folder of hub; RUN/export/model.TO or RUN/export/hub without it."""
    push: Annotated[str | None, arg(metavar="OWNER/NAME")] = None
    """Of hub: put the folder into this repository of the Hugging Face hub too."""
    float32: bool = False
    """Of html: keep all digits of the weights, at twice the size."""
    average: Annotated[str | None, arg(metavar="NAME")] = None
    """The weights: raw, ema, power-0.05, ..., as far as the run keeps them; its first average
    without it."""
    overwrite: bool = False
    """Replace a file that exists."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads."""


@dataclass(frozen=True)
class Completion:
    """Print a script that completes ddpm in a shell, for that shell to read when it starts."""

    shell: Annotated[Positional[Literal["bash", "zsh", "fish"]], arg(metavar="bash|zsh|fish")]
    """The shell."""
