"""A U-Net that enlarges pictures: it sees a low-resolution picture beside x_t."""

from collections.abc import Callable, Sequence
from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn

from denoising_diffusion.checks import Count, checked, integer, tensor
from denoising_diffusion.nn._checks import check_data, divides
from denoising_diffusion.nn.embedding import unet_time_embedding
from denoising_diffusion.nn.init import seed_init
from denoising_diffusion.nn.unet import UNet, UNetOptions, fitted

HIDDEN = 1.0
"""The level of a picture of which noise has left nothing: how one that is not given is told."""

_LEVELS = 1000
"""Levels 0..1 are embedded as times 0..1000 are."""


class SuperResolutionOptions(UNetOptions, total=False):
    """Options of `SuperResolution.for_data`, described at `SuperResolution` and `UNet`."""

    factor: int


class SuperResolution(UNet):
    """A `UNet` for images (b, c, h, w), conditioned on pictures (b, c, h / factor, w / factor).

    Each pixel of the low-resolution picture is repeated over the factor x factor pixels that it is
    the mean of, and the result stands beside x as further channels (Ho et al. 2022, Cascaded
    Diffusion Models, arXiv:2106.15282, section 4). The level of the noise in it is embedded like
    the time and added to that embedding (section 4.2). A level of 1 is a picture that is hidden.

    Args:
        channels: c, of the images and of the low-resolution pictures.
        model_channels: as for `UNet`.
        num_timesteps: T, the last time.
        factor: how many times larger images are than the pictures, at least 2.
        options: the others of `UNet`, but for out_channels and dims.

    Raises:
        ValueError, TypeError: as `UNet`, or a factor below 2; when called, a picture of another
            size than the factor says, or levels that are not (b,).
    """

    @checked
    def __init__(
        self,
        channels: Count,
        model_channels: Count,
        num_timesteps: int,
        *,
        factor: int = 2,
        **options: Any,
    ) -> None:
        super().__init__(
            2 * channels, model_channels, num_timesteps, out_channels=channels, **options
        )
        self.factor = integer("factor", factor, 2)
        width = 4 * model_channels
        self.level_embedding = nn.Sequential(
            unet_time_embedding(_LEVELS, width), nn.Linear(width, self.embedding_width)
        )
        seed_init(self.level_embedding)

    @classmethod
    def for_data(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        data_shape: Sequence[int],
        num_timesteps: int,
        num_classes: int | None,
        augmentations: int = 0,
        **options: Unpack[SuperResolutionOptions],
    ) -> Self:
        """The network for images (c, h, w), which the factor must divide; it pads as it must.

        Raises:
            ValueError: data_shape is no such shape, or no factor is given.
            ValueError, TypeError: as the constructor.
        """
        shape = tuple(data_shape)
        if len(shape) != 3:
            raise ValueError(f"super-resolution needs images (c, h, w), got data of shape {shape}")
        factor = integer("network.factor", options.get("factor"), 2)
        for name, size in (("height", shape[1]), ("width", shape[2])):
            divides("network.factor", factor, size, f"pixels of the {name}")
        return cls(
            shape[0],
            num_timesteps=num_timesteps,
            num_classes=num_classes,
            augmentations=augmentations,
            pad=True,
            **fitted(options, shape),
        )

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        x: Tensor,
        t: Tensor,
        low: Tensor,
        level: Tensor,
        labels: Tensor | None = None,
        augmentation: Tensor | None = None,
    ) -> Tensor:
        """One evaluation.

        Args:
            x: (b, c, h, w).
            t: (b,), real times.
            low: (b, c, h / factor, w / factor), the pictures, noised as far as the level says;
                0 throughout where they are hidden.
            level: (b,), the share of noise in [0, 1]; `HIDDEN`, 1, where nothing is given.
            labels: as for `UNet`.
            augmentation: likewise.

        Returns:
            A tensor of the shape of x.
        """
        check_data(x, self.out_channels, 2)
        height, width = (n // self.factor for n in x.shape[2:])
        tensor("low", low, x.shape[0], self.out_channels, height, width, holds="floats")
        tensor("level", level, x.shape[0], holds="floats")
        large = low.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)
        emb = self.embedded(x, t, labels, augmentation) + self.level_embedding(_LEVELS * level)
        return self.answer(torch.cat([x, large.to(x.dtype)], dim=1), emb)


class ByNumber(nn.Module):
    """A network with its conditions bound, asked for by their number as if that were a label.

    So what works for labels, guidance above all, works for any condition. Number 0 stands for
    nothing given.

    Args:
        network: called as (x, t, *conditions), such as a module.
        conditions: each (1 + n, ...), on the network's device, row 0 being that of nothing given.
    """

    def __init__(self, network: Callable[..., Tensor], *conditions: Tensor) -> None:
        super().__init__()
        self.network, self.conditions = network, conditions

    def forward(self, x: Tensor, t: Tensor, numbers: Tensor) -> Tensor:
        """x (b, ...), t (b,) and the numbers (b,) in 0..n of the conditions."""
        return self.network(x, t, *(c[numbers] for c in self.conditions))
