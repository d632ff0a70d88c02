"""The classifiers whose features generated images are compared in."""

from torch import Tensor, nn

from denoising_diffusion.checks import Count, checked, tensor
from denoising_diffusion.nn.init import seed_init


class _Classifier(nn.Module):
    """Square images of one size -> hidden layers, which end in the features -> a linear head."""

    def __init__(self, in_channels: int, size: int, hidden: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.size = size
        self.hidden = hidden
        self.head = head
        seed_init(self)

    def features(self, x: Tensor) -> Tensor:
        """(b, in_channels, size, size) -> (b, num_features), after the last hidden ReLU."""
        tensor("x", x, "b", self.in_channels, self.size, self.size, holds="floats")
        return self.hidden(x)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_channels, size, size) -> logits of shape (b, num_classes)."""
        return self.head(self.features(x))


def _stage(i: int, o: int, kernel: int, padding: int = 0) -> tuple[nn.Module, ...]:
    return nn.Conv2d(i, o, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2)


@checked
class SmallClassifier(_Classifier):
    """Two convolutions with max-pooling and two linear layers, sized for 8x8 images.

    Args:
        in_channels: channels of the images.
        size: height and width of the images, a positive multiple of 4.
        num_classes: the number of classes, at least 1.
        num_features: the width of the last hidden layer, at least 1.

    Raises:
        ValueError: an argument outside these limits; when called, images of another shape.
        TypeError: arguments of other types.
    """

    def __init__(
        self, in_channels: Count, size: int, num_classes: Count, num_features: Count = 32
    ) -> None:
        if size < 4 or size % 4:
            raise ValueError(f"size must be a positive multiple of 4, got {size}")
        hidden = nn.Sequential(
            *_stage(in_channels, 16, 3, padding=1),
            *_stage(16, 32, 3, padding=1),
            nn.Flatten(),
            nn.Linear(32 * (size // 4) ** 2, num_features),
            nn.ReLU(),
        )
        head = nn.Linear(num_features, num_classes)
        super().__init__(in_channels, size, hidden, head)


@checked
class LeNet5(_Classifier):
    """Two 5×5 convolutions with max-pooling and three linear layers, ReLU throughout.

    The network of the Fréchet LeNet Distance, for images of 28×28: after LeCun et al. 1998 (Proc.
    IEEE 86, section II.B), with maximum pooling and ReLU as in DenoisingDiffusion.jl; 44,426
    parameters for one channel and ten classes, and 84 features.

    Args:
        in_channels: channels of the images.
        num_classes: the number of classes, at least 1.

    Raises:
        ValueError: an argument outside these limits; when called, images that are not 28×28.
        TypeError: arguments of other types.
    """

    def __init__(self, in_channels: Count = 1, num_classes: Count = 10) -> None:
        hidden = nn.Sequential(
            *_stage(in_channels, 6, 5),
            *_stage(6, 16, 5),
            nn.Flatten(),
            nn.Linear(256, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        head = nn.Linear(84, num_classes)
        super().__init__(in_channels, 28, hidden, head)
