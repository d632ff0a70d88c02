"""Random streams: the one place that turns (seed, purpose, index) into a torch.Generator."""

import contextlib
import hashlib
from collections.abc import Callable, Generator, Sequence
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import checked, tensor

# PyTorch's CPU generator takes only the low 32 bits of a seed. Adding the index to a hash of
# (seed, purpose) therefore gives 2³² streams that are certain to differ, where hashing all three
# would make two of 10,000 samples equal in one run of a hundred.
STREAMS = 2**32

# Numbers are drawn in blocks of this many, whatever the batch or the number of steps, because
# torch.randn(n) depends on n: a stream must not change with what is asked of it.
_BLOCK = 256


Seed = Annotated[int, 0]


@checked
def stream(seed: Seed, purpose: str, index: Annotated[int, 0, STREAMS - 1] = 0) -> torch.Generator:
    """A CPU generator for this index of this purpose; equal arguments give equal numbers.

    Raises:
        TypeError: arguments of other types.
        ValueError: a negative seed, or an index outside [0, 2³²).
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=4).digest()
    return torch.Generator().manual_seed((int.from_bytes(digest, "little") + index) % STREAMS)


@checked
def base_seed(seed: Seed | None) -> int:
    """The seed itself, or one drawn from torch's global generator, so torch.manual_seed governs."""
    return int(torch.randint(2**31, ()).item()) if seed is None else seed


@contextlib.contextmanager
def drawing(seed: Seed, purpose: str, index: int, device: torch.device) -> Generator[None]:
    """Within it torch's own generators, which dropout uses, begin at this index of this purpose.

    Afterwards they stand where they stood before.
    """
    accelerators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(accelerators):
        torch.manual_seed(stream(seed, purpose, index).initial_seed())
        yield


class SampleNoise:
    """Standard normal noise in which every sample has a stream of its own.

    Sample i of a seed gets bit-identical numbers alone, in any batch and on any device: each is
    drawn on the CPU from the stream (seed, index). Call it like `torch.randn_like`.

    Args:
        seed: the seed of the whole set of samples.
        indices: the index of each sample of the batch, in order.
    """

    @checked
    def __init__(self, seed: Seed, indices: Sequence[int]) -> None:
        self._generators = [stream(seed, "sample", i) for i in indices]
        self._buffer = torch.empty(0)
        self._position = 0
        self._shape: torch.Size | None = None

    def __call__(self, like: Tensor) -> Tensor:
        """Noise in the shape (b, ...), dtype and device of `like`.

        Raises:
            ValueError: another number of samples, or another shape than in the first call.
        """
        tensor("like", like, len(self._generators), *(self._shape or (...,)), holds="floats")
        self._shape = like.shape[1:]
        if self._position == len(self._buffer):
            self._fill()
        noise = self._buffer[self._position].to(dtype=like.dtype, device=like.device)
        self._position += 1
        return noise

    def _fill(self) -> None:
        """Draw the next block of every stream: (draws, b, ...)."""
        assert self._shape is not None
        draws = max(1, _BLOCK // max(1, self._shape.numel()))
        rows = [torch.randn(draws, *self._shape, generator=g) for g in self._generators]
        self._buffer = torch.stack(rows, dim=1) if rows else torch.empty(draws, 0, *self._shape)
        self._position = 0


RandnLike = Callable[[Tensor], Tensor]
