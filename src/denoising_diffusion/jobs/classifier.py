"""The classifier whose features images are compared in: trained once, then kept."""

import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoising_diffusion import __version__
from denoising_diffusion.data import Dataset, cache_folder
from denoising_diffusion.jobs.progress import progress
from denoising_diffusion.nn import LeNet5, SmallClassifier
from denoising_diffusion.run import load_weights, note_json, read_tensors, write_tensors
from denoising_diffusion.training import Batch, train

LENET_SIDE = 28
_ROWS = 1000


@dataclass(frozen=True)
class _Course:
    """How a classifier is trained; a part of the key it is kept under."""

    network: str
    transform: str
    epochs: int
    least_steps: int
    batch_size: int
    learning_rate: float
    decay: bool

    def steps(self, rows: int) -> int:
        """Steps over this many images."""
        return max(self.least_steps, -(-self.epochs * rows // self.batch_size))


_LENET = _Course("LeNet5", "[-1, 1] -> [0, 1]", 10, 0, 32, 1e-3, decay=False)
_SMALL = _Course("SmallClassifier", "none", 10, 600, 64, 2e-3, decay=True)


@dataclass(frozen=True, eq=False)
class Judge:
    """A trained classifier, with what it takes to ask it about images in the model's range.

    Args:
        model: LeNet5, or SmallClassifier for images of another size.
        unit: whether the network takes grey levels in [0, 1] rather than [-1, 1].
        accuracy: the share of the reference images that it reads rightly.
    """

    model: LeNet5 | SmallClassifier
    unit: bool
    accuracy: float = float("nan")

    def features(self, x: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] -> features (n, d)."""
        return torch.cat([self.model.features(part) for part in self._parts(x)])

    def read(self, x: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] -> classes (n,), counted from 0."""
        return torch.cat([self.model(part).argmax(1) for part in self._parts(x)])

    def _parts(self, x: Tensor) -> Iterator[Tensor]:
        for part in x.split(_ROWS):
            yield (part + 1) / 2 if self.unit else part


def judge(data: Dataset, seed: int = 0) -> Judge:
    """The classifier of this data and seed: from the cache, or trained and put there.

    28×28 images are judged by LeNet-5 trained as in DenoisingDiffusion.jl (Adam 1e-3, batch 32,
    10 epochs, no selection), others by a smaller network. What is kept is used again only if the
    data, its split, the seed, the training, the transform and the version are all the same.

    Raises:
        ValueError: the data has no classes.
    """
    if data.train_labels is None or data.reference_labels is None:
        raise ValueError(f"data {data.name} has no classes to train a classifier on")
    course = _LENET if data.shape[1:] == (LENET_SIDE, LENET_SIDE) else _SMALL
    key = _key(data, course, seed)
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    file = cache_folder() / "classifiers" / f"{name}.safetensors"
    kept = _kept(file, key, _build(data, course, seed), course)
    if kept is not None:
        return kept
    model = _build(data, course, seed)
    _train(model, data, course, seed)
    found = Judge(model.eval(), course is _LENET)
    with torch.no_grad():
        right = found.read(data.reference) == data.reference_labels
    accuracy = right.double().mean().item()
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(file, tensors, {"key": json.dumps(key), "accuracy": json.dumps(accuracy)})
    except OSError as error:
        warnings.warn(f"the classifier cannot be kept in {file}: {error}", stacklevel=2)
    return Judge(found.model, found.unit, accuracy)


def _kept(file: Path, key: str, model: LeNet5 | SmallClassifier, course: _Course) -> Judge | None:
    if not file.exists():
        return None
    try:
        stored = read_tensors(file)
        if note_json(stored.notes, "key", file) != key:
            return None
        load_weights(model, stored.tensors, "model.")
        accuracy = float(note_json(stored.notes, "accuracy", file))
    except ValueError as error:
        warnings.warn(f"{error}; the classifier is trained again", stacklevel=3)
        return None
    return Judge(model.eval(), course is _LENET, accuracy)


def _key(data: Dataset, course: _Course, seed: int) -> str:
    assert data.train_labels is not None
    # The order of the training labels tells which split of the data this is.
    split = hashlib.sha256(data.train_labels.numpy().tobytes()).hexdigest()
    facts: dict[str, Any] = vars(course) | {
        "data": data.fingerprint,
        "split": split,
        "seed": seed,
        "version": __version__,
    }
    return json.dumps(facts, sort_keys=True)


def _build(data: Dataset, course: _Course, seed: int) -> LeNet5 | SmallClassifier:
    channels, side = data.shape[0], data.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if course is _LENET:
            return LeNet5(channels, len(data.class_names))
        return SmallClassifier(channels, side, len(data.class_names))


def _train(model: nn.Module, data: Dataset, course: _Course, seed: int) -> None:
    assert data.train_labels is not None
    steps = course.steps(len(data.train))

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        x = (batch[0] + 1) / 2 if course is _LENET else batch[0]
        return nn.functional.cross_entropy(model(x), batch[1])

    def rate(step: int) -> float:
        return course.learning_rate * (1 - (step - 1) / steps if course.decay else 1.0)

    taken = train(
        model,
        loss,
        (data.train, data.train_labels),
        torch.optim.Adam(model.parameters(), lr=course.learning_rate),
        steps=steps,
        batch_size=course.batch_size,
        seed=seed,
        learning_rate=rate,
    )
    for _ in progress(taken, steps, f"training {course.network}"):
        pass
