"""Real handwritten digits, bundled with scikit-learn: nothing is downloaded."""

import torch
from torch import Tensor

from denoising_diffusion.data.rows import Dataset, fingerprint_of, in_memory
from denoising_diffusion.data.split import split_validation


def digits(*, seed: int = 0) -> Dataset:
    """8×8 images of the digits 0..9, half of them held out.

    Args:
        seed: of the split.

    Raises:
        TypeError, ValueError: the seed is no integer >= 0.
    """
    images, classes = load_digits_images()
    parts = [(images[i], classes[i]) for i in split_validation(len(images), 0.5, seed)]
    return in_memory(
        "digits",
        "images",
        *parts,
        class_names=tuple("0123456789"),
        clip=(-1.0, 1.0),
        fingerprint=fingerprint_of(images, classes),
    )


def load_digits_images() -> tuple[Tensor, Tensor]:
    """The 1,797 digits of the UCI test set and their classes.

    Returns:
        images (1797, 1, 8, 8) float32 in [-1, 1], grey level g of 0..16 at g/8 - 1, and
        classes (1797,) int64, 0..9.

    Raises:
        ValueError: scikit-learn, which holds them, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("digits come with scikit-learn: pip install scikit-learn") from None

    images, classes = load_digits(return_X_y=True)
    scaled = torch.as_tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    return scaled, torch.as_tensor(classes, dtype=torch.int64)
