"""A small classifier whose features generated images are compared in."""

from torch import Tensor, nn

from denoising_diffusion.nn._checks import check_image
from denoising_diffusion.nn.init import seed_init


class SmallClassifier(nn.Module):
    """Two convolutions with max-pooling and two linear layers, sized for 8x8 images.

    Args:
        in_channels: channels of the images.
        size: height and width of the images, a positive multiple of 4.
        num_classes: the number of classes, at least 1.
        num_features: the width of the last hidden layer, at least 1.

    Raises:
        ValueError: an argument outside these limits; when called, images of another shape.
    """

    def __init__(
        self, in_channels: int, size: int, num_classes: int, num_features: int = 32
    ) -> None:
        super().__init__()
        if size < 4 or size % 4:
            raise ValueError(f"size must be a positive multiple of 4, got {size}")
        if num_classes < 1 or num_features < 1:
            raise ValueError(
                "num_classes and num_features must be at least 1, "
                f"got {num_classes} and {num_features}"
            )
        self.in_channels = in_channels
        self.size = size
        self.hidden = nn.Sequential(
            nn.Conv2d(in_channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (size // 4) ** 2, num_features),
            nn.ReLU(),
        )
        self.head = nn.Linear(num_features, num_classes)
        seed_init(self)

    def features(self, x: Tensor) -> Tensor:
        """(b, in_channels, size, size) -> (b, num_features), after the last hidden ReLU."""
        check_image(x, self.in_channels, 1)
        if x.shape[2:] != (self.size, self.size):
            raise ValueError(
                f"images must be {self.size}x{self.size}, got {x.shape[2]}x{x.shape[3]}"
            )
        return self.hidden(x)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_channels, size, size) -> logits of shape (b, num_classes)."""
        return self.head(self.features(x))
