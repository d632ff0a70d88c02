"""The classifier whose features images are compared in: trained once, then kept."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import torch
from torch import Tensor, nn

from denoising_diffusion import __version__
from denoising_diffusion.checks import checked
from denoising_diffusion.metrics._checks import classes as asked_classes
from denoising_diffusion.metrics._checks import rows
from denoising_diffusion.metrics._kept import keep, kept
from denoising_diffusion.nn import LeNet5, SmallClassifier
from denoising_diffusion.progress import progress
from denoising_diffusion.training import Batch, train

_PART = 1000
"""Images that are read at a time."""


@dataclass(frozen=True)
class _Course:
    """How a classifier is trained; a part of the key it is kept under."""

    network: str
    epochs: int
    least_steps: int
    batch_size: int
    learning_rate: float
    decay: bool


_LENET = _Course("LeNet5", 10, 0, 32, 1e-3, decay=False)
_SMALL = _Course("SmallClassifier", 10, 600, 64, 2e-3, decay=True)


@dataclass(frozen=True, eq=False)
class Judge:
    """A trained classifier, to be asked about images in the model's range.

    Args:
        model: LeNet5, or SmallClassifier for images of another size.
        shape: (c, h, w), of the images.
        name: what tells it from others, to stand beside its figures.
        reference: whether it comes with the package.
        accuracy: the share of the images of `tested` that it reads rightly.
    """

    model: LeNet5 | SmallClassifier
    shape: tuple[int, ...]
    name: str = ""
    reference: bool = False
    accuracy: float = float("nan")

    def features(self, x: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] -> features (n, d), float32.

        Raises:
            ValueError: another shape, no images, or values that are not finite.
            TypeError: anything but a tensor of numbers.
        """
        return self._each(self.model.features, x)

    def read(self, x: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] -> classes (n,), counted from 0.

        Raises:
            ValueError, TypeError: as `features`.
        """
        return self._each(self.model, x).argmax(1)

    def tested(self, x: Tensor, classes: Tensor) -> "Judge":
        """The same, with its accuracy on images (n, c, h, w) of these classes (n,), from 0.

        Raises:
            ValueError, TypeError: as `features`, or classes of another number or type.
        """
        num_classes = self.model.head.out_features
        expected = asked_classes("test_classes", classes, num_classes, len(x))
        right = self.read(x) == expected
        return replace(self, accuracy=right.double().mean().item())

    @torch.no_grad()
    def _each(self, ask: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        parts = rows("x", x, *self.shape).split(_PART)
        own = next(self.model.parameters())  # on its device, and of its precision
        return torch.cat([ask(_as_seen(part.to(own), self.model)) for part in parts])


@checked
def judge(
    images: Annotated[Tensor, rows, "c", "h", "w"],
    classes: Tensor,
    num_classes: int,
    test_images: Tensor,
    test_classes: Tensor,
    *,
    fingerprint: str,
    seed: Annotated[int, 0, 2**63 - 1] = 0,
) -> Judge:
    """The classifier of these images and this seed: from the cache, or trained and put there.

    28×28 images are judged by LeNet-5 trained as in DenoisingDiffusion.jl (Adam 1e-3, batch 32,
    10 epochs, no selection), others by a smaller network. What is kept is used again only if the
    data, its split, the seed, the training and the version are all the same. A cache that cannot
    be read or written costs a warning and the training.

    Args:
        images: (n, c, h, w) in [-1, 1], to train on.
        classes: (n,) integers, counted from 0: labels less 1.
        num_classes: at least 1.
        test_images: (m, c, h, w), to take the accuracy on.
        test_classes: (m,), likewise.
        fingerprint: of the data; other images must have another.
        seed: of the weights and the order, in 0..2⁶³ - 1.

    Raises:
        ValueError: other shapes, no images, values that are not finite, or a class or a seed
            outside its range.
        TypeError: arguments of other types.
    """
    shape = tuple(images.shape[1:])
    rows("test_images", test_images, *shape)
    known = asked_classes("classes", classes, num_classes, len(images))
    asked_classes("test_classes", test_classes, num_classes, len(test_images))
    course = _LENET if shape[1:] == (28, 28) else _SMALL
    key = {
        "data": fingerprint,
        "split": split_of(known),
        "shape": list(shape),
        "classes": num_classes,
        "seed": seed,
        "version": __version__,
        **asdict(course),
    }
    found = _new(shape, num_classes, seed)
    if not kept("classifier", key, found.model, lambda notes: True):
        found = _new(shape, num_classes, seed)
        _train(found.model, images.detach().to("cpu", torch.float32), known, course, seed)
        keep("classifier", key, found.model.state_dict(), {})
    # Weights are kept, and their accuracy is not: it depends on the images that are compared with.
    return found.tested(test_images, test_classes)


def split_of(classes: Tensor) -> str:
    """Which split of a data set it is, told by the order of the training classes (n,), from 0."""
    return hashlib.sha256(classes.long().numpy().tobytes()).hexdigest()


def _new(shape: tuple[int, ...], num_classes: int, seed: int) -> Judge:
    channels, *sides = shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if sides == [28, 28]:
            return Judge(LeNet5(channels, num_classes), shape, f"own LeNet5, seed {seed}")
        side = -(-max(sides) // 4) * 4  # which can be halved twice
        model = SmallClassifier(channels, side, num_classes)
        return Judge(model, shape, f"own SmallClassifier, seed {seed}")


def _as_seen(x: Tensor, model: LeNet5 | SmallClassifier) -> Tensor:
    """Images in [-1, 1] as the network takes them: as grey levels in [0, 1], or as a square."""
    if isinstance(model, LeNet5):
        return (x + 1) / 2
    return nn.functional.pad(x, (0, model.size - x.shape[3], 0, model.size - x.shape[2]))


@torch.enable_grad()
def _train(
    model: LeNet5 | SmallClassifier, images: Tensor, classes: Tensor, course: _Course, seed: int
) -> None:
    steps = max(course.least_steps, -(-course.epochs * len(images) // course.batch_size))

    def loss(module: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return nn.functional.cross_entropy(module(_as_seen(batch[0], model)), batch[1])

    def rate(step: int) -> float:
        return course.learning_rate * (1 - (step - 1) / steps if course.decay else 1.0)

    optimizer = torch.optim.Adam(model.parameters(), lr=course.learning_rate)
    size = course.batch_size
    taken = train(
        model, loss, (images, classes), optimizer,
        steps=steps, batch_size=size, seed=seed, learning_rate=rate,
    )  # fmt: skip
    for _ in progress(taken, steps, f"training {course.network}"):
        pass
    model.eval()
