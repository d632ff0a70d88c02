"""Features of images learned from the images themselves, without labels: trained once, kept."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from denoising_diffusion import __version__
from denoising_diffusion.checks import checked
from denoising_diffusion.metrics._checks import rows
from denoising_diffusion.metrics._kept import keep, kept
from denoising_diffusion.metrics.views import shown_anew, spoilt
from denoising_diffusion.progress import progress
from denoising_diffusion.training import Batch, train

_PART = 500
"""Images that are read at a time."""
_LARGEST = 64
"""The longest side that is seen; larger images are brought to it."""
MOST_IMAGES = 20_000
"""Of the training images, that the network learns from."""


@dataclass(frozen=True)
class _Course:
    """How the network is trained; a part of the key it is kept under."""

    widths: tuple[int, ...] = (16, 32, 64)
    outputs: int = 64
    steps: int = 250
    batch_size: int = 128
    learning_rate: float = 2e-3
    temperature: float = 0.1


_COURSE = _Course()


class _Network(nn.Module):
    """3×3 convolutions, halving while there is something to halve; the mean over pixels; a head."""

    def __init__(self, shape: tuple[int, ...], course: _Course) -> None:
        super().__init__()
        width, side = shape[0], min(shape[1:])
        layers: list[nn.Module] = []
        for out in (*course.widths, course.widths[-1]):
            stride = 2 if side > 5 and len(layers) < 3 * len(course.widths) else 1
            side = -(-side // stride)
            layers.append(nn.Conv2d(width, out, 3, stride, padding=1, bias=False))
            layers += [nn.BatchNorm2d(out), nn.ReLU()]
            width = out
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, course.outputs)
        )

    def features(self, x: Tensor) -> Tensor:
        # In this format a step takes two thirds of the time.
        return self.body(x.contiguous(memory_format=torch.channels_last)).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(self.head(self.features(x)), dim=1)


@dataclass(frozen=True, eq=False)
class Encoder:
    """A network that tells the training images apart, to be asked for features.

    Args:
        model: the network.
        shape: (c, h, w), of the images.
    """

    model: _Network
    shape: tuple[int, ...]

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] -> features (n, 64) of length 1, float32.

        A network that is asked for angles leaves lengths as they fall, and a few long rows would
        rule every distance.

        Raises:
            ValueError: another shape, no images, or values that are not finite.
            TypeError: anything but a tensor of numbers.
        """
        images = rows("x", x, *self.shape).to("cpu", torch.float32)
        parts = [self.model.features(_as_seen(part)) for part in images.split(_PART)]
        return functional.normalize(torch.cat(parts), dim=1)


@checked
def encoder(
    images: Annotated[Tensor, rows, "c", "h", "w"],
    *,
    fingerprint: str,
    seed: Annotated[int, 0, 2**63 - 1] = 0,
) -> Encoder:
    """The encoder of these images and this seed: from the cache, or trained and put there.

    It tells instances apart (InfoNCE, van den Oord et al. 2018, eq. 4; Chen et al. 2020): of all
    images of a batch it must find the one that a view was made from, by the cosine of 64 outputs
    over a temperature. Among those to be ruled out are spoilt copies, the right image's own too:
    noisy, blurred, or with half of another image. So the features see what an image shows wherever
    it stands, and also faults that generated images have; a network that is only to recognise
    images learns to overlook them. It takes no labels, no download, and the same time for many
    images as for few: on one core 11 s for 8×8 pixels, three quarters of a minute for 48×48×3.

    What is kept is used again only if data, order, seed, training and version are all the same. A
    cache that cannot be read or written costs a warning and the training.

    Args:
        images: (n, c, h, w) in [-1, 1], to train on; of more than 20,000 the first count.
        fingerprint: of the data; other images must have another.
        seed: of the weights and the order, in 0..2⁶³ - 1.

    Raises:
        ValueError: another shape, no images, values that are not finite, or a seed outside its
            range.
        TypeError: arguments of other types.
    """
    shape = tuple(images.shape[1:])
    seen = images[:MOST_IMAGES].detach().to("cpu", torch.float32)
    key = {
        "data": fingerprint,
        # The order of the first images tells which split of the data this is.
        "split": hashlib.sha256(seen[:500].contiguous().numpy().tobytes()).hexdigest(),
        "shape": list(shape),
        "count": len(images),
        "seed": seed,
        "version": __version__,
        **asdict(_COURSE),
        "widths": list(_COURSE.widths),
    }
    model = _new(shape, seed)
    if not kept("encoder", key, model, lambda notes: True):
        model = _new(shape, seed)
        _train(model, _as_seen(seen), _COURSE, seed)
        keep("encoder", key, model.state_dict(), {})
    return Encoder(model, shape)


def _new(shape: tuple[int, ...], seed: int) -> _Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: Any = _Network(shape, _COURSE)  # torch's types know no memory_format here
        return made.to(memory_format=torch.channels_last)


def _as_seen(x: Tensor) -> Tensor:
    longest = max(x.shape[2:])
    if longest <= _LARGEST:
        return x
    sides = [max(1, round(side * _LARGEST / longest)) for side in x.shape[2:]]
    return functional.interpolate(x, sides, mode="area")


@torch.enable_grad()
def _train(model: _Network, images: Tensor, course: _Course, seed: int) -> None:
    def loss(module: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        views = [shown_anew(batch[0], generator) for _ in range(3)]
        views[2] = spoilt(views[2], generator)
        asked, known, wrong = module(torch.cat(views)).chunk(3)
        alike = asked @ torch.cat([known, wrong]).T / course.temperature
        return functional.cross_entropy(alike, torch.arange(len(asked)))

    def rate(step: int) -> float:
        return course.learning_rate * (1 - (step - 1) / course.steps)

    optimizer = torch.optim.AdamW(model.parameters(), lr=course.learning_rate, weight_decay=1e-2)
    taken = train(
        model, loss, (images,), optimizer,
        steps=course.steps, batch_size=min(course.batch_size, len(images)), seed=seed,
        learning_rate=rate,
    )  # fmt: skip
    for _ in progress(taken, course.steps, "training an encoder of the images"):
        pass
    model.eval()
