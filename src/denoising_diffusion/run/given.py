"""What samples of a run are drawn from, or made to agree with, beside the request."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from denoising_diffusion.config import Sampling
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.kinds import Kind
from denoising_diffusion.kinds.base import Names
from denoising_diffusion.report import Drawing
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.samplers import Sampler


class Given(ABC):
    """Pictures that the network sees, or an observation, as drawing and showing need it."""

    clips: ClassVar[bool] = False
    """Whether it cuts estimates to the range of the data itself."""

    @property
    @abstractmethod
    def origin(self) -> Origin:
        """What samples depend on beside the weights and the request, in terms of JSON."""

    @abstractmethod
    def named(self, stem: str) -> str:
        """The stem of the default file, from that of the request."""

    @abstractmethod
    def picture(self, x: Tensor, names: Names) -> Drawing:
        """Samples in model space, with their class names, beside what was given."""

    def labels(self, kind: Kind, wish: Sampling) -> Tensor | None:
        """The labels of the samples of a completed request, (num,)."""
        return kind.label_rows(wish.label, wish.num or 0)

    def bound(
        self, model: GaussianDiffusion, seed: int, labels: Tensor | None
    ) -> tuple[GaussianDiffusion, Tensor | None]:
        """The model that is sampled, and its labels, from those of the run."""
        del seed
        return model, labels

    def sampler(self, sampler: Sampler) -> Sampler:
        """The sampler that walks, from that of the request."""
        return sampler
