"""What samples of a run are made to agree with."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from denoising_diffusion.kinds.base import Names
from denoising_diffusion.run.artefacts import Origin
from denoising_diffusion.samplers import Sampler

if TYPE_CHECKING:
    from PIL.Image import Image


class Given(NamedTuple):
    """An observation, as drawing and showing need it.

    `sampler` makes of the request's sampler, which is handed a denoiser that clips nothing, the one
    that walks; `origin` is what it was made from; `name` begins the name of the file; `picture`
    draws samples in model space, with their class names.
    """

    sampler: Callable[[Sampler], Sampler]
    origin: Origin
    name: str
    picture: "Callable[[Tensor, Names], Image]"
