"""Real handwritten digits, bundled with scikit-learn: nothing is downloaded."""

import torch
from torch import Tensor


def load_digits_images() -> tuple[Tensor, Tensor]:
    """The 1,797 digits of the UCI test set and their classes.

    Returns:
        images (1797, 1, 8, 8) float32 in [-1, 1], grey level g of 0..16 at g/8 - 1, and
        labels (1797,) int64, 0..9.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    scaled = torch.as_tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    return scaled, torch.as_tensor(labels, dtype=torch.int64)
