"""What a kind of data must be able to do."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from denoising_diffusion.checks import integer, one_of
from denoising_diffusion.config import NONE, Facts
from denoising_diffusion.data import Dataset, whole
from denoising_diffusion.data.classes import clusters_of, in_proportion
from denoising_diffusion.data.rows import first
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.metrics import Score
from denoising_diffusion.metrics.influence import Influence
from denoising_diffusion.report import FORMATS, Drawing
from denoising_diffusion.samplers import Step

if TYPE_CHECKING:
    from PIL.Image import Image

Names = Sequence[str] | None
"""The class name of every sample, in order; None without classes."""


@dataclass(frozen=True)
class Scoring:
    """How samples are scored.

    Args:
        classifiers: for images with classes: how many classifiers are trained here, of seeds 0,
            1, ...; the distance is the median over them. None is the reference that comes with the
            package where it knows the data, and one classifier of other data.
        classic: likewise: also DenoisingDiffusion.jl's figures, to compare with its table alone.
        against: "test", the test set, or what was held out where there is none; or "held-out", what
            was held out of the training set.
    """

    classifiers: int | None = None
    classic: bool = False
    against: Literal["test", "held-out"] = "test"

    def __post_init__(self) -> None:
        if self.classifiers is not None:
            integer("the number of classifiers", self.classifiers, 1, 1000)
        one_of("against", self.against, ("test", "held-out"))

    def of(self, data: Dataset) -> Dataset:
        """The data with what is compared with as its reference."""
        return replace(data, test=None) if self.against == "held-out" else data


@dataclass(frozen=True)
class Judgement:
    """Scores, the pictures that belong to them, by name, and the judge whose figures they are."""

    scores: list[Score]
    pictures: Mapping[str, Drawing] = field(default_factory=dict)
    judge: str | None = None


class Shown(NamedTuple):
    """How many samples a picture shows, and of which classes in turn."""

    num: int
    labels: tuple[str, ...]


class Moved(NamedTuple):
    """A score, how each sample moves it, and the judge in whose features it is, if any."""

    score: Score
    by: Influence
    judge: str | None = None


class Kind(ABC):
    """A kind of data, with what was found in the data of one run.

    Args:
        facts: of the run.
    """

    unit: ClassVar[str]
    """What an example is called beside a progress bar."""
    drawing: ClassVar[Literal["tiles", "points", "curves"]]
    """How a page draws what `encode` gives: (n, h, w, c), (n, d) or (n, c, length)."""
    half: ClassVar[bool] = False
    """Whether networks of this kind may gain from bfloat16."""
    compares: ClassVar[bool] = False
    """Whether strips and grids of single samples can be drawn."""
    backdrop: ClassVar[bool] = False
    """Whether pictures can be drawn over the data."""
    fps: ClassVar[int] = 10
    """Frames per second of an animation."""
    suffixes: ClassVar[tuple[str, ...]] = (*FORMATS, ".npz")
    """Of the files that samples can be written to; `table` writes those beyond these."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @property
    def num_classes(self) -> int:
        """The number of classes; 0 without."""
        return len(self.facts.class_names)

    @property
    def num_labels(self) -> int:
        """The number of labels of the network: the classes, or clusters; 0 without."""
        return len(self.facts.clusters) or self.num_classes

    def label_rows(self, labels: Sequence[str], num: int) -> Tensor | None:
        """The labels 0..n of `num` samples, (num,): names repeated in order, or classes in turn.

        Where the network is told clusters, they are those of each class in their shares.

        Raises:
            ValueError: an unknown name, or any name but "none" for a run without classes.
        """
        names = self.facts.class_names
        rows = {NONE: 0} | {name: i + 1 for i, name in enumerate(names)}
        for label in labels:
            if label not in rows:
                known = ", ".join(names) or "no classes"
                raise ValueError(f"unknown label {label!r}; this run has {known}, and {NONE}")
        if not self.num_labels:
            return None
        chosen = [rows[n] for n in labels or names]
        if not chosen:
            return in_proportion([share for _, share in self.facts.clusters], num)
        classes = torch.tensor(chosen).repeat(-(-num // len(chosen)))[:num]
        return clusters_of(self.facts.clusters, classes) if self.facts.clusters else classes

    def label_names(self, labels: Tensor | None) -> list[str] | None:
        """The names of the classes of these labels; None without classes."""
        if labels is None or not self.num_classes:
            return None
        found = [k for k, _ in self.facts.clusters] or range(1, self.num_classes + 1)
        names = [NONE, *(self.facts.class_names[k - 1] for k in found)]
        return [names[int(i)] for i in labels]

    @abstractmethod
    def shown(self, *, preview: bool, unlabelled: bool) -> Shown:
        """What pictures of a run show: few in a preview; without a class too if `unlabelled`."""

    @abstractmethod
    def walked(self) -> Shown:
        """What the walk on a page shows: few enough to be drawn in seconds."""

    def axes(self) -> Sequence[tuple[str, float, float]]:
        """The name and the limits of each column of points; nothing for other kinds."""
        return ()

    @abstractmethod
    def default_num(self) -> int:
        """How many samples are drawn when no number is given."""

    @abstractmethod
    def batch(self, on_cpu: bool) -> int:
        """How many samples are drawn at a time: what keeps the memory small and a kill cheap."""

    @abstractmethod
    def encode(self, x: Tensor) -> np.ndarray:
        """From model space, (n, *shape), to what a file holds."""

    @abstractmethod
    def decode(self, stored: np.ndarray) -> Tensor:
        """What a file holds back in model space, (n, *shape).

        Raises:
            ValueError: an array that this kind does not write.
        """

    def table(self, x: Tensor, names: Names, suffix: str) -> bytes:
        """Samples (n, *shape) in model space as a file of one of the further `suffixes`."""
        raise NotImplementedError

    def levels(self, x: Tensor) -> int | None:
        """How many grey levels these data (n, *shape) have; None where values are continuous."""
        return None

    def show_behind(self, data: Dataset) -> None:
        """Draw pictures over this data from now on, where the kind can."""
        return

    @abstractmethod
    def picture(self, x: Tensor, names: Names) -> Drawing:
        """Samples (n, *shape) in model space as one picture."""

    @abstractmethod
    def frames(self, steps: Sequence[Step], names: Names, of: str) -> "list[Image]":
        """The frames of a walk from noise on: of its "state", its "estimate", or "both".

        Beside every state stands the x_start that was estimated from it.

        Raises:
            ValueError: "both" where it cannot be drawn.
        """

    def most(self, data: Dataset) -> int:
        """How many samples can be compared with the data at most.

        Raises:
            ValueError: data that nothing can be compared with.
        """
        return sys.maxsize

    def check(self, data: Dataset, num: int) -> None:
        """Refuse what could not be scored, before anything is drawn.

        Raises:
            ValueError: data of another shape than the run's, or too few or too many samples.
        """
        if data.kind != self.facts.kind or data.shape != self.facts.shape:
            raise ValueError(
                f"samples of shape {self.facts.shape} cannot be compared with {data.name}, "
                f"{data.shape}"
            )
        most = self.most(data)
        if most < 2:
            raise ValueError(
                f"data {data.name} has {most} real examples to compare with, at least 2 are "
                "needed; take more data, or train with --no-evaluate"
            )
        if not 2 <= num <= most:
            raise ValueError(
                f"num must lie in 2..{most}, the real examples to compare with, got {num}"
            )

    @abstractmethod
    def scores(self, samples: Tensor, names: Names, data: Dataset, how: Scoring) -> Judgement:
        """Samples (n, *shape) in model space against the data.

        Raises:
            ValueError: samples that cannot be compared with the data.
        """

    def influences(self, samples: Tensor, names: Names, data: Dataset) -> list[Moved]:
        """Those of the scores of which it is known how each sample moves them.

        Of distances it is the plain one of all samples; the judge is that of `Scoring()`.
        """
        return []

    def run_pictures(
        self, model: GaussianDiffusion, data: Dataset, steps: Sequence[Step]
    ) -> "dict[str, Drawing | list[Image]]":
        """Further pictures that end a run, by file name; a list is an animation.

        The steps are those that `frames` takes.
        """
        return {}

    def examples(self, data: Dataset, names: Sequence[str]) -> Tensor:
        """The first training example of each of these classes, or the first of all: (n, *shape).

        Raises:
            ValueError: an unknown class.
        """
        for name in names:
            if name not in data.class_names:
                raise ValueError(f"unknown label {name!r}; known are {', '.join(data.class_names)}")
        if not names:
            return first(data.train, 1)[0]
        x, labels = whole(data.train)
        wanted = [data.class_names.index(n) + 1 for n in names]
        return x[torch.tensor([int((labels == k).nonzero()[0]) for k in wanted])]

    def comparison(self, columns: Tensor, rows: Names, headings: Sequence[str]) -> Drawing:
        """A picture of samples (rows, columns, *shape), headings above and row names beside; only
        where `compares`.
        """
        raise NotImplementedError


def square(count: int) -> int:
    """The columns in which this many pictures stand as squarely as they can."""
    return max(1, round(count**0.5)) if count > 3 else count
