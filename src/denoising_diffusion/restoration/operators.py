"""Linear operators A: what was observed of a sample, y = A x + noise."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import Positive, checked, exact, sizes, tensor

LUMA = (0.299, 0.587, 0.114)
"""The share of red, green and blue in grey (ITU-R BT.601), as Pillow takes them."""

_NOTHING = 1e-10
"""Eigenvalues of A Aᵀ below this share of the largest say nothing about the sample."""


class Operator(ABC):
    """A linear map from samples (b, *data) to observations (b, *observed)."""

    @abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """A x."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Aᵀ y."""

    @abstractmethod
    def solve(self, y: Tensor, ridge: Tensor | float = 0.0) -> Tensor:
        """The inverse of A Aᵀ + ridge times y, a pseudo-inverse where there is none.

        With ridge 0, Aᵀ of it is A⁺ y.

        Args:
            y: (b, *observed).
            ridge: >= 0, one number, or (b, 1, ...).
        """


class Mask(Operator):
    """The known values of a sample, (b, n): A Aᵀ is 1.

    Args:
        known: (*data), bool, n of them true.

    Raises:
        TypeError: it is no tensor of bool.
        ValueError: when applied, samples of another shape.
    """

    @checked
    def __init__(self, known: Tensor) -> None:
        if known.dtype != torch.bool:
            raise TypeError(f"known must hold bool, got {known.dtype}")
        self.known = known

    def apply(self, x: Tensor) -> Tensor:
        """The known values of x, (b, n), in the order of memory."""
        return tensor("x", x, "b", *self.known.shape)[:, self.known.to(x.device)]

    def adjoint(self, y: Tensor) -> Tensor:
        """Known values in their places, 0 elsewhere."""
        x = y.new_zeros(len(y), *self.known.shape)
        x[:, self.known.to(y.device)] = y
        return x

    def solve(self, y: Tensor, ridge: Tensor | float = 0.0) -> Tensor:
        """y / (1 + ridge)."""
        return y / (1 + (ridge.flatten(1) if isinstance(ridge, Tensor) else ridge))


class Separable(Operator):
    """A matrix along each of the last axes: a Kronecker product.

    A Aᵀ is diagonal in the products of the eigenvectors of the matrices, whatever their sizes, so
    that it is solved by a few small multiplications.

    Args:
        matrices: (observed, data) for each of the last axes, in their order; None leaves an axis as
            it is.

    Raises:
        TypeError, ValueError: one is no matrix of finite numbers.
    """

    def __init__(self, *matrices: Tensor | None) -> None:
        self._matrices: list[tuple[int, Tensor]] = []
        self._bases: list[tuple[int, Tensor]] = []
        spectrum = torch.ones([1] * len(matrices), dtype=torch.float64)
        for i, matrix in enumerate(matrices):
            if matrix is None:
                continue
            a = exact(f"matrices[{i}]", matrix, "m", "n")
            values, basis = torch.linalg.eigh(a @ a.T)
            axis = i - len(matrices)
            self._matrices.append((axis, a))
            self._bases.append((axis, basis))
            spectrum = spectrum * values.clamp(min=0).view(-1, *[1] * (-1 - axis))
        self._spectrum = spectrum

    def apply(self, x: Tensor) -> Tensor:
        """A x."""
        return _along(x, self._matrices)

    def adjoint(self, y: Tensor) -> Tensor:
        """Aᵀ y."""
        return _along(y, [(axis, a.T) for axis, a in self._matrices])

    def solve(self, y: Tensor, ridge: Tensor | float = 0.0) -> Tensor:
        """(A Aᵀ + ridge)⁻¹ y in the basis of eigenvectors."""
        inside = _along(y, [(axis, basis.T) for axis, basis in self._bases])
        return _along(_divided(inside, self._spectrum.to(y), ridge), self._bases)


@checked
def average_pooling(shape: Annotated[Sequence[int], sizes], factor: Annotated[int, 1]) -> Separable:
    """The mean of every block of factor × factor pixels; blocks that the border cuts are smaller.

    Args:
        shape: of a sample, (..., h, w); the observation is (..., ⌈h / factor⌉, ⌈w / factor⌉).
        factor: pixels on a side of a block.

    Raises:
        ValueError: fewer than two axes, or a factor above the shorter side.
    """
    height, width = _size(shape)
    if factor > min(height, width):
        raise ValueError(f"factor must be at most {min(height, width)}, got {factor}")
    return Separable(_means(height, factor), _means(width, factor))


@checked
def blur(shape: Annotated[Sequence[int], sizes], std: Positive) -> Separable:
    """A Gaussian blur; at its borders the picture is continued by its mirror image.

    It is `scipy.ndimage.gaussian_filter(x, std, mode="reflect")` along the last two axes, for any
    size: symmetric, and it keeps the mean of a picture.

    Args:
        shape: of a sample, (..., h, w), and of the observation.
        std: standard deviation in pixels.

    Raises:
        ValueError: fewer than two axes, or a std that is not above 0.
    """
    height, width = _size(shape)
    return Separable(_mirrored(height, std), _mirrored(width, std))


@checked
def grey_from_colour(shape: Annotated[Sequence[int], sizes]) -> Separable:
    """The grey of a picture in red, green and blue: `LUMA` of (..., 3, h, w), (..., 1, h, w).

    Raises:
        ValueError: another number of channels than three.
    """
    if len(shape) < 3 or shape[-3] != 3:
        raise ValueError(f"grey is seen of three channels, got samples of shape {tuple(shape)}")
    return Separable(torch.tensor([LUMA], dtype=torch.float64), None, None)


def residual(operator: Operator, observation: Tensor, x_start: Tensor) -> Tensor:
    """observation − A x_start, of one observation for all samples or one for each.

    Raises:
        ValueError: an observation of another shape.
    """
    seen = operator.apply(x_start)
    if len(tensor("observation", observation, "b", ..., holds="floats")) not in (1, len(seen)):
        raise ValueError(f"got {len(observation)} observations of {len(seen)} samples")
    tensor("observation", observation, "b", *seen.shape[1:])
    return observation.to(seen) - seen


def _size(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) < 2:
        raise ValueError(f"shape must end in a height and a width, got {tuple(shape)}")
    return shape[-2], shape[-1]


def _means(length: int, factor: int) -> Tensor:
    block = torch.arange(length) // factor
    member = (block == torch.arange(-(-length // factor))[:, None]).double()
    return member / member.sum(1, keepdim=True)


def _mirrored(length: int, std: float) -> Tensor:
    """The matrix of the blur: weights of places that the mirrors show again are added up."""
    reach = int(4 * std + 0.5)  # as scipy cuts it
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-(offsets.double() ** 2) / (2 * std**2))
    places = (torch.arange(length)[:, None] + offsets) % (2 * length)
    places = torch.minimum(places, 2 * length - 1 - places)
    matrix = torch.zeros(length, length, dtype=torch.float64)
    return matrix.scatter_add_(1, places, (weights / weights.sum()).expand(length, -1).contiguous())


def _along(x: Tensor, matrices: Sequence[tuple[int, Tensor]]) -> Tensor:
    for axis, matrix in matrices:
        x = torch.movedim(torch.movedim(x, axis, -1) @ matrix.to(x).T, -1, axis)
    return x


def _divided(y: Tensor, spectrum: Tensor, ridge: Tensor | float) -> Tensor:
    divisor = spectrum + ridge
    said = divisor > _NOTHING * spectrum.max()
    return torch.where(said, y / torch.where(said, divisor, 1.0), 0.0)
